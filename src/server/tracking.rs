//! Client-side caching: what joins [`tracking`](crate::tracking), which knows who has read what,
//! with the clients.
//!
//! A client's own changes are told to it behind the whole answer of its command, transaction or
//! script, everybody else's at once; those of the broadcasting mode at the end of the turn. A RESP3
//! client gets a push; a RESP2 client can only have another one listen for it, to the channel
//! `__redis__:invalidate`.

use super::Rooms;
use super::command::Command;
use super::ctx::Ctx;
use super::held::Cause;
use super::machine::Server;
use super::origin::Origin;
use crate::base::ClientId;
use crate::clients::Session;
use crate::resp::{Argv, Broadcast, Protocol, Reply};
use crate::spec::{KEEPS_CACHING, PUBSUB, READONLY, RUNS_SCRIPT};
use crate::tracking::{Broadcasted, Mode, OwnTracking};

/// The channel on which a RESP2 client hears of changes.
const CHANNEL: &[u8] = b"__redis__:invalidate";

impl Rooms {
    /// Tells who tracks `key` that it changed: by the running command, or by itself.
    pub(super) fn invalidate(&mut self, key: &[u8], cause: Cause) {
        if let Some(held) = &mut self.held {
            return held.invalidate(key, cause);
        }
        let by = self.tracking.executing.filter(|_| cause == Cause::Command);
        for reader in self.tracking.tables.invalidate(key, by) {
            self.tell_or_wait(reader, key);
        }
    }

    fn tell_or_wait(&mut self, reader: ClientId, key: &[u8]) {
        if self.tracking.executing == Some(reader) {
            self.tracking.pending.push(Some(key.to_vec()));
        } else {
            self.tell(reader, &keys_payload([key].into_iter()));
        }
    }

    /// Tells everybody who tracks to forget everything.
    pub(super) fn invalidate_all(&mut self) {
        if let Some(held) = &mut self.held {
            return held.invalidate_all();
        }
        let trackers: Vec<_> = self.tracking.tables.clients().collect();
        for tracker in trackers {
            if self.tracking.executing == Some(tracker) {
                self.tracking.pending.push(None);
            } else {
                // Redis: null as the client that tracks spells it, not the one that listens for it.
                let protocol = self.clients.get(tracker).map_or(Protocol::Resp2, |session| session.protocol);
                self.tell(tracker, &null_payload(protocol));
            }
        }
        self.tracking.tables.clear();
    }

    /// Sends `payload`, keys or null, to a client that tracks or to who listens for it.
    fn tell(&mut self, tracker: ClientId, payload: &[u8]) {
        let Some(mode) = self.tracking.tables.mode(tracker) else { return };
        let is_redirected = mode.redirect != 0;
        let target = ClientId(if is_redirected { mode.redirect } else { tracker.0 });
        if is_redirected && !self.clients.is_open(target) {
            return self.tell_redirect_is_broken(tracker, mode.redirect);
        }
        let listens = is_redirected && !self.pubsub.counts(target).is_zero();
        let write = |reply: &mut Reply<'_>| match reply.protocol() {
            Protocol::Resp3 => {
                reply.push(2);
                reply.bulk(b"invalidate");
                reply.raw(payload);
            }
            Protocol::Resp2 if listens => {
                reply.push(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
                reply.raw(payload);
            }
            // A RESP2 client without one that listens for it cannot be told.
            Protocol::Resp2 => {}
        };
        self.clients.push(target, &mut Broadcast::new(&write));
    }

    fn tell_redirect_is_broken(&mut self, tracker: ClientId, redirect: u64) {
        self.tracking.tables.redirect_is_broken(tracker);
        let mode = self.tracking.tables.mode(tracker);
        if let Some(session) = self.clients.get_mut(tracker) {
            session.tracking.mode = mode;
        }
        let write = |reply: &mut Reply<'_>| {
            if reply.protocol() == Protocol::Resp3 {
                reply.push(2);
                reply.bulk(b"tracking-redir-broken");
                reply.integer(i64::try_from(redirect).unwrap_or(i64::MAX));
            }
        };
        self.clients.push(tracker, &mut Broadcast::new(&write));
    }

    /// Keeps the invalidation table below `tracking-table-max-keys`.
    pub(super) fn limit_tracking_table(&mut self) {
        let max_keys = self.config.tracking_table_max_keys;
        for (key, readers) in self.tracking.tables.evict(max_keys, &mut self.random) {
            for reader in readers {
                self.tell_or_wait(reader, &key);
            }
        }
    }

    /// Forgets a client that is gone.
    pub(super) fn end_tracking_of(&mut self, id: ClientId) {
        self.tracking.tables.disable(id);
    }
}

