//! The origin of a client, and the numbers that its threads and the server tell each other.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

/// The numbers that the threads above and the server tell each other about one connection.
#[derive(Debug, Default)]
pub struct ClientGauges {
    /// Set by the server: larger requests are taken only after AUTH.
    pub authenticated: AtomicBool,
    /// Set by the server: requests wait that may be an AUTH, so `authenticated` is no answer yet.
    pub may_log_in: AtomicBool,
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
    /// Set by whoever ends the connection, or meets its end first: it is he who says why.
    pub has_ended: AtomicBool,
    /// Set by the worker: how the unfinished request begins that is larger than
    /// `client-query-buffer-limit`.
    pub overlong: OnceLock<Box<[u8]>>,
    /// Set by the worker: batches of requests handed over so far.
    pub handed_over: AtomicU64,
    /// Set by the worker: the number of its thread; 0 before it runs.
    pub worker: AtomicI32,
    /// Set by the server: the worker's thread was asked to wake at once ([`Waking`]).
    pub wakes_at_once: AtomicBool,
    /// The connection was one of few when it was accepted: its worker's thread always wakes at
    /// once.
    pub is_one_of_few: bool,
    /// It is known when its requests arrived, and they are run in that order where it matters.
    pub knows_arrivals: bool,
    /// Bytes read from the client so far.
    pub read_bytes: AtomicU64,
    /// Bytes written to the client so far.
    pub written_bytes: AtomicU64,
}

/// The way in which a worker's thread is woken when its client sends something.
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
    /// True when the server wants to hear of growing arguments: there is a `maxmemory-clients`.
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

/// The origin of a client.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// `127.0.0.1:5000`; the path and `:0` for a unix socket.
    pub addr: String,
    /// Our end of the connection.
    pub laddr: String,
    /// The file descriptor, for CLIENT LIST; -1 for a client without a socket.
    pub fd: i32,
    /// True when it came through the unix socket.
    pub unix: bool,
    /// Shared with the threads that read and write it.
    pub gauges: Arc<ClientGauges>,
}

impl Connection {
    /// Its address without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.addr.rsplit_once(':').map_or(&self.addr, |(host, _)| host)
    }

    /// True when it comes from this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.unix || self.addr.starts_with("127.") || self.addr.starts_with("[::1]")
    }
}

/// The decision if and when a connection ends.
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

/// The modes that CLIENT REPLY sets.
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
