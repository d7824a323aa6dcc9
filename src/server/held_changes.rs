//! The consequences of changes are held while a script runs: nobody sees anything of it before its
//! end, and nothing at all if it is undone.
//!
//! [`begin`] opens the script's unit, [`deliver`] ends it, [`drop_all`] ends it as if it had never
//! been. The data is the business of the [undo](Keyspace::begin_undo); this file's are all others
//! who hear of a change:
//!
//! | consequence | while the script runs | undone |
//! |---|---|---|
//! | messages: PUBLISH, keyspace events | kept in order, if somebody would get them | forgotten |
//! | invalidations of tracking | kept in the same order, each key once | forgotten |
//! | WATCH | [kept](crate::clients::Watches::hold), each watched key once | forgotten |
//! | effects, clients to wake | are the unit's in any case: nobody looks before its end | cut off |
//! | changes since the last save, expired keys, notes of what is not on disk | counted | taken back |
//! | what FLUSHALL says of saves | kept | forgotten |
//!
//! So a script takes memory for what it has touched and for what it sends, however many commands it
//! runs. A script in a transaction begins and ends within the transaction's unit.

use super::Rooms;
use super::aof::unsynced::UnsyncedMark;
use super::ctx::Ctx;
use super::tracking::Cause;
use super::{changed, saving};
use crate::keyspace::Keyspace;
use crate::propagation::UnitMark;
use crate::pubsub::Topic;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What nobody was told yet, and what to go back to. See the module.
#[derive(Debug)]
pub struct HeldChanges {
    told: Vec<Told>,
    /// The invalidations of `told`, since the last one of all keys.
    invalidated: BTreeSet<(Arc<[u8]>, Cause)>,
    gives_up_save: bool,
    schedules_save: bool,
    before: Before,
}

/// Something that others are told.
#[derive(Debug)]
enum Told {
    /// A key changed, for those who track it.
    Invalidated(Arc<[u8]>, Cause),
    /// All keys changed, for those who track.
    AllInvalidated,
    /// A message for those who listen: a channel's name, and what is said there.
    Message(Topic, Box<[u8]>, Box<[u8]>),
}

/// The state of other rooms when the script began.
#[derive(Debug)]
struct Before {
    dirty: u64,
    expired_keys: u64,
    ready_keys: usize,
    unit: UnitMark,
    unsynced: UnsyncedMark,
}

/// From now on nobody is told of what changes, until [`deliver`] or [`drop_all`]; the changes can
/// be undone.
pub fn begin(rooms: &mut Rooms, keyspace: &mut Keyspace) {
    debug_assert!(rooms.held.is_none(), "a script runs no script");
    changed::report_all_findings(keyspace, rooms);
    keyspace.begin_undo();
    rooms.watches.hold();
    let before = Before {
        dirty: rooms.persistence.saves.dirty,
        expired_keys: rooms.stats.counters.expired_keys,
        ready_keys: rooms.waiting.queue.ready_len(),
        unit: rooms.propagation.mark_unit(),
        unsynced: rooms.mark_unsynced(),
    };
    rooms.held = Some(Box::new(HeldChanges {
        told: Vec::new(),
        invalidated: BTreeSet::new(),
        gives_up_save: false,
        schedules_save: false,
        before,
    }));
}

/// Tells everybody what has changed since [`begin`], in order. It can no longer be undone.
pub fn deliver(rooms: &mut Rooms, keyspace: &mut Keyspace) {
    changed::report_all_findings(keyspace, rooms);
    keyspace.end_undo();
    let Some(held) = rooms.held.take() else { return };
    rooms.watches.deliver();
    for told in held.told {
        match told {
            Told::Invalidated(key, cause) => rooms.invalidate(&key, cause),
            Told::AllInvalidated => rooms.invalidate_all(),
            Told::Message(Topic::Shard, channel, message) => {
                rooms.publish_shard(&channel, &message);
            }
            Told::Message(_, channel, message) => {
                rooms.publish(&channel, &message);
            }
        }
    }
    if held.gives_up_save {
        saving::give_up_background(keyspace, rooms);
    }
    if held.schedules_save {
        rooms.persistence.jobs.schedule_save();
    }
}

/// Puts everything back as it was at [`begin`]; nobody is told anything.
pub fn drop_all(rooms: &mut Rooms, keyspace: &mut Keyspace) {
    keyspace.roll_back();
    let Some(held) = rooms.held.take() else { return };
    rooms.watches.drop_held();
    let Before { dirty, expired_keys, ready_keys, unit, unsynced } = held.before;
    // A save that ended meanwhile has made it less.
    rooms.persistence.saves.dirty = rooms.persistence.saves.dirty.min(dirty);
    rooms.stats.counters.expired_keys = expired_keys;
    rooms.waiting.queue.forget_ready_after(ready_keys);
    rooms.propagation.cut_unit(&unit);
    rooms.forget_unsynced_after(&unsynced);
}

