//! HRANDFIELD.

use crate::commands::answer::{close_overfull, max_waiting_bytes, reply_text};
use crate::commands::argument::int_between;
use crate::keyspace::{Hash, Text};
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::server::{Args, CommandError, CommandResult, Ctx};

/// The form of the answer for a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Fields,
    /// Field and value side by side: WITHVALUES in RESP2.
    Flat,
    /// An array of the two: WITHVALUES in RESP3.
    Pairs,
}

impl Shape {
    fn head(self, reply: &mut Reply<'_>, count: usize) {
        reply.array(if self == Shape::Flat { count.saturating_mul(2) } else { count });
    }

    fn show(self, reply: &mut Reply<'_>, field: Text<'_>, value: Text<'_>) {
        if self == Shape::Pairs {
            reply.array(2);
        }
        reply_text(reply, field);
        if self != Shape::Fields {
            reply_text(reply, value);
        }
    }
}

pub(super) fn hrandfield(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    if args.is_done() {
        let hash = ctx.db.read::<Hash>(key)?;
        match hash.and_then(|hash| hash.random(&mut ctx.rooms.random)) {
            Some((field, _)) => reply_text(&mut ctx.reply, field),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    let count = int_between(&mut args, -i64::MAX, i64::MAX)?;
    let mut shape = Shape::Fields;
    if args.keyword("WITHVALUES") {
        shape = if ctx.reply.protocol() == Protocol::Resp3 { Shape::Pairs } else { Shape::Flat };
    }
    args.finish()?;
    // Redis: the answer of both texts of each field must have a length, too.
    if shape != Shape::Fields && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return Err(CommandError::OutOfRange);
    }
    random_fields(ctx, key, count, shape)
}

/// `count` different fields, or `-count` fields of which some may be the same.
fn random_fields(ctx: &mut Ctx<'_>, key: &[u8], count: i64, shape: Shape) -> CommandResult {
    let Some(hash) = ctx.db.read::<Hash>(key)?.filter(|_| count != 0) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (reply, random) = (&mut ctx.reply, &mut ctx.rooms.random);
    let number = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count > 0 {
        shape.head(reply, number.min(hash.len()));
        hash.sample(number, random, |field, value| shape.show(reply, field, value));
        return Ok(());
    }
    shape.head(reply, number);
    let max = max_waiting_bytes(&ctx.rooms.config);
    let mut left = number;
    hash.draw(random, |field, value| {
        shape.show(reply, field, value);
        left -= 1;
        left > 0 && reply.mark() <= max
    });
    if left > 0 {
        close_overfull(ctx);
    }
    Ok(())
}
