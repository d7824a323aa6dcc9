//! LZF: the fast, weak compression that RDB files and DUMP payloads use for strings.
//!
//! The stream is a row of items, each begun by a control byte:
//!
//! ```text
//! 000LLLLL  <L+1 bytes>             a literal run of 1..=32 bytes
//! LLLooooo  oooooooo                copy L+2 bytes (L in 1..=6) from `o`+1 bytes back
//! 111ooooo  LLLLLLLL  oooooooo      copy L+9 bytes from `o`+1 bytes back
//! ```
//!
//! The length of the result is not in the stream; whoever stores it stores that too. [`compress`]
//! remembers for each hash of three bytes where they last stood and takes the first match, as the
//! format's makers meant it: speed before size.

use std::ops::Range;

const MAX_LITERALS: usize = 32;
const MAX_OFFSET: usize = 1 << 13;
const MIN_MATCH: usize = 3;
const MAX_MATCH: usize = 264;

/// No three input bytes can become more than one longest match.
const MAX_EXPANSION: usize = MAX_MATCH / 3;

/// Largest table of places: 2^14 of 4 bytes.
const MAX_TABLE_BITS: u32 = 14;

/// Compressed `input`, or `None` when that would not be smaller (or `input` exceeds 4 GiB).
#[must_use]
pub fn compress(input: &[u8]) -> Option<Vec<u8>> {
    if input.len() <= MIN_MATCH || u32::try_from(input.len()).is_err() {
        return None;
    }
    let table_bits = (input.len().ilog2() + 1).clamp(6, MAX_TABLE_BITS);
    // Place + 1 of the last sight of a hash; 0 is never.
    let mut table = vec![0u32; 1 << table_bits];
    let mut out = Vec::with_capacity(input.len());
    let (mut literals_from, mut position) = (0, 0);
    while position + MIN_MATCH <= input.len() {
        let slot = &mut table[hash(&input[position..], table_bits)];
        let candidate = std::mem::replace(slot, position as u32 + 1) as usize;
        let Some(length) = match_length(input, candidate, position) else {
            position += 1;
            continue;
        };
        write_literals(&input[literals_from..position], &mut out);
        write_match(length, position - candidate, &mut out);
        remember(input, position + 1..position + length, &mut table, table_bits);
        position += length;
        literals_from = position;
        if out.len() >= input.len() {
            return None;
        }
    }
    write_literals(&input[literals_from..], &mut out);
    (out.len() < input.len()).then_some(out)
}

/// The `expected_length` bytes that `input` stands for; `None` when it is not a stream of exactly
/// that.
///
/// Allocates no more than `input` can possibly expand to.
#[must_use]
pub fn decompress(input: &[u8], expected_length: usize) -> Option<Vec<u8>> {
    if expected_length > input.len().saturating_mul(MAX_EXPANSION) {
        return None;
    }
    let mut out = Vec::with_capacity(expected_length);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        rest = if control < 32 {
            let (literals, after) = after.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(literals);
            after
        } else {
            read_match(control, after, expected_length, &mut out)?
        };
        if out.len() > expected_length {
            return None;
        }
    }
    (out.len() == expected_length).then_some(out)
}

fn hash(bytes: &[u8], table_bits: u32) -> usize {
    let three = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
    (three.wrapping_mul(0x9e37_79b1) >> (32 - table_bits)) as usize
}

/// Length of the match between `position` and the place before `candidate`, if it can be written.
fn match_length(input: &[u8], candidate: usize, position: usize) -> Option<usize> {
    let from = candidate.checked_sub(1)?;
    if position - candidate >= MAX_OFFSET {
        return None;
    }
    let longest = MAX_MATCH.min(input.len() - position);
    let pairs = input[from..].iter().zip(&input[position..position + longest]);
    let length = pairs.take_while(|(a, b)| a == b).count();
    (length >= MIN_MATCH).then_some(length)
}

/// Enters the places inside a match, so that later data finds the nearest one.
fn remember(input: &[u8], places: Range<usize>, table: &mut [u32], table_bits: u32) {
    for place in places.start..places.end.min(input.len() - MIN_MATCH + 1) {
        table[hash(&input[place..], table_bits)] = place as u32 + 1;
    }
}

