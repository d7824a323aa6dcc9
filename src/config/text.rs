//! The value of a text parameter, and the two number formats that only configuration knows.
//!
//! Values are bytes, not `String`: a password or a path may hold any byte, and CONFIG GET must give
//! back what CONFIG SET took. [`Text`] adds only what makes that comfortable. Splitting and quoting
//! lines is the business of [`crate::base::text`].

use crate::base::text::lossless;
use std::fmt;

/// The bytes of one text parameter. Displayed with invalid UTF-8 replaced.
#[derive(Clone, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes as given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True when nothing was set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value as text for messages, invalid UTF-8 replaced.
    pub fn to_str(&self) -> std::borrow::Cow<'_, str> {
        lossless(&self.0)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Text {
        Text(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Text {
        Text(bytes)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.to_str())
    }
}

/// A line of configuration without the space around it.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let (front, back) = (line.iter().take_while(space).count(), line.iter().rev().take_while(space).count());
    line.get(front..line.len() - back).unwrap_or_default()
}

/// Writes bytes with the largest unit that divides them: `100mb`, `1gb`, `1000`.
pub(super) fn format_memory(bytes: i128) -> String {
    for (factor, unit) in [(1i128 << 30, "gb"), (1 << 20, "mb"), (1 << 10, "kb")] {
        if bytes != 0 && bytes % factor == 0 {
            return format!("{}{unit}", bytes / factor);
        }
    }
    bytes.to_string()
}

/// Reads a whole number as C's `strtoll(…, 10)` does with nothing left over: leading space, a plus
/// sign and zeros are fine, and too large a number stops at the limit. Empty text reads as 0.
pub(super) fn parse_lenient(value: &[u8]) -> Option<i64> {
    let start = value.iter().take_while(|b| matches!(b, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &value[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return if value.is_empty() { Some(0) } else { None };
    }
    let mut sum: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        let digit = i64::from(digit - b'0');
        sum = sum.saturating_mul(10);
        sum = if negative { sum.saturating_sub(digit) } else { sum.saturating_add(digit) };
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_written_with_the_largest_unit_that_divides_it() {
        for (bytes, text) in [(0, "0"), (1000, "1000"), (16384, "16kb"), (3 << 20, "3mb"), (1 << 30, "1gb")] {
            assert_eq!(format_memory(bytes), text);
        }
    }

    #[test]
    fn lenient_numbers_are_read_as_c_reads_them() {
        let rows: &[(&str, Option<i64>)] = &[
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("+5", Some(5)),
            ("08", Some(8)),
            (" 5", Some(5)),
            ("-0", Some(0)),
            ("", Some(0)),
            ("5 ", None),
            (" ", None),
            ("-", None),
            ("1.5", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", Some(i64::MAX)),
            ("-9223372036854775809", Some(i64::MIN)),
        ];
        for (text, value) in rows {
            assert_eq!(parse_lenient(text.as_bytes()), *value, "{text:?}");
        }
    }
}
