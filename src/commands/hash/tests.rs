//! The hash commands as clients see them.

use crate::base::ClientId;
use crate::commands::testing::TestServer;

const WRONG_TYPE: &str = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "(error) ERR syntax error";

/// Runs each line and compares its answer. `encoding KEY` is looked up behind the server's back.
fn dirty(server: &TestServer) -> u64 {
    server.dirty()
}

#[test]
fn fields_are_set_read_and_deleted() {
    let mut server = TestServer::new();
    server.check(&[
        ("HSET h a 1 b two a 3", "(integer) 2"),
        ("HSET h a 4", "(integer) 0"),
        ("HGET h a", "\"4\""),
        ("HGET h x", "(nil)"),
        ("HGET nokey a", "(nil)"),
        ("HMSET h c \"\"", "OK"),
        ("HMGET h c x b", "1) \"\"\n2) (nil)\n3) \"two\""),
        ("HMGET nokey a b", "1) (nil)\n2) (nil)"),
        ("HLEN h", "(integer) 3"),
        ("HLEN nokey", "(integer) 0"),
        ("HEXISTS h c", "(integer) 1"),
        ("HEXISTS h x", "(integer) 0"),
        ("HEXISTS nokey x", "(integer) 0"),
        ("HSTRLEN h b", "(integer) 3"),
        ("HSTRLEN h a", "(integer) 1"),
        ("HSTRLEN h x", "(integer) 0"),
        ("HSTRLEN nokey x", "(integer) 0"),
        ("HKEYS h", "1) \"a\"\n2) \"b\"\n3) \"c\""),
        ("HVALS h", "1) \"4\"\n2) \"two\"\n3) \"\""),
        ("HGETALL h", "1) \"a\"\n2) \"4\"\n3) \"b\"\n4) \"two\"\n5) \"c\"\n6) \"\""),
        ("HGETALL nokey", "(empty array)"),
        ("HKEYS nokey", "(empty array)"),
        ("HVALS nokey", "(empty array)"),
        ("HDEL h x", "(integer) 0"),
        ("HDEL nokey x", "(integer) 0"),
        ("HDEL h a a x", "(integer) 1"),
        ("HDEL h b c d", "(integer) 2"),
        ("EXISTS h", "(integer) 0"),
    ]);
    assert_eq!(
        server.effects(),
        "SELECT 0 | HSET h a 1 b two a 3 | HSET h a 4 | HMSET h c \"\" | HDEL h a a x | HDEL h b c d"
    );
    assert_eq!(dirty(&server), 3 + 1 + 1 + 1 + 2);
}

#[test]
fn pairs_must_be_whole() {
    let mut server = TestServer::new();
    server.run("SET k v");
    server.check(&[
        ("HSET h a", "(error) ERR wrong number of arguments for 'hset' command"),
        ("HSET k a 1 b", "(error) ERR wrong number of arguments for 'hset' command"),
        ("HMSET h a 1 b", "(error) ERR wrong number of arguments for 'hmset' command"),
        ("EXISTS h", "(integer) 0"),
    ]);
}

#[test]
fn hsetnx_sets_once() {
    let mut server = TestServer::new();
    server.check(&[("HSETNX h a 1", "(integer) 1"), ("HSETNX h a 2", "(integer) 0"), ("HGET h a", "\"1\"")]);
    assert_eq!(server.effects(), "SELECT 0 | HSETNX h a 1");
}

#[test]
fn another_type_is_refused_by_all_of_them() {
    let mut server = TestServer::new();
    server.run("SET k v");
    for line in [
        "HSET k a 1",
        "HMSET k a 1",
        "HSETNX k a 1",
        "HGET k a",
        "HMGET k a",
        "HDEL k a",
        "HLEN k",
        "HSTRLEN k a",
        "HEXISTS k a",
        "HKEYS k",
        "HVALS k",
        "HGETALL k",
        "HINCRBY k a 1",
        "HINCRBYFLOAT k a 1",
        "HRANDFIELD k",
        "HRANDFIELD k 0",
        "HSCAN k 0 BAD",
    ] {
        assert_eq!(server.run(line), WRONG_TYPE, "{line}");
    }
    assert_eq!(server.effects(), "SELECT 0 | SET k v");
}

