//! The time since a key was used, or the number of its uses: 24 bits per key, as Redis keeps them.
//!
//! Under an LRU policy they are the second of the last access, modulo 2^24, by a clock that
//! nobody sets: what is used must not look idle because of the time of day. Under an LFU policy
//! the high 16 bits are the minute of the last decrement and the low 8 a logarithmic counter of
//! accesses, which falls as time passes. See `maxmemory-policy`, OBJECT IDLETIME and FREQ.

use crate::base::random::Random;
use crate::base::time::MonotonicMillis;

/// A counter of a new key, so that it is not the first to be evicted.
const LFU_INITIAL: u32 = 5;
const CLOCK_MASK: u32 = 0xff_ffff;

/// The meaning of the 24 bits, and the time they are taken from.
#[derive(Clone, Copy, Debug)]
pub struct AccessClock {
    /// Count accesses instead of dating them.
    pub lfu: bool,
    /// `lfu-log-factor`.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time`, minutes.
    pub lfu_decay_minutes: u32,
    now: MonotonicMillis,
}

impl Default for AccessClock {
    fn default() -> Self {
        AccessClock { lfu: false, lfu_log_factor: 10, lfu_decay_minutes: 1, now: MonotonicMillis::default() }
    }
}

impl AccessClock {
    /// Sets the time that [`AccessClock::touched`] records.
    pub fn freeze(&mut self, now: MonotonicMillis) {
        self.now = now;
    }

    /// The time that [`AccessClock::touched`] records.
    #[must_use]
    pub fn now(&self) -> MonotonicMillis {
        self.now
    }

    /// The bits of a key just made.
    #[must_use]
    pub fn fresh(&self) -> u32 {
        if self.lfu { self.minutes() << 8 | LFU_INITIAL } else { self.seconds() }
    }

    /// The bits of a key used now that had `old`.
    #[must_use]
    pub fn touched(&self, old: u32, random: &mut Random) -> u32 {
        if self.lfu {
            self.minutes() << 8 | self.increased(self.frequency(old), random)
        } else {
            self.seconds()
        }
    }

    /// Milliseconds since the last access, from LRU bits; resolution one second.
    #[must_use]
    pub fn idle_ms(&self, access: u32) -> i64 {
        i64::from(self.seconds().wrapping_sub(access) & CLOCK_MASK) * 1000
    }

    /// The counter in LFU bits, lowered by the time since it was written.
    #[must_use]
    pub fn frequency(&self, access: u32) -> u32 {
        let counter = access & 0xff;
        let elapsed = self.minutes().wrapping_sub(access >> 8) & 0xffff;
        match elapsed.checked_div(self.lfu_decay_minutes) {
            Some(periods) => counter.saturating_sub(periods),
            None => counter,
        }
    }

    /// The bits of a key whose history was kept elsewhere; `None` if it was not the kind that this
    /// policy keeps. Source: RESTORE, RDB.
    #[must_use]
    pub fn restored(&self, idle_secs: Option<u64>, frequency: Option<u8>) -> Option<u32> {
        if self.lfu {
            return frequency.map(|counter| self.minutes() << 8 | u32::from(counter));
        }
        idle_secs.map(|idle| self.seconds().wrapping_sub(idle as u32) & CLOCK_MASK)
    }

    fn increased(&self, counter: u32, random: &mut Random) -> u32 {
        if counter == 255 {
            return 255;
        }
        let above = u64::from(counter.saturating_sub(LFU_INITIAL));
        let odds = above * u64::from(self.lfu_log_factor) + 1;
        counter + u32::from(random.below(odds) == 0)
    }

    fn seconds(&self) -> u32 {
        (self.now.secs() & i64::from(CLOCK_MASK)) as u32
    }

    fn minutes(&self) -> u32 {
        ((self.now.secs() / 60) & 0xffff) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64, lfu: bool) -> AccessClock {
        let mut clock = AccessClock { lfu, ..AccessClock::default() };
        clock.freeze(MonotonicMillis(ms));
        clock
    }

    #[test]
    fn idle_time_survives_the_wrap_of_the_clock() {
        let old = at(0xff_ffff * 1000, false).fresh();
        assert_eq!(at((0x100_0000 + 4) * 1000, false).idle_ms(old), 5000);
    }

    #[test]
    fn a_history_kept_elsewhere_goes_on_if_the_policy_keeps_its_kind() {
        let (lru, lfu) = (at(5_000_000, false), at(60_000 * 10, true));
        assert_eq!(lru.restored(Some(7000), Some(9)).map(|bits| lru.idle_ms(bits)), Some(7_000_000));
        assert_eq!(lru.restored(None, Some(9)), None);
        assert_eq!(lfu.restored(Some(7), Some(99)).map(|bits| lfu.frequency(bits)), Some(99));
        assert_eq!(lfu.restored(Some(7), None), None);
    }

    #[test]
    fn a_counter_grows_ever_more_slowly_and_decays_by_the_minute() {
        let clock = at(60_000 * 10, true);
        let mut random = Random::new(7);
        let mut access = clock.fresh();
        assert_eq!(clock.frequency(access), 5);
        for _ in 0..100_000 {
            access = clock.touched(access, &mut random);
        }
        let counter = clock.frequency(access);
        assert!((100..200).contains(&counter), "{counter}");
        assert_eq!(at(60_000 * 13, true).frequency(access), counter - 3);
    }
}
