//! The messages between the server and the append-only file's thread.

use crate::base::ClientId;
use crate::config::Appendfsync;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

/// An order to the AOF thread.
#[derive(Debug)]
pub enum AofOrder {
    /// Write these bytes behind everything before; then the file reaches up to offset `end`.
    Append {
        /// The propagated commands.
        bytes: Arc<Vec<u8>>,
        /// Bytes handed over since the start, these included.
        end: u64,
    },
    /// Force the file to disk like this from now on.
    Policy {
        /// `appendfsync`.
        fsync: Appendfsync,
        /// Leave that for now: `no-appendfsync-on-rewrite`.
        suspended: bool,
    },
    /// Go on writing at the end of this file.
    Attach(Vec<u8>),
    /// Make the folder, and this file for changes, and list it: it stays empty up to `Switch`.
    /// Reported as `Prepared`.
    Prepare {
        /// The number of the rewrite it is for.
        number: u64,
        /// Its name, if changes are kept.
        file: Option<Vec<u8>>,
        /// The manifest that lists it, if it is to be listed.
        manifest: Option<Vec<u8>>,
    },
    /// Finish the file that is open and go on with the prepared one. Reported, as `Prepared`, only
    /// if that fails; the old file is written to on, then.
    Switch(u64),
    /// Close this file and delete it, with whatever is in it: it never was listed.
    Discard(Vec<u8>),
    /// A rewrite is done: give its files their names and list them. Reported as `Installed`.
    Install {
        /// The base as it was written, and its name from now on.
        base: (String, Vec<u8>),
        /// The name that the temporary file for changes gets, if it gets one.
        incr: Option<Vec<u8>>,
        /// The new manifest.
        manifest: Vec<u8>,
        /// Files it does not list any more, to be deleted.
        remove: Vec<Vec<u8>>,
    },
    /// List the files anew, then delete these.
    Forget {
        /// The new manifest.
        manifest: Vec<u8>,
        /// Files it does not list any more.
        files: Vec<Vec<u8>>,
    },
    /// Write and force to disk what there is. Reported as `Flushed`.
    Flush,
    /// The same, for the file is to be read back. Reported as `MayReload`.
    Reload,
    /// The same, and close the file: nothing more is appended.
    Close,
    /// Report `Passed` when everything before is done.
    Pass(ClientId),
    /// Sleep so long before each write: DEBUG AOF-FLUSH-SLEEP.
    SleepUs(u64),
}

/// The kinds of work of the AOF thread that may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AofWork {
    /// Writing.
    Write,
    /// Forcing to disk what writers wait for.
    Sync,
    /// Giving files their names.
    Rename,
}

/// A report of the AOF thread.
#[derive(Debug)]
pub enum AofReport {
    /// Something took as long as was to be told of, or longer: nanoseconds.
    Slow(AofWork, u64),
    /// All bytes handed over up to this offset are in the file; said where somebody waits for that.
    Written(u64),
    /// All bytes handed over up to this offset are on disk; said where somebody waits for that.
    Synced(u64),
    /// Writing or forcing to disk failed. It is tried again each second; nothing is dropped.
    Failed {
        /// The error of the system.
        reason: String,
        /// True when it was forcing to disk that failed.
        on_fsync: bool,
    },
    /// It works again.
    Healed,
    /// Something in the middle of the files is lost, and what stands behind it with it: nothing is
    /// reported as `Synced` until a rewrite is installed.
    Hole,
    /// There is no hole any more.
    Whole,
    /// The result of `Prepare`, and the number of its rewrite.
    Prepared(u64, Result<(), String>),
    /// Bytes handed over up to this offset will never be on disk: the file was closed while it
    /// could not be written.
    Lost(u64),
    /// The result of `Install`: the size of the base.
    Installed(Result<u64, String>),
    /// The result of `Flush`.
    Flushed(Result<(), String>),
    /// The result of `Reload`: success if the file holds everything.
    MayReload(Result<(), String>),
    /// `Pass` came through.
    Passed(ClientId),
}

/// The counters through which the AOF thread and the server tell each other how far they are.
#[derive(Debug, Default)]
pub struct AofGauges {
    /// Bytes handed over that are in the file.
    pub written: AtomicU64,
    /// True when the file is being forced to disk.
    pub syncing: AtomicBool,
    /// True when the thread does something about a file.
    pub is_at_disk: AtomicBool,
    /// The server's word to the thread: work that takes so long is to be told of, nanoseconds; 0
    /// for none.
    pub slow_ns: AtomicU64,
    /// The server's word to the thread: up to this offset somebody waits for the bytes to be in the
    /// file.
    pub awaited: AtomicU64,
}
