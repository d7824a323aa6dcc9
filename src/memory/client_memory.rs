//! What clients cost together: [`ClientMemory`].

use crate::base::ClientId;

/// The sum of what clients cost.
#[derive(Debug, Default)]
pub struct ClientMemory {
    /// The sum, bytes.
    pub total: usize,
    /// The limit by which clients were weighed last; 0 is none.
    pub followed: u64,
    /// Who must be weighed again.
    pub moved: Vec<ClientId>,
}
