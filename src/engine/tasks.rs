//! What the server asks the world for: one match over [`Task`].
//!
//! The server cannot touch files, threads or processes; it says what it wants, and the owner
//! thread does it here at the end of the turn. What takes long goes to a thread of its own that
//! reports back with an [`Event`]. The owner itself never sends events: it would wait for itself
//! when the queue is full.

use std::thread::Builder;

use crossbeam_channel::{Sender, bounded};

use super::{Event, Handle, Links, saver};
use crate::keyspace::Garbage;
use crate::server::{SaveJob, SaveReport, Server, Task};

/// Loads that may wait for the freeing thread before the owner frees them itself.
const GARBAGE_QUEUE: usize = 64;

/// What follows from a task for the turn loop.
pub(super) enum Outcome {
    /// Go on.
    Continue,
    /// End the owner thread; the process exits with this code.
    Stop(i32),
}

/// What tasks need besides the server.
pub(super) struct Tasks {
    handle: Handle,
    links: Box<dyn Links>,
    /// To the thread that frees what is big, once there was something.
    garbage: Option<Sender<Vec<Garbage>>>,
}

impl Tasks {
    /// Threads started for tasks report to `handle`, which also keeps the queue open while nobody
    /// is connected.
    pub(super) fn new(handle: Handle, links: Box<dyn Links>) -> Self {
        Tasks { handle, links, garbage: None }
    }

    /// Carries out one task.
    pub(super) fn carry_out(&mut self, task: Task, server: &mut Server) -> Outcome {
        match task {
            Task::Stop { exit_code } => return Outcome::Stop(exit_code),
            Task::Save(job) => self.save(job, server),
            Task::Migrate(job) => {
                if let Err(report) = self.links.migrate(job) {
                    server.migrated(report);
                }
            }
            Task::Free(garbage) => self.free(garbage),
        }
        Outcome::Continue
    }

    /// Writes a snapshot on a thread of its own.
    fn save(&self, job: SaveJob, server: &mut Server) {
        let (reason, handle) = (job.reason, self.handle.clone());
        let run = move || {
            let result = saver::write(&job).map_err(|error| error.to_string());
            // When the owner is gone nobody waits for the report.
            let _ = handle.send(Event::Saved(SaveReport { reason, result }));
        };
        if let Err(error) = Builder::new().name("saver".to_owned()).spawn(run) {
            let result = Err(format!("no thread to save with: {error}"));
            server.saved(&SaveReport { reason, result });
        }
    }

    /// Drops `garbage` on the freeing thread; here if there is none or it is far behind.
    fn free(&mut self, garbage: Vec<Garbage>) {
        if self.garbage.is_none() {
            let (sender, receiver) = bounded::<Vec<Garbage>>(GARBAGE_QUEUE);
            let run = move || receiver.iter().for_each(drop);
            self.garbage = Builder::new().name("free".to_owned()).spawn(run).ok().map(|_| sender);
        }
        if let Some(sender) = &self.garbage {
            let _dropped_here_when_full = sender.try_send(garbage);
        }
    }
}
