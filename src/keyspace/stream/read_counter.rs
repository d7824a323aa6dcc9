//! The number of entries that a group has read, and of those that it has not: XINFO calls them
//! entries-read and lag.
//!
//! A group counts what it is given. Entries that were deleted ahead of it, or IDs set by hand, make
//! the count worthless; then it is derived again where it can be: at the ends of the stream.

use super::group::Group;
use super::id::StreamId;
use super::log::Log;

impl Log {
    /// True when an entry with an ID from `first` on may have been deleted, but for trimming.
    #[must_use]
    pub fn has_deleted_from(&self, first: StreamId) -> bool {
        // The first entry is looked up last: mostly nothing was deleted so far ahead.
        let deleted = self.max_deleted_id();
        deleted != StreamId::MIN && first <= deleted && !self.is_empty() && self.first_id() <= deleted
    }

    /// The number of entries that were ever added up to the one with this ID, if that can be told.
    #[must_use]
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        if self.added() == 0 {
            return Some(0);
        }
        if id == self.last_id() || (self.is_empty() && id < self.last_id()) {
            return Some(self.added());
        }
        let first = self.first_id();
        let nothing_deleted = self.max_deleted_id() == StreamId::MIN || self.max_deleted_id() < first;
        if id > self.last_id() || id > first || !nothing_deleted {
            return None;
        }
        Some(self.added().wrapping_sub(self.len()).wrapping_add(u64::from(id == first)))
    }

    /// Returns the number of entries that `group` has still to be given, if that can be told.
    #[must_use]
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let read = match group.entries_read {
            _ if self.added() == 0 => return Some(0),
            Some(read) if !self.has_deleted_from(group.last_id) => Some(read),
            _ => self.added_up_to(group.last_id),
        };
        read.map(|read| self.added().wrapping_sub(read) as i64)
    }
}

impl Group {
    /// Notes that the entry with this ID, which is larger than [`Group::last_id`], is given to a
    /// consumer.
    pub fn advance(&mut self, id: StreamId, log: &Log) {
        if let Some(read) = self.entries_read.filter(|_| !log.has_deleted_from(id)) {
            self.entries_read = Some(read.wrapping_add(1));
        } else if log.added() > 0 {
            self.entries_read = log.added_up_to(id);
        }
        self.last_id = id;
    }
}
