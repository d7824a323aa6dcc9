//! The owner thread: the one place where [`Server`] runs.
//!
//! [`Handle`] is the one door to it: a bounded channel of [`Event`]s, first in, first out. A
//! *turn* ([`owner`]) drains what waits, up to a bound, lets the server handle it, sends each
//! client's replies without ever blocking, and carries out what the server asked for
//! ([`tasks`]). Who connects, and over what, this room does not know: a connection is an
//! `Event::Connect` with something that implements [`Stream`].
//!
//! Clocks are read here only ([`clock`]); a panic on the owner thread ends the process with a
//! report ([`crash`]), because nobody can vouch for the data afterwards.

pub mod affinity;
pub mod aof;
pub mod clock;
pub mod crash;
mod loader;
#[cfg(test)]
mod loader_tests;
pub mod os;
pub mod owner;
pub mod saver;
pub mod tasks;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::alloc;
use crate::resp::Requests;
use crate::server::migrate::{MigrateJob, MigrateReport};
use crate::server::{
    AofReport, ClientId, Close, Connection, LoadPiece, LoadResult, SaveProgress, SaveReport, Server, Signal,
};

pub use clock::SystemClock;
use owner::Owner;

/// Events that may wait for the owner before their senders block.
pub const EVENT_QUEUE: usize = 1024;
/// Batches that have run whose memory is kept for the workers, and the largest such batch, bytes.
const SPENT_BATCHES: usize = 128;
const SPENT_BYTES: usize = 6 * 1024;
/// What a batch that has not been used yet has room for.
const NEW_BATCH_BYTES: usize = 256;
const NEW_BATCH_ARGUMENTS: usize = 16;
/// Which is this much memory, as [`Requests::heap_bytes`] counts, bytes.
const NEW_BATCH_HEAP_BYTES: usize = NEW_BATCH_BYTES + 12 * NEW_BATCH_ARGUMENTS;
/// Stack of the owner thread, bytes: it runs every command, scripts and sorts included.
const OWNER_STACK_BYTES: usize = 16 << 20;

/// Everything that can reach the owner thread.
pub enum Event {
    /// A client was accepted. Its `stream` takes replies until `Disconnect`.
    Connect {
        /// The client, never used before.
        id: ClientId,
        /// Where it comes from.
        connection: Connection,
        /// Where its replies go.
        stream: Box<dyn Stream>,
    },
    /// Everything one read of a client completed.
    Requests(ClientId, Requests),
    /// The client sends an argument that has become large.
    Growing(ClientId),
    /// The client's connection has ended; nothing more comes from it.
    Disconnect(ClientId),
    /// A connection was refused because the limit was reached.
    Rejected,
    /// Answered once everything before it ran and its replies are released.
    Sync(Sender<()>),
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
    /// The AOF thread reports.
    Aof(AofReport),
}

/// Who makes connections to other servers for the owner. Nothing here may block.
pub trait Links {
    /// Sends the keys of `job` and reports by [`Event::Migrated`].
    fn migrate(&mut self, job: MigrateJob) -> Result<(), MigrateReport>;
}

/// Where a client's replies go. No method but [`Stream::finish`] may block.
pub trait Stream: Send {
    /// Sends `bytes` after everything sent before and leaves the vector empty, its capacity kept
    /// where that is cheap.
    fn send(&mut self, bytes: &mut Vec<u8>);
    /// Ends the connection, after or instead of what has not left yet.
    fn close(&mut self, close: Close);
    /// Ends the connection after what has not left yet and waits for that, for `wait` at most.
    fn finish(&mut self, wait: Duration);
}

/// The owner thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server has stopped")
    }
}

impl std::error::Error for Stopped {}

/// The one door into the owner thread.
#[derive(Clone)]
pub struct Handle {
    events: Sender<Event>,
    spent: Receiver<Requests>,
    last_client: Arc<AtomicU64>,
}

/// The owner thread's side of the door.
pub struct Queue {
    pub(crate) events: Receiver<Event>,
    spent: Sender<Requests>,
}

impl Handle {
    /// Queues `event`; blocks while the queue is full.
    pub fn send(&self, event: Event) -> Result<(), Stopped> {
        self.events.send(event).map_err(|_| Stopped)
    }

    /// Returns once everything sent before ran and its replies are released.
    pub fn sync(&self) -> Result<(), Stopped> {
        let (answer, answered) = bounded(1);
        self.send(Event::Sync(answer))?;
        answered.recv().map_err(|_| Stopped)
    }

    /// The memory of a batch that has run, to carry another one.
    #[must_use]
    pub fn spent(&self) -> Option<Requests> {
        self.spent.try_recv().ok()
    }

    /// An id for a new client: 1, 2, …
    #[must_use]
    pub fn next_client(&self) -> ClientId {
        ClientId(self.last_client.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Queue {
    /// Gives the memory of a batch that has run back to the workers; a big one to the allocator.
    fn give_back(&self, spent: Requests) {
        if spent.heap_bytes() <= SPENT_BYTES {
            // More than enough are waiting when this fails.
            let _ = self.spent.try_send(spent);
        }
    }
}

/// What a batch takes on its way, bytes, as [`alloc::pass`] is told: by the worker that sends it,
/// until it has run or waits with its client. What it has from the start lasts, as does the memory
/// that goes round.
#[must_use]
pub fn transit_bytes(batch: &Requests) -> usize {
    batch.heap_bytes().saturating_sub(NEW_BATCH_HEAP_BYTES)
}

/// A door and the queue behind it.
#[must_use]
pub fn channel() -> (Handle, Queue) {
    let (events, received) = bounded(EVENT_QUEUE);
    let (given_back, spent) = bounded(SPENT_BATCHES);
    for _ in 0..SPENT_BATCHES {
        // There is room for all of them, and the other end is here.
        let _ = given_back.try_send(Requests::with_capacity(NEW_BATCH_BYTES, NEW_BATCH_ARGUMENTS));
    }
    let handle = Handle { events, spent, last_client: Arc::new(AtomicU64::new(0)) };
    (handle, Queue { events: received, spent: given_back })
}

/// Starts the owner thread. `make` builds the server on it, since a server never changes threads,
/// around the clock it is given; the thread ends if there is none, so that nobody waits for it.
/// `links` makes its connections to other servers. The thread ends with the process's exit code.
pub fn spawn(
    links: fn(&Handle) -> Box<dyn Links>,
    make: impl FnOnce(&Handle, SystemClock) -> Option<Server> + Send + 'static,
) -> io::Result<(Handle, JoinHandle<i32>)> {
    let (handle, queue) = channel();
    let own = handle.clone();
    let run = move || {
        alloc::claim();
        os::schedule_owner();
        let clock = SystemClock::new();
        let Some(server) = make(&own, clock) else { return 1 };
        let links = links(&own);
        Owner::new(server, clock, own, links, queue).run()
    };
    let thread = Builder::new()
        .name("owner".to_owned())
        .stack_size(OWNER_STACK_BYTES)
        .spawn(move || crash::guard(run))?;
    Ok((handle, thread))
}
