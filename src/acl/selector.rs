//! One set of permissions: commands, keys, channels; and whether a call fits into it.
//!
//! Commands are a bit each, plus one for commands that are not known yet. A selector that allows
//! everything of a kind says so in a flag, which a check looks at first.

use super::Catalog;
use crate::base::glob::{Budget, Case, glob_match};
use crate::resp::Argv;
use crate::spec::{ACCESS, Category, Channels, DELETE, INSERT, KeyFlags, KeyRef, NO_AUTH, Spec, UPDATE};
use std::collections::BTreeMap;

/// The reason why a call is refused. Later kinds weigh more when several selectors refuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The command.
    Command,
    /// The key at this place of the call.
    Key(usize),
    /// The channel at this place of the call.
    Channel(usize),
}

/// Keys a selector knows, and what may be done to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) pattern: Vec<u8>,
    pub(super) may: Access,
}

/// The access to a key that is allowed, or needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Access {
    /// Reading and writing.
    pub(super) const ALL: Access = Access { read: true, write: true };
    /// Only reading.
    const READ: Access = Access { read: true, write: false };

    fn includes(self, wanted: Access) -> bool {
        (self.read || !wanted.read) && (self.write || !wanted.write)
    }

    /// Returns the access that a call needs that does this to a key. Redis: what is only looked at
    /// without telling of its value needs no more than any permission.
    fn needed(flags: KeyFlags) -> Access {
        Access { read: flags.contains(ACCESS), write: flags.intersects(INSERT.with(DELETE).with(UPDATE)) }
    }
}

/// Permissions that hold together. See the module.
#[derive(Clone, Debug)]
pub struct Selector {
    bits: Vec<u64>,
    /// True when it was told to allow all commands and none was taken away since.
    pub(super) all_commands: bool,
    /// True when it allows commands that a later version may have.
    pub(super) future_commands: bool,
    /// First arguments with which a command may be called that it may not be called otherwise.
    pub(super) first_args: BTreeMap<usize, Vec<Vec<u8>>>,
    pub(super) all_keys: bool,
    pub(super) keys: Vec<KeyPattern>,
    pub(super) all_channels: bool,
    pub(super) channels: Vec<Vec<u8>>,
}

impl Selector {
    /// One that allows nothing, or all channels and nothing else.
    pub(super) fn new(catalog: &Catalog, all_channels: bool) -> Selector {
        Selector {
            bits: vec![0; catalog.len().div_ceil(64)],
            all_commands: false,
            future_commands: false,
            first_args: BTreeMap::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels,
            channels: Vec::new(),
        }
    }

    /// True when it allows everything.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// True when a command may be called with any arguments.
    pub(super) fn has(&self, command: usize) -> bool {
        self.bits[command / 64] & (1 << (command % 64)) != 0
    }

    /// Allows or forbids a command with all its subcommands.
    pub(super) fn set_command(&mut self, catalog: &Catalog, command: usize, allowed: bool) {
        self.set_bit(command, allowed);
        self.first_args.remove(&command);
        catalog.subcommands(command).iter().for_each(|&sub| self.set_bit(sub, allowed));
    }

    fn set_bit(&mut self, command: usize, allowed: bool) {
        let bit = 1 << (command % 64);
        if allowed {
            self.bits[command / 64] |= bit;
        } else {
            self.bits[command / 64] &= !bit;
            self.all_commands = false;
        }
    }

    /// Allows or forbids all commands, those to come included.
    pub(super) fn set_all_commands(&mut self, allowed: bool) {
        self.bits.fill(if allowed { u64::MAX } else { 0 });
        self.first_args.clear();
        self.all_commands = allowed;
        self.future_commands = allowed;
    }

    /// Allows or forbids the commands of a category. Redis: a container takes its subcommands
    /// along.
    pub(super) fn set_category(&mut self, catalog: &Catalog, category: Category, allowed: bool) {
        for command in (0..catalog.len()).filter(|&command| catalog.is_in(command, category)) {
            self.set_command(catalog, command, allowed);
        }
    }

