//! Bytes → commands: the incremental parser of one connection's requests.
//!
//! [`Parser`] owns the buffer a connection reads into: [`Parser::space`] is where the next read
//! goes, [`Parser::parse`] hands out every command completed so far as one [`Requests`], the
//! buffer moved with it. It does not know where bytes come from, who the client is, or what a
//! command means; [`Limits`] says how much a client may ask for.
//!
//! The buffer always begins with the unfinished command, whose arguments found so far are kept as
//! ranges, so nothing is parsed twice, and a byte is copied at most once (when commands before an
//! unfinished one leave with the old buffer). A buffer for a big argument grows with what really
//! arrived, not with what was announced.
//!
//! ```text
//! buffer   *3 $3 SET $1 a $70000 xxxxxxxxxx........
//!          │             │       │         │      └ buffer.len(): zeroed, ready for the next read
//!          0 command     ranges  position  filled
//! ```
//!
//! Error texts and quirks are those of Redis 7.0.15's `networking.c`: what follows a bulk is
//! skipped unchecked, so is the byte after a header's CR, and a NUL in a line hides the rest of it.

use super::argv::{ArgRange, Requests};
use crate::base::number::parse_i64;
use crate::base::text::{plain_words, split_args};

/// Longest line without its end: an inline request, or a header. Source: PROTO_INLINE_MAX_SIZE.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// Largest number of arguments. Source: INT_MAX in Redis 7.0's multibulk header check.
pub const MAX_ARGUMENTS: i64 = i32::MAX as i64;
/// Most arguments of a command before AUTH.
pub const MAX_UNAUTHENTICATED_ARGUMENTS: i64 = 10;
/// Longest argument before AUTH, bytes.
pub const MAX_UNAUTHENTICATED_BULK_BYTES: i64 = 16384;
/// The largest command before AUTH, with its headers, bytes.
const MAX_UNAUTHENTICATED_BYTES: usize =
    MAX_UNAUTHENTICATED_ARGUMENTS as usize * (MAX_UNAUTHENTICATED_BULK_BYTES as usize + 10) + 5;
/// Most bytes of one command: ranges are 32 bits wide, and a read may go past the command's end.
pub const MAX_COMMAND_BYTES: usize = u32::MAX as usize - (1 << 20);
/// How far the buffer is opened for a big argument of which nothing has arrived yet.
const BULK_STEP_BYTES: usize = 64 * 1024;

/// Buffers that grow do so to a multiple of this, so that one that comes back fits again.
const GROW_BYTES: usize = 256;
/// Beyond this the buffer of a client that is not logged in gets all that it may ever need: nobody
/// is served faster for what smaller ones leave behind in the allocator.
const STRANGER_BYTES: usize = 8 * 1024;

/// What the parser is told about the client's login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Logged in, or no password is asked for.
    Done,
    /// Not logged in when last looked at, but an AUTH may be under way: stop before a command
    /// that only a logged-in client may send.
    Unsettled,
    /// Not logged in, and every earlier command has run.
    Missing,
}

/// How much a client may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest argument, bytes. Source: `proto-max-bulk-len`.
    pub max_bulk_bytes: i64,
    /// Whether the limits before AUTH apply.
    pub login: Login,
}

/// What one call of [`Parser::parse`] found.
#[derive(Debug)]
pub struct Parsed {
    /// The completed commands, perhaps none; and the failure that ends the stream.
    pub requests: Requests,
    /// Parsing stopped at a command that needs a login ([`Login::Unsettled`]): run `requests`, look
    /// at the login again and parse again before reading on.
    pub needs_login: bool,
}

/// Why parsing stopped.
enum Stop {
    /// At the end of what has arrived.
    Incomplete,
    /// At a limit that an AUTH under way may lift.
    NeedsLogin,
    /// For good. The text follows `ERR Protocol error: `.
    Broken(String),
}

