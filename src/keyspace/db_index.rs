//! The number of a database, by which everybody above speaks of it.

/// A database's number, below the parameter `databases`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DbIndex(pub u16);
