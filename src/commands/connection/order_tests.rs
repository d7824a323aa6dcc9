//! Commands that wait for the clients that still read, as clients see it.

use crate::base::ClientId;
use crate::base::time::Arrival;
use crate::clients::ClientGauges;
use crate::commands::testing::TestServer;
use crate::resp::{OwnedArgv, Requests};
use crate::server::connection_order::{MAX_ORDER_WAIT_MS, MAX_WAIT_MS};
use crate::waiting::Reason;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn set_reading(server: &TestServer, id: u64, is_reading: bool) {
    let session = server.server.rooms.clients.get(ClientId(id)).expect("the client is there");
    session.connection.gauges.is_reading.store(is_reading, Ordering::Release);
}

fn with_reader() -> TestServer {
    let mut server = TestServer::new();
    server.connect(2);
    server.connect(3);
    set_reading(&server, 2, true);
    server
}

#[test]
fn client_list_waits_for_who_still_reads_and_its_client_for_it() {
    let mut server = with_reader();
    assert_eq!(server.pipeline_as(1, &["CLIENT LIST", "ECHO behind"]), "");
    assert_eq!(server.run_as(3, "PING"), "PONG", "nobody else waits");
    assert_eq!(server.output_of(1), "");
    set_reading(&server, 2, false);
    server.run_as(3, "PING");
    let answers = server.output_of(1);
    assert!(answers.contains("id=2 ") && answers.ends_with("\"behind\""), "{answers}");
    assert!(server.run("INFO commandstats").contains("cmdstat_client|list:calls=1,"));
}

#[test]
fn its_own_line_is_the_same_as_if_it_had_not_waited() {
    let mut server = with_reader();
    set_reading(&server, 2, false);
    let at_once = server.run("CLIENT LIST ID 1");
    set_reading(&server, 2, true);
    assert_eq!(server.run("CLIENT LIST ID 1"), "");
    set_reading(&server, 2, false);
    server.advance(0);
    let later = server.output_of(1);
    // The answer before has made its buffer's peak.
    let without_peak =
        |line: &str| line.split(' ').filter(|word| !word.starts_with("rbp=")).collect::<String>();
    assert_eq!(without_peak(&later), without_peak(&at_once));
}

#[test]
fn client_list_does_not_wait_for_ever_and_not_for_who_starts_later() {
    let mut server = with_reader();
    assert_eq!(server.run("CLIENT LIST"), "");
    server.advance(MAX_WAIT_MS - 1);
    assert_eq!(server.output_of(1), "");
    server.advance(1);
    assert!(server.output_of(1).contains("id=3 "));
    assert_eq!(server.run("CLIENT LIST"), "");
    set_reading(&server, 2, false);
    set_reading(&server, 3, true);
    server.advance(0);
    assert!(server.output_of(1).contains("id=3 "));
}

#[test]
fn a_reader_that_leaves_and_one_who_asks_and_leaves_hold_up_nobody() {
    let mut server = with_reader();
    assert_eq!(server.run("CLIENT LIST"), "");
    assert_eq!(server.run_as(3, "CLIENT LIST"), "");
    server.disconnect(3);
    server.disconnect(2);
    server.advance(0);
    let answer = server.output_of(1);
    assert!(answer.contains("id=1 ") && !answer.contains("id=2 "), "{answer}");
    assert!(!server.server.rooms.waiting.queue.has_any(Reason::Readers));
}

#[test]
fn in_a_transaction_nothing_is_waited_for() {
    let mut server = with_reader();
    ["MULTI", "CLIENT LIST"].iter().for_each(|line| drop(server.run(line)));
    assert!(server.run("EXEC").contains("id=2 "));
}

#[test]
fn who_is_too_large_with_what_has_arrived_is_gone_from_the_list() {
    let mut server = with_reader();
    server.run("CONFIG SET maxmemory-clients 1000000");
    assert_eq!(server.run("CLIENT LIST"), "");
    let session = server.server.rooms.clients.get(ClientId(2)).expect("the client is there");
    session.connection.gauges.query_heap.store(1_000_001, Ordering::Relaxed);
    set_reading(&server, 2, false);
    server.advance(0);
    assert!(!server.output_of(1).contains("id=2 "));
    assert_eq!(server.closed, [ClientId(2)]);
}

