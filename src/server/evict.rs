//! `maxmemory`: room is made before a command that may use memory runs.
//!
//! The memory that counts is what the allocator has handed out, less the accounts of the ledger
//! that say they do not count ([`crate::memory::Account`]). The arguments of a big command count
//! when it is about to run, for they are going to stay. While that is above the limit, keys are
//! evicted as the policy says: the longest idle or least used of samples that are kept from one
//! choice to the next, chance, or the exact next to expire. One command evicts for a bounded time
//! (`maxmemory-eviction-tenacity`); the turns that follow go on with it. Only when nothing can be
//! evicted are commands refused.
//!
//! Memory that another thread is freeing counts as free already. While somebody reads an old state
//! of the data (a saver, a rewrite of the append-only file), writers copy what is on its way to
//! him, and what is removed stays allocated until he has passed it. If these counted, keys would be
//! evicted in vain, and more of them the more are evicted.
//!
//! Every eviction is a unit of its own for whoever follows the changes.

use super::machine::Server;
use super::{Rooms, changed, lazyfree};
use crate::base::alloc;
use crate::config::{MaxmemoryPolicy, NotifyClasses};
use crate::keyspace::{Among, DbIndex, Keyspace};
use crate::memory::Room;
use crate::resp::OwnedArgv;

/// Evictions between two readings of the clock.
const KEYS_PER_LAP: u32 = 16;
/// Arguments smaller than this pass, bytes.
const BIG_ARGUMENTS_BYTES: usize = 16 << 10;
/// Candidates of the pool that may be gone before it is filled anew.
const MAX_STALE: usize = 16;

impl Server {
    /// Goes on with an eviction that took longer than one command may wait for it.
    pub(super) fn continue_eviction(&mut self) {
        if self.rooms.memory.eviction.room == Room::Running {
            make_room(&mut self.keyspace, &mut self.rooms, 0);
            self.serve_ready();
        }
    }
}

/// Gets below `maxmemory` if that is possible in a short time, for a command with `arguments` bytes
/// of arguments, and leaves the result in [`crate::memory::Eviction::room`]. Costs one comparison
/// without a limit.
#[inline]
pub(super) fn make_room(keyspace: &mut Keyspace, rooms: &mut Rooms, arguments: usize) {
    if rooms.config.maxmemory != 0 || rooms.memory.eviction.room != Room::Enough {
        let staying = if arguments < BIG_ARGUMENTS_BYTES { 0 } else { arguments as u64 };
        enforce_limit(keyspace, rooms, staying);
    }
}

fn enforce_limit(keyspace: &mut Keyspace, rooms: &mut Rooms, staying: u64) {
    // A client that may stop the running script takes no part in it.
    if rooms.held.is_some() {
        return;
    }
    rooms.memory.eviction.turn(rooms.time.monotonic);
    let room = if is_held_off(rooms) || bytes_over(keyspace, rooms, staying) == 0 {
        Room::Enough
    } else {
        // Redis: clients over their own limit go before keys do.
        rooms.limit_client_memory();
        let home = keyspace.index();
        let room = evict_for_a_while(keyspace, rooms, staying);
        keyspace.select(home);
        room
    };
    if room != Room::Enough || rooms.memory.eviction.room != Room::Enough {
        let now_ns = rooms.time.clock.monotonic_ns();
        rooms.memory.eviction.note(room, now_ns);
    }
}

/// True when nothing may be evicted now.
fn is_held_off(rooms: &Rooms) -> bool {
    rooms.persistence.loading || rooms.waiting.pauses.is_paused()
}

impl Rooms {
    /// Begins to evict if the limit is lower now than what is in use.
    pub fn maxmemory_changed(&mut self) {
        let (used, limit) = (alloc::used_bytes() as u64, self.config.maxmemory);
        if limit != 0 && used > limit {
            log::warn!(
                "WARNING: the new maxmemory value set via CONFIG SET ({limit}) is smaller than the current memory \
                 usage ({used}). This will result in key eviction and/or the inability to accept new write commands \
                 depending on the maxmemory-policy."
            );
        }
        self.memory.eviction.room = Room::Running;
    }
}

/// Bytes above the limit when `staying` more are added.
fn bytes_over(keyspace: &Keyspace, rooms: &Rooms, staying: u64) -> u64 {
    if rooms.config.maxmemory == 0 {
        return 0;
    }
    let used = (rooms.memory.eviction.used_bytes)(keyspace) + staying;
    if used <= rooms.config.maxmemory {
        return 0;
    }
    let counted = used.saturating_sub(rooms.balance(keyspace).uncounted_bytes());
    counted.saturating_sub(rooms.config.maxmemory)
}

