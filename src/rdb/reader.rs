//! Reading: the primitives of the format, suspicious of every byte.

use super::error::RdbError;
use crate::base::crc64::Crc64;
use crate::base::lzf;
use crate::base::number::I64Text;
use std::io::{BufRead, ErrorKind, Read};

/// Memory for a string of up to this many bytes is taken at once.
const SHORT_BYTES: usize = 4 << 10;
/// For a longer one it is taken as the bytes really arrive, this many first.
const STEP_BYTES: usize = 1 << 20;
/// Longest string, compressed or not: what a client could send at most.
const MAX_STRING_BYTES: u64 = (1 << 32) - 1;

/// Says if sums of bytes are compared with those a payload carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// They must agree.
    Verified,
    /// Tests make payloads faster than they can sign them, DEBUG SET-SKIP-CHECKSUM-VALIDATION; and
    /// `rdbchecksum no`.
    Skipped,
}

/// The primitives of the format over any `BufRead`, straight from its buffer where that holds what
/// is wanted.
pub(super) struct RdbReader<R> {
    input: R,
    /// Of the bytes in the input's buffer these were read, but are neither summed up nor consumed
    /// yet.
    used: usize,
    crc: Crc64,
    /// Bytes consumed.
    consumed: u64,
}

/// The beginning of a string: a length, or a special encoding.
enum Head {
    Length(u64),
    Special(u8),
}

impl<R: BufRead> RdbReader<R> {
    pub(super) fn new(input: R) -> Self {
        RdbReader { input, used: 0, crc: Crc64::new(), consumed: 0 }
    }

    /// Bytes read so far.
    pub(super) fn offset(&self) -> u64 {
        self.consumed + self.used as u64
    }

    /// Sums up and consumes what was read.
    pub(super) fn consume_used(&mut self) -> Result<(), RdbError> {
        if self.used > 0 {
            self.crc.update(&self.input.fill_buf()?[..self.used]);
            self.input.consume(self.used);
            self.consumed += self.used as u64;
            self.used = 0;
        }
        Ok(())
    }

    /// The checksum of what was read.
    pub(super) fn checksum(&mut self) -> Result<u64, RdbError> {
        self.consume_used()?;
        Ok(self.crc.value())
    }

    /// The number of bytes that can be had without reading.
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
            self.consume_used()?;
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
    pub(super) fn append_string(&mut self, out: &mut Vec<u8>) -> Result<(), RdbError> {
        if let Some(long) = self.append_if_short(out)? {
            out.extend(long);
        }
        Ok(())
    }

    /// Appends a short string to `out`; a long one is the result.
    pub(super) fn append_if_short(&mut self, out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, RdbError> {
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
        self.consume_used()?;
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

    /// The name in the number that stands before a module's data: nine characters of six bits.
    pub(super) fn module_name(&mut self) -> Result<String, RdbError> {
        const CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let id = self.length()?;
        let character = |place: u32| char::from(CHARACTERS[(id >> (10 + 6 * place)) as usize & 0x3f]);
        Ok((0..9).rev().map(character).collect())
    }
}

/// LZF writes at most 264 bytes for three.
const MAX_EXPANSION: u64 = 264 / 2;

fn text(value: i64) -> Vec<u8> {
    I64Text::new(value).as_bytes().to_vec()
}
