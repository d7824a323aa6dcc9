//! The file that is appended to: what is written, what is on disk, what is left after an error.
//!
//! ```text
//!   file:   [ on disk ....... synced ][ written ...... written ]   waiting: bytes not yet written
//!   offsets                       synced_to                written_to              handed_to
//! ```
//!
//! An error loses nothing: a write that fails halfway is cut off again, and its bytes wait. A sync
//! that fails is worse: the kernel may have dropped what it could not write and will not say so
//! again. So where writers wait for the disk, what is not synced is kept and written anew;
//! otherwise there is a hole ([`Log::has_hole`]): what stands behind it is of no use to a reader,
//! and only a rewrite makes the files whole.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use super::disk::LogFile;

/// The reason why something is left.
#[derive(Debug)]
pub enum LogError {
    /// Writing failed.
    Write(io::Error),
    /// Forcing to disk failed.
    Sync(io::Error),
}

impl LogError {
    /// Returns the error of the system.
    pub fn io(&self) -> &io::Error {
        match self {
            LogError::Write(error) | LogError::Sync(error) => error,
        }
    }
}

/// A chunk of what was handed over, and the offset behind it.
#[derive(Debug)]
struct Piece {
    bytes: Arc<Vec<u8>>,
    end: u64,
}

/// The reach of a sync that somebody else does: the file, its length, and the offset there.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    generation: u64,
    length: u64,
    end: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Log<F> {
    file: Option<F>,
    /// The number of the file, counted from the start.
    generation: u64,
    /// Good bytes in the file.
    length: u64,
    /// Of these on disk.
    synced_length: u64,
    /// The file may be longer than that.
    has_torn_end: bool,
    waiting: VecDeque<Piece>,
    /// The bytes written since the last sync, kept while writers wait for it.
    unsynced: VecDeque<Piece>,
    written_to: u64,
    synced_to: u64,
    /// True when what is not synced is kept.
    keeps_unsynced: bool,
    /// The last file that lacks something, if one does.
    hole: Option<u64>,
    /// A file that was let go of could not be forced to disk: this one has to show that the disk
    /// works.
    is_unproven: bool,
}

impl<F> Default for Log<F> {
    fn default() -> Self {
        Log {
            file: None,
            generation: 0,
            length: 0,
            synced_length: 0,
            has_torn_end: false,
            waiting: VecDeque::new(),
            unsynced: VecDeque::new(),
            written_to: 0,
            synced_to: 0,
            keeps_unsynced: false,
            hole: None,
            is_unproven: false,
        }
    }
}

impl<F: LogFile> Log<F> {
    /// Goes on in another file, whose `length` bytes are on disk. Bytes that wait are written to
    /// it.
    pub fn begin(&mut self, file: F, length: u64) {
        self.file = Some(file);
        self.generation += 1;
        (self.length, self.synced_length, self.has_torn_end) = (length, length, false);
        self.synced_to = self.written_to;
        self.unsynced.clear();
    }

    /// Goes on in an empty file. Returns the one before, if it is not wholly on disk:
    /// [`Log::sync_ended`] is to be told of its sync.
    pub fn go_on_in(&mut self, file: F) -> Option<(F, Mark)> {
        let (mark, synced_to) = (self.mark(), self.synced_to);
        let before = self.file.take().filter(|_| self.has_unsynced());
        self.begin(file, 0);
        let before = before?;
        self.synced_to = synced_to;
        Some((before, mark))
    }

    fn mark(&self) -> Mark {
        Mark { generation: self.generation, length: self.length, end: self.written_to }
    }

    /// A second handle of the file, for somebody else to sync. [`Log::sync_ended`] is to be told.
    pub fn twin(&self) -> io::Result<Option<(F, Mark)>> {
        let Some(file) = &self.file else { return Ok(None) };
        Ok(Some((file.twin()?, self.mark())))
    }

    /// Notes how somebody else's sync up to `mark` went.
    pub fn sync_ended(&mut self, mark: Mark, result: io::Result<()>) -> Result<(), LogError> {
        let is_open = mark.generation == self.generation;
        match (result, is_open) {
            (Ok(()), true) => self.synced_length = self.synced_length.max(mark.length),
            (Ok(()), false) => {}
            (Err(error), true) => {
                self.take_back();
                return Err(LogError::Sync(error));
            }
            (Err(error), false) => {
                // The file is complete and was let go of: nobody can write it anew.
                self.hole = self.hole.max(Some(mark.generation));
                self.is_unproven = self.file.is_some();
                self.synced_to = self.synced_to.max(mark.end);
                return Err(LogError::Sync(error));
            }
        }
        self.synced_to = self.synced_to.max(mark.end);
        while self.unsynced.pop_front_if(|piece| piece.end <= mark.end).is_some() {}
        Ok(())
    }

