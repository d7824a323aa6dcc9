//! The job to load files, and the reports of the loading thread.

use super::job::Delays;
use crate::keyspace::{Batch, EncodingLimits};
use crate::rdb::{Checksum, Note, RdbError};
use crate::resp::Requests;
use std::path::PathBuf;
use std::sync::Arc;

/// The files to load, and the way to load them.
#[derive(Clone, Debug)]
pub struct LoadJob {
    /// The snapshot file, relative to `dir`; that there is none is no error.
    pub path: String,
    /// The append-only file's parts, which the engine finds; if there are any, they are read
    /// instead.
    pub aof: Option<AofFiles>,
    /// Thresholds of compact collections.
    pub limits: EncodingLimits,
    /// Says if the snapshot's own sum must agree.
    pub checksum: Checksum,
    /// Delays that tests ask for.
    pub delays: Arc<Delays>,
}

/// A piece that a loading thread has read; pieces come in order.
#[derive(Debug)]
pub enum LoadPiece {
    /// The beginning: how many bytes there are.
    Size(u64),
    /// A fact that stands in a snapshot beside the keys.
    Note(Note),
    /// Keys of a snapshot, for the database that the last note named.
    Keys {
        /// Small enough for a turn.
        keys: Batch,
        /// Bytes read so far, of all files.
        loaded_bytes: u64,
    },
    /// A part of the append-only file begins.
    File(AofFile),
    /// The snapshot that it begins with is whole.
    SnapshotEnd,
    /// Commands of it.
    Commands {
        /// The commands themselves.
        commands: Requests,
        /// Bytes read so far, of all files.
        loaded_bytes: u64,
    },
    /// The part is read.
    FileEnd,
}

/// The figures of a load that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadEnd {
    /// The last file ends too early, which is allowed: it is good up to here.
    pub cut_at: Option<u64>,
}

/// The end of a load: nothing if there was no file, or the error, in words.
pub type LoadResult = Result<Option<LoadEnd>, String>;

/// The parts of an append-only file that are to be loaded.
#[derive(Clone, Debug, Default)]
pub struct AofFiles {
    /// In order.
    pub files: Vec<AofFile>,
    /// Bytes of all of them.
    pub total_bytes: u64,
    /// The last one may end too early: `aof-load-truncated`.
    pub may_be_cut: bool,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct AofFile {
    /// The path of the file.
    pub path: PathBuf,
    /// Its name, for the log.
    pub name: String,
    /// True when nothing stands in it.
    pub is_empty: bool,
    /// True when it is the base.
    pub is_base: bool,
    /// True when it was a single file once: a snapshot may stand in it with commands behind.
    pub is_old_style: bool,
}

impl AofFile {
    /// The line that refuses a file whose snapshot is broken.
    #[must_use]
    pub fn broken_snapshot(&self, error: &RdbError) -> String {
        let what = if self.is_old_style { "RDB preamble of the AOF file" } else { "RDB base file" };
        format!("Error reading the {what} {}, AOF loading aborted: {error}", self.name)
    }

    /// The line that refuses a file that is no append-only file.
    #[must_use]
    pub fn bad_format(&self) -> String {
        format!(
            "Bad file format reading the append only file {}: make a backup of your AOF file, then use ./redis-check-aof \
             --fix <filename.manifest>",
            self.name
        )
    }
}
