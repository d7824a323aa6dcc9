//! The sequence behind lists: a counted tree of packed chunks.
//!
//! Redis's quicklist links listpacks; reaching the middle walks the links. Here the same chunks
//! hang in a [`CountedTree`], so an index costs one descent and a walk inside one chunk, and no
//! operation moves more than the elements of two chunks. A chunk is a [`Listpack`] (an RDB file
//! takes its bytes as they are), or one plain element that is too large for a listpack of the
//! configured size. A clone is a snapshot that shares all chunks; see the tree's doc.
//!
//! Pushing at either end fills one chunk after the other to the limit. At the default limit of 8
//! KiB, a million 18-byte elements take 20.1 resident bytes each (Redis 7.0.15: 20.8).
//!
//! It does not know why elements are pushed, who waits for them or which replies they become.

mod chunk;
mod iter;
#[cfg(test)]
mod tests;

pub use self::chunk::{ChunkRef, Fill};
pub use self::iter::{Iter, IterRev};

use self::chunk::Chunk;
use super::counted_tree::{ByPosition, CountedTree, Leaf, Siblings};
use super::listpack::{Listpack, ListpackValue, Needle};

/// Listpacks from outside that are larger than this are packed anew; see
/// [`ChunkList::append_listpack`].
const MAX_ADOPTED_BYTES: usize = 64 << 10;

/// A sequence of byte strings; see the module's doc.
#[derive(Clone)]
pub struct ChunkList {
    tree: CountedTree<Chunk>,
}

/// The end from which a list is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// First to last.
    Forward,
    /// Last to first.
    Backward,
}

impl std::fmt::Debug for ChunkList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl ChunkList {
    /// An empty list whose chunks are as large as `fill` says.
    pub fn new(fill: Fill) -> Self {
        Self { tree: CountedTree::new(fill) }
    }

    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.tree.len()
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the size that chunks grow to.
    pub fn fill(&self) -> Fill {
        self.tree.limits()
    }

    /// Number of chunks.
    pub fn chunk_count(&self) -> usize {
        self.tree.leaf_count()
    }

    /// Bytes allocated, extrapolated for very long lists.
    pub fn heap_bytes(&self) -> usize {
        self.tree.heap_bytes()
    }

