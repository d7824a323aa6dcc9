//! The append-only file as the server sees it: whether it is kept, which parts it has, who waits
//! for it.
//!
//! Files belong to one thread of the engine. The server hands it what was propagated in a turn
//! and everything else that is to be done, as [`AofOrder`]s in one row, and hears back with
//! [`AofReport`]s. Because the row is kept, "from here on into a new file" is one order between two
//! others.
//!
//! The answers of clients that wrote leave when the thread has reported the offset of their writes:
//! as on disk with `appendfsync always`, otherwise as in the file ([`wait`],
//! [`crate::persistence::HeldReplies`]). With `always` so do answers and messages that show such a
//! change ([`unsynced`]). Nobody else waits for anything.
//!
//! [`crate::persistence::Jobs`] says how a rewrite ([`rewrite`]) goes on.

mod reload;
mod rewrite;
mod state;
mod stop;
mod switch;
pub(super) mod unsynced;
mod wait;

pub use state::{Aof, AofOpened, AofState};
pub use wait::MAX_UNWRITTEN_BYTES;

use crate::persistence::{AofOrder, AofReport, AofWork, JobWish};
use crate::server::rooms::Persistence;
use state::AofSizes;

use super::machine::Server;
use crate::aof::{Manifest, Names, timestamp_line};
use crate::base::ClientId;
use crate::config::{Appendfsync, Config};
use crate::server::Rooms;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Aof {
    /// Returns the names of the files.
    #[must_use]
    pub fn names(config: &Config) -> Names {
        Names(config.appendfilename.as_bytes().to_vec())
    }

    /// The line that refuses writes while the file cannot be written.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let unhealed = self.rewrites.unhealed.as_ref().filter(|_| self.owes_disk()).map(|it| &it.reason);
        let reason = self.error.as_ref().or(unhealed).filter(|_| self.state != AofState::Off)?;
        Some(format!("MISCONF Errors writing to the AOF file: {reason}"))
    }

    /// True when there is something for the thread to do.
    #[must_use]
    pub fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// Bytes handed over since the start.
    #[must_use]
    pub fn handed_bytes(&self) -> u64 {
        self.handed
    }

    /// Takes the orders for the thread, in order.
    pub fn take_orders(&mut self) -> Vec<AofOrder> {
        std::mem::take(&mut self.orders)
    }

    /// Adds an order behind what was propagated before.
    pub(in crate::server) fn order(&mut self, order: AofOrder) {
        self.orders.push(order);
    }

    /// True when there is a file for what is propagated.
    #[inline]
    pub(in crate::server) fn is_fed(&self) -> bool {
        self.reader.is_some()
    }

    /// True when an answer shows no change before it is on disk.
    #[inline]
    pub(in crate::server) fn is_strict(&self, config: &Config) -> bool {
        self.is_fed() && config.appendfsync == Appendfsync::Always
    }

    /// The file is closed or deleted: nothing is kept any more that could not be written.
    fn forget_errors(&mut self) {
        (self.error, self.failing_since_ns, self.rewrites.unhealed) = (None, None, None);
    }

    fn tell_policy(&mut self, config: &Config, is_saving: bool) {
        let slow_ms = u64::try_from(config.latency_monitor_threshold).unwrap_or(0);
        self.gauges.slow_ns.store(slow_ms.saturating_mul(1_000_000), Ordering::Relaxed);
        // While a rewrite mends a hole, answers wait for more than the file alone.
        let spares_disk = config.no_appendfsync_on_rewrite && is_saving && !self.rewrites.must_succeed();
        let policy = (config.appendfsync, spares_disk);
        if self.told != Some(policy) {
            self.told = Some(policy);
            self.order(AofOrder::Policy { fsync: policy.0, suspended: policy.1 });
        }
    }
}

