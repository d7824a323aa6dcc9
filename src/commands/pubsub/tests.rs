//! Several clients in memory: who gets what, and where in the stream of answers.

use crate::base::ClientId;
use crate::commands::testing::TestServer;
use crate::config::{BufferLimit, NotifyClasses};

/// A server whose clients 2 and 3 can listen.
fn server() -> TestServer {
    let mut server = TestServer::new();
    server.connect(2);
    server.connect(3);
    server
}

/// Returns the output that arrived for a client, without line ends.
fn heard(server: &mut TestServer, id: u64) -> String {
    server.raw_output_of(id).replace("\r\n", " ").trim_end().to_string()
}

#[test]
fn a_message_reaches_channel_and_patterns_in_each_clients_protocol() {
    let mut server = server();
    server.run_as(2, "HELLO 3");
    server.run_as(2, "SUBSCRIBE news");
    server.run_as(3, "PSUBSCRIBE n* *s x*");
    assert_eq!(server.run("PUBLISH news hi"), "(integer) 3");
    assert_eq!(heard(&mut server, 2), ">3 $7 message $4 news $2 hi");
    let twice = "*4 $8 pmessage $2 *s $4 news $2 hi *4 $8 pmessage $2 n* $4 news $2 hi";
    assert_eq!(heard(&mut server, 3), twice);
    assert_eq!(server.run("PUBSUB NUMSUB news x"), "1) \"news\"\n2) (integer) 1\n3) \"x\"\n4) (integer) 0");
    assert_eq!(server.run("PUBSUB NUMPAT"), "(integer) 3");
    assert_eq!(server.run("PUBSUB CHANNELS n*"), "1) \"news\"");
    assert_eq!(server.run("PUBSUB CHANNELS x*"), "(empty array)");
}

#[test]
fn shard_channels_are_a_world_of_their_own() {
    let mut server = server();
    server.run_as(2, "SSUBSCRIBE news");
    server.run_as(3, "PSUBSCRIBE *");
    assert_eq!(server.run("SPUBLISH news hi"), "(integer) 1");
    assert_eq!(heard(&mut server, 2), "*3 $8 smessage $4 news $2 hi");
    assert_eq!(heard(&mut server, 3), "");
    assert_eq!(server.run("PUBLISH news hi"), "(integer) 1", "only the pattern");
    assert_eq!(server.run("PUBSUB SHARDCHANNELS"), "1) \"news\"");
    assert_eq!(server.run("PUBSUB SHARDNUMSUB news"), "1) \"news\"\n2) (integer) 1");
}

#[test]
fn unsubscribing_from_all_tells_of_each_in_the_order_of_subscription() {
    let mut server = server();
    server.run_as(2, "SUBSCRIBE c a b");
    server.run_as(2, "PSUBSCRIBE z y");
    let told = server.run_as(2, "UNSUBSCRIBE");
    let names: Vec<_> = told.lines().filter(|line| line.starts_with("2)")).collect();
    assert_eq!(names, ["2) \"c\"", "2) \"a\"", "2) \"b\""]);
    assert!(told.ends_with("(integer) 2"), "the patterns are left: {told}");
    assert!(server.run_as(2, "PUNSUBSCRIBE").contains("2) \"z\""));
}

#[test]
fn a_client_that_is_gone_or_reset_hears_nothing_any_more() {
    let mut server = server();
    for id in [2, 3] {
        server.run_as(id, "SUBSCRIBE a");
        server.run_as(id, "PSUBSCRIBE a*");
        server.run_as(id, "SSUBSCRIBE a");
    }
    assert_eq!(server.run("PUBLISH a x"), "(integer) 4");
    server.disconnect(2);
    assert_eq!(server.run("PUBLISH a x"), "(integer) 2");
    server.run_as(3, "RESET");
    assert_eq!(server.run("PUBLISH a x"), "(integer) 0");
    assert_eq!(server.run("SPUBLISH a x"), "(integer) 0");
    assert_eq!(server.run_as(3, "PING"), "PONG");
}

