//! CRC-16/XMODEM: polynomial 0x1021, start 0, nothing reflected.
//!
//! One table look-up per byte is enough: what is summed here is the name of a key.

const TABLE: [u16; 256] = table();

/// The CRC-16/XMODEM of `bytes`.
#[inline]
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        // The last two: `CLUSTER KEYSLOT` of a real server, which keeps the low 14 bits.
        assert_eq!(crc16(b""), 0);
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b"foo") & 0x3fff, 12182);
        assert_eq!(crc16(b"user1000") & 0x3fff, 3443);
    }
}
