//! The debugger of scripts, with a client that speaks for itself, and with others beside it.

use crate::support::{Client, Server, wait_until};

/// A script that writes, and then stands at its last line.
const CODE: &str = "redis.call('set', 'k', 'v')\nlocal a = 1\nreturn a";

/// A client whose script has written and stands at line 2. `mode` is that of SCRIPT DEBUG.
fn debugging(server: &Server, mode: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.run(&format!("SCRIPT DEBUG {mode}")), "OK");
    client.send_words(&[b"EVAL", CODE.as_bytes(), b"0"]);
    let start = "[* Stopped at 1, stop reason = step over, -> 1   redis.call('set', 'k', 'v')]";
    assert_eq!(client.reply(), start);
    let stepped = client.run("step");
    assert!(stepped.ends_with("* Stopped at 2, stop reason = step over, -> 2   local a = 1]"), "{stepped}");
    client
}

fn ends(client: &mut Client, answer: &str) {
    assert_eq!(client.reply(), "[<endsession>]");
    assert_eq!(client.reply(), answer);
    assert!(client.is_closed());
}

#[test]
fn a_session_ends_with_the_answer_and_the_connection() {
    let server = Server::start(&["--save", ""]);
    for (mode, kept) in [("yes", "(nil)"), ("SYNC", "\"v\"")] {
        let mut client = debugging(&server, mode);
        client.send("continue");
        ends(&mut client, "(int) 1");
        assert_eq!(server.client().run("GET k"), kept, "{mode}");
    }
}

#[test]
fn an_abort_keeps_what_was_written_only_in_sync_mode() {
    let server = Server::start(&["--save", ""]);
    for (mode, kept) in [("yes", "(nil)"), ("sync", "\"v\"")] {
        let mut client = debugging(&server, mode);
        client.send("abort");
        assert_eq!(client.reply(), "[<endsession>]");
        let answer = client.reply();
        assert!(answer.starts_with("-ERR script aborted for user request script: "), "{answer}");
        assert_eq!(server.client().run("GET k"), kept, "{mode}");
    }
}

#[test]
fn what_is_not_debugged_is_not_undone() {
    let server = Server::start(&["--save", ""]);
    let mut client = server.client();
    let library =
        "#!lua name=l\nredis.register_function('f', function(k) return redis.call('set', k[1], 'v') end)";
    client.send_words(&[b"FUNCTION", b"LOAD", library.as_bytes()]);
    assert_eq!(client.reply(), "\"l\"");
    assert_eq!(client.run("SCRIPT DEBUG YES"), "OK");
    assert_eq!(client.run("FCALL f 1 k"), "OK");
    assert_eq!(client.run("GET k"), "\"v\"");
}

#[test]
fn what_a_script_wrote_that_was_undone_is_in_no_file() {
    let server = Server::start(&["--save", "", "--appendonly", "yes"]);
    let mut client = debugging(&server, "yes");
    client.send("c");
    ends(&mut client, "(int) 1");
    assert_eq!(server.client().run("SET other 1"), "OK");
    let folder = server.stop();
    let again = Server::start_in(folder, &["--save", "", "--appendonly", "yes"]);
    assert_eq!(again.client().run("KEYS *"), "[\"other\"]");
}

#[test]
fn others_are_heard_meanwhile_and_may_stop_it() {
    let server = Server::start(&["--save", ""]);
    for (mode, order, kept) in [("yes", "SCRIPT KILL", "(nil)"), ("sync", "SCRIPT KILL ROLLBACK", "(nil)")] {
        let mut client = debugging(&server, mode);
        let mut other = server.client();
        for line in ["PING", "SCRIPT DEBUG YES", "CLIENT KILL TYPE normal"] {
            let answer = other.run(line);
            assert!(answer.starts_with("-BUSY Redis is busy running a script."), "{line}: {answer}");
        }
        assert_eq!(client.run("eval 1 + 1"), "[<retval> 2]");
        assert_eq!(other.run(order), "OK");
        ends_killed(&mut client);
        assert_eq!(other.run("GET k"), kept, "{mode}");
    }
}

fn ends_killed(client: &mut Client) {
    assert_eq!(client.reply(), "[<endsession>]");
    let answer = client.reply();
    assert!(answer.starts_with("-ERR Script killed by user with SCRIPT KILL..."), "{answer}");
    assert!(client.is_closed());
}

#[test]
fn in_sync_mode_what_has_written_is_not_killed_just_so() {
    let server = Server::start(&["--save", ""]);
    let mut client = debugging(&server, "sync");
    let mut other = server.client();
    assert!(other.run("SCRIPT KILL").starts_with("-UNKILLABLE"));
    client.send("c");
    ends(&mut client, "(int) 1");
    assert_eq!(other.run("GET k"), "\"v\"");
}

