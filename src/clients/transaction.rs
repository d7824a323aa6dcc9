//! The commands that a client has queued since MULTI: [`Transaction`].

use crate::resp::{Argv, OwnedArgv};
use crate::spec::{
    CommandIndex, DENYOOM, Flags, LOADING, MAY_REPLICATE, NO_ASYNC_LOADING, READONLY, STALE, WRITE,
};

/// Flags EXEC has when one of its commands has them.
const ANY: Flags = WRITE.with(READONLY).with(DENYOOM).with(MAY_REPLICATE).with(NO_ASYNC_LOADING);
/// Flags EXEC has when all of its commands have them.
const ALL: Flags = LOADING.with(STALE);

/// The commands that are queued since MULTI.
#[derive(Debug, Default)]
pub struct Transaction {
    commands: Vec<Queued>,
    /// Flags that some queued command has.
    some: Flags,
    /// Flags that a queued command lacks.
    lacking: Flags,
    /// Bytes of the queued arguments.
    bytes: usize,
    is_spoilt: bool,
    /// Some queued command logs in.
    logs_in: bool,
}

/// A queued command.
#[derive(Debug)]
pub struct Queued {
    /// The number of the command.
    pub index: CommandIndex,
    /// The number of words that name it.
    pub words: usize,
    argv: OwnedArgv,
}

impl Queued {
    /// The command as it was sent.
    #[must_use]
    pub fn argv(&self) -> Argv<'_> {
        self.argv.as_argv()
    }
}

impl Transaction {
    /// The number of commands that are queued.
    #[must_use]
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// True when no command is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Memory held, bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size_of::<Transaction>() + self.bytes + self.commands.capacity() * size_of::<Queued>()
    }

    /// Bytes of the queued arguments.
    #[must_use]
    pub fn argument_bytes(&self) -> usize {
        self.bytes
    }

    /// The queued commands, oldest first.
    #[must_use]
    pub fn commands(&self) -> &[Queued] {
        &self.commands
    }

    /// Queues a command, which has these flags.
    pub fn push(&mut self, (index, words): (CommandIndex, usize), flags: Flags, argv: Argv<'_>) {
        let argv = argv.to_owned();
        self.some |= flags & ANY;
        self.lacking |= ALL.without(flags);
        self.bytes += argv.heap_bytes();
        self.commands.push(Queued { index, words, argv });
    }

    /// The command queued last logs in.
    pub fn note_login(&mut self) {
        self.logs_in = true;
    }

    /// True when EXEC looks at a password.
    #[must_use]
    pub fn logs_in(&self) -> bool {
        self.logs_in && !self.is_spoilt
    }

    /// A command was refused, so EXEC will be.
    pub fn spoil(&mut self) {
        self.is_spoilt = true;
    }

    /// True when EXEC will be refused.
    #[must_use]
    pub fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    /// The flags of EXEC, whose own are `flags`, with those of what it would run.
    #[must_use]
    pub fn flags_of_exec(&self, flags: Flags) -> Flags {
        (flags | self.some).without(self.lacking)
    }
}
