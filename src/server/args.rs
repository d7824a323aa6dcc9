//! A cursor over a command's arguments: [`Args`].
//!
//! A handler reads from the left what its syntax line says: `args.key()`, `args.int()?`,
//! `args.keyword("EX")`, `args.rest()`, `args.finish()?`. The arity was checked before, so the
//! plain readers may be used up to the arity's minimum; past it use [`Args::next`].

use super::error::CommandError;
use crate::base::long_double::LongDouble;
use crate::base::number;
use crate::base::time::MonotonicMillis;
use crate::resp::Argv;

const NEGATIVE_TIMEOUT: CommandError = CommandError::fixed("ERR timeout is negative");

/// The arguments a handler has not read yet. Cheap to copy: a second pass starts from a copy.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    argv: Argv<'a>,
    position: usize,
}

impl<'a> Args<'a> {
    /// A cursor behind the command's name; `name_words` is 2 for a subcommand.
    #[must_use]
    pub fn new(argv: Argv<'a>, name_words: usize) -> Self {
        Args { argv, position: name_words }
    }

    /// The whole command, its name included.
    #[must_use]
    pub fn argv(&self) -> Argv<'a> {
        self.argv
    }

    /// The index in [`Args::argv`] of the next argument.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The number of arguments that are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.argv.len() - self.position.min(self.argv.len())
    }

    /// True when all arguments are read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.remaining() == 0
    }

    /// The next argument without reading it.
    #[must_use]
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.argv.get(self.position)
    }

    /// The next argument, or a syntax error when there is none.
    #[expect(clippy::should_implement_trait, reason = "an iterator has no errors")]
    pub fn next(&mut self) -> Result<&'a [u8], CommandError> {
        let arg = self.argv.get(self.position).ok_or(CommandError::Syntax)?;
        self.position += 1;
        Ok(arg)
    }

    /// The next argument, which the arity guarantees.
    pub fn key(&mut self) -> &'a [u8] {
        let arg = self.argv.at(self.position);
        self.position += 1;
        arg
    }

    /// The next argument as a 64-bit integer, else `ERR value is not an integer or out of range`.
    pub fn int(&mut self) -> Result<i64, CommandError> {
        number::parse_i64(self.next()?).ok_or(CommandError::NotInteger)
    }

    /// The next argument as an integer of at least 0, else `ERR value is out of range, must be
    /// positive`.
    pub fn positive(&mut self) -> Result<i64, CommandError> {
        self.int_in(0, i64::MAX, CommandError::NotPositive)
    }

    /// The next argument as an integer in `low..=high`, else `error`; no integer at all is `error`
    /// too.
    pub fn int_in(&mut self, low: i64, high: i64, error: CommandError) -> Result<i64, CommandError> {
        match number::parse_i64(self.next()?) {
            Some(value) if (low..=high).contains(&value) => Ok(value),
            _ => Err(error),
        }
    }

    /// The next argument as a double, else `ERR value is not a valid float`.
    pub fn double(&mut self) -> Result<f64, CommandError> {
        number::parse_f64(self.next()?).ok_or(CommandError::NotFloat)
    }

    /// The next argument as a timeout in seconds with a fraction: when it is over, `None` for 0,
    /// which is for ever. Source: BLPOP.
    pub fn deadline_secs(&mut self, now: MonotonicMillis) -> Result<Option<MonotonicMillis>, CommandError> {
        const NOT_FLOAT: CommandError = CommandError::fixed("ERR timeout is not a float or out of range");
        let seconds = LongDouble::parse(self.next()?).ok_or(NOT_FLOAT)?;
        // Redis: what is too long for 64 bits of milliseconds counts as negative.
        match seconds.times(1000).ceil_to_i64() {
            ..0 => Err(NEGATIVE_TIMEOUT),
            0 => Ok(None),
            milliseconds => Ok(Some(now.saturating_add_ms(milliseconds))),
        }
    }

    /// As [`Args::deadline_secs`], in whole milliseconds. Source: XREAD.
    pub fn deadline_ms(&mut self, now: MonotonicMillis) -> Result<Option<MonotonicMillis>, CommandError> {
        const NOT_INTEGER: CommandError =
            CommandError::fixed("ERR timeout is not an integer or out of range");
        match number::parse_i64(self.next()?).ok_or(NOT_INTEGER)? {
            ..0 => Err(NEGATIVE_TIMEOUT),
            0 => Ok(None),
            milliseconds => Ok(Some(now.saturating_add_ms(milliseconds))),
        }
    }

    /// Reads the next argument if it is `word`, whatever its case.
    pub fn keyword(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
        self.position += usize::from(found);
        found
    }

    /// Reads the next argument if it is `word` and at least one more follows it.
    pub fn keyword_with_value(&mut self, word: &str) -> bool {
        self.remaining() >= 2 && self.keyword(word)
    }

    /// All arguments that are left.
    #[must_use]
    pub fn rest(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        self.argv.skip(self.position).iter()
    }

    /// Splits off the next `count` arguments as a cursor of their own; fewer are left: a syntax
    /// error.
    pub fn take(&mut self, count: usize) -> Result<Vec<&'a [u8]>, CommandError> {
        if count > self.remaining() {
            return Err(CommandError::Syntax);
        }
        let taken = self.rest().take(count).collect();
        self.position += count;
        Ok(taken)
    }

    /// Refuses what is left over with a syntax error.
    pub fn finish(&self) -> Result<(), CommandError> {
        if self.is_done() { Ok(()) } else { Err(CommandError::Syntax) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;

    #[test]
    fn timeouts_are_seconds_and_zero_is_for_ever() {
        let not_float = Err("ERR timeout is not a float or out of range".to_string());
        let negative = Err("ERR timeout is negative".to_string());
        for (text, deadline) in [
            ("0", Ok(None)),
            ("-0.0001", Ok(None)),
            ("0.5", Ok(Some(MonotonicMillis(507)))),
            ("0.0001", Ok(Some(MonotonicMillis(8)))),
            ("9223372036854775.8", Ok(Some(MonotonicMillis(i64::MAX)))),
            ("9223372036854775807", negative.clone()),
            ("inf", negative.clone()),
            ("-1", negative),
            ("nan", not_float.clone()),
            ("x", not_float.clone()),
            ("", not_float),
        ] {
            let argv = OwnedArgv::from_parts([text.as_bytes()]);
            let read = Args::new(argv.as_argv(), 0).deadline_secs(MonotonicMillis(7));
            assert_eq!(read.map_err(|error| error.to_string()), deadline, "{text}");
        }
    }

    fn argv(line: &str) -> OwnedArgv {
        OwnedArgv::from_parts(line.split(' ').map(str::as_bytes))
    }

    #[test]
    fn reads_from_the_left_and_refuses_leftovers() {
        let argv = argv("SET k 12 ex 5 more");
        let mut args = Args::new(argv.as_argv(), 1);
        assert_eq!(args.key(), b"k");
        assert_eq!(args.int(), Ok(12));
        assert!(!args.keyword("PX"));
        assert!(args.keyword_with_value("EX"));
        assert_eq!(args.positive(), Ok(5));
        assert!(!args.keyword_with_value("MORE"), "nothing follows it");
        assert_eq!(args.finish(), Err(CommandError::Syntax));
        assert_eq!(args.rest().collect::<Vec<_>>(), [b"more"]);
        assert_eq!(args.take(2), Err(CommandError::Syntax));
        assert_eq!(args.int(), Err(CommandError::NotInteger));
        assert!(args.is_done());
    }
}
