//! Ending waits: a key became ready, a pause is over, the time is over, CLIENT UNBLOCK, the client
//! is gone.
//!
//! Whatever a client waits for, its wait ends in one of three ways: it *goes on* as its wait says
//! ([`Server::go_on`]), it is *answered* by somebody else ([`Rooms::answer_parked`]), or it is
//! *forgotten*. A served command is a unit of its own, right after the unit that made its key
//! ready. Requests that its client sent behind it run later, when the batch that is being run is
//! done: an element must not travel through a chain of pipelines in the middle of somebody else's.

use super::call::{apply_reply_mode, call, find};
use super::client_info::info_line;
use super::command::Lookup;
use super::machine::Server;
use super::origin::Origin;
use super::rooms::Rooms;
use crate::base::ClientId;
use crate::clients::{Close, Running, Session, traffic};
use crate::keyspace::DbIndex;
use crate::resp::{OwnedArgv, Reply};
use crate::waiting::{Reason, Then, Ticket, TimeoutReply, Until, Wait, WakeOn};
use std::sync::atomic::Ordering;

/// The error for the client that waited: CLIENT UNBLOCK ERROR.
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

impl Server {
    /// Runs parked commands whose keys became ready, until none is. Within that it does nothing.
    #[inline]
    pub(super) fn serve_ready(&mut self) {
        let queue = &self.rooms.waiting.queue;
        if queue.has_ready() && queue.serving().is_none() && self.rooms.held.is_none() {
            self.serve_all_ready();
        }
    }

    fn serve_all_ready(&mut self) {
        while let Some((db, key)) = self.rooms.waiting.queue.next_ready() {
            self.rooms.waiting.queue.serve(Some(key.clone()));
            self.serve_key(db, &key);
        }
        self.rooms.waiting.queue.serve(None);
        self.end_unit();
    }

    /// Serves those who wait for a value of the type `key` holds, while it does; then those who
    /// wait for any change of it.
    fn serve_key(&mut self, db: DbIndex, key: &[u8]) {
        let mut after = Ticket::FIRST;
        while let Some(kind) = self.keyspace.at(db).and_then(|db| db.kind(key))
            && let Some((ticket, id)) =
                self.rooms.waiting.queue.next_waiter(db, key, WakeOn::Kind(kind), after)
        {
            after = ticket;
            self.go_on(id);
        }
        after = Ticket::FIRST;
        while let Some((ticket, id)) = self.rooms.waiting.queue.next_waiter(db, key, WakeOn::AnyChange, after)
        {
            after = ticket;
            self.go_on(id);
        }
    }

    /// Goes on with everybody whose pause, parcel or readers are waited for no longer, oldest
    /// first, and with what they sent behind it.
    pub(super) fn end_due_waits(&mut self) {
        self.keyspace.set_keeps_expired(self.rooms.waiting.pauses.is_paused());
        for reason in Reason::ALL {
            if !self.rooms.waiting.queue.has_any(reason) || !self.may_be_over(reason) {
                continue;
            }
            let mut waiting: Vec<_> = self.rooms.waiting.queue.of_reason(reason).collect();
            if reason == Reason::Earlier {
                waiting.sort_by_key(|&id| self.rooms.held_arrival(id));
            }
            for id in waiting {
                if self.is_over(id) {
                    self.go_on(id);
                    // One client may do what the next one waits for.
                    self.run_released();
                }
            }
        }
        self.run_released();
    }

    /// True when it is worth a look at each of those who wait for this reason.
    fn may_be_over(&mut self, reason: Reason) -> bool {
        match reason {
            Reason::Pause => self.rooms.waiting.pauses.take_looser(),
            Reason::Parcel | Reason::Readers | Reason::Earlier => true,
            Reason::Login => self.rooms.waiting.takes_login_due(self.rooms.time.monotonic),
        }
    }

    /// True when what a client waits for has come.
    fn is_over(&mut self, id: ClientId) -> bool {
        let Some(parked) = self.rooms.clients.get(id).and_then(|session| session.parked.as_ref()) else {
            return false;
        };
        match &parked.until {
            // Another pause may hold it back again; the gate asks.
            Until::PauseEnds => true,
            Until::Parcel(number) => {
                self.keyspace.walk().is_none_or(|walk| number.is_some_and(|number| walk.has_released(number)))
            }
            Until::Readers(readers) => {
                let still_reading = self.rooms.still_reading(readers);
                let is_over = still_reading.is_empty();
                self.rooms.wait_until(id, Until::Readers(still_reading));
                is_over
            }
            &Until::Earlier(arrival, ref readers) => {
                let readers = self.rooms.still_on_their_way(readers);
                let is_over = readers.is_empty() && !self.rooms.holds_earlier_than(arrival);
                self.rooms.wait_until(id, Until::Earlier(arrival, readers));
                is_over
            }
            Until::Login(login) => {
                let login = login.clone();
                let may = self.rooms.may_log_in(&login);
                if let Some(session) = self.rooms.clients.get_mut(id).filter(|_| may) {
                    session.login.has_waited = true;
                }
                may
            }
            Until::Keys(..) | Until::Completed | Until::AsBefore => false,
        }
    }

