//! What the server knows of one client: [`Session`]; and of all of them: [`Clients`].

use super::aof::{HeldOutput, HeldReplies};
use super::blocking::Parked;
use super::command::Command;
use super::multi::Transaction;
use super::output::Aside;
use super::reply_buffer::{ReplyBuffer, Resizing};
use super::tracking::OwnTracking;
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::config::BufferLimits;
use crate::keyspace::DbIndex;
use crate::pubsub::Counts;
use crate::resp::{Protocol, Requests};
use crate::spec::CommandIndex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// What the threads above and the server tell each other about one connection.
#[derive(Debug, Default)]
pub struct ClientGauges {
    /// Set by the server: larger requests are taken only after AUTH.
    pub authenticated: AtomicBool,
    /// Set by the worker: bytes read that are no complete argument yet.
    pub query_buffer: AtomicUsize,
    /// Set by the worker: bytes of the arguments of an unfinished command.
    pub arguments: AtomicUsize,
    /// Set by the worker: room left in that buffer, or still needed for an announced argument,
    /// bytes.
    pub query_buffer_free: AtomicUsize,
    /// Set by the worker: the memory all of these lie in or are going to, bytes.
    pub query_heap: AtomicUsize,
    /// Set by the writer: bytes handed over that the socket has not taken.
    pub pending_output: AtomicUsize,
    /// Set by the writer: the memory they lie in, bytes.
    pub pending_heap: AtomicUsize,
    /// Set by the writer: how many pieces that is.
    pub pending_chunks: AtomicUsize,
    /// Set by the worker: it has read something that it has not yet handed over or shown here.
    pub is_reading: AtomicBool,
    /// Set by the worker: the client has ended the connection in order.
    pub hung_up: AtomicBool,
    /// Set by the worker: batches of requests handed over so far.
    pub handed_over: AtomicU64,
    /// Set by the worker: the number of its thread; 0 before it runs.
    pub worker: AtomicI32,
    /// Set by the server: the worker's thread was asked to wake at once ([`Waking`]).
    pub wakes_at_once: AtomicBool,
    /// The connection was one of few when it was accepted: its worker's thread always wakes at
    /// once.
    pub is_one_of_few: bool,
    /// Bytes read from the client so far.
    pub read_bytes: AtomicU64,
    /// Bytes written to the client so far.
    pub written_bytes: AtomicU64,
}

/// How a worker's thread is woken when its client sends something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waking {
    /// When a processor is free, so that requests gather into one turn of the owner.
    Gathered,
    /// At once: the client is a subscriber, and seldom sends; or there are few, and nothing to
    /// gather.
    AtOnce,
}

/// Limits the workers keep while they read; the server sets them from the configuration.
#[derive(Debug)]
pub struct WireLimits {
    /// `proto-max-bulk-len`, bytes.
    pub max_bulk_bytes: AtomicI64,
    /// `client-query-buffer-limit`, bytes.
    pub query_buffer_bytes: AtomicUsize,
    /// `maxclients`.
    pub max_clients: AtomicUsize,
    /// `tcp-keepalive` of connections accepted from now on, seconds; 0 is none.
    pub keepalive_secs: AtomicU64,
    /// Whether the server wants to hear of growing arguments: there is a `maxmemory-clients`.
    pub weighs_clients: AtomicBool,
}

impl Default for WireLimits {
    fn default() -> Self {
        WireLimits {
            max_bulk_bytes: AtomicI64::new(512 << 20),
            query_buffer_bytes: AtomicUsize::new(1 << 30),
            max_clients: AtomicUsize::new(10_000),
            keepalive_secs: AtomicU64::new(300),
            weighs_clients: AtomicBool::new(false),
        }
    }
}

/// Where a client comes from.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// `127.0.0.1:5000`; the path and `:0` for a unix socket.
    pub addr: String,
    /// Our end of the connection.
    pub laddr: String,
    /// The file descriptor, for CLIENT LIST; -1 for a client without a socket.
    pub fd: i32,
    /// Whether it came through the unix socket.
    pub unix: bool,
    /// Shared with the threads that read and write it.
    pub gauges: Arc<ClientGauges>,
}

impl Connection {
    /// Whether it comes from this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.unix || self.addr.starts_with("127.") || self.addr.starts_with("[::1]")
    }
}