    /// True when both allow the same commands.
    pub(super) fn has_commands_of(&self, other: &Selector) -> bool {
        self.bits == other.bits
    }

    /// Checks if a call of command number `command` is allowed; the error says why not.
    pub(super) fn check(&self, command: usize, spec: &Spec, call: &mut Call<'_>) -> Result<(), Denial> {
        let is_open = self.all_commands || spec.flags.contains(NO_AUTH);
        if !is_open && !self.has(command) && !self.has_first_arg(command, call.argv) {
            return Err(Denial::Command);
        }
        if !self.all_keys && spec.has_keys() {
            self.check_keys(spec, call)?;
        }
        if !self.all_channels && spec.channels != Channels::None {
            self.check_channels(spec.channels, call)?;
        }
        Ok(())
    }

    fn has_first_arg(&self, command: usize, argv: Argv<'_>) -> bool {
        let (Some(allowed), Some(arg)) = (self.first_args.get(&command), argv.get(1)) else { return false };
        allowed.iter().any(|known| known.eq_ignore_ascii_case(arg))
    }

    fn check_keys(&self, spec: &Spec, call: &mut Call<'_>) -> Result<(), Denial> {
        let argv = call.argv;
        let (keys, budget) = call.keys(spec);
        let denied = keys.iter().find(|key| !self.admits_key(argv.at(key.index), key.flags, budget));
        denied.map_or(Ok(()), |key| Err(Denial::Key(key.index)))
    }

    fn admits_key(&self, key: &[u8], flags: KeyFlags, budget: &mut Budget) -> bool {
        let needed = Access::needed(flags);
        let mut able = self.keys.iter().filter(|known| known.may.includes(needed));
        able.any(|known| admits_text(&known.pattern, key, budget))
    }

    fn check_channels(&self, channels: Channels, call: &mut Call<'_>) -> Result<(), Denial> {
        let argv = call.argv;
        let (last, are_patterns) = match channels {
            Channels::None | Channels::Unsubscribe | Channels::UnsubscribePatterns => return Ok(()),
            Channels::Publish => (2, false),
            Channels::Subscribe => (argv.len(), false),
            Channels::SubscribePatterns => (argv.len(), true),
        };
        let mut places = 1..last.min(argv.len());
        let denied = places.find(|&at| !admits(&self.channels, argv.at(at), are_patterns, &mut call.budget));
        denied.map_or(Ok(()), |at| Err(Denial::Channel(at)))
    }

    /// True when a call may read keys that its arguments do not name, whichever they are.
    pub(super) fn reads_any_key(&self) -> bool {
        let every = |known: &KeyPattern| known.pattern == b"*" && known.may.includes(Access::READ);
        self.all_keys || self.keys.iter().any(every)
    }
}

/// Tells if one of `allowed` admits a channel. Redis: a pattern must be allowed literally, for what
/// it matches cannot be compared.
pub(super) fn admits<P: AsRef<[u8]>>(
    allowed: &[P],
    channel: &[u8],
    is_pattern: bool,
    budget: &mut Budget,
) -> bool {
    allowed.iter().any(|known| {
        let known = known.as_ref();
        if is_pattern { known == channel } else { admits_text(known, channel, budget) }
    })
}

/// True when a pattern admits a key or a channel. A text that takes too long to match is not
/// admitted.
fn admits_text(pattern: &[u8], text: &[u8], budget: &mut Budget) -> bool {
    glob_match(pattern, text, Case::Sensitive, budget).unwrap_or(false)
}

/// A call under examination; its keys are searched once for all selectors, and all matches share a
/// budget.
pub(super) struct Call<'a> {
    argv: Argv<'a>,
    keys: Option<Vec<KeyRef>>,
    budget: Budget,
}

impl<'a> Call<'a> {
    pub(super) fn new(argv: Argv<'a>) -> Self {
        Call { argv, keys: None, budget: Budget::COMMAND }
    }

    fn keys(&mut self, spec: &Spec) -> (&[KeyRef], &mut Budget) {
        (self.keys.get_or_insert_with(|| spec.find_keys(self.argv)), &mut self.budget)
    }
}
