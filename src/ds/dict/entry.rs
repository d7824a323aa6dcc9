//! The bytes of one entry inside a page. Knows nothing of hashes, slots or directories.
//!
//! ```text
//! flags 1 | deadline 8? | key length 1-2 | payload length 1-2? | object index 1? | key | payload
//! ```
//!
//! The low four bits of `flags` say which optional fields are there and whether key or payload live
//! out of line (then the field holds a one-byte index into the page's long values). The high four
//! bits are the length of the payload field when it is below 15, so a set member costs two bytes of
//! header and a hash field with a short value no more. The deadline stands right behind the flags:
//! looking for due entries reads nine bytes of each.

use std::ops::Range;

pub(super) const DEADLINE: u8 = 1;
pub(super) const OBJECT: u8 = 2;
pub(super) const LONG_KEY: u8 = 4;
pub(super) const LONG_PAYLOAD: u8 = 8;

/// Keys up to this many bytes live in the page, longer ones in an allocation of their own.
pub(super) const MAX_INLINE_KEY: usize = 128;
/// A payload that would make its entry larger than this has an allocation of its own as well. Two
/// entries always fit into a block, even if they are given deadlines later.
pub(super) const MAX_ENTRY: usize = 244;
/// The nibble value which says that the payload's length has bytes of its own.
const LENGTH_FOLLOWS: usize = 15;
/// Bytes of a deadline.
pub(super) const DEADLINE_BYTES: usize = 8;
/// Bytes of an index into a slot table's objects or long values: a hundred entries have no more
/// than two each.
const INDEX_BYTES: usize = 1;

/// The places of the fields of an encoded entry, as positions in the page's bytes.
#[derive(Clone, Copy)]
pub(super) struct EntryShape {
    at: usize,
    flags: u8,
    object_at: usize,
    key_at: usize,
    payload_at: usize,
    end: usize,
}

impl EntryShape {
    /// Reads the shape of the entry that starts at `at`.
    #[inline]
    pub(super) fn read(bytes: &[u8], at: usize) -> EntryShape {
        let flags = bytes[at];
        let mut next = at + 1;
        if flags & DEADLINE != 0 {
            next += DEADLINE_BYTES;
        }
        let key_len = read_length(bytes, &mut next);
        let mut payload_len = usize::from(flags >> 4);
        if payload_len == LENGTH_FOLLOWS {
            payload_len = read_length(bytes, &mut next);
        }
        let object_at = next;
        if flags & OBJECT != 0 {
            next += INDEX_BYTES;
        }
        let payload_at = next + key_len;
        EntryShape { at, flags, object_at, key_at: next, payload_at, end: payload_at + payload_len }
    }

    /// Bytes of the entry.
    pub(super) fn size(&self) -> usize {
        self.end - self.at
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.at..self.end
    }

