//! What memory is on its way: values that another thread frees ([`Pending`], charged by a
//! [`FreeJob`] until it is dropped), and free memory that is to be given back to the system
//! ([`Purge`]). Neither reads the allocator: whoever calls hands over the figures.

mod client_memory;
mod eviction;
mod freeing;
mod purge;

pub use client_memory::ClientMemory;
pub use eviction::{Eviction, Room};
pub use freeing::{FreeJob, Pending};
pub use purge::Purge;
