//! The runner of the commands of an append-only file while it is loaded: [`AofLoader`].

use crate::clients::Session;
use crate::resp::OwnedArgv;
use crate::stats::Counters;

/// Runs the commands of an append-only file's part.
#[derive(Debug)]
pub(super) struct AofLoader {
    pub(super) began_ns: u64,
    pub(super) client: AofClient,
    /// Takes the counts of commands of the file, which count for nothing.
    pub(super) stats: Counters,
}

/// The client that is no client: its commands come from the file.
#[derive(Debug)]
pub(super) struct AofClient {
    pub(super) session: Box<Session>,
    /// The commands behind a MULTI.
    pub(super) transaction: Option<Vec<OwnedArgv>>,
    pub(super) commands: u64,
    pub(super) out: Vec<u8>,
}
