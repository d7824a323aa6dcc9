//! The work that the server asks the engine for: one match over [`Task`].
//!
//! The server cannot touch files, threads or processes; it says what it wants, and the owner thread
//! does it here at the end of the turn. Work that takes long goes to a thread of its own that
//! reports back with an [`Event`]. The owner itself never sends events: it would wait for itself
//! when the queue is full.

use crate::base::text::os_reason;
use crate::persistence::{LoadJob, LoadPiece, LoadResult, SaveJob, SaveReason, SaveReport};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::affinity;
use super::aof::start::Opening;
use super::aof::{self, AofThread};
use super::event::{Event, Links};
use super::file_thread::FileThread;
use super::loader::{DELIVERIES, Loader};
use super::queue::Handle;
use super::saver::Saving;
use crate::base::alloc;
use crate::config::Text;
use crate::keyspace::Parcel;
use crate::memory::FreeJob;
use crate::server::{Aof, Server, Task};

/// Loads that may wait for the freeing thread before the owner frees them itself.
const GARBAGE_QUEUE: usize = 64;

/// The consequence of a task for the turn loop.
pub(super) enum Outcome {
    /// Go on.
    Continue,
    /// End the owner thread; the process exits with this code.
    Stop(i32),
}

/// The things that tasks need besides the server.
pub(super) struct Tasks {
    handle: Handle,
    links: Box<dyn Links>,
    /// To the thread that frees what is big, once there was something.
    garbage: Option<Sender<Chore>>,
    /// The append-only file's thread, once there was something to do for it.
    aof: Option<AofThread>,
    /// The tokens of the loading thread, taken back one by one.
    tokens: Option<Receiver<()>>,
    /// The pieces that the loading thread has delivered and the server has not taken in.
    arrivals: VecDeque<Arrival>,
    /// The append-only file that is being loaded.
    opening: Option<Opening>,
    /// The thread that reads and writes small files.
    file_thread: FileThread,
    /// The last saver thread.
    saver: Option<Saver>,
}

/// The work of the freeing thread.
enum Chore {
    Drop(FreeJob),
    /// Of all that is free.
    GiveBack,
}

impl Chore {
    fn run(self) {
        match self {
            Chore::Drop(garbage) => drop(garbage),
            Chore::GiveBack => alloc::give_back(),
        }
    }
}

/// One turn's part of a load.
enum Arrival {
    Piece(LoadPiece),
    /// The delivery was taken in.
    EndOfDelivery,
}

/// A thread that writes a snapshot.
struct Saver {
    /// The queue that takes its parcels, until it has the last.
    parcels: Option<Sender<Parcel>>,
    /// Makes it give up, up to the moment its file is in place.
    is_cancelled: Arc<AtomicBool>,
}

impl Tasks {
    /// Threads started for tasks report to `handle`, which also keeps the queue open while nobody
    /// is connected.
    pub(super) fn new(handle: Handle, links: Box<dyn Links>) -> Self {
        Tasks {
            handle,
            links,
            garbage: None,
            aof: None,
            tokens: None,
            arrivals: VecDeque::new(),
            opening: None,
            file_thread: FileThread::default(),
            saver: None,
        }
    }

    /// Carries out one task.
    pub(super) fn carry_out(&mut self, task: Task, server: &mut Server) -> Outcome {
        match task {
            Task::Stop { exit_code } => return Outcome::Stop(exit_code),
            Task::Save(job) => self.save(job, server),
            Task::Migrate(job) => {
                if let Err(report) = self.links.migrate(job) {
                    server.migrated(report);
                }
            }
            Task::File(job) => {
                let cpus = &server.rooms.config.bio_cpulist;
                let handle = self.handle.clone();
                let report = move |report| handle.send(Event::FileReported(report)).is_ok();
                if let Err(report) = self.file_thread.send(job, cpus, report) {
                    server.file_reported(report);
                }
            }
            Task::HandOver(parcel) => self.hand_over(parcel),
            Task::CancelSave => self.cancel_save(),
            Task::Load(job) => self.load(job, server),
            Task::Free(garbage) => self.free(Chore::Drop(garbage), &server.rooms.config.bio_cpulist),
            Task::GiveBack => self.free(Chore::GiveBack, &server.rooms.config.bio_cpulist),
            // Half a data set is not served.
            Task::LoadAof if aof::start::reload(server).is_err() => return Outcome::Stop(1),
            Task::LoadAof => {}
        }
        Outcome::Continue
    }

    /// Starts a thread that writes a snapshot from the parcels it is sent.
    fn save(&mut self, job: SaveJob, server: &mut Server) {
        // Never full: the walk bounds what is on its way.
        let (sender, parcels) = unbounded();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        self.saver = Some(Saver { parcels: Some(sender), is_cancelled: Arc::clone(&is_cancelled) });
        let (id, reason) = (job.id, job.reason);
        let saving = Saving { job, parcels, is_cancelled, handle: self.handle.clone() };
        let config = &server.rooms.config;
        let cpus = match reason {
            SaveReason::Rewrite => &config.aof_rewrite_cpulist,
            _ => &config.bgsave_cpulist,
        };
        let run = affinity::pinned(cpus, move || saving.run());
        if let Err(error) = Builder::new().name("saver".to_owned()).spawn(run) {
            let result = Err(format!("no thread to save with: {error}"));
            server.saved(&SaveReport { job: id, reason, result });
        }
    }

