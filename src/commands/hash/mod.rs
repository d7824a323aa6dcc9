//! Hashes.
//!
//! HRANDFIELD and the counters have files of their own.

mod random_field;
mod counter;
#[cfg(test)]
mod tests;

use super::answer::reply_text;
use super::scan;
use crate::config::NotifyClasses;
use crate::keyspace::Hash;
use crate::server::{Args, Command, CommandError, CommandResult, Ctx};
use crate::spec::*;
use counter::{hincrby, hincrbyfloat};
use random_field::hrandfield;

/// The commands of the group.
pub const COMMANDS: &[Command] = &[
    Command::new(
        Spec::new("hdel", Group::Hash, -3, "key field [field ...]")
            .flags(&[WRITE, FAST])
            .keys(&[KeySpec::one(1, &[RW, DELETE])])
            .since("2.0.0")
            .complexity("O(N), N: fields given.")
            .summary("Deletes fields; the key goes with the last one.")
            .history(&[("2.4.0", "Takes several fields.")]),
        hdel,
    ),
    Command::new(
        Spec::new("hexists", Group::Hash, 3, "key field")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("2.0.0")
            .summary("Tells whether a field exists."),
        hexists,
    ),
    Command::new(
        Spec::new("hget", Group::Hash, 3, "key field")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.0.0")
            .summary("Reads one field."),
        hget,
    ),
    Command::new(
        Spec::new("hgetall", Group::Hash, 2, "key")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.0.0")
            .complexity("O(N), N: fields of the hash.")
            .summary("Reads all fields and values.")
            .tips(&["nondeterministic_output_order"]),
        hgetall,
    ),
    Command::new(
        Spec::new("hincrby", Group::Hash, 4, "key field increment")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("2.0.0")
            .summary("Adds to the integer in a field."),
        hincrby,
    ),
    Command::new(
        Spec::new("hincrbyfloat", Group::Hash, 4, "key field increment:double")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE])])
            .since("2.6.0")
            .summary("Adds to the number in a field."),
        hincrbyfloat,
    ),
    Command::new(
        Spec::new("hkeys", Group::Hash, 2, "key")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.0.0")
            .complexity("O(N), N: fields of the hash.")
            .summary("Lists all fields.")
            .tips(&["nondeterministic_output_order"]),
        hkeys,
    ),
    Command::new(
        Spec::new("hlen", Group::Hash, 2, "key")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("2.0.0")
            .summary("Counts the fields."),
        hlen,
    ),
    Command::new(
        Spec::new("hmget", Group::Hash, -3, "key field [field ...]")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.0.0")
            .complexity("O(N), N: fields given.")
            .summary("Reads several fields."),
        hmget,
    ),
    Command::new(
        Spec::new("hmset", Group::Hash, -4, "key field value [field value ...]")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, UPDATE])])
            .since("2.0.0")
            .complexity("O(N), N: fields given.")
            .summary("Sets several fields.")
            .deprecated("4.0.0", "`HSET` with several fields"),
        hmset,
    ),
    Command::new(
        Spec::new("hrandfield", Group::Hash, -2, "key [count [WITHVALUES]]@options")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("6.2.0")
            .complexity("O(N), N: fields returned.")
            .summary("Picks fields at random.")
            .tips(&["nondeterministic_output"]),
        hrandfield,
    ),
    Command::new(
        Spec::new("hscan", Group::Hash, -3, "key cursor [MATCH pattern] [COUNT count]")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.8.0")
            .complexity("O(1) for each call, O(N) for the whole walk, N: fields of the hash.")
            .summary("Walks through fields and values, a few for each call.")
            .tips(&["nondeterministic_output"]),
        hscan,
    ),
    Command::new(
        Spec::new("hset", Group::Hash, -4, "key field value [field value ...]")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, UPDATE])])
            .since("2.0.0")
            .complexity("O(1) for each field.")
            .summary("Sets fields; creates the hash if missing.")
            .history(&[("4.0.0", "Takes several fields.")]),
        hset,
    ),
    Command::new(
        Spec::new("hsetnx", Group::Hash, 4, "key field value")
            .flags(&[WRITE, DENYOOM, FAST])
            .keys(&[KeySpec::one(1, &[RW, INSERT])])
            .since("2.0.0")
            .summary("Sets a field that does not exist yet."),
        hsetnx,
    ),
    Command::new(
        Spec::new("hstrlen", Group::Hash, 3, "key field")
            .flags(&[READONLY, FAST])
            .keys(&[KeySpec::one(1, &[RO])])
            .since("3.2.0")
            .summary("Tells the length of the value in a field."),
        hstrlen,
    ),
    Command::new(
        Spec::new("hvals", Group::Hash, 2, "key")
            .flags(&[READONLY])
            .keys(&[KeySpec::one(1, &[RO, ACCESS])])
            .since("2.0.0")
            .complexity("O(N), N: fields of the hash.")
            .summary("Lists all values.")
            .tips(&["nondeterministic_output_order"]),
        hvals,
    ),
];

