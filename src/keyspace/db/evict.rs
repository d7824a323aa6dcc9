//! The choice of keys to evict: candidates by chance, and the key that expires next.
//!
//! A database only proposes; which policy rules and when it is enough is decided by `server/`.

use super::Db;
use crate::base::time::UnixMillis;
use crate::ds::dict::EntryRef;
use crate::keyspace::db_index::DbIndex;
use crate::keyspace::entry::access_of;

/// Candidates kept from one choice to the next.
const POOL: usize = 16;

/// The keys that may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All of them.
    All,
    /// Those that have a deadline.
    Volatile,
}

/// The best candidates met so far, in all databases: the longest idle, or the least often used.
///
/// Samples alone would choose the best of a few; kept together, they come close to the best of
/// all after some rounds. Source: `maxmemory-samples`.
#[derive(Debug, Default)]
pub struct EvictionPool {
    /// By rank, the best last.
    candidates: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    /// The higher, the sooner it goes.
    rank: u64,
    db: DbIndex,
    key: Vec<u8>,
}

impl EvictionPool {
    /// Forgets everybody: the ranks of another policy mean something else.
    pub fn clear(&mut self) {
        self.candidates.clear();
    }

    /// Takes the best candidate, which may be gone by now.
    pub fn pop(&mut self) -> Option<(DbIndex, Vec<u8>)> {
        self.candidates.pop().map(|best| (best.db, best.key))
    }

    fn offer(&mut self, rank: u64, db: DbIndex, key: &[u8]) {
        let place = self.candidates.partition_point(|other| other.rank < rank);
        if self.candidates.len() == POOL && place == 0 {
            return;
        }
        if self.candidates.iter().any(|other| other.db == db && other.key == key) {
            return;
        }
        self.candidates.insert(place, Candidate { rank, db, key: key.to_vec() });
        if self.candidates.len() > POOL {
            self.candidates.remove(0);
        }
    }
}

impl Db {
    /// Offers `samples` keys to `pool`, ranked by how long they were idle or how rarely they were
    /// used.
    pub fn sample_for_eviction(&mut self, pool: &mut EvictionPool, samples: usize, among: Among) {
        let (index, access, random) = (self.index, self.access, &mut self.random);
        let mut below = |bound| random.below(bound);
        let offer = |entry: EntryRef<'_, _>| {
            let bits = access_of(entry.payload);
            let rank = if access.lfu {
                u64::from(u8::MAX) - u64::from(access.frequency(bits))
            } else {
                access.idle_ms(bits).unsigned_abs()
            };
            pool.offer(rank, index, entry.key);
        };
        match among {
            Among::All => self.dict.sample(samples, &mut below, offer),
            Among::Volatile => self.dict.sample_with_deadline(samples, &mut below, offer),
        }
    }

    /// A key chosen by chance.
    pub fn random_candidate(&mut self, among: Among) -> Option<Vec<u8>> {
        let random = &mut self.random;
        let mut below = |bound| random.below(bound);
        let mut key = None;
        let keep = |entry: EntryRef<'_, _>| key = Some(entry.key.to_vec());
        match among {
            Among::All => return self.dict.random(&mut below).map(|entry| entry.key.to_vec()),
            Among::Volatile => self.dict.sample_with_deadline(1, &mut below, keep),
        }
        key
    }

    /// The key that expires next, and when.
    pub fn next_to_expire(&mut self) -> Option<(UnixMillis, Vec<u8>)> {
        let entry = self.dict.earliest()?;
        entry.deadline.map(|deadline| (UnixMillis(deadline), entry.key.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DbIndex, EncodingLimits, Ttl};
    use super::*;
    use crate::base::time::MonotonicMillis;
    use crate::keyspace::AccessClock;

    fn db(keys: usize) -> Db {
        let mut db = Db::new(DbIndex(0), EncodingLimits::default(), 7);
        for index in 0..keys {
            db.set_string(format!("key:{index}").as_bytes(), b"value", Ttl::Clear);
        }
        db
    }

    #[test]
    fn the_longest_idle_of_many_samples_goes_first() {
        let mut db = db(1000);
        db.freeze(UnixMillis(3_600_000), MonotonicMillis(3_600_000));
        for index in (0..1000).filter(|index| index % 50 != 0) {
            db.touch(format!("key:{index}").as_bytes());
        }
        let mut pool = EvictionPool::default();
        for _ in 0..1000 {
            db.sample_for_eviction(&mut pool, 5, Among::All);
        }
        let old = std::iter::from_fn(|| pool.pop()).filter(|(_, key)| {
            let text = String::from_utf8_lossy(&key[4..]).parse::<usize>();
            text.is_ok_and(|number| number % 50 == 0)
        });
        assert_eq!(old.count(), POOL, "a pool full of the 20 idle ones");
    }

    #[test]
    fn the_least_often_used_goes_first_under_lfu() {
        let mut db = db(200);
        let mut clock = AccessClock::default();
        clock.lfu = true;
        db.set_access(clock);
        for index in 0..200 {
            let key = format!("key:{index}");
            db.set_string(key.as_bytes(), b"value", Ttl::Clear);
            db.set_access_of(key.as_bytes(), if index == 77 { 1 } else { 200 });
        }
        let mut pool = EvictionPool::default();
        for _ in 0..200 {
            db.sample_for_eviction(&mut pool, 5, Among::All);
        }
        assert_eq!(pool.pop(), Some((DbIndex(0), b"key:77".to_vec())));
    }

    #[test]
    fn keys_without_a_deadline_are_no_candidates_of_a_volatile_policy() {
        let mut db = db(5000);
        let mut pool = EvictionPool::default();
        db.sample_for_eviction(&mut pool, 5, Among::Volatile);
        assert_eq!((pool.pop(), db.random_candidate(Among::Volatile)), (None, None));
        for (key, deadline) in [("key:100", 9000), ("key:4000", 8000), ("key:77", 9500)] {
            db.set_deadline(key.as_bytes(), Some(UnixMillis(deadline)));
        }
        for _ in 0..50 {
            db.sample_for_eviction(&mut pool, 5, Among::Volatile);
            let random = db.random_candidate(Among::Volatile).expect("there are three");
            assert!(db.deadline(&random).flatten().is_some());
        }
        let found: Vec<_> = std::iter::from_fn(|| pool.pop()).collect();
        assert!(!found.is_empty() && found.iter().all(|(_, key)| db.deadline(key).flatten().is_some()));
        assert_eq!(db.next_to_expire(), Some((UnixMillis(8000), b"key:4000".to_vec())));
        db.set_deadline(b"key:4000", None);
        assert_eq!(db.next_to_expire(), Some((UnixMillis(9000), b"key:100".to_vec())));
    }

    #[test]
    fn when_memory_is_short_removals_give_it_back_at_once() {
        let left_after_a_third_went = |short| {
            let mut db = db(10_000);
            db.set_memory_is_short(short);
            let before = db.table_bytes();
            for index in (0..10_000).filter(|index| index % 3 == 0) {
                db.remove(format!("key:{index}").as_bytes());
            }
            db.table_bytes() as f64 / before as f64
        };
        assert!(left_after_a_third_went(true) < 0.85);
        assert!(left_after_a_third_went(false) > left_after_a_third_went(true));
    }
}
