//! A whole server and its append-only file without a thread: everybody does what there is to do
//! when [`World::pump`] says so, and time is moved by hand.

use crate::persistence::{AofFile, AofOrder, AofReport, LoadPiece, SaveJob, SaveReport};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use crossbeam_channel::{Receiver, unbounded};

use super::disk::{Content, Disk, FaultyFile, FaultyFolder, Image, Shared};
use crate::aof::{Manifest, Names};
use crate::base::ClientId;
use crate::commands::testing::TestServer;
use crate::config::Appendfsync;
use crate::engine::aof::Writer;
use crate::engine::aof::housekeeper::{Chore, Housekeeper};
use crate::engine::loader::Source;
use crate::engine::saver::Saving;
use crate::keyspace::Parcel;
use crate::server::{Aof, AofOpened, AofState, Clock, Task};

/// Nothing keeps anybody busy for as many turns.
const TURNS: usize = 10_000;

/// Nanoseconds.
#[derive(Clone, Default)]
pub(super) struct HandClock(pub Rc<Cell<u64>>);

impl Clock for HandClock {
    fn wall_us(&self) -> i64 {
        0
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.get()
    }
}

thread_local! {
    /// Promises, and files that keep them: most runs come to the same ones again.
    static FOUND: RefCell<HashSet<(Vec<u64>, Image)>> = RefCell::default();
}

pub(super) type Report = Box<dyn Fn(AofReport)>;

/// The server, the threads that are no threads here, and the disk.
pub(super) struct World {
    pub server: TestServer,
    pub writer: Writer<FaultyFolder, Report, HandClock>,
    housekeeper: Housekeeper<FaultyFolder, HandClock>,
    chores: Receiver<Chore<FaultyFile>>,
    /// True when chores are done only when time passes, after everything else.
    is_late: bool,
    pub reports: Rc<RefCell<Vec<AofReport>>>,
    pub disk: Rc<RefCell<Disk>>,
    pub clock: HandClock,
    saving: Option<(SaveJob, Vec<Parcel>)>,
    pub clients: u64,
    pub waiting: Vec<Waiting>,
    pub acknowledged: Vec<u64>,
    /// The changes that were acknowledged and pushed with `always`.
    promised: Vec<u64>,
    context: String,
}

/// A client that has no answer yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    client: u64,
    element: u64,
    is_strict: bool,
}

impl World {
    pub(super) fn new(is_on: bool, fsync: Appendfsync, disk: Disk, context: &str) -> World {
        let mut server = TestServer::with(|config| {
            config.appendonly = is_on;
            config.appendfsync = fsync;
            config.auto_aof_rewrite_percentage = 0;
            config.save.clear();
        });
        let disk = Rc::new(RefCell::new(disk));
        let names = Aof::names(&server.server.rooms.config);
        let mut manifest = Manifest::default();
        if is_on {
            let incr = manifest.next_incr(&names);
            let listed = Content { bytes: manifest.to_text(), on_disk: manifest.to_text() };
            for (name, content) in [(incr, Content::default()), (names.manifest(), listed)] {
                disk.borrow_mut().names.insert(name, Rc::new(RefCell::new(content)));
            }
            let files = disk.borrow().names.clone();
            disk.borrow_mut().names_on_disk = files;
        }
        server.server.aof_opened(AofOpened { manifest, ..AofOpened::default() });
        let reports = Rc::<RefCell<Vec<AofReport>>>::default();
        let (told, clock) = (Rc::clone(&reports), HandClock::default());
        let report: Report = Box::new(move |report| told.borrow_mut().push(report));
        let gauges = server.server.rooms.persistence.aof.gauges.clone();
        let folder = FaultyFolder(Rc::clone(&disk));
        let (asked, chores) = unbounded();
        let writer =
            Writer::new(folder.clone(), asked, std::sync::Arc::clone(&gauges), report, clock.clone());
        let housekeeper = Housekeeper { folder, names, gauges, clock: clock.clone() };
        let is_late = disk.borrow().is_late;
        World {
            server,
            writer,
            housekeeper,
            chores,
            is_late,
            reports,
            disk,
            clock,
            saving: None,
            clients: 1,
            waiting: Vec::new(),
            acknowledged: Vec::new(),
            promised: Vec::new(),
            context: context.to_owned(),
        }
    }

    /// Lets everybody do what there is to do.
    pub(super) fn pump(&mut self) {
        let is_idle = (0..TURNS).any(|_| !self.turn());
        assert!(is_idle, "{}: the work does not end", self.context);
        self.listen();
    }

