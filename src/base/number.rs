//! Integers and doubles as text, in both directions, exactly as the C library and Redis do it.
//!
//! Strictness differs by caller and is part of the protocol, so each reader is its own function:
//! [`parse_i64`] takes only the canonical form, [`parse_f64`] whatever `strtod` reads completely,
//! [`strtod`] a prefix. Integers are here, doubles in [`double`]; the 80-bit arithmetic of
//! INCRBYFLOAT lives in [`long_double`](super::long_double).

mod double;

pub use double::{Strtod, f64_as_i64, format_f64_6g, format_f64_17g, format_f64_shortest, parse_f64, strtod};

use super::float_text::is_c_space;

/// Longest canonical text of an `i64`: `-9223372036854775808`.
const I64_TEXT_MAX: usize = 20;

/// Reads a canonical integer: no `+`, no leading zeros, no spaces, no `-0`.
#[inline]
#[must_use]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if text.len() > I64_TEXT_MAX {
        return None;
    }
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut size = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        size = size.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    if negative { 0i64.checked_sub_unsigned(size) } else { i64::try_from(size).ok() }
}

/// Reads an unsigned integer as stream ids do: canonical `i64`s first, then whatever `strtoull`
/// reads.
///
/// So leading spaces, a `+`, leading zeros and values up to `u64::MAX` are accepted, a NUL ends the
/// text, and a negative number that is *not* canonical wraps around (`-01` is `u64::MAX`).
#[must_use]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let text = text.split(|&c| c == 0).next().unwrap_or_default();
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let space = text.iter().take_while(|&&c| is_c_space(c)).count();
    let (negative, digits) = match &text[space..] {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut size = 0u64;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| byte - b'0')?;
        size = size.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative { size.wrapping_neg() } else { size })
}

/// Appends `value` in decimal.
#[inline]
pub fn format_i64(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The decimal text of an integer, on the stack.
#[derive(Clone, Copy)]
pub struct I64Text {
    bytes: [u8; I64_TEXT_MAX],
    length: u8,
}

impl I64Text {
    /// The text of `value`.
    #[inline]
    #[must_use]
    pub fn new(value: i64) -> Self {
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(value).as_bytes();
        let mut bytes = [0; I64_TEXT_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Self { bytes, length: text.len() as u8 }
    }

    /// The digits, with the sign.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for I64Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_read() {
        let good = [
            ("0", 0),
            ("-1", -1),
            ("10", 10),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ];
        for (text, value) in good {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
            assert_eq!(I64Text::new(value).as_bytes(), text.as_bytes());
            let mut out = b"x".to_vec();
            format_i64(value, &mut out);
            assert_eq!(out, format!("x{text}").as_bytes());
        }
        let bad = [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "-01",
            " 1",
            "1 ",
            "1a",
            "0x1",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "18446744073709551617",
            "1\0",
            "000000000000000000001",
        ];
        for text in bad {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn unsigned_integers_are_read_as_stream_ids_read_them() {
        // Checked with XADD on Redis 7.0.15, except the wrapping rows, which it screens out.
        let good = [
            ("0", 0),
            ("01", 1),
            ("+5", 5),
            (" 6", 6),
            ("5\0a", 5),
            ("18446744073709551615", u64::MAX),
            ("-01", u64::MAX),
            ("-0", 0),
        ];
        for (text, value) in good {
            assert_eq!(parse_u64(text.as_bytes()), Some(value), "{text:?}");
        }
        for text in ["", " ", "-1", "8 ", "18446744073709551616", "+", "1x", "\0", "- 1"] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text:?}");
        }
    }
}
