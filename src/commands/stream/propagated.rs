//! The commands that repeat a change of a group's pending entries elsewhere.

use crate::keyspace::stream::{Group, Pending};
use crate::resp::OwnedArgv;

/// A pending entry as it is, as XCLAIM: the same however often it is repeated. If the entry is
/// deleted it ends to be pending. `id` is as the client wrote it.
pub(super) fn as_xclaim(key: &[u8], name: &[u8], group: &Group, pending: &Pending, id: &[u8]) -> OwnedArgv {
    let consumer = group.consumers().get(pending.consumer).map_or(&b""[..], |consumer| consumer.name());
    OwnedArgv::from_parts([
        b"XCLAIM",
        key,
        name,
        consumer,
        b"0",
        id,
        b"TIME",
        itoa::Buffer::new().format(pending.delivered_ms).as_bytes(),
        b"RETRYCOUNT",
        itoa::Buffer::new().format(pending.deliveries as i64).as_bytes(),
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        group.last_id.to_text().as_bytes(),
    ])
}

/// Returns the progress of a group, as XGROUP SETID.
pub(super) fn as_setid(key: &[u8], name: &[u8], group: &Group) -> OwnedArgv {
    let read = group.entries_read.map_or(-1, |read| read as i64);
    OwnedArgv::from_parts([
        &b"XGROUP"[..],
        b"SETID",
        key,
        name,
        group.last_id.to_text().as_bytes(),
        b"ENTRIESREAD",
        itoa::Buffer::new().format(read).as_bytes(),
    ])
}
