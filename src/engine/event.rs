//! The events that reach the owner thread, and the doors through which it reaches others: a
//! client's replies, other servers.

use super::gate::Promise;
use crate::base::ClientId;
use crate::clients::{Close, Connection};
use crate::memory::Charge;
use crate::persistence::{AofReport, LoadPiece, LoadResult, SaveProgress, SaveReport};
use crate::resp::Requests;
use crate::server::{FileReport, MigrateJob, MigrateReport, Signal};
use std::time::Duration;

/// Everything that can reach the owner thread.
pub enum Event {
    /// A client was accepted. Its `stream` takes replies until `Disconnect`.
    Connect {
        /// The client, never used before.
        id: ClientId,
        /// The connection that it comes from.
        connection: Connection,
        /// The stream that takes its replies.
        stream: Box<dyn Stream>,
    },
    /// Everything one read of a client completed, and what that takes until it has run.
    Requests(ClientId, Requests, Charge),
    /// The client sends an argument that has become large.
    Growing(ClientId),
    /// The client's connection has ended; nothing more comes from it.
    Disconnect(ClientId),
    /// A connection was refused because the limit was reached.
    Rejected,
    /// Answered once everything before it ran and its replies are released.
    Sync(Promise),
    /// A signal to the process.
    Signal(Signal),
    /// A saver thread has dealt with a parcel.
    ParcelSaved(SaveProgress),
    /// The loading thread has read something: pieces for as many turns.
    Loaded(Vec<LoadPiece>),
    /// The loading thread has finished.
    LoadEnded(LoadResult),
    /// A saver thread has finished.
    Saved(SaveReport),
    /// Keys were sent to another server, or not.
    Migrated(MigrateReport),
    /// A small file was read or written, or not.
    FileReported(FileReport),
    /// The AOF thread reports.
    Aof(AofReport),
}

/// Makes connections to other servers for the owner. Nothing here may block.
pub trait Links {
    /// Sends the keys of `job` and reports by [`Event::Migrated`].
    fn migrate(&mut self, job: MigrateJob) -> Result<(), MigrateReport>;
}

/// The stream that takes a client's replies. No method but [`Stream::finish`] may block.
pub trait Stream: Send {
    /// Sends `bytes` after everything sent before and leaves the vector empty, its capacity kept
    /// where that is cheap.
    fn send(&mut self, bytes: &mut Vec<u8>);
    /// Ends the connection, after or instead of what has not left yet.
    fn close(&mut self, close: Close);
    /// Ends the connection after what has not left yet and waits for that, for `wait` at most.
    fn finish(&mut self, wait: Duration);
}
