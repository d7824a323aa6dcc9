//! The PID file: its lock says who runs, its number only helps to find them.
//!
//! A server keeps its PID file locked (flock, through fs2) for as long as it lives, and the kernel
//! drops the lock with the process, however it dies. So a file that nobody has locked is stale,
//! whatever number it holds: dead, negative, nonsense or the PID of somebody else's process. And a
//! file that is locked has one holder, who is found through `/proc`: the process with a descriptor
//! on this very file that carries a write lock. The number in the file is only the first guess, and
//! a wrong one is never believed, let alone signalled.
//!
//! A server locks the file before anything of it exists, and writes its number when it listens. So
//! a locked file that is empty means that somebody is starting, who may fail yet: whoever wants the
//! file waits a while for the outcome, since a start that fails must not send others away.
//!
//! The file may be deleted or replaced between opening and locking it. After locking, the path must
//! still name the locked inode; otherwise the lock is on a ghost and the attempt starts again. On
//! exit the file is removed while the lock is still held, and only if the path still names it.
//!
//! This file alone uses fs2 (std has `File::try_lock` by now; fs2 is the user's choice), by full
//! path.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use thiserror::Error;

use super::sys::ProcessHandle;
use crate::base::text::os_reason;

/// The number of attempts when the lock is taken by someone who cannot be seen: a `status` probing
/// for a moment, or a server whose process is just vanishing.
const ATTEMPTS: u32 = 50;
/// The number of attempts while the holder is starting: ten seconds and more, since its name server
/// may be slow.
const STARTING_ATTEMPTS: u32 = 500;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);
/// Readable by everybody, whatever the umask says.
const MODE: u32 = 0o644;
/// More than the longest PID; the rest of a longer file is not read.
const MAX_PID_TEXT: u64 = 32;

/// The reason why a PID file could not be taken or read.
#[derive(Debug, Error)]
pub enum PidFileError {
    /// Another server holds the lock.
    #[error("already running with PID {pid} (PID file {})", path.display())]
    Held {
        /// The PID file.
        path: PathBuf,
        /// The process that holds its lock.
        pid: u32,
    },
    /// Another process holds the lock and does not serve yet, even after a while.
    #[error("PID {pid} holds the PID file {} but does not say that it serves; is it still starting?", path.display())]
    Starting {
        /// The PID file.
        path: PathBuf,
        /// The process that holds its lock.
        pid: u32,
    },
    /// Someone holds the lock, but `/proc` does not show who: another user or container.
    #[error("the PID file {} is locked by a process that can't be seen from here (another user's?)", path.display())]
    HeldUnseen {
        /// The PID file.
        path: PathBuf,
    },
    /// The path is a symbolic link, a folder, a device, or a file that has other names too.
    #[error("the PID file {} {reason}; refusing to use it", path.display())]
    Refused {
        /// The PID file.
        path: PathBuf,
        /// The fault, as the end of a sentence.
        reason: &'static str,
    },
    /// The system said no.
    #[error("can't {action} the PID file {}: {}", path.display(), os_reason(error))]
    Io {
        /// The PID file.
        path: PathBuf,
        /// The verb: open, lock, write.
        action: &'static str,
        /// The error of the system.
        error: io::Error,
    },
}

/// A PID file that this process has created (or taken over) and locked. Removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    /// None once the lock is left to the process.
    file: Option<File>,
}

impl PidFile {
    /// Creates or takes over the file, locks and empties it: this process is starting.
    ///
    /// Waits for another process that is starting to serve or to give up. Errors with
    /// [`PidFileError::Held`] while one that serves holds the lock.
    pub fn acquire(path: &Path) -> Result<Self, PidFileError> {
        Self::acquire_within(path, STARTING_ATTEMPTS)
    }

