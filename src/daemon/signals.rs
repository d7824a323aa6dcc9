//! Signals as ordinary events, on a thread of their own (signal-hook).
//!
//! SIGTERM and SIGINT ask the server to stop in order; a SIGINT while it stops ends the process at
//! once with code 1, and either of them while data is loading ends it at once with code 0: nothing
//! has changed yet. SIGHUP reopens the log file. SIGABRT, SIGSEGV and SIGBUS have a crash report
//! written first, as far as the process lives long enough: one that is sent does, a real fault may
//! not. SIGPIPE is ignored by Rust's runtime before `main`. The texts are Redis's; what is asked of
//! the engine, the engine's server logs.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use signal_hook::consts::{SIGABRT, SIGBUS, SIGHUP, SIGINT, SIGSEGV, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::log::SIGNAL;
use super::sys;

/// The phase of the server's life, as far as signals mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not serving yet: a signal ends the process.
    Loading,
    /// A signal asks the engine to stop.
    Serving,
    /// The engine has been asked.
    Stopping,
}

/// A phase that two threads share.
#[derive(Clone)]
pub struct SharedPhase(Arc<AtomicU8>);

impl Default for SharedPhase {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(Phase::Loading as u8)))
    }
}

impl SharedPhase {
    /// Moves on.
    pub fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::SeqCst);
    }

    /// Returns the present phase.
    pub fn get(&self) -> Phase {
        match self.0.load(Ordering::SeqCst) {
            phase if phase == Phase::Loading as u8 => Phase::Loading,
            phase if phase == Phase::Serving as u8 => Phase::Serving,
            _ => Phase::Stopping,
        }
    }
}

/// The consequence of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the engine to stop, naming the signal.
    Stop(i32),
    /// End the process now, with this code.
    Exit(i32),
    /// Open the log file anew.
    ReopenLog,
    /// Write a crash report and die of the signal.
    Crash(i32),
}

/// Returns the consequence of a signal, and the line for the log where nobody else writes one.
pub fn decide(signal: i32, phase: Phase) -> (Action, Option<&'static str>) {
    match (signal, phase) {
        (SIGHUP, _) => (Action::ReopenLog, Some("Received SIGHUP, reopening the log file.")),
        (SIGABRT, _) => (Action::Crash(signal), None),
        (_, Phase::Loading) => {
            (Action::Exit(0), Some("Received shutdown signal during loading, exiting now."))
        }
        (SIGINT, Phase::Stopping) => (Action::Exit(1), Some("You insist... exiting now.")),
        (SIGINT, _) => (Action::Stop(signal), Some("Received SIGINT scheduling shutdown...")),
        _ => (Action::Stop(signal), Some("Received SIGTERM scheduling shutdown...")),
    }
}

/// Starts the thread. `act` carries out what [`decide`] says, in that thread.
pub fn watch(phase: SharedPhase, act: impl Fn(Action) + Send + Sync + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGABRT])?;
    // A file at the limit of its size (`ulimit -f`) is a failed write like any other.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    let act = Arc::new(act);
    watch_faults(Arc::clone(&act))?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let (action, text) = decide(signal, phase.get());
            if matches!(action, Action::Stop(_)) {
                phase.set(Phase::Stopping);
            }
            if let Some(text) = text {
                log::warn!(target: SIGNAL, "{text}");
            }
            act(action);
        }
    })?;
    Ok(())
}

/// A thread that waits for a fault signal in a read, so that nothing has to be done in the handler.
fn watch_faults(act: Arc<impl Fn(Action) + Send + Sync + 'static>) -> io::Result<()> {
    let (mut told, note) = io::pipe()?;
    for signal in [SIGSEGV, SIGBUS] {
        sys::note_fault(u8::try_from(signal).map_err(io::Error::other)?, note.try_clone()?)?;
    }
    thread::Builder::new().name("faults".into()).spawn(move || {
        let mut signal = [0];
        if told.read_exact(&mut signal).is_ok() {
            act(Action::Crash(signal[0].into()));
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_signal_stops_in_order_and_second_sigint_at_once() {
        for (signal, phase, expected) in [
            (SIGTERM, Phase::Serving, Action::Stop(SIGTERM)),
            (SIGINT, Phase::Serving, Action::Stop(SIGINT)),
            (SIGINT, Phase::Stopping, Action::Exit(1)),
            (SIGTERM, Phase::Stopping, Action::Stop(SIGTERM)),
            (SIGTERM, Phase::Loading, Action::Exit(0)),
            (SIGINT, Phase::Loading, Action::Exit(0)),
            (SIGHUP, Phase::Loading, Action::ReopenLog),
            (SIGHUP, Phase::Stopping, Action::ReopenLog),
            (SIGABRT, Phase::Serving, Action::Crash(SIGABRT)),
        ] {
            assert_eq!(decide(signal, phase).0, expected, "{signal} {phase:?}");
        }
    }

    #[test]
    fn phases_are_shared() {
        let phase = SharedPhase::default();
        let other = phase.clone();
        for next in [Phase::Serving, Phase::Stopping, Phase::Loading] {
            phase.set(next);
            assert_eq!(other.get(), next);
        }
    }
}
