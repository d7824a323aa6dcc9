//! With `appendfsync always` nobody is shown what is not on disk, and nobody waits for what he does
//! not see.

use super::aof_tests::{handed, report};
use crate::commands::testing::{TestServer, always};
use crate::config::Appendfsync;
use crate::persistence::AofReport;

/// Brings everything handed over to disk.
fn sync(server: &mut TestServer) {
    let end = handed(server);
    report(server, AofReport::Synced(end));
}

/// Prepares with `before`, on disk; then `change` is on its way.
fn on_its_way(before: &[&str], change: &[&str]) -> TestServer {
    let mut server = always();
    for line in before {
        server.run(line);
        sync(&mut server);
    }
    server.output_of(1);
    assert_eq!(server.pipeline_as(1, change), "", "{change:?}");
    server
}

/// Sends `lines` as a new client. Says whether the answer waits for the disk; then it has to come
/// with it.
fn waits(server: &mut TestServer, id: u64, lines: &[&str]) -> bool {
    server.connect(id);
    let answer = server.pipeline_as(id, lines);
    if !answer.is_empty() {
        return false;
    }
    sync(server);
    assert_ne!(server.output_of(id), "", "{lines:?}");
    assert_ne!(server.pipeline_as(id, &["GET a"]), "", "nothing is left to wait for: {lines:?}");
    true
}

#[test]
fn whatever_shows_a_changed_key_waits_for_the_disk() {
    let rows: &[&[&str]] = &[
        &["GET a"],
        &["EXISTS a"],
        &["TTL a"],
        &["PTTL a"],
        &["TYPE a"],
        &["STRLEN a"],
        &["TOUCH a"],
        &["MGET b a"],
        &["LLEN a"],
        &["GETRANGE a 0 1"],
        &["OBJECT ENCODING a"],
        &["DUMP a"],
        &["MEMORY USAGE a"],
        &["SET a 2 NX"],
        &["SETNX a 5"],
        &["RENAMENX b a"],
        &["COPY b a"],
        &["SORT list BY nosort GET *"],
        &["KEYS *"],
        &["SCAN 0"],
        &["DBSIZE"],
        &["RANDOMKEY"],
        &["MULTI", "GET a", "EXEC"],
        &["PING", "GET b", "GET a"],
        &["SELECT 1", "MULTI", "SELECT 0", "GET a", "SELECT 1", "EXEC"],
    ];
    for (id, lines) in (10..).zip(rows) {
        let mut server = on_its_way(&["SET b 1", "RPUSH list a"], &["SET a 1"]);
        assert!(waits(&mut server, id, lines), "{lines:?}");
    }
}

#[test]
fn what_shows_no_changed_key_waits_for_nobody() {
    let rows: &[&[&str]] = &[
        &["GET b"],
        &["MGET b c"],
        &["EXISTS c"],
        &["PING"],
        &["INFO persistence"],
        &["SELECT 1", "GET a"],
        &["MULTI", "GET b", "EXEC"],
        &["WATCH b", "MULTI", "GET b", "EXEC"],
        &["SUBSCRIBE channel"],
        &["PUBLISH channel x"],
        &["CONFIG GET save"],
    ];
    let mut server = on_its_way(&["SET b 1"], &["SET a 1"]);
    for (id, lines) in (10..).zip(rows) {
        assert!(!waits(&mut server, id, lines), "{lines:?}");
    }
}

#[test]
fn every_way_to_change_keys_is_waited_for() {
    let rows: &[(&[&str], &[&str])] = &[
        (&["DEL b"], &["GET b"]),
        (&["UNLINK b"], &["EXISTS b"]),
        (&["EXPIRE b 100"], &["TTL b"]),
        (&["PERSIST t"], &["TTL t"]),
        (&["APPEND b x"], &["GET b"]),
        (&["RENAME b c"], &["GET b"]),
        (&["RENAME b c"], &["GET c"]),
        (&["COPY b c DB 2"], &["SELECT 2", "GET c"]),
        (&["MOVE b 3"], &["SELECT 3", "GET b"]),
        (&["MOVE b 3"], &["GET b"]),
        (&["LPOP list"], &["EXISTS list"]),
        (&["SORT list ALPHA STORE c"], &["LLEN c"]),
        (&["SET x 1 EX 100", "GETEX x PERSIST"], &["TTL x"]),
        (&["FLUSHALL"], &["GET never"]),
        (&["FLUSHDB"], &["GET b"]),
        (&["SWAPDB 0 1"], &["GET b"]),
        (&["SWAPDB 0 1"], &["SELECT 1", "GET b"]),
        (&["MULTI", "SET x 1", "DEL b", "EXEC"], &["GET b"]),
        (&["GET gone", "SET x 1"], &["DBSIZE"]),
    ];
    for (id, (change, read)) in (10..).zip(rows) {
        let before = ["SET b 1", "SET t 1 EX 1000", "RPUSH list x"];
        let mut server = on_its_way(&before, change);
        assert!(waits(&mut server, id, read), "{change:?}, {read:?}");
    }
}

