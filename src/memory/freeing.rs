//! Values that are freed on another thread: what is on its way there, and how much memory that will
//! give back. Code that decides by the memory in use must not count what is as good as gone.

use super::ledger::{Account, Charge, Ledger};
use crate::keyspace::Garbage;

/// A load for the freeing thread. Dropping it frees it and, after that, takes back what it was
/// charged for.
#[derive(Debug)]
pub struct FreeJob {
    // Fields are dropped in this order.
    _garbage: Vec<Garbage>,
    _bytes: Charge,
    objects: Charge,
}

impl FreeJob {
    /// A load of `garbage`, charged to `ledger` until it is dropped.
    #[must_use]
    pub fn new(garbage: Vec<Garbage>, ledger: &'static Ledger) -> Self {
        let objects = garbage.iter().map(Garbage::objects).sum();
        let bytes = garbage.iter().map(|garbage| garbage.heap_bytes() as u64).sum();
        FreeJob {
            _garbage: garbage,
            _bytes: ledger.charge(Account::LazyFree, bytes),
            objects: ledger.charge_lazyfree_objects(objects),
        }
    }

    /// Values in it.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects.amount()
    }
}
