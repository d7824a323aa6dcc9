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

use super::ctx::Ctx;
use super::machine::Server;
use super::stop::News;
use super::task::Task;
use super::{Rooms, changed, saving};
use crate::base::time::UnixMillis;
use crate::keyspace::{Db, Keyspace, PresentKeys};
use crate::persistence::{LoadCounts, LoadJob, LoadPiece, LoadResult, Loading};
use crate::rdb::{Checksum, Note, RdbError};
use crate::script::libraries::Existing;
use crate::waiting::{Pause, PauseReason};
use std::io::BufReader;
use std::sync::Arc;

/// The time for which commands wait for the end of a load before they are refused. Redis accepts
/// nobody before data that is loaded fast is there: whoever tries until somebody answers expects an
/// answer.
const PATIENCE_MS: i64 = 1000;

impl Server {
    /// Begins to load what is on disk. Until [`Server::load_ended`], commands that are not meant
    /// for it wait, and are answered with `-LOADING` when that takes too long.
    pub fn begin_loading(&mut self) {
        let job = self.expect_load();
        let until = self.rooms.time.monotonic.saturating_add_ms(PATIENCE_MS);
        self.rooms.waiting.pauses.pause(PauseReason::Load, Pause::Data, Some(until));
        self.rooms.outside.tasks.push(Task::Load(job));
    }

    /// Gets ready for the pieces of a load.
    pub fn expect_load(&mut self) -> LoadJob {
        self.rooms.persistence.loading = true;
        self.rooms.persistence.load = Some(Box::new(self.rooms.new_loading(PresentKeys::Refused)));
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
        let now = self.rooms.time.now;
        let result = match piece {
            LoadPiece::Size(bytes) => {
                load.total_bytes = bytes;
                Ok(())
            }
            LoadPiece::Note(note) => {
                let result = take_note(&mut self.rooms, &mut load, &mut self.keyspace, note, now);
                result.map_err(|error| load.refuses(&error))
            }
            LoadPiece::Keys { keys, loaded_bytes } => {
                load.go_on(loaded_bytes, self.rooms.time.monotonic);
                let result = load.keys(&mut self.keyspace, keys);
                result.map_err(|error| load.refuses(&error))
            }
            LoadPiece::SnapshotEnd => {
                note_summary(&mut self.rooms, &load);
                if load.file().is_some_and(|file| file.is_old_style) {
                    log::info!("Reading the remaining AOF tail...");
                }
                Ok(())
            }
            LoadPiece::File(file) => {
                load.begin_file(file);
                self.begin_aof_file();
                Ok(())
            }
            LoadPiece::Commands { commands, loaded_bytes } => {
                load.go_on(loaded_bytes, self.rooms.time.monotonic);
                self.run_loaded(&load, &commands)
            }
            LoadPiece::FileEnd => {
                self.end_aof_file(&load);
                Ok(())
            }
        };
        self.rooms.persistence.load = Some(load);
        result
    }

    /// Ends the process because the data on disk cannot be served; the log says why. Until it has
    /// ended it loads: nobody is shown half a data set, or takes the server for one that serves.
    pub fn load_failed(&mut self, why: String) {
        self.rooms.outside.host.loaded(Err(why));
        self.rooms.outside.tasks.push(Task::Stop { exit_code: 1 });
    }

    /// The append-only file is read, or there was nothing in it. The file that is appended to may
    /// still be missing.
    pub fn aof_read(&self) {
        if let Some(load) = self.rooms.persistence.load.as_ref().filter(|load| load.has_begun_aof()) {
            log::info!(
                "DB loaded from append only file: {:.3} seconds",
                load.seconds(self.rooms.read_monotonic())
            );
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
            log::info!("DB loaded from disk: {:.3} seconds", load.seconds(self.rooms.read_monotonic()));
        }
        self.begin_serving();
    }

    fn end_load(&mut self) -> Option<Box<Loading>> {
        let load = self.rooms.persistence.load.take()?;
        self.rooms.persistence.loading = false;
        self.loader = None;
        self.rooms.waiting.pauses.unpause(PauseReason::Load);
        self.keyspace.iter_mut().for_each(|db| db.anticipate(0));
        Some(load)
    }

