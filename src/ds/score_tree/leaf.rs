//! One leaf of a [`ScoreTree`](super::ScoreTree): pairs one after the other, in order.
//!
//! ```text
//! pair = | head | score | member |
//! head = member's length × 4 + form, as a varint of seven bits a byte, lowest first
//! score = 4, 5, 6 or 8 bytes (form 0, 1, 2, 3), see [`score`]
//! ```
//!
//! There is no table of offsets: a search steps over lengths, about a hundred steps through memory
//! the processor fetches ahead, and two bytes per member stay free.

use super::Edge;
use crate::ds::counted_tree::Leaf;
use crate::ds::score::{self, ShortScore};
use crate::ds::size_class::size_class;

/// A leaf with several pairs is not larger than this.
pub(super) const MAX_LEAF_BYTES: usize = 4 << 10;

/// The length of a score by its form, bytes.
const SCORE_BYTES: [usize; 1 << FORM_BITS] = [4, 5, 6, 8];
const FORM_BITS: u32 = 2;

/// A decoded pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScoredMember<'a> {
    pub(super) score: f64,
    pub(super) member: &'a [u8],
}

/// The place where a pair is, or belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) offset: usize,
}

impl Place {
    /// The first pair.
    pub(super) const START: Self = Self { index: 0, offset: 0 };
}

/// Pairs in one allocation.
#[derive(Clone)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    count: u32,
    /// Offset of the last pair.
    last: u32,
}

/// The bytes of a pair.
pub(super) fn encode(score: f64, member: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(member.len() + 18);
    let score = ShortScore::new(score);
    let score = score.as_bytes();
    let form = SCORE_BYTES.iter().position(|&bytes| bytes == score.len()).expect("a score has such a length");
    let mut head = member.len() << FORM_BITS | form;
    while head > 127 {
        entry.push(head as u8 | 128);
        head >>= 7;
    }
    entry.push(head as u8);
    entry.extend_from_slice(score);
    entry.extend_from_slice(member);
    entry
}

/// The first eight bytes of a member as a number that compares as they do.
pub(super) fn prefix(member: &[u8]) -> u64 {
    match member.first_chunk() {
        Some(start) => u64::from_be_bytes(*start),
        None => {
            let mut start = [0; 8];
            start[..member.len()].copy_from_slice(member);
            u64::from_be_bytes(start)
        }
    }
}

/// The pairs in `bytes`.
pub(super) fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { bytes, offset: 0 }
}

/// Walk over pairs; see [`entries`].
#[derive(Clone)]
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = ScoredMember<'a>;

    #[inline]
    fn next(&mut self) -> Option<ScoredMember<'a>> {
        let (entry, rest) = decode(self.bytes.get(self.offset..)?)?;
        self.offset = self.bytes.len() - rest.len();
        Some(entry)
    }
}

/// The pair `bytes` begin with, and what follows it.
#[inline]
fn decode(bytes: &[u8]) -> Option<(ScoredMember<'_>, &[u8])> {
    let (&first, mut rest) = bytes.split_first()?;
    let mut head = usize::from(first);
    if first > 127 {
        (head, rest) = long_head(bytes)?;
    }
    let (score, rest) = rest.split_at_checked(SCORE_BYTES[head % SCORE_BYTES.len()])?;
    let (member, rest) = rest.split_at_checked(head >> FORM_BITS)?;
    let score = score::read(score);
    Some((ScoredMember { score, member }, rest))
}

fn long_head(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let size = bytes.iter().position(|&byte| byte < 128)? + 1;
    let (head, rest) = bytes.split_at(size);
    Some((head.iter().rev().fold(0, |head, &byte| head << 7 | usize::from(byte & 127)), rest))
}

/// Cuts `bytes` into `parts` leaves of about the same size; more if pairs are so large that one
/// would be larger than a leaf may be.
pub(super) fn spread(bytes: &[u8], parts: usize) -> Vec<Chunk> {
    let mut leaves = Vec::with_capacity(parts);
    let (mut start, mut count, mut last) = (0, 0, 0);
    let mut walk = entries(bytes);
    loop {
        let offset = walk.offset;
        let more = walk.next().is_some();
        let middle = offset + (walk.offset - offset) / 2;
        let due = middle * parts > bytes.len() * (leaves.len() + 1);
        if count > 0 && (!more || due || walk.offset - start > MAX_LEAF_BYTES) {
            leaves.push(Chunk::packed(&bytes[start..offset], count, last - start));
            (start, count) = (offset, 0);
        }
        if !more {
            return leaves;
        }
        (count, last) = (count + 1, offset);
    }
}

impl Chunk {
    /// A leaf of one pair, with room for `room` bytes in all.
    pub(super) fn of(entry: &[u8], room: usize) -> Self {
        let mut bytes = Vec::with_capacity(size_class(entry.len().max(room)));
        bytes.extend_from_slice(entry);
        Self { bytes, count: 1, last: 0 }
    }

