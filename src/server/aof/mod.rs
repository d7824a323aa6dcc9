//! The append-only file as the server sees it: whether it is kept, which parts it has, who waits
//! for it.
//!
//! Files belong to one thread of the engine. The server hands it what was propagated in a turn
//! and everything else that is to be done, as [`AofOrder`]s in one row, and hears back with
//! [`AofReport`]s. Because the row is kept, "from here on into a new file" is one order between two
//! others.
//!
//! With `appendfsync always` the answers of clients that wrote leave when the thread has reported the
//! offset of their writes ([`HeldReplies`]). Nobody else waits for anything.
//!
//! A rewrite goes through these states, so that nothing has to be taken back when a file cannot be made:
//!
//! ```text
//! Idle ─ begin ─▶ Preparing ─ the new file for changes is there ─▶ Writing ─ the base is written ─▶ Installing ─▶ Idle
//!                     │             (the data set is fixed here)      │                               │
//!                     └────────────────── failed ─────────────────────┴───────────────────────────────┘
//! ```

mod held;
mod orders;

pub use held::{HeldOutput, HeldReplies};
pub use orders::{AofGauges, AofOrder, AofReport};

use crate::aof::{Manifest, Names, timestamp_line};
use crate::base::time::UnixMillis;
use crate::config::{Appendfsync, Config};
use crate::keyspace::Keyspace;
use crate::rdb::SaveOptions;
use crate::server::pause::{Pause, PauseReason};
use crate::server::session::{ClientId, Close};
use crate::server::task::{SaveFormat, SaveReason, SaveReport};
use crate::server::{Parts, Server, saving};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes on their way to the file beyond which write commands are postponed.
pub const MAX_UNWRITTEN_BYTES: u64 = 256 << 20;
/// How long bytes may be on their way before write commands are postponed. Redis: the same, by writing
/// without waiting any longer.
const MAX_UNWRITTEN_MS: i64 = 2000;
/// So many rewrites in a row may fail before automatic ones are limited.
const FAILURES_TO_LIMIT: u64 = 3;
/// Longest pause between automatic rewrites that keep failing, minutes.
const MAX_DELAY_MINUTES: i64 = 60;

/// Whether an append-only file is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AofState {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
    /// It was turned on, and its first base is being written.
    WaitRewrite,
}

/// Where a rewrite stands.
#[derive(Debug, Default)]
enum Rewrite {
    #[default]
    Idle,
    /// The file for changes is being made; the manifest that lists it.
    Preparing(Manifest),
    /// The base is being written to this file, by a walk over the data set.
    Writing(String),
    /// The files are getting their names; the manifest that lists them.
    Installing(Manifest),
}

/// Everything about the append-only file.
#[derive(Debug, Default)]
pub struct Aof {
    /// Whether it is kept.
    pub state: AofState,
    /// Its files.
    pub manifest: Manifest,
    /// What the thread tells.
    pub gauges: Arc<AofGauges>,
    /// Whether there is a file for what is propagated.
    is_fed: bool,
    /// Orders of this turn.
    orders: Vec<AofOrder>,
    rewrite: Rewrite,
    /// A rewrite is to begin as soon as nothing else runs.
    pub scheduled: bool,
    /// A rewrite is to begin at the end of this turn.
    requested: bool,
    /// Who waits for CONFIG SET appendonly yes.
    starter: Option<ClientId>,
    /// Bytes handed over since the start.
    handed: u64,
    /// What was handed over at that time; moved on when it is written.
    mark: (u64, UnixMillis),
    /// Whether too much is on its way.
    pub is_behind: bool,
    /// How often that was so.
    pub delayed_fsyncs: u64,
    /// The policy the thread knows.
    told: Option<(Appendfsync, bool)>,
    /// Why writes are refused.
    pub error: Option<String>,
    /// The second the last timestamp stood for.
    timestamp: i64,
    /// Bytes in the files.
    pub current_size: u64,
    /// That after the last rewrite, or at the start.
    pub base_size: u64,
    /// Bytes in the file that is written to.
    incr_size: u64,
    /// When the running rewrite began.
    pub rewrite_started: Option<UnixMillis>,
    /// How long the last one took, seconds.
    pub last_rewrite_secs: Option<i64>,
    /// Whether the last one failed.
    pub last_rewrite_failed: bool,
    /// Rewrites begun.
    pub rewrites: u64,
    /// Failures since the last success or command.
    pub failures: u64,
    delay_minutes: i64,
    next_try: Option<UnixMillis>,
    /// Replies that wait for the disk.
    pub held: HeldReplies,
    flush: Flush,
    /// Rewrites tried.
    attempts: u64,
}

