//! HyperLogLogs: strings that count distinct elements in 12 KiB or less, with an error of 0.81 %.
//!
//! The bytes are those of Redis, since clients may GET, SET and compare them:
//!
//! ```text
//! +------+-----------+---------+----------------------------+--------------------------------+
//! | HYLL | encoding  | 0 0 0   | cached cardinality, 8      | registers                      |
//! | 4    | 1         | 3       | little-endian; top bit set | dense: 16384 of 6 bits         |
//! |      | 0 dense,  |         | = to be computed again     | sparse: opcodes, see `sparse`  |
//! |      | 1 sparse  |         |                            |                                |
//! +------+-----------+---------+----------------------------+--------------------------------+
//! ```
//!
//! An element's hash chooses a register with 14 bits and offers it the position of the first set
//! bit of the other 50, counted from 1; the register keeps the largest. Dense registers are packed
//! from the least significant bit of each byte up.
//!
//! Functions here take the bytes of a whole value, which [`is_valid`] has accepted: that checks the
//! header, not the opcodes, so the others may still find a sparse value [`Corrupt`].

mod estimate;
mod sparse;

use crate::base::murmur::murmur64a;
use estimate::Histogram;
use sparse::{Change, Opcodes};
use thiserror::Error;

/// The number of registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Bits of a hash that are looked at for the first that is set.
const PATTERN_BITS: u32 = u64::BITS - INDEX_BITS;
const HASH_SEED: u64 = 0xadc8_3b19;
const MAGIC: &[u8; 4] = b"HYLL";
const HEADER: usize = 16;
const ENCODING: usize = 4;
const CARDINALITY: usize = 8;
const STALE: u8 = 0x80;
const REGISTER_BITS: usize = 6;
const REGISTER_MAX: u16 = (1 << REGISTER_BITS) - 1;
const DENSE_LEN: usize = HEADER + REGISTERS * REGISTER_BITS / 8;

/// The opcodes of a sparse value do not describe 16384 registers.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("INVALIDOBJ Corrupted HLL object detected")]
pub struct Corrupt;

/// The encoding of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 6 bits each.
    Dense,
    /// Run lengths.
    Sparse,
}

/// A value nothing was added to.
#[must_use]
pub fn empty() -> Vec<u8> {
    let mut value = vec![0; HEADER];
    value[..MAGIC.len()].copy_from_slice(MAGIC);
    value[ENCODING] = 1;
    sparse::push_zeros(&mut value, REGISTERS);
    value
}

/// True when `value` has the header of a HyperLogLog and, if dense, its length.
#[must_use]
pub fn is_valid(value: &[u8]) -> bool {
    value.len() >= HEADER
        && value.starts_with(MAGIC)
        && match value[ENCODING] {
            0 => value.len() == DENSE_LEN,
            1 => true,
            _ => false,
        }
}

/// Returns the encoding of the registers of `value`.
#[must_use]
pub fn encoding(value: &[u8]) -> Encoding {
    if value[ENCODING] == 0 { Encoding::Dense } else { Encoding::Sparse }
}

/// Counts `element` in. Returns whether a register changed; the cached cardinality is then stale.
/// A sparse value that would grow beyond `sparse_max_bytes` becomes dense.
pub fn add(value: &mut Vec<u8>, element: &[u8], sparse_max_bytes: usize) -> Result<bool, Corrupt> {
    let (register, count) = pattern(element);
    raise(value, register, count, sparse_max_bytes)
}

/// Raises a register to `count` if it is lower. As [`add`] otherwise.
pub fn raise(
    value: &mut Vec<u8>,
    register: usize,
    count: u8,
    sparse_max_bytes: usize,
) -> Result<bool, Corrupt> {
    if encoding(value) == Encoding::Sparse {
        match sparse::raise(value, register, count, sparse_max_bytes)? {
            Change::None => return Ok(false),
            Change::Done => {
                invalidate(value);
                return Ok(true);
            }
            Change::NeedsDense => make_dense(value)?,
        };
    }
    let raised = dense_get(&value[HEADER..], register) < count;
    if raised {
        dense_set(&mut value[HEADER..], register, count);
        invalidate(value);
    }
    Ok(raised)
}

/// Writes the registers out. Returns whether they were sparse.
pub fn make_dense(value: &mut Vec<u8>) -> Result<bool, Corrupt> {
    if encoding(value) == Encoding::Dense {
        return Ok(false);
    }
    let mut dense = vec![0; DENSE_LEN];
    dense[..HEADER].copy_from_slice(&value[..HEADER]);
    dense[ENCODING] = 0;
    let runs = sparse::runs(&value[HEADER..])?;
    for run in runs.filter(|run| run.value > 0) {
        for register in run.registers() {
            dense_set(&mut dense[HEADER..], register, run.value);
        }
    }
    *value = dense;
    Ok(true)
}

