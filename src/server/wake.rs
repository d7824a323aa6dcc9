//! Ending waits: a key became ready, the time is over, CLIENT UNBLOCK, the client is gone.
//!
//! A served command is a unit of its own, right after the unit that made its key ready. What its
//! client sent behind it runs later, when the batch that is being run is done: an element must not
//! travel through a chain of pipelines in the middle of somebody else's.

use std::sync::atomic::Ordering;

use super::call::{apply_reply_mode, call, find};
use super::client_info::info_line;
use super::command::Lookup;
use super::machine::Server;
use super::origin::Origin;
use super::{Rooms, tracking};
use crate::base::ClientId;
use crate::clients::Close;
use crate::keyspace::DbIndex;
use crate::resp::Reply;
use crate::waiting::{Ticket, TimeoutReply, WakeOn};

/// What CLIENT UNBLOCK ERROR answers to the client that waited.
const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

impl Server {
    /// Runs parked commands whose keys became ready, until none is. Their clients' further requests
    /// wait for [`Server::run_released`].
    pub(super) fn serve_ready(&mut self) {
        while let Some((db, key)) = self.rooms.waiting.keys.next_ready() {
            self.rooms.waiting.keys.serve(Some(key.clone()));
            self.serve_key(db, &key);
        }
        self.rooms.waiting.keys.serve(None);
        self.end_unit();
    }

    /// Serves those who wait for a value of the type `key` holds, while it does; then those who
    /// wait for any change of it.
    fn serve_key(&mut self, db: DbIndex, key: &[u8]) {
        let mut after = Ticket::FIRST;
        while let Some(kind) = self.keyspace.at(db).and_then(|db| db.kind(key))
            && let Some((ticket, id)) =
                self.rooms.waiting.keys.next_waiter(db, key, WakeOn::Kind(kind), after)
        {
            after = ticket;
            self.retry(id);
        }
        after = Ticket::FIRST;
        while let Some((ticket, id)) = self.rooms.waiting.keys.next_waiter(db, key, WakeOn::AnyChange, after)
        {
            after = ticket;
            self.retry(id);
        }
    }

    /// Runs a parked command again; the client keeps its place if it still cannot be served.
    pub(super) fn retry(&mut self, id: ClientId) {
        let Some(mut session) = self.rooms.clients.take(id) else { return };
        if session.close == Close::No
            && let Some(parked) = session.parked.take()
        {
            let mut out = std::mem::take(&mut session.outbox.bytes);
            let mark = out.len();
            let before = tracking::begin(&mut self.rooms, id);
            self.rooms.clients.in_doubt |= self.rooms.clients.doubt_of(&session, &self.rooms.persistence.aof);
            let db = std::mem::replace(&mut session.db, parked.db);
            let argv = parked.argv.as_argv();
            if let Ok(entry) = find(&mut self.rooms, &mut session, argv) {
                let (keyspace, rooms) = (&mut self.keyspace, &mut self.rooms);
                let reply = Reply::new(&mut out, session.protocol);
                call(keyspace, rooms, &mut session, reply, entry, argv, Origin::Unparked);
            }
            session.db = db;
            if session.parked.is_some() {
                session.parked = Some(parked);
            } else {
                self.rooms.waiting.keys.unpark(id, &parked);
                self.rooms.waiting.keys.release(id);
                apply_reply_mode(&mut session, &mut out, mark);
            }
            self.end_unit();
            tracking::end(&mut self.rooms, &mut session, None, before);
            session.outbox.awaits_file |= self.rooms.clients.in_doubt;
            session.outbox.bytes = out;
        }
        self.rooms.clients.put_back(session);
    }

    /// Runs what waited behind commands that are no longer parked.
    pub(super) fn run_released(&mut self) {
        while let Some(id) = self.rooms.waiting.keys.next_released() {
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
        self.rooms.unpark(id, write);
        self.run_released();
    }

    /// Answers those whose time is over.
    pub(super) fn time_out_parked(&mut self) {
        while let Some(id) = self.rooms.waiting.keys.timed_out(self.rooms.time.monotonic) {
            self.rooms.time_out(id);
        }
        self.run_released();
    }

    /// Forgets a client that is gone; what it waited for is left for others.
    pub fn disconnect(&mut self, id: ClientId) {
        let Some(session) = self.rooms.clients.remove(id) else { return };
        // Redis: a connection that the server ends has no line here; whatever ends it says why.
        if session.close == Close::No && session.connection.gauges.hung_up.load(Ordering::Relaxed) {
            log::debug!("Client closed connection {}", info_line(&self.rooms, &session));
        }
        if let Some(parked) = &session.parked {
            self.rooms.waiting.keys.unpark(id, parked);
            self.rooms.waiting.pauses.forget(parked);
        }
        self.rooms.watches.unwatch(id);
        self.rooms.memory.clients.forget(&session);
        self.rooms.monitors.remove(id);
        self.rooms.pubsub.remove(id);
        self.rooms.end_tracking_of(id);
        self.rooms.stats.counters.count_gone(&session);
    }
}

impl Rooms {
    /// Ends a client's wait for keys as if its time were over, or with an error. Its requests go on
    /// after the running batch. Source: CLIENT UNBLOCK.
    pub fn unblock(&mut self, id: ClientId, with_error: bool) -> bool {
        let parked = self.clients.get(id).and_then(|session| session.parked.as_ref());
        let Some(parked) = parked.filter(|parked| parked.waits_for_keys()) else { return false };
        // Redis: the command has failed, whichever answer it gets.
        if let Lookup::Found(_, _, index) = self.commands.lookup(parked.argv.as_argv()) {
            self.stats.counters.command(index).failed += 1;
        }
        if with_error {
            self.unpark(id, |rooms, out| {
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
            self.waiting.keys.unpark(id, &parked);
            self.waiting.pauses.forget(&parked);
        }
        self.clients.close(id, close);
    }

    fn time_out(&mut self, id: ClientId) {
        let parked = self.clients.get(id).and_then(|session| session.parked.as_ref());
        let reply = parked.map(|parked| parked.timeout_reply);
        self.unpark(id, |rooms, out| match reply {
            Some(TimeoutReply::Error(line)) => {
                rooms.stats.counters.count_error(line.as_bytes());
                out.error(line);
            }
            Some(TimeoutReply::Integer(value)) => out.integer(value),
            Some(TimeoutReply::Kept) => {}
            _ => out.null_array(),
        });
    }

    /// Ends a client's wait with the answer `write` gives; its requests wait to be run.
    pub(super) fn unpark(&mut self, id: ClientId, write: impl FnOnce(&mut Rooms, &mut Reply<'_>)) {
        let Some(mut session) = self.clients.take(id) else { return };
        if let Some(mut parked) = session.parked.take() {
            self.waiting.keys.unpark(id, &parked);
            self.waiting.keys.release(id);
            // That nothing came may be due to others.
            session.outbox.awaits_file |= self.persistence.aof.has_unsynced() && parked.waits_for_keys();
            let mut out = std::mem::take(&mut session.outbox.bytes);
            let mark = out.len();
            out.append(&mut parked.answer);
            write(self, &mut Reply::new(&mut out, session.protocol));
            apply_reply_mode(&mut session, &mut out, mark);
            session.outbox.bytes = out;
        }
        self.clients.put_back(session);
    }
}
