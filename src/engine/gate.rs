//! Waiting for the owner: threads wait here for room in its queue, and for it to have come so far.
//!
//! Nothing here allocates on the thread that waits. A worker that never allocates has no heap of
//! its own from the allocator (some 8 KiB and a page for every size), and in a rush thousands wait
//! at once; the channel's own way to block makes a record for each thread and a list of them that
//! takes longer the more there are. A futex is a number: who waits sleeps until it changes, in the
//! order in which they came.

use rustix::thread::futex::{Flags, wait, wake};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Before a queue that may be full.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The number of threads that wait, or are about to.
    waiting: AtomicU32,
    /// Changes with each place that becomes free while somebody waits.
    places: AtomicU32,
}

impl Gate {
    /// Returns what `enter` does once it does; it is tried again after each [`Gate::open`].
    pub(super) fn pass<T>(&self, mut enter: impl FnMut() -> Option<T>) -> T {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        loop {
            let places = self.places.load(Ordering::SeqCst);
            if let Some(entered) = enter() {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                return entered;
            }
            // It fails when a place has become free in the meantime, or by a signal: both are
            // looked at again.
            let _ = wait(&self.places, Flags::PRIVATE, places, None);
        }
    }

    /// A place has become free. Whoever waits was counted before it found the queue full, so it is
    /// seen here, or finds the place.
    pub(super) fn open(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.let_in(1);
        }
    }

    /// There is nothing to wait for any more: everybody finds that out.
    pub(super) fn open_for_good(&self) {
        self.let_in(i32::MAX.cast_unsigned());
    }

    fn let_in(&self, threads: u32) {
        self.places.fetch_add(1, Ordering::SeqCst);
        // It cannot fail: the number is there and aligned.
        let _ = wake(&self.places, Flags::PRIVATE, threads);
    }
}

const PENDING: u32 = 0;
const KEPT: u32 = 1;
const BROKEN: u32 = 2;

/// The owner thread has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server has stopped")
    }
}

impl std::error::Error for Stopped {}

/// A point that one thread waits for again and again, one [`Promise`] at a time.
#[derive(Clone, Debug, Default)]
pub struct Milestone(Arc<AtomicU32>);

impl Milestone {
    /// A promise to be kept by whoever gets it; there is no other one at the moment.
    pub(super) fn promise(&self) -> Promise {
        self.0.store(PENDING, Ordering::Relaxed);
        Promise(Some(self.clone()))
    }

    /// Waits until the promise is kept. Errors when it was dropped.
    pub(super) fn wait(&self) -> Result<(), Stopped> {
        loop {
            match self.0.load(Ordering::Acquire) {
                PENDING => {
                    // Whatever it says, the number is looked at again.
                    let _ = wait(&self.0, Flags::PRIVATE, PENDING, None);
                }
                KEPT => return Ok(()),
                _ => return Err(Stopped),
            }
        }
    }

    fn decide(&self, state: u32) {
        if self.0.compare_exchange(PENDING, state, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // As in `Gate`.
            let _ = wake(&self.0, Flags::PRIVATE, 1);
        }
    }
}

/// The promise that [`Milestone::wait`] returns.
#[derive(Debug)]
pub struct Promise(Option<Milestone>);

impl Promise {
    /// It may return.
    pub fn keep(mut self) {
        // Whoever waited may ask for the next promise at once, which the drop of this one must not
        // break.
        if let Some(milestone) = self.0.take() {
            milestone.decide(KEPT);
        }
    }
}

/// A promise that nobody kept fails whoever waits.
impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(milestone) = self.0.take() {
            milestone.decide(BROKEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::wait_until;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn everybody_gets_through_a_narrow_gate() {
        const THREADS: usize = 40;
        const ROUNDS: usize = 200;
        let shared = Arc::new((Gate::default(), AtomicUsize::new(0), AtomicUsize::new(0)));
        for _ in 0..THREADS {
            let shared = Arc::clone(&shared);
            // No scope: it would wait for threads that wait for ever.
            thread::spawn(move || {
                let (gate, places, passed) = &*shared;
                let one_less = |places: usize| places.checked_sub(1);
                for _ in 0..ROUNDS {
                    gate.pass(|| places.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).ok());
                    passed.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let (gate, places, passed) = &*shared;
        // One place at a time: a wake-up that gets lost would leave all of them waiting.
        for done in 0..THREADS * ROUNDS {
            places.fetch_add(1, Ordering::SeqCst);
            gate.open();
            wait_until("somebody takes the place", || passed.load(Ordering::SeqCst) > done);
        }
        assert_eq!(gate.waiting.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_milestone_is_reached_each_time_or_never() {
        let milestone = Milestone::default();
        for is_kept in [true, true, false, true] {
            let promise = milestone.promise();
            let reached = thread::scope(|scope| {
                let waiting = scope.spawn(|| milestone.wait());
                if is_kept {
                    promise.keep()
                } else {
                    drop(promise)
                }
                waiting.join().unwrap()
            });
            assert_eq!(reached.is_ok(), is_kept);
        }
    }
}
