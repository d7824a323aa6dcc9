//! What the server does while a script holds it: [`Busy`].
//!
//! A script runs on the owner thread, inside the command that runs it. When it has run for
//! `busy-reply-threshold` milliseconds, the server begins to hear others from within: the script's
//! interrupt lets the engine's [`Ear`](super::ear::Ear) take what waits in the queue. Whoever asks
//! for something is told that a script runs, but for the few commands that are allowed meanwhile;
//! connections come and go. Nothing else of a turn happens: time stands still for the data, nobody
//! is served, nothing is propagated. What the ear cannot give here (the requests of the script's
//! own client, reports of other threads) it keeps for later.

use super::call::{Step, reject};
use super::command::FoundCommand;
use super::ear::BusyServer;
use super::machine::limit_pending;
use super::origin::Origin;
use super::stop::Signal;
use super::{Rooms, call, gate, multi, protocol_error};
use crate::base::ClientId;
use crate::clients::{Close, Connection, Session};
use crate::keyspace::Keyspace;
use crate::resp::{Argv, Reply, Requests};
use crate::script::run::{Changes, Kill};

/// The error of a script that the end of the server ends.
const STOPPING: &str = "ERR Script stopped: the server is shutting down. Its changes are undone.";

/// The server, while a script holds it.
pub(super) struct Busy<'a> {
    keyspace: &'a mut Keyspace,
    rooms: &'a mut Rooms,
    /// The client whose script runs.
    running: &'a mut Session,
}

impl<'a> Busy<'a> {
    /// The server, around the script of `running`.
    pub(super) fn new(keyspace: &'a mut Keyspace, rooms: &'a mut Rooms, running: &'a mut Session) -> Self {
        Busy { keyspace, rooms, running }
    }

    /// Lets the ear hear, if there is one.
    pub(super) fn listen(&mut self) {
        if let Some(mut ear) = self.rooms.outside.ear.take() {
            ear.listen(self);
            self.rooms.outside.ear = Some(ear);
        }
    }

    /// Waits for something to hear, for a while.
    pub(super) fn wait(&mut self) {
        if let Some(mut ear) = self.rooms.outside.ear.take() {
            ear.wait(self);
            self.rooms.outside.ear = Some(ear);
        }
    }

    fn stop_script(&mut self, line: &str) {
        if let Some(run) = &mut self.rooms.script.run {
            run.kill = Some(Kill { line: line.to_owned(), changes: Changes::RolledBack });
        }
    }

    fn answer(&mut self, session: &mut Session, batch: Requests) -> Option<Requests> {
        let mut out = std::mem::take(&mut session.outbox.bytes);
        for index in 0..batch.len() {
            self.execute(session, batch.get(index), &mut out);
            self.rooms.clients.limit_answers(session, &mut out);
            if session.parked.is_some() {
                // It has asked the server to stop, and waits for that.
                session.outbox.bytes = out;
                if index + 1 == batch.len() && batch.failure.is_none() {
                    return Some(batch);
                }
                session.requests.pending.push_front(batch, index + 1);
                return None;
            }
            if session.close != Close::No {
                break;
            }
        }
        if let Some(failure) = batch.failure.as_deref().filter(|_| session.close == Close::No) {
            protocol_error::answer(self.rooms, session, failure, &mut out);
        }
        session.outbox.bytes = out;
        Some(batch)
    }

    fn execute(&mut self, session: &mut Session, argv: Argv<'_>, out: &mut Vec<u8>) {
        if gate::is_cross_protocol(argv) {
            self.rooms.log_cross_protocol();
            session.close = Close::Now;
            return;
        }
        let mark = out.len();
        let found = call::find(self.rooms, session, argv);
        session.last.command = found.as_ref().ok().map(|entry| entry.2);
        match self.step(session, found, argv) {
            Step::HoldBack => {}
            Step::Refuse(entry, error) => reject(self.rooms, entry, &error, session, out),
            Step::Queue(_) => Reply::new(out, session.protocol).simple("QUEUED"),
            Step::Run(entry) => {
                let reply = Reply::new(out, session.protocol);
                call::call(self.keyspace, self.rooms, session, reply, entry, argv, Origin::Client);
                // The script goes on where it was.
                self.keyspace.select(self.running.db);
                if self.rooms.stop.request.is_some() {
                    self.stop_script(STOPPING);
                }
            }
        }
        call::apply_reply_mode(session, out, mark);
    }

