//! The client whose command runs, and the invalidations it is told of behind its answer:
//! [`TrackingState`].

use super::Tracking;
use crate::base::ClientId;

/// The state that tracking needs besides its tables.
#[derive(Debug, Default)]
pub struct TrackingState {
    /// The tables that say which client has read which keys.
    pub tables: Tracking,
    /// The client whose command runs.
    pub executing: Option<ClientId>,
    /// Keys that this client is told of behind its answer; `None` means all.
    pub pending: Vec<Option<Vec<u8>>>,
}
