//! What SCAN, HSCAN, SSCAN and ZSCAN have in common: how they read a cursor and options.
//!
//! A handler reads the cursor first, then finds its key (a missing one is an empty walk, whatever
//! the options say), then reads the options, and closes its answer with
//! [`Reply::close_scan`](crate::resp::Reply::close_scan).

use crate::base::glob::{Case, glob_match};
use crate::server::{Args, CommandError};

/// Elements looked at in one step when the client gives no COUNT.
const DEFAULT_COUNT: usize = 10;

/// What is walked through; only keys have a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The keys of a database.
    Keys,
    /// The elements of a collection.
    Elements,
}

/// MATCH, COUNT and TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanOptions<'a> {
    /// How many elements to look at, at least 1; the answer may have more or fewer.
    pub count: usize,
    /// The type of keys wanted, as TYPE names it, in any case.
    pub kind: Option<&'a [u8]>,
    pattern: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Reads all that is left. Errors with `Syntax` or `NotInteger`.
    pub fn parse(args: &mut Args<'a>, walk: Walk) -> Result<Self, CommandError> {
        let mut options = ScanOptions { count: DEFAULT_COUNT, kind: None, pattern: None };
        while !args.is_done() {
            if args.keyword_with_value("COUNT") {
                let count = args.int()?;
                options.count =
                    usize::try_from(count).ok().filter(|&count| count > 0).ok_or(CommandError::Syntax)?;
            } else if args.keyword_with_value("MATCH") {
                options.pattern = Some(args.key()).filter(|pattern| pattern != b"*");
            } else if walk == Walk::Keys && args.keyword_with_value("TYPE") {
                options.kind = Some(args.key());
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    /// Whether an element of this name is wanted.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_match(pattern, name, Case::Sensitive))
    }
}

/// Reads a cursor the way C's `strtoul` does: signs and leading zeros are fine, no text at all is
/// 0, a negative number wraps around, a NUL ends the text. Else `ERR invalid cursor`.
pub fn parse_cursor(text: &[u8]) -> Result<u64, CommandError> {
    let invalid = CommandError::fixed("ERR invalid cursor");
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [] => return Ok(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(invalid);
    }
    let cursor = digits.iter().try_fold(0u64, |sum, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    });
    let cursor = cursor.ok_or(invalid)?;
    Ok(if negative { cursor.wrapping_neg() } else { cursor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;

    #[test]
    fn cursors_are_read_as_strtoul_reads_them() {
        let rows: &[(&[u8], Option<u64>)] = &[
            (b"0", Some(0)),
            (b"", Some(0)),
            (b"+017", Some(17)),
            (b"-1", Some(u64::MAX)),
            (b"5\0x", Some(5)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"-", None),
            (b" 1", None),
            (b"1 ", None),
            (b"\t", None),
            (b"1x", None),
        ];
        for (text, cursor) in rows {
            assert_eq!(parse_cursor(text).ok(), *cursor, "{text:?}");
        }
    }

    #[test]
    fn options_stand_in_any_order_and_the_last_one_counts() {
        let parse = |line: &str, walk| {
            let argv = OwnedArgv::from_parts(line.split(' ').map(str::as_bytes));
            let mut args = Args::new(argv.as_argv(), 1);
            ScanOptions::parse(&mut args, walk).map(|options| (options.count, options.matches(b"key")))
        };
        let rows = [
            ("SCAN match k* count 5", Ok((5, true))),
            ("SCAN COUNT 5 MATCH x COUNT 7", Ok((7, false))),
            ("SCAN MATCH x MATCH *", Ok((10, true))),
            ("SCAN TYPE string", Err(CommandError::Syntax)),
            ("SCAN COUNT 0", Err(CommandError::Syntax)),
            ("SCAN COUNT -5", Err(CommandError::Syntax)),
            ("SCAN COUNT", Err(CommandError::Syntax)),
            ("SCAN COUNT x", Err(CommandError::NotInteger)),
            ("SCAN COUNT 9223372036854775807", Ok((i64::MAX as usize, true))),
        ];
        for (line, options) in rows {
            assert_eq!(parse(line, Walk::Elements), options, "{line}");
        }
        assert_eq!(parse("SCAN TYPE string", Walk::Keys), Ok((10, true)));
    }
}
