//! A sorted set of integers in one flat allocation, in Redis's intset byte format.
//!
//! ```text
//! | width u32 LE (2, 4 or 8) | length u32 LE | integers, ascending, each `width` bytes LE |
//! ```
//!
//! Small sets of integers are intsets, here as in Redis: an RDB file takes [`Intset::as_bytes`] as
//! they are. All integers have the width of the widest ever inserted; it grows when needed and
//! never shrinks. Looking up is a binary search, changing moves O(bytes); whoever lets one grow
//! bounds it (Redis converts at `set-max-intset-entries`), and [`MAX_LEN`] is the last bound.

use crate::ds::size_class::size_class;

/// Bytes before the first integer.
pub const HEADER_BYTES: usize = 8;
/// The most integers a set takes (Redis's own cap of `set-max-intset-entries`).
pub const MAX_LEN: usize = 1 << 30;

/// The set holds [`MAX_LEN`] integers; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("intset is full")]
pub struct IntsetFull;

/// Bytes that are not an intset; the text says what is wrong with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("corrupt intset: {0}")]
pub struct IntsetCorrupt(&'static str);

/// A sorted set of integers; see the module's doc.
#[derive(Clone, PartialEq, Eq)]
pub struct Intset {
    bytes: Vec<u8>,
}

impl Default for Intset {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Intset {
    /// An empty set.
    pub fn new() -> Self {
        Self { bytes: vec![2, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// Takes bytes from outside after checking the header and the order. Redis: an empty set is
    /// refused.
    pub fn from_bytes_checked(bytes: Vec<u8>) -> Result<Self, IntsetCorrupt> {
        if bytes.len() < HEADER_BYTES {
            return Err(IntsetCorrupt("shorter than its header"));
        }
        let set = Self { bytes };
        let (width, len) = (set.width(), set.len());
        if !matches!(width, 2 | 4 | 8) {
            return Err(IntsetCorrupt("bad width"));
        }
        if len == 0 || len > MAX_LEN || set.bytes.len() - HEADER_BYTES != len * width {
            return Err(IntsetCorrupt("length differs from the header"));
        }
        if !set.iter().zip(set.iter().skip(1)).all(|(lower, upper)| lower < upper) {
            return Err(IntsetCorrupt("not ascending"));
        }
        Ok(set)
    }

    /// The format's bytes, as an RDB file stores them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of integers.
    pub fn len(&self) -> usize {
        self.header(4) as usize
    }

    /// True when there is no integer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes allocated.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// True when `int` is in the set.
    pub fn contains(&self, int: i64) -> bool {
        self.position(int).is_ok()
    }

    /// The integer at `index` in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    /// All integers, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Adds `int`. Returns whether it is new.
    pub fn insert(&mut self, int: i64) -> Result<bool, IntsetFull> {
        let Err(index) = self.position(int) else { return Ok(false) };
        let len = self.len();
        if len == MAX_LEN {
            return Err(IntsetFull);
        }
        if width_of(int) > self.width() {
            self.widen(width_of(int), 1);
        }
        let width = self.width();
        let (offset, end) = (HEADER_BYTES + index * width, self.bytes.len());
        self.reserve(width);
        self.bytes.resize(end + width, 0);
        self.bytes.copy_within(offset..end, offset + width);
        self.bytes[offset..offset + width].copy_from_slice(&int.to_le_bytes()[..width]);
        self.set_header(4, len as u32 + 1);
        Ok(true)
    }

    /// Removes `int`. Returns whether it was there.
    pub fn remove(&mut self, int: i64) -> bool {
        let Ok(index) = self.position(int) else { return false };
        let (width, len) = (self.width(), self.len());
        let offset = HEADER_BYTES + index * width;
        self.bytes.copy_within(offset + width.., offset);
        self.bytes.truncate(self.bytes.len() - width);
        self.set_header(4, len as u32 - 1);
        if self.bytes.capacity() > 2 * self.bytes.len() + 64 {
            self.bytes.shrink_to(size_class(self.bytes.len()));
        }
        true
    }

    /// Finds the place of `int`, or the one where it belongs.
    fn position(&self, int: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        if high > 0 && int > self.at(high - 1) {
            return Err(high);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at(middle).cmp(&int) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    fn at(&self, index: usize) -> i64 {
        let width = self.width();
        let bytes = &self.bytes[HEADER_BYTES + index * width..];
        match width {
            2 => i16::from_le_bytes([bytes[0], bytes[1]]).into(),
            4 => i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into(),
            _ => i64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")),
        }
    }

    /// Rewrites all integers with `width` bytes each, with room for `extra` more.
    fn widen(&mut self, width: usize, extra: usize) {
        let mut bytes = Vec::with_capacity(size_class(HEADER_BYTES + (self.len() + extra) * width));
        bytes.extend_from_slice(&self.bytes[..HEADER_BYTES]);
        for int in self.iter() {
            bytes.extend_from_slice(&int.to_le_bytes()[..width]);
        }
        self.bytes = bytes;
        self.set_header(0, width as u32);
    }

    fn reserve(&mut self, additional: usize) {
        let needed = self.bytes.len() + additional;
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact(size_class(needed) - self.bytes.len());
        }
    }

    fn width(&self) -> usize {
        self.header(0) as usize
    }

    fn header(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes[offset..offset + 4].try_into().expect("four bytes"))
    }

    fn set_header(&mut self, offset: usize, value: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// The fewest bytes that hold `int`.
fn width_of(int: i64) -> usize {
    if i16::try_from(int).is_ok() {
        2
    } else if i32::try_from(int).is_ok() {
        4
    } else {
        8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn intset(ints: &[i64]) -> Intset {
        let mut set = Intset::new();
        for &int in ints {
            set.insert(int).unwrap();
        }
        set
    }

    /// SADD s …, DUMP s of redis-server 7.0.15.
    #[test]
    fn bytes_are_those_of_redis() {
        for (ints, bytes) in [
            (&[3, -1, 2][..], &b"\x02\0\0\0\x03\0\0\0\xff\xff\x02\0\x03\0"[..]),
            (&[3, -1, 2, 40000], b"\x04\0\0\0\x04\0\0\0\xff\xff\xff\xff\x02\0\0\0\x03\0\0\0\x40\x9c\0\0"),
            (&[32767, -32768], b"\x02\0\0\0\x02\0\0\0\x00\x80\xff\x7f"),
            (&[5_000_000_000, 2], b"\x08\0\0\0\x02\0\0\0\x02\0\0\0\0\0\0\0\x00\xf2\x05\x2a\x01\0\0\0"),
        ] {
            let set = intset(ints);
            assert_eq!(set.as_bytes(), bytes, "{ints:?}");
            assert_eq!(Intset::from_bytes_checked(bytes.to_vec()), Ok(set), "{ints:?}");
        }
    }

    #[test]
    fn corrupt_bytes_are_refused() {
        for (bytes, reason) in [
            (&b"\x02\0\0\0\0\0\0"[..], "shorter than its header"),
            (b"\x03\0\0\0\x01\0\0\0\x01\0\0", "bad width"),
            (b"\0\0\0\0\x01\0\0\0", "bad width"),
            (b"\x02\0\0\0\0\0\0\0", "length differs from the header"),
            (b"\x02\0\0\0\x02\0\0\0\x01\0", "length differs from the header"),
            (b"\x08\0\0\0\xff\xff\xff\xff\x01\0", "length differs from the header"),
            (b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0", "not ascending"),
            (b"\x02\0\0\0\x02\0\0\0\x01\0\xff\xff", "not ascending"),
        ] {
            assert_eq!(Intset::from_bytes_checked(bytes.to_vec()), Err(IntsetCorrupt(reason)), "{bytes:x?}");
        }
    }

    #[test]
    fn a_full_set_refuses_more() {
        // The header alone decides, so the test need not hold 2^30 integers: this set lies about
        // its length.
        let mut set = Intset { bytes: vec![0; HEADER_BYTES + 2 * MAX_LEN] };
        set.set_header(0, 2);
        set.set_header(4, MAX_LEN as u32);
        assert_eq!(set.insert(1), Err(IntsetFull));
        assert_eq!(set.insert(0), Ok(false));
    }

    fn int() -> impl Strategy<Value = i64> {
        prop_oneof![
            4 => -20i64..20,
            1 => any::<i16>().prop_map(i64::from),
            1 => any::<i32>().prop_map(i64::from),
            1 => any::<i64>(),
            1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(32768), Just(-32769), Just(1 << 31)],
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_btreeset(steps in proptest::collection::vec((any::<bool>(), int()), 1..200)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (insert, int) in steps {
                if insert {
                    prop_assert_eq!(set.insert(int), Ok(model.insert(int)));
                } else {
                    prop_assert_eq!(set.remove(int), model.remove(&int));
                }
                prop_assert_eq!(set.contains(int), model.contains(&int));
                prop_assert_eq!(set.len(), model.len());
                prop_assert!(set.iter().eq(model.iter().copied()));
            }
            for (index, &int) in model.iter().enumerate() {
                prop_assert_eq!(set.get(index), Some(int));
            }
            prop_assert_eq!(set.get(model.len()), None);
            if !model.is_empty() {
                prop_assert_eq!(Intset::from_bytes_checked(set.as_bytes().to_vec()), Ok(set));
            }
        }
    }
}
