//! Ranges of members: ZRANGE with its five older forms, and ZRANGESTORE.
//!
//! Whatever the range is of, it becomes ranks; LIMIT and direction are arithmetic on them.

use super::ReplyShape;
use super::bounds::{self, Limit, RankRange};
use crate::commands::stored::store_sorted_set;
use crate::keyspace::SortedSet;
use crate::keyspace::sorted_set::{Direction, LexRange, ScoreRange, SortedSetBuilder};
use crate::server::{Args, CommandError, CommandResult, Ctx};
use std::ops::Range;

/// The property that a range is of, as a form of the command fixes it or its options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// The options that come behind the two ends. `None` is what options may still say.
#[derive(Clone, Copy, Debug)]
struct Options {
    by: Option<By>,
    direction: Option<Direction>,
    limit: Limit,
    with_scores: bool,
}

impl Options {
    /// Nothing is fixed: ZRANGE.
    const FREE: Options = Options { by: None, direction: None, limit: Limit::NONE, with_scores: false };

    const fn fixed(by: By, direction: Direction) -> Self {
        Options { by: Some(by), direction: Some(direction), ..Options::FREE }
    }

    /// Reads the options up to the end. A result that is stored has scores in any case.
    fn parse(&mut self, args: &mut Args<'_>, stores: bool) -> CommandResult {
        while !args.is_done() {
            if !stores && args.keyword("WITHSCORES") {
                self.with_scores = true;
            } else if args.remaining() >= 3 && args.keyword("LIMIT") {
                self.limit = Limit { offset: args.int()?, count: args.int()? };
            } else if self.direction.is_none() && args.keyword("REV") {
                self.direction = Some(Direction::Descending);
            } else if self.by.is_none() && args.keyword("BYLEX") {
                self.by = Some(By::Lex);
            } else if self.by.is_none() && args.keyword("BYSCORE") {
                self.by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        self.check()
    }

    fn check(&self) -> CommandResult {
        let line = match self.by() {
            By::Rank if self.limit.count != -1 => {
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
            }
            By::Lex if self.with_scores => {
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
            }
            _ => return Ok(()),
        };
        Err(CommandError::fixed(line))
    }

    fn by(&self) -> By {
        self.by.unwrap_or(By::Rank)
    }

    fn direction(&self) -> Direction {
        self.direction.unwrap_or(Direction::Ascending)
    }
}

#[derive(Clone, Copy, Debug)]
enum Bounds<'a> {
    Ranks(RankRange),
    Scores(ScoreRange),
    Names(LexRange<'a>),
}

/// A range of a sorted set, as a client asks for it.
#[derive(Clone, Copy, Debug)]
struct Selected<'a> {
    bounds: Bounds<'a>,
    direction: Direction,
    limit: Limit,
}

impl<'a> Selected<'a> {
    /// Reads two ends and the options behind them; returns whether scores are wanted, too.
    fn parse(mut args: Args<'a>, mut options: Options, stores: bool) -> Result<(Self, bool), CommandError> {
        let mut ends = args;
        let (mut min, mut max) = (args.key(), args.key());
        options.parse(&mut args, stores)?;
        let (by, direction) = (options.by(), options.direction());
        if direction == Direction::Descending {
            (min, max) = (max, min);
        }
        let bounds = match by {
            By::Rank => Bounds::Ranks(RankRange::parse(&mut ends)?),
            By::Score => Bounds::Scores(bounds::score_range(min, max)?),
            By::Lex => Bounds::Names(bounds::lex_range(min, max)?),
        };
        Ok((Selected { bounds, direction, limit: options.limit }, options.with_scores))
    }

    fn ranks(&self, set: &SortedSet) -> Range<usize> {
        let ranks = match self.bounds {
            Bounds::Ranks(ranks) => {
                let ranks = ranks.of(set.len());
                return match self.direction {
                    Direction::Ascending => ranks,
                    Direction::Descending => set.len() - ranks.end..set.len() - ranks.start,
                };
            }
            Bounds::Scores(range) => set.score_ranks(&range),
            Bounds::Names(range) => set.lex_ranks(&range),
        };
        match self.direction {
            Direction::Ascending => self.limit.cut_ascending(ranks),
            Direction::Descending => self.limit.cut_descending(ranks),
        }
    }
}

pub(super) fn zrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, Options::FREE)
}

pub(super) fn zrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, Options::fixed(By::Rank, Direction::Descending))
}

pub(super) fn zrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, Options::fixed(By::Score, Direction::Ascending))
}

pub(super) fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, Options::fixed(By::Score, Direction::Descending))
}

pub(super) fn zrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, Options::fixed(By::Lex, Direction::Ascending))
}

pub(super) fn zrevrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> CommandResult {
    range(ctx, args, Options::fixed(By::Lex, Direction::Descending))
}

fn range(ctx: &mut Ctx<'_>, mut args: Args<'_>, options: Options) -> CommandResult {
    let key = args.key();
    let (selected, with_scores) = Selected::parse(args, options, false)?;
    let Some(set) = ctx.db.read::<SortedSet>(key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let ranks = selected.ranks(set);
    let shape = if with_scores { ReplyShape::with_scores(&ctx.reply) } else { ReplyShape::Members };
    shape.head(&mut ctx.reply, ranks.len());
    for (member, score) in set.walk(ranks, selected.direction) {
        shape.show(&mut ctx.reply, member, score);
    }
    Ok(())
}

pub(super) fn zrangestore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let (destination, source) = (args.key(), args.key());
    let (selected, _) = Selected::parse(args, Options::FREE, true)?;
    let limits = ctx.db.limits();
    let mut result = SortedSetBuilder::new(&limits);
    if let Some(set) = ctx.db.read::<SortedSet>(source)? {
        for (member, score) in set.walk(selected.ranks(set), selected.direction) {
            member.with_bytes(|member| result.add(member, score, |_, score| score));
        }
    }
    let stored = store_sorted_set(ctx, "zrangestore", destination, result, 1);
    ctx.reply.count(stored);
    Ok(())
}

pub(super) fn zcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let range = bounds::score_range(args.key(), args.key())?;
    let set = ctx.db.read::<SortedSet>(key)?;
    ctx.reply.count(set.map_or(0, |set| set.score_ranks(&range).len()));
    Ok(())
}

pub(super) fn zlexcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let key = args.key();
    let range = bounds::lex_range(args.key(), args.key())?;
    let set = ctx.db.read::<SortedSet>(key)?;
    ctx.reply.count(set.map_or(0, |set| set.lex_ranks(&range).len()));
    Ok(())
}
