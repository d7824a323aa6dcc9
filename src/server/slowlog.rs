//! The log of slow commands: [`Slowlog`].
//!
//! An entry keeps a few arguments and the beginning of each, so that the log stays small whatever
//! clients send; secrets are left out by [`super::redact`].

use super::command::Command;
use super::redact;
use crate::base::time::UnixMillis;
use crate::clients::Session;
use crate::resp::Argv;
use std::collections::VecDeque;

/// Arguments kept of a command; of more, the last place tells how many are left out.
const MAX_ARGUMENTS: usize = 32;
/// Bytes kept of an argument.
const MAX_ARGUMENT_BYTES: usize = 128;

/// One slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowCommand {
    /// Counted from 0 since the start.
    pub id: i64,
    /// When it ran.
    pub at: UnixMillis,
    /// How long it took, microseconds.
    pub us: i64,
    /// Its arguments, shortened.
    pub arguments: Vec<Vec<u8>>,
    /// Where the client comes from.
    pub addr: String,
    /// The client's name.
    pub name: Vec<u8>,
}

/// The latest slow commands, newest first.
#[derive(Debug, Default)]
pub struct Slowlog {
    entries: VecDeque<SlowCommand>,
    next_id: i64,
}

impl Slowlog {
    /// Keeps a command that took `us`; forgets the oldest beyond `max_len`.
    pub(super) fn push(
        &mut self,
        (session, command, argv): (&Session, &Command, Argv<'_>),
        at: UnixMillis,
        us: i64,
        max_len: usize,
    ) {
        self.entries.push_front(SlowCommand {
            id: self.next_id,
            at,
            us,
            arguments: shorten(command, argv),
            addr: session.connection.addr.clone(),
            name: session.name.clone(),
        });
        self.next_id += 1;
        self.entries.truncate(max_len);
    }

    /// The entries, newest first.
    #[must_use]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &SlowCommand> {
        self.entries.iter()
    }

    /// Forgets all entries; the numbering goes on.
    pub fn reset(&mut self) {
        self.entries.clear();
    }
}

fn shorten(command: &Command, argv: Argv<'_>) -> Vec<Vec<u8>> {
    let secrets = redact::secrets(command, argv);
    let kept = if argv.len() > MAX_ARGUMENTS { MAX_ARGUMENTS - 1 } else { argv.len() };
    let arguments = argv.iter().take(kept).enumerate();
    let mut arguments: Vec<_> = arguments
        .map(
            |(place, argument)| {
                if secrets.contains(place) { redact::REDACTED.to_vec() } else { cut(argument) }
            },
        )
        .collect();
    if argv.len() > kept {
        arguments.push(format!("... ({} more arguments)", argv.len() - kept).into_bytes());
    }
    arguments
}

fn cut(argument: &[u8]) -> Vec<u8> {
    if argument.len() <= MAX_ARGUMENT_BYTES {
        return argument.to_vec();
    }
    let more = argument.len() - MAX_ARGUMENT_BYTES;
    [&argument[..MAX_ARGUMENT_BYTES], format!("... ({more} more bytes)").as_bytes()].concat()
}
