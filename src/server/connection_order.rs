//! What has arrived and was not read: CLIENT LIST and PUBLISH wait a moment for the workers that
//! still read.
//!
//! A thread reads for each client. Whoever writes on one connection and then asks on another what
//! the first client holds, or whether it is still there, would else be told so or so, as the kernel
//! happened to wake the two threads. The command is parked, at most [`MAX_WAIT_MS`], until every
//! client with unread bytes has been seen with none; clients that send without a pause need only be
//! met once between two requests. PUBLISH waits in the same way for the subscribers, where clients
//! are few: an UNSUBSCRIBE that was written before it should count. While `maxmemory-clients`
//! limits them they are weighed then too, so that who is too large is gone.

use super::ctx::Ctx;
use super::origin::Origin;
use super::rooms::Rooms;
use crate::base::ClientId;
use crate::clients::{Close, Session, Waking};
use crate::resp::Argv;
use crate::waiting::{Then, TimeoutReply, Until, Wait};
use std::sync::atomic::Ordering;

/// How long CLIENT LIST waits for others, milliseconds.
pub const MAX_WAIT_MS: i64 = 10;

/// With more clients than this, PUBLISH does not wait for what subscribers may have sent before.
const MAX_ORDERED_CLIENTS: usize = 16;

impl Ctx<'_> {
    /// Whether all that has arrived from clients is known. If not, the command is parked and runs
    /// again soon; the handler returns without an answer.
    pub fn has_settled(&mut self, argv: Argv<'_>) -> bool {
        if self.origin == Origin::Client {
            let readers = self.rooms.readers(self.rooms.clients.iter());
            if self.waits_for(readers, argv) {
                return false;
            }
        }
        self.rooms.weigh_all_and_evict();
        true
    }

    /// Whether all that subscribers have sent is known, or there are too many clients for anybody
    /// to expect it. If not, as [`Ctx::has_settled`].
    pub fn subscribers_have_settled(&mut self, argv: Argv<'_>) -> bool {
        if self.origin != Origin::Client || self.rooms.clients.len() > MAX_ORDERED_CLIENTS {
            return true;
        }
        let subscribers = self.rooms.clients.iter().filter(|session| !session.subscribed.is_zero());
        let readers = self.rooms.readers(subscribers);
        !self.waits_for(readers, argv)
    }

    /// Parks the command if there is somebody to wait for.
    fn waits_for(&mut self, readers: Vec<ClientId>, argv: Argv<'_>) -> bool {
        if readers.is_empty() {
            return false;
        }
        let ends = self.rooms.time.monotonic.saturating_add_ms(MAX_WAIT_MS);
        self.session.requests.when_parked = self.session.requests.running;
        let wait = Wait::new(Until::Readers(readers), Then::RunAgain(argv.to_owned()), self.db.index());
        self.rooms.park(self.session, wait.or_at(Some(ends), TimeoutReply::RunAgain));
        true
    }

    /// Has the client's worker woken at once or when a processor is free: who listens seldom sends.
    pub(super) fn wake_worker(&self, waking: Waking) {
        let gauges = &self.session.connection.gauges;
        let worker = gauges.worker.load(Ordering::Relaxed);
        if worker != 0 && !gauges.is_one_of_few {
            gauges.wakes_at_once.store(waking == Waking::AtOnce, Ordering::Relaxed);
            self.rooms.host.schedule_worker(worker, waking);
        }
    }
}

impl Rooms {
    /// Those of `clients` whose workers have something to read or to hand over, or whose requests
    /// wait here.
    fn readers<'s>(&self, clients: impl Iterator<Item = &'s Session>) -> Vec<ClientId> {
        let candidates: Vec<_> = clients.filter(|session| session.close == Close::No).collect();
        if candidates.is_empty() {
            return Vec::new();
        }
        let sockets: Vec<_> = candidates.iter().map(|session| session.connection.fd).collect();
        // First the sockets: what is no longer there has a busy worker.
        let unread = self.host.unread(&sockets);
        let is_reader = |&(session, is_unread): &(&Session, bool)| {
            let gauges = &session.connection.gauges;
            is_unread
                || gauges.is_reading.load(Ordering::Acquire)
                || gauges.handed_over.load(Ordering::Acquire) > session.requests.received
        };
        candidates.into_iter().zip(unread).filter(is_reader).map(|(session, _)| session.id).collect()
    }

    /// Those of `readers` who have not been seen with nothing to read yet.
    pub(super) fn still_reading(&self, readers: &[ClientId]) -> Vec<ClientId> {
        self.readers(readers.iter().filter_map(|&id| self.clients.get(id)))
    }
}
