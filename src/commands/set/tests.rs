//! The set commands as clients see them.

use crate::base::ClientId;
use crate::commands::testing::TestServer;

const WRONG_TYPE: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "(error) ERR syntax error";

/// Runs each line and compares its answer. `encoding KEY` is looked up behind the server's back.
/// The elements of an answer, sorted, without quotes.
fn elements(answer: &str) -> Vec<String> {
    let strip =
        |line: &str| line.split_once(['~', ')']).map_or(line, |(_, text)| text).trim().replace('"', "");
    let mut elements: Vec<_> = answer.lines().filter(|line| !line.starts_with("(empty")).map(strip).collect();
    elements.sort_unstable();
    elements
}

fn dirty(server: &TestServer) -> u64 {
    server.dirty()
}

#[test]
fn sadd_counts_new_members_and_srem_removes_the_key_with_the_last() {
    let mut server = TestServer::new();
    server.check(&[
        ("SADD s a b a", "(integer) 2"),
        ("SADD s b", "(integer) 0"),
        ("SCARD s", "(integer) 2"),
        ("SREM s x", "(integer) 0"),
        ("SREM nokey x", "(integer) 0"),
    ]);
    assert_eq!(server.effects(), "SELECT 0 | SADD s a b a", "what changes nothing is not propagated");
    assert_eq!(dirty(&server), 2);
    assert_eq!(server.run("SREM s a b c"), "(integer) 2");
    assert_eq!(server.run("EXISTS s"), "(integer) 0");
    assert_eq!(server.effects(), "SREM s a b c");
    assert_eq!(dirty(&server), 4);
}

#[test]
fn membership_is_told_for_one_and_for_many() {
    let mut server = TestServer::new();
    server.check(&[
        ("SADD s 1 2 -7", "(integer) 3"),
        ("SISMEMBER s 2", "(integer) 1"),
        ("SISMEMBER s 02", "(integer) 0"),
        ("SISMEMBER s a", "(integer) 0"),
        ("SISMEMBER nokey a", "(integer) 0"),
        ("SMISMEMBER s 1 x -7", "1) (integer) 1\n2) (integer) 0\n3) (integer) 1"),
        ("SMISMEMBER nokey a b", "1) (integer) 0\n2) (integer) 0"),
        ("SCARD nokey", "(integer) 0"),
        ("SMEMBERS nokey", "(empty array)"),
        ("encoding s", "intset"),
        ("SADD s a", "(integer) 1"),
        ("encoding s", "hashtable"),
    ]);
    assert_eq!(elements(&server.run("SMEMBERS s")), ["-7", "1", "2", "a"]);
}

#[test]
fn another_type_is_refused_by_all_of_them() {
    let mut server = TestServer::new();
    server.run("SET k v");
    server.run("SADD s a");
    for line in [
        "SADD k a",
        "SREM k a",
        "SMOVE k s a",
        "SMOVE s k a",
        "SCARD k",
        "SISMEMBER k a",
        "SMISMEMBER k a",
        "SMEMBERS k",
        "SPOP k",
        "SPOP k 0",
        "SRANDMEMBER k",
        "SRANDMEMBER k 0",
        "SINTER nokey k",
        "SUNION s k",
        "SDIFF nokey s k",
        "SINTERSTORE d nokey k",
        "SUNIONSTORE d k",
        "SDIFFSTORE d s k",
        "SINTERCARD 2 nokey k",
        "SSCAN k 0 BAD",
    ] {
        assert_eq!(server.run(line), WRONG_TYPE, "{line}");
    }
    assert_eq!(server.run("SMOVE nokey k a"), "(integer) 0", "Redis: nothing to move, nothing to check");
    assert_eq!(server.run("SCARD s"), "(integer) 1");
}