/// Keys as a client is told of them; the same bytes in both protocols.
fn keys_payload<'k>(keys: impl ExactSizeIterator<Item = &'k [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut reply = Reply::new(&mut payload, Protocol::Resp2);
    reply.array(keys.len());
    keys.for_each(|key| reply.bulk(key));
    payload
}

fn null_payload(protocol: Protocol) -> Vec<u8> {
    let mut payload = Vec::new();
    Reply::new(&mut payload, protocol).null();
    payload
}

/// Before a command of a client: says whose it is.
#[inline]
pub(super) fn begin(rooms: &mut Rooms, id: ClientId) -> Option<ClientId> {
    rooms.tracking.executing.replace(id)
}

/// After a command that has run: remembers what it has read.
#[inline]
pub(super) fn remember(
    rooms: &mut Rooms,
    session: &Session,
    command: &Command,
    argv: Argv<'_>,
    origin: Origin,
) {
    let flags = command.spec.flags;
    let is_own = origin != Origin::Script && !flags.contains(RUNS_SCRIPT);
    if session.tracking.mode.is_some() && is_own && flags.contains(READONLY) {
        remember_keys(rooms, session, command, argv);
    }
}

/// Before a script calls a command that reads: remembers the keys that the script was given. Redis:
/// whatever the command reads.
#[inline]
pub(super) fn remember_declared(rooms: &mut Rooms, session: &Session, keys: &[&[u8]]) {
    if session.tracking.mode.is_some() && session.tracking.remembers() {
        keys.iter().for_each(|key| rooms.tracking.tables.remember(session.id, key));
    }
}

fn remember_keys(rooms: &mut Rooms, session: &Session, command: &Command, argv: Argv<'_>) {
    // Shard channels look like keys in the key specs, but nothing is read there.
    if !session.tracking.remembers() || command.spec.flags.contains(PUBSUB) {
        return;
    }
    for key in command.spec.find_keys(argv) {
        rooms.tracking.tables.remember(session.id, argv.at(key.index));
    }
}

/// After a client's command with all it led to: tells it of its own changes. `command` is what ran,
/// `before` what [`begin`] gave.
#[inline]
pub(super) fn end(
    rooms: &mut Rooms,
    session: &mut Session,
    command: Option<&Command>,
    before: Option<ClientId>,
) {
    rooms.tracking.executing = before;
    if rooms.tracking.tables.is_active() {
        end_tracked(rooms, session, command);
    }
}

fn end_tracked(rooms: &mut Rooms, session: &mut Session, command: Option<&Command>) {
    for key in std::mem::take(&mut rooms.tracking.pending) {
        let payload = match key {
            Some(key) => keys_payload([&key[..]].into_iter()),
            None => null_payload(session.protocol),
        };
        rooms.tell(session.id, &payload);
    }
    session.tracking.mode = rooms.tracking.tables.mode(session.id);
    // CLIENT CACHING holds for the next command or transaction. Redis: no subcommand of CLIENT is
    // one.
    let keeps_caching = command.is_some_and(|command| command.spec.flags.contains(KEEPS_CACHING));
    if session.multi.is_none() && !keeps_caching {
        session.tracking.caching = false;
    }
}

impl Server {
    /// Tells clients in broadcasting mode of the keys that changed in this turn.
    pub(super) fn broadcast_invalidations(&mut self) {
        if !self.rooms.tracking.tables.is_active() {
            return;
        }
        self.rooms.clients.in_doubt = self.rooms.persistence.aof.has_unsynced();
        for Broadcasted { keys, clients } in self.rooms.tracking.tables.take_broadcasts() {
            let payload = keys_payload(keys.iter().map(|key| &**key));
            for client in clients {
                self.rooms.tell(client, &payload);
            }
        }
    }
}

impl Ctx<'_> {
    /// Begins to track for this client. Source: CLIENT TRACKING ON.
    pub fn track<'p>(&mut self, mode: Mode, prefixes: impl Iterator<Item = &'p [u8]>) {
        let tables = &mut self.rooms.tracking.tables;
        self.session.tracking.prefix_bytes += tables.enable(self.session.id, mode, prefixes);
        self.session.tracking.mode = Some(mode);
    }

    /// Ends tracking for this client. Source: CLIENT TRACKING OFF, RESET.
    pub fn end_tracking(&mut self) {
        self.rooms.end_tracking_of(self.session.id);
        self.session.tracking = OwnTracking::default();
    }
}
