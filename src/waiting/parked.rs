//! Parked commands: what a client waits for, until when, and who is served first.
//!
//! A handler that cannot answer yet calls
//! [`Ctx::block_on_keys`](crate::server::ctx::Ctx::block_on_keys). The client is parked with its
//! command. When [`Ctx::changed`](crate::server::ctx::Ctx::changed) reports one of its keys, the
//! key becomes *ready*; after the unit the server takes the ready keys in the order they became so,
//! and runs for each the parked commands that wait for a value of its type, oldest first, until the
//! key is gone. A command that still cannot be served keeps its place. A retried command looks at
//! the ready key alone ([`Ctx::may_serve`](crate::server::ctx::Ctx::may_serve)).
//!
//! [`Waiters`] only knows keys and clients. For each key it keeps the waiters in order of arrival,
//! apart for each type they want, so that serving one costs a search and not a walk, and a thousand
//! BLPOPs cost nothing when the key becomes a sorted set. Ordered maps, not hashed ones: no order
//! may depend on chance.

use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::keyspace::DbIndex;
use crate::keyspace::Kind;
use crate::resp::OwnedArgv;
use crate::spec::Group;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What a client is parked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockOn {
    /// One of these keys of its database becoming what the command needs.
    Keys(Vec<Vec<u8>>),
    /// A task outside the owner: a save, a reload. The server completes it.
    Task,
    /// The end of a pause; the command has not begun. The number is its place among those held
    /// back.
    Pause(u64),
    /// A snapshot having passed the string that the command, which has not begun, is to change.
    Walk,
}

/// Which change of a key wakes a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WakeOn {
    /// It holds a value of this type.
    Kind(Kind),
    /// Any, also that it is gone.
    AnyChange,
}

impl WakeOn {
    /// What a waiting command of `group` needs: lists and sorted sets are popped, everything else
    /// looks for itself.
    #[must_use]
    pub fn of(group: Group) -> Self {
        match group {
            Group::List => WakeOn::Kind(Kind::List),
            Group::SortedSet => WakeOn::Kind(Kind::SortedSet),
            _ => WakeOn::AnyChange,
        }
    }
}

/// What is answered when nothing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReply {
    /// A null array: BLPOP and the like.
    NullArray,
    /// A null where nothing may wait: BLMOVE. Redis: when its time is over it gets a null array
    /// too.
    Null,
    /// An error that was to come late: AUTH.
    Error(&'static str),
    /// An integer: WAIT.
    Integer(i64),
    /// [`Parked::answer`]: EXEC with a wrong password among its commands.
    Kept,
}

/// A waiter's place among all waiters, by arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// Before every waiter.
    pub const FIRST: Ticket = Ticket(0);
}

/// A command that waits.
#[derive(Clone, Debug)]
pub struct Parked {
    /// What for.
    pub on: BlockOn,
    /// Which change of the keys wakes it.
    pub wake_on: WakeOn,
    /// Until when; `None` is for ever.
    pub deadline: Option<MonotonicMillis>,
    /// What the client gets when the time is over.
    pub timeout_reply: TimeoutReply,
    /// What was answered already and comes late.
    pub answer: Vec<u8>,
    /// The command, to run it again.
    pub argv: OwnedArgv,
    /// The database its keys are in.
    pub db: DbIndex,
    /// Its place; given by [`Waiters`].
    pub ticket: Ticket,
}

impl Parked {
    /// A command to be parked.
    #[must_use]
    pub fn new(on: BlockOn, wake_on: WakeOn, argv: OwnedArgv, db: DbIndex) -> Self {
        Parked {
            on,
            wake_on,
            deadline: None,
            timeout_reply: TimeoutReply::NullArray,
            answer: Vec::new(),
            argv,
            db,
            ticket: Ticket::FIRST,
        }
    }

    /// Whether other commands can wake it.
    #[must_use]
    pub fn waits_for_keys(&self) -> bool {
        matches!(self.on, BlockOn::Keys(_))
    }

    /// Whether the command has not begun, and comes to its turn when a pause is over or a snapshot
    /// has passed.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        matches!(self.on, BlockOn::Pause(_) | BlockOn::Walk)
    }

    /// Whether the command is done and only its answer comes late.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        matches!(self.timeout_reply, TimeoutReply::Error(_) | TimeoutReply::Kept)
    }

    fn keys(&self) -> &[Vec<u8>] {
        match &self.on {
            BlockOn::Keys(keys) => keys,
            BlockOn::Task | BlockOn::Pause(_) | BlockOn::Walk => &[],
        }
    }
}

