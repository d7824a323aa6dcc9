//! A client's replies on their way out.
//!
//! [`Outlet`] is the owner's end: it sends what the socket takes at once. The rest is queued, in
//! order, for a writer thread that is started then, drains the queue with blocking sends, and
//! ends when it is empty. A client that does not read costs its thread and its queue, which the
//! server bounds (`ClientGauges::pending_output`), and delays nobody.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::socket::Socket;
use super::threads::{Threads, lock};
use crate::engine::Stream;
use crate::server::{ClientGauges, Close};

/// Bytes the owner offers the socket at once: a huge reply is copied by the writer instead.
const DIRECT_BYTES: usize = 256 * 1024;
/// Bytes of one blocking send, so that the count of pending bytes goes down step by step.
const SEND_BYTES: usize = 64 * 1024;
/// Queued replies smaller than this are joined.
const CHUNK_BYTES: usize = 64 * 1024;
/// The largest buffer a client keeps for its next replies, bytes.
const KEEP_BYTES: usize = 16 * 1024;

/// The owner's end of a connection.
pub struct Outlet {
    socket: Arc<Socket>,
    gauges: Arc<ClientGauges>,
    threads: Arc<Threads>,
    backlog: Arc<Backlog>,
}

/// What the socket did not take.
#[derive(Default)]
struct Backlog {
    state: Mutex<State>,
    /// Notified when a writer has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Chunk>,
    /// A writer thread is at work.
    draining: bool,
    /// Shut down when the queue is empty.
    closing: bool,
    /// The connection has ended; nothing is sent any more.
    closed: bool,
}

/// Queued bytes, from `start` on.
struct Chunk {
    bytes: Vec<u8>,
    start: usize,
}

impl Outlet {
    /// The end of `socket` for replies; writers run on `threads`.
    #[must_use]
    pub fn new(socket: Arc<Socket>, gauges: Arc<ClientGauges>, threads: Arc<Threads>) -> Self {
        Outlet { socket, gauges, threads, backlog: Arc::default() }
    }

    /// Sends from the front of `bytes` without waiting; returns how many went. A broken connection
    /// takes everything: its worker notices and reports it.
    fn send_now(&self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len().min(DIRECT_BYTES) {
            match self.socket.send_now(&bytes[sent..bytes.len().min(DIRECT_BYTES)]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return bytes.len(),
            }
        }
        self.gauges.written_bytes.fetch_add(sent as u64, Ordering::Relaxed);
        sent
    }

    /// Queues `bytes` from `sent` on and sees to it that a writer is at work.
    fn queue(&self, bytes: &mut Vec<u8>, sent: usize) {
        let mut state = lock(&self.backlog.state);
        if state.closed || state.closing {
            bytes.clear();
            return;
        }
        self.gauges.pending_output.fetch_add(bytes.len() - sent, Ordering::Relaxed);
        state.push(bytes, sent, &self.gauges);
        if state.draining {
            return;
        }
        state.draining = true;
        drop(state);
        if !self.start_writer() {
            log::warn!("No thread to send a slow client its replies: closing it");
            self.shut_down();
        }
    }

    fn start_writer(&self) -> bool {
        let (socket, gauges) = (Arc::clone(&self.socket), Arc::clone(&self.gauges));
        let backlog = Arc::clone(&self.backlog);
        self.threads.run(Box::new(move || backlog.drain(&socket, &gauges))).is_ok()
    }

    fn shut_down(&self) {
        lock(&self.backlog.state).discard(&self.gauges);
        self.socket.shut_down();
    }
}

impl Stream for Outlet {
    fn send(&mut self, bytes: &mut Vec<u8>) {
        // Zero pending bytes mean that the writer, if there still is one, has sent its last.
        let sent = match self.gauges.pending_output.load(Ordering::Acquire) {
            0 => self.send_now(bytes),
            _ => 0,
        };
        if sent < bytes.len() {
            self.queue(bytes, sent);
        }
        bytes.clear();
        bytes.shrink_to(KEEP_BYTES);
    }

