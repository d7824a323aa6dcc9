//! Pure helpers; nothing here has heard of keys, commands or the wire.
//!
//! | file | holds |
//! |---|---|
//! | [`time`] | [`time::UnixMillis`] |
//! | [`number`] | integers and doubles ⇄ text |
//! | [`crc16`], [`crc64`] | checksums |
//! | [`hash`] | keyed hashing of untrusted bytes |
//! | [`random`] | seeded chance |

mod float_text;

pub mod crc16;
pub mod crc64;
pub mod hash;
pub mod number;
pub mod random;
pub mod time;
