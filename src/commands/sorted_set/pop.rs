//! Taking members from an end: ZPOPMIN, ZPOPMAX and ZMPOP, and BZPOPMIN, BZPOPMAX and BZMPOP,
//! which wait until there is something to take. See `server::blocking`.

use crate::base::number::I64Text;
use crate::commands::answer::reply_text;
use crate::config::NotifyClasses;
use crate::keyspace::SortedSet;
use crate::keyspace::sorted_set::End;
use crate::resp::reply::Protocol;
use crate::server::{Args, CommandError, CommandResult, Ctx};
use crate::waiting::TimeoutReply;

impl End {
    /// Reads `MIN` or `MAX`.
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        if args.keyword("MIN") {
            Ok(End::Min)
        } else if args.keyword("MAX") {
            Ok(End::Max)
        } else {
            Err(CommandError::Syntax)
        }
    }

    fn event(self) -> &'static str {
        match self {
            End::Min => "zpopmin",
            End::Max => "zpopmax",
        }
    }

    fn command(self) -> &'static [u8] {
        match self {
            End::Min => b"ZPOPMIN",
            End::Max => b"ZPOPMAX",
        }
    }
}

pub(super) fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    zpop(ctx, args, End::Min)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    zpop(ctx, args, End::Max)
}

fn zpop(ctx: &mut Ctx<'_>, mut args: Args<'_>, end: End) -> CommandResult {
    let key = args.key();
    if args.remaining() > 1 {
        return Err(CommandError::Syntax);
    }
    let (count, shape) = match args.is_done() {
        true => (1, Shape::Flat),
        false if ctx.reply.protocol() == Protocol::Resp3 => (args.positive()?, Shape::Pairs),
        false => (args.positive()?, Shape::Flat),
    };
    if pop(ctx, key, end, count, shape)? == 0 {
        ctx.reply.array(0);
    }
    Ok(())
}

pub(super) fn zmpop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let MultiPop { keys, end, count } = MultiPop::parse(&mut args)?;
    if !pop_many_from_first(ctx, &keys, end, count)? {
        ctx.reply.null_array();
    }
    Ok(())
}

pub(super) fn bzmpop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let mut timeout = args;
    args.next()?;
    let MultiPop { keys, end, count } = MultiPop::parse(&mut args)?;
    // Redis: the timeout is looked at last, though it comes first.
    let deadline = timeout.deadline_secs(ctx.rooms.time.monotonic)?;
    if !pop_many_from_first(ctx, &keys, end, count)? {
        ctx.block_on_keys(args.argv(), keys, deadline, TimeoutReply::NullArray);
    }
    Ok(())
}

pub(super) fn bzpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    pop_or_wait(ctx, args, End::Min)
}

pub(super) fn bzpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    pop_or_wait(ctx, args, End::Max)
}

fn pop_or_wait(ctx: &mut Ctx<'_>, mut args: Args<'_>, end: End) -> CommandResult {
    let keys = args.take(args.remaining() - 1)?;
    let deadline = args.deadline_secs(ctx.rooms.time.monotonic)?;
    for key in &keys {
        if ctx.may_serve(key) && pop(ctx, key, end, 1, Shape::KeyAndPair)? > 0 {
            ctx.propagate_instead([end.command(), key]);
            return Ok(());
        }
    }
    ctx.block_on_keys(args.argv(), keys, deadline, TimeoutReply::NullArray);
    Ok(())
}

/// The arguments of ZMPOP and BZMPOP.
struct MultiPop<'a> {
    keys: Vec<&'a [u8]>,
    end: End,
    count: i64,
}

impl<'a> MultiPop<'a> {
    /// Reads `numkeys key [key ...] <MIN | MAX> [COUNT count]` to the end.
    fn parse(args: &mut Args<'a>) -> Result<Self, CommandError> {
        const BAD_NUMKEYS: CommandError = CommandError::fixed("ERR numkeys should be greater than 0");
        const BAD_COUNT: CommandError = CommandError::fixed("ERR count should be greater than 0");
        let numkeys = args.int_in(1, i64::MAX, BAD_NUMKEYS)?;
        let keys = args.take(usize::try_from(numkeys).unwrap_or(usize::MAX))?;
        let end = End::parse(args)?;
        let count = if args.keyword_with_value("COUNT") { args.int_in(1, i64::MAX, BAD_COUNT)? } else { 1 };
        args.finish()?;
        Ok(MultiPop { keys, end, count })
    }
}

