//! The number of a client.

/// A client's number, as CLIENT ID answers it: counted from 1 in the order of acceptance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);
