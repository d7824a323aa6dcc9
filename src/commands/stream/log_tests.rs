//! The entries of streams, as clients see them.

use crate::commands::testing::TestServer;
use crate::config::NotifyClasses;
use crate::memory::Account;

#[test]
fn entries_are_added_found_and_removed_as_a_real_server_does() {
    TestServer::new().check(&[
            ("SET str v", "OK"),
            ("XADD str * f v", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XLEN str", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XRANGE str - +", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XDEL str 1", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XTRIM str MAXLEN 1", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XSETID str 1", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("XADD s 0-0 f v", "(error) ERR The ID specified in XADD must be greater than 0-0"),
            ("XADD s 0 f v", "(error) ERR The ID specified in XADD must be greater than 0-0"),
            ("XADD s 0-* f v", "\"0-1\""),
            ("XADD s 0-1 f v", "(error) ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XADD s 5 f v", "\"5-0\""),
            ("XADD s 5-* a 1 b 2", "\"5-1\""),
            ("XADD s 4-* f v", "(error) ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XADD s 6-18446744073709551615 f 7", "\"6-18446744073709551615\""),
            ("XADD s 6-* f v", "(error) ERR Elements are too large to be stored"),
            ("XADD s - f v", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XADD s + f v", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XADD s 7 f", "(error) ERR wrong number of arguments for 'xadd' command"),
            ("XADD s 7 f v f", "(error) ERR wrong number of arguments for 'xadd' command"),
            ("XADD s MAXLEN 5 NOMKSTREAM", "(error) ERR wrong number of arguments for 'xadd' command"),
            ("XADD s MAXLEN x 7 f v", "(error) ERR value is not an integer or out of range"),
            ("XADD s MAXLEN -1 7 f v", "(error) ERR The MAXLEN argument must be >= 0."),
            ("XADD s MAXLEN 5 MINID 1 7 f v", "(error) ERR syntax error, MAXLEN and MINID options at the same time are not compatible"),
            ("XADD s MINID ~ - 7 f v", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XADD s LIMIT 5 7 f v", "(error) ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
            ("XADD s LIMIT 0 7 f v", "(error) ERR syntax error, LIMIT cannot be used without the special ~ option"),
            ("XADD s LIMIT -1 7 f v", "(error) ERR The LIMIT argument must be >= 0."),
            ("XADD s MAXLEN 5 LIMIT 5 7 f v", "(error) ERR syntax error, LIMIT cannot be used without the special ~ option"),
            ("XADD s MAXLEN ~ 5 LIMIT x 7 f v", "(error) ERR value is not an integer or out of range"),
            ("XADD none NOMKSTREAM 7 f v", "(nil)"),
            ("EXISTS none", "(integer) 0"),
            ("XADD s nomkstream maxlen = 3 7 f v", "\"7-0\""),
            ("XADD s MINID 5-1 LIMIT 1 8 f v", "(error) ERR syntax error, LIMIT cannot be used without the special ~ option"),
            ("XLEN s", "(integer) 3"),
            ("XLEN none", "(integer) 0"),
            ("XRANGE s - +", "1) 1) \"5-1\"\n   2) 1) \"a\"\n      2) \"1\"\n      3) \"b\"\n      4) \"2\"\n2) 1) \"6-18446744073709551615\"\n   2) 1) \"f\"\n      2) \"7\"\n3) 1) \"7-0\"\n   2) 1) \"f\"\n      2) \"v\""),
            ("XREVRANGE s + - COUNT 1", "1) 1) \"7-0\"\n   2) 1) \"f\"\n      2) \"v\""),
            ("XRANGE s (5-1 (7", "1) 1) \"6-18446744073709551615\"\n   2) 1) \"f\"\n      2) \"7\"\n2) 1) \"7-0\"\n   2) 1) \"f\"\n      2) \"v\""),
            ("XRANGE s 5 6 COUNT 1", "1) 1) \"5-1\"\n   2) 1) \"a\"\n      2) \"1\"\n      3) \"b\"\n      4) \"2\""),
            ("XRANGE s - + COUNT 0", "(nil)"),
            ("XRANGE s - + COUNT -1", "(nil)"),
            ("XRANGE none - + COUNT 0", "(empty array)"),
            ("XRANGE s - + COUNT x", "(error) ERR value is not an integer or out of range"),
            ("XRANGE s - + COUNT", "(error) ERR syntax error"),
            ("XRANGE s - + COUNT 1 COUNT 2", "1) 1) \"5-1\"\n   2) 1) \"a\"\n      2) \"1\"\n      3) \"b\"\n      4) \"2\"\n2) 1) \"6-18446744073709551615\"\n   2) 1) \"f\"\n      2) \"7\""),
            ("XRANGE s - + LIMIT 1", "(error) ERR syntax error"),
            ("XRANGE s (18446744073709551615-18446744073709551615 +", "(error) ERR invalid start ID for the interval"),
            ("XRANGE s - (0-0", "(error) ERR invalid end ID for the interval"),
            ("XRANGE s (- +", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XREVRANGE s - x", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XREVRANGE s 7 6", "1) 1) \"7-0\"\n   2) 1) \"f\"\n      2) \"v\"\n2) 1) \"6-18446744073709551615\"\n   2) 1) \"f\"\n      2) \"7\""),
            ("XDEL s 5-1 x", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XDEL s 5-1 9 5-1", "(integer) 1"),
            ("XDEL none x", "(integer) 0"),
            ("XTRIM none MAXLEN 0", "(integer) 0"),
            ("XTRIM s MAXLEN", "(error) ERR wrong number of arguments for 'xtrim' command"),
            ("XTRIM s MAXLEN ~", "(error) ERR value is not an integer or out of range"),
            ("XTRIM s MAXLEN 5 6", "(error) ERR syntax error"),
            ("XTRIM s LIMIT 0", "(error) ERR syntax error, XTRIM must be called with a trimming strategy"),
            ("XTRIM s LIMIT 1", "(error) ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
            ("XTRIM s MINID 7 LIMIT 1", "(error) ERR syntax error, LIMIT cannot be used without the special ~ option"),
            ("XTRIM s MINID 7", "(integer) 1"),
            ("XTRIM s MINID 7", "(integer) 0"),
            ("XSETID s 6", "(error) ERR The ID specified in XSETID is smaller than the target stream top item"),
            ("XSETID s x", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XSETID none 7", "(error) ERR no such key"),
            ("XSETID s 9 ENTRIESADDED 0", "(error) ERR The entries_added specified in XSETID is smaller than the target stream length"),
            ("XSETID s 9 ENTRIESADDED -1", "(error) ERR entries_added must be positive"),
            ("XSETID s 9 ENTRIESADDED x", "(error) ERR value is not an integer or out of range"),
            ("XSETID s 9 MAXDELETEDID 10", "(error) ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"),
            ("XSETID s 9 MAXDELETEDID", "(error) ERR syntax error"),
            ("XSETID s 9 FOO 1", "(error) ERR syntax error"),
            ("XSETID s 9 ENTRIESADDED 20 MAXDELETEDID 8-3", "OK"),
            ("XADD s 9 f v", "(error) ERR The ID specified in XADD is equal or smaller than the target stream top item"),
            ("XTRIM s MAXLEN ~ 0", "(integer) 1"),
            ("XTRIM s MAXLEN = 0", "(integer) 0"),
            ("EXISTS s", "(integer) 1"),
            ("XSETID s 18446744073709551615-18446744073709551615", "OK"),
            ("XADD s * f v", "(error) ERR The stream has exhausted the last possible ID, unable to add more items"),
            ("XADD s 1 f v", "(error) ERR The stream has exhausted the last possible ID, unable to add more items"),
            ("XSETID s 18446744073709551614-5", "OK"),
            ("XADD s * f v", "\"18446744073709551614-6\""),
    ]);
}

/// A server whose nodes hold three entries.
fn small_nodes() -> TestServer {
    TestServer::with(|config| config.stream_node_max_entries = 3)
}

fn add(server: &mut TestServer, ids: std::ops::RangeInclusive<u64>) {
    for ms in ids {
        server.run(&format!("XADD s {ms} f v"));
    }
    server.effects();
}

#[test]
fn made_ids_are_propagated_and_grow_when_the_clock_does_not() {
    let mut server = TestServer::new();
    let now = "1700000000000";
    for (line, answer) in [
        ("XADD s * f v", format!("\"{now}-0\"")),
        ("XADD s * f v", format!("\"{now}-1\"")),
        ("XADD s 1700000000000-* f v", format!("\"{now}-2\"")),
        ("XADD s nomkstream MaxLen = 2 * f *", format!("\"{now}-3\"")),
        ("XADD s 1800000000000 f v", "\"1800000000000-0\"".to_owned()),
    ] {
        assert_eq!(server.run(line), answer, "{line}");
    }
    server.set_clock_forward(-5000);
    assert_eq!(server.run("XADD s * f v"), "\"1800000000000-1\"");
    assert_eq!(
        server.effects(),
        format!(
            "SELECT 0 | XADD s {now}-0 f v | XADD s {now}-1 f v | XADD s {now}-2 f v | \
             XADD s nomkstream MaxLen = 2 {now}-3 f * | XADD s 1800000000000 f v | \
             XADD s 1800000000000-1 f v"
        )
    );
}

#[test]
fn trimming_by_whole_nodes_is_propagated_as_the_exact_trimming_it_did() {
    let mut server = small_nodes();
    add(&mut server, 1..=12);
    let dirty = server.dirty();
    for (line, answer, effect) in [
        ("XTRIM s MAXLEN ~ 10", "(integer) 0", ""),
        ("XTRIM s MAXLEN ~ 8 LIMIT 100", "(integer) 3", "XTRIM s MAXLEN = 9 LIMIT 100"),
        ("XTRIM s MINID ~ 7", "(integer) 3", "XTRIM s MINID = 7-0"),
        ("XTRIM s MINID ~ 12 LIMIT 2", "(integer) 0", ""),
        ("XADD s MAXLEN ~ 100 13 f v", "\"13-0\"", "XADD s MAXLEN = 7 13 f v"),
        ("XADD s MINID ~ 10 13-* f v", "\"13-1\"", "XADD s MINID = 10-0 13-1 f v"),
        ("XADD s MAXLEN 4 14 f v", "\"14-0\"", "XADD s MAXLEN 4 14 f v"),
        ("XTRIM s MINID 99", "(integer) 4", "XTRIM s MINID 99"),
        (
            "XADD s MINID ~ 99 15 f v",
            "\"15-0\"",
            "XADD s MINID = 18446744073709551615-18446744073709551615 15 f v",
        ),
        ("XADD s MAXLEN ~ 0 16 f v", "\"16-0\"", "XADD s MAXLEN = 0 16 f v"),
        ("XTRIM s MAXLEN 0", "(integer) 0", ""),
        ("EXISTS s", "(integer) 1", ""),
    ] {
        assert_eq!(server.run(line), answer, "{line}");
        assert_eq!(server.effects(), effect, "{line}");
    }
    assert_eq!(server.dirty() - dirty, 3 + 3 + 1 + 1 + 1 + 4 + 1 + 1);
}

#[test]
fn trimming_without_a_limit_stops_after_a_hundred_full_nodes() {
    let mut server = TestServer::with(|config| config.stream_node_max_entries = 1);
    add(&mut server, 1..=250);
    server.check(&[
        ("XTRIM s MAXLEN ~ 0", "(integer) 100"),
        ("XTRIM s MAXLEN ~ 0 LIMIT 20", "(integer) 20"),
        ("XTRIM s MAXLEN ~ 0 LIMIT 0", "(integer) 130"),
    ]);
}

#[test]
fn events_tell_of_entries_and_only_of_changes() {
    let mut server = TestServer::with(|config| {
        config.notify_keyspace_events = NotifyClasses::parse(b"KAn").expect("classes");
    });
    server.run_as(1, "SELECT 0");
    server.connect(2);
    server.run_as(2, "PSUBSCRIBE *");
    for line in [
        "XADD s 1 f v",
        "XADD s 1 f v",
        "XADD s NOMKSTREAM MAXLEN 1 2 f v",
        "XTRIM s MAXLEN 1",
        "XDEL s 7",
        "XDEL s 2",
        "XSETID s 9",
    ] {
        server.run(line);
    }
    let heard = server.output_of(2);
    let events: Vec<&str> = heard.lines().filter_map(|line| line.strip_prefix("4) ")).collect();
    let wanted = ["\"new\"", "\"xadd\"", "\"xadd\"", "\"xtrim\"", "\"xdel\"", "\"xsetid\""];
    assert_eq!(events, wanted);
}

#[test]
fn a_stream_that_lost_all_entries_keeps_its_key_its_deadline_and_its_ids() {
    let mut server = TestServer::new();
    server.check(&[
        ("XADD s 5 f v", "\"5-0\""),
        ("EXPIRE s 100", "(integer) 1"),
        ("XDEL s 5", "(integer) 1"),
        ("XLEN s", "(integer) 0"),
        ("TYPE s", "stream"),
        ("TTL s", "(integer) 100"),
        ("XADD s 5-* f v", "\"5-1\""),
        ("XADD s MAXLEN 0 6 f v", "\"6-0\""),
        ("XRANGE s - +", "(empty array)"),
        ("TTL s", "(integer) 100"),
    ]);
    server.advance(100_001);
    assert_eq!(server.run("XLEN s"), "(integer) 0");
    assert_eq!(server.run("EXISTS s"), "(integer) 0");
}

#[test]
fn nothing_found_is_null_in_both_protocols() {
    let mut server = TestServer::new();
    server.run("XADD s 1 f v");
    assert_eq!(server.raw("XRANGE s - + COUNT 0"), "*-1\r\n");
    assert_eq!(server.raw("XADD none NOMKSTREAM * f v"), "$-1\r\n");
    server.raw("HELLO 3");
    assert_eq!(server.raw("XRANGE s - + COUNT 0"), "_\r\n");
    assert_eq!(server.raw("XADD none NOMKSTREAM * f v"), "_\r\n");
    assert_eq!(
        server.raw("XREVRANGE s + - COUNT 9223372036854775807"),
        "*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
    );
}

#[test]
fn an_entry_of_very_many_fields_is_kept_whole() {
    let mut server = TestServer::new();
    let mut words: Vec<&[u8]> = vec![b"XADD", b"s", b"1"];
    words.extend(std::iter::repeat_n(&b"x"[..], 400_000));
    assert_eq!(server.run_args(&words), "\"1-0\"");
    let answer = server.raw("XRANGE s - +");
    assert_eq!(answer.matches("\r\nx").count(), 400_000);
    assert_eq!(server.run("XADD s 2 f v"), "\"2-0\"");
    assert_eq!(server.run("XDEL s 1 2"), "(integer) 2");
}

#[test]
fn what_is_trimmed_in_great_number_is_freed_elsewhere_and_is_no_object() {
    let mut server = TestServer::new();
    add(&mut server, 1..=1000);
    server.run("XTRIM s MAXLEN 990");
    assert_eq!(server.server.rooms.memory.ledger.charged_bytes(Account::LazyFree), 0);
    server.run("XTRIM s MAXLEN 10");
    assert!(server.server.rooms.memory.ledger.charged_bytes(Account::LazyFree) > 5000);
    add(&mut server, 1001..=1200);
    server.run("XADD s MINID 1200 1201 f v");
    assert!(server.server.rooms.memory.ledger.charged_bytes(Account::LazyFree) > 6000);
    assert!(server.run("INFO memory").contains("lazyfreed_objects:0"));
}
