//! The state of eviction: [`Eviction`].

use super::ledger::{Account, Charge, Ledger};
use crate::base::alloc;
use crate::base::time::MonotonicMillis;
use crate::keyspace::{DbIndex, EvictionPool, Keyspace};

/// The time for which at least evicted values count as held by the reader of an old state,
/// milliseconds.
const HELD_MS: i64 = 1000;

/// The result of the last attempt to get below the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// There is room, or no limit.
    #[default]
    Enough,
    /// Not yet; eviction goes on in the next turns.
    Running,
    /// There is none, and nothing can be evicted.
    None,
}

/// The state of eviction.
#[derive(Debug)]
pub struct Eviction {
    /// Reads the memory in use, bytes. A test gives another one.
    pub used_bytes: fn(&Keyspace) -> u64,
    /// The same for the owner's thread alone, from whatever start: what others do must not be
    /// mistaken for what a removal gives back. A test gives another one.
    pub own_bytes: fn(&Keyspace) -> i64,
    pool: EvictionPool,
    /// The database whose turn it is under a policy of chance.
    next_db: u16,
    /// Says if there is room for commands that use memory.
    pub room: Room,
    recently_evicted: RecentlyEvicted,
    /// The bytes that telling others of this turn's evictions takes until the turn's answers have
    /// left.
    told: Charge,
    /// The bytes by which this turn's answers have made their buffers grow.
    answers: Charge,
    /// The time since which memory has been over the limit, nanoseconds of the monotonic clock.
    over_since_ns: Option<u64>,
    /// The time for which memory was over the limit before that.
    over_ns: u64,
}

/// Evicted values that the reader of an old state may still hold. He passes it soon, so it counts
/// for one to two periods of [`HELD_MS`].
#[derive(Debug)]
struct RecentlyEvicted {
    this_period: Charge,
    last_period: Charge,
    ends: MonotonicMillis,
}

impl RecentlyEvicted {
    fn new(ledger: &'static Ledger) -> Self {
        let [this_period, last_period] = [0; 2].map(|bytes| ledger.charge(Account::HeldEvicted, bytes));
        RecentlyEvicted { this_period, last_period, ends: MonotonicMillis::default() }
    }

    /// Begins a new period if it is time.
    fn turn(&mut self, now: MonotonicMillis) {
        if now >= self.ends {
            let is_recent = now < self.ends.saturating_add_ms(HELD_MS);
            self.last_period = self.this_period.take();
            if !is_recent {
                self.last_period.resize(0);
            }
            self.ends = now.saturating_add_ms(HELD_MS);
        }
    }
}

impl Eviction {
    /// There is room. Memory that evictions leave behind is charged to `ledger`.
    pub(super) fn new(ledger: &'static Ledger) -> Self {
        Eviction {
            used_bytes: |_| alloc::used_bytes() as u64,
            own_bytes: |_| alloc::claimed_bytes(),
            pool: EvictionPool::default(),
            next_db: 0,
            room: Room::default(),
            recently_evicted: RecentlyEvicted::new(ledger),
            told: ledger.charge(Account::EvictionNotices, 0),
            answers: ledger.charge(Account::TurnAnswers, 0),
            over_since_ns: None,
            over_ns: 0,
        }
    }

    /// Returns the time that memory has been over the limit without a break, and the time in all,
    /// milliseconds.
    #[must_use]
    pub fn exceeded_ms(&self, now_ns: u64) -> (u64, u64) {
        let current = self.over_since_ns.map_or(0, |since| now_ns.saturating_sub(since));
        (current / 1_000_000, (self.over_ns + current) / 1_000_000)
    }

    /// Forgets candidates that another policy has ranked.
    pub fn policy_changed(&mut self) {
        self.pool.clear();
    }

    /// Forgets what was counted. Source: CONFIG RESETSTAT.
    pub fn reset_stats(&mut self) {
        (self.over_since_ns, self.over_ns) = (None, 0);
    }

    /// A turn begins: what the last one told has left.
    pub fn begin_turn(&mut self, now: MonotonicMillis) {
        self.told.resize(0);
        self.turn(now);
    }

    /// Answers take so much more until the end of the turn.
    pub fn answers_grew(&mut self, bytes: usize) {
        self.answers.grow(bytes as u64);
    }

    /// The turn's answers have left; what a socket did not take no longer passes.
    pub fn answers_left(&mut self) {
        self.answers.resize(0);
    }

    /// Time goes on for what was evicted and may still be held.
    pub fn turn(&mut self, now: MonotonicMillis) {
        self.recently_evicted.turn(now);
    }

    /// `bytes` were evicted, and the reader of an old state may still hold them.
    pub fn hold(&mut self, bytes: u64) {
        self.recently_evicted.this_period.grow(bytes);
    }

    /// Telling others of an eviction takes `bytes` until the turn's answers have left.
    pub fn tell(&mut self, bytes: u64) {
        self.told.grow(bytes);
    }

    /// The candidates that were sampled before.
    pub fn pool(&mut self) -> &mut EvictionPool {
        &mut self.pool
    }

    /// The database whose turn it is under a policy of chance, of so many.
    pub fn next_db(&mut self, databases: u16) -> DbIndex {
        let index = DbIndex(self.next_db % databases);
        self.next_db = (index.0 + 1) % databases;
        index
    }

    /// Notes the result of an attempt to get below the limit.
    pub fn note(&mut self, room: Room, now_ns: u64) {
        self.room = room;
        if room != Room::Enough {
            self.over_since_ns.get_or_insert(now_ns);
        } else if let Some(since) = self.over_since_ns.take() {
            self.over_ns += now_ns.saturating_sub(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_may_hold_counts_for_one_to_two_periods() {
        let ledger = Ledger::open();
        let bytes = || ledger.charged_bytes(Account::HeldEvicted);
        let mut recently_evicted = RecentlyEvicted::new(ledger);
        recently_evicted.turn(MonotonicMillis(10_000));
        recently_evicted.this_period.grow(7);
        recently_evicted.turn(MonotonicMillis(10_999));
        assert_eq!(bytes(), 7);
        recently_evicted.turn(MonotonicMillis(11_000));
        recently_evicted.this_period.grow(5);
        assert_eq!(bytes(), 12);
        recently_evicted.turn(MonotonicMillis(12_000));
        assert_eq!(bytes(), 5);
        recently_evicted.turn(MonotonicMillis(20_000));
        assert_eq!(bytes(), 0, "nobody asked for long");
    }
}