    /// Copies the entry to `target`, which has room for just that, with another deadline or none.
    pub(super) fn copy_with_deadline(&self, bytes: &[u8], deadline: Option<i64>, target: &mut [u8]) {
        let skip = |has_deadline: bool| 1 + if has_deadline { DEADLINE_BYTES } else { 0 };
        target[0] = self.flags & !DEADLINE;
        if let Some(deadline) = deadline {
            target[0] |= DEADLINE;
            set_deadline_at(target, 0, deadline);
        }
        let rest = &bytes[self.at + skip(self.has(DEADLINE))..self.end];
        target[skip(deadline.is_some())..].copy_from_slice(rest);
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn key(&self) -> Range<usize> {
        self.key_at..self.payload_at
    }

    pub(super) fn payload(&self) -> Range<usize> {
        self.payload_at..self.end
    }

    pub(super) fn deadline(&self, bytes: &[u8]) -> Option<i64> {
        self.has(DEADLINE).then(|| read_deadline(bytes, self.at))
    }

    /// The entry's place among the page's objects.
    pub(super) fn object(&self, bytes: &[u8]) -> Option<usize> {
        self.has(OBJECT).then(|| read_index(bytes, self.object_at))
    }

    /// The place of an out-of-line key among the page's long values.
    pub(super) fn long_key(&self, bytes: &[u8]) -> Option<usize> {
        self.has(LONG_KEY).then(|| read_index(bytes, self.key_at))
    }

    /// The place of an out-of-line payload among the page's long values.
    pub(super) fn long_payload(&self, bytes: &[u8]) -> Option<usize> {
        self.has(LONG_PAYLOAD).then(|| read_index(bytes, self.payload_at))
    }

    pub(super) fn set_object(&self, bytes: &mut [u8], index: usize) {
        write_index(bytes, self.object_at, index);
    }

    pub(super) fn set_long_key(&self, bytes: &mut [u8], index: usize) {
        write_index(bytes, self.key_at, index);
    }

    pub(super) fn set_long_payload(&self, bytes: &mut [u8], index: usize) {
        write_index(bytes, self.payload_at, index);
    }
}

/// The deadline of the entry at `at` if it has one; cheaper than reading its whole shape.
pub(super) fn deadline_at(bytes: &[u8], at: usize) -> Option<i64> {
    (bytes[at] & DEADLINE != 0).then(|| read_deadline(bytes, at))
}

/// Overwrites the deadline of an entry that has one.
pub(super) fn set_deadline_at(bytes: &mut [u8], at: usize, deadline: i64) {
    bytes[at + 1..at + 1 + DEADLINE_BYTES].copy_from_slice(&deadline.to_le_bytes());
}

/// The layout of an entry, known before any byte of it is written.
#[derive(Clone, Copy)]
pub(super) struct Draft {
    flags: u8,
    key_len: usize,
    payload_len: usize,
    /// Bytes the entry will take in the page.
    pub(super) size: usize,
}

impl Draft {
    pub(super) fn new(key_len: usize, payload_len: usize, has_deadline: bool, has_object: bool) -> Draft {
        let mut flags = 0;
        let mut size = 1;
        if has_deadline {
            flags |= DEADLINE;
            size += DEADLINE_BYTES;
        }
        let key_field = if key_len > MAX_INLINE_KEY {
            flags |= LONG_KEY;
            INDEX_BYTES
        } else {
            key_len
        };
        size += length_bytes(key_field) + key_field;
        if has_object {
            flags |= OBJECT;
            size += INDEX_BYTES;
        }
        let payload_field = if size + length_bytes(payload_len) + payload_len > MAX_ENTRY {
            flags |= LONG_PAYLOAD;
            INDEX_BYTES
        } else {
            payload_len
        };
        flags |= (payload_field.min(LENGTH_FOLLOWS) as u8) << 4;
        if payload_field >= LENGTH_FOLLOWS {
            size += length_bytes(payload_field);
        }
        size += payload_field;
        Draft { flags, key_len: key_field, payload_len: payload_field, size }
    }

    /// True when an entry of the same key is laid out in the same way, and is key and payload
    /// alone.
    pub(super) fn is_like(&self, shape: &EntryShape) -> bool {
        let plain = self.flags & (DEADLINE | OBJECT | LONG_KEY | LONG_PAYLOAD) == 0;
        plain && self.flags == shape.flags && self.size == shape.size()
    }

