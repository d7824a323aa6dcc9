//! Writing the file anew: one step after the other, none of which has to be taken back.

use super::switch::stop_feeding;
use super::{Aof, AofState, hand_over};
use crate::aof::Manifest;
use crate::base::ClientId;
use crate::config::Config;
use crate::keyspace::Keyspace;
use crate::persistence::{
    AofOrder, JobWish, RewriteStarter, SaveFormat, SaveReason, SaveReport, StartCommand, Unhealed, Verdict,
};
use crate::rdb::SaveOptions;
use crate::server::machine::Server;
use crate::server::origin::Origin;
use crate::server::rooms::Persistence;
use crate::server::{Rooms, saving};

/// The answer to BGREWRITEAOF where all is well.
const STARTED: &str = "Background append only file rewriting started";
/// The error for CONFIG SET appendonly yes where the files cannot be made.
const NOT_TURNED_ON: &str = "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. \
                             Check server logs.";
/// The error for BGREWRITEAOF where they cannot be made.
const NOT_STARTED: &str =
    "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.";

/// The result of an attempt to begin a rewrite.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Begun,
    Failed,
}

impl Server {
    /// The options that a base is written with if it is a snapshot.
    #[must_use]
    pub fn base_options(&self) -> SaveOptions {
        base_options(&self.keyspace, &self.rooms)
    }

    /// Begins a rewrite: the folder is made, and a new file for changes, if changes are kept.
    pub(in crate::server) fn prepare_rewrite(&mut self) {
        let rooms = &mut self.rooms;
        let names = Aof::names(&rooms.config);
        let mut next = rooms.persistence.aof.manifest.clone();
        let number = rooms.persistence.aof.rewrites.begin(rooms.time.monotonic);
        let (file, manifest) = match rooms.persistence.aof.state {
            AofState::Off => (None, None),
            AofState::WaitRewrite => (Some(names.temporary_incr()), None),
            AofState::On => (Some(next.next_incr(&names)), Some(next.to_text())),
        };
        rooms.persistence.jobs.begin_rewrite(next);
        rooms.persistence.aof.order(AofOrder::Prepare { number, file, manifest });
    }

    pub(super) fn aof_prepared(&mut self, number: u64, result: Result<(), String>) {
        if number != self.rooms.persistence.aof.rewrites.number() {
            return;
        }
        if let Err(reason) = &result
            && self.rooms.persistence.jobs.end_base().is_some()
        {
            saving::cancel_job(&mut self.keyspace, &mut self.rooms);
            return self.rewrite_failed(reason);
        }
        let Some(next) = self.rooms.persistence.jobs.end_preparing() else { return };
        if let Err(reason) = result {
            log::warn!("{reason}");
            let rooms = &mut self.rooms;
            let aof = &mut rooms.persistence.aof;
            aof.rewrites.not_begun();
            let turns_on =
                aof.rewrites.starter.is_some_and(|starter| starter.command == StartCommand::TurnOn);
            if aof.state == AofState::WaitRewrite && turns_on {
                aof.state = AofState::Off;
                rooms.config.appendonly = false;
                log::warn!(
                    "Redis needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the above \
                     logs for more info about the error."
                );
                log::warn!(
                    "Failed applying new configuration. Possibly related to new appendonly setting. Restoring previous \
                     settings."
                );
            }
            note_need(rooms, &reason);
            return self.answer_starter(Outcome::Failed);
        }
        let file = match self.rooms.persistence.aof.state {
            AofState::Off => None,
            AofState::WaitRewrite => Some(Aof::names(&self.rooms.config).temporary_incr()),
            AofState::On => next.incr.last().map(|file| file.name.clone()),
        };
        if let Some(file) = file {
            log::info!("Creating AOF incr file {} on background rewrite", String::from_utf8_lossy(&file));
        }
        self.rooms.persistence.aof.manifest = next;
        self.write_base();
        self.answer_starter(Outcome::Begun);
    }

    fn answer_starter(&mut self, outcome: Outcome) {
        self.rooms.answer_starter(outcome);
        self.run_released();
    }

