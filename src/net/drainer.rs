//! One thread that sends slow clients what their sockets did not take at once.
//!
//! The owner hands a backlog over ([`Watched::watch`]) and goes on; the kernel (epoll) tells the
//! thread which of these sockets take bytes again. A socket that takes none costs an entry here and
//! its backlog, which the server bounds, and no thread. Sockets that take some are served round
//! about, a few sends each, so one that takes a lot holds up no other.
//!
//! [`super::outlet`] knows what a backlog is and when it has nothing more to send.

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::outlet::Backlog;
use super::threads::lock;
use crate::engine::os;

/// Sockets that one look at the kernel's list brings at most.
const EVENTS: usize = 256;
/// The number that announces the end of the drainer; descriptors are smaller.
const END: u64 = u64::MAX;

/// The one thread's employer: when it is dropped the thread ends.
#[derive(Debug)]
pub struct Drainer {
    watched: Arc<Watched>,
    /// Closed by the drop, which the thread hears of.
    _life: PipeWriter,
}

/// The sockets that have not taken everything.
#[derive(Debug)]
pub(super) struct Watched {
    epoll: OwnedFd,
    /// By descriptor: each is taken out before its socket is closed.
    backlogs: Mutex<HashMap<u64, Arc<Backlog>>>,
}

impl Drainer {
    /// Starts the thread.
    pub fn start() -> io::Result<Arc<Self>> {
        let (end, life) = io::pipe()?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &end, EventData::new_u64(END), EventFlags::IN)?;
        let watched = Arc::new(Watched { epoll, backlogs: Mutex::default() });
        let of_thread = Arc::clone(&watched);
        Builder::new().name("drain".to_owned()).spawn(move || of_thread.run(&end))?;
        Ok(Arc::new(Drainer { watched, _life: life }))
    }

    /// Returns the backlogs that the thread looks after.
    pub(super) fn watched(&self) -> &Watched {
        &self.watched
    }
}

impl Watched {
    /// Has the thread send what `backlog` holds; it lets go of it when nothing is left. Called with
    /// the backlog's lock held, as [`Watched::forget`] is, so that an end and a new begin cannot
    /// cross.
    pub(super) fn watch(&self, backlog: &Arc<Backlog>) -> io::Result<()> {
        let mut backlogs = lock(&self.backlogs);
        let key = backlog.key();
        epoll::add(&self.epoll, backlog.socket(), EventData::new_u64(key), EventFlags::OUT)?;
        backlogs.insert(key, Arc::clone(backlog));
        Ok(())
    }

    /// Lets go of a backlog.
    pub(super) fn forget(&self, backlog: &Backlog) {
        if lock(&self.backlogs).remove(&backlog.key()).is_some() {
            // It is registered and open, so this cannot fail.
            let _ = epoll::delete(&self.epoll, backlog.socket());
        }
    }

    /// The number of sockets that have not taken everything.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        lock(&self.backlogs).len()
    }

    /// `_end` is kept open as long as this runs.
    fn run(&self, _end: &PipeReader) {
        os::schedule_as_batch(os::SLICE);
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                // The kernel's other complaints are about arguments, which are the same each time.
                Err(error) => panic!("epoll_wait: {error}"),
            }
            for event in events.drain(..) {
                let key = event.data.u64();
                if key == END {
                    return;
                }
                let backlog = lock(&self.backlogs).get(&key).cloned();
                if let Some(backlog) = backlog {
                    backlog.drain(self);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::wait_until;

    #[test]
    fn the_thread_ends_with_its_employer() {
        let drainer = Drainer::start().unwrap();
        let watched = Arc::downgrade(&drainer.watched);
        drop(drainer);
        wait_until("the thread lets go of its sockets", || watched.strong_count() == 0);
    }
}
