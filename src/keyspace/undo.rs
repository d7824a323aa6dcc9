//! The undo: what a script has changed is put back.
//!
//! [`Keyspace::begin_undo`] fixes the moment. From then on each accessor of a [`Db`] that is about
//! to change a key keeps what the key holds, at its first change only ([`Db::keep_before`], which
//! is called where the change is made, so that no command can forget it). A value is kept by
//! reference: a change of a large collection then copies chunks of it, as while a snapshot walk
//! holds it, and a string that is edited in place is copied once, at its first edit.
//! [`Keyspace::roll_back`] costs what was touched, [`Keyspace::end_undo`] forgets what was kept.
//!
//! - A database that is emptied is put aside whole, after the changes before that are put back, and
//!   no key of it is kept any more.
//! - What is kept belongs to the keys of a database, not to its number: SWAPDB exchanges both, and
//!   each [`UndoLog`] knows where it began.
//! - What a read leaves behind stays: the time at which a key was used, hits and misses. A key that
//!   was changed gets back the time that it had then.
//!
//! What is copied because of the undo counts as a copy for a walk that is under way: that count is
//! an upper bound in any case.

use super::databases::Keyspace;
use super::db::Db;
use super::db::findings::Garbage;
use super::db_index::DbIndex;
use super::value::Value;
use crate::ds::dict::{Dict, NewEntry};

/// What a database held when the undo began, as far as it has changed.
#[derive(Debug, Default)]
pub(super) struct UndoLog {
    before: Before,
    /// The number of the database when the undo began.
    home: DbIndex,
}

#[derive(Debug, Default)]
enum Before {
    /// No undo is on.
    #[default]
    Unwanted,
    /// Nothing has changed.
    Same,
    /// The keys that have changed, each with what it held; one that was missing has no payload.
    Keys(Box<Dict<Value>>),
    /// Everything: the database was emptied.
    All(Box<Dict<Value>>),
}

impl UndoLog {
    /// True when an undo is on.
    pub(super) fn is_on(&self) -> bool {
        !matches!(self.before, Before::Unwanted)
    }
}

impl Keyspace {
    /// From now on all changes can be undone, until [`Keyspace::end_undo`] or
    /// [`Keyspace::roll_back`]. What could be undone before is so no longer.
    pub fn begin_undo(&mut self) {
        if self.can_undo() {
            self.end_undo();
        }
        for db in self.iter_quietly() {
            db.undo = UndoLog { before: Before::Same, home: db.index };
        }
    }

    /// True when changes can be undone.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        self.undo.is_on()
    }

    /// What has changed since [`Keyspace::begin_undo`] stays; the values before are forgotten, big
    /// ones left to be freed elsewhere.
    pub fn end_undo(&mut self) {
        let mut has_changed = false;
        for db in self.iter_quietly() {
            has_changed |= db.forget_before();
        }
        if has_changed {
            self.note_news();
        }
    }

    /// Puts everything back that has changed since [`Keyspace::begin_undo`], and forgets what the
    /// accessors have found out since they were last asked.
    pub fn roll_back(&mut self) {
        if !self.can_undo() {
            return;
        }
        self.iter_mut().for_each(Db::put_all_back);
        for index in 0..self.databases() as u16 {
            while let Some(home) = self.get(DbIndex(index)).map(|db| db.undo.home)
                && home != DbIndex(index)
            {
                self.swap(DbIndex(index), home);
            }
        }
        for db in self.iter_mut() {
            db.undo = UndoLog::default();
            db.findings.forget_changes();
        }
    }
}

impl Db {
    /// Before a change of `key`: keeps what it holds, if an undo is on and it is the first change.
    #[inline]
    pub(super) fn keep_before(&mut self, hash: u64, key: &[u8]) {
        if self.undo.is_on() {
            self.keep(hash, key);
        }
    }

    #[cold]
    fn keep(&mut self, hash: u64, key: &[u8]) {
        if let Before::Same = self.undo.before {
            self.undo.before = Before::Keys(Box::new(Dict::new(self.limits().seed.0)));
        }
        let Before::Keys(kept) = &mut self.undo.before else { return };
        if kept.contains_hashed(hash, key) {
            return;
        }
        let entry = self.dict.get_hashed(hash, key);
        let new = NewEntry {
            deadline: entry.as_ref().and_then(|entry| entry.deadline),
            payload: &[entry.as_ref().map_or(&[], |entry| entry.payload)],
            object: entry.and_then(|entry| entry.object.cloned()),
        };
        kept.insert_new(hash, key, new);
    }

