//! Reading a whole snapshot: [`load`].

use super::error::RdbError;
use super::format::{MAX_VERSION, opcode};
use super::place::{Part, Place};
use super::reader::{Checksum, RdbReader};
use super::values;
use crate::base::time::UnixMillis;
use crate::keyspace::{Attributes, Content, EncodingLimits, Value};
use std::io::BufRead;
use triomphe::Arc;

/// One thing found in a snapshot.
#[derive(Debug)]
pub enum Item<'r> {
    /// A key.
    Key {
        /// Its name.
        key: &'r [u8],
        /// The content of the key.
        content: Content<'r>,
        /// The attributes that the file has besides.
        attributes: Attributes,
    },
    /// Anything else.
    Note(Note),
}

/// A fact that stands in a snapshot beside the keys.
#[derive(Debug)]
pub enum Note {
    /// An auxiliary field.
    Aux {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// The keys that follow belong to this database.
    SelectDb(usize),
    /// The number of keys and of deadlines of the database, as the file claims.
    ResizeDb {
        /// Keys.
        keys: u64,
        /// Keys with a deadline.
        deadlines: u64,
    },
    /// Data of a module beside the keys, which is left out: the module's name.
    ModuleAux(String),
    /// A key with a collection of no elements, which is left out.
    EmptyKey(Vec<u8>),
    /// A library of functions: its code.
    Library(Vec<u8>),
}

/// The numbers of things that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadSummary {
    /// Keys handed over.
    pub keys: u64,
    /// Bytes.
    pub bytes: u64,
    /// True when a checksum was there, and fitted.
    pub has_checksum: bool,
}

