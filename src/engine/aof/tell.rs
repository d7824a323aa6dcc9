//! The reports of the writer to the owner: what is safe, what fails, what works again.
//!
//! Behind a hole nothing is safe, whatever was forced to disk: `Synced` is told again when a
//! rewrite has replaced the file that has it.

use super::Writer;
use super::disk::Folder;
use super::log::LogError;
use crate::base::text::os_reason;
use crate::persistence::{AofReport, AofWork};
use crate::server::Clock;
use std::sync::atomic::Ordering;

impl<F: Folder, R: Fn(AofReport), C: Clock> Writer<F, R, C> {
    /// Tells the owner what has changed: what is safe, what fails, what works again.
    pub(super) fn note(&mut self, result: Result<(), LogError>) {
        match result {
            Ok(()) => {
                if self.failed_ns.take().is_some() {
                    (self.report)(AofReport::Healed);
                }
                self.tell_hole();
                self.tell_written();
                // What stands behind a hole is on disk, and lost all the same.
                let is_whole = !self.log.has_hole();
                if is_whole && self.promised > self.told.synced && self.log.synced_to() > self.told.synced {
                    self.told.synced = self.log.synced_to();
                    (self.report)(AofReport::Synced(self.told.synced));
                    self.log.keep_unsynced(self.is_strict() || self.owes_sync());
                }
            }
            Err(error) => {
                self.failed_ns = Some(self.clock.monotonic_ns());
                let on_fsync = matches!(error, LogError::Sync(_));
                (self.report)(AofReport::Failed { reason: os_reason(error.io()), on_fsync });
            }
        }
    }

    /// Tells who waits for it what is in the file.
    pub(super) fn tell_written(&mut self) {
        let written = self.log.written_to();
        let is_awaited = self.told.written < self.gauges.awaited.load(Ordering::SeqCst);
        if is_awaited && written > self.told.written && !self.owes_sync() {
            self.told.written = written;
            (self.report)(AofReport::Written(written));
        }
    }

    /// Tells the owner when there is a hole, and when there is none any more.
    pub(super) fn tell_hole(&mut self) {
        let has_hole = self.log.has_hole();
        if has_hole != std::mem::replace(&mut self.told.hole, has_hole) {
            (self.report)(if has_hole { AofReport::Hole } else { AofReport::Whole });
        }
    }

    /// A rewrite is installed: a hole in the files before it harms nobody.
    pub(super) fn forget_replaced(&mut self) {
        self.log.forget_files_before(self.rewrite.base_replaces);
        // One that is left came about meanwhile: it takes another rewrite.
        self.told.hole &= !self.log.has_hole();
        if self.failed_ns.is_none() {
            self.note(Ok(()));
        }
    }

    /// Nobody waits for a file that is closed.
    pub(super) fn release_all(&mut self) {
        (self.report)(AofReport::Synced(u64::MAX));
    }

    /// Tells the latency monitor about work that took long.
    pub(super) fn tell_slow(&self, work: AofWork, begun_ns: u64) {
        self.tell_if_slow(work, self.clock.monotonic_ns().saturating_sub(begun_ns));
    }

    pub(super) fn tell_if_slow(&self, work: AofWork, ns: u64) {
        let slow_ns = self.gauges.slow_ns.load(Ordering::Relaxed);
        if slow_ns > 0 && ns >= slow_ns {
            (self.report)(AofReport::Slow(work, ns));
        }
    }
}
