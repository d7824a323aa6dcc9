//! Scores in few bytes: most are whole numbers, or have three decimals at most.
//!
//! ```text
//! 4 bytes   i32
//! 5 bytes   thousandths, from -2^36 on: about -68 million to 1030 million
//! 6 bytes   i48: milliseconds since the epoch, for one
//! 8 bytes   f64, for all others
//! ```
//!
//! A score takes the first of these forms that gives back the very same bits, so `-0` stays itself.
//! The number of bytes names the form. A sorted set keeps each score twice, beside the member and
//! in the order; a million prices or times take six million bytes less this way.

/// The number that is added to thousandths before they are written without a sign.
const BIAS: i64 = 1 << 36;
/// Thousandths are written in so many bits.
const THOUSANDTHS_BITS: u32 = 40;
const WIDE_INT_BITS: u32 = 48;

/// A score in its shortest form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortScore {
    bytes: [u8; 8],
    len: usize,
}

impl ShortScore {
    /// Encodes `score`, which is not NaN.
    pub(crate) fn new(score: f64) -> Self {
        let is_exact = |number: f64| number.to_bits() == score.to_bits();
        // Casts saturate; what does not fit is not exact then.
        let whole = score as i64;
        if is_exact(whole as f64) {
            if let Ok(narrow) = i32::try_from(whole) {
                return Self::of(i64::from(narrow), 4);
            }
            if whole.unsigned_abs() < 1 << (WIDE_INT_BITS - 1) {
                return Self::of(whole, 6);
            }
        }
        let thousandths = (score * 1000.0).round_ties_even() as i64;
        if (0..1 << THOUSANDTHS_BITS).contains(&thousandths.saturating_add(BIAS))
            && is_exact(thousandths as f64 / 1000.0)
        {
            return Self::of(thousandths + BIAS, 5);
        }
        Self { bytes: score.to_le_bytes(), len: 8 }
    }

    fn of(number: i64, len: usize) -> Self {
        Self { bytes: number.to_le_bytes(), len }
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The score whose shortest form these bytes are; of another number of bytes, nothing sensible.
#[inline]
pub(crate) fn read(bytes: &[u8]) -> f64 {
    if let Ok(narrow) = bytes.try_into() {
        return f64::from(i32::from_le_bytes(narrow));
    }
    let mut all = [0; 8];
    match bytes.len() {
        5 => {
            all[..5].copy_from_slice(bytes);
            (i64::from_le_bytes(all) - BIAS) as f64 / 1000.0
        }
        6 => {
            // The sign comes down with the upper bits.
            all[2..].copy_from_slice(bytes);
            (i64::from_le_bytes(all) >> (64 - WIDE_INT_BITS)) as f64
        }
        _ => {
            all.copy_from_slice(bytes.first_chunk::<8>().unwrap_or(&[0; 8]));
            f64::from_le_bytes(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_score_takes_as_many_bytes_as_it_needs() {
        for (score, len) in [
            (0.0, 4),
            (-0.0, 8),
            (-2147483648.0, 4),
            (2147483648.0, 6),
            (1_700_000_000_123.0, 6),
            (-140_737_488_355_327.0, 6),
            (140_737_488_355_328.0, 8),
            (0.001, 5),
            (2.75, 5),
            (-68_719_476.736, 5),
            (-68_719_476.737, 8),
            (999_999_999.999, 5),
            (1_099_511_627.775, 8),
            (0.0001, 8),
            (0.1 + 0.2, 8),
            (1e300, 8),
            (f64::INFINITY, 8),
            (f64::NEG_INFINITY, 8),
            (f64::MIN_POSITIVE, 8),
        ] {
            let short = ShortScore::new(score);
            assert_eq!(short.as_bytes().len(), len, "{score}");
            assert_eq!(read(short.as_bytes()).to_bits(), score.to_bits(), "{score}");
        }
    }

    proptest! {
        #[test]
        fn every_score_comes_back_to_the_bit(
            score in prop_oneof![
                any::<f64>().prop_filter("NaN has no place in an order", |score| !score.is_nan()),
                any::<i64>().prop_map(|number| number as f64),
                (-1i64 << 50..1 << 50).prop_map(|number| number as f64),
                (-1i64 << 42..1 << 42).prop_map(|number| number as f64 / 1000.0),
            ],
        ) {
            let short = ShortScore::new(score);
            prop_assert_eq!(read(short.as_bytes()).to_bits(), score.to_bits());
        }
    }
}
