//! The clients that wait for the file, and the limits of their waits.
//!
//! With `appendfsync always` the answer to a write waits until the write is on disk, however long
//! that takes (but not while `no-appendfsync-on-rewrite` keeps the file from being forced to disk).
//! Otherwise it waits until the write is in the file, so that what was answered outlives the
//! process: that is a matter of microseconds, unless the disk is busy. Then, after a few
//! milliseconds ([`PATIENCE_MS`]), answers are let go, and nobody waits until the thread has caught
//! up. Redis is no stricter: while an fsync runs it writes nothing and answers.
//! [`Server::watch_delay`] bounds the bytes that may be under way like that.

use super::Aof;
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::clients::Close;
use crate::config::Appendfsync;
use crate::server::Rooms;
use crate::server::machine::Server;
use crate::waiting::{Pause, PauseReason};
use std::sync::atomic::Ordering;

/// Bytes on their way to the file beyond which write commands are postponed.
pub const MAX_UNWRITTEN_BYTES: u64 = 256 << 20;
/// The time for which bytes may be on their way before write commands are postponed. Redis: the
/// same, by writing without waiting any longer.
const MAX_UNWRITTEN_MS: i64 = 2000;

/// The time for which answers wait for a disk that does not take what they tell of, with `everysec`
/// and `no`.
const PATIENCE_MS: i64 = 5;

/// The time for which answers wait for a disk that refuses, with `always`.
const GIVE_UP_NS: u64 = 5_000_000_000;

/// The error for clients that waited for that in vain.
const NOT_ON_DISK: &[u8] =
    b"-MISCONF Errors writing to the AOF file: what was changed is in memory and not on disk\r\n";

impl Aof {
    /// Bytes handed over that are not in the file.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        self.handed - self.gauges.written.load(Ordering::Relaxed).min(self.handed)
    }

    /// Up to which offset answers to writes wait for the file, if they wait.
    pub(in crate::server) fn hold_up_to(&mut self) -> Option<(u64, impl FnMut(ClientId))> {
        if !self.is_fed() {
            return None;
        }
        let is_strict = self.owes_disk();
        if is_strict && self.handed > self.waits.synced {
            self.waits.promised = self.handed;
        } else if is_strict || self.is_broken() || self.is_let_go() || self.unwritten_bytes() == 0 {
            return None;
        }
        let (end, held) = (self.handed, &mut self.held);
        Some((end, move |client| held.push(end, client)))
    }

    /// True when a client that waits for the file alone would wait for a disk that fails, or,
    /// behind those who wait for the disk, for a rewrite.
    fn is_broken(&self) -> bool {
        self.error.is_some() || self.rewrites.must_succeed() && self.is_promised()
    }

    /// True when answers wait for the disk, not for the file alone.
    pub(super) fn owes_disk(&self) -> bool {
        self.told == Some((Appendfsync::Always, false))
    }

    /// Notes that the changes of this turn are on their way, or that nobody is to wait for them.
    pub(super) fn hand_over_unsynced(&mut self) {
        self.unsynced.hand_over(self.handed);
        if self.handed <= self.waits.synced || !self.owes_disk() && !self.is_promised() {
            self.unsynced.forget(self.handed);
        }
    }

    /// Notes that everything up to `offset` is on disk, or never will be.
    fn note_done_up_to(&mut self, offset: u64) {
        self.waits.synced = offset.min(self.handed);
        self.unsynced.forget(self.waits.synced);
    }

    /// Notes that there is something new to wait for.
    pub(super) fn note_handed(&mut self, now: MonotonicMillis) {
        if self.held.is_empty() {
            self.waits.since = now;
        }
    }

    /// Asked before the owner sleeps, who looks at what is written at the end of each turn and
    /// wants to be woken only now: has the thread report. Returns whether there is something
    /// already. (The thread notes what it has written before it looks who waits, and here it is the
    /// other way round, so nobody is forgotten.)
    #[must_use]
    pub fn is_news_due(&self) -> bool {
        let Some(end) = self.held.first().filter(|_| !self.is_promised()) else { return false };
        self.gauges.awaited.store(self.handed, Ordering::SeqCst);
        end <= self.gauges.written.load(Ordering::SeqCst)
    }

    /// True when the disk was too slow to wait for, and has not caught up.
    fn is_let_go(&self) -> bool {
        self.waits.let_go_to > self.gauges.written.load(Ordering::Relaxed)
    }

    /// True when somebody who waits was promised the disk, not the file alone.
    fn is_promised(&self) -> bool {
        self.waits.promised > self.waits.synced
    }

    /// Returns the moment at which clients that wait are let go, if the disk does nothing for them
    /// until then.
    pub(in crate::server) fn patience_ends(&self) -> Option<MonotonicMillis> {
        let may_end = !self.held.is_empty() && !self.is_promised() && self.error.is_none();
        may_end.then(|| self.waits.since.saturating_add_ms(PATIENCE_MS))
    }
}

