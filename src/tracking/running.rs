//! Whose command runs, and what it is told of behind its answer: [`TrackingState`].

use super::Tracking;
use crate::base::ClientId;

/// What tracking needs besides its tables.
#[derive(Debug, Default)]
pub struct TrackingState {
    /// Who has read what.
    pub tables: Tracking,
    /// Whose command runs.
    pub executing: Option<ClientId>,
    /// Keys that this client is told of behind its answer; `None` means all.
    pub pending: Vec<Option<Vec<u8>>>,
}
