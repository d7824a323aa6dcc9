//! Points in time, as a type, so that a count of seconds can never pass for one of milliseconds.
//!
//! There is deliberately no `now()` here: the floors below the engine get time as an argument.

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
    }
}