    /// Fixes the data set: what was propagated up to here is in the base to be written, what comes
    /// from here on goes to the new file.
    fn write_base(&mut self) {
        let (keyspace, rooms) = (&mut self.keyspace, &mut self.rooms);
        hand_over(rooms);
        if rooms.persistence.aof.state != AofState::Off {
            // Changes that others were told of before are in the base.
            rooms.persistence.aof.reader.get_or_insert_with(|| rooms.propagation.join());
            let number = rooms.persistence.aof.rewrites.number();
            rooms.persistence.aof.order(AofOrder::Switch(number));
            rooms.persistence.aof.sizes.incr = 0;
            rooms.propagation.forget_selected();
        }
        rooms.persistence.aof.rewrites.count_begun();
        let number = rooms.persistence.aof.rewrites.number();
        let path = format!("temp-rewriteaof-bg-{}-{number}.aof", rooms.process.pid);
        rooms.persistence.jobs.begin_base(path.clone());
        let format = base_format(keyspace, rooms);
        saving::begin_job(keyspace, rooms, SaveReason::Rewrite, format, path);
        log::info!("Background append only file rewriting started");
    }

    /// Notes how writing a base ended, and has it put in its place.
    pub(in crate::server) fn base_written(&mut self, report: &SaveReport) {
        let rooms = &mut self.rooms;
        let Some(temporary) = rooms.persistence.jobs.end_base() else { return };
        saving::end_walk(&mut self.keyspace, &mut rooms.waiting.pauses);
        if let Err(reason) = &report.result {
            log::warn!("Write error writing append only file on disk: {reason}");
            return self.rewrite_failed(reason);
        }
        log::info!("Successfully created the temporary AOF base file {temporary}");
        log::info!("Background AOF rewrite terminated with success");
        let names = Aof::names(&rooms.config);
        let mut next = rooms.persistence.aof.manifest.clone();
        let base = next.next_base(&names, rooms.config.aof_use_rdb_preamble);
        let incr = (rooms.persistence.aof.state == AofState::WaitRewrite).then(|| next.next_incr(&names));
        next.retire_incr(usize::from(rooms.persistence.aof.state != AofState::Off));
        let remove = forget_history(&mut next, &rooms.config);
        let manifest = next.to_text();
        rooms.persistence.aof.order(AofOrder::Install { base: (temporary, base), incr, manifest, remove });
        rooms.persistence.jobs.begin_installing(next);
    }

    pub(super) fn aof_installed(&mut self, result: Result<u64, String>) {
        let rooms = &mut self.rooms;
        let Some(next) = rooms.persistence.jobs.end_installing() else { return };
        let base_bytes = match result {
            Ok(base_bytes) => base_bytes,
            Err(reason) => {
                log::warn!("{reason}");
                // Some of the files may have their names, and may even be listed.
                rooms.persistence.aof.manifest.skip_numbers_of(&next);
                return self.rewrite_failed(&reason);
            }
        };
        let aof = &mut rooms.persistence.aof;
        aof.manifest = next;
        if aof.state != AofState::Off {
            aof.sizes.current = base_bytes + aof.sizes.incr;
            aof.sizes.base = aof.sizes.current;
        }
        if aof.state == AofState::WaitRewrite {
            aof.state = AofState::On;
        }
        aof.rewrites.succeeded();
        log::info!("Background AOF rewrite finished successfully");
        self.rewrite_ended();
    }

    fn rewrite_failed(&mut self, reason: &str) {
        let rooms = &mut self.rooms;
        rooms.persistence.aof.rewrites.failed();
        log::warn!("Background AOF rewrite terminated with error: {reason}");
        if rooms.persistence.aof.state == AofState::WaitRewrite {
            stop_feeding(rooms);
            let temporary = Aof::names(&rooms.config).temporary_incr();
            rooms.persistence.aof.order(AofOrder::Discard(temporary));
            rooms.persistence.aof.forget_errors();
        }
        note_need(rooms, reason);
        self.rewrite_ended();
    }

    fn rewrite_ended(&mut self) {
        self.rooms.persistence.aof.rewrites.end(self.rooms.time.monotonic);
        self.continue_shutdown();
    }
}

