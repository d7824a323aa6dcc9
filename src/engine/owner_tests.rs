//! The owner with its threads: while its own queue is full all the time (whoever reports to it
//! waits for room there, so an owner that waited for him would wait for ever), and with a client
//! that hangs up before it is answered.

use crate::server::{Aof, AofOpened, MigrateJob, MigrateReport};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};

use super::owner::Owner;
use super::testing::LIMIT;
use super::{Event, Handle, Links, Stream, SystemClock, channel};
use crate::aof::Manifest;
use crate::base::ClientId;
use crate::clients::{Close, Connection};
use crate::commands::testing::TestServer;
use crate::config::{Appendfsync, Protected};
use crate::memory::Account;
use crate::resp::Requests;

/// Threads that fill the queue.
const FLOODERS: usize = 4;

struct NoLinks;

impl Links for NoLinks {
    fn migrate(&mut self, _job: MigrateJob) -> Result<(), MigrateReport> {
        unreachable!("nobody migrates")
    }
}

/// A client's end that hands on whatever it is sent.
struct Mailbox(Sender<Vec<u8>>);

impl Stream for Mailbox {
    fn send(&mut self, bytes: &mut Vec<u8>) {
        // The test may have failed meanwhile.
        let _ = self.0.send(std::mem::take(bytes));
    }

    fn close(&mut self, _close: Close) {}

    fn finish(&mut self, _wait: Duration) {}
}

/// A server that forces every write to disk, with an empty file in `folder`.
fn server_in(folder: &[u8], manifest: Manifest) -> TestServer {
    let mut server = TestServer::with(|config| {
        config.appendonly = true;
        config.appendfsync = Appendfsync::Always;
        config.appenddirname = folder.into();
        config.enable_debug_command = Protected::Yes;
        config.save.clear();
    });
    server.server.aof_opened(AofOpened { manifest, ..AofOpened::default() });
    server
}

/// A batch of a client, which takes no memory to speak of.
fn requests(handle: &Handle, id: ClientId, lines: &[&str]) -> Event {
    Event::Requests(id, batch(lines), handle.ledger().charge(Account::RequestsInTransit, 0))
}

/// The requests that one read brings.
fn batch(lines: &[&str]) -> Requests {
    let (mut buffer, mut ranges, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        for word in line.split(' ') {
            let start = buffer.len() as u32;
            buffer.extend_from_slice(word.as_bytes());
            ranges.push((start, buffer.len() as u32));
        }
        ends.push(ranges.len() as u32);
    }
    Requests::new(buffer, ranges, ends, None)
}

#[test]
fn the_owner_waits_for_nobody_who_waits_for_room_in_its_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let (handle, queue) = channel();
    let own = handle.clone();
    let owner = thread::spawn(move || {
        let mut manifest = Manifest::default();
        let names = Aof::names(&TestServer::new().server.rooms.config);
        manifest.next_incr(&names);
        let listed = String::from_utf8(names.manifest()).unwrap();
        std::fs::write(format!("{path}/{listed}"), manifest.to_text()).unwrap();
        let server = server_in(path.as_bytes(), manifest).server;
        Owner::new(server, SystemClock::new(), own, Box::new(NoLinks), queue).run()
    });
    let flood: Vec<_> = (0..FLOODERS)
        .map(|_| handle.clone())
        .map(|handle| thread::spawn(move || while handle.send(Event::Rejected).is_ok() {}))
        .collect();
    let (answers, answered) = unbounded();
    let (id, stream) = (ClientId(2), Box::new(Mailbox(answers)));
    let connection = Connection { addr: "127.0.0.1:5000".to_owned(), ..Connection::default() };
    handle.send(Event::Connect { id, connection, stream }).unwrap();
    let send = |lines: &[&str]| handle.send(requests(&handle, id, lines));
    for _ in 0..3 {
        // In one turn: what the first line has the file's thread report waits for room while the
        // others are dealt with.
        for lines in [
            ["SET k v", "DEBUG LOADAOF"],
            ["SET k w", "CONFIG SET appendfsync everysec"],
            ["SET k x", "CONFIG SET appendfsync always"],
        ] {
            send(&lines).unwrap();
            let mut answer = Vec::new();
            while answer.len() < 2 * b"+OK\r\n".len() {
                let more = answered.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("{lines:?}: {error}"));
                answer.extend(more);
            }
            assert_eq!(String::from_utf8_lossy(&answer), "+OK\r\n+OK\r\n", "{lines:?}");
        }
    }
    send(&["SHUTDOWN NOSAVE"]).unwrap();
    flood.into_iter().for_each(|flooder| flooder.join().unwrap());
    assert_eq!(owner.join().unwrap(), 0);
}

#[test]
fn a_client_that_hangs_up_behind_its_requests_gets_what_a_disk_delays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.acl");
    let path = file.to_str().unwrap().to_owned();
    let (handle, queue) = channel();
    let connect = |id, port| {
        let (answers, answered) = unbounded();
        let connection = Connection { addr: format!("127.0.0.1:{port}"), ..Connection::default() };
        handle.send(Event::Connect { id, connection, stream: Box::new(Mailbox(answers)) }).unwrap();
        answered
    };
    let (leaving, other) = (ClientId(2), ClientId(3));
    let answered = connect(leaving, 5000);
    let _others = connect(other, 5001);
    // All of it is there before the owner begins, so the end of the connection comes first.
    handle.send(requests(&handle, leaving, &["ACL SAVE", "ACL LOAD", "ECHO done"])).unwrap();
    handle.send(Event::Disconnect(leaving)).unwrap();
    let own = handle.clone();
    let owner = thread::spawn(move || {
        let mut server = TestServer::with(|config| config.save.clear()).server;
        server.rooms.config.aclfile = path.as_str().into();
        Owner::new(server, SystemClock::new(), own, Box::new(NoLinks), queue).run()
    });
    let mut answer = Vec::new();
    while let Ok(more) = answered.recv_timeout(LIMIT) {
        answer.extend(more);
    }
    assert_eq!(String::from_utf8_lossy(&answer), "+OK\r\n+OK\r\n$4\r\ndone\r\n");
    assert!(file.exists());
    handle.send(requests(&handle, other, &["SHUTDOWN NOSAVE"])).unwrap();
    assert_eq!(owner.join().unwrap(), 0);
}
