//! ZUNION, ZINTER, ZDIFF, their STORE forms, and ZINTERCARD. Sets take part, too: with score 1.
//!
//! The sources are held by reference while they are read, so a destination may be one of them.
//! Sums are added up in the order of Redis, smallest source first, as it decides on the last digit.

use super::ReplyShape;
use crate::commands::stored::store_sorted_set;
use crate::keyspace::sorted_set::SortedSetBuilder;
use crate::keyspace::{EncodingLimits, Member, Set, SortedSet, Value, ValueRef};
use crate::server::{Args, CommandError, CommandResult, Ctx};
use triomphe::Arc;

/// The operation on several sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// The way in which several scores become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        for (word, aggregate) in [("SUM", Aggregate::Sum), ("MIN", Aggregate::Min), ("MAX", Aggregate::Max)] {
            if args.keyword(word) {
                return Ok(aggregate);
            }
        }
        Err(CommandError::Syntax)
    }

    fn of(self, one: f64, two: f64) -> f64 {
        match self {
            // Redis: the sum of both infinities is 0.
            Aggregate::Sum => not_nan(one + two),
            Aggregate::Min => {
                if two < one {
                    two
                } else {
                    one
                }
            }
            Aggregate::Max => {
                if two > one {
                    two
                } else {
                    one
                }
            }
        }
    }
}

/// Redis: a weight of 0 makes 0 of infinity.
fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// The members of a source.
#[derive(Clone, Debug)]
enum Members {
    Missing,
    Sorted(Arc<SortedSet>),
    Plain(Arc<Set>),
}

/// A key that takes part.
#[derive(Clone, Debug)]
struct Source {
    members: Members,
    weight: f64,
}

