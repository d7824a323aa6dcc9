//! The grammar of C's `strtod` and `strtold`, and rounding to a binary mantissa: what
//! [`number`](super::number) and [`long_double`](super::long_double) have in common.
//!
//! It finds how far a number reaches and what it is made of; it converts no decimal digits itself.
//!
//! ```text
//! [space]* [+-]? ( inf | infinity | nan[(chars)]
//!                | digits[.digits][e[+-]digits] | 0x hex[.hex][p[+-]digits] )
//! ```

/// A number found at the start of some text.
#[derive(Debug, PartialEq)]
pub(super) struct Scanned<'a> {
    pub(super) negative: bool,
    pub(super) body: Body<'a>,
    /// Bytes of the text the number covers, leading space included; 0 when there is no number.
    pub(super) consumed: usize,
}

/// The part of the text behind the sign.
#[derive(Debug, PartialEq)]
pub(super) enum Body<'a> {
    Nothing,
    Infinity,
    Nan,
    Decimal(Decimal<'a>),
    Hexadecimal(Hexadecimal),
}

/// `digits` may hold one `.`; the value is `digits` × 10^`exponent`.
#[derive(Debug, PartialEq)]
pub(super) struct Decimal<'a> {
    pub(super) digits: &'a [u8],
    pub(super) exponent: i64,
    /// Digits and exponent as written, for a parser that reads the whole.
    pub(super) text: &'a [u8],
}

/// `mantissa` × 2^`exponent`, and a little more if `sticky`.
#[derive(Debug, PartialEq)]
pub(super) struct Hexadecimal {
    pub(super) mantissa: u128,
    pub(super) sticky: bool,
    pub(super) exponent: i64,
}

/// Exponents beyond this mean infinity or zero whatever the digits (an input has far fewer digits).
const EXPONENT_LIMIT: i64 = 1 << 40;

/// The number at the start of `text`.
pub(super) fn scan(text: &[u8]) -> Scanned<'_> {
    let space = text.iter().take_while(|&&c| is_c_space(c)).count();
    let negative = text.get(space) == Some(&b'-');
    let signed = negative || text.get(space) == Some(&b'+');
    let start = space + usize::from(signed);
    let rest = &text[start..];
    let (body, length) = scan_body(rest);
    if body == Body::Nothing {
        return Scanned { negative: false, body, consumed: 0 };
    }
    Scanned { negative, body, consumed: start + length }
}

/// C's `isspace` in the C locale.
pub(super) fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Rounds `mantissa` × 2^`exponent` (and a little more if `sticky`) to `bits` bits, half to even,
/// with no bit below 2^`lowest`. Returns the mantissa and its exponent.
///
/// With `sticky` the mantissa must hold at least two bits more than `bits`.
pub(super) fn round_to_bits(
    mantissa: u128,
    sticky: bool,
    exponent: i64,
    bits: u32,
    lowest: i64,
) -> (u64, i64) {
    if mantissa == 0 {
        return (0, lowest);
    }
    let top = exponent + i64::from(127 - mantissa.leading_zeros());
    let unit = (top - i64::from(bits) + 1).max(lowest);
    let shift = unit - exponent;
    if shift <= 0 {
        return ((mantissa << -shift) as u64, unit);
    }
    if shift > 128 {
        return (0, unit);
    }
    let (kept, lost, half) = if shift == 128 {
        (0, mantissa, 1 << 127)
    } else {
        (mantissa >> shift, mantissa & ((1 << shift) - 1), 1 << (shift - 1))
    };
    let up = lost > half || (lost == half && (sticky || kept & 1 == 1));
    let rounded = kept + u128::from(up);
    if rounded >> bits == 1 { ((rounded >> 1) as u64, unit + 1) } else { (rounded as u64, unit) }
}

fn scan_body(rest: &[u8]) -> (Body<'_>, usize) {
    if starts_with_ignore_case(rest, b"infinity") {
        return (Body::Infinity, 8);
    }
    if starts_with_ignore_case(rest, b"inf") {
        return (Body::Infinity, 3);
    }
    if starts_with_ignore_case(rest, b"nan") {
        return (Body::Nan, 3 + nan_payload_length(&rest[3..]));
    }
    if starts_with_ignore_case(rest, b"0x")
        && let Some((hexadecimal, length)) = scan_hexadecimal(&rest[2..])
    {
        return (Body::Hexadecimal(hexadecimal), 2 + length);
    }
    let length = mantissa_length(rest, u8::is_ascii_digit);
    if length == 0 {
        return (Body::Nothing, 0);
    }
    let (exponent, tail) = scan_exponent(&rest[length..], b'e');
    let text = &rest[..length + tail];
    (Body::Decimal(Decimal { digits: &rest[..length], exponent, text }), length + tail)
}

fn starts_with_ignore_case(text: &[u8], word: &[u8]) -> bool {
    text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word)
}

