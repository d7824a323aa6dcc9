//! What happens by itself: expiry, timeouts, save points, samples.

use super::evict::Room;
use super::machine::Server;
use super::task::SaveReason;
use super::{changed, lazyfree};
use crate::base::alloc;
use crate::base::time::UnixMillis;
use crate::clients::{Session, traffic};
use crate::waiting::Reason;

/// Between two runs of the periodic work.
const CRON_MS: i64 = 100;
/// Between two lines of the log about keys and clients.
const REPORT_MS: i64 = 5000;
/// Due keys removed in one turn; the next turn goes on at once, after the clients' events.
const MAX_EXPIRED_PER_TURN: usize = 400;

impl Server {
    /// Begins a turn: freezes the time, expires what is due, answers timeouts, does the periodic
    /// work when it is time for it.
    pub fn begin_turn(&mut self) {
        self.rooms.end_run();
        self.rooms.lap_ns();
        self.freeze_time();
        self.rooms.waiting.pauses.end_due(self.rooms.time.monotonic);
        self.end_due_waits();
        self.expire_due();
        self.rooms.memory.eviction.begin_turn();
        self.continue_eviction();
        self.time_out_parked();
        self.continue_shutdown();
        if self.rooms.time.next_cron <= self.rooms.time.monotonic {
            self.rooms.time.next_cron = self.rooms.time.monotonic.saturating_add_ms(CRON_MS);
            if !self.rooms.time.cron_paused {
                self.cron();
                // It is not the next command's.
                self.rooms.lap_ns();
            }
        }
    }

    /// Ends a turn: a scheduled save begins, what is to be freed leaves for another thread.
    pub fn end_turn(&mut self) {
        if self.rooms.tracking.tables.is_active() {
            self.broadcast_invalidations();
        }
        self.close_slow_clients(false);
        self.close_undecided_clients();
        self.end_due_waits();
        self.continue_shutdown();
        let persistence = &mut self.rooms.persistence.saves;
        if persistence.scheduled
            && persistence.running.is_none()
            && !persistence.shutting_down
            && !self.rooms.persistence.aof.is_rewriting()
        {
            persistence.scheduled = false;
            self.save(SaveReason::Background);
        }
        self.hand_over();
        self.end_aof_turn();
        lazyfree::hand_over(&mut self.keyspace, &mut self.rooms);
    }

    /// How long until [`Server::begin_turn`] has something to do without an event, milliseconds.
    #[must_use]
    pub fn next_wake_ms(&mut self) -> u64 {
        if self.rooms.memory.eviction.room == Room::Running {
            return 0;
        }
        let mut next = self.rooms.time.next_cron;
        next = self.rooms.waiting.pauses.next_end().map_or(next, |end| next.min(end.saturating_add_ms(1)));
        next = self.rooms.waiting.queue.next_deadline().map_or(next, |deadline| next.min(deadline));
        next = self.rooms.persistence.aof.patience_ends().map_or(next, |end| next.min(end));
        if self.keyspace.walk_has_room() {
            return 0;
        }
        if self.rooms.waiting.queue.has_any(Reason::Readers) {
            return 1;
        }
        // The time of the turn that ends is near enough, and costs no reading of the clock.
        let mut wait_ms = next.ms_since(self.rooms.time.monotonic);
        if self.rooms.time.active_expire
            && !self.rooms.waiting.pauses.is_paused()
            && let Some(deadline) = self.keyspace.next_deadline()
        {
            wait_ms = wait_ms.min(deadline.saturating_add_ms(1).0.saturating_sub(self.rooms.time.now.0));
        }
        u64::try_from(wait_ms).unwrap_or(0)
    }

    /// Freezes the time at the last reading of the monotonic clock.
    fn freeze_time(&mut self) {
        let rooms = &mut self.rooms;
        let (now, monotonic) = (UnixMillis(rooms.time.clock.wall_us() / 1000), rooms.stats.timing.last());
        if (now, monotonic) != (rooms.time.now, rooms.time.monotonic) {
            (rooms.time.now, rooms.time.monotonic) = (now, monotonic);
            self.keyspace.freeze(now, monotonic);
        }
    }

    /// Ends work that no client asked for: what follows does not take this time.
    pub fn lap(&mut self) {
        self.rooms.lap_ns();
    }

    /// Lets the frozen time go on, if the clock has since it was frozen. Called in front of each
    /// command of a client, so that what others have run in the same turn is not taken off the
    /// deadlines it sets. The reading is the one that ended the last command: none is made for the
    /// purpose.
    #[inline]
    pub(super) fn follow_clock(&mut self) {
        if self.rooms.stats.timing.last() != self.rooms.time.monotonic {
            self.freeze_time();
        }
    }

    fn expire_due(&mut self) {
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
            changed::settle(db, &mut self.rooms);
            if left == 0 {
                self.rooms.stats.counters.expire_cap_reached += 1;
                break;
            }
        }
        if self.rooms.propagation.is_wanted() && left < MAX_EXPIRED_PER_TURN {
            self.rooms.propagation.keep_apart();
            self.rooms.propagation.end_unit();
        }
        let ns = self.rooms.lap_ns();
        self.rooms.stats.counters.expire_ns += ns;
        self.rooms.watch_latency("expire-cycle", ns);
    }

    fn cron(&mut self) {
        let now = self.rooms.time.monotonic;
        self.sample();
        let is_idle =
            !self.rooms.persistence.saves.shutting_down && !self.rooms.persistence.aof.is_rewriting();
        if self.rooms.persistence.saves.is_due(&self.rooms.config, now) && is_idle {
            log::info!("{} changes since the last save. Saving...", self.rooms.persistence.saves.dirty);
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

/// Whether a client that sends nothing takes a place for nothing: it waits for no answer, and does
/// not listen.
fn may_be_idle(session: &Session) -> bool {
    session.parked.is_none() && session.subscribed.is_zero() && !session.is_monitor
}