    /// The element at `index`.
    pub fn get(&self, index: u64) -> Option<ListpackValue<'_>> {
        let (chunk, offset) = self.tree.leaf_at(index)?;
        chunk.get(offset)
    }

    /// The first element.
    pub fn front(&self) -> Option<ListpackValue<'_>> {
        self.get(0)
    }

    /// The last element.
    pub fn back(&self) -> Option<ListpackValue<'_>> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The elements from `index` to the last.
    pub fn iter_from(&self, index: u64) -> Iter<'_> {
        Iter::new(&self.tree, index)
    }

    /// All elements, first to last.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The elements from `index` back to the first. An index past the end means the last.
    pub fn iter_rev_from(&self, index: u64) -> IterRev<'_> {
        IterRev::new(&self.tree, index.saturating_add(1).min(self.len()))
    }

    /// All elements, last to first.
    pub fn iter_rev(&self) -> IterRev<'_> {
        IterRev::new(&self.tree, self.len())
    }

    /// The chunks in order, as an RDB file stores them.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkRef<'_>> {
        self.tree.leaves().map(Chunk::view)
    }

    // Both ends.

    /// Adds an element at the end.
    pub fn push_back(&mut self, element: &[u8]) {
        let fill = self.fill();
        self.tree.edit(ByPosition(self.len()), |siblings, index, _| {
            if siblings.get(index).is_some_and(|chunk| chunk.has_room(element, fill)) {
                return siblings.update(index, |chunk| chunk.push_back(element));
            }
            let chunk = Chunk::beside(siblings, index, element, fill);
            siblings.insert(siblings.len(), chunk);
        });
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, element: &[u8]) {
        let fill = self.fill();
        self.tree.edit(ByPosition(0), |siblings, _, _| {
            if siblings.get(0).is_some_and(|chunk| chunk.has_room(element, fill)) {
                return siblings.update(0, |chunk| chunk.push_front(element));
            }
            let chunk = Chunk::beside(siblings, 0, element, fill);
            siblings.insert(0, chunk);
        });
    }

    /// Removes the first element after showing it to `see`.
    pub fn pop_front_with<R>(&mut self, see: impl FnOnce(ListpackValue<'_>) -> R) -> Option<R> {
        self.take(0, see)
    }

    /// Removes the last element after showing it to `see`.
    pub fn pop_back_with<R>(&mut self, see: impl FnOnce(ListpackValue<'_>) -> R) -> Option<R> {
        self.take(self.len().checked_sub(1)?, see)
    }

    /// Removes and returns the first element.
    pub fn pop_front(&mut self) -> Option<Vec<u8>> {
        self.pop_front_with(|value| value.to_vec())
    }

    /// Removes and returns the last element.
    pub fn pop_back(&mut self) -> Option<Vec<u8>> {
        self.pop_back_with(|value| value.to_vec())
    }

    // Anywhere.

    /// Changes the element at `index`. Returns whether there is one.
    pub fn set(&mut self, index: u64, element: &[u8]) -> bool {
        if index >= self.len() {
            return false;
        }
        let fill = self.fill();
        self.tree.edit(ByPosition(index), |siblings, at, ByPosition(offset)| {
            let offset = offset as usize;
            if siblings.leaf(at).can_replace(offset, element, fill) {
                return siblings.update(at, |chunk| chunk.replace(offset, element));
            }
            let right = siblings.update(at, |chunk| {
                let right = chunk.split_off(offset + 1);
                chunk.remove(offset);
                right
            });
            put(siblings, at, element, right, fill);
        });
        true
    }

    /// Adds an element so that it stands at `index`. Returns whether `index` was within the list or
    /// its end.
    pub fn insert_before(&mut self, index: u64, element: &[u8]) -> bool {
        if index >= self.len() {
            let at_end = index == self.len();
            if at_end {
                self.push_back(element);
            }
            return at_end;
        }
        let fill = self.fill();
        self.tree.edit(ByPosition(index), |siblings, at, ByPosition(offset)| {
            let offset = offset as usize;
            if siblings.leaf(at).has_room(element, fill) {
                return siblings.update(at, |chunk| chunk.insert(offset, element));
            }
            if offset == 0 && at > 0 && siblings.leaf(at - 1).has_room(element, fill) {
                return siblings.update(at - 1, |chunk| chunk.push_back(element));
            }
            let right = siblings.update(at, |chunk| chunk.split_off(offset));
            put(siblings, at, element, right, fill);
        });
        true
    }

    /// Adds an element after the one at `index`. Returns whether there is one.
    pub fn insert_after(&mut self, index: u64, element: &[u8]) -> bool {
        index < self.len() && self.insert_before(index + 1, element)
    }

    /// Removes the element at `index`. Returns whether there is one.
    pub fn remove(&mut self, index: u64) -> bool {
        self.take(index, |_| ()).is_some()
    }

    /// Removes up to `count` elements from `start` on; whole chunks are dropped unseen.
    pub fn remove_range(&mut self, start: u64, count: u64) {
        self.tree.remove_range(start, count);
    }

    /// Removes up to `limit` elements equal to `element`, in the order of `direction`. Returns how
    /// many.
    pub fn remove_equal(&mut self, element: &[u8], limit: u64, direction: Direction) -> u64 {
        let needle = Needle::new(element);
        match direction {
            Direction::Forward => self.remove_equal_forward(needle, limit),
            Direction::Backward => self.remove_equal_backward(needle, limit),
        }
    }

    fn remove_equal_forward(&mut self, needle: Needle<'_>, limit: u64) -> u64 {
        let (mut position, mut removed) = (0, 0);
        while removed < limit
            && let Some((chunk, offset)) = self.tree.leaf_at(position)
        {
            let rest = (chunk.len() - offset) as u64;
            let found = chunk.iter_from(offset).position(|value| needle.matches(value));
            match found {
                Some(distance) => {
                    position += distance as u64;
                    removed +=
                        self.remove_equal_in_chunk(position, needle, limit - removed, Direction::Forward);
                    // The rest of the chunk holds no match before `limit`; a merge may have joined
                    // it to others, so it is simply read again from the place of the first match.
                }
                None => position += rest,
            }
        }
        removed
    }

    fn remove_equal_backward(&mut self, needle: Needle<'_>, limit: u64) -> u64 {
        let (mut end, mut removed) = (self.len(), 0);
        while removed < limit
            && end > 0
            && let Some((chunk, offset)) = self.tree.leaf_at(end - 1)
        {
            let found = chunk.iter_rev_from(offset).position(|value| needle.matches(value));
            match found {
                Some(distance) => {
                    end -= distance as u64;
                    let gone =
                        self.remove_equal_in_chunk(end - 1, needle, limit - removed, Direction::Backward);
                    (end, removed) = (end - gone, removed + gone);
                }
                None => end -= offset as u64 + 1,
            }
        }
        removed
    }

    /// Removes up to `limit` matches in the chunk that holds `position`, from there in `direction`.
    fn remove_equal_in_chunk(
        &mut self,
        position: u64,
        needle: Needle<'_>,
        limit: u64,
        direction: Direction,
    ) -> u64 {
        let fill = self.fill();
        self.tree.edit(ByPosition(position), |siblings, at, ByPosition(offset)| {
            let removed = siblings
                .update(at, |chunk| chunk.remove_equal(offset as usize, needle, limit as usize, direction));
            siblings.rebalance(at, fill);
            removed as u64
        })
    }

    // From RDB files.

    /// Adds the elements of a listpack at the end, taking the listpack as a chunk if its size
    /// allows.
    pub fn append_listpack(&mut self, listpack: Listpack) {
        if listpack.is_empty() {
            return;
        }
        if listpack.byte_len() <= MAX_ADOPTED_BYTES {
            return self.append_chunk(Chunk::Packed(listpack));
        }
        for (_, value) in listpack.iter() {
            value.with_bytes(|element| self.push_back(element));
        }
    }

    /// Adds an element at the end that a file stores as a chunk of its own.
    pub fn append_plain(&mut self, element: Vec<u8>) {
        if self.fill().is_plain(&element) {
            self.append_chunk(Chunk::Plain(element));
        } else {
            self.push_back(&element);
        }
    }

    fn append_chunk(&mut self, chunk: Chunk) {
        self.tree.edit(ByPosition(self.len()), |siblings, _, _| siblings.insert(siblings.len(), chunk));
    }

    /// Removes the element at `index` after showing it to `see`.
    fn take<R>(&mut self, index: u64, see: impl FnOnce(ListpackValue<'_>) -> R) -> Option<R> {
        if index >= self.len() {
            return None;
        }
        let fill = self.fill();
        self.tree.edit(ByPosition(index), |siblings, at, ByPosition(offset)| {
            let result = siblings.update(at, |chunk| chunk.take(offset as usize, see));
            if siblings.leaf(at).is_small(fill) {
                siblings.rebalance(at, fill);
            }
            result
        })
    }
}

impl<B: AsRef<[u8]>> Extend<B> for ChunkList {
    fn extend<I: IntoIterator<Item = B>>(&mut self, elements: I) {
        for element in elements {
            self.push_back(element.as_ref());
        }
    }
}

/// Puts `element` between the chunk at `at` and `right`, what was split off it; either may be
/// empty.
fn put(siblings: &mut Siblings<'_, Chunk>, at: usize, element: &[u8], right: Option<Chunk>, fill: Fill) {
    let mut next = at + 1;
    if siblings.leaf(at).has_room(element, fill) {
        siblings.update(at, |chunk| chunk.push_back(element));
    } else {
        siblings.insert(next, Chunk::of(element, fill));
        next += 1;
    }
    if let Some(right) = right {
        siblings.insert(next, right);
        siblings.rebalance(next, fill);
    }
    siblings.rebalance(at, fill);
}
