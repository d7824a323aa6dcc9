//! Requests of one client that have arrived and not run, or run now.

use crate::resp::Requests;
use std::collections::VecDeque;

/// A client while its commands run. The memory they travel in, and the buffer they answer to, are
/// taken out of the session for that time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    /// Memory of the batch the commands came in, and of the buffer they answer to, bytes.
    pub heap_bytes: usize,
    /// Bytes the client sent as that batch.
    pub sent_bytes: usize,
    /// Room left in its buffer, bytes.
    pub free_bytes: usize,
    /// Bytes of arguments of the command that asks.
    pub arguments: usize,
    /// Bytes answered before it.
    pub answered: usize,
    /// Commands and memory of the transaction that EXEC runs.
    pub transaction: Option<(usize, usize)>,
}

impl Running {
    /// The commands of `batch` begin to run, and to answer into `answers`.
    #[must_use]
    pub fn begin(batch: &Requests, answers: &Vec<u8>) -> Running {
        let (sent_bytes, free_bytes) = batch.sent_and_free_bytes();
        let heap_bytes = batch.content_bytes() + answers.capacity();
        Running { heap_bytes, sent_bytes, free_bytes, ..Running::default() }
    }
}

/// Requests that wait behind a parked command, each batch with the next command in it. Their size
/// is known without a walk, for it is asked after every read of a parked client.
#[derive(Debug, Default)]
pub struct Pending {
    batches: VecDeque<(Requests, usize)>,
    bytes: usize,
}

impl Pending {
    /// Memory they lie in, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Adds what just arrived.
    pub fn push_back(&mut self, batch: Requests) {
        self.bytes += batch.heap_bytes();
        self.batches.push_back((batch, 0));
    }

    /// Puts a batch back whose commands before `next` have run.
    pub fn push_front(&mut self, batch: Requests, next: usize) {
        self.bytes += batch.heap_bytes();
        self.batches.push_front((batch, next));
    }

    /// Takes the oldest batch, and the next command in it.
    pub fn pop_front(&mut self) -> Option<(Requests, usize)> {
        let (batch, next) = self.batches.pop_front()?;
        self.bytes -= batch.heap_bytes();
        Some((batch, next))
    }
}
