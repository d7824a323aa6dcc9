//! The flags of a command: a small set, and the words `COMMAND INFO` prints for it.
//!
//! Sets of named constants and not an enum of bools, because the gate asks "any of these?" for
//! every request, and a row of the table must stay short.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign};

/// A set of command flags.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

/// May change the keyspace.
pub const WRITE: Flags = Flags(1 << 0);
/// Reads keys and changes none.
pub const READONLY: Flags = Flags(1 << 1);
/// Refused when memory is over the limit.
pub const DENYOOM: Flags = Flags(1 << 2);
/// Administration.
pub const ADMIN: Flags = Flags(1 << 3);
/// Publish and subscribe.
pub const PUBSUB: Flags = Flags(1 << 4);
/// Not allowed in scripts.
pub const NOSCRIPT: Flags = Flags(1 << 5);
/// May park the client.
pub const BLOCKING: Flags = Flags(1 << 6);
/// Allowed while the data set is loaded.
pub const LOADING: Flags = Flags(1 << 7);
/// Allowed on a replica with stale data.
pub const STALE: Flags = Flags(1 << 8);
/// Not shown by MONITOR.
pub const SKIP_MONITOR: Flags = Flags(1 << 9);
/// Not kept in the slow log.
pub const SKIP_SLOWLOG: Flags = Flags(1 << 10);
/// Accepted for slots that are being imported, as after ASKING.
pub const ASKING: Flags = Flags(1 << 11);
/// Runs in O(1) or O(log N).
pub const FAST: Flags = Flags(1 << 12);
/// Allowed before AUTH.
pub const NO_AUTH: Flags = Flags(1 << 13);
/// May have to be replicated although it is no write (PUBLISH, EVAL). Not shown by COMMAND INFO.
pub const MAY_REPLICATE: Flags = Flags(1 << 14);
/// Has key arguments, but a call without keys is right.
pub const NO_MANDATORY_KEYS: Flags = Flags(1 << 15);
/// Allowed while a script runs too long.
pub const ALLOW_BUSY: Flags = Flags(1 << 16);
/// Refused during an asynchronous load on a replica.
pub const NO_ASYNC_LOADING: Flags = Flags(1 << 17);
/// Not allowed in a transaction.
pub const NO_MULTI: Flags = Flags(1 << 18);
/// Guarded by `enable-debug-command`. Not shown by COMMAND INFO.
pub const GUARDED_AS_DEBUG: Flags = Flags(1 << 19);
/// May touch keys beyond its key arguments. Not shown by COMMAND INFO.
pub const TOUCHES_ARBITRARY_KEYS: Flags = Flags(1 << 20);
/// Keys cannot be found by first/last/step. Derived, see
/// [`Spec::all_flags`](super::Spec::all_flags).
pub const MOVABLEKEYS: Flags = Flags(1 << 21);

// Properties of single commands, so that nobody asks for their names. COMMAND INFO shows none.

/// Guarded by `enable-module-command`.
pub const GUARDED_AS_MODULE: Flags = Flags(1 << 22);
/// Runs at once in a transaction instead of being queued: it belongs to the transaction.
pub const NOT_QUEUED: Flags = Flags(1 << 23);
/// Runs what is queued.
pub const RUNS_TRANSACTION: Flags = Flags(1 << 24);
/// Drops what is queued, in whatever state the server is: a transaction can always be ended.
pub const DROPS_TRANSACTION: Flags = Flags(1 << 25);
/// Refused like a write while what is written cannot be kept, so that whoever watches over the
/// server notices.
pub const TELLS_OF_DISK_ERRORS: Flags = Flags(1 << 26);
/// Allowed to a RESP2 client that listens to channels.
pub const ALLOWED_WHILE_SUBSCRIBED: Flags = Flags(1 << 27);
/// Is not the next command that CLIENT CACHING speaks of.
pub const KEEPS_CACHING: Flags = Flags(1 << 28);
/// Looks at keys that no key spec names, as in Redis: whoever may run it may see any key.
pub const LOOKS_AT_ANY_KEY: Flags = Flags(1 << 29);

/// Runs a script, which says itself what it will do.
pub const RUNS_SCRIPT: Flags = Flags(1 << 30);
/// Runs a function, which has said what it will do when its library was loaded.
pub const RUNS_FUNCTION: Flags = Flags(1 << 31);

/// The names that `COMMAND INFO` prints, in its order.
const NAMES: &[(Flags, &str)] = &[
    (WRITE, "write"),
    (READONLY, "readonly"),
    (DENYOOM, "denyoom"),
    (ADMIN, "admin"),
    (PUBSUB, "pubsub"),
    (NOSCRIPT, "noscript"),
    (BLOCKING, "blocking"),
    (LOADING, "loading"),
    (STALE, "stale"),
    (SKIP_MONITOR, "skip_monitor"),
    (SKIP_SLOWLOG, "skip_slowlog"),
    (ASKING, "asking"),
    (FAST, "fast"),
    (NO_AUTH, "no_auth"),
    (NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (NO_ASYNC_LOADING, "no_async_loading"),
    (NO_MULTI, "no_multi"),
    (MOVABLEKEYS, "movablekeys"),
    (ALLOW_BUSY, "allow_busy"),
];

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);

    /// The set with `other` added.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// The set without the flags of `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// True when all flags of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// True when any flag of `other` is set.
    pub const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// The words `COMMAND INFO` prints, in its order. Hidden flags have none.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| *name)
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        self.with(other)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

impl BitAnd for Flags {
    type Output = Flags;
    fn bitand(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
