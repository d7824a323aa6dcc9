//! Answers that several groups give in the same way, and how long they may get.

use crate::clients::Close;
use crate::config::Config;
use crate::ds::listpack::ListpackValue;
use crate::resp::Reply;
use crate::server::Ctx;

/// An element of a collection as a bulk string.
pub(super) fn reply_text(reply: &mut Reply<'_>, text: ListpackValue<'_>) {
    match text {
        ListpackValue::Int(int) => reply.bulk_integer(int),
        ListpackValue::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Answers whose length a client chooses without having that much data (SRANDMEMBER with a negative
/// count) stop when this much waits for the client, which is then closed: its hard limit of
/// `client-output-buffer-limit`, else a limit of our own.
pub(super) fn max_waiting_bytes(config: &Config) -> usize {
    /// The limit in the place of none at all.
    const MAX_WAITING_BYTES: u64 = 512 << 20;
    let hard = config.client_output_buffer_limit.normal.hard_bytes;
    usize::try_from(if hard == 0 { MAX_WAITING_BYTES } else { hard.min(MAX_WAITING_BYTES) })
        .unwrap_or(usize::MAX)
}

/// Closes a client for whom more than [`max_waiting_bytes`] would wait.
pub(super) fn close_overfull(ctx: &mut Ctx<'_>) {
    ctx.session.close = Close::Now;
    ctx.rooms.stats.counters.output_limit_disconnections += 1;
    log::warn!(
        "Client id={} addr={} closed ASAP for overcoming of output buffer limits.",
        ctx.session.id.0,
        ctx.session.connection.addr
    );
}
