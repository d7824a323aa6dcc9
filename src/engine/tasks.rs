//! What the server asks the world for: one match over [`Task`].
//!
//! The server cannot touch files, threads or processes; it says what it wants, and the owner
//! thread does it here at the end of the turn. What takes long goes to a thread of its own that
//! reports back with an [`Event`](super::Event).

use std::thread;
use std::time::Duration;

use crate::server::Task;

/// What follows from a task for the turn loop.
pub(super) enum Outcome {
    /// Go on.
    Continue,
    /// End the owner thread; the process exits with this code.
    Stop(i32),
}

/// Carries out one task.
pub(super) fn carry_out(task: Task) -> Outcome {
    match task {
        Task::Stop { exit_code } => return Outcome::Stop(exit_code),
        // DEBUG SLEEP: to stop the owner is its whole purpose.
        Task::Sleep { ms } => thread::sleep(Duration::from_millis(ms)),
        Task::ReopenLog => {}
    }
    Outcome::Continue
}