impl Rooms {
    /// True when answers of `client` wait for the disk, which can be written to.
    #[must_use]
    pub(in crate::server) fn holds_replies_of(&self, client: ClientId) -> bool {
        let held = self.clients.get(client).is_some_and(|session| !session.outbox.held.is_idle());
        let aof = &self.persistence.aof;
        held && aof.error.is_none() && aof.rewrites.unhealed.is_none()
    }
}

impl Server {
    /// Notes that all bytes handed over up to `offset` are in the file.
    pub(super) fn aof_written(&mut self, offset: u64) {
        if !self.rooms.persistence.aof.is_promised() {
            self.release_held(offset);
        }
    }

    /// Notes that bytes handed over up to `offset` that are not in the file never will be: a client
    /// that waits for them is told nothing, and nobody waits for them any more.
    pub(super) fn aof_lost(&mut self, offset: u64) {
        while let Some(client) = self.rooms.persistence.aof.held.pop(offset) {
            log::warn!("Closing client id={}: its writes never reached the AOF file", client.0);
            self.rooms.close_client(client, Close::Now);
        }
        self.rooms.persistence.aof.note_done_up_to(offset);
    }

    /// Notes that all bytes handed over up to `offset` are on disk.
    pub(super) fn aof_synced(&mut self, offset: u64) {
        self.rooms.persistence.aof.note_done_up_to(offset);
        self.release_held(offset);
    }

    /// Lets those go for whom everything is done, or for whom too little is done.
    pub(super) fn end_waits(&mut self) {
        let now = self.rooms.time.monotonic;
        let aof = &mut self.rooms.persistence.aof;
        if aof.held.is_empty() {
            return;
        }
        if aof.is_promised() {
            return self.give_up_held();
        }
        if aof.error.is_some() {
            // Redis: what meets an error is answered, and the next writes are refused.
            return self.release_held(u64::MAX);
        }
        let written = aof.gauges.written.load(Ordering::Relaxed);
        let is_over = aof.patience_ends().is_some_and(|end| now >= end);
        if is_over && aof.gauges.is_at_disk.load(Ordering::Relaxed) {
            log::debug!("The disk is busy: answers leave before their writes are in the AOF file");
            aof.waits.let_go_to = aof.handed;
            return self.release_held(u64::MAX);
        }
        if is_over {
            // The thread has not been given a processor: the disk is not to blame.
            aof.waits.since = now;
        }
        self.release_held(written);
    }

    /// Closes those who have waited long enough for a disk that refuses.
    fn give_up_held(&mut self) {
        let aof = &self.rooms.persistence.aof;
        let unhealed_ns = aof.rewrites.unhealed.as_ref().map(|it| it.since_ns);
        let Some(since_ns) = aof.failing_since_ns.into_iter().chain(unhealed_ns).min() else { return };
        if self.rooms.time.clock.monotonic_ns().saturating_sub(since_ns) < GIVE_UP_NS {
            return;
        }
        while let Some(client) = self.rooms.persistence.aof.held.pop(u64::MAX) {
            if let Some(session) = self.rooms.clients.get_mut(client).filter(|it| it.close == Close::No) {
                log::warn!("Closing client id={}: what it waits for does not reach the AOF file", client.0);
                session.outbox.held.drop_waiting();
                (session.outbox.bytes, session.outbox.awaits_file) = (NOT_ON_DISK.to_vec(), false);
                self.rooms.close_client(client, Close::AfterFlush);
            }
        }
    }

    fn release_held(&mut self, offset: u64) {
        let now = self.rooms.time.monotonic;
        while let Some(client) = self.rooms.persistence.aof.held.pop(offset) {
            self.rooms.persistence.aof.waits.since = now;
            self.rooms.clients.release_held(client, offset);
        }
    }

    /// Says so when the disk is too slow, and makes writers wait until it has caught up.
    pub(super) fn watch_delay(&mut self, now: MonotonicMillis) {
        let aof = &mut self.rooms.persistence.aof;
        let is_served = aof.is_fed() && aof.error.is_none();
        let unwritten = if is_served { aof.unwritten_bytes() } else { 0 };
        if unwritten == 0 || aof.handed - unwritten >= aof.mark.0 {
            aof.mark = (aof.handed, now);
        }
        let is_behind =
            unwritten > 0 && now.ms_since(aof.mark.1) > MAX_UNWRITTEN_MS || unwritten > MAX_UNWRITTEN_BYTES;
        if is_behind && !aof.is_behind {
            aof.delayed_fsyncs += 1;
            log::info!(
                "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for \
                 fsync to complete, this may slow down Redis."
            );
        }
        if is_behind != std::mem::replace(&mut aof.is_behind, is_behind) {
            let pauses = &mut self.rooms.waiting.pauses;
            match is_behind {
                true => pauses.pause(PauseReason::Aof, Pause::Writes, None),
                false => pauses.unpause(PauseReason::Aof),
            }
        }
    }
}
