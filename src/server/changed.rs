//! The consequences of a change of a key. Handlers come here through [`Ctx::changed`](super::Ctx).

use super::Rooms;
use super::ctx::Ctx;
use super::held::Cause;
use crate::config::NotifyClasses;
use crate::keyspace::{Db, DbIndex, Keyspace};
use crate::resp::OwnedArgv;

impl Ctx<'_> {
    /// Says that `key` of the current database changed, and what happened to it. This alone keeps
    /// the books: dirty count, watchers, tracking, notifications, waking parked clients.
    pub fn changed(&mut self, class: NotifyClasses, event: &str, key: &[u8]) {
        self.changes += 1;
        key_changed(self.db, self.rooms, class, event, key);
        self.place_own();
    }

    /// As [`Ctx::changed`], with `count` changes on the dirty counter: a command that removed
    /// several elements of one key.
    pub fn changed_by(&mut self, count: u64, class: NotifyClasses, event: &str, key: &[u8]) {
        if count > 0 {
            self.changes += count - 1;
            self.rooms.persistence.saves.dirty += count - 1;
            self.changed(class, event, key);
        }
    }

    /// As [`Ctx::changed`], for a key of another database.
    pub fn changed_in(&mut self, db: DbIndex, class: NotifyClasses, event: &str, key: &[u8]) {
        let Some(db) = self.db.at(db) else { return };
        self.changes += 1;
        key_changed(db, self.rooms, class, event, key);
        self.place_own();
    }

    /// Says that a second key, of any database, took part in a change that is counted already:
    /// the new name of RENAME.
    pub fn also_changed(&mut self, db: DbIndex, class: NotifyClasses, event: &str, key: &[u8]) {
        let Some(db) = self.db.at(db) else { return };
        key_touched(db, self.rooms, class, event, key);
        self.place_own();
    }

    /// Removes every key of some databases. Clients that track keys are told once.
    pub fn flush_dbs(&mut self, dbs: impl IntoIterator<Item = DbIndex>) {
        for db in dbs {
            let removed = flush(self.db, self.rooms, db);
            self.changed_db(db, removed as u64);
        }
        if self.rooms.tracking.tables.is_active() {
            self.rooms.invalidate_all();
        }
    }

    /// Exchanges the keys of two databases, which exist.
    pub fn swap_dbs(&mut self, one: DbIndex, two: DbIndex) {
        swap(self.db, self.rooms, one, two);
        self.changed_db(one, 1);
        self.changed_db(two, 0);
    }

    /// Says that a whole database changed, which counts as `count` changes: it was emptied or
    /// exchanged. Whoever waits for one of its keys looks again.
    fn changed_db(&mut self, db: DbIndex, count: u64) {
        report_all_findings(self.db, self.rooms);
        self.changes += count;
        self.rooms.persistence.saves.dirty += count;
        self.rooms.waiting.queue.signal_all(db);
    }

    /// As [`Ctx::changed`], for a command that took elements out of a collection: an emptied key
    /// is removed, with its `del` event. Returns whether it was.
    pub fn shrunk(&mut self, class: NotifyClasses, event: &str, key: &[u8]) -> bool {
        self.changed(class, event, key);
        let emptied = self.db.is_empty_collection(key);
        if emptied {
            self.remove_emptied(key);
        }
        emptied
    }

    /// Removes a collection that the running command has emptied, with its `del` event, after the
    /// change was reported. A handler that holds the collection knows when; others use
    /// [`Ctx::shrunk`].
    pub fn remove_emptied(&mut self, key: &[u8]) {
        self.db.remove(key);
        notify(self.rooms, self.db.index(), NotifyClasses::GENERIC, "del", key);
        self.place_own();
    }

    /// Announces what was found out so far about keys of all databases, before a change is
    /// reported: MOVE tells that the key is new there before it tells of the move.
    pub fn report_findings(&mut self) {
        report_all_findings(self.db, self.rooms);
        self.place_own();
    }

    /// An event for subscribers of notifications, when no key changed or a second event belongs
    /// to a change already reported.
    pub fn notify(&mut self, class: NotifyClasses, event: &str, key: &[u8]) {
        notify(self.rooms, self.db.index(), class, event, key);
        self.place_own();
    }

    /// Says that what a stream knows of its readers, or of entries that are gone, changed, which
    /// counts as `count` changes, 0 if nobody counts them. Redis: who watches or tracks the key is
    /// not told, nor who waits for it.
    pub fn changed_aside(&mut self, count: u64, key: &[u8]) {
        self.report_findings();
        self.db.note_reported(key);
        self.rooms.note_changed(self.db, key);
        self.count_changes(count);
    }

    /// Has those who wait for `key` look at it again.
    pub fn wake_waiters(&mut self, key: &[u8]) {
        self.rooms.waiting.queue.signal(self.db.index(), key);
    }

    /// Adds to the dirty counter for a change that was reported by [`Ctx::also_changed`].
    pub fn count_changes(&mut self, count: u64) {
        self.changes += count;
        self.rooms.persistence.saves.dirty += count;
    }
}

