//! The queue of the owner thread: [`Handle`] is the door for everybody, [`Queue`] the owner's side.
//!
//! The memory of batches that have run goes back to the workers by another channel.

use super::event::Event;
use super::gate::{Gate, Milestone, Stopped};
#[cfg(test)]
use super::testing;
use crate::base::ClientId;
use crate::memory::Ledger;
use crate::resp::Requests;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded, unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Events that may wait for the owner before their senders block.
pub const EVENT_QUEUE: usize = 1024;
/// Batches that have run whose memory is kept for the workers: so many, or one for each client, as
/// all may send something at once; and the largest such batch, bytes.
const SPENT_BATCHES: usize = 128;
const SPENT_BYTES: usize = 6 * 1024;
/// The bytes that a batch has room for before it is used: a pipeline of 50 small commands. A worker
/// that has to enlarge it needs a heap and one more page of stack, some 10 KiB for each client.
const NEW_BATCH_BYTES: usize = 1024;
const NEW_BATCH_ARGUMENTS: usize = 64;
/// The memory of such a batch, as [`Requests::heap_bytes`] counts, bytes.
const NEW_BATCH_HEAP_BYTES: usize = NEW_BATCH_BYTES + 12 * NEW_BATCH_ARGUMENTS;
/// The one door into the owner thread.
#[derive(Clone)]
pub struct Handle {
    events: Sender<Event>,
    gate: Arc<Gate>,
    spent: Receiver<Requests>,
    last_client: Arc<AtomicU64>,
    ledger: &'static Ledger,
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

    /// Returns the memory in use by purpose, to be charged by threads that reach the owner here.
    #[must_use]
    pub fn ledger(&self) -> &'static Ledger {
        self.ledger
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
    /// kept (`None`) or big they get another. Memory that a worker had to add to one is replaced: a
    /// single block that lives on keeps the pages around it in the heap that the worker gave up.
    pub(super) fn give_back(&self, spent: Option<Requests>, clients: usize) {
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

/// The bytes that a batch takes on its way: they are charged by the worker that sends it, until it
/// has run or waits with its client. The memory it has from the start lasts, as does the memory
/// that goes round.
#[must_use]
pub fn transit_bytes(batch: &Requests) -> u64 {
    batch.heap_bytes().saturating_sub(NEW_BATCH_HEAP_BYTES) as u64
}

/// A door and the queue behind it.
#[must_use]
pub fn channel() -> (Handle, Queue) {
    let (events, received) = bounded(EVENT_QUEUE);
    // Bounded by whoever gives back.
    let (given_back, spent) = unbounded();
    let gate = Arc::new(Gate::default());
    let handle = Handle {
        events,
        gate: Arc::clone(&gate),
        spent,
        last_client: Arc::new(AtomicU64::new(0)),
        ledger: Ledger::open(),
    };
    let queue = Queue { events: received, spent: given_back, gate: Door(gate) };
    (0..SPENT_BATCHES).for_each(|_| queue.spend(new_batch()));
    (handle, queue)
}
