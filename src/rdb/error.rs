//! The reasons why a snapshot cannot be read.

use std::io;
use thiserror::Error;

/// The fault of a file or a payload.
#[derive(Debug, Error)]
pub enum RdbError {
    /// It does not begin with `REDIS` and four digits.
    #[error("Wrong signature trying to load DB from file")]
    Signature,
    /// Its version is newer than what is understood.
    #[error("Can't handle RDB format version {0}")]
    Version(u32),
    /// It ends before it is complete.
    #[error("Unexpected EOF reading RDB file")]
    Eof,
    /// Its checksum does not fit its content.
    #[error("RDB CRC error: wrong checksum, expected ({expected:x}) but got ({found:x})")]
    Checksum {
        /// The checksum of the content.
        expected: u64,
        /// The checksum that the file has.
        found: u64,
    },
    /// A type this server does not have.
    #[error("Unknown RDB encoding type {0}")]
    UnknownType(u8),
    /// Something Redis has and this server has not.
    #[error("The RDB file contains {0}, which this server can't load yet")]
    Unsupported(&'static str),
    /// A value of a module, which only the module can read.
    #[error("The RDB file contains module data I can't load: no matching module type '{0}'")]
    ModuleValue(String),
    /// Something that cannot be, in words.
    #[error("Internal error in RDB reading at offset {offset}: {reason}")]
    Corrupt {
        /// The place where it was noticed, bytes from the start.
        offset: u64,
        /// The fault, in words.
        reason: &'static str,
    },
    /// One of the others, and where in a file it was met.
    #[error("{error}; it was met at byte {offset}, in {place}")]
    At {
        /// The fault.
        error: Box<RdbError>,
        /// The key or section that was being read, in words.
        place: String,
        /// The place that the reading came to, bytes from the start.
        offset: u64,
    },
    /// The receiver of the keys refuses to go on.
    #[error("{0}")]
    Refused(String),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
