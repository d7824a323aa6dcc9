//! What is on its way to clients: delivering to others, and closing who does not take it.
//!
//! A message for many (a published one, an invalidation) is a [`Broadcast`], delivered by
//! [`Clients::push`]. The client whose command runs is taken out of [`Clients`] for that time, so
//! what is delivered to it, mostly by itself, is laid *aside* and placed by `call`: in front of the
//! answer if nothing of that is written yet, else behind it. Redis appends it wherever the answer
//! stands, which can be in the middle; newer ones wait until it ends.
//!
//! `client-output-buffer-limit` bounds what waits for a client, by class. The hard limit is looked
//! at with every delivery, so that not even one endless transaction grows the outbox of a silent
//! subscriber; the soft one at the end of a turn and ten times a second.

use super::Rooms;
use super::client_info::{ClientClass, info_line};
use super::ctx::Ctx;
use super::machine::Server;
use super::session::{Clients, Close, ReplyMode, Session};
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::config::{BufferLimit, BufferLimits};
use crate::resp::{Broadcast, Protocol, Reply};

/// What was delivered to a client that is taken out, in both protocols: its own is not at hand.
#[derive(Debug)]
pub(super) struct Aside {
    id: ClientId,
    bytes: [Vec<u8>; 2],
}

/// Bytes laid aside for one client before it counts as one that takes nothing. A client that
/// publishes to itself in an endless script has no outbox yet that a limit could be held against.
const MAX_ASIDE_BYTES: usize = 512 << 20;

impl Clients {
    /// Appends `message`, in its protocol, to a client's output. Returns whether the client is
    /// there to get it.
    pub fn push(&mut self, id: ClientId, message: &mut Broadcast<'_>) -> bool {
        match self.by_id.get_mut(&id) {
            None => return false,
            Some(None) => self.lay_aside(id, message),
            Some(Some(session)) => {
                if session.close != Close::No {
                    return false;
                }
                session.outbox.extend_from_slice(message.bytes(session.protocol));
                session.awaits_file |= self.in_doubt;
                if is_over_hard(session, &self.limits) {
                    session.give_up();
                    self.overfull.push(id);
                }
                Self::list(&mut self.output, session);
            }
        }
        true
    }

    fn lay_aside(&mut self, id: ClientId, message: &mut Broadcast<'_>) {
        let place = match self.aside.iter().position(|aside| aside.id == id) {
            Some(place) => place,
            None => {
                self.aside.push(Aside { id, bytes: [Vec::new(), Vec::new()] });
                self.aside.len() - 1
            }
        };
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let bytes = &mut self.aside[place].bytes[protocol as usize];
            if bytes.len() < MAX_ASIDE_BYTES {
                bytes.extend_from_slice(message.bytes(protocol));
            }
        }
    }

    /// Whether a client is there and not about to be closed.
    pub(super) fn is_open(&self, id: ClientId) -> bool {
        let place = self.by_id.get(&id);
        place.is_some_and(|session| session.as_ref().is_none_or(|session| session.close == Close::No))
    }

    /// Whether something waits for clients that are taken out.
    #[inline]
    pub(super) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// What was laid aside for a client that is taken out.
    pub(super) fn take_aside(&mut self, id: ClientId, protocol: Protocol) -> Vec<u8> {
        let Some(place) = self.aside.iter().position(|aside| aside.id == id) else { return Vec::new() };
        let [resp2, resp3] = self.aside.swap_remove(place).bytes;
        if protocol == Protocol::Resp2 { resp2 } else { resp3 }
    }

    /// Sets the limits of what may wait for a client.
    pub(super) fn set_limits(&mut self, limits: BufferLimits) {
        self.limits = limits;
    }

    /// Closes a client that is taken out if its answers alone are beyond its hard limit: one read
    /// can bring thousands of commands.
    #[inline]
    pub(super) fn limit_answers(&mut self, session: &mut Session, answers: &mut Vec<u8>) {
        let hard = limit_of(session, &self.limits).hard_bytes;
        if hard > 0 && counted(answers.len()) >= hard && session.close != Close::Now {
            session.give_up();
            *answers = Vec::new();
            self.overfull.push(session.id);
        }
    }

    /// Closes clients for whom more waits than their class allows, at once or for too long. Looks
    /// at those who have just got something, or with `all` at everybody. Returns who was closed.
    fn close_slow(&mut self, now: MonotonicMillis, all: bool) -> Vec<ClientId> {
        let limits = self.limits;
        let mut closed = std::mem::take(&mut self.overfull);
        let limited = [limits.normal, limits.pubsub, limits.replica];
        if limited.iter().all(|limit| limit.hard_bytes == 0 && limit.soft_bytes == 0) {
            return closed;
        }
        let ids: Vec<ClientId> = if all { self.by_id.keys().copied().collect() } else { self.output.clone() };
        for id in ids {
            if let Some(Some(session)) = self.by_id.get_mut(&id)
                && session.close != Close::Now
                && session.is_too_slow(limit_of(session, &limits), now)
            {
                session.give_up();
                Self::list(&mut self.output, session);
                closed.push(id);
            }
        }
        closed
    }
}

