//! Changing a list in the middle: LSET, LINSERT, LREM, LTRIM.

use super::{position, range};
use crate::config::NotifyClasses;
use crate::ds::chunk_list::Direction;
use crate::ds::listpack::Needle;
use crate::keyspace::List;
use crate::server::{Args, CommandError, CommandResult, Ctx};

pub(super) fn lset(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let list = ctx.db.write::<List>(key)?.ok_or(CommandError::NoSuchKey)?;
    let index = position(args.int()?, list.elements.len()).ok_or(CommandError::IndexOutOfRange)?;
    list.elements.set(index, args.key());
    ctx.reply.ok();
    ctx.changed(NotifyClasses::LIST, "lset", key);
    Ok(())
}

pub(super) fn linsert(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let after = args.keyword("AFTER");
    if !after && !args.keyword("BEFORE") {
        return Err(CommandError::Syntax);
    }
    let (pivot, element) = (Needle::new(args.key()), args.key());
    let Some(list) = ctx.db.write::<List>(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let Some(index) = list.elements.iter().position(|value| pivot.matches(value)) else {
        ctx.reply.integer(-1);
        return Ok(());
    };
    list.elements.insert_before(index as u64 + u64::from(after), element);
    ctx.reply.count(list.len());
    ctx.changed(NotifyClasses::LIST, "linsert", key);
    Ok(())
}

pub(super) fn lrem(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, count, element) = (args.key(), args.int()?, args.key());
    let Some(list) = ctx.db.write::<List>(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let limit = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let direction = if count < 0 { Direction::Backward } else { Direction::Forward };
    let removed = list.elements.remove_equal(element, limit, direction);
    let emptied = list.is_empty();
    ctx.reply.integer(i64::try_from(removed).unwrap_or(i64::MAX));
    ctx.changed_by(removed, NotifyClasses::LIST, "lrem", key);
    if emptied {
        ctx.remove_emptied(key);
    }
    Ok(())
}

pub(super) fn ltrim(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, start, stop) = (args.key(), args.int()?, args.int()?);
    ctx.reply.ok();
    let Some(list) = ctx.db.write::<List>(key)? else { return Ok(()) };
    let len = list.elements.len();
    let (first, kept) = range(start, stop, len);
    if kept > 0 {
        list.elements.remove_range(first + kept, u64::MAX);
        list.elements.remove_range(0, first);
        // Redis: a list that stays as it is counts as touched, though not as changed.
        ctx.also_changed(ctx.db.index(), NotifyClasses::LIST, "ltrim", key);
        ctx.count_changes(len - kept);
    } else {
        ctx.changed_by(len, NotifyClasses::LIST, "ltrim", key);
        ctx.remove_emptied(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn edits_answer_and_propagate_what_they_did() {
        let mut server = TestServer::new();
        server.run("RPUSH l a b a 7 a");
        server.effects();
        let dirty = server.dirty();
        for (line, answer) in [
            ("LSET l -1 c", "OK"),
            ("LSET l 5 c", "(error) ERR index out of range"),
            ("LSET l x c", "(error) ERR value is not an integer or out of range"),
            ("LSET none x c", "(error) ERR no such key"),
            ("LINSERT l before 7 6", "(integer) 6"),
            ("LINSERT l AFTER c d", "(integer) 7"),
            ("LINSERT l after none d", "(integer) -1"),
            ("LINSERT none after a d", "(integer) 0"),
            ("LINSERT l beside a d", "(error) ERR syntax error"),
            ("LREM l -1 a", "(integer) 1"),
            ("LREM l 0 none", "(integer) 0"),
            ("LREM none 0 a", "(integer) 0"),
            ("LREM l x a", "(error) ERR value is not an integer or out of range"),
            ("LRANGE l 0 -1", "1) \"a\"\n2) \"b\"\n3) \"6\"\n4) \"7\"\n5) \"c\"\n6) \"d\""),
            ("LTRIM l 1 -2", "OK"),
            ("LTRIM l 0 -1", "OK"),
            ("LTRIM l 0 x", "(error) ERR value is not an integer or out of range"),
            ("LTRIM none 0 1", "OK"),
            ("LRANGE l 0 -1", "1) \"b\"\n2) \"6\"\n3) \"7\"\n4) \"c\""),
            ("LREM l 9223372036854775807 b", "(integer) 1"),
            ("LTRIM l 9223372036854775807 -9223372036854775808", "OK"),
            ("LLEN l", "(integer) 0"),
            ("RPUSH l x x", "(integer) 2"),
            ("LREM l -9223372036854775808 x", "(integer) 2"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert!(server.server.keyspace.is_empty());
        assert_eq!(
            server.effects(),
            "LSET l -1 c | LINSERT l before 7 6 | LINSERT l AFTER c d | LREM l -1 a | LTRIM l 1 -2 | \
             LREM l 9223372036854775807 b | LTRIM l 9223372036854775807 -9223372036854775808 | \
             RPUSH l x x | LREM l -9223372036854775808 x"
        );
        assert_eq!(server.dirty() - dirty, 3 + 1 + 2 + 1 + 3 + 2 + 2);
    }

    #[test]
    fn refuses_other_types() {
        let mut server = TestServer::new();
        server.run("SETNX s v");
        for line in ["LSET s x a", "LINSERT s before a b", "LREM s 0 a", "LTRIM s 0 1"] {
            let answer = server.run(line);
            assert_eq!(answer, "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
        }
    }
}
