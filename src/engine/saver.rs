//! Writing a snapshot file: a temporary file beside it, synced, then renamed over it.

use std::fs::{self, File, OpenOptions};
use std::io::BufWriter;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::rdb::{self, RdbError};
use crate::server::SaveJob;

/// What is written at once, bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes the job's snapshot so that its path holds either the old file or the whole new one.
pub fn write(job: &SaveJob) -> Result<(), RdbError> {
    let path = Path::new(&job.path);
    let temporary = temporary_name();
    let result = write_file(job, Path::new(&temporary)).and_then(|()| {
        fs::rename(&temporary, path)?;
        sync_folder(path)?;
        Ok(())
    });
    if result.is_err() {
        // What is left of a failed save is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// The file a snapshot is written to before it has its name, in the working folder.
fn temporary_name() -> String {
    format!("temp-{}.rdb", std::process::id())
}

/// Removes what an unfinished save has written. To be called by a process that ends at once.
pub fn remove_temporary() {
    // There is none, as a rule.
    let _ = fs::remove_file(temporary_name());
}

fn write_file(job: &SaveJob, path: &Path) -> Result<(), RdbError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    rdb::save(&job.snapshot, &job.options, BufWriter::with_capacity(BUFFER_BYTES, &file))?;
    file.sync_all()?;
    Ok(())
}

/// Makes a rename durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
