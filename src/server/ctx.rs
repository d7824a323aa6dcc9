//! What a handler works with: [`Ctx`], a struct of disjoint rooms.
//!
//! The fields are public and separate so that a handler can hold a value of `db` while it writes
//! to `reply`. The methods are the doors of the house: [`Ctx::changed`] says that a key changed,
//! [`Ctx::block_on_keys`] parks the client, the `effect` methods say what is propagated.

use super::Rooms;
use super::command::Command;
use super::error::CommandError;
use super::loading::ReloadSteps;
use super::origin::Origin;
use super::{changed, loading, saving};
use crate::base::text::lossless;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::clients::Session;
use crate::config::NotifyClasses;
use crate::keyspace::{DbIndex, Keyspace};
use crate::persistence::SaveReason;
use crate::propagation::Effect;
use crate::resp::{Argv, OwnedArgv, Reply};
use crate::waiting::{Then, TimeoutReply, Until, Wait, WakeOn};

/// The rooms a handler may enter. See the module.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The keyspace, positioned on the session's database.
    pub db: &'a mut Keyspace,
    /// Where the answer goes.
    pub reply: Reply<'a>,
    /// The client.
    pub session: &'a mut Session,
    /// Everything else the server owns.
    pub rooms: &'a mut Rooms,
    /// What is propagated if something changed.
    pub effect: Effect,
    /// The time of this turn.
    pub now: UnixMillis,
    /// Where the command comes from.
    pub origin: Origin,
    /// The running command.
    pub command: &'static Command,
    /// How many changes the handler reported.
    pub changes: u64,
}

