//! Random ACL rules, good and bad, given to pyredis and to a real redis-server side by side: the
//! same answers, the same users, written down with the same rules, and the same verdicts about what
//! they may run.
//!
//! Of the rules written down, single commands are sorted before they are compared: the real server
//! puts them in the order of a hash table with a seed of its own. That our order means the same is
//! found out by giving our rules to the real server.

use std::fs;
use std::process::Command;

use crate::support::{Client, RealServer, Server, pyredis};
use pyredis::acl::{Catalog, Rulebook, User, Users};
use pyredis::base::random::Random;
use pyredis::commands;
use pyredis::resp::value::Value;

/// How many users are given rules.
const ROUNDS: u64 = 400;
/// How many are compared as they are written down.
const LINES: u64 = 2000;
/// Commands asked about after each.
const VERDICTS: u64 = 8;

const USERS: &[&str] = &["u1", "u2", "u3", "default", "a b", "\u{e9}"];

/// Rules, and what only looks like one.
const RULES: &[&str] = &[
    "+get",
    "-get",
    "+set",
    "-set",
    "+mget",
    "+copy",
    "+sort",
    "+publish",
    "+subscribe",
    "+client",
    "-client",
    "+client|list",
    "-client|id",
    "+config|get",
    "+acl|whoami",
    "+select|0",
    "+select|5",
    "+@read",
    "-@read",
    "+@write",
    "-@write",
    "+@all",
    "-@all",
    "+@string",
    "-@dangerous",
    "+@Fast",
    "+@nosuch",
    "+@",
    "+nosuch",
    "-nosuch|get",
    "+client|nosuch",
    "+eval",
    "-eval",
    "+eval|script",
    "-xadd",
    "+xadd",
    "-slaveof",
    "+replicaof",
    "+script",
    "-script",
    "+script|load",
    "-script|flush",
    "+script|nosuch",
    "+cluster|slots",
    "-cluster|reset",
    "+CLUSTER|NODES",
    "-cluster",
    "+cluster|slots|x",
    "+function|load",
    "-function",
    "+xgroup|create",
    "-xinfo|help",
    "+restore-asking",
    "-psync",
    "+sentinel",
    "+@stream",
    "-@stream",
    "-@scripting",
    "+@scripting",
    "-@admin",
    "-@slow",
    "+@connection",
    "-@blocking",
    "+get|",
    "+config|get|x",
    "+CLIENT|LIST",
    "|",
    "+",
    "-",
    "get",
    "allcommands",
    "nocommands",
    "~*",
    "~a*",
    "~b?",
    "~",
    "~a b",
    "%R~a*",
    "%W~b*",
    "%RW~x",
    "%WR~*",
    "%R~*",
    "%X~a",
    "%R",
    "%RR~x",
    "%",
    "%R~",
    "allkeys",
    "resetkeys",
    "&*",
    "&ch*",
    "&c1",
    "&",
    "allchannels",
    "resetchannels",
    "on",
    "off",
    "ON",
    "nopass",
    "resetpass",
    "reset",
    ">p1",
    ">p2",
    "<p1",
    "<p3",
    ">",
    "#short",
    "!short",
    "#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "sanitize-payload",
    "skip-sanitize-payload",
    "clearselectors",
    "(+get ~a*)",
    "(+set %W~b*)",
    "(~x)",
    "()",
    "(+nosuch)",
    "(+get",
    "+get)",
    "(",
    ")",
    "((+get))",
    "(%R~* +@read &c1)",
    "(+@stream -xadd ~s)",
    "(+@all -@scripting -cluster|slots)",
    "",
    "on off",
    "\u{fc}",
];

/// What users may or may not run; words separated by blanks.
const COMMANDS: &[&str] = &[
    "get a1",
    "get b1",
    "set a1 v",
    "set b1 v get",
    "mget a1 b1",
    "del x",
    "sort a1",
    "sort a1 by b*",
    "copy a1 b1",
    "rename a1 x",
    "client list",
    "client id",
    "client nosuch",
    "config get x",
    "publish ch1 x",
    "subscribe c1 ch2",
    "psubscribe ch*",
    "psubscribe *",
    "spublish c1 x",
    "select 0",
    "select 5",
    "ping",
    "zunionstore a1 2 b1 x",
    "bitfield a1 get u4 0",
    "bitfield a1 set u4 0 1",
    "lmove a1 b1 left left",
    "acl whoami",
    "flushall",
    "keys *",
    "get",
    "nosuch",
    "auth x",
    "georadius a1 1 1 1 km store b1",
];

fn pick<'a>(from: &[&'a str], random: &mut Random) -> &'a str {
    from[usize::try_from(random.below(from.len() as u64)).expect("small")]
}

