//! A cache of threads with small stacks: workers run on it.
//!
//! A connection costs a thread; a thread that has become free waits for the next job for a while
//! before it ends, the one freed last is reused first (its memory is warm, the others time out). A
//! few stay ready for those who come next. The number that run at once is not decided here: that is
//! the pool's limit, of which each job brings a place along, given back when its thread is free
//! again.
//!
//! Nothing here allocates on the new thread, and neither does a worker as a rule: with the first
//! allocation a thread gets a heap of its own from mimalloc, some 20 KiB, and a thread that never
//! allocates costs 12 KiB of stack and no more.

use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crate::base::alloc;
use crate::engine::{crash, os};

/// Stack of a thread, bytes: address space only, a worker touches 12 KiB of it.
const STACK_BYTES: usize = 128 * 1024;
/// Free threads that are kept for the next jobs.
const READY: usize = 16;
/// The time for which the others wait for another job.
pub const IDLE: Duration = Duration::from_secs(10);

/// After how much of that it gives the memory back that it holds free.
const QUIET: Duration = Duration::from_millis(100);

/// The work that a thread runs.
pub type Job = Box<dyn FnOnce() + Send>;

/// Free threads and how many there are in all. `P` is a place among those who may have a thread.
#[derive(Debug)]
pub struct Threads<P> {
    state: Mutex<State<P>>,
    idle: Duration,
}

#[derive(Debug)]
struct State<P> {
    /// Free threads, the one freed last at the end; with room for all of them.
    free: Vec<Arc<Seat<P>>>,
    running: usize,
}

/// The place where a free thread waits.
struct Seat<P> {
    job: Mutex<Option<(Job, P)>>,
    given: Condvar,
}

impl<P> Seat<P> {
    fn new(job: Option<(Job, P)>) -> Arc<Self> {
        Arc::new(Seat { job: Mutex::new(job), given: Condvar::new() })
    }

    /// Waits for a job, so long.
    fn wait(&self, patience: Duration) -> Option<(Job, P)> {
        let job = self.given.wait_timeout_while(lock(&self.job), patience, |job| job.is_none());
        job.unwrap_or_else(PoisonError::into_inner).0.take()
    }

    /// Waits for a job that comes, or that may come some day.
    fn wait_long(&self) -> Option<(Job, P)> {
        let job = self.given.wait_while(lock(&self.job), |job| job.is_none());
        job.unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<P> fmt::Debug for Seat<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seat")
    }
}

impl<P: Send + 'static> Threads<P> {
    /// A cache whose free threads, but for a few, end after `idle`.
    #[must_use]
    pub fn new(idle: Duration) -> Arc<Self> {
        Arc::new(Threads { state: Mutex::new(State { free: Vec::new(), running: 0 }), idle })
    }

    /// Runs `job` on a free thread, or on a new one; `place` is given back behind it. Errors when
    /// the system gives no more threads; both are then dropped.
    pub fn run(self: &Arc<Self>, job: Job, place: P) -> io::Result<()> {
        let seat = lock(&self.state).free.pop();
        let Some(seat) = seat else { return self.start(Some((job, place))) };
        *lock(&seat.job) = Some((job, place));
        seat.given.notify_one();
        Ok(())
    }

    /// Starts one thread if there are few that are free, and fewer than `limit` in all. `false`
    /// when there was no need, or no thread to be had.
    pub fn make_ready(self: &Arc<Self>, limit: usize) -> bool {
        let (free, running) = self.count();
        free < READY && running < limit && self.start(None).is_ok()
    }

    /// Returns the number of threads that are free at this moment, and the number of all.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.free.len(), state.running)
    }

    /// Starts a thread with a job, or with a seat among the free ones.
    fn start(self: &Arc<Self>, job: Option<(Job, P)>) -> io::Result<()> {
        let is_free = job.is_none();
        let seat = Seat::new(job);
        let mut state = lock(&self.state);
        state.running += 1;
        let missing = state.running - state.free.len();
        state.free.reserve(missing);
        drop(state);
        let (threads, own) = (Arc::clone(self), Arc::clone(&seat));
        let body = move || {
            os::schedule_as_batch(os::SLICE);
            os::name_thread(c"worker");
            crash::report_briefly();
            threads.work(&own);
        };
        // Not named through std, which would copy the name on the new thread: see the module.
        let started = Builder::new().stack_size(STACK_BYTES).spawn(body);
        let mut state = lock(&self.state);
        match started {
            Ok(_) if is_free => state.free.push(seat),
            Ok(_) => {}
            Err(_) => state.running -= 1,
        }
        started.map(drop)
    }

    fn work(&self, seat: &Arc<Seat<P>>) {
        while let Some((job, place)) = self.next(seat) {
            // A panic has cost its connection by now; the thread is as good as before.
            let _ = panic::catch_unwind(AssertUnwindSafe(job));
            lock(&self.state).free.push(Arc::clone(seat));
            drop(place);
        }
    }

    /// Waits for the next job; `None` when the thread is to end.
    fn next(&self, seat: &Arc<Seat<P>>) -> Option<(Job, P)> {
        let quiet = QUIET.min(self.idle);
        if let Some(job) = seat.wait(quiet) {
            return Some(job);
        }
        // Memory that big requests took is free by now, but would stay with this thread.
        alloc::leave();
        if let Some(job) = seat.wait(self.idle - quiet) {
            return Some(job);
        }
        let mut state = lock(&self.state);
        if let Some(index) = state.free.iter().position(|other| Arc::ptr_eq(other, seat))
            && state.free.len() > READY
        {
            state.free.remove(index);
            state.running -= 1;
            return None;
        }
        drop(state);
        // It is one of those that stay ready, or someone took the seat and is about to give it a
        // job.
        seat.wait_long()
    }
}

