//! From list to list, and from the first of several lists: LMOVE, RPOPLPUSH, LMPOP, and what
//! their waiting forms share with them.

use super::{Side, answer, pop_many};
use crate::base::number::I64Text;
use crate::config::NotifyClasses;
use crate::keyspace::{Kind, List, WrongType};
use crate::server::{Args, CommandError, CommandResult, Ctx, Origin};

pub(super) fn lmove(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (source, destination) = (args.key(), args.key());
    let (from, to) = (Side::parse(&mut args)?, Side::parse(&mut args)?);
    if !move_element(ctx, source, destination, from, to)? {
        ctx.reply.null();
    }
    Ok(())
}

pub(super) fn rpoplpush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    if !move_element(ctx, args.key(), args.key(), Side::Right, Side::Left)? {
        ctx.reply.null();
    }
    Ok(())
}

pub(super) fn lmpop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let MultiPop { keys, side, count } = MultiPop::parse(&mut args)?;
    if !pop_many_from_first(ctx, &keys, side, count)? {
        ctx.reply.null_array();
    }
    Ok(())
}

/// Moves an element and answers it. Returns whether there was one.
pub(super) fn move_element(
    ctx: &mut Ctx<'_>,
    source: &[u8],
    destination: &[u8],
    from: Side,
    to: Side,
) -> Result<bool, CommandError> {
    // Redis: the destination's type counts only when there is something to move.
    if !is_list(ctx, source)? {
        return Ok(false);
    }
    is_list(ctx, destination)?;
    let Some(list) = ctx.db.write::<List>(source)? else { return Ok(false) };
    let Some(element) = from.pop(list, |element| element.to_vec()) else { return Ok(false) };
    let emptied = list.is_empty() && source != destination;
    to.push(ctx.db.write_or_create(destination, List::new)?, &element);
    ctx.reply.bulk(&element);
    ctx.also_changed(ctx.db.index(), NotifyClasses::LIST, to.push_event(), destination);
    taken(ctx, source, from, emptied);
    Ok(true)
}

/// Keeps the books for one element taken out of `key`.
fn taken(ctx: &mut Ctx<'_>, key: &[u8], side: Side, emptied: bool) {
    if ctx.origin == Origin::Unparked {
        // Redis: what a client gets that waited for it does not count as a change.
        ctx.also_changed(ctx.db.index(), NotifyClasses::LIST, side.pop_event(), key);
    } else {
        ctx.changed(NotifyClasses::LIST, side.pop_event(), key);
    }
    if emptied {
        ctx.remove_emptied(key);
    }
}

/// Tells if `key` is a list; it may be missing, but nothing else.
fn is_list(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, WrongType> {
    match ctx.db.kind(key) {
        None => Ok(false),
        Some(Kind::List) => Ok(true),
        Some(_) => Err(WrongType),
    }
}

/// The arguments of LMPOP and BLMPOP.
pub(super) struct MultiPop<'a> {
    /// The lists to look at, in this order.
    pub(super) keys: Vec<&'a [u8]>,
    /// The side where elements are taken.
    pub(super) side: Side,
    /// The most elements that are taken.
    pub(super) count: u64,
}

impl<'a> MultiPop<'a> {
    /// Reads `numkeys key [key ...] <LEFT | RIGHT> [COUNT count]` to the end.
    pub(super) fn parse(args: &mut Args<'a>) -> Result<Self, CommandError> {
        const BAD_NUMKEYS: CommandError = CommandError::fixed("ERR numkeys should be greater than 0");
        const BAD_COUNT: CommandError = CommandError::fixed("ERR count should be greater than 0");
        let numkeys = args.int_in(1, i64::MAX, BAD_NUMKEYS)?;
        let keys = args.take(usize::try_from(numkeys).unwrap_or(usize::MAX))?;
        let side = Side::parse(args)?;
        let count = if args.keyword_with_value("COUNT") { args.int_in(1, i64::MAX, BAD_COUNT)? } else { 1 };
        args.finish()?;
        Ok(MultiPop { keys, side, count: count.unsigned_abs() })
    }
}

/// Pops from the first of `keys` that is a list, answering its name and the elements. Returns
/// whether one was. Source: LMPOP.
pub(super) fn pop_many_from_first(
    ctx: &mut Ctx<'_>,
    keys: &[&[u8]],
    side: Side,
    count: u64,
) -> Result<bool, CommandError> {
    for key in keys {
        if !ctx.may_serve(key) {
            continue;
        }
        let Some(list) = ctx.db.write::<List>(key)? else { continue };
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        let (popped, emptied) = pop_many(&mut ctx.reply, list, side, count);
        let text = I64Text::new(i64::try_from(popped).unwrap_or(i64::MAX));
        ctx.propagate_instead([side.pop_command(), key, text.as_bytes()]);
        ctx.changed_by(popped, NotifyClasses::LIST, side.pop_event(), key);
        if emptied {
            ctx.remove_emptied(key);
        }
        return Ok(true);
    }
    Ok(false)
}