    /// Sends pages to the saver.
    fn hand_over(&mut self, parcel: Parcel) {
        let Some(saver) = &mut self.saver else { return };
        let is_last = parcel.is_last;
        if let Some(parcels) = &saver.parcels {
            // A saver that has failed takes no more; its report is on its way.
            let _ = parcels.send(parcel);
        }
        if is_last {
            saver.parcels = None;
        }
    }

    /// Starts a thread that reads what is on disk. If there is nothing, that is all.
    fn load(&mut self, mut job: LoadJob, server: &mut Server) {
        match aof::start::open(server) {
            Ok(opening) => self.opening = opening,
            Err(line) => return server.load_failed(line),
        }
        job.aof = self.opening.as_ref().map(|opening| opening.files(server));
        if job.is_empty() {
            return self.load_ended(Ok(None), server);
        }
        let (tokens, taken_back) = bounded(DELIVERIES);
        self.tokens = Some(taken_back);
        let loader = Loader { job, handle: self.handle.clone(), tokens };
        if let Err(error) = Builder::new().name("loader".to_owned()).spawn(move || loader.run()) {
            self.load_ended(Err(format!("no thread to load with: {error}")), server);
        }
    }

    /// Everything was read and taken in, or something is wrong.
    pub(super) fn load_ended(&mut self, result: LoadResult, server: &mut Server) {
        let Some(opening) = self.opening.take() else { return server.load_ended(&result) };
        let opened = result.map_err(aof::start::fatal).and_then(|end| {
            server.aof_read();
            self.aof_thread(server).map_err(aof::start::fatal)?;
            opening.finish(server, end.and_then(|end| end.cut_at))
        });
        match opened {
            Ok(()) => {
                server.aof_load_ended();
                server.begin_serving();
            }
            Err(line) => server.load_failed(line),
        }
    }

    /// Takes a delivery of the loading thread, piece by piece from the next turn on.
    pub(super) fn loaded(&mut self, pieces: Vec<LoadPiece>) {
        self.arrivals.extend(pieces.into_iter().map(Arrival::Piece));
        self.arrivals.push_back(Arrival::EndOfDelivery);
    }

    /// True when there is something to take in.
    pub(super) fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// Lets the server take in the next piece of what is loaded.
    pub(super) fn take_piece(&mut self, server: &mut Server) {
        match self.arrivals.pop_front() {
            None => {}
            Some(Arrival::Piece(piece)) => {
                if let Err(why) = server.load_piece(piece) {
                    // The thread ends when it finds nobody to give its next token to.
                    (self.tokens, self.arrivals) = (None, VecDeque::new());
                    match self.opening.take() {
                        Some(_) => server.load_failed(why),
                        None => server.load_ended(&Err(why)),
                    }
                }
            }
            Some(Arrival::EndOfDelivery) => {
                if let Some(tokens) = &self.tokens {
                    // The delivery came with one.
                    let _ = tokens.try_recv();
                }
            }
        }
    }

    fn cancel_save(&mut self) {
        if let Some(saver) = self.saver.take() {
            saver.is_cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Hands the server's orders to the append-only file's thread.
    pub(super) fn hand_to_aof(&mut self, server: &mut Server) {
        if !server.rooms.persistence.aof.has_orders() {
            return;
        }
        for order in server.rooms.persistence.aof.take_orders() {
            match self.aof_thread(server) {
                Ok(thread) => thread.send(order),
                Err(reason) => {
                    log::warn!("{reason}");
                    server.aof_order_failed(order, reason);
                }
            }
        }
    }

    /// The append-only file's thread, which is started when there is something to do for it. Errors
    /// in words.
    fn aof_thread(&mut self, server: &Server) -> Result<&AofThread, String> {
        let thread = match self.aof.take() {
            Some(thread) => thread,
            None => {
                let (config, gauges) = (&server.rooms.config, server.rooms.persistence.aof.gauges.clone());
                let (folder, cpus) = (config.appenddirname.as_bytes(), &config.bio_cpulist);
                AofThread::spawn(folder, Aof::names(config), gauges, self.handle.clone(), cpus)
                    .map_err(|error| format!("No thread for the append-only file: {}", os_reason(&error)))?
            }
        };
        Ok(self.aof.insert(thread))
    }

    /// Does `chore` on the freeing thread. If there is none or it is far behind, garbage is dropped
    /// here.
    fn free(&mut self, chore: Chore, cpus: &Text) {
        if self.garbage.is_none() {
            let (sender, receiver) = bounded::<Chore>(GARBAGE_QUEUE);
            let run = affinity::pinned(cpus, move || receiver.iter().for_each(Chore::run));
            self.garbage = Builder::new().name("free".to_owned()).spawn(run).ok().map(|_| sender);
        }
        if let Some(sender) = &self.garbage {
            let _dropped_here_when_full = sender.try_send(chore);
        }
    }
}
