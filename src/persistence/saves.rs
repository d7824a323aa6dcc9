//! The decision when to save, and the results of saves. The files themselves belong to `rdb` and
//! the engine.

use super::job::{SaveReason, SaveReport};
use super::save_meter::SaveMeter;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::config::{Config, SavePoint};

/// A failed background save is tried again after this many seconds at the earliest.
const RETRY_SECS: i64 = 5;

/// The state of persistence.
#[derive(Debug, Default)]
pub struct Saves {
    /// Changes since the last successful save.
    pub dirty: u64,
    /// `dirty` when the running save took its snapshot.
    pub dirty_at_save: u64,
    /// The number of the last background save; its thread's reports carry it.
    pub job: u64,
    /// The progress of the running save.
    pub meter: SaveMeter,
    /// `used_memory` when the walk under way began.
    pub used_at_begin: usize,
    /// Bytes copied because of the last save.
    pub last_copies: u64,
    /// The moment at which the running save began.
    pub started: MonotonicMillis,
    /// The time at which the last successful save ended.
    pub last_save: UnixMillis,
    /// The same moment, for what is measured from it on.
    pub saved_at: MonotonicMillis,
    /// The moment at which the last background save was tried.
    pub last_try: MonotonicMillis,
    /// True when the last background save failed.
    pub last_failed: bool,
    /// The time that the last save took, seconds; `None` before the first.
    pub last_duration_secs: Option<i64>,
    /// Saves done since the start.
    pub saves: u64,
    /// Keys the last load took in.
    pub last_load_keys: u64,
    /// Keys the last load left out because their time had come.
    pub last_load_expired: u64,
}

impl Saves {
    /// The first save point that is due.
    #[must_use]
    pub fn due_point<'c>(&self, config: &'c Config, now: MonotonicMillis) -> Option<&'c SavePoint> {
        let may_try = !self.last_failed || now.secs_since(self.last_try) > RETRY_SECS;
        let since = now.secs_since(self.saved_at);
        let dirty = i64::try_from(self.dirty).unwrap_or(i64::MAX);
        let mut due = config.save.iter().filter(|point| dirty >= point.changes && since > point.seconds);
        due.next().filter(|_| may_try)
    }

    /// True when writes are refused because the last background save failed.
    #[must_use]
    pub fn refuses_writes(&self, config: &Config) -> bool {
        self.last_failed && config.stop_writes_on_bgsave_error && !config.save.is_empty()
    }

    /// Notes that a save begins now.
    pub fn begin(&mut self, now: MonotonicMillis) {
        self.started = now;
        self.last_try = now;
        self.dirty_at_save = self.dirty;
    }

    /// Notes a save that was made while everybody waited.
    pub fn saved_at_once(&mut self, now: UnixMillis, monotonic: MonotonicMillis) {
        self.dirty = 0;
        self.last_failed = false;
        (self.last_save, self.saved_at) = (now, monotonic);
        self.saves += 1;
    }

    /// Notes how the running save ended.
    pub fn end(&mut self, report: &SaveReport, now: UnixMillis, monotonic: MonotonicMillis) {
        self.last_duration_secs = Some(monotonic.secs_since(self.started));
        // Redis: a save that somebody waits for tells them alone that it failed.
        self.last_failed =
            report.result.is_err() && (self.last_failed || report.reason == SaveReason::Background);
        if report.result.is_ok() {
            self.dirty -= self.dirty_at_save.min(self.dirty);
            (self.last_save, self.saved_at) = (now, monotonic);
            self.saves += 1;
        }
    }
}
