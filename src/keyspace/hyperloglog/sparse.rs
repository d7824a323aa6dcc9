//! The sparse form of registers: run lengths.
//!
//! ```text
//! 00llllll            z: l + 1 registers are zero, 1 to 64
//! 01llllll llllllll   Z: l + 1 registers are zero, 1 to 16384, big-endian
//! 1vvvvvll            v: l + 1 registers, 1 to 4, have the value v + 1, 1 to 32
//! ```
//!
//! [`raise`] makes exactly the bytes Redis makes: which opcodes are split and which neighbours are
//! merged is part of the format, for values may be compared as strings and a value becomes dense
//! when it outgrows a limit. Runs before the changed one are looked at from the first on, so the
//! cost of adding grows with the number of opcodes; the limit keeps that small.

use super::{Corrupt, HEADER, REGISTERS};
use std::fmt;
use std::ops::Range;

const MAX_SHORT_ZEROS: usize = 64;
const MAX_VALUE: u8 = 32;
const MAX_VALUE_RUN: usize = 4;
/// Redis looks at so many opcodes, from the one before the change on, for neighbours to merge.
const MERGE_STEPS: usize = 5;

/// One opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    ShortZeros(usize),
    LongZeros(usize),
    Value(u8, usize),
}

impl Opcode {
    fn read(bytes: &[u8]) -> Opcode {
        let first = bytes[0];
        if first & 0x80 != 0 {
            Opcode::Value((first >> 2 & 0x1f) + 1, usize::from(first & 0x03) + 1)
        } else if first & 0x40 == 0 {
            Opcode::ShortZeros(usize::from(first) + 1)
        } else {
            // A cut-off opcode reads on into the zero byte that ends a string in Redis.
            let second = bytes.get(1).copied().unwrap_or(0);
            Opcode::LongZeros(usize::from(u16::from_be_bytes([first & 0x3f, second])) + 1)
        }
    }

    /// The number of registers it describes.
    fn run(self) -> usize {
        match self {
            Opcode::ShortZeros(run) | Opcode::LongZeros(run) | Opcode::Value(_, run) => run,
        }
    }

    /// The number of bytes it takes.
    fn width(self) -> usize {
        if matches!(self, Opcode::LongZeros(_)) { 2 } else { 1 }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Opcode::ShortZeros(run) => write!(out, "z:{run}"),
            Opcode::LongZeros(run) => write!(out, "Z:{run}"),
            Opcode::Value(value, run) => write!(out, "v:{value},{run}"),
        }
    }
}

/// The opcodes of a value behind its header, each with its place.
pub(super) struct Opcodes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Opcodes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Opcodes { bytes, at: 0 }
    }
}

impl Iterator for Opcodes<'_> {
    type Item = (usize, Opcode);

    fn next(&mut self) -> Option<(usize, Opcode)> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let (at, opcode) = (self.at, Opcode::read(rest));
        self.at += opcode.width();
        Some((at, opcode))
    }
}

/// Registers next to each other of one value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) first: usize,
    pub(super) len: usize,
    pub(super) value: u8,
}

impl Run {
    pub(super) fn registers(&self) -> Range<usize> {
        self.first..self.first + self.len
    }
}

/// The runs of a value behind its header; together they are all registers, else it is corrupt.
pub(super) fn runs(bytes: &[u8]) -> Result<impl Iterator<Item = Run>, Corrupt> {
    if Opcodes::new(bytes).map(|(_, opcode)| opcode.run()).sum::<usize>() != REGISTERS {
        return Err(Corrupt);
    }
    Ok(Opcodes::new(bytes).scan(0, |next, (_, opcode)| {
        let first = *next;
        *next += opcode.run();
        let value = if let Opcode::Value(value, _) = opcode { value } else { 0 };
        Some(Run { first, len: opcode.run(), value })
    }))
}