    fn packed(entries: &[u8], count: u32, last: usize) -> Self {
        let mut bytes = Vec::with_capacity(size_class(entries.len()));
        bytes.extend_from_slice(entries);
        Self { bytes, count, last: last as u32 }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    pub(super) fn has_room(&self, entry: &[u8]) -> bool {
        self.bytes.len() + entry.len() <= MAX_LEAF_BYTES
    }

    /// True when the leaf holds one pair that is larger than a leaf.
    pub(super) fn is_oversized(&self) -> bool {
        self.bytes.len() > MAX_LEAF_BYTES
    }

    /// The first pair; leaves in a tree have one.
    pub(super) fn first(&self) -> ScoredMember<'_> {
        entries(&self.bytes).next().expect("leaves are not empty")
    }

    pub(super) fn last(&self) -> Option<ScoredMember<'_>> {
        self.entry(self.last_place())
    }

    pub(super) fn last_place(&self) -> Place {
        Place { index: self.count().saturating_sub(1), offset: self.last as usize }
    }

    /// The place after the last pair.
    pub(super) fn end(&self) -> Place {
        Place { index: self.count(), offset: self.bytes.len() }
    }

    pub(super) fn entry(&self, place: Place) -> Option<ScoredMember<'_>> {
        entries(self.bytes.get(place.offset..)?).next()
    }

    /// True when all pairs lie before `edge`.
    pub(super) fn is_before(&self, edge: Edge<'_>) -> bool {
        self.last().is_none_or(|last| edge.is_after(last.score, last.member))
    }

    /// The place of the first pair that does not lie before `edge`.
    pub(super) fn search(&self, edge: Edge<'_>) -> Place {
        // The loop is the hot one of the tree: one per kind of edge, not one that asks at every
        // pair.
        match edge {
            Edge::BeforeScore(edge) => self.search_by(|entry| entry.score < edge),
            Edge::AfterScore(edge) => self.search_by(|entry| entry.score <= edge),
            Edge::Before(edge, name) => {
                self.search_by(|entry| entry.score < edge || (entry.score == edge && entry.member < name))
            }
            Edge::After(edge, name) => {
                self.search_by(|entry| entry.score < edge || (entry.score == edge && entry.member <= name))
            }
        }
    }

    #[inline]
    fn search_by(&self, is_before: impl Fn(ScoredMember<'_>) -> bool) -> Place {
        let (mut index, mut rest) = (0, &self.bytes[..]);
        while let Some((entry, after)) = decode(rest)
            && is_before(entry)
        {
            (index, rest) = (index + 1, after);
        }
        Place { index, offset: self.bytes.len() - rest.len() }
    }

    /// True when the pair at `place` is this one.
    pub(super) fn holds(&self, place: Place, score: f64, member: &[u8]) -> bool {
        self.entry(place).is_some_and(|entry| entry.score == score && entry.member == member)
    }

    pub(super) fn insert(&mut self, offset: usize, entry: &[u8]) {
        let end = self.bytes.len();
        let needed = end + entry.len();
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(size_class(needed) - end);
        }
        self.bytes.extend_from_slice(entry);
        if offset == end {
            self.last = offset as u32;
        } else {
            self.bytes.copy_within(offset..end, offset + entry.len());
            self.bytes[offset..offset + entry.len()].copy_from_slice(entry);
            self.last += entry.len() as u32;
        }
        self.count += 1;
    }

    pub(super) fn remove(&mut self, place: Place) {
        let mut walk = entries(&self.bytes[place.offset..]);
        walk.next();
        let size = walk.offset;
        self.cut(place.offset, place.offset + size, 1);
    }

    /// Gives back the room kept for growing.
    pub(super) fn close(&mut self) {
        self.bytes.shrink_to_fit();
    }

    fn offset_of(&self, index: usize) -> usize {
        let mut walk = entries(&self.bytes);
        if index > 0 {
            walk.nth(index - 1);
        }
        walk.offset
    }

    fn cut(&mut self, from: usize, to: usize, count: usize) {
        let was_last = to == self.bytes.len();
        self.bytes.copy_within(to.., from);
        self.bytes.truncate(self.bytes.len() - (to - from));
        self.count -= count as u32;
        if was_last {
            self.last = self.offset_of(self.count().saturating_sub(1)) as u32;
        } else {
            self.last -= (to - from) as u32;
        }
        let len = self.bytes.len();
        if self.bytes.capacity() > len + len / 2 + 64 {
            self.bytes.shrink_to(size_class(len));
        }
    }
}

impl Leaf for Chunk {
    /// Score and [`prefix`] of the first member.
    type Mark = (f64, u64);
    type Limits = ();

    fn len(&self) -> usize {
        self.count()
    }

    fn mark(&self) -> (f64, u64) {
        let first = self.first();
        (first.score, prefix(first.member))
    }

    fn should_merge(&self, next: &Self, _: ()) -> bool {
        // Three quarters, so that the next insertion does not split again.
        self.bytes.len() + next.bytes.len() <= MAX_LEAF_BYTES / 4 * 3
    }

    fn append(&mut self, next: &Self) {
        self.last = self.bytes.len() as u32 + next.last;
        self.bytes.reserve_exact(next.bytes.len());
        self.bytes.extend_from_slice(&next.bytes);
        self.count += next.count;
    }

    fn remove_range(&mut self, start: usize, count: usize) {
        let (from, to) = (self.offset_of(start), self.offset_of(start + count));
        self.cut(from, to, count);
    }

    fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
