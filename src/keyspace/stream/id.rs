//! The ID of a stream's entry: milliseconds and a number within them.

use std::cmp::Ordering;
use std::fmt;

/// An ID. Ordered as Redis orders them: by milliseconds, then by sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamId {
    /// Unix time in milliseconds, or whatever the client chose.
    pub ms: u64,
    /// Counts the entries of one millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The smallest, which no entry has: `0-0`.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The largest.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The ID after this one; `None` after the last.
    #[must_use]
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The ID before this one; `None` before the first.
    #[must_use]
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { seq, ..self }),
            None => Some(StreamId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Both parts as one number, which is compared without a branch between them.
    #[inline]
    fn number(self) -> u128 {
        u128::from(self.ms) << 64 | u128::from(self.seq)
    }

    /// As 16 bytes, most significant first: how an RDB file keeps the IDs of nodes and pending
    /// entries.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.number().to_be_bytes()
    }

    /// The ID that [`StreamId::to_bytes`] gave `bytes`.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId { ms: (both >> 64) as u64, seq: both as u64 }
    }
}

impl Ord for StreamId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.number().cmp(&other.number())
    }
}

impl PartialOrd for StreamId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl StreamId {
    /// `ms-seq`, as it is answered, propagated and written to files.
    #[must_use]
    pub fn to_text(self) -> IdText {
        let mut text = IdText { bytes: [0; MAX_TEXT_BYTES], len: 0 };
        text.push(itoa::Buffer::new().format(self.ms).as_bytes());
        text.push(b"-");
        text.push(itoa::Buffer::new().format(self.seq).as_bytes());
        text
    }
}

/// Two numbers of 20 digits and a dash.
const MAX_TEXT_BYTES: usize = 41;

/// The text of an ID, without an allocation.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; MAX_TEXT_BYTES],
    len: usize,
}

impl IdText {
    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }

    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_cross_milliseconds_and_end_at_the_ends() {
        let last_of = |ms| StreamId { ms, seq: u64::MAX };
        let first_of = |ms| StreamId { ms, seq: 0 };
        for (one, two) in [(first_of(0), StreamId { ms: 0, seq: 1 }), (last_of(7), first_of(8))] {
            assert_eq!((one.next(), two.previous()), (Some(two), Some(one)));
        }
        assert_eq!((StreamId::MAX.next(), StreamId::MIN.previous()), (None, None));
    }

    #[test]
    fn bytes_are_ordered_as_ids_are() {
        let ids = [(0, 0), (0, 1), (1, 0), (1, u64::MAX), (255, 3), (256, 0), (u64::MAX, u64::MAX)];
        let ids = ids.map(|(ms, seq)| StreamId { ms, seq });
        assert!(ids.is_sorted() && ids.map(StreamId::to_bytes).is_sorted());
        assert_eq!(ids.map(StreamId::to_bytes).map(StreamId::from_bytes), ids);
        assert_eq!(ids[3].to_string(), "1-18446744073709551615");
        for id in ids {
            assert_eq!(id.to_text().as_bytes(), id.to_string().as_bytes());
        }
    }
}
