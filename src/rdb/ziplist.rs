//! The two flat formats of older files, read only: ziplist and zipmap.
//!
//! ```text
//! ziplist  bytes u32 | offset of last u32 | entries u16 | { previous length, head, data } | 0xFF
//! zipmap   pairs u8  | { length, field, length, unused u8, value, unused bytes }         | 0xFF
//! ```
//!
//! All numbers are little endian but the lengths in a ziplist's heads. Redis replaced both by the
//! listpack; values are read out of them into today's forms. [`Ziplist::checked`] and
//! [`Zipmap::checked`] look at every byte that a walk depends on, so that walking cannot fail.

use crate::ds::listpack::ListpackValue;

const END: u8 = 0xff;
const ZIPLIST_HEADER_BYTES: usize = 10;
/// A previous length of this value is followed by four bytes with the real one.
const LONG_PREVIOUS: u8 = 0xfe;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// Pairs of a zipmap beyond this are not counted; a length of this value is followed by four bytes.
const ZIPMAP_LONG: u8 = 0xfe;

/// A checked ziplist.
#[derive(Clone, Copy)]
pub(super) struct Ziplist<'a> {
    bytes: &'a [u8],
}

struct Entry<'a> {
    previous_bytes: usize,
    value: ListpackValue<'a>,
    end: usize,
}

impl<'a> Ziplist<'a> {
    /// `bytes`, if they are a ziplist.
    pub(super) fn checked(bytes: &'a [u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<ZIPLIST_HEADER_BYTES>()?;
        let (&last, body) = bytes.split_last()?;
        if last != END || bytes.len() <= ZIPLIST_HEADER_BYTES || little_u32(header) as usize != bytes.len() {
            return None;
        }
        let (mut at, mut previous, mut len) = (ZIPLIST_HEADER_BYTES, 0, 0usize);
        let mut last_entry = ZIPLIST_HEADER_BYTES;
        while at < body.len() {
            let entry = entry(body, at)?;
            if entry.previous_bytes != previous {
                return None;
            }
            (previous, last_entry, at) = (entry.end - at, at, entry.end);
            len += 1;
        }
        let told = u16::from_le_bytes([header[8], header[9]]);
        let counted = told == COUNT_UNKNOWN || usize::from(told) == len;
        (counted && little_u32(&header[4..]) as usize == last_entry).then_some(Ziplist { bytes: body })
    }

    /// The elements in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = ListpackValue<'a>> + use<'a> {
        let (bytes, mut at) = (self.bytes, ZIPLIST_HEADER_BYTES);
        std::iter::from_fn(move || {
            let entry = entry(bytes, at)?;
            at = entry.end;
            Some(entry.value)
        })
    }
}

/// The entry at `at`; `None` at the end of `bytes` or when it is none.
fn entry(bytes: &[u8], at: usize) -> Option<Entry<'_>> {
    let mut rest = bytes.get(at..)?;
    let previous_bytes = match *take(&mut rest, 1)?.first()? {
        LONG_PREVIOUS => little_u32(take(&mut rest, 4)?) as usize,
        END => return None,
        short => usize::from(short),
    };
    let head = *take(&mut rest, 1)?.first()?;
    let value = match head {
        0x00..=0x3f => ListpackValue::Bytes(take(&mut rest, usize::from(head))?),
        0x40..=0x7f => {
            let low = *take(&mut rest, 1)?.first()?;
            ListpackValue::Bytes(take(&mut rest, usize::from(head & 0x3f) << 8 | usize::from(low))?)
        }
        0x80..=0xbf => {
            let len = u32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
            ListpackValue::Bytes(take(&mut rest, len as usize)?)
        }
        0xc0 => integer(take(&mut rest, 2)?),
        0xd0 => integer(take(&mut rest, 4)?),
        0xe0 => integer(take(&mut rest, 8)?),
        0xf0 => integer(take(&mut rest, 3)?),
        0xfe => integer(take(&mut rest, 1)?),
        0xf1..=0xfd => ListpackValue::Int(i64::from(head & 0x0f) - 1),
        _ => return None,
    };
    Some(Entry { previous_bytes, value, end: bytes.len() - rest.len() })
}

/// A checked zipmap.
#[derive(Clone, Copy)]
pub(super) struct Zipmap<'a> {
    bytes: &'a [u8],
}

impl<'a> Zipmap<'a> {
    /// `bytes`, if they are a zipmap that is not empty.
    pub(super) fn checked(bytes: &'a [u8]) -> Option<Self> {
        let (&last, body) = bytes.split_last()?;
        let (&told, mut rest) = body.split_first()?;
        let zipmap = Zipmap { bytes: rest };
        let mut count = 0usize;
        while !rest.is_empty() {
            pair(&mut rest)?;
            count += 1;
        }
        let counted = told >= ZIPMAP_LONG || usize::from(told) == count;
        (last == END && count > 0 && counted).then_some(zipmap)
    }

    /// The fields and their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || pair(&mut rest))
    }
}

fn pair<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let len = zipmap_length(rest)?;
    let field = take(rest, len)?;
    let len = zipmap_length(rest)?;
    let unused = *take(rest, 1)?.first()?;
    let value = take(rest, len)?;
    take(rest, usize::from(unused))?;
    Some((field, value))
}

