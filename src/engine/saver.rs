//! The saver thread: writes the parcels of a snapshot walk to a temporary file, synced, then
//! renamed over the old.
//!
//! It takes parcels from a queue that the owner fills without waiting; how many are in it the walk
//! bounds ([`crate::keyspace::snapshot`]). Each parcel's pages are let go as they are encoded. The
//! owner learns of every parcel and of the end by an event. A save is given up by the flag it
//! shares with the owner, or by the end of the queue before the last parcel came.
//!
//! The folder always holds the old file or the whole new one; what is left of a save that did not
//! end is a file `temp-PID-JOB.rdb` or `temp-PID.rdb`, removed by the next start
//! ([`clean_folder`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::event::Event;
use super::os;
use super::queue::Handle;
use crate::aof::rewrite::CommandWriter;
use crate::aof::timestamp_line;
use crate::base::text::os_reason;
use crate::keyspace::{DbIndex, KeyView, Parcel, WalkedDb};
use crate::memory::Account;
use crate::persistence::{SaveFormat, SaveJob, SaveProgress, SaveReason, SaveReport, WholeSave};
use crate::rdb::{self, RdbError, SnapshotWriter};

/// The bytes that are written at once.
const BUFFER_BYTES: usize = 256 << 10;
/// The bytes that are written between two forced writes to disk when they are wanted bit by bit.
const SYNC_BYTES: usize = 32 << 20;
/// Time slice of the saver thread, which is never in a hurry.
const SLICE: Duration = Duration::from_millis(3);
/// Keys that are encoded before those who wait for a CPU may have it. Threads that are scheduled as
/// batches, as the owner and the workers are, would else wait for the kernel's next tick, up to 4
/// ms.
const KEYS_AT_A_TIME: u64 = 128;
/// The error that a save ends with when it is given up.
const GIVEN_UP: &str = "given up";

/// A save on its way, as its thread sees it.
pub(super) struct Saving {
    pub(super) job: SaveJob,
    pub(super) parcels: Receiver<Parcel>,
    pub(super) is_cancelled: Arc<AtomicBool>,
    pub(super) handle: Handle,
}

impl Saving {
    /// Writes the file and reports how that went.
    pub(super) fn run(self) {
        os::schedule_as_batch(SLICE);
        let temporary = match self.job.reason {
            // Redis: the last save of a process has its temporary file named after the process
            // alone.
            SaveReason::Shutdown => own_temporary_name(),
            _ => temporary_name(self.job.id),
        };
        let result = put_in_place(&temporary, &self.job.path, |file| {
            self.write(Synced { file, unsynced: 0, bit_by_bit: self.job.syncs_bit_by_bit })
        });
        let result = result.map_err(|fault| match self.job.reason {
            SaveReason::Rewrite => fault.error.to_string(),
            _ => fault.describe(&temporary, &self.job.path),
        });
        let report = SaveReport { job: self.job.id, reason: self.job.reason, result };
        // When the owner is gone nobody waits for the report.
        let _ = self.handle.send(Event::Saved(report));
    }

    /// Writes what the parcels hold.
    pub(super) fn write(&self, out: impl Write) -> Result<(), RdbError> {
        let _buffer = self.handle.ledger().charge(Account::SaveBuffer, BUFFER_BYTES as u64);
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        let mut writer = KeyWriter::begin(out, &self.job.format, self.job.dbs.clone())?;
        loop {
            let Ok(parcel) = self.parcels.recv() else { return Err(given_up()) };
            let (number, is_last) = (parcel.number, parcel.is_last);
            parcel.visit(|db, view| {
                writer.key(db, &view)?;
                self.job.keys_saved.store(writer.keys, Ordering::Relaxed);
                if writer.keys.is_multiple_of(KEYS_AT_A_TIME) {
                    thread::yield_now();
                }
                self.pause_after_key(writer.keys)
            })?;
            let progress = SaveProgress { job: self.job.id, parcel: number };
            if self.handle.send(Event::ParcelSaved(progress)).is_err() || self.is_cancelled() {
                return Err(given_up());
            }
            if is_last {
                break;
            }
        }
        writer.finish()?;
        if self.is_cancelled() { Err(given_up()) } else { Ok(()) }
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Sleeps as `rdb-key-save-delay` asks; a save that is given up does not.
    fn pause_after_key(&self, keys: u64) -> Result<(), RdbError> {
        let delay = self.job.delays.save_us.load(Ordering::Relaxed);
        if delay != 0 {
            if self.is_cancelled() {
                return Err(given_up());
            }
            sleep_after_key(delay, keys);
        }
        Ok(())
    }
}

/// Writes keys in either form.
struct KeyWriter<'o, W> {
    form: Form<'o, W>,
    /// Keys so far.
    keys: u64,
}

