//! What happens by itself: expiry, timeouts, save points, samples.

use super::evict::Room;
use super::session::{Session, traffic};
use super::task::SaveReason;
use super::{Server, changed, lazyfree};
use crate::base::alloc;
use crate::base::time::UnixMillis;

/// Between two runs of the periodic work.
const CRON_MS: i64 = 100;
/// Due keys removed in one turn; the next turn goes on at once, after the clients' events.
const MAX_EXPIRED_PER_TURN: usize = 400;

impl Server {
    /// Begins a turn: freezes the time, expires what is due, answers timeouts, does the periodic
    /// work when it is time for it.
    pub fn begin_turn(&mut self) {
        self.parts.end_run();
        self.parts.lap_ns();
        self.freeze_time();
        self.end_due_pauses();
        self.expire_due();
        self.parts.eviction.begin_turn();
        self.continue_eviction();
        self.time_out_parked();
        self.continue_shutdown();
        if self.parts.next_cron <= self.parts.monotonic {
            self.parts.next_cron = self.parts.monotonic.saturating_add_ms(CRON_MS);
            if !self.parts.cron_paused {
                self.cron();
                // It is not the next command's.
                self.parts.lap_ns();
            }
        }
    }

    /// Ends a turn: a scheduled save begins, what is to be freed leaves for another thread.
    pub fn end_turn(&mut self) {
        if self.parts.tracking.tables.is_active() {
            self.broadcast_invalidations();
        }
        self.close_slow_clients(false);
        self.follow_pauses();
        self.release_walk_waiters();
        self.settle();
        self.run_released();
        self.continue_shutdown();
        let persistence = &mut self.parts.persistence;
        if persistence.scheduled
            && persistence.running.is_none()
            && !persistence.shutting_down
            && !self.parts.aof.is_rewriting()
        {
            persistence.scheduled = false;
            self.save(SaveReason::Background);
        }
        self.hand_over();
        self.end_aof_turn();
        lazyfree::hand_over(&mut self.keyspace, &mut self.parts);
    }

    /// How long until [`Server::begin_turn`] has something to do without an event, milliseconds.
    #[must_use]
    pub fn next_wake_ms(&mut self) -> u64 {
        if self.parts.eviction.room == Room::Running {
            return 0;
        }
        let mut next = self.parts.next_cron;
        next = self.parts.pauses.next_end().map_or(next, |end| next.min(end.saturating_add_ms(1)));
        next = self.parts.waiters.next_deadline().map_or(next, |deadline| next.min(deadline));
        next = self.parts.aof.patience_ends().map_or(next, |end| next.min(end));
        if self.keyspace.walk_has_room() {
            return 0;
        }
        if self.parts.settling.is_waiting() {
            return 1;
        }
        // The time of the turn that ends is near enough, and costs no reading of the clock.
        let mut wait_ms = next.ms_since(self.parts.monotonic);
        if self.parts.active_expire
            && !self.parts.pauses.is_paused()
            && let Some(deadline) = self.keyspace.next_deadline()
        {
            wait_ms = wait_ms.min(deadline.saturating_add_ms(1).0.saturating_sub(self.parts.now.0));
        }
        u64::try_from(wait_ms).unwrap_or(0)
    }

    /// Freezes the time at the last reading of the monotonic clock.
    fn freeze_time(&mut self) {
        let parts = &mut self.parts;
        let (now, monotonic) = (UnixMillis(parts.clock.wall_us() / 1000), parts.timing.last());
        if (now, monotonic) != (parts.now, parts.monotonic) {
            (parts.now, parts.monotonic) = (now, monotonic);
            self.keyspace.freeze(now, monotonic);
        }
    }

    /// Ends work that no client asked for: what follows does not take this time.
    pub fn lap(&mut self) {
        self.parts.lap_ns();
    }

    /// Lets the frozen time go on, if the clock has since it was frozen. Called in front of each command of a client,
    /// so that what others have run in the same turn is not taken off the deadlines it sets. The reading is the
    /// one that ended the last command: none is made for the purpose.
    #[inline]
    pub(super) fn follow_clock(&mut self) {
        if self.parts.timing.last() != self.parts.monotonic {
            self.freeze_time();
        }
    }

    fn expire_due(&mut self) {
        if !self.parts.active_expire || self.parts.loading || self.parts.pauses.is_paused() {
            return;
        }
        if self.keyspace.next_deadline().is_none_or(|next| next >= self.parts.now) {
            return;
        }
        let mut left = MAX_EXPIRED_PER_TURN;
        for db in self.keyspace.iter_mut() {
            left -= db.expire_due(left);
            changed::settle(db, &mut self.parts);
            if left == 0 {
                self.parts.stats.expire_cap_reached += 1;
                break;
            }
        }
        if self.parts.propagation.is_wanted() && left < MAX_EXPIRED_PER_TURN {
            self.parts.propagation.keep_apart();
            self.parts.propagation.end_unit();
        }
        let ns = self.parts.lap_ns();
        self.parts.stats.expire_ns += ns;
        self.parts.watch_latency("expire-cycle", ns);
    }

    fn cron(&mut self) {
        let now = self.parts.monotonic;
        self.sample();
        let is_idle = !self.parts.persistence.shutting_down && !self.parts.aof.is_rewriting();
        if self.parts.persistence.is_due(&self.parts.config, now) && is_idle {
            log::info!("{} changes since the last save. Saving...", self.parts.persistence.dirty);
            self.save(SaveReason::Background);
        }
        self.aof_cron();
        self.close_idle_clients();
        if self.parts.tracking.tables.is_active() {
            self.parts.limit_tracking_table();
        }
        self.close_slow_clients(true);
        self.parts.weigh_all_and_evict();
        self.parts.resize_reply_buffers();
        self.parts.give_back_memory();
    }

    fn sample(&mut self) {
        let now = self.parts.monotonic;
        let (read, written) = traffic(self.parts.clients.iter());
        let stats = &mut self.parts.stats;
        stats.rate.sample(stats.commands, now);
        stats.input_rate.sample(stats.read_bytes + read, now);
        stats.output_rate.sample(stats.written_bytes + written, now);
        stats.peak_bytes = stats.peak_bytes.max(alloc::used_bytes() as u64);
    }

    fn close_idle_clients(&mut self) {
        let timeout_ms = self.parts.config.timeout.saturating_mul(1000);
        if timeout_ms == 0 {
            return;
        }
        let now = self.parts.monotonic;
        let idle: Vec<_> = self
            .parts
            .clients
            .iter()
            .filter(|session| may_be_idle(session) && now.ms_since(session.last_interaction) > timeout_ms)
            .map(|session| session.id)
            .collect();
        for id in idle {
            log::debug!("Closing idle client");
            self.parts.clients.close(id, super::session::Close::AfterFlush);
        }
    }
}

/// Whether a client that sends nothing takes a place for nothing: it waits for no answer, and does
/// not listen.
fn may_be_idle(session: &Session) -> bool {
    session.parked.is_none() && session.subscribed.is_zero() && !session.is_monitor
}
