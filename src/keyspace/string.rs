//! The growth of a string in place.

/// Spare bytes of a growing string are never more.
const MAX_SPARE_BYTES: usize = 1 << 20;

/// Appends `tail`.
pub fn append(bytes: &mut Vec<u8>, tail: &[u8]) {
    reserve(bytes, tail.len());
    bytes.extend_from_slice(tail);
}

/// Fills up with zeros to `len`; a longer string stays as it is.
pub fn grow(bytes: &mut Vec<u8>, len: usize) {
    if len > bytes.len() {
        reserve(bytes, len - bytes.len());
        bytes.resize(len, 0);
    }
}

/// Makes room as a string that will grow again wants it: double, but never much over a MiB more. A
/// string that is made only now may stay as it is for ever. Redis: SETRANGE, SETBIT and APPEND make
/// a missing string as long as it must be.
fn reserve(bytes: &mut Vec<u8>, additional: usize) {
    if bytes.capacity() - bytes.len() < additional {
        let spare = if bytes.is_empty() { 0 } else { (bytes.len() + additional).min(MAX_SPARE_BYTES) };
        bytes.reserve_exact(additional + spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_room_is_for_strings_that_grow_again() {
        let mut bytes = Vec::new();
        grow(&mut bytes, 100_001);
        assert_eq!(bytes.capacity(), 100_001);
        append(&mut bytes, b"x");
        assert_eq!(bytes.capacity(), 2 * 100_002);
    }

    #[test]
    fn a_big_string_does_not_double() {
        let mut bytes = Vec::new();
        grow(&mut bytes, 8 << 20);
        append(&mut bytes, b"x");
        assert_eq!(bytes.len(), (8 << 20) + 1);
        assert!(bytes.capacity() <= (10 << 20), "{}", bytes.capacity());
        grow(&mut bytes, 5);
        assert_eq!(bytes.len(), (8 << 20) + 1);
    }
}
