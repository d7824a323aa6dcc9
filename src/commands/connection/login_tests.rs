//! Guessing passwords is slow, whatever the guesser does, and costs others little.

use crate::base::ClientId;
use crate::commands::testing::TestServer;

const WRONG: &str = "(error) WRONGPASS invalid username-password pair or user is disabled.";

/// Clients 2 to 9 of the one address, 20 and 21 of another; the password is `secret`.
fn with_clients() -> TestServer {
    let mut server = TestServer::with(|config| config.requirepass = "secret".into());
    server.run("AUTH secret");
    (2..=9).for_each(|id| server.connect_from(id, &format!("10.0.0.1:{id}")));
    (20..=21).for_each(|id| server.connect_from(id, &format!("[fe80::1]:{id}")));
    server
}

/// Fails often enough from 10.0.0.1 that the next delay, which is on, is a second.
fn annoy(server: &mut TestServer) {
    for number in 0..9 {
        server.advance(1000);
        assert_eq!(server.run_as(9, &format!("AUTH guess{number}")), WRONG);
    }
}

#[test]
fn a_right_password_is_answered_at_once_when_none_was_wrong() {
    let mut server = with_clients();
    for (id, line) in [(2, "AUTH secret"), (3, "AUTH default secret"), (4, "HELLO 2 AUTH default secret")] {
        assert_ne!(server.run_as(id, line), "", "{line}");
        assert_eq!(server.run_as(id, "ACL WHOAMI"), "\"default\"");
    }
    assert_eq!(server.run_as(5, "AUTH wrong"), WRONG, "and so is the first wrong one");
}

#[test]
fn during_the_delay_nothing_tells_a_right_password_from_a_wrong_one() {
    let attempts = [
        "AUTH secret",
        "AUTH wrong",
        "AUTH default secret",
        "AUTH nobody secret",
        "HELLO 3 AUTH default secret",
        "HELLO 3 SETNAME me AUTH default wrong",
    ];
    for attempt in attempts {
        let mut server = with_clients();
        annoy(&mut server);
        server.run("CONFIG RESETSTAT");
        assert_eq!(server.run_as(2, attempt), "", "{attempt}");
        assert_eq!(
            server.pipeline_as(3, &["PING", attempt, "PING"]),
            "(error) NOAUTH Authentication required."
        );
        server.advance(999);
        assert_eq!(server.output_of(2) + &server.output_of(3), "", "{attempt}");
        let client = server.run("CLIENT LIST ID 2");
        assert!(client.contains(" user=default ") && client.contains(" flags=b "), "{client}");
        let stats = server.run("INFO commandstats");
        assert!(!stats.contains("cmdstat_auth:") && !stats.contains("cmdstat_hello:"), "{stats}");
        server.advance(1);
        assert_ne!(server.output_of(2), "", "{attempt}");
        server.advance(1000);
        assert_ne!(server.output_of(3), "", "{attempt}");
    }
}

#[test]
fn who_hangs_up_and_comes_again_learns_nothing_and_delays_nobody() {
    let mut server = with_clients();
    annoy(&mut server);
    for round in 0..1000 {
        server.connect_from(100 + round, "10.0.0.1:100");
        assert_eq!(server.run_as(100 + round, if round == 500 { "AUTH secret" } else { "AUTH wrong" }), "");
        server.disconnect(100 + round);
    }
    assert_eq!(server.run_as(2, "AUTH secret"), "");
    server.advance(1000);
    assert_eq!(server.output_of(2), "OK", "it was the first of those that are still there");
}

#[test]
fn many_connections_have_one_guess_a_delay_and_right_passwords_come_in_turn() {
    let mut server = with_clients();
    annoy(&mut server);
    for id in 100..1100 {
        server.connect_from(id, &format!("10.0.0.1:{id}"));
        assert_eq!(server.run_as(id, &format!("AUTH guess-{id}")), "");
    }
    assert_eq!(server.run_as(20, "AUTH secret"), "OK", "another address waits for nobody");
    assert_eq!(server.run("PING"), "PONG", "and nobody waits who is logged in");
    for second in 0..10 {
        server.advance(999);
        assert_eq!(server.output_of(100 + second), "");
        server.advance(1);
        assert_eq!(server.output_of(100 + second), WRONG);
        assert_eq!(server.output_of(101 + second), "");
    }
    (110..1098).for_each(|id| server.disconnect(id));
    for id in [2, 3] {
        assert_eq!(server.run_as(id, "AUTH secret"), "");
    }
    server.advance(1000);
    assert_eq!((server.output_of(1098).as_str(), server.output_of(1099).as_str()), (WRONG, ""));
    server.advance(1000);
    assert_eq!((server.output_of(1099).as_str(), server.output_of(2).as_str()), (WRONG, ""));
    server.advance(1000);
    assert_eq!(
        (server.output_of(2).as_str(), server.output_of(3).as_str()),
        ("OK", "OK"),
        "right ones wait for none"
    );
}

#[test]
fn who_tries_again_stands_behind_those_who_wait() {
    let mut server = with_clients();
    annoy(&mut server);
    assert_eq!(server.pipeline_as(2, &["AUTH secret", "AUTH wrong"]), "");
    assert_eq!(server.run_as(3, "AUTH secret"), "");
    server.advance(1000);
    assert_eq!((server.output_of(2), server.output_of(3)), (format!("OK\n{WRONG}"), "OK".to_owned()));
}

