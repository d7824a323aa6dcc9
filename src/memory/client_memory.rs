//! The memory that clients take together, while that is bounded: [`ClientMemory`].

use super::ledger::{Account, Charge, Ledger};
use crate::base::ClientId;

/// The sum of what clients cost, and who must be weighed again. Each session carries its own share
/// as a charge, which goes when the session does.
#[derive(Debug)]
pub struct ClientMemory {
    ledger: &'static Ledger,
    /// The limit by which clients were weighed last; 0 is none.
    followed: u64,
    moved: Vec<ClientId>,
}

impl ClientMemory {
    /// Nobody has been weighed.
    pub(super) fn new(ledger: &'static Ledger) -> Self {
        ClientMemory { ledger, followed: 0, moved: Vec::new() }
    }

    /// Returns the memory of all clients that have been weighed, bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.ledger.charged_bytes(Account::Clients)
    }

    /// The share of a client that costs `bytes`, for its session to keep.
    pub fn charge(&self, bytes: usize) -> Charge {
        self.ledger.charge(Account::Clients, bytes as u64)
    }

    /// The limit is this many bytes, or none if it is 0. Returns whether it was another one.
    #[must_use]
    pub fn follow(&mut self, limit: u64) -> bool {
        std::mem::replace(&mut self.followed, limit) != limit
    }

    /// These clients must be weighed again.
    pub fn have_moved(&mut self, clients: impl IntoIterator<Item = ClientId>) {
        self.moved.extend(clients);
    }

    /// Takes the clients that must be weighed again by the caller.
    #[must_use]
    pub fn take_moved(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.moved)
    }

    /// Nobody need be weighed again.
    pub fn forget_moved(&mut self) {
        self.moved.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_is_gone_takes_its_share_with_it() {
        let memory = ClientMemory::new(Ledger::open());
        let (one, mut other) = (memory.charge(500), memory.charge(30));
        assert_eq!(memory.total_bytes(), 530);
        drop(one);
        other.resize(40);
        assert_eq!(memory.total_bytes(), 40);
    }

    #[test]
    fn a_limit_is_news_once() {
        let mut memory = ClientMemory::new(Ledger::open());
        let news: Vec<_> = [0, 7, 7, 8, 0].map(|limit| memory.follow(limit)).into();
        assert_eq!(news, [false, true, false, true, true]);
    }
}
