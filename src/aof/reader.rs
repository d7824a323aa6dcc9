//! Reading commands back, one at a time, with the offset up to which the file is good.
//!
//! A file may end anywhere: the power went, the disk was full. So "it ends too early" is told from
//! "this is no append-only file". Lengths are not believed: memory is taken as the bytes arrive.

use super::Batch;
use crate::resp::OwnedArgv;
use std::io::{self, BufRead};
use thiserror::Error;

/// Longest line, its end included. Redis: the same, for annotations.
const MAX_LINE_BYTES: usize = 1024;
/// Memory for an argument is taken in steps of this size.
const STEP_BYTES: u64 = 1 << 20;
/// Longest command: what ranges can address, less what may stand before it in a [`Batch`].
const MAX_COMMAND_BYTES: u64 = u32::MAX as u64 - (1 << 20);

/// One thing found in a file.
#[derive(Debug, PartialEq, Eq)]
pub enum AofEntry {
    /// A command.
    Command(OwnedArgv),
    /// `#TS:`: what follows was written at this time, seconds.
    Timestamp(i64),
    /// Another line that begins with `#`.
    Annotation,
}

/// The thing that [`AofReader::next_into`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A command.
    Command,
    /// Something that is not run.
    Other,
    /// Nothing more.
    End,
}

/// The reason why reading ended.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file ends in the middle of an entry.
    #[error("unexpected end of file")]
    Truncated,
    /// The bytes there are no entry.
    #[error("{0}")]
    Format(String),
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads entries from any `BufRead`.
#[derive(Debug)]
pub struct AofReader<R> {
    input: R,
    offset: u64,
    line: u64,
}

impl<R: BufRead> AofReader<R> {
    /// A reader of `input`, whose first byte stands at `offset` of its file.
    pub fn new(input: R, offset: u64) -> Self {
        AofReader { input, offset, line: 0 }
    }

    /// Returns the offset up to which the file has been read. After an entry: up to where it is
    /// good.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of lines that were read, the way `redis-check-aof` counts them.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.line
    }

    /// The next entry; `None` at the end.
    pub fn next_entry(&mut self) -> Result<Option<AofEntry>, ReadError> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let line = self.read_line()?;
        if line.first() == Some(&b'#') {
            let secs = line.strip_prefix(b"#TS:").and_then(whole_number);
            return Ok(Some(secs.map_or(AofEntry::Annotation, AofEntry::Timestamp)));
        }
        let count = self.number_after(b'*', &line)?;
        if count < 1 {
            return Err(ReadError::Format(format!("Expected a number of arguments above 0, got: {count}")));
        }
        let (mut argv, mut total) = (OwnedArgv::default(), 0);
        for _ in 0..count {
            let line = self.read_line()?;
            let length = u64::try_from(self.number_after(b'$', &line)?).unwrap_or(u64::MAX);
            total += length.min(MAX_COMMAND_BYTES);
            if total >= MAX_COMMAND_BYTES {
                return Err(ReadError::Format(format!("Expected an argument, got a length of {length}")));
            }
            argv.push(&self.read_argument(length)?);
        }
        Ok(Some(AofEntry::Command(argv)))
    }

    /// Reads the next entry; a command goes into `batch`, and costs no allocation there where it is
    /// at hand whole. Lines are not counted.
    pub fn next_into(&mut self, batch: &mut Batch) -> Result<Found, ReadError> {
        if let Some(used) = batch.take_from(self.input.fill_buf()?) {
            self.input.consume(used);
            self.offset += used as u64;
            return Ok(Found::Command);
        }
        match self.next_entry()? {
            Some(AofEntry::Command(argv)) => {
                batch.push(argv.as_argv());
                Ok(Found::Command)
            }
            Some(AofEntry::Timestamp(_) | AofEntry::Annotation) => Ok(Found::Other),
            None => Ok(Found::End),
        }
    }

    /// A line without its end.
    fn read_line(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut line = Vec::new();
        let mut limited = io::Read::take(&mut self.input, MAX_LINE_BYTES as u64);
        limited.read_until(b'\n', &mut line)?;
        self.offset += line.len() as u64;
        if line.pop_if(|last| *last == b'\n').is_none() {
            // The beginning of a cut off line tells nothing: `!` may be the first byte of anything.
            let may_be_cut =
                line.len() < MAX_LINE_BYTES && matches!(line.first(), Some(b'*' | b'$' | b'#') | None);
            return Err(if may_be_cut { ReadError::Truncated } else { self.unexpected(&line) });
        }
        line.pop_if(|last| *last == b'\r');
        self.line += 1;
        Ok(line)
    }

    fn unexpected(&self, line: &[u8]) -> ReadError {
        let shown = String::from_utf8_lossy(&line[..line.len().min(32)]).into_owned();
        ReadError::Format(format!("Expected a command, got: {shown}"))
    }

    fn number_after(&self, prefix: u8, line: &[u8]) -> Result<i64, ReadError> {
        let first = line.first().copied().unwrap_or_default();
        if first != prefix {
            return Err(ReadError::Format(format!(
                "Expected prefix '{}', got: '{}'",
                prefix as char,
                first.escape_ascii()
            )));
        }
        whole_number(&line[1..]).ok_or_else(|| self.unexpected(line))
    }

    fn read_argument(&mut self, length: u64) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < length {
            let step = (length - bytes.len() as u64).min(STEP_BYTES);
            let read = io::Read::read_to_end(&mut io::Read::take(&mut self.input, step), &mut bytes)?;
            self.offset += read as u64;
            if (read as u64) < step {
                return Err(ReadError::Truncated);
            }
        }
        let mut end = [0; 2];
        for byte in &mut end {
            if io::Read::read(&mut self.input, std::slice::from_mut(byte))? == 0 {
                return Err(ReadError::Truncated);
            }
            self.offset += 1;
        }
        if end != *b"\r\n" {
            return Err(ReadError::Format(format!("Expected \\r\\n, got: {:02x}{:02x}", end[0], end[1])));
        }
        self.line += 1;
        Ok(bytes)
    }
}

