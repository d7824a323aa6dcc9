//! The configuration file written anew: CONFIG REWRITE between its two halves.
//!
//! What is written is fixed when the command runs ([`RewriteJob`]); a thread of the engine reads
//! the file, merges and replaces it, one job after the other, and reports ([`RewriteReport`]).

use super::machine::Server;
use super::rewrite_job::RewriteReport;
use super::rooms::Rooms;

impl Server {
    /// Answers the client of a job that has ended, if it is still there.
    pub fn config_rewritten(&mut self, report: RewriteReport) {
        let answer = rewrite_answer(report.result);
        let Some(client) = report.client else { return };
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
        Ok(()) => log::info!("CONFIG REWRITE executed with success."),
        Err(reason) => log::warn!("CONFIG REWRITE failed: {reason}"),
    }
    result.map_err(|reason| format!("ERR Rewriting config file: {reason}"))
}