/// What a shutdown has done about the append-only file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flush {
    #[default]
    No,
    Running,
    Done,
}

/// What a server has found when it started.
#[derive(Debug, Default)]
pub struct AofOpened {
    /// The files.
    pub manifest: Manifest,
    /// Bytes in all of them.
    pub size: u64,
    /// Bytes in the base.
    pub base_size: u64,
    /// Bytes in the last one.
    pub incr_size: u64,
}

impl Aof {
    /// What the files are called.
    #[must_use]
    pub fn names(config: &Config) -> Names {
        Names(config.appendfilename.as_bytes().to_vec())
    }

    /// Whether a base is being written, or about to be.
    #[must_use]
    pub fn is_rewriting(&self) -> bool {
        self.requested || !matches!(self.rewrite, Rewrite::Idle)
    }

    /// Whether a walk over the data set writes a base.
    #[must_use]
    pub fn is_writing_base(&self) -> bool {
        matches!(self.rewrite, Rewrite::Writing(_))
    }

    /// Bytes handed over that are not in the file.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        self.handed - self.gauges.written.load(Ordering::Relaxed).min(self.handed)
    }

    /// Up to which offset answers to writes wait for the disk, if they wait.
    pub(in crate::server) fn hold_up_to(&mut self, config: &Config) -> Option<(u64, &mut HeldReplies)> {
        let holds = self.is_fed && config.appendfsync == Appendfsync::Always;
        holds.then_some((self.handed, &mut self.held))
    }

    /// The line that refuses writes while the file cannot be written.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let reason = self.error.as_ref().filter(|_| self.state != AofState::Off)?;
        Some(format!("MISCONF Errors writing to the AOF file: {reason}"))
    }

    /// Whether there is something for the thread to do.
    #[must_use]
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// Bytes handed over since the start.
    #[must_use]
    pub fn handed_bytes(&self) -> u64 {
        self.handed
    }

    /// What the thread is to do, in order.
    pub fn take_orders(&mut self) -> Vec<AofOrder> {
        std::mem::take(&mut self.orders)
    }

    /// Adds an order behind what was propagated before.
    pub(in crate::server) fn order(&mut self, order: AofOrder) {
        self.orders.push(order);
    }

    /// Whether rewrites that keep failing make the next one wait.
    fn is_limited(&mut self, now: UnixMillis) -> bool {
        if self.failures < FAILURES_TO_LIMIT {
            (self.delay_minutes, self.next_try) = (0, None);
            return false;
        }
        if let Some(next) = self.next_try {
            if now >= next {
                self.next_try = None;
            }
            return now < next;
        }
        self.delay_minutes = (self.delay_minutes * 2).clamp(1, MAX_DELAY_MINUTES);
        self.next_try = Some(now.saturating_add_ms(self.delay_minutes * 60_000));
        log::warn!(
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {} minutes",
            self.delay_minutes
        );
        true
    }

    fn tell_policy(&mut self, config: &Config, is_saving: bool) {
        let policy = (config.appendfsync, config.no_appendfsync_on_rewrite && is_saving);
        if self.told != Some(policy) {
            self.told = Some(policy);
            self.order(AofOrder::Policy { fsync: policy.0, suspended: policy.1 });
        }
    }
}

impl Server {
    /// Takes note of what was loaded; from now on changes are appended.
    pub fn aof_opened(&mut self, opened: AofOpened) {
        let parts = &mut self.parts;
        let last = opened.manifest.incr.last().map(|file| file.name.clone());
        let aof = &mut parts.aof;
        aof.manifest = opened.manifest;
        aof.current_size = opened.size;
        aof.base_size = opened.base_size;
        aof.incr_size = opened.incr_size;
        if parts.config.appendonly
            && let Some(file) = last
        {
            aof.state = AofState::On;
            aof.order(AofOrder::Attach(file));
            aof.is_fed = true;
            parts.propagation.subscribe();
        }
    }

