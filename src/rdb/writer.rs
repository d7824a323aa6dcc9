//! Writing: [`save`] and the primitives of the format.

use super::{RdbError, VERSION, opcode, values};
use crate::base::crc64::Crc64;
use crate::base::{lzf, number};
use crate::keyspace::{AccessClock, DbSnapshot, KeyView, ValueRef};
use std::io::Write;

/// Shorter strings are not worth compressing.
const MIN_COMPRESSED_BYTES: usize = 21;
/// Longer text is not tried as an integer.
const MAX_INTEGER_BYTES: usize = 11;

/// How to write.
#[derive(Clone, Debug)]
pub struct SaveOptions {
    /// Compress strings: `rdbcompression`.
    pub compress: bool,
    /// End with a checksum: `rdbchecksum`.
    pub checksum: bool,
    /// Keep access histories: under an eviction policy that uses them.
    pub access: Access,
    /// Auxiliary fields, written first.
    pub aux: Vec<(&'static str, String)>,
}

/// Which access history is kept.
#[derive(Clone, Copy, Debug, Default)]
pub enum Access {
    /// None.
    #[default]
    Nothing,
    /// How long a key was not used: under LRU policies.
    Idle(AccessClock),
    /// How often it was used: under LFU policies.
    Frequency(AccessClock),
}

impl Default for SaveOptions {
    fn default() -> Self {
        SaveOptions { compress: true, checksum: true, access: Access::Nothing, aux: Vec::new() }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveSummary {
    /// Keys.
    pub keys: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Writes a whole snapshot to `out`.
pub fn save(
    snapshot: &[DbSnapshot],
    options: &SaveOptions,
    out: impl Write,
) -> Result<SaveSummary, RdbError> {
    let mut writer = Writer::new(out, options);
    let mut keys = 0;
    writer.raw(format!("REDIS{VERSION:04}").as_bytes())?;
    for (name, value) in &options.aux {
        writer.byte(opcode::AUX)?;
        writer.string(name.as_bytes())?;
        writer.string(value.as_bytes())?;
    }
    for db in snapshot {
        writer.byte(opcode::SELECT_DB)?;
        writer.length(u64::from(db.index.0))?;
        writer.byte(opcode::RESIZE_DB)?;
        writer.length(db.len() as u64)?;
        writer.length(db.deadlines_len() as u64)?;
        for view in db.iter() {
            writer.key(&view)?;
            keys += 1;
        }
    }
    writer.byte(opcode::EOF)?;
    let sum = if options.checksum { writer.crc.value() } else { 0 };
    writer.raw(&sum.to_le_bytes())?;
    writer.out.flush()?;
    Ok(SaveSummary { keys, bytes: writer.bytes })
}

/// How many bytes a value takes in a snapshot, its type byte left out.
#[must_use]
pub fn serialized_len(value: ValueRef<'_>) -> u64 {
    let options = SaveOptions { checksum: false, ..SaveOptions::default() };
    let mut writer = Writer::new(std::io::sink(), &options);
    match values::write(&mut writer, value) {
        Ok(()) => writer.bytes,
        Err(_) => unreachable!("a sink takes everything"),
    }
}

/// The primitives of the format over any `Write`.
pub(super) struct Writer<'o, W> {
    out: W,
    crc: Crc64,
    bytes: u64,
    options: &'o SaveOptions,
}

impl<'o, W: Write> Writer<'o, W> {
    pub(super) fn new(out: W, options: &'o SaveOptions) -> Self {
        Writer { out, crc: Crc64::new(), bytes: 0, options }
    }

    fn key(&mut self, view: &KeyView<'_>) -> Result<(), RdbError> {
        if let Some(deadline) = view.deadline {
            self.byte(opcode::EXPIRE_MS)?;
            self.raw(&deadline.0.to_le_bytes())?;
        }
        match self.options.access {
            Access::Nothing => {}
            Access::Idle(clock) => {
                self.byte(opcode::IDLE)?;
                self.length(clock.idle_ms(view.access()).unsigned_abs() / 1000)?;
            }
            Access::Frequency(clock) => {
                self.raw(&[opcode::FREQ, clock.frequency(view.access()) as u8])?;
            }
        }
        self.byte(values::type_of(view.value))?;
        self.string(view.key)?;
        values::write(self, view.value)
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> Result<(), RdbError> {
        if self.options.checksum {
            self.crc.update(bytes);
        }
        self.bytes += bytes.len() as u64;
        Ok(self.out.write_all(bytes)?)
    }

    pub(super) fn byte(&mut self, byte: u8) -> Result<(), RdbError> {
        self.raw(&[byte])
    }

    /// A length: 6, 14, 32 or 64 bits, big endian behind a mark.
    pub(super) fn length(&mut self, length: u64) -> Result<(), RdbError> {
        if length < 1 << 6 {
            self.byte(length as u8)
        } else if length < 1 << 14 {
            self.raw(&[0x40 | (length >> 8) as u8, length as u8])
        } else if let Ok(length) = u32::try_from(length) {
            self.byte(0x80)?;
            self.raw(&length.to_be_bytes())
        } else {
            self.byte(0x81)?;
            self.raw(&length.to_be_bytes())
        }
    }

    /// A string: as an integer, compressed, or as it is, whichever is shortest.
    pub(super) fn string(&mut self, bytes: &[u8]) -> Result<(), RdbError> {
        if bytes.len() <= MAX_INTEGER_BYTES
            && let Some(value) = number::parse_i64(bytes)
            && let Ok(value) = i32::try_from(value)
        {
            return self.integer(value);
        }
        if self.options.compress
            && bytes.len() >= MIN_COMPRESSED_BYTES
            && let Some(packed) = lzf::compress(bytes).filter(|packed| packed.len() + 4 <= bytes.len())
        {
            self.byte(0xc3)?;
            self.length(packed.len() as u64)?;
            self.length(bytes.len() as u64)?;
            return self.raw(&packed);
        }
        self.length(bytes.len() as u64)?;
        self.raw(bytes)
    }

    fn integer(&mut self, value: i32) -> Result<(), RdbError> {
        if let Ok(value) = i8::try_from(value) {
            self.raw(&[0xc0, value as u8])
        } else if let Ok(value) = i16::try_from(value) {
            self.byte(0xc1)?;
            self.raw(&value.to_le_bytes())
        } else {
            self.byte(0xc2)?;
            self.raw(&value.to_le_bytes())
        }
    }
}
