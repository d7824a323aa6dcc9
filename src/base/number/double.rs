//! Doubles as text, in both directions, exactly as the C library and Redis do it.

use super::{I64Text, format_i64, parse_i64};
use crate::base::float_text::{Body, Hexadecimal, is_c_space, round_to_bits, scan};
use std::io::Write;

/// The result of `strtod` for the start of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Strtod {
    /// The number; 0 when there is none, infinity on overflow, maybe NaN.
    pub value: f64,
    /// Bytes it covers, leading spaces included; 0 when there is no number.
    pub consumed: usize,
    /// `errno` is `ERANGE`: overflow, underflow to zero, or a subnormal that lost bits.
    pub out_of_range: bool,
}

/// C's `strtod`: reads the longest number at the start of `text`. A NUL is just not part of a
/// number.
#[must_use]
pub fn strtod(text: &[u8]) -> Strtod {
    let scanned = scan(text);
    let (size, out_of_range) = match scanned.body {
        Body::Nothing => (0.0, false),
        Body::Infinity => (f64::INFINITY, false),
        Body::Nan => (f64::NAN, false),
        Body::Hexadecimal(number) => f64_of_hexadecimal(&number),
        Body::Decimal(number) => {
            // The scanner admits only what Rust's correctly rounding parser reads too.
            let size = std::str::from_utf8(number.text).ok().and_then(|t| t.parse().ok()).unwrap_or(0.0);
            let zero = number.digits.iter().all(|&c| matches!(c, b'0' | b'.'));
            // A decimal text short of some 700 digits cannot name a subnormal exactly.
            (size, size == f64::INFINITY || (size < f64::MIN_POSITIVE && !zero))
        }
    };
    Strtod { value: if scanned.negative { -size } else { size }, consumed: scanned.consumed, out_of_range }
}

/// Reads a double that fills all of `text`: what `strtod` takes, but no leading space, no NaN, no
/// overflow and no underflow to zero.
#[must_use]
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    if let Some(value) = short_decimal(text) {
        return Some(value);
    }
    if text.is_empty() || is_c_space(text[0]) {
        return None;
    }
    let Strtod { value, consumed, out_of_range } = strtod(text);
    let lost = out_of_range && (value == 0.0 || value.is_infinite());
    (consumed == text.len() && !lost && !value.is_nan()).then_some(value)
}

/// Reads a text of up to fifteen digits, perhaps with a sign and a point: what most scores are.
/// Both the digits and the power of ten are exact doubles then, so one division rounds correctly.
fn short_decimal(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    if unsigned.len() > POWERS.len() {
        return None;
    }
    let (mut digits, mut count, mut point) = (0u64, 0, None);
    for &byte in unsigned {
        match byte {
            b'0'..=b'9' => (digits, count) = (digits * 10 + u64::from(byte - b'0'), count + 1),
            b'.' if point.is_none() => point = Some(count),
            _ => return None,
        }
    }
    if !(1..POWERS.len()).contains(&count) {
        return None;
    }
    let size = digits as f64 / POWERS[point.map_or(0, |point| count - point)];
    Some(if unsigned.len() < text.len() { -size } else { size })
}

/// The integer that equals `value`, if |`value`| ≤ 2^62; −0 counts as 0.
///
/// Compact score encodings keep such doubles as integers.
#[inline]
#[must_use]
pub fn f64_as_i64(value: f64) -> Option<i64> {
    const LIMIT: f64 = (1i64 << 62) as f64;
    let integer = value as i64;
    (value.abs() <= LIMIT && integer as f64 == value).then_some(integer)
}

/// Appends `value` as C's `%.17g` writes it: the form of doubles in replies and in score encodings.
pub fn format_f64_17g(value: f64, out: &mut Vec<u8>) {
    // Whole numbers below 10^17 have at most 17 digits and need no exponent.
    if value.abs() < 1e17 && value.trunc() == value {
        if value == 0.0 && value.is_sign_negative() {
            out.push(b'-');
        }
        return format_i64(value as i64, out);
    }
    format_general::<17>(value, out);
}

/// Appends `value` as C's `%g` writes it: six digits.
pub fn format_f64_6g(value: f64, out: &mut Vec<u8>) {
    if value == 0.0 {
        return out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    }
    format_general::<6>(value, out);
}

