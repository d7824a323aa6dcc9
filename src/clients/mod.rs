//! The clients that are connected: [`Clients`], and everything that the server knows of one of
//! them, its [`Session`].
//!
//! This room knows no socket: a session has a number, a place where it comes from, requests that
//! have arrived, and bytes on their way out. The client whose command runs is taken out of
//! [`Clients`] for that time ([`Clients::take`]), so that its session and everybody else's can be
//! changed side by side; what is delivered to it meanwhile is laid aside.
//!
//! It is the last room of its floor, for a session also carries what the other rooms keep with each
//! client: what it waits for, how it tracks, what it listens to.

mod class;
mod connection;
mod debugging;
mod delivery;
mod held_output;
mod monitors;
mod registry;
mod reply_buffer;
mod requests;
mod session;
mod transaction;
mod watches;

pub use class::ClientClass;
pub use connection::{ClientGauges, Close, Connection, ReplyMode, Waking, WireLimits};
pub use debugging::{DebuggedChanges, Debugging, Sent};
pub use held_output::HeldOutput;
pub use monitors::Monitors;
pub use registry::{Clients, traffic};
pub use reply_buffer::{ReplyBuffer, Resizing};
pub use requests::{Pending, Running};
pub use session::{Last, LoginState, LookupCache, Outbox, Requested, Session};
pub use transaction::{Queued, Transaction};
pub use watches::Watches;
