//! Taking in what is on disk: in the background at start, at once for DEBUG RELOAD.
//!
//! At start the server listens at once. For a second commands that need the data set wait for it,
//! then they are answered `-LOADING`; those that do not are answered all the time.
//! [`Server::begin_loading`] asks the engine for a thread that reads; what it reads comes back as
//! [`Event`](crate::engine::Event)s, each a [`LoadPiece`] small enough for a turn, at most a few of
//! them waiting ([`Server::load_piece`]); the end is [`Server::load_ended`], for the append-only
//! file [`Server::aof_load_ended`] (its side of it is in [`super::aof_load`]). A piece is either
//! keys of a snapshot or commands of an append-only file, so that one load may consist of several
//! files of both kinds, in order; which files, the [`LoadJob`] says.
//!
//! Whatever is wrong with a file ends the process: starting empty would overwrite it with the next
//! save.

use super::aof_load::{AofFile, AofFiles, AofLoad};
use super::machine::Server;
use super::shutdown::News;
use super::task::{Delays, Task};
use super::{Rooms, changed, saving};
use crate::base::number;
use crate::base::text::shown;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::keyspace::{Batch, Db, DbIndex, ExpiredKeys, Keyspace, Limits, PresentKeys};
use crate::rdb::{self, Checksum, Item, LoadSummary, Note, RdbError};
use crate::resp::Requests;
use crate::waiting::Pause;
use crate::waiting::PauseReason;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

/// Redis names only so many of the empty keys it skips.
const MAX_EMPTY_KEYS_TOLD: u64 = 10;
/// A key of a file takes at least its type and the lengths of name and value: what the file claims
/// to hold beyond that is not believed.
const MIN_KEY_BYTES: u64 = 3;
/// How long commands wait for the end of a load before they are refused. Redis accepts nobody
/// before data that is loaded fast is there: whoever tries until somebody answers expects an
/// answer.
const PATIENCE_MS: i64 = 1000;
/// The log tells about progress this often.
const PROGRESS_MS: i64 = 5000;

/// What is to be loaded, and how.
#[derive(Clone, Debug)]
pub struct LoadJob {
    /// The snapshot file, relative to `dir`; that there is none is no error.
    pub path: String,
    /// The append-only file's parts, which the engine finds; if there are any, they are read
    /// instead.
    pub aof: Option<AofFiles>,
    /// Thresholds of compact collections.
    pub limits: Limits,
    /// Whether the snapshot's own sum must agree.
    pub checksum: Checksum,
    /// Delays that tests ask for.
    pub delays: Arc<Delays>,
}

