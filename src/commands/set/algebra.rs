//! SINTER, SUNION, SDIFF, their STORE forms, and SINTERCARD.
//!
//! The sets are held by reference while they are read, so a destination may be one of the sources.
//! Answers are streamed where no member can come up twice; a union, and a difference of much, is
//! built as a set first. Such a set may begin as a clone of a large source, which shares its pages.

use crate::commands::answer::reply_text;
use crate::config::NotifyClasses;
use crate::keyspace::{EncodingLimits, Member, Set, Value};
use crate::server::{Args, CommandError, CommandResult, Ctx};
use triomphe::Arc;

/// The sets under the keys left in `args`; a missing one is `None`. All keys are looked at, so
/// that one of another type is an error wherever it stands.
fn load(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Vec<Option<Arc<Set>>>, CommandError> {
    let sets: Result<_, _> = args.rest().map(|key| ctx.db.read_shared::<Set>(key)).collect();
    Ok(sets?)
}

pub(super) fn sinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let sets = Intersection::of(load(ctx, args)?);
    let head = ctx.reply.deferred();
    let mut len = 0;
    for member in sets.members() {
        reply_text(&mut ctx.reply, member);
        len += 1;
    }
    ctx.reply.close_set(head, len);
    Ok(())
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let destination = args.key();
    let sets = Intersection::of(load(ctx, args)?);
    let limits = ctx.db.limits();
    let mut result = Set::new();
    for member in sets.members() {
        result.insert_member(member, &limits);
    }
    store(ctx, "sinterstore", destination, result);
    Ok(())
}

pub(super) fn sintercard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    const TOO_FEW: CommandError = CommandError::fixed("ERR numkeys should be greater than 0");
    const TOO_MANY: CommandError =
        CommandError::fixed("ERR Number of keys can't be greater than number of args");
    const NEGATIVE: CommandError = CommandError::fixed("ERR LIMIT can't be negative");
    let count = args.int_in(1, i64::MAX, TOO_FEW)?;
    let count = usize::try_from(count).ok().filter(|&count| count <= args.remaining()).ok_or(TOO_MANY)?;
    let keys = args;
    args.take(count)?;
    let mut limit = 0;
    while !args.is_done() {
        if !args.keyword_with_value("LIMIT") {
            return Err(CommandError::Syntax);
        }
        limit = args.int_in(0, i64::MAX, NEGATIVE)?;
    }
    let sets: Result<_, _> = keys.rest().take(count).map(|key| ctx.db.read_shared::<Set>(key)).collect();
    let sets = Intersection::of(sets?);
    let limit = usize::try_from(limit).ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX);
    ctx.reply.count(sets.members().take(limit).count());
    Ok(())
}

/// Sets that are intersected: the smallest, which is walked over, and the others by size, as the
/// smallest is the most likely to refuse a member.
struct Intersection {
    smallest: Arc<Set>,
    others: Vec<Arc<Set>>,
}

impl Intersection {
    /// A missing set makes it all empty.
    fn of(sets: Vec<Option<Arc<Set>>>) -> Self {
        let mut sets: Vec<_> = sets.into_iter().map(Option::unwrap_or_default).collect();
        sets.sort_by_key(|set| set.len());
        let mut sets = sets.into_iter();
        let smallest = sets.next().unwrap_or_default();
        let others = sets.filter(|set| !Arc::ptr_eq(set, &smallest)).collect();
        Intersection { smallest, others }
    }

    fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.smallest.iter().filter(|&member| self.others.iter().all(|set| set.contains_member(member)))
    }
}

pub(super) fn sunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let sets = load(ctx, args)?;
    reply_set(ctx, &union(&sets, &ctx.db.limits()));
    Ok(())
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let destination = args.key();
    let sets = load(ctx, args)?;
    let result = union(&sets, &ctx.db.limits());
    store(ctx, "sunionstore", destination, result);
    Ok(())
}

