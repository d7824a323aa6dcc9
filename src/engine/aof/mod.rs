//! The append-only file's thread: it alone writes and forces to disk.
//!
//! [`AofThread`] is the owner's end: orders go in, in a row, and never make the owner wait; how
//! much is on its way the owner knows and bounds. What is reported comes back as [`Event`]s. The
//! thread takes everything that waits, writes it in one go, and forces it to disk once: with
//! `appendfsync always` that is the group commit, and while a slow disk works the next group
//! gathers.
//!
//! [`log`] holds what is written and what is not; [`disk`] the files; [`start`] what happens before
//! there is a thread, [`load`] how they are read, [`leftovers`] what is removed then. The base of a
//! rewrite is written by a saver thread, as a snapshot is.

pub mod disk;
mod leftovers;
mod load;
pub mod log;
pub mod start;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, sleep};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::{Event, Handle, SystemClock, affinity};
use crate::aof::Names;
use crate::config::{Appendfsync, Text};
use crate::server::aof::AofGauges;
use crate::server::{AofOrder, AofReport, AofWork, Clock};
use disk::{Folder, RealFolder};
use log::{Log, LogError};

/// How often a failed write is tried again, and how often `everysec` forces to disk.
const SECOND_NS: u64 = 1_000_000_000;

/// How long the end of the process waits for a disk that does not answer. A stop in order has had
/// everything written before.
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
        let folder = RealFolder::new(folder);
        let (running, ended) = bounded(0);
        let run = move || {
            let _running: Sender<()> = running;
            let report = move |report| {
                // When the owner is gone nobody waits for the report.
                let _ = handle.send(Event::Aof(report));
            };
            Writer::new(folder, names, gauges, report, SystemClock::new()).run(&received)
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
    names: Names,
    gauges: Arc<AofGauges>,
    report: R,
    clock: C,
    log: Log<F::File>,
    /// The file that the next `Switch` goes on in, and the manifest that lists it.
    prepared: Option<(F::File, Option<Vec<u8>>)>,
    /// A file that is to be written to and could not be opened yet.
    to_attach: Option<Vec<u8>>,
    fsync: Appendfsync,
    is_suspended: bool,
    last_sync_ns: u64,
    /// When the last attempt failed, while it does.
    failed_ns: Option<u64>,
    sleep_us: u64,
    /// Up to which offset those who wrote were promised the disk.
    promised: u64,
    /// What was last reported as safe.
    reported: u64,
    /// What was last reported as written.
    told_written: u64,
}

impl<F: Folder, R: Fn(AofReport), C: Clock> Writer<F, R, C> {
    fn new(folder: F, names: Names, gauges: Arc<AofGauges>, report: R, clock: C) -> Self {
        Writer {
            folder,
            names,
            gauges,
            report,
            clock,
            log: Log::default(),
            prepared: None,
            to_attach: None,
            fsync: Appendfsync::Everysec,
            is_suspended: false,
            last_sync_ns: 0,
            failed_ns: None,
            sleep_us: 0,
            promised: 0,
            reported: 0,
            told_written: 0,
        }
    }