/// The cardinality kept in the header, unless it is stale.
#[must_use]
pub fn cached_cardinality(value: &[u8]) -> Option<u64> {
    let bytes: &[u8; 8] = value[CARDINALITY..].first_chunk().expect("the header was checked");
    (bytes[7] & STALE == 0).then(|| u64::from_le_bytes(*bytes))
}

/// Keeps a cardinality in the header.
pub fn cache_cardinality(value: &mut [u8], cardinality: u64) {
    value[CARDINALITY..HEADER].copy_from_slice(&cardinality.to_le_bytes());
}

/// Makes the cached cardinality stale.
pub fn invalidate(value: &mut [u8]) {
    value[HEADER - 1] |= STALE;
}

/// Estimates how many distinct elements were added.
pub fn cardinality(value: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = Histogram::default();
    match encoding(value) {
        Encoding::Dense => dense_values(value).for_each(|count| histogram.add(count, 1)),
        Encoding::Sparse => {
            for run in sparse::runs(&value[HEADER..])? {
                histogram.add(run.value, run.len);
            }
        }
    }
    Ok(histogram.cardinality())
}

/// Shows the opcodes of a sparse value as PFDEBUG DECODE does: `z:4 v:2,1 Z:16379`.
#[must_use]
pub fn opcodes(value: &[u8]) -> String {
    let shown: Vec<String> = Opcodes::new(&value[HEADER..]).map(|(_, opcode)| opcode.to_string()).collect();
    shown.join(" ")
}

/// The registers of several values, one byte each, each the largest of them.
#[derive(Debug)]
pub struct Union(Box<[u8]>);

impl Default for Union {
    fn default() -> Self {
        Union(vec![0; REGISTERS].into())
    }
}

impl Union {
    /// Merges the registers of `value`.
    pub fn merge(&mut self, value: &[u8]) -> Result<(), Corrupt> {
        match encoding(value) {
            Encoding::Dense => {
                self.0.iter_mut().zip(dense_values(value)).for_each(|(max, count)| *max = count.max(*max));
            }
            Encoding::Sparse => {
                for run in sparse::runs(&value[HEADER..])?.filter(|run| run.value > 0) {
                    self.0[run.registers()].iter_mut().for_each(|max| *max = run.value.max(*max));
                }
            }
        }
        Ok(())
    }

    /// Estimates how many distinct elements were added to any of the values.
    #[must_use]
    pub fn cardinality(&self) -> u64 {
        let mut histogram = Histogram::default();
        self.0.iter().for_each(|&count| histogram.add(count, 1));
        histogram.cardinality()
    }

    /// The registers.
    #[must_use]
    pub fn registers(&self) -> &[u8] {
        &self.0
    }
}

/// The register an element's hash chooses, and what it offers it.
fn pattern(element: &[u8]) -> (usize, u8) {
    let hash = murmur64a(element, HASH_SEED);
    let register = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << PATTERN_BITS;
    (register, rest.trailing_zeros() as u8 + 1)
}

/// The registers of a dense value in order; four of them take three bytes.
fn dense_values(value: &[u8]) -> impl Iterator<Item = u8> {
    value[HEADER..].as_chunks::<3>().0.iter().flat_map(|&[a, b, c]| {
        let four = u32::from_le_bytes([a, b, c, 0]);
        [0, 6, 12, 18].map(|shift| (four >> shift) as u8 & REGISTER_MAX as u8)
    })
}

fn dense_get(registers: &[u8], register: usize) -> u8 {
    let (byte, shift) = dense_place(register);
    let high = registers.get(byte + 1).copied().unwrap_or(0);
    (u16::from_le_bytes([registers[byte], high]) >> shift & REGISTER_MAX) as u8
}

fn dense_set(registers: &mut [u8], register: usize, count: u8) {
    let (byte, shift) = dense_place(register);
    let high = registers.get(byte + 1).copied().unwrap_or(0);
    let both = u16::from_le_bytes([registers[byte], high]);
    let both = (both & !(REGISTER_MAX << shift) | u16::from(count) << shift).to_le_bytes();
    registers[byte] = both[0];
    if let Some(high) = registers.get_mut(byte + 1) {
        *high = both[1];
    }
}

