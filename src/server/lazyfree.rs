//! Memory that has become free: values go to the thread that frees them, free pages to the system.

use super::rooms::Rooms;
use super::task::Task;
use crate::base::alloc;
use crate::keyspace::Keyspace;
use crate::memory::FreeJob;

/// Sends what the databases have left to be freed on its way.
pub(super) fn hand_over(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    let garbage = keyspace.take_garbage();
    if garbage.is_empty() {
        return;
    }
    let job = FreeJob::new(garbage, rooms.memory.ledger);
    rooms.stats.counters.lazyfreed_objects += job.objects();
    rooms.outside.tasks.push(Task::Free(job));
}

impl Rooms {
    /// Has memory given back when much has become free.
    pub(super) fn give_back_memory(&mut self) {
        let is_free = self.memory.purge.look(alloc::used_bytes() as u64);
        let is_left = self.memory.purge.look_at_heaps(alloc::left_heaps());
        if (is_free || is_left) && self.config.jemalloc_bg_thread {
            alloc::let_go();
            self.outside.tasks.push(Task::GiveBack);
        }
    }
}
