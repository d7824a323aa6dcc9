//! What the server asks the world to do: [`Task`]. The engine carries it out and reports back.

use super::session::ClientId;
use crate::keyspace::{DbSnapshot, Garbage};

/// Why a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveReason {
    /// SAVE: this client waits for the result.
    Command(ClientId),
    /// BGSAVE or a save point.
    Background,
    /// DEBUG RELOAD: load it again afterwards.
    Reload(ClientId),
    /// The last act before the process ends.
    Shutdown,
}

/// A snapshot to write, and how.
#[derive(Debug)]
pub struct SaveJob {
    /// Why.
    pub reason: SaveReason,
    /// The data of all databases that are not empty.
    pub snapshot: Vec<DbSnapshot>,
    /// The file to replace: `dbfilename`, relative to `dir`, which is the working folder.
    pub path: String,
    /// `rdbcompression`.
    pub compress: bool,
    /// `rdbchecksum`.
    pub checksum: bool,
}

/// How a save ended.
#[derive(Debug)]
pub struct SaveReport {
    /// Why it was made.
    pub reason: SaveReason,
    /// What went wrong, in words for the log.
    pub result: Result<(), String>,
}

/// Something for the engine to do; in the order given.
#[derive(Debug)]
pub enum Task {
    /// Write a snapshot on a thread of its own, then call [`super::Server::saved`].
    Save(SaveJob),
    /// Read a snapshot file and give it to [`super::Server::reload`], then complete the client.
    Load {
        /// The file.
        path: String,
        /// Who waits for it.
        client: ClientId,
    },
    /// Drop these on another thread.
    Free(Vec<Garbage>),
    /// Let the owner thread itself sleep: DEBUG SLEEP. Then complete the client.
    Sleep {
        /// How long.
        ms: u64,
        /// Who waits for it.
        client: ClientId,
    },
    /// Rewrite the configuration file with these values, then complete the client.
    RewriteConfig {
        /// Who waits for it.
        client: ClientId,
    },
    /// Change the working folder: CONFIG SET dir has checked it.
    ReopenLog,
    /// Stop accepting, send what is left, end the process with this code.
    Stop {
        /// The process's exit code.
        exit_code: i32,
    },
}
