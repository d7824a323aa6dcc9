//! Redis's snapshot format, version 10 written, older ones read.
//!
//! ```text
//! "REDIS0010"  { 0xFA key value }            auxiliary fields
//! { 0xFE db  0xFB keys deadlines             one group per database
//!   { [0xFC ms] [0xF8 idle | 0xF9 freq] type key value } }
//! 0xFF crc64                                 8 bytes, little endian; 0 when it was not computed
//! ```
//!
//! [`save`] writes what a snapshot holds to any `Write`; [`load`] reads from any `BufRead` and
//! hands every key to its caller. [`dump`] and [`restore`] do the same for one value. Files and the
//! keyspace belong to others. What is read is taken for hostile: every length is checked before
//! memory is spent on it, and every structure before it becomes a value.

mod collections;
mod error;
mod payload;
mod place;
mod reader;
#[cfg(test)]
mod tests;
mod values;
mod writer;
mod ziplist;

pub use error::RdbError;
pub use payload::{Checksum, RestoreError, dump, restore};
pub use reader::{Item, LoadSummary, Note, load, load_as};
pub use writer::{Access, SaveOptions, SaveSummary, SnapshotWriter, save, serialized_len};

/// The version written.
pub const VERSION: u32 = 10;
/// The newest version read.
pub const MAX_VERSION: u32 = 12;

pub(crate) mod opcode {
    /// Since version 12: how full a slot of the cluster is, told ahead of its keys.
    pub(crate) const SLOT_INFO: u8 = 0xf4;
    pub(crate) const FUNCTION: u8 = 0xf5;
    pub(crate) const FUNCTION_PRE_GA: u8 = 0xf6;
    pub(crate) const MODULE_AUX: u8 = 0xf7;
    pub(crate) const IDLE: u8 = 0xf8;
    pub(crate) const FREQ: u8 = 0xf9;
    pub(crate) const AUX: u8 = 0xfa;
    pub(crate) const RESIZE_DB: u8 = 0xfb;
    pub(crate) const EXPIRE_MS: u8 = 0xfc;
    pub(crate) const EXPIRE_SECS: u8 = 0xfd;
    pub(crate) const SELECT_DB: u8 = 0xfe;
    pub(crate) const EOF: u8 = 0xff;
}
