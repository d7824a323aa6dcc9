//! The sorted set commands as clients see them. Their answers in RESP2 are in
//! `tests/sessions/sorted_set.session`; here are RESP3, what is propagated, and waiting.

use crate::base::ClientId;
use crate::commands::testing::TestServer;

fn dirty(server: &TestServer) -> u64 {
    server.dirty()
}

#[test]
fn scores_are_doubles_beside_their_members_in_resp3() {
    let mut server = TestServer::new();
    server.run("ZADD z 1 a 2.5 b");
    server.run("HELLO 3");
    let (a, b) = ("*2\r\n$1\r\na\r\n,1\r\n", "*2\r\n$1\r\nb\r\n,2.5\r\n");
    for (line, answer) in [
        ("ZRANGE z 0 -1 WITHSCORES", format!("*2\r\n{a}{b}")),
        ("ZREVRANGEBYSCORE z +inf -inf WITHSCORES", format!("*2\r\n{b}{a}")),
        ("ZUNION 1 z WITHSCORES", format!("*2\r\n{a}{b}")),
        ("ZINTER 1 z", "*2\r\n$1\r\na\r\n$1\r\nb\r\n".to_string()),
        ("ZRANDMEMBER z 5 WITHSCORES", format!("*2\r\n{b}{a}")),
        ("ZMSCORE z a none", "*2\r\n,1\r\n_\r\n".to_string()),
        ("ZSCAN z 0 MATCH a", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n".to_string()),
        ("ZMPOP 1 z MAX", format!("*2\r\n$1\r\nz\r\n*1\r\n{b}")),
        ("ZMPOP 1 none MAX", "_\r\n".to_string()),
        ("ZRANK z none", "_\r\n".to_string()),
        ("BZPOPMIN z 0", "*3\r\n$1\r\nz\r\n$1\r\na\r\n,1\r\n".to_string()),
    ] {
        assert_eq!(server.raw(line), answer, "{line}");
    }
}

#[test]
fn removals_are_propagated_and_counted_when_something_was_removed() {
    let mut server = TestServer::new();
    server.run("ZADD z 1 a 2 b 3 c 4 d 5 e 6 f");
    server.effects();
    let before = dirty(&server);
    server.check(&[
        ("ZREM z a none b", "(integer) 2"),
        ("ZREM z none", "(integer) 0"),
        ("ZREMRANGEBYSCORE z 3 3", "(integer) 1"),
        ("ZREMRANGEBYSCORE z 3 3", "(integer) 0"),
        ("ZREMRANGEBYRANK z 0 1", "(integer) 2"),
        ("ZREMRANGEBYLEX z - +", "(integer) 1"),
        ("ZREMRANGEBYLEX z - +", "(integer) 0"),
        ("EXISTS z", "(integer) 0"),
    ]);
    assert_eq!(
        server.effects(),
        "ZREM z a none b | ZREMRANGEBYSCORE z 3 3 | ZREMRANGEBYRANK z 0 1 | ZREMRANGEBYLEX z - +"
    );
    assert_eq!(dirty(&server) - before, 6);
}

#[test]
fn pops_from_several_keys_are_propagated_as_pops_from_one() {
    let mut server = TestServer::new();
    server.run("ZADD z 1 a 2 b 3 c 4 d 5 e");
    server.effects();
    let before = dirty(&server);
    for line in [
        "ZMPOP 2 none z MIN",
        "ZMPOP 1 z MAX COUNT 2",
        "ZMPOP 1 none MIN",
        "BZPOPMAX z 0",
        "BZMPOP 0 1 z MIN COUNT 9",
    ] {
        server.run(line);
    }
    assert_eq!(server.effects(), "ZPOPMIN z 1 | ZPOPMAX z 2 | ZPOPMAX z | ZPOPMIN z 1");
    assert_eq!(dirty(&server) - before, 5);
}

#[test]
fn a_stored_result_replaces_the_destination_and_its_deadline() {
    let mut server = TestServer::new();
    server.run("ZADD z 1 a 2 b");
    server.run("SET d v EX 100");
    server.effects();
    let before = dirty(&server);
    server.check(&[
        ("ZUNIONSTORE d 1 z", "(integer) 2"),
        ("TTL d", "(integer) -1"),
        ("ZRANGESTORE d z 5 6", "(integer) 0"),
        ("EXISTS d", "(integer) 0"),
        ("ZINTERSTORE d 2 z none", "(integer) 0"),
        ("ZDIFFSTORE d 1 none", "(integer) 0"),
    ]);
    assert_eq!(server.effects(), "ZUNIONSTORE d 1 z | ZRANGESTORE d z 5 6");
    assert_eq!(dirty(&server) - before, 2);
}

#[test]
fn a_stored_result_is_a_listpack_again_when_it_is_small() {
    let mut server = TestServer::new();
    for score in 0..200 {
        server.run(&format!("ZADD z {score} m{score}"));
    }
    server.run("ZADD long 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    for (line, encoding) in [
        ("ZRANGESTORE d z 0 127", "listpack"),
        ("ZRANGESTORE d z 0 128", "skiplist"),
        ("ZUNIONSTORE d 1 z", "skiplist"),
        ("ZUNIONSTORE d 2 d long", "skiplist"),
        ("ZREMRANGEBYRANK d 1 -1", "skiplist"),
        ("ZINTERSTORE d 2 d z", "listpack"),
        ("ZDIFFSTORE d 2 z d", "skiplist"),
        ("ZUNIONSTORE d 1 long", "skiplist"),
    ] {
        assert!(server.run(line).starts_with("(integer)"), "{line}");
        assert_eq!(server.encoding("d"), Some(encoding), "{line}");
    }
}

#[test]
fn waiters_are_served_oldest_first_and_only_with_sorted_sets() {
    let mut server = TestServer::new();
    (2..=4).for_each(|id| server.connect(id));
    assert_eq!(server.run_as(2, "BZPOPMIN other z 0"), "");
    assert_eq!(server.run_as(3, "BZMPOP 0 1 z MAX COUNT 5"), "");
    assert_eq!(server.run_as(4, "BZPOPMAX z 1.5"), "");
    server.run("RPUSH z x");
    server.run("DEL z");
    assert_eq!((2..=4).map(|id| server.output_of(id)).collect::<String>(), "", "a list wakes nobody");
    server.effects();
    server.run("ZADD z 1 a 2 b 3 c");
    assert_eq!(server.output_of(2), "1) \"z\"\n2) \"a\"\n3) \"1\"");
    assert_eq!(
        server.output_of(3),
        "1) \"z\"\n2) 1) 1) \"c\"\n      2) \"3\"\n   2) 1) \"b\"\n      2) \"2\""
    );
    assert_eq!(server.output_of(4), "");
    assert_eq!(server.effects(), "ZADD z 1 a 2 b 3 c | ZPOPMIN z | ZPOPMAX z 2");
    server.advance(1499);
    assert_eq!(server.output_of(4), "");
    server.advance(1);
    assert_eq!(server.output_of(4), "(nil)");
    assert!(server.server.rooms.waiting.queue.is_empty());
}

#[test]
fn every_command_that_makes_a_sorted_set_wakes_a_waiter() {
    let mut server = TestServer::new();
    server.connect(2);
    server.run("ZADD source 7 m");
    for line in [
        "ZADD z 7 m",
        "ZINCRBY z 7 m",
        "ZUNIONSTORE z 1 source",
        "ZINTERSTORE z 1 source",
        "ZDIFFSTORE z 1 source",
        "ZRANGESTORE z source 0 -1",
    ] {
        assert_eq!(server.run_as(2, "BZPOPMIN z 0"), "");
        server.run(line);
        assert_eq!(server.output_of(2), "1) \"z\"\n2) \"m\"\n3) \"7\"", "{line}");
    }
}

#[test]
fn a_hostile_count_of_random_members_closes_the_client() {
    let mut server = TestServer::with(|config| {
        config.client_output_buffer_limit.normal.hard_bytes = 10_000;
    });
    server.run("ZADD z 1 member");
    server.raw("ZRANDMEMBER z -9223372036854775807");
    assert_eq!(server.closed, [ClientId(1)]);
}

#[test]
fn random_members_are_different_unless_the_count_is_negative() {
    let mut server = TestServer::new();
    for score in 0..300 {
        server.run(&format!("ZADD z {score} m{score}"));
    }
    for (count, shown) in [(10, 10), (250, 250), (1000, 300)] {
        let answer = server.run(&format!("ZRANDMEMBER z {count}"));
        let mut names: Vec<_> = answer.lines().filter_map(|line| line.split(' ').next_back()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), shown, "{count}");
    }
    assert_eq!(server.run("ZRANDMEMBER z -1000").lines().count(), 1000);
}

#[test]
fn zscan_shows_every_member_of_a_large_set_once() {
    let mut server = TestServer::new();
    for score in 0..500 {
        server.run(&format!("ZADD z {score}.5 m{score}"));
    }
    let (mut cursor, mut calls) = ("0".to_string(), 0);
    let mut names = Vec::new();
    loop {
        let answer = server.run(&format!("ZSCAN z {cursor} COUNT 50"));
        calls += 1;
        names.extend(
            answer.split('"').filter(|word| word.starts_with('m')).map(str::to_string).collect::<Vec<_>>(),
        );
        cursor = answer.split('"').nth(1).expect("a cursor").to_string();
        if cursor == "0" {
            break;
        }
    }
    assert!(calls > 3, "{calls}");
    assert_eq!(names.len(), 500);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 500);
}
