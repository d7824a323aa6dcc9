//! Just enough arbitrary precision to convert between decimal text and binary floating point
//! exactly.
//!
//! Schoolbook methods on 32-bit limbs: the largest number met has a few ten thousand bits and is
//! met only when a client insists, so nothing cleverer would pay for itself.

use std::cmp::Ordering;

/// A natural number: 32-bit limbs, least significant first, no zero limb at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bignum {
    limbs: Vec<u32>,
}

impl Bignum {
    pub(super) fn from_u64(value: u64) -> Self {
        Self { limbs: vec![value as u32, (value >> 32) as u32] }.trimmed()
    }

    /// The value of ASCII digits; other bytes are skipped.
    pub(super) fn from_digits(digits: &[u8]) -> Self {
        let mut number = Self { limbs: Vec::with_capacity(digits.len() / 9 + 1) };
        let (mut group, mut scale) = (0, 1);
        for digit in digits.iter().filter(|c| c.is_ascii_digit()) {
            group = group * 10 + u32::from(digit - b'0');
            scale *= 10;
            if scale == 1_000_000_000 {
                number.multiply_add(scale, group);
                (group, scale) = (0, 1);
            }
        }
        number.multiply_add(scale, group);
        number
    }

    /// Multiplies by 10^`power`.
    pub(super) fn scale_by_ten(&mut self, power: usize) {
        for _ in 0..power / 9 {
            self.multiply_add(1_000_000_000, 0);
        }
        self.multiply_add(10u32.pow((power % 9) as u32), 0);
    }

    pub(super) fn bit_length(&self) -> usize {
        self.limbs.last().map_or(0, |top| self.limbs.len() * 32 - top.leading_zeros() as usize)
    }

    pub(super) fn shift_left(&mut self, bits: usize) {
        if self.limbs.is_empty() {
            return;
        }
        let (limbs, bits) = (bits / 32, bits % 32);
        let mut carry = 0u64;
        for limb in &mut self.limbs {
            let wide = u64::from(*limb) << bits | carry;
            *limb = wide as u32;
            carry = wide >> 32;
        }
        self.limbs.push(carry as u32);
        self.limbs.splice(0..0, std::iter::repeat_n(0, limbs));
        self.trim();
    }

    /// The leading bits of the number, at most 128, the exponent of the last, and whether any
    /// set bit follows.
    pub(super) fn leading_bits(&self) -> (u128, usize, bool) {
        let cut = self.limbs.len().saturating_sub(4);
        let (low, high) = self.limbs.split_at(cut);
        let bits = high.iter().rev().fold(0, |bits, &limb| bits << 32 | u128::from(limb));
        (bits, cut * 32, low.iter().any(|&limb| limb != 0))
    }

    /// The quotient by `divisor`, which must be below 2^`bits`, and whether anything remains.
    pub(super) fn divide(mut self, mut divisor: Self, bits: usize) -> (u128, bool) {
        debug_assert!(bits <= 128, "the quotient must fit");
        divisor.shift_left(bits);
        let mut quotient = 0;
        for _ in 0..bits {
            divisor.halve();
            quotient <<= 1;
            if self.compare(&divisor) != Ordering::Less {
                self.subtract(&divisor);
                quotient |= 1;
            }
        }
        (quotient, !self.limbs.is_empty())
    }

    /// Appends the number in decimal.
    pub(super) fn write_decimal(mut self, out: &mut Vec<u8>) {
        let mut groups = Vec::new();
        while !self.limbs.is_empty() {
            groups.push(self.divide_small(1_000_000_000));
        }
        let mut buffer = itoa::Buffer::new();
        let Some(top) = groups.pop() else { return out.push(b'0') };
        out.extend_from_slice(buffer.format(top).as_bytes());
        for &group in groups.iter().rev() {
            let text = buffer.format(group).as_bytes();
            out.resize(out.len() + 9 - text.len(), b'0');
            out.extend_from_slice(text);
        }
    }

    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.limbs {
            let wide = u64::from(*limb) * u64::from(factor) + carry;
            *limb = wide as u32;
            carry = wide >> 32;
        }
        if carry != 0 {
            self.limbs.push(carry as u32);
        }
    }

    /// Divides in place and returns the remainder.
    fn divide_small(&mut self, divisor: u32) -> u32 {
        let mut remainder = 0u64;
        for limb in self.limbs.iter_mut().rev() {
            let wide = remainder << 32 | u64::from(*limb);
            *limb = (wide / u64::from(divisor)) as u32;
            remainder = wide % u64::from(divisor);
        }
        self.trim();
        remainder as u32
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.limbs.iter_mut().rev() {
            let bit = *limb << 31;
            *limb = *limb >> 1 | carry;
            carry = bit;
        }
        self.trim();
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.limbs.len().cmp(&other.limbs.len());
        by_length.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    /// Subtracts a number that is not greater.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        let others = other.limbs.iter().copied().chain(std::iter::repeat(0));
        for (limb, subtrahend) in self.limbs.iter_mut().zip(others) {
            let (difference, first) = limb.overflowing_sub(subtrahend);
            let (difference, second) = difference.overflowing_sub(u32::from(borrow));
            *limb = difference;
            borrow = first || second;
        }
        debug_assert!(!borrow, "the subtrahend is not greater");
        self.trim();
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    fn trimmed(mut self) -> Self {
        self.trim();
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimal(number: Bignum) -> String {
        let mut out = Vec::new();
        number.write_decimal(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn zero_is_empty_and_prints_as_zero() {
        assert_eq!(Bignum::from_digits(b"000"), Bignum::from_u64(0));
        assert_eq!(decimal(Bignum::from_digits(b"")), "0");
        assert_eq!(Bignum::from_u64(0).bit_length(), 0);
    }

    #[test]
    fn leading_bits_tell_what_they_leave_out() {
        let mut number = Bignum::from_u64(5);
        number.shift_left(200);
        let (bits, exponent, sticky) = number.leading_bits();
        assert_eq!((bits, exponent, sticky), (5 << (200 - exponent), exponent, false));
        number.multiply_add(1, 1);
        assert!(number.leading_bits().2);
    }

    proptest! {
        #[test]
        fn digits_read_and_print(text in "[1-9][0-9]{0,90}", zeros in 0usize..30) {
            let mut number = Bignum::from_digits(text.as_bytes());
            number.scale_by_ten(zeros);
            prop_assert_eq!(decimal(number), text + &"0".repeat(zeros));
        }

        #[test]
        fn shifting_and_dividing_agree_with_u128(a: u64, shift in 0usize..64, b in 1u64..) {
            let wide = u128::from(a) << shift;
            let mut number = Bignum::from_u64(a);
            number.shift_left(shift);
            prop_assert_eq!(decimal(number.clone()), wide.to_string());
            prop_assert_eq!(number.bit_length(), 128 - wide.leading_zeros() as usize);
            let (quotient, rest) = number.divide(Bignum::from_u64(b), 128);
            prop_assert_eq!((quotient, rest), (wide / u128::from(b), wide % u128::from(b) != 0));
        }
    }
}
