//! Client-side caching: which client has read which key, and who is to be told when one changes.
//!
//! A part that only knows keys and numbers of clients; it sends nothing. [`Tracking::invalidate`]
//! names those to tell at once, [`Tracking::take_broadcasts`] what those in broadcasting mode are
//! told at the end of a turn, [`Tracking::evict`] keys that must go because the table is full.
//!
//! Two tables. The *invalidation table* remembers for a key who has read it; a change takes the key
//! out. It may hold numbers of clients that are gone or track no longer: they are passed over when
//! the key changes, because looking for all keys of a client would cost more. The *prefix table*
//! belongs to the broadcasting mode: a key that changes is noted with every prefix it begins with,
//! with who changed it last, so that a client can be spared what it did itself.
//!
//! The keys of the invalidation table also stand in an array, for a choice by chance that costs the
//! same however many there are.

mod own;
mod running;

pub use own::OwnTracking;
pub use running::TrackingState;

use crate::base::ClientId;
use crate::base::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The reads that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// All.
    #[default]
    Every,
    /// Those right behind CLIENT CACHING YES.
    OptIn,
    /// All but those right behind CLIENT CACHING NO.
    OptOut,
}

/// The mode in which a client tracks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// It hears of every key with one of its prefixes, read or not.
    pub broadcast: bool,
    /// The reads that count.
    pub choice: Choice,
    /// It does not hear of what it changes itself.
    pub no_loop: bool,
    /// The client that hears it instead; 0 is the client itself.
    pub redirect: u64,
    /// True when the client that was to hear it is gone.
    pub broken_redirect: bool,
}

/// A key of the invalidation table.
#[derive(Debug)]
struct Remembered {
    /// Its place in [`Tracking::keys`].
    place: usize,
    /// The clients that have read it, by number.
    readers: Vec<ClientId>,
}

/// A prefix of the broadcasting mode.
#[derive(Debug, Default)]
struct Prefix {
    clients: BTreeSet<ClientId>,
    /// Keys that changed in this turn, and who changed them last, if it was a client.
    changed: BTreeMap<Box<[u8]>, Option<ClientId>>,
}

/// The keys that one client is told of in this turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Broadcasted {
    /// The keys, in the order of their bytes.
    pub keys: Vec<Box<[u8]>>,
    /// The clients that are told.
    pub clients: Vec<ClientId>,
}

/// The state of tracking. See the module.
#[derive(Debug, Default)]
pub struct Tracking {
    modes: BTreeMap<ClientId, Mode>,
    table: BTreeMap<Arc<[u8]>, Remembered>,
    keys: Vec<Arc<[u8]>>,
    readers: usize,
    prefixes: BTreeMap<Box<[u8]>, Prefix>,
    has_changes: bool,
    /// Rounds of eviction that did not get below the limit.
    failed_rounds: usize,
}

/// Estimated bytes of one client's prefix, without its name.
const PREFIX_BYTES: usize = 96;
/// Keys evicted in the first round; each further one that is needed adds as many.
const EVICTION_EFFORT: usize = 100;

impl Tracking {
    /// True when a client tracks, or one has and keys are left of it.
    #[must_use]
    #[inline]
    pub fn is_active(&self) -> bool {
        !self.modes.is_empty() || !self.keys.is_empty()
    }

    /// Returns the number of clients that track.
    #[must_use]
    pub fn clients_len(&self) -> usize {
        self.modes.len()
    }

    /// Keys in the invalidation table.
    #[must_use]
    pub fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// Readers of all keys in the invalidation table.
    #[must_use]
    pub fn readers_len(&self) -> usize {
        self.readers
    }

    /// Prefixes of the broadcasting mode.
    #[must_use]
    pub fn prefixes_len(&self) -> usize {
        self.prefixes.len()
    }

