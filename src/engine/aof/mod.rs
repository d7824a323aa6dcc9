//! The append-only file's threads: the writer, and the housekeeper, who does for it what takes
//! long.
//!
//! [`AofThread`] is the owner's end: orders go in, in a row, and never make the owner wait; how
//! much is on its way the owner knows and bounds. Its reports come back as [`Event`]s. The thread
//! takes everything that waits, writes it in one go, and forces it to disk once: with `appendfsync
//! always` that is the group commit, and while a slow disk works the next group gathers. Otherwise
//! it only writes: the [`housekeeper`] forces files to disk, makes, lists and renames them, and an
//! order that must come after all that waits ([`Writer::must_wait`]), with those behind it.
//!
//! [`log`] holds what is written and what is not; [`tell`] what the owner hears; [`disk`] the
//! files; [`start`] what happens before there is a thread, [`load`] how they are read,
//! [`leftovers`] what is removed then. The base of a rewrite is written by a saver thread, as a
//! snapshot is.

pub mod disk;
mod housekeeper;
mod leftovers;
mod load;
pub mod log;
pub mod start;
mod tell;
#[cfg(test)]
mod tests;

use crate::base::text::os_reason;
use crate::persistence::{AofGauges, AofOrder, AofReport, AofWork};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, sleep};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select, unbounded};

use super::affinity;
use super::clock::SystemClock;
use super::event::Event;
use super::queue::Handle;
use crate::aof::Names;
use crate::config::{Appendfsync, Text};
use crate::server::Clock;
use disk::{Folder, RealFolder};
use housekeeper::{Chore, Done, Housekeeper};
use log::{Log, LogError, Mark};

/// The time between attempts to repeat a failed write, and between two syncs of `everysec`.
const SECOND_NS: u64 = 1_000_000_000;

/// The time for which the writer sleeps at most, when there is nothing to do.
const IDLE: Duration = Duration::from_secs(3600);

/// The time for which the end of the process waits for a disk that does not answer. A stop in order
/// has had everything written before.
const FAREWELL: Duration = Duration::from_millis(500);

/// The owner's end. Dropping it waits until everything is written, unless the disk stands still.
pub struct AofThread {
    orders: Option<Sender<AofOrder>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<()>,
}

impl AofThread {
    /// Starts the thread for files of these names in `folder`. It runs on these CPUs, wherever it
    /// likes if there are none.
    pub fn spawn(
        folder: &[u8],
        names: Names,
        gauges: Arc<AofGauges>,
        handle: Handle,
        cpus: &Text,
    ) -> io::Result<Self> {
        // Unbounded, for the owner never waits: the server bounds the bytes on their way instead.
        let (orders, received) = unbounded();
        // A few at a time: the server waits for the end of each step of a rewrite, and one sync
        // runs at a time.
        let ((chores, to_do), (done, heard)) = (unbounded(), unbounded());
        let (folder, clock) = (RealFolder::new(folder), SystemClock::new());
        let housekeeper = Housekeeper { folder: folder.clone(), names, gauges: Arc::clone(&gauges), clock };
        let keep_house = move || housekeeper.run(&to_do, &done);
        Builder::new().name("aof-files".to_owned()).spawn(affinity::pinned(cpus, keep_house))?;
        let (running, ended) = bounded(0);
        let run = move || {
            let _running: Sender<()> = running;
            let report = move |report| {
                // When the owner is gone nobody waits for the report.
                let _ = handle.send(Event::Aof(report));
            };
            Writer::new(folder, chores, gauges, report, clock).run(&received, &heard);
        };
        Builder::new().name("aof".to_owned()).spawn(affinity::pinned(cpus, run))?;
        Ok(AofThread { orders: Some(orders), ended })
    }

    /// Adds an order to the row.
    pub fn send(&self, order: AofOrder) {
        if let Some(orders) = &self.orders {
            // The thread ends only when this end is dropped.
            let _ = orders.send(order);
        }
    }
}

impl Drop for AofThread {
    fn drop(&mut self) {
        self.orders = None;
        if self.ended.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            ::log::warn!("The disk does not answer: the AOF file may lack what was written last.");
        }
    }
}

