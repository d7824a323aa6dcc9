//! The propagated commands, addressed by offset: [`Backlog`].
//!
//! Bytes are appended behind each other for as long as the server lives; the place of a byte in
//! that stream is its offset. Everybody who wants them is a *reader* with a place of its own. A
//! reader is given *blocks*: they are shared, so ten readers hold the same bytes once, and bytes
//! that all of them have read are dropped.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A reader's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReaderId(u32);

/// Bytes that lie behind each other in the stream. Readers share them.
pub type Block = Arc<Vec<u8>>;

/// The stream of effects, as far as a reader has not read it.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Oldest first, each with the offset behind its last byte.
    blocks: VecDeque<(u64, Block)>,
    /// The bytes that came behind the last block; they become one when somebody reads.
    tail: Vec<u8>,
    /// The offset behind the last block.
    sealed: u64,
    /// Up to which offset each has read: always the end of a block.
    readers: BTreeMap<ReaderId, u64>,
    last_reader: u32,
}

impl Backlog {
    /// True when anybody reads.
    #[inline]
    #[must_use]
    pub fn has_readers(&self) -> bool {
        !self.readers.is_empty()
    }

    /// The offset behind the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.sealed + self.tail.len() as u64
    }

    /// Bytes that are kept for readers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|(_, block)| block.len()).sum::<usize>() + self.tail.len()
    }

    /// Adds a reader of what comes from now on.
    pub fn join(&mut self) -> ReaderId {
        self.seal();
        self.last_reader += 1;
        let id = ReaderId(self.last_reader);
        self.readers.insert(id, self.sealed);
        self.forget_read();
        id
    }

    /// A reader has gone; what nobody else wants is dropped.
    pub fn leave(&mut self, reader: ReaderId) {
        self.readers.remove(&reader);
        if self.readers.is_empty() {
            self.seal();
        }
        self.forget_read();
    }

    /// Returns the buffer that takes the next bytes.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Returns all that `reader` has not read yet, oldest first. It has read it then.
    pub fn read(&mut self, reader: ReaderId) -> Vec<Block> {
        self.seal();
        let Some(read) = self.readers.get_mut(&reader) else { return Vec::new() };
        let from = std::mem::replace(read, self.sealed);
        let unread = self.blocks.partition_point(|(end, _)| *end <= from);
        let blocks = self.blocks.range(unread..).map(|(_, block)| Arc::clone(block)).collect();
        self.forget_read();
        blocks
    }

    /// Makes a block of what came behind the last one.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.sealed += self.tail.len() as u64;
            self.blocks.push_back((self.sealed, Arc::new(std::mem::take(&mut self.tail))));
        }
    }

    /// Drops the blocks that every reader has read.
    fn forget_read(&mut self) {
        let read = self.readers.values().min().copied().unwrap_or(self.sealed);
        while self.blocks.pop_front_if(|(end, _)| *end <= read).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(blocks: &[Block]) -> String {
        blocks.iter().map(|block| String::from_utf8_lossy(block).into_owned()).collect()
    }

    #[test]
    fn each_reader_has_its_own_place_and_all_share_the_bytes() {
        let mut backlog = Backlog::default();
        backlog.tail().extend(b"nobody");
        let first = backlog.join();
        assert_eq!((backlog.end(), backlog.bytes()), (6, 0), "what came before is nobody's");
        backlog.tail().extend(b"ab");
        let ours = backlog.read(first);
        assert_eq!((text(&ours), backlog.bytes()), ("ab".to_owned(), 0));
        let second = backlog.join();
        backlog.tail().extend(b"c");
        let one = backlog.read(first);
        backlog.tail().extend(b"de");
        assert_eq!((text(&one), backlog.bytes(), backlog.end()), ("c".to_owned(), 3, 11));
        let other = backlog.read(second);
        assert_eq!(text(&other), "cde");
        assert!(Arc::ptr_eq(&one[0], &other[0]), "the same bytes");
        assert_eq!((text(&backlog.read(first)), backlog.bytes()), ("de".to_owned(), 0));
        assert!(backlog.read(first).is_empty());
    }

    #[test]
    fn what_only_a_reader_that_has_gone_wanted_is_dropped() {
        let mut backlog = Backlog::default();
        let (slow, fast) = (backlog.join(), backlog.join());
        backlog.tail().extend(b"abc");
        backlog.read(fast);
        assert_eq!(backlog.bytes(), 3);
        backlog.leave(slow);
        assert_eq!(backlog.bytes(), 0);
        backlog.tail().extend(b"de");
        backlog.leave(fast);
        assert!(!backlog.has_readers());
        assert_eq!((backlog.bytes(), backlog.end()), (0, 5));
        assert!(backlog.read(slow).is_empty());
    }
}
