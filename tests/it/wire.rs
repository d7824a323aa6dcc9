//! The wire between a client and the owner: framing, limits, slow clients, full pools, seen from
//! outside. What every request parses to is tested beside the parser.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use crate::support::{LIMIT, Server, signal, text, wait_until, within_limit};

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// What the server answers to `bytes` until it closes the connection.
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(bytes).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    text(&all)
}

fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

fn set(key: &str, value: &[u8]) -> Vec<u8> {
    [b"*3\r\n$3\r\nSET\r\n".to_vec(), bulk(key.as_bytes()), bulk(value)].concat()
}

/// Numbered bytes, so that a lost or swapped piece shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[test]
fn a_broken_request_is_answered_after_those_before_it_and_ends_the_connection() {
    let server = Server::start(&["--save", ""]);
    for (bytes, said) in [
        (&b"PING\r\n*x\r\nPING\r\n"[..], "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n:4\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"),
        (b"*1\r\n$536870913\r\n", "-ERR Protocol error: invalid bulk length\r\n"),
        (b"PING \"\r\nPING\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"),
        (&[b'x'; 70_000], "-ERR Protocol error: too big inline request\r\n"),
        (b"PING\r\nQUIT\r\nPING\r\n", "+PONG\r\n+OK\r\n"),
    ] {
        assert_eq!(answer(&server, bytes), said, "{}", text(bytes));
    }
    server.stop();
}

/// What a browser can be made to send is not obeyed, in whatever form.
#[test]
fn an_http_request_ends_the_connection_and_none_of_its_lines_is_obeyed() {
    let post = [b"*3\r\n".to_vec(), bulk(b"POST"), bulk(b"/"), bulk(b"HTTP/1.1")].concat();
    let host = [b"*2\r\n".to_vec(), bulk(b"Host:"), bulk(b"x")].concat();
    for request in [
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\nSET pwned 1\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nSET pwned 1\r\n".to_vec(),
        [post, set("pwned", b"1")].concat(),
        [host, set("pwned", b"1")].concat(),
    ] {
        let mut server = Server::start(&["--save", ""]);
        let said = answer(&server, &request);
        assert!(!said.contains("OK"), "{said}");
        let mut client = server.client();
        assert_eq!(client.run("EXISTS pwned"), "(int) 0", "{}", text(&request));
        server.wait_for("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host:");
        server.stop();
    }
}

#[test]
fn a_client_that_sends_and_hangs_up_gets_its_answers() {
    let server = Server::start(&["--save", ""]);
    for _ in 0..50 {
        let mut stream = connect(&server);
        stream.write_all(b"SET a 1\r\nGET a\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert_eq!(all, "+OK\r\n$1\r\n1\r\n");
    }
}

#[test]
fn before_auth_requests_are_small_and_a_pipelined_auth_lifts_the_limit() {
    let server = Server::start(&["--save", "", "--requirepass", "secret"]);
    assert_eq!(answer(&server, b"*11\r\n"), "-ERR Protocol error: unauthenticated multibulk length\r\n");
    let bulk_refused = "-ERR Protocol error: unauthenticated bulk length\r\n";
    assert_eq!(answer(&server, b"*2\r\n$4\r\nPING\r\n$16385\r\n"), bulk_refused);
    let wrong = answer(&server, b"AUTH wrong\r\n*2\r\n$4\r\nPING\r\n$16385\r\n");
    assert!(wrong.starts_with("-WRONGPASS") && wrong.ends_with(bulk_refused), "{wrong}");
    let value = [b'x'; 20_000];
    let bytes = [b"AUTH secret\r\n".to_vec(), set("k", &value), b"QUIT\r\n".to_vec()].concat();
    assert_eq!(answer(&server, &bytes), "+OK\r\n+OK\r\n+OK\r\n");
}

#[test]
fn an_auth_that_waits_lifts_the_limit_for_what_is_pipelined_behind_it() {
    let server = Server::start(&["--save", "", "--requirepass", "secret"]);
    let value = [b'x'; 20_000];
    let bytes = [b"AUTH secret\r\n".to_vec(), set("k", &value), b"QUIT\r\n".to_vec()].concat();
    let guesses = b"AUTH a\r\nAUTH b\r\nAUTH c\r\nAUTH d\r\nAUTH e\r\nAUTH f\r\nQUIT\r\n";
    assert_eq!(answer(&server, guesses).matches("-WRONGPASS").count(), 6);
    assert_eq!(answer(&server, &bytes), "+OK\r\n+OK\r\n+OK\r\n", "behind wrong passwords");
    let mut client = connect(&server);
    client.write_all(b"AUTH secret\r\nCLIENT PAUSE 100 ALL\r\n").unwrap();
    client.read_exact(&mut [0; 10]).unwrap();
    assert_eq!(answer(&server, &bytes), "+OK\r\n+OK\r\n+OK\r\n", "in a pause");
    let bulk_refused = "-ERR Protocol error: unauthenticated bulk length\r\n";
    let guesses = [&guesses[..8], b"AUTH g\r\n", &set("k", &value)].concat();
    assert!(answer(&server, &guesses).ends_with(bulk_refused), "when none was right");
}

#[test]
fn a_big_value_makes_the_round_trip_whole() {
    let server = Server::start(&["--save", ""]);
    let value = pattern(20_000_000);
    let mut stream = connect(&server);
    let mut sender = stream.try_clone().unwrap();
    let bytes = [set("big", &value), b"GET big\r\nQUIT\r\n".to_vec()].concat();
    let sending = thread::spawn(move || sender.write_all(&bytes).unwrap());
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    sending.join().unwrap();
    assert!(all == [b"+OK\r\n".to_vec(), bulk(&value), b"+OK\r\n".to_vec()].concat());
}

#[test]
fn a_command_may_arrive_byte_by_byte() {
    let server = Server::start(&["--save", ""]);
    let mut stream = connect(&server);
    stream.set_nodelay(true).unwrap();
    for byte in [set("k", b"v"), b"GET k\r\nQUIT\r\n".to_vec()].concat() {
        stream.write_all(&[byte]).unwrap();
    }
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all, "+OK\r\n$1\r\nv\r\n+OK\r\n");
}