    fn acquire_within(path: &Path, most_attempts: u32) -> Result<Self, PidFileError> {
        let mut starting = None;
        for attempt in 1..=most_attempts {
            let file = open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))?;
            if try_lock(path, &file)? {
                if is_still_at(path, &file) {
                    check(path, &file)?;
                    return Self::empty(path, file);
                }
                continue;
            }
            match find_holder(&file) {
                // Somebody who starts leaves the words of somebody else in it for a moment at most.
                Some(Holder { pid, is_named }) if is_named || attempt >= ATTEMPTS && !is_empty(&file) => {
                    return Err(PidFileError::Held { path: path.into(), pid });
                }
                Some(Holder { pid, .. }) if starting != Some(pid) => {
                    log::info!("Waiting for PID {pid}, which is starting (PID file {})", path.display());
                    starting = Some(pid);
                }
                Some(_) => {}
                None if attempt >= ATTEMPTS => break,
                None => {}
            }
            thread::sleep(PAUSE);
        }
        let path = path.into();
        Err(match starting {
            Some(pid) => PidFileError::Starting { path, pid },
            None => PidFileError::HeldUnseen { path },
        })
    }

    fn empty(path: &Path, file: File) -> Result<Self, PidFileError> {
        file.set_permissions(Permissions::from_mode(MODE))
            .and_then(|()| file.set_len(0))
            .map_err(|error| failed("write", path, error))?;
        Ok(Self { path: path.into(), file: Some(file) })
    }

    /// Writes this process's PID: it serves.
    pub fn write(&self) -> Result<(), PidFileError> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = format!("{}\n", std::process::id());
        file.write_all_at(text.as_bytes(), 0).map_err(|error| failed("write", &self.path, error))
    }

    /// Removes the file, but keeps the lock for as long as this process lives: whoever waits for
    /// the lock waits for the end of the process.
    pub fn remove_before_exit(mut self) {
        self.remove();
        std::mem::forget(self.file.take());
    }

    fn remove(&self) {
        if self.file.as_ref().is_some_and(|file| is_still_at(&self.path, file)) {
            // A file that cannot be removed is stale the moment the lock goes: nothing to repair.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A living server, known by the lock it holds.
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// True when it has said that it serves.
    pub has_started: bool,
    path: PathBuf,
    file: File,
    process: ProcessHandle,
}

impl Running {
    /// Looks for the server that holds this PID file. None when nobody does.
    pub fn find(path: &Path) -> Result<Option<Self>, PidFileError> {
        for _ in 0..ATTEMPTS {
            let file = match open(path, OpenOptions::new().read(true)) {
                Err(PidFileError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(None);
                }
                other => other?,
            };
            if try_lock_shared(path, &file)? {
                return Ok(None);
            }
            // The handle is taken first and the lock looked for afterwards: should the number pass
            // to another process in between, that process does not hold our lock.
            if let Some(Holder { pid, is_named }) = find_holder(&file)
                && let Ok(process) = ProcessHandle::open(pid)
                && holds(pid, &file)
            {
                return Ok(Some(Self { pid, has_started: is_named, path: path.into(), file, process }));
            }
            thread::sleep(PAUSE);
        }
        Err(PidFileError::HeldUnseen { path: path.into() })
    }

    /// Asks the server to stop (SIGTERM). A server that is gone already is no error.
    pub fn terminate(&self) -> io::Result<()> {
        match self.process.terminate() {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// Waits until the server has let go of its lock. Calls `still_waiting` every `tick`.
    pub fn wait_until_gone(
        self,
        tick: Duration,
        mut still_waiting: impl FnMut(),
    ) -> Result<(), PidFileError> {
        let (sender, receiver) = mpsc::channel();
        let file = self.file;
        let waiter = thread::spawn(move || sender.send(fs2::FileExt::lock_shared(&file)));
        let result = loop {
            match receiver.recv_timeout(tick) {
                Ok(result) => break result,
                Err(RecvTimeoutError::Timeout) => still_waiting(),
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            }
        };
        // Joined, because `restart` forks afterwards, which only a process of one thread can.
        let _ = waiter.join();
        result.map_err(|error| failed("lock", &self.path, error))
    }
}

/// Opens without following a link, without waiting (a FIFO would), and without a terminal.
fn open(path: &Path, options: &mut OpenOptions) -> Result<File, PidFileError> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
    let refused = |reason| PidFileError::Refused { path: path.into(), reason };
    options.mode(MODE).custom_flags(flags).open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => refused("is a symbolic link"),
        Some(libc::EISDIR) => refused("is a folder"),
        Some(libc::ENXIO) => refused("is not a regular file"),
        _ => failed("open", path, error),
    })
}