#[test]
fn a_transaction_given_up_for_a_change_waits_for_it() {
    let mut server = always();
    server.connect(2);
    server.pipeline_as(2, &["WATCH a", "MULTI", "PING"]);
    server.run("SET a 1");
    assert_eq!(server.run_as(2, "EXEC"), "");
    sync(&mut server);
    assert_eq!(server.output_of(2), "(nil)");
}

#[test]
fn keys_that_expire_or_are_evicted_are_gone_for_others_when_that_is_on_disk() {
    let mut server = on_its_way(&["SET b 1 PX 5"], &["SET x 1"]);
    server.connect(2);
    server.advance(10);
    assert_eq!(server.run_as(2, "EXISTS b"), "");
    sync(&mut server);
    assert_eq!(server.output_of(2), "(integer) 0");

    let mut server = always();
    server.server.rooms.memory.eviction.used_bytes = |keyspace| keyspace.len() as u64 * 10_000;
    server.server.rooms.memory.eviction.own_bytes = |keyspace| keyspace.len() as i64 * 10_000;
    server.run("SET b 1");
    sync(&mut server);
    server.connect(2);
    server.connect(3);
    server.run_as(2, "CONFIG SET maxmemory-policy allkeys-random maxmemory 5000");
    assert_eq!(server.run_as(3, "PING"), "PONG", "it sees nothing of what was evicted");
    assert_eq!(server.run_as(3, "EXISTS b"), "");
    sync(&mut server);
    assert_eq!(server.output_of(3), "(integer) 0");
}

#[test]
fn messages_that_tell_of_a_change_wait_for_it_and_others_do_not() {
    let listeners: &[&[&str]] = &[
        &["PSUBSCRIBE __keyspace@0__:*"],
        &["MONITOR"],
        &["HELLO 3", "CLIENT TRACKING on", "GET a"],
        &["HELLO 3", "CLIENT TRACKING on BCAST"],
        &["SUBSCRIBE told"],
        &["BLPOP list 0"],
    ];
    for (id, lines) in (10..).zip(listeners) {
        let mut server = always();
        server.run("CONFIG SET notify-keyspace-events KA");
        server.connect(id);
        server.pipeline_as(id, lines);
        server.connect(2);
        server.connect(3);
        let change = ["MULTI", "SET a 1", "RPUSH list x", "PUBLISH told x", "EXEC"];
        assert_eq!(server.pipeline_as(2, &change), "");
        assert_eq!(server.raw_output_of(id), "", "{lines:?}");
        if lines[0].starts_with("SUBSCRIBE") {
            sync(&mut server);
            assert!(server.raw_output_of(id).contains("told"), "{lines:?}");
            server.run_as(2, "SET a 2");
            assert_eq!(server.run_as(3, "PUBLISH told x"), "(integer) 1");
            assert!(server.raw_output_of(id).contains("told"), "whoever changed nothing tells of nothing");
            assert_eq!(server.run_as(2, "PUBLISH told y"), "");
            assert_eq!(server.raw_output_of(id), "", "whoever waits for the disk tells of it");
        }
        sync(&mut server);
        assert_ne!(server.raw_output_of(id), "", "{lines:?}");
    }
}

#[test]
fn a_key_is_waited_for_no_longer_than_its_change_takes() {
    let mut server = on_its_way(&["SET b 1"], &["SET a 1"]);
    let first = handed(&server);
    server.connect(2);
    server.connect(3);
    server.run_as(2, "SET b 2");
    report(&mut server, AofReport::Synced(first));
    assert_eq!(server.run_as(3, "GET a"), "\"1\"");
    assert_eq!(server.run_as(3, "GET b"), "");
    sync(&mut server);
    assert_eq!(server.output_of(3), "\"2\"");
}

#[test]
fn readers_wait_for_nothing_under_other_policies() {
    let mut server = always();
    server.server.rooms.config.appendfsync = Appendfsync::Everysec;
    server.connect(2);
    assert_eq!(server.run("SET a 1"), "");
    assert_eq!(server.run_as(2, "GET a"), "\"1\"");
    assert_eq!(server.run_as(2, "DBSIZE"), "(integer) 1");
}

#[test]
fn readers_wait_no_longer_when_the_disk_is_spared_while_a_save_runs() {
    let mut server = always();
    server.server.rooms.config.no_appendfsync_on_rewrite = true;
    server.run("SET z 1");
    sync(&mut server);
    server.run("BGSAVE");
    server.connect(2);
    server.run("SET a 1");
    assert_eq!(server.run_as(2, "GET a"), "\"1\"");
}

#[test]
fn a_timeout_tells_of_an_empty_list_only_when_that_is_on_disk() {
    let mut server = on_its_way(&["RPUSH list x"], &["LPOP list"]);
    server.connect(2);
    server.run_as(2, "BLPOP list 0.05");
    server.advance(100);
    assert_eq!(server.output_of(2), "");
    sync(&mut server);
    assert_eq!(server.output_of(2), "(nil)");
}