#[test]
fn a_message_to_oneself_stands_before_the_answer_also_inside_exec() {
    let mut server = server();
    server.run("HELLO 3");
    server.run("SUBSCRIBE a");
    assert_eq!(server.raw("PUBLISH a x"), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n:1\r\n");
    for line in ["MULTI", "PUBLISH a x", "PUBLISH a y"] {
        server.run(line);
    }
    let exec = server.raw("EXEC");
    assert_eq!(exec.replace("\r\n", " "), "*2 >3 $7 message $1 a $1 x :1 >3 $7 message $1 a $1 y :1 ");
    server.run("UNSUBSCRIBE");
    assert_eq!(server.run("PUBLISH a x"), "(integer) 0");
}

#[test]
fn client_reply_off_silences_answers_but_not_messages() {
    let mut server = server();
    server.run_as(2, "HELLO 3");
    server.run_as(2, "CLIENT REPLY OFF");
    server.run_as(2, "SUBSCRIBE a");
    server.run_as(2, "PING");
    server.run_as(2, "PUBLISH a own");
    server.run("PUBLISH a other");
    assert_eq!(heard(&mut server, 2), ">3 $7 message $1 a $5 other", "read by run_as so far");
    server.send_only_as(2, "PUBLISH a own");
    server.send_only_as(2, "SUBSCRIBE b");
    server.send_only_as(2, "PING");
    assert_eq!(heard(&mut server, 2), ">3 $7 message $1 a $3 own >3 $9 subscribe $1 b :2");
    assert_eq!(server.run_as(2, "CLIENT REPLY ON"), "OK");
}

#[test]
fn a_client_that_listens_is_of_the_class_pubsub() {
    let mut server = server();
    server.run_as(2, "SUBSCRIBE a b");
    server.run_as(2, "PSUBSCRIBE c");
    server.run_as(2, "SSUBSCRIBE d");
    let list = server.run("CLIENT LIST TYPE pubsub");
    assert!(list.contains("id=2 ") && !list.contains("id=1 "), "{list}");
    assert!(list.contains(" flags=P db=0 sub=2 psub=1 ssub=1 "), "{list}");
    server.run_as(2, "UNSUBSCRIBE");
    server.run_as(2, "PUNSUBSCRIBE");
    assert!(server.run("CLIENT LIST TYPE pubsub").contains("sub=0 psub=0 ssub=1"));
    server.run_as(2, "SUNSUBSCRIBE");
    assert!(server.run("CLIENT LIST TYPE normal").contains("id=2 "));
}

#[test]
fn only_the_wanted_classes_are_announced() {
    let rows = [
        ("KEA", "SET k v", "__keyspace@0__:k=set __keyevent@0__:set=k"),
        ("KA", "SET k v", "__keyspace@0__:k=set"),
        ("EA", "SET k v", "__keyevent@0__:set=k"),
        ("A", "SET k v", ""),
        ("K", "SET k v", ""),
        ("Kg", "SET k v", ""),
        ("Eg", "SET k v EX 9", "__keyevent@0__:expire=k"),
        ("E$g", "SET k v EX 9", "__keyevent@0__:set=k __keyevent@0__:expire=k"),
        ("E$n", "SET new v", "__keyevent@0__:new=new __keyevent@0__:set=new"),
        ("E$n", "SET k v", "__keyevent@0__:set=k"),
        ("Em", "GET none", "__keyevent@0__:keymiss=none"),
        ("EA", "GET none", ""),
        ("El", "RPUSH l a", "__keyevent@0__:rpush=l"),
        ("Elg", "LPOP l", "__keyevent@0__:lpop=l"),
        ("Es", "SADD s a", "__keyevent@0__:sadd=s"),
        ("Eh", "HSET h a b", "__keyevent@0__:hset=h"),
        ("Ez", "ZADD z 1 a", "__keyevent@0__:zadd=z"),
    ];
    for (classes, line, wanted) in rows {
        let mut server = server();
        server.run("SET k v");
        server.run("RPUSH l x y");
        server.run(&format!("CONFIG SET notify-keyspace-events {classes}"));
        assert_eq!(events(&mut server, line), wanted, "{classes}: {line}");
    }
}

/// The events that `line` leads to, `channel=message`.
fn events(server: &mut TestServer, line: &str) -> String {
    server.run_as(2, "RESET");
    server.run_as(2, "PSUBSCRIBE __key*__:*");
    server.run(line);
    let bytes = server.raw_output_of(2);
    let words: Vec<_> = bytes.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).collect();
    let messages = words.chunks_exact(4).map(|message| format!("{}={}", message[2], message[3]));
    messages.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_key_that_expires_is_announced_whether_it_is_met_or_not() {
    let mut server = server();
    server.run("CONFIG SET notify-keyspace-events Exm");
    server.run("PSETEX k 5 v");
    server.run_as(2, "PSUBSCRIBE *");
    server.advance(10);
    assert!(heard(&mut server, 2).ends_with("$22 __keyevent@0__:expired $1 k"));
    server.server.rooms.time.active_expire = false;
    server.run("PSETEX k 5 v");
    server.advance(10);
    assert_eq!(heard(&mut server, 2), "");
    server.run("GET k");
    let both = heard(&mut server, 2);
    assert!(both.contains("expired $1 k *4") && both.ends_with("keymiss $1 k"), "{both}");
}

#[test]
fn an_event_of_ones_own_command_comes_before_an_answer_not_yet_begun() {
    let mut server = TestServer::with(|config| {
        config.notify_keyspace_events = NotifyClasses::KEYEVENT | NotifyClasses::STRING;
    });
    server.run("HELLO 3");
    server.run("SUBSCRIBE __keyevent@0__:set");
    assert_eq!(server.raw("SET k v").replace("\r\n", " "), ">3 $7 message $18 __keyevent@0__:set $1 k +OK ");
}

#[test]
fn a_subscriber_over_its_hard_limit_is_closed_and_delays_nobody() {
    let mut server = TestServer::with(|config| {
        config.client_output_buffer_limit.pubsub =
            BufferLimit { hard_bytes: 1000, soft_bytes: 0, soft_secs: 0 };
    });
    server.connect(2);
    server.run_as(2, "SUBSCRIBE a");
    let message = "x".repeat(3000);
    let publish = format!("PUBLISH a {message}");
    let lines = [&publish[..]; 10];
    let answers = server.pipeline_as(1, &lines);
    assert_eq!(server.closed, [ClientId(2)]);
    assert_eq!(server.raw_output_of(2), "", "what it did not take is dropped");
    assert_eq!(answers.lines().count(), 10, "the publisher goes on");
    assert_eq!(server.server.rooms.stats.counters.output_limit_disconnections, 1);
}

#[test]
fn a_soft_limit_closes_after_its_time_without_more_traffic() {
    let mut server = TestServer::with(|config| {
        config.client_output_buffer_limit.pubsub =
            BufferLimit { hard_bytes: 0, soft_bytes: 20_000, soft_secs: 3 };
    });
    server.connect(2);
    server.connect(3);
    server.run_as(2, "SUBSCRIBE a");
    // The test's outbox is emptied at once, so a writer that is behind stands in for it.
    for id in [2, 3] {
        server.set_pending_output(id, 21_000);
    }
    server.run("PUBLISH a x");
    server.advance(3000);
    assert!(server.closed.is_empty());
    server.set_pending_output(2, 16_450);
    server.advance(1500);
    server.set_pending_output(2, 21_000);
    server.advance(200);
    server.advance(3000);
    assert!(server.closed.is_empty(), "it had caught up in between");
    server.advance(1500);
    assert_eq!(server.closed, [ClientId(2)], "the other client is of another class");
}
