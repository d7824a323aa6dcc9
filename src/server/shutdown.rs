//! Stopping in order: save where save points are set, then ask the engine to end the process.

use super::machine::Server;
use super::saving;
use super::stop::{News, ShutdownSave, Signal};
use super::task::Task;
use super::version::STATION;
use crate::persistence::SaveReason;
use crate::waiting::{Pause, PauseReason};

/// So long a stop that does not save, or is insisted on, waits for the disk, nanoseconds.
const INSIST_NS: u64 = 1_000_000_000;

impl Server {
    /// Acts on a signal.
    pub fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Hangup => self.rooms.outside.host.reopen_log(),
            Signal::Terminate | Signal::Interrupt => self.begin_or_insist(),
        }
        self.continue_shutdown();
    }

    /// Begins to stop. With an append-only file the second signal ends the process, whatever the
    /// first has led to: what can be on disk is.
    fn begin_or_insist(&mut self) {
        let is_kept = self.rooms.persistence.aof.may_owe_bytes();
        let is_second = self.rooms.stop.request.is_some() || self.rooms.stop.signal_was_given_up;
        if is_kept && is_second {
            log::warn!("You insist... exiting now.");
            self.end_within(INSIST_NS);
        }
        let request = self.rooms.stop.request.get_or_insert_default();
        if is_kept && is_second {
            (request.save, request.force) = (ShutdownSave::NoSave, true);
        }
    }

    fn end_within(&mut self, ns: u64) {
        let end_ns = self.rooms.time.clock.monotonic_ns().saturating_add(ns);
        self.rooms.stop.ends_ns.get_or_insert(end_ns);
    }

    /// Takes the next step of a requested shutdown: a running save ends first.
    pub(super) fn continue_shutdown(&mut self) {
        if self.rooms.stop.ends_ns.is_some_and(|end_ns| self.rooms.time.clock.monotonic_ns() >= end_ns) {
            self.rooms.stop.ends_ns = None;
            log::warn!("The disk does not answer. Exit anyway.");
            return self.stop();
        }
        if std::mem::take(&mut self.rooms.stop.aborted) {
            log::warn!("Shutdown manually aborted.");
            self.abort_shutdown();
            self.rooms.stop.signal_was_given_up = false;
        }
        let Some(request) = self.rooms.stop.request else { return };
        if request.client.is_none() && self.rooms.time.cron_paused {
            // Redis: a signal is periodic work.
            return;
        }
        match self.rooms.persistence.jobs.saving() {
            _ if self.rooms.persistence.jobs.is_shutting_down() => return,
            // Somebody waits for the answer.
            Some(SaveReason::Command(_) | SaveReason::Flush(_)) => return,
            Some(_) => {
                log::warn!("A save is under way. Giving it up!");
                saving::cancel(&mut self.keyspace, &mut self.rooms);
            }
            None => {}
        }
        if !self.rooms.stop.announced {
            self.rooms.stop.announced = true;
            log::warn!(target: STATION, "User requested shutdown...");
            self.rooms.outside.host.hear(News::Stopping);
            if request.save == ShutdownSave::NoSave {
                self.end_within(INSIST_NS);
            }
            // Anything written from this point on would be in no file.
            self.rooms.waiting.pauses.pause(PauseReason::Shutdown, Pause::Writes, None);
        }
        if self.rooms.persistence.loading {
            // The data on disk is all there is.
            return self.stop();
        }
        if self.finish_aof(request.force) || self.rooms.persistence.jobs.has_promised_save() {
            // A client's SAVE begins at the end of the turn.
            return;
        }
        self.rooms.persistence.jobs.begin_shutdown();
        let wanted = match request.save {
            ShutdownSave::Save => true,
            ShutdownSave::NoSave => false,
            ShutdownSave::Default => !self.rooms.config.save.is_empty(),
        };
        if wanted {
            log::info!("Saving the final RDB snapshot before exiting.");
            self.rooms.outside.host.hear(News::SavingAtExit);
            self.save(SaveReason::Shutdown);
        } else {
            self.stop();
        }
    }

    pub(super) fn shutdown_saved(&mut self, saved: bool) {
        let request = self.rooms.stop.request.unwrap_or_default();
        if saved {
            return self.stop();
        }
        if request.force {
            log::warn!("Error trying to save the DB. Exit anyway.");
            return self.stop();
        }
        log::warn!("Error trying to save the DB, can't exit.");
        self.rooms.outside.host.hear(News::CannotSave);
        self.fail_shutdown();
    }

    /// Gives a shutdown up because of what the log says.
    pub(super) fn fail_shutdown(&mut self) {
        log::warn!("Errors trying to shut down the server. Check the logs for more information.");
        self.abort_shutdown();
    }

    /// Gives a shutdown up; the client that asked for it is told. Returns whether there was one.
    pub fn abort_shutdown(&mut self) -> bool {
        let Some(request) = self.rooms.stop.request.take() else { return false };
        self.rooms.persistence.jobs.abort_shutdown();
        self.rooms.stop.announced = false;
        self.rooms.stop.ends_ns = None;
        self.rooms.stop.signal_was_given_up = request.client.is_none();
        self.rooms.persistence.aof.shutdown_aborted();
        self.rooms.outside.host.hear(News::GoesOn);
        self.rooms.waiting.pauses.unpause(PauseReason::Shutdown);
        if self.rooms.persistence.jobs.saving() == Some(SaveReason::Shutdown) {
            saving::cancel(&mut self.keyspace, &mut self.rooms);
        }
        if let Some(client) = request.client {
            self.complete(client, |_, reply| reply.error("ERR Errors trying to SHUTDOWN. Check logs."));
        }
        true
    }

    fn stop(&mut self) {
        self.rooms.outside.tasks.push(Task::Stop { exit_code: 0 });
    }
}
