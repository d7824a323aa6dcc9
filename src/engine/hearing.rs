//! What the owner hears and whom it answers: the queue, and the streams of its clients.
//!
//! A turn uses it, and so does a script that runs for too long, from inside the turn
//! ([`SharedHearing`] is the [`Ear`] that the server is lent). Neither holds it while the server
//! works.

use super::event::{Event, Stream};
use super::gate::Promise;
use super::owner::TURN_EVENTS;
use super::queue::Queue;
use crate::base::ClientId;
use crate::clients::Close;
use crate::memory::Charge;
use crate::resp::Requests;
use crate::server::{BusyServer, Ear};
use std::cell::{RefCell, RefMut};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;
use std::time::Duration;

/// A script that is debugged looks at least this often if it has to end.
const PATIENCE: Duration = Duration::from_millis(100);
/// Others wait for so long for a sign of the client that debugs it: redis-cli ends a connection and
/// begins the next one with SCRIPT DEBUG, and the news of the end may come last.
const GRACE: Duration = Duration::from_millis(50);
/// Events of others that wait so at most.
const HELD_EVENTS: usize = 8;

/// The streams of all clients.
pub(super) type Streams = HashMap<ClientId, Box<dyn Stream>, BuildHasherDefault<IdHasher>>;

/// See the module.
pub(super) struct Hearing {
    pub(super) queue: Queue,
    pub(super) streams: Streams,
    /// The clients whose requests ran in this turn.
    pub(super) spoke: Vec<ClientId>,
    /// The threads that wait for the end of this turn.
    pub(super) syncs: Vec<Promise>,
    /// Events that come before those of the queue.
    put_off: VecDeque<Event>,
}

impl Hearing {
    /// The next event, if one is there.
    pub(super) fn next(&mut self) -> Option<Event> {
        // The owner holds a handle itself, so the queue is never closed.
        self.put_off.pop_front().or_else(|| self.queue.try_receive().ok())
    }

    /// True when requests wait for the end of a script: they are of the client that runs it.
    fn has_put_off_requests(&self) -> bool {
        self.put_off.iter().any(|event| matches!(event, Event::Requests(..)))
    }

    /// Puts an event back: it is the next one.
    pub(super) fn put_back(&mut self, event: Event) {
        self.put_off.push_front(event);
    }

    /// Gives the memory of a batch back to the workers.
    pub(super) fn give_back(&mut self, spent: Option<Requests>) {
        self.queue.give_back(spent, self.streams.len());
    }

    /// Sends bytes to a client, and ends its connection if that is asked for.
    pub(super) fn send(&mut self, id: ClientId, bytes: &mut Vec<u8>, close: Close) {
        let Some(stream) = self.streams.get_mut(&id) else {
            bytes.clear();
            return;
        };
        if !bytes.is_empty() {
            stream.send(bytes);
        }
        if close != Close::No {
            stream.close(close);
        }
    }

    /// Tells the threads that wait for the end of the turn that it is there.
    pub(super) fn keep_promises(&mut self) {
        self.syncs.drain(..).for_each(Promise::keep);
    }
}

/// The client that has sent something or hung up.
fn client_of(event: &Event) -> Option<ClientId> {
    match event {
        Event::Requests(id, ..) | Event::Disconnect(id) => Some(*id),
        _ => None,
    }
}

/// The hearing, in the hands of the turn and of the server's scripts.
#[derive(Clone)]
pub(super) struct SharedHearing(Rc<RefCell<Hearing>>);

impl SharedHearing {
    /// The hearing of whoever takes events from `queue`.
    pub(super) fn new(queue: Queue) -> Self {
        SharedHearing(Rc::new(RefCell::new(Hearing {
            queue,
            streams: Streams::default(),
            spoke: Vec::with_capacity(TURN_EVENTS),
            syncs: Vec::new(),
            put_off: VecDeque::new(),
        })))
    }

