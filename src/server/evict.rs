//! `maxmemory`: room is made before a command that may use memory runs.
//!
//! What counts is what the allocator has handed out, less what is on its way to replicas and the
//! append-only file. While that is above the limit, keys are evicted as the policy says: the longest idle or
//! least used of samples that are kept from one choice to the next, chance, or the exact next to
//! expire. One command evicts for a bounded time (`maxmemory-eviction-tenacity`); the turns that
//! follow go on with it. Only when nothing can be evicted are commands refused.
//!
//! Every eviction is a unit of its own for whoever follows the changes.

use super::{Parts, Server, changed};
use crate::base::alloc;
use crate::config::{MaxmemoryPolicy, NotifyClasses};
use crate::keyspace::{Among, DbIndex, EvictionPool, Keyspace};
use crate::resp::OwnedArgv;

/// Evictions between two readings of the clock.
const KEYS_PER_LAP: u32 = 16;
/// Candidates of the pool that may be gone before it is filled anew.
const MAX_STALE: usize = 16;

/// What became of an attempt to get below the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room, or no limit.
    Enough,
    /// Not yet; eviction goes on in the next turns.
    Running,
    /// There is none, and nothing can be evicted.
    None,
}

/// The state of eviction.
#[derive(Debug, Default)]
pub struct Eviction {
    pool: EvictionPool,
    /// The database whose turn it is under a policy of chance.
    next_db: u16,
    /// Whether the next turns go on.
    pub is_running: bool,
    /// Since when memory has been over the limit, nanoseconds of the monotonic clock.
    over_since_ns: Option<u64>,
    /// How long memory was over the limit before that.
    over_ns: u64,
}

impl Eviction {
    /// How long memory has been over the limit now, and in all, milliseconds.
    #[must_use]
    pub fn exceeded_ms(&self, now_ns: u64) -> (u64, u64) {
        let current = self.over_since_ns.map_or(0, |since| now_ns.saturating_sub(since));
        (current / 1_000_000, (self.over_ns + current) / 1_000_000)
    }

    /// Forgets candidates that another policy has ranked.
    pub fn policy_changed(&mut self) {
        self.pool.clear();
    }

    fn note(&mut self, room: Room, now_ns: u64) {
        if room != Room::Enough {
            self.over_since_ns.get_or_insert(now_ns);
        } else if let Some(since) = self.over_since_ns.take() {
            self.over_ns += now_ns.saturating_sub(since);
        }
    }
}

impl Server {
    /// Goes on with an eviction that took longer than one command may wait for it.
    pub(super) fn continue_eviction(&mut self) {
        if self.parts.eviction.is_running {
            make_room(&mut self.keyspace, &mut self.parts);
        }
    }
}

/// Gets below `maxmemory` if that is possible in a short time. Costs one comparison without a limit.
#[inline]
pub(super) fn make_room(keyspace: &mut Keyspace, parts: &mut Parts) -> Room {
    if parts.config.maxmemory == 0 {
        return Room::Enough;
    }
    if bytes_over(parts) == 0 && parts.eviction.over_since_ns.is_none() {
        parts.eviction.is_running = false;
        return Room::Enough;
    }
    let home = keyspace.index();
    let room = evict_for_a_while(keyspace, parts);
    keyspace.select(home);
    parts.eviction.is_running = room == Room::Running;
    let now_ns = parts.clock.monotonic_ns();
    parts.eviction.note(room, now_ns);
    room
}

/// Bytes above the limit.
fn bytes_over(parts: &Parts) -> u64 {
    let counted = (alloc::used_bytes() as u64).saturating_sub(parts.uncounted_bytes());
    counted.saturating_sub(parts.config.maxmemory)
}

