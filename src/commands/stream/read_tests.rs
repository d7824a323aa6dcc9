//! XREAD and XREADGROUP: what is answered, who waits, and who is served when.

use crate::commands::testing::TestServer;

const UNBLOCKED: &str = "(error) UNBLOCKED the stream key no longer exists";
const GROUP_GONE: &str = "(error) NOGROUP the consumer group this client was blocked on no longer exists";

/// A server with clients 1 to `clients`, and a stream `s` of `1-1`, `2-1` and `3-1` with a group
/// `g` that has read nothing.
fn server_with(clients: u64) -> TestServer {
    let mut server = TestServer::new();
    (2..=clients).for_each(|id| server.connect(id));
    for id in ["1-1", "2-1", "3-1"] {
        server.run(&format!("XADD s {id} f {id}"));
    }
    server.run("XGROUP CREATE s g 0");
    server.effects();
    server
}

/// Parks client `id`, which must not be answered.
fn park(server: &mut TestServer, id: u64, line: &str) {
    assert_eq!(server.run_as(id, line), "", "{line} waits");
}

/// Returns the answer of XREAD for entries whose only value is their ID, as redis-cli shows it in
/// RESP2.
fn answer(key: &str, ids: &[&str]) -> String {
    let entry = |id: &&str| format!("{id}=f:{id}");
    format!("{key}: {}", ids.iter().map(entry).collect::<Vec<_>>().join(" "))
}

/// The raw answer to XREAD in RESP2, made short: `key: id=field:value …`, a line for each stream.
fn short(raw: &str) -> String {
    let mut words = raw.split("\r\n").peekable();
    let mut out = String::new();
    let streams = words.next().and_then(|head| head.strip_prefix('*')).expect("an array");
    for _ in 0..streams.parse::<usize>().expect("a length") {
        assert_eq!(words.next(), Some("*2"));
        let key = words.nth(1).expect("a key");
        let entries: usize = words.next().expect("entries")[1..].parse().expect("a length");
        let mut shown = Vec::new();
        for _ in 0..entries {
            assert_eq!(words.next(), Some("*2"));
            let id = words.nth(1).expect("an ID");
            let fields = words.next().expect("fields");
            if fields == "*-1" {
                shown.push(format!("{id}=gone"));
                continue;
            }
            let pairs: usize = fields[1..].parse::<usize>().expect("a length") / 2;
            let pairs: Vec<_> = (0..pairs)
                .map(|_| format!("{}:{}", words.nth(1).expect("a field"), words.nth(1).expect("a value")))
                .collect();
            shown.push(format!("{id}={}", pairs.join(",")));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!("{key}: {}", shown.join(" ")));
    }
    out
}

fn read(server: &mut TestServer, line: &str) -> String {
    short(&server.raw(line))
}

fn output(server: &mut TestServer, id: u64) -> String {
    short(&server.raw_output_of(id))
}

#[test]
fn what_stands_behind_an_id_is_answered_stream_by_stream() {
    let mut server = server_with(1);
    server.run("XADD t 5 f 5-0");
    for (line, wanted) in [
        ("XREAD STREAMS s 0", answer("s", &["1-1", "2-1", "3-1"])),
        ("XREAD COUNT 2 STREAMS s 0", answer("s", &["1-1", "2-1"])),
        ("xread count 0 streams s 2", answer("s", &["2-1", "3-1"])),
        ("XREAD COUNT -7 BLOCK 0 STREAMS s 2-1", answer("s", &["3-1"])),
        ("XREAD COUNT 1 STREAMS none s t s 0 2-1 0 0", {
            [answer("s", &["3-1"]), answer("t", &["5-0"]), answer("s", &["1-1"])].join("\n")
        }),
        ("XREAD COUNT 9223372036854775807 STREAMS t 4", answer("t", &["5-0"])),
    ] {
        assert_eq!(read(&mut server, line), wanted, "{line}");
    }
    for line in [
        "XREAD STREAMS s 3-1",
        "XREAD STREAMS s $",
        "XREAD STREAMS none 0",
        "XREAD STREAMS s 18446744073709551615-18446744073709551615",
    ] {
        assert_eq!(server.run(line), "(nil)", "{line}");
    }
    server.run("HELLO 3");
    assert_eq!(
        server.raw("XREAD COUNT 1 STREAMS s t 2-1 0"),
        "%2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n3-1\r\n*2\r\n$1\r\nf\r\n$3\r\n3-1\r\n\
         $1\r\nt\r\n*1\r\n*2\r\n$3\r\n5-0\r\n*2\r\n$1\r\nf\r\n$3\r\n5-0\r\n"
    );
    assert_eq!(server.raw("XREAD STREAMS s $"), "_\r\n");
    assert_eq!(server.effects(), "XADD t 5 f 5-0", "reading changes nothing");
}

