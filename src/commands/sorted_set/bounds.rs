//! The notation of ranges: `(1.5`, `-inf`, `[name`, `+`; and ranges of ranks from the end.

use crate::base::number;
use crate::keyspace::sorted_set::{LexBound, LexRange, ScoreRange};
use crate::server::{Args, CommandError};
use std::ops::Range;

/// Reads two ends of scores. Both are read before either is refused; the caller gives them in
/// the order `min`, `max`.
pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, CommandError> {
    const NOT_FLOAT: CommandError = CommandError::fixed("ERR min or max is not a float");
    let (min, min_excluded) = score_bound(min).ok_or(NOT_FLOAT)?;
    let (max, max_excluded) = score_bound(max).ok_or(NOT_FLOAT)?;
    Ok(ScoreRange { min, min_excluded, max, max_excluded })
}

/// A score as C's `strtod` reads it, up to the first NUL; an empty text is 0. Redis: so is `(`.
fn score_bound(text: &[u8]) -> Option<(f64, bool)> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let (text, excluded) = match text.strip_prefix(b"(") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let read = number::strtod(text);
    (read.consumed == text.len() && !read.value.is_nan()).then_some((read.value, excluded))
}

/// Reads two ends of names.
pub(super) fn lex_range<'a>(min: &'a [u8], max: &'a [u8]) -> Result<LexRange<'a>, CommandError> {
    const INVALID: CommandError = CommandError::fixed("ERR min or max not valid string range item");
    let (min, max) = (lex_bound(min).ok_or(INVALID)?, lex_bound(max).ok_or(INVALID)?);
    Ok(LexRange { min, max })
}

fn lex_bound(text: &[u8]) -> Option<LexBound<'_>> {
    match text {
        // Redis: a NUL ends these two.
        [b'-'] | [b'-', 0, ..] => Some(LexBound::Lowest),
        [b'+'] | [b'+', 0, ..] => Some(LexBound::Highest),
        [b'[', name @ ..] => Some(LexBound::Included(name)),
        [b'(', name @ ..] => Some(LexBound::Excluded(name)),
        _ => None,
    }
}

/// First and last rank as a client wrote them: from the end where they are negative, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RankRange {
    start: i64,
    stop: i64,
}

impl RankRange {
    /// Reads both.
    pub(super) fn parse(args: &mut Args<'_>) -> Result<Self, CommandError> {
        Ok(RankRange { start: args.int()?, stop: args.int()? })
    }

    /// The ranks of these that a set of `len` members has.
    pub(super) fn of(self, len: usize) -> Range<usize> {
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let from_start = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
        let start = from_start(self.start).max(0);
        let end = from_start(self.stop).saturating_add(1).min(len);
        if start >= end {
            return 0..0;
        }
        start.unsigned_abs() as usize..end.unsigned_abs() as usize
    }
}

/// LIMIT: how many to skip and how many to take. Redis: a negative number to skip skips all, a
/// negative number to take takes all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    /// The number of members to skip.
    pub(super) offset: i64,
    /// The number of members to take.
    pub(super) count: i64,
}

impl Limit {
    /// All of them.
    pub(super) const NONE: Limit = Limit { offset: 0, count: -1 };

    /// Returns the part of `ranks` that is left, seen from their start.
    pub(super) fn cut_ascending(self, ranks: Range<usize>) -> Range<usize> {
        let (skipped, taken) = self.of(ranks.len());
        ranks.start + skipped..ranks.start + skipped + taken
    }

    /// Returns the part of `ranks` that is left, seen from their end.
    pub(super) fn cut_descending(self, ranks: Range<usize>) -> Range<usize> {
        let (skipped, taken) = self.of(ranks.len());
        ranks.end - skipped - taken..ranks.end - skipped
    }

    /// Returns the number of `len` that are skipped and the number that are taken.
    fn of(self, len: usize) -> (usize, usize) {
        let skipped = usize::try_from(self.offset).map_or(len, |offset| offset.min(len));
        let left = len - skipped;
        (skipped, usize::try_from(self.count).map_or(left, |count| count.min(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn score_bounds_are_what_strtod_reads() {
        type Case = (&'static [u8], Option<(f64, bool)>);
        let cases: [Case; 13] = [
            (b"1.5", Some((1.5, false))),
            (b"(1.5", Some((1.5, true))),
            (b"-inf", Some((f64::NEG_INFINITY, false))),
            (b"(+Infinity", Some((f64::INFINITY, true))),
            (b"1e400", Some((f64::INFINITY, false))),
            (b" 7", Some((7.0, false))),
            (b"0x10", Some((16.0, false))),
            (b"", Some((0.0, false))),
            (b"(", Some((0.0, true))),
            (b"1\0x", Some((1.0, false))),
            (b"7 ", None),
            (b"nan", None),
            (b"((1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(score_bound(text), expected, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn lex_bounds_need_their_sign() {
        assert_eq!(lex_bound(b"-"), Some(LexBound::Lowest));
        assert_eq!(lex_bound(b"+\0x"), Some(LexBound::Highest));
        assert_eq!(lex_bound(b"["), Some(LexBound::Included(b"")));
        assert_eq!(lex_bound(b"(a"), Some(LexBound::Excluded(b"a")));
        assert!(["", "a", "-a", "+inf"].iter().all(|text| lex_bound(text.as_bytes()).is_none()));
    }

    #[test]
    fn ranks_and_limits_are_cut_to_what_exists() {
        let ranks = |start, stop| RankRange { start, stop }.of(10);
        assert_eq!(ranks(0, -1), 0..10);
        assert_eq!(ranks(-3, 100), 7..10);
        assert_eq!(ranks(i64::MIN, i64::MAX), 0..10);
        assert_eq!(ranks(10, 20), 0..0);
        assert_eq!(ranks(5, 4), 0..0);
        assert_eq!(ranks(3, i64::MIN), 0..0);
        assert_eq!(RankRange { start: 0, stop: -1 }.of(0), 0..0);
        let limit = |offset, count| Limit { offset, count };
        assert_eq!(Limit::NONE.cut_ascending(2..8), 2..8);
        assert_eq!(limit(1, 2).cut_ascending(2..8), 3..5);
        assert_eq!(limit(1, 2).cut_descending(2..8), 5..7);
        assert_eq!(limit(i64::MAX, i64::MAX).cut_descending(2..8), 2..2);
        assert_eq!(limit(-1, 5).cut_ascending(2..8).len(), 0);
        assert_eq!(limit(4, i64::MIN).cut_ascending(2..8), 6..8);
    }
}
