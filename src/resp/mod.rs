//! The wire: the only room that knows what a RESP byte looks like.
//!
//! [`argv`] holds commands as they travel (one buffer plus ranges), [`reply`] writes answers in a
//! client's protocol, [`broadcast`] one message for many clients, [`value`] reads answers back,
//! [`request`] turns bytes into commands.

pub mod argv;
pub mod broadcast;
pub mod reply;
pub mod request;
pub mod value;

pub use argv::{Argv, Failure, OwnedArgv, Requests};
pub use broadcast::Broadcast;
pub use reply::{Protocol, Reply};
pub use request::{Login, ParseLimits, Parser};
