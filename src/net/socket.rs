//! One connected socket, shared by its worker (reads), the owner (sends what fits at once) and
//! the drainer (sends the rest). TCP and unix sockets look the same from here on; TLS would
//! be a second kind.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{self, PollFd, PollFlags, Timespec};
use socket2::TcpKeepalive;

use crate::base::time::Arrival;
use crate::engine::os;

/// Probes without an answer before a dead peer is given up. Source: anetKeepAlive.
const KEEPALIVE_PROBES: u32 = 3;

/// A connected stream socket in blocking mode.
#[derive(Debug)]
pub struct Socket(socket2::Socket);

/// The result of a read.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// The number of bytes; 0 at the end of the stream.
    pub count: usize,
    /// The time at which the last of them reached this machine, where the socket tells.
    pub arrival: Option<Arrival>,
}

impl Socket {
    /// A TCP connection: replies leave at once, dead peers are noticed after about `keepalive_secs`
    /// (0: never).
    #[must_use]
    pub fn tcp(stream: TcpStream, keepalive_secs: u64) -> Self {
        let socket = socket2::Socket::from(stream);
        // Neither is needed for a correct connection, and a peer that has already left refuses
        // both.
        let _ = socket.set_tcp_nodelay(true);
        if keepalive_secs > 0 {
            let time = Duration::from_secs(keepalive_secs);
            let interval = Duration::from_secs((keepalive_secs / 3).max(1));
            let keepalive =
                TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(KEEPALIVE_PROBES);
            let _ = socket.set_tcp_keepalive(&keepalive);
        }
        Socket(socket)
    }

    /// A connection over a unix socket.
    #[must_use]
    pub fn unix(stream: UnixStream) -> Self {
        Socket(socket2::Socket::from(OwnedFd::from(stream)))
    }

    /// The file descriptor's number, for CLIENT LIST.
    #[must_use]
    pub fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// After how long a silent peer is probed, seconds; `None` for never.
    #[cfg(test)]
    pub fn keepalive_secs(&self) -> Option<u64> {
        let is_on = self.0.keepalive().unwrap_or(false);
        is_on.then(|| self.0.tcp_keepalive_time().map_or(0, |time| time.as_secs()))
    }

    /// Has the kernel note when bytes arrive, for [`Socket::receive_with_arrival`]. Returns whether
    /// it does: not for a unix socket.
    pub fn note_arrivals(&self) -> bool {
        self.0.local_addr().is_ok_and(|addr| !addr.is_unix()) && os::note_arrivals(self.0.as_fd()).is_ok()
    }

    /// Waits for bytes; 0 at the end of the stream.
    pub fn receive(&self, space: &mut [u8]) -> io::Result<usize> {
        retry(|| (&self.0).read(space))
    }

    /// Waits for bytes, and tells when they arrived if it was noted.
    pub fn receive_with_arrival(&self, space: &mut [u8]) -> io::Result<Received> {
        let mut arrival = None;
        let count = retry(|| {
            let (count, noted) = os::receive_with_arrival(self.0.as_fd(), space)?;
            arrival = noted;
            Ok(count)
        })?;
        Ok(Received { count, arrival })
    }

    /// Has [`Socket::receive`] give up with `WouldBlock` after so long without a byte, or never.
    pub fn set_patience(&self, patience: Option<Duration>) {
        // It cannot fail on a socket that is open, and then `receive` waits as before.
        let _ = self.0.set_read_timeout(patience);
    }

    /// Takes bytes that have arrived; `WouldBlock` when none have.
    pub fn receive_now(&self, space: &mut [u8]) -> io::Result<usize> {
        retry(|| os::receive_now(self.0.as_fd(), space))
    }

    /// Waits for the end of the stream, behind what has arrived, for so long. Returns whether it
    /// came.
    pub fn ends_within(&self, patience: Duration) -> bool {
        let mut asked = [PollFd::new(&self.0, PollFlags::RDHUP)];
        let timeout = Timespec::try_from(patience).expect("patience is short");
        // A signal only makes the caller look earlier.
        event::poll(&mut asked, Some(&timeout)).is_ok() && !asked[0].revents().is_empty()
    }

    /// Sends what the socket takes at once; `WouldBlock` when that is nothing.
    pub fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| self.0.send_with_flags(bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL))
    }

    /// Ends the connection; what was sent still arrives, and a blocked read or send returns.
    pub fn shut_down(&self) {
        // It fails when the peer has already left: nothing remains to be ended.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
