//! The text that a library makes, with an account of its memory and work: [`Output`].

use super::work::Work;
use crate::script::meter;
use mlua::{Lua, LuaString, Result};

/// The smallest room that is made, bytes.
const FIRST_ROOM: usize = 128;

/// Bytes that become a string of Lua. They grow within the limit of memory only.
pub(super) struct Output<'l> {
    bytes: Vec<u8>,
    work: Work<'l>,
}

impl<'l> Output<'l> {
    /// No bytes.
    pub(super) fn new(lua: &'l Lua) -> Self {
        Output { bytes: Vec::new(), work: Work::new(lua) }
    }

    /// The Lua state that the text is for.
    pub(super) fn lua(&self) -> &'l Lua {
        self.work.lua()
    }

    /// The number of bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Counts work that makes no bytes.
    #[inline]
    pub(super) fn work(&mut self, units: usize) -> Result<()> {
        self.work.add(units)
    }

    /// Appends one byte.
    #[inline]
    pub(super) fn push(&mut self, byte: u8) -> Result<()> {
        self.room(1)?.push(byte);
        Ok(())
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        self.room(bytes.len())?.extend_from_slice(bytes);
        self.work.add(bytes.len())
    }

    /// Makes sure that `more` bytes can follow without asking for memory, and gives the bytes.
    #[inline]
    pub(super) fn room(&mut self, more: usize) -> Result<&mut Vec<u8>> {
        if self.bytes.capacity() - self.bytes.len() < more {
            self.grow(more)?;
        }
        Ok(&mut self.bytes)
    }

    #[cold]
    fn grow(&mut self, more: usize) -> Result<()> {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        let wanted = length.saturating_add(more).max(capacity.saturating_mul(2)).max(FIRST_ROOM);
        // While the bytes move there are both.
        meter::reserve(self.lua(), wanted.saturating_add(capacity))?;
        self.bytes.reserve_exact(wanted - length);
        Ok(())
    }

    /// The string of Lua.
    pub(super) fn finish(mut self) -> Result<LuaString> {
        self.work.tell()?;
        let copies = self.bytes.capacity().saturating_add(self.bytes.len());
        meter::reserve(self.lua(), copies)?;
        self.lua().create_string(&self.bytes)
    }
}