impl Server {
    /// Takes note of what was loaded; from now on changes are appended.
    pub fn aof_opened(&mut self, opened: AofOpened) {
        let rooms = &mut self.rooms;
        let last = opened.manifest.incr.last().map(|file| file.name.clone());
        let aof = &mut rooms.persistence.aof;
        aof.manifest = opened.manifest;
        aof.sizes = AofSizes { current: opened.size, base: opened.base_size, incr: opened.incr_size };
        if rooms.config.appendonly
            && let Some(file) = last
        {
            aof.state = AofState::On;
            aof.order(AofOrder::Attach(file));
            aof.reader = Some(rooms.propagation.join());
        }
    }

    /// Takes note of what was loaded anew. The last file may have been cut.
    pub fn aof_reloaded(&mut self, manifest: Manifest) {
        let aof = &mut self.rooms.persistence.aof;
        if let Some(file) = manifest.incr.last().filter(|_| aof.state == AofState::On) {
            let name = file.name.clone();
            aof.order(AofOrder::Attach(name));
        }
        aof.manifest = manifest;
        self.end_reload(|reply| reply.ok());
    }

    /// Ends a turn: what was propagated goes to the thread.
    pub(in crate::server) fn end_aof_turn(&mut self) {
        if self.rooms.persistence.aof.is_fed() {
            hand_over(&mut self.rooms);
        }
        self.rooms.persistence.aof.order_reload();
        self.end_waits();
    }

    /// The periodic work.
    pub(in crate::server) fn aof_cron(&mut self) {
        let now = self.rooms.time.monotonic;
        self.watch_delay(now);
        let rooms = &mut self.rooms;
        let Persistence { aof, jobs, .. } = &mut rooms.persistence;
        if !jobs.is_free() {
            return;
        }
        if jobs.is_rewrite_scheduled() || aof.is_fed() && aof.rewrites.must_succeed() {
            if !aof.rewrites.is_limited(now) {
                jobs.ask(JobWish::RewriteByItself);
            }
            return;
        }
        let percentage = rooms.config.auto_aof_rewrite_percentage;
        if aof.state != AofState::On
            || percentage == 0
            || aof.sizes.current <= rooms.config.auto_aof_rewrite_min_size
        {
            return;
        }
        let growth = i128::from(aof.sizes.current) * 100 / i128::from(aof.sizes.base.max(1)) - 100;
        if growth >= i128::from(percentage) && !aof.rewrites.is_limited(now) {
            log::info!("Starting automatic rewriting of AOF on {growth}% growth");
            jobs.ask(JobWish::RewriteByItself);
        }
    }

    /// Nobody can carry out `order`: there is no thread for the file. Whoever waits for it hears
    /// so. A file that is appended to has a thread from the start, so nothing that was propagated
    /// is among such orders.
    pub fn aof_order_failed(&mut self, order: AofOrder, reason: String) {
        match order {
            AofOrder::Prepare { number, .. } => self.aof_report(AofReport::Prepared(number, Err(reason))),
            AofOrder::Install { .. } => self.aof_report(AofReport::Installed(Err(reason))),
            AofOrder::Flush => self.aof_report(AofReport::Flushed(Err(reason))),
            AofOrder::Reload => self.aof_report(AofReport::MayReload(Err(reason))),
            AofOrder::Pass(client) => self.aof_report(AofReport::Passed(client)),
            _ => {}
        }
    }