enum Form<'o, W> {
    Snapshot(SnapshotWriter<'o, W>),
    Commands(CommandWriter<W>, Option<DbIndex>),
}

impl<'o, W: Write> KeyWriter<'o, W> {
    fn begin(mut out: W, format: &'o SaveFormat, dbs: Vec<WalkedDb>) -> Result<Self, RdbError> {
        let form = match format {
            SaveFormat::Snapshot(options) => Form::Snapshot(SnapshotWriter::begin(out, options, dbs)?),
            SaveFormat::Commands { timestamp, functions } => {
                if let Some(secs) = timestamp {
                    out.write_all(&timestamp_line(*secs))?;
                }
                let mut writer = CommandWriter::new(out);
                functions.iter().try_for_each(|code| writer.library(code))?;
                Form::Commands(writer, None)
            }
        };
        Ok(KeyWriter { form, keys: 0 })
    }

    fn key(&mut self, db: DbIndex, view: &KeyView<'_>) -> Result<(), RdbError> {
        self.keys += 1;
        match &mut self.form {
            Form::Snapshot(writer) => writer.key(db, view),
            Form::Commands(writer, current) => {
                if current.replace(db) != Some(db) {
                    writer.select(db)?;
                }
                Ok(writer.key(view)?)
            }
        }
    }

    fn finish(self) -> Result<(), RdbError> {
        match self.form {
            Form::Snapshot(writer) => writer.finish().map(drop),
            Form::Commands(writer, _) => Ok(writer.into_inner().flush()?),
        }
    }
}

/// Sleeps for `delay_us` after a key; a negative delay means one microsecond after so many keys.
pub(super) fn sleep_after_key(delay_us: i64, keys: u64) {
    if delay_us > 0 {
        thread::sleep(Duration::from_micros(delay_us.unsigned_abs()));
    } else if keys.is_multiple_of(delay_us.unsigned_abs()) {
        thread::sleep(Duration::from_micros(1));
    }
}

/// Writes a snapshot while the caller waits, so that its path holds either the old file or the
/// whole new one.
pub fn write_whole(save: &WholeSave) -> Result<(), RdbError> {
    let result = put_in_place(&own_temporary_name(), &save.path, |file| {
        rdb::save(&save.snapshot, &save.options, BufWriter::with_capacity(BUFFER_BYTES, file)).map(drop)
    });
    result.map_err(|fault| fault.error)
}

/// The place where saving has failed, and the reason.
#[derive(Debug)]
struct SaveFault {
    step: SaveStep,
    error: RdbError,
}

#[derive(Clone, Copy, Debug)]
enum SaveStep {
    Open,
    Write,
    Move,
}

impl SaveFault {
    fn at(step: SaveStep) -> impl Fn(io::Error) -> Self {
        move |error| SaveFault { step, error: error.into() }
    }

    /// In the words of Redis.
    fn describe(&self, temporary: &str, path: &str) -> String {
        let why = match &self.error {
            RdbError::Io(error) => os_reason(error),
            error => return error.to_string(),
        };
        let folder = std::env::current_dir().unwrap_or_default();
        let folder = folder.display();
        match self.step {
            SaveStep::Open => {
                format!(
                    "Failed opening the temp RDB file {temporary} (in server root dir {folder}) for saving: {why}"
                )
            }
            SaveStep::Write => format!("Write error saving DB on disk: {why}"),
            SaveStep::Move => format!(
                "Error moving temp DB file {temporary} on the final destination {path} (in server root dir {folder}): \
                 {why}"
            ),
        }
    }
}

