//! Memory that does not stay, and what follows from it: [`Memory`].
//!
//! The [`Ledger`] says what memory is in use for, by accounts: values that another thread frees (a
//! [`FreeJob`]), answers of this turn, what an eviction leaves behind ([`Eviction`]), clients
//! ([`ClientMemory`]), and what other rooms charge. [`Purge`] says when free memory is to be given
//! back to the system. But for the default of [`Eviction`] nobody reads the allocator here: whoever
//! calls hands over the figures.

mod client_memory;
mod eviction;
mod freeing;
mod ledger;
mod purge;

pub use client_memory::ClientMemory;
pub use eviction::{Eviction, Room};
pub use freeing::FreeJob;
pub use ledger::{Account, Balance, Charge, Counting, Ledger, Measured};
pub use purge::Purge;

/// Keeping to `maxmemory`, and giving memory back.
#[derive(Debug)]
pub struct Memory {
    /// The memory in use by purpose.
    pub ledger: &'static Ledger,
    /// The memory that clients take.
    pub clients: ClientMemory,
    /// Making room.
    pub eviction: Eviction,
    /// The decision when free memory is given back.
    pub purge: Purge,
}

impl Memory {
    /// Nothing is in use so far; what will be is charged to `ledger`.
    #[must_use]
    pub fn new(ledger: &'static Ledger) -> Self {
        Memory {
            ledger,
            clients: ClientMemory::new(ledger),
            eviction: Eviction::new(ledger),
            purge: Purge::default(),
        }
    }
}
