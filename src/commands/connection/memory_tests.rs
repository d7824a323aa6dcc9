//! The memory of clients, as they see it: CLIENT LIST's figures, and `maxmemory-clients`.

use crate::base::ClientId;
use crate::commands::testing::TestServer;
use crate::config::Protected;
use std::sync::atomic::Ordering;

/// A field of a client's line in CLIENT LIST, asked for by client 1.
fn field(server: &mut TestServer, id: u64, name: &str) -> String {
    let line = server.run(&format!("CLIENT LIST ID {id}"));
    let start = format!(" {name}=");
    let from = line.find(&start).unwrap_or_else(|| panic!("no {name} in {line}")) + start.len();
    line[from..].chars().take_while(|&char| char != ' ').collect()
}

fn holds(server: &TestServer, id: u64, bytes: usize) {
    let session = server.server.rooms.clients.get(ClientId(id)).expect("the client is there");
    session.connection.gauges.query_buffer.store(bytes, Ordering::Relaxed);
    session.connection.gauges.query_heap.store(bytes, Ordering::Relaxed);
}

#[test]
fn list_tells_of_transactions_and_what_they_hold() {
    let mut server = TestServer::new();
    server.connect(2);
    assert_eq!(field(&mut server, 2, "multi"), "-1");
    server.run_as(2, "WATCH k");
    assert_ne!(field(&mut server, 2, "multi-mem"), "0");
    for line in ["MULTI", "GET k", "GET k"] {
        server.run_as(2, line);
    }
    assert_eq!((field(&mut server, 2, "multi"), field(&mut server, 2, "flags")), ("2".into(), "x".into()));
    server.run("SET k v");
    assert_eq!(field(&mut server, 2, "flags"), "xd");
    server.run_as(2, "EXEC");
    assert_eq!(
        (field(&mut server, 2, "flags"), field(&mut server, 2, "multi-mem")),
        ("N".into(), "0".into())
    );
    holds(&server, 2, 1234);
    assert_eq!(field(&mut server, 2, "qbuf"), "1234");
}

#[test]
fn a_client_sees_the_command_it_is_in() {
    let mut server = TestServer::new();
    let line = server.run("CLIENT INFO");
    assert!(line.contains(" qbuf=10 ") && line.contains(" argv-mem=10 "), "{line}");
    assert!(line.contains(" multi=-1 ") && line.contains(" rbs=1024 ") && line.contains(" obl=0 "), "{line}");
    for queued in ["MULTI", "ECHO 12345", "CLIENT INFO"] {
        server.run(queued);
    }
    let line = server.run("EXEC");
    assert!(line.contains(" flags=x ") && line.contains(" multi=2 "), "{line}");
    assert!(line.contains(" obl=15 ") && !line.contains(" multi-mem=0 "), "*2 and $5 with its bytes: {line}");
    let line = server.run("CLIENT INFO");
    assert!(line.contains(" flags=N ") && line.contains(" multi-mem=0 "), "{line}");
}

#[test]
fn the_largest_clients_are_evicted_until_the_rest_fits() {
    let mut server = TestServer::new();
    (2..=5).for_each(|id| server.connect(id));
    server.run_as(4, "CLIENT NO-EVICT ON");
    for (id, bytes) in [(2, 300_000), (3, 500_000), (4, 700_000), (5, 100_000)] {
        holds(&server, id, bytes);
    }
    server.run("CONFIG SET maxmemory-clients 2000000");
    assert_eq!(server.closed, []);
    server.run("CONFIG SET maxmemory-clients 1150000");
    assert_eq!(server.closed, [ClientId(3)], "the largest that may be");
    server.run("CONFIG SET maxmemory-clients 1");
    server.closed.sort_unstable();
    assert_eq!(server.closed, [1, 2, 3, 5].map(ClientId), "not who asked to be spared");
    assert_eq!(server.server.rooms.stats.counters.evicted_clients, 4);
}

#[test]
fn what_a_client_brings_or_begins_counts_before_it_runs() {
    let mut server = TestServer::new();
    server.connect(2);
    server.run("CONFIG SET maxmemory-clients 1000000");
    server.run_as(2, &format!("SET k {}", "v".repeat(500_000)));
    assert_eq!(server.run("STRLEN k"), "(integer) 500000");
    server.run_as(2, &format!("SET k {}", "v".repeat(1_000_000)));
    assert_eq!((server.run("STRLEN k"), &server.closed[..]), ("(integer) 500000".into(), &[ClientId(2)][..]));
    server.disconnect(2);
    server.connect(3);
    holds(&server, 3, 1_000_000);
    server.server.growing(ClientId(3));
    server.advance(0);
    assert_eq!(server.closed, [ClientId(2), ClientId(3)]);
    server.disconnect(3);
    server.connect(4);
    server.run_as(4, "MULTI");
    for _ in 0..4 {
        server.run_as(4, &format!("SET k {}", "v".repeat(300_000)));
    }
    assert_eq!(server.closed.last(), Some(&ClientId(4)));
}

#[test]
fn idle_clients_are_closed_unless_they_wait_or_listen() {
    let mut server = TestServer::new();
    (2..=4).for_each(|id| server.connect(id));
    server.run("CONFIG SET timeout 10");
    server.run_as(2, "BLPOP l 0");
    server.run_as(3, "SUBSCRIBE c");
    server.run_as(4, "PING");
    server.advance(9_000);
    server.run("PING");
    server.advance(2_000);
    assert_eq!(server.closed, [ClientId(4)]);
}

#[test]
fn a_buffer_for_answers_follows_what_is_answered_in_steps() {
    let mut server = TestServer::with(|config| config.enable_debug_command = Protected::Yes);
    server.connect(2);
    let capacity = |server: &TestServer| {
        server.server.rooms.clients.get(ClientId(2)).expect("it is there").outbox.bytes.capacity()
    };
    server.run(&format!("SET big {}", "v".repeat(20_000)));
    server.run_as(2, "GET big");
    assert_eq!(capacity(&server), 1024, "what the answer took is given back");
    for size in [2048, 4096, 8192, 16384, 16384] {
        server.run_as(2, "GET big");
        server.advance(100);
        assert_eq!(field(&mut server, 2, "rbs"), size.to_string());
    }
    server.run_as(2, "GET big");
    assert_eq!((capacity(&server), field(&mut server, 2, "rbp")), (16384, "16384".into()));
    for _ in 0..60 {
        server.advance(100);
    }
    assert_eq!((capacity(&server), field(&mut server, 2, "rbs")), (1024, "1024".into()));
    let stats = server.run("INFO stats");
    assert!(stats.contains("reply_buffer_expands:4"), "{stats}");
    assert!(!stats.contains("reply_buffer_shrinks:0"), "{stats}");
    assert_eq!(server.run("DEBUG REPLYBUFFER RESIZING 0"), "OK");
    server.connect(3);
    assert_eq!(field(&mut server, 3, "rbs"), "16384", "all are alike");
    assert_eq!(server.run("DEBUG REPLYBUFFER PEAK-RESET-TIME never"), "OK");
    assert_eq!(
        server.run("DEBUG REPLYBUFFER PEAK-RESET-TIME x"),
        "(error) ERR value is not an integer or out of range"
    );
}
