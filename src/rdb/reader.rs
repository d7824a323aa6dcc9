//! Reading: [`load`] and the primitives of the format, suspicious of every byte.

use super::place::{Part, Place};
use super::{Checksum, MAX_VERSION, RdbError, opcode, values};
use crate::base::crc64::Crc64;
use crate::base::lzf;
use crate::base::number::I64Text;
use crate::base::time::UnixMillis;
use crate::keyspace::{Attributes, Content, Limits, Value};
use std::io::{BufRead, ErrorKind, Read};
use triomphe::Arc;

/// Memory for a string of up to this many bytes is taken at once.
const SHORT_BYTES: usize = 4 << 10;
/// For a longer one it is taken as the bytes really arrive, this many first.
const STEP_BYTES: usize = 1 << 20;
/// Longest string, compressed or not: what a client could send at most.
const MAX_STRING_BYTES: u64 = (1 << 32) - 1;

/// One thing found in a snapshot.
#[derive(Debug)]
pub enum Item<'r> {
    /// A key.
    Key {
        /// Its name.
        key: &'r [u8],
        /// What it holds.
        content: Content<'r>,
        /// What the file tells of it besides.
        attributes: Attributes,
    },
    /// Anything else.
    Note(Note),
}

/// What stands in a snapshot beside the keys.
#[derive(Debug)]
pub enum Note {
    /// An auxiliary field.
    Aux {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// What follows belongs to this database.
    SelectDb(usize),
    /// How many keys and deadlines the database has, as the file claims.
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
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadSummary {
    /// Keys handed over.
    pub keys: u64,
    /// Bytes.
    pub bytes: u64,
    /// Whether a checksum was there, and fitted.
    pub has_checksum: bool,
}

/// Reads a whole snapshot and hands what it holds to `take`, each item with the number of bytes
/// read up to its end. Errors of `take` end the reading. Of `input` just the snapshot is consumed,
/// or what was read up to the error.
pub fn load(
    input: impl BufRead,
    limits: &Limits,
    take: impl FnMut(Item<'_>, u64) -> Result<(), RdbError>,
) -> Result<LoadSummary, RdbError> {
    load_as(input, limits, Checksum::Verified, take)
}

/// The same with a choice: `rdbchecksum no` means that sums are not verified either.
pub fn load_as(
    input: impl BufRead,
    limits: &Limits,
    checksum: Checksum,
    take: impl FnMut(Item<'_>, u64) -> Result<(), RdbError>,
) -> Result<LoadSummary, RdbError> {
    let mut reader = Reader::new(input);
    let mut place = Place::default();
    let result = read_items(&mut reader, &mut place, limits, checksum, take);
    let result = result.map_err(|error| place.locate(error, reader.offset()));
    let settled = reader.settle();
    result.and_then(|summary| settled.map(|()| summary))
}

fn read_items<R: BufRead>(
    reader: &mut Reader<R>,
    place: &mut Place,
    limits: &Limits,
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

/// What an opcode leads to.
enum Next {
    /// Something about the next key.
    Nothing,
    Note(Note),
    /// A key with a value of this type.
    Key(u8),
    End,
}

/// The primitives of the format over any `BufRead`, straight from its buffer where that holds what
/// is wanted.
pub(super) struct Reader<R> {
    input: R,
    /// Of the bytes in the input's buffer these were read, but are neither summed up nor consumed
    /// yet.
    used: usize,
    crc: Crc64,
    /// Bytes consumed.
    consumed: u64,
}

/// What a string begins with: a length, or a special encoding.
enum Head {
    Length(u64),
    Special(u8),
}

impl<R: BufRead> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Reader { input, used: 0, crc: Crc64::new(), consumed: 0 }
    }

    /// Bytes read so far.
    fn offset(&self) -> u64 {
        self.consumed + self.used as u64
    }

    /// Sums up and consumes what was read.
    fn settle(&mut self) -> Result<(), RdbError> {
        if self.used > 0 {
            self.crc.update(&self.input.fill_buf()?[..self.used]);
            self.input.consume(self.used);
            self.consumed += self.used as u64;
            self.used = 0;
        }
        Ok(())
    }

    /// How many bytes can be had without reading.
    #[inline]
    fn at_hand(&mut self) -> Result<usize, RdbError> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.len() - self.used),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next `length` bytes, which are at hand.
    #[inline]
    fn next_bytes(&mut self, length: usize) -> Result<&[u8], RdbError> {
        let start = self.used;
        self.used += length;
        Ok(&self.input.fill_buf()?[start..self.used])
    }

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
            opcode::FUNCTION => {
                // The first line of the code names the library.
                let code = self.string()?;
                place.name_section(code.split(|&byte| byte == b'\n').next().unwrap_or_default());
                return Err(RdbError::Unsupported("functions"));
            }
            opcode::FUNCTION_PRE_GA => return Err(RdbError::Unsupported("functions")),
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
        self.settle()?;
        let expected = self.crc.value();
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

    pub(super) fn corrupt(&self, reason: &'static str) -> RdbError {
        RdbError::Corrupt { offset: self.offset(), reason }
    }

    #[inline]
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RdbError> {
        if self.at_hand()? < bytes.len() {
            return self.fill_slowly(bytes);
        }
        bytes.copy_from_slice(self.next_bytes(bytes.len())?);
        Ok(())
    }

    /// Fills `bytes` from more than one buffer.
    #[cold]
    fn fill_slowly(&mut self, mut bytes: &mut [u8]) -> Result<(), RdbError> {
        while !bytes.is_empty() {
            self.settle()?;
            let count = match self.at_hand()? {
                0 => return Err(RdbError::Eof),
                some => some.min(bytes.len()),
            };
            let (now, later) = bytes.split_at_mut(count);
            now.copy_from_slice(self.next_bytes(count)?);
            bytes = later;
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, RdbError> {
        Ok(self.array::<1>()?[0])
    }

    fn head(&mut self) -> Result<Head, RdbError> {
        let first = self.byte()?;
        Ok(match first >> 6 {
            0 => Head::Length(u64::from(first & 0x3f)),
            1 => Head::Length(u64::from(first & 0x3f) << 8 | u64::from(self.byte()?)),
            2 if first == 0x80 => Head::Length(u64::from(u32::from_be_bytes(self.array()?))),
            2 if first == 0x81 => Head::Length(u64::from_be_bytes(self.array()?)),
            2 => return Err(self.corrupt("a length of unknown form")),
            _ => Head::Special(first & 0x3f),
        })
    }

    /// A length or count.
    pub(super) fn length(&mut self) -> Result<u64, RdbError> {
        match self.head()? {
            Head::Length(length) => Ok(length),
            Head::Special(_) => Err(self.corrupt("an encoded string where a length belongs")),
        }
    }

    /// A string in any of its encodings.
    pub(super) fn string(&mut self) -> Result<Vec<u8>, RdbError> {
        match self.head()? {
            Head::Length(length) => self.bytes(length),
            Head::Special(0) => Ok(text(i64::from(i8::from_le_bytes(self.array()?)))),
            Head::Special(1) => Ok(text(i64::from(i16::from_le_bytes(self.array()?)))),
            Head::Special(2) => Ok(text(i64::from(i32::from_le_bytes(self.array()?)))),
            Head::Special(3) => self.compressed(),
            Head::Special(_) => Err(self.corrupt("a string of unknown encoding")),
        }
    }

    /// Appends a string to `out`.
    fn append_string(&mut self, out: &mut Vec<u8>) -> Result<(), RdbError> {
        if let Some(long) = self.append_if_short(out)? {
            out.extend(long);
        }
        Ok(())
    }

    /// Appends a short string to `out`; a long one is the result.
    fn append_if_short(&mut self, out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, RdbError> {
        let number = match self.head()? {
            Head::Length(length) => {
                let len = usize::try_from(length).unwrap_or(usize::MAX);
                if len > SHORT_BYTES || len > self.at_hand()? {
                    return self.bytes(length).map(Some);
                }
                out.extend_from_slice(self.next_bytes(len)?);
                return Ok(None);
            }
            Head::Special(0) => i64::from(i8::from_le_bytes(self.array()?)),
            Head::Special(1) => i64::from(i16::from_le_bytes(self.array()?)),
            Head::Special(2) => i64::from(i32::from_le_bytes(self.array()?)),
            Head::Special(3) => return self.compressed().map(Some),
            Head::Special(_) => return Err(self.corrupt("a string of unknown encoding")),
        };
        out.extend_from_slice(I64Text::new(number).as_bytes());
        Ok(None)
    }

    fn compressed(&mut self) -> Result<Vec<u8>, RdbError> {
        let packed_len = self.length()?;
        let len = self.length()?;
        if len > MAX_STRING_BYTES || len > packed_len.saturating_mul(MAX_EXPANSION) {
            return Err(self.corrupt("a compressed string longer than it can be"));
        }
        let packed = self.bytes(packed_len)?;
        let len = usize::try_from(len).map_err(|_| self.corrupt("a string too long for this machine"))?;
        lzf::decompress(&packed, len).ok_or_else(|| self.corrupt("a compressed string that does not unpack"))
    }

    /// `length` bytes; memory is taken as they arrive.
    pub(super) fn bytes(&mut self, length: u64) -> Result<Vec<u8>, RdbError> {
        if length > MAX_STRING_BYTES {
            return Err(self.corrupt("a string longer than 4 GiB"));
        }
        let length =
            usize::try_from(length).map_err(|_| self.corrupt("a string too long for this machine"))?;
        if length <= SHORT_BYTES {
            let mut bytes = vec![0; length];
            self.fill(&mut bytes)?;
            return Ok(bytes);
        }
        self.settle()?;
        let mut bytes = Vec::with_capacity(length.min(STEP_BYTES));
        self.input.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        self.crc.update(&bytes);
        self.consumed += bytes.len() as u64;
        if bytes.len() < length {
            return Err(RdbError::Eof);
        }
        bytes.shrink_to_fit();
        Ok(bytes)
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

    /// The name in the number that stands before a module's data: nine characters of six bits.
    pub(super) fn module_name(&mut self) -> Result<String, RdbError> {
        const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let id = self.length()?;
        let character = |place: u32| char::from(CHARACTERS[(id >> (10 + 6 * place)) as usize & 0x3f]);
        Ok((0..9).rev().map(character).collect())
    }
}

/// What a module's data consists of, each behind one of these.
mod module {
    pub(super) const EOF: u64 = 0;
    pub(super) const SIGNED: u64 = 1;
    pub(super) const UNSIGNED: u64 = 2;
    pub(super) const FLOAT: u64 = 3;
    pub(super) const DOUBLE: u64 = 4;
    pub(super) const STRING: u64 = 5;
}

/// LZF writes at most 264 bytes for three.
const MAX_EXPANSION: u64 = 264 / 2;

fn text(value: i64) -> Vec<u8> {
    I64Text::new(value).as_bytes().to_vec()
}
