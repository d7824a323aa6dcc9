//! Hearing others while a script holds the server: the engine's side ([`Ear`]), and the server's as
//! the engine knows it then ([`BusyServer`]).

use super::stop::Signal;
use crate::base::ClientId;
use crate::clients::{Close, Connection};
use crate::resp::Requests;

/// Takes the events that wait while a script runs, for the server to hear.
pub trait Ear {
    /// Gives `busy` what waits, as far as it can take it, and sends the answers. Never blocks.
    fn listen(&mut self, busy: &mut dyn BusyServer);

    /// The same, but waits for something to hear if there is nothing, for a tenth of a second at
    /// most.
    fn wait(&mut self, busy: &mut dyn BusyServer);
}

/// The server, while a script holds it.
pub trait BusyServer {
    /// True for the client whose script runs: it waits for its answer.
    #[must_use]
    fn is_running(&self, id: ClientId) -> bool;

    /// The client whose script runs has sent `bytes` more, which wait: too many close it.
    fn running_waits_with(&mut self, bytes: usize);

    /// The client whose script runs has sent something: commands of the debugger are taken now,
    /// other requests are returned and wait.
    #[must_use]
    fn requests_of_running(&mut self, batch: Requests) -> Option<Requests>;

    /// True when the connection of the client whose script is debugged has ended.
    #[must_use]
    fn is_running_gone(&self) -> bool;

    /// The connection of the client whose script runs has ended.
    fn running_is_gone(&mut self);

    /// A client has connected.
    fn connect(&mut self, id: ClientId, connection: Connection);

    /// True when a client is owed answers that cannot be given yet: it is not to be forgotten.
    #[must_use]
    fn owes_answers_to(&self, id: ClientId) -> bool;

    /// A client's connection has ended. Not for the one whose script runs.
    fn disconnect(&mut self, id: ClientId);

    /// A connection was refused for `maxclients`.
    fn rejected_connection(&mut self);

    /// A signal to end stops the script, whose changes are undone: what follows is up to the turn
    /// behind it. Returns the signal, to be acted on then.
    #[must_use]
    fn signal(&mut self, signal: Signal) -> Signal;

    /// Answers what one read of a client brought, but not of the one whose script runs. Returns the
    /// batch when it is done with.
    fn requests(&mut self, id: ClientId, batch: Requests) -> Option<Requests>;

    /// Hands every client with something to send, or to close, to `take`, which empties the bytes.
    fn take_outputs(&mut self, take: &mut dyn FnMut(ClientId, &mut Vec<u8>, Close));
}
