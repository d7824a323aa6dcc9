//! One chunk of a list, and when it is full.

use super::Direction;
use crate::ds::counted_tree::{Leaf, Siblings};
use crate::ds::listpack::{ALLOCATION_OVERHEAD, Listpack, ListpackValue, Needle};

/// Redis: what an entry is taken to need besides its text when a chunk's room is judged.
const ENTRY_OVERHEAD: usize = 8;
/// Redis: chunks limited by count are limited to this size as well.
const SAFETY_BYTES: usize = 8 << 10;
/// Chunks in a row that make a list long enough to expect the next chunk to fill up as well.
const LONG_ROW: usize = 4;
/// The largest size limit, that of -5.
const MAX_LEVEL: i16 = 5;

/// The size that chunks grow to, in the words of `list-max-listpack-size`: -1 to -5 for 4, 8, 16,
/// 32, 64 KiB, positive for a number of elements (in at most 8 KiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    level: i16,
    /// Elements of so many bytes stand alone. Larger ones than a u16 can say do so in any case.
    plain_from: u16,
}

impl Default for Fill {
    /// 8 KiB.
    fn default() -> Self {
        Self::new(-2)
    }
}

impl Fill {
    /// Redis: below -5 means -5, 0 means 1, above 32767 means 32767.
    pub fn new(fill: i64) -> Self {
        let level = match fill {
            0 => 1,
            _ => fill.clamp((-MAX_LEVEL).into(), i16::MAX.into()) as i16,
        };
        Self { level, plain_from: u16::MAX }
    }

    /// The same, with elements of `bytes` and more in chunks of their own: a list's tests would
    /// need gigabytes otherwise.
    #[must_use]
    pub fn plain_from(self, bytes: u64) -> Self {
        Self { plain_from: u16::try_from(bytes).unwrap_or(u16::MAX).max(1), ..self }
    }

    /// The number this was made of, limited to what it means.
    pub fn level(self) -> i16 {
        self.level
    }

    fn max_bytes(self) -> usize {
        if self.level < 0 { (2 << 10) << -self.level } else { SAFETY_BYTES }
    }

    /// Bytes of a chunk that several elements share: the allocation is a whole size class.
    fn shared_bytes(self) -> usize {
        self.max_bytes() - ALLOCATION_OVERHEAD
    }

    fn max_count(self) -> usize {
        usize::try_from(self.level).unwrap_or(usize::MAX)
    }

    /// True when `element` is too large for a chunk with others.
    pub(super) fn is_plain(self, element: &[u8]) -> bool {
        element.len() + ENTRY_OVERHEAD > self.max_bytes() || element.len() >= self.plain_from.into()
    }
}

