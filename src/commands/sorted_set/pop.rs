//! Taking members from an end: ZPOPMIN and ZPOPMAX.

use crate::config::NotifyClasses;
use crate::keyspace::SortedSet;
use crate::keyspace::sorted_set::End;
use crate::resp::reply::Protocol;
use crate::server::{Args, CommandError, CommandResult, Ctx};

use super::super::reply_text;

pub(super) fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    zpop(ctx, args, End::Min)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    zpop(ctx, args, End::Max)
}

fn event(end: End) -> &'static str {
    match end {
        End::Min => "zpopmin",
        End::Max => "zpopmax",
    }
}

/// How the popped members are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Member, score, member, score, …
    Flat,
    /// Arrays of two.
    Pairs,
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
    let popped = pop(ctx, key, end, count, shape)?;
    if popped == 0 {
        ctx.reply.array(0);
    }
    Ok(())
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
    }
    for _ in 0..count {
        set.pop_with(end, |member, score| {
            if shape == Shape::Pairs {
                reply.array(2);
            }
            reply_text(reply, member);
            reply.double(score);
        });
    }
    let emptied = set.is_empty();
    ctx.changed_by(count as u64, NotifyClasses::ZSET, event(end), key);
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
        assert_eq!(server.server.parts.persistence.dirty, 10);
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
