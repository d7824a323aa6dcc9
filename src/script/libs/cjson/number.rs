//! Numbers as C's `%.14g` writes them.

use crate::base::number::{I64Text, format_i64, parse_i64};
use std::io::Write;

/// The most significant digits that scripts may ask for.
const MOST_DIGITS: usize = 14;

/// Appends `number` with up to `precision` significant digits.
pub(super) fn write(number: f64, precision: usize, out: &mut Vec<u8>) {
    let precision = precision.clamp(1, MOST_DIGITS);
    if number.abs() < 10f64.powi(precision as i32) && number.trunc() == number {
        if number == 0.0 && number.is_sign_negative() {
            out.push(b'-');
        }
        return format_i64(number as i64, out);
    }
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if number.is_finite() {
        write_rounded(number.abs(), precision, out);
    } else {
        out.extend_from_slice(if number.is_nan() { b"nan" } else { b"inf" });
    }
}

fn write_rounded(number: f64, precision: usize, out: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let short = Digits::of(buffer.format_finite(number).as_bytes());
    // The shortest digits that name a number are so close to it that rounding to more of them only
    // adds zeros; but those of the very smallest numbers, which have few bits.
    let is_close = short.length <= precision && number >= f64::MIN_POSITIVE;
    let digits = if is_close { short } else { Digits::rounded(number, precision) };
    if (-4..precision as i32).contains(&digits.exponent) {
        write_plain(digits.significant(), digits.exponent, out);
    } else {
        write_scientific(digits.significant(), digits.exponent, out);
    }
}

/// Decimal digits without zeros at either end.
struct Digits {
    digits: [u8; 20],
    length: usize,
    /// The power of ten of the first one.
    exponent: i32,
}

impl Digits {
    /// `number` to `precision` digits.
    fn rounded(number: f64, precision: usize) -> Self {
        // One digit, a point, thirteen digits, an exponent: `1.2345678901234e-300`.
        let mut text = [0u8; 32];
        let mut rest = &mut text[..];
        let written = write!(rest, "{number:.*e}", precision - 1);
        debug_assert!(written.is_ok(), "fourteen digits fit in 32 bytes");
        let length = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        Digits::of(&text[..length])
    }

    /// The digits of a positive number's text.
    fn of(text: &[u8]) -> Self {
        let mark = text.iter().position(|&byte| byte == b'e').unwrap_or(text.len());
        let (mantissa, exponent) = text.split_at(mark);
        let exponent = exponent.strip_prefix(b"e").unwrap_or(b"0");
        let exponent = parse_i64(exponent.strip_prefix(b"+").unwrap_or(exponent)).unwrap_or(0) as i32;
        let whole = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
        let mut found = Digits { digits: [b'0'; 20], length: 0, exponent: exponent + whole as i32 - 1 };
        for &digit in mantissa.iter().filter(|byte| byte.is_ascii_digit()) {
            if found.length == 0 && digit == b'0' {
                found.exponent -= 1;
            } else if found.length < found.digits.len() {
                found.digits[found.length] = digit;
                found.length += 1;
            }
        }
        let last = found.significant().iter().rposition(|&digit| digit != b'0');
        found.length = last.map_or(1, |last| last + 1);
        found
    }

    fn significant(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

/// `digits` with the first at 10^`exponent`.
fn write_plain(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + exponent.unsigned_abs() as usize - 1, b'0');
        return out.extend_from_slice(digits);
    }
    let whole = exponent as usize + 1;
    if whole >= digits.len() {
        out.extend_from_slice(digits);
        return out.resize(out.len() + whole - digits.len(), b'0');
    }
    out.extend_from_slice(&digits[..whole]);
    out.push(b'.');
    out.extend_from_slice(&digits[whole..]);
}

fn write_scientific(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    out.extend_from_slice(I64Text::new(i64::from(exponent.abs())).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn numbers_are_what_the_c_library_writes() {
        let rows = [
            (0.0, 14, "0"),
            (-0.0, 14, "-0"),
            (1e14, 14, "1e+14"),
            (1e13, 14, "10000000000000"),
            (123456789012345.0, 14, "1.2345678901234e+14"),
            (9007199254740992.0, 14, "9.007199254741e+15"),
            (1.23456789012345, 14, "1.2345678901235"),
            (0.1, 14, "0.1"),
            (0.0001, 14, "0.0001"),
            (0.00001, 14, "1e-05"),
            (-1e-7, 14, "-1e-07"),
            (1e300, 14, "1e+300"),
            (f64::MAX, 14, "1.7976931348623e+308"),
            (f64::from_bits(1), 14, "4.9406564584125e-324"),
            (9.66568473e-315, 14, "9.6656847294562e-315"),
            (f64::MIN_POSITIVE, 14, "2.2250738585072e-308"),
            (1e-300, 14, "1e-300"),
            (f64::INFINITY, 14, "inf"),
            (f64::NEG_INFINITY, 14, "-inf"),
            (99.5, 2, "1e+02"),
            (0.5, 1, "0.5"),
            (2.5, 1, "2"),
            (3.5, 1, "4"),
            (9.0, 1, "9"),
            (10.0, 1, "1e+01"),
            (1234.5, 3, "1.23e+03"),
            (100.25, 5, "100.25"),
        ];
        for (number, precision, expected) in rows {
            let mut out = Vec::new();
            write(number, precision, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{number} {precision}");
        }
    }
}