fn write_literals(literals: &[u8], out: &mut Vec<u8>) {
    for run in literals.chunks(MAX_LITERALS) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn write_match(length: usize, offset: usize, out: &mut Vec<u8>) {
    let (high, low) = ((offset >> 8) as u8, offset as u8);
    match length - 2 {
        short @ ..7 => out.extend_from_slice(&[(short as u8) << 5 | high, low]),
        long => out.extend_from_slice(&[7 << 5 | high, (long - 7) as u8, low]),
    }
}

/// Carries out one copy; returns what follows it.
fn read_match<'a>(control: u8, input: &'a [u8], limit: usize, out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (extra, input) = match control >> 5 {
        7 => input.split_first().map(|(&extra, rest)| (usize::from(extra), rest))?,
        _ => (0, input),
    };
    let (&low, input) = input.split_first()?;
    let length = usize::from(control >> 5) + extra + 2;
    let offset = usize::from(control & 31) << 8 | usize::from(low);
    let from = out.len().checked_sub(offset + 1)?;
    if out.len() + length > limit {
        return None;
    }
    if offset + 1 >= length {
        out.extend_from_within(from..from + length);
    } else {
        // The copy overlaps what it writes: a short pattern repeats.
        for place in from..from + length {
            out.push(out[place]);
        }
    }
    Some(input)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn streams_of_a_real_server_are_read() {
        // The string bodies of `DUMP` by Redis 7.0.15.
        let rows: &[(&[u8], Vec<u8>)] = &[
            (b"\x01aa\xe0\x11\x00\x01aa", vec![b'a'; 30]),
            (b"\x01aa\xe0\xff\x00\xe0\xff\x00\xe0\xff\x00\xe0\xc3\x00\x01aa", vec![b'a'; 1000]),
            (b"\x0dhello world, h\xe0(\x0c\x01, ", b"hello world, ".repeat(5)),
            (
                b"\x1fabcdefghijklmnopqrstuvwxyz012345\x036789 \x0c\x00a`&\xe0\x10\x08\x01ef",
                [&b"abcdefghijklmnopqrstuvwxyz0123456789"[..], &b"xyzabcdef".repeat(4)].concat(),
            ),
        ];
        for (stream, expected) in rows {
            assert_eq!(decompress(stream, expected.len()).as_ref(), Some(expected));
        }
    }

    #[test]
    fn what_repeats_shrinks_and_what_does_not_is_left_alone() {
        let long = vec![b'a'; 10_000];
        let packed = compress(&long).unwrap();
        assert!(packed.len() < 130, "{}", packed.len());
        assert_eq!(decompress(&packed, long.len()), Some(long));
        let mut random = crate::base::random::Random::new(5);
        let mut noise = vec![0; 3000];
        random.fill(&mut noise);
        for input in [&b""[..], b"a", b"aaa", b"abcdefghijklmnopqrstuvwxyz", &noise] {
            assert_eq!(compress(input), None, "{} bytes", input.len());
        }
    }

    #[test]
    fn matches_reach_exactly_as_far_as_the_format_allows() {
        let mut random = crate::base::random::Random::new(6);
        let mut phrase = vec![0; 300];
        random.fill(&mut phrase);
        for (gap, found) in [(MAX_OFFSET, true), (MAX_OFFSET + 1, false)] {
            let mut input = phrase.clone();
            let mut filler = vec![0; gap - phrase.len()];
            random.fill(&mut filler);
            input.extend_from_slice(&filler);
            input.extend_from_slice(&phrase);
            assert_eq!(compress(&input).is_some(), found, "{gap}");
        }
    }

    #[test]
    fn bad_streams_are_refused() {
        let rows: &[(&[u8], usize, &str)] = &[
            (b"\x02ab", 3, "a literal run cut short"),
            (b"\x00a", 2, "too little"),
            (b"\x01ab", 1, "too much"),
            (b"\x20\x00", 3, "a match before the beginning"),
            (b"\x00a\x20\x01", 4, "a match before the beginning"),
            (b"\x00a\x20", 4, "no offset"),
            (b"\x00a\xe0", 10, "no length"),
            (b"\x00a\xe0\x00", 10, "no offset after the length"),
            (b"\x00a\x20\x00", 3, "a match beyond the end"),
            (b"\x00a", usize::MAX, "a length no stream of two bytes can have"),
        ];
        for &(stream, length, why) in rows {
            assert_eq!(decompress(stream, length), None, "{why}");
        }
        assert_eq!(decompress(b"", 0), Some(vec![]));
        assert_eq!(decompress(b"\x00a\xe0\xff\x00", 265), Some(vec![b'a'; 265]));
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(
            words in proptest::collection::vec(proptest::collection::vec(0u8..4, 0..40), 1..12),
            order in proptest::collection::vec(any::<proptest::sample::Index>(), 0..200),
        ) {
            let input: Vec<u8> = order.iter().flat_map(|i| i.get(&words).clone()).collect();
            if let Some(packed) = compress(&input) {
                prop_assert!(packed.len() < input.len());
                prop_assert_eq!(decompress(&packed, input.len()), Some(input));
            }
        }

        #[test]
        fn garbage_never_panics_nor_exceeds_its_length(
            stream in proptest::collection::vec(any::<u8>(), 0..100),
            length in 0usize..3000,
        ) {
            if let Some(out) = decompress(&stream, length) {
                prop_assert_eq!(out.len(), length);
            }
        }
    }
}