    /// Writes everything but key and payload; the object index is filled in through the returned
    /// shape.
    pub(super) fn write(&self, bytes: &mut [u8], at: usize, deadline: Option<i64>) -> EntryShape {
        bytes[at] = self.flags;
        let mut next = at + 1;
        if let Some(deadline) = deadline {
            set_deadline_at(bytes, at, deadline);
            next += DEADLINE_BYTES;
        }
        write_length(bytes, &mut next, self.key_len);
        if usize::from(self.flags >> 4) == LENGTH_FOLLOWS {
            write_length(bytes, &mut next, self.payload_len);
        }
        EntryShape::read(bytes, at)
    }
}

/// Bytes an entry of these parts takes: in its block, and in allocations of its own for what is too
/// long.
pub(super) fn bytes_of(key_len: usize, payload_len: usize, has_deadline: bool, has_object: bool) -> usize {
    let draft = Draft::new(key_len, payload_len, has_deadline, has_object);
    let apart = |flag: u8, len: usize| {
        // A fat pointer in the page's table, and the counter in front of the bytes.
        if draft.flags & flag == 0 { 0 } else { size_of::<&[u8]>() + size_of::<usize>() + len }
    };
    draft.size + apart(LONG_KEY, key_len) + apart(LONG_PAYLOAD, payload_len)
}

fn read_deadline(bytes: &[u8], at: usize) -> i64 {
    let mut raw = [0; DEADLINE_BYTES];
    raw.copy_from_slice(&bytes[at + 1..at + 1 + DEADLINE_BYTES]);
    i64::from_le_bytes(raw)
}

fn read_index(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at])
}

fn write_index(bytes: &mut [u8], at: usize, index: usize) {
    bytes[at] = u8::try_from(index).expect("a slot table never holds more than two hundred values");
}

/// Lengths below 128 take one byte, the others two.
fn length_bytes(length: usize) -> usize {
    if length < 0x80 { 1 } else { 2 }
}

#[inline]
fn read_length(bytes: &[u8], next: &mut usize) -> usize {
    let low = usize::from(bytes[*next]);
    *next += 1;
    if low < 0x80 {
        return low;
    }
    let high = usize::from(bytes[*next]);
    *next += 1;
    (low & 0x7f) | (high << 7)
}

fn write_length(bytes: &mut [u8], next: &mut usize, length: usize) {
    if length < 0x80 {
        bytes[*next] = length as u8;
        *next += 1;
    } else {
        bytes[*next] = 0x80 | (length & 0x7f) as u8;
        bytes[*next + 1] = (length >> 7) as u8;
        *next += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_reads_back_as_the_shape_it_promised() {
        for key_len in [0, 1, 127, 128, 129, 70_000] {
            for payload_len in [0, 14, 15, 80, 127, 128, 512, 70_000] {
                for (deadline, object) in
                    [(None, false), (Some(-5), false), (None, true), (Some(i64::MAX), true)]
                {
                    let draft = Draft::new(key_len, payload_len, deadline.is_some(), object);
                    let mut bytes = vec![0xee; 7 + draft.size];
                    let shape = draft.write(&mut bytes, 7, deadline);
                    assert_eq!(shape.end, bytes.len());
                    assert_eq!(shape.deadline(&bytes), deadline);
                    assert_eq!(shape.has(OBJECT), object);
                    assert!(draft.size <= MAX_ENTRY);
                    assert_eq!(shape.has(LONG_KEY), key_len > MAX_INLINE_KEY);
                    if !shape.has(LONG_KEY) {
                        assert_eq!(shape.key().len(), key_len);
                    }
                    if !shape.has(LONG_PAYLOAD) {
                        assert_eq!(shape.payload().len(), payload_len);
                    }
                }
            }
        }
    }

    #[test]
    fn a_set_member_costs_two_bytes_of_header() {
        assert_eq!(Draft::new(17, 0, false, false).size, 2 + 17);
        assert_eq!(Draft::new(17, 8, false, false).size, 2 + 25);
        assert_eq!(Draft::new(16, 20, false, false).size, 3 + 36);
    }

    #[test]
    fn payloads_go_out_of_line_when_two_entries_would_not_fit_a_block() {
        for (payload_len, size) in [(223, 16 + 223 + 4), (224, 16 + 224 + 4), (225, 16 + INDEX_BYTES + 2)] {
            assert_eq!(Draft::new(16, payload_len, false, false).size, size);
        }
    }
}