#[test]
fn counters_add_exactly_and_leave_what_they_cannot_add_to() {
    let mut server = TestServer::new();
    let not_integer = "(error) ERR value is not an integer or out of range";
    let overflow = "(error) ERR increment or decrement would overflow";
    server.check(&[
        ("HINCRBY h n 5", "(integer) 5"),
        ("HINCRBY h n -7", "(integer) -2"),
        ("HINCRBY h n 1.5", not_integer),
        ("HSET h big 9223372036854775807 small -9223372036854775808 text abc spaced \" 1\"", "(integer) 4"),
        ("HINCRBY h big 1", overflow),
        ("HINCRBY h small -1", overflow),
        ("HINCRBY h big -9223372036854775807", "(integer) 0"),
        ("HINCRBY h text 1", "(error) ERR hash value is not an integer"),
        ("HINCRBY h spaced 1", "(error) ERR hash value is not an integer"),
        ("HINCRBYFLOAT h f 10.5", "\"10.5\""),
        ("HINCRBYFLOAT h f 0.1", "\"10.6\""),
        ("HINCRBYFLOAT h f 5.0e3", "\"5010.60000000000000009\""),
        ("HINCRBYFLOAT h n 0.5", "\"-1.5\""),
        ("HINCRBYFLOAT h text 1", "(error) ERR hash value is not a float"),
        ("HINCRBYFLOAT h spaced 1", "(error) ERR hash value is not a float"),
        ("HINCRBYFLOAT h f x", "(error) ERR value is not a valid float"),
        ("HINCRBYFLOAT h f nan", "(error) ERR value is not a valid float"),
        ("HINCRBYFLOAT h f -inf", "(error) ERR value is NaN or Infinity"),
        ("HSET h inf inf", "(integer) 1"),
        ("HINCRBYFLOAT h inf 1", "(error) ERR increment would produce NaN or Infinity"),
        ("HGET h inf", "\"inf\""),
    ]);
}

#[test]
fn a_float_is_propagated_as_the_sum() {
    let mut server = TestServer::new();
    server.run("HINCRBYFLOAT h f 3");
    server.run("HINCRBYFLOAT h f 1.25");
    server.run("HINCRBY h n 2");
    assert_eq!(server.effects(), "SELECT 0 | HSET h f 3 | HSET h f 4.25 | HINCRBY h n 2");
    assert_eq!(dirty(&server), 3);
}

#[test]
fn a_hash_becomes_a_table_at_its_limits_and_stays_one() {
    let mut server = TestServer::with(|config| {
        config.hash_max_listpack_entries = 3;
        config.hash_max_listpack_value = 5;
    });
    server.check(&[
        ("HSET h a 1 b 12345 c 3", "(integer) 3"),
        ("encoding h", "listpack"),
        ("HSET h d 1", "(integer) 1"),
        ("encoding h", "hashtable"),
        ("HDEL h a b c", "(integer) 3"),
        ("encoding h", "hashtable"),
        ("HGETALL h", "1) \"d\"\n2) \"1\""),
        ("HSET v a 123456", "(integer) 1"),
        ("encoding v", "hashtable"),
        ("HSETNX f toolong 1", "(integer) 1"),
        ("encoding f", "hashtable"),
        ("HINCRBY n a 99999", "(integer) 99999"),
        ("encoding n", "listpack"),
        ("HINCRBY n a 1", "(integer) 100000"),
        ("encoding n", "hashtable"),
        ("HINCRBYFLOAT n b 1.0625", "\"1.0625\""),
        ("HGET n b", "\"1.0625\""),
    ]);
}

#[test]
fn large_values_and_many_fields_come_back() {
    let mut server = TestServer::new();
    let long = "x".repeat(5000);
    for i in 0..500 {
        server.run(&format!("HSET h field{i} {}{i}", if i % 50 == 0 { &long } else { "" }));
    }
    assert_eq!(server.run("HLEN h"), "(integer) 500");
    assert_eq!(server.run("HGET h field100"), format!("\"{long}100\""));
    assert_eq!(server.run("HGET h field499"), "\"499\"");
    assert_eq!(server.run("HSET h field100 short field499 other"), "(integer) 0");
    assert_eq!(server.run("HMGET h field100 field499"), "1) \"short\"\n2) \"other\"");
    assert_eq!(server.run("HVALS h").lines().count(), 500);
}