    /// Closes the file; what waits is written to the next one.
    pub fn let_go(&mut self) {
        self.file = None;
    }

    /// Lets go of the file. Bytes that were not written are dropped.
    pub fn end(&mut self) {
        if let Some(last) = self.waiting.back() {
            self.written_to = last.end;
        }
        self.synced_to = self.written_to;
        self.waiting.clear();
        self.unsynced.clear();
        (self.file, self.length, self.synced_length, self.is_unproven) = (None, 0, 0, false);
        self.hole = None;
    }

    /// True when there is a file.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Takes bytes that reach up to offset `end`. They are written by [`Log::write`].
    pub fn push(&mut self, bytes: Arc<Vec<u8>>, end: u64) {
        self.waiting.push_back(Piece { bytes, end });
    }

    /// True when bytes wait to be written.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// True when bytes were written that are not on disk, or a sync has to show that the disk
    /// works.
    pub fn has_unsynced(&self) -> bool {
        self.length > self.synced_length || self.is_unproven
    }

    /// Up to which offset everything was pushed.
    pub fn pushed_to(&self) -> u64 {
        self.waiting.back().map_or(self.written_to, |last| last.end)
    }

    /// Up to which offset everything is in the file.
    pub fn written_to(&self) -> u64 {
        self.written_to
    }

    /// Up to which offset everything is on disk.
    pub fn synced_to(&self) -> u64 {
        self.synced_to
    }

    /// True when a sync has failed whose bytes were not kept: a reader comes no further than there.
    pub fn has_hole(&self) -> bool {
        self.hole.is_some()
    }

    /// The number of the file that is written to, counted from the start.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The files before `generation` are replaced.
    pub fn forget_files_before(&mut self, generation: u64) {
        self.hole = self.hole.filter(|&hole| hole >= generation);
    }

    /// Sets if written bytes are kept until they are on disk.
    pub fn keep_unsynced(&mut self, keeps: bool) {
        self.keeps_unsynced = keeps;
        if !keeps {
            self.unsynced.clear();
        }
    }

    /// Writes what waits.
    pub fn write(&mut self) -> Result<(), LogError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.has_torn_end {
            file.truncate(self.length).map_err(LogError::Write)?;
            self.has_torn_end = false;
        }
        while let Some(piece) = self.waiting.pop_front() {
            if let Err(error) = write_all(file, &piece.bytes) {
                self.waiting.push_front(piece);
                // The next attempt cuts off what this one left, if it cannot be done now.
                self.has_torn_end = file.truncate(self.length).is_err();
                return Err(LogError::Write(error));
            }
            self.length += piece.bytes.len() as u64;
            self.written_to = piece.end;
            if self.keeps_unsynced {
                self.unsynced.push_back(piece);
            }
        }
        Ok(())
    }

    /// Forces what was written to disk.
    pub fn sync(&mut self) -> Result<(), LogError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Err(error) = file.sync() {
            self.take_back();
            return Err(LogError::Sync(error));
        }
        self.is_unproven = false;
        self.synced_length = self.length;
        self.synced_to = self.written_to;
        self.unsynced.clear();
        Ok(())
    }

    /// After a failed sync: what was kept is written anew, the rest is a hole.
    fn take_back(&mut self) {
        let kept: u64 = self.unsynced.iter().map(|piece| piece.bytes.len() as u64).sum();
        if self.length - kept > self.synced_length {
            self.hole = Some(self.generation);
        }
        if let Some(first) = self.unsynced.front() {
            self.length -= kept;
            self.written_to = first.end - first.bytes.len() as u64;
            // Of what the kernel has dropped there may be a hole: no reader is to find it behind
            // what is safe.
            let length = self.length;
            self.has_torn_end = self.file.as_mut().is_none_or(|file| file.truncate(length).is_err());
        }
        while let Some(piece) = self.unsynced.pop_back() {
            self.waiting.push_front(piece);
        }
    }
}

