//! The files of the append-only file, behind two small traits so that tests can fail on purpose.
//!
//! [`RealFolder`] is `appenddirname` in the working folder. Files are created 0640 or stricter.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that is written at its end.
pub trait LogFile: Sized {
    /// A second handle of the same file.
    fn twin(&self) -> io::Result<Self>;
    /// Writes some of `bytes` at the end; returns how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes the file this long.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Forces what was written to disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The folder with the parts.
pub trait Folder {
    /// Its files.
    type File: LogFile;
    /// Its name, for people.
    fn shown(&self) -> String;
    /// Makes the folder, if it is missing.
    fn make(&mut self) -> io::Result<()>;
    /// Makes an empty file, in the place of an old one.
    fn create(&mut self, name: &[u8]) -> io::Result<Self::File>;
    /// Opens a file to go on behind its end, which is returned too; makes it if it is missing.
    fn open(&mut self, name: &[u8]) -> io::Result<(Self::File, u64)>;
    /// Gives a file of this folder the content `text` so that a crash leaves the old or the new
    /// one.
    fn replace(&mut self, name: &[u8], temporary: &[u8], text: &[u8]) -> io::Result<()>;
    /// Gives a file of the working folder a name in this one. Returns its length.
    fn adopt(&mut self, path: &str, name: &[u8]) -> io::Result<u64>;
    /// Gives a file of this folder another name.
    fn rename(&mut self, from: &[u8], to: &[u8]) -> io::Result<()>;
    /// Deletes a file at once: its name will be used again.
    fn unlink(&mut self, name: &[u8]);
    /// Deletes files, some time soon: a big one may take long.
    fn remove(&mut self, names: Vec<Vec<u8>>);
}

impl LogFile for File {
    fn twin(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// `appenddirname`.
#[derive(Clone, Debug)]
pub struct RealFolder {
    path: PathBuf,
}

impl RealFolder {
    /// The folder of this name in the working folder.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        RealFolder { path: PathBuf::from(OsStr::from_bytes(name)) }
    }

    /// Returns the path of one of its files.
    #[must_use]
    pub fn path_of(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// The file that is appended to belongs to one process. The lock goes with the file, and with the
/// process.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::other("another server keeps its append-only file there"))
        }
        // If files cannot be locked at all, that is no reason not to serve.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o640);
    options
}

impl Folder for RealFolder {
    type File = File;

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    fn make(&mut self) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o755).create(&self.path) {
            // Something is there: whether it is a folder, its own entry tells.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::metadata(self.path.join(".")).map(drop)
            }
            other => other,
        }
    }

    fn create(&mut self, name: &[u8]) -> io::Result<File> {
        // A file that is listed after a crash must hold what was appended, not zeros behind a hole:
        // it is written at its end, as one that was opened.
        let file = options().append(true).create(true).open(self.path_of(name))?;
        lock(&file)?;
        file.set_len(0)?;
        Ok(file)
    }

    fn open(&mut self, name: &[u8]) -> io::Result<(File, u64)> {
        let file = options().append(true).create(true).open(self.path_of(name))?;
        lock(&file)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    }

    fn replace(&mut self, name: &[u8], temporary: &[u8], text: &[u8]) -> io::Result<()> {
        let temporary = self.path_of(temporary);
        let mut file = options().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path_of(name))?;
        self.sync()
    }

    fn adopt(&mut self, path: &str, name: &[u8]) -> io::Result<u64> {
        self.make()?;
        let length = fs::metadata(path)?.len();
        fs::rename(path, self.path_of(name))?;
        self.sync()?;
        Ok(length)
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> io::Result<()> {
        fs::rename(self.path_of(from), self.path_of(to))?;
        self.sync()
    }

    fn unlink(&mut self, name: &[u8]) {
        // It may be gone already, and whoever makes it anew empties it.
        let _ = fs::remove_file(self.path_of(name));
    }

    fn remove(&mut self, names: Vec<Vec<u8>>) {
        let folder = self.clone();
        let run = move || {
            for name in names {
                // A file that cannot be deleted is not listed any more and does no harm.
                let _ = fs::remove_file(folder.path_of(&name));
            }
        };
        if let Err(error) = std::thread::Builder::new().name("aof-gc".to_owned()).spawn(run) {
            log::warn!("Can't delete replaced AOF files: {error}");
        }
    }
}
