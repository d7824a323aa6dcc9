//! Everybody who waits: [`WaitQueue`], in order of arrival.
//!
//! For each key it keeps the waiters apart for each type they want, so that serving one costs a
//! search and not a walk, and a thousand BLPOPs cost nothing when the key becomes a sorted set.
//! Ordered maps, not hashed ones: no order may depend on chance.

use super::wait::{Reason, Until, Wait, WakeOn};
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::keyspace::DbIndex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A waiter's place among all waiters, by arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// Before every waiter.
    pub const FIRST: Ticket = Ticket(0);
}

/// The clients that wait for one key.
#[derive(Debug, Default)]
struct KeyWaiters {
    queue: BTreeMap<(WakeOn, Ticket), ClientId>,
    /// True when the key stands in [`WaitQueue::ready`].
    is_ready: bool,
}

/// The clients that wait for each key, in order of arrival, and the keys that have become ready.
#[derive(Debug, Default)]
pub struct WaitQueue {
    by_db: BTreeMap<DbIndex, BTreeMap<Vec<u8>, KeyWaiters>>,
    ready: VecDeque<(DbIndex, Vec<u8>)>,
    by_reason: BTreeMap<(Reason, Ticket), ClientId>,
    /// The number of passwords of an address that wait.
    logins: BTreeMap<String, usize>,
    deadlines: BTreeSet<(MonotonicMillis, ClientId)>,
    last_ticket: Ticket,
    clients: usize,
    /// The key whose waiters are being served.
    serving: Option<Vec<u8>>,
    /// Clients that are no longer parked and have more requests to run, oldest first.
    released: VecDeque<ClientId>,
}

impl WaitQueue {
    /// The number of clients that wait for keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clients
    }

    /// True when nobody waits for a key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients == 0
    }

    /// The number of parked clients that have a deadline.
    #[must_use]
    pub fn deadlines_len(&self) -> usize {
        self.deadlines.len()
    }

    /// Adds a client behind all who wait for the same keys.
    pub fn park(&mut self, client: ClientId, wait: &mut Wait) {
        self.last_ticket.0 += 1;
        wait.ticket = self.last_ticket;
        self.clients += usize::from(wait.waits_for_keys());
        self.deadlines.extend(wait.deadline.map(|deadline| (deadline, client)));
        self.by_reason.extend(wait.until.reason().map(|reason| ((reason, wait.ticket), client)));
        if let Until::Login(login) = &wait.until {
            *self.logins.entry(login.host.clone()).or_default() += 1;
        }
        let (names, wake_on) = wait.keys();
        if names.is_empty() {
            return;
        }
        let keys = self.by_db.entry(wait.db).or_default();
        for key in names {
            let waiters = match keys.get_mut(key) {
                Some(waiters) => waiters,
                None => keys.entry(key.clone()).or_default(),
            };
            waiters.queue.insert((wake_on, wait.ticket), client);
        }
    }

    /// Forgets a client: it was served, its time is over, or it is gone.
    pub fn unpark(&mut self, client: ClientId, wait: &Wait) {
        self.clients -= usize::from(wait.waits_for_keys());
        if let Some(deadline) = wait.deadline {
            self.deadlines.remove(&(deadline, client));
        }
        if let Some(reason) = wait.until.reason() {
            self.by_reason.remove(&(reason, wait.ticket));
        }
        if let Until::Login(login) = &wait.until
            && let Some(count) = self.logins.get_mut(&login.host)
        {
            *count -= 1;
            if *count == 0 {
                self.logins.remove(&login.host);
            }
        }
        let Some(keys) = self.by_db.get_mut(&wait.db) else { return };
        let (names, wake_on) = wait.keys();
        for key in names {
            let Some(waiters) = keys.get_mut(key) else { continue };
            waiters.queue.remove(&(wake_on, wait.ticket));
            if waiters.queue.is_empty() {
                keys.remove(key);
            }
        }
        if keys.is_empty() {
            self.by_db.remove(&wait.db);
        }
    }

    /// True when somebody waits for this reason.
    #[inline]
    #[must_use]
    pub fn has_any(&self, reason: Reason) -> bool {
        !self.by_reason.is_empty() && self.of_reason(reason).next().is_some()
    }

    /// True when a password of this address waits.
    #[must_use]
    pub fn has_login_of(&self, host: &str) -> bool {
        self.logins.contains_key(host)
    }

    /// Returns the clients that wait for this reason, oldest first.
    pub fn of_reason(&self, reason: Reason) -> impl Iterator<Item = ClientId> {
        let tickets = (reason, Ticket::FIRST)..=(reason, Ticket(u64::MAX));
        self.by_reason.range(tickets).map(|(_, &client)| client)
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

    /// The number of keys that are ready.
    #[must_use]
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Forgets that keys became ready, but for the first `len`.
    pub fn forget_ready_after(&mut self, len: usize) {
        while self.ready.len() > len
            && let Some((db, key)) = self.ready.pop_back()
        {
            self.is_ready_no_more(db, &key);
        }
    }

    fn is_ready_no_more(&mut self, db: DbIndex, key: &[u8]) {
        if let Some(waiters) = self.by_db.get_mut(&db).and_then(|keys| keys.get_mut(key)) {
            waiters.is_ready = false;
        }
    }

    /// True when a key is ready.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The key that has been ready for longest; it may become ready again from now on.
    pub fn next_ready(&mut self) -> Option<(DbIndex, Vec<u8>)> {
        let (db, key) = self.ready.pop_front()?;
        self.is_ready_no_more(db, &key);
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

    /// Returns the moment at which the next waiter's time is over.
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
    use super::super::wait::{Then, TimeoutReply};
    use super::*;
    use crate::keyspace::Kind;

    const LIST: WakeOn = WakeOn::Kind(Kind::List);

    fn wait(keys: &[&str], deadline: Option<i64>, wake_on: WakeOn) -> Wait {
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        let wait = Wait::new(Until::Keys(keys, wake_on), Then::Begin, DbIndex(0));
        wait.or_at(deadline.map(MonotonicMillis), TimeoutReply::NullArray)
    }

    fn served(waiters: &WaitQueue, key: &str, wake_on: WakeOn) -> Vec<u64> {
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
        let mut waiters = WaitQueue::default();
        let mut one = wait(&["a", "b", "a"], Some(5), LIST);
        let mut two = wait(&["a"], Some(3), LIST);
        let mut three = wait(&["a"], None, WakeOn::AnyChange);
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
        let mut waiters = WaitQueue::default();
        let mut one = wait(&["a", "b"], None, LIST);
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

    #[test]
    fn those_of_one_reason_stand_in_order_of_arrival() {
        let mut waiters = WaitQueue::default();
        let mut waits = [Until::PauseEnds, Until::Readers(Vec::new()), Until::PauseEnds, Until::Completed]
            .map(|until| Wait::new(until, Then::Begin, DbIndex(0)));
        for (wait, client) in waits.iter_mut().zip([7, 3, 1, 2]) {
            waiters.park(ClientId(client), wait);
        }
        let of = |waiters: &WaitQueue, reason| waiters.of_reason(reason).map(|id| id.0).collect::<Vec<_>>();
        assert_eq!(of(&waiters, Reason::Pause), [7, 1]);
        assert_eq!(of(&waiters, Reason::Readers), [3]);
        assert!(!waiters.has_any(Reason::Parcel) && waiters.is_empty(), "nobody waits for keys");
        waiters.unpark(ClientId(7), &waits[0]);
        assert_eq!(of(&waiters, Reason::Pause), [1]);
    }
}