    /// Lets everybody do something. Returns whether there was anything to do.
    fn turn(&mut self) -> bool {
        let mut is_idle = true;
        for task in self.server.server.take_tasks() {
            is_idle = false;
            match task {
                Task::Save(job) => self.saving = Some((job, Vec::new())),
                Task::HandOver(parcel) => self.saving.as_mut().unwrap().1.push(parcel),
                Task::CancelSave => self.saving = None,
                _ => {}
            }
        }
        let orders: Vec<AofOrder> = self.server.server.rooms.persistence.aof.take_orders();
        is_idle &= orders.is_empty();
        orders.into_iter().for_each(|order| self.writer.take(order));
        self.writer.commit();
        self.check_promised();
        is_idle &= self.is_late || !self.keep_house();
        let reports = std::mem::take(&mut *self.reports.borrow_mut());
        is_idle &= reports.is_empty();
        reports.into_iter().for_each(|report| self.server.server.aof_report(report));
        self.server.advance(0);
        !is_idle || self.write_base()
    }

    /// Writes the base, if there is one to write.
    fn write_base(&mut self) -> bool {
        let Some((job, parcels)) = self.saving.take() else { return false };
        let (id, reason, path) = (job.id, job.reason, job.path.clone());
        let (sender, received) = unbounded();
        parcels.into_iter().for_each(|parcel| sender.send(parcel).unwrap());
        let (handle, _queue) = crate::engine::channel();
        let saving = Saving { job, parcels: received, is_cancelled: std::sync::Arc::default(), handle };
        let mut file = FaultyFolder(Rc::clone(&self.disk)).file(Shared::default());
        let result = saving.write(&mut file).map_err(|error| error.to_string());
        let result = result.and_then(|()| file.force().map_err(|error| error.to_string()));
        if result.is_ok() {
            self.disk.borrow_mut().outside.insert(path, file.content);
        }
        self.server.server.saved(&SaveReport { job: id, reason, result });
        self.server.advance(0);
        true
    }

    /// Does one chore. Returns whether there was one.
    pub(super) fn keep_house(&mut self) -> bool {
        let Ok(chore) = self.chores.try_recv() else { return false };
        let done = self.housekeeper.carry_out(chore);
        self.check_promised();
        self.writer.hear(done);
        self.writer.commit();
        self.check_promised();
        true
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.pump();
        let has_ended = (0..TURNS).any(|_| {
            let was_busy = self.is_late && self.keep_house();
            self.pump();
            !was_busy
        });
        assert!(has_ended, "{}: the chores do not end", self.context);
        self.clock.0.set(self.clock.0.get() + ms * 1_000_000);
        self.server.advance(ms as i64);
        self.pump();
    }

    /// A new client pushes `element`, every third time within a transaction.
    pub(super) fn push(&mut self, element: u64) {
        self.clients += 1;
        self.server.connect(self.clients);
        let push = format!("RPUSH l {element}");
        let lines = ["MULTI", "INCR n", &push, "INCR m", "EXEC"];
        let lines = if element.is_multiple_of(3) { &lines[..] } else { &lines[2..3] };
        let answer = self.server.pipeline_as(self.clients, lines);
        let rooms = &self.server.server.rooms;
        let is_kept = rooms.persistence.aof.state == AofState::On;
        let is_strict = is_kept && rooms.config.appendfsync == Appendfsync::Always;
        self.waiting.push(Waiting { client: self.clients, element, is_strict });
        self.take_answer(self.waiting.len() - 1, &answer);
    }

    fn take_answer(&mut self, index: usize, answer: &str) {
        if answer.is_empty() {
            return;
        }
        let Waiting { element, is_strict, .. } = self.waiting.remove(index);
        if !answer.contains("MISCONF") {
            assert!(answer.contains("(integer)"), "{answer}");
            self.acknowledged.push(element);
            self.promised.extend(is_strict.then_some(element));
        }
    }

    /// Hears who is answered at last.
    fn listen(&mut self) {
        for index in (0..self.waiting.len()).rev() {
            let answer = self.server.output_of(self.waiting[index].client);
            self.take_answer(index, &answer);
        }
        // A client whose writes are lost, because the file was closed, is told nothing.
        let closed = &self.server.closed;
        self.waiting.retain(|waiting| !closed.contains(&ClientId(waiting.client)));
        self.check_promised();
    }

    pub(super) fn order(&mut self, line: &str) -> String {
        self.clients += 1;
        self.server.connect(self.clients);
        self.server.run_as(self.clients, line)
    }

    /// Checks that `image` holds all that was acknowledged, and nothing of it is torn.
    pub(super) fn check(&self, image: &Image, context: &str) {
        let (list, n, m) = loaded(image, context);
        assert_eq!(n, m, "{context}: half a transaction");
        for element in &self.acknowledged {
            assert!(list.contains(&element.to_string()), "{context}: {element} is lost of {list:?}");
        }
        let mut sorted = list.clone();
        sorted.sort_by_key(|element| element.parse::<u64>().unwrap());
        sorted.dedup();
        assert_eq!(list, sorted, "{context}: twice, or out of order");
    }