#[test]
fn clients_with_the_same_wrong_password_delay_others_once() {
    let mut server = with_clients();
    annoy(&mut server);
    for id in 100..200 {
        server.connect_from(id, &format!("10.0.0.1:{id}"));
        server.run_as(id, "AUTH outdated");
    }
    server.run_as(2, "AUTH secret");
    server.advance(1000);
    for id in 100..200 {
        assert_eq!(server.output_of(id), WRONG, "{id}");
        assert_eq!(server.run_as(id, "AUTH outdated"), "", "the next one waits again");
    }
    assert_eq!(server.output_of(2), "");
    server.advance(1000);
    assert_eq!(server.output_of(2), "OK");
}

#[test]
fn guesses_in_a_pipeline_wait_for_each_other() {
    let mut server = with_clients();
    let guesses = ["AUTH a", "AUTH b", "HELLO 3 AUTH nobody c", "AUTH secret", "ACL WHOAMI"];
    assert_eq!(server.pipeline_as(2, &guesses), WRONG);
    for (ms, answer) in [(4, ""), (1, WRONG), (9, ""), (1, WRONG), (19, ""), (1, "OK\n\"default\"")] {
        server.advance(ms);
        assert_eq!(server.output_of(2), answer);
    }
}

#[test]
fn a_transaction_waits_as_a_whole_and_guesses_once() {
    for guess in ["AUTH other x", "HELLO 2 AUTH other x", "AUTH nobody x"] {
        let mut server = TestServer::new();
        server.run("ACL SETUSER guest on >pw -@all +multi +exec +discard");
        server.run("ACL SETUSER other on >secret +@all");
        server.connect(2);
        server.run_as(2, "AUTH guest pw");
        let queue = |server: &mut TestServer| {
            for line in ["MULTI", guess, "AUTH other secret"] {
                server.run_as(2, line);
            }
        };
        queue(&mut server);
        let failed = format!("1) {WRONG}\n2) {WRONG}");
        assert_eq!(server.run_as(2, "EXEC"), failed, "behind a wrong one none is right");
        queue(&mut server);
        assert_eq!(server.run_as(2, "EXEC"), "", "{guess}");
        server.send_only_as(2, "MULTI");
        server.advance(4);
        assert_eq!(server.output_of(2), "", "and so does what follows it");
        server.advance(1);
        assert_eq!(server.output_of(2), format!("{failed}\nOK"), "{guess}");
        server.run_as(2, "AUTH other secret");
        assert_eq!(server.run_as(2, "EXEC"), "", "the same guess again was counted");
        server.advance(9);
        assert_eq!(server.output_of(2), "");
        server.advance(1);
        assert_eq!(server.output_of(2), "1) OK");
    }
}

#[test]
fn a_transaction_without_a_password_or_a_command_that_fails_does_not_wait() {
    let mut server = with_clients();
    server.run_as(2, "AUTH secret");
    annoy(&mut server);
    for (line, answer) in [
        ("MULTI", "OK"),
        ("PING", "QUEUED"),
        ("EXEC", "1) PONG"),
        ("MULTI", "OK"),
        ("AUTH x", "QUEUED"),
        ("NOTHING", "(error) ERR unknown command 'NOTHING', with args beginning with: "),
        ("EXEC", "(error) EXECABORT Transaction discarded because of previous errors."),
        ("AUTH a b c", "(error) ERR syntax error"),
        ("HELLO 3 AUTH default", "(error) ERR Syntax error in HELLO option 'AUTH'"),
    ] {
        assert_eq!(server.run_as(2, line), answer, "{line}");
    }
    assert!(server.run_as(2, "HELLO 2 SETNAME auth").contains("proto"));
    assert!(server.run_as(3, "HELLO").starts_with("(error) NOAUTH"));
}

#[test]
fn who_waits_can_be_killed_and_not_unblocked() {
    let mut server = with_clients();
    annoy(&mut server);
    for (id, line) in [(2, "AUTH secret"), (3, "AUTH wrong"), (4, "AUTH secret")] {
        assert_eq!(server.run_as(id, line), "");
    }
    assert_eq!(server.run("CLIENT UNBLOCK 2"), "(integer) 0");
    assert_eq!(server.run("CLIENT KILL ID 3"), "(integer) 1");
    assert_eq!(server.closed, [ClientId(3)]);
    server.disconnect(3);
    server.disconnect(2);
    server.advance(1000);
    assert_eq!(server.output_of(4), "OK");
    assert_eq!(server.output_of(2) + &server.output_of(3), "");
}

#[test]
fn a_pause_and_the_delay_are_waited_for_both() {
    let mut server = with_clients();
    annoy(&mut server);
    server.run("CLIENT PAUSE 1500 ALL");
    assert_eq!(server.run_as(2, "AUTH secret"), "");
    server.advance(1501);
    assert_eq!(server.output_of(2), "OK");
    assert_eq!(server.run_as(3, "AUTH wrong"), WRONG);
    server.run_as(3, "AUTH secret");
    server.run("CLIENT PAUSE 1500 ALL");
    server.advance(1001);
    assert_eq!(server.output_of(3), "");
    server.advance(500);
    assert_eq!(server.output_of(3), "OK");
}
