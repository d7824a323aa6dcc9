//! The parts that SCAN, SSCAN, HSCAN and ZSCAN share: the cursor and the options.

use crate::base::glob::{Budget, Case, TooMuch, glob_match};
use crate::ds::listpack::ListpackValue;
use crate::resp::Reply;
use crate::server::{Args, CommandError, CommandResult};

/// The number of elements a call shows unless told.
const DEFAULT_COUNT: usize = 10;

/// The options of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScanOptions<'a> {
    /// About how many elements to look at.
    pub count: usize,
    /// Only elements like this; `None` for all.
    pub pattern: Option<&'a [u8]>,
    /// Steps left for matches of the pattern; none when one had no outcome.
    budget: Result<Budget, TooMuch>,
}

impl Default for ScanOptions<'_> {
    fn default() -> Self {
        ScanOptions { count: DEFAULT_COUNT, pattern: None, budget: Ok(Budget::COMMAND) }
    }
}

impl<'a> ScanOptions<'a> {
    /// Reads `[MATCH pattern] [COUNT count]` up to the end.
    pub(super) fn parse(args: &mut Args<'a>) -> Result<Self, CommandError> {
        let mut options = ScanOptions::default();
        while !args.is_done() {
            if !options.parse_one(args)? {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Reads one option if it is one of these.
    pub(super) fn parse_one(&mut self, args: &mut Args<'a>) -> Result<bool, CommandError> {
        if args.keyword_with_value("COUNT") {
            let count = args.int()?;
            self.count =
                usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
        } else if args.keyword_with_value("MATCH") {
            self.pattern = Some(args.next()?).filter(|&pattern| pattern != b"*");
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// True when an element is to be shown. After one of which that takes too long to tell none is,
    /// and [`Answer::end`] is an error: no answer leaves elements out in silence.
    pub(super) fn matches(&mut self, text: &[u8]) -> bool {
        let Some(pattern) = self.pattern else { return true };
        let Ok(budget) = &mut self.budget else { return false };
        glob_match(pattern, text, Case::Sensitive, budget).unwrap_or_else(|too_much| {
            self.budget = Err(too_much);
            false
        })
    }

    /// [`ScanOptions::matches`] for an element of a compact collection.
    pub(super) fn matches_text(&mut self, text: ListpackValue<'_>) -> bool {
        self.pattern.is_none() || text.with_bytes(|bytes| self.matches(bytes))
    }
}

/// An answer of cursor and elements: the elements are written first, as only then the cursor is
/// known.
#[derive(Debug)]
pub(super) struct Answer {
    mark: usize,
}

impl Answer {
    /// Begins; what is written until [`Answer::end`] are the elements.
    pub(super) fn begin(reply: &Reply<'_>) -> Self {
        Answer { mark: reply.mark() }
    }

    /// Puts the cursor to go on with, and the head of `count` elements, before what was written.
    /// Errors when matching them by the options took too long.
    pub(super) fn end(
        self,
        reply: &mut Reply<'_>,
        cursor: u64,
        count: usize,
        options: ScanOptions<'_>,
    ) -> CommandResult {
        options.budget?;
        reply.insert(self.mark, |reply| {
            reply.array(2);
            reply.bulk(cursor.to_string().as_bytes());
            reply.array(count);
        });
        Ok(())
    }
}

/// The answer of a scan through a missing key.
pub(super) fn reply_nothing(reply: &mut Reply<'_>) -> CommandResult {
    Answer::begin(reply).end(reply, 0, 0, ScanOptions::default())
}

/// Reads a cursor as C's `strtoul` does, which Redis uses for it: an empty one is 0, a sign is
/// taken, a NUL ends it; but no leading space.
pub(super) fn cursor(text: &[u8]) -> Result<u64, CommandError> {
    const INVALID: CommandError = CommandError::fixed("ERR invalid cursor");
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(INVALID);
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0')).ok_or(INVALID)?;
        value = value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or(INVALID)?;
    }
    Ok(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;

    #[test]
    fn a_cursor_is_what_strtoul_reads() {
        let cases: [(&[u8], Option<u64>); 11] = [
            (b"0", Some(0)),
            (b"", Some(0)),
            (b"+7", Some(7)),
            (b"-1", Some(u64::MAX)),
            (b"007", Some(7)),
            (b"12\0x", Some(12)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b" 1", None),
            (b"1x", None),
            (b"+", None),
        ];
        for (text, expected) in cases {
            assert_eq!(cursor(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn options_come_in_any_order_and_case_and_the_last_counts() {
        let parse = |line: &str| {
            let argv = OwnedArgv::from_parts(line.split(' ').map(str::as_bytes));
            let options = ScanOptions::parse(&mut Args::new(argv.as_argv(), 3));
            options.map(|options| (options.count, options.pattern.map(<[u8]>::to_vec)))
        };
        assert_eq!(parse("SSCAN k 0"), Ok((10, None)));
        assert_eq!(parse("SSCAN k 0 match a* COUNT 5 count 7"), Ok((7, Some(b"a*".to_vec()))));
        assert_eq!(parse("SSCAN k 0 MATCH *"), Ok((10, None)));
        assert_eq!(parse("SSCAN k 0 COUNT 0"), Err(CommandError::Syntax));
        assert_eq!(parse("SSCAN k 0 COUNT x"), Err(CommandError::NotInteger));
        assert_eq!(parse("SSCAN k 0 COUNT"), Err(CommandError::Syntax));
        assert_eq!(parse("SSCAN k 0 TYPE set"), Err(CommandError::Syntax));
        let mut options = ScanOptions { pattern: Some(b"a?"), ..ScanOptions::default() };
        assert!(options.matches(b"ab") && !options.matches(b"Ab") && !options.matches(b"abc"));
    }
}