    /// Notes behind which parcel the commands held back in this turn may run. Called when it has
    /// been packed.
    pub(super) fn note_parcels(&mut self) {
        if !self.rooms.waiting.queue.has_any(Reason::Parcel) {
            return;
        }
        let last = self.keyspace.walk().and_then(|walk| walk.last_packed());
        for id in self.rooms.waiting.queue.of_reason(Reason::Parcel) {
            if let Some(parked) = self.rooms.clients.get_mut(id).and_then(|session| session.parked.as_mut())
                && parked.until == Until::Parcel(None)
            {
                parked.until = Until::Parcel(last);
            }
        }
    }

    /// Goes on with a client after the thing it waited for has come, as its wait says. Requests it
    /// sent behind it wait for [`Server::run_released`].
    pub(super) fn go_on(&mut self, id: ClientId) {
        let Some(mut session) = self.rooms.clients.take(id) else { return };
        if let Some(mut parked) = session.parked.take() {
            match std::mem::replace(&mut parked.then, Then::Answered) {
                // Its connection ends: what it waited for is left to others.
                _ if session.close != Close::No => self.rooms.waiting.queue.unpark(id, &parked),
                Then::RunAgain(argv) => self.run_again(&mut session, parked, argv),
                Then::Begin | Then::Answered => self.rooms.unpark(id, &parked),
            }
        }
        self.rooms.clients.put_back(session);
    }

    /// Runs a parked command again; the client keeps its place if it still cannot be served.
    fn run_again(&mut self, session: &mut Session, mut parked: Box<Wait>, command: OwnedArgv) {
        let mut out = std::mem::take(&mut session.outbox.bytes);
        self.rooms.clients.in_doubt |= self.rooms.clients.doubt_of(session, &self.rooms.persistence.aof);
        if session.requests.pending.is_empty() {
            session.requests.running = std::mem::take(&mut session.requests.when_parked);
        }
        let db = std::mem::replace(&mut session.db, parked.db);
        let argv = command.as_argv();
        session.requests.sent = parked.sent.take();
        let mut waits = false;
        self.run_unit(session, &mut out, None, |server, session, out| {
            if let Ok(entry) = find(&mut server.rooms, session, argv) {
                let reply = Reply::new(out, session.protocol);
                call(&mut server.keyspace, &mut server.rooms, session, reply, entry, argv, Origin::Unparked);
            }
            session.db = db;
            waits = session.parked.is_some();
            if !waits {
                server.rooms.unpark(session.id, &parked);
            }
        });
        parked.sent = session.requests.sent.take();
        if waits {
            parked.then = Then::RunAgain(command);
            session.parked = Some(parked);
        }
        session.requests.running = Running::default();
        session.outbox.bytes = out;
    }

    /// Runs what waited behind commands that are no longer parked.
    pub(super) fn run_released(&mut self) {
        while let Some(id) = self.rooms.waiting.queue.next_released() {
            let Some(mut session) = self.rooms.clients.take(id) else { continue };
            while session.parked.is_none()
                && session.close == Close::No
                && let Some((batch, first)) = session.requests.pending.pop_front()
            {
                self.run_batch(&mut session, batch, first);
            }
            self.rooms.clients.put_back(session);
        }
    }

    /// Ends a client's wait with the answer `write` gives, and goes on with its requests.
    pub fn complete(&mut self, id: ClientId, write: impl FnOnce(&mut Rooms, &mut Reply<'_>)) {
        self.rooms.answer_parked(id, write);
        self.run_released();
    }

    /// Ends the waits whose time is over.
    pub(super) fn time_out_parked(&mut self) {
        while let Some(id) = self.rooms.waiting.queue.timed_out(self.rooms.time.monotonic) {
            let parked = self.rooms.clients.get(id).and_then(|session| session.parked.as_ref());
            if parked.is_some_and(|parked| parked.timeout_reply == TimeoutReply::RunAgain) {
                self.go_on(id);
            }
            // Whoever waits still has waited in vain.
            self.rooms.time_out(id);
        }
        self.run_released();
    }

    /// Forgets a client that is gone; what it waited for is left for others.
    pub fn disconnect(&mut self, id: ClientId) {
        self.rooms.disconnect(id);
    }
}

impl Rooms {
    /// True when a client that has hung up is to be answered first: `printf 'ACL SAVE\r\n' | nc`
    /// hangs up at once. Its answers wait for the disk, or its command waits for something of our
    /// own.
    #[must_use]
    pub fn owes_answers_to(&self, id: ClientId) -> bool {
        let parked = self.clients.get(id).and_then(|session| session.parked.as_ref());
        parked.is_some_and(|parked| parked.until.is_our_own()) || self.holds_replies_of(id)
    }

