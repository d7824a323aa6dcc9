//! Writing the configuration file anew, and putting a whole file in the place of an old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use crate::base::text::os_reason;
use crate::config::{Added, Config, rewrite};

/// Numbers the temporary files of this process: two threads never share one.
static LAST_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// Those that have not got their name.
static TEMPORARIES: Temporaries = Temporaries(Mutex::new(State { has_ended: false, paths: Vec::new() }));

/// The time for which the end of the process waits, milliseconds, for a disk that is making a file.
const FAREWELL_MS: u32 = 500;

/// Temporary files, so that the end of the process removes them and lets no more be made.
struct Temporaries(Mutex<State>);

struct State {
    has_ended: bool,
    paths: Vec<PathBuf>,
}

impl Temporaries {
    fn create(&self, path: &Path) -> io::Result<File> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.has_ended {
            return Err(io::Error::other("the server ends"));
        }
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        state.paths.push(std::path::absolute(path)?);
        Ok(file)
    }

    /// The file has its name, or is gone.
    fn forget(&self, path: &Path) {
        let path = std::path::absolute(path).unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).paths.retain(|other| *other != path);
    }

    fn end(&self) {
        for _ in 0..FAREWELL_MS {
            if let Ok(mut state) = self.0.try_lock() {
                state.has_ended = true;
                // The process ends; there is nobody to tell.
                state.paths.drain(..).for_each(|path| _ = fs::remove_file(path));
                return;
            }
            sleep(Duration::from_millis(1));
        }
    }
}

/// Removes what unfinished rewrites of this process have written, and lets none begin. To be called
/// when the process ends.
pub fn remove_temporaries() {
    TEMPORARIES.end();
}

/// Writes the configuration to `file`, keeping its comments and order. Errors in words.
pub fn rewrite_file(file: &str, config: &Config, added: Added) -> Result<(), String> {
    let file = Path::new(file);
    let old = match fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|error| os_reason(&error))?,
    };
    replace_in_steps(file, &rewrite(&old, config, &Config::default(), added)).map_err(|(step, error)| {
        log::warn!("{step} ({})", os_reason(&error));
        os_reason(&error)
    })?;
    log::trace!("Rewritten config file ({}) successfully", file.display());
    Ok(())
}

/// Puts a whole new file in the place of an old one: readers see one or the other, a crash leaves
/// one.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    replace_in_steps(path, text).map_err(|(_, error)| error)
}

/// The same. An error comes with the words of Redis for the step that failed.
fn replace_in_steps(path: &Path, text: &[u8]) -> Result<(), (&'static str, io::Error)> {
    let number = LAST_TEMPORARY.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-{}-{number}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    let result = write_synced(temporary, path, text).and_then(|()| {
        fs::rename(temporary, path).map_err(|error| ("Could not rename tmp config file", error))
    });
    TEMPORARIES.forget(temporary);
    if result.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(temporary);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    result?;
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| ("Could not sync config file dir", error))
}

fn write_synced(temporary: &Path, model: &Path, text: &[u8]) -> Result<(), (&'static str, io::Error)> {
    let created = TEMPORARIES.create(temporary);
    let mut file = created.map_err(|error| ("Could not create tmp config file", error))?;
    if let Ok(metadata) = fs::metadata(model) {
        file.set_permissions(metadata.permissions())
            .map_err(|error| ("Could not chmod config file", error))?;
    }
    file.write_all(text).map_err(|error| ("Could not write tmp config file", error))?;
    file.sync_all().map_err(|error| ("Could not sync tmp config file to disk", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_process_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let temporaries = Temporaries(Mutex::new(State { has_ended: false, paths: Vec::new() }));
        for name in ["under way", "renamed"] {
            temporaries.create(&path(name)).unwrap();
        }
        temporaries.forget(&path("renamed"));
        temporaries.end();
        assert!(!path("under way").exists(), "it is of no use");
        assert!(path("renamed").exists(), "it is somebody's file");
        assert!(temporaries.create(&path("too late")).is_err() && !path("too late").exists());
    }
}
