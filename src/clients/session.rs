//! Everything that the server knows of one client: [`Session`].

use super::connection::{Close, Connection, ReplyMode};
use super::debugging::Debugging;
use super::held_output::HeldOutput;
use super::reply_buffer::ReplyBuffer;
use super::requests::{Pending, Running};
use super::transaction::Transaction;
use crate::base::ClientId;
use crate::base::time::{Arrival, MonotonicMillis};
use crate::keyspace::DbIndex;
use crate::memory::Charge;
use crate::pubsub::Counts;
use crate::resp::{OwnedArgv, Protocol};
use crate::spec::CommandIndex;
use crate::tracking::OwnTracking;
use crate::waiting::Wait;
use std::sync::atomic::Ordering;

/// One client.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub id: ClientId,
    /// The origin of the client.
    pub connection: Connection,
    /// The database it has selected.
    pub db: DbIndex,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// CLIENT SETNAME; empty without a name.
    pub name: Vec<u8>,
    /// The user that it has logged in as.
    pub login: LoginState,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// True when it is shown every command.
    pub is_monitor: bool,
    /// Answers on their way out.
    pub outbox: Outbox,
    /// The decision if and when the connection ends.
    pub close: Close,
    /// Requests on their way in.
    pub requests: Requested,
    /// Set while the client waits for something; its further requests queue up.
    pub parked: Option<Box<Wait>>,
    /// The commands that are queued since MULTI.
    pub multi: Option<Box<Transaction>>,
    /// SCRIPT DEBUG.
    pub debugging: Option<Box<Debugging>>,
    /// The moment at which it connected.
    pub created: MonotonicMillis,
    /// The last things that it did.
    pub last: Last,
    /// Client-side caching, as far as it concerns this client.
    pub tracking: OwnTracking,
    /// The numbers of names that it listens to.
    pub subscribed: Counts,
    /// The memory of the keys it watches, bytes.
    pub watched_bytes: usize,
    /// The weight it was given, on the account of all clients; see [`crate::memory::ClientMemory`].
    pub counted: Option<Charge>,
}

/// The user that a client has logged in as.
#[derive(Debug)]
pub struct LoginState {
    /// The ACL user's name.
    pub user: Vec<u8>,
    /// True when commands other than AUTH and HELLO are admitted.
    pub authenticated: bool,
    /// True when commands are refused until it logs in, so that little may wait for it.
    pub must_log_in: bool,
    /// True when that user may do everything, so that nothing need be checked.
    pub unrestricted: bool,
    /// The transaction that runs had a wrong password in it.
    pub has_guessed: bool,
    /// It has waited for its next password to be looked at.
    pub has_waited: bool,
}

/// Answers to one client on their way out.
#[derive(Debug)]
pub struct Outbox {
    /// Those of this turn.
    pub bytes: Vec<u8>,
    /// Answers to writes that are not on disk yet.
    pub held: HeldOutput,
    /// True when what it is to be sent tells of changes that may not be in the append-only file, or
    /// on disk.
    pub awaits_file: bool,
    /// CLIENT REPLY.
    pub mode: ReplyMode,
    /// The size of the buffer for answers that it keeps.
    pub buffer: ReplyBuffer,
    /// The moment since which more waits for it than the soft limit of its output buffer.
    pub slow_since: Option<MonotonicMillis>,
    /// True when the engine was told that there is something to send.
    pub is_listed: bool,
}

/// Requests of one client on their way in.
#[derive(Debug, Default)]
pub struct Requested {
    /// Batches of requests that have arrived here.
    pub received: u64,
    /// Requests behind a parked command.
    pub pending: Pending,
    /// The facts that CLIENT LIST shows of it while its commands run.
    pub running: Running,
    /// The same, of a parked command that will run again.
    pub when_parked: Running,
    /// The time at which the batch that runs arrived, where that is known.
    pub arrival: Option<Arrival>,
    /// Its next command has waited for those that arrived before it.
    pub waited_for_earlier: bool,
    /// The command that runs again, as it was sent, if it is another.
    pub sent: Option<OwnedArgv>,
    /// The snapshot walk for which its next command has waited already; 0 is none.
    pub waited_for_walk: u32,
}

/// The last things that a client did.
#[derive(Debug)]
pub struct Last {
    /// The moment at which it last sent a command, or was sent something.
    pub interaction: MonotonicMillis,
    /// The last command, for CLIENT LIST.
    pub command: Option<CommandIndex>,
    /// The name it looked up last.
    pub lookup: Option<LookupCache>,
    /// The same, of the commands that its scripts call.
    pub script_lookup: Option<LookupCache>,
}

