//! The sorted set type.

/// A sorted set.
#[derive(Clone, Debug)]
pub struct SortedSet {}

impl SortedSet {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How it is stored, as OBJECT ENCODING names it.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        "listpack"
    }
}
