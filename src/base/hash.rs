//! Keyed hashing of bytes that strangers choose.
//!
//! SipHash-1-3: a client that does not know the seed cannot build keys that collide, which a faster
//! unkeyed hash would allow. The seed is an argument, so that a test replays its layout.

use siphasher::sip::SipHasher13;

/// The secret of one process: 128 bits, little endian key halves as SipHash defines them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashSeed(pub [u8; 16]);

/// Hides the secret: a seed printed in a log is a seed lost.
impl std::fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashSeed(..)")
    }
}

/// SipHash-1-3 of `bytes` under `seed`.
#[inline]
#[must_use]
pub fn siphash(seed: &HashSeed, bytes: &[u8]) -> u64 {
    SipHasher13::new_with_key(&seed.0).hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SipHash-1-3 written down from its paper, to check the crate and its key order.
    fn model(seed: &[u8; 16], bytes: &[u8]) -> u64 {
        let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
        let (k0, k1) = (word(&seed[..8]), word(&seed[8..]));
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        let round = |v: &mut [u64; 4]| {
            for (a, b, turn) in [(0, 1, 13), (2, 3, 16)] {
                v[a] = v[a].wrapping_add(v[b]);
                v[b] = v[b].rotate_left(turn) ^ v[a];
            }
            v[0] = v[0].rotate_left(32);
            for (a, b, turn) in [(2, 1, 17), (0, 3, 21)] {
                v[a] = v[a].wrapping_add(v[b]);
                v[b] = v[b].rotate_left(turn) ^ v[a];
            }
            v[2] = v[2].rotate_left(32);
        };
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len() / 8 * 8 + 7, 0);
        padded.push(bytes.len() as u8);
        for block in padded.chunks(8) {
            v[3] ^= word(block);
            round(&mut v);
            v[0] ^= word(block);
        }
        v[2] ^= 0xff;
        (0..3).for_each(|_| round(&mut v));
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }

    #[test]
    fn it_is_siphash_1_3_at_every_tail_length() {
        let seed: [u8; 16] = std::array::from_fn(|i| i as u8 * 11);
        let bytes: Vec<u8> = (0..40u8).map(|i| i.wrapping_mul(73)).collect();
        for length in 0..=bytes.len() {
            let part = &bytes[..length];
            assert_eq!(siphash(&HashSeed(seed), part), model(&seed, part), "{length}");
        }
    }

    #[test]
    fn another_seed_gives_another_hash_and_the_seed_stays_secret() {
        let (a, b) = (HashSeed([1; 16]), HashSeed([2; 16]));
        assert_ne!(siphash(&a, b"key"), siphash(&b, b"key"));
        assert_eq!(format!("{a:?}"), "HashSeed(..)");
    }
}
