//! The data: [`Keyspace`] holds the databases, [`Db`] is the only way to touch a value.
//!
//! A room of vocabulary: it knows types, deadlines and encodings, but no client, reply or
//! command. Read [`Db`] first, then [`Value`]; each collection has its own file.

pub mod access;
mod db;
pub mod hash;
pub mod hyperloglog;
pub mod list;
pub mod set;
pub mod snapshot;
pub mod sorted_set;
pub mod string;
mod value;

pub use access::AccessClock;
pub use db::{
    Among, Db, DbIndex, DbSnapshot, EvictionPool, Facts, Garbage, KeyView, Limits, Presence, Stored,
    StringCoding, Ttl, ValueRef, WrongType,
};
pub use hash::{Hash, Text};
pub use list::List;
pub use set::{Member, Set};
pub use snapshot::{Parcel, Walk, WalkedDb};
pub use sorted_set::SortedSet;
pub use value::{Collection, Kind, Shared, Value};

use crate::base::time::UnixMillis;
use std::ops::{Deref, DerefMut};

/// All databases, positioned on one of them: it dereferences to the current [`Db`].
#[derive(Debug)]
pub struct Keyspace {
    current: Box<Db>,
    /// The others; the place of the current one is empty.
    others: Vec<Option<Box<Db>>>,
    /// Whether another database than the current one was lent out, and may have left facts.
    lent_others: bool,
    /// The snapshot walk under way.
    walk: Option<Box<Walk>>,
    /// How many walks there were.
    walks: u32,
}

impl Keyspace {
    /// `databases` empty databases, positioned on number 0.
    #[must_use]
    pub fn new(databases: u16, limits: Limits, random_seed: u64) -> Self {
        let make = |index: u16| {
            Box::new(Db::new(DbIndex(index), limits, random_seed.wrapping_add(u64::from(index))))
        };
        let mut others: Vec<_> = (0..databases.max(1)).map(|index| Some(make(index))).collect();
        let current = others[0].take().expect("there is at least one database");
        Keyspace { current, others, lent_others: false, walk: None, walks: 0 }
    }

    /// How many databases there are.
    #[must_use]
    pub fn databases(&self) -> usize {
        self.others.len()
    }

    /// Positions on database `index`, which exists.
    pub fn select(&mut self, index: DbIndex) {
        if self.current.index() == index {
            return;
        }
        self.lent_others = true;
        let next =
            self.others[usize::from(index.0)].take().expect("only the current database's place is empty");
        let previous = std::mem::replace(&mut self.current, next);
        let place = usize::from(previous.index().0);
        self.others[place] = Some(previous);
    }

    /// Database `index`, the current one or another; `None` beyond the last.
    pub fn db(&mut self, index: DbIndex) -> Option<&mut Db> {
        if self.current.index() == index {
            return Some(&mut self.current);
        }
        self.lent_others = true;
        self.others.get_mut(usize::from(index.0))?.as_deref_mut()
    }

    /// Database `index` as it stands; `None` beyond the last.
    #[must_use]
    pub fn get(&self, index: DbIndex) -> Option<&Db> {
        let place = self.others.get(usize::from(index.0))?;
        Some(place.as_deref().unwrap_or(&self.current))
    }

    /// The current database and another one; `None` if they are the same or it does not exist.
    pub fn pair(&mut self, other: DbIndex) -> Option<(&mut Db, &mut Db)> {
        self.lent_others = true;
        let other = self.others.get_mut(usize::from(other.0))?.as_deref_mut()?;
        Some((&mut self.current, other))
    }

    /// All databases in order.
    pub fn iter(&self) -> impl Iterator<Item = &Db> {
        self.others.iter().map(|db| db.as_deref().unwrap_or(&self.current))
    }

    /// All databases in order, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Db> {
        self.lent_others = true;
        let mut current = Some(&mut self.current);
        self.others.iter_mut().map(move |db| match db {
            Some(db) => &mut **db,
            None => &mut **current.take().expect("only one place is empty"),
        })
    }

    /// Exchanges the keys of two databases, which exist.
    pub fn swap(&mut self, one: DbIndex, two: DbIndex) {
        let home = self.current.index();
        self.select(one);
        if let Some((one, two)) = self.pair(two) {
            one.swap_contents(two);
        }
        self.select(home);
    }

    /// Sets the time all accessors go by.
    pub fn freeze(&mut self, now: UnixMillis) {
        self.iter_mut().for_each(|db| db.freeze(now));
    }

    /// Lets no key expire until the time is set again: while commands are loaded that were run once
    /// when it was still there.
    pub fn stop_clock(&mut self) {
        self.iter_mut().for_each(Db::stop_clock);
    }

    /// Sets the thresholds of compact collections.
    pub fn set_limits(&mut self, limits: Limits) {
        self.iter_mut().for_each(|db| db.set_limits(limits));
    }

    /// Lists made from now on keep elements of so many bytes in nodes of their own.
    pub fn set_list_plain_from(&mut self, bytes: u64) {
        let limits = Limits { list_plain_from: bytes, ..self.limits() };
        self.set_limits(limits);
    }

    /// Sets what is recorded about accesses.
    pub fn set_access(&mut self, access: AccessClock) {
        self.iter_mut().for_each(|db| db.set_access(access));
    }

    /// Whether removed keys give their memory back at once, at some cost: under `maxmemory`.
    pub fn set_memory_is_short(&mut self, short: bool) {
        self.iter_mut().for_each(|db| db.set_memory_is_short(short));
    }

    /// Sets which facts are kept: keys that were missed, keys that came into being.
    pub fn set_wants(&mut self, missed: bool, added: bool) {
        for db in self.iter_mut() {
            db.facts.wants_missed = missed;
            db.facts.wants_added = added;
        }
    }

    /// Whether expired keys stay until somebody else deletes them: on a replica.
    pub fn set_keeps_expired(&mut self, keeps_expired: bool) {
        self.iter_mut().for_each(|db| db.set_keeps_expired(keeps_expired));
    }

    /// When the next key of any database may be due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.iter().filter_map(Db::next_deadline).min()
    }

    /// The state of all databases at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<DbSnapshot> {
        self.iter().filter(|db| !db.is_empty()).map(Db::snapshot).collect()
    }

    /// The databases that may have left facts since the last call: mostly the current one alone.
    pub fn lent(&mut self) -> impl Iterator<Item = &mut Db> {
        let others = if std::mem::take(&mut self.lent_others) { &mut self.others[..] } else { &mut [] };
        std::iter::once(&mut *self.current).chain(others.iter_mut().filter_map(Option::as_deref_mut))
    }

    /// What is to be freed on another thread, of all databases.
    pub fn take_garbage(&mut self) -> Vec<Garbage> {
        self.iter_mut().flat_map(|db| std::mem::take(&mut db.facts.garbage)).collect()
    }
}

impl Deref for Keyspace {
    type Target = Db;

    fn deref(&self) -> &Db {
        &self.current
    }
}

impl DerefMut for Keyspace {
    fn deref_mut(&mut self) -> &mut Db {
        &mut self.current
    }
}
