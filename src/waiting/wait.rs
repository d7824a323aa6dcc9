//! One wait: [`Wait`] says what for ([`Until`]), what is done then ([`Then`]), and what is answered
//! when the time is over ([`TimeoutReply`]).

use super::queue::Ticket;
use crate::base::ClientId;
use crate::base::time::{Arrival, MonotonicMillis};
use crate::keyspace::{DbIndex, Kind};
use crate::resp::OwnedArgv;
use crate::spec::Group;

/// The thing that a client waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// One of these keys of its database becomes what the command needs.
    Keys(Vec<Vec<u8>>, WakeOn),
    /// A pause ends.
    PauseEnds,
    /// A snapshot has passed this parcel, which may hold what the command is to change. The number
    /// is known at the end of the turn.
    Parcel(Option<u64>),
    /// The workers of these clients have handed over what they were reading.
    Readers(Vec<ClientId>),
    /// Nothing waits or is read any more that reached this machine earlier: the workers of these
    /// clients have handed over what they were reading, and it has run.
    Earlier(Arrival, Vec<ClientId>),
    /// The delay of this address after a wrong password is over, or the wrong one was this guess.
    Login(LoginWait),
    /// Somebody completes it: a save has ended, another server has answered.
    Completed,
    /// The same as before, for a command that was run again.
    AsBefore,
}

/// A password that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginWait {
    /// The address that it comes from, without a port.
    pub host: String,
    /// A hash of the password that is tried; none for a transaction, which may try several.
    pub guess: Option<[u8; 32]>,
}

/// Reasons to wait that are looked at once a turn, for all clients together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// [`Until::PauseEnds`].
    Pause,
    /// [`Until::Parcel`].
    Parcel,
    /// [`Until::Readers`].
    Readers,
    /// [`Until::Earlier`].
    Earlier,
    /// [`Until::Login`].
    Login,
}

impl Reason {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Reason; 5] =
        [Reason::Pause, Reason::Parcel, Reason::Readers, Reason::Earlier, Reason::Login];
}

impl Until {
    /// The reason, if it is one that is looked at once a turn.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Until::PauseEnds => Some(Reason::Pause),
            Until::Parcel(_) => Some(Reason::Parcel),
            Until::Readers(_) => Some(Reason::Readers),
            Until::Earlier(..) => Some(Reason::Earlier),
            Until::Login(_) => Some(Reason::Login),
            Until::Keys(..) | Until::Completed | Until::AsBefore => None,
        }
    }

    /// True when the server itself ends the wait, and soon, for a command that Redis runs at once:
    /// it is answered although the client has said that it sends nothing more.
    #[must_use]
    pub fn is_our_own(&self) -> bool {
        matches!(self, Until::Completed | Until::Parcel(_) | Until::Readers(_))
    }
}

/// The action at the end of a wait that ends as hoped.
#[derive(Clone, Debug)]
pub enum Then {
    /// The command runs again; it may go on waiting.
    RunAgain(OwnedArgv),
    /// The command, which has not begun, comes to its turn. It stands first among the client's
    /// requests.
    Begin,
    /// Nothing: whoever completes the wait gives the answer.
    Answered,
}

/// The kind of change of a key that wakes a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WakeOn {
    /// It holds a value of this type.
    Kind(Kind),
    /// Any, also that it is gone.
    AnyChange,
}

impl WakeOn {
    /// Returns the change that a waiting command of `group` needs: lists and sorted sets are
    /// popped, everything else looks for itself.
    #[must_use]
    pub fn of(group: Group) -> Self {
        match group {
            Group::List => WakeOn::Kind(Kind::List),
            Group::SortedSet => WakeOn::Kind(Kind::SortedSet),
            _ => WakeOn::AnyChange,
        }
    }
}

/// The answer when nothing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutReply {
    /// A null array: BLPOP and the like.
    NullArray,
    /// A null where nothing may wait: BLMOVE. Redis: when its time is over it gets a null array
    /// too.
    Null,
    /// An integer: WAIT.
    Integer(i64),
    /// Nothing: it is done what would have been done at the end of the wait.
    RunAgain,
}

/// A command that waits.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The thing that is waited for.
    pub until: Until,
    /// The action at the end.
    pub then: Then,
    /// The moment at which the wait is given up; `None` is never.
    pub deadline: Option<MonotonicMillis>,
    /// The answer that the client gets when the time is over.
    pub timeout_reply: TimeoutReply,
    /// The database its keys are in.
    pub db: DbIndex,
    /// The command as it was sent, if what runs again is another.
    pub sent: Option<OwnedArgv>,
    /// Its place among all that wait.
    pub(super) ticket: Ticket,
}

impl Wait {
    /// A wait without a deadline, of a client that has selected `db`.
    #[must_use]
    pub fn new(until: Until, then: Then, db: DbIndex) -> Self {
        Wait {
            until,
            then,
            deadline: None,
            timeout_reply: TimeoutReply::NullArray,
            db,
            sent: None,
            ticket: Ticket::FIRST,
        }
    }

    /// The same, which ends at `deadline` with `reply`.
    #[must_use]
    pub fn or_at(self, deadline: Option<MonotonicMillis>, reply: TimeoutReply) -> Self {
        Wait { deadline, timeout_reply: reply, ..self }
    }

    /// Makes `command` the one that runs again; the log of slow commands goes on showing what was
    /// sent.
    pub fn run_instead(&mut self, command: OwnedArgv) {
        if let Then::RunAgain(argv) = &mut self.then {
            self.sent = Some(std::mem::replace(argv, command));
        }
    }

    /// True when other commands can wake it.
    #[must_use]
    pub fn waits_for_keys(&self) -> bool {
        matches!(self.until, Until::Keys(..))
    }

    /// True when the command has not begun.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        matches!(self.then, Then::Begin)
    }

    /// Memory of the command, bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let again = match &self.then {
            Then::RunAgain(argv) => argv.heap_bytes(),
            Then::Begin | Then::Answered => 0,
        };
        again + self.sent.as_ref().map_or(0, OwnedArgv::heap_bytes)
    }

    /// The keys it waits for, and which change of them.
    pub(super) fn keys(&self) -> (&[Vec<u8>], WakeOn) {
        match &self.until {
            Until::Keys(keys, wake_on) => (keys, *wake_on),
            _ => (&[], WakeOn::AnyChange),
        }
    }
}