fn write_all(file: &mut impl LogFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that fails when it is told to, and knows what a power cut would leave.
    #[derive(Debug, Default)]
    struct FaultyFile {
        content: Vec<u8>,
        on_disk: Vec<u8>,
        /// Operations that succeed before one fails; `None`: all do.
        left: Option<u32>,
        /// The failing write still takes so many bytes.
        torn: usize,
    }

    impl FaultyFile {
        fn fails(&mut self) -> bool {
            match &mut self.left {
                Some(0) => {
                    self.left = None;
                    true
                }
                Some(left) => {
                    *left -= 1;
                    false
                }
                None => false,
            }
        }
    }

    impl LogFile for &mut FaultyFile {
        fn twin(&self) -> io::Result<Self> {
            unreachable!("everything is synced in its place")
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.fails() {
                let torn = bytes.len().min(self.torn);
                self.content.extend_from_slice(&bytes[..torn]);
                return Err(io::ErrorKind::StorageFull.into());
            }
            // Short writes are allowed, and come first.
            let count = bytes.len().div_ceil(2);
            self.content.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn truncate(&mut self, length: u64) -> io::Result<()> {
            if self.fails() {
                return Err(io::ErrorKind::Other.into());
            }
            self.content.truncate(length as usize);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.fails() {
                // Bytes that could not be written are dropped by the kernel, and never heard of
                // again.
                let on_disk = self.on_disk.len();
                self.content[on_disk..].fill(0);
                return Err(io::ErrorKind::Other.into());
            }
            self.on_disk = self.content.clone();
            Ok(())
        }
    }

    /// Pushes ten pieces; after each one writes and syncs until it works. Returns how often it did
    /// not.
    fn run(file: &mut FaultyFile, keeps: bool) -> (u32, bool) {
        let mut log = Log::default();
        log.begin(file, 0);
        log.keep_unsynced(keeps);
        let (mut failures, mut has_hole) = (0, false);
        for index in 0..10_u64 {
            log.push(Arc::new(format!("piece {index};").into_bytes()), (index + 1) * 8);
            while log.has_waiting() || log.has_unsynced() {
                let synced = log.synced_to();
                if log.write().and_then(|()| log.sync()).is_err() {
                    failures += 1;
                    has_hole |= log.has_hole();
                    assert_eq!(log.synced_to(), synced, "what failed is not acknowledged");
                    assert!(failures < 1000, "piece {index} never arrives");
                }
            }
            assert_eq!((log.synced_to(), log.written_to()), ((index + 1) * 8, (index + 1) * 8));
        }
        (failures, has_hole)
    }

    #[test]
    fn whichever_operation_fails_nothing_is_lost_and_nothing_is_torn() {
        let whole: String = (0..10).map(|index| format!("piece {index};")).collect();
        for left in 0..60 {
            for torn in [0, 3, 8] {
                let mut file = FaultyFile { left: Some(left), torn, ..FaultyFile::default() };
                let (failures, has_hole) = run(&mut file, true);
                assert_eq!(String::from_utf8_lossy(&file.on_disk), whole, "after {left} operations");
                assert!(failures <= 1 && !has_hole);
            }
        }
    }

    #[test]
    fn a_failed_sync_of_bytes_that_were_not_kept_is_not_forgotten() {
        let mut file = FaultyFile { left: Some(4), ..FaultyFile::default() };
        assert_eq!(run(&mut file, false), (1, true), "the fifth operation is the first sync");
        let mut file = FaultyFile { left: Some(2), ..FaultyFile::default() };
        assert_eq!(run(&mut file, false), (1, false), "the third is a write");
    }

    #[test]
    fn what_a_power_cut_leaves_is_what_was_acknowledged_or_more() {
        let mut file = FaultyFile::default();
        let mut log = Log::default();
        log.begin(&mut file, 0);
        log.push(Arc::new(b"acknowledged;".to_vec()), 13);
        log.write().and_then(|()| log.sync()).unwrap();
        log.push(Arc::new(b"written;".to_vec()), 21);
        log.write().unwrap();
        assert_eq!((log.synced_to(), log.written_to()), (13, 21));
        drop(log);
        assert_eq!(file.on_disk, b"acknowledged;");
        assert_eq!(file.content, b"acknowledged;written;");
    }
}
