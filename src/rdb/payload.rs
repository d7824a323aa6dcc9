//! One value by itself, as DUMP gives it and RESTORE takes it.
//!
//! ```text
//! | type byte | body | version u16 | crc64 of everything before it, u64 |
//! ```

use super::format::VERSION;
use super::reader::{Checksum, RdbReader};
use super::values;
use super::writer::{SaveOptions, Writer};
use crate::base::crc64::crc64;
use crate::keyspace::{EncodingLimits, Value, ValueRef};
use thiserror::Error;

const FOOTER_BYTES: usize = 10;
const CRC_BYTES: usize = 8;

/// The reason why a payload cannot become a value.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RestoreError {
    /// It was damaged, or a newer Redis made it.
    #[error("DUMP payload version or checksum are wrong")]
    Footer,
    /// It is whole, but no value this server has.
    #[error("Bad data format")]
    Data,
}

/// A value as a payload. `compress` is `rdbcompression`.
#[must_use]
pub fn dump(value: ValueRef<'_>, compress: bool) -> Vec<u8> {
    let options = SaveOptions { compress, checksum: false, ..SaveOptions::default() };
    let mut payload = vec![values::type_of(value)];
    let written = values::write(&mut Writer::new(&mut payload, &options), value);
    assert!(written.is_ok(), "a vector takes everything");
    add_footer(&mut payload);
    payload
}

/// Ends a payload.
pub(super) fn add_footer(payload: &mut Vec<u8>) {
    payload.extend((VERSION as u16).to_le_bytes());
    payload.extend(crc64(payload).to_le_bytes());
}

/// Looks at the end of a payload; returns what stands before it.
pub(super) fn check_footer(payload: &[u8], checksum: Checksum) -> Result<&[u8], RestoreError> {
    let (content, footer) = payload.split_last_chunk::<FOOTER_BYTES>().ok_or(RestoreError::Footer)?;
    let (signed, crc) = payload.split_last_chunk::<CRC_BYTES>().ok_or(RestoreError::Footer)?;
    let version = u32::from(u16::from_le_bytes([footer[0], footer[1]]));
    let is_signed = || crc64(signed) == u64::from_le_bytes(*crc);
    if version > VERSION || checksum == Checksum::Verified && !is_signed() {
        return Err(RestoreError::Footer);
    }
    Ok(content)
}

/// The value of a payload; nothing in it is trusted.
pub fn restore(payload: &[u8], checksum: Checksum, limits: &EncodingLimits) -> Result<Value, RestoreError> {
    check_footer(payload, checksum)?;
    // Redis: nobody checks where the value ends, so it may run into the footer or end before it.
    let (&kind, body) = payload.split_first().ok_or(RestoreError::Data)?;
    match values::read(&mut RdbReader::new(body), kind, limits) {
        Ok(Some(value)) => Ok(value),
        // Redis: an empty collection is bad data as well.
        Ok(None) => Err(RestoreError::Data),
        Err(error) => {
            log::warn!("A value to be restored is refused: {error}");
            Err(RestoreError::Data)
        }
    }
}