/// Removes what unfinished saves of earlier processes have left in `folder`. Nobody else may be
/// using it.
pub fn clean_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let writer = entry.file_name().to_str().and_then(writer_of_temporary);
        if writer.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            log::info!("Removing what an unfinished save has left: {}", entry.file_name().display());
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes what an unfinished save of this process has written. To be called when the process ends
/// at once.
pub fn remove_temporary() {
    let entries = fs::read_dir(".").into_iter().flatten().flatten();
    for name in entries.map(|entry| entry.file_name()) {
        if name.to_str().and_then(writer_of_temporary) == Some(std::process::id()) {
            // The process ends; there is nobody to tell.
            let _ = fs::remove_file(name);
        }
    }
}

/// The file of the one save that nothing comes after, or waits for.
fn own_temporary_name() -> String {
    format!("temp-{}.rdb", std::process::id())
}

/// The file a snapshot is written to before it has its name, in the working folder.
fn temporary_name(job: u64) -> String {
    format!("temp-{}-{job}.rdb", std::process::id())
}

/// The process that wrote a temporary file of this name, if it is one.
fn writer_of_temporary(name: &str) -> Option<u32> {
    let numbers = name.strip_prefix("temp-")?.strip_suffix(".rdb")?;
    let (pid, job) = numbers.split_once('-').unwrap_or((numbers, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(pid) && is_number(job)).then(|| pid.parse().ok())?
}

fn given_up() -> RdbError {
    RdbError::Refused(GIVEN_UP.to_owned())
}

/// Lets `write` fill a new file, which takes the place of the one at `path` if all goes well.
fn put_in_place(
    temporary: &str,
    path: &str,
    write: impl FnOnce(&File) -> Result<(), RdbError>,
) -> Result<(), SaveFault> {
    let result = (|| {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o640).open(temporary);
        let file = file.map_err(SaveFault::at(SaveStep::Open))?;
        write(&file).map_err(|error| SaveFault { step: SaveStep::Write, error })?;
        file.sync_all().map_err(SaveFault::at(SaveStep::Write))?;
        fs::rename(temporary, path).map_err(SaveFault::at(SaveStep::Move))?;
        sync_folder(Path::new(path)).map_err(SaveFault::at(SaveStep::Move))
    })();
    if result.is_err() {
        // The rest of a failed save is of no use; the first error is the one to tell.
        let _ = fs::remove_file(temporary);
    }
    result
}

/// Makes a rename durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A file that is forced to disk now and then, so that the last time takes no longer than the
/// others.
struct Synced<'f> {
    file: &'f File,
    unsynced: usize,
    bit_by_bit: bool,
}

