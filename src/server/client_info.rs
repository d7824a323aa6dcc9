//! A client in one line: what CLIENT LIST shows and the log says; and the class it belongs to.

use super::Rooms;
use super::session::{Close, Session};
use crate::base::text::lossless;
use std::sync::atomic::Ordering;

/// The classes that limits and filters tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Everybody else.
    Normal,
    /// Our primary.
    Master,
    /// Our replicas.
    Replica,
    /// Who is subscribed to something.
    Pubsub,
}

impl ClientClass {
    /// The class of a client now.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        if session.subscribed.is_zero() { ClientClass::Normal } else { ClientClass::Pubsub }
    }
}

/// One line of CLIENT LIST, without its line end.
#[must_use]
pub fn info_line(rooms: &Rooms, session: &Session) -> String {
    let gauges = &session.connection.gauges;
    let now = rooms.time.monotonic;
    let running = &session.running;
    let pending_output = gauges.pending_output.load(Ordering::Relaxed);
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} \
         qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} \
         omem={} tot-mem={} events={} cmd={} user={} redir={} resp={}",
        session.id.0,
        session.connection.addr,
        session.connection.laddr,
        session.connection.fd,
        lossless(&session.name),
        now.ms_since(session.created) / 1000,
        now.ms_since(session.last_interaction) / 1000,
        flags(rooms, session),
        session.db.0,
        session.subscribed.channels,
        session.subscribed.patterns,
        session.subscribed.shards,
        session.transaction().map_or(-1, |(commands, _)| i64::try_from(commands).unwrap_or(i64::MAX)),
        session.query_buffer_bytes() + running.sent_bytes,
        gauges.query_buffer_free.load(Ordering::Relaxed) + running.free_bytes,
        session.argument_bytes() + running.arguments,
        session.multi_bytes(),
        session.replies.size,
        session.replies.peak.max(running.answered.min(session.replies.size)),
        session.outbox.len() + running.answered,
        gauges.pending_chunks.load(Ordering::Relaxed) + session.held.pieces(),
        pending_output + session.held.bytes(),
        session.heap_bytes(),
        if pending_output > 0 { "rw" } else { "r" },
        session.last_command.map_or("NULL", |command| command.spec.name),
        lossless(&session.user),
        session.redirect(),
        session.protocol.number(),
    )
}

fn flags(rooms: &Rooms, session: &Session) -> String {
    let tracking = session.tracking.mode.unwrap_or_default();
    let rows = [
        ('O', session.is_monitor),
        ('P', !session.subscribed.is_zero()),
        ('x', session.transaction().is_some()),
        ('b', session.parked.is_some()),
        ('t', session.tracking.mode.is_some()),
        ('R', tracking.broken_redirect),
        ('B', tracking.broadcast),
        ('d', rooms.watches.is_dirty(session.id)),
        ('c', session.close == Close::AfterFlush),
        ('A', session.close == Close::Now),
        ('U', session.connection.unix),
        ('e', session.no_evict),
    ];
    let flags: String = rows.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect();
    if flags.is_empty() { "N".to_string() } else { flags }
}
