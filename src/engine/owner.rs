//! The turn: receive, handle, send, carry out.
//!
//! A turn takes what waits in the queue, up to [`TURN_EVENTS`], and sends each client's replies
//! once at its end: under load the cost of waking and sending is shared, and a lone request is
//! answered at once. Replies are sent here rather than by the workers because that spares a
//! thread switch per request (figures in docs/performance.md).

use std::time::Duration;

use super::clock::SystemClock;
use super::crash;
use super::event::{Event, Links};
use super::hearing::SharedHearing;
use super::queue::{Handle, Queue};
use super::tasks::{Outcome, Tasks};
use crate::base::ClientId;
use crate::clients::Close;
use crate::server::{Clock, Server};

/// Events of one turn at most, so that nobody waits long for the first reply.
pub const TURN_EVENTS: usize = 64;
/// The time for which a stop waits for clients to take their last replies.
const FAREWELL_NS: u64 = 500_000_000;

/// The owner thread's state.
pub struct Owner {
    server: Server,
    clock: SystemClock,
    hearing: SharedHearing,
    /// Clients that are gone but for replies that wait for the disk.
    leaving: Vec<ClientId>,
    tasks: Tasks,
}

impl Owner {
    /// An owner of `server` that takes its events from `queue`.
    pub fn new(
        server: Server,
        clock: SystemClock,
        handle: Handle,
        links: Box<dyn Links>,
        queue: Queue,
    ) -> Self {
        let hearing = SharedHearing::new(queue);
        let mut server = server;
        server.rooms.outside.ear = Some(Box::new(hearing.clone()));
        Owner { server, clock, hearing, leaving: Vec::new(), tasks: Tasks::new(handle, links) }
    }

    /// Runs until the server asks to stop; returns the exit code.
    pub fn run(mut self) -> i32 {
        // A start with nothing to load has ended before the first client is heard.
        let mut stop = self.carry_out_tasks();
        loop {
            if let Some(exit_code) = stop {
                self.say_farewell();
                return exit_code;
            }
            let first = self.wait();
            stop = self.turn(first);
        }
    }

    /// The next event, or `None` when it is time for a turn without one.
    fn wait(&mut self) -> Option<Event> {
        if let Some(event) = self.hearing.borrow().next() {
            return Some(event);
        }
        if self.server.rooms.persistence.aof.is_news_due() || self.tasks.has_arrivals() {
            return None;
        }
        let wait = Duration::from_millis(self.server.next_wake_ms());
        self.hearing.borrow().queue.receive_within(wait).ok()
    }

    /// One turn, beginning with `first`. Returns the exit code when it was the last.
    fn turn(&mut self, first: Option<Event>) -> Option<i32> {
        self.server.begin_turn();
        let mut next = first;
        let mut room = TURN_EVENTS;
        while let Some(event) = next.take() {
            if self.must_wait(&event) {
                self.hearing.borrow().put_back(event);
                break;
            }
            let is_work = !matches!(event, Event::Requests(..));
            self.handle(event);
            if is_work {
                // No command, so nobody has looked at the clock yet.
                self.server.lap();
            }
            room -= 1;
            if room > 0 {
                next = self.hearing.borrow().next();
            }
        }
        self.tasks.take_piece(&mut self.server);
        self.server.end_turn();
        self.tasks.hand_to_aof(&mut self.server);
        self.release();
        self.carry_out_tasks()
    }

    /// Does what the server asked for, and what that leads to. Returns the exit code of a stop.
    fn carry_out_tasks(&mut self) -> Option<i32> {
        loop {
            let tasks = self.server.take_tasks();
            if tasks.is_empty() {
                return None;
            }
            for task in tasks {
                if let Outcome::Stop(exit_code) = self.tasks.carry_out(task, &mut self.server) {
                    return Some(exit_code);
                }
            }
            self.tasks.hand_to_aof(&mut self.server);
            self.release();
        }
    }

    /// A client that sends requests and hangs up gets its replies before it is forgotten:
    /// `printf 'GET a\r\n' | nc` does that.
    fn must_wait(&self, event: &Event) -> bool {
        matches!(event, Event::Disconnect(id) if self.hearing.borrow().spoke.contains(id))
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Requests(id, requests, transit) => {
                crash::note(id, &requests);
                self.hearing.borrow().spoke.push(id);
                // A script that runs in this may hear others: nothing is borrowed meanwhile.
                let spent = self.server.requests(id, requests);
                self.hearing.borrow().give_back(spent);
                drop(transit);
            }
            Event::Connect { id, connection, stream } => {
                self.hearing.borrow().streams.insert(id, stream);
                self.server.connect(id, connection);
            }
            Event::Disconnect(id) if self.server.rooms.owes_answers_to(id) => self.leaving.push(id),
            Event::Disconnect(id) => self.forget(id),
            Event::Growing(id) => self.server.growing(id),
            Event::Rejected => self.server.rejected_connection(),
            Event::Sync(answer) => self.hearing.borrow().syncs.push(answer),
            Event::Signal(signal) => self.server.signal(signal),
            Event::Loaded(pieces) => self.tasks.loaded(pieces),
            Event::LoadEnded(result) => self.tasks.load_ended(result, &mut self.server),
            Event::ParcelSaved(progress) => self.server.parcel_saved(progress),
            Event::Saved(report) => self.server.saved(&report),
            Event::Migrated(report) => self.server.migrated(report),
            Event::FileReported(report) => self.server.file_reported(report),
            Event::Aof(report) => self.server.aof_report(report),
        }
    }

    fn forget(&mut self, id: ClientId) {
        self.server.disconnect(id);
        self.hearing.borrow().streams.remove(&id);
    }

    /// Sends what the server has for its clients, then answers who waited for that.
    fn release(&mut self) {
        let mut hearing = self.hearing.borrow();
        self.server.take_outputs(|id, bytes, close| hearing.send(id, bytes, close));
        hearing.spoke.clear();
        drop(hearing);
        for id in std::mem::take(&mut self.leaving) {
            if self.server.rooms.owes_answers_to(id) {
                self.leaving.push(id);
            } else {
                self.forget(id);
            }
        }
        self.hearing.borrow().keep_promises();
    }

    /// Closes every connection, after its last replies where it takes them in time.
    fn say_farewell(self) {
        self.server.rooms.outside.host.stop_listening();
        let mut hearing = self.hearing.borrow();
        hearing.streams.values_mut().for_each(|stream| stream.close(Close::AfterFlush));
        let end_ns = self.clock.monotonic_ns() + FAREWELL_NS;
        for stream in hearing.streams.values_mut() {
            let left_ns = end_ns.saturating_sub(self.clock.monotonic_ns());
            stream.finish(Duration::from_nanos(left_ns));
        }
    }
}
