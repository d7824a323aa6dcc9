//! The 80-bit floating point of x87, in software: what `long double` is where Redis usually runs.
//!
//! INCRBYFLOAT and HINCRBYFLOAT add in this precision and print 17 decimals. With 64-bit doubles
//! `0.1 + 0.2` would already show its error (`0.30000000000000004`); with eleven more bits of
//! mantissa the error stays below the last printed place. So the results can only be reproduced by
//! the same arithmetic: [`LongDouble::parse`] and `+` round once, correctly, half to even;
//! [`LongDouble::format`] rounds the exact value. Common sizes take a path of 128-bit integers, the
//! rest a small bignum.

use super::bignum::Bignum;
use super::float_text::{Body, Decimal, is_c_space, round_to_bits, scan};

/// Texts of this length and more are refused, so that work on one argument is bounded.
const MAX_TEXT_BYTES: usize = 5 * 1024;

const MANTISSA_BITS: u32 = 64;

/// Exponent of the last mantissa bit of the smallest numbers.
const LOWEST_EXPONENT: i64 = -16445;

/// Exponent of the last mantissa bit of the largest numbers.
const HIGHEST_EXPONENT: i64 = 16383 - 63;

/// Numbers from 10^this on are infinite.
const OVERFLOW_POWER: i64 = 4933;

/// Numbers below 10^this are nearer to zero than to the smallest number.
const UNDERFLOW_POWER: i64 = -4952;

/// Printed places behind the point, as a factor.
const DECIMALS: u32 = 17;
const DECIMAL_SCALE: u128 = 10u128.pow(DECIMALS);

/// An extended precision number: a sign, 64 bits of mantissa, 15 bits of exponent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Magnitude {
    /// `mantissa` × 2^`exponent`; the top bit is set unless the exponent is the lowest.
    Finite {
        mantissa: u64,
        exponent: i32,
    },
    Infinite,
    Nan,
}

impl LongDouble {
    /// Positive zero, the value of a key that does not exist.
    pub const ZERO: Self = Self {
        negative: false,
        magnitude: Magnitude::Finite { mantissa: 0, exponent: LOWEST_EXPONENT as i32 },
    };

