//! Requests that have arrived and were not read: some commands wait a moment for the workers that
//! still read.
//!
//! A thread reads for each client. Whoever writes on one connection and then on another would else
//! be told so or so, as the kernel happened to wake the two threads. Nobody promises an order
//! across connections, but a server with one thread keeps it for a program that writes one after
//! the other, and programs expect it while connections are few. There are two ways to wait, for at
//! most [`MAX_WAIT_MS`] and [`MAX_ORDER_WAIT_MS`]:
//!
//! * **For what may have been sent before** ([`Until::Readers`]): CLIENT LIST is parked until every
//!   client with unread bytes has been seen with none; clients that send without a pause need only
//!   be met once between two requests. PUBLISH waits in the same way for the subscribers, where
//!   clients are few: an UNSUBSCRIBE that was written before it should count. While
//!   `maxmemory-clients` limits them they are weighed then too, so that who is too large is gone.
//! * **In the order of arrival** ([`Until::Earlier`]): of two BLPOPs the first is served first, and
//!   a push serves those that were blocked before it. So while clients are few, a command that may
//!   block, and one that writes while somebody is blocked, is held back until what others have sent
//!   is here. The kernel has noted when each request reached the machine ([`Arrival`]); those held
//!   back, and whatever arrived after one of them, run in that order. Waiting alone would not do:
//!   of two requests of which one is still unread, either may be the older.

use super::command::Command;
use super::ctx::Ctx;
use super::origin::Origin;
use super::rooms::Rooms;
use super::{login_wait, multi};
use crate::base::ClientId;
use crate::base::time::Arrival;
use crate::clients::{Close, Session, Waking};
use crate::resp::Argv;
use crate::spec::{BLOCKING, WRITE};
use crate::waiting::{Reason, Then, TimeoutReply, Until, Wait};
use std::sync::atomic::Ordering;

/// The time for which CLIENT LIST and PUBLISH wait for others, milliseconds.
pub const MAX_WAIT_MS: i64 = 10;
/// The time for which a command waits for those that arrived before it, milliseconds: some time
/// slices of other programs, for which a worker may have to wait on a busy machine.
pub const MAX_ORDER_WAIT_MS: i64 = 50;
/// A client in the middle of an argument of this size, bytes, is not waited for: it may take its
/// time.
const LONG_ARGUMENT_BYTES: usize = 64 * 1024;

/// With more clients than this, nobody waits but CLIENT LIST, and it is not noted when requests
/// arrive.
pub const MAX_ORDERED_CLIENTS: usize = 16;

/// Parks the client in front of `command` if what others sent earlier would change what it does.
/// Returns whether it does.
#[inline]
pub(super) fn hold_back(rooms: &mut Rooms, session: &mut Session, command: &Command) -> bool {
    let Some(arrival) = session.requests.arrival else { return false };
    let flags = multi::flags_of(session, command);
    let depends_on_order =
        flags.contains(BLOCKING) || flags.contains(WRITE) && !rooms.waiting.queue.is_empty();
    depends_on_order && hold_back_until_read(rooms, session, arrival)
}

fn hold_back_until_read(rooms: &mut Rooms, session: &mut Session, arrival: Arrival) -> bool {
    if std::mem::take(&mut session.requests.waited_for_earlier) || rooms.clients.len() > MAX_ORDERED_CLIENTS {
        return false;
    }
    let readers = rooms.on_their_way(rooms.clients.iter());
    let must_wait = !readers.is_empty();
    if must_wait {
        session.requests.waited_for_earlier = true;
        rooms.park_behind_earlier(session, arrival, readers);
    }
    must_wait
}

impl Ctx<'_> {
    /// True when all that has arrived from clients is known. If not, the command is parked and runs
    /// again soon; the handler returns without an answer.
    pub fn has_read_all(&mut self, argv: Argv<'_>) -> bool {
        if self.origin == Origin::Client {
            let readers = self.rooms.readers(self.rooms.clients.iter());
            if self.waits_for(readers, argv) {
                return false;
            }
        }
        self.rooms.weigh_all_and_evict();
        true
    }

    /// True when all that subscribers have sent is known, or there are too many clients for anybody
    /// to expect it. If not, as [`Ctx::has_read_all`].
    pub fn has_read_subscribers(&mut self, argv: Argv<'_>) -> bool {
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
            self.rooms.outside.host.schedule_worker(worker, waking);
        }
    }
}

