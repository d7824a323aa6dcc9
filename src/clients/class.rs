//! The class a client belongs to: [`ClientClass`].

use super::session::Session;

/// The classes that limits and filters tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Everybody else.
    Normal,
    /// Our primary.
    Master,
    /// Our replicas.
    Replica,
    /// Clients that are subscribed to something.
    Pubsub,
}

impl ClientClass {
    /// The class of a client now.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        if session.subscribed.is_zero() { ClientClass::Normal } else { ClientClass::Pubsub }
    }
}
