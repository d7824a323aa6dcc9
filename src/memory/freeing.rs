//! Values that are freed on another thread: what is on its way there, and how much memory that will
//! give back. Who decides by the memory in use must not count what is as good as gone.

use crate::keyspace::Garbage;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What waits to be freed; shared with the thread that frees it.
#[derive(Debug, Default)]
pub struct Pending {
    objects: AtomicU64,
    bytes: AtomicU64,
}

impl Pending {
    /// Values.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    /// What they take, about, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// A load for the freeing thread. Dropping it frees it and settles the account.
#[derive(Debug)]
pub struct FreeJob {
    garbage: Vec<Garbage>,
    objects: u64,
    bytes: u64,
    pending: Arc<Pending>,
}

impl FreeJob {
    /// A load of `garbage`, charged to `pending` until it is dropped.
    #[must_use]
    pub fn new(garbage: Vec<Garbage>, pending: &Arc<Pending>) -> Self {
        let objects = garbage.iter().map(Garbage::objects).sum();
        let bytes = garbage.iter().map(|garbage| garbage.heap_bytes() as u64).sum();
        pending.objects.fetch_add(objects, Ordering::Relaxed);
        pending.bytes.fetch_add(bytes, Ordering::Relaxed);
        FreeJob { garbage, objects, bytes, pending: Arc::clone(pending) }
    }

    /// Values in it.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects
    }
}

impl Drop for FreeJob {
    fn drop(&mut self) {
        self.garbage.clear();
        self.pending.objects.fetch_sub(self.objects, Ordering::Relaxed);
        self.pending.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
