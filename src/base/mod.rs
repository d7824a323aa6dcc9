//! Pure helpers; nothing here has heard of keys, commands or the wire.
//!
//! | file | holds |
//! |---|---|
//! | [`time`] | [`time::UnixMillis`], [`time::MonotonicMillis`] |
//! | [`number`] | integers and doubles ⇄ text |
//! | [`long_double`] | 80-bit floating point in software, for exact float increments |
//! | [`text`] | argument splitting, quoting, memory sizes, case-insensitive words |
//! | [`geohash`] | places on a globe as 52-bit numbers |
//! | [`glob`] | patterns with `*`, `?`, `[a-z]` |
//! | [`bits`] | bits and bit fields of byte strings |
//! | [`crc16`], [`crc64`] | checksums |
//! | [`histogram`] | counts of durations, two digits exact |
//! | [`lcs`] | the longest common subsequence of two strings |
//! | [`lzf`] | the LZF compression of RDB strings |
//! | [`murmur`] | the hash of HyperLogLogs |
//! | [`hash`] | keyed hashing of untrusted bytes |
//! | [`random`] | seeded chance |

mod bignum;
mod float_text;

pub mod alloc;
pub mod bits;
mod client_id;
pub mod crc16;
pub mod crc64;
pub mod geohash;
pub mod glob;
pub mod hash;
pub mod histogram;
pub mod lcs;
pub mod long_double;
pub mod lzf;
pub mod murmur;
pub mod number;
pub mod random;
pub mod text;
pub mod time;

pub use client_id::ClientId;
