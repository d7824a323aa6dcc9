//! Sorted sets: the table, and what needs no file of its own.
//!
//! | file | commands |
//! |---|---|
//! | here | ZCARD ZSCORE ZMSCORE ZRANK ZREVRANK ZSCAN |
//! | `add` | ZADD ZINCRBY |
//! | `remove` | ZREM ZREMRANGEBY… |
//! | `pop` | ZPOPMIN ZPOPMAX ZMPOP and their blocking forms |
//! | `range` | ZRANGE and its older forms, ZRANGESTORE ZCOUNT ZLEXCOUNT |
//! | `algebra` | ZUNION ZINTER ZDIFF, their STORE forms, ZINTERCARD |
//! | `chance` | ZRANDMEMBER |
//! | `bounds` | how ranges are written |

mod add;
mod algebra;
mod bounds;
mod random_member;
mod pop;
mod range;
mod remove;

use super::answer::reply_text;
use super::scan;
use crate::ds::listpack::ListpackValue;
use crate::keyspace::SortedSet;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::server::{Args, Command, CommandResult, Ctx};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new(
            "bzmpop",
            Group::SortedSet,
            -5,
            "timeout numkeys key [key ...] <MIN | MAX>@where [COUNT count]",
        )
        .flags(&[WRITE, BLOCKING])
        .keys(&[KeySpec::keynum(2, &[RW, ACCESS, DELETE])])
        .keys_by(KeysBy::KeyNum(2))
        .since("7.0.0")
        .complexity("O(K)+O(M*log(N)), K: keys, N: members of the set, M: members popped.")
        .summary("Pops members from the first sorted set that has any; waits if none has."),
        pop::bzmpop,
    ),
    Command::new(
        Spec::new("bzpopmax", Group::SortedSet, -3, "key [key ...] timeout")
            .flags(&[WRITE, NOSCRIPT, BLOCKING, FAST])
            .keys(&[KeySpec::range(1, -2, 1, &[RW, ACCESS, DELETE])])
            .since("5.0.0")
            .complexity("O(log(N)), N: members of the set.")
            .summary("Pops the member with the highest score; waits if there is none.")
            .history(&[("6.0.0", "`timeout` may have a fraction.")]),
        pop::bzpopmax,
    ),
    Command::new(
        Spec::new("bzpopmin", Group::SortedSet, -3, "key [key ...] timeout")
            .flags(&[WRITE, NOSCRIPT, BLOCKING, FAST])
            .keys(&[KeySpec::range(1, -2, 1, &[RW, ACCESS, DELETE])])
            .since("5.0.0")
            .complexity("O(log(N)), N: members of the set.")
            .summary("Pops the member with the lowest score; waits if there is none.")
            .history(&[("6.0.0", "`timeout` may have a fraction.")]),
        pop::bzpopmin,
    ),
    Command::new(
        Spec::new(
            "zadd",
            Group::SortedSet,
            -4,
            "key [NX | XX]@condition^3.0.2 [GT | LT]@comparison^6.2.0 [CH@change^3.0.2] \
            [INCR@increment^3.0.2] score member [score member ...]",
        )
        .flags(&[WRITE, DENYOOM, FAST])
        .keys(&[KeySpec::one(1, &[RW, UPDATE])])
        .since("1.2.0")
        .complexity("O(log(N)) for each member, N: members of the set.")
        .summary("Adds members with scores, or changes their scores.")
        .history(&[
            ("2.4.0", "Takes several members."),
            ("3.0.2", "`XX`, `NX`, `CH`, `INCR`."),
            ("6.2.0", "`GT` and `LT`."),
        ]),
        add::zadd,
    ),
    Command::new(
        Spec::new("zcard", Group::SortedSet, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("1.2.0")
            .summary("Counts the members."),
        zcard,
    ),
    Command::new(
        Spec::new("zcount", Group::SortedSet, 4, "key min:double max:double")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.0.0")
            .complexity("O(log(N)), N: members of the set.")
            .summary("Counts the members with scores in a range."),
        range::zcount,
    ),
    Command::new(
        Spec::new("zdiff", Group::SortedSet, -3, "numkeys key [key ...] [WITHSCORES]")
            .flags(&[READONLY])
            .keys(&[KeySpec::keynum(1, &[RO, ACCESS])])
            .keys_by(KeysBy::KeyNum(1))
            .since("6.2.0")
            .complexity("O(L+(N-K)*log(N)), L: members of all sets, N: of the first, K: of the result.")
            .summary("Members of the first sorted set that are in no other."),
        algebra::zdiff,
    ),
    Command::new(
        Spec::new("zdiffstore", Group::SortedSet, -4, "destination numkeys key [key ...]")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[OW, UPDATE]), KeySpec::keynum(2, &[RO, ACCESS])])
            .keys_by(KeysBy::StoreKeyNum)
            .since("6.2.0")
            .complexity("O(L+(N-K)*log(N)), L: members of all sets, N: of the first, K: of the result.")
            .summary("Stores the members of the first sorted set that are in no other."),
        algebra::zdiffstore,
    ),
    Command::new(
        Spec::new("zincrby", Group::SortedSet, 4, "key increment member")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("1.2.0")
            .complexity("O(log(N)), N: members of the set.")
            .summary("Adds to the score of a member."),
        add::zincrby,
    ),
    Command::new(
        Spec::new(
            "zinter",
            Group::SortedSet,
            -3,
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | \
            MAX>@aggregate] [WITHSCORES]",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::keynum(1, &[RO, ACCESS])])
        .keys_by(KeysBy::KeyNum(1))
        .since("6.2.0")
        .complexity(
            "O(N*K)+O(M*log(M)), N: members of the smallest set, K: sets, M: members of the \
            result.",
        )
        .summary("Members that all sorted sets have in common."),
        algebra::zinter,
    ),
    Command::new(
        Spec::new("zintercard", Group::SortedSet, -3, "numkeys key [key ...] [LIMIT limit]")
            .flags(&[READONLY])
            .keys(&[KeySpec::keynum(1, &[RO, ACCESS])])
            .keys_by(KeysBy::KeyNum(1))
            .since("7.0.0")
            .complexity("O(N*K), N: members of the smallest set, K: sets.")
            .summary("Counts the members that all sorted sets have in common."),
        algebra::zintercard,
    ),
    Command::new(
        Spec::new(
            "zinterstore",
            Group::SortedSet,
            -4,
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | \
            MIN | MAX>@aggregate]",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(1, &[OW, UPDATE]), KeySpec::keynum(2, &[RO, ACCESS])])
        .keys_by(KeysBy::StoreKeyNum)
        .since("2.0.0")
        .complexity(
            "O(N*K)+O(M*log(M)), N: members of the smallest set, K: sets, M: members of the \
            result.",
        )
        .summary("Stores the members that all sorted sets have in common."),
        algebra::zinterstore,
    ),
    Command::new(
        Spec::new("zlexcount", Group::SortedSet, 4, "key min max")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.8.9")
            .complexity("O(log(N)), N: members of the set.")
            .summary("Counts the members in a range of names."),
        range::zlexcount,
    ),
    Command::new(
        Spec::new("zmpop", Group::SortedSet, -4, "numkeys key [key ...] <MIN | MAX>@where [COUNT count]")
            .flags(&[WRITE])
            .keys(&[KeySpec::keynum(1, &[RW, ACCESS, DELETE])])
            .keys_by(KeysBy::KeyNum(1))
            .since("7.0.0")
            .complexity("O(K)+O(M*log(N)), K: keys, N: members of the set, M: members popped.")
            .summary("Pops members from the first sorted set that has any."),
        pop::zmpop,
    ),
    Command::new(
        Spec::new("zmscore", Group::SortedSet, -3, "key member [member ...]")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("6.2.0")
            .complexity("O(N), N: members given.")
            .summary("Tells the scores of members."),
        zmscore,
    ),
    Command::new(
        Spec::new("zpopmax", Group::SortedSet, -2, "key [count]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE])])
            .since("5.0.0")
            .complexity("O(M*log(N)), N: members of the set, M: members popped.")
            .summary("Pops the members with the highest scores."),
        pop::zpopmax,
    ),
    Command::new(
        Spec::new("zpopmin", Group::SortedSet, -2, "key [count]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE])])
            .since("5.0.0")
            .complexity("O(M*log(N)), N: members of the set, M: members popped.")
            .summary("Pops the members with the lowest scores."),
        pop::zpopmin,
    ),
    Command::new(
        Spec::new("zrandmember", Group::SortedSet, -2, "key [count [WITHSCORES]]@options")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("6.2.0")
            .complexity("O(N), N: members returned.")
            .summary("Picks members at random.")
            .tips(&["nondeterministic_output"]),
        random_member::zrandmember,
    ),
    Command::new(
        Spec::new(
            "zrange",
            Group::SortedSet,
            -4,
            "key start:string stop:string [BYSCORE | BYLEX]@sortby^6.2.0 [REV^6.2.0] [LIMIT \
            (offset count)^6.2.0] [WITHSCORES]",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("1.2.0")
        .complexity("O(log(N)+M), N: members of the set, M: members returned.")
        .summary("Reads a range of members, by rank, score or name.")
        .history(&[("6.2.0", "`REV`, `BYSCORE`, `BYLEX`, `LIMIT`.")]),
        range::zrange,
    ),
    Command::new(
        Spec::new("zrangebylex", Group::SortedSet, -4, "key min max [LIMIT (offset count)]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.8.9")
            .complexity("O(log(N)+M), N: members of the set, M: members returned.")
            .summary("Reads the members in a range of names.")
            .deprecated("6.2.0", "`ZRANGE` with `BYLEX`"),
        range::zrangebylex,
    ),
    Command::new(
        Spec::new(
            "zrangebyscore",
            Group::SortedSet,
            -4,
            "key min:double max:double [WITHSCORES^2.0.0] [LIMIT (offset count)]",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("1.0.5")
        .complexity("O(log(N)+M), N: members of the set, M: members returned.")
        .summary("Reads the members in a range of scores.")
        .deprecated("6.2.0", "`ZRANGE` with `BYSCORE`")
        .history(&[("2.0.0", "`WITHSCORES`.")]),
        range::zrangebyscore,
    ),
    Command::new(
        Spec::new(
            "zrangestore",
            Group::SortedSet,
            -5,
            "dst src min max [BYSCORE | BYLEX]@sortby [REV] [LIMIT (offset count)]",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(1, &[OW, UPDATE]), KeySpec::one(2, &[RO, ACCESS])])
        .since("6.2.0")
        .complexity("O(log(N)+M), N: members of the set, M: members stored.")
        .summary("Stores a range of members, by rank, score or name."),
        range::zrangestore,
    ),
    Command::new(
        Spec::new("zrank", Group::SortedSet, 3, "key member")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.0.0")
            .complexity("O(log(N)), N: members of the set.")
            .summary("Tells the rank of a member, lowest score first."),
        zrank,
    ),
    Command::new(
        Spec::new("zrem", Group::SortedSet, -3, "key member [member ...]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("1.2.0")
            .complexity("O(M*log(N)), N: members of the set, M: members given.")
            .summary("Removes members; the key goes with the last one.")
            .history(&[("2.4.0", "Takes several members.")]),
        remove::zrem,
    ),
    Command::new(
        Spec::new("zremrangebylex", Group::SortedSet, 4, "key min max")
            .flags(&[WRITE])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("2.8.9")
            .complexity("O(log(N)+M), N: members of the set, M: members removed.")
            .summary("Removes the members in a range of names."),
        remove::zremrangebylex,
    ),
    Command::new(
        Spec::new("zremrangebyrank", Group::SortedSet, 4, "key start stop")
            .flags(&[WRITE])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("2.0.0")
            .complexity("O(log(N)+M), N: members of the set, M: members removed.")
            .summary("Removes the members in a range of ranks."),
        remove::zremrangebyrank,
    ),
    Command::new(
        Spec::new("zremrangebyscore", Group::SortedSet, 4, "key min:double max:double")
            .flags(&[WRITE])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("1.2.0")
            .complexity("O(log(N)+M), N: members of the set, M: members removed.")
            .summary("Removes the members in a range of scores."),
        remove::zremrangebyscore,
    ),
    Command::new(
        Spec::new("zrevrange", Group::SortedSet, -4, "key start stop [WITHSCORES]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.2.0")
            .complexity("O(log(N)+M), N: members of the set, M: members returned.")
            .summary("Reads a range of members by rank, highest score first.")
            .deprecated("6.2.0", "`ZRANGE` with `REV`"),
        range::zrevrange,
    ),
    Command::new(
        Spec::new("zrevrangebylex", Group::SortedSet, -4, "key max min [LIMIT (offset count)]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.8.9")
            .complexity("O(log(N)+M), N: members of the set, M: members returned.")
            .summary("Reads the members in a range of names, last name first.")
            .deprecated("6.2.0", "`ZRANGE` with `REV` and `BYLEX`"),
        range::zrevrangebylex,
    ),
    Command::new(
        Spec::new(
            "zrevrangebyscore",
            Group::SortedSet,
            -4,
            "key max:double min:double [WITHSCORES] [LIMIT (offset count)]",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::one(1, &[RO, ACCESS])])
        .since("2.2.0")
        .complexity("O(log(N)+M), N: members of the set, M: members returned.")
        .summary("Reads the members in a range of scores, highest first.")
        .deprecated("6.2.0", "`ZRANGE` with `REV` and `BYSCORE`")
        .history(&[("2.1.6", "Ranges that exclude their ends.")]),
        range::zrevrangebyscore,
    ),
    Command::new(
        Spec::new("zrevrank", Group::SortedSet, 3, "key member")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.0.0")
            .complexity("O(log(N)), N: members of the set.")
            .summary("Tells the rank of a member, highest score first."),
        zrevrank,
    ),
    Command::new(
        Spec::new("zscan", Group::SortedSet, -3, "key cursor [MATCH pattern] [COUNT count]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.8.0")
            .complexity("O(1) for each call, O(N) for the whole walk, N: members of the set.")
            .summary("Walks through members and scores, a few for each call.")
            .tips(&["nondeterministic_output"]),
        zscan,
    ),
    Command::new(
        Spec::new("zscore", Group::SortedSet, 3, "key member")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.2.0")
            .summary("Tells the score of a member."),
        zscore,
    ),
    Command::new(
        Spec::new(
            "zunion",
            Group::SortedSet,
            -3,
            "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | \
            MAX>@aggregate] [WITHSCORES]",
        )
        .flags(&[READONLY])
        .keys(&[KeySpec::keynum(1, &[RO, ACCESS])])
        .keys_by(KeysBy::KeyNum(1))
        .since("6.2.0")
        .complexity("O(N)+O(M*log(M)), N: members of all sets, M: members of the result.")
        .summary("Members that are in any of the sorted sets."),
        algebra::zunion,
    ),
    Command::new(
        Spec::new(
            "zunionstore",
            Group::SortedSet,
            -4,
            "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | \
            MIN | MAX>@aggregate]",
        )
        .flags(&[WRITE, DENYOOM])
        .keys(&[KeySpec::one(1, &[OW, UPDATE]), KeySpec::keynum(2, &[RO, ACCESS])])
        .keys_by(KeysBy::StoreKeyNum)
        .since("2.0.0")
        .complexity("O(N)+O(M*log(M)), N: members of all sets, M: members of the result.")
        .summary("Stores the members that are in any of the sorted sets."),
        algebra::zunionstore,
    ),
];

fn zcard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let set = ctx.db.read::<SortedSet>(args.key())?;
    ctx.reply.count(set.map_or(0, SortedSet::len));
    Ok(())
}

fn zscore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, member) = (args.key(), args.key());
    let set = ctx.db.read::<SortedSet>(key)?;
    match set.and_then(|set| set.score(member)) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let set = ctx.db.read::<SortedSet>(args.key())?;
    ctx.reply.array(args.remaining());
    for member in args.rest() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn zrank(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, member) = (args.key(), args.key());
    let set = ctx.db.read::<SortedSet>(key)?;
    match set.and_then(|set| set.rank(member)) {
        Some(rank) => ctx.reply.count(rank),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zrevrank(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, member) = (args.key(), args.key());
    let set = ctx.db.read::<SortedSet>(key)?;
    match set.and_then(|set| Some(set.len() - 1 - set.rank(member)?)) {
        Some(rank) => ctx.reply.count(rank),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zscan(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let cursor = scan::cursor(args.key())?;
    let Some(set) = ctx.db.read::<SortedSet>(key)? else {
        return scan::reply_nothing(&mut ctx.reply);
    };
    let mut options = scan::ScanOptions::parse(&mut args)?;
    let answer = scan::Answer::begin(&ctx.reply);
    let mut shown = 0;
    let next = set.scan(cursor, options.count, |member, score| {
        if options.matches_text(member) {
            reply_text(&mut ctx.reply, member);
            reply_text(&mut ctx.reply, score);
            shown += 2;
        }
    });
    answer.end(&mut ctx.reply, next, shown, options)
}

/// The form of the answer for a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReplyShape {
    Members,
    /// Member and score side by side: WITHSCORES in RESP2.
    Flat,
    /// An array of the two: WITHSCORES in RESP3.
    Pairs,
}

impl ReplyShape {
    /// Returns the form that WITHSCORES asks for.
    fn with_scores(reply: &Reply<'_>) -> Self {
        if reply.protocol() == Protocol::Resp3 { ReplyShape::Pairs } else { ReplyShape::Flat }
    }

    fn head(self, reply: &mut Reply<'_>, count: usize) {
        reply.array(if self == ReplyShape::Flat { count.saturating_mul(2) } else { count });
    }

    fn show(self, reply: &mut Reply<'_>, member: ListpackValue<'_>, score: f64) {
        if self == ReplyShape::Pairs {
            reply.array(2);
        }
        reply_text(reply, member);
        if self != ReplyShape::Members {
            reply.double(score);
        }
    }
}

#[cfg(test)]
mod tests;