/// The unfinished request of one connection.
#[derive(Debug, Default)]
pub struct Parser {
    /// Initialized throughout; what arrived ends at `filled`.
    buffer: Vec<u8>,
    filled: usize,
    /// Everything before is parsed.
    position: usize,
    /// No line end lies between `position` and here.
    searched: usize,
    /// Where the unfinished command begins; before it lie completed ones.
    command_start: usize,
    ranges: Vec<ArgRange>,
    ends: Vec<u32>,
    /// Arguments the unfinished multibulk command still misses.
    missing_arguments: usize,
    /// The announced length of the argument at `position`.
    bulk_bytes: Option<usize>,
    /// The client was not logged in when last looked at.
    is_stranger: bool,
    /// The sizes of the last batch, to allocate the next one at once.
    last_ranges: usize,
    last_ends: usize,
}

impl Parser {
    /// A parser that expects a new command.
    #[must_use]
    pub fn new() -> Self {
        Parser::default()
    }

    /// Bytes that have arrived and are not yet part of a completed command.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.filled
    }

    /// Of these, bytes that are arguments, or their headers, of the unfinished command.
    #[must_use]
    pub fn argument_bytes_held(&self) -> usize {
        self.position
    }

    /// Bytes of buffer and ranges held for the unfinished command.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.buffer.capacity() + self.ranges.capacity() * size_of::<ArgRange>()
    }

    /// The most that the buffer takes if `bytes` more are put into it; 0 if they fit.
    #[must_use]
    pub fn growth_of(&self, bytes: usize) -> usize {
        let end = self.filled + bytes;
        if end <= self.buffer.capacity() { 0 } else { self.capacity_for(end) + GROW_BYTES }
    }

    /// The same, with all the room that an argument of known length is going to take.
    #[must_use]
    pub fn announced_bytes(&self) -> usize {
        let needed =
            self.bulk_bytes.map_or(0, |length| (self.position + length + 2).next_multiple_of(GROW_BYTES));
        self.heap_bytes() + needed.saturating_sub(self.buffer.capacity())
    }

    /// Bytes still to come of an argument whose length is known.
    #[must_use]
    pub fn argument_bytes(&self) -> usize {
        self.bulk_bytes.map_or(0, |length| (self.position + length + 2).saturating_sub(self.filled))
    }

    /// Where the next bytes go: `step` bytes; inside an argument no more than it lacks, but in
    /// larger steps.
    pub fn space(&mut self, step: usize) -> &mut [u8] {
        let wanted = match self.argument_bytes() {
            // Nothing is lacking: between arguments, or the last one has arrived but is not parsed
            // yet.
            0 => step,
            // Up to the argument's end: at first no more than a step, then as much again as
            // arrived.
            lacking => lacking.min(self.filled.max(BULK_STEP_BYTES)),
        };
        let end = self.filled + wanted;
        if end > self.buffer.len() {
            self.grow(end);
        }
        &mut self.buffer[self.filled..end]
    }

    /// The size that a buffer which has become too small gets for `end` bytes, whatever is known of
    /// them.
    fn capacity_for(&self, end: usize) -> usize {
        let least = if self.is_stranger && end > STRANGER_BYTES { MAX_UNAUTHENTICATED_BYTES } else { 0 };
        (self.buffer.capacity() * 2).max(end).max(least)
    }

    /// Makes the buffer `end` bytes long; the allocation at least doubles unless that is more than
    /// the unfinished argument needs.
    fn grow(&mut self, end: usize) {
        if end > self.buffer.capacity() {
            let argument_end = self.bulk_bytes.map_or(end, |length| self.position + length + 2).max(end);
            let needed = if self.is_stranger { usize::MAX } else { argument_end };
            let capacity = needed.min(self.capacity_for(end)).next_multiple_of(GROW_BYTES);
            self.buffer.reserve_exact(capacity - self.buffer.len());
        }
        self.buffer.resize(end, 0);
    }

    /// `count` bytes were written to the front of [`Parser::space`].
    pub fn advance(&mut self, count: usize) {
        self.filled += count;
        assert!(self.filled <= self.buffer.len(), "a read fills no more than its space");
    }

    /// Whether a batch's memory would be of use: nothing is held at the moment.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.buffer.capacity() == 0 && self.ranges.capacity() == 0
    }

    /// Carries the next batch in the memory of a spent one, which spares the allocator, and its
    /// per-thread heap, on the thread that reads. Only for a bare parser.
    pub fn reuse(&mut self, spent: Requests) {
        debug_assert!(self.is_bare(), "an unfinished command would be lost");
        (self.buffer, self.ranges, self.ends) = spent.into_parts();
        self.ranges.clear();
        self.ends.clear();
    }

    /// Takes `bytes` as if they were read.
    pub fn feed(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        if end > self.buffer.len() {
            self.grow(end);
        }
        self.buffer[self.filled..end].copy_from_slice(bytes);
        self.filled = end;
    }

    /// Gives back the memory of an empty buffer. An unfinished command is kept.
    pub fn release(&mut self) {
        if self.filled == 0 {
            self.buffer = Vec::new();
        }
    }

    /// Parses what has arrived and keeps the completed commands, so that [`Parser::space`] knows
    /// how much of an argument is still to come.
    pub fn scan(&mut self, limits: &Limits) {
        // What stops the parser stops it again in `parse`.
        let _ = self.run(limits);
    }

    /// Parses what has arrived and hands out the completed commands.
    pub fn parse(&mut self, limits: &Limits) -> Parsed {
        let stop = self.run(limits);
        let failure = match &stop {
            Stop::Broken(reason) => Some(format!("ERR Protocol error: {reason}")),
            Stop::Incomplete | Stop::NeedsLogin => None,
        };
        Parsed { requests: self.hand_over(failure), needs_login: matches!(stop, Stop::NeedsLogin) }
    }

    fn run(&mut self, limits: &Limits) -> Stop {
        self.is_stranger = limits.login != Login::Done;
        loop {
            let step = if self.missing_arguments > 0 {
                self.arguments(limits)
            } else if self.position == self.filled {
                Err(Stop::Incomplete)
            } else if self.buffer[self.position] == b'*' {
                self.multibulk_header(limits)
            } else {
                self.inline()
            };
            if let Err(stop) = step {
                return stop;
            }
        }
    }

    /// `*3\r\n`: how many arguments follow. None or fewer is no command.
    fn multibulk_header(&mut self, limits: &Limits) -> Result<(), Stop> {
        let (count, next) = self.header("too big mbulk count string", "invalid multibulk length")?;
        if count > MAX_ARGUMENTS {
            return Err(broken("invalid multibulk length"));
        }
        if count > MAX_UNAUTHENTICATED_ARGUMENTS {
            require_login(limits, "unauthenticated multibulk length")?;
        }
        self.consume(next);
        match usize::try_from(count) {
            Ok(count) if count > 0 => {
                self.missing_arguments = count;
                self.prepare_batch();
            }
            _ => self.command_start = next,
        }
        Ok(())
    }

    /// The arguments of a multibulk command, as far as they have arrived.
    fn arguments(&mut self, limits: &Limits) -> Result<(), Stop> {
        while self.missing_arguments > 0 {
            let length = match self.bulk_bytes {
                Some(length) => length,
                None => self.bulk_header(limits)?,
            };
            if self.filled - self.position < length + 2 {
                return Err(Stop::Incomplete);
            }
            let end = self.position + length;
            self.ranges.push((narrow(self.position), narrow(end)));
            self.bulk_bytes = None;
            self.consume(end + 2);
            self.missing_arguments -= 1;
        }
        self.complete();
        Ok(())
    }

    /// `$5\r\n`: how long the next argument is.
    fn bulk_header(&mut self, limits: &Limits) -> Result<usize, Stop> {
        let (length, next) = self.header("too big bulk count string", "invalid bulk length")?;
        if length < 0 || length > limits.max_bulk_bytes {
            return Err(broken("invalid bulk length"));
        }
        if length > MAX_UNAUTHENTICATED_BULK_BYTES {
            require_login(limits, "unauthenticated bulk length")?;
        }
        let length = usize::try_from(length).map_err(|_| broken("invalid bulk length"))?;
        if next - self.command_start + length + 2 > MAX_COMMAND_BYTES {
            return Err(broken("invalid bulk length"));
        }
        self.consume(next);
        self.bulk_bytes = Some(length);
        Ok(length)
    }

    /// The number of the header at `position`, and where the bytes after the header begin.
    fn header(&mut self, too_big: &str, invalid: &str) -> Result<(i64, usize), Stop> {
        let line = &self.buffer[self.position..self.filled];
        if let Some((number, length)) = short_header(line, self.missing_arguments > 0) {
            return Ok((number, self.position + length));
        }
        let end = self.line_end(b'\r').ok_or_else(|| self.unfinished_line(too_big))?;
        if end + 2 > self.filled {
            return Err(Stop::Incomplete);
        }
        let first = self.buffer[self.position];
        if self.missing_arguments > 0 && first != b'$' {
            return Err(Stop::Broken(format!("expected '$', got '{}'", printable(first))));
        }
        let number = parse_i64(&self.buffer[self.position + 1..end]).ok_or_else(|| broken(invalid))?;
        Ok((number, end + 2))
    }

    /// A line of words. An empty one is no command.
    fn inline(&mut self) -> Result<(), Stop> {
        let newline = self.line_end(b'\n').ok_or_else(|| self.unfinished_line("too big inline request"))?;
        let start = self.position;
        let mut end = newline;
        if end > start && self.buffer[end - 1] == b'\r' {
            end -= 1;
        }
        self.prepare_batch();
        let before = self.ranges.len();
        if let Some(words) = plain_words(&self.buffer[start..end]) {
            self.ranges.extend(words.map(|word| (narrow(start + word.start), narrow(start + word.end))));
        } else {
            self.quoted_words(start, end)?;
        }
        self.consume(newline + 1);
        if self.ranges.len() > before {
            self.complete();
        } else {
            self.command_start = self.position;
        }
        Ok(())
    }

    /// The words of a line in which some are quoted.
    fn quoted_words(&mut self, start: usize, end: usize) -> Result<(), Stop> {
        let words =
            split_args(&self.buffer[start..end]).ok_or_else(|| broken("unbalanced quotes in request"))?;
        // Unquoted, a word is no longer than its source: it is written over the line, so that an
        // inline command travels like any other.
        let mut write = start;
        for word in words {
            let from = write;
            write += word.len();
            self.buffer[from..write].copy_from_slice(&word);
            self.ranges.push((narrow(from), narrow(write)));
        }
        Ok(())
    }

    /// Where the line at `position` ends. Redis searches with `strchr`, so a NUL hides what
    /// follows.
    fn line_end(&mut self, mark: u8) -> Option<usize> {
        let from = self.searched.max(self.position);
        let to = self.filled.min(self.position + MAX_LINE_BYTES + 2);
        match memchr::memchr2(mark, 0, &self.buffer[from.min(to)..to]) {
            Some(offset) if self.buffer[from + offset] == mark => Some(from + offset),
            // The search stays at the NUL.
            Some(offset) => {
                self.searched = from + offset;
                None
            }
            None => {
                self.searched = to;
                None
            }
        }
    }

    fn unfinished_line(&self, too_big: &str) -> Stop {
        if self.filled - self.position > MAX_LINE_BYTES { broken(too_big) } else { Stop::Incomplete }
    }

    fn consume(&mut self, next: usize) {
        self.position = next;
        self.searched = next;
    }

    fn complete(&mut self) {
        self.ends.push(narrow(self.ranges.len()));
        self.command_start = self.position;
    }

    /// Room for a batch like the last one, so that a pipeline does not grow its lists step by step.
    fn prepare_batch(&mut self) {
        if self.ranges.capacity() == 0 {
            self.ranges.reserve_exact(self.last_ranges.max(4));
        }
        if self.ends.capacity() == 0 {
            self.ends.reserve_exact(self.last_ends.max(1));
        }
    }

    /// Moves the completed commands out; the unfinished one becomes the front of the buffer.
    fn hand_over(&mut self, failure: Option<String>) -> Requests {
        if self.ends.is_empty() {
            self.drop_front();
            return Requests::new(Vec::new(), Vec::new(), Vec::new(), failure);
        }
        let start = self.command_start;
        let tail = self.buffer[start..self.filled].to_vec();
        let done = self.ends.last().map_or(0, |&end| end as usize);
        let rest = self.ranges[done..].iter().map(|&(from, to)| (from - narrow(start), to - narrow(start)));
        let rest = rest.collect::<Vec<_>>();
        self.ranges.truncate(done);
        (self.last_ranges, self.last_ends) = (done, self.ends.len());
        let buffer = std::mem::replace(&mut self.buffer, tail);
        let ranges = std::mem::replace(&mut self.ranges, rest);
        let ends = std::mem::take(&mut self.ends);
        self.move_back(start);
        Requests::new(buffer, ranges, ends, failure).arrived(start)
    }

    /// Forgets empty lines and empty commands in front of the unfinished command.
    fn drop_front(&mut self) {
        let start = self.command_start;
        if start > 0 {
            self.buffer.copy_within(start..self.filled, 0);
            let shift = narrow(start);
            self.ranges.iter_mut().for_each(|(from, to)| (*from, *to) = (*from - shift, *to - shift));
            self.move_back(start);
        }
    }

    fn move_back(&mut self, by: usize) {
        self.filled -= by;
        self.position -= by;
        self.searched = self.searched.max(self.position + by) - by;
        self.command_start = 0;
    }
}