/// What may wait for a client that has not logged in: it gets nothing but errors, and whoever does
/// not read them shall not fill the memory.
const BEFORE_LOGIN: BufferLimit = BufferLimit { hard_bytes: 64 << 10, soft_bytes: 0, soft_secs: 0 };

fn limit_of(session: &Session, limits: &BufferLimits) -> BufferLimit {
    if session.must_log_in {
        return BEFORE_LOGIN;
    }
    match ClientClass::of(session) {
        ClientClass::Normal | ClientClass::Master => limits.normal,
        ClientClass::Replica => limits.replica,
        ClientClass::Pubsub => limits.pubsub,
    }
}

/// What fits a client's first buffer, bytes. Redis: no client is closed for that much, however low
/// its limit is.
const FIRST_BUFFER_BYTES: usize = 16 << 10;

/// What counts of the bytes that wait for a client.
fn counted(waiting: usize) -> u64 {
    if waiting <= FIRST_BUFFER_BYTES { 0 } else { waiting as u64 }
}

fn is_over_hard(session: &Session, limits: &BufferLimits) -> bool {
    let hard = limit_of(session, limits).hard_bytes;
    hard > 0 && counted(session.output_bytes()) >= hard
}

impl Session {
    /// Whether more waits for the client than `limit` allows, at once or for too long.
    fn is_too_slow(&mut self, limit: BufferLimit, now: MonotonicMillis) -> bool {
        let waiting = counted(self.output_bytes());
        if limit.soft_bytes == 0 || waiting < limit.soft_bytes {
            self.slow_since = None;
        }
        let over_soft = limit.soft_bytes > 0 && waiting >= limit.soft_bytes;
        let since = if over_soft { *self.slow_since.get_or_insert(now) } else { now };
        let over_hard = limit.hard_bytes > 0 && waiting >= limit.hard_bytes;
        over_hard || (over_soft && now.secs_since(since) > limit.soft_secs)
    }

    /// Ends the connection; what it did not take it will not get.
    fn give_up(&mut self) {
        self.close = Close::Now;
        self.outbox = Vec::new();
    }

    /// Whether answers are not sent, by CLIENT REPLY. Messages are.
    fn is_silenced(&self) -> bool {
        matches!(self.reply_mode, ReplyMode::Off | ReplyMode::Skip)
    }
}

impl Server {
    /// Ends the connections of clients over `client-output-buffer-limit`.
    pub(super) fn close_slow_clients(&mut self, all: bool) {
        let rooms = &mut self.rooms;
        for id in rooms.clients.close_slow(rooms.time.monotonic, all) {
            rooms.stats.counters.output_limit_disconnections += 1;
            let Some(session) = rooms.clients.get(id) else { continue };
            let client = info_line(rooms, session);
            if all {
                log::warn!("Client {client} closed for overcoming of output buffer limits.");
            } else {
                log::warn!(
                    "Client {client} scheduled to be closed ASAP for overcoming of output buffer limits."
                );
            }
        }
    }

    /// Ends the connections of clients that cannot be told whether a message is theirs.
    pub(super) fn close_undecided_clients(&mut self) {
        let rooms = &mut self.rooms;
        for id in std::mem::take(&mut rooms.clients.undecided) {
            let Some(session) = rooms.clients.get(id) else { continue };
            let client = info_line(rooms, session);
            log::warn!("Client {client} closed: its pattern takes too long to match with a channel as long.");
            rooms.close_client(id, Close::Now);
        }
    }
}

impl Ctx<'_> {
    /// A message to the client itself, which is sent whatever CLIENT REPLY says.
    pub fn push(&mut self, write: impl Fn(&mut Reply<'_>)) {
        if self.session.is_silenced() {
            self.rooms.clients.push(self.session.id, &mut Broadcast::new(&write));
        } else {
            write(&mut self.reply);
        }
    }

    /// Places what the command has delivered to its own client, if nothing is answered yet.
    #[inline]
    pub(super) fn place_own(&mut self) {
        if self.rooms.clients.has_aside() && self.reply.is_untouched() {
            prepend_own(self.rooms, self.session, &mut self.reply);
        }
    }
}

/// Puts what was delivered to the running command's own client in front of the answer.
#[inline]
pub(super) fn prepend_own(rooms: &mut Rooms, session: &Session, reply: &mut Reply<'_>) {
    if rooms.clients.has_aside() && !session.is_silenced() {
        reply.prepend(&rooms.clients.take_aside(session.id, session.protocol));
    }
}

/// Puts what was delivered to the running command's own client behind the answer.
#[inline]
pub(super) fn append_own(rooms: &mut Rooms, session: &Session, reply: &mut Reply<'_>) {
    if rooms.clients.has_aside() && !session.is_silenced() {
        reply.raw(&rooms.clients.take_aside(session.id, session.protocol));
    }
}
