//! Sockets and worker threads: one thread per connection, blocking reads.
//!
//! ```text
//! Listener ─ accept thread ─► Pool: a slot, or -ERR max number of clients reached
//!                              └► worker: read → Parser → ONE Event::Requests per read ─► owner
//! owner ─► Outlet: non-blocking send ─(what the socket does not take)─► Drainer: one for all
//! ```
//!
//! [`Listener`]s are bound first, so that the daemon can say at once what is wrong; [`Net::serve`]
//! starts accepting. This room does not know commands, clients or replies; it moves bytes and tells
//! [`crate::engine`] who came, what they sent and when they left.

pub mod connection;
pub mod drainer;
pub mod listener;
pub mod outlet;
pub mod pool;
pub mod socket;
pub mod threads;

pub use listener::Listener;
pub use pool::Net;
