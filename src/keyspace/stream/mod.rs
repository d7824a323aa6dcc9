//! The stream type: a [`Log`] of entries, and the [`Groups`] that read it.

mod consumers;
mod group;
mod groups;
mod id;
mod log;
mod node;
mod read_counter;
#[cfg(test)]
mod tests;

pub use consumers::{Consumer, ConsumerNumber, Consumers, Found};
pub use group::{Group, Pending};
pub use groups::Groups;
pub use id::{IdText, StreamId};
pub use log::{EntryTooLarge, Log, Precision, TrimTo};
pub use node::{Node, Pairs, StreamEntry};

/// A stream. It may be empty: its last ID and its groups are kept without entries.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The entries.
    pub log: Log,
    /// The groups that read them.
    pub groups: Groups,
}

impl Stream {
    /// Bytes that a clone copies: it only refers to entries and groups.
    #[must_use]
    pub(super) fn clone_bytes(&self) -> usize {
        size_of::<Self>()
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.log.len()).unwrap_or(usize::MAX)
    }

    /// True when there is no entry, which does not end the key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Returns its encoding, as OBJECT ENCODING names it.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        "stream"
    }

    /// Bytes allocated for entries and groups, extrapolated where they are very many.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.log.heap_bytes() + self.groups.heap_bytes()
    }

    /// True when freeing it would be felt by the owner thread.
    #[must_use]
    pub fn is_costly_to_free(&self) -> bool {
        self.log.len() > log::FREE_ELSEWHERE_ENTRIES || !self.groups.is_empty()
    }
}
