//! A load under way: how far it is, and what it has found.

use super::load_job::AofFile;
use crate::base::number;
use crate::base::text::shown;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::keyspace::{Batch, DbIndex, ExpiredKeys, Keyspace, PresentKeys};
use crate::rdb::{self, Checksum, Item, Note, RdbError};
use std::io::BufRead;

/// Redis names only so many of the empty keys it skips.
const MAX_EMPTY_KEYS_TOLD: u64 = 10;
/// A key of a file takes at least its type and the lengths of name and value: what the file claims
/// to hold beyond that is not believed.
const MIN_KEY_BYTES: u64 = 3;
/// The log tells about progress this often.
const PROGRESS_MS: i64 = 5000;

/// A load under way, or the last one.
#[derive(Debug)]
pub struct Loading {
    /// The database that the next item belongs to.
    db: DbIndex,
    present_keys: PresentKeys,
    expired_keys: ExpiredKeys,
    /// The part of the append-only file that is read, once one has begun.
    file: Option<AofFile>,
    /// The time at which it began, to be shown.
    pub started: UnixMillis,
    /// The moment at which it began.
    began: MonotonicMillis,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes read so far.
    pub loaded_bytes: u64,
    /// The memory that the data took when it was saved, as the file says.
    pub used_memory_bytes: u64,
    told: MonotonicMillis,
    counts: LoadCounts,
}

/// The counts of a load so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadCounts {
    /// Keys taken in.
    pub keys: u64,
    /// Keys left out because their time had come.
    pub expired: u64,
    /// Empty keys, which are skipped.
    pub empty: u64,
}

impl Loading {
    /// A load begins: `now` is shown; `monotonic` is the time of the turn, and `began` the clock as
    /// it is read.
    #[must_use]
    pub fn new(
        now: UnixMillis,
        monotonic: MonotonicMillis,
        began: MonotonicMillis,
        present_keys: PresentKeys,
    ) -> Self {
        Loading {
            db: DbIndex(0),
            present_keys,
            expired_keys: ExpiredKeys::LeftOut,
            file: None,
            started: now,
            began,
            total_bytes: 0,
            loaded_bytes: 0,
            used_memory_bytes: 0,
            told: monotonic,
            counts: LoadCounts::default(),
        }
    }

    /// Seconds that it takes yet, if it goes on as it did.
    #[must_use]
    pub fn eta_secs(&self, now: MonotonicMillis) -> i64 {
        let elapsed = now.secs_since(self.began);
        let left = self.total_bytes.saturating_sub(self.loaded_bytes);
        if elapsed == 0 || self.loaded_bytes == 0 {
            return 1;
        }
        (i128::from(elapsed) * i128::from(left) / i128::from(self.loaded_bytes)) as i64
    }

    /// Returns the part that is loaded, percent.
    #[must_use]
    pub fn percent(&self) -> f64 {
        if self.total_bytes == 0 { 0.0 } else { self.loaded_bytes as f64 * 100.0 / self.total_bytes as f64 }
    }

    /// The time that it has taken so far, seconds.
    #[must_use]
    pub fn seconds(&self, now: MonotonicMillis) -> f64 {
        now.ms_since(self.began) as f64 / 1000.0
    }

    /// Takes note of how much was read.
    pub fn go_on(&mut self, loaded_bytes: u64, now: MonotonicMillis) {
        self.loaded_bytes = loaded_bytes;
        if now.ms_since(self.told) >= PROGRESS_MS {
            self.told = now;
            let (percent, eta) = (self.percent(), self.eta_secs(now));
            log::info!("Loading DB in memory: {percent:.1}%, about {eta} seconds left");
        }
    }

    /// Describes the fault of the snapshot that is being read, in words.
    #[must_use]
    pub fn refuses(&self, error: &RdbError) -> String {
        let Some(file) = &self.file else { return error.to_string() };
        let line = file.broken_snapshot(error);
        log::warn!("{line}");
        line
    }

    /// Says what happens to what is there already.
    #[must_use]
    pub fn present_keys(&self) -> PresentKeys {
        self.present_keys
    }

    /// Returns the numbers found so far.
    #[must_use]
    pub fn counts(&self) -> LoadCounts {
        self.counts
    }

    /// True when a part of the append-only file has begun.
    #[must_use]
    pub fn has_begun_aof(&self) -> bool {
        self.file.is_some()
    }

    /// The part of the append-only file that is read, once one has begun.
    #[must_use]
    pub fn file(&self) -> Option<&AofFile> {
        self.file.as_ref()
    }

    /// A part of the append-only file begins: whatever it says counts, so no key is left out.
    pub fn begin_file(&mut self, file: AofFile) {
        self.expired_keys = ExpiredKeys::Kept;
        self.file = Some(file);
    }

