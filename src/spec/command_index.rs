//! The numbers of commands, by which they are counted and remembered without their names.

/// A command's place in the table of all commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandIndex(pub u16);
