//! CRC-64 with the Jones polynomial, start 0, reflected: the checksum of RDB files and payloads.
//!
//! The `crc` crate with its 16-lane table: 32 KiB of table, sixteen bytes per step, no `unsafe`.

use crc::{Algorithm, Crc, Digest, Table};

static JONES: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(const { &JONES_PARAMETERS });

const JONES_PARAMETERS: Algorithm<u64> = crc::CRC_64_REDIS;

/// The checksum of `bytes`.
#[must_use]
pub fn crc64(bytes: &[u8]) -> u64 {
    JONES.checksum(bytes)
}

/// The checksum of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Crc64 {
    digest: Digest<'static, u64, Table<16>>,
}

impl Crc64 {
    /// The checksum of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { digest: JONES.digest() }
    }

    /// Takes in the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The checksum of everything taken in so far; more may follow.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.digest.clone().finalize()
    }
}

impl Default for Crc64 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crc64({:016x})", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        assert_eq!(crc64(b""), 0);
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        // `DUMP` of the string "x" by Redis 7.0.15: type, value, version 10, then this sum.
        let dump = DUMP_OF_X;
        let (body, sum) = dump.split_at(dump.len() - 8);
        assert_eq!(crc64(body), u64::from_le_bytes(sum.try_into().unwrap()));
    }

    const DUMP_OF_X: &[u8] = b"\x00\x01\x78\x0a\x00\x22\x80\x86\x5f\xbd\xe8\x48\xd0";

    #[test]
    fn pieces_sum_like_the_whole() {
        let bytes: Vec<u8> = (0..500u32).map(|i| (i * i % 251) as u8).collect();
        for cut in [0, 1, 15, 16, 17, 250, 499, 500] {
            let mut crc = Crc64::new();
            crc.update(&bytes[..cut]);
            assert_eq!(crc.value(), crc64(&bytes[..cut]));
            crc.update(&bytes[cut..]);
            assert_eq!(crc.value(), crc64(&bytes), "{cut}");
        }
    }
}
