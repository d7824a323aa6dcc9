//! The loading thread: reads what is on disk and sends it to the owner in pieces small enough for a turn.
//!
//! The thread parses, the owner inserts: two cores load one file. A piece needs a token, of which there are
//! [`PIECES`]; the owner gives it back when it has taken the piece in. So what is read ahead is bounded, and
//! clients' events never wait behind more than a few pieces. When the owner refuses a piece it drops its end of
//! the tokens, and the thread ends.
//!
//! [`Source`] is what reads, whoever takes the pieces: the thread sends them to the owner, DEBUG LOADAOF takes them in
//! where it reads them. The append-only file's side of it is in [`super::aof::load`].

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::atomic::Ordering;

use crossbeam_channel::Sender;

use super::saver::sleep_after_key;
use super::{Event, Handle};
use crate::keyspace::Value;
use crate::rdb::{self, Item, LoadSummary, RdbError};
use crate::server::{LoadEnd, LoadJob, LoadPiece, LoadResult};

/// Pieces that may wait for the owner.
pub(super) const PIECES: usize = 4;
/// Items of a piece at most.
pub(super) const PIECE_ITEMS: usize = 256;
/// Bytes of a piece after which it is sent; one large value may be more.
pub(super) const PIECE_BYTES: usize = 64 << 10;
/// With `key-load-delay`, a piece is sent after so much sleep, microseconds.
pub(super) const PIECE_DELAY_US: i64 = 10_000;
/// What is read at once, bytes.
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
        let (handle, tokens) = (&self.handle, &self.tokens);
        // A piece is sent when there is a token for it.
        let send = |piece| {
            tokens.send(()).map_err(|_| Unwanted)?;
            handle.send(Event::Loaded(piece)).map_err(|_| Unwanted)
        };
        let result = Source::new(&self.job, send).read();
        // When the owner is gone nobody waits for the report.
        let _ = self.handle.send(Event::LoadEnded(result));
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
        self.read_snapshot(input, 0).map(|_| Some(LoadEnd { cut_at: None })).map_err(|error| {
            log::warn!("{error}");
            log::warn!("Terminating server after rdb file reading failure.");
            error.to_string()
        })
    }

    /// Reads a snapshot. `before` is what was read of other files, bytes.
    pub(super) fn read_snapshot(&mut self, input: impl Read, before: u64) -> Result<LoadSummary, RdbError> {
        let mut piece = Piece::default();
        let summary = rdb::load(input, &self.job.limits, |item, offset| {
            if matches!(item, Item::Key { .. }) {
                piece.slept_us += self.sleep_after_key();
            }
            piece.add(item);
            if piece.slept_us >= PIECE_DELAY_US || piece.is_full() {
                self.send_items(&mut piece, before + offset)?;
            }
            Ok(())
        })?;
        self.send_items(&mut piece, before + summary.bytes)?;
        Ok(summary)
    }

    /// Sleeps as `key-load-delay` asks after a key, or a command. Returns for how long, microseconds.
    pub(super) fn sleep_after_key(&mut self) -> i64 {
        self.keys += 1;
        let delay_us = self.job.delays.load_us.load(Ordering::Relaxed);
        if delay_us != 0 {
            sleep_after_key(delay_us, self.keys);
        }
        delay_us.max(0)
    }

    fn send_items(&mut self, piece: &mut Piece, loaded_bytes: u64) -> Result<(), RdbError> {
        let Piece { items, .. } = std::mem::take(piece);
        (self.send)(LoadPiece::Items { items, loaded_bytes })
            .map_err(|Unwanted| RdbError::Refused("nobody takes what is loaded".to_owned()))
    }
}

/// Items on their way into a piece.
#[derive(Default)]
struct Piece {
    items: Vec<Item>,
    bytes: usize,
    slept_us: i64,
}

impl Piece {
    fn add(&mut self, item: Item) {
        if self.items.capacity() == 0 {
            self.items.reserve(PIECE_ITEMS);
        }
        if let Item::Key { key, value, .. } = &item {
            self.bytes +=
                key.len() + if let Value::String(bytes) = value { bytes.len() } else { value.len() };
        }
        self.items.push(item);
    }

    fn is_full(&self) -> bool {
        self.items.len() >= PIECE_ITEMS || self.bytes >= PIECE_BYTES
    }
}
