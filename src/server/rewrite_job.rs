//! A configuration file to write anew, and how that went.

use crate::base::ClientId;
use crate::config::{Added, Config};

/// A configuration to write.
pub struct RewriteJob {
    /// The client that waits; `None` when the command was answered before.
    pub client: Option<ClientId>,
    /// The absolute path of the file.
    pub file: String,
    /// The configuration that is written, the users included.
    pub config: Box<Config>,
    /// The parameters that are added to those of the file.
    pub added: Added,
}

/// The result of a rewrite of the configuration file.
#[derive(Debug)]
pub struct RewriteReport {
    /// The client that waits.
    pub client: Option<ClientId>,
    /// Errors in words.
    pub result: Result<(), String>,
}

impl std::fmt::Debug for RewriteJob {
    /// A configuration holds passwords, which are not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RewriteJob").field("client", &self.client).field("file", &self.file).finish()
    }
}
