//! Several clients in memory: who is told of which change, when, and in which words.

use crate::commands::testing::TestServer;

/// A server whose client 1 speaks RESP3; 2 and 3 do not.
fn server() -> TestServer {
    let mut server = TestServer::new();
    server.connect(2);
    server.connect(3);
    server.run("HELLO 3");
    server
}

/// Returns the output that arrived for a client, without line ends.
fn heard(server: &mut TestServer, id: u64) -> String {
    server.raw_output_of(id).replace("\r\n", " ").trim_end().to_string()
}

/// Returns the answer of client 1, without line ends.
fn answered(server: &mut TestServer, line: &str) -> String {
    server.raw(line).replace("\r\n", " ").trim_end().to_string()
}

#[test]
fn a_key_that_was_read_is_told_of_once_when_it_changes() {
    let mut server = server();
    server.run("CLIENT TRACKING ON");
    server.run("MGET a b none");
    server.run_as(2, "SET a 1");
    server.run_as(2, "SET a 2");
    assert_eq!(heard(&mut server, 1), ">2 $10 invalidate *1 $1 a");
    server.run_as(2, "SET other 1");
    assert_eq!(heard(&mut server, 1), "");
    server.run_as(2, "SET none 1");
    assert_eq!(heard(&mut server, 1), ">2 $10 invalidate *1 $4 none", "that it is missing was read");
    let tables = &server.server.rooms.tracking.tables;
    assert_eq!((tables.keys_len(), tables.readers_len()), (1, 1));
    server.run("CLIENT TRACKING OFF");
    server.run_as(2, "SET b 1");
    assert_eq!(heard(&mut server, 1), "");
}

#[test]
fn ones_own_changes_are_told_behind_the_whole_answer() {
    let mut server = server();
    server.run("CLIENT TRACKING ON");
    server.run("GET a");
    assert_eq!(answered(&mut server, "SET a 1"), "+OK >2 $10 invalidate *1 $1 a");
    server.run("GET a");
    server.run("MULTI");
    server.run("INCR a");
    server.run("GET b");
    assert_eq!(answered(&mut server, "EXEC"), "*2 :2 _ >2 $10 invalidate *1 $1 a");
    server.run("CLIENT TRACKING ON NOLOOP");
    server.run("GET a");
    assert_eq!(answered(&mut server, "SET a 1"), "+OK");
    server.run("GET a");
    server.run_as(2, "SET a 1");
    assert_eq!(heard(&mut server, 1), ">2 $10 invalidate *1 $1 a");
}

#[test]
fn expiry_and_emptying_are_told_of() {
    let mut server = server();
    // With save points FLUSHALL would wait for a disk.
    server.run("CONFIG SET save \"\"");
    server.run("CLIENT TRACKING ON NOLOOP");
    server.run("SET k v PX 5");
    server.run("GET k");
    server.advance(10);
    assert_eq!(heard(&mut server, 1), ">2 $10 invalidate *1 $1 k");
    server.run("GET k");
    server.run_as(2, "FLUSHALL");
    assert_eq!(heard(&mut server, 1), ">2 $10 invalidate _");
    server.run("GET k");
    server.run_as(2, "SET k v");
    assert_eq!(heard(&mut server, 1), ">2 $10 invalidate *1 $1 k", "it was read after that");
    assert_eq!(answered(&mut server, "FLUSHDB"), "+OK >2 $10 invalidate _");
}

#[test]
fn a_resp2_client_has_another_one_listen_for_it() {
    let mut server = server();
    server.run_as(3, "SUBSCRIBE __redis__:invalidate");
    assert_eq!(server.run_as(2, "CLIENT TRACKING ON REDIRECT 3"), "OK");
    assert_eq!(server.run_as(2, "CLIENT GETREDIR"), "(integer) 3");
    server.run_as(2, "GET a");
    server.run("SET a 1");
    assert_eq!(heard(&mut server, 3), "*3 $7 message $20 __redis__:invalidate *1 $1 a");
    server.run("FLUSHALL");
    assert_eq!(heard(&mut server, 3), "*3 $7 message $20 __redis__:invalidate $-1");
    server.run_as(3, "UNSUBSCRIBE");
    server.run_as(2, "GET a");
    server.run("SET a 1");
    assert_eq!(heard(&mut server, 3), "", "a RESP2 client that does not listen cannot be told");
}

#[test]
fn a_redirect_to_a_client_that_is_gone_is_told_of_in_resp3() {
    let mut server = server();
    server.run("CLIENT TRACKING ON REDIRECT 3");
    server.run("GET a");
    server.disconnect(3);
    server.run_as(2, "SET a 1");
    assert_eq!(heard(&mut server, 1), ">2 $21 tracking-redir-broken :3");
    assert!(server.run("CLIENT TRACKINGINFO").contains("broken_redirect"));
    assert!(server.run_as(2, "CLIENT LIST").contains(" flags=tR "));
    assert_eq!(
        server.run_as(2, "CLIENT TRACKING ON REDIRECT 3"),
        "(error) ERR The client ID you want redirect to does not exist"
    );
}

