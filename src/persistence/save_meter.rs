//! The progress of the running save, for INFO and for the log.
//!
//! The saver thread counts keys; the server looks at the count when the thread reports, and tells
//! the log every few seconds. A save that is done before that is not worth a line of progress.

use super::job::SaveReason;
use crate::base::time::MonotonicMillis;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The log tells about progress this often.
const PROGRESS_MS: i64 = 5000;

/// Keys done of keys to do.
#[derive(Debug, Default)]
pub struct SaveMeter {
    saved: Arc<AtomicU64>,
    total: u64,
    began: MonotonicMillis,
    told: MonotonicMillis,
}

impl SaveMeter {
    /// A save of so many keys begins.
    #[must_use]
    pub fn new(total: u64, now: MonotonicMillis) -> Self {
        Self { saved: Arc::default(), total, began: now, told: now }
    }

    /// Returns the counter of the saver thread.
    #[must_use]
    pub fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.saved)
    }

    /// Keys written so far.
    #[must_use]
    pub fn saved(&self) -> u64 {
        self.saved.load(Ordering::Relaxed)
    }

    /// Keys to write.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns the part that is written, percent.
    #[must_use]
    pub fn percent(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.saved() as f64 * 100.0 / self.total as f64 }
    }

    /// A line for the log, when it is time for one.
    pub fn news(&mut self, reason: SaveReason, now: MonotonicMillis) -> Option<String> {
        let saved = self.saved();
        if now.ms_since(self.told) < PROGRESS_MS || saved == 0 {
            return None;
        }
        self.told = now;
        let what = match reason {
            SaveReason::Rewrite => "Rewriting AOF",
            _ => "Saving DB",
        };
        let left = self.total.saturating_sub(saved);
        let eta_ms = i128::from(now.ms_since(self.began)) * i128::from(left) / i128::from(saved);
        let (percent, total, eta) = (self.percent(), self.total, eta_ms.div_euclid(1000));
        Some(format!("{what}: {saved} of {total} keys, {percent:.1}%, about {eta} seconds left"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_hears_of_progress_every_five_seconds() {
        let mut meter = SaveMeter::new(1000, MonotonicMillis(0));
        let mut told = |saved, ms, reason| {
            meter.counter().store(saved, Ordering::Relaxed);
            meter.news(reason, MonotonicMillis(ms))
        };
        for (saved, ms, line) in [
            (0, 4999, None),
            (100, 4999, None),
            (0, 5000, None),
            (200, 6000, Some("Saving DB: 200 of 1000 keys, 20.0%, about 24 seconds left")),
            (300, 10_999, None),
            (750, 12_000, Some("Saving DB: 750 of 1000 keys, 75.0%, about 4 seconds left")),
        ] {
            assert_eq!(told(saved, ms, SaveReason::Background).as_deref(), line, "{ms}");
        }
        let line = told(1000, 20_000, SaveReason::Rewrite);
        assert_eq!(line.as_deref(), Some("Rewriting AOF: 1000 of 1000 keys, 100.0%, about 0 seconds left"));
    }

    #[test]
    fn nothing_to_save_is_zero_percent() {
        assert_eq!(SaveMeter::default().percent(), 0.0);
    }
}
