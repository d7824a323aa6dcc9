//! ZRANDMEMBER.

use super::ReplyShape;
use crate::clients::Close;
use crate::commands::answer::{max_waiting_bytes, reply_text};
use crate::commands::argument::int_between;
use crate::keyspace::SortedSet;
use crate::server::{Args, CommandError, CommandResult, Ctx};

pub(super) fn zrandmember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    if args.is_done() {
        let set = ctx.db.read::<SortedSet>(key)?;
        match set.and_then(|set| set.random(&mut ctx.rooms.random)) {
            Some((member, _)) => reply_text(&mut ctx.reply, member),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    let count = int_between(&mut args, -i64::MAX, i64::MAX)?;
    let mut shape = ReplyShape::Members;
    if args.keyword("WITHSCORES") {
        shape = ReplyShape::with_scores(&ctx.reply);
    }
    args.finish()?;
    // Redis: the answer of member and score of each must have a length, too.
    if shape != ReplyShape::Members && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(CommandError::OutOfRange);
    }
    random_members(ctx, key, count, shape)
}

/// `count` different members, or `-count` members of which some may be the same.
fn random_members(ctx: &mut Ctx<'_>, key: &[u8], count: i64, shape: ReplyShape) -> CommandResult {
    let Some(set) = ctx.db.read::<SortedSet>(key)?.filter(|_| count != 0) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (reply, random) = (&mut ctx.reply, &mut ctx.rooms.random);
    let number = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count > 0 {
        shape.head(reply, number.min(set.len()));
        set.sample(number, random, |member, score| shape.show(reply, member, score));
        return Ok(());
    }
    shape.head(reply, number);
    let max = max_waiting_bytes(&ctx.rooms.config);
    let mut left = number;
    set.draw(random, |member, score| {
        shape.show(reply, member, score);
        left -= 1;
        left > 0 && reply.mark() <= max
    });
    if left > 0 {
        ctx.session.close = Close::Now;
    }
    Ok(())
}
