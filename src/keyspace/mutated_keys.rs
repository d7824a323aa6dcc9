//! The keys that the running command changes: debug builds hold it to telling of each.
//!
//! WATCH, tracking, notifications, blocked clients and the append-only file learn of a change only
//! because the handler says so. So in debug builds each accessor of a [`super::Db`] that lends a
//! key for a change notes what the key held before (a [`Fingerprint`]), `changed` notes which keys
//! were reported, and when the handler is done `call` asserts that every key that holds something
//! else now was among them. A release build does nothing here.
//!
//! These change what is stored, and nothing is noted of them:
//!
//! - [`super::Db::reshape`]: another encoding of the same value is nothing that a client is told,
//!   nor is who has read what of a stream.
//! - A key whose time has come is removed by whoever meets it, as [`super::Findings::expired`],
//!   which is reported for every command by `report_findings`.
//! - FLUSHALL, SWAPDB, DEBUG RELOAD and loading name no key: whole databases are reported
//!   (`Ctx::flush_dbs`, `Ctx::swap_dbs`).
//! - When a key was used last is bookkeeping of the server's own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keys that are noted of one command: of those behind them nothing is known.
const MAX_KEYS: usize = 4096;

/// The value of a key and its deadline, as a number that differs when they do; `None` for a missing
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) Option<u64>);

/// The number of a database, and a key of it.
type Place = (u16, Vec<u8>);

/// The keys that one command has had in hand. Every database refers to the same.
#[derive(Clone, Debug, Default)]
pub(super) struct MutatedKeys(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    /// The value that each key held when it was first lent for a change.
    before: HashMap<Place, Fingerprint>,
    /// The keys that `changed` was told of.
    reported: HashSet<Place>,
}

/// A key that holds something else than before the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutatedKey {
    /// The key.
    pub key: Vec<u8>,
    /// True when `changed` was told of it.
    pub is_reported: bool,
}

impl MutatedKeys {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what `key` holds, as `look` finds it, if it is lent for the first time.
    pub(super) fn note_lent(&self, db: u16, key: &[u8], look: impl FnOnce() -> Fingerprint) {
        let mut notes = self.notes();
        if notes.before.len() < MAX_KEYS {
            notes.before.entry((db, key.to_vec())).or_insert_with(look);
        }
    }

    /// Notes that `changed` was told of `key`, which may still be about to be lent.
    pub(super) fn note_reported(&self, db: u16, key: &[u8]) {
        let mut notes = self.notes();
        if notes.before.len() < MAX_KEYS || notes.before.contains_key(&(db, key.to_vec())) {
            notes.reported.insert((db, key.to_vec()));
        }
    }

    /// The keys that hold something else than before, as `look` finds them.
    pub(super) fn list(&self, look: impl Fn(u16, &[u8]) -> Fingerprint) -> Vec<MutatedKey> {
        let notes = self.notes();
        let is_mutated = |((db, key), before): &(&Place, &Fingerprint)| look(*db, key) != **before;
        let mutated = notes.before.iter().filter(is_mutated).map(|(place, _)| MutatedKey {
            key: place.1.clone(),
            is_reported: notes.reported.contains(place),
        });
        mutated.collect()
    }
}