/// Behind a rewrite that has failed because of `reason`: the first one is tried again, and so is
/// one that was to make the files whole; who waits for that may wait in vain.
fn note_need(rooms: &mut Rooms, reason: &str) {
    let since_ns = rooms.time.clock.monotonic_ns();
    let Persistence { aof, jobs, .. } = &mut rooms.persistence;
    match aof.state {
        AofState::WaitRewrite => _ = jobs.schedule_rewrite(),
        AofState::On if aof.rewrites.must_succeed() => {
            aof.rewrites.unhealed.get_or_insert_with(|| Unhealed { since_ns, reason: reason.to_owned() });
        }
        AofState::On | AofState::Off => {}
    }
}

impl Rooms {
    /// Has a rewrite begin: at once, or when what runs has ended. Returns the answer; none if
    /// `client` has to wait until it is known whether the files for it can be made. Source:
    /// BGREWRITEAOF.
    pub fn request_rewrite(
        &mut self,
        client: ClientId,
        origin: Origin,
    ) -> Result<Option<&'static str>, &'static str> {
        let is_transaction = origin == Origin::Transaction;
        let wish = if is_transaction { JobWish::RewriteInTransaction } else { JobWish::Rewrite };
        match self.persistence.jobs.ask(wish) {
            Verdict::RefusedByRewrite => {
                return Err("ERR Background append only file rewriting already in progress");
            }
            Verdict::Scheduled => {
                self.persistence.aof.rewrites.forget_failures();
                return Ok(Some("Background append only file rewriting scheduled"));
            }
            _ => {}
        }
        if origin != Origin::Client {
            return Ok(Some(STARTED));
        }
        let starter = RewriteStarter { client, command: StartCommand::Rewrite };
        self.persistence.aof.rewrites.starter = Some(starter);
        Ok(None)
    }

    fn answer_starter(&mut self, outcome: Outcome) {
        let Some(starter) = self.persistence.aof.rewrites.starter.take() else { return };
        self.answer_parked(starter.client, |_, reply| match (starter.command, outcome) {
            (StartCommand::TurnOn, Outcome::Begun) => reply.ok(),
            (StartCommand::TurnOn, Outcome::Failed) => reply.error(NOT_TURNED_ON),
            (StartCommand::Rewrite, Outcome::Begun) => reply.simple(STARTED),
            (StartCommand::Rewrite, Outcome::Failed) => reply.error(NOT_STARTED),
        });
    }

    /// Deletes replaced files after all. Returns whether there are any. Source: CONFIG SET
    /// aof-disable-auto-gc no.
    pub fn delete_aof_history(&mut self) -> bool {
        let files = forget_history(&mut self.persistence.aof.manifest, &self.config);
        if files.is_empty() {
            return false;
        }
        let manifest = self.persistence.aof.manifest.to_text();
        self.persistence.aof.order(AofOrder::Forget { manifest, files });
        true
    }
}

/// The options that a base is written with if it is a snapshot.
fn base_options(keyspace: &Keyspace, rooms: &Rooms) -> SaveOptions {
    let mut options = saving::options(keyspace, rooms);
    options.aux.retain(|(name, _)| *name != "aof-base");
    options.aux.push(("aof-base", "1".to_owned()));
    options
}

fn base_format(keyspace: &Keyspace, rooms: &Rooms) -> SaveFormat {
    if rooms.config.aof_use_rdb_preamble {
        return SaveFormat::Snapshot(base_options(keyspace, rooms));
    }
    let timestamp = rooms.config.aof_timestamp_enabled.then_some(rooms.time.now.secs());
    SaveFormat::Commands { timestamp, functions: rooms.script.functions.libraries().codes() }
}

/// Gives the running rewrite up. It counts as neither done nor failed.
pub(super) fn cancel_rewrite(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    // Redis would have begun it when it was asked to.
    rooms.answer_starter(Outcome::Begun);
    if rooms.persistence.jobs.is_writing_base() {
        saving::cancel_job(keyspace, rooms);
    }
    if rooms.persistence.jobs.cancel_rewrite() {
        // Redis's words, which its own suite looks for; there is no child.
        log::info!("Killing running AOF rewrite child: {}", rooms.process.pid);
        rooms.persistence.aof.rewrites.give_up();
    }
}

/// Takes the files that a rewrite has replaced from the list, unless they are to be kept.
fn forget_history(manifest: &mut Manifest, config: &Config) -> Vec<Vec<u8>> {
    if config.aof_disable_auto_gc {
        return Vec::new();
    }
    manifest.take_history().into_iter().map(|file| file.name).collect()
}