fn whole_number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.trim_end_matches('\r').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(bytes: &[u8]) -> (Vec<AofEntry>, u64, Result<(), ReadError>) {
        let mut reader = AofReader::new(bytes, 0);
        let (mut found, mut good) = (Vec::new(), 0);
        loop {
            match reader.next_entry() {
                Ok(Some(entry)) => found.push(entry),
                Ok(None) => return (found, good, Ok(())),
                Err(error) => return (found, good, Err(error)),
            }
            good = reader.offset();
        }
    }

    const FILE: &[u8] =
        b"#TS:1628217470\r\n*2\r\n$3\r\nGET\r\n$5\r\na\r\nbc\r\n*1\r\n$4\r\nPING\r\n#ours\r\n";

    #[test]
    fn commands_and_annotations_are_read_in_order() {
        let (found, good, end) = entries(FILE);
        assert!(end.is_ok());
        assert_eq!(good, FILE.len() as u64);
        let get = OwnedArgv::from_parts([&b"GET"[..], b"a\r\nbc"]);
        let ping = OwnedArgv::from_parts([&b"PING"[..]]);
        assert_eq!(
            found,
            [
                AofEntry::Timestamp(1_628_217_470),
                AofEntry::Command(get),
                AofEntry::Command(ping),
                AofEntry::Annotation
            ]
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_good_up_to_its_last_whole_entry() {
        let ends = [0_usize, 16, 40, 54, 61];
        for cut in 0..=FILE.len() {
            let (_, good, end) = entries(&FILE[..cut]);
            let whole = ends.iter().rev().find(|&&end| end <= cut).unwrap();
            assert_eq!(good, *whole as u64, "cut at {cut}");
            match end {
                Ok(()) => assert_eq!(*whole, cut),
                Err(error) => assert!(matches!(error, ReadError::Truncated), "cut at {cut}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_no_entry_is_told_from_an_early_end() {
        for text in [
            "!!!",
            "!!!\r\n",
            "*0\r\n",
            "*-1\r\n",
            "*x\r\n",
            "*1\r\n*1\r\n",
            "*1\r\n$-1\r\n",
            "*1\r\n$1\r\nabc\r\n",
        ] {
            let (_, good, end) = entries(text.as_bytes());
            assert!(matches!(end, Err(ReadError::Format(_))), "{text:?}: {end:?}");
            assert_eq!(good, 0);
        }
        let long = format!("#{}", "x".repeat(MAX_LINE_BYTES));
        assert!(matches!(entries(long.as_bytes()).2, Err(ReadError::Format(_))));
        let (_, _, end) = entries(b"*1\r\n$4294967295\r\nabc");
        assert!(matches!(end, Err(ReadError::Format(_))), "no command is that long");
        let (_, _, end) = entries(b"*2147483647\r\n$4000000000\r\nabc");
        assert!(matches!(end, Err(ReadError::Truncated)), "and memory is not taken on its word");
    }
}