fn zipmap_length(rest: &mut &[u8]) -> Option<usize> {
    match *take(rest, 1)?.first()? {
        // Redis: a length that fits a byte stands in one.
        ZIPMAP_LONG => {
            Some(little_u32(take(rest, 4)?) as usize).filter(|&length| length >= usize::from(ZIPMAP_LONG))
        }
        END => None,
        short => Some(usize::from(short)),
    }
}

/// Splits `count` bytes off the front of `rest`, if it has as many.
fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn little_u32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

/// A signed integer of 1 to 8 bytes.
fn integer(bytes: &[u8]) -> ListpackValue<'static> {
    let mut wide = [0; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    ListpackValue::Int(i64::from_le_bytes(wide) >> (64 - 8 * bytes.len()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ziplist made by hand: each element is a head with its data.
    pub(in super::super) fn ziplist_of(elements: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; ZIPLIST_HEADER_BYTES];
        let (mut previous, mut last) = (0usize, ZIPLIST_HEADER_BYTES);
        for element in elements {
            let start = bytes.len();
            match u8::try_from(previous) {
                Ok(short) if short < LONG_PREVIOUS => bytes.push(short),
                _ => {
                    bytes.push(LONG_PREVIOUS);
                    bytes.extend((previous as u32).to_le_bytes());
                }
            }
            bytes.extend_from_slice(element);
            (previous, last) = (bytes.len() - start, start);
        }
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(elements.len() as u16).to_le_bytes());
        bytes
    }

    /// A text as a ziplist stores it.
    pub(in super::super) fn text(text: &[u8]) -> Vec<u8> {
        match text.len() {
            len @ ..0x40 => [&[len as u8], text].concat(),
            len @ ..0x4000 => [&[0x40 | (len >> 8) as u8, len as u8], text].concat(),
            len => [&[0x80], &(len as u32).to_be_bytes()[..], text].concat(),
        }
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        let (medium, long) = (vec![b'm'; 300], vec![b'l'; 20_000]);
        let elements: Vec<Vec<u8>> = vec![
            text(b"short"),
            text(&medium),
            text(&long),
            vec![0xc0, 0x00, 0x80],
            vec![0xd0, 0xff, 0xff, 0xff, 0x7f],
            [&[0xe0][..], &i64::MIN.to_le_bytes()].concat(),
            vec![0xf0, 0xff, 0xff, 0xff],
            vec![0xfe, 0x80],
            vec![0xf1],
            vec![0xfd],
            text(b""),
        ];
        let elements: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
        let bytes = ziplist_of(&elements);
        let ziplist = Ziplist::checked(&bytes).expect("it is one");
        let read: Vec<Vec<u8>> = ziplist.iter().map(|value| value.to_vec()).collect();
        let numbers = ["-32768", "2147483647", "-9223372036854775808", "-1", "-128", "0", "12"];
        let mut expected = vec![b"short".to_vec(), medium, long];
        expected.extend(numbers.map(|number| number.as_bytes().to_vec()));
        expected.push(Vec::new());
        assert_eq!(read, expected);
    }

    #[test]
    fn an_empty_ziplist_is_one_and_an_empty_zipmap_is_none() {
        assert_eq!(Ziplist::checked(&ziplist_of(&[])).map(|ziplist| ziplist.iter().count()), Some(0));
        assert!(Zipmap::checked(b"\x00\xff").is_none());
    }

    #[test]
    fn a_zipmap_skips_what_is_unused_behind_values() {
        let bytes = b"\x02\x01a\x02\x00bc\x03key\x01\x03v???\xff";
        let pairs: Vec<_> = Zipmap::checked(bytes).expect("it is one").iter().collect();
        assert_eq!(pairs, [(&b"a"[..], &b"bc"[..]), (b"key", b"v")]);
        let field = [b'f'; 254];
        let long = [&b"\xfe\xfe\xfe\x00\x00\x00"[..], &field, b"\x00\x00\xff"].concat();
        let pairs: Vec<_> = Zipmap::checked(&long).expect("it is one").iter().collect();
        assert_eq!(pairs, [(&field[..], &b""[..])]);
        let needless = b"\xfe\xfe\x05\x00\x00\x00field\x00\x00\xff";
        assert!(Zipmap::checked(needless).is_none(), "a short length in a long form");
    }

    #[test]
    fn damage_is_refused_or_harmless() {
        let ziplist = ziplist_of(&[&text(b"one"), &[0xc0, 1, 2], &text(&[b'x'; 300]), &[0xf3]]);
        let zipmap = b"\x02\x01a\x02\x00bc\x03key\x01\x03v???\xff".to_vec();
        for bytes in [ziplist, zipmap] {
            for at in 0..bytes.len() {
                assert!(Ziplist::checked(&bytes[..at]).is_none());
                assert!(Zipmap::checked(&bytes[..at]).is_none());
                for value in 0..=255 {
                    let mut damaged = bytes.clone();
                    damaged[at] = value;
                    let count = Ziplist::checked(&damaged).map(|ziplist| ziplist.iter().count());
                    let told = usize::from(damaged[8]) | usize::from(damaged[9]) << 8;
                    assert!(count.is_none_or(|count| told == count || told == 0xffff), "{at} {value}");
                    Zipmap::checked(&damaged).map(|zipmap| zipmap.iter().count());
                }
            }
        }
    }
}