fn dense_place(register: usize) -> (usize, usize) {
    let bit = register * REGISTER_BITS;
    (bit / 8, bit % 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The default of `hll-sparse-max-bytes`.
    const MAX: usize = 3000;

    fn registers(value: &[u8]) -> Vec<u8> {
        let mut union = Union::default();
        union.merge(value).expect("the value is sound");
        union.registers().to_vec()
    }

    #[test]
    fn a_new_value_is_one_opcode() {
        assert_eq!(empty(), b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff");
        assert_eq!(opcodes(&empty()), "Z:16384");
        assert_eq!(cached_cardinality(&empty()), Some(0));
        assert_eq!(cardinality(&empty()), Ok(0));
    }

    /// Taken from `PFADD k a b c` and `GET k` on Redis 7.0.15.
    #[test]
    fn elements_land_where_redis_puts_them() {
        let mut value = empty();
        for element in [b"a", b"b", b"c"] {
            assert_eq!(add(&mut value, element, MAX), Ok(true));
            assert_eq!(add(&mut value, element, MAX), Ok(false));
        }
        assert_eq!(value, b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x60\xf3\x80\x50\xb1\x84\x4b\xfb\x80\x42\x5a");
        assert_eq!(cached_cardinality(&value), None);
        assert_eq!(cardinality(&value), Ok(3));
        cache_cardinality(&mut value, 3);
        assert_eq!(cached_cardinality(&value), Some(3));
    }

    #[test]
    fn the_header_decides_what_is_valid() {
        let dense = {
            let mut value = empty();
            assert_eq!(make_dense(&mut value), Ok(true));
            value
        };
        assert!(is_valid(&empty()) && is_valid(&dense));
        assert!(!is_valid(b"") && !is_valid(b"HYLL") && !is_valid(&dense[..dense.len() - 1]));
        let mut other = empty();
        other[ENCODING] = 2;
        assert!(!is_valid(&other));
        other[0] = b'h';
        assert!(!is_valid(&other));
    }

    #[test]
    fn broken_opcodes_are_noticed() {
        for tail in [&b""[..], b"\x7f", b"\x7f\xff\x80", b"\x80", b"\x7f\xfe\x83"] {
            let mut value = empty();
            value.truncate(HEADER);
            value.extend_from_slice(tail);
            assert!(is_valid(&value));
            assert_eq!(cardinality(&value), Err(Corrupt), "{tail:x?}");
            assert_eq!(Union::default().merge(&value), Err(Corrupt), "{tail:x?}");
            assert_eq!(make_dense(&mut value), Err(Corrupt), "{tail:x?}");
        }
    }

    #[test]
    fn the_estimate_is_near_and_the_same_in_both_encodings() {
        let (mut sparse, mut dense) = (empty(), empty());
        make_dense(&mut dense).expect("an empty value is sound");
        for count in 1..=20_000_u64 {
            let element = count.to_le_bytes();
            let changed = add(&mut sparse, &element, MAX);
            assert_eq!(changed, add(&mut dense, &element, MAX));
            if [1, 10, 100, 1000, 20_000].contains(&count) {
                let estimate = cardinality(&sparse).expect("it is sound");
                assert_eq!(Ok(estimate), cardinality(&dense));
                let error = (estimate as f64 - count as f64).abs() / count as f64;
                assert!(error < 0.03, "{estimate} for {count}");
            }
        }
        assert_eq!(encoding(&sparse), Encoding::Dense);
        assert_eq!(sparse, dense);
    }

    proptest! {
        #[test]
        fn both_encodings_keep_the_same_registers(
            raises in proptest::collection::vec((0..REGISTERS, 1_u8..=51), 1..400),
            near in any::<bool>(),
            max in prop_oneof![Just(0_usize), 16_usize..400, Just(3000)],
        ) {
            let mut value = empty();
            let mut model = vec![0; REGISTERS];
            for (register, count) in raises {
                // Neighbours meet often enough to be merged and split only when they are near.
                let (register, count) = if near { (register % 24, count % 3 + 1) } else { (register, count) };
                let changes = model[register] < count;
                prop_assert_eq!(raise(&mut value, register, count, max), Ok(changes));
                model[register] = count.max(model[register]);
                prop_assert!(encoding(&value) == Encoding::Dense || value.len() <= max.max(empty().len()));
            }
            prop_assert_eq!(registers(&value), model.clone());
            let estimate = cardinality(&value);
            make_dense(&mut value).expect("it is sound");
            prop_assert_eq!(registers(&value), model);
            prop_assert_eq!(cardinality(&value), estimate);
        }

        #[test]
        fn no_bytes_make_it_panic(
            tail in proptest::collection::vec(any::<u8>(), 0..80),
            register in 0..REGISTERS,
            count in 1_u8..=51,
        ) {
            let mut value = empty();
            value.truncate(HEADER);
            value.extend_from_slice(&tail);
            let _ = opcodes(&value);
            let _ = cardinality(&value);
            let _ = Union::default().merge(&value);
            let _ = make_dense(&mut value.clone());
            let _ = raise(&mut value, register, count, MAX);
        }
    }
}
