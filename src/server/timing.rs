//! The time that commands take, and everything that follows from it: counters, histograms, the slow
//! log, the latency monitor.
//!
//! Commands of a turn run back to back, so one reading of the clock ends one command and begins the
//! next. Small fast commands of one batch are timed together and share their time equally, because
//! reading the clock would cost a tenth of what they do. They are timed one by one when somebody
//! looks closely: while the latency monitor is on, or the slow log keeps what takes less than a
//! millisecond.

use super::Rooms;
use super::command::Command;
use super::origin::Origin;
use crate::clients::{Close, Session};
use crate::config::Config;
use crate::resp::{Argv, OwnedArgv, Requests};
use crate::spec::{BLOCKING, CommandIndex, FAST, SKIP_SLOWLOG};
use crate::stats::{Run, Sample, SlowCommand, shorten};

/// Commands of more arguments are timed alone.
const FEW_ARGUMENTS: usize = 16;
/// Commands and answers of more bytes are timed alone.
const SMALL_BYTES: usize = 16 << 10;
/// Below this threshold of the slow log every command is timed alone, microseconds.
const CLOSE_LOOK_US: i64 = 1000;

/// A command that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    at_ns: u64,
    /// True when it may be timed together with others.
    shares: bool,
}

/// Begins a command.
pub(super) fn begin(rooms: &mut Rooms, (command, index): (&Command, CommandIndex), argv: Argv<'_>) -> Begun {
    let flags = command.spec.flags;
    let shares = flags.contains(FAST)
        && !flags.contains(BLOCKING)
        && argv.len() <= FEW_ARGUMENTS
        && argv.span() <= SMALL_BYTES
        && !looks_closely(&rooms.config);
    let stopwatch = &rooms.stats.stopwatch;
    if stopwatch.runs_another(index) || (!shares && stopwatch.has_run()) {
        rooms.end_run();
    }
    Begun { at_ns: rooms.stats.stopwatch.last_ns(), shares }
}

/// Ends the command that began as `begun` and answered `reply_bytes`.
pub(super) fn end(
    rooms: &mut Rooms,
    session: &Session,
    (command, index): (&'static Command, CommandIndex),
    argv: Argv<'_>,
    origin: Origin,
    (begun, reply_bytes): (Begun, usize),
) {
    if begun.shares {
        rooms.stats.stopwatch.join_run(index);
        if reply_bytes > SMALL_BYTES
            && let Some((_, ns)) = rooms.end_run()
        {
            // Of all in the run, the one with the long answer took the time.
            log_if_slow(rooms, (session, origin), command, argv, ns);
        }
        return;
    }
    // The commands it called are done; its own time includes theirs.
    rooms.end_run();
    rooms.lap_ns();
    let ns = rooms.stats.stopwatch.last_ns() - begun.at_ns;
    rooms.stats.counters.command(index).ns += ns;
    if session.parked.is_some() {
        return;
    }
    if rooms.config.latency_tracking {
        rooms.stats.counters.histogram(index).record(ns, 1);
    }
    let argv = session.requests.sent.as_ref().map_or(argv, OwnedArgv::as_argv);
    log_if_slow(rooms, (session, origin), command, argv, ns);
    watch(rooms, command, origin, ns);
}

/// Ends a batch of a client: what was timed together is counted.
pub(super) fn end_batch(rooms: &mut Rooms, session: &Session, batch: &Requests) {
    if let Some((Run { index, count: 1 }, ns)) = rooms.end_run()
        && session.close == Close::No
        && let Some(last) = batch.len().checked_sub(1)
        // A command that was queued takes no time: the run is of the one before.
        && session.last.command == Some(index)
    {
        log_if_slow(rooms, (session, Origin::Client), rooms.commands.at(index), batch.get(last), ns);
    }
}

impl Rooms {
    /// Returns the time at which something begins that [`Rooms::end_watch`] ends, nanoseconds of
    /// the monotonic clock; `None` while the monitor is off.
    pub(super) fn begin_watch(&self) -> Option<u64> {
        (self.config.latency_monitor_threshold > 0).then(|| self.time.clock.monotonic_ns())
    }

    /// Notes how long `event` took.
    pub(super) fn end_watch(&mut self, event: &'static str, begin_ns: Option<u64>) {
        if let Some(begin_ns) = begin_ns {
            self.watch_latency(event, self.time.clock.monotonic_ns() - begin_ns);
        }
    }

    /// Notes that `event` took `ns`, if the monitor is on and that is long.
    #[inline]
    pub(crate) fn watch_latency(&mut self, event: &'static str, ns: u64) {
        let threshold = self.config.latency_monitor_threshold;
        if threshold > 0 {
            let ms = i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX);
            if ms >= threshold {
                self.stats.latency.add(event, Sample { at_secs: self.time.now.secs(), ms });
            }
        }
    }

    /// Nanoseconds since the last call, or since the last command ended.
    pub(crate) fn lap_ns(&mut self) -> u64 {
        let now_ns = self.time.clock.monotonic_ns();
        self.stats.stopwatch.lap(now_ns)
    }

    /// Begins work that is no command's, between two of them. Returns the time, nanoseconds of the
    /// monotonic clock; [`Rooms::lap_ns`] ends it.
    pub(crate) fn set_apart(&mut self) -> u64 {
        if self.end_run().is_none() {
            self.lap_ns();
        }
        self.stats.stopwatch.last_ns()
    }

    /// Ends a run of commands timed together. Returns which they were and their time, nanoseconds.
    pub(super) fn end_run(&mut self) -> Option<(Run, u64)> {
        let run @ Run { index, count } = self.stats.stopwatch.take_run()?;
        let ns = self.lap_ns();
        self.stats.counters.command(index).ns += ns;
        if self.config.latency_tracking {
            self.stats.counters.histogram(index).record(ns / count, count);
        }
        Some((run, ns))
    }
}

fn looks_closely(config: &Config) -> bool {
    config.latency_monitor_threshold > 0 || (0..CLOSE_LOOK_US).contains(&config.slowlog_log_slower_than)
}

fn is_slow(config: &Config, ns: u64) -> bool {
    let threshold = config.slowlog_log_slower_than;
    threshold >= 0 && micros(ns) >= threshold
}

fn log_if_slow(
    rooms: &mut Rooms,
    (session, origin): (&Session, Origin),
    command: &Command,
    argv: Argv<'_>,
    ns: u64,
) {
    if is_slow(&rooms.config, ns) && !command.spec.flags.contains(SKIP_SLOWLOG) {
        let at = rooms.time.now;
        // Redis: scripts run by a client of their own, which has no socket and no name.
        let (addr, name) = match origin {
            Origin::Script => ("?:0".to_owned(), Vec::new()),
            _ => (session.connection.addr.clone(), session.name.clone()),
        };
        rooms.stats.slowlog.push(rooms.config.slowlog_max_len, |id| SlowCommand {
            id,
            at,
            us: micros(ns),
            arguments: shorten(&command.spec, argv),
            addr,
            name,
        });
    }
}

fn watch(rooms: &mut Rooms, command: &Command, origin: Origin, ns: u64) {
    let event = match origin {
        Origin::Unparked => "command-unblocking",
        _ if command.spec.flags.contains(FAST) => "fast-command",
        _ => "command",
    };
    rooms.watch_latency(event, ns);
}

fn micros(ns: u64) -> i64 {
    i64::try_from(ns / 1000).unwrap_or(i64::MAX)
}
