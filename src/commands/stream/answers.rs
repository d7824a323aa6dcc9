//! The form in which entries and IDs are answered.

use crate::commands::answer::reply_text;
use crate::keyspace::StreamId;
use crate::keyspace::stream::StreamEntry;
use crate::resp::Reply;

/// An ID as `ms-seq`.
pub(super) fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.to_text().as_bytes());
}

/// An entry: its ID, then its fields and values in turn.
pub(super) fn reply_entry(reply: &mut Reply<'_>, entry: &StreamEntry<'_>) {
    reply.array(2);
    reply_id(reply, entry.id);
    reply.array(2 * entry.len());
    for (field, value) in entry.fields() {
        reply_text(reply, field);
        reply_text(reply, value);
    }
}
