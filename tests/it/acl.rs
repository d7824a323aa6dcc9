//! Random ACL rules, good and bad, given to pyredis and to a real redis-server side by side: the same
//! answers, the same users and the same verdicts about what they may run.
//!
//! How the commands of a user are written down is not compared: the real server puts them in the order
//! of a hash table. What they mean is, by ACL DRYRUN.

use crate::support::{Client, RealServer, Server};
use pyredis::base::random::Random;
use pyredis::resp::value::Value;

/// How many users are given rules.
const ROUNDS: u64 = 400;
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

#[test]
fn rules_make_the_users_that_a_real_server_makes_of_them() {
    let Some(real) = RealServer::start(&["--save", ""]) else {
        return eprintln!("no redis-server here: nothing compared");
    };
    let ours = Server::start(&["--save", ""]);
    let mut clients = [Client::connect(real.port), ours.client()];
    let mut random = Random::new(7);
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
        // The test itself is this user.
        compare(&["ACL", "SETUSER", "default", "on", "nopass", "+@all", "~*", "&*"]);
        compare(&["ACL", "USERS"]);
    }
}
