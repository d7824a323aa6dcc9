//! Who waits, what for, and what is done then.

mod parked;

pub use parked::{BlockOn, Parked, Ticket, TimeoutReply, Waiters, WakeOn};