#[test]
fn smove_reports_both_keys() {
    let mut server = TestServer::new();
    server.check(&[
        ("SADD a 1 x", "(integer) 2"),
        ("SADD b x", "(integer) 1"),
        ("SMOVE a b nosuch", "(integer) 0"),
        ("SMOVE a a x", "(integer) 1"),
        ("SMOVE a a y", "(integer) 0"),
        ("SMOVE nokey b x", "(integer) 0"),
    ]);
    server.effects();
    let before = dirty(&server);
    assert_eq!(server.run("SMOVE a b x"), "(integer) 1");
    assert_eq!(dirty(&server) - before, 1, "it was in both");
    assert_eq!(server.run("SMOVE a new 1"), "(integer) 1");
    assert_eq!(dirty(&server) - before, 3);
    assert_eq!(server.effects(), "SMOVE a b x | SMOVE a new 1");
    assert_eq!(server.run("EXISTS a b new"), "(integer) 2");
    assert_eq!(server.encoding("new"), Some("intset"));
}

#[test]
fn spop_propagates_what_it_took() {
    let mut server = TestServer::new();
    server.run("SADD s 1 2 3 4 5 6 7 8 9 10");
    server.effects();
    let member = server.run("SPOP s").replace('"', "");
    assert_eq!(server.effects(), format!("SREM s {member}"));
    let members = elements(&server.run("SPOP s 3"));
    let effects = server.effects();
    let mut effects: Vec<_> = effects.split(" | ").collect();
    assert_eq!((effects.remove(0), effects.pop()), ("MULTI", Some("EXEC")));
    effects.sort_unstable();
    let expected: Vec<_> = members.iter().map(|member| format!("SREM s {member}")).collect();
    assert_eq!(effects, expected);
    assert_eq!(elements(&server.run("SPOP s 5")).len(), 5);
    assert_eq!(server.run("SCARD s"), "(integer) 1", "most were taken by moving the rest");
    server.effects();
    let before = dirty(&server);
    assert_eq!(elements(&server.run("SPOP s 100")).len(), 1);
    assert_eq!(dirty(&server) - before, 1);
    assert_eq!(server.effects(), "DEL s");
    server.check(&[
        ("EXISTS s", "(integer) 0"),
        ("SPOP s", "(nil)"),
        ("SPOP s 3", "(empty array)"),
        ("SPOP s -1", "(error) ERR value is out of range, must be positive"),
        ("SPOP s x", "(error) ERR value is out of range, must be positive"),
        ("SPOP s 1 2", SYNTAX),
        ("SADD s a", "(integer) 1"),
        ("SPOP s 0", "(empty array)"),
        ("SPOP s", "\"a\""),
        ("EXISTS s", "(integer) 0"),
    ]);
    assert_eq!(server.effects(), "SADD s a | SREM s a");
}

#[test]
fn spop_empties_sets_of_every_form_by_any_count() {
    for (prefix, len) in [("", 40), ("m", 20), ("m", 400)] {
        for count in [1, 7, len - 3, len] {
            let mut server = TestServer::new();
            let members: Vec<_> = (0..len).map(|i| format!("{prefix}{i}")).collect();
            server.run(&format!("SADD s {}", members.join(" ")));
            let mut popped = Vec::new();
            while server.run("EXISTS s") == "(integer) 1" {
                popped.extend(elements(&server.run(&format!("SPOP s {count}"))));
            }
            popped.sort_unstable();
            let mut members = members;
            members.sort_unstable();
            assert_eq!(popped, members, "by {count}");
        }
    }
}

#[test]
fn srandmember_takes_any_count() {
    let mut server = TestServer::new();
    server.run("SADD s a b c d e");
    server.effects();
    let range = "value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    server.check(&[
        ("SRANDMEMBER nokey", "(nil)"),
        ("SRANDMEMBER nokey 5", "(empty array)"),
        ("SRANDMEMBER nokey -5", "(empty array)"),
        ("SRANDMEMBER s 0", "(empty array)"),
        ("SRANDMEMBER s -9223372036854775808", &format!("(error) ERR {range}")),
        ("SRANDMEMBER s x", "(error) ERR value is not an integer or out of range"),
        ("SRANDMEMBER s 1 2", SYNTAX),
    ]);
    assert_eq!(elements(&server.run("SRANDMEMBER s 9223372036854775807")), ["a", "b", "c", "d", "e"]);
    for (count, len) in [(1, 1), (3, 3), (5, 5), (-1, 1), (-20, 20)] {
        assert_eq!(elements(&server.run(&format!("SRANDMEMBER s {count}"))).len(), len);
    }
    assert_eq!(server.effects(), "");
}

