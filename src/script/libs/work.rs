//! Counting what a library does, cheaply: [`Work`].

use crate::script::meter;
use mlua::{Lua, Result};

/// Units that are collected before the meter hears of them.
const BATCH: usize = 1 << 12;

/// Work of one call that the meter has not heard of yet.
pub(super) struct Work<'l> {
    lua: &'l Lua,
    pending: usize,
}

impl<'l> Work<'l> {
    /// Nothing done so far.
    pub(super) fn new(lua: &'l Lua) -> Self {
        Work { lua, pending: 0 }
    }

    /// The Lua state that works.
    pub(super) fn lua(&self) -> &'l Lua {
        self.lua
    }

    /// Counts `units`. The error ends the script.
    #[inline]
    pub(super) fn add(&mut self, units: usize) -> Result<()> {
        self.pending = self.pending.saturating_add(units);
        if self.pending < BATCH { Ok(()) } else { self.tell() }
    }

    /// Tells the meter what is pending.
    pub(super) fn tell(&mut self) -> Result<()> {
        meter::spend(self.lua, std::mem::take(&mut self.pending))
    }
}