    /// Takes note of what was loaded anew. The last file may have been cut.
    pub fn aof_reloaded(&mut self, manifest: Manifest) {
        let aof = &mut self.parts.aof;
        if let Some(file) = manifest.incr.last().filter(|_| aof.state == AofState::On) {
            let name = file.name.clone();
            aof.order(AofOrder::Attach(name));
        }
        aof.manifest = manifest;
    }

    /// How a base that is a snapshot is written.
    #[must_use]
    pub fn base_options(&self) -> SaveOptions {
        base_options(&self.keyspace, &self.parts)
    }

    /// Ends a turn: what was propagated goes to the thread, a rewrite begins.
    pub(in crate::server) fn end_aof_turn(&mut self) {
        if self.parts.aof.is_fed {
            hand_over(&mut self.parts);
        }
        if self.parts.aof.requested && self.parts.persistence.running.is_none() {
            self.parts.aof.requested = false;
            self.prepare_rewrite();
        }
    }

    /// The periodic work.
    pub(in crate::server) fn aof_cron(&mut self) {
        let now = self.parts.now;
        self.watch_delay(now);
        let parts = &mut self.parts;
        let is_busy = parts.persistence.running.is_some() || parts.aof.is_rewriting();
        if is_busy || parts.persistence.shutting_down {
            return;
        }
        if parts.aof.scheduled {
            if !parts.aof.is_limited(now) {
                parts.aof.requested = true;
            }
            return;
        }
        let (percentage, aof) = (parts.config.auto_aof_rewrite_percentage, &mut parts.aof);
        if aof.state != AofState::On
            || percentage == 0
            || aof.current_size <= parts.config.auto_aof_rewrite_min_size
        {
            return;
        }
        let growth = i128::from(aof.current_size) * 100 / i128::from(aof.base_size.max(1)) - 100;
        if growth >= i128::from(percentage) && !aof.is_limited(now) {
            log::info!("Starting automatic rewriting of AOF on {growth}% growth");
            aof.requested = true;
        }
    }

    /// Says so when the disk is too slow, and makes writers wait until it has caught up.
    fn watch_delay(&mut self, now: UnixMillis) {
        let aof = &mut self.parts.aof;
        let is_served = aof.is_fed && aof.error.is_none();
        let unwritten = if is_served { aof.unwritten_bytes() } else { 0 };
        if unwritten == 0 || aof.handed - unwritten >= aof.mark.0 {
            aof.mark = (aof.handed, now);
        }
        let is_behind =
            unwritten > 0 && now.0 - aof.mark.1.0 > MAX_UNWRITTEN_MS || unwritten > MAX_UNWRITTEN_BYTES;
        if is_behind && !aof.is_behind {
            aof.delayed_fsyncs += 1;
            log::info!(
                "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for \
                 fsync to complete, this may slow down Redis."
            );
        }
        if is_behind != std::mem::replace(&mut aof.is_behind, is_behind) {
            let pauses = &mut self.parts.pauses;
            match is_behind {
                true => pauses.pause(PauseReason::Aof, Pause::Writes, None),
                false => pauses.unpause(PauseReason::Aof),
            }
        }
    }

    /// Acts on what the AOF thread reports.
    pub fn aof_report(&mut self, report: AofReport) {
        match report {
            AofReport::Synced(offset) => self.release_held(offset),
            AofReport::Failed { reason, on_fsync } => {
                let what =
                    if on_fsync { "Fail to fsync the AOF file" } else { "Error writing to the AOF file" };
                if self.parts.aof.error.as_ref() != Some(&reason) {
                    log::warn!("{what}: {reason}");
                }
                self.parts.aof.error = Some(reason);
            }
            AofReport::Healed { rewrite } => {
                self.parts.aof.error = None;
                log::warn!("AOF write error looks solved, The server can write again.");
                self.parts.aof.scheduled |= rewrite;
            }
            AofReport::Lost(offset) => {
                while let Some(client) = self.parts.aof.held.pop(offset) {
                    log::warn!("Closing client id={}: its writes never reached the AOF file", client.0);
                    self.parts.close_client(client, Close::Now);
                }
            }
            AofReport::Prepared(number, result) => self.aof_prepared(number, result),
            AofReport::Installed(result) => self.aof_installed(result),
            AofReport::Flushed(result) => self.aof_flushed(result),
            AofReport::Passed(client) => self.complete(client, |_, reply| reply.ok()),
        }
    }