    fn close(&mut self, close: Close) {
        match close {
            Close::No => {}
            Close::Now => self.shut_down(),
            Close::AfterFlush => {
                let mut state = lock(&self.backlog.state);
                state.closing = true;
                if !state.draining {
                    state.closed = true;
                    drop(state);
                    self.socket.shut_down();
                }
            }
        }
    }

    fn finish(&mut self, wait: Duration) {
        self.close(Close::AfterFlush);
        let state = lock(&self.backlog.state);
        let _ended = self.backlog.ended.wait_timeout_while(state, wait, |state| state.draining);
    }
}

/// A client that is gone takes nothing any more.
impl Drop for Outlet {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl State {
    /// Queues `bytes` from `start` on: copied if it is little, else the buffer itself.
    fn push(&mut self, bytes: &mut Vec<u8>, start: usize, gauges: &ClientGauges) {
        let rest = &bytes[start..];
        let chunk = match self.chunks.back_mut() {
            Some(last) if last.bytes.len() + rest.len() <= CHUNK_BYTES => {
                let before = last.bytes.capacity();
                last.bytes.extend_from_slice(rest);
                gauges.pending_heap.fetch_add(last.bytes.capacity() - before, Ordering::Relaxed);
                return;
            }
            _ if rest.len() <= CHUNK_BYTES / 8 => Chunk { bytes: rest.to_vec(), start: 0 },
            _ => Chunk { bytes: std::mem::take(bytes), start },
        };
        gauges.pending_heap.fetch_add(chunk.bytes.capacity(), Ordering::Relaxed);
        gauges.pending_chunks.fetch_add(1, Ordering::Relaxed);
        self.chunks.push_back(chunk);
    }

