//! Points in time, as types: a count of seconds can never pass for one of milliseconds, and the two
//! clocks never mix.
//!
//! [`UnixMillis`] is the time of day, which can be set forward and back: for the deadlines of keys,
//! and for what is shown to people. [`MonotonicMillis`] only goes forward: for whatever is waited
//! for or measured.
//!
//! There is deliberately no `now()` here: the floors below the engine get time as an argument.

use std::num::NonZeroU64;

/// Milliseconds since the Unix epoch, signed: expiry arithmetic may reach before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The point `delta_ms` later (earlier when negative), stopping at the ends of the range.
    #[must_use]
    pub fn saturating_add_ms(self, delta_ms: i64) -> Self {
        Self(self.0.saturating_add(delta_ms))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn as_ms(self) -> i64 {
        self.0
    }
}

/// Milliseconds of a clock that never goes back and that nobody can set. The moment at which it
/// begins means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonotonicMillis(pub i64);

impl MonotonicMillis {
    /// The point that a reading in nanoseconds stands for.
    #[must_use]
    pub fn from_ns(ns: u64) -> Self {
        // Less than 2^63 / 500 000: it fits.
        Self((ns / 1_000_000) as i64)
    }

    /// The point `delta_ms` later (earlier when negative), stopping at the ends of the range.
    #[must_use]
    pub fn saturating_add_ms(self, delta_ms: i64) -> Self {
        Self(self.0.saturating_add(delta_ms))
    }

    /// Milliseconds that have passed since `earlier`.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Beginnings of a second since `earlier`: Redis counts what lasts in whole seconds like that.
    #[must_use]
    pub fn secs_since(self, earlier: Self) -> i64 {
        self.secs() - earlier.secs()
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// The time at which bytes reached this machine, by a clock that only tells what came before what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(NonZeroU64);

impl Arrival {
    /// The point that a reading in nanoseconds stands for; none is 0.
    #[must_use]
    pub fn from_ns(ns: u64) -> Option<Self> {
        NonZeroU64::new(ns).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_on_both_sides_of_the_epoch() {
        for (ms, secs) in [(0, 0), (999, 0), (1000, 1), (1999, 1), (-1, -1), (-1000, -1), (-1001, -2)] {
            assert_eq!(UnixMillis(ms).secs(), secs, "{ms}");
        }
    }

    #[test]
    fn addition_stops_at_the_ends() {
        assert_eq!(UnixMillis(5).saturating_add_ms(-7), UnixMillis(-2));
        assert_eq!(UnixMillis(i64::MAX).saturating_add_ms(1).as_ms(), i64::MAX);
        assert_eq!(UnixMillis(i64::MIN).saturating_add_ms(-1).as_ms(), i64::MIN);
        assert!(UnixMillis(1) < UnixMillis(2));
        assert_eq!(MonotonicMillis(5).saturating_add_ms(i64::MAX), MonotonicMillis(i64::MAX));
    }

    #[test]
    fn what_lasts_is_counted_in_milliseconds_or_in_beginnings_of_seconds() {
        let (begun, ended) = (MonotonicMillis::from_ns(1_999_999_999), MonotonicMillis(2001));
        assert_eq!((ended.ms_since(begun), ended.secs_since(begun)), (2, 1));
        assert_eq!(MonotonicMillis::from_ns(u64::MAX).ms_since(begun), 18_446_744_071_710);
    }
}