fn hset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let created = set_pairs(ctx, args)?;
    ctx.reply.count(created);
    Ok(())
}

fn hmset(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    set_pairs(ctx, args)?;
    ctx.reply.ok();
    Ok(())
}

/// Sets fields. Returns how many are new.
fn set_pairs(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Result<usize, CommandError> {
    let key = args.key();
    let pairs = args.remaining() / 2;
    if !args.remaining().is_multiple_of(2) {
        return Err(CommandError::Arity(ctx.command.spec.name.into()));
    }
    let limits = ctx.db.limits();
    let hash = ctx.db.write_or_create(key, |_| Hash::new())?;
    if pairs > 1 {
        hash.make_way_for(args.rest(), &limits);
    }
    let mut created = 0;
    for _ in 0..pairs {
        created += usize::from(hash.set(args.key(), args.key(), &limits));
    }
    ctx.changed_by(pairs as u64, NotifyClasses::HASH, "hset", key);
    Ok(created)
}

fn hsetnx(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, field, value) = (args.key(), args.key(), args.key());
    let limits = ctx.db.limits();
    let hash = ctx.db.write_or_create(key, |_| Hash::new())?;
    let is_new = !hash.contains(field);
    if is_new {
        hash.set(field, value, &limits);
        ctx.changed(NotifyClasses::HASH, "hset", key);
    }
    ctx.reply.integer(i64::from(is_new));
    Ok(())
}

fn hdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let Some(hash) = ctx.db.write::<Hash>(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let removed = args.rest().filter(|field| hash.remove(field)).count();
    let emptied = hash.is_empty();
    ctx.changed_by(removed as u64, NotifyClasses::HASH, "hdel", key);
    if emptied {
        ctx.remove_emptied(key);
    }
    ctx.reply.count(removed);
    Ok(())
}

fn hget(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let hash = ctx.db.read::<Hash>(args.key())?;
    match hash.and_then(|hash| hash.get(args.key())) {
        Some(value) => reply_text(&mut ctx.reply, value),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn hmget(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let hash = ctx.db.read::<Hash>(args.key())?;
    ctx.reply.array(args.remaining());
    for field in args.rest() {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => reply_text(&mut ctx.reply, value),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn hlen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let hash = ctx.db.read::<Hash>(args.key())?;
    ctx.reply.count(hash.map_or(0, Hash::len));
    Ok(())
}

fn hstrlen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let hash = ctx.db.read::<Hash>(args.key())?;
    let value = hash.and_then(|hash| hash.get(args.key()));
    ctx.reply.count(value.map_or(0, |value| value.len_as_text()));
    Ok(())
}

fn hexists(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let hash = ctx.db.read::<Hash>(args.key())?;
    ctx.reply.integer(i64::from(hash.is_some_and(|hash| hash.contains(args.key()))));
    Ok(())
}

fn hkeys(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let hash = ctx.db.read::<Hash>(args.key())?;
    ctx.reply.array(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.iter().for_each(|(field, _)| reply_text(&mut ctx.reply, field));
    }
    Ok(())
}

fn hvals(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let hash = ctx.db.read::<Hash>(args.key())?;
    ctx.reply.array(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.iter().for_each(|(_, value)| reply_text(&mut ctx.reply, value));
    }
    Ok(())
}

fn hgetall(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let hash = ctx.db.read::<Hash>(args.key())?;
    ctx.reply.map(hash.map_or(0, Hash::len));
    if let Some(hash) = hash {
        hash.iter().for_each(|(field, value)| {
            reply_text(&mut ctx.reply, field);
            reply_text(&mut ctx.reply, value);
        });
    }
    Ok(())
}

fn hscan(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let cursor = scan::cursor(args.key())?;
    let Some(hash) = ctx.db.read::<Hash>(key)? else {
        return scan::reply_nothing(&mut ctx.reply);
    };
    let mut options = scan::ScanOptions::parse(&mut args)?;
    let answer = scan::Answer::begin(&ctx.reply);
    let mut shown = 0;
    let next = hash.scan(cursor, options.count, |field, value| {
        if options.matches_text(field) {
            reply_text(&mut ctx.reply, field);
            reply_text(&mut ctx.reply, value);
            shown += 2;
        }
    });
    answer.end(&mut ctx.reply, next, shown, options)
}
