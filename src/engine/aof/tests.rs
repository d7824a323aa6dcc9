//! A whole server and its append-only file on a disk that fails: every operation once, or from one
//! on until the disk is mended. No thread and no real disk; time is moved by hand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use crossbeam_channel::{Receiver, unbounded};

use super::Writer;
use super::disk::{Folder, LogFile};
use super::housekeeper::{Chore, Housekeeper};
use crate::aof::Manifest;
use crate::base::ClientId;
use crate::commands::testing::TestServer;
use crate::config::Appendfsync;
use crate::engine::loader::Source;
use crate::engine::saver::Saving;
use crate::keyspace::Parcel;
use crate::server::{
    Aof, AofFile, AofOpened, AofOrder, AofReport, AofState, Clock, LoadPiece, SaveJob, SaveReport, Task,
};

/// A file: what a process reads, and what a power cut leaves.
#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    on_disk: Vec<u8>,
}

type Shared = Rc<RefCell<Content>>;
type Image = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
struct Disk {
    names: BTreeMap<Vec<u8>, Shared>,
    names_on_disk: BTreeMap<Vec<u8>, Shared>,
    /// Files of the working folder.
    outside: BTreeMap<String, Shared>,
    /// Operations so far.
    operations: u32,
    /// The first operation that fails.
    fails_at: u32,
    /// And all that follow.
    stays_broken: bool,
    /// A write that fails takes so many bytes.
    torn: usize,
    /// Whether the housekeeper is slow.
    is_late: bool,
    /// A sync has failed: the kernel may have dropped what was written.
    has_dropped: bool,
}

impl Disk {
    /// Counts an operation.
    fn operate(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        if number == self.fails_at || self.stays_broken && number > self.fails_at {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// What a killed process leaves.
    fn after_kill(&self) -> Image {
        let files = self.names.iter();
        files.map(|(name, file)| (name.clone(), file.borrow().bytes.clone())).collect()
    }

    /// What a power cut leaves.
    fn after_power_cut(&self) -> Image {
        let files = self.names_on_disk.iter();
        files.map(|(name, file)| (name.clone(), file.borrow().on_disk.clone())).collect()
    }
}

#[derive(Clone)]
struct FaultyFolder(Rc<RefCell<Disk>>);

struct FaultyFile {
    disk: Rc<RefCell<Disk>>,
    content: Shared,
}

impl FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut content = self.content.borrow_mut();
        let mut disk = self.disk.borrow_mut();
        if let Err(error) = disk.operate() {
            let torn = disk.torn.min(bytes.len());
            content.bytes.extend_from_slice(&bytes[..torn]);
            return Err(error);
        }
        // Half of it first, as disks may do.
        let count = bytes.len().div_ceil(2).max(bytes.len().min(64));
        content.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn force(&mut self) -> io::Result<()> {
        let mut content = self.content.borrow_mut();
        let mut disk = self.disk.borrow_mut();
        if let Err(error) = disk.operate() {
            disk.has_dropped = true;
            let safe = content.on_disk.len();
            content.bytes[safe..].fill(0);
            return Err(error);
        }
        content.on_disk = content.bytes.clone();
        Ok(())
    }
}

impl LogFile for FaultyFile {
    fn twin(&self) -> io::Result<Self> {
        self.disk.borrow_mut().operate()?;
        Ok(FaultyFile { disk: Rc::clone(&self.disk), content: Rc::clone(&self.content) })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.disk.borrow_mut().operate()?;
        let mut content = self.content.borrow_mut();
        content.bytes.truncate(length as usize);
        let on_disk = content.on_disk.len().min(length as usize);
        content.on_disk.truncate(on_disk);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.force()
    }
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FaultyFolder {
    fn file(&self, content: Shared) -> FaultyFile {
        FaultyFile { disk: Rc::clone(&self.0), content }
    }

    /// Forces names to disk.
    fn sync(&self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.operate()?;
        disk.names_on_disk = disk.names.clone();
        Ok(())
    }

    fn insert(&self, name: &[u8], content: Shared) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.operate()?;
        disk.names.insert(name.to_vec(), content);
        Ok(())
    }
}

impl Folder for FaultyFolder {
    type File = FaultyFile;

    fn make(&mut self) -> io::Result<()> {
        self.0.borrow_mut().operate()
    }

    fn create(&mut self, name: &[u8]) -> io::Result<FaultyFile> {
        let content = Shared::default();
        self.insert(name, Rc::clone(&content))?;
        Ok(self.file(content))
    }

