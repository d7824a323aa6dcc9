//! How the configuration file is written anew, and how a whole file takes the place of an old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::text::os_reason;
use crate::config::{Added, Config, rewrite};

/// Numbers the temporary files of this process: two threads never share one.
static LAST_TEMPORARY: AtomicU64 = AtomicU64::new(0);

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
    let created = OpenOptions::new().write(true).create_new(true).open(temporary);
    let mut file = created.map_err(|error| ("Could not create tmp config file", error))?;
    if let Ok(metadata) = fs::metadata(model) {
        file.set_permissions(metadata.permissions())
            .map_err(|error| ("Could not chmod config file", error))?;
    }
    file.write_all(text).map_err(|error| ("Could not write tmp config file", error))?;
    file.sync_all().map_err(|error| ("Could not sync tmp config file to disk", error))
}
