//! What the server asks the world to do: [`Task`]. The engine carries it out and reports back.

use super::migrate::MigrateJob;
use super::session::ClientId;
use crate::keyspace::{DbSnapshot, Garbage};
use crate::rdb::SaveOptions;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Why a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveReason {
    /// SAVE: this client waits for the result.
    Command(ClientId),
    /// BGSAVE or a save point.
    Background,
    /// DEBUG RELOAD, which loads it again at once.
    Reload,
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
    /// How it is written.
    pub options: SaveOptions,
    /// The file to replace: `dbfilename`, relative to `dir`, which is the working folder.
    pub path: String,
}

/// How a save ended.
#[derive(Debug)]
pub struct SaveReport {
    /// Why it was made.
    pub reason: SaveReason,
    /// What went wrong, in words for the log.
    pub result: Result<(), String>,
}

/// How the base of an append-only file is written.
#[derive(Debug)]
pub enum BaseFormat {
    /// As a snapshot.
    Snapshot(SaveOptions),
    /// As commands.
    Commands {
        /// The time to note at the start, seconds, if it is to be noted.
        timestamp: Option<i64>,
    },
}

/// A new base of the append-only file to write.
#[derive(Debug)]
pub struct RewriteJob {
    /// Which one: rewrites are counted.
    pub number: u64,
    /// The data of all databases that are not empty.
    pub snapshot: Vec<DbSnapshot>,
    /// How it is written.
    pub format: BaseFormat,
    /// Force it to disk bit by bit.
    pub incremental_fsync: bool,
    /// Set when it is no longer wanted.
    pub cancel: Arc<AtomicBool>,
}

/// Something for the engine to do; in the order given.
#[derive(Debug)]
pub enum Task {
    /// Write a snapshot on a thread of its own, then call [`super::Server::saved`].
    Save(SaveJob),
    /// Send keys to another server, then call [`super::Server::migrated`].
    Migrate(MigrateJob),
    /// Write a base on a thread of its own, then call [`super::Server::rewritten`].
    Rewrite(RewriteJob),
    /// Load the append-only file anew, then complete the client: DEBUG LOADAOF.
    LoadAof(ClientId),
    /// Drop these on another thread.
    Free(Vec<Garbage>),
    /// Stop accepting, send what is left, end the process with this code.
    Stop {
        /// The process's exit code.
        exit_code: i32,
    },
}