    fn open(&mut self, name: &[u8]) -> io::Result<(FaultyFile, u64)> {
        self.0.borrow_mut().operate()?;
        let content = Rc::clone(self.0.borrow_mut().names.entry(name.to_vec()).or_default());
        let length = content.borrow().bytes.len() as u64;
        Ok((self.file(content), length))
    }

    fn replace(&mut self, name: &[u8], temporary: &[u8], text: &[u8]) -> io::Result<()> {
        let mut file = self.create(temporary)?;
        file.write_all(text)?;
        file.force()?;
        let content = Rc::clone(&file.content);
        self.insert(name, content)?;
        self.0.borrow_mut().names.remove(temporary);
        self.sync()
    }

    fn adopt(&mut self, path: &str, name: &[u8]) -> io::Result<u64> {
        let content = self.0.borrow_mut().outside.remove(path).ok_or(io::ErrorKind::NotFound)?;
        let length = content.borrow().bytes.len() as u64;
        self.insert(name, content)?;
        self.sync()?;
        Ok(length)
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> io::Result<()> {
        let content = self.0.borrow().names.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        self.insert(to, content)?;
        self.0.borrow_mut().names.remove(from);
        self.sync()
    }

    fn unlink(&mut self, name: &[u8]) {
        self.0.borrow_mut().names.remove(name);
    }

    fn remove(&mut self, names: Vec<Vec<u8>>) {
        names.iter().for_each(|name| self.unlink(name));
    }
}

/// Nanoseconds.
#[derive(Clone, Default)]
struct HandClock(Rc<Cell<u64>>);

impl Clock for HandClock {
    fn wall_us(&self) -> i64 {
        0
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.get()
    }
}

type Report = Box<dyn Fn(AofReport)>;

/// The server, the threads that are no threads here, and the disk.
struct World {
    server: TestServer,
    writer: Writer<FaultyFolder, Report, HandClock>,
    housekeeper: Housekeeper<FaultyFolder, HandClock>,
    chores: Receiver<Chore<FaultyFile>>,
    /// Whether chores are done only when time passes, after everything else.
    is_late: bool,
    reports: Rc<RefCell<Vec<AofReport>>>,
    disk: Rc<RefCell<Disk>>,
    clock: HandClock,
    saving: Option<(SaveJob, Vec<Parcel>)>,
    clients: u64,
    /// Clients that have no answer yet, with what they pushed.
    waiting: Vec<(u64, u64)>,
    acknowledged: Vec<u64>,
}

impl World {
    fn new(is_on: bool, fsync: Appendfsync, disk: Disk) -> World {
        let mut server = TestServer::with(|config| {
            config.appendonly = is_on;
            config.appendfsync = fsync;
            config.auto_aof_rewrite_percentage = 0;
            config.save.clear();
        });
        // Nobody but the file reads what is propagated.
        server.server.rooms.propagation.unsubscribe();
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
        let (clients, waiting, acknowledged) = (1, Vec::new(), Vec::new());
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
            clients,
            waiting,
            acknowledged,
        }
    }

