//! Walks over the elements of a list: a descent per chunk, a step per element.

use super::chunk::Chunk;
use crate::ds::counted_tree::{CountedTree, Leaf};
use crate::ds::listpack::{self, ListpackValue};

/// Forward walk; see [`ChunkList::iter_from`](super::ChunkList::iter_from).
#[derive(Clone)]
pub struct Iter<'a> {
    tree: &'a CountedTree<Chunk>,
    /// The first element of the chunk after `chunk`.
    next: u64,
    chunk: ChunkIter<'a>,
}

impl<'a> Iter<'a> {
    pub(super) fn new(tree: &'a CountedTree<Chunk>, index: u64) -> Self {
        Self { tree, next: index, chunk: ChunkIter::Plain(None) }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = ListpackValue<'a>;

    #[inline]
    fn next(&mut self) -> Option<ListpackValue<'a>> {
        loop {
            if let Some(value) = self.chunk.next() {
                return Some(value);
            }
            let (chunk, offset) = self.tree.leaf_at(self.next)?;
            self.next += (chunk.len() - offset) as u64;
            self.chunk = ChunkIter::new(chunk, offset);
        }
    }
}

/// Backward walk; see [`ChunkList::iter_rev_from`](super::ChunkList::iter_rev_from).
#[derive(Clone)]
pub struct IterRev<'a> {
    tree: &'a CountedTree<Chunk>,
    /// The position after the last element of the chunk before `chunk`.
    end: u64,
    chunk: ChunkIterRev<'a>,
}

impl<'a> IterRev<'a> {
    pub(super) fn new(tree: &'a CountedTree<Chunk>, end: u64) -> Self {
        Self { tree, end, chunk: ChunkIterRev::Plain(None) }
    }
}

impl<'a> Iterator for IterRev<'a> {
    type Item = ListpackValue<'a>;

    #[inline]
    fn next(&mut self) -> Option<ListpackValue<'a>> {
        loop {
            if let Some(value) = self.chunk.next() {
                return Some(value);
            }
            let (chunk, offset) = self.tree.leaf_at(self.end.checked_sub(1)?)?;
            self.end -= offset as u64 + 1;
            self.chunk = ChunkIterRev::new(chunk, offset);
        }
    }
}

/// The elements of one chunk from a place on.
#[derive(Clone)]
pub(super) enum ChunkIter<'a> {
    Packed(listpack::Iter<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> ChunkIter<'a> {
    pub(super) fn new(chunk: &'a Chunk, offset: usize) -> Self {
        match chunk {
            Chunk::Packed(listpack) => match listpack.seek(offset) {
                Some(cursor) => Self::Packed(listpack.iter_from(cursor)),
                None => Self::Plain(None),
            },
            Chunk::Plain(element) => Self::Plain((offset == 0).then_some(element)),
        }
    }
}

impl<'a> Iterator for ChunkIter<'a> {
    type Item = ListpackValue<'a>;

    #[inline]
    fn next(&mut self) -> Option<ListpackValue<'a>> {
        match self {
            Self::Packed(iter) => iter.next().map(|(_, value)| value),
            Self::Plain(element) => element.take().map(ListpackValue::Bytes),
        }
    }
}

/// The elements of one chunk from a place back.
#[derive(Clone)]
pub(super) enum ChunkIterRev<'a> {
    Packed(listpack::IterRev<'a>),
    Plain(Option<&'a [u8]>),
}

impl<'a> ChunkIterRev<'a> {
    pub(super) fn new(chunk: &'a Chunk, offset: usize) -> Self {
        match chunk {
            Chunk::Packed(listpack) => match listpack.seek(offset) {
                Some(cursor) => Self::Packed(listpack.iter_rev_from(cursor)),
                None => Self::Plain(None),
            },
            Chunk::Plain(element) => Self::Plain((offset == 0).then_some(element)),
        }
    }
}

impl<'a> Iterator for ChunkIterRev<'a> {
    type Item = ListpackValue<'a>;

    #[inline]
    fn next(&mut self) -> Option<ListpackValue<'a>> {
        match self {
            Self::Packed(iter) => iter.next().map(|(_, value)| value),
            Self::Plain(element) => element.take().map(ListpackValue::Bytes),
        }
    }
}