/// A chunk as an RDB file stores it.
#[derive(Debug, Clone, Copy)]
pub enum ChunkRef<'a> {
    /// Many elements.
    Packed(&'a Listpack),
    /// One large element.
    Plain(&'a [u8]),
}

/// One or more elements in one allocation.
#[derive(Clone)]
pub(super) enum Chunk {
    Packed(Listpack),
    Plain(Vec<u8>),
}

/// Packed elements always fit: chunks are limited far below the largest listpack.
const FITS: &str = "a chunk is far smaller than the largest listpack";

impl Chunk {
    /// A chunk of one element.
    pub(super) fn of(element: &[u8], fill: Fill) -> Self {
        if fill.is_plain(element) {
            return Self::Plain(element.to_vec());
        }
        Self::packed_with(Listpack::new(), element)
    }

    /// A chunk of one element, to be filled after the full one at `index`, which is closed. Long
    /// lists ask for the whole room at once instead of growing into it.
    pub(super) fn beside(
        siblings: &mut Siblings<'_, Self>,
        index: usize,
        element: &[u8],
        fill: Fill,
    ) -> Self {
        if siblings.len() > 0 {
            siblings.update(index, Self::close);
        }
        match siblings.get(index) {
            Some(Self::Packed(full)) if siblings.len() >= LONG_ROW && !fill.is_plain(element) => {
                let room = full.byte_len().min(fill.shared_bytes());
                Self::packed_with(Listpack::with_capacity(room), element)
            }
            _ => Self::of(element, fill),
        }
    }

    fn packed_with(mut listpack: Listpack, element: &[u8]) -> Self {
        listpack.push_back(element).expect(FITS);
        Self::Packed(listpack)
    }

    pub(super) fn view(&self) -> ChunkRef<'_> {
        match self {
            Self::Packed(listpack) => ChunkRef::Packed(listpack),
            Self::Plain(element) => ChunkRef::Plain(element),
        }
    }

    /// True when `element` may join this chunk.
    pub(super) fn has_room(&self, element: &[u8], fill: Fill) -> bool {
        match self {
            Self::Packed(listpack) => {
                listpack.byte_len() + element.len() + ENTRY_OVERHEAD <= fill.shared_bytes()
                    && listpack.len() < fill.max_count()
                    && !fill.is_plain(element)
            }
            Self::Plain(_) => false,
        }
    }

    /// True when `element` may take the place of the one at `offset`.
    pub(super) fn can_replace(&self, offset: usize, element: &[u8], fill: Fill) -> bool {
        match self {
            Self::Packed(listpack) => {
                let old = listpack.get(offset).map_or(0, |value| value.len_as_text());
                let fits = element.len() <= old
                    || listpack.byte_len() + element.len() + ENTRY_OVERHEAD <= fill.shared_bytes() + old;
                fits && !fill.is_plain(element)
            }
            Self::Plain(_) => fill.is_plain(element),
        }
    }

    /// True when the chunk is so small that its neighbours are worth a look.
    pub(super) fn is_small(&self, fill: Fill) -> bool {
        match self {
            Self::Packed(listpack) => {
                listpack.byte_len() <= fill.shared_bytes() / 4 && listpack.len() <= fill.max_count() / 4
            }
            Self::Plain(element) => element.is_empty(),
        }
    }

    pub(super) fn get(&self, offset: usize) -> Option<ListpackValue<'_>> {
        match self {
            Self::Packed(listpack) => listpack.get(offset),
            Self::Plain(element) => (offset == 0).then_some(ListpackValue::Bytes(element)),
        }
    }

    pub(super) fn push_back(&mut self, element: &[u8]) {
        self.packed().push_back(element).expect(FITS);
    }

    pub(super) fn push_front(&mut self, element: &[u8]) {
        self.packed().push_front(element).expect(FITS);
    }

    pub(super) fn insert(&mut self, offset: usize, element: &[u8]) {
        self.packed().insert_at(offset, element).expect(FITS);
    }

    pub(super) fn replace(&mut self, offset: usize, element: &[u8]) {
        match self {
            Self::Packed(listpack) => {
                let cursor = listpack.seek(offset).expect("the tree knows the count");
                listpack.replace(cursor, element).expect(FITS);
            }
            Self::Plain(old) => *old = element.to_vec(),
        }
    }

    /// Removes the element at `offset` after showing it to `see`.
    pub(super) fn take<R>(&mut self, offset: usize, see: impl FnOnce(ListpackValue<'_>) -> R) -> Option<R> {
        match self {
            Self::Packed(listpack) => {
                let cursor = listpack.seek(offset)?;
                let result = see(listpack.value(cursor));
                listpack.remove(cursor);
                Some(result)
            }
            Self::Plain(element) => {
                let result = see(ListpackValue::Bytes(element));
                *self = Self::Packed(Listpack::new());
                Some(result)
            }
        }
    }

    pub(super) fn remove(&mut self, offset: usize) {
        self.take(offset, |_| ());
    }

    /// Removes up to `limit` matches, from `offset` on in `direction`. Returns how many.
    pub(super) fn remove_equal(
        &mut self,
        offset: usize,
        needle: Needle<'_>,
        limit: usize,
        direction: Direction,
    ) -> usize {
        let Self::Packed(listpack) = self else {
            let matches = self.get(0).is_some_and(|value| needle.matches(value)) && limit > 0;
            if matches {
                self.remove(0);
            }
            return usize::from(matches);
        };
        let mut removed = 0;
        let mut at = listpack.seek(offset);
        while removed < limit
            && let Some(cursor) = at
        {
            let matches = needle.matches(listpack.value(cursor));
            at = match direction {
                Direction::Forward if matches => listpack.remove(cursor),
                Direction::Forward => listpack.next(cursor),
                Direction::Backward => {
                    // The place before stays where it is when what follows goes.
                    let before = listpack.prev(cursor);
                    if matches {
                        listpack.remove(cursor);
                    }
                    before
                }
            };
            removed += usize::from(matches);
        }
        removed
    }

    /// Moves the elements from `offset` on into a chunk of their own, if there are any.
    pub(super) fn split_off(&mut self, offset: usize) -> Option<Self> {
        if offset >= self.len() {
            return None;
        }
        match self {
            Self::Packed(listpack) => Some(Self::Packed(listpack.split_off(offset))),
            Self::Plain(_) => Some(std::mem::replace(self, Self::Packed(Listpack::new()))),
        }
    }

    /// Gives back the room kept for growing.
    pub(super) fn close(&mut self) {
        if let Some(listpack) = self.packed_or_none() {
            listpack.shrink_to_fit();
        }
    }

    pub(super) fn iter_from(&self, offset: usize) -> impl Iterator<Item = ListpackValue<'_>> {
        super::iter::ChunkIter::new(self, offset)
    }

    pub(super) fn iter_rev_from(&self, offset: usize) -> impl Iterator<Item = ListpackValue<'_>> {
        super::iter::ChunkIterRev::new(self, offset)
    }

    fn packed_or_none(&mut self) -> Option<&mut Listpack> {
        match self {
            Self::Packed(listpack) => Some(listpack),
            Self::Plain(_) => None,
        }
    }

    fn packed(&mut self) -> &mut Listpack {
        self.packed_or_none().expect("a plain chunk has no room")
    }
}

impl Leaf for Chunk {
    type Mark = ();
    type Limits = Fill;

    fn len(&self) -> usize {
        match self {
            Self::Packed(listpack) => listpack.len(),
            Self::Plain(_) => 1,
        }
    }

    fn mark(&self) {}

    fn should_merge(&self, next: &Self, fill: Fill) -> bool {
        let (Self::Packed(left), Self::Packed(right)) = (self, next) else { return false };
        // Three quarters, so that the next insertion does not split again.
        let most = |limit: usize| limit - limit / 4;
        left.byte_len() + right.byte_len() <= most(fill.shared_bytes())
            && left.len() + right.len() <= most(fill.max_count())
    }

    fn append(&mut self, next: &Self) {
        if let (Self::Packed(left), Self::Packed(right)) = (self, next) {
            left.append(right).expect(FITS);
        }
    }

    fn remove_range(&mut self, start: usize, count: usize) {
        match self {
            Self::Packed(listpack) => _ = listpack.remove_range(start, count),
            Self::Plain(_) => unreachable!("one element cannot be removed in part"),
        }
    }

    fn clone_bytes(&self) -> usize {
        match self {
            // A reference, which counts for itself when it is copied.
            Self::Packed(_) => 0,
            Self::Plain(_) => self.heap_bytes(),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Packed(listpack) => listpack.heap_bytes(),
            Self::Plain(element) => element.capacity(),
        }
    }
}
