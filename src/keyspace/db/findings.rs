//! Findings: facts that the accessors of a database find out on the way, for others to act on.
//!
//! A database tells nobody that a key had expired and frees nothing big itself: it leaves both
//! here, so that it need not know who propagates and which thread frees.

use crate::ds::dict::View;
use crate::keyspace::value::Value;

/// Values that must be freed where it does not delay commands. Dropping it frees it.
#[derive(Debug)]
#[allow(dead_code, reason = "held only to be dropped on another thread")]
pub enum Garbage {
    /// One big value.
    Value(Value),
    /// A part that was cut off a value that stays.
    Part(Value),
    /// A whole database.
    Dict(Box<View<Value>>),
}

impl Garbage {
    /// The number of values.
    #[must_use]
    pub fn objects(&self) -> u64 {
        match self {
            Garbage::Value(_) => 1,
            Garbage::Part(_) => 0,
            Garbage::Dict(view) => view.len() as u64,
        }
    }

    /// Bytes of one value or a part of it; of a whole database it does not tell.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Garbage::Value(value) | Garbage::Part(value) => value.heap_bytes(),
            Garbage::Dict(_) => 0,
        }
    }
}

impl Findings {
    /// Forgets what was found out of changes that are undone. What was thrown away and is held
    /// again is no garbage.
    pub(in crate::keyspace) fn forget_changes(&mut self) {
        [&mut self.expired, &mut self.missed, &mut self.added].into_iter().for_each(Vec::clear);
        self.garbage.retain(|garbage| !matches!(garbage, Garbage::Value(value) if value.is_shared()));
    }
}

/// So many lookups are told apart.
const MAX_LOOKED_UP: usize = 4096;

/// The keys that were looked up, by [`Db::hash_of`](crate::keyspace::Db::hash_of).
#[derive(Debug, Default)]
pub struct LookedUp {
    /// True when somebody wants to know.
    pub is_wanted: bool,
    hashes: Vec<u64>,
    /// There were more than are told apart.
    is_full: bool,
}

impl LookedUp {
    #[inline]
    pub(super) fn note(&mut self, hash: u64) {
        if self.is_wanted {
            self.is_full |= self.hashes.len() == MAX_LOOKED_UP;
            if !self.is_full {
                self.hashes.push(hash);
            }
        }
    }

    /// Forgets all; returns whether one of them is what `is_sought` says, or there were too many to
    /// know.
    pub fn take_any(&mut self, is_sought: impl FnMut(u64) -> bool) -> bool {
        let any = self.is_full || self.hashes.iter().copied().any(is_sought);
        self.hashes.clear();
        self.is_full = false;
        any
    }
}

/// Counters and facts an accessor leaves behind; `server/` reads and empties them.
#[derive(Debug, Default)]
pub struct Findings {
    /// Keys removed because their time had come, oldest first, to be propagated as deleted.
    pub expired: Vec<Vec<u8>>,
    /// Values to free on another thread.
    pub garbage: Vec<Garbage>,
    /// Keys that were looked up for reading and are missing; only kept when asked for.
    pub missed: Vec<Vec<u8>>,
    /// True when `missed` is wanted (`notify-keyspace-events` has `m`).
    pub wants_missed: bool,
    /// Keys that came into being; only kept when asked for.
    pub added: Vec<Vec<u8>>,
    /// True when `added` is wanted (`notify-keyspace-events` has `n`).
    pub wants_added: bool,
    /// Hashes of the keys that were looked up, there or not; only kept when asked for.
    pub looked_up: LookedUp,
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
}