    /// Whether answers of `client` wait for the disk, which can be written to.
    #[must_use]
    pub fn holds_replies_of(&self, client: ClientId) -> bool {
        let held = self.parts.clients.get(client).is_some_and(|session| !session.held.is_idle());
        held && self.parts.aof.error.is_none()
    }

    fn release_held(&mut self, offset: u64) {
        while let Some(client) = self.parts.aof.held.pop(offset) {
            self.parts.clients.release_held(client, offset);
        }
    }

    /// Begins a rewrite: a new file for changes is made, if changes are kept.
    fn prepare_rewrite(&mut self) {
        let parts = &mut self.parts;
        let names = Aof::names(&parts.config);
        let mut next = parts.aof.manifest.clone();
        parts.aof.attempts += 1;
        let number = parts.aof.attempts;
        let order = match parts.aof.state {
            AofState::Off => None,
            AofState::WaitRewrite => {
                Some(AofOrder::Prepare { number, file: names.temporary_incr(), manifest: None })
            }
            AofState::On => {
                let file = next.next_incr(&names);
                Some(AofOrder::Prepare { number, file, manifest: Some(next.to_text()) })
            }
        };
        parts.aof.scheduled = false;
        parts.aof.rewrite_started = Some(parts.now);
        parts.aof.rewrite = Rewrite::Preparing(next);
        match order {
            Some(order) => parts.aof.order(order),
            None => self.write_base(),
        }
    }

    fn aof_prepared(&mut self, number: u64, result: Result<(), String>) {
        if number != self.parts.aof.attempts {
            return;
        }
        if let (true, Err(reason)) = (self.parts.aof.is_writing_base(), &result) {
            saving::cancel_job(&mut self.keyspace, &mut self.parts);
            return self.rewrite_failed(reason);
        }
        let Rewrite::Preparing(next) = &mut self.parts.aof.rewrite else { return };
        let next = std::mem::take(next);
        self.parts.aof.rewrite = Rewrite::Idle;
        if let Err(reason) = result {
            log::warn!("{reason}");
            let aof = &mut self.parts.aof;
            (aof.last_rewrite_failed, aof.rewrite_started) = (true, None);
            if aof.state == AofState::WaitRewrite && aof.starter.is_some() {
                aof.state = AofState::Off;
                self.parts.config.appendonly = false;
                log::warn!(
                    "Redis needs to enable the AOF but can't trigger a background AOF rewrite operation. Check the above \
                     logs for more info about the error."
                );
            }
            return self.answer_starter(false);
        }
        if let Some(file) = next.incr.last().filter(|_| self.parts.aof.state == AofState::On) {
            log::info!(
                "Creating AOF incr file {} on background rewrite",
                String::from_utf8_lossy(&file.name)
            );
        }
        self.parts.aof.manifest = next;
        self.write_base();
        self.answer_starter(true);
    }

    fn answer_starter(&mut self, started: bool) {
        const REFUSED: &str = "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. \
                               Check server logs.";
        let Some(client) = self.parts.aof.starter.take() else { return };
        self.complete(client, |_, reply| if started { reply.ok() } else { reply.error(REFUSED) });
    }

    /// Fixes the data set: what was propagated up to here is in the base to be written, what comes
    /// from here on goes to the new file.
    fn write_base(&mut self) {
        let (keyspace, parts) = (&mut self.keyspace, &mut self.parts);
        hand_over(parts);
        if parts.aof.state != AofState::Off {
            if !std::mem::replace(&mut parts.aof.is_fed, true) {
                parts.propagation.subscribe();
                // What others were told before is in the base.
                drop(parts.propagation.take_bytes());
            }
            let number = parts.aof.attempts;
            parts.aof.order(AofOrder::Switch(number));
            parts.aof.incr_size = 0;
            parts.propagation.forget_selected();
        }
        parts.aof.rewrites += 1;
        let path = format!("temp-rewriteaof-bg-{}-{}.aof", parts.pid, parts.aof.attempts);
        parts.aof.rewrite = Rewrite::Writing(path.clone());
        let format = base_format(keyspace, parts);
        saving::begin_job(keyspace, parts, SaveReason::Rewrite, format, path);
        log::info!("Background append only file rewriting started by pid {}", parts.pid);
    }

