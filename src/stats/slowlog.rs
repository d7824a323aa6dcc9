//! The log of slow commands: [`Slowlog`].
//!
//! An entry keeps a few arguments and the beginning of each, so that the log stays small whatever
//! clients send; secrets are left out ([`shorten`]).

use super::redact;
use crate::base::time::UnixMillis;
use crate::resp::Argv;
use crate::spec::Spec;
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
    /// The time at which it ran.
    pub at: UnixMillis,
    /// The time that it took, microseconds.
    pub us: i64,
    /// Its arguments, shortened.
    pub arguments: Vec<Vec<u8>>,
    /// The address of the client.
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
    /// Keeps the command that `describe` makes of the number it gets; forgets the oldest beyond
    /// `max_len`.
    pub fn push(&mut self, max_len: usize, describe: impl FnOnce(i64) -> SlowCommand) {
        self.entries.push_front(describe(self.next_id));
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

/// The arguments of a command as the log keeps them: a few, the beginning of each, no secrets.
#[must_use]
pub fn shorten(spec: &Spec, argv: Argv<'_>) -> Vec<Vec<u8>> {
    let secrets = redact::secrets(spec, argv);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;
    use crate::spec::{Group, Secrets};

    fn shortened(spec: &Spec, words: &[&[u8]]) -> Vec<String> {
        let argv = OwnedArgv::from_parts(words.iter().copied());
        let kept = shorten(spec, argv.as_argv());
        kept.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }

    #[test]
    fn the_newest_are_kept_and_numbered_on_after_a_reset() {
        let mut log = Slowlog::default();
        let slow = |id| SlowCommand {
            id,
            at: UnixMillis(7),
            us: 1,
            arguments: Vec::new(),
            addr: String::new(),
            name: Vec::new(),
        };
        (0..5).for_each(|_| log.push(3, slow));
        assert_eq!(log.entries().map(|entry| entry.id).collect::<Vec<_>>(), [4, 3, 2]);
        log.reset();
        assert_eq!(log.entries().len(), 0);
        log.push(3, slow);
        assert_eq!(log.entries().next().map(|entry| entry.id), Some(5));
        log.push(0, slow);
        assert_eq!(log.entries().len(), 0, "the limit may be nothing");
    }

    #[test]
    fn arguments_are_few_short_and_no_secrets() {
        let spec =
            Spec::new("auth", Group::Connection, -2, "").secrets(Secrets::From { place: 1, most_words: 3 });
        assert_eq!(shortened(&spec, &[b"AUTH", b"me", b"pass"]), ["AUTH", "(redacted)", "(redacted)"]);
        let spec = Spec::new("sadd", Group::Set, -3, "");
        let long = [b'A'; MAX_ARGUMENT_BYTES + 1];
        assert_eq!(shortened(&spec, &[b"SADD", &long])[1], format!("{}... (1 more bytes)", "A".repeat(128)));
        assert_eq!(shortened(&spec, &[&b"x"[..]; MAX_ARGUMENTS]).len(), MAX_ARGUMENTS);
        let cut = shortened(&spec, &[&b"x"[..]; MAX_ARGUMENTS + 1]);
        assert_eq!((cut.len(), cut[31].as_str()), (MAX_ARGUMENTS, "... (2 more arguments)"));
    }
}