impl Rooms {
    /// Those of `clients` whose workers have something to read or to hand over, or whose requests
    /// wait here.
    fn readers<'s>(&self, clients: impl Iterator<Item = &'s Session>) -> Vec<ClientId> {
        let may_send = |session: &&Session| session.close == Close::No && !is_leaving(session);
        let candidates: Vec<_> = clients.filter(may_send).collect();
        if candidates.is_empty() {
            return Vec::new();
        }
        let sockets: Vec<_> = candidates.iter().map(|session| session.connection.fd).collect();
        // First the sockets: what is no longer there has a busy worker.
        let unread = self.outside.host.unread(&sockets);
        let is_reader = |&(session, is_unread): &(&Session, bool)| {
            let gauges = &session.connection.gauges;
            is_unread
                || gauges.is_reading.load(Ordering::Acquire)
                || gauges.handed_over.load(Ordering::Acquire) > session.requests.received
        };
        candidates.into_iter().zip(unread).filter(is_reader).map(|(session, _)| session.id).collect()
    }

    /// Parks a client whose requests arrived later than some that are held back: they wait too.
    /// Returns whether that is so.
    #[inline]
    pub(super) fn hold_back_behind_earlier(
        &mut self,
        session: &mut Session,
        arrival: Option<Arrival>,
    ) -> bool {
        if !self.waiting.queue.has_any(Reason::Earlier) {
            return false;
        }
        let Some(arrival) = arrival.filter(|&arrival| self.holds_earlier_than(arrival)) else { return false };
        self.park_behind_earlier(session, arrival, Vec::new());
        true
    }

    fn park_behind_earlier(&mut self, session: &mut Session, arrival: Arrival, readers: Vec<ClientId>) {
        let ends = self.time.monotonic.saturating_add_ms(MAX_ORDER_WAIT_MS);
        let wait = Wait::new(Until::Earlier(arrival, readers), Then::Begin, session.db);
        self.park(session, wait.or_at(Some(ends), TimeoutReply::RunAgain));
        login_wait::tell_worker(session);
    }

    /// The time at which the requests arrived that a client is held back with.
    pub(super) fn held_arrival(&self, id: ClientId) -> Option<Arrival> {
        match self.clients.get(id)?.parked.as_ref()?.until {
            Until::Earlier(arrival, _) => Some(arrival),
            _ => None,
        }
    }

    /// True when requests are held back that arrived earlier.
    pub(super) fn holds_earlier_than(&self, arrival: Arrival) -> bool {
        let mut held = self.waiting.queue.of_reason(Reason::Earlier);
        held.any(|id| self.held_arrival(id).is_some_and(|other| other < arrival))
    }

    /// Those of `clients` from whom something may be on its way here that can run.
    fn on_their_way<'s>(&self, clients: impl Iterator<Item = &'s Session>) -> Vec<ClientId> {
        self.readers(clients.filter(|session| {
            let gauges = &session.connection.gauges;
            session.parked.is_none()
                && gauges.knows_arrivals
                && gauges.query_heap.load(Ordering::Relaxed) < LONG_ARGUMENT_BYTES
        }))
    }

    /// Those of `readers` whose requests have not come here yet.
    pub(super) fn still_on_their_way(&self, readers: &[ClientId]) -> Vec<ClientId> {
        self.on_their_way(readers.iter().filter_map(|&id| self.clients.get(id)))
    }

    /// Those of `readers` who have not been seen with nothing to read yet.
    pub(super) fn still_reading(&self, readers: &[ClientId]) -> Vec<ClientId> {
        self.readers(readers.iter().filter_map(|&id| self.clients.get(id)))
    }
}

/// True when a client has hung up and is only here to be answered ([`Server::owes_answers_to`]).
///
/// [`Server::owes_answers_to`]: super::machine::Server::owes_answers_to
fn is_leaving(session: &Session) -> bool {
    let waits = session.parked.as_ref().is_some_and(|parked| parked.until.is_our_own());
    waits && session.connection.gauges.hung_up.load(Ordering::Relaxed)
}