    /// Lets everybody do what there is to do.
    fn pump(&mut self) {
        loop {
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
            is_idle &= self.is_late || !self.keep_house();
            let reports = std::mem::take(&mut *self.reports.borrow_mut());
            is_idle &= reports.is_empty();
            reports.into_iter().for_each(|report| self.server.server.aof_report(report));
            self.server.advance(0);
            if is_idle && !self.write_base() {
                break;
            }
        }
        self.listen();
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
    fn keep_house(&mut self) -> bool {
        let Ok(chore) = self.chores.try_recv() else { return false };
        let done = self.housekeeper.carry_out(chore);
        self.writer.hear(done);
        self.writer.commit();
        true
    }

    fn pass(&mut self, ms: u64) {
        self.pump();
        while self.is_late && self.keep_house() {
            self.pump();
        }
        self.clock.0.set(self.clock.0.get() + ms * 1_000_000);
        self.server.advance(ms as i64);
        self.pump();
    }

    /// A new client pushes `element`, every third time within a transaction.
    fn push(&mut self, element: u64) {
        self.clients += 1;
        self.server.connect(self.clients);
        let push = format!("RPUSH l {element}");
        let lines = ["MULTI", "INCR n", &push, "INCR m", "EXEC"];
        let lines = if element.is_multiple_of(3) { &lines[..] } else { &lines[2..3] };
        let answer = self.server.pipeline_as(self.clients, lines);
        self.waiting.push((self.clients, element));
        self.take_answer(self.waiting.len() - 1, &answer);
    }

    fn take_answer(&mut self, index: usize, answer: &str) {
        if answer.is_empty() {
            return;
        }
        let (_, element) = self.waiting.remove(index);
        if !answer.contains("MISCONF") {
            assert!(answer.contains("(integer)"), "{answer}");
            self.acknowledged.push(element);
        }
    }

    /// Hears who is answered at last.
    fn listen(&mut self) {
        for index in (0..self.waiting.len()).rev() {
            let answer = self.server.output_of(self.waiting[index].0);
            self.take_answer(index, &answer);
        }
        // Whose writes are lost, because the file was closed, is told nothing.
        let closed = &self.server.closed;
        self.waiting.retain(|(client, _)| !closed.contains(&ClientId(*client)));
    }

    fn order(&mut self, line: &str) -> String {
        self.clients += 1;
        self.server.connect(self.clients);
        self.server.run_as(self.clients, line)
    }

    /// What was acknowledged is in `image`, and nothing of it is torn.
    fn check(&self, image: &Image, context: &str) {
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

    /// What is missing in `image` is the end.
    fn check_beginning(&mut self, image: &Image, context: &str) {
        let (found, live) = (loaded(image, context).0, self.live());
        assert!(live.starts_with(&found), "{context}: {found:?} of {live:?}");
    }

    /// Whether more was acknowledged than the files hold, as Redis does when they cannot be
    /// written, or the kernel has dropped something.
    fn is_in_doubt(&self) -> bool {
        self.server.server.rooms.persistence.aof.error.is_some() || self.disk.borrow().has_dropped
    }

    /// The disk is mended: everything that waits is done, and the files are whole. Returns whether
    /// it had failed.
    fn mend(&mut self, context: &str) -> bool {
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

    fn live(&mut self) -> Vec<String> {
        elements(&self.server.run("LRANGE l 0 -1"))
    }
}

fn elements(shown: &str) -> Vec<String> {
    shown.lines().filter_map(|line| Some(line.split('"').nth(1)?.to_owned())).collect()
}

/// What a server finds in the files: the list and the two counters.
fn loaded(image: &Image, context: &str) -> (Vec<String>, String, String) {
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
        let part = AofFile { path: (&name).into(), name, is_base: false, is_old_style: false };
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

const POLICIES: [Appendfsync; 3] = [Appendfsync::Always, Appendfsync::Everysec, Appendfsync::No];

/// Runs `scenario` with a disk that fails at each operation in turn, until a run needs fewer
/// operations: it says whether it came to the one that fails.
fn at_every_operation(scenario: impl Fn(Disk, Appendfsync, &str) -> bool) {
    for fsync in POLICIES {
        for (stays_broken, torn, is_late) in [
            (false, 0, false),
            (false, 5, false),
            (true, 0, false),
            (true, 5, false),
            (false, 5, true),
            (true, 5, true),
        ] {
            let mut fails_at = 0;
            loop {
                let context = format!(
                    "{fsync:?}, fails at {fails_at}, for good: {stays_broken}, torn: {torn}, late: {is_late}"
                );
                let disk = Disk { fails_at, stays_broken, torn, is_late, ..Disk::default() };
                if !scenario(disk, fsync, &context) {
                    break;
                }
                fails_at += 1;
            }
            assert!(fails_at > 20, "{fails_at} operations");
        }
    }
}

#[test]
fn whatever_fails_nothing_acknowledged_is_lost_nobody_hangs_and_it_heals() {
    at_every_operation(|disk, fsync, context| {
        let mut world = World::new(true, fsync, disk);
        for element in 1..=10 {
            world.push(element);
            if element == 4 {
                world.order("BGREWRITEAOF");
            }
            world.pass(260);
            let (after_kill, after_power_cut) =
                (world.disk.borrow().after_kill(), world.disk.borrow().after_power_cut());
            if fsync == Appendfsync::Always {
                world.check(&after_power_cut, context);
            } else if !world.is_in_doubt() {
                world.check(&after_kill, context);
                world.check_beginning(&after_power_cut, context);
            }
        }
        let has_failed = world.mend(context);
        world.push(11);
        world.pass(1100);
        assert!(world.acknowledged.contains(&11), "{context}: it takes writes again");
        let image = world.disk.borrow().after_kill();
        let live = world.live();
        assert_eq!(loaded(&image, context).0, live, "{context}");
        assert_eq!(world.order("BGREWRITEAOF"), "", "{context}: its files are to be made first");
        world.pass(1100);
        assert!(world.server.output_of(world.clients).contains("started"), "{context}");
        let image = world.disk.borrow().after_power_cut();
        assert_eq!(loaded(&image, context).0, live, "{context}");
        assert!(world.server.run("INFO persistence").contains("aof_last_bgrewrite_status:ok"), "{context}");
        has_failed
    });
}

#[test]
fn the_policy_may_change_while_it_fails() {
    at_every_operation(|disk, fsync, context| {
        let mut world = World::new(true, fsync, disk);
        for element in 1..=12 {
            world.push(element);
            let policy = ["always", "no", "everysec"][element as usize % 3];
            assert_eq!(world.order(&format!("CONFIG SET appendfsync {policy}")), "OK");
            world.pass(130);
            if !world.is_in_doubt() {
                let image = world.disk.borrow().after_kill();
                world.check(&image, context);
            }
        }
        let has_failed = world.mend(context);
        world.push(13);
        world.pass(1100);
        assert!(world.acknowledged.contains(&13), "{context}: it takes writes again");
        let image = world.disk.borrow().after_kill();
        assert_eq!(loaded(&image, context).0, world.live(), "{context}");
        has_failed
    });
}

#[test]
fn it_may_be_turned_on_and_off_while_the_disk_fails() {
    at_every_operation(|disk, fsync, context| {
        let mut world = World::new(false, fsync, disk);
        for element in 1..=9 {
            world.push(element);
            if element % 3 == 1 {
                let wanted = if element == 4 { "no" } else { "yes" };
                world.order(&format!("CONFIG SET appendonly {wanted}"));
            }
            world.pass(260);
        }
        let has_failed = world.mend(context);
        if !world.server.server.rooms.config.appendonly {
            assert_eq!(world.order("CONFIG SET appendonly yes"), "", "{context}");
        }
        // Rewrites that keep failing are tried again after minutes.
        world.pass(61_000);
        world.pass(121_000);
        world.push(10);
        world.pass(1100);
        assert!(world.acknowledged.contains(&10), "{context}: it takes writes");
        assert_eq!(world.server.server.rooms.persistence.aof.state, AofState::On, "{context}");
        let image = world.disk.borrow().after_power_cut();
        let live = world.live();
        if fsync != Appendfsync::No {
            assert_eq!(loaded(&image, context).0, live, "{context}");
        }
        let image = world.disk.borrow().after_kill();
        assert_eq!(loaded(&image, context).0, live, "{context}");
        has_failed
    });
}

#[test]
fn with_everysec_and_no_writes_reach_the_file_while_others_are_forced_to_disk_listed_and_renamed() {
    for fsync in [Appendfsync::Everysec, Appendfsync::No] {
        let disk = Disk { fails_at: u32::MAX, is_late: true, ..Disk::default() };
        let mut world = World::new(true, fsync, disk);
        world.pump();
        let mut element = 0;
        let mut chores = 0;
        // Each step of two rewrites, and syncs between them, is as far as it gets: the disk does no
        // more for it.
        for _ in 0..16 {
            element += 1;
            world.push(element);
            if element % 8 == 1 {
                world.order("BGREWRITEAOF");
            }
            world.clock.0.set(world.clock.0.get() + 1_100_000_000);
            world.pump();
            assert_eq!(world.waiting, [], "{fsync:?}: {element} waits for something else");
            assert_eq!(world.acknowledged.last(), Some(&element));
            let image = world.disk.borrow().after_kill();
            world.check(&image, &format!("{fsync:?}, {element}"));
            chores += u32::from(world.keep_house());
        }
        assert!(chores >= 6, "{fsync:?}: {chores}");
    }
}

#[test]
fn what_is_to_be_told_when_everything_before_is_done_waits_for_the_housekeeper() {
    for (order, told) in [
        (AofOrder::Flush, "Flushed"),
        (AofOrder::Reload, "MayReload"),
        (AofOrder::Pass(ClientId(1)), "Passed"),
    ] {
        let disk = Disk { fails_at: u32::MAX, is_late: true, ..Disk::default() };
        let mut world = World::new(true, Appendfsync::Everysec, disk);
        world.pump();
        let number = 0;
        world.writer.take(AofOrder::Prepare { number, file: Some(b"new".to_vec()), manifest: None });
        world.writer.take(order);
        world.writer.take(AofOrder::Append { bytes: b"*1\r\n$4\r\nPING\r\n".to_vec(), end: 14 });
        world.writer.commit();
        assert!(world.reports.borrow().is_empty(), "{told}: {:?}", world.reports.borrow());
        while world.keep_house() {}
        let shown = format!("{:?}", world.reports.borrow());
        let (prepared, last) = (shown.find("Prepared"), shown.find(told));
        assert!(prepared.is_some() && prepared < last, "{told}: {shown}");
        assert_eq!(world.writer.log.written_to(), 14, "{told}");
    }
}