#[test]
fn wrong_calls_are_refused_in_the_words_of_redis() {
    let mut server = server_with(1);
    server.run("SET str v");
    let not_integer = "(error) ERR value is not an integer or out of range";
    let timeout = "(error) ERR timeout is not an integer or out of range";
    let unbalanced = "(error) ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be \
                      specified.";
    let syntax = "(error) ERR syntax error";
    let invalid = "(error) ERR Invalid stream ID specified as stream command argument";
    let wrong_type = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
    server.check(&[
        ("XREAD STREAMS s", "(error) ERR wrong number of arguments for 'xread' command"),
        ("XREAD STREAMS s s 0", unbalanced),
        ("XREAD COUNT x STREAMS s 0", not_integer),
        ("XREAD BLOCK x STREAMS s 0", timeout),
        ("XREAD BLOCK 1.5 STREAMS s 0", timeout),
        ("XREAD BLOCK -1 STREAMS s 0", "(error) ERR timeout is negative"),
        ("XREAD BLOCK 1 COUNT 1", syntax),
        ("XREAD COUNT 1 STREAMS", syntax),
        ("XREAD FAST STREAMS s 0", syntax),
        ("XREAD GROUP g STREAMS s 0", "(error) ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."),
        ("XREAD NOACK STREAMS s 0", "(error) ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."),
        ("XREAD STREAMS s >", "(error) ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."),
        ("XREAD STREAMS s str 0 0", wrong_type),
        ("XREAD STREAMS s -", invalid),
        ("XREAD STREAMS s 1-2-3", invalid),
        ("XREADGROUP COUNT 1 NOACK STREAMS s >", "(error) ERR Missing GROUP option for XREADGROUP"),
        ("XREADGROUP GROUP g c NOACK STREAMS s", unbalanced),
        ("XREADGROUP GROUP g c STREAMS str >", wrong_type),
        ("XREADGROUP GROUP g c STREAMS none >", "(error) NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option"),
        ("XREADGROUP GROUP h c STREAMS s x", "(error) NOGROUP No such key 's' or consumer group 'h' in XREADGROUP with GROUP option"),
        ("XREADGROUP GROUP g c STREAMS s $", "(error) ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."),
        ("XREADGROUP GROUP g c STREAMS s +", invalid),
        ("XINFO CONSUMERS s g", "(empty array)"),
    ]);
}

#[test]
fn a_group_is_given_each_entry_once_and_a_consumer_its_own_again() {
    let mut server = server_with(1);
    assert_eq!(read(&mut server, "XREADGROUP GROUP g c COUNT 2 STREAMS s >"), answer("s", &["1-1", "2-1"]));
    assert_eq!(read(&mut server, "XREADGROUP GROUP g d STREAMS s >"), answer("s", &["3-1"]));
    assert_eq!(server.run("XREADGROUP GROUP g c STREAMS s >"), "(nil)");
    assert_eq!(
        server.run("XREADGROUP GROUP g c STREAMS s 18446744073709551615-18446744073709551615"),
        "(nil)"
    );
    let claim = |id: &str, consumer: &str| {
        format!("XCLAIM s g {consumer} 0 {id} TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID {id}")
    };
    assert_eq!(
        server.effects(),
        format!("MULTI | {} | {} | EXEC | {}", claim("1-1", "c"), claim("2-1", "c"), claim("3-1", "d"))
    );
    server.run("XDEL s 2-1");
    server.effects();
    server.advance(5);
    assert_eq!(
        read(&mut server, "XREADGROUP GROUP g c BLOCK 0 STREAMS s 0"),
        "s: 1-1=f:1-1 2-1=gone",
        "what a consumer has had never waits"
    );
    assert_eq!(read(&mut server, "XREADGROUP GROUP g c COUNT 1 STREAMS s 1-1"), "s: 2-1=gone");
    assert_eq!(read(&mut server, "XREADGROUP GROUP g new STREAMS s 0"), "s: ");
    assert_eq!(server.effects(), "", "Redis does not propagate what is only looked at again");
    let full = server.run("XINFO STREAM s FULL");
    assert!(full.contains("(integer) 1700000000005\n") && full.contains("(integer) 2\n"), "{full}");
}

