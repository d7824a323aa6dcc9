//! Commands as they travel: one buffer plus ranges, no copy per argument.
//!
//! [`Requests`] is everything one read completed and crosses the channel as one message;
//! [`Argv`] is a borrowed view of one of its commands; [`OwnedArgv`] is a command that outlives
//! its read: queued by MULTI, parked by BLPOP, built by a handler as an effect.

use crate::base::time::Arrival;

/// The place of one argument in its buffer: start and end, bytes. Buffers stay below 4 GiB.
pub type ArgRange = (u32, u32);

/// A borrowed command: its name and arguments.
#[derive(Clone, Copy, Debug)]
pub struct Argv<'a> {
    buffer: &'a [u8],
    ranges: &'a [ArgRange],
}

impl<'a> Argv<'a> {
    /// A view of `ranges` into `buffer`.
    #[must_use]
    pub fn new(buffer: &'a [u8], ranges: &'a [ArgRange]) -> Self {
        Argv { buffer, ranges }
    }

    /// The number of arguments, the command's name included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// True when there is not even a name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Argument `index`, `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let &(start, end) = self.ranges.get(index)?;
        Some(&self.buffer[start as usize..end as usize])
    }

    /// Argument `index`; the caller has checked the arity.
    #[must_use]
    pub fn at(&self, index: usize) -> &'a [u8] {
        let (start, end) = self.ranges[index];
        &self.buffer[start as usize..end as usize]
    }

    /// Bytes from the first argument's beginning to the last one's end, what stands between
    /// included.
    #[must_use]
    pub fn span(&self) -> usize {
        match (self.ranges.first(), self.ranges.last()) {
            (Some(first), Some(last)) => (last.1 - first.0) as usize,
            _ => 0,
        }
    }

    /// Bytes of the arguments alone.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ranges.iter().map(|&(start, end)| (end - start) as usize).sum()
    }

    /// All arguments in order, the name first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone + use<'a> {
        let buffer = self.buffer;
        self.ranges.iter().map(move |&(start, end)| &buffer[start as usize..end as usize])
    }

    /// A view without the first `count` arguments.
    #[must_use]
    pub fn skip(&self, count: usize) -> Argv<'a> {
        Argv { buffer: self.buffer, ranges: &self.ranges[count.min(self.ranges.len())..] }
    }

    /// A copy that outlives the read.
    #[must_use]
    pub fn to_owned(&self) -> OwnedArgv {
        OwnedArgv::from_parts(self.iter())
    }
}

/// A command that owns its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgv {
    buffer: Vec<u8>,
    ranges: Vec<ArgRange>,
}

impl OwnedArgv {
    /// A command of these arguments, the name first.
    pub fn from_parts<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut argv = OwnedArgv::default();
        parts.into_iter().for_each(|part| argv.push(part));
        argv
    }

    /// Appends one argument.
    pub fn push(&mut self, part: &[u8]) {
        let start = position(self.buffer.len());
        self.buffer.extend_from_slice(part);
        self.ranges.push((start, position(self.buffer.len())));
    }

    /// The command as a view.
    #[must_use]
    pub fn as_argv(&self) -> Argv<'_> {
        Argv::new(&self.buffer, &self.ranges)
    }

    /// Bytes held, for the accounting of queued commands.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.buffer.capacity() + self.ranges.capacity() * size_of::<ArgRange>()
    }
}

/// All complete commands of one read, in order, and what ended the stream if it is broken.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    buffer: Vec<u8>,
    ranges: Vec<ArgRange>,
    /// For each command the end of its ranges.
    ends: Vec<u32>,
    /// The part of the buffer that the client sent; the rest is room.
    bytes: usize,
    /// The bytes that the memory held when it was last handed to whoever fills it, as
    /// [`Requests::heap_bytes`] counts.
    reused_bytes: usize,
    /// The time at which the last of it reached this machine, where that is known.
    pub arrival: Option<Arrival>,
    /// The fault behind the last command; then the connection closes.
    pub failure: Option<Box<Failure>>,
}

/// A request that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line to answer, without `-` and CRLF: `ERR Protocol error: invalid multibulk length`.
    pub line: String,
    /// The bytes that could not be read, for the log; of more than twice [`Failure::SHOWN_BYTES`]
    /// the beginning and the end.
    pub unread: Vec<u8>,
    /// The number of these bytes.
    pub unread_bytes: usize,
}

impl Failure {
    /// Of the beginning, and of the end, of what could not be read, this much is kept.
    pub const SHOWN_BYTES: usize = 64;

