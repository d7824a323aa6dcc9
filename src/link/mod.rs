//! Connections this server makes to others: so far, for MIGRATE.
//!
//! A room of floor 7: it knows sockets and threads, takes jobs from the engine and reports by
//! events. It does not know what is done with a report.

pub mod migrate;

use crate::engine::{Handle, Links};
use crate::server::{MigrateJob, MigrateReport};

/// Makes the owner's connections to other servers.
struct Outgoing {
    migrations: migrate::Targets,
}

/// Connections for the owner behind `handle`.
#[must_use]
pub fn links(handle: &Handle) -> Box<dyn Links> {
    Box::new(Outgoing { migrations: migrate::Targets::new(handle.clone()) })
}

impl Links for Outgoing {
    fn migrate(&mut self, job: MigrateJob) -> Result<(), MigrateReport> {
        self.migrations.send(job)
    }
}
