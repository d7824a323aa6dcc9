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
//! | effects, clients to wake | are the unit's: nobody looks before its end | cut off |
//! | changes since the last save, expired keys, what is not on disk | counted | taken back |
//! | what FLUSHALL says of saves | kept | forgotten |
//!
//! So a script takes memory for what it has touched and for what it sends, however many commands it
//! runs. A script in a transaction begins and ends within the transaction's unit.

use super::Rooms;
use super::ctx::Ctx;
use super::held::{Before, HeldChanges, Told};
use super::{changed, saving};
use crate::keyspace::Keyspace;
use crate::pubsub::Topic;

/// From now on nobody is told of what changes, until [`deliver`] or [`drop_all`]; the changes can
/// be undone.
pub fn begin(rooms: &mut Rooms, keyspace: &mut Keyspace) {
    debug_assert!(rooms.held.is_none(), "a script runs no script");
    changed::report_all_findings(keyspace, rooms);
    keyspace.begin_undo();
    rooms.watches.hold();
    rooms.held = Some(Box::new(HeldChanges::new(Before {
        dirty: rooms.persistence.saves.dirty,
        expired_keys: rooms.stats.counters.expired_keys,
        ready_keys: rooms.waiting.queue.ready_len(),
        unit: rooms.propagation.mark_unit(),
        unsynced: rooms.persistence.aof.noted_unsynced(),
        in_doubt: rooms.clients.in_doubt,
    })));
}

/// Tells everybody what has changed since [`begin`], in order. It can no longer be undone.
pub fn deliver(rooms: &mut Rooms, keyspace: &mut Keyspace) {
    changed::report_all_findings(keyspace, rooms);
    keyspace.end_undo();
    let Some(mut held) = rooms.held.take() else { return };
    rooms.watches.deliver();
    held.take_told().into_iter().for_each(|told| tell(rooms, told));
    if held.gives_up_save {
        saving::give_up_background(keyspace, rooms);
    }
    if held.schedules_save {
        rooms.persistence.jobs.schedule_save();
    }
}

fn tell(rooms: &mut Rooms, told: Told) {
    match told {
        Told::Invalidated(key, cause) => rooms.invalidate(&key, cause),
        Told::AllInvalidated => rooms.invalidate_all(),
        Told::Message(Topic::Shard, channel, message) => {
            rooms.publish_shard(&channel, &message);
        }
        Told::Message(Topic::Channel | Topic::Pattern, channel, message) => {
            rooms.publish(&channel, &message);
        }
    }
}

/// Puts everything back as it was at [`begin`]; nobody is told anything.
pub fn drop_all(rooms: &mut Rooms, keyspace: &mut Keyspace) {
    keyspace.roll_back();
    let Some(held) = rooms.held.take() else { return };
    rooms.watches.drop_held();
    let before = held.before;
    // A save that ended meanwhile has made it less.
    rooms.persistence.saves.dirty = rooms.persistence.saves.dirty.min(before.dirty);
    rooms.stats.counters.expired_keys = before.expired_keys;
    rooms.waiting.queue.forget_ready_after(before.ready_keys);
    rooms.propagation.cut_unit(&before.unit);
    rooms.persistence.aof.forget_unsynced_after(before.unsynced);
    rooms.clients.in_doubt = before.in_doubt;
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

    /// Runs a command as a script does, and returns its answer.
    #[cfg(test)]
    pub(crate) fn call_as_script(&mut self, argv: crate::resp::Argv<'_>) -> Vec<u8> {
        use super::{Origin, call};
        use crate::resp::{Protocol, Reply};
        let mut answer = Vec::new();
        let reply = Reply::new(&mut answer, Protocol::Resp2);
        let entry = call::find(self.rooms, self.session, argv).expect("tests name real commands");
        call::call(self.db, self.rooms, self.session, reply, entry, argv, Origin::Script);
        answer
    }
}