#[test]
fn without_acknowledgement_only_the_progress_is_kept_and_propagated() {
    let mut server = server_with(1);
    assert_eq!(
        read(&mut server, "XREADGROUP GROUP g c NOACK COUNT 2 STREAMS s >"),
        answer("s", &["1-1", "2-1"])
    );
    assert_eq!(
        server.effects(),
        "MULTI | XGROUP CREATECONSUMER s g c | XGROUP SETID s g 2-1 ENTRIESREAD 2 | EXEC"
    );
    server.run("XREADGROUP NOACK GROUP g c STREAMS s >");
    assert_eq!(server.effects(), "XGROUP SETID s g 3-1 ENTRIESREAD 3");
    assert_eq!(read(&mut server, "XREADGROUP GROUP g c STREAMS s 0"), "s: ");
}

#[test]
fn an_entry_pending_elsewhere_goes_over_when_the_group_reads_it_again() {
    let mut server = server_with(1);
    server.run("XREADGROUP GROUP g c STREAMS s >");
    server.run("XGROUP SETID s g 2");
    assert_eq!(read(&mut server, "XREADGROUP GROUP g d STREAMS s >"), answer("s", &["2-1", "3-1"]));
    assert_eq!(read(&mut server, "XREADGROUP GROUP g c STREAMS s 0"), answer("s", &["1-1"]));
    assert_eq!(read(&mut server, "XREADGROUP GROUP g d STREAMS s 0"), answer("s", &["2-1", "3-1"]));
}

#[test]
fn reading_is_counted_and_announced_as_redis_does() {
    let mut server = server_with(2);
    server.run("CONFIG SET notify-keyspace-events KEA");
    server.run_as(2, "SUBSCRIBE __keyspace@0__:s");
    let dirty = server.dirty();
    let stats = |server: &TestServer| {
        let findings = &server.server.keyspace.findings;
        (findings.hits, findings.misses)
    };
    let before = stats(&server);
    server.run("XREAD STREAMS s none 0 0");
    let after = stats(&server);
    assert_eq!((after.0 - before.0, after.1 - before.1), (2, 2), "each key is looked up twice");
    server.run("WATCH s");
    server.run_as(2, "XREADGROUP GROUP g c STREAMS s >");
    server.run("XREADGROUP GROUP g c STREAMS s >");
    assert_eq!(server.dirty() - dirty, 2, "the consumer, and the reading");
    assert!(server.output_of(2).contains("xgroup-createconsumer"));
    assert_eq!(server.pipeline_as(1, &["MULTI", "PING", "EXEC"]), "OK\nQUEUED\n1) PONG", "s was not changed");
}

#[test]
fn who_waits_for_the_last_entry_waits_for_what_comes_after_his_command() {
    let mut server = server_with(4);
    park(&mut server, 2, "XREAD BLOCK 0 STREAMS none s $ $");
    park(&mut server, 3, "XREAD BLOCK 0 COUNT 1 STREAMS s 7");
    park(&mut server, 4, "XREAD BLOCK 0 STREAMS none 0");
    let added = server.pipeline_as(1, &["MULTI", "XADD s 5-1 f 5-1", "XADD s 6-1 f 6-1", "EXEC"]);
    assert!(added.ends_with("2) \"6-1\""), "{added}");
    assert_eq!(output(&mut server, 2), answer("s", &["5-1", "6-1"]));
    assert_eq!(server.output_of(3), "", "an ID that has not come yet");
    park(&mut server, 2, "XREAD BLOCK 0 STREAMS s $");
    server.run("XADD s 8-1 f 8-1");
    assert_eq!(output(&mut server, 2), answer("s", &["8-1"]));
    assert_eq!(output(&mut server, 3), answer("s", &["8-1"]));
    server.run("XADD none 1-1 f 1-1");
    assert_eq!(output(&mut server, 4), answer("none", &["1-1"]));
    assert!(server.server.rooms.waiting.queue.is_empty());
}

#[test]
fn a_reader_waits_through_whatever_becomes_of_the_key() {
    let mut server = server_with(2);
    server.run_as(2, "HELLO 3");
    park(&mut server, 2, "XREAD BLOCK 0 STREAMS s $");
    for line in [
        "DEL s",
        "SET s v",
        "DEL s",
        "RPUSH s a",
        "FLUSHDB",
        "XADD s 2-9 f v",
        "XDEL s 2-9",
        "XTRIM s MAXLEN 0",
    ] {
        let answer = server.run(line);
        assert_eq!((answer.starts_with("(error)"), server.output_of(2)), (false, String::new()), "{line}");
    }
    assert_eq!(server.run("XADD s 3-2 f v"), "\"3-2\"");
    assert_eq!(
        server.raw_output_of(2),
        "%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n3-2\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
    );
}

