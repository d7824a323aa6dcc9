//! A command: what it says of itself ([`Spec`]) beside what it does ([`Handler`]), and the table
//! that finds it by name.

use super::args::Args;
use super::ctx::Ctx;
use super::error::CommandResult;
use crate::base::text::lossless;
use crate::resp::Argv;
use crate::spec::{Categories, Coming, CommandIndex, Spec};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The function that carries out a command.
pub type Handler = for<'a, 'b, 'c> fn(&'a mut Ctx<'b>, Args<'c>) -> CommandResult;

/// The user and the password a call would log in with, if it is one that logs in.
pub type Credentials = for<'a> fn(Argv<'a>) -> Option<(&'a [u8], &'a [u8])>;

/// A declared command.
#[derive(Debug)]
pub struct Command {
    /// The description of the command: arity, flags, keys, documentation.
    pub spec: Spec,
    /// The function that carries it out; `None` for a container, which only has subcommands.
    pub handler: Option<Handler>,
    /// The subcommands of a container.
    pub subcommands: &'static [Command],
    /// The argument whose string it changes a part of, however long that is.
    pub edits_string_at: Option<usize>,
    /// Finds the user and the password in a call; `None` if the command cannot log in.
    pub credentials: Option<Credentials>,
}

impl Command {
    /// A command and its handler.
    #[must_use]
    pub const fn new(spec: Spec, handler: Handler) -> Self {
        Command { spec, handler: Some(handler), subcommands: &[], edits_string_at: None, credentials: None }
    }

    /// A container of subcommands.
    #[must_use]
    pub const fn container(spec: Spec, subcommands: &'static [Command]) -> Self {
        Command { spec, handler: None, subcommands, edits_string_at: None, credentials: None }
    }

    /// Marks a command that changes a part of the string at this argument, which it always has
    /// ([`super::hold_back`]). Debug builds assert that whoever edits a string is marked
    /// ([`crate::keyspace::CheckedKeys`]).
    #[must_use]
    pub const fn edits_string_at(mut self, argument: usize) -> Self {
        self.edits_string_at = Some(argument);
        self
    }

    /// The key of the string that a call changes a part of, if it does.
    #[must_use]
    pub fn edited_string<'a>(&self, argv: Argv<'a>) -> Option<&'a [u8]> {
        self.edits_string_at.map(|argument| argv.at(argument))
    }

    /// Marks a command that can log in ([`super::login_wait`]).
    #[must_use]
    pub const fn logs_in(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Adds subcommands to a command that also runs by itself (COMMAND).
    #[must_use]
    pub const fn subcommands(mut self, subcommands: &'static [Command]) -> Self {
        self.subcommands = subcommands;
        self
    }
}