    fn step(
        &mut self,
        session: &mut Session,
        found: Result<FoundCommand, super::CommandError>,
        argv: Argv<'_>,
    ) -> Step {
        let entry = match found {
            Ok(entry) => entry,
            Err(error) => return Step::Refuse(None, error),
        };
        match gate::admit(self.rooms, session, entry, argv) {
            Err(error) => Step::Refuse(Some(entry), error),
            Ok(()) if multi::queue(self.rooms, session, entry, argv) => Step::Queue(entry.0),
            Ok(()) => Step::Run(entry),
        }
    }
}

impl BusyServer for Busy<'_> {
    fn is_running(&self, id: ClientId) -> bool {
        self.running.id == id
    }

    fn running_waits_with(&mut self, bytes: usize) {
        if bytes as u64 > self.rooms.config.client_query_buffer_limit && self.running.close == Close::No {
            self.rooms.stats.counters.query_buffer_disconnections += 1;
            self.running.close = Close::Now;
        }
    }

    fn requests_of_running(&mut self, batch: Requests) -> Option<Requests> {
        match self.running.debugging.as_mut().filter(|debugging| debugging.is_under_way) {
            None => return Some(batch),
            Some(debugging) => {
                let bytes = debugging.receive(&batch);
                self.rooms.stats.counters.reads += 1;
                self.running_waits_with(bytes);
            }
        }
        None
    }

    fn is_running_gone(&self) -> bool {
        self.running.debugging.as_ref().is_some_and(|debugging| debugging.is_gone)
    }

    fn running_is_gone(&mut self) {
        if let Some(debugging) = &mut self.running.debugging {
            debugging.is_gone = true;
        }
    }

    fn connect(&mut self, id: ClientId, connection: Connection) {
        self.rooms.connect(id, connection);
    }

    fn owes_answers_to(&self, id: ClientId) -> bool {
        // Who is on the list behind `take_outputs` is so until the end of the turn.
        let is_listed = self.rooms.clients.get(id).is_some_and(|session| session.outbox.is_listed);
        is_listed || self.rooms.owes_answers_to(id)
    }

    fn disconnect(&mut self, id: ClientId) {
        self.rooms.disconnect(id);
    }

    fn rejected_connection(&mut self) {
        self.rooms.stats.counters.rejected_connections += 1;
    }

    fn signal(&mut self, signal: Signal) -> Signal {
        if signal != Signal::Hangup {
            self.stop_script(STOPPING);
        }
        signal
    }

    fn requests(&mut self, id: ClientId, batch: Requests) -> Option<Requests> {
        self.rooms.weigh_requests(id, batch.content_bytes());
        let mut session = self.rooms.clients.take(id)?;
        self.rooms.stats.counters.reads += 1;
        session.requests.received += 1;
        let mut spent = None;
        if session.close == Close::No {
            session.last.interaction = self.rooms.time.monotonic;
            if session.parked.is_some() || !session.requests.pending.is_empty() {
                session.requests.pending.push_back(batch);
                limit_pending(self.rooms, &mut session);
            } else {
                spent = self.answer(&mut session, batch);
            }
        }
        self.rooms.clients.put_back(session);
        spent
    }

    fn take_outputs(&mut self, take: &mut dyn FnMut(ClientId, &mut Vec<u8>, Close)) {
        self.rooms.note_output();
        // What the debugger says: other answers of the client are not in its outbox while it runs.
        let mut said = std::mem::take(&mut self.running.outbox.bytes);
        self.rooms.clients.limit_answers(self.running, &mut said);
        if !said.is_empty() {
            self.rooms.stats.counters.writes += 1;
            take(self.running.id, &mut said, Close::No);
        }
        // The changes of this turn go to the file at its end, and so do answers that tell of them.
        let is_fed = self.rooms.persistence.aof.is_fed();
        let later = if is_fed { self.rooms.clients.unlist_awaiting() } else { Vec::new() };
        self.rooms.drain_output(take);
        self.rooms.clients.list_again(later);
    }
}
