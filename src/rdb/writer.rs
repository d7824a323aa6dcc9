//! Writing: [`save`] and the primitives of the format.

use super::{RdbError, VERSION, opcode, values};
use crate::base::crc64::Crc64;
use crate::base::{lzf, number};
use crate::keyspace::{AccessClock, DbIndex, DbSnapshot, KeyView, ValueRef, WalkedDb};
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
    let dbs = snapshot.iter().map(DbSnapshot::facts).collect();
    let mut writer = SnapshotWriter::begin(out, options, dbs)?;
    for db in snapshot {
        db.iter().try_for_each(|view| writer.key(db.index, &view))?;
    }
    writer.finish()
}

/// Writes a snapshot whose keys come in any order: whenever the next key is of another database, it
/// says so.
pub struct SnapshotWriter<'o, W> {
    writer: Writer<'o, W>,
    current: Option<DbIndex>,
    /// The databases no key of which was written yet.
    unseen: Vec<WalkedDb>,
    keys: u64,
}

impl<'o, W: Write> SnapshotWriter<'o, W> {
    /// Writes what stands before the keys. `dbs` says how large each database is.
    pub fn begin(out: W, options: &'o SaveOptions, dbs: Vec<WalkedDb>) -> Result<Self, RdbError> {
        let mut writer = Writer::new(out, options);
        writer.raw(format!("REDIS{VERSION:04}").as_bytes())?;
        for (name, value) in &options.aux {
            writer.byte(opcode::AUX)?;
            writer.string(name.as_bytes())?;
            writer.string(value.as_bytes())?;
        }
        Ok(SnapshotWriter { writer, current: None, unseen: dbs, keys: 0 })
    }

    /// Writes a key of database `db`.
    pub fn key(&mut self, db: DbIndex, view: &KeyView<'_>) -> Result<(), RdbError> {
        if self.current != Some(db) {
            self.switch(db)?;
        }
        self.keys += 1;
        self.writer.key(view)
    }

    /// Keys and bytes so far.
    pub fn written(&self) -> SaveSummary {
        SaveSummary { keys: self.keys, bytes: self.writer.bytes }
    }

    /// Writes what stands behind the keys.
    pub fn finish(mut self) -> Result<SaveSummary, RdbError> {
        self.writer.byte(opcode::EOF)?;
        let sum = if self.writer.options.checksum { self.writer.crc.value() } else { 0 };
        self.writer.raw(&sum.to_le_bytes())?;
        self.writer.out.flush()?;
        Ok(self.written())
    }

    fn switch(&mut self, db: DbIndex) -> Result<(), RdbError> {
        self.current = Some(db);
        self.writer.byte(opcode::SELECT_DB)?;
        self.writer.length(u64::from(db.0))?;
        let Some(place) = self.unseen.iter().position(|unseen| unseen.index == db) else { return Ok(()) };
        let WalkedDb { keys, deadlines, .. } = self.unseen.swap_remove(place);
        self.writer.byte(opcode::RESIZE_DB)?;
        self.writer.length(keys as u64)?;
        self.writer.length(deadlines as u64)
    }
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
            && let Some(packed) = lzf::compress(bytes)
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
