//! A client in one line: what CLIENT LIST shows and the log says; and the class it belongs to.

use super::Rooms;
use crate::base::text::lossless;
use crate::clients::{Close, Session};
use std::sync::atomic::Ordering;

/// One line of CLIENT LIST, without its line end.
#[must_use]
pub fn info_line(rooms: &Rooms, session: &Session) -> String {
    let gauges = &session.connection.gauges;
    let now = rooms.time.monotonic;
    let running = &session.requests.running;
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
        now.ms_since(session.last.interaction) / 1000,
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
        session.outbox.buffer.size,
        session.outbox.buffer.peak.max(running.answered.min(session.outbox.buffer.size)),
        session.outbox.bytes.len() + running.answered,
        gauges.pending_chunks.load(Ordering::Relaxed) + session.outbox.held.pieces(),
        pending_output + session.outbox.held.bytes(),
        session.heap_bytes(),
        if pending_output > 0 { "rw" } else { "r" },
        session.last.command.map_or("NULL", |index| rooms.commands.at(index).spec.name),
        lossless(&session.login.user),
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
