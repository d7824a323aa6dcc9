//! Keys to send to another server, and what became of them.

use crate::base::ClientId;
use crate::keyspace::{DbIndex, Stored};
use core::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// The server that keys are sent to, and the user to log in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name or an address.
    pub host: String,
    /// The port; 0 leads nowhere.
    pub port: u16,
}

/// AUTH or AUTH2.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user, if one is named.
    pub user: Option<Vec<u8>>,
    /// The password.
    pub password: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Keys to send.
#[derive(Debug)]
pub struct MigrateJob {
    /// The client that waits.
    pub client: ClientId,
    /// The server that the keys go to.
    pub target: Target,
    /// The database there.
    pub target_db: i64,
    /// The database here.
    pub db: DbIndex,
    /// The time that one step may take, milliseconds; positive.
    pub timeout_ms: u64,
    /// The user to log in as there.
    pub credentials: Option<Credentials>,
    /// Overwrite keys of the target.
    pub replace: bool,
    /// Keep the keys here.
    pub copy: bool,
    /// `rdbcompression`: whether long strings are compressed.
    pub compress: bool,
    /// The keys that are sent, with their values.
    pub keys: Vec<(Vec<u8>, Stored)>,
    /// Counts the connections kept open, for INFO.
    pub sockets: Arc<AtomicUsize>,
}

impl MigrateJob {
    /// The report of a job of which nothing was done.
    #[must_use]
    pub fn failed(self, error: MigrateError) -> MigrateReport {
        MigrateReport { client: self.client, db: self.db, taken: Vec::new(), result: Err(error), from: None }
    }
}

/// The result of a migration.
#[derive(Debug)]
pub struct MigrateReport {
    /// The client that waits.
    pub client: ClientId,
    /// The database here.
    pub db: DbIndex,
    /// The keys to delete here, with what was sent: the target has taken them.
    pub taken: Vec<(Vec<u8>, Stored)>,
    /// The result that the client is told.
    pub result: Result<(), MigrateError>,
    /// Our end of the connection that was used.
    pub from: Option<SocketAddr>,
}

/// The reason why a migration failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// The target cannot be reached.
    #[error("IOERR error or timeout connecting to the client")]
    Connect,
    /// It no longer takes or gives bytes.
    #[error("IOERR error or timeout {0} to target instance")]
    Broken(Direction),
    /// It has answered with an error, here without its `-`.
    #[error("ERR Target instance replied with error: {0}")]
    Refused(String),
    /// As many migrations as may wait for the same target do.
    #[error("ERR Too many migrations wait for this target")]
    Overloaded,
}

/// The step in which a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Sending.
    Writing,
    /// Waiting for an answer.
    Reading,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Direction::Writing => "writing",
            Direction::Reading => "reading",
        })
    }
}
