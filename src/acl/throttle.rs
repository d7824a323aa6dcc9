//! Wrong passwords make the next one wait: how long, by address.
//!
//! After the first wrong one of an address the next is looked at a moment later, after each further
//! one twice as late, up to a second; after a minute without one the address begins anew. Whoever
//! waits is not this room's business: an attempt is held back *before* it is looked at, so that
//! until then nothing tells a right password from a wrong one, and hanging up gains nothing.
//!
//! Against somebody with many addresses there is nothing but a long password. Redis has no such
//! delay, so it begins small: a program that tries once or twice does not notice.

use super::password::Hash;
use crate::base::time::MonotonicMillis;
use std::collections::HashMap;

/// The delay after the first failure.
const FIRST_WAIT_MS: i64 = 5;
/// The longest delay.
const LONGEST_WAIT_MS: i64 = 1000;
/// An address that did not fail for so long begins anew.
const FORGOTTEN_AFTER_MS: i64 = 60_000;
/// Addresses remembered at once; when there are more, those that failed longest ago are forgotten.
pub(super) const MAX_ADDRESSES: usize = 4096;

/// The SHA-256 of a user's name and a password that somebody tried.
#[derive(Clone, Debug)]
pub struct Guess(Hash);

impl Guess {
    /// This password for this user.
    #[must_use]
    pub fn of(user: &[u8], password: &[u8]) -> Guess {
        let length = user.len().to_le_bytes();
        Guess(Hash::of(&[&length, user, password].concat()))
    }

    /// The hash, which tells two guesses apart.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        self.0.bytes()
    }
}

impl PartialEq for Guess {
    fn eq(&self, other: &Guess) -> bool {
        self.0.equals(&other.0)
    }
}

#[derive(Clone, Debug)]
struct Failures {
    wait_ms: i64,
    last: MonotonicMillis,
    guess: Guess,
}

/// Failed logins by address.
#[derive(Debug, Default)]
pub struct Throttle {
    by_address: HashMap<String, Failures>,
}

impl Throttle {
    /// True when any address is remembered.
    #[inline]
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        !self.by_address.is_empty()
    }

    /// Returns the moment at which the delay of `address`, which carries no port, is over; none
    /// when there is none at `now`.
    #[must_use]
    pub fn delay_ends(&self, address: &str, now: MonotonicMillis) -> Option<MonotonicMillis> {
        let known = self.by_address.get(address)?;
        Some(known.last.saturating_add_ms(known.wait_ms)).filter(|end| *end > now)
    }

    /// Returns the guess that `address` tried last in vain.
    #[must_use]
    pub fn last_guess(&self, address: &str) -> Option<&Guess> {
        self.by_address.get(address).map(|known| &known.guess)
    }

    /// Notes a failed login of `address`. The guess that began a delay is not counted again while
    /// it lasts.
    pub fn failed(&mut self, address: &str, guess: Guess, now: MonotonicMillis) {
        if self.last_guess(address) == Some(&guess) && self.delay_ends(address, now).is_some() {
            return;
        }
        let known = self.by_address.get(address).filter(|known| !known.is_forgotten(now));
        let wait_ms = known.map_or(FIRST_WAIT_MS, |known| (known.wait_ms * 2).min(LONGEST_WAIT_MS));
        if self.by_address.len() >= MAX_ADDRESSES && !self.by_address.contains_key(address) {
            self.make_room(now);
        }
        self.by_address.insert(address.to_string(), Failures { wait_ms, last: now, guess });
    }

    /// Forgets who is quiet, or else the half that failed longest ago: rarely, so that a flood of
    /// addresses does not pay for a walk each time.
    fn make_room(&mut self, now: MonotonicMillis) {
        self.by_address.retain(|_, known| !known.is_forgotten(now));
        if self.by_address.len() >= MAX_ADDRESSES {
            let mut times: Vec<MonotonicMillis> = self.by_address.values().map(|known| known.last).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.by_address.retain(|_, known| known.last > middle);
        }
    }
}

impl Failures {
    fn is_forgotten(&self, now: MonotonicMillis) -> bool {
        now.ms_since(self.last) > FORGOTTEN_AFTER_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(throttle: &mut Throttle, address: &str, number: usize, now: MonotonicMillis) -> i64 {
        throttle.failed(address, Guess::of(b"u", number.to_string().as_bytes()), now);
        throttle.delay_ends(address, now).map_or(0, |end| end.ms_since(now))
    }

    #[test]
    fn each_failure_of_an_address_waits_twice_as_long_up_to_a_second() {
        let mut throttle = Throttle::default();
        let now = MonotonicMillis(1000);
        let waits: Vec<i64> = (0..10).map(|number| fail(&mut throttle, "a", number, now)).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(fail(&mut throttle, "b", 0, now), 5, "another address");
        assert_eq!(throttle.delay_ends("c", now), None);
        let later = MonotonicMillis(now.0 + FORGOTTEN_AFTER_MS);
        assert_eq!(fail(&mut throttle, "a", 10, later), 1000);
        let end = MonotonicMillis(later.0 + 1000);
        assert_eq!(throttle.delay_ends("a", MonotonicMillis(end.0 - 1)), Some(end));
        assert_eq!(throttle.delay_ends("a", end), None, "over");
        let much_later = MonotonicMillis(later.0 + FORGOTTEN_AFTER_MS + 1);
        assert_eq!(fail(&mut throttle, "a", 11, much_later), 5, "a minute later it begins anew");
    }

    #[test]
    fn the_same_guess_again_is_not_counted_while_the_delay_lasts() {
        let mut throttle = Throttle::default();
        let now = MonotonicMillis(1000);
        assert_eq!(fail(&mut throttle, "a", 1, now), 5);
        assert_eq!(throttle.last_guess("a"), Some(&Guess::of(b"u", b"1")));
        assert_ne!(Guess::of(b"u1", b""), Guess::of(b"u", b"1"), "where a name ends counts");
        assert_eq!(fail(&mut throttle, "a", 1, MonotonicMillis(1003)), 2, "the delay goes on");
        assert_eq!(fail(&mut throttle, "a", 1, MonotonicMillis(1005)), 10, "it was over");
        assert_eq!(fail(&mut throttle, "a", 2, MonotonicMillis(1005)), 20, "another one");
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_without_bound() {
        let mut throttle = Throttle::default();
        for number in 0..3 * MAX_ADDRESSES {
            fail(&mut throttle, &number.to_string(), 0, MonotonicMillis(number as i64 / 100));
            assert!(throttle.by_address.len() <= MAX_ADDRESSES);
        }
        let same_time = MonotonicMillis(1_000_000);
        for number in 0..2 * MAX_ADDRESSES {
            fail(&mut throttle, &format!("x{number}"), 0, same_time);
            assert!(throttle.by_address.len() <= MAX_ADDRESSES);
        }
    }
}