fn ask(client: &mut Client, words: &[&str]) -> Value {
    client.send_words(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    client.value()
}

/// ACL GETUSER without how its commands are written down.
fn without_commands(user: Value) -> Value {
    let Value::Array(words) = user else { return user };
    let is_name = |value: &Value| *value == Value::Bulk(b"commands".to_vec());
    let mut hidden = false;
    let kept = words.into_iter().filter(|word| {
        let skip = std::mem::replace(&mut hidden, is_name(word));
        !skip
    });
    Value::Array(kept.map(without_commands).collect())
}

/// Logs in as a user whom no random rule changes.
fn become_judge(client: &mut Client) {
    for line in ["ACL SETUSER judge on nopass +@all ~* &*", "AUTH judge x"] {
        assert_eq!(client.run(line), "OK");
    }
}

#[test]
fn rules_make_the_users_that_a_real_server_makes_of_them() {
    let Some(real) = RealServer::start(&["--save", ""]) else { return };
    let ours = Server::start(&["--save", ""]);
    let mut clients = [Client::connect(real.port), ours.client()];
    let mut random = Random::new(7);
    become_judge(&mut clients[0]);
    become_judge(&mut clients[1]);
    let mut compare = |words: &[&str]| {
        let [expected, got] = clients.each_mut().map(|client| without_commands(ask(client, words)));
        assert_eq!(got, expected, "{words:?}");
    };
    for _ in 0..ROUNDS {
        let user = pick(USERS, &mut random);
        let mut words = vec!["ACL", "SETUSER", user];
        words.extend((0..=random.below(5)).map(|_| pick(RULES, &mut random)));
        compare(&words);
        compare(&["ACL", "GETUSER", user]);
        for _ in 0..VERDICTS {
            let mut words = vec!["ACL", "DRYRUN", user];
            words.extend(pick(COMMANDS, &mut random).split(' '));
            compare(&words);
        }
        compare(&["ACL", "USERS"]);
    }
}

/// A line of ACL LIST, or an end of one, in which each row of single commands is sorted.
fn with_sorted_commands(line: &[u8]) -> String {
    let is_single = |word: &&str| word.starts_with(['+', '-']) && !word[1..].starts_with('@');
    // The end of a selector is a word of its own here.
    let line = String::from_utf8_lossy(line).replace(')', " )");
    let mut words: Vec<&str> = line.split(' ').collect();
    words.chunk_by_mut(|a, b| is_single(a) && is_single(b)).for_each(<[&str]>::sort_unstable);
    words.join(" ")
}

/// How a real server writes a user down after these rules, or its error.
fn real_line(real: &mut Client, user: &str, rules: &[&[u8]]) -> Result<String, String> {
    let command: [&[u8]; 3] = [b"ACL", b"SETUSER", user.as_bytes()];
    real.send_words(&[&command, rules].concat());
    if let Value::Error(error) = real.value() {
        return Err(error);
    }
    let Value::Array(lines) = ask(real, &["ACL", "LIST"]) else { panic!("no list") };
    let start = format!("user {user} ");
    let mut lines = lines.iter().filter_map(|line| match line {
        Value::Bulk(line) => line.strip_prefix(start.as_bytes()),
        _ => None,
    });
    Ok(with_sorted_commands(lines.next().expect("a user of this name")))
}

#[test]
fn rules_are_written_down_as_a_real_server_writes_them() {
    let Some(real) = RealServer::start(&["--save", ""]) else { return };
    let mut real = Client::connect(real.port);
    become_judge(&mut real);
    // A category that fits is chosen by counting, so our own name would count.
    let table = commands::table();
    let catalog = Catalog::new(table.named_in_rules(), table.aliases());
    let book = Rulebook { catalog: &catalog, all_channels: false };
    let mut users = Users::new(&catalog);
    let mut random = Random::new(11);
    for _ in 0..LINES {
        let name = pick(USERS, &mut random);
        let rules: Vec<&[u8]> = (0..=random.below(7)).map(|_| pick(RULES, &mut random).as_bytes()).collect();
        let expected = real_line(&mut real, name, &rules);
        let user = users.changed(name.as_bytes(), &rules, book);
        let text = |user: &User| user.rules(&catalog).join(&b' ');
        let got = user.as_ref().map(|user| with_sorted_commands(&text(user)));
        assert_eq!(got.map_err(|error| format!("ERR {error}")), expected, "{name} {rules:?}");
        let Ok(user) = user else { continue };
        for selector in user.selectors() {
            let commands = selector.text(&catalog).commands;
            let told = [b"reset ", &commands[..]].concat();
            let told: Vec<&[u8]> = told.split(|byte| *byte == b' ').collect();
            let again = real_line(&mut real, "again", &told).expect("rules that were told");
            assert!(again.ends_with(&with_sorted_commands(&commands)), "{name} {rules:?}: {again}");
        }
        users.insert(name.as_bytes(), user);
    }
}

#[test]
fn a_disk_that_stands_still_keeps_only_the_clients_of_the_acl_file_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users.acl");
    fs::write(&file, "user bob on nopass +@all ~*\n").unwrap();
    let mut server = Server::spawn_as(pyredis(folder.path()), folder, &["--aclfile", "users.acl"]);
    server.wait_for("Ready to accept connections");
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let (mut loading, mut saving, mut other) = (server.client(), server.client(), server.client());
    loading.send("ACL LOAD");
    // Both ends are open when the server's thread has begun to read.
    let mut pipe = fs::OpenOptions::new().write(true).open(&file).unwrap();
    assert_eq!(other.run("AUTH bob x"), "OK");
    std::io::Write::write_all(&mut pipe, b"user eve on\n").unwrap();
    drop(pipe);
    assert_eq!(loading.reply(), "OK");
    assert_eq!(loading.run("ACL USERS"), "[\"default\", \"eve\"]");
    assert!(other.is_closed(), "its user is gone");
    saving.send("ACL SAVE");
    assert_eq!(saving.reply(), "OK");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "user default on nopass ~* &* +@all\nuser eve on resetchannels -@all\n");
}
