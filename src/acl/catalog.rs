//! The commands as ACL rules see them: numbers, names, categories, and who is a subcommand of whom.
//!
//! Made once from the specs of the command table, and in their order, so that a number here is the
//! command's place there. Names are the commands' own: `rename-command` does not change what a
//! rule calls them.

use crate::spec::{Categories, Category, Spec};
use std::collections::HashMap;
use std::ops::Range;

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
    subcommands: Range<usize>,
}

/// Longer names are unknown without a look.
const MAX_NAME_BYTES: usize = 64;

impl Catalog {
    /// The catalog of `specs`: containers first, their subcommands right behind them.
    #[must_use]
    pub fn new(specs: impl IntoIterator<Item = &'static Spec>) -> Catalog {
        let mut catalog = Catalog { entries: Vec::new(), by_name: HashMap::new() };
        let mut container = 0;
        for (number, spec) in specs.into_iter().enumerate() {
            if spec.name.contains('|') {
                catalog.entries[container].subcommands.end = number + 1;
            } else {
                container = number;
            }
            let subcommands = number + 1..number + 1;
            let categories = spec.acl_categories();
            catalog.entries.push(Entry { name: spec.name, categories, subcommands });
            catalog.by_name.insert(spec.name, number);
        }
        catalog
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
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

    /// Whether a command is in a category.
    pub(super) fn is_in(&self, command: usize, category: Category) -> bool {
        self.entries[command].categories.contains(category)
    }

    /// The numbers of a command's subcommands.
    pub(super) fn subcommands(&self, command: usize) -> Range<usize> {
        self.entries[command].subcommands.clone()
    }

    /// Whether it is a subcommand.
    pub(super) fn is_subcommand(&self, command: usize) -> bool {
        self.entries[command].name.contains('|')
    }
}
