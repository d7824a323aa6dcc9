//! A worker: reads one connection until it ends.
//!
//! An idle connection holds one small buffer and waits in a blocking read. What a read brings is
//! parsed at once and leaves as ONE event, the buffer with it, so a pipeline pays for the channel
//! once. A read that fills its buffer is continued without waiting into a bigger one; bigger
//! buffers never wait, so they cost nothing while a client is idle.
//!
//! While the owner is behind, the bounded channel blocks the worker, and TCP its client. When the
//! owner has ended the channel is closed and so is the connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::socket::Socket;
use crate::engine::{Event, Handle, Stopped};
use crate::resp::{Limits, Login, Parser};
use crate::server::{ClientGauges, ClientId, WireLimits};

/// The buffer of an idle connection, bytes: at first, and at most.
const IDLE_BYTES: std::ops::RangeInclusive<usize> = 1024..=4096;
/// What a read is continued with while more waits, bytes.
const MORE_BYTES: usize = 16 * 1024;
/// Most bytes gathered for one event, but for a big argument.
const GATHER_BYTES: usize = 64 * 1024;

/// One connection and its thread's state.
pub struct Connection {
    id: ClientId,
    socket: Arc<Socket>,
    handle: Handle,
    gauges: Arc<ClientGauges>,
    limits: Arc<WireLimits>,
    parser: Parser,
    idle_bytes: usize,
}

/// Tells the owner that the client is gone, however its worker ended: a panic is an end too.
struct Presence {
    id: ClientId,
    handle: Handle,
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A stopped owner has no clients.
        let _ = self.handle.send(Event::Disconnect(self.id));
    }
}

impl Connection {
    /// The worker's side of a connection the owner has been told of.
    #[must_use]
    pub fn new(
        id: ClientId,
        socket: Arc<Socket>,
        handle: Handle,
        gauges: Arc<ClientGauges>,
        limits: Arc<WireLimits>,
    ) -> Self {
        let idle_bytes = *IDLE_BYTES.start();
        Connection { id, socket, handle, gauges, limits, parser: Parser::new(), idle_bytes }
    }

    /// Reads until the connection ends.
    pub fn run(mut self) {
        let _presence = Presence { id: self.id, handle: self.handle.clone() };
        while self.read() {
            if self.parser.pending_bytes() > self.limits.query_buffer_bytes.load(Ordering::Relaxed) {
                log::warn!("Closing client that reached max query buffer length: id={}", self.id.0);
                return;
            }
            match self.ship() {
                Ok(true) => {}
                Ok(false) => return self.ignore_rest(),
                Err(Stopped) => return,
            }
        }
    }

    /// Waits for bytes and takes what is there. `false` at the end of the connection.
    fn read(&mut self) -> bool {
        let space = self.parser.space(self.idle_bytes);
        let room = space.len();
        let count = match self.socket.receive(space) {
            Ok(count) if count > 0 => count,
            _ => return false,
        };
        self.parser.advance(count);
        let mut gathered = count;
        if count == room {
            gathered += self.read_more();
        }
        self.gauges.read_bytes.fetch_add(gathered as u64, Ordering::Relaxed);
        self.adapt(gathered);
        true
    }

    /// Takes what else has arrived, without waiting.
    fn read_more(&mut self) -> usize {
        let mut gathered = 0;
        while gathered < GATHER_BYTES {
            let space = self.parser.space(MORE_BYTES);
            let room = space.len();
            // An error, like the end of the stream, comes again in the next blocking read.
            let count = self.socket.receive_now(space).unwrap_or(0);
            self.parser.advance(count);
            gathered += count;
            if count < room {
                break;
            }
        }
        gathered
    }

    /// Makes the next wait's buffer fit what came this time.
    fn adapt(&mut self, gathered: usize) {
        if gathered > self.idle_bytes / 2 {
            self.idle_bytes = (self.idle_bytes * 2).min(*IDLE_BYTES.end());
        } else if gathered < self.idle_bytes / 8 {
            self.idle_bytes = (self.idle_bytes / 2).max(*IDLE_BYTES.start());
        }
    }

    /// Hands the completed commands to the owner. `false` after the request that ends the connection.
    fn ship(&mut self) -> Result<bool, Stopped> {
        let mut login = match self.gauges.authenticated.load(Ordering::Acquire) {
            true => Login::Done,
            false => Login::Unsettled,
        };
        loop {
            let max_bulk_bytes = self.limits.max_bulk_bytes.load(Ordering::Relaxed);
            let parsed = self.parser.parse(&Limits { max_bulk_bytes, login });
            self.publish();
            let failed = parsed.requests.failure.is_some();
            if failed || !parsed.requests.is_empty() {
                self.handle.send(Event::Requests(self.id, parsed.requests))?;
            }
            if !parsed.needs_login {
                return Ok(!failed);
            }
            // An AUTH may be among the commands under way: look again when they have run.
            self.handle.sync()?;
            login = match self.gauges.authenticated.load(Ordering::Acquire) {
                true => Login::Done,
                false => Login::Missing,
            };
        }
    }

    /// Shows CLIENT LIST how much of an unfinished command is held.
    fn publish(&self) {
        let pending = self.parser.pending_bytes();
        if self.gauges.query_buffer.load(Ordering::Relaxed) != pending {
            self.gauges.query_buffer.store(pending, Ordering::Relaxed);
            let free = self.parser.heap_bytes().saturating_sub(pending);
            self.gauges.query_buffer_free.store(free, Ordering::Relaxed);
        }
    }

    /// Reads without looking until the owner has closed the connection: closing a socket with
    /// unread bytes would make the peer lose the error line.
    fn ignore_rest(mut self) {
        self.parser = Parser::new();
        while let Ok(count) = self.socket.receive(self.parser.space(MORE_BYTES)) {
            if count == 0 {
                return;
            }
        }
    }
}