/// Whether and when a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Close {
    /// It stays.
    #[default]
    No,
    /// After what was written has left.
    AfterFlush,
    /// At once.
    Now,
}

/// What CLIENT REPLY asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// Answers are sent.
    #[default]
    On,
    /// No answers until further notice.
    Off,
    /// The next command's answer is not sent.
    SkipNext,
    /// This command's answer is not sent.
    Skip,
}

/// One client.
#[derive(Debug)]
pub struct Session {
    /// Its number.
    pub id: ClientId,
    /// Where it comes from.
    pub connection: Connection,
    /// The selected database.
    pub db: DbIndex,
    /// The protocol it speaks.
    pub protocol: Protocol,
    /// CLIENT SETNAME; empty without a name.
    pub name: Vec<u8>,
    /// The ACL user's name.
    pub user: Vec<u8>,
    /// Whether commands other than AUTH and HELLO are admitted.
    pub authenticated: bool,
    /// Whether commands are refused until it logs in, so that little may wait for it.
    pub must_log_in: bool,
    /// Whether that user may do everything, so that nothing need be checked.
    pub unrestricted: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// Whether it is shown every command.
    pub is_monitor: bool,
    /// The transaction that runs had a wrong password in it, whose answer comes then.
    pub failed_login: Option<MonotonicMillis>,
    /// Answers on their way out.
    pub outbox: Vec<u8>,
    /// Answers to writes that are not on disk yet.
    pub held: HeldOutput,
    /// Whether what it is to be sent tells of changes that may not be in the append-only file, or
    /// on disk.
    pub awaits_file: bool,
    /// Whether the connection ends.
    pub close: Close,
    /// Batches of requests that have arrived here.
    pub received: u64,
    /// Set while the client waits for something; its further requests queue up.
    pub parked: Option<Parked>,
    /// Requests behind a parked command.
    pub pending: Pending,
    /// What is queued since MULTI.
    pub multi: Option<Box<Transaction>>,
    /// The snapshot walk for which its next command has waited already; 0 is none.
    pub waited_for_walk: u32,
    /// When it connected.
    pub created: MonotonicMillis,
    /// When it last sent a command.
    pub last_interaction: MonotonicMillis,
    /// The last command, for CLIENT LIST.
    pub last_command: Option<&'static Command>,
    /// Client-side caching, as far as it concerns this client.
    pub tracking: OwnTracking,
    /// What it listens to.
    pub subscribed: Counts,
    /// Since when more waits for it than the soft limit of its output buffer.
    pub(super) slow_since: Option<MonotonicMillis>,
    /// What the keys it watches cost, bytes.
    pub watched_bytes: usize,
    /// What CLIENT LIST shows of it while its commands run.
    pub running: Running,
    /// What it was weighed at, bytes; see [`super::client_memory`].
    pub(super) counted_bytes: usize,
    /// How large a buffer for answers it keeps.
    pub replies: ReplyBuffer,
    /// Whether the engine was told that there is something to send.
    pub(super) is_listed_for_output: bool,
    pub(super) lookup_cache: Option<LookupCache>,
}

/// A client while its commands run. What they travel in, and the buffer they answer to, are taken
/// out of the session for that time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Running {
    /// Memory of the batch the commands came in, and of the buffer they answer to, bytes.
    pub(super) heap_bytes: usize,
    /// Bytes the client sent as that batch.
    pub(super) sent_bytes: usize,
    /// Room left in its buffer, bytes.
    pub(super) free_bytes: usize,
    /// Bytes of arguments of the command that asks.
    pub arguments: usize,
    /// Bytes answered before it.
    pub answered: usize,
    /// Commands and memory of the transaction that EXEC runs.
    pub(super) transaction: Option<(usize, usize)>,
}

impl Running {
    pub(super) fn begin(batch: &Requests, answers: &Vec<u8>) -> Running {
        let (sent_bytes, free_bytes) = batch.sent_and_free_bytes();
        let heap_bytes = batch.content_bytes() + answers.capacity();
        Running { heap_bytes, sent_bytes, free_bytes, ..Running::default() }
    }
}

/// The last name looked up and what it led to.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookupCache {
    pub(super) name: [u8; 16],
    pub(super) len: u8,
    pub(super) command: &'static Command,
    pub(super) index: CommandIndex,
}

