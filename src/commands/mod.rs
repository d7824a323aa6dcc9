//! What users can say: one file per Redis *group* (what COMMAND DOCS reports). [`table`] is all of it.
//!
//! Each file begins with its `COMMANDS`, a const table of [`Command`]s, and its handlers follow.
//! Command files do not import each other; what two families share is a type in `keyspace/` or a
//! helper here.

pub mod string;
#[cfg(test)]
pub mod testing;

use crate::server::{Command, CommandTable};

/// The tables of all groups.
const GROUPS: &[&[Command]] = &[string::COMMANDS];

/// Every command by its name.
#[must_use]
pub fn table() -> CommandTable {
    CommandTable::new(GROUPS.iter().copied().flatten())
}
