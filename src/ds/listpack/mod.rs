//! One flat allocation of small values, in Redis's listpack byte format.
//!
//! ```text
//! | total bytes u32 LE | elements u16 LE | entry … | 0xFF |
//! entry = | encoding + data | backlen |  backlen = bytes of "encoding + data", read backwards
//! ```
//!
//! Small hashes, sorted sets and the chunks of lists are listpacks, here as in Redis, so an RDB
//! file or a DUMP payload takes [`Listpack::as_bytes`] as they are and
//! [`Listpack::from_bytes_checked`] takes them back. The format is therefore fixed; what is ours is
//! the way in: a search gives a [`Cursor`], and the cursor replaces, inserts or removes without a
//! second search.
//!
//! Integers are stored as integers when their text round-trips ([`ListpackValue`] tells which); the
//! element count saturates at 65535, which means "count them" (Redis's rule: only then is
//! [`Listpack::len`] a walk).
//!
//! It does not know what its elements mean: pairs of a hash are only a `skip` of
//! [`Listpack::find`]. Nothing here is cheaper than O(bytes); whoever lets one grow bounds it.
//! [`MAX_BYTES`] is the last bound.

mod buffer;
mod encoding;
mod iter;
#[cfg(test)]
mod tests;

pub use self::buffer::ALLOCATION_OVERHEAD;
use self::buffer::{Buffer, roomy};
use self::encoding::{backlen_bytes, decode, entry_bytes, next_offset, read_backlen, write_entry};
pub use self::iter::{Iter, IterRev};
use crate::base::number::parse_i64;

/// Bytes before the first entry.
pub const HEADER_BYTES: usize = 6;
/// No operation makes a listpack larger than this (Redis's own safety limit; the header could say 4
/// GiB). Tests reach it sooner.
pub const MAX_BYTES: usize = if cfg!(test) { 1 << 22 } else { 1 << 30 };

const END: u8 = 0xFF;
const EMPTY: [u8; HEADER_BYTES + 1] = [HEADER_BYTES as u8 + 1, 0, 0, 0, 0, 0, END];
/// The element count that means "unknown: walk to count".
const COUNT_UNKNOWN: u16 = u16::MAX;

/// The listpack would grow past [`MAX_BYTES`]; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("listpack is full")]
pub struct ListpackFull;

/// Bytes that are not a listpack; the text says what is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("corrupt listpack: {0}")]
pub struct ListpackCorrupt(&'static str);

/// The place of one element. Valid until the listpack changes; changing methods return fresh ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(usize);

/// An element: text, or the integer whose text it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListpackValue<'a> {
    /// Stored as a number; its text is the plain decimal form.
    Int(i64),
    /// Stored as the bytes themselves.
    Bytes(&'a [u8]),
}

impl<'a> ListpackValue<'a> {
    /// Chooses the form in which `bytes` are stored: as an integer if that gives the same text
    /// back.
    pub fn of(bytes: &'a [u8]) -> Self {
        match parse_i64(bytes) {
            Some(int) => Self::Int(int),
            None => Self::Bytes(bytes),
        }
    }

    /// Calls `f` with the element as text.
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Int(int) => f(itoa::Buffer::new().format(*int).as_bytes()),
            Self::Bytes(bytes) => f(bytes),
        }
    }

    /// True when the element's text is `bytes`.
    pub fn eq_bytes(&self, bytes: &[u8]) -> bool {
        self.with_bytes(|own| own == bytes)
    }

    /// Length of the element's text in bytes.
    pub fn len_as_text(&self) -> usize {
        self.with_bytes(<[u8]>::len)
    }

    /// The element's text, in a new allocation.
    pub fn to_vec(&self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// Appends the element's text to `out`.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        self.with_bytes(|bytes| out.extend_from_slice(bytes));
    }
}

/// Bytes to look for, parsed once for many comparisons.
#[derive(Debug, Clone, Copy)]
pub struct Needle<'a> {
    bytes: &'a [u8],
    int: Option<i64>,
}

impl<'a> Needle<'a> {
    /// Prepares `bytes` for comparison with elements.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, int: parse_i64(bytes) }
    }

    /// True when `value`'s text is the needle.
    #[inline]
    pub fn matches(&self, value: ListpackValue<'_>) -> bool {
        match value {
            ListpackValue::Int(int) => self.int == Some(int),
            ListpackValue::Bytes(bytes) => bytes == self.bytes,
        }
    }
}

/// A flat sequence of values; see the module's doc. A clone shares the bytes until one side
/// changes.
#[derive(Clone)]
pub struct Listpack {
    bytes: Buffer,
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        *self.bytes == *other.bytes
    }
}

impl Eq for Listpack {}