/// Pops one element from the first of `keys` that is a list, answering its name and the element.
/// Returns whether one was. Source: BLPOP.
pub(super) fn pop_from_first(
    ctx: &mut Ctx<'_>,
    keys: impl Iterator<Item = impl AsRef<[u8]>>,
    side: Side,
) -> Result<bool, CommandError> {
    for key in keys {
        let key = key.as_ref();
        if !ctx.may_serve(key) {
            continue;
        }
        let Some(list) = ctx.db.write::<List>(key)? else { continue };
        ctx.reply.array(2);
        ctx.reply.bulk(key);
        side.pop(list, |element| answer(&mut ctx.reply, element));
        let emptied = list.is_empty();
        ctx.propagate_instead([side.pop_command(), key]);
        taken(ctx, key, side, emptied);
        return Ok(true);
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn moves_rotate_and_create_and_remove_lists() {
        let mut server = TestServer::new();
        server.run("RPUSH l a b c");
        server.effects();
        let dirty = server.dirty();
        for (line, answer) in [
            ("LMOVE l l LEFT right", "\"a\""),
            ("LRANGE l 0 -1", "1) \"b\"\n2) \"c\"\n3) \"a\""),
            ("LMOVE l m RIGHT LEFT", "\"a\""),
            ("RPOPLPUSH l m", "\"c\""),
            ("RPOPLPUSH m m", "\"a\""),
            ("LMOVE l m left right", "\"b\""),
            ("LMOVE l m left right", "(nil)"),
            ("EXISTS l", "(integer) 0"),
            ("LRANGE m 0 -1", "1) \"a\"\n2) \"c\"\n3) \"b\""),
            ("LMOVE m l up right", "(error) ERR syntax error"),
            ("LMOVE m l left down", "(error) ERR syntax error"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert_eq!(
            server.effects(),
            "LMOVE l l LEFT right | LMOVE l m RIGHT LEFT | RPOPLPUSH l m | RPOPLPUSH m m | LMOVE l m left right"
        );
        assert_eq!(server.dirty() - dirty, 5, "one for each move");
        server.run("RPUSH one x");
        assert_eq!(server.run("RPOPLPUSH one one"), "\"x\"");
        assert_eq!(server.run("LLEN one"), "(integer) 1", "a list of one element may be rotated");
    }

    #[test]
    fn the_type_of_the_destination_counts_when_there_is_something_to_move() {
        let mut server = TestServer::new();
        server.run("RPUSH l a");
        server.run("SETNX s v");
        let wrong = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
        for (line, answer) in [
            ("LMOVE l s LEFT LEFT", wrong),
            ("LMOVE s l LEFT LEFT", wrong),
            ("LMOVE none s LEFT LEFT", "(nil)"),
            ("LLEN l", "(integer) 1"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
    }

    #[test]
    fn lmpop_takes_from_the_first_list_there_is() {
        let mut server = TestServer::new();
        server.run("RPUSH l a b c d");
        server.run("SETNX s v");
        server.effects();
        let bad_numkeys = "(error) ERR numkeys should be greater than 0";
        let bad_count = "(error) ERR count should be greater than 0";
        for (line, answer) in [
            ("LMPOP 2 none l LEFT", "1) \"l\"\n2) 1) \"a\""),
            ("LMPOP 1 l right count 2", "1) \"l\"\n2) 1) \"d\"\n   2) \"c\""),
            ("LMPOP 2 s l LEFT", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("LMPOP 2 l s LEFT COUNT 9223372036854775807", "1) \"l\"\n2) 1) \"b\""),
            ("LMPOP 1 l LEFT", "(nil)"),
            ("LMPOP x l LEFT", bad_numkeys),
            ("LMPOP 0 l LEFT", bad_numkeys),
            ("LMPOP 9223372036854775807 l LEFT", "(error) ERR syntax error"),
            ("LMPOP 2 l LEFT", "(error) ERR syntax error"),
            ("LMPOP 1 l UP", "(error) ERR syntax error"),
            ("LMPOP 1 l LEFT COUNT", "(error) ERR syntax error"),
            ("LMPOP 1 l LEFT COUNT 1 COUNT 1", "(error) ERR syntax error"),
            ("LMPOP 1 l LEFT COUNT 0", bad_count),
            ("LMPOP 1 l LEFT COUNT x", bad_count),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert_eq!(server.effects(), "LPOP l 1 | RPOP l 2 | LPOP l 1");
        assert_eq!(server.raw("LMPOP 1 l LEFT"), "*-1\r\n");
    }
}