    /// Reads a number that fills all of `text`, in the notations of `strtold`.
    ///
    /// `inf` is read; a leading space, NaN, overflow, underflow to zero and more than 5 KiB are
    /// not.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() >= MAX_TEXT_BYTES || is_c_space(text[0]) {
            return None;
        }
        let scanned = scan(text);
        if scanned.consumed != text.len() {
            return None;
        }
        let number = match scanned.body {
            Body::Nothing | Body::Nan => return None,
            Body::Infinity => Self { negative: false, magnitude: Magnitude::Infinite },
            Body::Decimal(decimal) => from_decimal(&decimal)?,
            Body::Hexadecimal(hex) => {
                let number = from_parts(hex.mantissa, hex.sticky, hex.exponent);
                if !number.is_finite() || (number == Self::ZERO && hex.mantissa != 0) {
                    return None;
                }
                number
            }
        };
        Some(Self { negative: scanned.negative, ..number })
    }

    /// The same value with more bits; exact.
    #[must_use]
    pub fn from_f64(value: f64) -> Self {
        let bits = value.to_bits();
        let (biased, fraction) = ((bits >> 52 & 0x7ff) as i64, bits & ((1 << 52) - 1));
        let number = match biased {
            0x7ff if fraction == 0 => Self { negative: false, magnitude: Magnitude::Infinite },
            0x7ff => Self { negative: false, magnitude: Magnitude::Nan },
            0 => from_parts(u128::from(fraction), false, -1074),
            _ => from_parts(u128::from(fraction | 1 << 52), false, biased - 1075),
        };
        Self { negative: value.is_sign_negative(), ..number }
    }

    /// Neither infinite nor NaN.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { .. })
    }

    /// Plus or minus infinity.
    #[must_use]
    pub fn is_infinite(&self) -> bool {
        self.magnitude == Magnitude::Infinite
    }

    /// Not a number: the sum of opposite infinities.
    #[must_use]
    pub fn is_nan(&self) -> bool {
        self.magnitude == Magnitude::Nan
    }

    /// Appends the number with up to 17 decimals, rounded half to even, without trailing zeros and
    /// never in exponent notation: `3`, `-0.1`, `inf`. A number that rounds to zero is `0`.
    pub fn format(&self, out: &mut Vec<u8>) {
        let (mantissa, exponent) = match self.magnitude {
            Magnitude::Nan => return out.extend_from_slice(b"nan"),
            Magnitude::Infinite => {
                return out.extend_from_slice(if self.negative { b"-inf" } else { b"inf" });
            }
            Magnitude::Finite { mantissa, exponent } => (mantissa, exponent),
        };
        if exponent > 64 {
            self.write_sign(out);
            let mut whole = Bignum::from_u64(mantissa);
            whole.shift_left(exponent as usize);
            return whole.write_decimal(out);
        }
        let (whole, fraction) = split_at_point(mantissa, exponent);
        if (whole, fraction) != (0, 0) {
            self.write_sign(out);
        }
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        write_fraction(fraction, out);
    }

    /// This number `factor` times, rounded once.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else { return self };
        let product = u128::from(mantissa) * u128::from(factor);
        LongDouble { negative: self.negative, ..from_parts(product, false, exponent.into()) }
    }

    /// The least integer not below this number; what no i64 holds is `i64::MIN`, as x87 stores it.
    #[must_use]
    pub fn ceil_to_i64(self) -> i64 {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else { return i64::MIN };
        if exponent > 0 && mantissa != 0 {
            return i64::MIN;
        }
        let shift = exponent.unsigned_abs();
        let whole = mantissa.checked_shr(shift).unwrap_or(0);
        let exact = whole.checked_shl(shift) == Some(mantissa) || mantissa == 0;
        let magnitude = i128::from(whole) + i128::from(!exact && !self.negative);
        i64::try_from(if self.negative { -magnitude } else { magnitude }).unwrap_or(i64::MIN)
    }

    fn write_sign(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
    }
}

impl std::ops::Add for LongDouble {
    type Output = Self;

    /// The sum, rounded once, half to even; opposite infinities give NaN.
    fn add(self, other: Self) -> Self {
        match (self.magnitude, other.magnitude) {
            (Magnitude::Nan, _) => self,
            (_, Magnitude::Nan) => other,
            (Magnitude::Infinite, Magnitude::Infinite) if self.negative != other.negative => {
                Self { negative: false, magnitude: Magnitude::Nan }
            }
            (Magnitude::Infinite, _) => self,
            (_, Magnitude::Infinite) => other,
            (
                Magnitude::Finite { mantissa: a, exponent: x },
                Magnitude::Finite { mantissa: b, exponent: y },
            ) => {
                if (x, a) >= (y, b) {
                    add_finite((self.negative, a, x), (other.negative, b, y))
                } else {
                    add_finite((other.negative, b, y), (self.negative, a, x))
                }
            }
        }
    }
}

/// Adds numbers given as sign, mantissa, exponent; the first is not the smaller.
fn add_finite(large: (bool, u64, i32), small: (bool, u64, i32)) -> LongDouble {
    // 63 bits of room below the larger mantissa: more than rounding ever looks at, so what the
    // smaller one loses on its way there only needs to be known as "something".
    const ROOM: u32 = 63;
    let distance = large.2.abs_diff(small.2);
    let (a, wide) = (u128::from(large.1) << ROOM, u128::from(small.1) << ROOM);
    let b = wide.checked_shr(distance).unwrap_or(0);
    let sticky = b.checked_shl(distance).unwrap_or(0) != wide;
    let exponent = i64::from(large.2) - i64::from(ROOM);
    if large.0 == small.0 {
        return LongDouble { negative: large.0, ..from_parts(a + b, sticky, exponent) };
    }
    let difference = a - b - u128::from(sticky);
    // x87: an exact zero is positive, whichever operand came first.
    let negative = large.0 && difference != 0;
    LongDouble { negative, ..from_parts(difference, sticky, exponent) }
}

