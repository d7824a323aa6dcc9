//! What the server asks the world for: one match over [`Task`].
//!
//! The server cannot touch files, threads or processes; it says what it wants, and the owner
//! thread does it here at the end of the turn. What takes long goes to a thread of its own that
//! reports back with an [`Event`].

use std::thread;

use super::{Event, Handle, saver};
use crate::keyspace::Garbage;
use crate::server::{SaveJob, SaveReport, Task};

/// What follows from a task for the turn loop.
pub(super) enum Outcome {
    /// Go on.
    Continue,
    /// End the owner thread; the process exits with this code.
    Stop(i32),
}

/// Carries out one task.
pub(super) fn carry_out(task: Task, handle: &Handle) -> Outcome {
    match task {
        Task::Stop { exit_code } => return Outcome::Stop(exit_code),
        Task::Save(job) => save(job, handle),
        Task::Free(garbage) => free(garbage),
    }
    Outcome::Continue
}

/// Writes a snapshot on a thread of its own; if there can be none, here.
fn save(job: SaveJob, handle: &Handle) {
    let reason = job.reason;
    let report = handle.clone();
    let run = move || {
        let result = saver::write(&job).map_err(|error| error.to_string());
        // When the owner is gone nobody waits for the report.
        let _ = report.send(Event::Saved(SaveReport { reason: job.reason, result }));
    };
    if let Err(error) = thread::Builder::new().name("saver".to_owned()).spawn(run) {
        let result = Err(format!("no thread to save with: {error}"));
        let _ = handle.send(Event::Saved(SaveReport { reason, result }));
    }
}

/// Drops big values where nobody waits for it.
fn free(garbage: Vec<Garbage>) {
    // Without a thread the values are dropped with the closure, here.
    let _ = thread::Builder::new().name("free".to_owned()).spawn(move || drop(garbage));
}
