//! Waiting in tests: what does not come within the limit is an error, and not a hang.

use std::thread;
use std::time::Duration;

use super::clock::SystemClock;
use crate::server::Clock;

/// No step of a test takes longer on a machine that works at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is yes. `what` names what is waited for.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !holds() {
        assert!(u128::from(clock.monotonic_ns()) < LIMIT.as_nanos(), "not within {LIMIT:?}: {what}");
        thread::yield_now();
    }
}
