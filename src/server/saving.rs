//! Saving in the background: from the wish to the report.
//!
//! [`begin`] fixes the moment ([`crate::keyspace::snapshot`]) and asks the engine for a saver
//! thread; at the end of every turn what the walk hands out goes to it ([`Server::hand_over`]); it
//! reports each parcel it has dealt with ([`Server::parcel_saved`]) and in the end the outcome
//! ([`Server::saved`]). [`cancel`] gives a save up. When the saver is so slow that what writers
//! copy reaches its limit, write commands are postponed ([`PauseReason::Snapshot`]) until it has
//! caught up; reads go on.
//!
//! There is one walk, so one save at a time, whatever it is for: [`SaveReason`] says what follows
//! from its end. Another taker of the walk (a rewrite of the append-only file) adds a reason and
//! calls [`begin_job`] with its own path and options.

use super::Rooms;
use super::ctx::Ctx;
use super::machine::Server;
use super::rooms::Persistence;
use super::task::Task;
use super::version::REDIS_VERSION;
use crate::base::alloc;
use crate::config::MaxmemoryPolicy;
use crate::keyspace::{Keyspace, Walk};
use crate::persistence::{SaveFormat, SaveJob, SaveMeter, SaveProgress, SaveReason, SaveReport, WholeSave};
use crate::rdb::{Access, SaveOptions};
use crate::waiting::{PauseReason, Pauses};
use std::sync::Arc;

impl Ctx<'_> {
    /// Takes a snapshot of this moment and has it written on another thread.
    pub fn begin_save(&mut self, reason: SaveReason) {
        begin(self.db, self.rooms, reason);
    }

    /// Gives up the background save under way, whose data is of no use any more. Source: FLUSHALL.
    pub fn give_up_background_save(&mut self) {
        match &mut self.rooms.held {
            Some(held) => held.gives_up_save = true,
            None => give_up_background(self.db, self.rooms),
        }
    }

    /// Has the data set saved as soon as nothing else runs.
    pub fn schedule_save(&mut self) {
        match &mut self.rooms.held {
            Some(held) => held.schedules_save = true,
            None => drop(self.rooms.persistence.jobs.schedule_save()),
        }
    }
}

impl Server {
    /// Takes a snapshot of this moment and has it written.
    pub fn save(&mut self, reason: SaveReason) {
        begin(&mut self.keyspace, &mut self.rooms, reason);
    }

    /// Hands over what a walk has for its taker. Called at the end of a turn.
    pub(super) fn hand_over(&mut self) {
        if self.keyspace.walk().is_some() {
            let parcels = self.keyspace.walk_on();
            self.rooms.outside.tasks.extend(parcels.into_iter().map(Task::HandOver));
            self.note_parcels();
        }
    }

    /// Notes that the saver has dealt with a parcel.
    pub fn parcel_saved(&mut self, progress: SaveProgress) {
        let Persistence { saves, jobs, .. } = &mut self.rooms.persistence;
        if let Some(reason) = jobs.walks_for().filter(|_| saves.job == progress.job) {
            if let Some(line) = saves.meter.news(reason, self.rooms.time.monotonic) {
                log::info!("{line}");
            }
            self.keyspace.parcel_released(progress.parcel);
            if self.keyspace.walk_has_caught_up() {
                self.rooms.waiting.pauses.unpause(PauseReason::Snapshot);
            }
        }
    }

    /// Notes how a save ended and goes on with whatever waited for it.
    pub fn saved(&mut self, report: &SaveReport) {
        if report.job != self.rooms.persistence.saves.job {
            return;
        }
        if report.reason == SaveReason::Rewrite {
            self.base_written(report);
        } else if self.rooms.persistence.jobs.saving().is_some() {
            self.end_save(report);
        }
    }

    pub(super) fn end_save(&mut self, report: &SaveReport) {
        self.rooms.lap_ns();
        self.follow_clock();
        let (now, monotonic) = (self.rooms.time.now, self.rooms.time.monotonic);
        let peak_copies = self.keyspace.walk().map_or(0, Walk::peak_copies);
        let copies = self.keyspace.walk().map_or(0, Walk::all_copies);
        end_walk(&mut self.keyspace, &mut self.rooms.waiting.pauses);
        self.rooms.persistence.jobs.end_save();
        let persistence = &mut self.rooms.persistence.saves;
        persistence.last_copies = copies;
        persistence.end(report, now, monotonic);
        let copied_mb = persistence.last_copies >> 20;
        let peak_mb = peak_copies >> 20;
        match (&report.result, report.reason) {
            (Ok(()), SaveReason::Background) => {
                log::info!("DB saved on disk");
                log::info!("Copied for RDB: {copied_mb} MB in all, {peak_mb} MB at most at a time");
                log::info!("Background saving terminated with success");
            }
            (Ok(()), _) => log::info!("DB saved on disk"),
            (Err(error), SaveReason::Background) => {
                log::warn!("{error}");
                log::warn!("Background saving error");
            }
            (Err(error), _) => log::warn!("{error}"),
        }
        match report.reason {
            SaveReason::Background | SaveReason::Rewrite => {}
            SaveReason::Command(client) => {
                let saved = report.result.is_ok();
                self.complete(client, |_, reply| if saved { reply.ok() } else { reply.error("ERR") });
            }
            // Redis: the data is gone, whatever became of the file.
            SaveReason::Flush(client) => self.complete(client, |_, reply| reply.ok()),
            SaveReason::Shutdown => self.shutdown_saved(report.result.is_ok()),
        }
    }
}