/// Refuses what would be destroyed by writing a PID into it.
fn check(path: &Path, file: &File) -> Result<(), PidFileError> {
    let metadata = file.metadata().map_err(|error| failed("open", path, error))?;
    let refused = |reason| Err(PidFileError::Refused { path: path.into(), reason });
    if !metadata.is_file() {
        return refused("is not a regular file");
    }
    // A hard link planted in a folder like /tmp would have us overwrite a file somewhere else.
    if metadata.nlink() > 1 {
        return refused("has other names (hard links)");
    }
    Ok(())
}

fn failed(action: &'static str, path: &Path, error: io::Error) -> PidFileError {
    PidFileError::Io { path: path.into(), action, error }
}

/// True when the lock is ours now, false when somebody else has it.
fn try_lock(path: &Path, file: &File) -> Result<bool, PidFileError> {
    locked(path, fs2::FileExt::try_lock_exclusive(file))
}

/// As [`try_lock`], without standing in the way of others who only look.
fn try_lock_shared(path: &Path, file: &File) -> Result<bool, PidFileError> {
    locked(path, fs2::FileExt::try_lock_shared(file))
}

fn locked(path: &Path, result: io::Result<()>) -> Result<bool, PidFileError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(failed("lock", path, error)),
    }
}

/// True when the path still names this open file.
fn is_still_at(path: &Path, file: &File) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => identity(&named) == identity(&open),
        _ => false,
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_empty(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.len() == 0)
}

/// The process that holds the write lock.
struct Holder {
    pid: u32,
    /// True when the file says so too.
    is_named: bool,
}

/// Finds the process that holds the write lock: the one the file names if that is true, else any.
fn find_holder(file: &File) -> Option<Holder> {
    if let Some(pid) = named_pid(file).filter(|&pid| holds(pid, file)) {
        return Some(Holder { pid, is_named: true });
    }
    let processes = fs::read_dir("/proc").ok()?;
    let mut pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|&pid| holds(pid, file)).map(|pid| Holder { pid, is_named: false })
}

/// The number in the file, if it is one at all. It proves nothing.
fn named_pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_PID_TEXT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|&pid| pid > 0)
}

/// True when a descriptor of this process is on this very file and carries a write lock.
fn holds(pid: u32, file: &File) -> bool {
    let Ok(wanted) = file.metadata() else { return false };
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|descriptor| {
        fs::metadata(descriptor.path()).is_ok_and(|found| identity(&found) == identity(&wanted))
            && fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", descriptor.file_name().to_string_lossy()))
                .is_ok_and(|info| carries_write_lock(&info))
    })
}

