//! Delivering to clients, and finding those who do not take it.
//!
//! A message for many (a published one, an invalidation) is a [`Broadcast`], delivered by
//! [`Clients::push`]. The client whose command runs is taken out of [`Clients`] for that time, so
//! what is delivered to it, mostly by itself, is laid *aside* and placed by whoever runs it.
//!
//! `client-output-buffer-limit` bounds what waits for a client, by class. The hard limit is looked
//! at with every delivery, so that not even one endless transaction grows the outbox of a silent
//! subscriber; the soft one when [`Clients::close_slow`] is called.

use super::class::ClientClass;
use super::connection::{Close, ReplyMode};
use super::registry::Clients;
use super::session::Session;
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::config::{BufferLimit, BufferLimits};
use crate::resp::{Broadcast, Protocol};

/// Messages delivered to a client that is taken out, in both protocols: its own is not at hand.
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
                session.outbox.bytes.extend_from_slice(message.bytes(session.protocol));
                session.outbox.awaits_file |= self.in_doubt;
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

    /// True when a client is there and not about to be closed.
    pub fn is_open(&self, id: ClientId) -> bool {
        let place = self.by_id.get(&id);
        place.is_some_and(|session| session.as_ref().is_none_or(|session| session.close == Close::No))
    }

    /// True when something waits for clients that are taken out.
    #[inline]
    pub fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// Takes the messages laid aside for a client that is taken out.
    pub fn take_aside(&mut self, id: ClientId, protocol: Protocol) -> Vec<u8> {
        let Some(place) = self.aside.iter().position(|aside| aside.id == id) else { return Vec::new() };
        let [resp2, resp3] = self.aside.swap_remove(place).bytes;
        if protocol == Protocol::Resp2 { resp2 } else { resp3 }
    }

    /// Sets the limits of what may wait for a client.
    pub fn set_limits(&mut self, limits: BufferLimits) {
        self.limits = limits;
    }

    /// Closes a client that is taken out if its answers alone are beyond its hard limit: one read
    /// can bring thousands of commands.
    #[inline]
    pub fn limit_answers(&mut self, session: &mut Session, answers: &mut Vec<u8>) {
        let hard = limit_of(session, &self.limits).hard_bytes;
        if hard > 0 && counted(answers.len()) >= hard && session.close != Close::Now {
            session.give_up();
            *answers = Vec::new();
            self.overfull.push(session.id);
        }
    }

    /// Closes clients for whom more waits than their class allows, at once or for too long. Looks
    /// at those who have just got something, or with `all` at everybody. Returns who was closed.
    pub fn close_slow(&mut self, now: MonotonicMillis, all: bool) -> Vec<ClientId> {
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

/// The most that may wait for a client that has not logged in: it gets nothing but errors, and
/// whoever does not read them shall not fill the memory.
const BEFORE_LOGIN: BufferLimit = BufferLimit { hard_bytes: 64 << 10, soft_bytes: 0, soft_secs: 0 };

fn limit_of(session: &Session, limits: &BufferLimits) -> BufferLimit {
    if session.login.must_log_in {
        return BEFORE_LOGIN;
    }
    match ClientClass::of(session) {
        ClientClass::Normal | ClientClass::Master => limits.normal,
        ClientClass::Replica => limits.replica,
        ClientClass::Pubsub => limits.pubsub,
    }
}

/// The bytes that fit a client's first buffer. Redis: no client is closed for that much, however
/// low its limit is.
const FIRST_BUFFER_BYTES: usize = 16 << 10;

/// Returns the part that counts of the bytes that wait for a client.
fn counted(waiting: usize) -> u64 {
    if waiting <= FIRST_BUFFER_BYTES { 0 } else { waiting as u64 }
}

fn is_over_hard(session: &Session, limits: &BufferLimits) -> bool {
    let hard = limit_of(session, limits).hard_bytes;
    hard > 0 && counted(session.output_bytes()) >= hard
}

impl Session {
    /// True when more waits for the client than `limit` allows, at once or for too long.
    fn is_too_slow(&mut self, limit: BufferLimit, now: MonotonicMillis) -> bool {
        let waiting = counted(self.output_bytes());
        if limit.soft_bytes == 0 || waiting < limit.soft_bytes {
            self.outbox.slow_since = None;
        }
        let over_soft = limit.soft_bytes > 0 && waiting >= limit.soft_bytes;
        let since = if over_soft { *self.outbox.slow_since.get_or_insert(now) } else { now };
        let over_hard = limit.hard_bytes > 0 && waiting >= limit.hard_bytes;
        over_hard || (over_soft && now.secs_since(since) > limit.soft_secs)
    }

    /// Ends the connection; what it did not take it will not get.
    fn give_up(&mut self) {
        self.close = Close::Now;
        self.outbox.bytes = Vec::new();
    }

    /// True when answers are not sent, by CLIENT REPLY. Messages are.
    #[must_use]
    pub fn is_silenced(&self) -> bool {
        matches!(self.outbox.mode, ReplyMode::Off | ReplyMode::Skip)
    }
}
