//! Writing a whole snapshot: [`save`], and [`SnapshotWriter`] for keys that come bit by bit.

use super::error::RdbError;
use super::format::{VERSION, opcode};
use super::values;
use super::writer::{Access, SaveOptions, Writer};
use crate::keyspace::{DbIndex, DbSnapshot, KeyView, ValueRef, WalkedDb};
use std::io::Write;

/// The numbers of things that were written.
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
        options.functions.iter().try_for_each(|code| writer.library(code))?;
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
        SaveSummary { keys: self.keys, bytes: self.writer.written_bytes() }
    }

    /// Writes what stands behind the keys.
    pub fn finish(mut self) -> Result<SaveSummary, RdbError> {
        self.writer.byte(opcode::EOF)?;
        let sum = self.writer.checksum();
        self.writer.raw(&sum.to_le_bytes())?;
        self.writer.flush()?;
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

/// The number of bytes a value takes in a snapshot, its type byte left out.
#[must_use]
pub fn serialized_len(value: ValueRef<'_>) -> u64 {
    let options = SaveOptions { checksum: false, ..SaveOptions::default() };
    let mut writer = Writer::new(std::io::sink(), &options);
    match values::write(&mut writer, value) {
        Ok(()) => writer.written_bytes(),
        Err(_) => unreachable!("a sink takes everything"),
    }
}

impl<W: Write> Writer<'_, W> {
    /// Writes a library of functions, by its code.
    pub(super) fn library(&mut self, code: &[u8]) -> Result<(), RdbError> {
        self.byte(opcode::FUNCTION)?;
        self.string(code)
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
}
