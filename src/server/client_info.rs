//! A client in one line: what CLIENT LIST shows and the log says; and the class it belongs to.

use super::session::{Close, Session};
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
pub fn info_line(session: &Session, now_ms: i64) -> String {
    let gauges = &session.connection.gauges;
    let query_buffer = gauges.query_buffer.load(Ordering::Relaxed) + session.pending_bytes();
    let query_buffer_free = gauges.query_buffer_free.load(Ordering::Relaxed);
    let pending_output = gauges.pending_output.load(Ordering::Relaxed);
    let argv_bytes = session.parked.as_ref().map_or(0, |parked| parked.argv.heap_bytes());
    let total = session.heap_bytes();
    let flags = flags(session);
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub={} psub={} ssub={} multi=-1 \
         qbuf={query_buffer} qbuf-free={query_buffer_free} argv-mem={argv_bytes} multi-mem=0 rbs={} rbp={} obl={} oll={} \
         omem={pending_output} tot-mem={total} events={} cmd={} user={} redir=-1 resp={}",
        session.id.0,
        session.connection.addr,
        session.connection.laddr,
        session.connection.fd,
        String::from_utf8_lossy(&session.name),
        (now_ms - session.created.0) / 1000,
        (now_ms - session.last_interaction.0) / 1000,
        session.db.0,
        session.subscribed.channels,
        session.subscribed.patterns,
        session.subscribed.shards,
        session.outbox.capacity(),
        session.outbox.len(),
        session.outbox.len(),
        usize::from(pending_output > 0),
        if pending_output > 0 { "rw" } else { "r" },
        session.last_command.map_or("NULL", |command| command.spec.name),
        String::from_utf8_lossy(&session.user),
        session.protocol.number(),
    )
}

fn flags(session: &Session) -> String {
    let rows = [
        ('O', session.is_monitor),
        ('P', !session.subscribed.is_zero()),
        ('b', session.parked.is_some()),
        ('c', session.close == Close::AfterFlush),
        ('A', session.close == Close::Now),
        ('U', session.connection.unix),
        ('e', session.no_evict),
    ];
    let flags: String = rows.iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag).collect();
    if flags.is_empty() { "N".to_string() } else { flags }
}
