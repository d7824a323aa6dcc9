//! WATCH: who looks at which key, and whose EXEC must fail because one of them changed.
//!
//! [`Watches`] is an index from keys to clients and back. A client's first changed key makes it
//! *dirty*; from then on the rest of its keys are of no interest and forgotten. The flag lives here
//! and not in the session, because the session of the client that runs is out of everybody's reach,
//! and a client can spoil its own transaction. Ordered maps, as in [`crate::waiting::WaitQueue`].
//!
//! A key that had expired already when it was watched is *stale*: removing it changes nothing that
//! its watcher could have seen. Redis 7.0 keeps the same flag with the same rules.

use crate::base::ClientId;
use crate::keyspace::{Db, DbIndex, Keyspace, Presence};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Bytes one watched key costs besides its name: an entry in each direction.
const ENTRY_BYTES: usize = 96;

/// The clients that watch one key, each with a mark that is true if the key was stale when that
/// began.
type Watchers = BTreeMap<ClientId, bool>;

/// The way in which a client watches a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watcher {
    /// The key is as the client has seen it.
    Fresh,
    /// The key was stale when the client began to watch it, and still is.
    Stale,
    /// The key has changed.
    Dirty,
}

/// What becomes of the watchers of a key by something that happens to it, or by several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    of_fresh: Watcher,
    of_stale: Watcher,
}

impl Outcome {
    const NOTHING: Outcome = Outcome { of_fresh: Watcher::Fresh, of_stale: Watcher::Stale };
    /// The key holds something else.
    const CHANGED: Outcome = Outcome { of_fresh: Watcher::Dirty, of_stale: Watcher::Dirty };
    /// The key is gone: to whoever watched it when it was stale that is no change.
    const GONE: Outcome = Outcome { of_fresh: Watcher::Dirty, of_stale: Watcher::Fresh };

    /// Of a key that becomes part of another set of keys, or of none.
    fn of_presences(before: Presence, after: Presence) -> Outcome {
        match (before, after) {
            (Presence::Missing, Presence::Missing) => Outcome::NOTHING,
            (_, Presence::Missing) => Outcome::GONE,
            (Presence::Missing, Presence::Expired) => {
                Outcome { of_fresh: Watcher::Stale, of_stale: Watcher::Stale }
            }
            (_, Presence::Expired) => Outcome { of_fresh: Watcher::Dirty, of_stale: Watcher::Stale },
            (_, Presence::Alive) => Outcome::CHANGED,
        }
    }

    fn of(self, watcher: Watcher) -> Watcher {
        match watcher {
            Watcher::Fresh => self.of_fresh,
            Watcher::Stale => self.of_stale,
            Watcher::Dirty => Watcher::Dirty,
        }
    }

    /// This, then the other.
    fn then(self, other: Outcome) -> Outcome {
        Outcome { of_fresh: other.of(self.of_fresh), of_stale: other.of(self.of_stale) }
    }
}

/// What becomes of watched keys, as far as it is held.
type Held = BTreeMap<(DbIndex, Vec<u8>), Outcome>;

/// The keys that one client watches.
#[derive(Debug, Default)]
struct Watching {
    keys: Vec<(DbIndex, Vec<u8>)>,
    bytes: usize,
    /// One of its keys has changed.
    is_dirty: bool,
}

/// All watched keys. See the module.
#[derive(Debug, Default)]
pub struct Watches {
    by_db: BTreeMap<DbIndex, BTreeMap<Vec<u8>, Watchers>>,
    by_client: BTreeMap<ClientId, Watching>,
    held: Option<Held>,
}

impl Watches {
    /// True when one of the keys `client` watched has changed.
    #[must_use]
    pub fn is_dirty(&self, client: ClientId) -> bool {
        self.by_client.get(&client).is_some_and(|watching| watching.is_dirty)
    }

    /// Returns the number of keys that `client` watches.
    #[must_use]
    pub fn keys_of(&self, client: ClientId) -> usize {
        self.by_client.get(&client).map_or(0, |watching| watching.keys.len())
    }

    /// Memory the keys of `client` cost, bytes.
    #[must_use]
    pub fn bytes_of(&self, client: ClientId) -> usize {
        self.by_client.get(&client).map_or(0, |watching| watching.bytes)
    }

    /// Begins to watch `key` of `db` for `client`. A dirty client need not watch anything more.
    pub fn watch(&mut self, client: ClientId, db: DbIndex, key: &[u8], is_stale: bool) {
        let watching = self.by_client.entry(client).or_default();
        if watching.is_dirty {
            return;
        }
        let keys = self.by_db.entry(db).or_default();
        let watchers = match keys.get_mut(key) {
            Some(watchers) => watchers,
            None => keys.entry(key.to_vec()).or_default(),
        };
        if let Entry::Vacant(place) = watchers.entry(client) {
            place.insert(is_stale);
            watching.bytes += 2 * key.len() + ENTRY_BYTES;
            watching.keys.push((db, key.to_vec()));
        }
    }

    /// Forgets all that `client` watches, and that it was dirty.
    pub fn unwatch(&mut self, client: ClientId) {
        if let Some(watching) = self.by_client.remove(&client) {
            self.forget(client, watching.keys);
        }
    }

    /// `key` of `db` was changed, `presence` tells what has become of it.
    pub fn changed(&mut self, db: DbIndex, key: &[u8], presence: impl FnOnce() -> Presence) {
        let Some(watchers) = self.by_db.get(&db).and_then(|keys| keys.get(key)) else { return };
        let may_be_stale = self.held.is_some() || watchers.values().any(|&is_stale| is_stale);
        let is_gone = may_be_stale && presence() == Presence::Missing;
        self.happened(db, key, if is_gone { Outcome::GONE } else { Outcome::CHANGED });
    }

