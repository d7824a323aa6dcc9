//! The buffer a client keeps for its answers: as large as what it is answered, within bounds.
//!
//! An answer that does not fit grows the buffer for the moment, and it shrinks to its size when the
//! bytes have left: what many clients are told at once (messages, invalidations) must not stay
//! allocated, or an eviction that told them would go on for the room their buffers take. The size
//! itself changes step by step, when a client is looked at: doubled when all of it was used, cut
//! down to the most that was used lately when that is less than half of it. As in Redis a client is
//! looked at once a second at least, and some are in each turn of the periodic work.

use super::registry::Clients;
use super::session::{Outbox, Session};
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use std::ops::Bound;

/// The smallest buffer, and a new client's.
const MIN_BYTES: usize = 1024;
/// The largest.
const MAX_BYTES: usize = 16 << 10;
/// The time for which the most that was used is remembered, milliseconds.
const PEAK_RESET_MS: i64 = 5000;
/// The periodic work runs so often a second.
const RUNS_PER_SECOND: usize = 10;
/// Clients looked at in one run at least.
const MIN_LOOKS: usize = 5;

/// One client's.
#[derive(Clone, Copy, Debug)]
pub struct ReplyBuffer {
    /// Its size, bytes.
    pub size: usize,
    /// The most of it that was used at once lately, bytes.
    pub peak: usize,
    /// The moment since which that is so.
    peak_since: MonotonicMillis,
}

/// The rules by which buffers are sized.
#[derive(Debug)]
pub struct Resizing {
    /// True when sizes change at all: DEBUG REPLYBUFFER RESIZING.
    pub enabled: bool,
    /// The time for which the most that was used is remembered; `None` is for ever: DEBUG
    /// REPLYBUFFER.
    pub peak_reset_ms: Option<i64>,
    /// The client that was looked at last.
    last: ClientId,
}

impl Default for Resizing {
    fn default() -> Self {
        Resizing { enabled: true, peak_reset_ms: Some(PEAK_RESET_MS), last: ClientId(0) }
    }
}

/// The change of a buffer's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    Smaller,
    Larger,
}

impl Resizing {
    /// Remembers the most that was used for its usual time again.
    pub fn reset_peak_time(&mut self) {
        self.peak_reset_ms = Some(PEAK_RESET_MS);
    }

    /// The buffer of a client that has just connected.
    pub fn new_buffer(&self, now: MonotonicMillis) -> ReplyBuffer {
        ReplyBuffer::new(if self.enabled { MIN_BYTES } else { MAX_BYTES }, now)
    }
}

impl ReplyBuffer {
    fn new(size: usize, now: MonotonicMillis) -> Self {
        ReplyBuffer { size, peak: 0, peak_since: now }
    }

    /// `bytes` are about to leave.
    pub fn used(&mut self, bytes: usize) {
        self.peak = self.peak.max(bytes.min(self.size));
    }

    fn resize(&mut self) -> Change {
        if self.peak == self.size && self.size < MAX_BYTES {
            self.size = (self.size * 2).min(MAX_BYTES);
            return Change::Larger;
        }
        if self.size / 2 >= MIN_BYTES && self.peak < self.size / 2 {
            self.size = (self.peak + 1).max(MIN_BYTES);
            return Change::Smaller;
        }
        Change::None
    }

    fn forget_peak(&mut self, after_ms: Option<i64>, now: MonotonicMillis) {
        if after_ms.is_some_and(|ms| now.ms_since(self.peak_since) > ms) {
            (self.peak, self.peak_since) = (0, now);
        }
    }
}

impl Session {
    /// Gives back what the last answers took beyond the buffer's size.
    #[inline]
    pub fn trim_outbox(&mut self) {
        let Outbox { bytes, buffer, .. } = &mut self.outbox;
        if bytes.capacity() > buffer.size && bytes.is_empty() {
            *bytes = Vec::with_capacity(buffer.size);
        }
    }
}

impl Clients {
    /// Looks at some clients' buffers, in the order of their numbers and round again. Returns how
    /// many have become larger, and how many smaller.
    pub fn resize_reply_buffers(&mut self, now: MonotonicMillis) -> (u64, u64) {
        let (mut larger, mut smaller) = (0, 0);
        let reply_buffers = &mut self.reply_buffers;
        if !reply_buffers.enabled {
            return (larger, smaller);
        }
        let looks = (self.by_id.len() / RUNS_PER_SECOND).max(MIN_LOOKS);
        let mut looked = 0;
        let from = (Bound::Excluded(reply_buffers.last), Bound::Unbounded);
        for (id, session) in self.by_id.range_mut(from).take(looks) {
            (reply_buffers.last, looked) = (*id, looked + 1);
            let Some(session) = session else { continue };
            match session.outbox.buffer.resize() {
                Change::None => {}
                Change::Larger => larger += 1,
                Change::Smaller => smaller += 1,
            }
            session.trim_outbox();
            session.outbox.buffer.forget_peak(reply_buffers.peak_reset_ms, now);
        }
        if looked < looks {
            reply_buffers.last = ClientId(0);
        }
        (larger, smaller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_doubles_when_it_was_full_and_shrinks_to_what_was_used() {
        use Change::{Larger, None, Smaller};
        let rows = [
            (1024, 0, None, 1024),
            (1024, 1023, None, 1024),
            (1024, 1024, Larger, 2048),
            (9000, 9000, Larger, MAX_BYTES),
            (2047, 0, None, 2047),
            (2048, 5, Smaller, 1024),
            (16384, 16384, None, 16384),
            (16384, 8192, None, 16384),
            (16384, 8191, Smaller, 8192),
        ];
        for (size, used, change, new) in rows {
            let mut buffer = ReplyBuffer::new(size, MonotonicMillis(0));
            buffer.used(used);
            assert_eq!((buffer.resize(), buffer.size), (change, new), "{used} of {size}");
        }
    }

    #[test]
    fn what_did_not_fit_counts_as_all_of_it_until_it_is_forgotten() {
        let mut buffer = ReplyBuffer::new(1024, MonotonicMillis(0));
        buffer.used(1 << 20);
        assert_eq!(buffer.peak, 1024);
        buffer.forget_peak(Option::None, MonotonicMillis(i64::MAX));
        buffer.forget_peak(Some(PEAK_RESET_MS), MonotonicMillis(PEAK_RESET_MS));
        assert_eq!(buffer.peak, 1024);
        buffer.forget_peak(Some(PEAK_RESET_MS), MonotonicMillis(PEAK_RESET_MS + 1));
        assert_eq!(buffer.peak, 0);
    }
}
