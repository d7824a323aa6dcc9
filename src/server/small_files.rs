//! Small files that a thread of the engine reads and writes, one after the other: what follows when
//! that is done.
//!
//! The text that CONFIG REWRITE and ACL SAVE write is fixed when the command runs ([`FileJob`]);
//! the client waits for the report ([`FileReport`]). The ACL file has more to it:
//! [`super::users_file`].
//!
//! [`FileJob`]: super::FileJob

use super::file_job::FileReport;
use super::machine::Server;
use super::rewrite_job::RewriteReport;
use super::rooms::Rooms;
use crate::base::ClientId;

impl Server {
    /// Goes on with the command whose work on a file is done.
    pub fn file_reported(&mut self, report: FileReport) {
        match report {
            FileReport::Rewritten(RewriteReport { client, result }) => {
                self.answer_late(client, rewrite_answer(result));
            }
            FileReport::Users(report) => self.users_reported(report),
        }
    }

    /// Answers a client that waited for a file, if it is still there.
    pub(super) fn answer_late(&mut self, client: Option<ClientId>, answer: Result<(), String>) {
        let Some(client) = client else { return };
        self.complete(client, |rooms: &mut Rooms, reply| match answer {
            Ok(()) => reply.ok(),
            Err(line) => {
                rooms.stats.counters.count_error(line.as_bytes());
                reply.error(&line);
            }
        });
    }
}

/// Logs how a rewrite went. Returns the line to answer when it failed.
pub fn rewrite_answer(result: Result<(), String>) -> Result<(), String> {
    match &result {
        Ok(()) => log::warn!("CONFIG REWRITE executed with success."),
        Err(reason) => log::warn!("CONFIG REWRITE failed: {reason}"),
    }
    result.map_err(|reason| format!("ERR Rewriting config file: {reason}"))
}