/// The time for which one command may evict, nanoseconds. Source: `maxmemory-eviction-tenacity`, 0
/// to 100.
fn time_limit_ns(tenacity: i64) -> u64 {
    match tenacity {
        ..=10 => 50_000 * tenacity.unsigned_abs(),
        11..=99 => (500_000.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

fn evict_for_a_while(keyspace: &mut Keyspace, rooms: &mut Rooms, staying: u64) -> Room {
    if rooms.config.maxmemory_policy == MaxmemoryPolicy::Noeviction {
        return Room::None;
    }
    // The keys removed before this command may be enough.
    lazyfree::hand_over(keyspace, rooms);
    let begin_ns = rooms.set_apart();
    let limit_ns = time_limit_ns(rooms.config.maxmemory_eviction_tenacity);
    // Redis: how much is to be freed is decided once, and only what a removal frees counts. The
    // memory for telling others of it (invalidations, notifications) must not lead to more
    // evictions.
    let wanted = bytes_over(keyspace, rooms, staying);
    let (mut evicted, mut freed) = (0u32, 0);
    let room = loop {
        if freed >= wanted {
            break Room::Enough;
        }
        let Some((db, key)) = choose(keyspace, rooms) else {
            // Redis: what is being freed meanwhile is waited for.
            break if rooms.memory.ledger.lazyfree_objects() > 0 { Room::Running } else { Room::None };
        };
        freed += evict(keyspace, rooms, db, &key);
        evicted += 1;
        if evicted.is_multiple_of(KEYS_PER_LAP) && rooms.time.clock.monotonic_ns() - begin_ns > limit_ns {
            break Room::Running;
        }
    };
    let ns = rooms.lap_ns();
    rooms.watch_latency("eviction-cycle", ns);
    room
}

/// The key that goes next; `None` if the policy leaves none.
fn choose(keyspace: &mut Keyspace, rooms: &mut Rooms) -> Option<(DbIndex, Vec<u8>)> {
    use MaxmemoryPolicy as Policy;
    match rooms.config.maxmemory_policy {
        Policy::Noeviction => None,
        Policy::AllkeysLru | Policy::AllkeysLfu => choose_of_pool(keyspace, rooms, Among::All),
        Policy::VolatileLru | Policy::VolatileLfu => choose_of_pool(keyspace, rooms, Among::Volatile),
        Policy::AllkeysRandom => choose_by_chance(keyspace, rooms, Among::All),
        Policy::VolatileRandom => choose_by_chance(keyspace, rooms, Among::Volatile),
        Policy::VolatileTtl => {
            let next = keyspace.iter_mut().filter_map(|db| Some((db.next_to_expire()?, db.index())));
            next.min().map(|((_, key), db)| (db, key))
        }
    }
}

fn choose_of_pool(keyspace: &mut Keyspace, rooms: &mut Rooms, among: Among) -> Option<(DbIndex, Vec<u8>)> {
    let samples = rooms.config.maxmemory_samples;
    let pool = rooms.memory.eviction.pool();
    for _ in 0..MAX_STALE {
        keyspace.iter_mut().for_each(|db| db.sample_for_eviction(pool, samples, among));
        while let Some((index, key)) = pool.pop() {
            let db = keyspace.at(index)?;
            let deadline = db.deadline(&key);
            if deadline.is_some_and(|deadline| among == Among::All || deadline.is_some()) {
                return Some((index, key));
            }
        }
    }
    choose_by_chance(keyspace, rooms, among)
}

fn choose_by_chance(keyspace: &mut Keyspace, rooms: &mut Rooms, among: Among) -> Option<(DbIndex, Vec<u8>)> {
    let databases = keyspace.databases() as u16;
    for _ in 0..databases {
        let index = rooms.memory.eviction.next_db(databases);
        if let Some(key) = keyspace.at(index).and_then(|db| db.random_candidate(among)) {
            return Some((index, key));
        }
    }
    None
}

/// Removes a key and tells whoever follows the changes. Returns how many bytes that frees, now or
/// soon.
fn evict(keyspace: &mut Keyspace, rooms: &mut Rooms, index: DbIndex, key: &[u8]) -> u64 {
    keyspace.select(index);
    let usage = keyspace.walk().is_some().then(|| keyspace.usage(key)).flatten();
    let before = (rooms.memory.eviction.own_bytes)(keyspace);
    let begin_ns = rooms.begin_watch();
    let removed = keyspace.remove(key);
    rooms.end_watch("eviction-del", begin_ns);
    let mut freed = u64::try_from(before - (rooms.memory.eviction.own_bytes)(keyspace)).unwrap_or(0);
    freed += keyspace.findings.garbage.iter().map(|garbage| garbage.heap_bytes() as u64).sum::<u64>();
    if let Some(bytes) = usage {
        let held = (bytes as u64).saturating_sub(freed);
        rooms.memory.eviction.hold(held);
        freed += held;
    }
    let silent = (rooms.memory.eviction.own_bytes)(keyspace);
    changed::report_findings(keyspace, rooms);
    if removed {
        if rooms.propagation.is_wanted() {
            let verb: &[u8] = if rooms.config.lazyfree_lazy_eviction { b"UNLINK" } else { b"DEL" };
            rooms.propagation.push(index, OwnedArgv::from_parts([verb, key]));
        }
        changed::key_touched(keyspace, rooms, NotifyClasses::EVICTED, "evicted", key);
        rooms.stats.counters.evicted_keys += 1;
    }
    end_unit(rooms);
    // Tracking clients and subscribers hear of it; making room for that would tell them more.
    let told = (rooms.memory.eviction.own_bytes)(keyspace) - silent;
    rooms.memory.eviction.tell(u64::try_from(told).unwrap_or(0));
    // Big values leave for the freeing thread whatever lazyfree-lazy-eviction says: it only decides
    // what is propagated.
    if !keyspace.findings.garbage.is_empty() {
        lazyfree::hand_over(keyspace, rooms);
    }
    freed
}

fn end_unit(rooms: &mut Rooms) {
    if rooms.propagation.is_wanted() {
        rooms.propagation.keep_apart();
        rooms.propagation.end_unit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn tenacity_is_time() {
        let expected = [(0, 0), (10, 500_000), (11, 575_000), (100, u64::MAX)];
        for (tenacity, ns) in expected {
            let limit = time_limit_ns(tenacity);
            assert!(limit.abs_diff(ns) < 10, "{tenacity}: {limit}");
        }
        assert!(time_limit_ns(99) > 100_000_000_000);
    }
}