/// Reads `lock:  1: FLOCK  ADVISORY  WRITE 4711 fe:00:10085276 0 EOF`.
fn carries_write_lock(fdinfo: &str) -> bool {
    let locks = fdinfo.lines().filter(|line| line.starts_with("lock:"));
    locks
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .any(|words| words.get(2) == Some(&"FLOCK") && words.get(4) == Some(&"WRITE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pyredis.pid");
        (folder, path)
    }

    #[test]
    fn holds_the_pid_and_is_removed_when_dropped() {
        let (_folder, path) = folder();
        let held = PidFile::acquire(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        held.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, MODE);
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn stale_content_is_overwritten_never_obeyed() {
        let long = "9".repeat(5000);
        for content in
            ["", "4194304\n", "garbage\n", "-1\n", "0", "1\n", "99999999999999999999\n", "\0\u{1}", &long]
        {
            let (_folder, path) = folder();
            fs::write(&path, content).unwrap();
            assert!(Running::find(&path).unwrap().is_none(), "{content:?} taken for a server");
            let held = PidFile::acquire(&path).unwrap();
            held.write().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        }
    }

    #[test]
    fn second_one_learns_who_serves() {
        let (_folder, path) = folder();
        let held = PidFile::acquire(&path).unwrap();
        held.write().unwrap();
        let error = PidFile::acquire(&path).unwrap_err();
        assert!(matches!(error, PidFileError::Held { pid, .. } if pid == std::process::id()), "{error}");
        let running = Running::find(&path).unwrap().unwrap();
        assert_eq!((running.pid, running.has_started), (std::process::id(), true));
    }

    #[test]
    fn holder_of_an_empty_file_is_starting() {
        let (_folder, path) = folder();
        let _held = PidFile::acquire(&path).unwrap();
        let error = PidFile::acquire_within(&path, ATTEMPTS + 1).unwrap_err();
        assert!(matches!(error, PidFileError::Starting { pid, .. } if pid == std::process::id()), "{error}");
        let running = Running::find(&path).unwrap().unwrap();
        assert_eq!((running.pid, running.has_started), (std::process::id(), false));
    }

    #[test]
    fn holder_is_found_whatever_the_file_says() {
        let (_folder, path) = folder();
        let _held = PidFile::acquire(&path).unwrap();
        for content in ["garbage\n", "1\n", "-1\n"] {
            fs::write(&path, content).unwrap();
            let error = PidFile::acquire(&path).unwrap_err();
            assert!(matches!(error, PidFileError::Held { pid, .. } if pid == std::process::id()), "{error}");
            assert_eq!(Running::find(&path).unwrap().unwrap().pid, std::process::id());
        }
    }

    #[test]
    fn start_that_gives_up_is_followed_by_the_one_that_waits() {
        let (_folder, path) = folder();
        let first = PidFile::acquire(&path).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| PidFile::acquire(&path));
            drop(first);
            second.join().unwrap().unwrap();
        });
    }

    #[test]
    fn link_folder_fifo_and_hard_link_are_refused() {
        let (folder, path) = folder();
        let target = folder.path().join("precious");
        fs::write(&target, "precious").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let error = PidFile::acquire(&path).unwrap_err().to_string();
        assert!(error.ends_with("is a symbolic link; refusing to use it"), "{error}");
        assert!(Running::find(&path).is_err());
        fs::remove_file(&path).unwrap();

        fs::hard_link(&target, &path).unwrap();
        let error = PidFile::acquire(&path).unwrap_err().to_string();
        assert!(error.ends_with("has other names (hard links); refusing to use it"), "{error}");
        fs::remove_file(&path).unwrap();

        let error = PidFile::acquire(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is a folder; refusing to use it"), "{error}");
        let error = PidFile::acquire(Path::new("/dev/null")).unwrap_err().to_string();
        assert!(error.contains("refusing to use it"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn file_replaced_by_another_is_left_alone_on_exit() {
        let (_folder, path) = folder();
        let held = PidFile::acquire(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = PidFile::acquire(&path).unwrap();
        drop(held);
        assert!(path.exists(), "the first one removed the file of the second");
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn missing_folder_is_told_in_one_line() {
        let (folder, _) = folder();
        let path = folder.path().join("missing/pyredis.pid");
        assert!(Running::find(&path).unwrap().is_none());
        let error = PidFile::acquire(&path).unwrap_err().to_string();
        assert_eq!(error, format!("can't open the PID file {}: No such file or directory", path.display()));
    }

    #[test]
    fn waiting_ends_when_the_lock_is_free() {
        let (_folder, path) = folder();
        let held = PidFile::acquire(&path).unwrap();
        let running = Running::find(&path).unwrap().unwrap();
        let mut held = Some(held);
        let mut ticks = 0;
        running
            .wait_until_gone(Duration::from_millis(1), || {
                ticks += 1;
                held = None;
            })
            .unwrap();
        assert!(ticks >= 1);
        assert!(Running::find(&path).unwrap().is_none());
    }

    #[test]
    fn many_at_once_have_one_winner() {
        let (_folder, path) = folder();
        for _ in 0..20 {
            let barrier = std::sync::Barrier::new(6);
            let results: Vec<_> = thread::scope(|scope| {
                let attempts: Vec<_> = (0..6)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            let held = PidFile::acquire(&path)?;
                            held.write().map(|()| held)
                        })
                    })
                    .collect();
                attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect()
            });
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        }
    }

    #[test]
    fn only_a_write_flock_counts() {
        for (fdinfo, expected) in [
            ("pos:\t0\nlock:\t1: FLOCK  ADVISORY  WRITE 4711 fe:00:12 0 EOF\n", true),
            ("pos:\t0\nlock:\t1: FLOCK  ADVISORY  READ 4711 fe:00:12 0 EOF\n", false),
            ("lock:\t1: POSIX  ADVISORY  WRITE 4711 fe:00:12 0 EOF\n", false),
            ("pos:\t0\nflags:\t02\n", false),
        ] {
            assert_eq!(carries_write_lock(fdinfo), expected, "{fdinfo:?}");
        }
    }
}
