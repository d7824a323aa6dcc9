//! The clock of the server, and the moments at which periodic work is due.

use crate::base::time::{MonotonicMillis, UnixMillis};
use std::fmt;

/// The source of time for the server. The engine's is the system's; a test's is advanced by hand.
pub trait Clock {
    /// Microseconds since the epoch.
    fn wall_us(&self) -> i64;
    /// Nanoseconds of a clock that never goes back.
    fn monotonic_ns(&self) -> u64;
}

/// The time, and the periodic work.
pub struct Time {
    /// The time of day, frozen while a command runs: for deadlines of keys, and to be shown.
    pub now: UnixMillis,
    /// The time by which everything else waits and is measured, frozen with it.
    pub monotonic: MonotonicMillis,
    /// The source of time.
    pub clock: Box<dyn Clock>,
    /// The moment at which the periodic work is done next.
    pub(super) next_cron: MonotonicMillis,
    /// The moment at which the log is next told the number of keys and clients.
    pub(super) next_report: MonotonicMillis,
    /// True when the periodic work is stopped: DEBUG PAUSE-CRON.
    pub cron_paused: bool,
    /// True when due keys are removed by themselves: DEBUG SET-ACTIVE-EXPIRE.
    pub active_expire: bool,
}

impl fmt::Debug for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Time").field("now", &self.now).finish_non_exhaustive()
    }
}