    /// Acts on what the AOF thread reports.
    pub fn aof_report(&mut self, report: AofReport) {
        match report {
            AofReport::Slow(work, ns) => self.aof_was_slow(work, ns),
            AofReport::Written(offset) => self.aof_written(offset),
            AofReport::Synced(offset) => self.aof_synced(offset),
            // The file is closed, or deleted, by an order that is on its way.
            AofReport::Failed { .. } if !self.rooms.persistence.aof.is_fed() => {}
            AofReport::Failed { reason, on_fsync } => {
                let what =
                    if on_fsync { "Fail to fsync the AOF file" } else { "Error writing to the AOF file" };
                if self.rooms.persistence.aof.error.as_ref() != Some(&reason) {
                    log::warn!("{what}: {reason}");
                }
                let now_ns = self.rooms.time.clock.monotonic_ns();
                self.rooms.persistence.aof.failing_since_ns.get_or_insert(now_ns);
                self.rooms.persistence.aof.error = Some(reason);
            }
            AofReport::Healed => {
                self.rooms.persistence.aof.failing_since_ns = None;
                if self.rooms.persistence.aof.error.take().is_some() {
                    log::warn!("AOF write error looks solved, The server can write again.");
                }
            }
            AofReport::Hole => self.rooms.persistence.aof.rewrites.note_hole(true),
            AofReport::Whole => self.rooms.persistence.aof.rewrites.note_hole(false),
            AofReport::Lost(offset) => self.aof_lost(offset),
            AofReport::Prepared(number, result) => self.aof_prepared(number, result),
            AofReport::Installed(result) => self.aof_installed(result),
            AofReport::Flushed(result) => self.aof_flushed(result),
            AofReport::MayReload(result) => self.aof_may_reload(result),
            AofReport::Passed(client) => self.complete(client, |_, reply| reply.ok()),
        }
    }
}

impl Server {
    /// Tells the latency monitor. Nobody but writers waited for it.
    fn aof_was_slow(&mut self, work: AofWork, ns: u64) {
        let rooms = &mut self.rooms;
        match work {
            AofWork::Write => {
                let is_saving = rooms.persistence.jobs.walks_for().is_some();
                rooms.watch_latency(if is_saving { "aof-write-active-child" } else { "aof-write-alone" }, ns);
                rooms.watch_latency("aof-write", ns);
            }
            AofWork::Sync => rooms.watch_latency("aof-fsync-always", ns),
            AofWork::Rename => rooms.watch_latency("aof-rename", ns),
        }
    }
}

/// Hands what was propagated over to the thread.
fn hand_over(rooms: &mut Rooms) {
    let jobs = &rooms.persistence.jobs;
    let is_saving = jobs.saving().is_some() || jobs.is_rewriting();
    rooms.persistence.aof.tell_policy(&rooms.config, is_saving);
    let Some(reader) = rooms.persistence.aof.reader else { return };
    for block in rooms.propagation.read(reader) {
        if let Some(line) = due_timestamp(rooms) {
            append(rooms, Arc::new(line));
        }
        append(rooms, block);
    }
    rooms.persistence.aof.hand_over_unsynced();
}

/// The line that tells the time of what follows, if it has not been told: once a second.
fn due_timestamp(rooms: &mut Rooms) -> Option<Vec<u8>> {
    let secs = rooms.time.now.secs();
    let is_due = rooms.config.aof_timestamp_enabled && secs > rooms.persistence.aof.timestamp;
    is_due.then(|| {
        rooms.persistence.aof.timestamp = secs;
        timestamp_line(secs)
    })
}

fn append(rooms: &mut Rooms, bytes: Arc<Vec<u8>>) {
    let aof = &mut rooms.persistence.aof;
    let length = bytes.len() as u64;
    let had_written_all = aof.unwritten_bytes() == 0;
    aof.handed += length;
    if had_written_all {
        aof.mark = (aof.handed, rooms.time.monotonic);
    }
    aof.sizes.current += length;
    aof.sizes.incr += length;
    let end = aof.handed;
    aof.order(AofOrder::Append { bytes, end });
    aof.note_handed(rooms.time.monotonic);
}

impl Rooms {
    /// Completes `client` when the thread has done everything asked for so far.
    pub fn wait_for_aof(&mut self, client: ClientId) {
        self.persistence.aof.order(AofOrder::Pass(client));
    }

    /// Makes the thread sleep before each write. Source: DEBUG AOF-FLUSH-SLEEP.
    pub fn set_aof_sleep(&mut self, us: u64) {
        self.persistence.aof.order(AofOrder::SleepUs(us));
    }
}