    fn run(mut self, orders: &Receiver<AofOrder>) {
        loop {
            let wait = self.next_wake();
            let first = match wait {
                Some(wait) => orders.recv_timeout(wait),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match first {
                Ok(order) => {
                    self.gauges.is_at_disk.store(true, Ordering::Relaxed);
                    self.take(order);
                    while let Ok(order) = orders.try_recv() {
                        self.take(order);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            self.commit();
            self.gauges.is_at_disk.store(false, Ordering::Relaxed);
        }
    }

    /// How long until something is to be done without an order.
    fn next_wake(&self) -> Option<Duration> {
        let since = match self.failed_ns {
            Some(failed) => failed,
            None if self.is_suspended => return None,
            None if self.log.has_unsynced() && self.fsync == Appendfsync::Everysec => self.last_sync_ns,
            None => return None,
        };
        let passed = self.clock.monotonic_ns().saturating_sub(since);
        Some(Duration::from_nanos(SECOND_NS.saturating_sub(passed)))
    }

    /// Takes one order. Bytes are only noted: what waits is written at once, by [`Writer::commit`].
    fn take(&mut self, order: AofOrder) {
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
                self.carry_out(order);
            }
        }
    }

    fn carry_out(&mut self, order: AofOrder) {
        match order {
            AofOrder::Attach(file) => {
                self.to_attach = Some(file);
                self.commit();
            }
            AofOrder::Prepare { number, file, manifest } => {
                let result = self.prepare(file.as_deref(), manifest);
                (self.report)(AofReport::Prepared(number, result));
            }
            AofOrder::Switch(number) => self.switch(number),
            AofOrder::Discard(file) => self.discard(file),
            AofOrder::Install { base, incr, manifest, remove } => {
                let begun_ns = self.clock.monotonic_ns();
                let result = self.install(&base, incr.as_deref(), &manifest);
                self.tell_slow(AofWork::Rename, begun_ns);
                if result.is_ok() && !remove.is_empty() {
                    self.folder.remove(remove);
                }
                (self.report)(AofReport::Installed(result));
            }
            AofOrder::Forget { manifest, files } => match self.list(&manifest) {
                Ok(()) => self.folder.remove(files),
                Err(reason) => ::log::warn!("{reason}"),
            },
            AofOrder::Flush => {
                let result = self.flush();
                (self.report)(AofReport::Flushed(result.map_err(|error| words(error.io()))));
            }
            AofOrder::Reload => {
                let result = self.flush();
                let told = result.as_ref().map(drop).map_err(|error| words(error.io()));
                self.note(result);
                (self.report)(AofReport::MayReload(told));
            }
            AofOrder::Close => self.close(),
            AofOrder::Pass(client) => (self.report)(AofReport::Passed(client)),
            AofOrder::Append { .. } | AofOrder::SleepUs(_) | AofOrder::Policy { .. } => {}
        }
    }

    /// Whether those who write from now on wait for the disk.
    fn is_strict(&self) -> bool {
        self.fsync == Appendfsync::Always && !self.is_suspended
    }

    /// Whether somebody waits for the disk, under whichever policy he wrote.
    fn owes_sync(&self) -> bool {
        self.promised > self.log.synced_to()
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
        self.note(result);
    }

    /// Tells who waits for it what is in the file.
    fn tell_written(&mut self) {
        let written = self.log.written_to();
        let is_awaited = self.told_written < self.gauges.awaited.load(Ordering::SeqCst);
        if is_awaited && written > self.told_written && !self.owes_sync() {
            self.told_written = written;
            (self.report)(AofReport::Written(written));
        }
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
        let is_wanted = match self.fsync {
            _ if self.is_suspended => false,
            Appendfsync::Always => true,
            Appendfsync::Everysec => now_ns.saturating_sub(self.last_sync_ns) >= SECOND_NS,
            Appendfsync::No => false,
        };
        // A disk that has failed has to show that it works.
        let is_due = is_wanted || self.owes_sync() || self.failed_ns.is_some();
        if is_due && self.log.has_unsynced() { self.sync() } else { Ok(()) }
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

    /// Tells the latency monitor about work that took long.
    fn tell_slow(&self, work: AofWork, begun_ns: u64) {
        let slow_ns = self.gauges.slow_ns.load(Ordering::Relaxed);
        let ns = self.clock.monotonic_ns().saturating_sub(begun_ns);
        if slow_ns > 0 && ns >= slow_ns {
            (self.report)(AofReport::Slow(work, ns));
        }
    }

    /// Tells the owner what has changed: what is safe, what fails, what works again.
    fn note(&mut self, result: Result<(), LogError>) {
        match result {
            Ok(()) => {
                if self.failed_ns.take().is_some() {
                    let rewrite = self.log.is_doubtful();
                    self.log.trust();
                    (self.report)(AofReport::Healed { rewrite });
                }
                self.tell_written();
                if self.promised > self.reported && self.log.synced_to() > self.reported {
                    self.reported = self.log.synced_to();
                    (self.report)(AofReport::Synced(self.reported));
                    self.log.keep_unsynced(self.is_strict() || self.owes_sync());
                }
            }
            Err(error) => {
                self.failed_ns = Some(self.clock.monotonic_ns());
                let on_fsync = matches!(error, LogError::Sync(_));
                (self.report)(AofReport::Failed { reason: words(error.io()), on_fsync });
            }
        }
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

    fn prepare(&mut self, file: Option<&[u8]>, manifest: Option<Vec<u8>>) -> Result<(), String> {
        self.folder
            .make()
            .map_err(|error| format!("Can't open or create append-only dir: {}", words(&error)))?;
        self.prepared = None;
        let Some(file) = file else { return Ok(()) };
        let name = String::from_utf8_lossy(file);
        let created = self.folder.create(file);
        let created =
            created.map_err(|error| format!("Can't open the append-only file {name}: {}", words(&error)))?;
        self.prepared = Some((created, manifest));
        Ok(())
    }

    /// Goes on in the prepared file, if the open one can be finished: what belongs before the base
    /// must not stand behind it, and a file that is not the last must not end in the middle of a
    /// command.
    fn switch(&mut self, number: u64) {
        let result = self.flush();
        let finished = result.as_ref().map_err(|error| {
            let reason = words(error.io());
            format!("Can't finish the AOF file: {reason}")
        });
        let finished = finished.map(drop);
        self.note(result);
        if let Err(reason) = finished.and_then(|()| self.begin_prepared()) {
            (self.report)(AofReport::Prepared(number, Err(reason)));
        }
    }

    /// Lists the prepared file and goes on in it.
    fn begin_prepared(&mut self) -> Result<(), String> {
        let (file, manifest) = self.prepared.take().ok_or("There is no AOF file to go on in")?;
        if let Some(manifest) = manifest {
            self.list(&manifest)?;
        }
        self.log.begin(file, 0);
        Ok(())
    }

    fn discard(&mut self, file: Vec<u8>) {
        self.end();
        self.failed_ns = None;
        self.release_all();
        ::log::info!("Removing the temp incr aof file {} in the background", String::from_utf8_lossy(&file));
        self.folder.unlink(&file);
    }

    fn install(
        &mut self,
        base: &(String, Vec<u8>),
        incr: Option<&[u8]>,
        manifest: &[u8],
    ) -> Result<u64, String> {
        let name = String::from_utf8_lossy(&base.1);
        let length = self.folder.adopt(&base.0, &base.1).map_err(|error| {
            format!(
                "Error trying to rename the temporary AOF base file {} into {name}: {}",
                base.0,
                words(&error)
            )
        })?;
        ::log::info!("Successfully renamed the temporary AOF base file {} into {name}", base.0);
        if let Some(incr) = incr {
            let (from, to) = (self.names.temporary_incr(), String::from_utf8_lossy(incr));
            let shown = String::from_utf8_lossy(&from);
            self.folder.rename(&from, incr).map_err(|error| {
                format!(
                    "Error trying to rename the temporary AOF incr file {shown} into {to}: {}",
                    words(&error)
                )
            })?;
            ::log::info!("Successfully renamed the temporary AOF incr file {shown} into {to}");
        }
        self.list(manifest)?;
        Ok(length)
    }

    fn list(&mut self, manifest: &[u8]) -> Result<(), String> {
        let (name, temporary) = (self.names.manifest(), self.names.temporary_manifest());
        self.folder.replace(&name, &temporary, manifest).map_err(|error| {
            format!("Can't write the AOF manifest file {}: {}", String::from_utf8_lossy(&name), words(&error))
        })
    }

    fn close(&mut self) {
        match self.flush() {
            Ok(()) => self.release_all(),
            Err(error) => {
                ::log::warn!("Fail to fsync the AOF file: {}", words(error.io()));
                (self.report)(AofReport::Lost(u64::MAX));
            }
        }
        self.failed_ns = None;
        self.end();
    }

    fn end(&mut self) {
        self.log.end();
        (self.prepared, self.to_attach) = (None, None);
        self.gauges.written.store(self.log.written_to(), Ordering::Relaxed);
    }

    /// Nobody waits for a file that is closed.
    fn release_all(&mut self) {
        (self.report)(AofReport::Synced(u64::MAX));
    }
}

/// What the system said, without Rust's `(os error 28)`.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