/// The header `*1\r\n` or `$10\r\n` in its usual form, and its length: one to four digits without a
/// leading zero. Everything else takes the long way.
fn short_header(line: &[u8], in_command: bool) -> Option<(i64, usize)> {
    let (&mark, digits) = line.split_first()?;
    if mark != if in_command { b'$' } else { b'*' } {
        return None;
    }
    let mut number = 0;
    for (index, &byte) in digits.iter().take(5).enumerate() {
        match byte {
            b'0' if index == 0 && digits.get(1) != Some(&b'\r') => return None,
            b'0'..=b'9' => number = number * 10 + i64::from(byte - b'0'),
            b'\r' if index > 0 && digits.len() > index + 1 => return Some((number, index + 3)),
            _ => return None,
        }
    }
    None
}

fn require_login(limits: &Limits, reason: &str) -> Result<(), Stop> {
    match limits.login {
        Login::Done => Ok(()),
        Login::Unsettled => Err(Stop::NeedsLogin),
        Login::Missing => Err(broken(reason)),
    }
}

/// Redis: an error line never carries a line end of its own.
fn printable(byte: u8) -> char {
    match byte {
        b'\r' | b'\n' => ' ',
        other => char::from(other),
    }
}

fn broken(reason: &str) -> Stop {
    Stop::Broken(reason.to_owned())
}

