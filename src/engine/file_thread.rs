//! The thread that reads and writes small files, one after the other, while their clients wait:
//! the configuration file and the ACL file.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread::Builder;

use crossbeam_channel::{Sender, bounded};

use super::{affinity, config_file};
use crate::base::text::os_reason;
use crate::config::Text;
use crate::server::{
    FileJob, FileReport, RewriteReport, UsersJob, UsersOutcome, UsersReport, UsersWork, read_users,
};

/// Jobs that may wait for a disk that stands still; more are refused.
const FILE_QUEUE: usize = 64;

/// The door to the thread, which is started when there is something to do.
#[derive(Default)]
pub(super) struct FileThread {
    jobs: Option<Sender<FileJob>>,
}

impl FileThread {
    /// Hands over a job, which is carried out after those before it; then `report` is called, which
    /// tells whether anybody still wants to know. The error is the report of one that cannot be
    /// taken.
    pub(super) fn send(
        &mut self,
        job: FileJob,
        cpus: &Text,
        report: impl Fn(FileReport) -> bool + Send + 'static,
    ) -> Result<(), FileReport> {
        let jobs = match self.jobs.take() {
            Some(jobs) => jobs,
            None => match spawn(report, cpus) {
                Ok(jobs) => jobs,
                Err(error) => return Err(refused(job, os_reason(&error))),
            },
        };
        let sent = self.jobs.insert(jobs).try_send(job);
        sent.map_err(|error| refused(error.into_inner(), "too many files wait for the disk".to_owned()))
    }
}

fn spawn(report: impl Fn(FileReport) -> bool + Send + 'static, cpus: &Text) -> io::Result<Sender<FileJob>> {
    let (sender, jobs) = bounded::<FileJob>(FILE_QUEUE);
    let run = move || {
        for job in jobs {
            if !report(carry_out(job)) {
                return;
            }
        }
    };
    Builder::new().name("files".to_owned()).spawn(affinity::pinned(cpus, run)).map(|_| sender)
}

fn carry_out(job: FileJob) -> FileReport {
    match job {
        FileJob::Rewrite(job) => {
            let result = config_file::rewrite_file(&job.file, &job.config, job.added);
            FileReport::Rewritten(RewriteReport { client: job.client, result })
        }
        FileJob::Users(UsersJob { client, path, work }) => {
            let file = Path::new(OsStr::from_bytes(&path));
            let outcome = match work {
                UsersWork::Save(text) => {
                    UsersOutcome::Saved(config_file::replace(file, &text).map_err(|error| os_reason(&error)))
                }
                UsersWork::Read(at) => {
                    let file = File::open(file).map_err(|error| os_reason(&error));
                    UsersOutcome::Read(at, file.and_then(|file| read_users(file, os_reason)))
                }
            };
            FileReport::Users(UsersReport { client, path, outcome })
        }
    }
}

fn refused(job: FileJob, reason: String) -> FileReport {
    match job {
        FileJob::Rewrite(job) => {
            FileReport::Rewritten(RewriteReport { client: job.client, result: Err(reason) })
        }
        FileJob::Users(UsersJob { client, path, work }) => {
            FileReport::Users(UsersReport { client, path, outcome: work.failed(reason) })
        }
    }
}
