//! Removing members: ZREM one by one, ZREMRANGEBYRANK, -BYSCORE and -BYLEX a range of them.

use super::bounds::{self, RankRange};
use crate::config::NotifyClasses;
use crate::keyspace::SortedSet;
use crate::server::{Args, CommandResult, Ctx};
use std::ops::Range;

pub(super) fn zrem(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
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

pub(super) fn zremrangebyrank(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let ranks = RankRange::parse(&mut args)?;
    remove_range(ctx, key, "zremrangebyrank", |set| ranks.of(set.len()))
}

pub(super) fn zremrangebyscore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let range = bounds::score_range(args.key(), args.key())?;
    remove_range(ctx, key, "zremrangebyscore", |set| set.score_ranks(&range))
}

pub(super) fn zremrangebylex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let range = bounds::lex_range(args.key(), args.key())?;
    remove_range(ctx, key, "zremrangebylex", |set| set.lex_ranks(&range))
}

fn remove_range(
    ctx: &mut Ctx<'_>,
    key: &[u8],
    event: &str,
    ranks: impl FnOnce(&SortedSet) -> Range<usize>,
) -> CommandResult {
    let Some(set) = ctx.db.write::<SortedSet>(key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ranks = ranks(set);
    let removed = ranks.len();
    if removed > 0 {
        set.remove_ranks(ranks);
    }
    let emptied = set.is_empty();
    ctx.changed_by(removed as u64, NotifyClasses::ZSET, event, key);
    if emptied {
        ctx.remove_emptied(key);
    }
    ctx.reply.count(removed);
    Ok(())
}
