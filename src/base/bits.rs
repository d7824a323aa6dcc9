//! Bits of byte strings, counted from the most significant bit of the first byte.
//!
//! Single bits, whole ranges and integers of up to 64 bits at any place. Bits behind the end read
//! as 0. Ranges are walked a word at a time; the compiler turns that into wider steps still.

use std::ops::Range;

/// Bytes of a word.
const WORD: usize = 8;

/// The operation that combines two strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Bits set in both.
    And,
    /// Bits set in either.
    Or,
    /// Bits set in one of them only.
    Xor,
}

/// Bit `index`.
#[must_use]
pub fn get(bytes: &[u8], index: u64) -> bool {
    let byte = usize::try_from(index / 8).ok().and_then(|byte| bytes.get(byte));
    byte.is_some_and(|byte| byte & mask_of(index) != 0)
}

/// Makes bit `index`, which lies inside `bytes`, what `on` says.
pub fn set(bytes: &mut [u8], index: u64, on: bool) {
    let byte = &mut bytes[place(index)];
    *byte = if on { *byte | mask_of(index) } else { *byte & !mask_of(index) };
}

/// The number of bits of `range`, which lies inside `bytes`, that are set.
#[must_use]
pub fn count(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = (place(range.start), place(range.end - 1));
    let ends: u64 = if first == last {
        ones(bytes[first] & tail_mask(range.start) & head_mask(range.end - 1))
    } else {
        ones(bytes[first] & tail_mask(range.start)) + ones(bytes[last] & head_mask(range.end - 1))
    };
    let middle = bytes.get(first + 1..last).unwrap_or_default();
    let (words, rest) = middle.as_chunks::<WORD>();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    ends + words + rest.iter().map(|&byte| ones(byte)).sum::<u64>()
}

/// The first bit of `range`, which lies inside `bytes`, that is as `on` says.
#[must_use]
pub fn find(bytes: &[u8], on: bool, range: Range<u64>) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    let (first, last) = (place(range.start), place(range.end - 1));
    let dull = if on { 0x00 } else { 0xff };
    let hit = |index: usize| {
        let mut byte = bytes[index] ^ dull;
        if index == first {
            byte &= tail_mask(range.start);
        }
        if index == last {
            byte &= head_mask(range.end - 1);
        }
        (byte != 0).then(|| index as u64 * 8 + u64::from(byte.leading_zeros()))
    };
    if let Some(found) = hit(first) {
        return Some(found);
    }
    let mut index = first + 1;
    while index + WORD <= last && bytes[index..index + WORD] == [dull; WORD] {
        index += WORD;
    }
    (index..=last).find_map(hit)
}

/// The unsigned integer of `width` bits, 1 to 64, at bit `offset`.
#[must_use]
pub fn read_field(bytes: &[u8], offset: u64, width: u32) -> u64 {
    let shift = field_shift(offset, width);
    let mut window = [0; WINDOW];
    if let Some(bytes) = usize::try_from(offset / 8).ok().and_then(|start| bytes.get(start..)) {
        let len = bytes.len().min(WINDOW);
        window[..len].copy_from_slice(&bytes[..len]);
    }
    ((u128::from_be_bytes(window) >> shift) as u64) & field_mask(width)
}

/// Writes the low `width` bits, 1 to 64, of `value` at bit `offset`; they lie inside `bytes`.
pub fn write_field(bytes: &mut [u8], offset: u64, width: u32, value: u64) {
    let shift = field_shift(offset, width);
    let target = &mut bytes[place(offset)..=place(offset + u64::from(width) - 1)];
    let mut window = [0; WINDOW];
    window[..target.len()].copy_from_slice(target);
    let mask = u128::from(field_mask(width)) << shift;
    let value = (u128::from(value) << shift) & mask;
    let window = (u128::from_be_bytes(window) & !mask | value).to_be_bytes();
    target.copy_from_slice(&window[..target.len()]);
}

/// Combines `other` into `target`, which becomes as long as the longer of the two.
pub fn combine(how: Combine, target: &mut Vec<u8>, other: &[u8]) {
    if target.len() < other.len() {
        target.resize(other.len(), 0);
    }
    let pairs = target.iter_mut().zip(other);
    match how {
        Combine::And => {
            pairs.for_each(|(target, other)| *target &= other);
            target[other.len()..].fill(0);
        }
        Combine::Or => pairs.for_each(|(target, other)| *target |= other),
        Combine::Xor => pairs.for_each(|(target, other)| *target ^= other),
    }
}

