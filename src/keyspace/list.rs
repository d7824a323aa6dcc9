//! The list type.

/// A list.
#[derive(Clone, Debug)]
pub struct List {}

impl List {
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
        "quicklist"
    }
}