/// The thread's state.
struct Writer<F: Folder, R, C> {
    folder: F,
    chores: Sender<Chore<F::File>>,
    /// Chores that are not done.
    chores_left: usize,
    /// Of these, those that make files.
    preparing: usize,
    /// Of these, those that force to disk.
    syncing: usize,
    /// Orders that wait until chores are done, and all that came behind them.
    stalled: VecDeque<AofOrder>,
    gauges: Arc<AofGauges>,
    report: R,
    clock: C,
    log: Log<F::File>,
    rewrite: RewriteFiles<F::File>,
    /// A file that is to be written to and could not be opened yet.
    to_attach: Option<Vec<u8>>,
    fsync: Appendfsync,
    is_suspended: bool,
    last_sync_ns: u64,
    /// The time at which the last attempt failed, while it does.
    failed_ns: Option<u64>,
    sleep_us: u64,
    /// Up to which offset those who wrote were promised the disk.
    promised: u64,
    told: Told,
}

/// The things that a rewrite needs of the file that is written to.
struct RewriteFiles<T> {
    /// The file that the next `Switch` goes on in.
    prepared: Option<T>,
    /// The base of the last one replaces the files before this one, counted from the start.
    base_replaces: u64,
    /// The last `Switch` has failed: what is written stands behind no base.
    has_failed_to_switch: bool,
}

/// The reports that the server has had.
#[derive(Default)]
struct Told {
    /// Up to which offset everything is safe.
    synced: u64,
    /// Up to which offset everything is written.
    written: u64,
    /// True when there is a hole.
    hole: bool,
}

/// The news that the writer waits for.
enum News<T> {
    Order(AofOrder),
    Done(Done<T>),
}

impl<F: Folder, R: Fn(AofReport), C: Clock> Writer<F, R, C> {
    fn new(folder: F, chores: Sender<Chore<F::File>>, gauges: Arc<AofGauges>, report: R, clock: C) -> Self {
        Writer {
            folder,
            chores,
            chores_left: 0,
            preparing: 0,
            syncing: 0,
            stalled: VecDeque::new(),
            gauges,
            report,
            clock,
            log: Log::default(),
            rewrite: RewriteFiles { prepared: None, base_replaces: 0, has_failed_to_switch: false },
            to_attach: None,
            fsync: Appendfsync::Everysec,
            is_suspended: false,
            last_sync_ns: 0,
            failed_ns: None,
            sleep_us: 0,
            promised: 0,
            told: Told::default(),
        }
    }