    /// Checks that all that was acknowledged with `always` is in the file and on disk, whatever has
    /// failed. Up to the operation that fails, runs are alike, and each looks at its last step
    /// there.
    fn check_promised(&self) {
        let disk = self.disk.borrow();
        if self.promised.is_empty() || disk.operations < disk.fails_at {
            return;
        }
        let names = Aof::names(&self.server.server.rooms.config);
        for (image, what) in [(disk.after_kill(), "kill"), (disk.after_power_cut(), "power cut")] {
            let checked = (self.promised.clone(), before_hole(image, &names));
            if FOUND.with_borrow(|found| found.contains(&checked)) {
                continue;
            }
            let context = format!("{}, a {what} after {} operations", self.context, disk.operations);
            let list = loaded(&checked.1, &context).0;
            for element in &self.promised {
                assert!(list.contains(&element.to_string()), "{context}: {element} is lost of {list:?}");
            }
            FOUND.with_borrow_mut(|found| found.insert(checked));
        }
    }

    /// Checks that only the end is missing in `image`.
    pub(super) fn check_beginning(&mut self, image: &Image, context: &str) {
        let (found, live) = (loaded(image, context).0, self.live());
        assert!(live.starts_with(&found), "{context}: {found:?} of {live:?}");
    }

    /// True when more was acknowledged than the files hold, as Redis does when they cannot be
    /// written, or the kernel has dropped something.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.server.server.rooms.persistence.aof.error.is_some() || self.disk.borrow().has_dropped
    }

    /// The disk is mended: everything that waits is done, and the files are whole. Returns whether
    /// it had failed.
    pub(super) fn mend(&mut self, context: &str) -> bool {
        let has_failed = {
            let mut disk = self.disk.borrow_mut();
            let fails_at = std::mem::replace(&mut disk.fails_at, u32::MAX);
            disk.operations > fails_at
        };
        for _ in 0..3 {
            self.pass(1100);
        }
        assert_eq!(self.waiting, [], "{context}: nobody waits for ever");
        assert_eq!(self.server.server.rooms.persistence.aof.error, None, "{context}");
        has_failed
    }

    pub(super) fn live(&mut self) -> Vec<String> {
        elements(&self.server.run("LRANGE l 0 -1"))
    }
}

/// The files as a reader finds them who stops where zeros stand instead of commands. A hole stays
/// where the disk refuses to cut it off, and, up to the next rewrite, where nobody had been
/// promised what is missing.
fn before_hole(mut image: Image, names: &Names) -> Image {
    let manifest = image.get(&names.manifest()).and_then(|text| Manifest::parse(text).ok());
    let mut has_hole = false;
    for file in manifest.iter().flat_map(Manifest::files).filter(|file| file.name.ends_with(b".incr.aof")) {
        let Some(bytes) = image.get_mut(&file.name) else { continue };
        let hole = bytes.iter().position(|&byte| byte == 0);
        bytes.truncate(if has_hole { 0 } else { hole.unwrap_or(bytes.len()) });
        has_hole |= hole.is_some();
    }
    image
}

fn elements(shown: &str) -> Vec<String> {
    shown.lines().filter_map(|line| Some(line.split('"').nth(1)?.to_owned())).collect()
}

/// Returns what a server finds in the files: the list and the two counters.
pub(super) fn loaded(image: &Image, context: &str) -> (Vec<String>, String, String) {
    let mut server = TestServer::new();
    let names = Aof::names(&server.server.rooms.config);
    let manifest = image.get(&names.manifest()).unwrap_or_else(|| panic!("{context}: no manifest"));
    let manifest = Manifest::parse(manifest).unwrap_or_else(|error| panic!("{context}: {error}"));
    let job = server.server.expect_load();
    let take = |piece| server.server.load_piece(piece).map_err(|line| panic!("{context}: {line}"));
    let mut source = Source::new(&job, take);
    let mut torn = None;
    for file in manifest.files() {
        let name = String::from_utf8_lossy(&file.name).into_owned();
        let bytes = image.get(&file.name).unwrap_or_else(|| panic!("{context}: {name} is not there"));
        let part =
            AofFile { path: (&name).into(), name, is_empty: false, is_base: false, is_old_style: false };
        assert!((source.send)(LoadPiece::File(part.clone())).is_ok());
        let cut = source.read_part(&part, &bytes[..], 0, true);
        let cut = cut.unwrap_or_else(|line| panic!("{context}: {line}"));
        assert!(torn.is_none() || bytes.is_empty(), "{context}: {torn:?} is torn and not the last");
        torn = torn.or(cut.map(|_| part.name));
        assert!((source.send)(LoadPiece::FileEnd).is_ok());
    }
    server.server.aof_load_ended();
    (elements(&server.run("LRANGE l 0 -1")), server.run("GET n"), server.run("GET m"))
}