    /// Notes how writing a base ended, and has it put in its place.
    pub(in crate::server) fn base_written(&mut self, report: &SaveReport) {
        let parts = &mut self.parts;
        let Rewrite::Writing(temporary) = &mut parts.aof.rewrite else { return };
        let temporary = std::mem::take(temporary);
        saving::end_walk(&mut self.keyspace, &mut parts.pauses);
        if let Err(reason) = &report.result {
            log::warn!("Write error writing append only file on disk: {reason}");
            return self.rewrite_failed(reason);
        }
        log::info!("Background AOF rewrite terminated with success");
        let names = Aof::names(&parts.config);
        let mut next = parts.aof.manifest.clone();
        let base = next.next_base(&names, parts.config.aof_use_rdb_preamble);
        let incr = (parts.aof.state == AofState::WaitRewrite).then(|| next.next_incr(&names));
        next.retire_incr(usize::from(parts.aof.state != AofState::Off));
        let remove = forget_history(&mut next, &parts.config);
        let manifest = next.to_text();
        parts.aof.order(AofOrder::Install { base: (temporary, base), incr, manifest, remove });
        parts.aof.rewrite = Rewrite::Installing(next);
    }

    fn aof_installed(&mut self, result: Result<u64, String>) {
        let parts = &mut self.parts;
        let Rewrite::Installing(next) = &mut parts.aof.rewrite else { return };
        let next = std::mem::take(next);
        parts.aof.rewrite = Rewrite::Idle;
        let base_bytes = match result {
            Ok(base_bytes) => base_bytes,
            Err(reason) => {
                log::warn!("{reason}");
                return self.rewrite_failed(&reason);
            }
        };
        let aof = &mut parts.aof;
        aof.manifest = next;
        if aof.state != AofState::Off {
            aof.current_size = base_bytes + aof.incr_size;
            aof.base_size = aof.current_size;
        }
        if aof.state == AofState::WaitRewrite {
            aof.state = AofState::On;
        }
        (aof.last_rewrite_failed, aof.failures) = (false, 0);
        log::info!("Background AOF rewrite finished successfully");
        self.rewrite_ended();
    }

    fn rewrite_failed(&mut self, reason: &str) {
        let parts = &mut self.parts;
        parts.aof.rewrite = Rewrite::Idle;
        parts.aof.last_rewrite_failed = true;
        parts.aof.failures += 1;
        log::warn!("Background AOF rewrite terminated with error: {reason}");
        if parts.aof.state == AofState::WaitRewrite {
            stop_feeding(parts);
            let temporary = Aof::names(&parts.config).temporary_incr();
            parts.aof.order(AofOrder::Discard(temporary));
            parts.aof.scheduled = true;
        }
        self.rewrite_ended();
    }

    fn rewrite_ended(&mut self) {
        let (aof, now) = (&mut self.parts.aof, self.parts.now);
        aof.last_rewrite_secs = aof.rewrite_started.take().map(|started| now.secs() - started.secs());
        if let Some(client) = self.parts.persistence.waiting.take() {
            self.save(SaveReason::Command(client));
        }
        self.continue_shutdown();
    }

    fn aof_flushed(&mut self, result: Result<(), String>) {
        let aof = &mut self.parts.aof;
        if aof.flush != Flush::Running {
            return;
        }
        aof.flush = Flush::Done;
        if let Err(reason) = result {
            log::warn!("Fail to fsync the AOF file: {reason}.");
            if !self.parts.shutdown.is_some_and(|request| request.force) {
                self.abort_shutdown();
                return;
            }
        }
        self.continue_shutdown();
    }