fn nan_payload_length(rest: &[u8]) -> usize {
    let Some(b'(') = rest.first() else { return 0 };
    let inside = rest[1..].iter().take_while(|&&c| c.is_ascii_alphanumeric() || c == b'_').count();
    if rest.get(1 + inside) == Some(&b')') { inside + 2 } else { 0 }
}

/// Length of digits with at most one `.`; 0 when there is no digit.
fn mantissa_length(rest: &[u8], is_digit: fn(&u8) -> bool) -> usize {
    let whole = rest.iter().take_while(|c| is_digit(c)).count();
    if rest.get(whole) != Some(&b'.') {
        return whole;
    }
    let fraction = rest[whole + 1..].iter().take_while(|c| is_digit(c)).count();
    if whole + fraction == 0 { 0 } else { whole + 1 + fraction }
}

/// The exponent and its length with the marker; (0, 0) when it is missing or has no digits.
fn scan_exponent(rest: &[u8], marker: u8) -> (i64, usize) {
    if rest.first().map(u8::to_ascii_lowercase) != Some(marker) {
        return (0, 0);
    }
    let negative = rest.get(1) == Some(&b'-');
    let start = 1 + usize::from(negative || rest.get(1) == Some(&b'+'));
    let digits = rest[start..].iter().take_while(|c| c.is_ascii_digit()).count();
    if digits == 0 {
        return (0, 0);
    }
    let size = rest[start..start + digits]
        .iter()
        .fold(0, |n: i64, &c| (n * 10 + i64::from(c - b'0')).min(EXPONENT_LIMIT));
    (if negative { -size } else { size }, start + digits)
}

fn scan_hexadecimal(rest: &[u8]) -> Option<(Hexadecimal, usize)> {
    let length = mantissa_length(rest, u8::is_ascii_hexdigit);
    if length == 0 {
        return None;
    }
    let mut number = Hexadecimal { mantissa: 0, sticky: false, exponent: 0 };
    let mut fraction = false;
    for &byte in &rest[..length] {
        let Some(digit) = char::from(byte).to_digit(16) else {
            fraction = true;
            continue;
        };
        if number.mantissa >> 120 == 0 {
            number.mantissa = number.mantissa << 4 | u128::from(digit);
            number.exponent -= if fraction { 4 } else { 0 };
        } else {
            number.sticky |= digit != 0;
            number.exponent += if fraction { 0 } else { 4 };
        }
    }
    let (exponent, tail) = scan_exponent(&rest[length..], b'p');
    number.exponent += exponent;
    Some((number, length + tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reaches_as_far_as_strtod_says() {
        let rows: &[(&str, usize)] = &[
            ("", 0),
            (" ", 0),
            ("-", 0),
            (".", 0),
            ("e5", 0),
            ("12", 2),
            ("12.", 3),
            (".5x", 2),
            ("1.2.3", 3),
            ("1e", 1),
            ("1e+", 1),
            ("1e+5z", 4),
            (" \t\n\u{b}\u{c}\r-1 ", 8),
            ("0x", 1),
            ("0x.p1", 1),
            ("0x1p", 3),
            ("0x1p-3", 6),
            ("0X.8", 4),
            ("infinit", 3),
            ("-INFINITY!", 9),
            ("nan(ab_1)x", 9),
            ("nan(a b)", 3),
            ("na", 0),
        ];
        for &(text, consumed) in rows {
            assert_eq!(scan(text.as_bytes()).consumed, consumed, "{text:?}");
        }
    }

    #[test]
    fn rounding_is_half_to_even_and_carries() {
        let rows: &[(u128, bool, (u64, i64))] = &[
            (0b1010, false, (0b101, 1)),
            (0b10110, false, (0b110, 2)),
            (0b10010, false, (0b100, 2)),
            (0b10010, true, (0b101, 2)),
            (0b11111, false, (0b100, 3)),
            (1, false, (0b100, -2)),
        ];
        for &(mantissa, sticky, expected) in rows {
            assert_eq!(round_to_bits(mantissa, sticky, 0, 3, -10), expected, "{mantissa:b} {sticky}");
        }
        // Below the lowest unit bits are lost, and at half a unit the even neighbour is zero.
        assert_eq!(round_to_bits(3, false, -11, 3, -10), (2, -10));
        assert_eq!(round_to_bits(1, false, -11, 3, -10), (0, -10));
        assert_eq!(round_to_bits(1 << 127, true, -138, 3, -10), (1, -10));
        assert_eq!(round_to_bits(u128::MAX, false, -139, 3, -10), (0, -10));
    }

    #[test]
    fn long_hexadecimal_mantissas_keep_their_size() {
        let text = format!("0x1{}.8p-160", "0".repeat(40));
        let Body::Hexadecimal(number) = scan(text.as_bytes()).body else { panic!("{text}") };
        assert_eq!(round_to_bits(number.mantissa, number.sticky, number.exponent, 53, -1074), (1 << 52, -52));
        assert!(number.sticky);
    }
}