impl Session {
    /// A client that has just connected, and may do nothing yet.
    #[must_use]
    pub fn new(id: ClientId, connection: Connection, replies: ReplyBuffer, now: MonotonicMillis) -> Self {
        Session {
            id,
            connection,
            db: DbIndex::default(),
            protocol: Protocol::default(),
            name: Vec::new(),
            user: b"default".to_vec(),
            authenticated: false,
            must_log_in: false,
            unrestricted: false,
            reply_mode: ReplyMode::On,
            no_evict: false,
            is_monitor: false,
            failed_login: None,
            outbox: Vec::new(),
            held: HeldOutput::default(),
            awaits_file: false,
            close: Close::No,
            parked: None,
            received: 0,
            pending: Pending::default(),
            multi: None,
            waited_for_walk: 0,
            created: now,
            last_interaction: now,
            last_command: None,
            tracking: OwnTracking::default(),
            subscribed: Counts::default(),
            slow_since: None,
            watched_bytes: 0,
            running: Running::default(),
            counted_bytes: 0,
            replies,
            is_listed_for_output: false,
            lookup_cache: None,
        }
    }

    /// Admits or shuts out commands, here and in the worker that reads for the client.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
        self.connection.gauges.authenticated.store(authenticated, Ordering::Release);
    }

    /// Bytes of answers held: here and in the writer.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.outbox.len() + self.held.bytes() + self.connection.gauges.pending_output.load(Ordering::Relaxed)
    }

    /// The client that hears what this one tracks: 0 is itself, -1 says that it does not track.
    #[must_use]
    pub fn redirect(&self) -> i64 {
        self.tracking.mode.map_or(-1, |mode| i64::try_from(mode.redirect).unwrap_or(i64::MAX))
    }

    /// Memory the client costs, bytes.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let output = self.outbox.capacity()
            + self.held.bytes()
            + self.connection.gauges.pending_heap.load(Ordering::Relaxed);
        size_of::<Session>()
            + self.name.capacity()
            + self.connection.gauges.query_heap.load(Ordering::Relaxed)
            + self.pending_bytes()
            + self.parked_bytes()
            + self.multi_bytes()
            + self.subscribed.bytes
            + self.tracking.prefix_bytes
            + self.running.heap_bytes
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
        self.parked.as_ref().map_or(0, |parked| parked.argv.heap_bytes())
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
        queued.or(self.running.transaction)
    }

    /// Bytes of requests that wait behind a parked command.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.bytes
    }
}

/// Requests that wait behind a parked command, each batch with the next command in it. Their size
/// is known without a walk, for it is asked after every read of a parked client.
#[derive(Debug, Default)]
pub struct Pending {
    batches: VecDeque<(Requests, usize)>,
    bytes: usize,
}

impl Pending {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Adds what just arrived.
    pub(super) fn push_back(&mut self, batch: Requests) {
        self.bytes += batch.heap_bytes();
        self.batches.push_back((batch, 0));
    }

    /// Puts a batch back whose commands before `next` have run.
    pub(super) fn push_front(&mut self, batch: Requests, next: usize) {
        self.bytes += batch.heap_bytes();
        self.batches.push_front((batch, next));
    }

    /// Takes the oldest batch, and the next command in it.
    pub(super) fn pop_front(&mut self) -> Option<(Requests, usize)> {
        let (batch, next) = self.batches.pop_front()?;
        self.bytes -= batch.heap_bytes();
        Some((batch, next))
    }
}

/// All clients by number. The one whose command runs is taken out for that time.
#[derive(Debug, Default)]
pub struct Clients {
    pub(super) by_id: BTreeMap<ClientId, Option<Box<Session>>>,
    pub(super) output: Vec<ClientId>,
    /// What was delivered to clients that are taken out.
    pub(super) aside: Vec<Aside>,
    /// Clients found over their hard limit while something was delivered to them.
    pub(super) overfull: Vec<ClientId>,
    /// Clients whose patterns and a channel were too long to tell whether they match.
    pub(super) undecided: Vec<ClientId>,
    /// Whether what is delivered tells of a change that is not on disk and has to be.
    pub(super) in_doubt: bool,
    /// What may wait for a client, by class.
    pub(super) limits: BufferLimits,
    /// How buffers for answers are sized.
    pub reply_buffers: Resizing,
    /// Limits shared with the workers.
    pub wire_limits: Arc<WireLimits>,
    /// When the log last told of a request of another protocol, on the monotonic clock.
    pub(super) cross_protocol_logged_ns: Option<u64>,
}