    /// Before all keys are removed, with an undo on: puts them aside, and removes them so.
    pub(super) fn keep_all_before(&mut self) {
        match std::mem::take(&mut self.undo.before) {
            all @ Before::All(_) => {
                self.undo.before = all;
                return self.discard_all();
            }
            Before::Keys(kept) => self.put_back(&kept),
            Before::Same | Before::Unwanted => {}
        }
        self.undo.before = Before::All(Box::new(self.take_dict()));
    }

    /// Removes all keys, for good.
    fn discard_all(&mut self) {
        let has_keys = !self.is_empty();
        let old = self.clear_dict().filter(|_| has_keys);
        self.findings.garbage.extend(old.map(|old| Garbage::Dict(Box::new(old))));
    }

    /// Forgets what was kept. Returns whether there was something.
    fn forget_before(&mut self) -> bool {
        match std::mem::take(&mut self.undo.before) {
            Before::Unwanted | Before::Same => return false,
            Before::Keys(kept) => {
                kept.iter().filter_map(|entry| entry.object).for_each(|object| self.leave_big(object));
            }
            Before::All(kept) if kept.is_empty() => {}
            Before::All(kept) => self.findings.garbage.push(Garbage::Dict(Box::new(kept.view()))),
        }
        true
    }

    fn put_all_back(&mut self) {
        match std::mem::take(&mut self.undo.before) {
            Before::Unwanted | Before::Same => {}
            Before::Keys(kept) => self.put_back(&kept),
            Before::All(kept) => {
                self.discard_all();
                self.dict = *kept;
            }
        }
    }

    /// Puts each key back as it was kept.
    fn put_back(&mut self, kept: &Dict<Value>) {
        for entry in kept.iter() {
            let hash = self.dict.hash(entry.key);
            let replaced = if entry.payload.is_empty() {
                self.dict.remove_hashed(hash, entry.key)
            } else {
                let (deadline, object) = (entry.deadline, entry.object.cloned());
                self.dict.insert_hashed(
                    hash,
                    entry.key,
                    NewEntry { deadline, payload: &[entry.payload], object },
                )
            };
            if let Some(object) = replaced.and_then(|replaced| replaced.object) {
                self.leave_big(&object);
            }
        }
    }