    /// What a shutdown has to do about the append-only file before anything else. Returns whether
    /// the shutdown has to wait for it, or was given up.
    pub(in crate::server) fn finish_aof(&mut self, force: bool) -> bool {
        match self.parts.aof.flush {
            Flush::Running => return true,
            Flush::Done => return false,
            Flush::No => {}
        }
        if matches!(self.parts.aof.rewrite, Rewrite::Installing(_)) {
            // Its end goes on with the shutdown.
            return true;
        }
        if self.parts.aof.is_rewriting() {
            if self.parts.aof.state == AofState::WaitRewrite {
                if !force {
                    log::warn!("Writing initial AOF, can't exit.");
                    self.abort_shutdown();
                    return true;
                }
                log::warn!("Writing initial AOF. Exit anyway.");
            }
            log::warn!("There is a child rewriting the AOF. Killing it!");
            cancel_rewrite(&mut self.keyspace, &mut self.parts);
        }
        if !self.parts.aof.is_fed {
            return false;
        }
        log::info!("Calling fsync() on the AOF file.");
        hand_over(&mut self.parts);
        self.parts.aof.order(AofOrder::Flush);
        self.parts.aof.flush = Flush::Running;
        true
    }
}

impl Aof {
    /// A shutdown was given up: the next one begins anew.
    pub(in crate::server) fn shutdown_aborted(&mut self) {
        self.flush = Flush::No;
    }
}

/// Nothing more is appended for now.
fn stop_feeding(parts: &mut Parts) {
    hand_over(parts);
    if std::mem::take(&mut parts.aof.is_fed) {
        parts.propagation.unsubscribe();
    }
}

/// Hands what was propagated over to the thread.
fn hand_over(parts: &mut Parts) {
    let is_saving = parts.persistence.running.is_some() || parts.aof.is_rewriting();
    parts.aof.tell_policy(&parts.config, is_saving);
    if !parts.aof.is_fed {
        return;
    }
    let mut bytes = parts.propagation.take_bytes();
    if bytes.is_empty() {
        return;
    }
    let secs = parts.now.secs();
    if parts.config.aof_timestamp_enabled && secs > parts.aof.timestamp {
        parts.aof.timestamp = secs;
        let mut line = timestamp_line(secs);
        line.append(&mut bytes);
        bytes = line;
    }
    let aof = &mut parts.aof;
    let length = bytes.len() as u64;
    let had_written_all = aof.unwritten_bytes() == 0;
    aof.handed += length;
    if had_written_all {
        aof.mark = (aof.handed, parts.now);
    }
    aof.current_size += length;
    aof.incr_size += length;
    let end = aof.handed;
    aof.order(AofOrder::Append { bytes, end });
}

/// How a base that is a snapshot is written.
fn base_options(keyspace: &Keyspace, parts: &Parts) -> SaveOptions {
    let mut options = saving::options(keyspace, parts);
    options.aux.retain(|(name, _)| *name != "aof-base");
    options.aux.push(("aof-base", "1".to_owned()));
    options
}

fn base_format(keyspace: &Keyspace, parts: &Parts) -> SaveFormat {
    if parts.config.aof_use_rdb_preamble {
        return SaveFormat::Snapshot(base_options(keyspace, parts));
    }
    let timestamp = parts.config.aof_timestamp_enabled.then_some(parts.now.secs());
    SaveFormat::Commands { timestamp }
}

/// Gives the running rewrite up. It counts as neither done nor failed.
fn cancel_rewrite(keyspace: &mut Keyspace, parts: &mut Parts) {
    let was_begun = parts.aof.is_rewriting();
    parts.aof.requested = false;
    if parts.aof.is_writing_base() {
        saving::cancel_job(keyspace, parts);
    }
    // What is being installed stays so: the files have their names already.
    if was_begun && !matches!(parts.aof.rewrite, Rewrite::Installing(_)) {
        log::info!("Killing running AOF rewrite child: {}", parts.pid);
        parts.aof.rewrite = Rewrite::Idle;
        parts.aof.rewrite_started = None;
    }
    if let Some(client) = parts.persistence.waiting.take() {
        saving::begin(keyspace, parts, SaveReason::Command(client));
    }
}

/// Takes the files that a rewrite has replaced from the list, unless they are to be kept.
fn forget_history(manifest: &mut Manifest, config: &Config) -> Vec<Vec<u8>> {
    if config.aof_disable_auto_gc {
        return Vec::new();
    }
    manifest.take_history().into_iter().map(|file| file.name).collect()
}

