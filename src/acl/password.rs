//! Passwords are kept as their SHA-256, and compared without telling by the time it takes.

use super::RuleError;
use sha2::{Digest, Sha256};

const HASH_BYTES: usize = 32;

/// The SHA-256 of a password.
#[derive(Clone, Debug)]
pub(super) struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// Its bytes.
    pub(super) fn bytes(&self) -> [u8; HASH_BYTES] {
        self.0
    }

    /// Of a password in clear.
    pub(super) fn of(password: &[u8]) -> Hash {
        Hash(Sha256::digest(password).into())
    }

    /// From 64 hexadecimal digits in lower case.
    pub(super) fn from_hex(digits: &[u8]) -> Result<Hash, RuleError> {
        if digits.len() != 2 * HASH_BYTES {
            return Err(RuleError::Hash);
        }
        let mut hash = [0; HASH_BYTES];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Hash(hash))
    }

    /// As 64 hexadecimal digits.
    pub(super) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// True when both are the same, in a time that does not depend on where they differ.
    pub(super) fn equals(&self, other: &Hash) -> bool {
        self.0.iter().zip(other.0).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

fn digit(digit: u8) -> Result<u8, RuleError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(RuleError::Hash),
    }
}
