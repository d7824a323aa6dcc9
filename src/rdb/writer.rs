//! Writing: the primitives of the format.

use super::error::RdbError;
use crate::base::crc64::Crc64;
use crate::base::{lzf, number};
use crate::keyspace::AccessClock;
use std::io::Write;
use std::sync::Arc;

/// Shorter strings are not worth compressing.
const MIN_COMPRESSED_BYTES: usize = 21;
/// Longer text is not tried as an integer.
const MAX_INTEGER_BYTES: usize = 11;

/// The options of a writer.
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
    /// The code of each library of functions, which come before the keys.
    pub functions: Vec<Arc<[u8]>>,
}

/// The access history that is kept.
#[derive(Clone, Copy, Debug, Default)]
pub enum Access {
    /// None.
    #[default]
    Nothing,
    /// The time for which a key was not used: under LRU policies.
    Idle(AccessClock),
    /// The frequency of its use: under LFU policies.
    Frequency(AccessClock),
}

impl Default for SaveOptions {
    fn default() -> Self {
        SaveOptions {
            compress: true,
            checksum: true,
            access: Access::Nothing,
            aux: Vec::new(),
            functions: Vec::new(),
        }
    }
}

/// The primitives of the format over any `Write`.
pub(super) struct Writer<'o, W> {
    out: W,
    crc: Crc64,
    bytes: u64,
    pub(super) options: &'o SaveOptions,
}

impl<'o, W: Write> Writer<'o, W> {
    pub(super) fn new(out: W, options: &'o SaveOptions) -> Self {
        Writer { out, crc: Crc64::new(), bytes: 0, options }
    }

    /// Bytes written so far.
    pub(super) fn written_bytes(&self) -> u64 {
        self.bytes
    }

    /// The checksum of what was written, 0 where none is wanted.
    pub(super) fn checksum(&self) -> u64 {
        if self.options.checksum { self.crc.value() } else { 0 }
    }

    pub(super) fn flush(&mut self) -> Result<(), RdbError> {
        Ok(self.out.flush()?)
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
