//! Copy on write, counted: how many bytes this thread holds twice because somebody else held the
//! chunk too.
//!
//! Every container changes its chunks through [`make_mut`]; who replaces a shared value as a whole,
//! so that the old one lives on elsewhere, says so by [`count_copy`]. Whoever hands references to
//! another thread (a snapshot walk) reads [`copied_bytes`] to know what that costs: the copies made
//! since a reference was handed over are an upper bound of what the reference keeps alive in
//! addition. The count is the thread's own because containers are changed by one thread; it only
//! grows.

use std::cell::Cell;

use triomphe::Arc;

thread_local! {
    static COPIED: Cell<u64> = const { Cell::new(0) };
}

/// Bytes of chunks this thread has copied so far because they were shared.
#[must_use]
pub fn copied_bytes() -> u64 {
    COPIED.get()
}

/// Notes that `bytes` live twice now.
pub(crate) fn count_copy(bytes: usize) {
    COPIED.set(COPIED.get() + bytes as u64);
}

/// The one way to change a shared chunk: copies it first if somebody else holds it too. `bytes`
/// says what a copy takes.
#[inline]
pub(crate) fn make_mut<T: Clone>(chunk: &mut Arc<T>, bytes: impl FnOnce(&T) -> usize) -> &mut T {
    if !chunk.is_unique() {
        count_copy(bytes(chunk));
    }
    Arc::make_mut(chunk)
}