/// Who waits for one key.
#[derive(Debug, Default)]
struct KeyWaiters {
    queue: BTreeMap<(WakeOn, Ticket), ClientId>,
    /// Whether the key stands in [`Waiters::ready`].
    is_ready: bool,
}

/// Who waits for which key, in order of arrival; and which keys have become ready.
#[derive(Debug, Default)]
pub struct Waiters {
    by_db: BTreeMap<DbIndex, BTreeMap<Vec<u8>, KeyWaiters>>,
    ready: VecDeque<(DbIndex, Vec<u8>)>,
    deadlines: BTreeSet<(MonotonicMillis, ClientId)>,
    last_ticket: Ticket,
    clients: usize,
    /// The key whose waiters are being served.
    serving: Option<Vec<u8>>,
    /// Clients that are no longer parked and have more requests to run, oldest first.
    released: VecDeque<ClientId>,
}

impl Waiters {
    /// How many clients wait for keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients
    }

    /// Whether nobody waits for a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients == 0
    }

    /// How many of the parked clients have a deadline.
    #[must_use]
    pub fn deadlines_len(&self) -> usize {
        self.deadlines.len()
    }

    /// Adds a client behind all who wait for the same keys.
    pub fn park(&mut self, client: ClientId, parked: &mut Parked) {
        self.last_ticket.0 += 1;
        parked.ticket = self.last_ticket;
        self.clients += usize::from(parked.waits_for_keys());
        self.deadlines.extend(parked.deadline.map(|deadline| (deadline, client)));
        if parked.keys().is_empty() {
            return;
        }
        let keys = self.by_db.entry(parked.db).or_default();
        for key in parked.keys() {
            let waiters = match keys.get_mut(key) {
                Some(waiters) => waiters,
                None => keys.entry(key.clone()).or_default(),
            };
            waiters.queue.insert((parked.wake_on, parked.ticket), client);
        }
    }

    /// Forgets a client: it was served, its time is over, or it is gone.
    pub fn unpark(&mut self, client: ClientId, parked: &Parked) {
        self.clients -= usize::from(parked.waits_for_keys());
        if let Some(deadline) = parked.deadline {
            self.deadlines.remove(&(deadline, client));
        }
        let Some(keys) = self.by_db.get_mut(&parked.db) else { return };
        for key in parked.keys() {
            let Some(waiters) = keys.get_mut(key) else { continue };
            waiters.queue.remove(&(parked.wake_on, parked.ticket));
            if waiters.queue.is_empty() {
                keys.remove(key);
            }
        }
        if keys.is_empty() {
            self.by_db.remove(&parked.db);
        }
    }

    /// Marks `key` as changed; nothing happens when nobody waits for it.
    pub fn signal(&mut self, db: DbIndex, key: &[u8]) {
        if self.by_db.is_empty() {
            return;
        }
        if let Some(waiters) = self.by_db.get_mut(&db).and_then(|keys| keys.get_mut(key))
            && !waiters.is_ready
        {
            waiters.is_ready = true;
            self.ready.push_back((db, key.to_vec()));
        }
    }

    /// Marks every key of `db` that somebody waits for: after SWAPDB.
    pub fn signal_all(&mut self, db: DbIndex) {
        for (key, waiters) in self.by_db.get_mut(&db).into_iter().flatten() {
            if !waiters.is_ready {
                waiters.is_ready = true;
                self.ready.push_back((db, key.clone()));
            }
        }
    }

    /// Whether a key is ready.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The key that has been ready for longest; it may become ready again from now on.
    pub fn next_ready(&mut self) -> Option<(DbIndex, Vec<u8>)> {
        let (db, key) = self.ready.pop_front()?;
        if let Some(waiters) = self.by_db.get_mut(&db).and_then(|keys| keys.get_mut(&key)) {
            waiters.is_ready = false;
        }
        Some((db, key))
    }

    /// The oldest waiter behind `after` that waits for `key` in this way.
    pub fn next_waiter(
        &self,
        db: DbIndex,
        key: &[u8],
        wake_on: WakeOn,
        after: Ticket,
    ) -> Option<(Ticket, ClientId)> {
        let queue = &self.by_db.get(&db)?.get(key)?.queue;
        let next = queue.range((wake_on, Ticket(after.0 + 1))..=(wake_on, Ticket(u64::MAX))).next();
        next.map(|(&(_, ticket), &client)| (ticket, client))
    }

    /// Says which key's waiters are run again from now on.
    pub fn serve(&mut self, key: Option<Vec<u8>>) {
        self.serving = key;
    }

    /// The key whose waiters are run again.
    #[must_use]
    pub fn serving(&self) -> Option<&[u8]> {
        self.serving.as_deref()
    }

    /// Notes a client whose further requests can run.
    pub fn release(&mut self, client: ClientId) {
        self.released.push_back(client);
    }

    /// The next client whose further requests can run.
    pub fn next_released(&mut self) -> Option<ClientId> {
        self.released.pop_front()
    }

    /// When the next waiter's time is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<MonotonicMillis> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// A client whose time is over at `now`.
    pub fn timed_out(&self, now: MonotonicMillis) -> Option<ClientId> {
        self.deadlines.first().filter(|&&(deadline, _)| deadline <= now).map(|&(_, client)| client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: WakeOn = WakeOn::Kind(Kind::List);

    fn parked(keys: &[&str], deadline: Option<i64>, wake_on: WakeOn) -> Parked {
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        let mut parked = Parked::new(BlockOn::Keys(keys), wake_on, OwnedArgv::default(), DbIndex(0));
        parked.deadline = deadline.map(MonotonicMillis);
        parked
    }

    fn served(waiters: &Waiters, key: &str, wake_on: WakeOn) -> Vec<u64> {
        let mut after = Ticket::FIRST;
        std::iter::from_fn(|| {
            let (ticket, client) = waiters.next_waiter(DbIndex(0), key.as_bytes(), wake_on, after)?;
            after = ticket;
            Some(client.0)
        })
        .collect()
    }

    #[test]
    fn waiters_are_served_oldest_first_and_only_while_parked() {
        let mut waiters = Waiters::default();
        let mut one = parked(&["a", "b", "a"], Some(5), LIST);
        let mut two = parked(&["a"], Some(3), LIST);
        let mut three = parked(&["a"], None, WakeOn::AnyChange);
        waiters.park(ClientId(9), &mut one);
        waiters.park(ClientId(2), &mut two);
        waiters.park(ClientId(3), &mut three);
        assert_eq!((waiters.len(), waiters.deadlines_len()), (3, 2));
        assert_eq!(waiters.timed_out(MonotonicMillis(2)), None);
        assert_eq!(waiters.timed_out(MonotonicMillis(4)), Some(ClientId(2)));
        assert_eq!(served(&waiters, "a", LIST), [9, 2], "a key named twice counts once");
        assert_eq!(served(&waiters, "a", WakeOn::AnyChange), [3]);
        assert_eq!(served(&waiters, "a", WakeOn::Kind(Kind::SortedSet)), [0; 0]);
        waiters.unpark(ClientId(9), &one);
        assert_eq!(served(&waiters, "a", LIST), [2]);
        waiters.unpark(ClientId(2), &two);
        waiters.unpark(ClientId(3), &three);
        assert!(waiters.is_empty() && waiters.by_db.is_empty() && waiters.next_deadline().is_none());
    }

    #[test]
    fn keys_become_ready_once_and_in_order() {
        let mut waiters = Waiters::default();
        let mut one = parked(&["a", "b"], None, LIST);
        waiters.park(ClientId(1), &mut one);
        for (db, key) in [(1, "a"), (0, "b"), (0, "a"), (0, "b"), (0, "c")] {
            waiters.signal(DbIndex(db), key.as_bytes());
        }
        assert!(waiters.has_ready());
        assert_eq!(waiters.next_ready(), Some((DbIndex(0), b"b".to_vec())));
        waiters.signal(DbIndex(0), b"b");
        assert_eq!(waiters.next_ready(), Some((DbIndex(0), b"a".to_vec())));
        assert_eq!(waiters.next_ready(), Some((DbIndex(0), b"b".to_vec())), "ready again");
        assert_eq!(waiters.next_ready(), None);
        waiters.signal_all(DbIndex(1));
        assert!(!waiters.has_ready(), "nobody waits in that database");
        waiters.signal_all(DbIndex(0));
        assert_eq!(waiters.next_ready(), Some((DbIndex(0), b"a".to_vec())));
    }
}
