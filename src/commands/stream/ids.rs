//! The notation of IDs: `ms-seq`, `ms` alone, and the words that stand for one.

use crate::base::number::parse_u64;
use crate::keyspace::StreamId;
use crate::server::{Args, CommandError};

/// Redis: nothing longer is looked at.
const MAX_ID_BYTES: usize = 127;

/// The error of whatever is no ID.
pub(super) fn invalid_id() -> CommandError {
    CommandError::fixed("ERR Invalid stream ID specified as stream command argument")
}

/// An ID, whose sequence number is `missing_seq` if only the milliseconds are given.
pub(super) fn parse_id(text: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match parse_parts(text)? {
        (ms, Some(seq)) => Ok(StreamId { ms, seq: parse_u64(seq).ok_or_else(invalid_id)? }),
        (ms, None) => Ok(StreamId { ms, seq: missing_seq }),
    }
}

/// As [`parse_id`], and `-` and `+` stand for the first and the last ID.
pub(super) fn parse_id_or_end(text: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match text {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => parse_id(text, missing_seq),
    }
}

/// IDs to the end.
pub(super) fn parse_ids(args: Args<'_>) -> Result<Vec<StreamId>, CommandError> {
    args.rest().map(|text| parse_id(text, 0)).collect()
}

/// The ID of an entry to be added, as far as the client chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: the time, or what follows the last ID.
    Any,
    /// `ms-*`: the next of this millisecond.
    AnyOf(u64),
    /// This one.
    Exactly(StreamId),
}

impl NewId {
    pub(super) fn parse(text: &[u8]) -> Result<NewId, CommandError> {
        if text == b"*" {
            return Ok(NewId::Any);
        }
        match parse_parts(text)? {
            (ms, Some(b"*")) => Ok(NewId::AnyOf(ms)),
            _ => parse_id(text, 0).map(NewId::Exactly),
        }
    }
}

/// The first ID of an interval: a bracket before it leaves it out.
pub(super) fn parse_start(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => parse_id(id, 0)?
            .next()
            .ok_or_else(|| CommandError::fixed("ERR invalid start ID for the interval")),
        _ => parse_id_or_end(text, 0),
    }
}

/// The last ID of an interval: a bracket before it leaves it out.
pub(super) fn parse_end(text: &[u8]) -> Result<StreamId, CommandError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => parse_id(id, u64::MAX)?
            .previous()
            .ok_or_else(|| CommandError::fixed("ERR invalid end ID for the interval")),
        _ => parse_id_or_end(text, u64::MAX),
    }
}

/// Milliseconds, and what is written behind the dash. Redis takes an ID for a C string: what
/// follows a zero byte is not seen.
fn parse_parts(text: &[u8]) -> Result<(u64, Option<&[u8]>), CommandError> {
    if text.len() > MAX_ID_BYTES {
        return Err(invalid_id());
    }
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let dash = text.iter().position(|&byte| byte == b'-');
    let (ms, seq) = match dash {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    Ok((parse_u64(ms).ok_or_else(invalid_id)?, seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    #[test]
    fn ids_are_read_as_redis_reads_them() {
        for (text, wanted) in [
            ("5", Some(id(5, 9))),
            ("5-6", Some(id(5, 6))),
            ("0-0", Some(id(0, 0))),
            ("18446744073709551615-18446744073709551615", Some(StreamId::MAX)),
            ("18446744073709551616", None),
            (" 5- 6", Some(id(5, 6))),
            ("+5-007", Some(id(5, 7))),
            ("5--1", None),
            ("5- -1", Some(id(5, u64::MAX))),
            ("5\0x", Some(id(5, 9))),
            ("", None),
            ("-", None),
            ("5-", None),
            ("5-6-7", None),
            ("5-*", None),
            ("*", None),
            ("a", None),
        ] {
            assert_eq!(parse_id(text.as_bytes(), 9).ok(), wanted, "{text:?}");
        }
    }

    #[test]
    fn intervals_may_leave_their_ends_out() {
        let start = |text: &str| parse_start(text.as_bytes()).ok();
        let end = |text: &str| parse_end(text.as_bytes()).ok();
        assert_eq!((start("-"), end("+")), (Some(StreamId::MIN), Some(StreamId::MAX)));
        assert_eq!((start("5"), end("5")), (Some(id(5, 0)), Some(id(5, u64::MAX))));
        assert_eq!((start("(5"), end("(5")), (Some(id(5, 1)), Some(id(5, u64::MAX - 1))));
        assert_eq!((start("(18446744073709551615-18446744073709551615"), end("(0-0")), (None, None));
        assert_eq!((start("(-"), end("("), start("(+")), (None, None, None));
    }

    #[test]
    fn new_entries_may_leave_their_ids_to_the_server() {
        let parse = |text: &str| NewId::parse(text.as_bytes()).ok();
        assert_eq!(parse("*"), Some(NewId::Any));
        assert_eq!(parse("7-*"), Some(NewId::AnyOf(7)));
        assert_eq!(parse("7"), Some(NewId::Exactly(id(7, 0))));
        assert_eq!((parse("-"), parse("+"), parse("*-1"), parse("7-**")), (None, None, None, None));
    }
}
