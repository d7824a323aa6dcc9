//! The owner thread: the one place where [`Server`] runs.
//!
//! [`Handle`] is the one door to it: a bounded channel of [`Event`]s, first in, first out. A *turn*
//! ([`owner`]) drains what waits, up to a bound, lets the server handle it, sends each client's
//! replies without ever blocking, and carries out what the server asked for ([`tasks`]). This room
//! does not know who connects, and over what: a connection is an `Event::Connect` with something
//! that implements [`Stream`].
//!
//! Clocks are read here only ([`clock`]); a panic on the owner thread ends the process with a
//! report ([`crash`]), because nobody can vouch for the data afterwards.

pub mod affinity;
pub mod aof;
pub mod clock;
pub mod config_file;
mod file_thread;
pub mod crash;
mod event;
mod gate;
mod hearing;
mod loader;
#[cfg(test)]
mod loader_tests;
pub mod os;
pub mod owner;
#[cfg(test)]
mod owner_tests;
mod queue;
pub mod saver;
pub mod tasks;
#[cfg(test)]
pub(crate) mod testing;

pub use clock::SystemClock;
pub use event::{Event, Links, Stream};
pub use gate::{Milestone, Promise, Stopped};
pub use queue::{EVENT_QUEUE, Handle, Queue, channel, new_batch, transit_bytes};

use crate::base::alloc;
use crate::server::Server;
use owner::Owner;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Stack of the owner thread, bytes: it runs every command, scripts and sorts included.
const OWNER_STACK_BYTES: usize = 16 << 20;

/// Starts the owner thread. `make` builds the server on it, since a server never changes threads,
/// around the clock it is given; the thread ends if there is none, so that nobody waits for it.
/// `links` makes its connections to other servers. The thread ends with the process's exit code.
pub fn spawn(
    links: fn(&Handle) -> Box<dyn Links>,
    make: impl FnOnce(&Handle, SystemClock) -> Option<Server> + Send + 'static,
) -> io::Result<(Handle, JoinHandle<i32>)> {
    let (handle, queue) = channel();
    let own = handle.clone();
    let run = move || {
        alloc::claim();
        os::schedule_owner();
        let clock = SystemClock::new();
        let Some(server) = make(&own, clock) else { return 1 };
        let links = links(&own);
        Owner::new(server, clock, own, links, queue).run()
    };
    let thread = Builder::new()
        .name("owner".to_owned())
        .stack_size(OWNER_STACK_BYTES)
        .spawn(move || crash::guard(run))?;
    Ok((handle, thread))
}