/// `mantissa` × 2^`exponent`, and a little more if `sticky`, rounded; positive.
fn from_parts(mantissa: u128, sticky: bool, exponent: i64) -> LongDouble {
    let (mantissa, exponent) = round_to_bits(mantissa, sticky, exponent, MANTISSA_BITS, LOWEST_EXPONENT);
    let magnitude = match mantissa {
        0 => return LongDouble::ZERO,
        _ if exponent > HIGHEST_EXPONENT => Magnitude::Infinite,
        _ => Magnitude::Finite { mantissa, exponent: exponent as i32 },
    };
    LongDouble { negative: false, magnitude }
}

/// The number nearest to a decimal; `None` on overflow and on underflow to zero.
fn from_decimal(decimal: &Decimal<'_>) -> Option<LongDouble> {
    let point = decimal.digits.iter().position(|&c| c == b'.');
    let decimals = point.map_or(0, |at| decimal.digits.len() - at - 1);
    let mut digits: Vec<u8> = decimal.digits.iter().copied().filter(|&c| c != b'.').collect();
    let mut power = decimal.exponent - decimals as i64;
    let zeros = digits.iter().take_while(|&&c| c == b'0').count();
    digits.drain(..zeros);
    while digits.last() == Some(&b'0') {
        digits.pop();
        power += 1;
    }
    if digits.is_empty() {
        return Some(LongDouble::ZERO);
    }
    let magnitude = power + digits.len() as i64;
    if !(UNDERFLOW_POWER..=OVERFLOW_POWER).contains(&magnitude) {
        return None;
    }
    let number = from_small_decimal(&digits, power).unwrap_or_else(|| from_large_decimal(&digits, power));
    (number.is_finite() && number != LongDouble::ZERO).then_some(number)
}

/// `digits` × 10^`power` in 128-bit integers, when they suffice.
fn from_small_decimal(digits: &[u8], power: i64) -> Option<LongDouble> {
    if digits.len() > 19 || !(-18..=19).contains(&power) {
        return None;
    }
    let value = digits.iter().fold(0, |n: u128, &c| n * 10 + u128::from(c - b'0'));
    let scale = 10u128.pow(power.unsigned_abs() as u32);
    if power >= 0 {
        return Some(from_parts(value * scale, false, 0));
    }
    // The scale has at most 60 bits, so at least 68 of 128 are left for the quotient.
    let shift = value.leading_zeros();
    let shifted = value << shift;
    Some(from_parts(shifted / scale, shifted % scale != 0, -i64::from(shift)))
}

/// `digits` × 10^`power`, of any size.
fn from_large_decimal(digits: &[u8], power: i64) -> LongDouble {
    let mut numerator = Bignum::from_digits(digits);
    if power >= 0 {
        numerator.scale_by_ten(power as usize);
        let (bits, exponent, sticky) = numerator.leading_bits();
        return from_parts(bits, sticky, exponent as i64);
    }
    let mut denominator = Bignum::from_u64(1);
    denominator.scale_by_ten(power.unsigned_abs() as usize);
    // Shift one of them so that the quotient has 67 or 68 bits.
    let shift = denominator.bit_length() as i64 + 67 - numerator.bit_length() as i64;
    if shift >= 0 {
        numerator.shift_left(shift as usize);
    } else {
        denominator.shift_left(shift.unsigned_abs() as usize);
    }
    let (quotient, rest) = numerator.divide(denominator, 68);
    from_parts(quotient, rest, -shift)
}

/// Whole part and 17 decimals, rounded half to even, of `mantissa` × 2^`exponent`, exponent ≤ 64.
fn split_at_point(mantissa: u64, exponent: i32) -> (u128, u128) {
    let mantissa = u128::from(mantissa);
    if exponent >= 0 {
        return (mantissa << exponent, 0);
    }
    let shift = exponent.unsigned_abs();
    if shift >= 128 {
        // Below 2^-64, and half of the last place is about 2^-57.
        return (0, 0);
    }
    let mask = (1u128 << shift) - 1;
    // 64 bits times 57 bits.
    let scaled = (mantissa & mask) * DECIMAL_SCALE;
    let (kept, lost, half) = (scaled >> shift, scaled & mask, 1u128 << (shift - 1));
    let up = lost > half || (lost == half && kept & 1 == 1);
    let fraction = kept + u128::from(up);
    // A fraction that rounds up to one carries.
    ((mantissa >> shift) + fraction / DECIMAL_SCALE, fraction % DECIMAL_SCALE)
}

