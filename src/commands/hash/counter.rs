//! HINCRBY and HINCRBYFLOAT.

use crate::base::long_double::LongDouble;
use crate::base::number::{I64Text, parse_i64};
use crate::config::NotifyClasses;
use crate::keyspace::{Hash, Text};
use crate::server::{Args, CommandError, CommandResult, Ctx};

pub(super) fn hincrby(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    const NOT_INTEGER: CommandError = CommandError::fixed("ERR hash value is not an integer");
    let (key, field) = (args.key(), args.key());
    let increment = args.int()?;
    let limits = ctx.db.limits();
    let hash = ctx.db.write_or_create(key, |_| Hash::new())?;
    let old = match hash.get(field) {
        None => 0,
        Some(Text::Int(value)) => value,
        Some(Text::Bytes(bytes)) => parse_i64(bytes).ok_or(NOT_INTEGER)?,
    };
    let new = old.checked_add(increment).ok_or(CommandError::Overflow)?;
    hash.set(field, I64Text::new(new).as_bytes(), &limits);
    ctx.changed(NotifyClasses::HASH, "hincrby", key);
    ctx.reply.integer(new);
    Ok(())
}

pub(super) fn hincrbyfloat(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    const NOT_FLOAT: CommandError = CommandError::fixed("ERR hash value is not a float");
    const NOT_FINITE: CommandError = CommandError::fixed("ERR value is NaN or Infinity");
    let (key, field) = (args.key(), args.key());
    let increment = LongDouble::parse(args.key()).ok_or(CommandError::NotFloat)?;
    if !increment.is_finite() {
        return Err(NOT_FINITE);
    }
    let limits = ctx.db.limits();
    let hash = ctx.db.write_or_create(key, |_| Hash::new())?;
    let old = match hash.get(field) {
        None => LongDouble::ZERO,
        Some(value) => value.with_bytes(LongDouble::parse).ok_or(NOT_FLOAT)?,
    };
    let sum = old + increment;
    if !sum.is_finite() {
        return Err(CommandError::NotFinite);
    }
    let mut text = Vec::new();
    sum.format(&mut text);
    hash.set(field, &text, &limits);
    // So that a reader of the effect needs not our arithmetic.
    ctx.propagate_instead([&b"HSET"[..], key, field, &text]);
    ctx.changed(NotifyClasses::HASH, "hincrbyfloat", key);
    ctx.reply.bulk(&text);
    Ok(())
}