#[test]
fn a_server_stops_though_a_script_stands_still() {
    let mut server = Server::start(&["--save", ""]);
    let _client = debugging(&server, "sync");
    server.client().send("SHUTDOWN NOSAVE");
    assert!(server.wait().success());
}

#[test]
fn a_server_is_told_to_stop_though_a_script_stands_still() {
    let server = Server::start(&["--save", ""]);
    let _client = debugging(&server, "yes");
    server.stop();
}

#[test]
fn a_client_that_hangs_up_holds_nobody() {
    let server = Server::start(&["--save", ""]);
    for (mode, kept) in [("yes", "(nil)"), ("sync", "\"v\"")] {
        let client = debugging(&server, mode);
        let mut other = server.client();
        assert!(other.run("PING").starts_with("-BUSY"));
        drop(client);
        // As redis-cli does it at once.
        assert_eq!(other.run("SCRIPT DEBUG NO"), "OK");
        assert_eq!(other.run("GET k"), kept, "{mode}");
    }
}

#[test]
fn a_client_that_sends_garbage_ends_its_session() {
    let server = Server::start(&["--save", ""]);
    let mut client = debugging(&server, "yes");
    client.send_raw(b"*1\r\n$x\r\n");
    assert_eq!(client.reply(), "[<endsession>]");
    let answer = client.reply();
    assert!(answer.starts_with("-ERR protocol error script: "), "{answer}");
    assert!(client.is_closed());
    assert_eq!(server.client().run("GET k"), "(nil)");
}

#[test]
fn commands_that_come_at_once_are_carried_out_in_order() {
    let server = Server::start(&["--save", ""]);
    let mut client = debugging(&server, "yes");
    client.send_raw(b"*1\r\n$1\r\ns\r\n*2\r\n$1\r\np\r\n$1\r\na\r\n*1\r\n$1\r\nc\r\n*1\r\n$4\r\nPING\r\n");
    assert_eq!(client.reply(), "[* Stopped at 3, stop reason = step over, -> 3   return a]");
    assert_eq!(client.reply(), "[<value> 1]");
    ends(&mut client, "(int) 1");
}

#[test]
fn a_script_without_end_stops_where_it_is() {
    let server = Server::start(&["--save", "", "--busy-reply-threshold", "20"]);
    let mut client = server.client();
    client.run("SCRIPT DEBUG SYNC");
    client.send_words(&[b"EVAL", b"local i = 0\nwhile true do i = i + 1 end", b"0"]);
    client.reply();
    let stopped =
        "[* Stopped at 2, stop reason = timeout reached, infinite loop?, -> 2   while true do i = i + 1 end]";
    assert_eq!(client.run("c"), stopped);
    drop(client);
    let mut other = server.client();
    wait_until("the script has ended", || other.run("PING") == "PONG");
}

#[test]
fn code_without_end_can_be_killed() {
    let server = Server::start(&["--save", "", "--busy-reply-threshold", "20"]);
    let mut client = debugging(&server, "yes");
    client.send_words(&[b"e", b"while true do end"]);
    let mut other = server.client();
    wait_until("it is killed", || other.run("SCRIPT KILL") == "OK");
    let told = client.reply();
    if told != "[<endsession>]" {
        assert!(told.starts_with("[<error> "), "{told}");
        assert_eq!(client.reply(), "[<endsession>]");
    }
    assert!(client.reply().starts_with("-ERR Script killed by user"));
}

#[test]
fn what_cannot_be_debugged_is_refused() {
    let server = Server::start(&["--save", ""]);
    let mut client = server.client();
    assert_eq!(client.run("SCRIPT DEBUG maybe"), "-ERR Use SCRIPT DEBUG YES/SYNC/NO");
    assert_eq!(client.run("SCRIPT DEBUG yes"), "OK");
    let sha = "a".repeat(40);
    let refused = "-ERR Please use EVAL instead of EVALSHA for debugging";
    assert_eq!(client.run(&format!("EVALSHA {sha} 0")), refused);
    client.run("MULTI");
    client.send_words(&[b"EVAL", b"return 1", b"0"]);
    client.reply();
    client.run("SCRIPT DEBUG SYNC");
    let refused = "[-ERR Scripts are debugged outside of a pipeline or transaction, -ERR SCRIPT DEBUG must be called outside a pipeline]";
    assert_eq!(client.run("EXEC"), refused);
    assert_eq!(client.run("SCRIPT DEBUG no"), "OK");
    client.send_words(&[b"EVAL", b"return redis.breakpoint()", b"0"]);
    assert_eq!(client.reply(), "(nil)");
}