#[test]
fn broadcasts_come_at_the_end_of_a_turn_in_one_message_per_prefix() {
    let mut server = server();
    server.run("CLIENT TRACKING ON BCAST PREFIX a: PREFIX b:");
    server.pipeline_as(2, &["SET a:2 1", "SET a:1 1", "SET b:1 1", "SET c:1 1", "SET a:2 2"]);
    assert_eq!(heard(&mut server, 1), ">2 $10 invalidate *2 $3 a:1 $3 a:2 >2 $10 invalidate *1 $3 b:1");
    assert_eq!(answered(&mut server, "SET a:1 1"), "+OK >2 $10 invalidate *1 $3 a:1");
    assert!(server.run_as(2, "CLIENT LIST").contains(" flags=tB "));
    server.run("CLIENT TRACKING OFF");
    server.run("CLIENT TRACKING ON BCAST NOLOOP");
    assert_eq!(answered(&mut server, "SET x 1"), "+OK");
    assert_eq!(server.server.rooms.tracking.tables.prefixes_len(), 1);
}

#[test]
fn caching_chooses_the_reads_of_the_next_command_or_transaction() {
    for (mode, caching, is_told) in [
        ("OPTIN", None, false),
        ("OPTIN", Some("CLIENT CACHING YES"), true),
        ("OPTOUT", None, true),
        ("OPTOUT", Some("CLIENT CACHING NO"), false),
    ] {
        for reads in [&["GET a"][..], &["CLIENT ID", "GET a"], &["MULTI", "PING", "GET a", "EXEC"]] {
            let mut server = server();
            server.run(&format!("CLIENT TRACKING ON {mode}"));
            caching.iter().for_each(|line| assert_eq!(server.run(line), "OK"));
            reads.iter().for_each(|line| drop(server.raw(line)));
            server.run_as(2, "SET a 1");
            assert_eq!(!heard(&mut server, 1).is_empty(), is_told, "{mode} {caching:?} {reads:?}");
        }
    }
    let mut server = server();
    server.run("CLIENT TRACKING ON OPTIN");
    server.run("CLIENT CACHING YES");
    server.run("PING");
    server.run("GET a");
    server.run_as(2, "SET a 1");
    assert_eq!(heard(&mut server, 1), "", "it held for PING");
}

#[test]
fn a_table_over_its_limit_is_cut_down_before_the_next_command() {
    let mut server = server();
    server.run("CLIENT TRACKING ON");
    server.run("CONFIG SET tracking-table-max-keys 2");
    server.run("MGET a b c d");
    let answer = answered(&mut server, "PING");
    assert_eq!(answer.matches("invalidate").count(), 2, "{answer}");
    assert!(answer.ends_with("+PONG"), "{answer}");
    assert_eq!(server.server.rooms.tracking.tables.keys_len(), 2);
}

#[test]
fn invalidations_are_sent_after_client_reply_off() {
    let mut server = server();
    server.run("CLIENT TRACKING ON");
    server.run("GET a");
    server.send_only("CLIENT REPLY OFF");
    assert_eq!(answered(&mut server, "SET a 1"), ">2 $10 invalidate *1 $1 a");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let rows = [
        ("CLIENT TRACKING ON PREFIX a", "ERR PREFIX option requires BCAST mode to be enabled"),
        ("CLIENT TRACKING ON BCAST OPTIN", "ERR OPTIN and OPTOUT are not compatible with BCAST"),
        ("CLIENT TRACKING ON OPTIN OPTOUT", "ERR You can't specify both OPTIN mode and OPTOUT mode"),
        ("CLIENT TRACKING ON REDIRECT", "ERR syntax error"),
        ("CLIENT TRACKING MAYBE", "ERR syntax error"),
        ("CLIENT TRACKING ON REDIRECT x", "ERR value is not an integer or out of range"),
        (
            "CLIENT TRACKING ON REDIRECT 2 REDIRECT 3",
            "ERR A client can only redirect to a single other client",
        ),
        (
            "CLIENT TRACKING ON BCAST PREFIX ab PREFIX a",
            "ERR Prefix 'ab' overlaps with another provided prefix 'a'. Prefixes for a single client must not overlap.",
        ),
        (
            "CLIENT CACHING YES",
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ),
    ];
    for (line, error) in rows {
        assert_eq!(server().run(line), format!("(error) {error}"), "{line}");
    }
    let mut server = server();
    server.run("CLIENT TRACKING ON BCAST PREFIX a");
    let overlap = server.run("CLIENT TRACKING ON BCAST PREFIX ab");
    assert!(overlap.contains("Prefix 'ab' overlaps with an existing prefix 'a'"), "{overlap}");
    assert!(server.run("CLIENT TRACKING ON").contains("You can't switch BCAST mode on/off"));
    server.run("RESET");
    assert_eq!(server.run("CLIENT GETREDIR"), "(integer) -1");
}

#[test]
fn every_subcommand_of_client_leaves_what_caching_said() {
    for command in super::super::client::COMMANDS {
        assert!(command.spec.flags.contains(crate::spec::KEEPS_CACHING), "{}", command.spec.name);
    }
}