fn union(sets: &[Option<Arc<Set>>], limits: &EncodingLimits) -> Set {
    let Some(largest) = sets.iter().flatten().max_by_key(|set| set.len()) else { return Set::new() };
    let mut result = begin_with(largest, limits);
    for set in sets.iter().flatten().filter(|set| !Arc::ptr_eq(set, largest)) {
        for member in set.iter() {
            result.insert_member(member, limits);
        }
    }
    result
}

/// A set of the members of `set`, in the form it has when they are added one by one. One that is a
/// hash table for its size alone is shared; others may hold integers only, and become an intset.
fn begin_with(set: &Set, limits: &EncodingLimits) -> Set {
    if set.as_intset().is_some() || set.len() > limits.set_max_intset_entries {
        return set.clone();
    }
    let mut result = Set::new();
    for member in set.iter() {
        result.insert_member(member, limits);
    }
    result
}

pub(super) fn sdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    let sets = load(ctx, args)?;
    let (first, others) = minuend(&sets);
    if !removing_is_cheaper(first, &others) {
        let head = ctx.reply.deferred();
        let mut len = 0;
        for member in without(first, &others) {
            reply_text(&mut ctx.reply, member);
            len += 1;
        }
        ctx.reply.close_set(head, len);
        return Ok(());
    }
    reply_set(ctx, &difference(first, &others, &ctx.db.limits()));
    Ok(())
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let destination = args.key();
    let sets = load(ctx, args)?;
    let (first, others) = minuend(&sets);
    let result = difference(first, &others, &ctx.db.limits());
    store(ctx, "sdiffstore", destination, result);
    Ok(())
}

/// The first set, and the others with the largest first: the likeliest to have a member.
fn minuend(sets: &[Option<Arc<Set>>]) -> (Option<&Arc<Set>>, Vec<&Arc<Set>>) {
    let (first, others) = sets.split_first().expect("the arity asks for a key");
    let mut others: Vec<_> = others.iter().flatten().collect();
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    (first.as_ref(), others)
}

/// True when removing all members of the others from the first set is less work than looking each
/// of its members up in the others. Redis counts so too, and gives the looking up, which has better
/// constants, an advantage of two.
fn removing_is_cheaper(first: Option<&Arc<Set>>, others: &[&Arc<Set>]) -> bool {
    let first = first.map_or(0, |set| set.len());
    let looking_up = first.saturating_mul(others.len() + 1) / 2;
    let removing = others.iter().map(|set| set.len()).sum::<usize>().saturating_add(first);
    removing < looking_up
}

fn without<'a>(first: Option<&'a Arc<Set>>, others: &'a [&Arc<Set>]) -> impl Iterator<Item = Member<'a>> {
    let members = first.into_iter().flat_map(|set| set.iter());
    members.filter(|&member| !others.iter().any(|set| set.contains_member(member)))
}

fn difference(first: Option<&Arc<Set>>, others: &[&Arc<Set>], limits: &EncodingLimits) -> Set {
    let mut result = Set::new();
    if let Some(first) = first.filter(|_| removing_is_cheaper(first, others)) {
        result = begin_with(first, limits);
        for set in others {
            for member in set.iter() {
                result.remove_member(member);
            }
        }
    } else {
        for member in without(first, others) {
            result.insert_member(member, limits);
        }
    }
    result
}

fn reply_set(ctx: &mut Ctx<'_>, set: &Set) {
    ctx.reply.set(set.len());
    set.iter().for_each(|member| reply_text(&mut ctx.reply, member));
}

/// Makes `result` the value of `destination`, whatever that held, and answers its size. An empty
/// one removes the key.
fn store(ctx: &mut Ctx<'_>, event: &str, destination: &[u8], result: Set) {
    let len = result.len();
    if len > 0 {
        ctx.db.insert(destination, Value::Set(Arc::new(result)), None);
        ctx.changed(NotifyClasses::SET, event, destination);
    } else if ctx.db.remove(destination) {
        ctx.changed(NotifyClasses::GENERIC, "del", destination);
    }
    ctx.reply.count(len);
}
