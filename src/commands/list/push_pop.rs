//! Both ends of a list: LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP.

use super::{Side, answer, pop_many};
use crate::config::NotifyClasses;
use crate::keyspace::List;
use crate::server::{Args, CommandError, CommandResult, Ctx};

pub(super) fn lpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    push(ctx, args, Side::Left)
}

pub(super) fn rpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    push(ctx, args, Side::Right)
}

pub(super) fn lpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    push_existing(ctx, args, Side::Left)
}

pub(super) fn rpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    push_existing(ctx, args, Side::Right)
}

pub(super) fn lpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, Side::Left)
}

pub(super) fn rpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    pop(ctx, args, Side::Right)
}

fn push(ctx: &mut Ctx<'_>, mut args: Args<'_>, side: Side) -> CommandResult {
    let key = args.key();
    let list = ctx.db.write_or_create(key, List::new)?;
    args.rest().for_each(|element| side.push(list, element));
    ctx.reply.count(list.len());
    ctx.changed_by(args.remaining() as u64, NotifyClasses::LIST, side.push_event(), key);
    Ok(())
}

fn push_existing(ctx: &mut Ctx<'_>, mut args: Args<'_>, side: Side) -> CommandResult {
    let key = args.key();
    let Some(list) = ctx.db.write::<List>(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    args.rest().for_each(|element| side.push(list, element));
    ctx.reply.count(list.len());
    ctx.changed_by(args.remaining() as u64, NotifyClasses::LIST, side.push_event(), key);
    Ok(())
}

fn pop(ctx: &mut Ctx<'_>, mut args: Args<'_>, side: Side) -> CommandResult {
    let key = args.key();
    match args.remaining() {
        0 => pop_one(ctx, key, side),
        1 => pop_count(ctx, key, side, args.positive()?.unsigned_abs()),
        _ => Err(CommandError::Arity(ctx.command.spec.name.into())),
    }
}

fn pop_one(ctx: &mut Ctx<'_>, key: &[u8], side: Side) -> CommandResult {
    let Some(list) = ctx.db.write::<List>(key)? else {
        ctx.reply.null();
        return Ok(());
    };
    side.pop(list, |element| answer(&mut ctx.reply, element));
    let emptied = list.is_empty();
    ctx.changed(NotifyClasses::LIST, side.pop_event(), key);
    if emptied {
        ctx.remove_emptied(key);
    }
    Ok(())
}

fn pop_count(ctx: &mut Ctx<'_>, key: &[u8], side: Side, count: u64) -> CommandResult {
    let Some(list) = ctx.db.write::<List>(key)? else {
        ctx.reply.null_array();
        return Ok(());
    };
    let (popped, emptied) = pop_many(&mut ctx.reply, list, side, count);
    ctx.changed_by(popped, NotifyClasses::LIST, side.pop_event(), key);
    if emptied {
        ctx.remove_emptied(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn pushes_at_both_ends_and_answers_the_length() {
        let mut server = TestServer::new();
        for (line, answer) in [
            ("RPUSH l a 12", "(integer) 2"),
            ("LPUSH l b c", "(integer) 4"),
            ("LPUSHX none a", "(integer) 0"),
            ("RPUSHX l d", "(integer) 5"),
            ("LPUSHX l e", "(integer) 6"),
            ("LRANGE l 0 -1", "1) \"e\"\n2) \"c\"\n3) \"b\"\n4) \"a\"\n5) \"12\"\n6) \"d\""),
            ("LRANGE none 0 -1", "(empty array)"),
            ("LLEN l", "(integer) 6"),
            ("LLEN none", "(integer) 0"),
            ("LINDEX l -2", "\"12\""),
            ("LINDEX l 6", "(nil)"),
            ("LINDEX none x", "(nil)"),
            ("LINDEX l x", "(error) ERR value is not an integer or out of range"),
            ("LRANGE none 0 x", "(error) ERR value is not an integer or out of range"),
            ("RPUSH l", "(error) ERR wrong number of arguments for 'rpush' command"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert_eq!(server.effects(), "SELECT 0 | RPUSH l a 12 | LPUSH l b c | RPUSHX l d | LPUSHX l e");
        assert_eq!(server.dirty(), 6, "one for each element");
    }

    #[test]
    fn pops_at_both_ends_and_removes_what_is_emptied() {
        let mut server = TestServer::new();
        server.run("RPUSH l a b c d e f");
        server.effects();
        let dirty = server.dirty();
        for (line, answer) in [
            ("LPOP l", "\"a\""),
            ("RPOP l", "\"f\""),
            ("RPOP l 0", "(empty array)"),
            ("RPOP l 2", "1) \"e\"\n2) \"d\""),
            ("LPOP l 9223372036854775807", "1) \"b\"\n2) \"c\""),
            ("LPOP l", "(nil)"),
            ("LPOP l 2", "(nil)"),
            ("LPOP none -1", "(error) ERR value is out of range, must be positive"),
            ("LPOP none x", "(error) ERR value is out of range, must be positive"),
            ("LPOP none 1 2", "(error) ERR wrong number of arguments for 'lpop' command"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert!(server.server.keyspace.is_empty());
        assert_eq!(server.effects(), "LPOP l | RPOP l | RPOP l 2 | LPOP l 9223372036854775807");
        assert_eq!(server.dirty() - dirty, 6, "one for each element");
        assert_eq!(server.raw("LPOP none"), "$-1\r\n");
        assert_eq!(server.raw("LPOP none 1"), "*-1\r\n");
    }

    #[test]
    fn refuses_other_types() {
        let mut server = TestServer::new();
        server.run("SETNX s v");
        for line in ["LPUSH s a", "RPUSHX s a", "LPOP s", "RPOP s 2", "LLEN s", "LINDEX s 0", "LRANGE s 0 1"]
        {
            let answer = server.run(line);
            assert_eq!(answer, "(error) WRONGTYPE Operation against a key holding the wrong kind of value");
        }
    }
}