impl Default for Listpack {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(_, value)| value)).finish()
    }
}

impl Listpack {
    /// An empty listpack (seven bytes).
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty listpack with room for `capacity` bytes in all, and what the allocator adds to them
    /// for free.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Buffer::of(&EMPTY, roomy(capacity.min(MAX_BYTES))) }
    }

    /// Takes bytes from outside after checking every one that later reads rely on: the header, each
    /// entry's encoding and backlen, the count, the end.
    pub fn from_bytes_checked(bytes: Vec<u8>) -> Result<Self, ListpackCorrupt> {
        let count = encoding::validate(&bytes)?;
        let mut listpack = Self { bytes: Buffer::of(&bytes, 0) };
        // A count that needs no walk is worth writing where the bytes said "unknown".
        listpack.write_count(saturated(count));
        Ok(listpack)
    }

    /// The format's bytes, as an RDB file stores them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of elements: from the header, or by walking when there are 65535 or more.
    pub fn len(&self) -> usize {
        match self.counted() {
            Some(count) => count,
            None => self.iter().count(),
        }
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER_BYTES + 1
    }

    /// Size of the format's bytes.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// True when both are references to the same bytes, not copies of them.
    pub fn same(&self, other: &Self) -> bool {
        self.bytes.same(&other.bytes)
    }

    /// True when somebody else refers to the allocation too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.bytes.is_shared()
    }

    /// Bytes allocated.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.heap_bytes()
    }

    /// Gives back the room kept for growing.
    pub fn shrink_to_fit(&mut self) {
        if roomy(self.bytes.len()) < self.bytes.capacity() {
            self.bytes.resize(0);
        }
    }

    /// Returns the bytes that [`Listpack::push_back`] of `element` would add to
    /// [`Listpack::byte_len`].
    pub fn bytes_needed(element: &[u8]) -> usize {
        entry_bytes(ListpackValue::of(element))
    }

    // Moving.

    /// The first element.
    pub fn first(&self) -> Option<Cursor> {
        self.cursor_at(HEADER_BYTES)
    }

    /// The last element.
    pub fn last(&self) -> Option<Cursor> {
        self.before(self.end_offset())
    }

    /// The element after `cursor`.
    pub fn next(&self, cursor: Cursor) -> Option<Cursor> {
        self.cursor_at(self.after(cursor))
    }

    /// The element before `cursor`.
    pub fn prev(&self, cursor: Cursor) -> Option<Cursor> {
        self.before(cursor.0)
    }

    /// The element at `index`, walking from the nearer end.
    pub fn seek(&self, index: usize) -> Option<Cursor> {
        let (mut offset, end) = (HEADER_BYTES, self.end_offset());
        match self.counted() {
            Some(count) if index >= count => None,
            Some(count) if index > count / 2 => {
                (index..count).try_fold(Cursor(end), |cursor, _| self.before(cursor.0))
            }
            _ => {
                for _ in 0..index {
                    if offset == end {
                        return None;
                    }
                    offset = next_offset(&self.bytes, offset);
                }
                self.cursor_at(offset)
            }
        }
    }

    /// The value under `cursor`.
    pub fn value(&self, cursor: Cursor) -> ListpackValue<'_> {
        decode(&self.bytes, cursor.0).value
    }

    /// The value at `index`, walking from the nearer end.
    pub fn get(&self, index: usize) -> Option<ListpackValue<'_>> {
        self.seek(index).map(|cursor| self.value(cursor))
    }

    /// All elements, first to last.
    pub fn iter(&self) -> Iter<'_> {
        Iter { listpack: self, offset: HEADER_BYTES }
    }

    /// The elements from `cursor` to the last.
    pub fn iter_from(&self, cursor: Cursor) -> Iter<'_> {
        Iter { listpack: self, offset: cursor.0 }
    }

    /// All elements, last to first.
    pub fn iter_rev(&self) -> IterRev<'_> {
        IterRev { listpack: self, offset: self.end_offset() }
    }

    /// The elements from `cursor` back to the first.
    pub fn iter_rev_from(&self, cursor: Cursor) -> IterRev<'_> {
        IterRev { listpack: self, offset: self.after(cursor) }
    }

    /// The first element equal to `needle` among the first, the `skip + 1`st after it, and so on:
    /// `skip` 1 looks only at the fields of field-value pairs.
    pub fn find(&self, needle: &[u8], skip: usize) -> Option<Cursor> {
        self.find_from(self.first()?, needle, skip)
    }

    /// [`Listpack::find`] that starts at `from` instead of the first element.
    pub fn find_from(&self, from: Cursor, needle: &[u8], skip: usize) -> Option<Cursor> {
        let needle = Needle::new(needle);
        let (bytes, mut offset) = (&*self.bytes, from.0);
        while bytes[offset] != END {
            let entry = decode(bytes, offset);
            if needle.matches(entry.value) {
                return Some(Cursor(offset));
            }
            offset = entry.next;
            for _ in 0..skip {
                if bytes[offset] == END {
                    return None;
                }
                offset = next_offset(bytes, offset);
            }
        }
        None
    }

    // Changing.

    /// Adds an element at the end.
    pub fn push_back(&mut self, element: &[u8]) -> Result<(), ListpackFull> {
        self.push_back_value(ListpackValue::of(element))
    }

    /// Adds an element at the end, as it stands in another listpack.
    pub fn push_back_value(&mut self, value: ListpackValue<'_>) -> Result<(), ListpackFull> {
        self.splice(self.end_offset(), 0, value)?;
        self.count_changed(1, 0);
        Ok(())
    }

    /// Adds elements at the end in one piece: all of them, or none when there is no room. Where it
    /// has to grow it doubles, since more will follow; [`Listpack::shrink_to_fit`] gives back what
    /// is left.
    pub fn push_back_all<'v>(
        &mut self,
        values: impl Iterator<Item = ListpackValue<'v>> + Clone,
    ) -> Result<(), ListpackFull> {
        let (count, added) = values
            .clone()
            .fold((0, 0), |(count, bytes): (usize, usize), value| (count + 1, bytes + entry_bytes(value)));
        let (end, total) = (self.end_offset(), self.bytes.len() + added);
        if total > MAX_BYTES {
            return Err(ListpackFull);
        }
        if total > self.bytes.capacity() {
            self.bytes.resize(roomy(total.max(2 * self.bytes.len())));
        }
        self.bytes.edit(|bytes| {
            let mut at = end;
            for value in values {
                let next = at + entry_bytes(value);
                write_entry(&mut bytes[at..next], value);
                at = next;
            }
            bytes[at] = END;
            write_total(bytes, total);
        });
        self.count_changed(count, 0);
        Ok(())
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, element: &[u8]) -> Result<(), ListpackFull> {
        self.splice(HEADER_BYTES, 0, ListpackValue::of(element))?;
        self.count_changed(1, 0);
        Ok(())
    }

    /// Adds an element so that it stands at `index`; beyond the end means at the end.
    pub fn insert_at(&mut self, index: usize, element: &[u8]) -> Result<(), ListpackFull> {
        match self.seek(index) {
            Some(cursor) => self.insert_before(cursor, element).map(|_| ()),
            None => self.push_back(element),
        }
    }

    /// Adds an element before `cursor`. Returns the new element's place.
    pub fn insert_before(&mut self, cursor: Cursor, element: &[u8]) -> Result<Cursor, ListpackFull> {
        self.splice(cursor.0, 0, ListpackValue::of(element))?;
        self.count_changed(1, 0);
        Ok(cursor)
    }

    /// Adds an element after `cursor`. Returns the new element's place.
    pub fn insert_after(&mut self, cursor: Cursor, element: &[u8]) -> Result<Cursor, ListpackFull> {
        self.insert_before(Cursor(self.after(cursor)), element)
    }

    /// Changes the element under `cursor`, which stays valid.
    pub fn replace(&mut self, cursor: Cursor, element: &[u8]) -> Result<(), ListpackFull> {
        self.replace_value(cursor, ListpackValue::of(element))
    }

    /// Changes the element under `cursor`, which stays valid.
    pub fn replace_value(&mut self, cursor: Cursor, value: ListpackValue<'_>) -> Result<(), ListpackFull> {
        self.splice(cursor.0, self.after(cursor) - cursor.0, value)
    }

    /// Removes the element under `cursor`. Returns the place of the one after it.
    pub fn remove(&mut self, cursor: Cursor) -> Option<Cursor> {
        self.remove_count(cursor, 1)
    }

    /// Removes up to `count` elements from `cursor` on. Returns the place of the one after them.
    pub fn remove_count(&mut self, cursor: Cursor, count: usize) -> Option<Cursor> {
        let (mut end, mut removed) = (cursor.0, 0);
        while removed < count && self.bytes[end] != END {
            end = next_offset(&self.bytes, end);
            removed += 1;
        }
        self.cut(cursor.0, end);
        self.count_changed(0, removed);
        self.cursor_at(cursor.0)
    }

    /// Removes up to `count` elements from `index` on. Returns how many were removed.
    pub fn remove_range(&mut self, index: usize, count: usize) -> usize {
        let Some(cursor) = self.seek(index).filter(|_| count > 0) else { return 0 };
        let before = self.len();
        self.remove_count(cursor, count);
        before - self.len()
    }

    /// Moves the elements from `index` on into a listpack of their own.
    pub fn split_off(&mut self, index: usize) -> Self {
        let Some(cursor) = self.seek(index) else { return Self::new() };
        let moved = self.counted().map_or_else(|| self.iter_from(cursor).count(), |count| count - index);
        let data = &self.bytes[cursor.0..];
        let total = HEADER_BYTES + data.len();
        let mut tail = Self::with_capacity(total);
        tail.bytes.edit(|bytes| {
            bytes[HEADER_BYTES..total].copy_from_slice(data);
            write_total(bytes, total);
        });
        tail.count_changed(moved, 0);
        self.cut(cursor.0, self.end_offset());
        self.count_changed(0, moved);
        tail
    }

    /// Adds all elements of `other` at the end.
    pub fn append(&mut self, other: &Self) -> Result<(), ListpackFull> {
        let added = other.bytes.len() - HEADER_BYTES - 1;
        if self.bytes.len() + added > MAX_BYTES {
            return Err(ListpackFull);
        }
        self.reserve(added);
        let end = self.end_offset();
        self.bytes.edit(|bytes| {
            bytes[end..=end + added].copy_from_slice(&other.bytes[HEADER_BYTES..]);
            write_total(bytes, end + 1 + added);
        });
        self.count_changed(other.len(), 0);
        Ok(())
    }

    // Offsets and headers.

    fn end_offset(&self) -> usize {
        self.bytes.len() - 1
    }

    fn after(&self, cursor: Cursor) -> usize {
        next_offset(&self.bytes, cursor.0)
    }

    #[inline]
    fn before(&self, offset: usize) -> Option<Cursor> {
        if offset == HEADER_BYTES {
            return None;
        }
        let last = self.bytes[offset - 1];
        if last < 128 {
            return Some(Cursor(offset - 1 - usize::from(last)));
        }
        let data = read_backlen(&self.bytes[..offset]).expect("checked on the way in");
        Some(Cursor(offset - data - backlen_bytes(data)))
    }

    fn cursor_at(&self, offset: usize) -> Option<Cursor> {
        (self.bytes[offset] != END).then_some(Cursor(offset))
    }

    /// The header's element count, unless it says "unknown".
    fn counted(&self) -> Option<usize> {
        let count = u16::from_le_bytes([self.bytes[4], self.bytes[5]]);
        (count != COUNT_UNKNOWN).then_some(count.into())
    }

    fn count_changed(&mut self, added: usize, removed: usize) {
        let Some(count) = self.counted() else {
            // Redis never learns a lost count back while changing; we do when it is free.
            if self.is_empty() {
                self.write_count(0);
            }
            return;
        };
        self.write_count(saturated(count + added - removed));
    }

    fn write_count(&mut self, count: u16) {
        self.bytes.edit(|bytes| bytes[4..6].copy_from_slice(&count.to_le_bytes()));
    }

    /// Puts `value` in the place of the `old` bytes at `offset`. The count is the caller's.
    fn splice(&mut self, offset: usize, old: usize, value: ListpackValue<'_>) -> Result<(), ListpackFull> {
        let (new, end) = (entry_bytes(value), self.bytes.len());
        if end - old + new > MAX_BYTES {
            return Err(ListpackFull);
        }
        if new > old {
            self.reserve(new - old);
        }
        self.bytes.edit(|bytes| {
            if new != old {
                bytes.copy_within(offset + old..end, offset + new);
            }
            write_entry(&mut bytes[offset..offset + new], value);
            write_total(bytes, end - old + new);
        });
        Ok(())
    }

    /// Removes the bytes `from..to`. The count is the caller's.
    fn cut(&mut self, from: usize, to: usize) {
        let end = self.bytes.len();
        let left = end - (to - from);
        self.bytes.edit(|bytes| {
            bytes.copy_within(to..end, from);
            write_total(bytes, left);
        });
        if self.bytes.capacity() > 2 * left + 64 {
            self.bytes.resize(roomy(left));
        }
    }

    /// Grows by size classes instead of doubling: small listpacks are many, and slack is memory.
    /// Also for a caller who knows all that is about to come; [`Listpack::bytes_needed`] tells how
    /// much.
    pub fn reserve(&mut self, additional: usize) {
        let needed = self.bytes.len() + additional;
        if needed > self.bytes.capacity() {
            self.bytes.resize(roomy(needed));
        }
    }
}

fn write_total(bytes: &mut [u8], total: usize) {
    bytes[..4].copy_from_slice(&(total as u32).to_le_bytes());
}

/// The header's form of an element count.
fn saturated(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(COUNT_UNKNOWN)
}
