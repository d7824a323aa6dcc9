//! Patterns of which nobody can tell in time whether they match: what each kind of command says to
//! that.

use crate::base::ClientId;
use crate::commands::testing::TestServer;

const REFUSED: &str = "(error) ERR pattern takes too long to match";

/// A name, and a pattern that takes the product of both lengths to find out that it does not match.
fn name_and_pattern() -> (String, String) {
    ("a".repeat(1 << 20), format!("*{}?b*", "a".repeat(1 << 19)))
}

#[test]
fn what_would_list_matches_refuses_and_leaves_nothing_out() {
    let (name, pattern) = name_and_pattern();
    let mut server = TestServer::new();
    server.run(&format!("MSET {name} 1 b 1"));
    server.run(&format!("SADD s {name} b"));
    server.run(&format!("HSET h {name} 1"));
    server.run(&format!("ZADD z 1 {name}"));
    server.connect(2);
    server.run_as(2, &format!("SUBSCRIBE {name}"));
    for line in ["KEYS", "SCAN 0 MATCH", "SSCAN s 0 MATCH", "HSCAN h 0 MATCH", "ZSCAN z 0 MATCH"] {
        assert_eq!(server.run(&format!("{line} {pattern}")), REFUSED, "{line}");
    }
    assert_eq!(server.run(&format!("PUBSUB CHANNELS {pattern}")), REFUSED);
    assert_eq!(server.run("KEYS *b"), "1) \"b\"", "a pattern that can be decided is");
    let class = format!("*[{}]b*", "x".repeat(1 << 20));
    assert_eq!(server.run(&format!("CONFIG GET {class}")), REFUSED);
    assert_eq!(server.run(&format!("COMMAND LIST FILTERBY PATTERN {class}")), REFUSED);
}

#[test]
fn a_subscriber_whose_pattern_cannot_be_decided_is_closed_and_others_are_served() {
    let (name, pattern) = name_and_pattern();
    let mut server = TestServer::new();
    server.run("CONFIG SET notify-keyspace-events KA");
    [2, 3, 4].into_iter().for_each(|id| server.connect(id));
    server.run_as(2, &format!("PSUBSCRIBE {pattern}"));
    server.run_as(3, "PSUBSCRIBE a* x");
    assert_eq!(server.run("PUBLISH b short"), "(integer) 0");
    assert!(server.closed.is_empty(), "short channels are decided");
    assert_eq!(server.run(&format!("PUBLISH {name} hi")), "(integer) 1");
    assert_eq!(server.closed, [ClientId(2)]);
    assert!(server.raw_output_of(3).ends_with("hi\r\n"));
    assert_eq!(server.run("PUBSUB NUMPAT"), "(integer) 2", "its patterns cost nothing more");
    server.run_as(4, "HELLO 3");
    server.run_as(4, &format!("PSUBSCRIBE {pattern}"));
    server.run_as(4, &format!("SET {name} 1"));
    assert_eq!(server.closed, [ClientId(2), ClientId(4)], "the events of its own commands as well");
}

#[test]
fn a_right_that_cannot_be_decided_is_denied() {
    let (name, pattern) = name_and_pattern();
    let mut server = TestServer::new();
    server.run(&format!("ACL SETUSER limited on nopass +@all ~{pattern} ~c* &{pattern}"));
    server.connect(2);
    server.run_as(2, "AUTH limited x");
    assert!(server.run_as(2, &format!("SET {name} 1")).contains("NOPERM"));
    assert!(server.run_as(2, &format!("PUBLISH {name} 1")).contains("NOPERM"));
    assert_eq!(server.run_as(2, &format!("SET c{name} 1")), "OK", "another pattern decides");
}
