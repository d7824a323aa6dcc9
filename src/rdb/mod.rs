//! Redis's snapshot format, version 10 written, older ones read.
//!
//! ```text
//! "REDIS0010"  { 0xFA key value }            auxiliary fields
//! { 0xF5 code }                             libraries of functions
//! { 0xFE db  0xFB keys deadlines             one group per database
//!   { [0xFC ms] [0xF8 idle | 0xF9 freq] type key value } }
//! 0xFF crc64                                 8 bytes, little endian; 0 when it was not computed
//! ```
//!
//! [`save()`] writes what a snapshot holds to any `Write`; [`load()`] reads from any `BufRead` and
//! hands every key to its caller. [`dump`] and [`restore`] do the same for one value. Files and the
//! keyspace belong to others. Everything that is read is taken for hostile: every length is checked
//! before memory is spent on it, and every structure before it becomes a value.

mod collections;
mod error;
mod format;
mod functions;
mod load;
mod payload;
mod place;
mod reader;
mod save;
mod streams;
#[cfg(test)]
mod streams_tests;
#[cfg(test)]
mod tests;
mod values;
mod writer;
mod ziplist;

pub use error::RdbError;
pub use format::{MAX_VERSION, VERSION};
pub use functions::{ReadLibraries, dump_libraries, read_libraries};
pub use load::{Item, LoadSummary, Note, load, load_as};
pub use payload::{RestoreError, dump, restore};
pub use reader::Checksum;
pub use save::{SaveSummary, SnapshotWriter, save, serialized_len};
pub use writer::{Access, SaveOptions};
