//! Reading a list: LLEN, LINDEX, LRANGE.

use super::{answer, position, range};
use crate::keyspace::List;
use crate::server::{Args, CommandResult, Ctx};

pub(super) fn llen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let len = ctx.db.read::<List>(args.key())?.map_or(0, List::len);
    ctx.reply.count(len);
    Ok(())
}

pub(super) fn lindex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    // Redis: the index of a missing key may be anything.
    let Some(list) = ctx.db.read::<List>(args.key())? else {
        ctx.reply.null();
        return Ok(());
    };
    let elements = &list.elements;
    match position(args.int()?, elements.len()).and_then(|index| elements.get(index)) {
        Some(element) => answer(&mut ctx.reply, element),
        None => ctx.reply.null(),
    }
    Ok(())
}

pub(super) fn lrange(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (key, start, stop) = (args.key(), args.int()?, args.int()?);
    let Some(list) = ctx.db.read::<List>(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let (first, count) = range(start, stop, list.elements.len());
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    ctx.reply.array(count);
    list.elements.iter_from(first).take(count).for_each(|element| answer(&mut ctx.reply, element));
    Ok(())
}