#[test]
fn an_endless_answer_ends_at_the_limit_of_the_clients_buffer() {
    let mut server = TestServer::with(|config| {
        config.client_output_buffer_limit.normal.hard_bytes = 10_000;
    });
    server.run("SADD s 12345");
    server.send_only("SRANDMEMBER s -9223372036854775807");
    assert_eq!(server.closed, [ClientId(1)]);
}

#[test]
fn a_resp3_client_gets_sets_where_order_means_nothing() {
    let mut server = TestServer::new();
    server.run("HELLO 3");
    server.run("SADD s 1");
    for (line, answer) in [
        ("SMEMBERS s", "~1\r\n$1\r\n1\r\n"),
        ("SMEMBERS nokey", "~0\r\n"),
        ("SINTER s s", "~1\r\n$1\r\n1\r\n"),
        ("SINTER s nokey", "~0\r\n"),
        ("SUNION s nokey", "~1\r\n$1\r\n1\r\n"),
        ("SDIFF s nokey", "~1\r\n$1\r\n1\r\n"),
        ("SDIFF nokey s", "~0\r\n"),
        ("SRANDMEMBER s 2", "*1\r\n$1\r\n1\r\n"),
        ("SRANDMEMBER nokey", "_\r\n"),
        ("SSCAN s 0", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\n1\r\n"),
        ("SPOP s 0", "~0\r\n"),
        ("SPOP s 1", "~1\r\n$1\r\n1\r\n"),
        ("SPOP s 1", "~0\r\n"),
        ("SPOP s", "_\r\n"),
    ] {
        assert_eq!(server.raw(line), answer, "{line}");
    }
}

#[test]
fn algebra_is_that_of_sets_in_every_form() {
    let mut server = TestServer::new();
    let many: Vec<_> = (0..600).map(|i| i.to_string()).collect();
    server.run("SADD ints 1 2 3 4 5");
    server.run("SADD few 4 5 six seven");
    server.run(&format!("SADD many x {}", many.join(" ")));
    for (line, expected) in [
        ("SINTER ints few", "4 5"),
        ("SINTER many few ints", "4 5"),
        ("SINTER ints ints", "1 2 3 4 5"),
        ("SINTER ints", "1 2 3 4 5"),
        ("SINTER ints nokey", ""),
        ("SUNION ints few", "1 2 3 4 5 seven six"),
        ("SUNION nokey nokey", ""),
        ("SDIFF ints few", "1 2 3"),
        ("SDIFF few ints nokey", "seven six"),
        ("SDIFF few many", "seven six"),
        ("SDIFF ints ints", ""),
        ("SDIFF nokey ints", ""),
        ("SDIFF few", "4 5 seven six"),
    ] {
        let expected: Vec<_> = expected.split_whitespace().collect();
        assert_eq!(elements(&server.run(line)), expected, "{line}");
    }
    assert_eq!(elements(&server.run("SUNION many few ints")).len(), 603);
    let rest = elements(&server.run("SDIFF many ints few few few"));
    assert_eq!(rest.len(), 596, "by removing from a copy: {rest:?}");
    assert_eq!(server.run("SCARD many"), "(integer) 601", "the source keeps its members");
}

#[test]
fn store_replaces_anything_and_removes_when_nothing_is_left() {
    let mut server = TestServer::new();
    server.check(&[
        ("SADD a 1 2 3", "(integer) 3"),
        ("SADD b 2 3 x", "(integer) 3"),
        ("SET d text EX 100", "OK"),
        ("SINTERSTORE d a b", "(integer) 2"),
        ("TTL d", "(integer) -1"),
        ("encoding d", "intset"),
        ("SUNIONSTORE a a b", "(integer) 4"),
        ("encoding a", "hashtable"),
        ("SDIFFSTORE a a b", "(integer) 1"),
        ("encoding a", "intset"),
    ]);
    server.effects();
    let before = dirty(&server);
    server.check(&[
        ("SDIFFSTORE d a a", "(integer) 0"),
        ("EXISTS d", "(integer) 0"),
        ("SINTERSTORE d a nokey", "(integer) 0"),
        ("SUNIONSTORE d nokey", "(integer) 0"),
    ]);
    assert_eq!(server.effects(), "SDIFFSTORE d a a", "the others found nothing to delete");
    assert_eq!(dirty(&server) - before, 1);
}

#[test]
fn the_result_of_many_integers_is_a_hash_table() {
    let mut server = TestServer::with(|config| config.set_max_intset_entries = 4);
    server.check(&[
        ("SADD a 1 2 3", "(integer) 3"),
        ("SADD b 4 5 6 7 8", "(integer) 5"),
        ("encoding b", "hashtable"),
        ("SUNIONSTORE d a b", "(integer) 8"),
        ("encoding d", "hashtable"),
        ("SREM b 4 5 6", "(integer) 3"),
        ("SUNIONSTORE d b nokey", "(integer) 2"),
        ("encoding d", "intset"),
    ]);
}

#[test]
fn sintercard_counts_up_to_its_limit() {
    let mut server = TestServer::new();
    server.check(&[
        ("SADD a 1 2 3 4", "(integer) 4"),
        ("SADD b 2 3 4 5", "(integer) 4"),
        ("SINTERCARD 2 a b", "(integer) 3"),
        ("SINTERCARD 2 a b LIMIT 2", "(integer) 2"),
        ("SINTERCARD 2 a b limit 0", "(integer) 3"),
        ("SINTERCARD 2 a b LIMIT 9 LIMIT 1", "(integer) 1"),
        ("SINTERCARD 2 a nokey", "(integer) 0"),
        ("SINTERCARD 0 a", "(error) ERR numkeys should be greater than 0"),
        ("SINTERCARD x a", "(error) ERR numkeys should be greater than 0"),
        ("SINTERCARD 3 a b", "(error) ERR Number of keys can't be greater than number of args"),
        ("SINTERCARD 1 a LIMIT -1", "(error) ERR LIMIT can't be negative"),
        ("SINTERCARD 1 a LIMIT x", "(error) ERR LIMIT can't be negative"),
        ("SINTERCARD 1 a LIMIT", SYNTAX),
        ("SINTERCARD 1 a b", SYNTAX),
    ]);
}

#[test]
fn sscan_shows_compact_sets_at_once_and_large_ones_in_parts() {
    let mut server = TestServer::new();
    server.check(&[
        ("SADD ints 3 1 22", "(integer) 3"),
        ("SSCAN ints 0", "1) \"0\"\n2) 1) \"1\"\n   2) \"3\"\n   3) \"22\""),
        ("SSCAN ints 0 MATCH 2* COUNT 1", "1) \"0\"\n2) 1) \"22\""),
        ("SSCAN nokey 0", "1) \"0\"\n2) (empty array)"),
        ("SSCAN nokey x", "(error) ERR invalid cursor"),
        ("SSCAN ints 0 COUNT 0", SYNTAX),
    ]);
    let members: Vec<_> = (0..1000).map(|i| format!("m{i}")).collect();
    server.run(&format!("SADD s {}", members.join(" ")));
    let (mut cursor, mut calls, mut seen) = ("0".to_string(), 0, Vec::new());
    loop {
        let answer = server.run(&format!("SSCAN s {cursor}"));
        let mut lines = answer.lines();
        cursor = lines.next().unwrap_or_default().replace("1) ", "").replace('"', "");
        seen.extend(lines.filter_map(|line| line.split('"').nth(1)).map(str::to_string));
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert!(calls > 50, "about ten at a time, not in {calls} calls");
    seen.sort_unstable();
    let mut members = members;
    members.sort_unstable();
    assert_eq!(seen, members);
}

#[test]
fn an_expired_set_is_gone_for_readers_and_writers() {
    let mut server = TestServer::new();
    server.run("SADD s a b");
    server.run("PEXPIRE s 10");
    server.server.rooms.time.active_expire = false;
    server.advance(11);
    server.effects();
    assert_eq!(server.run("SADD s c"), "(integer) 1");
    assert_eq!(server.effects(), "MULTI | DEL s | SADD s c | EXEC");
    assert_eq!(server.run("TTL s"), "(integer) -1");
}