#[test]
fn publish_waits_for_what_few_subscribers_have_sent_before() {
    for many in [false, true] {
        let mut server = TestServer::new();
        server.connect(2);
        server.run_as(2, "SUBSCRIBE news");
        (3..if many { 20 } else { 4 }).for_each(|id| server.connect(id));
        set_reading(&server, 3, true);
        assert_eq!(server.run("PUBLISH news first"), "(integer) 1", "3 does not listen");
        set_reading(&server, 2, true);
        let at_once = if many { "(integer) 1" } else { "" };
        assert_eq!(server.run("PUBLISH news second"), at_once);
        let told = server.run_as(2, "UNSUBSCRIBE news");
        assert_eq!(told.contains("second"), many, "{told}");
        set_reading(&server, 2, false);
        server.advance(0);
        assert_eq!(server.output_of(1), if many { "" } else { "(integer) 0" });
    }
}

#[test]
fn the_wait_of_a_client_that_is_cut_off_meanwhile_ends_with_it() {
    let mut server = with_reader();
    server.run("CONFIG SET client-output-buffer-limit 'pubsub 100kb 0 0'");
    server.run_as(3, "HELLO 3");
    server.run_as(3, "SUBSCRIBE news");
    assert_eq!(server.run_as(3, "CLIENT LIST"), "", "it waits");
    assert_eq!(server.run(&format!("PUBLISH news {}", "x".repeat(200 << 10))), "(integer) 1");
    assert!(server.closed.contains(&ClientId(3)), "it has not read that");
    server.advance(MAX_WAIT_MS);
    assert!(!server.server.rooms.waiting.queue.has_any(Reason::Readers));
    assert_eq!(server.run("PING"), "PONG", "the time that was over did not hold everybody");
}

/// Five clients of whom it is known when their requests arrive.
fn ordered() -> TestServer {
    let mut server = TestServer::new();
    (2..=5).for_each(|id| server.connect(id));
    for id in 1..=5 {
        let session = server.server.rooms.clients.get_mut(ClientId(id)).expect("the client is there");
        session.connection.gauges = Arc::new(ClientGauges { knows_arrivals: true, ..Default::default() });
    }
    server
}

/// Runs a line of client `id` that arrived then, and shows the answer; its worker has nothing more.
fn run_arrived(server: &mut TestServer, id: u64, at_ns: u64, line: &str) -> String {
    let argv = OwnedArgv::from_parts(line.split(' ').map(str::as_bytes));
    let mut requests = Requests::single(argv);
    requests.arrival = Arrival::from_ns(at_ns);
    let session = server.server.rooms.clients.get(ClientId(id)).expect("the client is there");
    session.connection.gauges.handed_over.store(session.requests.received + 1, Ordering::Release);
    set_reading(server, id, false);
    server.send_batch(id, requests);
    server.output_of(id)
}

#[test]
fn of_two_that_block_the_one_that_arrived_first_is_served_first() {
    for (first, second) in [(2, 3), (3, 2)] {
        let mut server = ordered();
        set_reading(&server, first, true);
        set_reading(&server, second, true);
        let (late, early) = (20, 10);
        assert_eq!(run_arrived(&mut server, second, late, "BLPOP k 0"), "");
        assert_eq!(run_arrived(&mut server, first, early, "BLPOP k 0"), "");
        assert_eq!(run_arrived(&mut server, 4, 30, "RPUSH k v"), "(integer) 1");
        assert_eq!(server.output_of(first), "1) \"k\"\n2) \"v\"");
        assert_eq!(server.output_of(second), "");
        assert!(!server.server.rooms.waiting.queue.has_any(Reason::Earlier));
    }
}

#[test]
fn an_element_that_is_there_goes_to_who_asked_first() {
    let mut server = ordered();
    run_arrived(&mut server, 4, 5, "RPUSH k v");
    set_reading(&server, 2, true);
    assert_eq!(run_arrived(&mut server, 3, 20, "BRPOP k 0"), "", "2 may have asked before");
    assert!(run_arrived(&mut server, 2, 10, "BRPOP k 0").contains("\"v\""));
    assert_eq!(server.output_of(3), "");
    assert_eq!(run_arrived(&mut server, 4, 30, "RPUSH k w"), "(integer) 1");
    assert!(server.output_of(3).contains("\"w\""));
}