fn write_fraction(mut fraction: u128, out: &mut Vec<u8>) {
    if fraction == 0 {
        return;
    }
    let mut digits = [0u8; DECIMALS as usize];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
    let end = digits.iter().rposition(|&c| c != b'0').map_or(0, |last| last + 1);
    out.push(b'.');
    out.extend_from_slice(&digits[..end]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> LongDouble {
        LongDouble::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text:?} is a number"))
    }

    fn text(number: LongDouble) -> String {
        let mut out = Vec::new();
        number.format(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Value, increment and reply of `SET` and `INCRBYFLOAT` on Redis 7.0.15 (x86-64).
    const INCREMENTS: &[(&str, &str, &str)] = &[
        ("3.0e3", "200", "3200"),
        ("5.0e3", "2.0e2", "5200"),
        ("10.50", "0.1", "10.6"),
        ("1.1", "0.1", "1.2"),
        ("0.1", "0.2", "0.3"),
        ("17179869184", "1", "17179869185"),
        ("17179869184.5", "0.25", "17179869184.75"),
        ("1e5", "1e-5", "100000.00001000000000317"),
        ("100000", "0.00000000000000001", "100000"),
        ("0", "1e-17", "0.00000000000000001"),
        ("0", "1e-18", "0"),
        ("0", "-1e-20", "0"),
        ("0", "5e-18", "0"),
        ("0", "5.1e-18", "0.00000000000000001"),
        ("-0", "0", "0"),
        ("1", "-1", "0"),
        ("-1.5", "1.5", "0"),
        ("1e18", "0.1", "1000000000000000000.125"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("36893488147419103231", "0", "36893488147419103232"),
        ("1e20", "1", "100000000000000000000"),
        ("123456789.123456789", "0.000000001", "123456789.12345678999554366"),
        ("3.14159265358979323846264338327950288", "0", "3.14159265358979324"),
        ("1e40", "1e20", "9999999999999999999783686092270256259072"),
        ("0x1p70", "0x1p3", "1180591620717411303424"),
        ("0x1.8p1", "0xA", "13"),
        ("1e-4940", "1e-4940", "0"),
        ("3.6451995318824746025e-4951", "0", "0"),
        ("0.99999999999999999", "0.000000000000000001", "0.99999999999999999"),
        ("0.999999999999999999", "0", "1"),
        ("9.999999999999999999", "0", "10"),
        ("-3", "0.7", "-2.3"),
        ("0.3", "-0.1", "0.2"),
        ("2.5", "-0.4999999999999999999", "2"),
        ("1.00000762939453125", "0", "1.00000762939453125"),
        ("0.000030517578125", "0.000000000000000005", "0.000030517578125"),
        ("+7", ".5", "7.5"),
        ("5.", "1e0", "6"),
        ("0.00000000000000000000000000000000001e35", "1", "2"),
        (
            "1000000000000000000000000000000000000000000000001",
            "0",
            "1000000000000000000032669174688018665404243116032",
        ),
        ("1e22", "-1e22", "0"),
        ("999999999999999999", "0.5", "999999999999999999.5"),
        ("0.1", "-0.1", "0"),
        ("-0.1", "-0.2", "-0.3"),
    ];

    #[test]
    fn times_and_ceil_give_milliseconds_of_seconds() {
        for (seconds, milliseconds) in [
            ("0", 0),
            ("1", 1000),
            ("0.1", 100),
            ("0.0001", 1),
            ("-0.0001", 0),
            ("1.0005", 1001),
            ("-1.0005", -1000),
            ("-3", -3000),
            ("0x10", 16_000),
            ("1e-4000", 1),
            ("-1e-4000", 0),
            ("9223372036854775", 9_223_372_036_854_775_000),
            ("9223372036854775.8", 9_223_372_036_854_775_800),
            ("9223372036854776", i64::MIN),
            ("-1e16", i64::MIN),
            ("1e4000", i64::MIN),
            ("inf", i64::MIN),
        ] {
            assert_eq!(number(seconds).times(1000).ceil_to_i64(), milliseconds, "{seconds}");
        }
    }

    #[test]
    fn increments_give_what_redis_gives() {
        for &(value, increment, expected) in INCREMENTS {
            assert_eq!(text(number(value) + number(increment)), expected, "{value} + {increment}");
        }
    }

    #[test]
    fn a_tenth_added_again_and_again_drifts_as_on_redis() {
        // INCRBYFLOAT k 0.1, one after another from 1.1: every text is read again.
        let expected = ["1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "2", "2.1", "2.2", "2.3"];
        let mut value = "1.1".to_string();
        for step in expected {
            value = text(number(&value) + number("0.1"));
            assert_eq!(value, step);
        }
    }

    #[test]
    fn very_large_sums_print_all_their_digits() {
        let sum = text(number("2e4000") + number("1"));
        assert_eq!(sum.len(), 4001);
        assert!(sum.starts_with("1999999999999999999993092774619924756986"), "{sum}");
        assert!(sum.ends_with("3913944380545459902413296552699802681344"), "{sum}");
    }

    #[test]
    fn what_redis_does_not_take_for_a_float_is_refused() {
        let long = format!("1.{}", "0".repeat(MAX_TEXT_BYTES - 2));
        let bad = [
            "",
            " 1",
            "1 ",
            "abc",
            "nan",
            "-nan",
            "1e4933",
            "-1e5000",
            "1e-4952",
            "1e-99999999999999999999",
            "0x1p16384",
            "0x1p-16446",
            "1\0",
            "1e",
            "+-1",
            &long,
        ];
        for text in bad {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(text(number(&long[..long.len() - 1])), "1");
    }

    #[test]
    fn infinities_add_up_or_cancel_to_nan() {
        let (plus, minus) = (number("inf"), number("-infinity"));
        assert!((plus + number("1")).is_infinite());
        assert!((number("1") + minus).is_infinite());
        assert!((plus + minus).is_nan());
        assert!((plus + minus + number("1")).is_nan() && (number("1") + (plus + minus)).is_nan());
        assert!((number("1.1e4932") + number("1e4932")).is_infinite());
        assert_eq!((text(plus), text(minus)), ("inf".into(), "-inf".into()));
    }

    #[test]
    fn doubles_keep_their_value() {
        let rows = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.1, "0.10000000000000001"),
            (13.361389338970184, "13.36138933897018433"),
            (-1.5, "-1.5"),
            (1e30, "1000000000000000019884624838656"),
            (f64::INFINITY, "inf"),
        ];
        for (value, expected) in rows {
            let shown = text(LongDouble::from_f64(value));
            assert!(shown.starts_with(expected), "{value}: {shown}");
        }
        assert_ne!(LongDouble::from_f64(f64::from_bits(1)), LongDouble::ZERO);
        assert!(LongDouble::from_f64(f64::NAN).is_nan());
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_decimals_agree(value in 1u64..10_000_000_000_000_000_000, power in -18i64..=19) {
            let digits = value.to_string();
            let small = from_small_decimal(digits.as_bytes(), power);
            prop_assert_eq!(small, Some(from_large_decimal(digits.as_bytes(), power)));
        }

        #[test]
        fn sums_of_integers_are_exact(a in -(1i64 << 62)..1 << 62, b in -(1i64 << 62)..1 << 62) {
            let sum = number(&a.to_string()) + number(&b.to_string());
            prop_assert_eq!(sum, number(&b.to_string()) + number(&a.to_string()));
            prop_assert_eq!(text(sum), (a + b).to_string());
        }

        #[test]
        fn any_double_reads_back_from_its_exact_text(mantissa in 0u64..1 << 53, places in 0usize..17) {
            // A dyadic fraction of at most 17 decimals prints exactly.
            let value = mantissa as f64 / (1u64 << places) as f64;
            prop_assert_eq!(number(&text(LongDouble::from_f64(value))), LongDouble::from_f64(value));
        }
    }
}
