//! What the server asks the world for: one match over [`Task`].
//!
//! The server cannot touch files, threads or processes; it says what it wants, and the owner
//! thread does it here at the end of the turn. What takes long goes to a thread of its own that
//! reports back with an [`Event`].

use std::fs::File;
use std::io::BufReader;
use std::thread;
use std::time::Duration;

use super::{Event, Handle, Host, saver};
use crate::server::{SaveJob, SaveReport, Server, Task};

/// What follows from a task for the turn loop.
pub(super) enum Outcome {
    /// Go on.
    Continue,
    /// End the owner thread; the process exits with this code.
    Stop(i32),
}

/// Carries out one task.
pub(super) fn carry_out(task: Task, server: &mut Server, handle: &Handle, host: &dyn Host) -> Outcome {
    match task {
        Task::Stop { exit_code } => return Outcome::Stop(exit_code),
        Task::Sleep { ms, client } => {
            // DEBUG SLEEP: to stop the owner is its whole purpose.
            thread::sleep(Duration::from_millis(ms));
            server.complete(client, |_, reply| reply.ok());
        }
        Task::ReopenLog => host.reopen_log(),
        Task::Save(job) => save(job, handle),
        Task::Load { path, client } => reload(server, &path, client),
        Task::Free(garbage) => free(garbage),
        Task::RewriteConfig { client } => {
            let result = host.rewrite_config(&server.parts.config);
            server.complete(client, |_, reply| match result {
                Ok(()) => reply.ok(),
                Err(reason) => reply.error(&format!("ERR Rewriting config file: {reason}")),
            });
        }
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

/// DEBUG RELOAD: reads the file that was just written.
fn reload(server: &mut Server, path: &str, client: crate::server::ClientId) {
    let result = File::open(path)
        .map_err(|error| error.to_string())
        .and_then(|file| server.reload(BufReader::new(file)));
    server.complete(client, |_, reply| match result {
        Ok(()) => reply.ok(),
        Err(reason) => {
            reply.error(&format!("ERR Error trying to load the RDB dump, check server logs: {reason}"))
        }
    });
}

/// Drops big values where nobody waits for it.
fn free(garbage: Vec<crate::keyspace::Garbage>) {
    // Without a thread the values are dropped with the closure, here.
    let _ = thread::Builder::new().name("free".to_owned()).spawn(move || drop(garbage));
}