/// Redis answers with no entry then, but only where XADD was what woke the client.
#[test]
fn an_entry_that_is_gone_at_once_does_not_end_the_wait() {
    let mut server = server_with(3);
    server.run("XREADGROUP GROUP g d NOACK STREAMS s >");
    park(&mut server, 2, "XREAD BLOCK 0 STREAMS s $");
    park(&mut server, 3, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    server.pipeline_as(1, &["MULTI", "XADD s 5-1 f v", "XDEL s 5-1", "EXEC"]);
    server.run("XADD s MAXLEN 0 6-1 f v");
    assert_eq!((server.output_of(2), server.output_of(3)), (String::new(), String::new()));
    server.run("XADD s 7-1 f 7-1");
    assert_eq!(output(&mut server, 2), answer("s", &["7-1"]));
    assert_eq!(output(&mut server, 3), answer("s", &["7-1"]));
}

#[test]
fn consumers_that_wait_are_served_in_order_and_get_different_entries() {
    let mut server = server_with(4);
    server.run("XREADGROUP GROUP g c STREAMS s >");
    park(&mut server, 4, "XREADGROUP GROUP g first BLOCK 0 COUNT 1 STREAMS s >");
    park(&mut server, 2, "XREADGROUP GROUP g second BLOCK 0 STREAMS s >");
    park(&mut server, 3, "XREADGROUP GROUP g third NOACK BLOCK 0 STREAMS s >");
    server.effects();
    let dirty = server.dirty();
    server.pipeline_as(1, &["MULTI", "XADD s 5-1 f 5-1", "XADD s 6-1 f 6-1", "EXEC"]);
    assert_eq!(output(&mut server, 4), answer("s", &["5-1"]));
    assert_eq!(output(&mut server, 2), answer("s", &["6-1"]));
    assert_eq!(server.output_of(3), "");
    assert_eq!(server.dirty() - dirty, 4, "entries and consumers, not what waiters are given");
    server.run("XADD s 7-1 f 7-1");
    assert_eq!(output(&mut server, 3), answer("s", &["7-1"]));
    let claim = |id: &str, consumer: &str| {
        format!("XCLAIM s g {consumer} 0 {id} TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID {id}")
    };
    assert_eq!(
        server.effects(),
        format!(
            "MULTI | XADD s 5-1 f 5-1 | XADD s 6-1 f 6-1 | EXEC | {} | {} | XADD s 7-1 f 7-1 | \
             MULTI | XGROUP CREATECONSUMER s g third | XGROUP SETID s g 7-1 ENTRIESREAD 6 | EXEC",
            claim("5-1", "first"),
            claim("6-1", "second")
        )
    );
}

#[test]
fn a_group_or_stream_that_goes_ends_the_wait_of_its_consumers() {
    for (line, answer) in [
        ("DEL s", UNBLOCKED),
        ("UNLINK s", UNBLOCKED),
        ("SET s v", UNBLOCKED),
        ("RENAME s other", UNBLOCKED),
        ("MOVE s 1", UNBLOCKED),
        ("FLUSHDB", UNBLOCKED),
        ("FLUSHALL", UNBLOCKED),
        ("SWAPDB 0 1", UNBLOCKED),
        ("PEXPIREAT s 1", UNBLOCKED),
        ("SORT l STORE s", UNBLOCKED),
        ("RENAME t s", GROUP_GONE),
        ("COPY t s REPLACE", GROUP_GONE),
        ("XGROUP DESTROY s g", GROUP_GONE),
    ] {
        let mut server = server_with(3);
        server.pipeline_as(1, &["XADD t 9-1 f v", "RPUSH l 1", "XREADGROUP GROUP g c STREAMS s >"]);
        park(&mut server, 2, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
        park(&mut server, 3, "XREAD BLOCK 0 STREAMS s 99");
        server.run(line);
        assert_eq!(server.output_of(2), answer, "{line}");
        assert_eq!(server.output_of(3), "", "{line}");
    }
    let mut server = server_with(2);
    server.run("XREADGROUP GROUP g c STREAMS s >");
    park(&mut server, 2, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    server.pipeline_as(1, &["MULTI", "DEL s", "SADD s e", "EXEC"]);
    assert_eq!(server.output_of(2), UNBLOCKED);
}

#[test]
fn a_stream_that_expires_while_nobody_asks_ends_the_wait_of_its_consumers() {
    let mut server = server_with(2);
    server.run("XREADGROUP GROUP g c STREAMS s >");
    server.run("PEXPIRE s 100");
    park(&mut server, 2, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    server.advance(50);
    assert_eq!(server.output_of(2), "");
    server.advance(51);
    assert_eq!(server.output_of(2), UNBLOCKED);
    assert!(server.effects().ends_with("DEL s"));
}

#[test]
fn what_brings_a_group_nothing_new_wakes_nobody() {
    let mut server = server_with(2);
    server.run("XREADGROUP GROUP g c STREAMS s >");
    park(&mut server, 2, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    for line in ["XDEL s 3-1", "XTRIM s MAXLEN 1", "XGROUP CREATECONSUMER s g d", "XGROUP SETID s g 0"] {
        server.run(line);
        assert_eq!(server.output_of(2), "", "{line}");
    }
    server.run("XADD s 9-1 f 9-1");
    assert_eq!(
        output(&mut server, 2),
        answer("s", &["2-1", "9-1"]),
        "then all is new that is behind its last ID"
    );
}

#[test]
fn time_and_client_unblock_end_a_wait() {
    let mut server = server_with(3);
    park(&mut server, 2, "XREAD BLOCK 100 STREAMS s $");
    park(&mut server, 3, "XREAD BLOCK 9223372036854775807 STREAMS s $");
    server.advance(99);
    assert_eq!(server.output_of(2), "");
    server.advance(1);
    assert_eq!(server.output_of(2), "(nil)");
    park(&mut server, 2, "XREAD BLOCK 0 STREAMS s $");
    server.run("CLIENT UNBLOCK 2");
    assert_eq!(server.output_of(2), "(nil)");
    park(&mut server, 2, "XREAD BLOCK 0 STREAMS s $");
    server.run("CLIENT UNBLOCK 2 ERROR");
    assert_eq!(server.output_of(2), "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK");
    server.advance(1_000_000_000_000);
    assert_eq!(server.output_of(3), "", "more than there are milliseconds is for ever");
}

#[test]
fn nothing_is_given_to_who_is_gone_and_nobody_waits_in_a_transaction() {
    let mut server = server_with(3);
    server.run("XREADGROUP GROUP g c STREAMS s >");
    park(&mut server, 2, "XREADGROUP GROUP g gone BLOCK 0 STREAMS s >");
    park(&mut server, 3, "XREADGROUP GROUP g there BLOCK 0 STREAMS s >");
    server.disconnect(2);
    server.run("XADD s 5-1 f 5-1");
    assert_eq!(output(&mut server, 3), answer("s", &["5-1"]));
    assert!(!server.run("XINFO CONSUMERS s g").contains("gone"));
    assert_eq!(
        server.pipeline_as(
            1,
            &["MULTI", "XREAD BLOCK 0 STREAMS s $", "XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "EXEC"]
        ),
        "OK\nQUEUED\nQUEUED\n1) (nil)\n2) (nil)"
    );
}

#[test]
fn who_waited_without_a_count_is_given_no_more_than_a_thousand() {
    let mut server = server_with(2);
    park(&mut server, 2, "XREAD BLOCK 0 STREAMS s $");
    let mut lines = vec!["MULTI"];
    lines.extend(std::iter::repeat_n("XADD s * f v", 1001));
    lines.push("EXEC");
    server.pipeline_as(1, &lines);
    assert!(server.raw_output_of(2).starts_with("*1\r\n*2\r\n$1\r\ns\r\n*1000\r\n"));
}

#[test]
fn the_slow_log_shows_what_was_sent() {
    let mut server = server_with(2);
    server.run("CONFIG SET slowlog-log-slower-than 0");
    park(&mut server, 2, "XREAD BLOCK 0 STREAMS s $");
    server.run("SLOWLOG RESET");
    server.run("XADD s 5-1 f v");
    let log = server.run("SLOWLOG GET 1");
    let log = log + &server.run("SLOWLOG GET");
    assert!(log.contains("\"XREAD\"") && log.contains("\"$\"") && !log.contains("\"3-1\""), "{log}");
    assert!(server.run("INFO commandstats").contains("cmdstat_xread:calls=1,"));
}

#[test]
fn a_key_named_many_times_does_not_fill_the_memory() {
    let mut server = TestServer::new();
    server.connect(2);
    server.run("CONFIG SET client-output-buffer-limit \"normal 1000000 0 0\"");
    server.run(&format!("XADD s 1-1 f {}", "x".repeat(100_000)));
    let line = format!("XREAD STREAMS{}{}", " s".repeat(1000), " 0".repeat(1000));
    server.send_only_as(2, &line);
    assert_eq!(server.closed.len(), 1);
    assert!(server.raw_output_of(2).len() < 2_000_000);
}
