//! Reading: [`load`] and the primitives of the format, suspicious of every byte.

use super::{MAX_VERSION, RdbError, opcode, values};
use crate::base::crc64::Crc64;
use crate::base::lzf;
use crate::base::number::I64Text;
use crate::base::time::UnixMillis;
use crate::keyspace::{Limits, Value};
use std::io::Read;

/// Memory for a string of up to this many bytes is taken at once.
const SHORT_BYTES: usize = 4 << 10;
/// For a longer one it is taken as the bytes really arrive, this many first.
const STEP_BYTES: usize = 1 << 20;
/// Longest string, compressed or not: what a client could send at most.
const MAX_STRING_BYTES: u64 = (1 << 32) - 1;

/// One thing found in a snapshot.
#[derive(Debug)]
pub enum Item {
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
    /// A key.
    Key {
        /// Its name.
        key: Vec<u8>,
        /// What it holds.
        value: Value,
        /// When it expires.
        deadline: Option<UnixMillis>,
        /// Seconds since its last use, if the file tells.
        idle_secs: Option<u64>,
        /// Its access counter, if the file tells.
        frequency: Option<u8>,
    },
    /// Data of a module beside the keys, which is left out: the module's name.
    ModuleAux(String),
    /// A key with a collection of no elements, which is left out.
    EmptyKey(Vec<u8>),
}

impl Item {
    /// The key's name, of a key.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        if let Item::Key { key, .. } = self { Some(key) } else { None }
    }
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

/// Reads a whole snapshot and hands what it holds to `take`, each item with the number of bytes read up to its
/// end. Errors of `take` end the reading.
pub fn load(
    input: impl Read,
    limits: &Limits,
    mut take: impl FnMut(Item, u64) -> Result<(), RdbError>,
) -> Result<LoadSummary, RdbError> {
    let mut reader = Reader::new(input);
    let version = reader.signature()?;
    let mut summary = LoadSummary::default();
    let mut pending = Pending::default();
    loop {
        match reader.byte()? {
            opcode::EXPIRE_MS => pending.deadline = Some(UnixMillis(i64::from_le_bytes(reader.array()?))),
            opcode::EXPIRE_SECS => {
                let secs = i64::from(i32::from_le_bytes(reader.array()?));
                pending.deadline = Some(UnixMillis(secs.saturating_mul(1000)));
            }
            opcode::FREQ => pending.frequency = Some(reader.byte()?),
            opcode::IDLE => pending.idle_secs = Some(reader.length()?),
            opcode::AUX => {
                let item = Item::Aux { name: reader.string()?, value: reader.string()? };
                take(item, reader.offset)?;
            }
            opcode::SELECT_DB => {
                let index =
                    usize::try_from(reader.length()?).map_err(|_| reader.corrupt("a database number"))?;
                take(Item::SelectDb(index), reader.offset)?;
            }
            opcode::RESIZE_DB => {
                let item = Item::ResizeDb { keys: reader.length()?, deadlines: reader.length()? };
                take(item, reader.offset)?;
            }
            opcode::SLOT_INFO => {
                // The slot, its keys, its keys with a deadline: hints for a server that keeps keys by slot.
                for _ in 0..3 {
                    reader.length()?;
                }
            }
            opcode::MODULE_AUX => {
                let name = reader.module_name()?;
                reader.skip_module_data()?;
                take(Item::ModuleAux(name), reader.offset)?;
            }
            opcode::FUNCTION | opcode::FUNCTION_PRE_GA => return Err(RdbError::Unsupported("functions")),
            opcode::EOF => break,
            kind => {
                let key = reader.string()?;
                let value = values::read(&mut reader, kind, limits)?;
                let Pending { deadline, idle_secs, frequency } = std::mem::take(&mut pending);
                match value {
                    Some(value) => {
                        summary.keys += 1;
                        take(Item::Key { key, value, deadline, idle_secs, frequency }, reader.offset)?;
                    }
                    None => take(Item::EmptyKey(key), reader.offset)?,
                }
            }
        }
    }
    summary.has_checksum = reader.check_sum(version)?;
    summary.bytes = reader.offset;
    Ok(summary)
}

/// What stands before the key it belongs to.
#[derive(Default)]
struct Pending {
    deadline: Option<UnixMillis>,
    idle_secs: Option<u64>,
    frequency: Option<u8>,
}

/// The primitives of the format over any `Read`.
pub(super) struct Reader<R> {
    input: R,
    crc: Crc64,
    offset: u64,
}

/// What a string begins with: a length, or a special encoding.
enum Head {
    Length(u64),
    Special(u8),
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Reader { input, crc: Crc64::new(), offset: 0 }
    }

    fn signature(&mut self) -> Result<u32, RdbError> {
        let bytes: [u8; 9] = self.array().map_err(|_| RdbError::Signature)?;
        let digits = bytes.strip_prefix(b"REDIS").ok_or(RdbError::Signature)?;
        let digits = std::str::from_utf8(digits).map_err(|_| RdbError::Signature)?;
        let version = digits.parse().map_err(|_| RdbError::Signature)?;
        if (1..=MAX_VERSION).contains(&version) { Ok(version) } else { Err(RdbError::Version(version)) }
    }

    /// Returns whether there is a checksum: versions before 5 have none; 0 says that none was computed.
    fn check_sum(&mut self, version: u32) -> Result<bool, RdbError> {
        if version < 5 {
            return Ok(false);
        }
        let expected = self.crc.value();
        let found = u64::from_le_bytes(self.array()?);
        if found == 0 || found == expected {
            Ok(found != 0)
        } else {
            Err(RdbError::Checksum { expected, found })
        }
    }

    pub(super) fn corrupt(&self, reason: &'static str) -> RdbError {
        RdbError::Corrupt { offset: self.offset, reason }
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RdbError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => RdbError::Eof,
            _ => RdbError::Io(error),
        })?;
        self.crc.update(bytes);
        self.offset += bytes.len() as u64;
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
        let mut bytes = Vec::with_capacity(length.min(STEP_BYTES));
        self.input.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(RdbError::Eof);
        }
        self.crc.update(&bytes);
        self.offset += length as u64;
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    /// Passes over a module's data: its parts say what they are, so nobody needs the module for that.
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
