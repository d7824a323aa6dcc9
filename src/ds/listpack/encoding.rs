//! The bytes of one listpack entry, and the check of a whole listpack from outside.
//!
//! ```text
//! 0vvvvvvv                     integer 0..=127
//! 10llllll data                string, up to 63 bytes
//! 110vvvvv v                   integer of 13 bits, signed
//! 1110llll l data              string, up to 4095 bytes
//! F0 llll data                 string, length u32 LE
//! F1 vv · F2 vvv · F3 vvvv · F4 vvvvvvvv      integers of 16, 24, 32, 64 bits LE
//! ```

use super::{COUNT_UNKNOWN, END, HEADER_BYTES, ListpackCorrupt, ListpackValue};

/// A decoded entry and the offset of the one after it.
pub(super) struct ListpackEntry<'a> {
    pub(super) value: ListpackValue<'a>,
    pub(super) next: usize,
}

/// Bytes of an integer's encoding, with its tag.
fn int_bytes(int: i64) -> usize {
    match int {
        0..=127 => 1,
        -4096..=4095 => 2,
        -32768..=32767 => 3,
        -8388608..=8388607 => 4,
        -2147483648..=2147483647 => 5,
        _ => 9,
    }
}

/// Bytes before a string's data.
fn string_head_bytes(len: usize) -> usize {
    match len {
        0..=63 => 1,
        64..=4095 => 2,
        _ => 5,
    }
}

fn data_bytes(value: ListpackValue<'_>) -> usize {
    match value {
        ListpackValue::Int(int) => int_bytes(int),
        ListpackValue::Bytes(bytes) => string_head_bytes(bytes.len()) + bytes.len(),
    }
}

/// Bytes of a whole entry.
pub(super) fn entry_bytes(value: ListpackValue<'_>) -> usize {
    let data = data_bytes(value);
    data + backlen_bytes(data)
}

/// Bytes of the backlen that says `data`.
pub(super) fn backlen_bytes(data: usize) -> usize {
    // Redis: the comparisons are strict above the first, so 16383 takes three bytes.
    match data {
        0..=127 => 1,
        128..16383 => 2,
        16383..2097151 => 3,
        2097151..268435455 => 4,
        _ => 5,
    }
}

/// Reads the backlen that ends where `bytes` end. `None` when it does not end within five bytes.
pub(super) fn read_backlen(bytes: &[u8]) -> Option<usize> {
    let mut data = 0usize;
    for (index, byte) in bytes.iter().rev().take(5).enumerate() {
        data |= usize::from(byte & 127) << (7 * index);
        if byte & 128 == 0 {
            return Some(data);
        }
    }
    None
}

/// Fills `out`, exactly [`entry_bytes`] long, with the entry of `value`.
pub(super) fn write_entry(out: &mut [u8], value: ListpackValue<'_>) {
    let data = data_bytes(value);
    match value {
        ListpackValue::Int(int) => write_int(&mut out[..data], int),
        ListpackValue::Bytes(bytes) => {
            let head = string_head_bytes(bytes.len());
            let len = bytes.len() as u32;
            match head {
                1 => out[0] = 0x80 | len as u8,
                2 => out[..2].copy_from_slice(&(0xE000 | len as u16).to_be_bytes()),
                _ => {
                    out[0] = 0xF0;
                    out[1..5].copy_from_slice(&len.to_le_bytes());
                }
            }
            out[head..data].copy_from_slice(bytes);
        }
    }
    let backlen = &mut out[data..];
    let last = backlen.len() - 1;
    for (index, byte) in backlen.iter_mut().enumerate() {
        let septet = (data >> (7 * (last - index))) as u8 & 127;
        *byte = if index == 0 { septet } else { septet | 128 };
    }
}

fn write_int(out: &mut [u8], int: i64) {
    match out.len() {
        1 => out[0] = int as u8,
        2 => out.copy_from_slice(&(0xC000 | (int as u16 & 0x1FFF)).to_be_bytes()),
        width => {
            out[0] = match width {
                3 => 0xF1,
                4 => 0xF2,
                5 => 0xF3,
                _ => 0xF4,
            };
            out[1..].copy_from_slice(&int.to_le_bytes()[..width - 1]);
        }
    }
}

