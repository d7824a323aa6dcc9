//! The pending entries of groups, as clients see them.

use crate::commands::testing::TestServer;
use crate::config::NotifyClasses;

/// A server with entries 1 to `count` of `s` and its group `g`.
fn with_entries(count: u64) -> TestServer {
    let mut server = TestServer::new();
    for ms in 1..=count {
        server.run(&format!("XADD s {ms} f v"));
    }
    server.run("XGROUP CREATE s g 0 ENTRIESREAD 0");
    server.effects();
    server
}

#[test]
fn pending_entries_are_told_claimed_and_acknowledged_as_a_real_server_does() {
    let mut server = TestServer::new();
    server.check(&[
        ("SET str v", "OK"),
        ("XACK str g 1", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XPENDING str g", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XCLAIM str g c 0 1", "(error) WRONGTYPE Operation against a key holding the wrong kind of value"),
        (
            "XAUTOCLAIM str g c 0 0",
            "(error) WRONGTYPE Operation against a key holding the wrong kind of value",
        ),
        ("XACK none g x", "(integer) 0"),
        ("XPENDING none g", "(error) NOGROUP No such key 'none' or consumer group 'g'"),
        ("XCLAIM none g c x x", "(error) NOGROUP No such key 'none' or consumer group 'g'"),
        ("XAUTOCLAIM none g c 0 0", "(error) NOGROUP No such key 'none' or consumer group 'g'"),
        ("XADD s 1 f v1", "\"1-0\""),
        ("XADD s 2 f v2", "\"2-0\""),
        ("XADD s 3 f v3", "\"3-0\""),
        ("XADD s 4 f v4", "\"4-0\""),
        ("XGROUP CREATE s g 0", "OK"),
            ("XACK s none x", "(integer) 0"),
            ("XACK s g x", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XACK s g 1", "(integer) 0"),
            ("XPENDING s none", "(error) NOGROUP No such key 's' or consumer group 'none'"),
            ("XPENDING s none - + x", "(error) ERR value is not an integer or out of range"),
            ("XCLAIM s none c x x", "(error) NOGROUP No such key 's' or consumer group 'none'"),
            ("XAUTOCLAIM s none c 0 0", "(error) NOGROUP No such key 's' or consumer group 'none'"),
            ("XPENDING s g", "1) (integer) 0\n2) (nil)\n3) (nil)\n4) (nil)"),
            ("XPENDING s g - + 10", "(empty array)"),
            ("XCLAIM s g c 0 1 2", "(empty array)"),
            ("XCLAIM s g c 0 1 2-0 9 FORCE", "1) 1) \"1-0\"\n   2) 1) \"f\"\n      2) \"v1\"\n2) 1) \"2-0\"\n   2) 1) \"f\"\n      2) \"v2\""),
            ("XCLAIM s g d 0 3 FORCE JUSTID TIME 1000", "1) \"3-0\""),
            ("XPENDING s g", "1) (integer) 3\n2) \"1-0\"\n3) \"3-0\"\n4) 1) 1) \"c\"\n      2) \"2\"\n   2) 1) \"d\"\n      2) \"1\""),
            ("XPENDING s g IDLE 100000 - + 10", "1) 1) \"3-0\"\n   2) \"d\"\n   3) (integer) 1699999999000\n   4) (integer) 1"),
            ("XCLAIM s g d 0 3 RETRYCOUNT 7 TIME 2000", "1) 1) \"3-0\"\n   2) 1) \"f\"\n      2) \"v3\""),
            ("XCLAIM s g d 1000000000 1 2 3 JUSTID", "1) \"3-0\""),
            ("XCLAIM s g d 1000000000 3 JUSTID", "(empty array)"),
            ("XCLAIM s g d x 3", "(error) ERR Invalid min-idle-time argument for XCLAIM"),
            ("XCLAIM s g d -5 3 JUSTID", "1) \"3-0\""),
            ("XCLAIM s g d 0 FORCE", "(empty array)"),
            ("XCLAIM s g d 0 1 IDLE x", "(error) ERR Invalid IDLE option argument for XCLAIM"),
            ("XCLAIM s g d 0 1 TIME x", "(error) ERR Invalid TIME option argument for XCLAIM"),
            ("XCLAIM s g d 0 1 RETRYCOUNT x", "(error) ERR Invalid RETRYCOUNT option argument for XCLAIM"),
            ("XCLAIM s g d 0 1 LASTID x", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XCLAIM s g d 0 1 FOO", "(error) ERR Unrecognized XCLAIM option 'FOO'"),
            ("XCLAIM s g d 0 1 IDLE", "(error) ERR Unrecognized XCLAIM option 'IDLE'"),
            ("XCLAIM s g d 0 1 JUSTID 2", "(error) ERR Unrecognized XCLAIM option '2'"),
            ("XCLAIM s g e 0 1 RETRYCOUNT -1 JUSTID FORCE LASTID 3", "1) \"1-0\""),
            ("XPENDING s g (0-0 (3 2 c", "1) 1) \"2-0\"\n   2) \"c\"\n   3) (integer) 0\n   4) (integer) 2"),
            ("XPENDING s g - + 0", "(empty array)"),
            ("XPENDING s g - + -1", "(empty array)"),
            ("XPENDING s g - + x", "(error) ERR value is not an integer or out of range"),
            ("XPENDING s g - x 1", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XPENDING s g x + 1", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XPENDING s g - +", "(error) ERR syntax error"),
            ("XPENDING s g IDLE 1 - +", "(error) ERR syntax error"),
            ("XPENDING s g IDLE x - +", "(error) ERR value is not an integer or out of range"),
            ("XPENDING s g IDLE 1 - + 1 c d", "(error) ERR syntax error"),
            ("XPENDING s g - + 10 none", "(empty array)"),
            ("XPENDING s g (18446744073709551615-18446744073709551615 + 1", "(error) ERR invalid start ID for the interval"),
            ("XPENDING s g - (0-0 1", "(error) ERR invalid end ID for the interval"),
            ("XACK s g 3 3 7", "(integer) 1"),
            ("XDEL s 2", "(integer) 1"),
            ("XAUTOCLAIM s g f 0 - COUNT 0", "(error) ERR COUNT must be > 0"),
            ("XAUTOCLAIM s g f 0 - COUNT x", "(error) ERR COUNT must be > 0"),
            ("XAUTOCLAIM s g f 0 - COUNT 576460752303423487", "(error) ERR Insufficient memory, failed allocating transient memory, COUNT too high."),
            ("XAUTOCLAIM s g f 0 - COUNT 576460752303423488", "(error) ERR COUNT must be > 0"),
            ("XAUTOCLAIM s g f 0 - COUNT", "(error) ERR syntax error"),
            ("XAUTOCLAIM s g f 0 - FOO", "(error) ERR syntax error"),
            ("XAUTOCLAIM s g f x -", "(error) ERR Invalid min-idle-time argument for XAUTOCLAIM"),
            ("XAUTOCLAIM s g f 0 x", "(error) ERR Invalid stream ID specified as stream command argument"),
            ("XAUTOCLAIM s g f 0 (18446744073709551615-18446744073709551615", "(error) ERR invalid start ID for the interval"),
            ("XAUTOCLAIM s g f 0 - COUNT 1", "1) \"2-0\"\n2) 1) 1) \"1-0\"\n      2) 1) \"f\"\n         2) \"v1\"\n3) (empty array)"),
            ("XAUTOCLAIM s g f 0 2 JUSTID", "1) \"0-0\"\n2) (empty array)\n3) 1) \"2-0\""),
            ("XAUTOCLAIM s g f 0 (2", "1) \"0-0\"\n2) (empty array)\n3) (empty array)"),
            ("XCLAIM s g f 0 3 4 FORCE JUSTID", "1) \"3-0\"\n2) \"4-0\""),
            ("XDEL s 3", "(integer) 1"),
            ("XCLAIM s g h 0 3 4 JUSTID", "1) \"4-0\""),
            ("XAUTOCLAIM s g h 1000000000 -", "1) \"0-0\"\n2) (empty array)\n3) (empty array)"),
            ("XPENDING s g", "1) (integer) 2\n2) \"1-0\"\n3) \"4-0\"\n4) 1) 1) \"f\"\n      2) \"1\"\n   2) 1) \"h\"\n      2) \"1\""),
    ]);
}

#[test]
fn claims_are_propagated_one_by_one_as_what_they_did() {
    let mut server = with_entries(3);
    let now = "1700000000000";
    let dirty = server.dirty();
    for (line, effects) in [
        ("XACK s g 1", String::new()),
        ("XCLAIM s g c 0 1 2", String::new()),
        (
            "XCLAIM s g c 0 1 2-0 FORCE",
            format!(
                "MULTI | XCLAIM s g c 0 1 TIME {now} RETRYCOUNT 2 FORCE JUSTID LASTID 0-0 | \
                 XCLAIM s g c 0 2-0 TIME {now} RETRYCOUNT 2 FORCE JUSTID LASTID 0-0 | EXEC"
            ),
        ),
        (
            "XCLAIM s g d 0 1 IDLE 500 RETRYCOUNT 7 LASTID 2",
            "XCLAIM s g d 0 1 TIME 1699999999500 RETRYCOUNT 7 FORCE JUSTID LASTID 2-0".to_owned(),
        ),
        ("XCLAIM s g d 1000 1 LASTID 1", String::new()),
        ("XCLAIM s g new 1000 1 LASTID 3", "XGROUP SETID s g 3-0 ENTRIESREAD 0".to_owned()),
        ("XDEL s 2", "XDEL s 2".to_owned()),
        (
            "XAUTOCLAIM s g e 400 -",
            format!(
                "MULTI | XCLAIM s g e 0 1-0 TIME {now} RETRYCOUNT 8 FORCE JUSTID LASTID 3-0 | \
                 XCLAIM s g c 0 2-0 TIME {now} RETRYCOUNT 2 FORCE JUSTID LASTID 3-0 | EXEC"
            ),
        ),
        ("XAUTOCLAIM s g e 400 -", String::new()),
        ("XACK s g 1 2 3", "XACK s g 1 2 3".to_owned()),
        ("XACK s g 1", String::new()),
    ] {
        server.run(line);
        assert_eq!(server.effects(), effects, "{line}");
    }
    // Three consumers, and each entry that was claimed, dropped or acknowledged.
    assert_eq!(server.dirty() - dirty, 3 + 2 + 1 + 1 + 1 + 2 + 1);
}

#[test]
fn claims_repeat_what_they_were_propagated_as() {
    let mut server = with_entries(2);
    for _ in 0..2 {
        server.run("XCLAIM s g c 0 1 TIME 5000 RETRYCOUNT 4 FORCE JUSTID LASTID 2-0");
        assert_eq!(
            server.run("XPENDING s g - + 10"),
            "1) 1) \"1-0\"\n   2) \"c\"\n   3) (integer) 1699999995000\n   4) (integer) 4"
        );
    }
    server.run("XDEL s 1");
    server.run("XCLAIM s g c 0 1 TIME 5000 RETRYCOUNT 4 FORCE JUSTID LASTID 2-0");
    assert!(server.run("XPENDING s g").starts_with("1) (integer) 0\n"));
}

#[test]
fn times_that_cannot_be_stand_for_this_moment() {
    let mut server = with_entries(1);
    let (low, high) = (i64::MIN, i64::MAX);
    for option in
        [format!("IDLE {low}"), format!("IDLE {high}"), format!("TIME {low}"), format!("TIME {high}")]
    {
        server.run(&format!("XCLAIM s g c 0 1 FORCE JUSTID {option} RETRYCOUNT {high}"));
        let row = "1) 1) \"1-0\"\n   2) \"c\"\n   3) (integer) 0\n   4) (integer) 9223372036854775807";
        assert_eq!(server.run("XPENDING s g - + 1"), row, "{option}");
    }
    server.run("XCLAIM s g c 0 1");
    assert!(server.run("XPENDING s g - + 1").ends_with("(integer) -9223372036854775808"));
}

/// Those that are idle for too short count as looked at.
#[test]
fn autoclaim_looks_at_ten_entries_for_each_that_it_may_answer() {
    let mut server = with_entries(200);
    let ids: Vec<String> = (1..=200).map(|ms| ms.to_string()).collect();
    server.run(&format!("XCLAIM s g c 0 {} FORCE JUSTID TIME 1000", ids.join(" ")));
    server.run(&format!("XCLAIM s g c 0 {} JUSTID", ids[..150].join(" ")));
    let idle = 1_000_000;
    server.check(&[
        (
            &format!("XAUTOCLAIM s g d {idle} - COUNT 3 JUSTID"),
            "1) \"31-0\"\n2) (empty array)\n3) (empty array)",
        ),
        (
            &format!("XAUTOCLAIM s g d {idle} 31 COUNT 12 JUSTID"),
            "1) \"151-0\"\n2) (empty array)\n3) (empty array)",
        ),
        (
            &format!("XAUTOCLAIM s g d {idle} 150 COUNT 2 JUSTID"),
            "1) \"153-0\"\n2) 1) \"151-0\"\n   2) \"152-0\"\n3) (empty array)",
        ),
        ("XDEL s 153 155", "(integer) 2"),
        (
            &format!("XAUTOCLAIM s g d {idle} 153 COUNT 3 JUSTID"),
            "1) \"156-0\"\n2) 1) \"154-0\"\n3) 1) \"153-0\"\n   2) \"155-0\"",
        ),
        ("XPENDING s g - + 1 d", "1) 1) \"151-0\"\n   2) \"d\"\n   3) (integer) 0\n   4) (integer) 1"),
    ]);
    let all = server.run(&format!("XAUTOCLAIM s g d {idle} - COUNT 1000000000 JUSTID"));
    assert_eq!(all.lines().count(), 1 + 45 + 1);
}

#[test]
fn idle_entries_of_a_consumer_are_found_between_ids() {
    let mut server = with_entries(6);
    server.run("XCLAIM s g a 0 1 3 5 FORCE JUSTID");
    server.run("XCLAIM s g b 0 2 4 6 FORCE JUSTID");
    server.advance(1000);
    server.run("XCLAIM s g a 0 3 JUSTID");
    let row = |id: u64, name: &str, idle: u64| {
        format!("1) \"{id}-0\"\n   2) \"{name}\"\n   3) (integer) {idle}\n   4) (integer) 1")
    };
    let both = format!("1) {}\n2) {}", row(1, "a", 1000), row(5, "a", 1000));
    assert_eq!(server.run("XPENDING s g IDLE 1000 - + 10 a"), both);
    assert_eq!(server.run("XPENDING s g IDLE 1000 (1 5 9 a"), format!("1) {}", row(5, "a", 1000)));
    assert_eq!(server.run("XPENDING s g IDLE 1000 (2 + 1"), format!("1) {}", row(4, "b", 1000)));
    assert_eq!(server.run("XPENDING s g IDLE 1001 - + 10"), "(empty array)");
    assert_eq!(server.run("XPENDING s g - (3 10 b"), format!("1) {}", row(2, "b", 1000)));
}

#[test]
fn groups_are_read_for_hits_and_misses_and_change_in_silence() {
    let mut server = with_entries(2);
    server.server.rooms.config.notify_keyspace_events = NotifyClasses::parse(b"KA").expect("classes");
    server.connect(2);
    server.run_as(2, "PSUBSCRIBE *");
    server.connect(3);
    server.run_as(3, "WATCH s");
    server.run("CONFIG RESETSTAT");
    for line in ["XCLAIM s g c 0 1 FORCE", "XAUTOCLAIM s g c 0 -", "XAUTOCLAIM s g c 0 x", "XACK s g 1"] {
        server.run(line);
    }
    server.run("XACK none g 1");
    server.run("XPENDING none g");
    let stats = server.run("INFO stats");
    assert!(stats.contains(r"keyspace_hits:4\r\nkeyspace_misses:2\r\n"), "{stats}");
    let heard = server.output_of(2);
    let events: Vec<&str> = heard.lines().filter_map(|line| line.strip_prefix("4) ")).collect();
    assert_eq!(events, ["\"xgroup-createconsumer\""]);
    server.run_as(3, "MULTI");
    server.run_as(3, "PING");
    assert_eq!(server.run_as(3, "EXEC"), "1) PONG");
}

#[test]
fn an_unknown_group_is_named_and_nulls_have_two_forms() {
    let mut server = with_entries(1);
    assert_eq!(server.raw("XPENDING s g"), "*4\r\n:0\r\n$-1\r\n$-1\r\n*-1\r\n");
    assert_eq!(
        server.raw(r#"XCLAIM "s\x00t" "a\nb" c 0 1"#),
        "-NOGROUP No such key 's' or consumer group 'a b'\r\n"
    );
    server.raw("HELLO 3");
    assert_eq!(server.raw("XPENDING s g"), "*4\r\n:0\r\n_\r\n_\r\n_\r\n");
}
