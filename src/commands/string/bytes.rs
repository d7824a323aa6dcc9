//! Parts of strings: APPEND, SETRANGE, GETRANGE, SUBSTR, STRLEN.
//!
//! A string grows to `proto-max-bulk-len` and no further, whatever offset a client names.

use crate::config::NotifyClasses;
use crate::keyspace::{Ttl, string};
use crate::server::{Args, CommandError, CommandResult, Ctx};
use std::ops::Range;

pub(super) fn append(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, value) = (args.key(), args.key());
    let old_len = ctx.db.string_for_update(key)?.map(<[u8]>::len);
    let len = match old_len {
        None => {
            ctx.db.set_string(key, value, Ttl::Clear);
            value.len()
        }
        Some(old_len) => {
            let len = checked_len(ctx, old_len, value.len())?;
            ctx.db.edit_string(key, |bytes| string::append(bytes, value))?;
            len
        }
    };
    ctx.changed(NotifyClasses::STRING, "append", key);
    ctx.reply.count(len);
    Ok(())
}

pub(super) fn setrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, offset, value) = (args.key(), args.int()?, args.key());
    let Ok(offset) = usize::try_from(offset) else {
        return Err(CommandError::fixed("ERR offset is out of range"));
    };
    let old_len = ctx.db.string_for_update(key)?.map_or(0, <[u8]>::len);
    if value.is_empty() {
        // Redis: an empty value changes nothing, and creates nothing, at whatever offset.
        ctx.reply.count(old_len);
        return Ok(());
    }
    let end = checked_len(ctx, offset, value.len())?;
    let len = ctx.db.edit_string(key, |bytes| {
        string::grow(bytes, end);
        bytes[offset..end].copy_from_slice(value);
        bytes.len()
    })?;
    ctx.changed(NotifyClasses::STRING, "setrange", key);
    ctx.reply.count(len);
    Ok(())
}

pub(super) fn getrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, start, end) = (args.key(), args.int()?, args.int()?);
    let bytes = ctx.db.string(key)?.unwrap_or_default();
    ctx.reply.bulk(&bytes[range_of(start, end, bytes.len())]);
    Ok(())
}

pub(super) fn substr(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    getrange(ctx, args)
}

pub(super) fn strlen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let len = ctx.db.string(args.key())?.map_or(0, <[u8]>::len);
    ctx.reply.count(len);
    Ok(())
}

/// The sum of two lengths, unless a string that long is not allowed. A length that the primary or
/// the append-only file gives was allowed once and is not asked again.
fn checked_len(ctx: &Ctx<'_>, one: usize, two: usize) -> Result<usize, CommandError> {
    let limit = if ctx.must_obey() { u64::MAX } else { ctx.rooms.config.proto_max_bulk_len };
    match one.checked_add(two) {
        Some(len) if len as u64 <= limit => Ok(len),
        _ => Err(CommandError::StringTooLong),
    }
}