/// Keeps the books for one changed key of `db`.
pub(super) fn key_changed(db: &mut Db, rooms: &mut Rooms, class: NotifyClasses, event: &str, key: &[u8]) {
    rooms.persistence.saves.dirty += 1;
    key_touched(db, rooms, class, event, key);
}

/// The same for a key whose change is counted already.
pub(super) fn key_touched(db: &mut Db, rooms: &mut Rooms, class: NotifyClasses, event: &str, key: &[u8]) {
    report_findings(db, rooms);
    db.note_reported(key);
    rooms.note_changed(db, key);
    if !rooms.watches.is_empty() {
        rooms.watches.changed(db.index(), key, || db.presence(key));
    }
    if rooms.tracking.tables.is_active() {
        rooms.invalidate(key, Cause::Command);
    }
    rooms.waiting.queue.signal(db.index(), key);
    notify(rooms, db.index(), class, event, key);
}

/// Announces a keyspace event, if the configuration wants its class.
pub(super) fn notify(rooms: &mut Rooms, db: DbIndex, class: NotifyClasses, event: &str, key: &[u8]) {
    if rooms.config.notify_keyspace_events.intersects(class) {
        rooms.publish_event(db, event, key);
    }
}

/// Acts on what the accessors of one database found out: expired keys are counted, announced and
/// propagated as deleted, before whatever the running command does. Redis: they do not count as
/// changes since the last save.
pub(super) fn report_findings(db: &mut Db, rooms: &mut Rooms) {
    let findings = &db.findings;
    if findings.expired.is_empty() && findings.missed.is_empty() && findings.added.is_empty() {
        return;
    }
    report_each_finding(db, rooms);
}

fn report_each_finding(db: &mut Db, rooms: &mut Rooms) {
    let lazy = rooms.config.lazyfree_lazy_expire;
    for key in std::mem::take(&mut db.findings.expired) {
        rooms.stats.counters.expired_keys += 1;
        rooms.note_changed(db, &key);
        if !rooms.watches.is_empty() {
            rooms.watches.expired(db.index(), &key);
        }
        if rooms.tracking.tables.is_active() {
            rooms.invalidate(&key, Cause::Expiry);
        }
        if rooms.propagation.is_wanted() {
            let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
            rooms.propagation.push(db.index(), OwnedArgv::from_parts([verb, &key]));
        }
        rooms.waiting.queue.signal(db.index(), &key);
        notify(rooms, db.index(), NotifyClasses::EXPIRED, "expired", &key);
    }
    for key in std::mem::take(&mut db.findings.missed) {
        notify(rooms, db.index(), NotifyClasses::KEY_MISS, "keymiss", &key);
    }
    for key in std::mem::take(&mut db.findings.added) {
        notify(rooms, db.index(), NotifyClasses::NEW, "new", &key);
    }
}

/// Removes every key of a database; those who watched one of them are told while they are there.
/// Returns how many there were.
pub(super) fn flush(keyspace: &mut Keyspace, rooms: &mut Rooms, index: DbIndex) -> usize {
    rooms.note_all_changed();
    if let Some(db) = keyspace.get(index)
        && !rooms.watches.is_empty()
    {
        rooms.watches.emptying(db, None);
    }
    keyspace.at(index).map_or(0, Db::flush)
}

/// Exchanges the keys of two databases, which exist, and tells those who watch one.
pub(super) fn swap(keyspace: &mut Keyspace, rooms: &mut Rooms, one: DbIndex, two: DbIndex) {
    rooms.note_all_changed();
    if let (Some(first), Some(second)) = (keyspace.get(one), keyspace.get(two))
        && !rooms.watches.is_empty()
    {
        rooms.watches.emptying(first, Some(second));
        rooms.watches.emptying(second, Some(first));
    }
    keyspace.swap(one, two);
}

/// [`report_findings`] for every database that a unit has had in hand.
pub(super) fn report_all_findings(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    keyspace.lent().for_each(|db| report_findings(db, rooms));
}
