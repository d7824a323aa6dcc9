//! The order to write a snapshot: its reason, source and target, and the reports about it.

use crate::base::ClientId;
use crate::keyspace::{DbSnapshot, WalkedDb};
use crate::rdb::SaveOptions;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

/// The reason why a snapshot is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveReason {
    /// SAVE: this client waits for the result.
    Command(ClientId),
    /// FLUSHALL: this client waits until the old data is gone from the file too.
    Flush(ClientId),
    /// BGSAVE or a save point.
    Background,
    /// The last act before the process ends.
    Shutdown,
    /// A new base of the append-only file.
    Rewrite,
}

/// The format of a file of all keys.
#[derive(Debug)]
pub enum SaveFormat {
    /// A snapshot.
    Snapshot(SaveOptions),
    /// The commands that make the data set: a base with `aof-use-rdb-preamble no`.
    Commands {
        /// The time to note at the start, seconds, if it is to be noted.
        timestamp: Option<i64>,
        /// The code of each library of functions.
        functions: Vec<Arc<[u8]>>,
    },
}

/// A snapshot to write, and how. Its keys follow, parcel by parcel.
#[derive(Debug)]
pub struct SaveJob {
    /// Numbers the jobs; reports carry it.
    pub id: u64,
    /// The reason.
    pub reason: SaveReason,
    /// The databases that are not empty.
    pub dbs: Vec<WalkedDb>,
    /// The format that it is written in.
    pub format: SaveFormat,
    /// The file to replace, relative to `dir`, which is the working folder: `dbfilename`.
    pub path: String,
    /// True when the file is forced to disk bit by bit: `rdb-save-incremental-fsync`,
    /// `aof-rewrite-incremental-fsync`.
    pub syncs_bit_by_bit: bool,
    /// Delays that tests ask for.
    pub delays: Arc<Delays>,
    /// The counter of the keys that the thread has written.
    pub keys_saved: Arc<AtomicU64>,
}

/// A snapshot to write while everybody waits.
#[derive(Debug)]
pub struct WholeSave {
    /// The data of all databases that are not empty.
    pub snapshot: Vec<DbSnapshot>,
    /// The options that it is written with.
    pub options: SaveOptions,
    /// The file to replace.
    pub path: String,
}

/// The time for which the threads that save and load sleep after each key, for tests: microseconds,
/// or if negative the number of keys after which they sleep for one.
#[derive(Debug, Default)]
pub struct Delays {
    /// `rdb-key-save-delay`.
    pub save_us: AtomicI64,
    /// `key-load-delay`.
    pub load_us: AtomicI64,
}

/// The progress of a saver so far.
#[derive(Clone, Copy, Debug)]
pub struct SaveProgress {
    /// The job.
    pub job: u64,
    /// The last parcel that was dealt with.
    pub parcel: u64,
}

/// The end of a save.
#[derive(Debug)]
pub struct SaveReport {
    /// The job.
    pub job: u64,
    /// The reason why it was made.
    pub reason: SaveReason,
    /// The error, in words for the log.
    pub result: Result<(), String>,
}