/// The bytes that `start` and `end` mean, both included, negative ones counted from the end.
fn range_of(start: i64, end: i64, len: usize) -> Range<usize> {
    // Redis: two negative indexes in the wrong order are empty even where clamping would make
    // them the first byte.
    if len == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let place = |index: i64| match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => len.saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    let (start, end) = (place(start), place(end).min(len - 1));
    if start > end { 0..0 } else { start..end + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::TestServer;

    #[test]
    fn append_creates_and_extends() {
        let mut server = TestServer::new();
        assert_eq!(server.run("APPEND k \"\""), "(integer) 0");
        assert_eq!(server.run("GET k"), "\"\"");
        assert_eq!(server.run("APPEND k 12"), "(integer) 2");
        assert_eq!(server.run("APPEND k 34"), "(integer) 4");
        assert_eq!(server.run("GET k"), "\"1234\"");
        assert_eq!(server.effects(), "SELECT 0 | APPEND k \"\" | APPEND k 12 | APPEND k 34");
    }

    #[test]
    fn append_keeps_the_deadline() {
        let mut server = TestServer::new();
        server.run("SET k 1 PX 100");
        server.run("APPEND k 2");
        server.run("SETRANGE k 1 34");
        assert_eq!(server.run("GET k"), "\"134\"");
        server.advance(101);
        assert_eq!(server.run("GET k"), "(nil)");
    }

    #[test]
    fn a_long_string_grows_in_place() {
        let mut server = TestServer::new();
        let mut expected = Vec::new();
        for round in 0..60_u8 {
            let part = vec![round; 100];
            expected.extend_from_slice(&part);
            server.run_args(&[b"APPEND", b"k", &part]);
        }
        server.run("SETRANGE k 5998 xyz");
        expected.truncate(5998);
        expected.extend_from_slice(b"xyz");
        let db = &mut server.server.keyspace;
        assert_eq!(db.string(b"k"), Ok(Some(&expected[..])));
    }

    #[test]
    fn setrange_fills_gaps_with_zeros() {
        let mut server = TestServer::new();
        assert_eq!(server.run("SETRANGE k 2 ab"), "(integer) 4");
        assert_eq!(server.run("GET k"), "\"\\x00\\x00ab\"");
        assert_eq!(server.run("SETRANGE k 1 x"), "(integer) 4");
        assert_eq!(server.run("GET k"), "\"\\x00xab\"");
        assert_eq!(server.effects(), "SELECT 0 | SETRANGE k 2 ab | SETRANGE k 1 x");
    }

    #[test]
    fn setrange_of_nothing_does_nothing() {
        let mut server = TestServer::new();
        assert_eq!(server.run("SETRANGE k 5 \"\""), "(integer) 0");
        assert_eq!(server.run("GET k"), "(nil)");
        server.run("SET k abc");
        server.effects();
        assert_eq!(server.run("SETRANGE k 999999999999 \"\""), "(integer) 3");
        assert_eq!(server.run("SETRANGE k -1 \"\""), "(error) ERR offset is out of range");
        assert_eq!(server.effects(), "");
    }

    #[test]
    fn no_string_outgrows_the_limit() {
        let too_long = "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        let mut server = TestServer::with(|config| config.proto_max_bulk_len = 1 << 20);
        assert_eq!(server.run("SETRANGE k 1048575 a"), "(integer) 1048576");
        for line in [
            "SETRANGE k 1048576 a",
            "SETRANGE k 9223372036854775807 a",
            "SETRANGE other 1048576 a",
            "APPEND k a",
        ] {
            assert_eq!(server.run(line), too_long, "{line}");
        }
        assert_eq!(server.run("STRLEN k"), "(integer) 1048576");
        assert_eq!(server.run("STRLEN other"), "(integer) 0");
    }

    #[test]
    fn ranges_count_from_both_ends() {
        let rows: [(i64, i64, &str); 12] = [
            (0, 3, "Hell"),
            (0, -1, "Hello"),
            (-3, -1, "llo"),
            (-3, -5, ""),
            (3, 1, ""),
            (5, 9, ""),
            (4, 9, "o"),
            (-9, 0, "H"),
            (-9, -8, "H"),
            (-8, -9, ""),
            (i64::MIN, i64::MAX, "Hello"),
            (0, -100, "H"),
        ];
        for (start, end, expected) in rows {
            assert_eq!(&"Hello"[range_of(start, end, 5)], expected, "{start} {end}");
        }
        assert_eq!(range_of(0, -1, 0), 0..0);
    }

    #[test]
    fn a_missing_string_is_empty() {
        let mut server = TestServer::new();
        assert_eq!(server.run("GETRANGE k 0 -1"), "\"\"");
        assert_eq!(server.run("SUBSTR k 0 -1"), "\"\"");
        assert_eq!(server.run("STRLEN k"), "(integer) 0");
        assert_eq!(server.run("GETRANGE k a 1"), "(error) ERR value is not an integer or out of range");
    }
}
