//! Sorted sets: the table, and what needs no file of its own.
//!
//! | file | commands |
//! |---|---|
//! | here | ZCARD ZSCORE ZMSCORE ZRANK ZREVRANK ZREM |
//! | `add` | ZADD ZINCRBY |
//! | `pop` | ZPOPMIN ZPOPMAX |

mod add;
mod pop;

use crate::config::NotifyClasses;
use crate::keyspace::SortedSet;
use crate::server::{Args, Command, CommandResult, Ctx};
use crate::spec::*;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
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
        Spec::new("zincrby", Group::SortedSet, 4, "key increment member")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("1.2.0")
            .complexity("O(log(N)), N: members of the set.")
            .summary("Adds to the score of a member."),
        add::zincrby,
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
        zrem,
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
        Spec::new("zscore", Group::SortedSet, 3, "key member")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.2.0")
            .summary("Tells the score of a member."),
        zscore,
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

fn zrem(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let Some(set) = ctx.db.write::<SortedSet>(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let removed = args.rest().filter(|member| set.remove(member)).count();
    let emptied = set.is_empty();
    ctx.changed_by(removed as u64, NotifyClasses::ZSET, "zrem", key);
    if emptied {
        ctx.remove_emptied(key);
    }
    ctx.reply.count(removed);
    Ok(())
}