    /// Leaves a value to be freed elsewhere if it is big and nobody else holds it.
    fn leave_big(&mut self, object: &Value) {
        if !object.is_shared() && object.is_costly_to_free() {
            self.findings.garbage.push(Garbage::Part(object.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{MonotonicMillis, UnixMillis};
    use crate::ds::shared;
    use crate::keyspace::{EncodingLimits, Set, Ttl};

    fn keyspace() -> Keyspace {
        let mut keyspace = Keyspace::new(3, EncodingLimits::default(), 7);
        keyspace.freeze(UnixMillis(1000), MonotonicMillis(1000));
        keyspace
    }

    /// Everything that is stored, as text.
    fn shown(keyspace: &Keyspace) -> Vec<String> {
        let of_db = |db: &Db| {
            let mut keys: Vec<_> = db.iter().map(|view| format!("{view:?} {}", view.encoding())).collect();
            keys.sort_unstable();
            format!("{:?} {} {} {keys:?}", db.index(), db.len(), db.deadlines_len())
        };
        keyspace.iter().map(of_db).collect()
    }

    fn add(keyspace: &mut Keyspace, key: &[u8], members: std::ops::Range<u32>) {
        let limits = keyspace.limits();
        let set = keyspace.write_or_create(key, |_| Set::new()).expect("it is a set");
        for member in members {
            set.insert(format!("member:{member}").as_bytes(), &limits);
        }
    }

    fn filled() -> Keyspace {
        let mut keyspace = keyspace();
        for index in [0, 2] {
            keyspace.select(DbIndex(index));
            keyspace.set_string(b"short", b"17", Ttl::At(UnixMillis(5000)));
            keyspace.set_string(b"long", &[b'x'; 300], Ttl::Clear);
            keyspace.set_string(b"due", b"gone soon", Ttl::At(UnixMillis(2000)));
            add(&mut keyspace, b"set", 0..100);
        }
        keyspace.select(DbIndex(0));
        keyspace
    }

    /// Changes that leave nothing as it was.
    fn change_all(keyspace: &mut Keyspace) {
        keyspace.set_string(b"short", b"other", Ttl::Clear);
        keyspace.set_string(b"new", b"x", Ttl::At(UnixMillis(3000)));
        assert!(keyspace.edit_string(b"long", |bytes| bytes.push(b'y')).is_ok());
        assert!(keyspace.expire_due(10) == 1);
        add(keyspace, b"set", 50..150);
        let stored = keyspace.take(b"set").expect("it is there");
        keyspace.put(b"renamed", stored);
    }

    #[test]
    fn a_roll_back_puts_back_whatever_was_done() {
        let steps: [fn(&mut Keyspace); 6] = [
            change_all,
            |keyspace| keyspace.swap(DbIndex(0), DbIndex(2)),
            |keyspace| keyspace.swap(DbIndex(1), DbIndex(2)),
            |keyspace| assert!(keyspace.flush() < 100),
            |keyspace| keyspace.set_string(b"short", b"again", Ttl::Clear),
            |keyspace| keyspace.select(DbIndex(2)),
        ];
        // Every order of four steps.
        for order in 0..6usize.pow(4) {
            let mut keyspace = filled();
            keyspace.freeze(UnixMillis(2500), MonotonicMillis(1000));
            let before = shown(&keyspace);
            keyspace.begin_undo();
            let chosen = (0..4).map(|place| order / 6usize.pow(place) % 6);
            if chosen.clone().filter(|&step| step == 0).count() > 1 {
                continue;
            }
            let fits = |keyspace: &mut Keyspace, step| step != 0 || keyspace.exists(b"set");
            for step in chosen {
                if fits(&mut keyspace, step) {
                    steps[step](&mut keyspace);
                }
            }
            keyspace.roll_back();
            assert!(shown(&keyspace) == before, "order {order}");
            assert!(!keyspace.can_undo() && keyspace.iter().all(|db| db.findings.expired.is_empty()));
            let short = Some(UnixMillis(5000));
            keyspace.select(DbIndex(0));
            assert_eq!(keyspace.deadline(b"short"), Some(short));
        }
    }

    #[test]
    fn what_is_kept_is_kept_once_and_by_reference() {
        let mut keyspace = keyspace();
        let long = vec![b'x'; 1 << 20];
        keyspace.set_string(b"long", &long, Ttl::Clear);
        add(&mut keyspace, b"set", 0..50_000);
        let copied = shared::copied_bytes();
        keyspace.begin_undo();
        for _ in 0..100 {
            assert!(keyspace.edit_string(b"long", |bytes| bytes.push(b'y')).is_ok());
            add(&mut keyspace, b"set", 7..8);
        }
        let copied = shared::copied_bytes() - copied;
        assert!((1 << 20..(1 << 20) + 40_000).contains(&copied), "{copied}");
        keyspace.roll_back();
        assert_eq!(keyspace.string(b"long"), Ok(Some(&long[..])));
        let copied = shared::copied_bytes();
        assert!(keyspace.edit_string(b"long", |bytes| bytes.push(b'y')).is_ok());
        assert_eq!(shared::copied_bytes(), copied, "nobody else holds it any more");
    }

    #[test]
    fn big_values_are_freed_elsewhere_and_once() {
        for rolls_back in [0, 1] {
            let mut keyspace = filled();
            keyspace.take_garbage();
            keyspace.begin_undo();
            keyspace.remove(b"set");
            add(&mut keyspace, b"made", 0..1000);
            keyspace.select(DbIndex(2));
            add(&mut keyspace, b"set", 0..2000);
            keyspace.flush();
            add(&mut keyspace, b"set", 0..10);
            keyspace.flush();
            let end = [Keyspace::end_undo, Keyspace::roll_back][rolls_back];
            end(&mut keyspace);
            let garbage = keyspace.take_garbage();
            let mut objects: Vec<_> = garbage.iter().map(Garbage::objects).collect();
            // The set of database 0 and all of database 2, twice; or what was made and grew.
            let expected: [&[u64]; 2] = [&[0, 1, 1, 4], &[0, 0, 1]];
            objects.sort_unstable();
            assert_eq!(objects, expected[rolls_back]);
        }
    }
}