/// Reads a whole snapshot and hands what it holds to `take`, each item with the number of bytes
/// read up to its end. Errors of `take` end the reading. Of `input` just the snapshot is consumed,
/// or what was read up to the error.
pub fn load(
    input: impl BufRead,
    limits: &EncodingLimits,
    take: impl FnMut(Item<'_>, u64) -> Result<(), RdbError>,
) -> Result<LoadSummary, RdbError> {
    load_as(input, limits, Checksum::Verified, take)
}

/// The same with a choice: `rdbchecksum no` means that sums are not verified either.
pub fn load_as(
    input: impl BufRead,
    limits: &EncodingLimits,
    checksum: Checksum,
    take: impl FnMut(Item<'_>, u64) -> Result<(), RdbError>,
) -> Result<LoadSummary, RdbError> {
    let mut reader = RdbReader::new(input);
    let mut place = Place::default();
    let result = read_items(&mut reader, &mut place, limits, checksum, take);
    let result = result.map_err(|error| place.locate(error, reader.offset()));
    let consumed = reader.consume_used();
    result.and_then(|summary| consumed.map(|()| summary))
}

fn read_items<R: BufRead>(
    reader: &mut RdbReader<R>,
    place: &mut Place,
    limits: &EncodingLimits,
    checksum: Checksum,
    mut take: impl FnMut(Item<'_>, u64) -> Result<(), RdbError>,
) -> Result<LoadSummary, RdbError> {
    let version = reader.signature()?;
    let mut summary = LoadSummary::default();
    let mut attributes = Attributes::default();
    loop {
        place.part = Part::Opcode;
        let kind = match reader.note_or_kind(&mut attributes, place)? {
            Next::Nothing => continue,
            Next::End => break,
            Next::Note(note) => {
                if let Note::SelectDb(index) = note {
                    place.db = index;
                }
                take(Item::Note(note), reader.offset())?;
                continue;
            }
            Next::Key(kind) => kind,
        };
        let type_name = values::type_name(kind).ok_or(RdbError::UnknownType(kind))?;
        let texts = &mut place.texts;
        texts.clear();
        (place.part, place.key_len) = (Part::KeyName(type_name), None);
        reader.append_string(texts)?;
        let key_len = texts.len();
        (place.part, place.key_len) = (Part::Value(type_name), Some(key_len));
        let value = match kind {
            values::STRING => reader.append_if_short(texts)?.map(|bytes| Value::String(Arc::new(bytes))),
            _ => match values::read(reader, kind, limits)? {
                None => {
                    attributes = Attributes::default();
                    take(Item::Note(Note::EmptyKey(texts.clone())), reader.offset())?;
                    continue;
                }
                value => value,
            },
        };
        let (key, text) = texts.split_at(key_len);
        let content = value.map_or(Content::Text(text), Content::Value);
        summary.keys += 1;
        take(Item::Key { key, content, attributes: std::mem::take(&mut attributes) }, reader.offset())?;
    }
    place.part = Part::Checksum;
    summary.has_checksum = reader.check_sum(version, checksum)?;
    summary.bytes = reader.offset();
    Ok(summary)
}

/// The consequence of an opcode.
enum Next {
    /// Something about the next key.
    Nothing,
    Note(Note),
    /// A key with a value of this type.
    Key(u8),
    End,
}

impl<R: BufRead> RdbReader<R> {
    fn note_or_kind(&mut self, attributes: &mut Attributes, place: &mut Place) -> Result<Next, RdbError> {
        let code = self.byte()?;
        place.begin_section(code);
        let note = match code {
            opcode::EXPIRE_MS => {
                attributes.deadline = Some(UnixMillis(i64::from_le_bytes(self.array()?)));
                return Ok(Next::Nothing);
            }
            opcode::EXPIRE_SECS => {
                let secs = i64::from(i32::from_le_bytes(self.array()?));
                attributes.deadline = Some(UnixMillis(secs.saturating_mul(1000)));
                return Ok(Next::Nothing);
            }
            opcode::FREQ => {
                attributes.frequency = Some(self.byte()?);
                return Ok(Next::Nothing);
            }
            opcode::IDLE => {
                attributes.idle_secs = Some(self.length()?);
                return Ok(Next::Nothing);
            }
            opcode::AUX => {
                let name = self.string()?;
                place.name_section(&name);
                Note::Aux { name, value: self.string()? }
            }
            opcode::SELECT_DB => {
                let index = usize::try_from(self.length()?);
                Note::SelectDb(index.map_err(|_| self.corrupt("a database number"))?)
            }
            opcode::RESIZE_DB => Note::ResizeDb { keys: self.length()?, deadlines: self.length()? },
            opcode::SLOT_INFO => {
                // The slot, its keys, its keys with a deadline: hints for a server that keeps keys
                // by slot.
                for _ in 0..3 {
                    self.length()?;
                }
                return Ok(Next::Nothing);
            }
            opcode::MODULE_AUX => {
                let name = self.module_name()?;
                place.name_section(name.as_bytes());
                self.skip_module_data()?;
                Note::ModuleAux(name)
            }
            opcode::FUNCTION | opcode::FUNCTION_PRE_GA => {
                let code = self.library(code).map_err(|fault| fault.error)?;
                // The first line of the code names the library.
                place.name_section(code.split(|&byte| byte == b'\n').next().unwrap_or_default());
                Note::Library(code)
            }
            opcode::EOF => return Ok(Next::End),
            kind => return Ok(Next::Key(kind)),
        };
        Ok(Next::Note(note))
    }

    fn signature(&mut self) -> Result<u32, RdbError> {
        let bytes: [u8; 9] = self.array().map_err(|_| RdbError::Signature)?;
        let digits = bytes.strip_prefix(b"REDIS").ok_or(RdbError::Signature)?;
        let digits = std::str::from_utf8(digits).map_err(|_| RdbError::Signature)?;
        let version = digits.parse().map_err(|_| RdbError::Signature)?;
        if (1..=MAX_VERSION).contains(&version) { Ok(version) } else { Err(RdbError::Version(version)) }
    }

    /// Returns whether there is a checksum: versions before 5 have none; 0 says that none was
    /// computed.
    fn check_sum(&mut self, version: u32, checksum: Checksum) -> Result<bool, RdbError> {
        if version < 5 {
            return Ok(false);
        }
        let expected = self.checksum()?;
        let found = u64::from_le_bytes(self.array()?);
        if found == 0 && checksum == Checksum::Verified {
            log::warn!("RDB file was saved with checksum disabled: no check performed.");
        }
        if found == 0 || found == expected || checksum == Checksum::Skipped {
            Ok(found != 0)
        } else {
            Err(RdbError::Checksum { expected, found })
        }
    }

    /// Passes over a module's data: its parts say what they are, so nobody needs the module for
    /// that.
    fn skip_module_data(&mut self) -> Result<(), RdbError> {
        loop {
            match self.length()? {
                module::EOF => return Ok(()),
                module::SIGNED | module::UNSIGNED => drop(self.length()?),
                module::FLOAT => drop(self.array::<4>()?),
                module::DOUBLE => drop(self.array::<8>()?),
                module::STRING => drop(self.string()?),
                _ => return Err(self.corrupt("module data of unknown form")),
            }
        }
    }
}

/// The parts of a module's data, each behind one of these.
mod module {
    pub(super) const EOF: u64 = 0;
    pub(super) const SIGNED: u64 = 1;
    pub(super) const UNSIGNED: u64 = 2;
    pub(super) const FLOAT: u64 = 3;
    pub(super) const DOUBLE: u64 = 4;
    pub(super) const STRING: u64 = 5;
}
