//! All databases together: [`Keyspace`].
//!
//! Settings that go for every database are said here once: the time, the limits, what accessors
//! note.

use super::access::AccessClock;
use super::checked_keys::CheckedKeys;
use super::db::findings::Garbage;
use super::db::{Db, DbSnapshot};
use super::db_index::DbIndex;
use super::encoding_limits::EncodingLimits;
use super::mutated_keys::{Fingerprint, MutatedKey};
use super::snapshot::Walk;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::resp::Argv;
use crate::spec::Spec;
use std::ops::{Deref, DerefMut};

/// All databases, positioned on one of them: it dereferences to the current [`Db`].
#[derive(Debug)]
pub struct Keyspace {
    current: Box<Db>,
    /// The others; the place of the current one is empty.
    others: Vec<Option<Box<Db>>>,
    /// The news of the other databases, as far as nobody has looked.
    others_news: News,
    /// The snapshot walk under way.
    pub(super) walk: Option<Box<Walk>>,
    /// The number of walks.
    pub(super) walks: u32,
}

/// Says if another database than the current one was lent out since somebody looked at it: walks
/// over all databases in every turn cost more than a short command.
#[derive(Debug, Default)]
struct News {
    /// It may have left findings.
    findings: bool,
    /// It may have left garbage.
    garbage: bool,
    /// Its next deadline may be another than `deadline`, the earliest of all others.
    deadlines: bool,
    deadline: Option<UnixMillis>,
}

impl News {
    fn lent(&mut self) {
        (self.findings, self.garbage, self.deadlines) = (true, true, true);
    }
}

impl Keyspace {
    /// `databases` empty databases, positioned on number 0.
    #[must_use]
    pub fn new(databases: u16, limits: EncodingLimits, random_seed: u64) -> Self {
        let make = |index: u16| {
            Box::new(Db::new(DbIndex(index), limits, random_seed.wrapping_add(u64::from(index))))
        };
        let mut others: Vec<_> = (0..databases.max(1)).map(|index| Some(make(index))).collect();
        let current = others[0].take().expect("there is at least one database");
        Keyspace { current, others, others_news: News::default(), walk: None, walks: 0 }
    }

    /// The number of databases.
    #[must_use]
    pub fn databases(&self) -> usize {
        self.others.len()
    }

    /// Positions on database `index`, which exists.
    pub fn select(&mut self, index: DbIndex) {
        if self.current.index() == index {
            return;
        }
        self.others_news.lent();
        let next =
            self.others[usize::from(index.0)].take().expect("only the current database's place is empty");
        let previous = std::mem::replace(&mut self.current, next);
        let place = usize::from(previous.index().0);
        self.others[place] = Some(previous);
    }

    /// Database `index`, the current one or another; `None` beyond the last.
    pub fn at(&mut self, index: DbIndex) -> Option<&mut Db> {
        if self.current.index() == index {
            return Some(&mut self.current);
        }
        self.others_news.lent();
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
        self.others_news.lent();
        let other = self.others.get_mut(usize::from(other.0))?.as_deref_mut()?;
        Some((&mut self.current, other))
    }

    /// All databases in order.
    pub fn iter(&self) -> impl Iterator<Item = &Db> {
        self.others.iter().map(|db| db.as_deref().unwrap_or(&self.current))
    }

