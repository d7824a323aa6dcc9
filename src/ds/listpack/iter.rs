//! Walks through a listpack, from either end.

use super::encoding::{ListpackEntry, decode, next_offset};
use super::{Cursor, END, Listpack, ListpackValue};

/// Forward walk; see [`Listpack::iter`].
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    pub(super) listpack: &'a Listpack,
    pub(super) offset: usize,
}

impl Iter<'_> {
    /// Passes up to `count` elements without looking at them.
    pub fn pass(&mut self, count: usize) {
        for _ in 0..count {
            if self.listpack.bytes[self.offset] == END {
                return;
            }
            self.offset = next_offset(&self.listpack.bytes, self.offset);
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Cursor, ListpackValue<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let cursor = self.listpack.cursor_at(self.offset)?;
        let ListpackEntry { value, next } = decode(&self.listpack.bytes, self.offset);
        self.offset = next;
        Some((cursor, value))
    }
}

/// Backward walk; see [`Listpack::iter_rev`].
#[derive(Debug, Clone)]
pub struct IterRev<'a> {
    pub(super) listpack: &'a Listpack,
    pub(super) offset: usize,
}

impl<'a> Iterator for IterRev<'a> {
    type Item = (Cursor, ListpackValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let cursor = self.listpack.before(self.offset)?;
        self.offset = cursor.0;
        Some((cursor, self.listpack.value(cursor)))
    }
}
