//! The work that is done without a request: expiry when it is due, and the periodic work.

use super::changed;
use super::machine::Server;
use super::rooms::Persistence;
use crate::base::alloc;
use crate::clients::{Session, traffic};
use crate::persistence::{JobWish, SaveReason, Verdict};

/// Between two runs of the periodic work.
const CRON_MS: i64 = 100;
/// Between two lines of the log about keys and clients.
const REPORT_MS: i64 = 5000;
/// Due keys removed in one turn; the next turn goes on at once, after the clients' events.
const MAX_EXPIRED_PER_TURN: usize = 400;

impl Server {
    /// Removes keys whose time has come.
    pub(super) fn expire_due(&mut self) {
        if !self.rooms.time.active_expire
            || self.rooms.persistence.loading
            || self.rooms.waiting.pauses.is_paused()
        {
            return;
        }
        if self.keyspace.next_deadline().is_none_or(|next| next >= self.rooms.time.now) {
            return;
        }
        let mut left = MAX_EXPIRED_PER_TURN;
        for db in self.keyspace.iter_mut() {
            left -= db.expire_due(left);
            changed::report_findings(db, &mut self.rooms);
            if left == 0 {
                self.rooms.stats.counters.expire_cap_reached += 1;
                break;
            }
        }
        if self.rooms.propagation.is_wanted() && left < MAX_EXPIRED_PER_TURN {
            self.rooms.propagation.keep_apart();
            self.rooms.propagation.end_unit();
        }
        self.serve_ready();
        let ns = self.rooms.lap_ns();
        self.rooms.stats.counters.expire_ns += ns;
        self.rooms.watch_latency("expire-cycle", ns);
    }

    /// The time until keys may be due, milliseconds from now.
    pub(super) fn expiry_due_ms(&mut self) -> Option<i64> {
        if !self.rooms.time.active_expire || self.rooms.waiting.pauses.is_paused() {
            return None;
        }
        let deadline = self.keyspace.next_deadline()?;
        Some(deadline.saturating_add_ms(1).0.saturating_sub(self.rooms.time.now.0))
    }

    /// Does the periodic work when it is time for it.
    pub(super) fn cron_if_due(&mut self) {
        let time = &mut self.rooms.time;
        if time.next_cron > time.monotonic {
            return;
        }
        time.next_cron = time.monotonic.saturating_add_ms(CRON_MS);
        if !time.cron_paused {
            self.cron();
            // It is not the next command's.
            self.rooms.lap_ns();
        }
    }

    fn cron(&mut self) {
        let now = self.rooms.time.monotonic;
        self.sample();
        let Persistence { saves, jobs, .. } = &mut self.rooms.persistence;
        if let Some(point) = saves.due_point(&self.rooms.config, now)
            && jobs.ask(JobWish::SavePoint) == Verdict::Begins
        {
            log::info!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
            self.save(SaveReason::Background);
        }
        self.aof_cron();
        self.close_idle_clients();
        if self.rooms.tracking.tables.is_active() {
            self.rooms.limit_tracking_table();
        }
        self.close_slow_clients(true);
        self.rooms.weigh_all_and_evict();
        self.resize_reply_buffers();
        self.rooms.give_back_memory();
        if !self.rooms.persistence.loading && self.rooms.time.next_report <= now {
            self.rooms.time.next_report = now.saturating_add_ms(REPORT_MS);
            self.report();
        }
    }

    /// Says in the log how many keys and clients there are, for `loglevel verbose` and `debug`.
    fn report(&self) {
        for db in self.keyspace.iter().filter(|db| !db.is_empty()) {
            log::debug!(
                "DB {}: {} keys ({} volatile) in {} slots HT.",
                db.index().0,
                db.len(),
                db.deadlines_len(),
                db.page_count()
            );
        }
        log::trace!(
            "{} clients connected (0 replicas), {} bytes in use",
            self.rooms.clients.len(),
            alloc::used_bytes()
        );
    }

    fn resize_reply_buffers(&mut self) {
        let (larger, smaller) = self.rooms.clients.resize_reply_buffers(self.rooms.time.monotonic);
        self.rooms.stats.counters.reply_buffer_expands += larger;
        self.rooms.stats.counters.reply_buffer_shrinks += smaller;
    }

    fn sample(&mut self) {
        let now = self.rooms.time.monotonic;
        let (read, written) = traffic(self.rooms.clients.iter());
        let stats = &mut self.rooms.stats.counters;
        stats.rate.sample(stats.commands, now);
        stats.input_rate.sample(stats.read_bytes + read, now);
        stats.output_rate.sample(stats.written_bytes + written, now);
        stats.peak_bytes = stats.peak_bytes.max(alloc::used_bytes() as u64);
    }

    fn close_idle_clients(&mut self) {
        let timeout_ms = self.rooms.config.timeout.saturating_mul(1000);
        if timeout_ms == 0 {
            return;
        }
        let now = self.rooms.time.monotonic;
        let idle: Vec<_> = self
            .rooms
            .clients
            .iter()
            .filter(|session| may_be_idle(session) && now.ms_since(session.last.interaction) > timeout_ms)
            .map(|session| session.id)
            .collect();
        for id in idle {
            log::debug!("Closing idle client");
            self.rooms.clients.close(id, crate::clients::Close::AfterFlush);
        }
    }
}

/// True when a client that sends nothing takes a place for nothing: it waits for no answer, and
/// does not listen.
fn may_be_idle(session: &Session) -> bool {
    session.parked.is_none() && session.subscribed.is_zero() && !session.is_monitor
}