/// Pops from the first of `keys` that is there. Returns whether one was.
fn pop_many_from_first(
    ctx: &mut Ctx<'_>,
    keys: &[&[u8]],
    end: End,
    count: i64,
) -> Result<bool, CommandError> {
    for key in keys {
        if !ctx.may_serve(key) {
            continue;
        }
        let popped = pop(ctx, key, end, count, Shape::KeyAndPairs)?;
        if popped > 0 {
            let text = I64Text::new(i64::try_from(popped).unwrap_or(i64::MAX));
            ctx.propagate_instead([end.command(), key, text.as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}

/// The form in which popped members are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Member, score, member, score, …
    Flat,
    /// Arrays of two.
    Pairs,
    /// Key, member, score.
    KeyAndPair,
    /// Key, and an array of arrays of two.
    KeyAndPairs,
}

/// Pops up to `count` members and answers them. Returns how many; if none, nothing is answered.
fn pop(ctx: &mut Ctx<'_>, key: &[u8], end: End, count: i64, shape: Shape) -> Result<usize, CommandError> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let Some(set) = ctx.db.write::<SortedSet>(key)? else { return Ok(0) };
    let count = count.min(set.len());
    if count == 0 {
        return Ok(0);
    }
    let reply = &mut ctx.reply;
    match shape {
        Shape::Flat => reply.array(2 * count),
        Shape::Pairs => reply.array(count),
        Shape::KeyAndPair => {
            reply.array(2 * count + 1);
            reply.bulk(key);
        }
        Shape::KeyAndPairs => {
            reply.array(2);
            reply.bulk(key);
            reply.array(count);
        }
    }
    let nests = matches!(shape, Shape::Pairs | Shape::KeyAndPairs);
    for _ in 0..count {
        set.pop_with(end, |member, score| {
            if nests {
                reply.array(2);
            }
            reply_text(reply, member);
            reply.double(score);
        });
    }
    let emptied = set.is_empty();
    ctx.changed_by(count as u64, NotifyClasses::ZSET, end.event(), key);
    if emptied {
        ctx.remove_emptied(key);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::TestServer;

    #[test]
    fn zpop_takes_from_its_end_and_removes_what_is_emptied() {
        let mut server = TestServer::new();
        server.run("ZADD z 1 a 2 b 2 c 3 12 -inf e");
        server.effects();
        for (line, answer) in [
            ("ZPOPMIN z", "1) \"e\"\n2) \"-inf\""),
            ("ZPOPMAX z", "1) \"12\"\n2) \"3\""),
            ("ZPOPMAX z 0", "(empty array)"),
            ("ZPOPMAX z 2", "1) \"c\"\n2) \"2\"\n3) \"b\"\n4) \"2\""),
            ("ZPOPMIN z 9223372036854775807", "1) \"a\"\n2) \"1\""),
            ("EXISTS z", "(integer) 0"),
            ("ZPOPMIN z", "(empty array)"),
            ("ZPOPMIN z -1", "(error) ERR value is out of range, must be positive"),
            ("ZPOPMIN z x", "(error) ERR value is out of range, must be positive"),
            ("ZPOPMIN z 1 2", "(error) ERR syntax error"),
        ] {
            assert_eq!(server.run(line), answer, "{line}");
        }
        assert_eq!(server.effects(), "ZPOPMIN z | ZPOPMAX z | ZPOPMAX z 2 | ZPOPMIN z 9223372036854775807");
        assert_eq!(server.dirty(), 10);
    }

    #[test]
    fn zpop_nests_in_resp3_only_when_a_count_is_given() {
        let mut server = TestServer::new();
        server.run("ZADD z 1 a 2 b");
        server.run("HELLO 3");
        assert_eq!(server.raw("ZPOPMIN z 1"), "*1\r\n*2\r\n$1\r\na\r\n,1\r\n");
        assert_eq!(server.raw("ZPOPMIN z"), "*2\r\n$1\r\nb\r\n,2\r\n");
        assert_eq!(server.raw("ZPOPMIN z"), "*0\r\n");
    }
}
