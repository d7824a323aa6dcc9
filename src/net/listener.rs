//! Sockets that accept: bound before anything else starts, so that a taken port is one clear
//! error, and served later.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockRef, Type};

use super::socket::Socket;
use crate::base::text::os_reason;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// Of an address and port.
    Tcp(TcpListener),
    /// Of a path.
    Unix(UnixListener, PathBuf),
}

/// The address as it is really bound, `0.0.0.0:6379`, or the path.
impl fmt::Display for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.address()) {
            (_, Some(address)) => address.fmt(out),
            (Listener::Unix(_, path), None) => path.display().fmt(out),
            (Listener::Tcp(_), None) => out.write_str("an unknown address"),
        }
    }
}

/// A connection that has just been accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The connection itself.
    pub socket: Socket,
    /// The peer, as CLIENT LIST shows it: `127.0.0.1:5000`, `[::1]:5000`, `/path:0`.
    pub addr: String,
    /// Our end, in the same form.
    pub laddr: String,
    /// True when it came over a unix socket.
    pub unix: bool,
}

impl Listener {
    /// Binds `address`. An IPv6 address takes no IPv4 connections; port 0 asks the system for one.
    pub fn tcp(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(Listener::Tcp(socket.into()))
    }

    /// Binds `path`, in the place of a socket or any other file there; `mode` are its permissions,
    /// by default what the umask leaves.
    pub fn unix(path: &Path, mode: Option<u32>, backlog: i32) -> io::Result<Self> {
        // Redis: the file is unlinked, whatever it is. If that cannot be done, binding says why.
        let _ = fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        SockRef::from(&listener).listen(backlog)?;
        if let Some(mode) = mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(Listener::Unix(listener, path.to_path_buf()))
    }

    /// The address bound, with the port the system chose; `None` for a unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(..) => None,
        }
    }

    /// Marks the packets of this listener and of its connections for routing and filters. Needs
    /// `CAP_NET_ADMIN`.
    pub fn set_mark(&self, mark: u32) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => SockRef::from(listener).set_mark(mark),
            Listener::Unix(..) => Ok(()),
        }
    }

    /// Waits for a connection. `keepalive_secs`, asked when there is one, as in [`Socket::tcp`].
    pub fn accept(&self, keepalive_secs: impl Fn() -> u64) -> io::Result<Accepted> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                log::debug!("Accepted {peer}");
                let laddr = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
                let socket = Socket::tcp(stream, keepalive_secs());
                Ok(Accepted { socket, addr: peer.to_string(), laddr, unix: false })
            }
            Listener::Unix(listener, path) => {
                let (stream, _) = listener.accept()?;
                log::debug!("Accepted connection to {}", path.display());
                let addr = format!("{}:0", path.display());
                Ok(Accepted { socket: Socket::unix(stream), laddr: addr.clone(), addr, unix: true })
            }
        }
    }

    /// Ends a blocked [`Listener::accept`], here and in other threads, and refuses new connections.
    pub fn shut_down(&self) {
        // It cannot fail on a listening socket, and there is nothing else to be done if it does.
        let _ = match self {
            Listener::Tcp(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
            Listener::Unix(listener, path) => {
                if let Err(error) = fs::remove_file(path) {
                    log::warn!("Error removing the unix socket file: {}", os_reason(&error));
                }
                SockRef::from(listener).shutdown(Shutdown::Both)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::thread;

    fn local(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_taken_port_is_an_error_at_once() {
        let first = Listener::tcp(local(0), 5).unwrap();
        let again = Listener::tcp(first.address().unwrap(), 5);
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn tcp_peers_are_named_by_address_and_port() {
        let listener = Listener::tcp(local(0), 5).unwrap();
        let client = TcpStream::connect(listener.address().unwrap()).unwrap();
        let accepted = listener.accept(|| 300).unwrap();
        assert_eq!(accepted.addr, client.local_addr().unwrap().to_string());
        assert_eq!(accepted.laddr, listener.address().unwrap().to_string());
        assert!(!accepted.unix && accepted.socket.fd() >= 0);
    }

    #[test]
    fn a_mark_is_inherited_by_connections_or_refused() {
        let listener = Listener::tcp(local(0), 5).unwrap();
        let mark = |stream: &TcpStream| SockRef::from(stream).mark().unwrap();
        let (marked, expected) = match listener.set_mark(4711) {
            Ok(()) => (true, 4711),
            Err(error) => (error.kind() != io::ErrorKind::PermissionDenied, 0),
        };
        let client = TcpStream::connect(listener.address().unwrap()).unwrap();
        let Listener::Tcp(listening) = &listener else { unreachable!("it is TCP") };
        assert_eq!((mark(&listening.accept().unwrap().0), mark(&client)), (expected, 0));
        assert_eq!(marked, expected != 0);
    }

    #[test]
    fn ipv6_leaves_the_port_of_ipv4_free() {
        let Ok(six) = Listener::tcp("[::]:0".parse().unwrap(), 5) else { return };
        let port = six.address().unwrap().port();
        Listener::tcp(local(port), 5).unwrap();
    }

    #[test]
    fn whatever_file_is_in_the_place_of_the_unix_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let listener = Listener::unix(&path, Some(0o700), 5).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let _client = UnixStream::connect(&path).unwrap();
        assert_eq!(listener.accept(|| 0).unwrap().addr, format!("{}:0", path.display()));
        listener.shut_down();
        assert!(!path.exists());
        fs::write(&path, "text").unwrap();
        Listener::unix(&path, None, 5).unwrap().shut_down();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        Listener::unix(&path, None, 5).unwrap().shut_down();
        assert!(!path.exists() && !elsewhere.exists());
        fs::create_dir(&path).unwrap();
        assert_eq!(Listener::unix(&path, None, 5).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn shutting_down_ends_a_waiting_accept() {
        let folder = tempfile::tempdir().unwrap();
        let unix = Listener::unix(&folder.path().join("s"), None, 5).unwrap();
        for listener in [Listener::tcp(local(0), 5).unwrap(), unix] {
            let listener = Arc::new(listener);
            let waiting = Arc::clone(&listener);
            let accept = thread::spawn(move || waiting.accept(|| 0).is_err());
            listener.shut_down();
            assert!(accept.join().unwrap());
        }
    }
}
