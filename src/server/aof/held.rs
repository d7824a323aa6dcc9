//! Answers that wait until what they tell of is in the file, or on disk.
//!
//! [`HeldOutput`] is one client's, in its session; [`HeldReplies`] says who is next.

use crate::base::ClientId;
use std::collections::VecDeque;

/// Clients whose answers wait for their writes, oldest first. The answers themselves
/// are in the sessions.
#[derive(Debug, Default)]
pub struct HeldReplies {
    waiting: VecDeque<(u64, ClientId)>,
}

impl HeldReplies {
    /// Notes that `client` waits for `offset`, which is no smaller than any before.
    pub(in crate::server) fn push(&mut self, offset: u64, client: ClientId) {
        self.waiting.push_back((offset, client));
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What the next client waits for.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.waiting.front().map(|(end, _)| *end)
    }

    /// The next client whose wait ends at `offset` or before.
    pub(in crate::server) fn pop(&mut self, offset: u64) -> Option<ClientId> {
        self.waiting.pop_front_if(|(end, _)| *end <= offset).map(|(_, client)| client)
    }
}

/// Answers of one client that wait for the disk, each with the offset it waits for.
#[derive(Debug, Default)]
pub struct HeldOutput {
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// What need not wait any longer, and goes before everything else.
    released: Vec<u8>,
    bytes: usize,
}

impl HeldOutput {
    /// Whether there is nothing, held or just released.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.bytes == 0 && self.waiting.is_empty()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How much there is, held or just released.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// In how many pieces.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.waiting.len() + usize::from(!self.released.is_empty())
    }

    pub(in crate::server) fn push(&mut self, end: u64, output: &mut Vec<u8>) {
        self.bytes += output.len();
        self.waiting.push_back((end, std::mem::take(output)));
    }

    /// Answers to commands that changed nothing wait behind those that wait.
    pub(in crate::server) fn append(&mut self, output: &mut Vec<u8>) {
        self.bytes += output.len();
        if let Some((_, last)) = self.waiting.back_mut() {
            last.append(output);
        }
    }

    pub(in crate::server) fn release(&mut self, offset: u64) {
        while let Some((_, mut bytes)) = self.waiting.pop_front_if(|(end, _)| *end <= offset) {
            self.released.append(&mut bytes);
        }
    }

    /// Forgets what waits.
    pub(in crate::server) fn drop_waiting(&mut self) {
        self.waiting.clear();
        self.bytes = self.released.len();
    }

    pub(in crate::server) fn release_into(&mut self, take: impl FnOnce(&mut Vec<u8>)) {
        if !self.released.is_empty() {
            self.bytes -= self.released.len();
            take(&mut self.released);
        }
    }
}