    /// The hearing, for a moment in which the server does nothing.
    pub(super) fn borrow(&self) -> RefMut<'_, Hearing> {
        self.0.borrow_mut()
    }

    /// Gives `busy` one event; what has to wait for the end of the script is put off. Connections
    /// that have ended go to `gone`.
    fn give(&self, busy: &mut dyn BusyServer, event: Event, gone: &mut Vec<ClientId>) {
        if let Some(later) = self.give_or_return(busy, event, gone) {
            self.borrow().put_off.push_back(later);
        }
    }

    /// Gives `busy` again what was put off: it may be for another script now, and comes before what
    /// is in the queue.
    fn give_put_off(&self, busy: &mut dyn BusyServer, gone: &mut Vec<ClientId>) {
        let put_off = std::mem::take(&mut self.borrow().put_off);
        put_off.into_iter().for_each(|event| self.give(busy, event, gone));
    }

    fn give_or_return(
        &self,
        busy: &mut dyn BusyServer,
        event: Event,
        gone: &mut Vec<ClientId>,
    ) -> Option<Event> {
        match event {
            Event::Requests(id, requests, transit) if !busy.is_running(id) => {
                let spent = busy.requests(id, requests);
                self.borrow().give_back(spent);
                drop::<Charge>(transit);
                None
            }
            Event::Requests(id, requests, transit) => {
                let requests = busy.requests_of_running(requests)?;
                Some(Event::Requests(id, requests, transit))
            }
            Event::Connect { id, connection, stream } => {
                self.borrow().streams.insert(id, stream);
                busy.connect(id, connection);
                None
            }
            Event::Disconnect(id) if !busy.is_running(id) => {
                gone.push(id);
                None
            }
            Event::Disconnect(id) => {
                busy.running_is_gone();
                Some(Event::Disconnect(id))
            }
            Event::Rejected => {
                busy.rejected_connection();
                None
            }
            // Whoever waits for requests that wait has to wait too.
            Event::Sync(promise) if !self.borrow().has_put_off_requests() => {
                self.borrow().syncs.push(promise);
                None
            }
            Event::Signal(signal) => Some(Event::Signal(busy.signal(signal))),
            other => Some(other),
        }
    }

    /// Sends the answers, also those of the turn so far, and looks at what waits of the client
    /// whose script runs. Then who waited for the answers goes on, and who is `gone` is forgotten.
    fn answer(&self, busy: &mut dyn BusyServer, gone: Vec<ClientId>) {
        let mut hearing = self.borrow();
        let own = hearing.put_off.iter().filter_map(|event| match event {
            Event::Requests(id, requests, _) if busy.is_running(*id) => Some(requests.heap_bytes()),
            _ => None,
        });
        busy.running_waits_with(own.sum());
        busy.take_outputs(&mut |id, bytes, close| hearing.send(id, bytes, close));
        hearing.keep_promises();
        for id in gone {
            if busy.owes_answers_to(id) {
                hearing.put_off.push_back(Event::Disconnect(id));
            } else {
                busy.disconnect(id);
                hearing.streams.remove(&id);
            }
        }
    }
}

impl Ear for SharedHearing {
    fn wait(&mut self, busy: &mut dyn BusyServer) {
        let (mut others, mut patience, mut gone) = (Vec::new(), PATIENCE, Vec::new());
        self.give_put_off(busy, &mut gone);
        while others.len() < HELD_EVENTS {
            let Ok(event) = self.borrow().queue.receive_within(patience) else { break };
            if client_of(&event).is_some_and(|id| busy.is_running(id)) {
                self.give(busy, event, &mut gone);
                break;
            }
            others.push(event);
            patience = GRACE;
        }
        if busy.is_running_gone() {
            return self.borrow().put_off.extend(others);
        }
        others.into_iter().for_each(|event| self.give(busy, event, &mut gone));
        self.answer(busy, gone);
    }

    fn listen(&mut self, busy: &mut dyn BusyServer) {
        let mut gone = Vec::new();
        self.give_put_off(busy, &mut gone);
        for _ in 0..TURN_EVENTS {
            let Ok(event) = self.borrow().queue.try_receive() else { break };
            self.give(busy, event, &mut gone);
        }
        self.answer(busy, gone);
    }
}

/// Spreads client ids, which count up from 1, over a table: one multiplication.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
