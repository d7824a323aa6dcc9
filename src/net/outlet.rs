//! A client's replies on their way out.
//!
//! [`Outlet`] is the owner's end: it sends what the socket takes at once. The rest is queued, in
//! order, and the room's one [`Drainer`] sends it as the socket takes it. A client that does not
//! read costs its queue, which the server bounds (`ClientGauges::pending_output`), and delays
//! nobody.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::drainer::{Drainer, Watched};
use super::socket::Socket;
use super::threads::lock;
use crate::base::text::os_reason;
use crate::clients::{ClientGauges, Close};
use crate::engine::Stream;

/// Bytes the owner offers the socket at once: a huge reply is copied by the drainer instead.
const DIRECT_BYTES: usize = 256 * 1024;
/// Bytes of one of the drainer's sends, so that the count of pending bytes goes down step by step.
const SEND_BYTES: usize = 64 * 1024;
/// Sends of the drainer to one socket before it looks after the others.
const SENDS: usize = 4;
/// Queued replies smaller than this are joined.
const CHUNK_BYTES: usize = 64 * 1024;
/// The largest buffer a client keeps for its next replies, bytes.
const KEEP_BYTES: usize = 16 * 1024;

/// The owner's end of a connection.
pub struct Outlet {
    backlog: Arc<Backlog>,
    drainer: Arc<Drainer>,
}

/// The bytes that the socket did not take.
#[derive(Debug)]
pub(super) struct Backlog {
    socket: Arc<Socket>,
    gauges: Arc<ClientGauges>,
    state: Mutex<State>,
    /// Notified when everything is sent or given up.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    /// The drainer looks after it.
    draining: bool,
    /// Shut down when the queue is empty.
    closing: bool,
    /// The connection has ended; nothing is sent any more.
    closed: bool,
}

/// Queued bytes, from `start` on.
#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    start: usize,
}

impl Outlet {
    /// The end of `socket` for replies; what it does not take is left to `drainer`.
    #[must_use]
    pub fn new(socket: Arc<Socket>, gauges: Arc<ClientGauges>, drainer: Arc<Drainer>) -> Self {
        let backlog = Backlog { socket, gauges, state: Mutex::default(), ended: Condvar::new() };
        Outlet { backlog: Arc::new(backlog), drainer }
    }

    /// Sends from the front of `bytes` without waiting; returns how many went. A broken connection
    /// takes everything: its worker notices and ends.
    fn send_now(&self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len().min(DIRECT_BYTES) {
            match self.backlog.socket.send_now(&bytes[sent..bytes.len().min(DIRECT_BYTES)]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.backlog.log_fault(&error);
                    return bytes.len();
                }
            }
        }
        self.backlog.gauges.written_bytes.fetch_add(sent as u64, Ordering::Relaxed);
        sent
    }

    /// Queues `bytes` from `sent` on and sees to it that the drainer sends them.
    fn queue(&self, bytes: &mut Vec<u8>, sent: usize) {
        let mut state = lock(&self.backlog.state);
        if state.closed || state.closing {
            bytes.clear();
            return;
        }
        self.backlog.gauges.pending_output.fetch_add(bytes.len() - sent, Ordering::Relaxed);
        state.push(bytes, sent, &self.backlog.gauges);
        if state.draining {
            return;
        }
        match self.drainer.watched().watch(&self.backlog) {
            Ok(()) => state.draining = true,
            Err(error) => {
                drop(state);
                log::warn!("Can't send a slow client its replies, closing it: {error}");
                self.shut_down();
            }
        }
    }

    fn shut_down(&self) {
        self.backlog.shut_down(self.drainer.watched());
    }
}