/// Appends `value` with `DIGITS` significant digits, at most 17, without zeros at the end.
fn format_general<const DIGITS: usize>(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return format_not_finite(value, out);
    }
    // One digit, a point, the other digits, an exponent: `-1.2345678901234567e-300`.
    let mut text = [0u8; 32];
    let mut rest = &mut text[..];
    let written = write!(rest, "{:.*e}", DIGITS - 1, value.abs());
    debug_assert!(written.is_ok(), "17 digits fit in 32 bytes");
    let mut digits = [0u8; DIGITS];
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..=DIGITS]);
    let exponent_text = &text[DIGITS + 2..];
    let end = exponent_text.iter().position(|&c| c == 0).unwrap_or(exponent_text.len());
    let exponent = parse_i64(&exponent_text[..end]).unwrap_or(0) as i32;
    if value < 0.0 {
        out.push(b'-');
    }
    let significant = trim_zeros(&digits);
    if (-4..DIGITS as i32).contains(&exponent) {
        write_plain(significant, exponent, out);
    } else {
        write_scientific(significant, exponent, 2, out);
    }
}

/// Appends the shortest digits that read back as `value`, in the notation newer Redis versions use.
///
/// Plain when that is not much longer than the digits themselves (`0.0001`, `10000000`), otherwise
/// with an exponent without leading zeros (`1e-7`, `1.5e+30`). Not used on the wire by 7.0.
pub fn format_f64_shortest(value: f64, out: &mut Vec<u8>) {
    if !value.is_finite() {
        return format_not_finite(value, out);
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value == 0.0 {
        return out.push(b'0');
    }
    let mut buffer = zmij::Buffer::new();
    let (digits, length, exponent) = split_digits(buffer.format_finite(value.abs()).as_bytes());
    let digits = &digits[..length];
    let last_place = exponent - (length as i32 - 1);
    let plain = if last_place >= 0 {
        exponent.abs() < length as i32 + 7
    } else {
        last_place > -7 || exponent.abs() < 4
    };
    if plain {
        write_plain(digits, exponent, out);
    } else {
        write_scientific(digits, exponent, 1, out);
    }
}

fn f64_of_hexadecimal(number: &Hexadecimal) -> (f64, bool) {
    let (mantissa, exponent) = round_to_bits(number.mantissa, number.sticky, number.exponent, 53, -1074);
    if mantissa == 0 {
        return (0.0, number.mantissa != 0);
    }
    if exponent > 971 {
        return (f64::INFINITY, true);
    }
    // Below 2^52 the number is subnormal, and its bits are the mantissa itself.
    let hidden = 1 << 52;
    let biased = if mantissa < hidden { 0 } else { (exponent + 1075) as u64 };
    let value = f64::from_bits(biased << 52 | (mantissa & (hidden - 1)));
    let back = number.exponent - exponent;
    let exact = !number.sticky && (back >= 0 || u128::from(mantissa) << -back == number.mantissa);
    (value, biased == 0 && !exact)
}

fn format_not_finite(value: f64, out: &mut Vec<u8>) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    out.extend_from_slice(if value.is_nan() { b"nan" } else { b"inf" });
}

fn trim_zeros(digits: &[u8]) -> &[u8] {
    let end = digits.iter().rposition(|&c| c != b'0').map_or(1, |last| last + 1);
    &digits[..end]
}

/// Significant digits of a positive decimal text, their count, and the exponent of the first.
fn split_digits(text: &[u8]) -> ([u8; 24], usize, i32) {
    let (mantissa, mut exponent) = match text.iter().position(|&c| c == b'e') {
        Some(at) => {
            let written = text[at + 1..].strip_prefix(b"+").unwrap_or(&text[at + 1..]);
            (&text[..at], parse_i64(written).unwrap_or(0) as i32)
        }
        None => (text, 0),
    };
    let whole = mantissa.iter().position(|&c| c == b'.').unwrap_or(mantissa.len());
    exponent += whole as i32 - 1;
    let (mut digits, mut length) = ([b'0'; 24], 0);
    for &digit in mantissa.iter().filter(|c| c.is_ascii_digit()) {
        if length == 0 && digit == b'0' {
            exponent -= 1;
        } else if length < digits.len() {
            digits[length] = digit;
            length += 1;
        }
    }
    let length = trim_zeros(&digits[..length.max(1)]).len();
    (digits, length, exponent)
}

