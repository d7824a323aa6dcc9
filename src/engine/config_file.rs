//! The thread that writes the configuration file anew, and how a whole file takes the place of an
//! old one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

use crossbeam_channel::{Sender, bounded};

use super::affinity;
use super::os::words;
use crate::config::{Added, Config, Text, rewrite};
use crate::server::{RewriteJob, RewriteReport};

/// Rewrites that may wait for a disk that stands still; more are refused.
const REWRITE_QUEUE: usize = 64;

/// Numbers the temporary files of this process: two threads never share one.
static LAST_TEMPORARY: AtomicU64 = AtomicU64::new(0);

/// The door to the thread, which is started when there is something to write.
#[derive(Default)]
pub(super) struct ConfigWriter {
    jobs: Option<Sender<RewriteJob>>,
}

impl ConfigWriter {
    /// Hands over a job, which is carried out after those before it; then `report` is called, which
    /// tells whether anybody still wants to know. The error is the report of one that cannot be
    /// taken.
    pub(super) fn send(
        &mut self,
        job: RewriteJob,
        cpus: &Text,
        report: impl Fn(RewriteReport) -> bool + Send + 'static,
    ) -> Result<(), RewriteReport> {
        let client = job.client;
        let refused = |reason: String| RewriteReport { client, result: Err(reason) };
        let jobs = match self.jobs.take() {
            Some(jobs) => jobs,
            None => spawn(report, cpus).map_err(|error| refused(words(&error)))?,
        };
        let sent = self.jobs.insert(jobs).try_send(job);
        sent.map_err(|_| refused("too many rewrites wait for the disk".to_owned()))
    }
}

fn spawn(
    report: impl Fn(RewriteReport) -> bool + Send + 'static,
    cpus: &Text,
) -> io::Result<Sender<RewriteJob>> {
    let (sender, jobs) = bounded::<RewriteJob>(REWRITE_QUEUE);
    let run = move || {
        for job in jobs {
            let result = rewrite_file(&job.file, &job.config, job.added);
            if !report(RewriteReport { client: job.client, result }) {
                return;
            }
        }
    };
    Builder::new().name("config".to_owned()).spawn(affinity::pinned(cpus, run)).map(|_| sender)
}

/// Writes the configuration to `file`, keeping its comments and order. Errors in words.
pub fn rewrite_file(file: &str, config: &Config, added: Added) -> Result<(), String> {
    let file = Path::new(file);
    let old = match fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|error| words(&error))?,
    };
    replace(file, &rewrite(&old, config, &Config::default(), added)).map_err(|error| words(&error))
}

/// Puts a whole new file in the place of an old one: readers see one or the other, a crash leaves
/// one.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let number = LAST_TEMPORARY.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-{}-{number}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    let result = write_synced(temporary, path, text).and_then(|()| fs::rename(temporary, path));
    if result.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(temporary);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    result.and_then(|()| File::open(folder)?.sync_all())
}

fn write_synced(temporary: &Path, model: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(temporary)?;
    if let Ok(metadata) = fs::metadata(model) {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()
}