    /// Every client that tracks, by number.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.modes.keys().copied()
    }

    /// Returns the mode in which `client` tracks, if it does.
    #[must_use]
    pub fn mode(&self, client: ClientId) -> Option<Mode> {
        self.modes.get(&client).copied()
    }

    /// Notes that whoever `client` redirects to is gone.
    pub fn redirect_is_broken(&mut self, client: ClientId) {
        if let Some(mode) = self.modes.get_mut(&client) {
            mode.broken_redirect = true;
        }
    }

    /// The prefixes of a client in broadcasting mode.
    pub fn prefixes_of(&self, client: ClientId) -> impl Iterator<Item = &[u8]> {
        let own = self.prefixes.iter().filter(move |(_, prefix)| prefix.clients.contains(&client));
        own.map(|(name, _)| &**name)
    }

    /// Begins to track, or goes on in another way. In broadcasting mode `prefixes` join those the
    /// client has; none at all is the empty one. Returns what the new ones cost, bytes.
    pub fn enable<'p>(
        &mut self,
        client: ClientId,
        mode: Mode,
        prefixes: impl Iterator<Item = &'p [u8]>,
    ) -> usize {
        self.modes.insert(client, mode);
        if !mode.broadcast {
            return 0;
        }
        let (mut is_none, mut bytes) = (true, 0);
        for prefix in prefixes {
            is_none = false;
            bytes += self.add_prefix(client, prefix);
        }
        if is_none { self.add_prefix(client, b"") } else { bytes }
    }

    fn add_prefix(&mut self, client: ClientId, prefix: &[u8]) -> usize {
        let is_new = self.prefixes.entry(prefix.into()).or_default().clients.insert(client);
        if is_new { prefix.len() + PREFIX_BYTES } else { 0 }
    }

    /// Ends tracking, if the client did.
    pub fn disable(&mut self, client: ClientId) {
        if self.modes.remove(&client).is_some_and(|mode| mode.broadcast) {
            self.prefixes.retain(|_, prefix| {
                prefix.clients.remove(&client);
                !prefix.clients.is_empty()
            });
        }
    }

    /// Remembers that `client` has read `key`.
    pub fn remember(&mut self, client: ClientId, key: &[u8]) {
        let remembered = match self.table.get_mut(key) {
            Some(remembered) => remembered,
            None => {
                let key: Arc<[u8]> = key.into();
                self.keys.push(key.clone());
                let place = self.keys.len() - 1;
                self.table.entry(key).or_insert(Remembered { place, readers: Vec::new() })
            }
        };
        if let Err(place) = remembered.readers.binary_search(&client) {
            remembered.readers.insert(place, client);
            self.readers += 1;
        }
    }

    /// Says that `key` changed, by a client's command or by itself. Returns who is told at once.
    pub fn invalidate(&mut self, key: &[u8], by: Option<ClientId>) -> Vec<ClientId> {
        for (name, prefix) in &mut self.prefixes {
            if key.starts_with(name) {
                prefix.changed.insert(key.into(), by);
                self.has_changes = true;
            }
        }
        self.forget(key, by)
    }

    /// Takes `key` out of the invalidation table. Returns who has read it and still wants to know.
    fn forget(&mut self, key: &[u8], by: Option<ClientId>) -> Vec<ClientId> {
        let Some(Remembered { place, mut readers }) = self.table.remove(key) else { return Vec::new() };
        self.readers -= readers.len();
        self.keys.swap_remove(place);
        if let Some(moved) = self.keys.get(place)
            && let Some(moved) = self.table.get_mut(moved)
        {
            moved.place = place;
        }
        readers.retain(|reader| {
            let mode = self.modes.get(reader);
            mode.is_some_and(|mode| !(mode.broadcast || mode.no_loop && by == Some(*reader)))
        });
        readers
    }

    /// Forgets every key: the data set, or a database of it, was emptied.
    pub fn clear(&mut self) {
        self.table.clear();
        self.keys = Vec::new();
        self.readers = 0;
    }

    /// Takes keys out of a table of more than `max_keys`, chosen by chance; the longer it stays too
    /// big, the more. 0 is no limit. Returns the keys and who is told of each.
    pub fn evict(&mut self, max_keys: usize, random: &mut Random) -> Vec<(Arc<[u8]>, Vec<ClientId>)> {
        let mut evicted = Vec::new();
        if max_keys == 0 {
            return evicted;
        }
        let effort = EVICTION_EFFORT * (self.failed_rounds + 1);
        while self.keys.len() > max_keys {
            if evicted.len() == effort {
                self.failed_rounds += 1;
                return evicted;
            }
            let place = random.below(self.keys.len() as u64) as usize;
            let key = self.keys[place].clone();
            let readers = self.forget(&key, None);
            evicted.push((key, readers));
        }
        self.failed_rounds = 0;
        evicted
    }

    /// Takes the keys that changed since the last call, with the clients in broadcasting mode that
    /// are told of them.
    pub fn take_broadcasts(&mut self) -> Vec<Broadcasted> {
        let mut told = Vec::new();
        if !std::mem::take(&mut self.has_changes) {
            return told;
        }
        for prefix in self.prefixes.values_mut() {
            let changed = std::mem::take(&mut prefix.changed);
            if changed.is_empty() {
                continue;
            }
            let spares = |client: &ClientId| self.modes.get(client).is_some_and(|mode| mode.no_loop);
            for &client in prefix.clients.iter().filter(|client| spares(client)) {
                let others = changed.iter().filter(|(_, by)| **by != Some(client));
                let keys: Vec<_> = others.map(|(key, _)| key.clone()).collect();
                if !keys.is_empty() {
                    told.push(Broadcasted { keys, clients: vec![client] });
                }
            }
            let clients: Vec<_> = prefix.clients.iter().filter(|client| !spares(client)).copied().collect();
            if !clients.is_empty() {
                told.push(Broadcasted { keys: changed.into_keys().collect(), clients });
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [&[u8]; 0] = [];

    fn tracking(clients: &[(u64, Mode)]) -> Tracking {
        let mut tracking = Tracking::default();
        for &(id, mode) in clients {
            tracking.enable(ClientId(id), mode, NONE.into_iter());
        }
        tracking
    }

    fn ids(told: Vec<ClientId>) -> Vec<u64> {
        told.into_iter().map(|tracker| tracker.0).collect()
    }

    #[test]
    fn a_change_is_told_once_to_those_who_have_read_the_key() {
        let no_loop = Mode { no_loop: true, ..Mode::default() };
        let mut tracking = tracking(&[(1, Mode::default()), (2, Mode::default()), (3, no_loop)]);
        for (id, key) in [(2, "a"), (1, "a"), (2, "a"), (3, "a"), (1, "b")] {
            tracking.remember(ClientId(id), key.as_bytes());
        }
        assert_eq!((tracking.keys_len(), tracking.readers_len()), (2, 4));
        assert_eq!(ids(tracking.invalidate(b"a", Some(ClientId(3)))), [1, 2], "3 did it itself");
        assert_eq!(ids(tracking.invalidate(b"a", None)), [0; 0], "nobody has read it since");
        tracking.remember(ClientId(3), b"a");
        assert_eq!(ids(tracking.invalidate(b"a", Some(ClientId(1)))), [3]);
        assert_eq!((tracking.keys_len(), tracking.readers_len()), (1, 1));
        tracking.disable(ClientId(1));
        assert_eq!(ids(tracking.invalidate(b"b", None)), [0; 0], "it tracks no longer");
        assert_eq!((tracking.keys_len(), tracking.readers_len(), tracking.clients_len()), (0, 0, 2));
    }

    #[test]
    fn broadcasts_go_by_prefix_and_spare_who_did_it() {
        let mut tracking = Tracking::default();
        let broadcast = Mode { broadcast: true, ..Mode::default() };
        let spared = Mode { no_loop: true, ..broadcast };
        tracking.enable(ClientId(1), broadcast, [&b"a:"[..], b"b:"].into_iter());
        tracking.enable(ClientId(2), spared, [&b"a:"[..]].into_iter());
        tracking.enable(ClientId(3), broadcast, NONE.into_iter());
        tracking.remember(ClientId(3), b"a:1");
        for (key, by) in [("a:2", Some(2)), ("a:1", Some(1)), ("a:1", Some(2)), ("c", None)] {
            assert!(tracking.invalidate(key.as_bytes(), by.map(ClientId)).is_empty(), "later");
        }
        let keys = |names: &[&str]| names.iter().map(|name| name.as_bytes().into()).collect::<Vec<_>>();
        let told = tracking.take_broadcasts();
        assert_eq!(
            told,
            [
                Broadcasted { keys: keys(&["a:1", "a:2", "c"]), clients: vec![ClientId(3)] },
                Broadcasted { keys: keys(&["a:1", "a:2"]), clients: vec![ClientId(1)] },
            ]
        );
        tracking.invalidate(b"a:1", Some(ClientId(2)));
        tracking.invalidate(b"a:1", None);
        assert!(tracking.take_broadcasts().iter().any(|told| told.clients == [ClientId(2)]), "it expired");
        assert!(tracking.take_broadcasts().is_empty());
        assert_eq!(tracking.prefixes_of(ClientId(1)).collect::<Vec<_>>(), [b"a:", b"b:"]);
        [1, 2].iter().for_each(|&id| tracking.disable(ClientId(id)));
        assert_eq!(tracking.prefixes_len(), 1);
    }

    #[test]
    fn a_table_too_big_is_cut_down_by_chance_and_harder_each_time() {
        let mut tracking = tracking(&[(1, Mode::default())]);
        let mut random = Random::new(1);
        (0..500).for_each(|n| tracking.remember(ClientId(1), format!("key{n}").as_bytes()));
        assert!(tracking.evict(0, &mut random).is_empty(), "no limit");
        assert!(tracking.evict(500, &mut random).is_empty(), "not too big");
        let rounds: Vec<_> = (0..4).map(|_| tracking.evict(10, &mut random).len()).collect();
        assert_eq!(rounds, [100, 200, 190, 0]);
        assert_eq!((tracking.keys_len(), tracking.readers_len()), (10, 10));
        let places = tracking.table.values().map(|remembered| remembered.place).collect::<BTreeSet<_>>();
        assert_eq!(places.len(), 10);
        assert!(tracking.table.iter().all(|(key, remembered)| tracking.keys[remembered.place] == *key));
        tracking.clear();
        assert_eq!((tracking.keys_len(), tracking.readers_len()), (0, 0));
    }
}