    /// With this line, because of these bytes.
    #[must_use]
    pub fn new(line: String, unread: &[u8]) -> Self {
        let kept = match unread.len() < 2 * Self::SHOWN_BYTES {
            true => unread.to_vec(),
            false => {
                let (head, tail) =
                    (&unread[..Self::SHOWN_BYTES], &unread[unread.len() - Self::SHOWN_BYTES..]);
                [head, tail].concat()
            }
        };
        Failure { line, unread: kept, unread_bytes: unread.len() }
    }
}

impl Requests {
    /// Commands over `buffer`: `ends[i]` is where command `i` ends in `ranges`.
    #[must_use]
    pub fn new(
        buffer: Vec<u8>,
        ranges: Vec<ArgRange>,
        ends: Vec<u32>,
        failure: Option<Box<Failure>>,
    ) -> Self {
        let bytes = buffer.len();
        Requests { buffer, ranges, ends, bytes, reused_bytes: 0, arrival: None, failure }
    }

    /// The same, with only the first `bytes` of the buffer sent by the client.
    #[must_use]
    pub fn arrived(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// The same, in memory that was another batch's of `bytes`.
    #[must_use]
    pub(super) fn reusing(mut self, bytes: usize) -> Self {
        self.reused_bytes = bytes;
        self
    }

    /// One command, for tests and for the server's own.
    #[must_use]
    pub fn single(argv: OwnedArgv) -> Self {
        let end = position(argv.ranges.len());
        Requests::new(argv.buffer, argv.ranges, vec![end], None)
    }

    /// The number of commands.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when no command was completed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Command `index`; panics past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Argv<'_> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Argv::new(&self.buffer, &self.ranges[start..self.ends[index] as usize])
    }

    /// No command, but memory for some: `bytes` of buffer, `arguments` arguments.
    #[must_use]
    pub fn with_capacity(bytes: usize, arguments: usize) -> Self {
        Requests::with_room(bytes, arguments, arguments)
    }

    fn with_room(bytes: usize, arguments: usize, commands: usize) -> Self {
        let (buffer, ranges) = (Vec::with_capacity(bytes), Vec::with_capacity(arguments));
        let room = Requests::new(buffer, ranges, Vec::with_capacity(commands), None);
        let bytes = room.heap_bytes();
        room.reusing(bytes)
    }

    /// No command, but as much memory, and all of it the calling thread's: what the thread that
    /// filled the batch had to add is given back to it.
    #[must_use]
    pub fn adopt(self) -> Self {
        if self.heap_bytes() == self.reused_bytes {
            return self;
        }
        Requests::with_room(self.buffer.capacity(), self.ranges.capacity(), self.ends.capacity())
    }

    /// Buffer, ranges and ends, so that a spent batch's memory can carry the next one.
    pub(super) fn into_parts(self) -> (Vec<u8>, Vec<ArgRange>, Vec<u32>) {
        (self.buffer, self.ranges, self.ends)
    }

    /// Bytes the client sent for these commands, and room in their buffer.
    #[must_use]
    pub fn sent_and_free_bytes(&self) -> (usize, usize) {
        (self.bytes, self.buffer.capacity() - self.bytes)
    }

    /// Bytes brought, for the weight of the client whose commands run. The memory they are in may
    /// be larger: that of small batches goes round, and whose it was last is chance.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        let end = self.ranges.last().map_or(0, |&(_, end)| end as usize);
        end + (self.ranges.len() + self.ends.len() / 2) * size_of::<ArgRange>()
    }

    /// Bytes held, for the accounting of commands that wait behind a parked one.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.buffer.capacity() + (self.ranges.capacity() + self.ends.capacity() / 2) * size_of::<ArgRange>()
    }
}

fn position(length: usize) -> u32 {
    u32::try_from(length).expect("a command's buffer is bounded below 4 GiB by the parser")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_argv_gives_back_its_parts() {
        let argv = OwnedArgv::from_parts([&b"SET"[..], b"", b"v"]);
        assert_eq!(argv.as_argv().iter().collect::<Vec<_>>(), [&b"SET"[..], b"", b"v"]);
        assert_eq!(argv.as_argv().skip(2).at(0), b"v");
        assert_eq!(argv.as_argv().get(3), None);
    }

    #[test]
    fn requests_split_their_ranges_by_command() {
        let requests = Requests::new(
            b"getasetbx".to_vec(),
            vec![(0, 3), (3, 4), (4, 7), (7, 8), (8, 9)],
            vec![2, 5],
            None,
        );
        assert_eq!(requests.get(0).iter().collect::<Vec<_>>(), [&b"get"[..], b"a"]);
        assert_eq!(requests.get(1).iter().collect::<Vec<_>>(), [&b"set"[..], b"b", b"x"]);
    }
}