    /// Says that what was on disk is loaded, or nothing was.
    pub fn begin_serving(&self) {
        // First, for whoever reads the line may send a signal at once.
        self.rooms.outside.host.hear(News::Ready);
        self.announce_ready();
        self.rooms.outside.host.loaded(Ok(()));
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
        if (1..1 << 20).contains(&config.maxmemory) {
            log::warn!(
                "WARNING: You specified a maxmemory value that is less than 1MB (current value is {} bytes). Are you sure \
                 this is what you really want?",
                config.maxmemory
            );
        }
    }
}

/// Takes in what stands in a snapshot beside the keys.
fn take_note(
    rooms: &mut Rooms,
    load: &mut Loading,
    keyspace: &mut Keyspace,
    note: Note,
    now: UnixMillis,
) -> Result<(), RdbError> {
    match note {
        Note::Library(code) => {
            let existing = match load.present_keys() {
                PresentKeys::Refused => Existing::Stays,
                PresentKeys::Replaced => Existing::Goes,
            };
            rooms.take_in_library(&code, existing).map_err(RdbError::Refused)
        }
        note => load.note(keyspace, note, now),
    }
}

impl Rooms {
    fn new_loading(&self, present_keys: PresentKeys) -> Loading {
        Loading::new(self.time.now, self.time.monotonic, self.read_monotonic(), present_keys)
    }
}

fn note_summary(rooms: &mut Rooms, load: &Loading) {
    let LoadCounts { keys, expired, empty } = load.counts();
    rooms.persistence.saves.last_load_keys = keys;
    rooms.persistence.saves.last_load_expired = expired;
    let empty = if empty > 0 { format!(", empty keys skipped: {empty}") } else { String::new() };
    log::info!("Done loading RDB, keys loaded: {keys}, keys expired: {expired}{empty}.");
}

impl Ctx<'_> {
    /// Writes the data set and reads it back. Errors in words. Source: DEBUG RELOAD.
    pub fn reload(&mut self, steps: ReloadSteps) -> Result<(), String> {
        reload(self.db, self.rooms, steps)
    }
}

/// Writes the data set to its file and reads it back. Source: DEBUG RELOAD.
pub(super) fn reload(keyspace: &mut Keyspace, rooms: &mut Rooms, steps: ReloadSteps) -> Result<(), String> {
    if steps.save {
        rooms.outside.host.write_snapshot(&saving::whole(keyspace, rooms))?;
        rooms.persistence.saves.saved_at_once(rooms.time.now, rooms.time.monotonic);
        log::info!("DB saved on disk");
    }
    if steps.flush {
        let databases: Vec<_> = keyspace.iter().map(Db::index).collect();
        for index in databases {
            changed::flush(keyspace, rooms, index);
        }
        rooms.script.functions.flush();
        if rooms.tracking.tables.is_active() {
            rooms.invalidate_all();
        }
    }
    let input = BufReader::new(rooms.outside.host.read_file(rooms.config.dbfilename.as_bytes())?);
    let (mut load, sums) = (rooms.new_loading(steps.present_keys), checksum(rooms));
    let now = rooms.time.now;
    let take_note =
        |load: &mut Loading, keyspace: &mut Keyspace, note| take_note(rooms, load, keyspace, note, now);
    load.take_all(keyspace, input, sums, take_note)
        .map_err(|error| format!("the RDB file {} can't be loaded: {error}", rooms.config.dbfilename))?;
    note_summary(rooms, &load);
    Ok(())
}

/// The parts of DEBUG RELOAD that are wanted.
#[derive(Clone, Copy, Debug)]
pub struct ReloadSteps {
    /// Write the file first.
    pub save: bool,
    /// Remove the present keys first.
    pub flush: bool,
    /// The treatment of keys that are there already.
    pub present_keys: PresentKeys,
}

/// Says if the sum of a snapshot's bytes must be the one that stands at its end.
fn checksum(rooms: &Rooms) -> Checksum {
    if rooms.config.rdbchecksum { rooms.persistence.checksum } else { Checksum::Skipped }
}
