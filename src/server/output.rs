//! Output on its way to clients: delivers messages to others, and closes clients that do not take
//! theirs.
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
//!
//! [`Clients`]: crate::clients::Clients
//! [`Clients::push`]: crate::clients::Clients::push

use super::Rooms;
use super::client_info::info_line;
use super::ctx::Ctx;
use super::machine::Server;
use crate::clients::{Close, Session};
use crate::resp::{Broadcast, Reply};

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
        for id in rooms.clients.take_undecided() {
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
