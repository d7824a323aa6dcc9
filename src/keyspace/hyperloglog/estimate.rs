//! From registers to a number: Otmar Ertl's estimator ("New cardinality estimation algorithms for
//! HyperLogLog sketches", arXiv:1702.01284), which needs only how often each value occurs.
//!
//! It has no thresholds between small, middle and large cardinalities and no tables of measured
//! bias. The sums are taken in the order Redis takes them, so that the last digit agrees.

use super::{PATTERN_BITS, REGISTERS};

/// 0.5 / ln 2, the limit of the harmonic mean's correction for many registers.
const ALPHA: f64 = 0.721_347_520_444_481_7;
/// The largest value an element can give a register.
const TOP: usize = PATTERN_BITS as usize + 1;
/// Redis: an endless estimate, which no elements lead to, becomes the lowest `i64`.
const NO_NUMBER: u64 = 1 << 63;

/// The number of registers that have each value.
pub(super) struct Histogram([u32; 64]);

impl Default for Histogram {
    fn default() -> Self {
        Histogram([0; 64])
    }
}

impl Histogram {
    /// Counts `registers` of `value`, at most 63.
    pub(super) fn add(&mut self, value: u8, registers: usize) {
        self.0[usize::from(value)] += registers as u32;
    }

    /// The estimate.
    pub(super) fn cardinality(&self) -> u64 {
        let registers = REGISTERS as f64;
        let share = |count: f64| count / registers;
        let mut z = registers * tau(share(registers - f64::from(self.0[TOP])));
        for &count in self.0[1..TOP].iter().rev() {
            z += f64::from(count);
            z *= 0.5;
        }
        z += registers * sigma(share(f64::from(self.0[0])));
        let estimate = (ALPHA * registers * registers / z).round();
        if estimate.is_finite() { estimate as u64 } else { NO_NUMBER }
    }
}

/// x + x² · 1 + x⁴ · 2 + x⁸ · 4 + …
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut factor, mut sum) = (1.0, x);
    loop {
        x *= x;
        let before = sum;
        sum += x * factor;
        factor += factor;
        if sum <= before {
            return sum;
        }
    }
}

/// A third of 1 − x − (1 − √x)² / 2 − (1 − ⁴√x)² / 4 − …
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut factor, mut sum) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = sum;
        factor *= 0.5;
        sum -= (1.0 - x).powi(2) * factor;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_elements_are_zero_and_full_registers_are_endless() {
        let mut empty = Histogram::default();
        empty.add(0, REGISTERS);
        assert_eq!(empty.cardinality(), 0);
        let mut full = Histogram::default();
        full.add(63, REGISTERS);
        assert_eq!(full.cardinality(), NO_NUMBER);
    }
}