    /// `key` of `db` was removed because its time had come.
    pub fn expired(&mut self, db: DbIndex, key: &[u8]) {
        self.happened(db, key, Outcome::GONE);
    }

    /// Every key of `emptied` is about to go, or to give way to those of `replacement`.
    pub fn emptying(&mut self, emptied: &Db, replacement: Option<&Db>) {
        let Some(keys) = self.by_db.get(&emptied.index()) else { return };
        let outcome = |key: &[u8]| {
            let after = replacement.map_or(Presence::Missing, |db| db.presence(key));
            Outcome::of_presences(emptied.presence(key), after)
        };
        let outcomes: Vec<_> = keys.keys().map(|key| (key.clone(), outcome(key))).collect();
        for (key, outcome) in outcomes {
            self.happened(emptied.index(), &key, outcome);
        }
    }

    /// From now on what happens to keys is held, until [`Watches::deliver`] or
    /// [`Watches::drop_held`].
    pub fn hold(&mut self) {
        self.held = Some(Held::new());
    }

    /// What was held happens now.
    pub fn deliver(&mut self) {
        for ((db, key), outcome) in self.held.take().into_iter().flatten() {
            self.happened(db, &key, outcome);
        }
    }

    /// What was held has never happened.
    pub fn drop_held(&mut self) {
        self.held = None;
    }

    /// True when a key that `client` watches has come to its end since, unseen by anybody.
    pub fn has_expired(&self, client: ClientId, keyspace: &Keyspace) -> bool {
        let Some(watching) = self.by_client.get(&client) else { return false };
        watching.keys.iter().any(|(index, key)| {
            let is_stale = self.by_db.get(index).and_then(|keys| keys.get(key)?.get(&client));
            is_stale == Some(&false)
                && keyspace.get(*index).is_some_and(|db| db.presence(key) == Presence::Expired)
        })
    }

    /// True when nobody watches anything: the one question of a server without transactions.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_db.is_empty()
    }

    /// Something has happened to `key`.
    fn happened(&mut self, db: DbIndex, key: &[u8], outcome: Outcome) {
        let Some(watchers) = self.by_db.get_mut(&db).and_then(|keys| keys.get_mut(key)) else { return };
        if outcome == Outcome::NOTHING {
            return;
        }
        if let Some(held) = &mut self.held {
            let before = held.entry((db, key.to_vec())).or_insert(Outcome::NOTHING);
            *before = before.then(outcome);
            return;
        }
        let mut dirty = Vec::new();
        for (&client, is_stale) in watchers {
            match outcome.of(if *is_stale { Watcher::Stale } else { Watcher::Fresh }) {
                Watcher::Dirty => dirty.push(client),
                watcher => *is_stale = watcher == Watcher::Stale,
            }
        }
        dirty.into_iter().for_each(|client| self.mark_dirty(client));
    }

    fn mark_dirty(&mut self, client: ClientId) {
        let Some(watching) = self.by_client.get_mut(&client) else { return };
        watching.is_dirty = true;
        watching.bytes = 0;
        let keys = std::mem::take(&mut watching.keys);
        self.forget(client, keys);
    }

    fn forget(&mut self, client: ClientId, keys: Vec<(DbIndex, Vec<u8>)>) {
        for (db, key) in keys {
            let Some(of_db) = self.by_db.get_mut(&db) else { continue };
            if let Some(watchers) = of_db.get_mut(&key) {
                watchers.remove(&client);
                if watchers.is_empty() {
                    of_db.remove(&key);
                }
            }
            if of_db.is_empty() {
                self.by_db.remove(&db);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: DbIndex = DbIndex(0);

    #[test]
    fn one_change_makes_every_watcher_of_the_key_dirty_and_is_forgotten_with_them() {
        let mut watches = Watches::default();
        for (client, key) in [(1, "a"), (1, "a"), (1, "b"), (2, "a"), (3, "b")] {
            watches.watch(ClientId(client), DB, key.as_bytes(), false);
        }
        assert_eq!(watches.keys_of(ClientId(1)), 2, "a key watched twice counts once");
        watches.changed(DbIndex(1), b"a", || Presence::Alive);
        assert!(!watches.is_dirty(ClientId(1)), "the key of another database");
        watches.changed(DB, b"a", || Presence::Alive);
        assert!(
            watches.is_dirty(ClientId(1)) && watches.is_dirty(ClientId(2)) && !watches.is_dirty(ClientId(3))
        );
        assert_eq!((watches.keys_of(ClientId(1)), watches.bytes_of(ClientId(1))), (0, 0));
        watches.watch(ClientId(1), DB, b"c", false);
        assert_eq!(watches.keys_of(ClientId(1)), 0, "a dirty client watches nothing more");
        (1..=3).for_each(|client| watches.unwatch(ClientId(client)));
        assert!(watches.is_empty() && watches.by_client.is_empty());
    }

    #[test]
    fn the_end_of_a_key_that_was_stale_already_changes_nothing() {
        let mut watches = Watches::default();
        watches.watch(ClientId(1), DB, b"k", true);
        watches.watch(ClientId(2), DB, b"k", false);
        watches.expired(DB, b"k");
        assert!(!watches.is_dirty(ClientId(1)) && watches.is_dirty(ClientId(2)));
        watches.changed(DB, b"k", || Presence::Alive);
        assert!(watches.is_dirty(ClientId(1)), "it is missing now, and a new key is a change");
    }
}