#[test]
fn what_arrives_behind_one_that_is_held_back_waits_and_what_arrived_before_runs() {
    let mut server = ordered();
    set_reading(&server, 2, true);
    assert_eq!(run_arrived(&mut server, 3, 20, "BLPOP k 0"), "");
    assert_eq!(run_arrived(&mut server, 4, 30, "RPUSH k a"), "", "BLPOP was first");
    assert_eq!(run_arrived(&mut server, 5, 15, "LLEN k"), "(integer) 0");
    assert_eq!(run_arrived(&mut server, 5, 40, "LLEN k"), "");
    set_reading(&server, 2, false);
    server.advance(0);
    assert!(server.output_of(3).contains("\"a\""));
    assert_eq!(server.output_of(4), "(integer) 1");
    assert_eq!(server.output_of(5), "(integer) 0", "it has been served before");
}

#[test]
fn a_push_waits_for_who_may_be_about_to_block_only_while_somebody_is_blocked() {
    let mut server = ordered();
    set_reading(&server, 2, true);
    assert_eq!(run_arrived(&mut server, 4, 10, "RPUSH other v"), "(integer) 1");
    assert_eq!(run_arrived(&mut server, 4, 11, "GET nothing"), "(nil)");
    set_reading(&server, 2, false);
    assert_eq!(run_arrived(&mut server, 3, 20, "BLPOP k 0"), "");
    set_reading(&server, 2, true);
    assert_eq!(run_arrived(&mut server, 4, 40, "RPUSH k v w"), "");
    assert!(run_arrived(&mut server, 2, 30, "BLPOP k 0").contains("\"w\""));
    assert_eq!(server.output_of(4), "(integer) 2");
    assert!(server.output_of(3).contains("\"v\""));
}

#[test]
fn the_transaction_that_blocks_or_pushes_is_held_back_as_its_commands_are() {
    let mut server = ordered();
    assert_eq!(run_arrived(&mut server, 3, 10, "BLPOP k 0"), "");
    set_reading(&server, 2, true);
    assert_eq!(run_arrived(&mut server, 4, 20, "MULTI"), "OK");
    assert_eq!(run_arrived(&mut server, 4, 21, "RPUSH k v w"), "QUEUED");
    assert_eq!(run_arrived(&mut server, 4, 22, "EXEC"), "");
    assert!(run_arrived(&mut server, 2, 15, "BLPOP k 0").contains("\"w\""));
    assert_eq!(server.output_of(4), "1) (integer) 2");
}

#[test]
fn nobody_is_held_back_for_long_or_where_many_are_connected() {
    let mut server = ordered();
    set_reading(&server, 2, true);
    server.run_as(4, "RPUSH k v w");
    assert_eq!(run_arrived(&mut server, 3, 20, "BLPOP k 0"), "");
    assert_eq!(run_arrived(&mut server, 4, 30, "GET x"), "");
    server.advance(MAX_ORDER_WAIT_MS);
    assert!(server.output_of(3).contains("\"v\""));
    assert_eq!(server.output_of(4), "(nil)");
    (6..=20).for_each(|id| server.connect(id));
    assert!(run_arrived(&mut server, 3, 40, "BLPOP k 0").contains("\"w\""));
}

#[test]
fn who_sends_without_a_pause_or_for_long_and_who_leaves_hold_up_nobody() {
    let mut server = ordered();
    server.run_as(4, "RPUSH k v w");
    [2, 3, 5].iter().for_each(|&id| set_reading(&server, id, true));
    assert_eq!(run_arrived(&mut server, 4, 20, "BLPOP k 0"), "");
    assert_eq!(run_arrived(&mut server, 2, 30, "PING"), "", "it arrived later");
    set_reading(&server, 2, true);
    server.disconnect(3);
    let long = server.server.rooms.clients.get(ClientId(5)).expect("the client is there");
    long.connection.gauges.query_heap.store(1_000_000, Ordering::Relaxed);
    server.advance(0);
    assert!(server.output_of(4).contains("\"v\""));
    assert_eq!(server.output_of(2), "PONG");
}

#[test]
fn nobody_waits_for_a_client_that_has_hung_up_and_is_only_here_to_be_answered() {
    let mut server = with_reader();
    server.server.rooms.config.aclfile = "users.acl".into();
    server.run_as(2, "ACL SAVE");
    let session = server.server.rooms.clients.get(ClientId(2)).expect("the client is there");
    session.connection.gauges.hung_up.store(true, Ordering::Relaxed);
    assert!(server.run("CLIENT LIST").contains("id=2 "), "it is answered at once");
}
