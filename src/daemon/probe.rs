//! Does a server answer here? One PING over TCP or the unix socket.
//!
//! Any reply counts, an error too: `-NOAUTH` comes from a server that is up and has a password.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long one attempt may take to connect, to write or to read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a server can be reached from this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl Address {
    /// The address to knock at for one word of `bind`: `*` and friends mean the loopback address.
    /// None for host names, which are left to the resolver of the server.
    pub fn of_bind(bind: &str, port: u16) -> Option<Self> {
        let ip = match bind.trim_start_matches('-') {
            "*" | "0.0.0.0" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            "::*" | "::" => IpAddr::V6(Ipv6Addr::LOCALHOST),
            other => other.parse().ok()?,
        };
        (port != 0).then_some(Self::Tcp(SocketAddr::new(ip, port)))
    }

    /// Sends PING and waits for the first line of a reply.
    pub fn ping(&self) -> io::Result<()> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                exchange(stream)
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                exchange(stream)
            }
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

fn exchange(mut stream: impl Read + Write) -> io::Result<()> {
    stream.write_all(b"PING\r\n")?;
    let mut first = [0];
    stream.read_exact(&mut first)?;
    match first {
        [b'+' | b'-'] => Ok(()),
        [other] => Err(io::Error::other(format!("the answer begins with {:?}", char::from(other)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn bind_words_become_addresses_of_this_machine() {
        for (bind, expected) in [
            ("127.0.0.1", Some("127.0.0.1:7000")),
            ("-::1", Some("[::1]:7000")),
            ("*", Some("127.0.0.1:7000")),
            ("0.0.0.0", Some("127.0.0.1:7000")),
            ("-::*", Some("[::1]:7000")),
            ("localhost", None),
        ] {
            assert_eq!(
                Address::of_bind(bind, 7000).map(|address| address.to_string()).as_deref(),
                expected,
                "{bind}"
            );
        }
        assert_eq!(Address::of_bind("127.0.0.1", 0), None);
    }

    #[test]
    fn any_reply_counts_and_silence_does_not() {
        for (answer, expected) in [
            ("+PONG\r\n", true),
            ("-NOAUTH Authentication required.\r\n", true),
            ("HTTP/1.1 400\r\n", false),
            ("", false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = Address::Tcp(listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 6];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                request
            });
            assert_eq!(address.ping().is_ok(), expected, "{answer:?}");
            assert_eq!(&server.join().unwrap(), b"PING\r\n");
        }
    }

    #[test]
    fn nobody_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Address::Unix(folder.path().join("socket")).ping().is_err());
    }
}