#[test]
fn a_client_that_does_not_read_delays_nobody_and_loses_nothing() {
    let server = Server::start(&["--save", ""]);
    let value = pattern(1_000_000);
    let mut slow = connect(&server);
    slow.write_all(&set("big", &value)).unwrap();
    slow.read_exact(&mut [0; 5]).unwrap();
    slow.write_all(&b"GET big\r\n".repeat(40)).unwrap();
    let mut quick = server.client();
    // Eight digits of pending bytes: all forty replies are made, and the socket has taken its part.
    wait_until("forty megabytes are pending", || {
        assert_eq!(quick.run("PING"), "PONG");
        quick.run("CLIENT LIST").split("omem=").any(|rest| rest.find(' ') == Some(8))
    });
    slow.write_all(b"QUIT\r\n").unwrap();
    let mut all = Vec::new();
    slow.read_to_end(&mut all).unwrap();
    assert!(all == [bulk(&value).repeat(40), b"+OK\r\n".to_vec()].concat());
}

#[test]
fn clients_that_do_not_read_have_one_thread_for_all_of_them() {
    const CLIENTS: usize = 60;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let server = Server::start_in(folder, &["--save", "", "--unixsocket", path.to_str().unwrap()]);
    let mut quick = server.client();
    quick.run(&format!("SET big {}", "x".repeat(500_000)));
    let mut slow: Vec<_> = (0..CLIENTS).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(&b"GET big\r\n".repeat(3)).unwrap();
    }
    // Seven digits of pending bytes each: the sockets have taken their part.
    let pending = |list: &str| list.split("omem=").filter(|rest| rest.find(' ') == Some(7)).count();
    wait_until("all clients are behind", || pending(&quick.run("CLIENT LIST")) == CLIENTS);
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().count();
    assert!(threads < CLIENTS + 40, "{threads} threads for {CLIENTS} clients");
    assert_eq!(quick.run("PING"), "PONG");
    server.stop();
}

#[test]
fn a_client_that_does_not_read_cannot_hold_up_the_end() {
    let server = Server::start(&["--save", ""]);
    let mut slow = connect(&server);
    slow.write_all(&set("big", &pattern(1_000_000))).unwrap();
    slow.write_all(&b"GET big\r\n".repeat(40)).unwrap();
    slow.read_exact(&mut [0; 10]).unwrap();
    within_limit("the server ends", move || server.stop());
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = Server::start(&["--save", "", "--maxclients", "2"]);
    let mut first = server.client();
    assert_eq!(first.run("PING"), "PONG");
    let mut second = server.client();
    assert_eq!(second.run("PING"), "PONG");
    assert_eq!(answer(&server, b""), "-ERR max number of clients reached\r\n");
    assert_eq!(first.run("CONFIG SET maxclients 3"), "OK");
    assert_eq!(server.client().run("PING"), "PONG");
}

#[test]
fn a_killed_client_is_gone_at_once() {
    let server = Server::start(&["--save", ""]);
    let mut victim = server.client();
    let id = victim.run("CLIENT ID").replace("(int) ", "");
    assert_eq!(server.client().run(&format!("CLIENT KILL ID {id}")), "(int) 1");
    assert!(victim.is_closed());
}

#[test]
fn the_unix_socket_answers_and_its_file_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let server = Server::start(&["--save", "", "--unixsocket", path.to_str().unwrap()]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"PING\r\nCLIENT INFO\r\nQUIT\r\n").unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert!(all.starts_with("+PONG\r\n") && all.contains(&format!("addr={}:0 ", path.display())), "{all}");
    server.stop();
    assert!(!path.exists());
}

#[test]
fn many_clients_come_and_go_on_few_threads() {
    let server = Server::start(&["--save", ""]);
    for _ in 0..200 {
        assert_eq!(server.client().run("PING"), "PONG");
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().count();
    assert!(threads < 60, "{threads} threads for one client at a time");
    signal(server.pid(), "TERM");
}

/// Redis: what is being run is still in the query buffer.
#[test]
fn a_client_sees_the_bytes_of_its_own_request() {
    let server = Server::start(&[]);
    let mut stream = connect(&server);
    stream.write_all(b"*2\r\n$6\r\nclient\r\n$4\r\ninfo\r\nPING\r\n").unwrap();
    let mut text = String::new();
    let mut reader = std::io::BufReader::new(stream);
    while !text.ends_with("+PONG\r\n") {
        assert_ne!(std::io::BufRead::read_line(&mut reader, &mut text).unwrap(), 0, "the end after {text}");
    }
    // All that came together counts, as long as it came in one piece.
    let is_shown = |bytes: usize| text.contains(&format!(" qbuf={bytes} "));
    assert!((is_shown(26) || is_shown(32)) && text.contains(" argv-mem=10 "), "{text}");
}