/// `digits` with the first at 10^`exponent`, without exponent notation.
fn write_plain(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return write_fraction(digits, exponent.unsigned_abs() as usize - 1, out);
    };
    match whole {
        0 => write_fraction(digits, 0, out),
        _ if whole >= digits.len() => {
            out.extend_from_slice(digits);
            out.resize(out.len() + whole - digits.len(), b'0');
        }
        _ => {
            out.extend_from_slice(&digits[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
}

fn write_fraction(digits: &[u8], zeros: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0.");
    out.resize(out.len() + zeros, b'0');
    out.extend_from_slice(digits);
}

fn write_scientific(digits: &[u8], exponent: i32, exponent_digits: usize, out: &mut Vec<u8>) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    let size = I64Text::new(i64::from(exponent).abs());
    out.resize(out.len() + exponent_digits.saturating_sub(size.as_bytes().len()), b'0');
    out.extend_from_slice(size.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: fn(f64, &mut Vec<u8>), value: f64) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn six_digits_are_written_as_c_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (123_456.0, "123456"),
            (123_456_789.0, "1.23457e+08"),
            (999_999.5, "1e+06"),
            (0.1, "0.1"),
            (0.000_123_456_7, "0.000123457"),
            (0.000_012_345_67, "1.23457e-05"),
            (-2.5, "-2.5"),
            (1e300, "1e+300"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(text(format_f64_6g, value), expected);
        }
    }

    /// Argument and score reply of `ZADD` and `ZSCORE` on Redis 7.0.15 (the same in RESP2 and
    /// RESP3).
    const SCORES: &[(&str, &str)] = &[
        ("1e17", "1e+17"),
        ("1e16", "10000000000000000"),
        ("123456789012345678", "1.2345678901234568e+17"),
        ("1e22", "1e+22"),
        ("0.1", "0.10000000000000001"),
        ("3.5", "3.5"),
        ("inf", "inf"),
        ("+inf", "inf"),
        ("-INF", "-inf"),
        ("infinity", "inf"),
        ("4e-320", "3.999955468730732e-320"),
        ("0x10", "16"),
        ("0x1.8p3", "12"),
        ("+5", "5"),
        ("1e5", "100000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e0000000001", "10"),
        ("1.00000762939453125", "1.0000076293945312"),
        ("9007199254740993", "9007199254740992"),
        ("4611686018427387904", "4.6116860184273879e+18"),
        ("9223372036854775807", "9.2233720368547758e+18"),
        ("1e-4", "0.0001"),
        ("1e-5", "1.0000000000000001e-05"),
        ("0.00012345", "0.00012344999999999999"),
        ("1e-7", "9.9999999999999995e-08"),
        ("123456.789e3", "123456789"),
    ];

    #[test]
    fn doubles_are_read_and_written_as_scores_are() {
        for &(given, expected) in SCORES {
            let value = parse_f64(given.as_bytes()).unwrap_or_else(|| panic!("{given}"));
            assert_eq!(text(format_f64_17g, value), expected, "{given}");
        }
    }

    #[test]
    fn what_redis_does_not_take_for_a_double_is_refused() {
        let bad = [
            "",
            " 1",
            "1 ",
            "\t1",
            ".",
            "e5",
            "0x",
            "0x.p1",
            "1e",
            "1e+",
            "nan",
            "-nan",
            "nan(1)",
            "1_0",
            "0x1p",
            "1d5",
            "infx",
            "inf1",
            "1e400",
            "-1e400",
            "1e-400",
            "0x1p-1080",
            "0x1p1024",
            "1\0",
            "--1",
        ];
        for text in bad {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn strtod_reads_a_prefix_and_reports_its_range() {
        let row = |value, consumed, out_of_range| Strtod { value, consumed, out_of_range };
        assert_eq!(strtod(b""), row(0.0, 0, false));
        assert!(strtod(b"-x").value.is_sign_positive());
        assert_eq!(strtod(b" -1.5x"), row(-1.5, 5, false));
        assert_eq!(strtod(b"1e999"), row(f64::INFINITY, 5, true));
        assert_eq!(strtod(b"0e999999999999999999999"), row(0.0, 23, false));
        assert_eq!(strtod(b"-1e-999"), row(0.0, 7, true));
        assert_eq!(strtod(b"0x1p-1074"), row(f64::from_bits(1), 9, false));
        assert_eq!(strtod(b"0x1.8p-1074"), row(f64::from_bits(2), 11, true));
        assert_eq!(strtod(b"0x1p-1022"), row(f64::MIN_POSITIVE, 9, false));
        assert_eq!(strtod(b"0x1.fffffffffffff8p1023"), row(f64::INFINITY, 23, true));
        assert_eq!(strtod(b"0x1.fffffffffffff7ffp1023"), row(f64::MAX, 25, false));
        assert!(strtod(b"nan").value.is_nan());
    }

    #[test]
    fn short_decimals_are_what_strtod_reads() {
        let mut texts: Vec<String> = (0..2000u64)
            .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n % 60))
            .flat_map(|n| {
                [n.to_string(), format!("-{}.{:03}", n / 1000, n % 1000), format!(".{n}"), format!("{n}.")]
            })
            .collect();
        texts.extend(
            ["-0", "0", "-", ".", "", "-.", "1.2.3", "1e5", "+1", " 1", "1 ", "0x1", "inf"]
                .map(str::to_owned),
        );
        for text in texts {
            let Strtod { value, consumed, .. } = strtod(text.as_bytes());
            if let Some(short) = short_decimal(text.as_bytes()) {
                assert_eq!((short.to_bits(), text.len()), (value.to_bits(), consumed), "{text}");
            }
        }
        let is_short = |text: &str| short_decimal(text.as_bytes()).is_some();
        assert!(is_short("999999999999999") && is_short("-12345678901.2345") && is_short("-0"));
        assert!(!is_short("9999999999999999") && !is_short("-") && !is_short(".") && !is_short("1e5"));
    }

    #[test]
    fn halves_round_to_even_in_seventeen_digits() {
        let rows = [
            (1.0 + 2f64.powi(-17), "1.0000076293945312"),
            (1.0 + 3.0 * 2f64.powi(-17), "1.0000228881835938"),
            (-0.0, "-0"),
            (f64::NAN, "nan"),
            (-f64::NAN, "-nan"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::from_bits(1), "4.9406564584124654e-324"),
            (99999999999999999.0, "1e+17"),
            (99999999999999984.0, "99999999999999984"),
            (-123.456, "-123.456"),
            (0.5, "0.5"),
        ];
        for (value, expected) in rows {
            assert_eq!(text(format_f64_17g, value), expected);
        }
    }

    #[test]
    fn shortest_digits_in_the_notation_of_newer_versions() {
        let rows = [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (-3.5, "-3.5"),
            (100.0, "100"),
            (1e7, "10000000"),
            (1e8, "1e+8"),
            (123e7, "1230000000"),
            (0.0001, "0.0001"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (1.234567891e-3, "0.001234567891"),
            (1.5e30, "1.5e+30"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, expected) in rows {
            assert_eq!(text(format_f64_shortest, value), expected);
        }
    }

    #[test]
    fn doubles_that_are_integers_are_recognised() {
        let rows = [
            (0.0, Some(0)),
            (-0.0, Some(0)),
            (-7.0, Some(-7)),
            (0.5, None),
            (1e17, Some(100_000_000_000_000_000)),
            (4611686018427387904.0, Some(1 << 62)),
            (4611686018427388928.0, None),
            (f64::INFINITY, None),
            (f64::NAN, None),
        ];
        for (value, expected) in rows {
            assert_eq!(f64_as_i64(value), expected, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn both_forms_read_back_as_the_same_double(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() && value != 0.0 {
                for form in [format_f64_17g, format_f64_shortest] {
                    let text = text(form, value);
                    proptest::prop_assert_eq!(strtod(text.as_bytes()).value, value, "{}", text);
                }
            }
        }
    }
}