/// What a loading thread has read, in order.
#[derive(Debug)]
pub enum LoadPiece {
    /// The beginning: how many bytes there are.
    Size(u64),
    /// What stands in a snapshot beside the keys.
    Note(Note),
    /// Keys of a snapshot, for the database that the last note named.
    Keys {
        /// Small enough for a turn.
        keys: Batch,
        /// Bytes read so far, of all files.
        loaded_bytes: u64,
    },
    /// A part of the append-only file begins.
    File(AofFile),
    /// The snapshot that it begins with is whole.
    SnapshotEnd,
    /// Commands of it.
    Commands {
        /// What they are.
        commands: Requests,
        /// Bytes read so far, of all files.
        loaded_bytes: u64,
    },
    /// The part is read.
    FileEnd,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadEnd {
    /// The last file ends too early, which is allowed: it is good up to here.
    pub cut_at: Option<u64>,
}

/// How a load ended: nothing if there was no file, or what is wrong, in words.
pub type LoadResult = Result<Option<LoadEnd>, String>;

/// A load under way, or the last one.
#[derive(Debug)]
pub struct Loading {
    /// The database that the next item belongs to.
    db: DbIndex,
    present_keys: PresentKeys,
    expired_keys: ExpiredKeys,
    /// The append-only file, once a part of it has begun.
    pub(super) aof: Option<Box<AofLoad>>,
    /// When it began, to be shown.
    pub started: UnixMillis,
    /// When it began.
    began: MonotonicMillis,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// Bytes read so far.
    pub loaded_bytes: u64,
    /// What the file says of the memory its data took.
    pub used_memory_bytes: u64,
    told: MonotonicMillis,
    keys: u64,
    expired: u64,
    empty: u64,
}

impl Loading {
    fn new(rooms: &Rooms, present_keys: PresentKeys) -> Self {
        Loading {
            db: DbIndex(0),
            present_keys,
            expired_keys: ExpiredKeys::LeftOut,
            aof: None,
            started: rooms.time.now,
            began: rooms.read_monotonic(),
            total_bytes: 0,
            loaded_bytes: 0,
            used_memory_bytes: 0,
            told: rooms.time.monotonic,
            keys: 0,
            expired: 0,
            empty: 0,
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

    /// How much is loaded, percent.
    #[must_use]
    pub fn percent(&self) -> f64 {
        if self.total_bytes == 0 { 0.0 } else { self.loaded_bytes as f64 * 100.0 / self.total_bytes as f64 }
    }

    /// How long it has taken so far, seconds.
    fn seconds(&self, rooms: &Rooms) -> f64 {
        rooms.read_monotonic().ms_since(self.began) as f64 / 1000.0
    }

    /// Takes note of how much was read.
    fn go_on(&mut self, loaded_bytes: u64, now: MonotonicMillis) {
        self.loaded_bytes = loaded_bytes;
        if now.ms_since(self.told) >= PROGRESS_MS {
            self.told = now;
            let (percent, eta) = (self.percent(), self.eta_secs(now));
            log::info!("Loading DB in memory: {percent:.1}%, about {eta} seconds left");
        }
    }

    /// What is wrong with the snapshot that is being read, in words.
    fn refuses(&self, error: &RdbError) -> String {
        match &self.aof {
            Some(aof) => aof.broken_snapshot(error),
            None => error.to_string(),
        }
    }
}

impl Server {
    /// Begins to load what is on disk. Until [`Server::load_ended`], commands that are not meant
    /// for it wait, and are answered with `-LOADING` when that takes too long.
    pub fn begin_loading(&mut self) {
        let job = self.expect_load();
        let until = self.rooms.time.monotonic.saturating_add_ms(PATIENCE_MS);
        self.rooms.waiting.pauses.pause(PauseReason::Load, Pause::Data, Some(until));
        self.rooms.tasks.push(Task::Load(job));
    }

    /// Gets ready for the pieces of a load.
    pub fn expect_load(&mut self) -> LoadJob {
        self.rooms.persistence.loading = true;
        self.rooms.persistence.load = Some(Box::new(Loading::new(&self.rooms, PresentKeys::Refused)));
        LoadJob {
            path: self.rooms.config.dbfilename.to_string(),
            aof: None,
            limits: self.keyspace.limits(),
            checksum: checksum(&self.rooms),
            delays: Arc::clone(&self.rooms.persistence.delays),
        }
    }

    /// Takes in what the loading thread has read. Errors in words; the thread should stop then, and
    /// report the error as the end of the load.
    pub fn load_piece(&mut self, piece: LoadPiece) -> Result<(), String> {
        let Some(mut load) = self.rooms.persistence.load.take() else { return Ok(()) };
        let result = match piece {
            LoadPiece::Size(bytes) => {
                load.total_bytes = bytes;
                Ok(())
            }
            LoadPiece::Note(note) => {
                let result = self.taker(&mut load).note(note);
                result.map_err(|error| load.refuses(&error))
            }
            LoadPiece::Keys { keys, loaded_bytes } => {
                load.go_on(loaded_bytes, self.rooms.time.monotonic);
                let result = self.taker(&mut load).keys(keys);
                result.map_err(|error| load.refuses(&error))
            }
            LoadPiece::SnapshotEnd => {
                note_summary(&mut self.rooms, &load);
                Ok(())
            }
            LoadPiece::File(file) => {
                load.expired_keys = ExpiredKeys::Kept;
                self.begin_aof_file(&mut load, file);
                Ok(())
            }
            LoadPiece::Commands { commands, loaded_bytes } => {
                load.go_on(loaded_bytes, self.rooms.time.monotonic);
                self.run_loaded(&mut load, &commands)
            }
            LoadPiece::FileEnd => {
                self.end_aof_file(&mut load);
                Ok(())
            }
        };
        self.rooms.persistence.load = Some(load);
        result
    }

    fn taker<'l>(&'l mut self, load: &'l mut Loading) -> Taker<'l> {
        Taker { load, keyspace: &mut self.keyspace, now: self.rooms.time.now }
    }

    /// What is on disk cannot be served, and the log says why: the process ends. Until it has ended
    /// it loads: nobody is shown half a data set, or takes the server for one that serves.
    pub fn load_failed(&mut self, why: String) {
        self.rooms.host.loaded(Err(why));
        self.rooms.tasks.push(Task::Stop { exit_code: 1 });
    }

    /// The append-only file is read, or there was nothing in it. What is appended to may still be
    /// missing.
    pub fn aof_read(&self) {
        if let Some(load) = self.rooms.persistence.load.as_ref().filter(|load| load.aof.is_some()) {
            log::info!("DB loaded from append only file: {:.3} seconds", load.seconds(&self.rooms));
        }
    }

    /// The append-only file is loaded, and what is appended to is ready.
    pub fn aof_load_ended(&mut self) {
        self.end_load();
    }

    /// Ends the load of a snapshot: the server serves from now on, or the process ends.
    pub fn load_ended(&mut self, result: &LoadResult) {
        if let Err(why) = result {
            let path = &self.rooms.config.dbfilename;
            log::warn!("The RDB file {path} can't be loaded: {why}");
            log::warn!("Terminating server after rdb file reading failure.");
            log::warn!("Fatal error loading the DB: {why}. Exiting.");
            return self.load_failed(format!("can't load {path}: {why}"));
        }
        let Some(load) = self.end_load() else { return };
        self.catch_up_with_appendonly();
        if let Ok(Some(_)) = result {
            note_summary(&mut self.rooms, &load);
            log::info!("DB loaded from disk: {:.3} seconds", load.seconds(&self.rooms));
        }
        self.begin_serving();
    }

    fn end_load(&mut self) -> Option<Box<Loading>> {
        let load = self.rooms.persistence.load.take()?;
        self.rooms.persistence.loading = false;
        self.rooms.waiting.pauses.unpause(PauseReason::Load);
        self.keyspace.iter_mut().for_each(|db| db.anticipate(0));
        Some(load)
    }

    /// Says that what was on disk is loaded, or nothing was.
    pub fn begin_serving(&self) {
        // First, for whoever reads the line may send a signal at once.
        self.rooms.host.hear(News::Ready);
        self.announce_ready();
        self.rooms.host.loaded(Ok(()));
    }

    /// The lines a start is recognised by.
    fn announce_ready(&self) {
        let config = &self.rooms.config;
        if config.port != 0 {
            log::info!("Ready to accept connections");
        }
        if !config.unixsocket.is_empty() {
            log::info!("The server is now ready to accept connections at {}", config.unixsocket);
        }
    }
}

fn note_summary(rooms: &mut Rooms, load: &Loading) {
    let Loading { keys, expired, empty, .. } = *load;
    rooms.persistence.saves.last_load_keys = keys;
    rooms.persistence.saves.last_load_expired = expired;
    let empty = if empty > 0 { format!(", empty keys skipped: {empty}") } else { String::new() };
    log::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}{empty}.");
}

/// Writes the data set to its file and reads it back. Source: DEBUG RELOAD.
pub(super) fn reload(keyspace: &mut Keyspace, rooms: &mut Rooms, steps: ReloadSteps) -> Result<(), String> {
    if steps.save {
        rooms.host.write_snapshot(&saving::whole(keyspace, rooms))?;
        rooms.persistence.saves.saved_at_once(rooms.time.now, rooms.time.monotonic);
    }
    if steps.flush {
        let databases: Vec<_> = keyspace.iter().map(Db::index).collect();
        for index in databases {
            changed::flush(keyspace, rooms, index);
        }
        if rooms.tracking.tables.is_active() {
            rooms.invalidate_all();
        }
    }
    let input = BufReader::new(rooms.host.read_file(&rooms.config.dbfilename.to_string())?);
    load(keyspace, rooms, input, steps.present_keys)
        .map(drop)
        .map_err(|error| format!("the RDB file {} can't be loaded: {error}", rooms.config.dbfilename))
}

/// What DEBUG RELOAD does.
#[derive(Clone, Copy, Debug)]
pub struct ReloadSteps {
    /// Write the file first.
    pub save: bool,
    /// Remove the present keys first.
    pub flush: bool,
    /// What becomes of keys that are there already.
    pub present_keys: PresentKeys,
}

/// Whether the sum of a snapshot's bytes must be the one that stands at its end.
fn checksum(rooms: &Rooms) -> Checksum {
    if rooms.config.rdbchecksum { rooms.persistence.checksum } else { Checksum::Skipped }
}

fn load(
    keyspace: &mut Keyspace,
    rooms: &mut Rooms,
    input: impl BufRead,
    present_keys: PresentKeys,
) -> Result<LoadSummary, RdbError> {
    let mut load = Loading::new(rooms, present_keys);
    let limits = keyspace.limits();
    let mut batch = Batch::new(limits.seed);
    let mut taker = Taker { load: &mut load, keyspace, now: rooms.time.now };
    let summary = rdb::load_as(input, &limits, checksum(rooms), |item, _| {
        match item {
            Item::Key { key, content, attributes } => batch.push(key, content, attributes),
            Item::Note(note) => {
                taker.all_keys(&mut batch)?;
                taker.note(note)?;
            }
        }
        if batch.is_full() { taker.all_keys(&mut batch) } else { Ok(()) }
    })?;
    taker.all_keys(&mut batch)?;
    note_summary(rooms, &load);
    Ok(summary)
}

/// Who takes in what a snapshot holds.
struct Taker<'l> {
    load: &'l mut Loading,
    keyspace: &'l mut Keyspace,
    now: UnixMillis,
}

impl Taker<'_> {
    /// Takes in all keys of a batch and leaves it empty.
    fn all_keys(&mut self, batch: &mut Batch) -> Result<(), RdbError> {
        batch.take_pieces().into_iter().try_for_each(|piece| self.keys(piece))
    }