/// Nothing that panics runs under these locks, so a poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::{LIMIT, wait_until};
    use crossbeam_channel::{RecvTimeoutError, bounded};
    use std::thread::{self, ThreadId};

    /// Runs a job that reports its thread, and waits until it has.
    fn thread_of_a_job(threads: &Arc<Threads<()>>) -> ThreadId {
        let (report, reported) = bounded(1);
        threads.run(Box::new(move || report.send(thread::current().id()).unwrap()), ()).unwrap();
        reported.recv_timeout(LIMIT).expect("the job runs within the limit")
    }

    fn wait_for_count(threads: &Threads<()>, wanted: (usize, usize)) {
        wait_until(&format!("{wanted:?} threads are free and there"), || threads.count() == wanted);
    }

    #[test]
    fn a_free_thread_is_reused_and_a_panic_does_not_cost_it() {
        let threads = Threads::new(IDLE);
        let first = thread_of_a_job(&threads);
        wait_for_count(&threads, (1, 1));
        threads.run(Box::new(|| panic::resume_unwind(Box::new("on purpose"))), ()).unwrap();
        wait_for_count(&threads, (1, 1));
        assert_eq!(thread_of_a_job(&threads), first);
    }

    #[test]
    fn busy_threads_are_not_shared() {
        let threads = Threads::new(IDLE);
        let (release, released) = bounded::<()>(0);
        threads.run(Box::new(move || released.recv().unwrap_or(())), ()).unwrap();
        thread_of_a_job(&threads);
        drop(release);
        wait_for_count(&threads, (2, 2));
    }

    #[test]
    fn idle_threads_are_given_back_but_for_a_few() {
        let threads = Threads::new(Duration::from_millis(1));
        let (release, released) = bounded::<()>(0);
        for _ in 0..READY + 20 {
            let released = released.clone();
            threads.run(Box::new(move || released.recv().unwrap_or(())), ()).unwrap();
        }
        assert_eq!(threads.count(), (0, READY + 20));
        drop(release);
        wait_for_count(&threads, (READY, READY));
        thread_of_a_job(&threads);
        wait_for_count(&threads, (READY, READY));
    }

    #[test]
    fn threads_are_made_ready_up_to_the_limit_and_taken_first() {
        let threads = Threads::new(IDLE);
        while threads.make_ready(3) {}
        assert_eq!(threads.count(), (3, 3));
        while threads.make_ready(1000) {}
        assert_eq!(threads.count(), (READY, READY));
        thread_of_a_job(&threads);
        assert_eq!(threads.count().1, READY);
    }

    #[test]
    fn whoever_gets_a_place_that_was_given_back_finds_its_thread_free() {
        let threads = Threads::<crossbeam_channel::Sender<()>>::new(IDLE);
        for _ in 0..200 {
            let (place, given_back) = bounded::<()>(0);
            threads.run(Box::new(|| {}), place).unwrap();
            let given_back = given_back.recv_timeout(LIMIT);
            assert_eq!(given_back, Err(RecvTimeoutError::Disconnected), "a place is dropped");
        }
        assert_eq!(threads.count(), (1, 1));
    }
}
