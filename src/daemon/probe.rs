//! Does a server answer here, and which? One PING, or one INFO, over TCP or the unix socket.
//!
//! Any reply counts, an error too: `-NOAUTH` comes from a server that is up and has a password.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time that one attempt may take to connect, to write or to read.
const PATIENCE: Duration = Duration::from_secs(2);

/// No section `server` of INFO is longer.
const MAX_INFO_BYTES: u64 = 8192;

/// The address at which a server can be reached from this machine.
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

    /// Sends PING and waits for the first byte of a reply.
    pub fn ping(&self) -> io::Result<()> {
        match self.exchange(b"PING\r\n", 1)?.as_slice() {
            [b'+' | b'-', ..] => Ok(()),
            [] => Err(io::ErrorKind::UnexpectedEof.into()),
            [other, ..] => Err(io::Error::other(format!("the answer begins with {:?}", char::from(*other)))),
        }
    }

    /// Names the server that answers, in words: `redis-server (PID 812)`. None if nobody does who
    /// speaks Redis's protocol.
    pub fn identify(&self) -> Option<String> {
        // After QUIT a server closes the connection, and that ends the answer.
        let answer = self.exchange(b"INFO server\r\nQUIT\r\n", MAX_INFO_BYTES).ok()?;
        let text = String::from_utf8_lossy(&answer);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        match (field("executable"), field("process_id")) {
            (Some(path), Some(pid)) => {
                let program = Path::new(path).file_name().unwrap_or_default().display();
                Some(format!("{program} (PID {pid})"))
            }
            // One with a password says no more.
            _ if text.starts_with(['$', '-']) => Some("another server of Redis's protocol".to_owned()),
            _ => None,
        }
    }

    /// Sends a request and returns what arrives, up to so many bytes or as long as something comes.
    fn exchange(&self, request: &[u8], most_bytes: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                exchange(stream, request, most_bytes)
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                exchange(stream, request, most_bytes)
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

fn exchange(mut stream: impl Read + Write, request: &[u8], most_bytes: u64) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    match stream.take(most_bytes).read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
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
    fn who_answers_is_told_as_far_as_they_say_it() {
        let info = "$90\r\n# Server\r\nredis_version:7.0.15\r\nprocess_id:812\r\nexecutable:/usr/bin/redis-server\r\n\r\n";
        for (answer, expected) in [
            (info, Some("redis-server (PID 812)")),
            ("-NOAUTH Authentication required.\r\n", Some("another server of Redis's protocol")),
            ("HTTP/1.1 400\r\n", None),
            ("", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = Address::Tcp(listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 19];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(address.identify().as_deref(), expected, "{answer:?}");
            server.join().unwrap();
        }
    }

    #[test]
    fn nobody_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Address::Unix(folder.path().join("socket")).ping().is_err());
    }
}
