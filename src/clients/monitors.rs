//! The clients that are shown every command: [`Monitors`].

use crate::base::ClientId;

/// The clients that watch.
#[derive(Debug, Default)]
pub struct Monitors {
    clients: Vec<ClientId>,
}

impl Monitors {
    /// True when no client is a monitor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Adds a client.
    pub fn add(&mut self, id: ClientId) {
        self.clients.push(id);
    }

    /// Returns the clients that watch.
    #[must_use]
    pub fn clients(&self) -> &[ClientId] {
        &self.clients
    }

    /// Removes a client, which may not be among them.
    pub fn remove(&mut self, id: ClientId) {
        self.clients.retain(|&other| other != id);
    }
}
