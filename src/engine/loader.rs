//! The loading thread: reads what is on disk and sends it to the owner in pieces small enough for a
//! turn.
//!
//! The thread parses, hashes and sorts, the owner inserts: two cores load one file. The pieces that
//! are sent at once are a delivery; it needs a token, of which there are [`DELIVERIES`], and the
//! owner gives it back when it has taken the last piece in, one per turn. So what is read ahead is
//! bounded, and clients' events never wait behind more than a piece. When the owner refuses a piece
//! it drops its end of the tokens, and the thread ends.
//!
//! [`Source`] is what reads, whoever takes the pieces: the thread sends them to the owner, DEBUG
//! LOADAOF takes them in where it reads them. The append-only file's side of it is in
//! `engine::aof::load`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;

use super::event::Event;
use super::queue::Handle;
use super::saver::sleep_after_key;
use crate::base::alloc;
use crate::keyspace::Batch;
use crate::persistence::{LoadEnd, LoadJob, LoadPiece, LoadResult};
use crate::rdb::{self, Item, LoadSummary, RdbError};

/// Deliveries that may wait for the owner: together about what is sorted at once.
pub(super) const DELIVERIES: usize = 8;
/// Pieces of a delivery at most.
const DELIVERY_PIECES: usize = 32;
/// Commands of a piece at most.
pub(super) const PIECE_COMMANDS: usize = 256;
/// Bytes of commands after which a piece ends; one large command may be more.
pub(super) const PIECE_BYTES: usize = 64 << 10;
/// With `key-load-delay`, a piece is sent after so much sleep, microseconds.
pub(super) const PIECE_DELAY_US: i64 = 10_000;
/// The bytes that are read at once.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

/// The loading thread's state.
pub(super) struct Loader {
    pub(super) job: LoadJob,
    pub(super) handle: Handle,
    /// Taking a token is sending it, which waits while all are out.
    pub(super) tokens: Sender<()>,
}

/// Nobody wants more.
pub(super) struct Unwanted;

impl Loader {
    /// Reads everything and reports how that went.
    pub(super) fn run(self) {
        let mut ahead = Vec::with_capacity(DELIVERY_PIECES);
        let result = Source::new(&self.job, |piece| {
            // A user who asks for the size, or for delays, wants to see what happens.
            let is_urgent =
                matches!(piece, LoadPiece::Size(_)) || self.job.delays.load_us.load(Ordering::Relaxed) != 0;
            ahead.push(piece);
            if is_urgent || ahead.len() == DELIVERY_PIECES { self.deliver(&mut ahead) } else { Ok(()) }
        })
        .read();
        // When all tokens are back everything is taken in. An owner that gave them up has ended the
        // load itself.
        let is_delivered = self.deliver(&mut ahead).is_ok();
        if is_delivered && (0..DELIVERIES).all(|_| self.tokens.send(()).is_ok()) {
            // When the owner is gone nobody waits for the report.
            let _ = self.handle.send(Event::LoadEnded(result));
        }
        // The memory of the deliveries was spread over many pages; nobody will need it again.
        alloc::give_back();
    }

    /// Sends pieces when there is a token for them.
    fn deliver(&self, pieces: &mut Vec<LoadPiece>) -> Result<(), Unwanted> {
        self.tokens.send(()).map_err(|_| Unwanted)?;
        self.handle.send(Event::Loaded(std::mem::take(pieces))).map_err(|_| Unwanted)
    }
}

impl LoadJob {
    /// True when there is no file to read.
    pub(super) fn is_empty(&self) -> bool {
        match &self.aof {
            Some(files) => files.files.is_empty(),
            None => fs::exists(&self.path).is_ok_and(|exists| !exists),
        }
    }
}

/// Reads what is on disk and gives it away in pieces.
pub(super) struct Source<'j, S> {
    pub(super) job: &'j LoadJob,
    pub(super) send: S,
    /// Keys and commands read, for `key-load-delay`.
    keys: u64,
}

impl<'j, S: FnMut(LoadPiece) -> Result<(), Unwanted>> Source<'j, S> {
    pub(super) fn new(job: &'j LoadJob, send: S) -> Self {
        Source { job, send, keys: 0 }
    }

    fn read(&mut self) -> LoadResult {
        if let Some(files) = &self.job.aof {
            return self.read_aof(files).map(|cut_at| Some(LoadEnd { cut_at }));
        }
        let file = match File::open(&self.job.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        // Unwanted is told by the next piece again.
        let _ = (self.send)(LoadPiece::Size(size));
        let input = BufReader::with_capacity(BUFFER_BYTES, file);
        self.read_snapshot(input, 0)
            .map(|_| Some(LoadEnd { cut_at: None }))
            .map_err(|error| error.to_string())
    }

    /// Reads a snapshot. `before` is what was read of other files, bytes.
    pub(super) fn read_snapshot(
        &mut self,
        input: impl BufRead,
        before: u64,
    ) -> Result<LoadSummary, RdbError> {
        let mut ahead = Ahead { keys: Batch::new(self.job.limits.seed), from: before, slept_us: 0 };
        let summary = rdb::load_as(input, &self.job.limits, self.job.checksum, |item, offset| {
            match item {
                Item::Key { key, content, attributes } => {
                    ahead.slept_us += self.sleep_after_key();
                    ahead.keys.push(key, content, attributes);
                }
                Item::Note(note) => {
                    self.send_keys(&mut ahead, before + offset)?;
                    (self.send)(LoadPiece::Note(note)).map_err(refused)?;
                }
            }
            if ahead.is_due() { self.send_keys(&mut ahead, before + offset) } else { Ok(()) }
        })?;
        self.send_keys(&mut ahead, before + summary.bytes)?;
        Ok(summary)
    }

    /// Sends the keys that were read ahead. `loaded_bytes` is where they end.
    fn send_keys(&mut self, ahead: &mut Ahead, loaded_bytes: u64) -> Result<(), RdbError> {
        let pieces = ahead.keys.take_pieces();
        let (from, count) = (ahead.from, pieces.len() as u64);
        for (keys, index) in pieces.into_iter().zip(1..) {
            // The keys are in another order now, so this is about right.
            let loaded_bytes = from + (loaded_bytes - from) / count * index;
            (self.send)(LoadPiece::Keys { keys, loaded_bytes }).map_err(refused)?;
        }
        (ahead.from, ahead.slept_us) = (loaded_bytes, 0);
        Ok(())
    }

    /// Sleeps as `key-load-delay` asks after a key, or a command. Returns for how long,
    /// microseconds.
    pub(super) fn sleep_after_key(&mut self) -> i64 {
        self.keys += 1;
        let delay_us = self.job.delays.load_us.load(Ordering::Relaxed);
        if delay_us != 0 {
            sleep_after_key(delay_us, self.keys);
        }
        delay_us.max(0)
    }
}

fn refused(Unwanted: Unwanted) -> RdbError {
    RdbError::Refused("nobody takes what is loaded".to_owned())
}

/// Keys that were read and not sent yet.
struct Ahead {
    keys: Batch,
    /// The offset at which they begin, bytes of all files.
    from: u64,
    slept_us: i64,
}

impl Ahead {
    fn is_due(&self) -> bool {
        self.keys.is_full() || self.slept_us >= PIECE_DELAY_US
    }
}