/// Bytes read from and written to `clients`.
pub(super) fn traffic<'a>(clients: impl Iterator<Item = &'a Session>) -> (u64, u64) {
    clients.map(|session| &session.connection.gauges).fold((0, 0), |(read, written), gauges| {
        (
            read + gauges.read_bytes.load(Ordering::Relaxed),
            written + gauges.written_bytes.load(Ordering::Relaxed),
        )
    })
}

impl Clients {
    /// How many are connected, the one taken out included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nobody is connected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All but the one taken out, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.by_id.values().filter_map(Option::as_deref)
    }

    /// All but the one taken out, by number, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.by_id.values_mut().filter_map(Option::as_deref_mut)
    }

    /// A client that is not taken out.
    #[must_use]
    pub fn get(&self, id: ClientId) -> Option<&Session> {
        self.by_id.get(&id)?.as_deref()
    }

    /// A client that is not taken out, to change it.
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Session> {
        self.by_id.get_mut(&id)?.as_deref_mut()
    }

    /// Ends a client's connection.
    pub fn close(&mut self, id: ClientId, close: Close) {
        if let Some(Some(session)) = self.by_id.get_mut(&id) {
            session.close = close;
            Self::list(&mut self.output, session);
        }
    }

    pub(super) fn insert(&mut self, session: Session) {
        self.by_id.insert(session.id, Some(Box::new(session)));
    }

    pub(super) fn take(&mut self, id: ClientId) -> Option<Box<Session>> {
        self.by_id.get_mut(&id)?.take()
    }

    /// Puts back what [`Clients::take`] gave, and lists it if it has something to send.
    pub(super) fn put_back(&mut self, mut session: Box<Session>) {
        if self.has_aside() {
            session.outbox.append(&mut self.take_aside(session.id, session.protocol));
        }
        if !session.outbox.is_empty() || session.close != Close::No {
            Self::list(&mut self.output, &mut session);
        }
        let id = session.id;
        if let Some(place) = self.by_id.get_mut(&id) {
            *place = Some(session);
        }
    }

    pub(super) fn remove(&mut self, id: ClientId) -> Option<Box<Session>> {
        self.by_id.remove(&id).flatten()
    }

    /// Hands every client with something to send, or to close, to `take`. What tells of changes
    /// is held back up to an offset, if there is one in `hold`.
    /// Redis: being sent something is an interaction too.
    pub(super) fn drain_output(
        &mut self,
        now: MonotonicMillis,
        mut hold: Option<(u64, &mut HeldReplies)>,
        mut take: impl FnMut(ClientId, &mut Vec<u8>, Close),
    ) {
        for id in std::mem::take(&mut self.output) {
            if let Some(Some(session)) = self.by_id.get_mut(&id) {
                session.is_listed_for_output = false;
                if session.close == Close::Now {
                    // Redis: half an answer is not sent either.
                    session.outbox = Vec::new();
                }
                session.last_interaction = now;
                session.replies.used(session.outbox.len());
                let awaits = std::mem::take(&mut session.awaits_file);
                if session.held.is_idle() && !(awaits && hold.is_some()) || session.close == Close::Now {
                    take(id, &mut session.outbox, session.close);
                } else {
                    session.held.release_into(|bytes| take(id, bytes, Close::No));
                    match &mut hold {
                        Some((end, waiting)) if awaits => {
                            session.held.push(*end, &mut session.outbox);
                            waiting.push(*end, id);
                        }
                        _ if !session.held.is_empty() => session.held.append(&mut session.outbox),
                        _ => take(id, &mut session.outbox, session.close),
                    }
                }
                session.trim_outbox();
            }
        }
    }

    /// Releases what was held back of a client's answers up to `offset`.
    pub(super) fn release_held(&mut self, id: ClientId, offset: u64) {
        if let Some(Some(session)) = self.by_id.get_mut(&id) {
            session.held.release(offset);
            Self::list(&mut self.output, session);
        }
    }

    pub(super) fn list(output: &mut Vec<ClientId>, session: &mut Session) {
        if !session.is_listed_for_output {
            session.is_listed_for_output = true;
            output.push(session.id);
        }
    }
}