#[test]
fn hrandfield_takes_any_count() {
    let mut server = TestServer::new();
    server.run("HSET h a 1 b 2 c 3");
    let range = "value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    server.check(&[
        ("HRANDFIELD nokey", "(nil)"),
        ("HRANDFIELD nokey 5", "(empty array)"),
        ("HRANDFIELD nokey -5 WITHVALUES", "(empty array)"),
        ("HRANDFIELD h 0", "(empty array)"),
        ("HRANDFIELD h 0 WITHVALUES", "(empty array)"),
        ("HRANDFIELD h 5 withvalues", "1) \"a\"\n2) \"1\"\n3) \"b\"\n4) \"2\"\n5) \"c\"\n6) \"3\""),
        ("HRANDFIELD h 9223372036854775807", "1) \"a\"\n2) \"b\"\n3) \"c\""),
        ("HRANDFIELD h -9223372036854775808", &format!("(error) ERR {range}")),
        ("HRANDFIELD h -9223372036854770000 WITHVALUES", "(error) ERR value is out of range"),
        ("HRANDFIELD h 9223372036854770000 WITHVALUES", "(error) ERR value is out of range"),
        ("HRANDFIELD h x", "(error) ERR value is not an integer or out of range"),
        ("HRANDFIELD h 1 VALUES", SYNTAX),
        ("HRANDFIELD h 1 WITHVALUES more", SYNTAX),
    ]);
    for (line, lines) in [
        ("HRANDFIELD h", 1),
        ("HRANDFIELD h 2", 2),
        ("HRANDFIELD h 2 WITHVALUES", 4),
        ("HRANDFIELD h -10", 10),
        ("HRANDFIELD h -10 WITHVALUES", 20),
    ] {
        assert_eq!(server.run(line).lines().count(), lines, "{line}");
    }
}

#[test]
fn an_endless_answer_ends_at_the_limit_of_the_clients_buffer() {
    for line in ["HRANDFIELD h -999999999", "HRANDFIELD h -4611686018427387903 WITHVALUES"] {
        let mut server = TestServer::with(|config| {
            config.client_output_buffer_limit.normal.hard_bytes = 10_000;
        });
        server.run("HSET h a b");
        server.send_only(line);
        assert_eq!(server.closed, [ClientId(1)], "{line}");
    }
}

#[test]
fn a_resp3_client_gets_maps_and_pairs() {
    let mut server = TestServer::new();
    server.run("HELLO 3");
    server.run("HSET h a 1");
    for (line, answer) in [
        ("HGETALL h", "%1\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("HGETALL nokey", "%0\r\n"),
        ("HKEYS h", "*1\r\n$1\r\na\r\n"),
        ("HGET h x", "_\r\n"),
        ("HMGET h a x", "*2\r\n$1\r\n1\r\n_\r\n"),
        ("HRANDFIELD h", "$1\r\na\r\n"),
        ("HRANDFIELD nokey", "_\r\n"),
        ("HRANDFIELD h 1 WITHVALUES", "*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("HRANDFIELD h -2 WITHVALUES", "*2\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("HRANDFIELD h 1", "*1\r\n$1\r\na\r\n"),
        ("HSCAN h 0", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n"),
        ("HINCRBYFLOAT h a 0.5", "$3\r\n1.5\r\n"),
    ] {
        assert_eq!(server.raw(line), answer, "{line}");
    }
}

#[test]
fn hscan_filters_by_field_and_walks_large_hashes_in_parts() {
    let mut server = TestServer::new();
    server.check(&[
        ("HSET h a x b y", "(integer) 2"),
        ("HSCAN h 0", "1) \"0\"\n2) 1) \"a\"\n   2) \"x\"\n   3) \"b\"\n   4) \"y\""),
        ("HSCAN h 0 MATCH b COUNT 1", "1) \"0\"\n2) 1) \"b\"\n   2) \"y\""),
        ("HSCAN h 0 MATCH y", "1) \"0\"\n2) (empty array)"),
        ("HSCAN nokey 0 BAD", "1) \"0\"\n2) (empty array)"),
        ("HSCAN nokey x", "(error) ERR invalid cursor"),
        ("HSCAN h 0 COUNT", SYNTAX),
    ]);
    for i in 0..1000 {
        server.run(&format!("HSET h f{i} v{i}"));
    }
    let (mut cursor, mut calls, mut seen) = ("0".to_string(), 0, Vec::new());
    loop {
        let answer = server.run(&format!("HSCAN h {cursor} MATCH f*"));
        let mut lines = answer.lines();
        cursor = lines.next().unwrap_or_default().replace("1) ", "").replace('"', "");
        let texts: Vec<_> = lines.filter_map(|line| line.split('"').nth(1)).collect();
        let (pairs, rest) = texts.as_chunks::<2>();
        assert!(rest.is_empty() && pairs.iter().all(|[field, value]| field[1..] == value[1..]));
        seen.extend(pairs.iter().map(|[field, _]| (*field).to_string()));
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert!(calls > 20, "about ten at a time, not in {calls} calls");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 1000);
}
