//! The list type: a sequence of byte strings, long or short in one form.
//!
//! Redis 7.0 keeps every list as a quicklist, so there is one encoding and nothing to convert. The
//! work is done by [`ChunkList`]; this file only says how a list is made and how it is named.

use super::encoding_limits::EncodingLimits;
use crate::ds::chunk_list::{ChunkList, Fill};

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// The elements, first to last.
    pub elements: ChunkList,
}

impl List {
    /// An empty list whose chunks are as large as `list-max-listpack-size` says.
    #[must_use]
    pub fn new(limits: &EncodingLimits) -> Self {
        let fill = Fill::new(limits.list_max_listpack_size).plain_from(limits.list_plain_from);
        List { elements: ChunkList::new(fill) }
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.elements.len()).unwrap_or(usize::MAX)
    }

    /// True when it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Returns its encoding, as OBJECT ENCODING names it.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        "quicklist"
    }

    /// Bytes that a clone copies: it only refers to the elements.
    #[must_use]
    pub(super) fn clone_bytes(&self) -> usize {
        size_of::<Self>()
    }

    /// Bytes allocated for the elements, extrapolated for very long lists.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.elements.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_a_quicklist_of_chunks_as_configured() {
        for (size, chunks) in [(-2, 1), (10, 10)] {
            let mut list =
                List::new(&EncodingLimits { list_max_listpack_size: size, ..EncodingLimits::default() });
            assert!(list.is_empty());
            (0..100).for_each(|_| list.elements.push_back(b"element"));
            assert_eq!((list.len(), list.elements.chunk_count()), (100, chunks), "{size}");
            assert_eq!(list.encoding(), "quicklist");
            assert!(list.heap_bytes() >= 700);
        }
    }
}
