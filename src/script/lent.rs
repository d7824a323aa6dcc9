//! Lending the server to a running script.
//!
//! Lua's functions live as long as the Lua state; the server is borrowed by the command that runs
//! the script, for the time it runs. [`lend`] puts the borrowed server into a place of the thread
//! for that time, and [`with`] gives it to a function that Lua has called. While it is given out,
//! the place is empty, so there is never more than one reference in use.

#![allow(unsafe_code)]

use super::Host;
use std::cell::Cell;
use std::ptr::NonNull;

thread_local! {
    /// The server that is lent on this thread, while it is not in use.
    static HOST: Cell<Option<NonNull<dyn Host>>> = const { Cell::new(None) };
}

/// Puts back what was in the place before, also when a panic goes through.
struct Restore(Option<NonNull<dyn Host>>);

impl Drop for Restore {
    fn drop(&mut self) {
        HOST.set(self.0);
    }
}

/// Lends `host` while `act` runs.
pub fn lend<R>(host: &mut dyn Host, act: impl FnOnce() -> R) -> R {
    let host = NonNull::from(host);
    // SAFETY: only the lifetime in the type changes. The pointer is in the place no longer than
    // this function runs (`Restore` takes it out, in a panic too), and `host` is borrowed for that
    // time.
    let host: NonNull<dyn Host> = unsafe { std::mem::transmute(host) };
    let _restore = Restore(HOST.replace(Some(host)));
    act()
}

/// Gives the lent server to `act`; `None` if there is none, or if it is in use already.
pub fn with<R>(act: impl FnOnce(&mut dyn Host) -> R) -> Option<R> {
    let mut host = HOST.take()?;
    let _restore = Restore(Some(host));
    // SAFETY: `lend` put the pointer there and has not returned, so what it points to is alive, and
    // borrowed by `lend` alone. The place is empty until this reference is gone: no other is made.
    Some(act(unsafe { host.as_mut() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Argv, Protocol};
    use crate::script::{Readers, Verdict};

    struct Counter(u32);

    impl Host for Counter {
        fn call(&mut self, _: Argv<'_>, _: Protocol, _: &mut Vec<u8>) {
            self.0 += 10;
        }

        fn tick(&mut self) -> Verdict {
            self.0 += 1;
            Verdict::GoOn
        }

        fn may_run(&mut self, _: Argv<'_>) -> Option<bool> {
            None
        }

        fn propagate_to(&mut self, _: Readers) {}
    }

    #[test]
    fn the_server_is_there_while_it_is_lent_and_not_in_use() {
        assert!(with(|host| host.tick()).is_none());
        let mut counter = Counter(0);
        lend(&mut counter, || {
            assert_eq!(with(|host| host.tick()), Some(Verdict::GoOn));
            with(|host| {
                host.tick();
                assert!(with(|host| host.tick()).is_none(), "it is in use");
            });
            with(|host| host.tick());
        });
        assert_eq!(counter.0, 3);
        assert!(with(|host| host.tick()).is_none());
    }
}
