//! Wrong passwords are answered slowly: how long the answer to a failed login waits.
//!
//! The first one of an address waits for a moment, each further one twice as long, up to a second;
//! after a minute without one the address begins anew. Only the answer waits, parked with a
//! deadline: nobody else is held up, and a right password is answered at once. That is enough to
//! make guessing over one connection pointless; against thousands of them there is nothing but a
//! long password.
//!
//! Redis has no such delay, so it begins small: a program that tries once or twice does not notice.

use crate::base::time::MonotonicMillis;
use std::collections::HashMap;

/// The wait after the first failure.
const FIRST_WAIT_MS: i64 = 5;
/// The longest wait.
const LONGEST_WAIT_MS: i64 = 1000;
/// An address that did not fail for so long begins anew.
const FORGOTTEN_AFTER_MS: i64 = 60_000;
/// Addresses remembered at once; when there are more, those that failed longest ago are forgotten.
pub(super) const MAX_ADDRESSES: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Failures {
    wait_ms: i64,
    last: MonotonicMillis,
}

/// Failed logins by address.
#[derive(Debug, Default)]
pub struct Throttle {
    by_address: HashMap<String, Failures>,
}

impl Throttle {
    /// Notes a failed login of `address`, which carries no port. Returns when it is to be answered.
    pub fn failed(&mut self, address: &str, now: MonotonicMillis) -> MonotonicMillis {
        let known = self.by_address.get(address).filter(|known| !known.is_forgotten(now));
        let wait_ms = known.map_or(FIRST_WAIT_MS, |known| (known.wait_ms * 2).min(LONGEST_WAIT_MS));
        if self.by_address.len() >= MAX_ADDRESSES && !self.by_address.contains_key(address) {
            self.make_room(now);
        }
        self.by_address.insert(address.to_string(), Failures { wait_ms, last: now });
        now.saturating_add_ms(wait_ms)
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

    #[test]
    fn each_failure_of_an_address_waits_twice_as_long_up_to_a_second() {
        let mut throttle = Throttle::default();
        let now = MonotonicMillis(1000);
        let waits: Vec<i64> = (0..10).map(|_| throttle.failed("a", now).0 - now.0).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(throttle.failed("b", now).0 - now.0, 5, "another address");
        let later = MonotonicMillis(now.0 + FORGOTTEN_AFTER_MS);
        assert_eq!(throttle.failed("a", later).0 - later.0, 1000);
        let much_later = MonotonicMillis(later.0 + FORGOTTEN_AFTER_MS + 1);
        assert_eq!(throttle.failed("a", much_later).0 - much_later.0, 5, "a minute later it begins anew");
    }

    #[test]
    fn a_flood_of_addresses_does_not_grow_without_bound() {
        let mut throttle = Throttle::default();
        for number in 0..3 * MAX_ADDRESSES as i64 {
            throttle.failed(&number.to_string(), MonotonicMillis(number / 100));
            assert!(throttle.by_address.len() <= MAX_ADDRESSES);
        }
        let same_time = MonotonicMillis(1_000_000);
        for number in 0..2 * MAX_ADDRESSES {
            throttle.failed(&format!("x{number}"), same_time);
            assert!(throttle.by_address.len() <= MAX_ADDRESSES);
        }
    }
}