impl Write for Synced<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        thread::yield_now();
        self.unsynced += written;
        if self.bit_by_bit && self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::channel;
    use crate::keyspace::{EncodingLimits, Keyspace, Ttl};
    use crate::memory::Ledger;
    use crate::rdb::SaveOptions;
    use crossbeam_channel::unbounded;
    use std::sync::atomic::AtomicU64;

    /// A disk that takes so many operations and then no more.
    struct Failing<'o> {
        left: usize,
        out: &'o mut Vec<u8>,
    }

    impl Write for Failing<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            // A disk may take less than it is given.
            let count = bytes.len().min(1000);
            self.out.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.left = self.left.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(())
        }
    }

    /// A save of 2000 keys whose parcels have all been sent. The queue takes its reports.
    fn saving() -> (Saving, crate::engine::Queue) {
        let mut keyspace = Keyspace::new(1, EncodingLimits::default(), 1);
        for key in 0..2000 {
            keyspace.set_string(format!("key:{key}").as_bytes(), b"a value", Ttl::Clear);
        }
        let job = SaveJob {
            id: 1,
            reason: SaveReason::Background,
            dbs: keyspace.begin_walk(0),
            format: SaveFormat::Snapshot(SaveOptions::default()),
            path: "unused".to_owned(),
            syncs_bit_by_bit: true,
            delays: Arc::default(),
            keys_saved: Arc::default(),
        };
        let (sender, parcels) = unbounded();
        keyspace.walk_on().into_iter().for_each(|parcel| sender.send(parcel).unwrap());
        let (handle, queue) = channel();
        (Saving { job, parcels, is_cancelled: Arc::default(), handle }, queue)
    }

    #[test]
    fn a_save_fails_wherever_the_disk_does() {
        /// No save of this size needs as many operations of the disk.
        const MANY: usize = 10_000;
        for operations in 0..MANY {
            let (saving, _queue) = saving();
            let mut file = Vec::new();
            match saving.write(Failing { left: operations, out: &mut file }) {
                Err(RdbError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
                Err(error) => panic!("{error}"),
                Ok(()) => {
                    let mut keys = 0;
                    let loaded = rdb::load(&file[..], &EncodingLimits::default(), |item, _| {
                        keys += usize::from(matches!(item, rdb::Item::Key { .. }));
                        Ok(())
                    });
                    assert!(loaded.is_ok() && keys == 2000);
                    assert!(operations > 20, "{operations} operations");
                    return;
                }
            }
        }
        panic!("the save needs more operations than any");
    }

    /// A disk that notes what is charged for the buffer when it is written to, and then no more
    /// takes anything.
    struct Noting(&'static Ledger, Arc<AtomicU64>);

    impl Write for Noting {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.1.store(self.0.charged_bytes(Account::SaveBuffer), Ordering::Relaxed);
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_save_gathers_is_charged_until_it_ends_or_fails() {
        let (saving, _queue) = saving();
        let (ledger, charged) = (saving.handle.ledger(), Arc::<AtomicU64>::default());
        assert!(saving.write(Noting(ledger, Arc::clone(&charged))).is_err());
        assert_eq!(charged.load(Ordering::Relaxed), BUFFER_BYTES as u64);
        assert_eq!(ledger.charged_bytes(Account::SaveBuffer), 0);
    }

    #[test]
    fn a_failed_save_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (old, temporary) = (path("dump.rdb"), path("temp-1-1.rdb"));
        fs::write(&old, "old").unwrap();
        let result = put_in_place(&temporary, &old, |mut file| {
            file.write_all(b"half")?;
            Err(RdbError::Eof)
        });
        assert!(result.is_err());
        assert_eq!(fs::read(&old).unwrap(), b"old");
        assert!(!Path::new(&temporary).exists());
        // There is no such folder; and a folder is in the way of the new name.
        fs::create_dir(path("folder")).unwrap();
        for (temporary, path) in [(path("none/temp-1-1.rdb"), &old), (temporary.clone(), &path("folder"))] {
            let result = put_in_place(&temporary, path, |mut file| Ok(file.write_all(b"new")?));
            assert!(matches!(result, Err(SaveFault { error: RdbError::Io(_), .. })), "{temporary}");
            assert_eq!(fs::read(&old).unwrap(), b"old");
            assert!(!Path::new(&temporary).exists());
        }
        put_in_place(&temporary, &old, |mut file| Ok(file.write_all(b"new")?)).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"new");
    }

    #[test]
    fn a_save_that_nobody_wants_any_more_ends() {
        let (saving, _queue) = saving();
        saving.is_cancelled.store(true, Ordering::Relaxed);
        let mut file = Vec::new();
        assert!(saving.write(&mut file).is_err());
        let (mut cut_off, _queue) = self::saving();
        cut_off.parcels = unbounded().1;
        assert!(cut_off.write(&mut file).is_err());
    }

    #[test]
    fn only_what_a_save_leaves_is_temporary() {
        for (name, writer) in [
            ("temp-12-3.rdb", Some(12)),
            ("temp-12.rdb", Some(12)),
            ("temp-12-.rdb", None),
            ("temp-12-3.rdb.old", None),
            ("temp-mine-3.rdb", None),
            ("temp-99999999999.rdb", None),
            ("dump.rdb", None),
        ] {
            assert_eq!(writer_of_temporary(name), writer, "{name}");
        }
    }
}
