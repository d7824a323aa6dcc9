//! Writing the base of a rewrite: a temporary file in the working folder, forced to disk.
//!
//! It gets its name from the AOF thread later, in one row with everything else that names files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::aof::rewrite::CommandWriter;
use crate::aof::timestamp_line;
use crate::keyspace::DbSnapshot;
use crate::rdb::{self, RdbError};
use crate::server::{BaseFormat, RewriteError, RewriteJob};

/// What is written at once, bytes.
const BUFFER_BYTES: usize = 256 << 10;
/// What is written between two syncs with `aof-rewrite-incremental-fsync`. Redis: the same.
const SYNC_BYTES: u64 = 4 << 20;
/// How the temporary files are called, before the process's number.
const PREFIX: &str = "temp-rewriteaof-bg-";

/// Writes the base. Returns the file it is in.
pub fn write(job: &RewriteJob) -> Result<String, RewriteError> {
    let path = format!("{PREFIX}{}-{}.aof", std::process::id(), job.number);
    let result = write_file(job, Path::new(&path));
    if let Err(error) = result {
        // What is left of it is of no use; the first error is the one to tell.
        let _ = fs::remove_file(&path);
        if job.cancel.load(Ordering::Relaxed) {
            return Err(RewriteError::Cancelled);
        }
        log::warn!("Write error writing append only file on disk: {error}");
        return Err(RewriteError::Failed(error.to_string()));
    }
    log::info!("Successfully created the temporary AOF base file {path}");
    Ok(path)
}

fn write_file(job: &RewriteJob, path: &Path) -> Result<(), RdbError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    let careful = Careful { file: &file, cancel: &job.cancel, syncs: job.incremental_fsync, unsynced: 0 };
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, careful);
    match &job.format {
        BaseFormat::Snapshot(options) => {
            rdb::save(&job.snapshot, options, &mut out)?;
        }
        BaseFormat::Commands { timestamp } => {
            if let Some(secs) = timestamp {
                out.write_all(&timestamp_line(*secs))?;
            }
            write_commands(&job.snapshot, &mut out)?;
        }
    }
    out.flush()?;
    drop(out);
    file.sync_all()?;
    Ok(())
}

fn write_commands(snapshot: &[DbSnapshot], out: impl Write) -> io::Result<()> {
    let mut writer = CommandWriter::new(out);
    for db in snapshot {
        writer.select(db.index)?;
        db.iter().try_for_each(|view| writer.key(&view))?;
    }
    Ok(())
}

/// A file that is forced to disk bit by bit, and fails when nobody wants it any more.
struct Careful<'a> {
    file: &'a File,
    cancel: &'a AtomicBool,
    syncs: bool,
    unsynced: u64,
}

impl Write for Careful<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(io::Error::other("the rewrite was given up"));
        }
        let count = (&mut &*self.file).write(bytes)?;
        self.unsynced += count as u64;
        if self.syncs && self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes the temporary files of processes that are no more.
pub fn remove_leftovers() {
    for entry in fs::read_dir(".").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest[..digits].parse::<u32>().ok()
        });
        let is_ours = |pid: u32| pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists();
        if pid.is_some_and(is_ours) {
            // Whoever cannot delete it has it in the way at most.
            let _ = fs::remove_file(entry.path());
        }
    }
}
