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
//! format's makers meant it: speed before size. Many streams stand for the same bytes. Ours are,
//! byte for byte, those of liblzf 3.6 as Redis builds and calls it, so that a payload or a file
//! made here can be compared with one made there; where a choice below looks arbitrary, that is its
//! reason.

use std::cell::RefCell;

const MAX_LITERALS: usize = 32;
const MAX_OFFSET: usize = 1 << 13;
const MIN_MATCH: usize = 3;
const MAX_MATCH: usize = 264;

/// No three input bytes can become more than one longest match.
const MAX_EXPANSION: usize = MAX_MATCH / 3;

/// The least number of bytes to save; with less it is not worth it.
const MIN_SAVED: usize = 4;

/// Behind the last place where a match may begin.
const TAIL: usize = 2;

/// Entries of the table of places: one for each hash.
const TABLE_ENTRIES: usize = 1 << 16;

thread_local! {
    /// One for all strings a thread packs: to make one takes longer than to pack a short string.
    static PLACES: RefCell<Places> = RefCell::new(Places::new());
}

/// Compressed `input`, or `None` when that would not save four bytes (or `input` exceeds 4 GiB).
#[must_use]
pub fn compress(input: &[u8]) -> Option<Vec<u8>> {
    let limit = input.len().checked_sub(MIN_SAVED).filter(|&limit| limit > 0)?;
    PLACES.with_borrow_mut(|places| pack(input, limit, places))
}

fn pack(input: &[u8], limit: usize, places: &mut Places) -> Option<Vec<u8>> {
    places.begin(input)?;
    let mut out = Vec::with_capacity(limit);
    let end = input.len() - TAIL;
    let (mut literals_from, mut position) = (0, 0);
    while position < end {
        let candidate = places.replace(input, position).filter(|&from| can_match(input, from, position));
        let Some(candidate) = candidate else {
            position += 1;
            continue;
        };
        let literals = &input[literals_from..position];
        if out.len() + literals.len() + literals.len().div_ceil(MAX_LITERALS) + 4 >= limit {
            return None;
        }
        write_literals(literals, &mut out);
        let length = match_length(input, candidate, position);
        write_match(length, position - candidate - 1, &mut out);
        position += length;
        literals_from = position;
        if position < end {
            // Of the places inside a match only the last two are remembered.
            places.replace(input, position - 2);
            places.replace(input, position - 1);
        }
    }
    let literals = position - literals_from;
    // A byte for the next run, and what can still come.
    if out.len() + literals + literals / MAX_LITERALS + 1 + 3 > limit {
        return None;
    }
    write_literals(&input[literals_from..], &mut out);
    Some(out)
}

/// The places where the last three bytes of each hash stood. It is never emptied between two
/// inputs: places count from the beginning of the first one.
struct Places {
    table: Box<[u32; TABLE_ENTRIES]>,
    /// Places of inputs before.
    before: u32,
    /// The same and those of this input.
    until: u32,
}

impl Places {
    fn new() -> Self {
        let table = vec![0; TABLE_ENTRIES].into_boxed_slice();
        Places { table: table.try_into().expect("of that length"), before: 0, until: 0 }
    }

    /// Forgets what was before `input`.
    fn begin(&mut self, input: &[u8]) -> Option<()> {
        let length = u32::try_from(input.len()).ok()?;
        self.before = self.until;
        self.until = self.before.checked_add(length).unwrap_or_else(|| {
            self.table.fill(0);
            self.before = 0;
            length
        });
        Some(())
    }

    /// Enters a place; returns the last one of the same hash. The first place of an input is never
    /// returned.
    fn replace(&mut self, input: &[u8], position: usize) -> Option<usize> {
        let slot = &mut self.table[hash(&input[position..position + MIN_MATCH])];
        let last = std::mem::replace(slot, self.before + position as u32);
        (last > self.before).then(|| (last - self.before) as usize)
    }
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

fn hash(three: &[u8]) -> usize {
    let three = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
    usize::from((three >> 8).wrapping_sub(three.wrapping_mul(5)) as u16)
}

/// True when what stands at `position` can be written as a copy of what stands at `candidate`
/// before it.
fn can_match(input: &[u8], candidate: usize, position: usize) -> bool {
    position - candidate <= MAX_OFFSET
        && input[candidate..candidate + MIN_MATCH] == input[position..position + MIN_MATCH]
}

/// Returns the length of the match.
fn match_length(input: &[u8], candidate: usize, position: usize) -> usize {
    // The last two bytes are left to literals, except where liblzf compares sixteen bytes at once.
    let longest = match input.len() - position - TAIL {
        ..MIN_MATCH => MIN_MATCH,
        17..=18 => 19,
        room => room.min(MAX_MATCH),
    };
    let pairs = input[candidate..].iter().zip(&input[position..position + longest]).skip(MIN_MATCH);
    MIN_MATCH + pairs.take_while(|(a, b)| a == b).count()
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
    fn streams_are_those_a_real_server_makes() {
        // The string bodies of `DUMP` by Redis 7.0.15; None where it leaves the string as it is.
        let rows: &[(Vec<u8>, Option<&[u8]>)] = &[
            (vec![b'a'; 21], Some(b"\x01aa\xe0\x0a\x00")),
            (vec![b'a'; 22], Some(b"\x01aa\xe0\x0a\x00\x00a")),
            (vec![b'a'; 300], Some(b"\x01aa\xe0\xff\x00\xe0\x17\x00\x01aa")),
            (b"aaaaaaaaaaaaaaaaaaaab".to_vec(), Some(b"\x01aa\xe0\x09\x00\x00b")),
            (b"aaaaaaaaaaaaaaaaaaaxy".to_vec(), Some(b"\x01aa\xe0\x08\x00\x01xy")),
            (b"ab".repeat(14), Some(b"\x02aba\xe0\x0e\x01\x01ab")),
            (b"abc".repeat(7), Some(b"\x03abca\xe0\x06\x02\x01bc")),
            (b"xabc".repeat(8), Some(b"\x04xabcx\xe0\x10\x03\x01bc")),
            (b"abcdefghijklmnopqrstuvw".to_vec(), None),
        ];
        for (input, stream) in rows {
            assert_eq!(compress(input).as_deref(), *stream, "{}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn places_start_anew_when_they_can_be_counted_no_further() {
        let input = b"one phrase and one phrase and one phrase".repeat(3);
        let expected = compress(&input);
        for until in [u32::MAX - 400, u32::MAX - 200, u32::MAX - 120, u32::MAX - 117, u32::MAX] {
            let mut places = Places::new();
            places.until = until;
            for _ in 0..5 {
                assert_eq!(pack(&input, input.len() - MIN_SAVED, &mut places), expected, "{until}");
            }
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