    /// The connection has ended: what is queued goes nowhere.
    fn discard(&mut self, gauges: &ClientGauges) {
        self.closed = true;
        for chunk in std::mem::take(&mut self.chunks) {
            gauges.pending_output.fetch_sub(chunk.bytes.len() - chunk.start, Ordering::Release);
            chunk.end(gauges);
        }
    }
}

impl Chunk {
    /// Gives its memory back.
    fn end(self, gauges: &ClientGauges) {
        gauges.pending_heap.fetch_sub(self.bytes.capacity(), Ordering::Relaxed);
        gauges.pending_chunks.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backlog {
    /// The writer thread: sends chunk after chunk until none is left or the connection ends.
    fn drain(&self, socket: &Socket, gauges: &ClientGauges) {
        while let Some(chunk) = self.next(socket) {
            let is_sent = send_all(socket, gauges, &chunk.bytes[chunk.start..]);
            chunk.end(gauges);
            if !is_sent {
                lock(&self.state).discard(gauges);
            }
        }
    }

    /// The next chunk, or `None` when the writer has nothing more to do.
    fn next(&self, socket: &Socket) -> Option<Chunk> {
        let mut state = lock(&self.state);
        if let Some(chunk) = state.chunks.pop_front() {
            return Some(chunk);
        }
        state.draining = false;
        if state.closing {
            state.closed = true;
            socket.shut_down();
        }
        self.ended.notify_all();
        None
    }
}

/// Sends all of `chunk`; `false` when the connection broke. The rest then no longer counts as
/// pending.
fn send_all(socket: &Socket, gauges: &ClientGauges, chunk: &[u8]) -> bool {
    let mut rest = chunk;
    while !rest.is_empty() {
        let Ok(count) = socket.send(&rest[..rest.len().min(SEND_BYTES)]) else {
            gauges.pending_output.fetch_sub(rest.len(), Ordering::Release);
            return false;
        };
        gauges.written_bytes.fetch_add(count as u64, Ordering::Relaxed);
        gauges.pending_output.fetch_sub(count, Ordering::Release);
        rest = &rest[count..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::threads::IDLE;
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    fn outlet() -> (Outlet, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let outlet = Outlet::new(Arc::new(Socket::unix(ours)), Arc::default(), Threads::new(IDLE));
        (outlet, theirs)
    }

    fn pending(outlet: &Outlet) -> usize {
        outlet.gauges.pending_output.load(Ordering::Acquire)
    }

    /// Numbered bytes, so that a lost or swapped piece shows.
    fn pattern(from: usize, length: usize) -> Vec<u8> {
        (from..from + length).map(|index| (index % 251) as u8).collect()
    }

    #[test]
    fn a_small_reply_goes_at_once_and_the_vector_keeps_its_capacity() {
        let (mut outlet, mut theirs) = outlet();
        let mut bytes = Vec::with_capacity(1000);
        bytes.extend_from_slice(b"+OK\r\n");
        outlet.send(&mut bytes);
        assert_eq!((bytes.len(), bytes.capacity(), pending(&outlet)), (0, 1000, 0));
        let mut got = [0; 5];
        theirs.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"+OK\r\n");
    }

    #[test]
    fn a_big_reply_does_not_leave_a_big_buffer_behind() {
        let (mut outlet, mut theirs) = outlet();
        for size in [KEEP_BYTES + 1, 3_000_000] {
            let mut bytes = vec![b'x'; size];
            outlet.send(&mut bytes);
            assert!(bytes.is_empty() && bytes.capacity() <= KEEP_BYTES);
            theirs.read_exact(&mut vec![0; size]).unwrap();
        }
    }

    #[test]
    fn a_slow_reader_gets_everything_in_order_and_nobody_waits_for_it() {
        let (mut outlet, mut theirs) = outlet();
        let sizes = [1, 3_000_000, 10, 500, 70_000, 400_000, 1, 2];
        let total = sizes.iter().sum::<usize>();
        let mut from = 0;
        for size in sizes {
            outlet.send(&mut pattern(from, size));
            from += size;
        }
        assert!(pending(&outlet) > 0, "more than a socket takes is pending");
        outlet.close(Close::AfterFlush);
        outlet.send(&mut b"after the close".to_vec());
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), total);
        assert!(got == pattern(0, total));
        assert_eq!(pending(&outlet), 0);
        assert_eq!(outlet.gauges.written_bytes.load(Ordering::Relaxed), total as u64);
    }

    #[test]
    fn direct_sending_resumes_when_the_queue_is_drained() {
        let (mut outlet, mut theirs) = outlet();
        for round in 0..20 {
            outlet.send(&mut pattern(round, 1_000_000));
            let mut got = vec![0; 1_000_000];
            theirs.read_exact(&mut got).unwrap();
            assert!(got == pattern(round, 1_000_000));
        }
    }

    #[test]
    fn closing_now_drops_what_is_pending() {
        let (mut outlet, mut theirs) = outlet();
        outlet.send(&mut vec![b'x'; 5_000_000]);
        outlet.close(Close::Now);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).unwrap();
        assert!(got.len() < 5_000_000);
        while pending(&outlet) > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_peer_that_hangs_up_ends_the_writer() {
        let (mut outlet, theirs) = outlet();
        outlet.send(&mut vec![b'x'; 5_000_000]);
        drop(theirs);
        outlet.finish(Duration::from_secs(60));
        assert_eq!(pending(&outlet), 0);
    }

    #[test]
    fn finish_waits_for_the_last_reply_but_not_for_ever() {
        let (mut first, mut theirs) = outlet();
        first.send(&mut vec![b'x'; 2_000_000]);
        let reader = thread::spawn(move || theirs.read_to_end(&mut Vec::new()).unwrap());
        first.finish(Duration::from_secs(60));
        assert_eq!(reader.join().unwrap(), 2_000_000);

        let (mut stuck, mut silent) = outlet();
        stuck.send(&mut vec![b'x'; 2_000_000]);
        stuck.finish(Duration::from_millis(1));
        assert!(pending(&stuck) > 0);
        silent.write_all(b"still here").unwrap();
    }
}
