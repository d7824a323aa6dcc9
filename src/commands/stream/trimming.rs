//! How XADD and XTRIM say what is to go: MAXLEN, MINID, `~` and LIMIT.

use super::ids::parse_id;
use crate::keyspace::stream::{Log, Precision, TrimTo};
use crate::resp::Argv;
use crate::server::{Args, CommandError, Ctx};

/// Redis: without LIMIT a trim by whole nodes takes at most as many as so many full ones hold.
const DEFAULT_LIMIT_NODES: i64 = 100;
/// Redis: the limit where nodes are not limited, and the largest one.
const DEFAULT_LIMIT: i64 = 10_000;
const MAX_DEFAULT_LIMIT: i64 = 1_000_000;

/// What is to be trimmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trimming {
    pub(super) to: TrimTo,
    pub(super) precision: Precision,
    /// Where the threshold stands in the command.
    position: usize,
}

/// Options that were read so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TrimOptions {
    /// What is kept, whether approximately, and where the threshold stands.
    to: Option<(TrimTo, bool, usize)>,
    limit: Option<i64>,
}

impl TrimOptions {
    /// Reads one option, if the next word is one and a word follows it. Returns whether it was.
    pub(super) fn read(&mut self, args: &mut Args<'_>) -> Result<bool, CommandError> {
        let by_id = if args.keyword_with_value("MAXLEN") {
            false
        } else if args.keyword_with_value("MINID") {
            true
        } else if args.keyword_with_value("LIMIT") {
            let limit = args.int()?;
            if limit < 0 {
                return Err(CommandError::fixed("ERR The LIMIT argument must be >= 0."));
            }
            self.limit = Some(limit);
            return Ok(true);
        } else {
            return Ok(false);
        };
        if self.to.is_some() {
            return Err(CommandError::fixed(
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        let is_approximate = args.keyword_with_value("~");
        if !is_approximate {
            args.keyword_with_value("=");
        }
        let position = args.position();
        let to = if by_id {
            TrimTo::Ids(parse_id(args.next()?, 0)?)
        } else {
            let length = u64::try_from(args.int()?);
            TrimTo::Length(length.map_err(|_| CommandError::fixed("ERR The MAXLEN argument must be >= 0."))?)
        };
        self.to = Some((to, is_approximate, position));
        Ok(true)
    }

    /// What the options mean together. What another server or an earlier run has accepted is not
    /// limited: it was told what became of it.
    pub(super) fn finish(self, ctx: &Ctx<'_>) -> Result<Option<Trimming>, CommandError> {
        let Some((to, is_approximate, position)) = self.to else {
            return match self.limit {
                None | Some(0) => Ok(None),
                Some(_) => Err(CommandError::fixed(
                    "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
                )),
            };
        };
        let limit = match self.limit {
            _ if ctx.must_obey() => None,
            Some(_) if !is_approximate => {
                return Err(CommandError::fixed(
                    "ERR syntax error, LIMIT cannot be used without the special ~ option",
                ));
            }
            Some(limit) => u64::try_from(limit).ok().filter(|&limit| limit > 0),
            None => Some(default_limit(ctx)),
        };
        let precision = if is_approximate { Precision::WholeNodes { limit } } else { Precision::Exact };
        Ok(Some(Trimming { to, precision, position }))
    }
}

fn default_limit(ctx: &Ctx<'_>) -> u64 {
    let entries = i64::try_from(ctx.rooms.config.stream_node_max_entries).unwrap_or(i64::MAX);
    match entries.saturating_mul(DEFAULT_LIMIT_NODES) {
        0 => DEFAULT_LIMIT as u64,
        limit => limit.min(MAX_DEFAULT_LIMIT) as u64,
    }
}

impl Trimming {
    /// The words of the command that are propagated in another form, when it was trimmed by whole
    /// nodes: what that has come to, so that it comes to the same elsewhere.
    pub(super) fn replaced_words(&self, log: &Log) -> Vec<(usize, Vec<u8>)> {
        if self.precision == Precision::Exact {
            return Vec::new();
        }
        let threshold = match self.to {
            TrimTo::Length(_) => log.len().to_string().into_bytes(),
            TrimTo::Ids(_) => log.kept_from().to_text().as_bytes().to_vec(),
        };
        vec![(self.position - 1, b"=".to_vec()), (self.position, threshold)]
    }
}

/// Propagates the command with some of its words replaced; as it is if there are none.
pub(super) fn propagate_replaced(ctx: &mut Ctx<'_>, argv: Argv<'_>, replaced: &[(usize, Vec<u8>)]) {
    if !replaced.is_empty() {
        let new = |at| replaced.iter().find(|(place, _)| *place == at).map(|(_, word)| word.as_slice());
        ctx.propagate_instead(argv.iter().enumerate().map(|(at, word)| new(at).unwrap_or(word)));
    }
}