/// How long one command may evict, nanoseconds. Source: `maxmemory-eviction-tenacity`, 0 to 100.
fn time_limit_ns(tenacity: i64) -> u64 {
    match tenacity {
        ..=10 => 50_000 * tenacity.unsigned_abs(),
        11..=99 => (500_000.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

fn evict_for_a_while(keyspace: &mut Keyspace, parts: &mut Parts) -> Room {
    if parts.loading || bytes_over(parts) == 0 {
        return Room::Enough;
    }
    if parts.config.maxmemory_policy == MaxmemoryPolicy::Noeviction {
        return Room::None;
    }
    let begin_ns = parts.clock.monotonic_ns();
    let limit_ns = time_limit_ns(parts.config.maxmemory_eviction_tenacity);
    let mut evicted = 0u32;
    while bytes_over(parts) > 0 {
        let Some((db, key)) = choose(keyspace, parts) else {
            return Room::None;
        };
        evict(keyspace, parts, db, &key);
        evicted += 1;
        if evicted.is_multiple_of(KEYS_PER_LAP) && parts.clock.monotonic_ns() - begin_ns > limit_ns {
            return Room::Running;
        }
    }
    Room::Enough
}

/// The key that goes next; `None` if the policy leaves none.
fn choose(keyspace: &mut Keyspace, parts: &mut Parts) -> Option<(DbIndex, Vec<u8>)> {
    use MaxmemoryPolicy as Policy;
    match parts.config.maxmemory_policy {
        Policy::Noeviction => None,
        Policy::AllkeysLru | Policy::AllkeysLfu => choose_of_pool(keyspace, parts, Among::All),
        Policy::VolatileLru | Policy::VolatileLfu => choose_of_pool(keyspace, parts, Among::Volatile),
        Policy::AllkeysRandom => choose_by_chance(keyspace, parts, Among::All),
        Policy::VolatileRandom => choose_by_chance(keyspace, parts, Among::Volatile),
        Policy::VolatileTtl => {
            let next = keyspace.iter_mut().filter_map(|db| Some((db.next_to_expire()?, db.index())));
            next.min().map(|((_, key), db)| (db, key))
        }
    }
}

fn choose_of_pool(
    keyspace: &mut Keyspace,
    parts: &mut Parts,
    among: Among,
) -> Option<(DbIndex, Vec<u8>)> {
    let samples = usize::try_from(parts.config.maxmemory_samples).unwrap_or(1);
    let pool = &mut parts.eviction.pool;
    for _ in 0..MAX_STALE {
        keyspace.iter_mut().for_each(|db| db.sample_for_eviction(pool, samples, among));
        while let Some((index, key)) = pool.pop() {
            let db = keyspace.db(index)?;
            let deadline = db.deadline(&key);
            if deadline.is_some_and(|deadline| among == Among::All || deadline.is_some()) {
                return Some((index, key));
            }
        }
    }
    choose_by_chance(keyspace, parts, among)
}

fn choose_by_chance(
    keyspace: &mut Keyspace,
    parts: &mut Parts,
    among: Among,
) -> Option<(DbIndex, Vec<u8>)> {
    let databases = keyspace.databases() as u16;
    for _ in 0..databases {
        let index = DbIndex(parts.eviction.next_db % databases);
        parts.eviction.next_db = (index.0 + 1) % databases;
        if let Some(key) = keyspace.db(index).and_then(|db| db.random_candidate(among)) {
            return Some((index, key));
        }
    }
    None
}

/// Removes a key and tells whoever follows the changes.
fn evict(keyspace: &mut Keyspace, parts: &mut Parts, index: DbIndex, key: &[u8]) {
    keyspace.select(index);
    if !keyspace.remove(key) {
        // Its time had come before.
        changed::settle(keyspace, parts);
        end_unit(parts);
        return;
    }
    changed::settle(keyspace, parts);
    if parts.propagation.is_wanted() {
        let verb: &[u8] = if parts.config.lazyfree_lazy_eviction { b"UNLINK" } else { b"DEL" };
        parts.propagation.push(index, OwnedArgv::from_parts([verb, key]));
    }
    changed::key_touched(keyspace, parts, NotifyClasses::EVICTED, "evicted", key);
    parts.stats.evicted_keys += 1;
    if !parts.config.lazyfree_lazy_eviction {
        // It counts as freed only when it is.
        keyspace.facts.garbage.clear();
    }
    end_unit(parts);
}

fn end_unit(parts: &mut Parts) {
    if parts.propagation.is_wanted() {
        parts.propagation.keep_apart();
        parts.propagation.end_unit();
    }
}
