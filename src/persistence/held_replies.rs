//! Answers that wait until what they tell of is in the file, or on disk.
//!
//! [`crate::clients::HeldOutput`] is one client's, in its session; [`HeldReplies`] says who is
//! next.

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
    pub fn push(&mut self, offset: u64, client: ClientId) {
        self.waiting.push_back((offset, client));
    }

    /// True when nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns the offset that the next client waits for.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.waiting.front().map(|(end, _)| *end)
    }

    /// The next client whose wait ends at `offset` or before.
    pub fn pop(&mut self, offset: u64) -> Option<ClientId> {
        self.waiting.pop_front_if(|(end, _)| *end <= offset).map(|(_, client)| client)
    }
}