    /// A client's connection has ended.
    pub(super) fn disconnect(&mut self, id: ClientId) {
        let Some(session) = self.clients.remove(id) else { return };
        // Redis: a connection that the server ends has no line here; whatever ends it says why.
        if session.close == Close::No && session.connection.gauges.hung_up.load(Ordering::Relaxed) {
            log::debug!("Client closed connection {}", info_line(self, &session));
        }
        if let Some(start) = session.connection.gauges.overlong.get() {
            self.stats.counters.query_buffer_disconnections += 1;
            log::warn!(
                "Closing client that reached max query buffer length: {} (qbuf initial bytes: \"{}\")",
                info_line(self, &session),
                start.escape_ascii()
            );
        }
        if let Some(parked) = &session.parked {
            self.waiting.queue.unpark(id, parked);
        }
        self.watches.unwatch(id);
        self.monitors.remove(id);
        self.pubsub.remove(id);
        self.end_tracking_of(id);
        self.stats.counters.count_gone(traffic(std::iter::once(&*session)));
    }

    /// Ends a client's wait for keys as if its time were over, or with an error. Its requests go on
    /// after the running batch. Source: CLIENT UNBLOCK.
    pub fn unblock(&mut self, id: ClientId, with_error: bool) -> bool {
        let parked = self.clients.get(id).and_then(|session| session.parked.as_ref());
        let Some(parked) = parked.filter(|parked| parked.waits_for_keys()) else { return false };
        // Redis: the command has failed, whichever answer it gets.
        if let Then::RunAgain(argv) = &parked.then
            && let Lookup::Found(_, _, index) = self.commands.lookup(argv.as_argv())
        {
            self.stats.counters.command(index).failed += 1;
        }
        if with_error {
            self.answer_parked(id, |rooms, out| {
                rooms.stats.counters.count_error(UNBLOCKED.as_bytes());
                out.error(UNBLOCKED);
            });
        } else {
            self.time_out(id);
        }
        true
    }

    /// Ends a client's connection, which is not the running command's; what it waited for is left
    /// to others.
    pub fn close_client(&mut self, id: ClientId, close: Close) {
        if let Some(parked) = self.clients.get_mut(id).and_then(|session| session.parked.take()) {
            self.waiting.queue.unpark(id, &parked);
        }
        self.clients.close(id, close);
    }

    fn time_out(&mut self, id: ClientId) {
        let parked = self.clients.get(id).and_then(|session| session.parked.as_ref());
        let reply = parked.map(|parked| parked.timeout_reply);
        self.answer_parked(id, |_, out| match reply {
            Some(TimeoutReply::Integer(value)) => out.integer(value),
            _ => out.null_array(),
        });
    }

    /// Parks a client, whose command runs or is held back.
    pub(super) fn park(&mut self, session: &mut Session, mut wait: Wait) {
        self.waiting.queue.park(session.id, &mut wait);
        session.parked = Some(Box::new(wait));
    }

    /// Changes what a parked client waits for, within the same reason.
    fn wait_until(&mut self, id: ClientId, until: Until) {
        if let Some(parked) = self.clients.get_mut(id).and_then(|session| session.parked.as_mut()) {
            parked.until = until;
        }
    }

    /// A wait is over; the client's requests wait to be run.
    fn unpark(&mut self, id: ClientId, wait: &Wait) {
        self.waiting.queue.unpark(id, wait);
        self.waiting.queue.release(id);
    }

    /// Ends a client's wait with the answer `write` gives; its requests wait to be run.
    pub(super) fn answer_parked(&mut self, id: ClientId, write: impl FnOnce(&mut Rooms, &mut Reply<'_>)) {
        let Some(mut session) = self.clients.take(id) else { return };
        if let Some(parked) = session.parked.take() {
            self.unpark(id, &parked);
            // Others may be the reason that nothing came.
            session.outbox.awaits_file |= self.persistence.aof.has_unsynced() && parked.waits_for_keys();
            let mut out = std::mem::take(&mut session.outbox.bytes);
            let mark = out.len();
            write(self, &mut Reply::new(&mut out, session.protocol));
            apply_reply_mode(&mut session, &mut out, mark);
            session.outbox.bytes = out;
        }
        self.clients.put_back(session);
    }
}