impl Stream for Outlet {
    fn send(&mut self, bytes: &mut Vec<u8>) {
        // Zero pending bytes mean that the drainer, if it still is at it, has sent the last.
        let sent = match self.backlog.gauges.pending_output.load(Ordering::Acquire) {
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
                    self.backlog.end();
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

    /// Nothing is sent any more.
    fn discard(&mut self, gauges: &ClientGauges) {
        self.closed = true;
        std::mem::take(&mut self.chunks).into_iter().for_each(|chunk| chunk.end(gauges));
    }
}

impl Chunk {
    /// Gives its memory back; what it still holds goes nowhere.
    fn end(self, gauges: &ClientGauges) {
        gauges.pending_output.fetch_sub(self.bytes.len() - self.start, Ordering::Release);
        gauges.pending_heap.fetch_sub(self.bytes.capacity(), Ordering::Relaxed);
        gauges.pending_chunks.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backlog {
    /// Returns the number that the drainer knows it by.
    pub(super) fn key(&self) -> u64 {
        u64::from(self.socket.fd().cast_unsigned())
    }

    /// Returns the socket that it goes to.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The drainer's turn for this socket: sends what it takes, a few times.
    pub(super) fn drain(&self, watched: &Watched) {
        for _ in 0..SENDS {
            let Some(mut chunk) = self.next(watched) else { return };
            let end = chunk.bytes.len().min(chunk.start + SEND_BYTES);
            let result = self.socket.send_now(&chunk.bytes[chunk.start..end]);
            if let Ok(count) = result {
                chunk.start += count;
                self.gauges.written_bytes.fetch_add(count as u64, Ordering::Relaxed);
                self.gauges.pending_output.fetch_sub(count, Ordering::Release);
            }
            self.put_back(chunk);
            match result {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.log_fault(&error);
                    return self.shut_down(watched);
                }
            }
        }
    }

    /// The next chunk, out of the queue, so that the owner does not wait for a send; `None` when
    /// there is nothing more to do.
    fn next(&self, watched: &Watched) -> Option<Chunk> {
        let mut state = lock(&self.state);
        if let Some(chunk) = state.chunks.pop_front() {
            return Some(chunk);
        }
        // It is false when the connection was given up in the meantime.
        if std::mem::take(&mut state.draining) {
            watched.forget(self);
            self.ended.notify_all();
        }
        if state.closing {
            state.closed = true;
            self.end();
        }
        None
    }

    /// Queues what is left of a chunk again, in front.
    fn put_back(&self, chunk: Chunk) {
        if chunk.start == chunk.bytes.len() {
            return chunk.end(&self.gauges);
        }
        let mut state = lock(&self.state);
        if state.closed {
            return chunk.end(&self.gauges);
        }
        state.chunks.push_front(chunk);
    }

    /// Says why nothing more can be sent, unless the connection is known to have ended.
    fn log_fault(&self, error: &io::Error) {
        if !self.gauges.has_ended.swap(true, Ordering::Relaxed) {
            log::debug!("Error writing to client: {}", os_reason(error));
        }
    }

    /// Ends the connection; what is queued goes nowhere.
    fn shut_down(&self, watched: &Watched) {
        let mut state = lock(&self.state);
        state.discard(&self.gauges);
        if std::mem::take(&mut state.draining) {
            watched.forget(self);
            self.ended.notify_all();
        }
        drop(state);
        self.end();
    }

    fn end(&self) {
        self.gauges.has_ended.store(true, Ordering::Relaxed);
        self.socket.shut_down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::wait_until;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::thread;

    fn outlet() -> (Outlet, UnixStream) {
        outlet_of(&Drainer::start().unwrap())
    }

    fn outlet_of(drainer: &Arc<Drainer>) -> (Outlet, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Outlet::new(Arc::new(Socket::unix(ours)), Arc::default(), Arc::clone(drainer)), theirs)
    }

    fn pending(outlet: &Outlet) -> usize {
        outlet.backlog.gauges.pending_output.load(Ordering::Acquire)
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
        assert_eq!(outlet.backlog.gauges.written_bytes.load(Ordering::Relaxed), total as u64);
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
        wait_until("what is pending is dropped", || pending(&outlet) == 0);
    }

    #[test]
    fn a_peer_that_hangs_up_ends_the_draining() {
        let (mut outlet, theirs) = outlet();
        outlet.send(&mut vec![b'x'; 5_000_000]);
        drop(theirs);
        outlet.finish(Duration::from_secs(60));
        assert_eq!(pending(&outlet), 0);
    }

    #[test]
    fn whoever_meets_the_end_of_a_connection_first_says_so() {
        let has_ended = |outlet: &Outlet| outlet.backlog.gauges.has_ended.load(Ordering::Relaxed);
        let (mut gone, theirs) = outlet();
        gone.send(&mut b"+OK\r\n".to_vec());
        assert!(!has_ended(&gone));
        drop(theirs);
        gone.send(&mut b"+OK\r\n".to_vec());
        assert!(has_ended(&gone), "a write that fails is a fault to tell");
        for close in [Close::Now, Close::AfterFlush] {
            let (mut closed, _theirs) = outlet();
            closed.close(close);
            assert!(has_ended(&closed), "{close:?}: the end of what was closed here is no fault");
        }
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

    #[test]
    fn sockets_that_take_nothing_hold_up_no_other() {
        let drainer = Drainer::start().unwrap();
        let silent: Vec<_> = (0..50)
            .map(|_| {
                let (mut outlet, theirs) = outlet_of(&drainer);
                outlet.send(&mut vec![b'x'; 2_000_000]);
                (outlet, theirs)
            })
            .collect();
        for round in 0..3 {
            let (mut outlet, mut theirs) = outlet_of(&drainer);
            outlet.send(&mut pattern(round, 3_000_000));
            let mut got = vec![0; 3_000_000];
            theirs.read_exact(&mut got).unwrap();
            assert!(got == pattern(round, 3_000_000));
        }
        assert!(silent.iter().all(|(outlet, _)| pending(outlet) > 0));
        assert_eq!(drainer.watched().count(), 50);
        for (outlet, mut theirs) in silent.into_iter().take(1) {
            theirs.read_exact(&mut vec![0; 2_000_000]).unwrap();
            drop(outlet);
        }
        assert_eq!(drainer.watched().count(), 0, "whoever is gone is let go of");
    }

    #[test]
    fn a_descriptor_that_is_used_again_is_watched_again() {
        let drainer = Drainer::start().unwrap();
        for round in 0..20 {
            let (mut outlet, mut theirs) = outlet_of(&drainer);
            outlet.send(&mut pattern(round, 1_000_000));
            if round % 2 == 0 {
                theirs.read_exact(&mut vec![0; 1_000_000]).unwrap();
            }
        }
        assert_eq!(drainer.watched().count(), 0);
    }
}
