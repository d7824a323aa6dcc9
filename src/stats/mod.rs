//! Counters and timings: [`Stats`].
//!
//! Its parts are counters ([`Counters`]), the log of slow commands ([`Slowlog`]), the latency
//! monitor ([`LatencyMonitor`]) and the stopwatch that all of them read ([`Stopwatch`]). None of
//! them reads a clock or knows a client: whoever calls hands over the time and the facts. The words
//! that are kept of a command never hold a secret ([`shorten`], [`secrets`]).

mod counters;
mod latency;
mod redact;
mod slowlog;
mod stopwatch;

use crate::base::time::MonotonicMillis;
pub use counters::{CommandStat, Counters, Rate};
pub use latency::{LatencyMonitor, Sample, Series, diagnosis, graph};
pub use redact::{REDACTED, secrets};
pub use slowlog::{SlowCommand, Slowlog, shorten};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
pub use stopwatch::{Run, Stopwatch};

/// Counters and timings.
#[derive(Debug)]
pub struct Stats {
    /// Counters since the start or the last CONFIG RESETSTAT.
    pub counters: Counters,
    /// Slow commands.
    pub slowlog: Slowlog,
    /// The things that took long.
    pub latency: LatencyMonitor,
    /// The stopwatch that commands are timed with.
    pub stopwatch: Stopwatch,
    /// Connections to the targets of MIGRATE that are kept open.
    pub migrate_sockets: Arc<AtomicUsize>,
}

impl Stats {
    /// Nothing counted yet, for a table of `commands` commands, at `now_ns` of the monotonic clock.
    #[must_use]
    pub fn new(commands: usize, now_ns: u64) -> Self {
        Stats {
            counters: Counters::new(commands),
            slowlog: Slowlog::default(),
            latency: LatencyMonitor::default(),
            stopwatch: Stopwatch::new(now_ns),
            migrate_sockets: Arc::default(),
        }
    }

    /// The last reading of the clock.
    #[inline]
    #[must_use]
    pub fn last_lap(&self) -> MonotonicMillis {
        MonotonicMillis::from_ns(self.stopwatch.last_ns())
    }
}
