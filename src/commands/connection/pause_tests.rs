//! Pauses as clients see them, for every reason: the room cannot reach commands itself.

use crate::base::time::MonotonicMillis;
use crate::commands::testing::TestServer;
use crate::waiting::{Pause, PauseReason, Reason};

fn pause(server: &mut TestServer, reason: PauseReason, what: Pause, until: Option<MonotonicMillis>) {
    server.server.rooms.waiting.pauses.pause(reason, what, until);
    server.advance(0);
}

fn unpause(server: &mut TestServer, reason: PauseReason) {
    server.server.rooms.waiting.pauses.unpause(reason);
    server.advance(0);
}

#[test]
fn writes_wait_in_order_until_every_reason_is_gone() {
    let mut server = TestServer::new();
    (2..=4).for_each(|id| server.connect(id));
    pause(&mut server, PauseReason::Snapshot, Pause::Writes, None);
    pause(&mut server, PauseReason::Aof, Pause::Writes, None);
    assert_eq!(server.pipeline_as(4, &["PING", "RPUSH l 4", "LLEN l", "RPUSH l 4b"]), "PONG");
    assert_eq!(server.run_as(2, "RPUSH l 2"), "");
    assert_eq!(server.run_as(3, "LLEN l"), "(integer) 0", "reads go on");
    assert_eq!(server.run_as(3, "RPUSH l 3"), "");
    assert_eq!(server.run_as(2, "LLEN l"), "", "behind its own write");
    assert!(server.run("INFO clients").contains("blocked_clients:3"));
    unpause(&mut server, PauseReason::Snapshot);
    assert_eq!(server.output_of(2), "");
    unpause(&mut server, PauseReason::Aof);
    assert_eq!(server.output_of(4), "(integer) 1\n(integer) 1\n(integer) 2");
    assert_eq!(server.output_of(2), "(integer) 3\n(integer) 3");
    assert_eq!(server.output_of(3), "(integer) 4");
    assert_eq!(server.run("LRANGE l 0 -1"), "1) \"4\"\n2) \"4b\"\n3) \"2\"\n4) \"3\"");
    assert!(server.run("INFO clients").contains("blocked_clients:0"));
}

#[test]
fn a_pause_can_only_grow_and_ends_by_itself() {
    let mut server = TestServer::new();
    server.connect(2);
    let now = server.server.rooms.time.monotonic;
    pause(&mut server, PauseReason::Client, Pause::All, Some(now.saturating_add_ms(100)));
    pause(&mut server, PauseReason::Client, Pause::Writes, Some(now.saturating_add_ms(50)));
    assert_eq!(server.run("PING"), "", "still all commands");
    server.advance(100);
    assert_eq!(server.output_of(1), "");
    assert_eq!(server.server.next_wake_ms(), 1);
    server.advance(1);
    assert_eq!(server.output_of(1), "PONG");
    pause(&mut server, PauseReason::Client, Pause::Writes, None);
    pause(&mut server, PauseReason::Client, Pause::Writes, Some(now));
    assert_eq!(server.run("SET k v"), "", "no end is the longest");
}

#[test]
fn a_looser_pause_lets_through_what_it_allows() {
    let mut server = TestServer::new();
    server.connect(2);
    server.connect(3);
    pause(&mut server, PauseReason::Client, Pause::All, None);
    pause(&mut server, PauseReason::Aof, Pause::Writes, None);
    assert_eq!(server.run("SET k v"), "");
    assert_eq!(server.run_as(2, "PING"), "");
    assert_eq!(server.run_as(3, "SET k w"), "");
    unpause(&mut server, PauseReason::Client);
    assert_eq!((server.output_of(1), server.output_of(2)), (String::new(), "PONG".to_owned()));
    server.disconnect(3);
    assert_eq!(server.server.rooms.waiting.queue.of_reason(Reason::Pause).count(), 1);
    unpause(&mut server, PauseReason::Aof);
    assert_eq!(server.output_of(1), "OK");
    assert_eq!(server.run("GET k"), "\"v\"", "who has left writes nothing");
}

#[test]
fn keys_keep_their_end_for_after_the_pause() {
    let mut server = TestServer::new();
    server.run("MSET a 1 b 1");
    server.run("PEXPIRE a 10");
    server.run("PEXPIRE b 10");
    server.effects();
    pause(&mut server, PauseReason::Client, Pause::Writes, None);
    server.advance(20);
    assert_eq!(server.run("GET a"), "(nil)");
    assert_eq!(server.run("DBSIZE"), "(integer) 2");
    assert!(server.server.next_wake_ms() > 0, "nothing is done about keys that are due");
    assert_eq!(server.effects(), "");
    unpause(&mut server, PauseReason::Client);
    server.advance(0);
    assert_eq!(server.run("DBSIZE"), "(integer) 0");
    assert_eq!(server.server.rooms.stats.counters.expired_keys, 2);
}

#[test]
fn a_transaction_waits_when_it_holds_a_write() {
    let mut server = TestServer::new();
    server.connect(2);
    for id in [1, 2] {
        server.run_as(id, "MULTI");
        server.run_as(id, "GET k");
    }
    server.run("SET k v");
    server.connect(3);
    pause(&mut server, PauseReason::Client, Pause::Writes, None);
    assert_eq!(server.run("EXEC"), "");
    assert_eq!(server.run_as(2, "EXEC"), "1) (nil)");
    assert_eq!(server.run_as(3, "PFCOUNT k"), "", "it may be replicated");
    assert_eq!(server.run_as(2, "SET k"), "(error) ERR wrong number of arguments for 'set' command");
    unpause(&mut server, PauseReason::Client);
    assert_eq!(server.output_of(1), "1) (nil)\n2) OK");
}