/// The result of looking up a name.
#[derive(Clone, Copy, Debug)]
pub enum Lookup {
    /// A command, or a subcommand (the second field tells how many words name it), and its
    /// index for per-command statistics.
    Found(&'static Command, usize, CommandIndex),
    /// No such command.
    Unknown,
    /// A container without such a subcommand.
    UnknownSubcommand(&'static Command),
}

/// A command, the number of words that name it, and its place in the statistics.
pub type FoundCommand = (&'static Command, usize, CommandIndex);

/// Every command by its name, renames applied. Built once at start.
#[derive(Debug)]
pub struct CommandTable {
    by_name: HashMap<Vec<u8>, (&'static Command, CommandIndex)>,
    /// Other names, each with the name it stands for: it leads nowhere when that does.
    aliases: HashMap<Vec<u8>, &'static str>,
    all: Vec<&'static Command>,
    /// Names that no command may be renamed to, because a command to come has them, renames
    /// applied.
    coming_names: HashSet<Vec<u8>>,
    coming: &'static [Coming],
}

/// Longer names are unknown without a look.
const MAX_NAME_BYTES: usize = 64;

impl CommandTable {
    /// The table of `commands`, containers first and their subcommands right behind them, which
    /// also knows the names of those to come.
    #[must_use]
    pub fn new(commands: impl IntoIterator<Item = &'static Command>, coming: &'static [Coming]) -> Self {
        let names = coming.iter().map(|coming| coming.name).filter(|name| !name.contains('|'));
        let coming_names = names.map(|name| name.as_bytes().to_vec()).collect();
        let (by_name, aliases) = (HashMap::new(), HashMap::new());
        let mut table = CommandTable { by_name, aliases, all: Vec::new(), coming_names, coming };
        for command in commands {
            let index = table.add(command);
            let previous = table.by_name.insert(command.spec.name.as_bytes().to_vec(), (command, index));
            assert!(previous.is_none(), "{} is declared twice", command.spec.name);
            let alias = command.spec.alias.map(|alias| (alias.as_bytes().to_vec(), command.spec.name));
            table.aliases.extend(alias);
            command.subcommands.iter().for_each(|sub| {
                table.add(sub);
            });
        }
        table
    }

    /// Applies `rename-command from to`; an empty `to` removes the command, and its alias goes in
    /// either case. Errors with the line that Redis prints for a bad directive.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), &'static str> {
        let (from, to) = (from.to_ascii_lowercase(), to.to_ascii_lowercase());
        if let Some(name) = self.aliases.remove(&from) {
            return self.rename_alias(name, to);
        }
        let built = self.by_name.remove(&from);
        if built.is_none() && !self.coming_names.remove(&from) {
            return Err("No such command in rename-command");
        }
        if to.is_empty() {
            return Ok(());
        }
        if self.is_taken(&to) {
            return Err("Target command name already exists");
        }
        match built {
            Some(entry) => drop(self.by_name.insert(to, entry)),
            None => drop(self.coming_names.insert(to)),
        }
        Ok(())
    }

    /// True when a command, or one to come, has this name, in any case. Source: `rename-command`.
    #[must_use]
    pub fn is_taken(&self, name: &[u8]) -> bool {
        let name = name.to_ascii_lowercase();
        self.by_name.contains_key(&name)
            || self.coming_names.contains(&name)
            || self.by_alias(&name).is_some()
    }

    /// The names that ACL rules may use, with their categories: those of [`CommandTable::all`] in
    /// its order, then those to come.
    pub fn named_in_rules(&self) -> impl Iterator<Item = (&'static str, Categories)> {
        let built = self.all.iter().map(|command| (command.spec.name, command.spec.acl_categories()));
        built.chain(self.coming.iter().map(|coming| (coming.name, coming.categories)))
    }

    /// The other names of commands, each with the name it stands for.
    pub fn aliases(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.all.iter().filter_map(|command| Some((command.spec.alias?, command.spec.name)))
    }

    fn rename_alias(&mut self, name: &'static str, to: Vec<u8>) -> Result<(), &'static str> {
        if self.is_taken(&to) {
            return Err("Target command name already exists");
        }
        if !to.is_empty() {
            self.aliases.insert(to, name);
        }
        Ok(())
    }

    /// All commands and subcommands; a [`CommandIndex`] points into it.
    #[must_use]
    pub fn all(&self) -> &[&'static Command] {
        &self.all
    }

    /// The command in this place.
    #[inline]
    #[must_use]
    pub fn at(&self, index: CommandIndex) -> &'static Command {
        self.all[usize::from(index.0)]
    }

    /// The top-level commands by the names they answer to.
    pub fn named(&self) -> impl Iterator<Item = (&[u8], &'static Command)> {
        self.by_name.iter().map(|(name, &(command, _))| (name.as_slice(), command))
    }

    /// Returns the present name of the command that is declared as `name`.
    #[must_use]
    pub fn name_now<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        let renamed = self.by_name.iter().find(|(_, (command, _))| command.spec.name == name);
        renamed.map_or(name.into(), |(now, _)| lossless(now))
    }

    /// The command of this name, in any case.
    #[must_use]
    pub fn by_name(&self, name: &[u8]) -> Option<(&'static Command, CommandIndex)> {
        let mut lower = [0; MAX_NAME_BYTES];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(&*lower).copied().or_else(|| self.by_alias(lower))
    }

    /// Finds the command that an alias stands for, while that still has its own name.
    fn by_alias(&self, alias: &[u8]) -> Option<(&'static Command, CommandIndex)> {
        let name = *self.aliases.get(alias)?;
        self.by_name.get(name.as_bytes()).copied().filter(|(command, _)| command.spec.name == name)
    }

    /// The command of this name, or the subcommand of a name such as `client|list`.
    #[must_use]
    pub fn by_full_name(&self, name: &[u8]) -> Option<&'static Command> {
        let mut words = name.splitn(2, |&byte| byte == b'|');
        let (command, _) = self.by_name(words.next()?)?;
        let Some(sub) = words.next() else { return Some(command) };
        command.subcommands.iter().find(|known| sub.eq_ignore_ascii_case(known.spec.own_name().as_bytes()))
    }

    /// Finds the command that `argv` calls, or its subcommand when it has some.
    #[must_use]
    pub fn lookup(&self, argv: Argv<'_>) -> Lookup {
        let Some((command, index)) = argv.get(0).and_then(|name| self.by_name(name)) else {
            return Lookup::Unknown;
        };
        if command.subcommands.is_empty() {
            return Lookup::Found(command, 1, index);
        }
        let Some(word) = argv.get(1) else { return Lookup::Found(command, 1, index) };
        let sub = command
            .subcommands
            .iter()
            .position(|sub| word.eq_ignore_ascii_case(sub.spec.own_name().as_bytes()));
        match sub {
            Some(sub) => {
                let offset = u16::try_from(sub).expect("a container has few subcommands");
                Lookup::Found(&command.subcommands[sub], 2, CommandIndex(index.0 + 1 + offset))
            }
            None => Lookup::UnknownSubcommand(command),
        }
    }

    fn add(&mut self, command: &'static Command) -> CommandIndex {
        let index = CommandIndex(u16::try_from(self.all.len()).expect("there are fewer than 65536 commands"));
        self.all.push(command);
        index
    }
}