    fn keys(&mut self, keys: Batch) -> Result<(), RdbError> {
        let Taker { load, keyspace, .. } = self;
        let db = keyspace.at(load.db).expect("a note of another database was refused");
        let taken = db
            .take_in(keys, load.present_keys, load.expired_keys)
            .map_err(|key| RdbError::Refused(duplicated(&key, load.db)))?;
        load.keys += taken.keys;
        load.expired += taken.expired;
        Ok(())
    }

    fn note(&mut self, note: Note) -> Result<(), RdbError> {
        match note {
            Note::SelectDb(index) => match u16::try_from(index) {
                Ok(index) if usize::from(index) < self.keyspace.databases() => {
                    self.load.db = DbIndex(index);
                }
                _ => return Err(RdbError::Refused(too_many_databases(self.keyspace.databases()))),
            },
            Note::ResizeDb { keys, .. } => {
                let bytes = self.load.total_bytes.saturating_sub(self.load.loaded_bytes);
                let keys = usize::try_from(keys.min(bytes / MIN_KEY_BYTES)).unwrap_or(0);
                if let Some(db) = self.keyspace.at(self.load.db) {
                    db.anticipate(keys);
                }
            }
            Note::EmptyKey(key) => {
                if self.load.empty < MAX_EMPTY_KEYS_TOLD {
                    log::info!("rdbLoadObject skipping empty key: {}", String::from_utf8_lossy(&key));
                }
                self.load.empty += 1;
            }
            Note::Aux { name, value } => {
                if name == b"used-mem" {
                    let bytes = number::parse_i64(&value).unwrap_or_default();
                    self.load.used_memory_bytes = u64::try_from(bytes).unwrap_or_default();
                }
                tell(&name, &value, self.now);
            }
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
