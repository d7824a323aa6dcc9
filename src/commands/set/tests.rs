//! What clients see of the set commands.

use crate::commands::testing::TestServer;

/// The answer of a set or array, its lines without numbers, in order of the alphabet.
fn sorted(answer: &str) -> String {
    let mut members: Vec<_> =
        answer.lines().map(|line| line.split_once(") ").map_or(line, |(_, member)| member)).collect();
    members.sort_unstable();
    members.join(" ")
}

#[test]
fn sadd_counts_new_members_and_srem_removes_the_key_with_the_last() {
    let mut server = TestServer::new();
    assert_eq!(server.run("SADD s a b a"), "(integer) 2");
    assert_eq!(server.run("SADD s b"), "(integer) 0");
    assert_eq!(server.run("SCARD s"), "(integer) 2");
    assert_eq!(server.run("SREM s x"), "(integer) 0");
    assert_eq!(server.effects(), "SELECT 0 | SADD s a b a", "what changes nothing is not propagated");
    assert_eq!(server.run("SREM s a b c"), "(integer) 2");
    assert_eq!(server.run("SCARD s"), "(integer) 0");
    assert!(server.server.keyspace.is_empty());
    assert_eq!(server.effects(), "SREM s a b c");
}

#[test]
fn spop_propagates_what_it_took() {
    let mut server = TestServer::new();
    server.run("SADD s 1 2 3 4 5 6 7 8 9 10");
    server.effects();
    let member = server.run("SPOP s").trim_matches('"').to_string();
    assert_eq!(server.effects(), format!("SREM s {member}"));
    let members = sorted(&server.run("SPOP s 3")).replace('"', "");
    let effects = server.effects();
    let mut effects: Vec<_> = effects.split(" | ").collect();
    assert_eq!((effects.remove(0), effects.pop()), ("MULTI", Some("EXEC")));
    effects.sort_unstable();
    let expected: Vec<_> = members.split(' ').map(|member| format!("SREM s {member}")).collect();
    assert_eq!(effects, expected);
    server.run("SPOP s 5");
    assert_eq!(server.run("SCARD s"), "(integer) 1", "most were taken by moving the rest");
    server.effects();
    server.run("SPOP s 100");
    assert_eq!(server.effects(), "DEL s");
    assert_eq!(server.run("SPOP s"), "(nil)");
    assert_eq!(server.run("SPOP s 3"), "(empty array)");
}