/// The place of an entry's data: its tag byte decides.
struct Shape {
    /// Bytes before the data: tag and length.
    head: usize,
    /// Bytes of the data themselves.
    data: usize,
}

/// The shape of the entry that begins `bytes`; `None` for a bad tag or a cut-off head.
#[inline]
fn shape(bytes: &[u8]) -> Option<Shape> {
    let &tag = bytes.first()?;
    let (head, data) = match tag {
        0x00..=0x7F => (1, 0),
        0x80..=0xBF => (1, usize::from(tag & 0x3F)),
        0xC0..=0xDF => (2, 0),
        0xE0..=0xEF => (2, usize::from(tag & 0x0F) << 8 | usize::from(*bytes.get(1)?)),
        0xF0 => (5, u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize),
        0xF1 => (1, 2),
        0xF2 => (1, 3),
        0xF3 => (1, 4),
        0xF4 => (1, 8),
        _ => return None,
    };
    Some(Shape { head, data })
}

/// Reads the entry at `offset` of a checked listpack.
#[inline]
pub(super) fn decode(bytes: &[u8], offset: usize) -> ListpackEntry<'_> {
    let bytes = &bytes[offset..];
    let Shape { head, data } = shape(bytes).expect("checked on the way in");
    let whole = head + data;
    let tag = bytes[0];
    let value = match tag {
        0x00..=0x7F => ListpackValue::Int(tag.into()),
        0x80..=0xBF | 0xE0..=0xF0 => ListpackValue::Bytes(&bytes[head..whole]),
        0xC0..=0xDF => {
            let bits = u16::from_be_bytes([tag, bytes[1]]) << 3;
            ListpackValue::Int((bits as i16 >> 3).into())
        }
        _ => ListpackValue::Int(read_int(&bytes[1..whole])),
    };
    ListpackEntry { value, next: offset + whole + backlen_bytes(whole) }
}

/// Returns the offset of the entry after the one at `offset` of a checked listpack.
#[inline]
pub(super) fn next_offset(bytes: &[u8], offset: usize) -> usize {
    let Shape { head, data } = shape(&bytes[offset..]).expect("checked on the way in");
    offset + head + data + backlen_bytes(head + data)
}

/// A little-endian signed integer of up to eight bytes.
fn read_int(bytes: &[u8]) -> i64 {
    let mut wide = [0; 8];
    wide[8 - bytes.len()..].copy_from_slice(bytes);
    i64::from_le_bytes(wide) >> (64 - 8 * bytes.len())
}

/// Checks everything [`decode`] and [`read_backlen`] rely on. Returns the number of elements.
pub(super) fn validate(bytes: &[u8]) -> Result<usize, ListpackCorrupt> {
    if bytes.len() <= HEADER_BYTES {
        return Err(ListpackCorrupt("shorter than its header"));
    }
    if u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize != bytes.len() {
        return Err(ListpackCorrupt("total bytes differ from the header"));
    }
    let (body, last) = bytes.split_at(bytes.len() - 1);
    if last != [END] {
        return Err(ListpackCorrupt("no end mark"));
    }
    let (mut offset, mut count) = (HEADER_BYTES, 0);
    while offset < body.len() {
        offset = next_checked(body, offset)?;
        count += 1;
    }
    let told = u16::from_le_bytes([bytes[4], bytes[5]]);
    if told != COUNT_UNKNOWN && usize::from(told) != count {
        return Err(ListpackCorrupt("element count differs from the header"));
    }
    Ok(count)
}

fn next_checked(body: &[u8], offset: usize) -> Result<usize, ListpackCorrupt> {
    let Shape { head, data } = shape(&body[offset..]).ok_or(ListpackCorrupt("bad encoding"))?;
    let whole = head + data;
    let next = offset + whole + backlen_bytes(whole);
    if next > body.len() {
        return Err(ListpackCorrupt("entry reaches past the end"));
    }
    if read_backlen(&body[offset + whole..next]) != Some(whole) {
        return Err(ListpackCorrupt("backlen differs from its entry"));
    }
    Ok(next)
}
