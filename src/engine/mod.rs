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
pub mod config_file;
pub mod crash;
mod gate;
mod loader;
#[cfg(test)]
mod loader_tests;
pub mod os;
pub mod owner;
#[cfg(test)]
mod owner_tests;
pub mod saver;
pub mod tasks;
#[cfg(test)]
pub(crate) mod testing;

use crate::persistence::{AofReport, LoadPiece, LoadResult, SaveProgress, SaveReport};
use crate::server::{MigrateJob, MigrateReport, RewriteReport, Server, Signal};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded, unbounded};

use crate::base::{ClientId, alloc};
use crate::clients::{Close, Connection};
use crate::resp::Requests;

pub use clock::SystemClock;
use gate::Gate;
pub use gate::{Milestone, Promise};
use owner::Owner;

/// Events that may wait for the owner before their senders block.
pub const EVENT_QUEUE: usize = 1024;
/// Batches that have run whose memory is kept for the workers: so many, or one for each client, as
/// all may send something at once; and the largest such batch, bytes.
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
    /// The configuration file was written anew, or not.
    ConfigRewritten(RewriteReport),
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
    gate: Arc<Gate>,
    spent: Receiver<Requests>,
    last_client: Arc<AtomicU64>,
}

/// The owner thread's side of the door.
pub struct Queue {
    events: Receiver<Event>,
    spent: Sender<Requests>,
    /// Behind the receiver, so that whoever waits for room finds the channel closed.
    gate: Door,
}

/// The owner's side of the gate: nobody waits when it is gone.
struct Door(Arc<Gate>);

impl Drop for Door {
    fn drop(&mut self) {
        self.0.open_for_good();
    }
}

impl Handle {
    /// Queues `event`; blocks while the queue is full.
    pub fn send(&self, event: Event) -> Result<(), Stopped> {
        let mut event = match self.events.try_send(event) {
            Err(TrySendError::Full(event)) => Some(event),
            sent => return sent.map_err(|_| Stopped),
        };
        self.gate.pass(|| match self.events.try_send(event.take()?) {
            Err(TrySendError::Full(back)) => {
                event = Some(back);
                None
            }
            sent => Some(sent.map_err(|_| Stopped)),
        })
    }

    /// Returns once everything sent before ran and its replies are released.
    /// `milestone` is the caller's own.
    pub fn sync(&self, milestone: &Milestone) -> Result<(), Stopped> {
        self.send(Event::Sync(milestone.promise()))?;
        milestone.wait()
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
    /// An event if one waits.
    pub fn try_receive(&self) -> Result<Event, TryRecvError> {
        self.events.try_recv().inspect(|_| self.gate.0.open())
    }

    /// Waits for an event, so long.
    pub fn receive_within(&self, patience: Duration) -> Result<Event, RecvTimeoutError> {
        self.events.recv_timeout(patience).inspect(|_| self.gate.0.open())
    }

    /// Waits for an event, within the limit of tests.
    #[cfg(test)]
    pub fn receive(&self) -> Event {
        self.receive_within(testing::LIMIT).expect("an event within the limit")
    }

    /// Gives the memory of a batch that has run back to the workers of so many clients. A big one
    /// goes to the allocator, as does one that they have enough of; in the place of one that is
    /// kept (`None`) or big they get another. What a worker had to add to one is replaced: a single
    /// block that lives on keeps the pages around it in the heap that the worker gave up.
    fn give_back(&self, spent: Option<Requests>, clients: usize) {
        if self.spent.len() < SPENT_BATCHES.max(clients) {
            let small = spent.filter(|spent| spent.heap_bytes() <= SPENT_BYTES);
            self.spend(small.map_or_else(new_batch, Requests::adopt));
        }
    }

    fn spend(&self, batch: Requests) {
        // Without workers it is dropped.
        let _ = self.spent.send(batch);
    }
}

/// No commands, but memory for some: what a new client brings along, as it and all others may send
/// something before the owner gives anything back.
#[must_use]
pub fn new_batch() -> Requests {
    Requests::with_capacity(NEW_BATCH_BYTES, NEW_BATCH_ARGUMENTS)
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
    // Bounded by whoever gives back.
    let (given_back, spent) = unbounded();
    let gate = Arc::new(Gate::default());
    let handle = Handle { events, gate: Arc::clone(&gate), spent, last_client: Arc::new(AtomicU64::new(0)) };
    let queue = Queue { events: received, spent: given_back, gate: Door(gate) };
    (0..SPENT_BATCHES).for_each(|_| queue.spend(new_batch()));
    (handle, queue)
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