/// Bytes that hold any field with the bits beside it; nine are enough.
const WINDOW: usize = 16;

/// Returns the distance of the field's last bit from the end of its window.
fn field_shift(offset: u64, width: u32) -> u32 {
    u128::BITS - (offset % 8) as u32 - width
}

fn field_mask(width: u32) -> u64 {
    u64::MAX >> (u64::BITS - width)
}

fn place(index: u64) -> usize {
    usize::try_from(index / 8).expect("the bit lies inside a string in memory")
}

fn mask_of(index: u64) -> u8 {
    0x80 >> (index % 8)
}

/// The bits of a byte from `index` on.
fn tail_mask(index: u64) -> u8 {
    0xff >> (index % 8)
}

/// The bits of a byte up to `index` and including it.
fn head_mask(index: u64) -> u8 {
    0xff << (7 - index % 8)
}

fn ones(byte: u8) -> u64 {
    u64::from(byte.count_ones())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits_of(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1 == 1)).collect()
    }

    #[test]
    fn what_lies_behind_the_end_is_zero() {
        assert!(!get(&[0xff], 8));
        assert!(!get(&[0xff], u64::MAX));
        assert_eq!(read_field(&[0xff], 4, 8), 0xf0);
        assert_eq!(read_field(&[0xff], 100, 64), 0);
        assert_eq!(read_field(&[], u64::MAX - 64, 64), 0);
        assert_eq!((count(&[], 0..0), find(&[], true, 0..0)), (0, None));
    }

    proptest! {
        #[test]
        fn ranges_agree_with_single_bits(
            bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(0xff_u8), any::<u8>()], 1..60),
            one in any::<u64>(),
            two in any::<u64>(),
        ) {
            let bits = bits_of(&bytes);
            let len = bits.len() as u64;
            let (one, two) = (one % (len + 1), two % (len + 1));
            let range = one.min(two)..one.max(two);
            let slice = &bits[range.start as usize..range.end as usize];
            prop_assert_eq!(count(&bytes, range.clone()), slice.iter().filter(|bit| **bit).count() as u64);
            for on in [false, true] {
                let expected = slice.iter().position(|bit| *bit == on).map(|at| range.start + at as u64);
                prop_assert_eq!(find(&bytes, on, range.clone()), expected);
            }
        }

        #[test]
        fn a_field_reads_back_and_leaves_its_neighbours_alone(
            bytes in proptest::collection::vec(any::<u8>(), 9..20),
            offset in 0_u64..80,
            width in 1_u32..=64,
            value: u64,
        ) {
            let mut changed = bytes.clone();
            prop_assume!(offset + u64::from(width) <= bytes.len() as u64 * 8);
            write_field(&mut changed, offset, width, value);
            prop_assert_eq!(read_field(&changed, offset, width), value & field_mask(width));
            for index in 0..bytes.len() as u64 * 8 {
                let inside = (offset..offset + u64::from(width)).contains(&index);
                let expected = if inside {
                    value >> (offset + u64::from(width) - 1 - index) & 1 == 1
                } else {
                    get(&bytes, index)
                };
                prop_assert_eq!(get(&changed, index), expected);
            }
            let flipped = !get(&changed, offset);
            set(&mut changed, offset, flipped);
            prop_assert_ne!(read_field(&changed, offset, width), value & field_mask(width));
        }

        #[test]
        fn strings_of_any_length_combine(
            one in proptest::collection::vec(any::<u8>(), 0..40),
            two in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let len = one.len().max(two.len());
            let at = |bytes: &[u8], i: usize| bytes.get(i).copied().unwrap_or(0);
            for how in [Combine::And, Combine::Or, Combine::Xor] {
                let mut target = one.clone();
                combine(how, &mut target, &two);
                let model = |i: usize| match how {
                    Combine::And => at(&one, i) & at(&two, i),
                    Combine::Or => at(&one, i) | at(&two, i),
                    Combine::Xor => at(&one, i) ^ at(&two, i),
                };
                let expected: Vec<u8> = (0..len).map(model).collect();
                prop_assert_eq!(target, expected);
            }
        }
    }
}