    fn run(mut self, orders: &Receiver<AofOrder>, done: &Receiver<Done<F::File>>) {
        loop {
            match self.wait(orders, done) {
                Ok(News::Order(order)) => {
                    self.gauges.is_at_disk.store(true, Ordering::Relaxed);
                    self.take(order);
                    while let Ok(order) = orders.try_recv() {
                        self.take(order);
                    }
                }
                Ok(News::Done(done)) => self.hear(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(done),
            }
            self.commit();
            self.gauges.is_at_disk.store(!self.stalled.is_empty(), Ordering::Relaxed);
        }
    }

    /// Waits for an order, and for the housekeeper where he has something to do. Whoever waits at
    /// one channel lets others run a few times before he sleeps, at two he sleeps at once: then the
    /// first order of a group would wake him, and be forced to disk without the others.
    fn wait(
        &self,
        orders: &Receiver<AofOrder>,
        done: &Receiver<Done<F::File>>,
    ) -> Result<News<F::File>, RecvTimeoutError> {
        let patience = self.next_wake().unwrap_or(IDLE);
        if self.chores_left == 0 {
            return orders.recv_timeout(patience).map(News::Order);
        }
        select! {
            recv(orders) -> order => order.map(News::Order).map_err(RecvTimeoutError::from),
            // The housekeeper ends after the writer.
            recv(done) -> done => done.map(News::Done).map_err(RecvTimeoutError::from),
            default(patience) => Err(RecvTimeoutError::Timeout),
        }
    }

    /// No more orders come: those that there are are carried out.
    fn finish(mut self, done: &Receiver<Done<F::File>>) {
        self.commit();
        while self.chores_left > 0 {
            let Ok(done) = done.recv() else { break };
            self.hear(done);
        }
        self.close();
    }

    /// The time until something is to be done without an order.
    fn next_wake(&self) -> Option<Duration> {
        let since = match self.failed_ns {
            Some(failed) => failed,
            None if self.is_suspended => return None,
            // Its end wakes the writer.
            None if self.syncing > 0 => return None,
            None if self.log.has_unsynced() && self.fsync == Appendfsync::Everysec => self.last_sync_ns,
            None => return None,
        };
        let passed = self.clock.monotonic_ns().saturating_sub(since);
        Some(Duration::from_nanos(SECOND_NS.saturating_sub(passed)))
    }

    /// Takes one order.
    fn take(&mut self, order: AofOrder) {
        if !self.stalled.is_empty() || self.must_wait(&order) {
            self.stalled.push_back(order);
        } else {
            self.begin(order);
        }
    }

    /// True when an order has its place behind chores that are not done.
    fn must_wait(&self, order: &AofOrder) -> bool {
        match order {
            AofOrder::Append { .. }
            | AofOrder::Policy { .. }
            | AofOrder::SleepUs(_)
            | AofOrder::Install { .. }
            | AofOrder::Forget { .. }
            | AofOrder::Pass(_) => false,
            // It may be for a file of the same name, which one handle at a time has locked.
            AofOrder::Prepare { .. } => self.preparing > 0,
            AofOrder::Switch(_) => self.syncing > 0 && self.syncs_in_place(),
            AofOrder::Attach(_)
            | AofOrder::Discard(_)
            | AofOrder::Flush
            | AofOrder::Reload
            | AofOrder::Close => self.chores_left > 0,
        }
    }

    /// Bytes are only noted: what waits is written at once, by [`Writer::commit`].
    fn begin(&mut self, order: AofOrder) {
        match order {
            AofOrder::Append { bytes, end } => {
                if self.is_strict() {
                    self.promised = end;
                }
                self.log.push(bytes, end);
            }
            AofOrder::SleepUs(us) => self.sleep_us = us,
            AofOrder::Policy { fsync, suspended } => self.set_policy(fsync, suspended),
            // Everything else has its place behind the bytes that came before it.
            order => {
                self.commit();
                // This may have begun a sync.
                if self.must_wait(&order) {
                    self.stalled.push_front(order);
                } else {
                    self.carry_out(order);
                }
            }
        }
    }

    fn carry_out(&mut self, order: AofOrder) {
        match order {
            AofOrder::Attach(file) => {
                // A file that waits to be gone on in may be this one, and locked.
                (self.to_attach, self.rewrite.prepared) = (Some(file), None);
                self.commit();
            }
            AofOrder::Prepare { number, file, manifest } => {
                (self.rewrite.prepared, self.rewrite.has_failed_to_switch) = (None, false);
                self.preparing += 1;
                self.ask(Chore::Prepare { number, file, manifest });
            }
            AofOrder::Switch(number) => self.switch(number),
            AofOrder::Discard(file) => self.discard(file),
            AofOrder::Install { .. } if self.rewrite.has_failed_to_switch => {
                (self.report)(AofReport::Installed(Err(
                    "The AOF file before could not be finished".to_owned()
                )));
            }
            AofOrder::Install { base, incr, manifest, remove } => {
                self.ask(Chore::Install { base, incr, manifest, remove });
            }
            AofOrder::Forget { manifest, files } => self.ask(Chore::Forget { manifest, files }),
            AofOrder::Flush => {
                let result = self.flush();
                (self.report)(AofReport::Flushed(result.map_err(|error| os_reason(error.io()))));
            }
            AofOrder::Reload => {
                let result = self.flush();
                let mut told = result.as_ref().map(drop).map_err(|error| os_reason(error.io()));
                if told.is_ok() && self.log.has_hole() {
                    told = Err("an fsync has failed, a rewrite has to make it whole".to_owned());
                }
                self.note(result);
                (self.report)(AofReport::MayReload(told));
            }
            AofOrder::Close => self.close(),
            AofOrder::Pass(client) => self.ask(Chore::Pass(client)),
            AofOrder::Append { .. } | AofOrder::SleepUs(_) | AofOrder::Policy { .. } => {}
        }
    }

    fn ask(&mut self, chore: Chore<F::File>) {
        self.chores_left += 1;
        // The housekeeper ends only after the writer.
        let _ = self.chores.send(chore);
    }

    /// Takes note of a chore that is done, and goes on with what has waited for that.
    fn hear(&mut self, done: Done<F::File>) {
        self.chores_left -= 1;
        match done {
            Done::Prepared(number, result) => {
                self.preparing -= 1;
                let told = result.map(|file| self.rewrite.prepared = file);
                (self.report)(AofReport::Prepared(number, told));
            }
            Done::Synced(mark, result) => {
                self.syncing -= 1;
                let result = self.log.sync_ended(mark, result);
                self.gauges.written.store(self.log.written_to(), Ordering::Relaxed);
                // The next attempt shows if a disk that has failed works again.
                if result.is_err() || self.failed_ns.is_none() {
                    self.note(result);
                }
            }
            Done::Installed(result, ns) => {
                self.tell_if_slow(AofWork::Rename, ns);
                let is_done = result.is_ok();
                (self.report)(AofReport::Installed(result));
                if is_done {
                    self.forget_replaced();
                }
            }
            Done::Forgotten => {}
            Done::Passed(client) => (self.report)(AofReport::Passed(client)),
        }
        while let Some(order) = self.stalled.pop_front() {
            if self.must_wait(&order) {
                return self.stalled.push_front(order);
            }
            self.begin(order);
        }
    }

    /// True when those who write from now on wait for the disk.
    fn is_strict(&self) -> bool {
        self.fsync == Appendfsync::Always && !self.is_suspended
    }

    /// True when somebody waits for the disk, under whichever policy he wrote.
    fn owes_sync(&self) -> bool {
        self.promised > self.log.synced_to()
    }

    /// True when the writer forces to disk itself: somebody waits for that, or a disk that has
    /// failed is tried.
    fn syncs_in_place(&self) -> bool {
        self.is_strict() || self.owes_sync() || self.failed_ns.is_some()
    }

    fn set_policy(&mut self, fsync: Appendfsync, suspended: bool) {
        let was_strict = self.is_strict();
        (self.fsync, self.is_suspended) = (fsync, suspended);
        if was_strict && !self.is_strict() {
            // Those who wait were promised the disk.
            self.commit();
        } else if !was_strict && self.is_strict() {
            self.promised = self.log.pushed_to();
        }
        self.log.keep_unsynced(self.is_strict() || self.owes_sync());
    }

    /// Writes what waits and forces it to disk as the policy says. Nothing is tried again within a
    /// second.
    fn commit(&mut self) {
        let now_ns = self.clock.monotonic_ns();
        if self.failed_ns.is_some_and(|failed| now_ns.saturating_sub(failed) < SECOND_NS) {
            return;
        }
        let result = self.write().and_then(|()| {
            if self.failed_ns.is_none() {
                self.tell_written();
            }
            self.sync_if_due(now_ns)
        });
        if result.is_ok() && self.failed_ns.is_some() && self.syncing > 0 {
            // It has still to be shown that the disk works.
            self.failed_ns = Some(now_ns);
            return;
        }
        self.note(result);
    }

    fn write(&mut self) -> Result<(), LogError> {
        self.attach()?;
        let begun_ns = self.clock.monotonic_ns();
        let has_waiting = self.log.has_waiting();
        if has_waiting && self.sleep_us > 0 {
            sleep(Duration::from_micros(self.sleep_us));
        }
        let result = self.log.write();
        if has_waiting {
            self.tell_slow(AofWork::Write, begun_ns);
        }
        self.gauges.written.store(self.log.written_to(), Ordering::SeqCst);
        result
    }

    fn sync_if_due(&mut self, now_ns: u64) -> Result<(), LogError> {
        if self.syncing > 0 {
            // One at a time: an error is told once, and the file before comes first.
            return Ok(());
        }
        let is_wanted = match self.fsync {
            _ if self.is_suspended => false,
            Appendfsync::Always => true,
            Appendfsync::Everysec => now_ns.saturating_sub(self.last_sync_ns) >= SECOND_NS,
            Appendfsync::No => false,
        };
        // A disk that has failed has to show that it works.
        let is_due = is_wanted || self.owes_sync() || self.failed_ns.is_some();
        if !is_due || !self.log.has_unsynced() {
            return Ok(());
        }
        if self.syncs_in_place() {
            return self.sync();
        }
        match self.log.twin() {
            Ok(Some((file, mark))) => self.ask_to_sync(file, mark),
            Ok(None) => {}
            // There is no handle to be had.
            Err(_) => return self.sync(),
        }
        Ok(())
    }

    fn ask_to_sync(&mut self, file: F::File, mark: Mark) {
        self.syncing += 1;
        self.last_sync_ns = self.clock.monotonic_ns();
        self.ask(Chore::Sync(file, mark));
    }

    fn sync(&mut self) -> Result<(), LogError> {
        let begun_ns = self.clock.monotonic_ns();
        self.gauges.syncing.store(true, Ordering::Relaxed);
        let result = self.log.sync();
        if self.is_strict() {
            self.tell_slow(AofWork::Sync, begun_ns);
        }
        self.gauges.syncing.store(false, Ordering::Relaxed);
        self.gauges.written.store(self.log.written_to(), Ordering::Relaxed);
        self.last_sync_ns = self.clock.monotonic_ns();
        result
    }

    /// Writes and forces to disk everything there is, now.
    fn flush(&mut self) -> Result<(), LogError> {
        self.write()?;
        if self.log.has_unsynced() { self.sync() } else { Ok(()) }
    }

    fn attach(&mut self) -> Result<(), LogError> {
        if let Some(file) = &self.to_attach {
            // It may be the file that is open, whose lock would be in the way of our own.
            self.log.let_go();
            let (opened, length) = self.folder.open(file).map_err(LogError::Write)?;
            self.log.begin(opened, length);
            self.to_attach = None;
        }
        Ok(())
    }

    /// Goes on in the prepared file, if the open one can be finished: what belongs before the base
    /// must not stand behind it, and a file that is not the last must not end in the middle of a
    /// command.
    fn switch(&mut self, number: u64) {
        let result = if self.syncs_in_place() { self.flush() } else { self.write() };
        let finished = result.as_ref().map_err(|error| {
            let reason = os_reason(error.io());
            format!("Can't finish the AOF file: {reason}")
        });
        let finished = finished.map(drop);
        self.note(result);
        if let Err(reason) = finished.and_then(|()| self.begin_prepared()) {
            self.rewrite.has_failed_to_switch = true;
            (self.report)(AofReport::Prepared(number, Err(reason)));
        }
    }

    fn begin_prepared(&mut self) -> Result<(), String> {
        let file = self.rewrite.prepared.take().ok_or("There is no AOF file to go on in")?;
        self.rewrite.base_replaces = self.log.generation() + 1;
        if let Some((before, mark)) = self.log.go_on_in(file) {
            self.ask_to_sync(before, mark);
        }
        Ok(())
    }

    fn discard(&mut self, file: Vec<u8>) {
        self.end();
        self.failed_ns = None;
        self.release_all();
        ::log::info!("Removing the temp incr aof file {} in the background", String::from_utf8_lossy(&file));
        self.folder.unlink(&file);
    }

    fn close(&mut self) {
        match self.flush() {
            Ok(()) if self.log.has_hole() => (self.report)(AofReport::Lost(u64::MAX)),
            Ok(()) => self.release_all(),
            Err(error) => {
                ::log::warn!("Fail to fsync the AOF file: {}", os_reason(error.io()));
                (self.report)(AofReport::Lost(u64::MAX));
            }
        }
        self.failed_ns = None;
        self.end();
    }

    fn end(&mut self) {
        self.log.end();
        self.tell_hole();
        (self.rewrite.prepared, self.to_attach) = (None, None);
        self.gauges.written.store(self.log.written_to(), Ordering::Relaxed);
    }
}
