//! Pausing clients: their commands are held back, and run in order when the pause is over.
//!
//! Two calls are all that a reason to pause needs:
//!
//! ```text
//! pauses.pause(PauseReason::…, Pause::Writes, None)    // until further notice; or Some(end)
//! pauses.unpause(PauseReason::…)                       // over, as far as this reason goes
//! ```
//!
//! Each reason has a pause of its own; a second call for the same reason can only make it longer
//! and stricter, so whoever wants less calls `unpause` first. Clients wait while any reason lasts.
//! Both calls may be made anywhere, also while a command runs. A pause holds back from the next
//! command on; what it means for keys that expire, and the end of a pause, are seen to at the end
//! of the turn, so that a pause costs the commands that pass one branch.
//!
//! While writes are paused the data set stands still for everybody: keys are not removed when their
//! time has come (they read as missing), and nothing is evicted: ask [`Pauses::is_paused`]. A
//! command that is held back waits like any other ([`Until::PauseEnds`](super::Until)), but keeps
//! its place in the client's requests and passes the gate anew when it is its turn again.

use crate::base::time::MonotonicMillis;
use crate::spec::{Flags, LOADING, MAY_REPLICATE, WRITE};
use std::collections::BTreeMap;

/// The reason for a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PauseReason {
    /// CLIENT PAUSE.
    Client,
    /// A shutdown waits for its replicas.
    Shutdown,
    /// FAILOVER waits for a replica.
    Failover,
    /// A snapshot cannot take in more of what is about to change.
    Snapshot,
    /// The append-only file is too far behind.
    Aof,
    /// The data set is about to be read back from the append-only file.
    Reload,
    /// The data on disk is being loaded, and will be there soon.
    Load,
}

/// The commands that wait; the stricter is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pause {
    /// Those that may not run while data is loaded. The data set does not stand still.
    Data,
    /// Those that may write, or be replicated.
    Writes,
    /// All.
    All,
}

/// One reason's pause.
#[derive(Clone, Copy, Debug)]
struct Running {
    what: Pause,
    /// The last moment of it; `None` until further notice.
    until: Option<MonotonicMillis>,
}

/// All pauses. See the module.
#[derive(Debug, Default)]
pub struct Pauses {
    running: BTreeMap<PauseReason, Running>,
    /// The strictest of them.
    now: Option<Pause>,
    /// True when some of those who wait may go on: something has ended.
    is_looser: bool,
}

impl Pauses {
    /// Begins a pause, or makes the one of this reason longer and stricter.
    pub fn pause(&mut self, reason: PauseReason, what: Pause, until: Option<MonotonicMillis>) {
        let running = self.running.entry(reason).or_insert(Running { what, until });
        running.what = running.what.max(what);
        running.until = running.until.zip(until).map(|(one, other)| one.max(other));
        self.look();
    }

    /// Ends the pause of this reason; there may be none.
    pub fn unpause(&mut self, reason: PauseReason) {
        if self.running.remove(&reason).is_some() {
            self.is_looser = true;
            self.look();
        }
    }

    /// True when the data set stands still: no key expires by itself, none is evicted.
    #[inline]
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.now >= Some(Pause::Writes)
    }

    /// True when there is a pause for this reason.
    #[must_use]
    pub fn is_paused_by(&self, reason: PauseReason) -> bool {
        self.running.contains_key(&reason)
    }

    /// True when some of those who wait may go on: a pause has ended since the last call.
    pub fn take_looser(&mut self) -> bool {
        std::mem::take(&mut self.is_looser)
    }

    /// Returns the moment at which the next pause is over.
    #[must_use]
    pub fn next_end(&self) -> Option<MonotonicMillis> {
        self.running.values().filter_map(|running| running.until).min()
    }

    fn look(&mut self) {
        self.now = self.running.values().map(|running| running.what).max();
    }

    /// Drops the pauses whose time is over at `now`.
    pub fn end_due(&mut self, now: MonotonicMillis) {
        if self.next_end().is_some_and(|end| end < now) {
            self.running.retain(|_, running| running.until.is_none_or(|until| until >= now));
            self.is_looser = true;
            self.look();
        }
    }

    /// True when there is any pause.
    #[inline]
    #[must_use]
    pub fn are_on(&self) -> bool {
        self.now.is_some()
    }

    /// True when a command with these flags is held back.
    #[must_use]
    pub fn holds_back(&self, flags: Flags) -> bool {
        self.running.values().any(|running| match running.what {
            Pause::Data => !flags.contains(LOADING),
            Pause::Writes => flags.intersects(WRITE.with(MAY_REPLICATE)),
            Pause::All => true,
        })
    }
}
