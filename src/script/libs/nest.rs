//! Tables in tables without recursion: [`Nest`].
//!
//! Scripts may nest tables thousands of levels deep, which no stack of Rust's should have to bear.
//! Values of Lua's that Rust holds stand in a space of some 8000 places, so those of levels far
//! down are kept in a table of Lua's.

use mlua::{Lua, Result, Table, Value};

/// Slots of the stack that a function written in C may use, as Lua's `LUAI_MAXCSTACK`. The
/// libraries of Redis end nesting, and the number of results, where these do.
pub(super) const SLOTS: usize = 8000;

/// Results that a function in Rust can hand over to Lua.
pub(super) const RESULTS: usize = 7900;

/// Results that are no numbers: Rust holds each in a place of the space that levels need too.
pub(super) const HELD_RESULTS: usize = 7000;

/// Levels whose values Rust holds itself.
const NEAR_LEVELS: usize = 250;

/// What a table stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Values one behind the other.
    Array,
    /// Keys with values.
    Object,
}

/// A table that is read or filled.
pub(super) struct Level {
    /// The table.
    pub(super) table: Table,
    /// The key that stands last, or whose value comes next.
    pub(super) key: Value,
    /// Entries that are read from the table already, the last first. Levels far down have none.
    pub(super) ahead: Vec<(Value, Value)>,
    /// What the table is to be.
    pub(super) counts: Counts,
}

impl Level {
    /// The start of a table of `length` items.
    pub(super) fn new(table: Table, kind: Kind, length: usize) -> Self {
        let counts = Counts { kind, done: 0, length };
        Level { table, key: Value::Nil, ahead: Vec::new(), counts }
    }
}

/// How far a level is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// Array or object.
    pub(super) kind: Kind,
    /// Items done.
    pub(super) done: usize,
    /// Items in all, where that is known.
    pub(super) length: usize,
}

/// The levels around the one in work.
pub(super) struct Nest<'l> {
    lua: &'l Lua,
    near: Vec<Level>,
    far: Vec<Counts>,
    /// Table and key of the far levels, two places for each.
    shelf: Option<Table>,
}

impl<'l> Nest<'l> {
    /// No levels.
    pub(super) fn new(lua: &'l Lua) -> Self {
        Nest { lua, near: Vec::new(), far: Vec::new(), shelf: None }
    }

    /// The number of levels.
    pub(super) fn depth(&self) -> usize {
        self.near.len() + self.far.len()
    }

    /// Puts `level` around those that follow.
    pub(super) fn push(&mut self, level: Level) -> Result<()> {
        if self.near.len() < NEAR_LEVELS {
            self.near.push(level);
            return Ok(());
        }
        let shelf = match self.shelf.take() {
            Some(shelf) => shelf,
            None => self.lua.create_table()?,
        };
        shelf.raw_set(2 * self.far.len() + 1, &level.table)?;
        shelf.raw_set(2 * self.far.len() + 2, &level.key)?;
        self.far.push(level.counts);
        self.shelf = Some(shelf);
        Ok(())
    }

    /// Takes the innermost level.
    pub(super) fn pop(&mut self) -> Result<Option<Level>> {
        let (Some(counts), Some(shelf)) = (self.far.pop(), &self.shelf) else { return Ok(self.near.pop()) };
        let table = shelf.raw_get(2 * self.far.len() + 1)?;
        let key = shelf.raw_get(2 * self.far.len() + 2)?;
        Ok(Some(Level { table, key, ahead: Vec::new(), counts }))
    }
}
