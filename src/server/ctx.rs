//! The tools of a handler: [`Ctx`], a struct of disjoint rooms.
//!
//! The fields are public and separate so that a handler can hold a value of `db` while it writes
//! to `reply`. The methods are the doors of the house: [`Ctx::changed`] says that a key changed,
//! [`Ctx::block_on_keys`] parks the client, the `effect` methods say what is propagated.

use super::Rooms;
use super::command::Command;
use super::error::CommandError;
use super::origin::Origin;
use crate::base::text::lossless;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::clients::Session;
use crate::keyspace::Keyspace;
use crate::propagation::Effect;
use crate::resp::{Argv, OwnedArgv, Reply};
use crate::waiting::{Then, TimeoutReply, Until, Wait, WakeOn};

/// The rooms a handler may enter. See the module.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The keyspace, positioned on the session's database.
    pub db: &'a mut Keyspace,
    /// The buffer that takes the answer.
    pub reply: Reply<'a>,
    /// The client.
    pub session: &'a mut Session,
    /// Everything else the server owns.
    pub rooms: &'a mut Rooms,
    /// The commands to propagate if something changed.
    pub effect: Effect,
    /// The time of this turn.
    pub now: UnixMillis,
    /// The source of the command.
    pub origin: Origin,
    /// The running command.
    pub command: &'static Command,
    /// The number of changes the handler reported.
    pub changes: u64,
    /// How often the command counts as failed, if that is not just a look at its answer: a script
    /// may answer errors within others, and errors that were counted where they arose.
    pub failures: Option<u64>,
}

impl Ctx<'_> {
    /// True when a command that may wait looks at `key`: when it is tried again, only at the one
    /// that became ready, however many it waits for.
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

    /// True when another server or an earlier run has already accepted the command: limits on what
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
