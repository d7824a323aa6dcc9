//! What follows from a change of a key. Handlers come here through [`Ctx::changed`](super::Ctx).

use super::Parts;
use super::tracking::Cause;
use crate::config::NotifyClasses;
use crate::keyspace::{Db, DbIndex, Keyspace};
use crate::resp::OwnedArgv;

/// Keeps the books for one changed key of `db`.
pub(super) fn key_changed(db: &mut Db, server: &mut Parts, class: NotifyClasses, event: &str, key: &[u8]) {
    server.persistence.dirty += 1;
    key_touched(db, server, class, event, key);
}

/// The same for a key whose change is counted already.
pub(super) fn key_touched(db: &mut Db, server: &mut Parts, class: NotifyClasses, event: &str, key: &[u8]) {
    settle(db, server);
    server.note_changed(db, key);
    if !server.watches.is_empty() {
        server.watches.changed(db.index(), key, || db.presence(key));
    }
    if server.tracking.tables.is_active() {
        server.invalidate(key, Cause::Command);
    }
    server.waiters.signal(db.index(), key);
    notify(server, db.index(), class, event, key);
}

/// Announces a keyspace event, if the configuration wants its class.
pub(super) fn notify(server: &mut Parts, db: DbIndex, class: NotifyClasses, event: &str, key: &[u8]) {
    if server.config.notify_keyspace_events.intersects(class) {
        server.publish_event(db, event, key);
    }
}

/// Acts on what the accessors of one database found out: expired keys are counted, announced and
/// propagated as deleted, before whatever the running command does. Redis: they do not count as
/// changes since the last save.
pub(super) fn settle(db: &mut Db, server: &mut Parts) {
    let facts = &db.facts;
    if facts.expired.is_empty() && facts.missed.is_empty() && facts.added.is_empty() {
        return;
    }
    settle_facts(db, server);
}

fn settle_facts(db: &mut Db, server: &mut Parts) {
    let lazy = server.config.lazyfree_lazy_expire;
    for key in std::mem::take(&mut db.facts.expired) {
        server.stats.expired_keys += 1;
        server.note_changed(db, &key);
        if !server.watches.is_empty() {
            server.watches.expired(db.index(), &key);
        }
        if server.tracking.tables.is_active() {
            server.invalidate(&key, Cause::Expiry);
        }
        if server.propagation.is_wanted() {
            let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
            server.propagation.push(db.index(), OwnedArgv::from_parts([verb, &key]));
        }
        notify(server, db.index(), NotifyClasses::EXPIRED, "expired", &key);
    }
    for key in std::mem::take(&mut db.facts.missed) {
        notify(server, db.index(), NotifyClasses::KEY_MISS, "keymiss", &key);
    }
    for key in std::mem::take(&mut db.facts.added) {
        notify(server, db.index(), NotifyClasses::NEW, "new", &key);
    }
}

/// Removes every key of a database; those who watched one of them are told while they are there.
/// Returns how many there were.
pub(super) fn flush(keyspace: &mut Keyspace, server: &mut Parts, index: DbIndex) -> usize {
    server.note_all_changed();
    if let Some(db) = keyspace.get(index)
        && !server.watches.is_empty()
    {
        server.watches.emptying(db, None);
    }
    keyspace.db(index).map_or(0, Db::flush)
}

/// Exchanges the keys of two databases, which exist, and tells those who watch one.
pub(super) fn swap(keyspace: &mut Keyspace, server: &mut Parts, one: DbIndex, two: DbIndex) {
    server.note_all_changed();
    if let (Some(first), Some(second)) = (keyspace.get(one), keyspace.get(two))
        && !server.watches.is_empty()
    {
        server.watches.emptying(first, Some(second));
        server.watches.emptying(second, Some(first));
    }
    keyspace.swap(one, two);
}

/// [`settle`] for every database that a unit has had in hand.
pub(super) fn settle_all(keyspace: &mut Keyspace, server: &mut Parts) {
    keyspace.lent().for_each(|db| settle(db, server));
}