/// Appends the shortest opcode for `run` zeros, 1 to 16384.
pub(super) fn push_zeros(bytes: &mut Vec<u8>, run: usize) {
    if run <= MAX_SHORT_ZEROS {
        bytes.push(run as u8 - 1);
    } else {
        bytes.extend_from_slice(&((run as u16 - 1) | 0x4000).to_be_bytes());
    }
}

fn push_value(bytes: &mut Vec<u8>, value: u8, run: usize) {
    bytes.push(value_byte(value, run));
}

fn value_byte(value: u8, run: usize) -> u8 {
    0x80 | (value - 1) << 2 | (run as u8 - 1)
}

/// The result of [`raise`].
pub(super) enum Change {
    /// The register was high enough.
    None,
    /// It was raised.
    Done,
    /// Nothing: the value must be dense to hold this.
    NeedsDense,
}

/// Raises one register of `value`, header included, if it is lower than `count`.
pub(super) fn raise(
    value: &mut Vec<u8>,
    register: usize,
    count: u8,
    max_bytes: usize,
) -> Result<Change, Corrupt> {
    if count > MAX_VALUE {
        return Ok(Change::NeedsDense);
    }
    let Some(spot) = find(&value[HEADER..], register) else { return Err(Corrupt) };
    let at = HEADER + spot.at;
    match spot.opcode {
        Opcode::Value(old, _) if old >= count => return Ok(Change::None),
        Opcode::Value(_, 1) | Opcode::ShortZeros(1) => value[at] = value_byte(count, 1),
        opcode => {
            let sequence = split(opcode, register - spot.first, count);
            let new_len = value.len() + sequence.len() - opcode.width();
            if sequence.len() > opcode.width() && new_len > max_bytes {
                return Ok(Change::NeedsDense);
            }
            let end = value.len().min(at + opcode.width());
            value.splice(at..end, sequence);
            // Redis: an opcode whose second byte is missing counts as two bytes all the same.
            value.truncate(new_len);
        }
    }
    merge_neighbours(value, HEADER + spot.previous.unwrap_or(0));
    Ok(Change::Done)
}

/// The place where a register is described.
struct Spot {
    at: usize,
    opcode: Opcode,
    /// The first register of the opcode.
    first: usize,
    /// The offset of the opcode before it.
    previous: Option<usize>,
}

fn find(bytes: &[u8], register: usize) -> Option<Spot> {
    let (mut first, mut previous) = (0, None);
    for (at, opcode) in Opcodes::new(bytes) {
        if register < first + opcode.run() {
            return Some(Spot { at, opcode, first, previous });
        }
        first += opcode.run();
        previous = Some(at);
    }
    None
}

/// The opcodes for what `opcode` describes, once its register number `offset` is `count`.
fn split(opcode: Opcode, offset: usize, count: u8) -> Vec<u8> {
    let after = opcode.run() - offset - 1;
    let mut sequence = Vec::with_capacity(5);
    let push_old = |sequence: &mut Vec<u8>, run: usize| match opcode {
        _ if run == 0 => {}
        Opcode::Value(old, _) => push_value(sequence, old, run),
        Opcode::ShortZeros(_) | Opcode::LongZeros(_) => push_zeros(sequence, run),
    };
    push_old(&mut sequence, offset);
    push_value(&mut sequence, count, 1);
    push_old(&mut sequence, after);
    sequence
}

/// Joins equal values next to each other, a few opcodes from `at` on.
fn merge_neighbours(value: &mut Vec<u8>, mut at: usize) {
    for _ in 0..MERGE_STEPS {
        let Some(rest) = value.get(at..).filter(|rest| !rest.is_empty()) else { return };
        let opcode = Opcode::read(rest);
        if let Opcode::Value(one, run) = opcode
            && let Some(Opcode::Value(two, more)) = rest.get(1..2).map(Opcode::read)
            && one == two
            && run + more <= MAX_VALUE_RUN
        {
            // The joined opcode may have another equal neighbour: it is looked at again.
            value[at] = value_byte(one, run + more);
            value.remove(at + 1);
        } else {
            at += opcode.width();
        }
    }
}
