//! The append-only file: every change as the command that repeats it, in several parts.
//!
//! ```text
//! appendonlydir/appendonly.aof.manifest       which parts there are, in order
//! appendonlydir/appendonly.aof.2.base.rdb     the data set at some moment: a snapshot, or commands
//! appendonlydir/appendonly.aof.2.incr.aof     what changed since: commands
//! ```
//!
//! [`Manifest`] reads and writes the list of parts and says what the next ones are called.
//! [`AofReader`] reads commands back and knows how far a file is good. [`rewrite`] turns values
//! into the commands that make them. Files are `Read` and `Write` here; names, renames and syncs
//! belong to the engine, and what a command does to the server.

mod batch;
pub mod check;
mod manifest;
mod reader;
pub mod rewrite;

pub use batch::Batch;
pub use manifest::{FileInfo, FileType, MAX_LINE_BYTES, Manifest, ManifestError, Names, Part};
pub use reader::{AofEntry, AofReader, Found, ReadError};

/// The line that says when what follows was written. Redis: `aof-timestamp-enabled`.
#[must_use]
pub fn timestamp_line(unix_secs: i64) -> Vec<u8> {
    format!("#TS:{unix_secs}\r\n").into_bytes()
}

/// True when a file that begins so is a snapshot, or begins with one.
#[must_use]
pub fn is_snapshot(start: &[u8]) -> bool {
    start.starts_with(b"REDIS")
}