    /// Takes in a whole snapshot. `take_note` takes in what stands beside the keys, by
    /// [`Loading::note`] as far as it belongs there.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is refused.
    pub fn take_all(
        &mut self,
        keyspace: &mut Keyspace,
        input: impl BufRead,
        checksum: Checksum,
        mut take_note: impl FnMut(&mut Self, &mut Keyspace, Note) -> Result<(), RdbError>,
    ) -> Result<(), RdbError> {
        let limits = keyspace.limits();
        let mut batch = Batch::new(limits.seed);
        rdb::load_as(input, &limits, checksum, |item, _| {
            match item {
                Item::Key { key, content, attributes } => batch.push(key, content, attributes),
                Item::Note(note) => {
                    self.all_keys(keyspace, &mut batch)?;
                    take_note(self, keyspace, note)?;
                }
            }
            if batch.is_full() { self.all_keys(keyspace, &mut batch) } else { Ok(()) }
        })?;
        self.all_keys(keyspace, &mut batch)
    }

    /// Takes in all keys of a batch and leaves it empty.
    fn all_keys(&mut self, keyspace: &mut Keyspace, batch: &mut Batch) -> Result<(), RdbError> {
        batch.take_pieces().into_iter().try_for_each(|piece| self.keys(keyspace, piece))
    }

    /// Takes in keys for the database that the last note named.
    ///
    /// # Errors
    ///
    /// For a key that is there already and must not be.
    pub fn keys(&mut self, keyspace: &mut Keyspace, keys: Batch) -> Result<(), RdbError> {
        let db = keyspace.at(self.db).expect("a note of another database was refused");
        let taken = db
            .take_in(keys, self.present_keys, self.expired_keys)
            .map_err(|key| RdbError::Refused(duplicated(&key, self.db)))?;
        self.counts.keys += taken.keys;
        self.counts.expired += taken.expired;
        Ok(())
    }

    /// Takes in what stands beside the keys.
    ///
    /// # Errors
    ///
    /// For a database that there is not.
    pub fn note(&mut self, keyspace: &mut Keyspace, note: Note, now: UnixMillis) -> Result<(), RdbError> {
        match note {
            Note::SelectDb(index) => match u16::try_from(index) {
                Ok(index) if usize::from(index) < keyspace.databases() => {
                    self.db = DbIndex(index);
                }
                _ => return Err(RdbError::Refused(too_many_databases(keyspace.databases()))),
            },
            Note::ResizeDb { keys, .. } => {
                let bytes = self.total_bytes.saturating_sub(self.loaded_bytes);
                let keys = usize::try_from(keys.min(bytes / MIN_KEY_BYTES)).unwrap_or(0);
                if let Some(db) = keyspace.at(self.db) {
                    db.anticipate(keys);
                }
            }
            Note::EmptyKey(key) => {
                if self.counts.empty < MAX_EMPTY_KEYS_TOLD {
                    log::info!("rdbLoadObject skipping empty key: {}", String::from_utf8_lossy(&key));
                }
                self.counts.empty += 1;
            }
            Note::Aux { name, value } => {
                if name == b"used-mem" {
                    let bytes = number::parse_i64(&value).unwrap_or_default();
                    self.used_memory_bytes = u64::try_from(bytes).unwrap_or_default();
                }
                tell(&name, &value, now);
            }
            // Lua is another room's: whoever loads gives them there.
            Note::Library(_) => {}
            Note::ModuleAux(name) => {
                log::warn!("The RDB file contains AUX data of the module '{name}': left out")
            }
        }
        Ok(())
    }
}

/// Logs what a file says of itself.
fn tell(name: &[u8], value: &[u8], now: UnixMillis) {
    let number = number::parse_i64(value).unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    match name {
        b"redis-ver" => log::info!("Loading RDB produced by version {value}"),
        b"ctime" => log::info!("RDB age {} seconds", now.secs().saturating_sub(number).max(0)),
        b"used-mem" => {
            log::info!("RDB memory usage when created {:.2} Mb", number as f64 / f64::from(1 << 20));
        }
        b"aof-preamble" if number != 0 => log::info!("RDB has an AOF tail"),
        b"aof-base" if number != 0 => log::info!("RDB is base AOF"),
        b"redis-bits" | b"aof-preamble" | b"aof-base" | b"lua" => {}
        b"repl-stream-db" | b"repl-id" | b"repl-offset" => {}
        [b'%', ..] => log::info!("RDB '{}': {value}", String::from_utf8_lossy(name)),
        _ => log::trace!("Unrecognized RDB AUX field: '{}'", String::from_utf8_lossy(name)),
    }
}

fn duplicated(key: &[u8], db: DbIndex) -> String {
    format!("RDB has duplicated key {} in DB {}", shown(key), db.0)
}

fn too_many_databases(databases: usize) -> String {
    format!(
        "FATAL: Data file was created with a Redis server configured to handle more than {databases} databases. Exiting"
    )
}
