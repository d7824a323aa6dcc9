//! Broken requests: their answer, and the lines about them in the log.

use super::client_info::info_line;
use super::rooms::Rooms;
use crate::clients::{Close, Session};
use crate::resp::{Failure, Reply};

/// The answers, and the words that Redis has for them in the log where they differ.
const REASONS: [(&str, &str); 5] = [
    ("expected '$'", "expected $ but got something else"),
    ("invalid multibulk length", "invalid mbulk count"),
    ("unauthenticated multibulk length", "unauth mbulk count"),
    ("unauthenticated bulk length", "unauth bulk length"),
    ("unbalanced quotes in request", "unbalanced quotes in inline request"),
];

/// Answers the request that is broken and ends the connection; the log says who has sent what.
pub(super) fn answer(rooms: &Rooms, session: &mut Session, failure: &Failure, out: &mut Vec<u8>) {
    log(rooms, session, failure);
    Reply::new(out, session.protocol).error(&failure.line);
    session.close = Close::AfterFlush;
}

fn log(rooms: &Rooms, session: &Session, failure: &Failure) {
    let answered = failure.line.trim_start_matches("ERR Protocol error: ");
    let reason = REASONS.iter().find(|(start, _)| answered.starts_with(start));
    let reason = reason.map_or(answered, |(_, reason)| reason);
    log::debug!(
        "Protocol error ({reason}) from client: {}. Query buffer during protocol error: {}",
        info_line(rooms, session),
        shown(failure)
    );
}

/// The bytes that could not be read, as Redis shows them.
fn shown(failure: &Failure) -> String {
    let printable = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '.' };
    let text: String = failure.unread.iter().map(printable).collect();
    let left_out = failure.unread_bytes - failure.unread.len();
    if failure.unread_bytes < 2 * Failure::SHOWN_BYTES {
        return format!("'{text}'");
    }
    let (head, tail) = text.split_at(Failure::SHOWN_BYTES);
    format!("'{head}' (... more {left_out} bytes ...) '{tail}'")
}
