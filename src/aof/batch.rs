//! Many commands over one buffer, so that reading one costs no allocation.
//!
//! [`Batch::take_from`] reads a command that lies whole in the bytes at hand and looks as every
//! server writes it. Whatever else stands there is
//! [`AofReader::next_entry`](super::AofReader::next_entry)'s to judge.

use crate::resp::Requests;
use crate::resp::argv::{ArgRange, Argv};

/// Longest number that is read here; the rest are no lengths of what lies in a buffer.
const MAX_DIGITS: usize = 9;

/// Commands in the order in which they were read.
#[derive(Debug, Default)]
pub struct Batch {
    buffer: Vec<u8>,
    ranges: Vec<ArgRange>,
    /// For each command the end of its ranges.
    ends: Vec<u32>,
}

impl Batch {
    /// Returns the number of commands.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all their arguments.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The name of the last command.
    #[must_use]
    pub fn last_word(&self) -> &[u8] {
        let start = self.ends.iter().rev().nth(1).copied().unwrap_or(0) as usize;
        let range = self.ranges.get(start).copied().unwrap_or_default();
        &self.buffer[range.0 as usize..range.1 as usize]
    }

    /// Adds a command.
    pub fn push(&mut self, argv: Argv<'_>) {
        for argument in argv.iter() {
            self.push_argument(argument);
        }
        self.ends.push(self.ranges.len() as u32);
    }

    fn push_argument(&mut self, argument: &[u8]) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(argument);
        // A batch is handed over long before its buffer is as large as a range reaches.
        self.ranges.push((start as u32, self.buffer.len() as u32));
    }

    /// Adds the command that `input` begins with and returns how long it is; `None`, and nothing is
    /// added, if it is not whole or no command as servers write it.
    pub fn take_from(&mut self, input: &[u8]) -> Option<usize> {
        let (bytes, ranges) = (self.buffer.len(), self.ranges.len());
        let used = self.take_arguments(input);
        if used.is_none() {
            self.buffer.truncate(bytes);
            self.ranges.truncate(ranges);
        } else {
            self.ends.push(self.ranges.len() as u32);
        }
        used
    }

    fn take_arguments(&mut self, input: &[u8]) -> Option<usize> {
        let (count, mut at) = number_line(b'*', input)?;
        if count == 0 {
            return None;
        }
        for _ in 0..count {
            let (length, used) = number_line(b'$', &input[at..])?;
            at += used;
            let argument = input.get(at..at + length)?;
            at += length;
            if input.get(at..at + 2)? != b"\r\n" {
                return None;
            }
            at += 2;
            self.push_argument(argument);
        }
        Some(at)
    }

    /// The commands; room for as many is kept.
    pub fn take(&mut self) -> Requests {
        let next = Batch {
            buffer: Vec::with_capacity(self.buffer.len()),
            ranges: Vec::with_capacity(self.ranges.len()),
            ends: Vec::with_capacity(self.ends.len()),
        };
        let Batch { buffer, ranges, ends } = std::mem::replace(self, next);
        Requests::new(buffer, ranges, ends, None)
    }
}

/// A number between `prefix` and a line's end, and how long the line is.
fn number_line(prefix: u8, input: &[u8]) -> Option<(usize, usize)> {
    let rest = input.strip_prefix(&[prefix])?;
    let digits = rest.iter().take(MAX_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || !rest[digits..].starts_with(b"\r\n") {
        return None;
    }
    let number = rest[..digits].iter().fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    Some((number, digits + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n\0x\r\n";

    #[test]
    fn whole_commands_are_taken_and_nothing_else_leaves_a_trace() {
        let mut batch = Batch::default();
        for cut in 0..SET.len() {
            assert_eq!(batch.take_from(&SET[..cut]), None, "cut at {cut}");
        }
        for other in
            [&b"#TS:1\r\n"[..], b"*0\r\n", b"*-1\r\n", b"*1\r\n$1\r\nab\r\n", b"*1\r\n$1234567890\r\n"]
        {
            assert_eq!(batch.take_from(other), None);
        }
        assert_eq!((batch.len(), batch.bytes()), (0, 0));
        let twice = [SET, b"*1\r\n$4\r\nPING\r\n"].concat();
        assert_eq!(batch.take_from(&twice), Some(SET.len()));
        assert_eq!(batch.last_word(), b"SET");
        assert_eq!(batch.take_from(&twice[SET.len()..]), Some(14));
        assert_eq!(batch.last_word(), b"PING");
        let taken = batch.take();
        let words = |index: usize| taken.get(index).iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(words(0), [b"SET".to_vec(), b"a".to_vec(), b"\r\n\0x".to_vec()]);
        assert_eq!((words(1), taken.len()), (vec![b"PING".to_vec()], 2));
        assert!(batch.is_empty());
    }
}
