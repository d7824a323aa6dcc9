//! Sets.
//!
//! Chance (SPOP, SRANDMEMBER) and algebra (SINTER and friends) have files of their own.

mod algebra;
mod random_member;
#[cfg(test)]
mod tests;

use super::answer::reply_text;
use super::scan;
use crate::config::NotifyClasses;
use crate::keyspace::{Kind, Set};
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;
use algebra::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
use random_member::{spop, srandmember};

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("sadd", Group::Set, -3, "key member [member ...]")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("1.0.0")
            .complexity("O(1) for each member.")
            .summary("Adds members; creates the set if missing.")
            .history(&[("2.4.0", "Takes several members.")]),
        sadd,
    ),
    Command::new(
        Spec::new("scard", Group::Set, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("1.0.0")
            .summary("Counts the members."),
        scard,
    ),
    Command::new(
        Spec::new("sdiff", Group::Set, -2, "key [key ...]")
            .flags(&[READONLY])
            .keys(&[KeySpec::range(1, -1, 1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: members of all sets.")
            .summary("Members of the first set that are in no other.")
            .tips(&["nondeterministic_output_order"]),
        sdiff,
    ),
    Command::new(
        Spec::new("sdiffstore", Group::Set, -3, "destination key [key ...]")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[OW, UPDATE]), KeySpec::range(2, -1, 1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: members of all sets.")
            .summary("Stores the members of the first set that are in no other."),
        sdiffstore,
    ),
    Command::new(
        Spec::new("sinter", Group::Set, -2, "key [key ...]")
            .flags(&[READONLY])
            .keys(&[KeySpec::range(1, -1, 1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N*M), N: members of the smallest set, M: sets.")
            .summary("Members that all sets have in common.")
            .tips(&["nondeterministic_output_order"]),
        sinter,
    ),
    Command::new(
        Spec::new("sintercard", Group::Set, -3, "numkeys key [key ...] [LIMIT limit]")
            .flags(&[READONLY])
            .keys(&[KeySpec::keynum(1, &[RO, ACCESS])])
            .keys_by(KeysBy::KeyNum(1))
            .since("7.0.0")
            .complexity("O(N*M), N: members of the smallest set, M: sets.")
            .summary("Counts the members that all sets have in common."),
        sintercard,
    ),
    Command::new(
        Spec::new("sinterstore", Group::Set, -3, "destination key [key ...]")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[RW, UPDATE]), KeySpec::range(2, -1, 1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N*M), N: members of the smallest set, M: sets.")
            .summary("Stores the members that all sets have in common."),
        sinterstore,
    ),
    Command::new(
        Spec::new("sismember", Group::Set, 3, "key member")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("1.0.0")
            .summary("Tells whether a member is in a set."),
        sismember,
    ),
    Command::new(
        Spec::new("smembers", Group::Set, 2, "key")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: members of the set.")
            .summary("Lists all members.")
            .tips(&["nondeterministic_output_order"]),
        smembers,
    ),
    Command::new(
        Spec::new("smismember", Group::Set, -3, "key member [member ...]")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("6.2.0")
            .complexity("O(N), N: members given.")
            .summary("Tells for each member whether it is in a set."),
        smismember,
    ),
    Command::new(
        Spec::new("smove", Group::Set, 4, "source destination member")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE]), KeySpec::one(2, &[RW, INSERT])])
            .since("1.0.0")
            .summary("Moves a member from set to set."),
        smove,
    ),
    Command::new(
        Spec::new("spop", Group::Set, -2, "key [count^3.2.0]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, DELETE])])
            .since("1.0.0")
            .complexity("O(N), N: members removed.")
            .summary("Removes and returns members at random.")
            .tips(&["nondeterministic_output"])
            .history(&[("3.2.0", "`count`.")]),
        spop,
    ),
    Command::new(
        Spec::new("srandmember", Group::Set, -2, "key [count^2.6.0]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: members returned.")
            .summary("Picks members at random.")
            .tips(&["nondeterministic_output"])
            .history(&[("2.6.0", "`count`.")]),
        srandmember,
    ),
    Command::new(
        Spec::new("srem", Group::Set, -3, "key member [member ...]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("1.0.0")
            .complexity("O(N), N: members given.")
            .summary("Removes members; the key goes with the last one.")
            .history(&[("2.4.0", "Takes several members.")]),
        srem,
    ),
    Command::new(
        Spec::new("sscan", Group::Set, -3, "key cursor [MATCH pattern] [COUNT count]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.8.0")
            .complexity("O(1) for each call, O(N) for the whole walk, N: members of the set.")
            .summary("Walks through the members, a few for each call.")
            .tips(&["nondeterministic_output"]),
        sscan,
    ),
    Command::new(
        Spec::new("sunion", Group::Set, -2, "key [key ...]")
            .flags(&[READONLY])
            .keys(&[KeySpec::range(1, -1, 1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: members of all sets.")
            .summary("Members that are in any of the sets.")
            .tips(&["nondeterministic_output_order"]),
        sunion,
    ),
    Command::new(
        Spec::new("sunionstore", Group::Set, -3, "destination key [key ...]")
            .flags(&[WRITE, DENYOOM])
            .keys(&[KeySpec::one(1, &[OW, UPDATE]), KeySpec::range(2, -1, 1, &[RO, ACCESS])])
            .since("1.0.0")
            .complexity("O(N), N: members of all sets.")
            .summary("Stores the members that are in any of the sets."),
        sunionstore,
    ),
];

fn sadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let limits = ctx.db.limits();
    let set = ctx.db.write_or_create(key, |_| Set::for_member(args.peek().unwrap_or_default()))?;
    let added = args.rest().filter(|member| set.insert(member, &limits)).count();
    ctx.changed_by(added as u64, NotifyClasses::SET, "sadd", key);
    ctx.reply.count(added);
    Ok(())
}

fn srem(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let Some(set) = ctx.db.write::<Set>(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let removed = args.rest().filter(|member| set.remove(member)).count();
    let emptied = set.is_empty();
    ctx.changed_by(removed as u64, NotifyClasses::SET, "srem", key);
    if emptied {
        ctx.remove_emptied(key);
    }
    ctx.reply.count(removed);
    Ok(())
}

fn smove(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (source, destination, member) = (args.key(), args.key(), args.key());
    let moved = move_member(ctx, source, destination, member)?;
    ctx.reply.integer(i64::from(moved));
    Ok(())
}

/// Returns whether the member was in `source`.
fn move_member(
    ctx: &mut Ctx<'_>,
    source: &[u8],
    destination: &[u8],
    member: &[u8],
) -> Result<bool, CommandError> {
    match ctx.db.kind(source) {
        None => return Ok(false),
        Some(Kind::Set) => {}
        Some(_) => return Err(CommandError::WrongType),
    }
    if ctx.db.kind(destination).is_some_and(|kind| kind != Kind::Set) {
        return Err(CommandError::WrongType);
    }
    let limits = ctx.db.limits();
    let Some(set) = ctx.db.write::<Set>(source)? else { return Ok(false) };
    if source == destination {
        return Ok(set.contains(member));
    }
    if !set.remove(member) {
        return Ok(false);
    }
    ctx.shrunk(NotifyClasses::SET, "srem", source);
    let set = ctx.db.write_or_create(destination, |_| Set::for_member(member))?;
    if set.insert(member, &limits) {
        ctx.changed(NotifyClasses::SET, "sadd", destination);
    }
    Ok(true)
}

fn scard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let set = ctx.db.read::<Set>(args.key())?;
    ctx.reply.count(set.map_or(0, Set::len));
    Ok(())
}

fn sismember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let set = ctx.db.read::<Set>(args.key())?;
    ctx.reply.integer(i64::from(set.is_some_and(|set| set.contains(args.key()))));
    Ok(())
}

fn smismember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let set = ctx.db.read::<Set>(args.key())?;
    ctx.reply.array(args.remaining());
    for member in args.rest() {
        ctx.reply.integer(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(())
}

fn smembers(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let set = ctx.db.read::<Set>(args.key())?;
    ctx.reply.set(set.map_or(0, Set::len));
    if let Some(set) = set {
        set.iter().for_each(|member| reply_text(&mut ctx.reply, member));
    }
    Ok(())
}

fn sscan(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let cursor = scan::cursor(args.key())?;
    let Some(set) = ctx.db.read::<Set>(key)? else {
        return scan::reply_nothing(&mut ctx.reply);
    };
    let mut options = scan::ScanOptions::parse(&mut args)?;
    let answer = scan::Answer::begin(&ctx.reply);
    let mut shown = 0;
    let next = set.scan(cursor, options.count, |member| {
        if options.matches_text(member) {
            reply_text(&mut ctx.reply, member);
            shown += 1;
        }
    });
    answer.end(&mut ctx.reply, next, shown, options)
}
