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
//! of the turn, in [`Server::follow_pauses`], so that a pause costs the commands that pass one
//! branch.
//!
//! While writes are paused the data set stands still for everybody: keys are not removed when their
//! time has come (they read as missing), and nothing is evicted: ask [`Pauses::is_paused`]. A
//! command that is held back is a parked client like any other ([`BlockOn::Pause`]), but keeps its
//! place in the client's requests and passes the gate anew when it is its turn again.

use super::command::Command;
use super::machine::Server;
use super::{Rooms, multi};
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::clients::Session;
use crate::resp::OwnedArgv;
use crate::spec::{Flags, LOADING, MAY_REPLICATE, WRITE};
use crate::waiting::{BlockOn, Parked, WakeOn};
use std::collections::BTreeMap;

/// Who wants a pause.
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
    /// What is on disk is being loaded, and will be soon.
    Load,
}

/// Which commands wait; the stricter is the greater.
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

/// All pauses, and who waits for their end. See the module.
#[derive(Debug, Default)]
pub struct Pauses {
    running: BTreeMap<PauseReason, Running>,
    /// The strictest of them.
    now: Option<Pause>,
    /// Whether some of those who wait may go on: something has ended.
    is_looser: bool,
    /// Whether the keyspace keeps what has expired, which [`Server::follow_pauses`] sees to.
    keeps_expired: bool,
    /// Clients held back, by the order in which they came.
    waiting: BTreeMap<u64, ClientId>,
    last_place: u64,
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

    /// Whether the data set stands still: no key expires by itself, none is evicted.
    #[inline]
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.now >= Some(Pause::Writes)
    }

    /// Whether there is a pause for this reason.
    #[must_use]
    pub fn is_paused_by(&self, reason: PauseReason) -> bool {
        self.running.contains_key(&reason)
    }

    /// How many clients are held back.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets a client that was held back.
    pub(super) fn forget(&mut self, parked: &Parked) {
        if let BlockOn::Pause(place) = parked.on {
            self.waiting.remove(&place);
        }
    }

    /// When the next pause is over.
    pub(super) fn next_end(&self) -> Option<MonotonicMillis> {
        self.running.values().filter_map(|running| running.until).min()
    }

    fn look(&mut self) {
        self.now = self.running.values().map(|running| running.what).max();
    }

    /// Drops the pauses whose time is over at `now`.
    fn end_due(&mut self, now: MonotonicMillis) {
        if self.next_end().is_some_and(|end| end < now) {
            self.running.retain(|_, running| running.until.is_none_or(|until| until >= now));
            self.is_looser = true;
            self.look();
        }
    }

    fn holds_back(&self, flags: Flags) -> bool {
        self.running.values().any(|running| match running.what {
            Pause::Data => !flags.contains(LOADING),
            Pause::Writes => flags.intersects(WRITE.with(MAY_REPLICATE)),
            Pause::All => true,
        })
    }
}

/// Parks the client in front of `command` if a pause holds it back. Returns whether it does.
#[inline]
pub(super) fn hold_back(rooms: &mut Rooms, session: &mut Session, command: &Command) -> bool {
    if rooms.waiting.pauses.now.is_none()
        || !rooms.waiting.pauses.holds_back(multi::flags_of(session, command))
    {
        return false;
    }
    let pauses = &mut rooms.waiting.pauses;
    pauses.last_place += 1;
    pauses.waiting.insert(pauses.last_place, session.id);
    let on = BlockOn::Pause(pauses.last_place);
    session.parked = Some(Parked::new(on, WakeOn::AnyChange, OwnedArgv::default(), session.db));
    true
}

impl Server {
    /// Acts on pauses that began or ended; when one has ended, those who wait are tried again, in
    /// order. The caller runs what was released.
    pub(super) fn follow_pauses(&mut self) {
        let pauses = &mut self.rooms.waiting.pauses;
        let keeps_expired = pauses.is_paused();
        if std::mem::replace(&mut pauses.keeps_expired, keeps_expired) != keeps_expired {
            self.keyspace.set_keeps_expired(keeps_expired);
        }
        if !std::mem::take(&mut pauses.is_looser) {
            return;
        }
        for (_, id) in std::mem::take(&mut pauses.waiting) {
            if let Some(session) = self.rooms.clients.get_mut(id) {
                session.parked = None;
                self.rooms.waiting.keys.release(id);
            }
        }
    }

    /// Ends the pauses whose time is over.
    pub(super) fn end_due_pauses(&mut self) {
        self.rooms.waiting.pauses.end_due(self.rooms.time.monotonic);
        self.follow_pauses();
    }
}
