//! SPOP and SRANDMEMBER.

use crate::commands::answer::{close_overfull, max_waiting_bytes, reply_text};
use crate::commands::argument::int_between;
use crate::config::NotifyClasses;
use crate::keyspace::Set;
use crate::resp::OwnedArgv;
use crate::server::{Args, CommandError, CommandResult, Ctx};

/// With less than this share of the members to stay, they are moved to a new set instead of
/// taking the others out one by one. Redis: SPOP_MOVE_STRATEGY_MUL.
const MOVE_STRATEGY: usize = 5;

pub(super) fn spop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    match args.remaining() {
        0 => pop_one(ctx, key),
        1 => {
            let count = usize::try_from(args.positive()?).unwrap_or(usize::MAX);
            pop_many(ctx, key, count)
        }
        _ => Err(CommandError::Syntax),
    }
}

fn pop_one(ctx: &mut Ctx<'_>, key: &[u8]) -> CommandResult {
    let Some(set) = ctx.db.write::<Set>(key)? else {
        ctx.reply.null();
        return Ok(());
    };
    let member = set.pop(&mut ctx.rooms.random).expect("sets in the keyspace are never empty");
    let emptied = set.is_empty();
    ctx.reply.bulk(&member);
    ctx.propagate_instead([&b"SREM"[..], key, &member]);
    ctx.changed(NotifyClasses::SET, "spop", key);
    if emptied {
        ctx.remove_emptied(key);
    }
    Ok(())
}

fn pop_many(ctx: &mut Ctx<'_>, key: &[u8], count: usize) -> CommandResult {
    let limits = ctx.db.limits();
    let Some(set) = ctx.db.write::<Set>(key)?.filter(|_| count > 0) else {
        ctx.reply.set(0);
        return Ok(());
    };
    let len = set.len();
    if count >= len {
        return pop_all(ctx, key);
    }
    ctx.reply.set(count);
    let wanted = ctx.rooms.propagation.is_wanted();
    let (reply, effect, random) = (&mut ctx.reply, &mut ctx.effect, &mut ctx.rooms.random);
    let mut popped = |member: &[u8]| {
        reply.bulk(member);
        if wanted {
            effect.replace(OwnedArgv::from_parts([b"SREM", key, member]));
        }
    };
    let kept = len - count;
    if kept.saturating_mul(MOVE_STRATEGY) > count {
        (0..count).filter_map(|_| set.pop(random)).for_each(|member| popped(&member));
    } else {
        set.pop_all_but(kept, random, &limits, |member| member.with_bytes(&mut popped));
    }
    ctx.changed_by(count as u64, NotifyClasses::SET, "spop", key);
    Ok(())
}

fn pop_all(ctx: &mut Ctx<'_>, key: &[u8]) -> CommandResult {
    let Some(set) = ctx.db.write::<Set>(key)? else { return Ok(()) };
    let len = set.len();
    ctx.reply.set(len);
    set.iter().for_each(|member| reply_text(&mut ctx.reply, member));
    ctx.propagate_instead([&b"DEL"[..], key]);
    ctx.changed_by(len as u64, NotifyClasses::SET, "spop", key);
    ctx.remove_emptied(key);
    Ok(())
}

pub(super) fn srandmember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    match args.remaining() {
        0 => {
            let set = ctx.db.read::<Set>(key)?;
            match set.and_then(|set| set.random(&mut ctx.rooms.random)) {
                Some(member) => reply_text(&mut ctx.reply, member),
                None => ctx.reply.null(),
            }
            Ok(())
        }
        1 => {
            let count = int_between(&mut args, -i64::MAX, i64::MAX)?;
            random_members(ctx, key, count)
        }
        _ => Err(CommandError::Syntax),
    }
}

/// `count` different members, or `-count` members of which some may be the same.
fn random_members(ctx: &mut Ctx<'_>, key: &[u8], count: i64) -> CommandResult {
    let Some(set) = ctx.db.read::<Set>(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (reply, random) = (&mut ctx.reply, &mut ctx.rooms.random);
    let number = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count >= 0 {
        reply.array(number.min(set.len()));
        set.sample(number, random, |member| reply_text(reply, member));
        return Ok(());
    }
    reply.array(number);
    let max = max_waiting_bytes(&ctx.rooms.config);
    for _ in 0..number {
        reply_text(reply, set.random(random).expect("sets in the keyspace are never empty"));
        if reply.mark() > max {
            close_overfull(ctx);
            break;
        }
    }
    Ok(())
}
