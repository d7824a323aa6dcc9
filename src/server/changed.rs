//! What follows from a change of a key. Handlers come here through [`Ctx::changed`](super::Ctx).

use super::Parts;
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
    server.waiters.signal(db.index(), key);
    notify(server, db.index(), class, event, key);
}

/// Announces a keyspace event, if the configuration wants its class. Nobody can subscribe to the
/// channels `__keyspace@N__` and `__keyevent@N__` before there is pub/sub; the log can be read.
pub(super) fn notify(server: &mut Parts, db: DbIndex, class: NotifyClasses, event: &str, key: &[u8]) {
    if server.config.notify_keyspace_events.intersects(class) {
        log::trace!("keyevent@{}: {event} {}", db.0, String::from_utf8_lossy(key));
    }
}

/// Acts on what the accessors of one database found out: expired keys are counted, announced and
/// propagated as deleted, before whatever the running command does. Redis: they do not count as
/// changes since the last save.
pub(super) fn settle(db: &mut Db, server: &mut Parts) {
    if db.facts.expired.is_empty() {
        return;
    }
    let lazy = server.config.lazyfree_lazy_expire;
    for key in std::mem::take(&mut db.facts.expired) {
        server.stats.expired_keys += 1;
        if server.propagation.is_wanted() {
            let verb: &[u8] = if lazy { b"UNLINK" } else { b"DEL" };
            server.propagation.push(db.index(), OwnedArgv::from_parts([verb, &key]));
        }
        notify(server, db.index(), NotifyClasses::EXPIRED, "expired", &key);
    }
}

/// [`settle`] for every database that a unit has had in hand.
pub(super) fn settle_all(keyspace: &mut Keyspace, server: &mut Parts) {
    keyspace.lent().for_each(|db| settle(db, server));
}
