//! Bytes → commands: the incremental parser of one connection's requests.
//!
//! [`Parser`] owns the buffer a connection reads into: [`Parser::space`] is where the next read
//! goes, [`Parser::parse`] hands out every command completed so far as one [`Requests`], the
//! buffer moved with it. It does not know where bytes come from, who the client is, or what a
//! command means; [`ParseLimits`] says how much a client may ask for.
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

use super::argv::{ArgRange, Failure, Requests};
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
/// The bytes by which the buffer is opened for a big argument of which nothing has arrived yet.
const BULK_STEP_BYTES: usize = 64 * 1024;

/// Buffers that grow do so to a multiple of this, so that one that comes back fits again.
const GROW_BYTES: usize = 256;
/// Beyond this the buffer of a client that is not logged in gets all that it may ever need: nobody
/// is served faster for what smaller ones leave behind in the allocator.
const STRANGER_BYTES: usize = 8 * 1024;

/// The state of the client's login, as the parser is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// Logged in, or no password is asked for.
    Done,
    /// Not logged in when last looked at, but an AUTH may be under way: stop before a command
    /// that only a logged-in client may send.
    Pending,
    /// Not logged in, and every earlier command has run.
    Missing,
}

/// The most that a client may ask for.
#[derive(Clone, Copy, Debug)]
pub struct ParseLimits {
    /// Longest argument, bytes. Source: `proto-max-bulk-len`.
    pub max_bulk_bytes: i64,
    /// Says if the limits before AUTH apply.
    pub login: Login,
}

/// The result of one call of [`Parser::parse`].
#[derive(Debug)]
pub struct Parsed {
    /// The completed commands, perhaps none; and the failure that ends the stream.
    pub requests: Requests,
    /// Parsing stopped at a command that needs a login ([`Login::Pending`]): run `requests`, look
    /// at the login again and parse again before reading on.
    pub needs_login: bool,
}

/// The reason why parsing stopped.
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
    /// The place where the unfinished command begins; before it lie completed ones.
    command_start: usize,
    ranges: Vec<ArgRange>,
    ends: Vec<u32>,
    /// Arguments the unfinished multibulk command still misses.
    missing_arguments: usize,
    /// The announced length of the argument at `position`.
    bulk_bytes: Option<usize>,
    /// The client was not logged in when last looked at.
    is_stranger: bool,
    /// The memory of the spent batch that carries the next one, bytes.
    reused_bytes: usize,
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

    /// Returns the room for the next bytes: `step` bytes; inside an argument no more than it lacks,
    /// but in larger steps.
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

    /// True when a batch's memory would be of use: nothing is held at the moment.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.buffer.capacity() == 0 && self.ranges.capacity() == 0
    }

    /// Carries the next batch in the memory of a spent one, which spares the allocator, and its
    /// per-thread heap, on the thread that reads. Only for a bare parser.
    pub fn reuse(&mut self, spent: Requests) {
        debug_assert!(self.is_bare(), "an unfinished command would be lost");
        self.reused_bytes = spent.heap_bytes();
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

    /// The first bytes that are not parsed, at most `limit`.
    #[must_use]
    pub fn unread(&self, limit: usize) -> &[u8] {
        let unread = &self.buffer[self.position..self.filled];
        &unread[..unread.len().min(limit)]
    }

    /// Gives back the memory of an empty buffer. An unfinished command is kept.
    pub fn release(&mut self) {
        if self.filled == 0 {
            self.buffer = Vec::new();
        }
    }

    /// Parses what has arrived and keeps the completed commands, so that [`Parser::space`] knows
    /// how much of an argument is still to come.
    pub fn scan(&mut self, limits: &ParseLimits) {
        // The thing that stops the parser stops it again in `parse`.
        let _ = self.run(limits);
    }

    /// Parses what has arrived and hands out the completed commands.
    pub fn parse(&mut self, limits: &ParseLimits) -> Parsed {
        let stop = self.run(limits);
        let failure = match &stop {
            Stop::Broken(reason) => {
                let line = format!("ERR Protocol error: {reason}");
                Some(Box::new(Failure::new(line, &self.buffer[self.position..self.filled])))
            }
            Stop::Incomplete | Stop::NeedsLogin => None,
        };
        Parsed { requests: self.hand_over(failure), needs_login: matches!(stop, Stop::NeedsLogin) }
    }

    fn run(&mut self, limits: &ParseLimits) -> Stop {
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
    fn multibulk_header(&mut self, limits: &ParseLimits) -> Result<(), Stop> {
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
    fn arguments(&mut self, limits: &ParseLimits) -> Result<(), Stop> {
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
    fn bulk_header(&mut self, limits: &ParseLimits) -> Result<usize, Stop> {
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

    /// Returns the end of the line at `position`. Redis searches with `strchr`, so a NUL hides what
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
    fn hand_over(&mut self, failure: Option<Box<Failure>>) -> Requests {
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
        let reused_bytes = std::mem::take(&mut self.reused_bytes);
        Requests::new(buffer, ranges, ends, failure).arrived(start).reusing(reused_bytes)
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

fn require_login(limits: &ParseLimits, reason: &str) -> Result<(), Stop> {
    match limits.login {
        Login::Done => Ok(()),
        Login::Pending => Err(Stop::NeedsLogin),
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
mod tests;
