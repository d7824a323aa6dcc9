//! Parked commands: what a client waits for, until when, and who is served first.
//!
//! A handler that cannot answer yet calls [`Ctx::block`](super::Ctx::block). The client is parked
//! with its command; when [`Ctx::changed`](super::Ctx::changed) reports one of its keys, the
//! server runs the parked command again, oldest waiter first, and a command that still cannot be
//! served keeps its place. [`Waiters`] only knows keys and clients.

use super::session::ClientId;
use crate::base::time::UnixMillis;
use crate::keyspace::DbIndex;
use crate::resp::OwnedArgv;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// What a client is parked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockOn {
    /// One of these keys of its database becoming what the command needs.
    Keys(Vec<Vec<u8>>),
    /// A task outside the owner: a save, a reload, a pause. The server completes it.
    Task,
}

/// What a timeout answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReply {
    /// A null array: BLPOP and the like.
    NullArray,
    /// A null: BLMOVE.
    Null,
    /// An integer: WAIT.
    Integer(i64),
}

/// A command that waits.
#[derive(Clone, Debug)]
pub struct Parked {
    /// What for.
    pub on: BlockOn,
    /// Until when; `None` is for ever.
    pub deadline: Option<UnixMillis>,
    /// What the client gets when the time is over.
    pub timeout_reply: TimeoutReply,
    /// The command, to run it again.
    pub argv: OwnedArgv,
    /// The database its keys are in.
    pub db: DbIndex,
}

/// A key of a database.
type KeyOfDb = (DbIndex, Vec<u8>);

/// Who waits for which key, in order of arrival; and which keys have become ready.
#[derive(Debug, Default)]
pub struct Waiters {
    by_key: HashMap<KeyOfDb, VecDeque<ClientId>>,
    ready: VecDeque<KeyOfDb>,
    deadlines: BTreeSet<(UnixMillis, ClientId)>,
    clients: usize,
}

impl Waiters {
    /// How many clients are parked.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients
    }

    /// Whether nobody is parked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients == 0
    }

    /// How many of them wait for a limited time.
    #[must_use]
    pub fn deadlines_len(&self) -> usize {
        self.deadlines.len()
    }

    /// Adds a client behind all who wait for the same keys.
    pub(super) fn park(&mut self, client: ClientId, parked: &Parked) {
        self.clients += 1;
        if let BlockOn::Keys(keys) = &parked.on {
            for key in keys {
                let queue = self.by_key.entry((parked.db, key.clone())).or_default();
                if queue.back() != Some(&client) {
                    queue.push_back(client);
                }
            }
        }
        self.deadlines.extend(parked.deadline.map(|deadline| (deadline, client)));
    }

    /// Forgets a client: it was served, its time is over, or it is gone.
    pub(super) fn unpark(&mut self, client: ClientId, parked: &Parked) {
        self.clients -= 1;
        if let BlockOn::Keys(keys) = &parked.on {
            for key in keys {
                let place = (parked.db, key.clone());
                if let Some(queue) = self.by_key.get_mut(&place) {
                    queue.retain(|&waiter| waiter != client);
                    if queue.is_empty() {
                        self.by_key.remove(&place);
                    }
                }
            }
        }
        if let Some(deadline) = parked.deadline {
            self.deadlines.remove(&(deadline, client));
        }
    }

    /// Marks `key` as changed; nothing happens when nobody waits for it.
    pub(super) fn signal(&mut self, db: DbIndex, key: &[u8]) {
        if self.by_key.is_empty() {
            return;
        }
        let place = (db, key.to_vec());
        if self.by_key.contains_key(&place) && !self.ready.contains(&place) {
            self.ready.push_back(place);
        }
    }

    /// Marks every key of `db` that somebody waits for: after SWAPDB.
    pub(super) fn signal_all(&mut self, db: DbIndex) {
        let keys: Vec<KeyOfDb> = self.by_key.keys().filter(|place| place.0 == db).cloned().collect();
        for (db, key) in keys {
            self.signal(db, &key);
        }
    }

    /// The oldest key that became ready and those who wait for it, oldest first.
    pub(super) fn next_ready(&mut self) -> Option<(KeyOfDb, Vec<ClientId>)> {
        let place = self.ready.pop_front()?;
        let clients =
            self.by_key.get(&place).map(|queue| queue.iter().copied().collect()).unwrap_or_default();
        Some((place, clients))
    }

    /// When the next waiter's time is over.
    #[must_use]
    pub(super) fn next_deadline(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// A client whose time is over at `now`.
    pub(super) fn timed_out(&self, now: UnixMillis) -> Option<ClientId> {
        self.deadlines.first().filter(|&&(deadline, _)| deadline <= now).map(|&(_, client)| client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(keys: &[&str], deadline: Option<i64>) -> Parked {
        Parked {
            on: BlockOn::Keys(keys.iter().map(|key| key.as_bytes().to_vec()).collect()),
            deadline: deadline.map(UnixMillis),
            timeout_reply: TimeoutReply::NullArray,
            argv: OwnedArgv::default(),
            db: DbIndex(0),
        }
    }

    #[test]
    fn waiters_are_listed_oldest_first_and_only_while_parked() {
        let mut waiters = Waiters::default();
        let (one, two) = (parked(&["a", "b", "a"], Some(5)), parked(&["a"], Some(3)));
        waiters.park(ClientId(1), &one);
        waiters.park(ClientId(2), &two);
        assert_eq!(waiters.timed_out(UnixMillis(4)), Some(ClientId(2)));
        waiters.signal(DbIndex(1), b"a");
        assert!(waiters.next_ready().is_none(), "another database");
        waiters.signal(DbIndex(0), b"a");
        waiters.signal(DbIndex(0), b"a");
        assert_eq!(waiters.next_ready().expect("ready").1, [ClientId(1), ClientId(2)]);
        assert!(waiters.next_ready().is_none(), "marked once");
        waiters.unpark(ClientId(1), &one);
        waiters.unpark(ClientId(2), &two);
        assert!(waiters.is_empty() && waiters.by_key.is_empty() && waiters.next_deadline().is_none());
    }
}