impl Parts {
    /// Has a rewrite begin: at once, or when what runs has ended. Source: BGREWRITEAOF.
    pub fn request_rewrite(&mut self, in_transaction: bool) -> Result<&'static str, &'static str> {
        if self.aof.is_rewriting() {
            return Err("ERR Background append only file rewriting already in progress");
        }
        // A save of nothing, as after FLUSHALL, is about to end: it is waited for.
        let persistence = &self.persistence;
        let is_saving = persistence.running.is_some() && !persistence.saves_nothing();
        if is_saving || persistence.scheduled || in_transaction {
            self.aof.scheduled = true;
            self.aof.failures = 0;
            return Ok("Background append only file rewriting scheduled");
        }
        self.aof.requested = true;
        Ok("Background append only file rewriting started")
    }

    /// Acts on a change of `appendonly`. Returns whether the client has to wait for the outcome.
    pub fn set_appendonly(
        &mut self,
        keyspace: &mut Keyspace,
        wanted: bool,
        client: Option<ClientId>,
    ) -> bool {
        match (wanted, self.aof.state) {
            (true, AofState::Off) => self.turn_on_aof(keyspace, client),
            (false, AofState::On | AofState::WaitRewrite) => {
                self.turn_off_aof(keyspace);
                false
            }
            _ => false,
        }
    }

    fn turn_on_aof(&mut self, keyspace: &mut Keyspace, client: Option<ClientId>) -> bool {
        self.aof.state = AofState::WaitRewrite;
        if self.persistence.running.is_some() {
            self.aof.scheduled = true;
            log::warn!(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to \
                 start when possible."
            );
            return false;
        }
        if client.is_none() {
            self.aof.scheduled = true;
            log::warn!(
                "AOF was enabled during a transaction. An AOF background was scheduled to start when possible."
            );
            return false;
        }
        if self.aof.is_rewriting() {
            log::warn!(
                "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and starting \
                 a rewrite now."
            );
            cancel_rewrite(keyspace, self);
        }
        if self.aof.is_rewriting() {
            self.aof.scheduled = true;
            return false;
        }
        self.aof.requested = true;
        self.aof.starter = client;
        true
    }

    fn turn_off_aof(&mut self, keyspace: &mut Keyspace) {
        let is_listed = self.aof.state == AofState::On;
        cancel_rewrite(keyspace, self);
        stop_feeding(self);
        self.propagation.forget_selected();
        let temporary = Aof::names(&self.config).temporary_incr();
        self.aof.order(if is_listed { AofOrder::Close } else { AofOrder::Discard(temporary) });
        self.aof.state = AofState::Off;
        (self.aof.scheduled, self.aof.incr_size) = (false, 0);
        self.aof.error = None;
        if let Some(client) = self.aof.starter.take() {
            self.wait_for_aof(client);
        }
    }

    /// Deletes replaced files after all. Returns whether there are any. Source: CONFIG SET aof-disable-auto-gc no.
    pub fn delete_aof_history(&mut self) -> bool {
        let files = forget_history(&mut self.aof.manifest, &self.config);
        if files.is_empty() {
            return false;
        }
        let manifest = self.aof.manifest.to_text();
        self.aof.order(AofOrder::Forget { manifest, files });
        true
    }

    /// Completes `client` when the thread has done everything asked for so far.
    pub fn wait_for_aof(&mut self, client: ClientId) {
        self.aof.order(AofOrder::Pass(client));
    }

    /// Makes the thread sleep before each write. Source: DEBUG AOF-FLUSH-SLEEP.
    pub fn set_aof_sleep(&mut self, us: u64) {
        self.aof.order(AofOrder::SleepUs(us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_that_keep_failing_are_limited() {
        let mut aof = Aof { failures: FAILURES_TO_LIMIT, ..Aof::default() };
        let mut now = UnixMillis(0);
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(aof.is_limited(now), "after {minutes} minutes");
            now = now.saturating_add_ms(minutes * 60_000 - 1);
            assert!(aof.is_limited(now));
            now = now.saturating_add_ms(1);
            assert!(!aof.is_limited(now), "one try");
        }
        aof.failures = 0;
        assert!(!aof.is_limited(now));
    }
}