impl Ctx<'_> {
    /// Says that `key` of the current database changed, and what happened to it. This alone keeps
    /// the books: dirty count, watchers, tracking, notifications, waking parked clients.
    pub fn changed(&mut self, class: NotifyClasses, event: &str, key: &[u8]) {
        self.changes += 1;
        changed::key_changed(self.db, self.rooms, class, event, key);
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
        changed::key_changed(db, self.rooms, class, event, key);
        self.place_own();
    }

    /// Says that a second key, of any database, took part in a change that is counted already:
    /// the new name of RENAME.
    pub fn also_changed(&mut self, db: DbIndex, class: NotifyClasses, event: &str, key: &[u8]) {
        let Some(db) = self.db.at(db) else { return };
        changed::key_touched(db, self.rooms, class, event, key);
        self.place_own();
    }

    /// Removes every key of some databases. Who tracks keys is told once.
    pub fn flush_dbs(&mut self, dbs: impl IntoIterator<Item = DbIndex>) {
        for db in dbs {
            let removed = changed::flush(self.db, self.rooms, db);
            self.changed_db(db, removed as u64);
        }
        if self.rooms.tracking.tables.is_active() {
            self.rooms.invalidate_all();
        }
    }

    /// Exchanges the keys of two databases, which exist.
    pub fn swap_dbs(&mut self, one: DbIndex, two: DbIndex) {
        changed::swap(self.db, self.rooms, one, two);
        self.changed_db(one, 1);
        self.changed_db(two, 0);
    }

    /// Says that a whole database changed, which counts as `count` changes: it was emptied or
    /// exchanged. Whoever waits for one of its keys looks again.
    fn changed_db(&mut self, db: DbIndex, count: u64) {
        changed::settle_all(self.db, self.rooms);
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
        changed::notify(self.rooms, self.db.index(), NotifyClasses::GENERIC, "del", key);
        self.place_own();
    }

    /// Announces what was found out so far about keys of all databases, before a change is
    /// reported: MOVE tells that the key is new there before it tells of the move.
    pub fn settle(&mut self) {
        changed::settle_all(self.db, self.rooms);
        self.place_own();
    }

    /// An event for subscribers of notifications, when no key changed or a second event belongs
    /// to a change already reported.
    pub fn notify(&mut self, class: NotifyClasses, event: &str, key: &[u8]) {
        changed::notify(self.rooms, self.db.index(), class, event, key);
        self.place_own();
    }

    /// Adds to the dirty counter for a change that was reported by [`Ctx::also_changed`].
    pub fn count_changes(&mut self, count: u64) {
        self.changes += count;
        self.rooms.persistence.saves.dirty += count;
    }

    /// Whether a command that may wait looks at `key`: when it is tried again, only at the one that
    /// became ready, however many it waits for.
    #[must_use]
    pub fn may_serve(&self, key: &[u8]) -> bool {
        self.origin != Origin::Unparked || self.rooms.waiting.queue.serving() == Some(key)
    }

    /// Parks the client with this command until one of `keys` holds what the command's group is
    /// about, or `deadline` passes. The handler returns right after it, without an answer. In a
    /// transaction or a script nothing can be waited for: `timeout_reply` is given at once.
    pub fn block_on_keys<'k>(
        &mut self,
        argv: Argv<'_>,
        keys: impl IntoIterator<Item = &'k [u8]>,
        deadline: Option<MonotonicMillis>,
        timeout_reply: TimeoutReply,
    ) {
        match self.origin {
            Origin::Client => {
                let keys = keys.into_iter().map(<[u8]>::to_vec).collect();
                let until = Until::Keys(keys, WakeOn::of(self.command.spec.group));
                let wait = Wait::new(until, Then::RunAgain(argv.to_owned()), self.db.index());
                self.rooms.park(self.session, wait.or_at(deadline, timeout_reply));
            }
            // Not yet: the wait from before is kept.
            Origin::Unparked => {
                let wait = Wait::new(Until::AsBefore, Then::Answered, self.db.index());
                self.session.parked = Some(Box::new(wait));
            }
            Origin::Transaction | Origin::Script | Origin::AofLoad | Origin::Primary => match timeout_reply {
                TimeoutReply::NullArray | TimeoutReply::RunAgain => self.reply.null_array(),
                TimeoutReply::Null => self.reply.null(),
                TimeoutReply::Integer(value) => self.reply.integer(value),
            },
        }
    }

    /// Parks the client until the server completes a task for it.
    pub fn block_on_task(&mut self) {
        let wait = Wait::new(Until::Completed, Then::Answered, self.db.index());
        self.rooms.park(self.session, wait);
    }

    /// Whether another server or an earlier run has already accepted the command: limits on what
    /// a client may ask for do not apply.
    #[must_use]
    pub fn must_obey(&self) -> bool {
        matches!(self.origin, Origin::Primary | Origin::AofLoad)
    }

    /// Propagates this instead of the command itself.
    pub fn propagate_instead<'p>(&mut self, parts: impl IntoIterator<Item = &'p [u8]>) {
        if self.rooms.propagation.is_wanted() {
            self.effect.replace(OwnedArgv::from_parts(parts));
        }
    }

    /// Propagates nothing, although something changed.
    pub fn propagate_nothing(&mut self) {
        self.effect = Effect::Nothing;
    }

    /// Lets every part go by the parameters as they are now. Source: CONFIG SET.
    pub fn apply_config(&mut self) {
        super::apply_config::apply_config(self.db, self.rooms);
    }

    /// Takes a snapshot of this moment and has it written on another thread.
    pub fn begin_save(&mut self, reason: SaveReason) {
        saving::begin(self.db, self.rooms, reason);
    }

    /// Gives up the background save under way, whose data is of no use any more. Source: FLUSHALL.
    pub fn give_up_background_save(&mut self) {
        if self.rooms.persistence.jobs.saving() == Some(SaveReason::Background) {
            saving::cancel(self.db, self.rooms);
        }
    }

    /// Writes the data set and reads it back. Errors in words. Source: DEBUG RELOAD.
    pub fn reload(&mut self, steps: ReloadSteps) -> Result<(), String> {
        loading::reload(self.db, self.rooms, steps)
    }

    /// The error of a subcommand or option that `HELP` would explain.
    #[must_use]
    pub fn unknown_subcommand(&self, word: &[u8]) -> CommandError {
        let container = self.command.spec.name.split('|').next().unwrap_or_default();
        let container = self.rooms.commands.name_now(container).to_ascii_uppercase();
        let word = lossless(&word[..word.len().min(128)]);
        CommandError::line(format!(
            "ERR unknown subcommand or wrong number of arguments for '{word}'. Try {container} HELP."
        ))
    }
}
