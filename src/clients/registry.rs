//! All clients: [`Clients`].

use super::connection::{Close, WireLimits};
use super::delivery::Aside;
use super::reply_buffer::Resizing;
use super::session::Session;
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::config::BufferLimits;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// All clients by number. The one whose command runs is taken out for that time.
#[derive(Debug, Default)]
pub struct Clients {
    pub(super) by_id: BTreeMap<ClientId, Option<Box<Session>>>,
    pub(super) output: Vec<ClientId>,
    /// Messages that were delivered to clients that are taken out.
    pub(super) aside: Vec<Aside>,
    /// Clients found over their hard limit while something was delivered to them.
    pub(super) overfull: Vec<ClientId>,
    /// Clients whose patterns and a channel were too long to tell whether they match.
    pub(super) undecided: Vec<ClientId>,
    /// True when what is delivered tells of a change that is not on disk and has to be.
    pub in_doubt: bool,
    /// The most that may wait for a client, by class.
    pub(super) limits: BufferLimits,
    /// The rules by which buffers for answers are sized.
    pub reply_buffers: Resizing,
    /// Limits shared with the workers.
    pub wire_limits: Arc<WireLimits>,
    /// The time at which the log last told of a request of another protocol, on the monotonic
    /// clock.
    pub cross_protocol_logged_ns: Option<u64>,
}

/// Bytes read from and written to `clients`.
pub fn traffic<'a>(clients: impl Iterator<Item = &'a Session>) -> (u64, u64) {
    clients.map(|session| &session.connection.gauges).fold((0, 0), |(read, written), gauges| {
        (
            read + gauges.read_bytes.load(Ordering::Relaxed),
            written + gauges.written_bytes.load(Ordering::Relaxed),
        )
    })
}

impl Clients {
    /// Nobody, yet; the limits are shared with the workers.
    #[must_use]
    pub fn new(wire_limits: Arc<WireLimits>) -> Self {
        Clients { wire_limits, ..Clients::default() }
    }

    /// Returns the number of clients that are connected, the one taken out included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when nobody is connected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All but the one taken out, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_id.values().filter_map(Option::as_deref)
    }

    /// All but the one taken out, by number, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.by_id.values_mut().filter_map(Option::as_deref_mut)
    }

    /// A client that is not taken out.
    #[must_use]
    pub fn get(&self, id: ClientId) -> Option<&Session> {
        self.by_id.get(&id)?.as_deref()
    }

    /// A client that is not taken out, to change it.
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)?.as_deref_mut()
    }

    /// Returns the clients that have something to be sent, or are to be closed.
    #[must_use]
    pub fn listed(&self) -> &[ClientId] {
        &self.output
    }

    /// A client's pattern and a channel were too long to tell whether they match.
    pub fn mark_undecided(&mut self, id: ClientId) {
        self.undecided.push(id);
    }

    /// Those marked since the last call.
    pub fn take_undecided(&mut self) -> Vec<ClientId> {
        std::mem::take(&mut self.undecided)
    }

    /// Ends a client's connection.
    pub fn close(&mut self, id: ClientId, close: Close) {
        if let Some(Some(session)) = self.by_id.get_mut(&id) {
            session.close = close;
            Self::list(&mut self.output, session);
        }
    }

    /// Adds a client that has just connected.
    pub fn insert(&mut self, session: Session) {
        self.by_id.insert(session.id, Some(Box::new(session)));
    }

    /// Takes out a client whose command runs; [`Clients::put_back`] ends that.
    pub fn take(&mut self, id: ClientId) -> Option<Box<Session>> {
        self.by_id.get_mut(&id)?.take()
    }

    /// Puts back what [`Clients::take`] gave, and lists it if it has something to send.
    pub fn put_back(&mut self, mut session: Box<Session>) {
        if self.has_aside() {
            session.outbox.bytes.append(&mut self.take_aside(session.id, session.protocol));
        }
        if !session.outbox.bytes.is_empty() || session.close != Close::No {
            Self::list(&mut self.output, &mut session);
        }
        let id = session.id;
        if let Some(place) = self.by_id.get_mut(&id) {
            *place = Some(session);
        }
    }

    /// Forgets a client that is gone.
    pub fn remove(&mut self, id: ClientId) -> Option<Box<Session>> {
        self.by_id.remove(&id).flatten()
    }

    /// Hands every client with something to send, or to close, to `take`. Output that tells of
    /// changes is held back up to an offset, if there is one in `hold`, which is told the client.
    /// Redis: being sent something is an interaction too.
    pub fn drain_output(
        &mut self,
        now: MonotonicMillis,
        mut hold: Option<(u64, impl FnMut(ClientId))>,
        mut take: impl FnMut(ClientId, &mut Vec<u8>, Close),
    ) {
        for id in std::mem::take(&mut self.output) {
            if let Some(Some(session)) = self.by_id.get_mut(&id) {
                session.outbox.is_listed = false;
                if session.close == Close::Now {
                    // Redis: half an answer is not sent either.
                    session.outbox.bytes = Vec::new();
                }
                session.last.interaction = now;
                session.outbox.buffer.used(session.outbox.bytes.len());
                let awaits = std::mem::take(&mut session.outbox.awaits_file);
                if session.outbox.held.is_idle() && !(awaits && hold.is_some()) || session.close == Close::Now
                {
                    take(id, &mut session.outbox.bytes, session.close);
                } else {
                    session.outbox.held.release_into(|bytes| take(id, bytes, Close::No));
                    match &mut hold {
                        Some((end, note)) if awaits => {
                            session.outbox.held.push(*end, &mut session.outbox.bytes);
                            note(id);
                        }
                        _ if !session.outbox.held.is_empty() => {
                            session.outbox.held.append(&mut session.outbox.bytes)
                        }
                        _ => take(id, &mut session.outbox.bytes, session.close),
                    }
                }
                session.trim_outbox();
            }
        }
    }

    /// Takes those off the list whose output tells of changes and is to be sent: what they tell of
    /// is not on its way to the file yet. [`Clients::list_again`] ends that.
    #[must_use]
    pub fn unlist_awaiting(&mut self) -> Vec<ClientId> {
        let by_id = &self.by_id;
        let awaits = |id: &mut ClientId| match by_id.get(id) {
            Some(Some(session)) => session.outbox.awaits_file && session.close != Close::Now,
            _ => false,
        };
        self.output.extract_if(.., awaits).collect()
    }

    /// Puts those on the list again that [`Clients::unlist_awaiting`] took off it.
    pub fn list_again(&mut self, ids: Vec<ClientId>) {
        self.output.extend(ids);
    }

    /// Releases what was held back of a client's answers up to `offset`.
    pub fn release_held(&mut self, id: ClientId, offset: u64) {
        if let Some(Some(session)) = self.by_id.get_mut(&id) {
            session.outbox.held.release(offset);
            Self::list(&mut self.output, session);
        }
    }

    /// Notes that the client has something to send, or is to be closed.
    pub(super) fn list(output: &mut Vec<ClientId>, session: &mut Session) {
        if !session.outbox.is_listed {
            session.outbox.is_listed = true;
            output.push(session.id);
        }
    }
}
