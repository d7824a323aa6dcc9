//! The rewrites of the append-only file, one after the other, for INFO and for the decision when to
//! try again.

use crate::base::ClientId;
use crate::base::time::MonotonicMillis;

/// So many rewrites in a row may fail before automatic ones are limited.
const FAILURES_TO_LIMIT: u64 = 3;
/// Longest pause between automatic rewrites that keep failing, minutes.
const MAX_DELAY_MINUTES: i64 = 60;

/// A client whose command had a rewrite begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewriteStarter {
    /// The client that waits.
    pub client: ClientId,
    /// The command whose answer it waits for.
    pub command: StartCommand,
}

/// A command that has a rewrite begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartCommand {
    /// CONFIG SET appendonly yes.
    TurnOn,
    /// BGREWRITEAOF.
    Rewrite,
}

/// Files that stay as they are, with a hole: whoever waits for the disk waits in vain.
#[derive(Debug)]
pub struct Unhealed {
    /// Since when, nanoseconds of the monotonic clock.
    pub since_ns: u64,
    /// Why the first rewrite failed.
    pub reason: String,
}

/// Rewrites so far.
#[derive(Debug, Default)]
pub struct Rewrites {
    /// The client that waits to hear whether the rewrite could begin.
    pub starter: Option<RewriteStarter>,
    /// The system has dropped what it had taken: only a rewrite makes the files whole again.
    has_hole: bool,
    /// One that was to do so has failed.
    pub unhealed: Option<Unhealed>,
    /// The moment at which the running rewrite began.
    started: Option<MonotonicMillis>,
    last_secs: Option<i64>,
    last_failed: bool,
    begun: u64,
    failures: u64,
    delay_minutes: i64,
    next_try: Option<MonotonicMillis>,
    attempts: u64,
}

impl Rewrites {
    /// Notes that one is tried now. Returns its number.
    pub fn begin(&mut self, now: MonotonicMillis) -> u64 {
        self.started = Some(now);
        self.attempts += 1;
        self.attempts
    }

    /// The number of the last one that was tried.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.attempts
    }

    /// Notes that the files for it are there: it counts as begun.
    pub fn count_begun(&mut self) {
        self.begun += 1;
    }

    /// Notes that the running one could not even begin.
    pub fn not_begun(&mut self) {
        (self.last_failed, self.started) = (true, None);
        self.failures += 1;
    }

    /// Notes that the running one has succeeded.
    pub fn succeeded(&mut self) {
        (self.last_failed, self.failures) = (false, 0);
    }

    /// Notes whether the files lack something that only a rewrite brings back.
    pub fn note_hole(&mut self, has_hole: bool) {
        (self.has_hole, self.unhealed) = (has_hole, None);
    }

    /// True when the files lack something that only a rewrite brings back.
    #[must_use]
    pub fn must_succeed(&self) -> bool {
        self.has_hole
    }

    /// Notes that the running one has failed.
    pub fn failed(&mut self) {
        self.last_failed = true;
        self.failures += 1;
    }

    /// Notes that the running one has ended, one way or the other.
    pub fn end(&mut self, now: MonotonicMillis) {
        self.last_secs = self.started.take().map(|started| now.secs_since(started));
    }

    /// Notes that the running one was given up: it counts as neither done nor failed.
    pub fn give_up(&mut self) {
        self.started = None;
    }

    /// Somebody asks for one: failures so far do not count.
    pub fn forget_failures(&mut self) {
        self.failures = 0;
    }

    /// Rewrites begun since the start.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Returns the number of rewrites that have failed in a row.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// True when the last one failed.
    #[must_use]
    pub fn last_failed(&self) -> bool {
        self.last_failed
    }

    /// The time that the last one took, seconds.
    #[must_use]
    pub fn last_secs(&self) -> Option<i64> {
        self.last_secs
    }

    /// The time that the running one has taken, seconds.
    #[must_use]
    pub fn current_secs(&self, now: MonotonicMillis) -> Option<i64> {
        self.started.map(|started| now.secs_since(started))
    }

    /// True when rewrites that keep failing make the next one wait.
    pub fn is_limited(&mut self, now: MonotonicMillis) -> bool {
        if self.failures < FAILURES_TO_LIMIT {
            (self.delay_minutes, self.next_try) = (0, None);
            return false;
        }
        if let Some(next) = self.next_try {
            if now >= next {
                self.next_try = None;
            }
            return now < next;
        }
        self.delay_minutes = (self.delay_minutes * 2).clamp(1, MAX_DELAY_MINUTES);
        self.next_try = Some(now.saturating_add_ms(self.delay_minutes * 60_000));
        log::warn!(
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {} minutes",
            self.delay_minutes
        );
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_that_keep_failing_are_limited() {
        let mut rewrites = Rewrites::default();
        (0..FAILURES_TO_LIMIT).for_each(|_| rewrites.failed());
        let mut now = MonotonicMillis(0);
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(rewrites.is_limited(now), "after {minutes} minutes");
            now = now.saturating_add_ms(minutes * 60_000 - 1);
            assert!(rewrites.is_limited(now));
            now = now.saturating_add_ms(1);
            assert!(!rewrites.is_limited(now), "one try");
        }
        rewrites.forget_failures();
        assert!(!rewrites.is_limited(now));
    }
}