impl Source {
    fn load(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<Self, CommandError> {
        let members = match ctx.db.view_for_read(key).map(|view| view.value) {
            None => Members::Missing,
            Some(ValueRef::Object(Value::SortedSet(set))) => Members::Sorted(set.clone()),
            Some(ValueRef::Object(Value::Set(set))) => Members::Plain(set.clone()),
            Some(_) => return Err(CommandError::WrongType),
        };
        Ok(Source { members, weight: 1.0 })
    }

    fn len(&self) -> usize {
        match &self.members {
            Members::Missing => 0,
            Members::Sorted(set) => set.len(),
            Members::Plain(set) => set.len(),
        }
    }

    /// Its members with their scores, without the weight.
    fn iter(&self) -> impl Iterator<Item = (Member<'_>, f64)> {
        let (sorted, plain) = match &self.members {
            Members::Missing => (None, None),
            Members::Sorted(set) => (Some(set), None),
            Members::Plain(set) => (None, Some(set)),
        };
        let plain = plain.into_iter().flat_map(|set| set.iter().map(|member| (member, 1.0)));
        sorted.into_iter().flat_map(|set| set.iter()).chain(plain)
    }

    fn score(&self, member: Member<'_>) -> Option<f64> {
        match &self.members {
            Members::Missing => None,
            Members::Sorted(set) => member.with_bytes(|member| set.score(member)),
            Members::Plain(set) => set.contains_member(member).then_some(1.0),
        }
    }
}

/// Sources and what is to be made of them.
#[derive(Clone, Debug)]
struct Request {
    sources: Vec<Source>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Request {
    /// Reads `numkeys key [key ...]` and the keys. The options are the caller's.
    fn load(ctx: &mut Ctx<'_>, args: &mut Args<'_>) -> Result<Self, CommandError> {
        let numkeys = args.int()?;
        if numkeys < 1 {
            let name = ctx.command.spec.name;
            return Err(CommandError::line(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        let keys = args.take(usize::try_from(numkeys).unwrap_or(usize::MAX))?;
        let sources: Result<_, _> = keys.into_iter().map(|key| Source::load(ctx, key)).collect();
        Ok(Request { sources: sources?, aggregate: Aggregate::Sum, with_scores: false })
    }

    /// Reads WEIGHTS and AGGREGATE, which a difference has not, and WITHSCORES, which what is
    /// stored has not.
    fn parse_options(&mut self, args: &mut Args<'_>, operation: Operation, stores: bool) -> CommandResult {
        while !args.is_done() {
            if operation != Operation::Diff
                && args.remaining() > self.sources.len()
                && args.keyword("WEIGHTS")
            {
                for source in &mut self.sources {
                    const NOT_FLOAT: CommandError = CommandError::fixed("ERR weight value is not a float");
                    source.weight = args.double().map_err(|_| NOT_FLOAT)?;
                }
            } else if operation != Operation::Diff && args.keyword_with_value("AGGREGATE") {
                self.aggregate = Aggregate::parse(args)?;
            } else if !stores && args.keyword("WITHSCORES") {
                self.with_scores = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(())
    }

    fn run(mut self, operation: Operation, limits: &EncodingLimits) -> SortedSetBuilder {
        let mut result = SortedSetBuilder::new(limits);
        match operation {
            Operation::Union => self.union(&mut result),
            Operation::Inter => {
                self.sources.sort_by_key(Source::len);
                self.each_common(|member, score| {
                    member.with_bytes(|member| result.add(member, score, |_, score| score));
                    true
                });
            }
            Operation::Diff => self.diff(&mut result),
        }
        result
    }

    fn union(&mut self, result: &mut SortedSetBuilder) {
        self.sources.sort_by_key(Source::len);
        for source in &self.sources {
            for (member, score) in source.iter() {
                let score = not_nan(score * source.weight);
                member.with_bytes(|member| {
                    result.add(member, score, |sum, score| self.aggregate.of(sum, score));
                });
            }
        }
    }

    /// Shows what is in all sources, of which the first is the smallest, until `show` returns
    /// false.
    fn each_common(&self, mut show: impl FnMut(Member<'_>, f64) -> bool) {
        let Some((smallest, others)) = self.sources.split_first() else { return };
        for (member, score) in smallest.iter() {
            let first = Some(not_nan(score * smallest.weight));
            let score = others.iter().fold(first, |sum, source| {
                Some(self.aggregate.of(sum?, source.score(member)? * source.weight))
            });
            if score.is_some_and(|score| !show(member, score)) {
                return;
            }
        }
    }

    fn diff(&self, result: &mut SortedSetBuilder) {
        let Some((first, others)) = self.sources.split_first() else { return };
        let others_len: usize = others.iter().map(Source::len).sum();
        // Either every member is looked for everywhere, or all of the others are taken out.
        let looks = first.len().saturating_mul(others.len()) / 2 <= first.len().saturating_add(others_len);
        for (member, score) in first.iter() {
            if !looks || others.iter().all(|other| other.score(member).is_none()) {
                member.with_bytes(|member| result.add(member, score, |_, score| score));
            }
        }
        if !looks {
            for (member, _) in others.iter().flat_map(Source::iter) {
                member.with_bytes(|member| result.remove(member));
            }
        }
    }
}

pub(super) fn zunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    answer(ctx, args, Operation::Union)
}

pub(super) fn zinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    answer(ctx, args, Operation::Inter)
}

pub(super) fn zdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    answer(ctx, args, Operation::Diff)
}

fn answer(ctx: &mut Ctx<'_>, mut args: Args<'_>, operation: Operation) -> CommandResult {
    let mut request = Request::load(ctx, &mut args)?;
    request.parse_options(&mut args, operation, false)?;
    let shape = if request.with_scores { ReplyShape::with_scores(&ctx.reply) } else { ReplyShape::Members };
    let result = request.run(operation, &ctx.db.limits());
    shape.head(&mut ctx.reply, result.len());
    for (member, score) in result.in_order() {
        shape.show(&mut ctx.reply, Member::Bytes(member), score);
    }
    Ok(())
}

pub(super) fn zunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Inter, "zinterstore")
}

pub(super) fn zdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    store(ctx, args, Operation::Diff, "zdiffstore")
}

fn store(ctx: &mut Ctx<'_>, mut args: Args<'_>, operation: Operation, event: &str) -> CommandResult {
    let destination = args.key();
    let mut request = Request::load(ctx, &mut args)?;
    request.parse_options(&mut args, operation, true)?;
    let result = request.run(operation, &ctx.db.limits());
    let stored = store_sorted_set(ctx, event, destination, result, 1);
    ctx.reply.count(stored);
    Ok(())
}

pub(super) fn zintercard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    const NEGATIVE: CommandError = CommandError::fixed("ERR LIMIT can't be negative");
    let mut request = Request::load(ctx, &mut args)?;
    let mut limit = 0;
    while !args.is_done() {
        if !args.keyword_with_value("LIMIT") {
            return Err(CommandError::Syntax);
        }
        limit = args.int_in(0, i64::MAX, NEGATIVE)?;
    }
    request.sources.sort_by_key(Source::len);
    let mut count = 0;
    request.each_common(|_, _| {
        count += 1;
        count != limit
    });
    ctx.reply.integer(count);
    Ok(())
}