impl HeldChanges {
    /// Keeps that a key changed, for those who track it.
    pub(super) fn invalidate(&mut self, key: &[u8], cause: Cause) {
        let key: Arc<[u8]> = key.into();
        if self.invalidated.insert((Arc::clone(&key), cause)) {
            self.told.push(Told::Invalidated(key, cause));
        }
    }

    /// Keeps that all keys changed, for those who track.
    pub(super) fn invalidate_all(&mut self) {
        self.invalidated.clear();
        self.told.push(Told::AllInvalidated);
    }

    /// Keeps a message.
    pub(super) fn publish(&mut self, topic: Topic, channel: &[u8], message: &[u8]) {
        self.told.push(Told::Message(topic, channel.into(), message.into()));
    }

    /// Keeps that the background save under way is of no use any more.
    pub(super) fn give_up_save(&mut self) {
        self.gives_up_save = true;
    }

    /// Keeps that a save is to follow.
    pub(super) fn schedule_save(&mut self) {
        self.schedules_save = true;
    }
}

impl Ctx<'_> {
    /// [`begin`] for the running command.
    pub fn hold_changes(&mut self) {
        begin(self.rooms, self.db);
    }

    /// [`deliver`] for the running command, in front of whose answer stands what its own client is
    /// told: to be called before the answer is written.
    pub fn deliver_changes(&mut self) {
        deliver(self.rooms, self.db);
        self.place_own();
    }

    /// [`drop_all`] for the running command.
    pub fn undo_changes(&mut self) {
        drop_all(self.rooms, self.db);
    }
}

#[cfg(test)]
impl Ctx<'_> {
    /// Runs a command as a script does, and returns its answer.
    pub(crate) fn call_as_script(&mut self, argv: crate::resp::Argv<'_>) -> Vec<u8> {
        use crate::resp::{Protocol, Reply};
        let mut answer = Vec::new();
        let reply = Reply::new(&mut answer, Protocol::Resp2);
        let entry = super::call::find(self.rooms, self.session, argv).expect("tests name real commands");
        super::call::call(self.db, self.rooms, self.session, reply, entry, argv, super::Origin::Script);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::TestServer;

    #[test]
    fn what_nobody_gets_and_what_is_said_twice_takes_no_memory() {
        let mut server = TestServer::new();
        server.connect(2);
        for line in ["CONFIG SET notify-keyspace-events KEA", "CLIENT TRACKING ON BCAST"] {
            server.run(line);
        }
        for line in ["SUBSCRIBE heard", "WATCH watched"] {
            server.run_as(2, line);
        }
        let (rooms, keyspace) = (&mut server.server.rooms, &mut server.server.keyspace);
        begin(rooms, keyspace);
        for _ in 0..1000 {
            for key in [&b"watched"[..], b"other"] {
                changed::key_changed(keyspace, rooms, crate::config::NotifyClasses::STRING, "set", key);
            }
            assert_eq!(rooms.publish(b"unheard", b"message"), 0);
        }
        assert_eq!(rooms.publish(b"heard", b"message"), 1);
        let told = rooms.held.as_ref().map(|held| held.told.len());
        assert_eq!(told, Some(3), "two keys and a message");
        assert_eq!(rooms.persistence.saves.dirty, 2000);
        drop_all(rooms, keyspace);
        assert_eq!(rooms.persistence.saves.dirty, 0);
    }

    #[test]
    fn a_client_that_is_answered_meanwhile_does_not_end_the_unit() {
        let mut server = TestServer::new();
        (2..=3).for_each(|id| server.connect(id));
        server.run_as(2, "BLPOP list 0");
        server.effects();
        let (rooms, keyspace) = (&mut server.server.rooms, &mut server.server.keyspace);
        begin(rooms, keyspace);
        let push = crate::resp::OwnedArgv::from_parts([&b"RPUSH"[..], b"list", b"x"]);
        rooms.propagation.push(keyspace.index(), push);
        rooms.waiting.queue.signal(keyspace.index(), b"list");
        assert_eq!((server.run_as(3, "PING"), server.effects()), ("PONG".to_owned(), String::new()));
        let (rooms, keyspace) = (&mut server.server.rooms, &mut server.server.keyspace);
        assert_eq!(rooms.waiting.queue.ready_len(), 1);
        deliver(rooms, keyspace);
        server.run_as(3, "PING");
        assert_eq!(server.effects(), "SELECT 0 | RPUSH list x");
        assert!(!server.server.rooms.waiting.queue.has_ready());
    }
}