/// Takes a snapshot of this moment and has it written on another thread. Nothing else runs:
/// [`crate::persistence::Jobs`] has said so.
pub(super) fn begin(keyspace: &mut Keyspace, rooms: &mut Rooms, reason: SaveReason) {
    let format = SaveFormat::Snapshot(options(keyspace, rooms));
    let path = rooms.config.dbfilename.to_string();
    rooms.persistence.saves.begin(rooms.time.monotonic);
    begin_job(keyspace, rooms, reason, format, path);
    let keys = rooms.persistence.saves.meter.total();
    rooms.persistence.jobs.begin_save(reason, keys);
}

/// Begins a walk and asks for a thread that writes it to `path`.
pub(super) fn begin_job(
    keyspace: &mut Keyspace,
    rooms: &mut Rooms,
    reason: SaveReason,
    format: SaveFormat,
    path: String,
) {
    let persistence = &mut rooms.persistence.saves;
    persistence.used_at_begin = alloc::used_bytes();
    let dbs = keyspace.begin_walk(persistence.used_at_begin as u64);
    persistence.job += 1;
    persistence.meter = SaveMeter::new(dbs.iter().map(|db| db.keys as u64).sum(), rooms.time.monotonic);
    let syncs_bit_by_bit = match reason {
        SaveReason::Rewrite => rooms.config.aof_rewrite_incremental_fsync,
        _ => rooms.config.rdb_save_incremental_fsync,
    };
    let delays = Arc::clone(&rooms.persistence.delays);
    let (id, keys_saved) = (persistence.job, persistence.meter.counter());
    let job = SaveJob { id, reason, dbs, format, path, syncs_bit_by_bit, delays, keys_saved };
    rooms.outside.tasks.push(Task::Save(job));
}

/// True when writes must wait for the saver: copies have reached their limit, and that is memory
/// beyond what was used before. A client that deletes more than it writes need not wait.
pub(super) fn is_behind(keyspace: &Keyspace, rooms: &Rooms) -> bool {
    if !keyspace.walk_is_behind() {
        return false;
    }
    let used = alloc::used_bytes() as u64;
    // Where nobody counts the memory in use, copies are all that is known.
    used == 0 || used > rooms.persistence.saves.used_at_begin as u64 + keyspace.copies_limit()
}

/// Gives up the running save, if there is one. It counts as neither done nor failed.
pub(super) fn cancel(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    if rooms.persistence.jobs.end_save().is_some() {
        log::warn!("Background saving was given up");
        cancel_job(keyspace, rooms);
    }
}

/// Gives the background save under way up.
pub(super) fn give_up_background(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    if rooms.persistence.jobs.saving() == Some(SaveReason::Background) {
        cancel(keyspace, rooms);
    }
}

/// Ends the walk under way and what is written of it.
pub(super) fn cancel_job(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    end_walk(keyspace, &mut rooms.waiting.pauses);
    // Parcels on their way to the saver are of no use any more.
    rooms.outside.tasks.retain(|task| !matches!(task, Task::HandOver(_) | Task::Save(_)));
    rooms.outside.tasks.push(Task::CancelSave);
}

/// Ends the walk, and the waiting of those who wrote too fast for it.
pub(super) fn end_walk(keyspace: &mut Keyspace, pauses: &mut Pauses) {
    keyspace.end_walk();
    pauses.unpause(PauseReason::Snapshot);
}

/// A snapshot of this moment, to be written while everybody waits.
pub(super) fn whole(keyspace: &Keyspace, rooms: &Rooms) -> WholeSave {
    let path = rooms.config.dbfilename.to_string();
    WholeSave { snapshot: keyspace.snapshot(), options: options(keyspace, rooms), path }
}

/// The options that snapshots are written with, as configured.
pub(super) fn options(keyspace: &Keyspace, rooms: &Rooms) -> SaveOptions {
    let config = &rooms.config;
    let clock = keyspace.access_clock();
    let access = match config.maxmemory_policy {
        MaxmemoryPolicy::AllkeysLru | MaxmemoryPolicy::VolatileLru => Access::Idle(clock),
        MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => Access::Frequency(clock),
        _ => Access::Nothing,
    };
    let aux = vec![
        ("redis-ver", REDIS_VERSION.to_owned()),
        ("redis-bits", usize::BITS.to_string()),
        ("ctime", rooms.time.now.secs().to_string()),
        ("used-mem", alloc::used_bytes().to_string()),
        ("aof-base", "0".to_owned()),
    ];
    let functions = rooms.script.functions.libraries().codes();
    SaveOptions { compress: config.rdbcompression, checksum: config.rdbchecksum, access, aux, functions }
}
