//! The commands as ACL rules see them: numbers, names, categories, and who is a subcommand of whom.
//!
//! Made once from the command table, and in its order, so that a number here is the command's place
//! there; the names of commands to come follow, for rules may speak of them. Names are the
//! commands' own: `rename-command` does not change what a rule calls them.

use crate::spec::{Categories, Category};
use std::collections::HashMap;

/// All commands and subcommands.
#[derive(Debug)]
pub struct Catalog {
    entries: Vec<Entry>,
    by_name: HashMap<&'static str, usize>,
}

/// One command.
#[derive(Debug)]
struct Entry {
    name: &'static str,
    categories: Categories,
    /// The numbers of its subcommands; empty if it has none.
    subcommands: Vec<usize>,
}

/// Longer names are unknown without a look.
const MAX_NAME_BYTES: usize = 64;

impl Catalog {
    /// The catalog of these names, containers before their subcommands, and of these other names,
    /// each with the one it stands for.
    #[must_use]
    pub fn new(
        commands: impl IntoIterator<Item = (&'static str, Categories)>,
        aliases: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Catalog {
        let mut catalog = Catalog { entries: Vec::new(), by_name: HashMap::new() };
        for (number, (name, categories)) in commands.into_iter().enumerate() {
            if let Some((container, _)) = name.split_once('|') {
                let container = catalog.by_name[container];
                catalog.entries[container].subcommands.push(number);
            }
            catalog.entries.push(Entry { name, categories, subcommands: Vec::new() });
            catalog.by_name.insert(name, number);
        }
        for (alias, name) in aliases {
            let number = catalog.by_name[name];
            catalog.by_name.insert(alias, number);
        }
        catalog
    }

    /// Returns the number of commands.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names of all commands in a category, subcommands as `config|get`. Source: ACL CAT.
    pub fn in_category(&self, category: Category) -> impl Iterator<Item = &'static str> {
        let members = self.entries.iter().filter(move |entry| entry.categories.contains(category));
        members.map(|entry| entry.name)
    }

    /// The number of a command, or of a subcommand written `config|get`, in any case.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        let mut lower = [0; MAX_NAME_BYTES];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        self.by_name.get(std::str::from_utf8(lower).ok()?).copied()
    }

    /// A command's full name.
    pub(super) fn name(&self, command: usize) -> &'static str {
        self.entries[command].name
    }

    /// True when a command is in a category.
    pub(super) fn is_in(&self, command: usize, category: Category) -> bool {
        self.entries[command].categories.contains(category)
    }

    /// The numbers of a command's subcommands.
    pub(super) fn subcommands(&self, command: usize) -> &[usize] {
        &self.entries[command].subcommands
    }

    /// True when it is a subcommand.
    pub(super) fn is_subcommand(&self, command: usize) -> bool {
        self.entries[command].name.contains('|')
    }
}