fn narrow(position: usize) -> u32 {
    u32::try_from(position).expect("the parser refuses buffers of 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPEN: Limits = Limits { max_bulk_bytes: 512 * 1024 * 1024, login: Login::Done };
    const ANONYMOUS: Limits = Limits { login: Login::Missing, ..OPEN };

    type Words = &'static [&'static [u8]];
    type Commands = Vec<Vec<Vec<u8>>>;

    fn collect(requests: &Requests, commands: &mut Commands) {
        let owned = |index| requests.get(index).iter().map(<[u8]>::to_vec).collect();
        commands.extend((0..requests.len()).map(owned));
    }

    /// Feeds `bytes` in pieces that end at `cuts`; returns the commands and the failure.
    fn parse_cut(bytes: &[u8], cuts: &[usize], limits: &Limits) -> (Commands, Option<String>) {
        let mut cuts = cuts.iter().map(|&cut| cut.min(bytes.len())).collect::<Vec<_>>();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let (mut parser, mut commands, mut start) = (Parser::new(), Commands::new(), 0);
        for cut in cuts {
            parser.feed(&bytes[start..cut]);
            start = cut;
            if cut % 2 == 0 {
                parser.scan(limits);
            }
            let parsed = parser.parse(limits);
            collect(&parsed.requests, &mut commands);
            if parsed.requests.failure.is_some() {
                return (commands, parsed.requests.failure);
            }
        }
        (commands, None)
    }

    fn parse_whole(bytes: &[u8], limits: &Limits) -> (Commands, Option<String>) {
        parse_cut(bytes, &[], limits)
    }

    #[test]
    fn both_forms_and_their_quirks_parse_as_redis_parses_them() {
        let cases: &[(&[u8], &[Words])] = &[
            (b"", &[]),
            (b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]),
            (b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPI", &[&[b"GET", b""]]),
            (b"PING\n\r\n\n  \r\nGET a\r\n", &[&[b"PING"], &[b"GET", b"a"]]),
            (b"*0\r\n*-1\r\n*-5\r\nPING\r\n", &[&[b"PING"]]),
            (b"SET \"a b\" '' \\x\r\n", &[&[b"SET", b"a b", b"", b"\\x"]]),
            // The byte after a header's CR and the two after a bulk are not looked at.
            (b"*1\rX$4\r?PINGxxGET\n", &[&[b"PING"], &[b"GET"]]),
            // A NUL hides the rest of what is searched for a line end.
            (b"PING a\0b\r\nPING\r\n", &[]),
            (b"*1\r\n$4\0\r\nPING\r\n", &[]),
            (b"*1\r\n$4\r\nPING\r", &[]),
            (b"\rPING \r \r\n", &[&[b"PING"]]),
        ];
        for (bytes, commands) in cases {
            let (found, failure) = parse_whole(bytes, &OPEN);
            assert_eq!(found, *commands, "{}", bytes.escape_ascii());
            assert_eq!(failure, None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn broken_requests_fail_with_the_texts_of_redis() {
        let long =
            |prefix: &str, byte: &str| format!("{prefix}{}", byte.repeat(MAX_LINE_BYTES + 1)).into_bytes();
        let cases: &[(&[u8], &str)] = &[
            (b"*\r\n", "invalid multibulk length"),
            (b"*05\r\n", "invalid multibulk length"),
            (b"*+1\r\n", "invalid multibulk length"),
            (b"*-0\r\n", "invalid multibulk length"),
            (b"*1\n$4\r\n", "invalid multibulk length"),
            (b"*2147483648\r\n", "invalid multibulk length"),
            (b"*-9223372036854775809\r\n", "invalid multibulk length"),
            (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
            (b"*1\r\n\n\r\n", "expected '$', got ' '"),
            (b"*1\r\n*1\r\n", "expected '$', got '*'"),
            (b"*1\r\n$\r\n", "invalid bulk length"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$00\r\n", "invalid bulk length"),
            (b"*1\r\n$4x\r\n", "invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "invalid bulk length"),
            (b"PING \"a\"b\r\n", "unbalanced quotes in request"),
            (&long("", "P"), "too big inline request"),
            (&long("*", "1"), "too big mbulk count string"),
            (&long("*1\r\n$", "1"), "too big bulk count string"),
        ];
        for (bytes, reason) in cases {
            let (found, failure) = parse_whole(bytes, &OPEN);
            assert_eq!(failure, Some(format!("ERR Protocol error: {reason}")), "{}", bytes.escape_ascii());
            assert_eq!(found, Commands::new());
        }
    }

    #[test]
    fn the_largest_allowed_requests_are_not_refused() {
        let line = format!("{}\r\n", "P".repeat(MAX_LINE_BYTES)).into_bytes();
        assert_eq!(parse_whole(&line, &OPEN).0.len(), 1);
        for bytes in [&b"*2147483647\r\n"[..], b"*1\r\n$536870912\r\n"] {
            assert_eq!(parse_whole(bytes, &OPEN), (Commands::new(), None));
        }
    }

    #[test]
    fn commands_before_a_broken_one_still_come_out() {
        let (found, failure) = parse_whole(b"PING\r\n*1\r\n$1\r\nx\r\n*x\r\nPING\r\n", &OPEN);
        assert_eq!(found, [[b"PING".to_vec()], [b"x".to_vec()]]);
        assert_eq!(failure.as_deref(), Some("ERR Protocol error: invalid multibulk length"));
    }

    #[test]
    fn before_auth_ten_arguments_of_16_kb_are_the_limit() {
        for bytes in [&b"*10\r\n"[..], b"*1\r\n$16384\r\n"] {
            assert_eq!(parse_whole(bytes, &ANONYMOUS).1, None);
        }
        let cases: &[(&[u8], &str)] = &[
            (b"*11\r\n", "unauthenticated multibulk length"),
            (b"*1\r\n$16385\r\n", "unauthenticated bulk length"),
            (b"*1\r\n$536870913\r\n", "invalid bulk length"),
            (b"*2147483648\r\n", "invalid multibulk length"),
        ];
        for (bytes, reason) in cases {
            let failure = parse_whole(bytes, &ANONYMOUS).1;
            assert_eq!(failure, Some(format!("ERR Protocol error: {reason}")));
        }
    }

    #[test]
    fn before_auth_the_buffer_of_the_largest_command_is_made_once_and_no_larger() {
        let argument = [&b"$16384\r\n"[..], &[b'x'; 16384], b"\r\n"].concat();
        let command = [b"*10\r\n".to_vec(), argument.repeat(10)].concat();
        assert!(command.len() <= MAX_UNAUTHENTICATED_BYTES);
        for step in [1000, 4096, 16384] {
            let mut parser = Parser::new();
            let mut sizes = Vec::new();
            for bytes in command[..command.len() - 1].chunks(step) {
                let expected = parser.growth_of(bytes.len()).max(parser.buffer.capacity());
                parser.feed(bytes);
                assert!(parser.buffer.capacity() <= expected);
                assert!(parser.parse(&ANONYMOUS).requests.is_empty());
                sizes.push(parser.buffer.capacity());
            }
            assert_eq!(sizes.last(), Some(&MAX_UNAUTHENTICATED_BYTES.next_multiple_of(GROW_BYTES)));
            sizes.dedup();
            let outgrown: usize = sizes[..sizes.len() - 1].iter().sum();
            assert!(outgrown <= 32 * 1024, "{sizes:?}");
        }
    }

    #[test]
    fn an_unsettled_login_stops_before_the_big_command_and_goes_on_after_it() {
        let bytes = b"AUTH x\r\n*11\r\n$4\r\nMGET\r\n";
        let mut parser = Parser::new();
        parser.feed(bytes);
        let parsed = parser.parse(&Limits { login: Login::Unsettled, ..OPEN });
        assert!(parsed.needs_login);
        assert_eq!((parsed.requests.len(), parsed.requests.failure), (1, None));
        let parsed = parser.parse(&OPEN);
        assert!(!parsed.needs_login && parsed.requests.is_empty());
        parser.feed(&b"$1\r\nk\r\n".repeat(10));
        assert_eq!(parser.parse(&OPEN).requests.get(0).len(), 11);
    }

    #[test]
    fn a_big_argument_costs_no_more_than_what_arrived_plus_a_step() {
        let mut parser = Parser::new();
        parser.feed(b"*2\r\n$3\r\nGET\r\n$500000000\r\n");
        assert!(parser.parse(&OPEN).requests.is_empty());
        let mut reads = 0;
        while parser.pending_bytes() < 4 << 20 {
            let arrived = parser.pending_bytes();
            let room = parser.space(1).len();
            assert!(room <= arrived.max(BULK_STEP_BYTES));
            assert!(parser.heap_bytes() <= 3 * arrived + 2 * BULK_STEP_BYTES);
            parser.advance(room);
            assert!(parser.parse(&OPEN).requests.is_empty());
            reads += 1;
        }
        assert!(reads < 16, "a big argument is read in big pieces");
    }

    #[test]
    fn a_scan_tells_how_much_is_missing_and_loses_nothing() {
        let mut parser = Parser::new();
        parser.feed(b"PING\r\n*2\r\n$4\r\nECHO\r\n$5000\r\nxx");
        parser.scan(&OPEN);
        assert_eq!(parser.argument_bytes(), 5000);
        assert_eq!(parser.space(1).len(), 5000);
        assert_eq!(parser.parse(&OPEN).requests.len(), 1);
        assert_eq!(parser.argument_bytes(), 5000);
        parser.feed(&[b'x'; 5000]);
        parser.feed(b"*x\r\n");
        parser.scan(&OPEN);
        let requests = parser.parse(&OPEN).requests;
        assert_eq!((requests.get(0).at(1).len(), requests.failure.is_some()), (5000, true));
    }

    #[test]
    fn a_big_argument_ends_its_buffer_exactly_and_is_announced_so() {
        let mut parser = Parser::new();
        parser.feed(b"*2\r\n$2\r\nab\r\n$70000\r\n");
        assert!(parser.parse(&OPEN).requests.is_empty());
        let announced = parser.announced_bytes();
        assert!(announced > 70_000 && parser.heap_bytes() < 1000);
        while parser.parse(&OPEN).requests.is_empty() {
            assert_eq!(parser.announced_bytes(), announced);
            let space = parser.space(1);
            space.fill(b'x');
            let room = space.len();
            parser.advance(room);
        }
        assert_eq!(parser.pending_bytes(), 0);
    }

    #[test]
    fn behind_an_argument_that_has_arrived_the_steps_are_full() {
        let mut parser = Parser::new();
        parser.feed(b"*1\r\n$4\r\nPI");
        assert!(parser.parse(&OPEN).requests.is_empty());
        assert_eq!(parser.space(1000).len(), 4, "NG and the line's end");
        parser.feed(b"NG\r\n");
        assert_eq!(parser.space(1000).len(), 1000, "not one byte at a time until somebody parses");
        assert_eq!(parser.parse(&OPEN).requests.len(), 1);
    }

    #[test]
    fn a_spent_batch_carries_the_next_one() {
        let mut parser = Parser::new();
        parser.feed(b"SET key value\r\n");
        let spent = parser.parse(&OPEN).requests;
        let held = spent.heap_bytes();
        assert!(parser.is_bare());
        parser.reuse(spent);
        parser.feed(b"GET a\r\n");
        let requests = parser.parse(&OPEN).requests;
        assert_eq!(requests.heap_bytes(), held);
        assert_eq!(requests.get(0).iter().collect::<Vec<_>>(), [&b"GET"[..], b"a"]);
        assert_eq!(requests.len(), 1);
    }

    #[test]
    fn an_empty_parser_holds_no_memory_after_release() {
        let mut parser = Parser::new();
        parser.feed(b"PING\r\n\r\n");
        parser.parse(&OPEN);
        parser.space(4096);
        parser.release();
        assert_eq!(parser.heap_bytes(), 0);
    }

    /// One request as bytes: what a client may send, well formed or nearly.
    fn request() -> impl Strategy<Value = Vec<u8>> {
        let word = proptest::collection::vec(any::<u8>(), 0..40);
        let command = proptest::collection::vec(word, 0..5).prop_map(|words| {
            let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
            for word in words {
                bytes.extend(format!("${}\r\n", word.len()).bytes());
                bytes.extend(word);
                bytes.extend(b"\r\n");
            }
            bytes
        });
        let noise = proptest::collection::vec(
            prop_oneof![
                Just(b'*'),
                Just(b'$'),
                Just(b'\r'),
                Just(b'\n'),
                Just(b'1'),
                Just(b'"'),
                any::<u8>()
            ],
            0..12,
        );
        prop_oneof![8 => command, 2 => "[a-z]{0,5}( [a-z]{1,4}){0,3}\r?\n".prop_map(String::into_bytes), 1 => noise]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn any_fragmentation_parses_to_the_same_commands(
            requests in proptest::collection::vec(request(), 0..12),
            cuts in proptest::collection::vec(0usize..600, 0..40),
            anonymous: bool,
        ) {
            let bytes = requests.concat();
            let limits = if anonymous { ANONYMOUS } else { OPEN };
            let every = (0..bytes.len()).collect::<Vec<_>>();
            let whole = parse_whole(&bytes, &limits);
            prop_assert_eq!(&parse_cut(&bytes, &cuts, &limits), &whole);
            prop_assert_eq!(&parse_cut(&bytes, &every, &limits), &whole);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(
            prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'-'), b'0'..=b'9', any::<u8>()], 0..200)) {
            parse_whole(&bytes, &OPEN);
        }
    }
}
