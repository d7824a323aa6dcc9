//! What follows from a change of a key. Handlers come here through [`Ctx::changed`](super::Ctx).

use super::Rooms;
use super::tracking::Cause;
use crate::config::NotifyClasses;
use crate::keyspace::{Db, DbIndex, Keyspace};
use crate::resp::OwnedArgv;

/// Keeps the books for one changed key of `db`.
pub(super) fn key_changed(db: &mut Db, rooms: &mut Rooms, class: NotifyClasses, event: &str, key: &[u8]) {
    rooms.persistence.saves.dirty += 1;
    key_touched(db, rooms, class, event, key);
}

/// The same for a key whose change is counted already.
pub(super) fn key_touched(db: &mut Db, rooms: &mut Rooms, class: NotifyClasses, event: &str, key: &[u8]) {
    settle(db, rooms);
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
pub(super) fn settle(db: &mut Db, rooms: &mut Rooms) {
    let facts = &db.facts;
    if facts.expired.is_empty() && facts.missed.is_empty() && facts.added.is_empty() {
        return;
    }
    settle_facts(db, rooms);
}

fn settle_facts(db: &mut Db, rooms: &mut Rooms) {
    let lazy = rooms.config.lazyfree_lazy_expire;
    for key in std::mem::take(&mut db.facts.expired) {
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
        notify(rooms, db.index(), NotifyClasses::EXPIRED, "expired", &key);
    }
    for key in std::mem::take(&mut db.facts.missed) {
        notify(rooms, db.index(), NotifyClasses::KEY_MISS, "keymiss", &key);
    }
    for key in std::mem::take(&mut db.facts.added) {
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

/// [`settle`] for every database that a unit has had in hand.
pub(super) fn settle_all(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    keyspace.lent().for_each(|db| settle(db, rooms));
}
