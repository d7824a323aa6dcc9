//! A cache of threads with small stacks: workers and writers run on it.
//!
//! A connection costs a thread; a thread that has become free waits for the next job for a while
//! before it ends, the one freed last is reused first (its memory is warm, the others time out).
//! How many run at once is not decided here: that is the pool's limit.
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
/// How long a free thread waits for another job.
pub const IDLE: Duration = Duration::from_secs(10);

/// After how much of that it gives the memory back that it holds free.
const QUIET: Duration = Duration::from_millis(100);

/// What a thread runs.
pub type Job = Box<dyn FnOnce() + Send>;

/// Free threads and how many there are in all.
#[derive(Debug)]
pub struct Threads {
    state: Mutex<State>,
    idle: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// Free threads, the one freed last at the end; with room for all of them.
    free: Vec<Arc<Seat>>,
    running: usize,
}

/// Where a free thread waits.
#[derive(Default)]
struct Seat {
    job: Mutex<Option<Job>>,
    given: Condvar,
}

impl Seat {
    /// Waits for a job, so long.
    fn wait(&self, patience: Duration) -> Option<Job> {
        let job = self.given.wait_timeout_while(lock(&self.job), patience, |job| job.is_none());
        job.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seat")
    }
}

impl Threads {
    /// A cache whose free threads end after `idle`.
    #[must_use]
    pub fn new(idle: Duration) -> Arc<Self> {
        Arc::new(Threads { state: Mutex::default(), idle })
    }

    /// Runs `job` on a free thread, or on a new one. Errors when the system gives no more threads;
    /// the job is then dropped.
    pub fn run(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let mut state = lock(&self.state);
        let Some(seat) = state.free.pop() else {
            state.running += 1;
            let missing = state.running - state.free.len();
            state.free.reserve(missing);
            drop(state);
            return self.spawn(job).inspect_err(|_| lock(&self.state).running -= 1);
        };
        drop(state);
        *lock(&seat.job) = Some(job);
        seat.given.notify_one();
        Ok(())
    }

    /// How many threads are free at this moment, and how many there are.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let state = lock(&self.state);
        (state.free.len(), state.running)
    }

    fn spawn(self: &Arc<Self>, job: Job) -> io::Result<()> {
        let (threads, seat) = (Arc::clone(self), Arc::new(Seat::default()));
        let body = move || {
            os::schedule_as_batch(os::SLICE);
            os::name_thread(c"worker");
            crash::report_briefly();
            threads.work(job, &seat);
        };
        // Not named through std, which would copy the name on the new thread: see the module.
        Builder::new().stack_size(STACK_BYTES).spawn(body).map(drop)
    }

    fn work(&self, first: Job, seat: &Arc<Seat>) {
        let mut next = Some(first);
        while let Some(job) = next {
            // A panic has cost its connection by now; the thread is as good as before.
            let _ = panic::catch_unwind(AssertUnwindSafe(job));
            lock(&self.state).free.push(Arc::clone(seat));
            next = self.wait(seat);
        }
    }

    /// Waits for the next job; `None` when the thread is to end.
    fn wait(&self, seat: &Arc<Seat>) -> Option<Job> {
        let quiet = QUIET.min(self.idle);
        if let Some(job) = seat.wait(quiet) {
            return Some(job);
        }
        // What big requests took is free by now, but would stay with this thread.
        alloc::give_back();
        if let Some(job) = seat.wait(self.idle - quiet) {
            return Some(job);
        }
        let mut state = lock(&self.state);
        if let Some(index) = state.free.iter().position(|other| Arc::ptr_eq(other, seat)) {
            state.free.remove(index);
            state.running -= 1;
            return None;
        }
        drop(state);
        // Someone took the seat in the meantime and is about to give it a job.
        let job = seat.given.wait_while(lock(&seat.job), |job| job.is_none());
        job.unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Nothing that panics runs under these locks, so a poisoned one is as good as any.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use std::thread::{self, ThreadId};

    /// Runs a job that reports its thread, and waits until that thread is free again or gone.
    fn thread_of_a_job(threads: &Arc<Threads>) -> ThreadId {
        let (report, reported) = bounded(1);
        threads.run(Box::new(move || report.send(thread::current().id()).unwrap())).unwrap();
        reported.recv().unwrap()
    }

    fn wait_until(condition: impl Fn() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_free_thread_is_reused_and_a_panic_does_not_cost_it() {
        let threads = Threads::new(IDLE);
        let first = thread_of_a_job(&threads);
        wait_until(|| threads.count() == (1, 1));
        threads.run(Box::new(|| panic::resume_unwind(Box::new("on purpose")))).unwrap();
        wait_until(|| threads.count() == (1, 1));
        assert_eq!(thread_of_a_job(&threads), first);
    }

    #[test]
    fn busy_threads_are_not_shared() {
        let threads = Threads::new(IDLE);
        let (release, released) = bounded::<()>(0);
        threads.run(Box::new(move || released.recv().unwrap_or(()))).unwrap();
        thread_of_a_job(&threads);
        drop(release);
        wait_until(|| threads.count() == (2, 2));
    }

    #[test]
    fn an_idle_thread_is_given_back() {
        let threads = Threads::new(Duration::ZERO);
        let first = thread_of_a_job(&threads);
        wait_until(|| threads.count() == (0, 0));
        assert_ne!(thread_of_a_job(&threads), first);
    }
}