    /// All databases in order, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Db> {
        self.others_news.lent();
        let mut current = Some(&mut self.current);
        self.others.iter_mut().map(move |db| match db {
            Some(db) => &mut **db,
            None => &mut **current.take().expect("only one place is empty"),
        })
    }

    /// The same for what leaves no news.
    pub(super) fn iter_quietly(&mut self) -> impl Iterator<Item = &mut Db> {
        std::iter::once(&mut *self.current).chain(self.others.iter_mut().filter_map(Option::as_deref_mut))
    }

    /// Says that any database may have news.
    pub(super) fn note_news(&mut self) {
        self.others_news.lent();
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

    /// In debug builds: holds the accessors to the keys that the rights of a call are checked for,
    /// and to the one whose string it is declared to change a part of, until
    /// [`Keyspace::end_command`] gets what this returns: what they were held to before.
    #[must_use]
    pub fn begin_command(
        &mut self,
        spec: &Spec,
        argv: Argv<'_>,
        edited_string: Option<&[u8]>,
    ) -> CheckedKeys {
        if cfg!(debug_assertions) {
            self.hold_to(CheckedKeys::of(spec, argv, edited_string))
        } else {
            CheckedKeys::default()
        }
    }

    /// The keys that the running command has changed so far: none in a release build.
    #[must_use]
    pub fn mutated_keys(&self) -> Vec<MutatedKey> {
        let fingerprint =
            |db, key: &[u8]| self.get(DbIndex(db)).map_or(Fingerprint(None), |db| db.fingerprint(key));
        self.current.checked_keys.mutated_keys().map_or_else(Vec::new, |keys| keys.list(fingerprint))
    }

    /// Ends what [`Keyspace::begin_command`] began.
    pub fn end_command(&mut self, before: CheckedKeys) {
        if cfg!(debug_assertions) {
            self.hold_to(before);
        }
    }

    /// Lets the running command look at every key: it was found to have the right to.
    pub fn let_read_any_key(&mut self) {
        if cfg!(debug_assertions) {
            self.hold_to(self.current.checked_keys.with_any_read());
        }
    }

    fn hold_to(&mut self, keys: CheckedKeys) -> CheckedKeys {
        self.others.iter_mut().flatten().for_each(|db| db.checked_keys = keys.clone());
        std::mem::replace(&mut self.current.checked_keys, keys)
    }

    /// Sets the time all accessors go by, and the one by which accesses are dated.
    pub fn freeze(&mut self, now: UnixMillis, monotonic: MonotonicMillis) {
        // Databases that only learn the time have nothing to tell.
        self.current.freeze(now, monotonic);
        self.others.iter_mut().flatten().for_each(|db| db.freeze(now, monotonic));
    }

    /// Lets no key expire until the time is set again: while commands are loaded that were run once
    /// when it was still there.
    pub fn stop_clock(&mut self) {
        self.iter_mut().for_each(Db::stop_clock);
    }

    /// Sets the thresholds of compact collections.
    pub fn set_limits(&mut self, limits: EncodingLimits) {
        self.iter_mut().for_each(|db| db.set_limits(limits));
    }

    /// Lists made from now on keep elements of so many bytes in nodes of their own.
    pub fn set_list_plain_from(&mut self, bytes: u64) {
        let limits = EncodingLimits { list_plain_from: bytes, ..self.limits() };
        self.set_limits(limits);
    }

    /// Sets what is recorded about accesses.
    pub fn set_access(&mut self, access: AccessClock) {
        self.iter_mut().for_each(|db| db.set_access(access));
    }

    /// Sets if removed keys give their memory back at once, at some cost: under `maxmemory`.
    pub fn set_memory_is_short(&mut self, short: bool) {
        self.iter_mut().for_each(|db| db.set_memory_is_short(short));
    }

    /// Sets which facts are kept: keys that were missed, keys that came into being.
    pub fn set_wants(&mut self, missed: bool, added: bool) {
        for db in self.iter_mut() {
            db.findings.wants_missed = missed;
            db.findings.wants_added = added;
        }
    }

    /// Sets whether it is kept which keys are looked up.
    pub fn set_wants_lookups(&mut self, wanted: bool) {
        self.iter_mut().for_each(|db| db.findings.looked_up.is_wanted = wanted);
    }

    /// True when a key was looked up, in any database and since the last call, of whose
    /// [`Db::hash_of`] `is_sought` says so.
    pub fn has_looked_up(&mut self, mut is_sought: impl FnMut(u64) -> bool) -> bool {
        let mut any = self.current.has_looked_up(&mut is_sought);
        if self.others_news.findings {
            for db in self.others.iter_mut().flatten() {
                any |= db.has_looked_up(&mut is_sought);
            }
        }
        any
    }

    /// Sets if expired keys stay until somebody else deletes them: on a replica.
    pub fn set_keeps_expired(&mut self, keeps_expired: bool) {
        if self.current.keeps_expired() == keeps_expired {
            return;
        }
        self.iter_mut().for_each(|db| db.set_keeps_expired(keeps_expired));
    }

    /// Returns the time at which the next key of any database may be due.
    #[must_use]
    pub fn next_deadline(&mut self) -> Option<UnixMillis> {
        if std::mem::take(&mut self.others_news.deadlines) {
            self.others_news.deadline =
                self.others.iter().flatten().filter_map(|db| db.next_deadline()).min();
        }
        self.current.next_deadline().into_iter().chain(self.others_news.deadline).min()
    }

    /// The state of all databases at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<DbSnapshot> {
        self.iter().filter(|db| !db.is_empty()).map(Db::snapshot).collect()
    }

    /// The databases that may have left facts since the last call: mostly the current one alone.
    pub fn lent(&mut self) -> impl Iterator<Item = &mut Db> {
        let others =
            if std::mem::take(&mut self.others_news.findings) { &mut self.others[..] } else { &mut [] };
        std::iter::once(&mut *self.current).chain(others.iter_mut().filter_map(Option::as_deref_mut))
    }

    /// Takes the values that are to be freed on another thread, of all databases.
    pub fn take_garbage(&mut self) -> Vec<Garbage> {
        let mut garbage = std::mem::take(&mut self.current.findings.garbage);
        if std::mem::take(&mut self.others_news.garbage) {
            garbage.extend(
                self.others.iter_mut().flatten().flat_map(|db| std::mem::take(&mut db.findings.garbage)),
            );
        }
        garbage
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyspace::Ttl;
    #[cfg(debug_assertions)]
    use crate::{
        resp::OwnedArgv,
        spec::{Group, KeySpec, RW, UPDATE},
    };

    #[test]
    fn deadlines_and_garbage_of_all_databases_are_found_wherever_it_is_positioned() {
        let mut keyspace = Keyspace::new(4, EncodingLimits::default(), 7);
        assert_eq!(keyspace.next_deadline(), None);
        for (index, deadline) in [(3, 900), (1, 700), (2, 800), (0, 1000)] {
            keyspace.select(DbIndex(index));
            keyspace.set_string(b"key", b"value", Ttl::At(UnixMillis(deadline)));
        }
        assert_eq!(keyspace.next_deadline(), Some(UnixMillis(700)));
        keyspace.at(DbIndex(1)).expect("it exists").set_deadline(b"key", Some(UnixMillis(500)));
        assert_eq!(keyspace.next_deadline(), Some(UnixMillis(500)));
        keyspace.select(DbIndex(1));
        keyspace.flush();
        keyspace.select(DbIndex(0));
        assert_eq!(keyspace.next_deadline(), Some(UnixMillis(800)));
        assert_eq!(keyspace.take_garbage().len(), 1);
        assert!(keyspace.take_garbage().is_empty());
        keyspace.flush();
        assert_eq!((keyspace.take_garbage().len(), keyspace.next_deadline()), (1, Some(UnixMillis(800))));
    }

    #[test]
    fn only_databases_in_hand_are_looked_at_for_facts() {
        let mut keyspace = Keyspace::new(4, EncodingLimits::default(), 7);
        keyspace.lent().for_each(drop);
        keyspace.freeze(UnixMillis(5), MonotonicMillis(5));
        keyspace.take_garbage();
        assert_eq!(keyspace.lent().count(), 1, "the current one");
        keyspace.at(DbIndex(2));
        assert_eq!(keyspace.lent().count(), 4);
        assert_eq!(keyspace.lent().count(), 1);
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_command_that_edits_a_string_without_being_declared_to_is_found() {
        const KEYS: &[KeySpec] = &[KeySpec::one(1, &[RW, UPDATE])];
        // A made-up command that is declared to edit `edited` and edits `key`.
        let edit = |edited: Option<&[u8]>| {
            let spec = Spec::new("madeup", Group::String, 2, "key").keys(KEYS);
            let call = OwnedArgv::from_parts([b"madeup".as_slice(), b"key"]);
            let mut keyspace = Keyspace::new(1, EncodingLimits::default(), 7);
            let before = keyspace.begin_command(&spec, call.as_argv(), edited);
            let result = keyspace.edit_string(b"key", |bytes| bytes.push(b'x'));
            keyspace.end_command(before);
            result
        };
        assert!(edit(Some(b"key")).is_ok());
        for edited in [None, Some(b"other".as_slice())] {
            let panic = std::panic::catch_unwind(|| edit(edited)).expect_err("it is found");
            let text = panic.downcast_ref::<String>().expect("the assertion formats its text");
            assert_eq!(text, "madeup changes a part of a string without being declared to");
        }
    }
}