/// The last name looked up and what it led to.
#[derive(Clone, Copy, Debug)]
pub struct LookupCache {
    name: [u8; 16],
    len: u8,
    index: CommandIndex,
}

impl LookupCache {
    /// Remembers that `name` leads to `index`; nothing when it is long.
    #[must_use]
    pub fn new(name: &[u8], index: CommandIndex) -> Option<Self> {
        let mut cache = LookupCache { name: [0; 16], len: name.len() as u8, index };
        cache.name.get_mut(..name.len())?.copy_from_slice(name);
        Some(cache)
    }

    /// Returns the command that `name` leads to, if it is the one remembered.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<CommandIndex> {
        (self.name.get(..usize::from(self.len)) == Some(name)).then_some(self.index)
    }
}

impl Session {
    /// A client that has just connected, and may do nothing yet.
    #[must_use]
    pub fn new(id: ClientId, connection: Connection, buffer: ReplyBuffer, now: MonotonicMillis) -> Self {
        Session {
            id,
            connection,
            db: DbIndex::default(),
            protocol: Protocol::default(),
            name: Vec::new(),
            login: LoginState {
                user: b"default".to_vec(),
                authenticated: false,
                must_log_in: false,
                unrestricted: false,
                has_guessed: false,
                has_waited: false,
            },
            no_evict: false,
            is_monitor: false,
            outbox: Outbox {
                bytes: Vec::new(),
                held: HeldOutput::default(),
                awaits_file: false,
                mode: ReplyMode::On,
                buffer,
                slow_since: None,
                is_listed: false,
            },
            close: Close::No,
            requests: Requested::default(),
            parked: None,
            multi: None,
            debugging: None,
            created: now,
            last: Last { interaction: now, command: None, lookup: None, script_lookup: None },
            tracking: OwnTracking::default(),
            subscribed: Counts::default(),
            watched_bytes: 0,
            counted: None,
        }
    }

    /// Admits or shuts out commands, here and in the worker that reads for the client.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.login.authenticated = authenticated;
        self.connection.gauges.authenticated.store(authenticated, Ordering::Release);
    }

    /// Bytes of answers held: here and in the writer.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.outbox.bytes.len()
            + self.outbox.held.bytes()
            + self.connection.gauges.pending_output.load(Ordering::Relaxed)
    }

    /// The client that hears what this one tracks: 0 is itself, -1 says that it does not track.
    #[must_use]
    pub fn redirect(&self) -> i64 {
        self.tracking.mode.map_or(-1, |mode| i64::try_from(mode.redirect).unwrap_or(i64::MAX))
    }

    /// Memory the client costs, bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let output = self.outbox.bytes.capacity()
            + self.outbox.held.bytes()
            + self.connection.gauges.pending_heap.load(Ordering::Relaxed);
        size_of::<Session>()
            + self.name.capacity()
            + self.connection.gauges.query_heap.load(Ordering::Relaxed)
            + self.pending_bytes()
            + self.parked_bytes()
            + self.multi_bytes()
            + self.subscribed.bytes
            + self.tracking.prefix_bytes
            + self.requests.running.heap_bytes
            + output
    }

    /// Bytes of requests that have not begun: unfinished, or behind a parked command.
    #[must_use]
    pub fn query_buffer_bytes(&self) -> usize {
        self.connection.gauges.query_buffer.load(Ordering::Relaxed) + self.pending_bytes()
    }

    /// Bytes of the arguments of an unfinished or a parked command.
    #[must_use]
    pub fn argument_bytes(&self) -> usize {
        self.connection.gauges.arguments.load(Ordering::Relaxed) + self.parked_bytes()
    }

    fn parked_bytes(&self) -> usize {
        self.parked.as_ref().map_or(0, |parked| parked.heap_bytes())
    }

    /// Bytes of its transaction, and of the keys it watches.
    #[must_use]
    pub fn multi_bytes(&self) -> usize {
        self.transaction().map_or(0, |(_, bytes)| bytes) + self.watched_bytes
    }

    /// Commands and bytes of its transaction, also while EXEC runs it.
    #[must_use]
    pub fn transaction(&self) -> Option<(usize, usize)> {
        let queued = self.multi.as_ref().map(|transaction| (transaction.len(), transaction.heap_bytes()));
        queued.or(self.requests.running.transaction)
    }

    /// Bytes of requests that wait behind a parked command.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.requests.pending.bytes()
    }
}
