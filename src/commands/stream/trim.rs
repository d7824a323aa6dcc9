//! The options with which clients trim a stream in XADD and XTRIM, and their effect.

use super::ids::parse_id;
use crate::keyspace::stream::{Log, Precision, TrimTo};
use crate::server::{Args, CommandError, Ctx};

/// Entries that one command with `~` removes at most, whatever nodes may hold.
const MAX_DEFAULT_LIMIT: u64 = 1_000_000;
/// The same when nodes may hold any number.
const DEFAULT_LIMIT: u64 = 10_000;
/// Nodes that one command with `~` removes at most, if they are full.
const DEFAULT_LIMIT_NODES: u64 = 100;

/// The options in front of the ID of XADD, and behind the key of XTRIM.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Options {
    /// XADD makes no key.
    pub(super) no_mkstream: bool,
    strategy: Option<Strategy>,
    limit: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Strategy {
    to: TrimTo,
    is_approximate: bool,
    /// The place of the number or the ID in the command.
    threshold_at: usize,
}

impl Options {
    /// Reads up to the ID, or what should be one.
    pub(super) fn parse_xadd(args: &mut Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        loop {
            if args.keyword("NOMKSTREAM") {
                options.no_mkstream = true;
            } else if !options.parse_one(args)? {
                return Ok(options);
            }
        }
    }

    /// Reads to the end.
    pub(super) fn parse_xtrim(args: &mut Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        while options.parse_one(args)? {}
        args.finish()?;
        Ok(options)
    }

    /// Reads an option that both commands have. Returns whether there was one.
    fn parse_one(&mut self, args: &mut Args<'_>) -> Result<bool, CommandError> {
        if args.keyword_with_value("MAXLEN") {
            let is_approximate = self.parse_operator(args)?;
            let length = not_negative(args, "ERR The MAXLEN argument must be >= 0.")?;
            self.set_strategy(TrimTo::Length(length), is_approximate, args);
        } else if args.keyword_with_value("MINID") {
            let is_approximate = self.parse_operator(args)?;
            let first = parse_id(args.next()?, 0)?;
            self.set_strategy(TrimTo::Ids(first), is_approximate, args);
        } else if args.keyword_with_value("LIMIT") {
            self.limit = Some(not_negative(args, "ERR The LIMIT argument must be >= 0.")?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Reads `~` or `=`, if something follows it. Returns whether it is `~`.
    fn parse_operator(&self, args: &mut Args<'_>) -> Result<bool, CommandError> {
        if self.strategy.is_some() {
            return Err(CommandError::fixed(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let is_approximate = args.keyword_with_value("~");
        if !is_approximate {
            args.keyword_with_value("=");
        }
        Ok(is_approximate)
    }

    fn set_strategy(&mut self, to: TrimTo, is_approximate: bool, args: &Args<'_>) {
        self.strategy = Some(Strategy { to, is_approximate, threshold_at: args.position() - 1 });
    }

    /// Returns the trimming to do, `None` without such an option. Errors when the options
    /// contradict each other.
    pub(super) fn check(&self, ctx: &Ctx<'_>) -> Result<Option<Trim>, CommandError> {
        if self.strategy.is_none() && self.limit.is_some_and(|limit| limit > 0) {
            return Err(CommandError::fixed(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        let is_approximate = self.strategy.is_some_and(|strategy| strategy.is_approximate);
        let limit = match self.limit {
            // The work done before is propagated with an exact end.
            _ if ctx.must_obey() => None,
            Some(_) if !is_approximate => {
                return Err(CommandError::fixed(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            Some(limit) => (limit > 0).then_some(limit),
            None => Some(default_limit(ctx.db.limits().stream_node_max_entries)),
        };
        let precision = if is_approximate { Precision::WholeNodes { limit } } else { Precision::Exact };
        Ok(self.strategy.map(|strategy| Trim {
            to: strategy.to,
            precision,
            threshold_at: strategy.threshold_at,
        }))
    }

    /// As [`Options::check`], for XTRIM, which is about nothing else.
    pub(super) fn check_given(&self, ctx: &Ctx<'_>) -> Result<Trim, CommandError> {
        let missing = "ERR syntax error, XTRIM must be called with a trimming strategy";
        if self.strategy.is_none() && self.limit == Some(0) {
            return Err(CommandError::fixed(missing));
        }
        self.check(ctx)?.ok_or(CommandError::fixed(missing))
    }
}

fn not_negative(args: &mut Args<'_>, error: &'static str) -> Result<u64, CommandError> {
    u64::try_from(args.int()?).map_err(|_| CommandError::fixed(error))
}

/// Redis: `~` without LIMIT does no more work than this.
fn default_limit(node_max_entries: usize) -> u64 {
    match DEFAULT_LIMIT_NODES.saturating_mul(node_max_entries as u64) {
        0 => DEFAULT_LIMIT,
        limit => limit.min(MAX_DEFAULT_LIMIT),
    }
}

/// Trimming that was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trim {
    to: TrimTo,
    precision: Precision,
    threshold_at: usize,
}

/// The result of trimming.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    /// Entries that are gone.
    pub(super) count: u64,
    /// They, if they are many: to be freed elsewhere.
    pub(super) removed: Option<Log>,
    /// The change of the command that repeats it where `~` was asked for: the argument and what
    /// takes its place, after `=`.
    pub(super) exact: Option<(usize, TrimTo)>,
}

impl Trim {
    pub(super) fn run(self, log: &mut Log) -> Trimmed {
        let (count, removed) = log.trim(self.to, self.precision);
        let reached = || match self.to {
            TrimTo::Length(_) => TrimTo::Length(log.len()),
            TrimTo::Ids(_) => TrimTo::Ids(log.kept_from()),
        };
        let is_approximate = matches!(self.precision, Precision::WholeNodes { .. });
        Trimmed { count, removed, exact: is_approximate.then(|| (self.threshold_at, reached())) }
    }
}
