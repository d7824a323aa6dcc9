//! Everything for which the owner thread could wait, while its own queue is full all the time:
//! whoever reports to it waits for room there, so an owner that waited for him would wait for ever.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

use crate::support::{Server, free_port, signal};

const ON: [&str; 8] =
    ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--enable-debug-command", "yes"];
/// Connections that fill the queue: what they send is read one command at a time, and each is an
/// event.
const FLOODERS: usize = 48;
/// Bytes of such a command.
const LARGE_BYTES: usize = 16 << 10;
/// Connections that write, one command after the other: what they write is reported to the owner.
const WRITERS: usize = 16;

/// Connections that ask and write without a pause until the flood ends, or the server.
struct Flood {
    connections: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    fn begin(server: &Server) -> Self {
        let mut flood = Flood { connections: Vec::new(), threads: Vec::new() };
        let large = format!("*2\r\n$6\r\nEXISTS\r\n${LARGE_BYTES}\r\n{}\r\n", "x".repeat(LARGE_BYTES));
        for _ in 0..FLOODERS {
            let mut stream = flood.connect(server);
            let (mut answers, large) = (stream.try_clone().unwrap(), large.clone());
            flood
                .threads
                .push(std::thread::spawn(move || while stream.write_all(large.as_bytes()).is_ok() {}));
            flood.threads.push(std::thread::spawn(move || {
                let mut taken = [0; 1 << 16];
                while answers.read(&mut taken).is_ok_and(|count| count > 0) {}
            }));
        }
        for _ in 0..WRITERS {
            let mut stream = flood.connect(server);
            flood.threads.push(std::thread::spawn(move || {
                let mut answer = [0; 5];
                let set = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
                while stream.write_all(set).is_ok() && stream.read_exact(&mut answer).is_ok() {}
            }));
        }
        flood
    }

    fn connect(&mut self, server: &Server) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        self.connections.push(stream.try_clone().unwrap());
        stream
    }

    fn end(self) {
        for connection in &self.connections {
            // The server may have closed it.
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Runs `lines` under a flood, each a few times, and expects these answers.
fn ask(lines: &[(&str, &str)]) {
    let server = Server::start(&ON);
    let mut client = server.client();
    assert_eq!(client.run("SET k v"), "OK");
    let flood = Flood::begin(&server);
    for _ in 0..3 {
        for (line, answer) in lines {
            let answered = client.run(line);
            assert!(answered.starts_with(answer), "{line}: {answered}");
        }
    }
    flood.end();
    server.stop();
}

#[test]
fn loading_the_append_only_file_anew_waits_for_nobody_who_waits_for_the_owner() {
    ask(&[("DEBUG LOADAOF", "OK"), ("GET k", "\"v\"")]);
}

#[test]
fn loading_a_snapshot_anew_waits_for_nobody_who_waits_for_the_owner() {
    ask(&[("DEBUG RELOAD", "OK"), ("GET k", "\"v\"")]);
}

#[test]
fn turning_the_append_only_file_on_and_off_waits_for_nobody_who_waits_for_the_owner() {
    ask(&[
        ("CONFIG SET appendonly no", "OK"),
        ("CONFIG SET appendonly yes", "OK"),
        ("CONFIG SET appendfsync everysec", "OK"),
        ("CONFIG SET appendfsync always", "OK"),
        ("GET k", "\"v\""),
    ]);
}

#[test]
fn listening_elsewhere_and_looking_at_all_clients_wait_for_nobody_who_waits_for_the_owner() {
    let (one, other) = (free_port(), free_port());
    ask(&[
        (&format!("CONFIG SET port {one}"), "OK"),
        ("CLIENT LIST", "\"id="),
        (&format!("CONFIG SET port {other}"), "OK"),
        ("PUBLISH channel message", "(int) 0"),
        ("SAVE", "OK"),
    ]);
}

#[test]
fn a_stop_waits_for_nobody_who_waits_for_the_owner() {
    for how in ["SHUTDOWN", "SHUTDOWN SAVE", "DEBUG LOADAOF", "TERM"] {
        let mut server = Server::start(&ON);
        let mut client = server.client();
        let flood = Flood::begin(&server);
        assert_eq!(client.run("GET nothing"), "(nil)");
        match how {
            "TERM" => signal(server.pid(), how),
            _ => client.send(how),
        }
        if how == "DEBUG LOADAOF" {
            // In the middle of it.
            signal(server.pid(), "TERM");
        }
        assert_eq!(server.wait().code(), Some(0), "{how}");
        flood.end();
    }
}
