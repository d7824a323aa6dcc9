//! Redis's snapshot format, version 10 written, older ones read.
//!
//! ```text
//! "REDIS0010"  { 0xFA key value }            auxiliary fields
//! { 0xFE db  0xFB keys deadlines             one group per database
//!   { [0xFC ms] [0xF8 idle | 0xF9 freq] type key value } }
//! 0xFF crc64                                 8 bytes, little endian; 0 when it was not computed
//! ```
//!
//! [`save`] writes what a snapshot holds to any `Write`; [`load`] reads from any `Read` and hands
//! every key to its caller. [`dump`] and [`restore`] do the same for one value. Files and the keyspace belong to others. What is read is taken for
//! hostile: every length is checked before memory is spent on it, and every structure before it
//! becomes a value.

mod collections;
mod error;
mod payload;
mod reader;
mod values;
mod writer;
mod ziplist;

pub use error::RdbError;
pub use payload::{RestoreError, dump, restore};
pub use reader::{Item, LoadSummary, load};
pub use writer::{Access, SaveOptions, SaveSummary, save, serialized_len};

/// The version written.
pub const VERSION: u32 = 10;
/// The newest version read.
pub const MAX_VERSION: u32 = 12;

pub(crate) mod opcode {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::UnixMillis;
    use crate::keyspace::{DbIndex, Keyspace, Limits, Ttl};

    fn saved(keyspace: &Keyspace, options: &SaveOptions) -> Vec<u8> {
        let mut bytes = Vec::new();
        save(&keyspace.snapshot(), options, &mut bytes).expect("a vector takes everything");
        bytes
    }

    fn sample() -> Keyspace {
        let mut keyspace = Keyspace::new(16, Limits::default(), 1);
        keyspace.set_string(b"plain", b"value", Ttl::Clear);
        keyspace.set_string(b"number", b"-12345", Ttl::At(UnixMillis(1_900_000_000_123)));
        keyspace.set_string(b"long", &b"abc".repeat(500), Ttl::Clear);
        keyspace.select(DbIndex(3));
        keyspace.set_string(b"", b"", Ttl::Clear);
        keyspace
    }

    type Rows = Vec<(usize, Vec<u8>, String, Option<i64>)>;

    fn read(bytes: &[u8]) -> Result<Rows, RdbError> {
        let mut db = 0;
        let mut rows = Vec::new();
        load(bytes, &Limits::default(), |item| {
            match item {
                Item::SelectDb(index) => db = index,
                Item::Key { key, value, deadline, .. } => {
                    rows.push((db, key, format!("{value:?}"), deadline.map(|deadline| deadline.0)));
                }
                Item::Aux { .. } | Item::ResizeDb { .. } | Item::EmptyKey(_) => {}
            }
            Ok(())
        })?;
        rows.sort();
        Ok(rows)
    }

    #[test]
    fn what_is_saved_is_loaded() {
        for options in [
            SaveOptions::default(),
            SaveOptions { compress: false, checksum: false, ..SaveOptions::default() },
        ] {
            let rows = read(&saved(&sample(), &options)).expect("our own file");
            assert_eq!(rows.len(), 4);
            assert_eq!((rows[3].0, rows[3].1.as_slice()), (3, &b""[..]));
            assert_eq!(rows[1].3, Some(1_900_000_000_123), "{rows:?}");
        }
        let small = saved(&sample(), &SaveOptions::default()).len();
        let plain = saved(&sample(), &SaveOptions { compress: false, ..SaveOptions::default() }).len();
        assert!(small + 1000 < plain, "{small} {plain}");
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_is_refused() {
        let bytes = saved(&sample(), &SaveOptions::default());
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 9..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            assert!(read(&damaged).is_err(), "changed at {at}");
        }
    }
}
