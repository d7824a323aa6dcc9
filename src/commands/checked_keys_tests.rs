//! Handlers touch only keys that rights were checked for: random calls of every command, made from
//! its syntax line and then spoilt, with keys that are named like options and counts that lie. The
//! accessors assert it ([`crate::keyspace::CheckedKeys`]); a difference between the two readings of
//! a call is a panic here.

use super::testing::TestServer;
use super::{Command, GROUPS};
use crate::base::ClientId;
use crate::base::random::Random;
use crate::spec::syntax::{Argument, ArgumentKind, parse};

/// Calls of a command for each of its arguments.
const CALLS: usize = 100;
/// Numbers that are read in more than one way.
const ODD_NUMBERS: &[&str] = &["0", "3", "-1", "02", "+1", " 1", "1.5", "4294967297", "9223372036854775807"];
/// Names of keys, which are words of many commands too.
const KEYS: &[&str] =
    &["by", "store", "storedist", "get", "limit", "keys", "count", "auth", "k", "z", "l", "s", "h"];
/// Texts that are no keys.
const WORDS: &[&str] = &["m", "left", "min", "u8", "*", "nx", "sat", "[a", "-", "+"];

/// A generator of calls.
struct Caller {
    random: Random,
    /// The keys of this call: few, so that names meet their option.
    keys: [&'static str; 2],
}

impl Caller {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.below(from.len() as u64) as usize]
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.below(one_in) == 0
    }

    /// Writes arguments, optional ones in any order and up to twice.
    fn arguments(&mut self, arguments: &[Argument], out: &mut Vec<String>) {
        let mut options = Vec::new();
        for argument in arguments {
            if !argument.optional {
                self.repeated(argument, out);
                continue;
            }
            for _ in 0..self.random.below(4).saturating_sub(1) {
                let at = self.random.below(options.len() as u64 + 1) as usize;
                options.insert(at, argument);
            }
        }
        options.into_iter().for_each(|argument| self.repeated(argument, out));
    }

    fn repeated(&mut self, argument: &Argument, out: &mut Vec<String>) {
        let times = if argument.multiple { 1 + self.random.below(3) } else { 1 };
        for nth in 0..times {
            if nth == 0 || argument.multiple_token {
                out.extend(argument.token.map(str::to_owned));
            }
            self.value(argument, out);
        }
    }

    fn value(&mut self, argument: &Argument, out: &mut Vec<String>) {
        let keys = self.keys;
        let word = match argument.kind {
            ArgumentKind::PureToken => return,
            ArgumentKind::OneOf => {
                let chosen = self.random.below(argument.arguments.len() as u64) as usize;
                return self.repeated(&argument.arguments[chosen], out);
            }
            ArgumentKind::Block => {
                return argument.arguments.iter().for_each(|inner| self.repeated(inner, out));
            }
            ArgumentKind::Integer | ArgumentKind::UnixTime | ArgumentKind::Double if self.chance(5) => {
                self.pick(ODD_NUMBERS)
            }
            ArgumentKind::Integer | ArgumentKind::UnixTime | ArgumentKind::Double => self.pick(&["1", "2"]),
            ArgumentKind::Key => self.pick(&keys),
            ArgumentKind::String | ArgumentKind::Pattern if self.chance(2) => self.pick(&keys),
            ArgumentKind::String | ArgumentKind::Pattern => self.pick(WORDS),
        };
        out.push(word.to_owned());
    }

    /// Doubles, exchanges, drops or adds a word behind the command's name.
    fn spoil(&mut self, words: &mut Vec<String>, name: usize) {
        let at = name + self.random.below((words.len() - name) as u64) as usize;
        match self.random.below(4) {
            0 => words.extend_from_within(at..),
            1 => words[at] = self.pick(KEYS).to_owned(),
            2 => words.insert(at, self.pick(ODD_NUMBERS).to_owned()),
            _ => drop(words.remove(at)),
        }
    }

    fn call(&mut self, command: &Command, arguments: &[Argument]) -> Vec<String> {
        self.keys = [self.pick(KEYS), self.pick(KEYS)];
        let mut words: Vec<String> = command.spec.name.split('|').map(str::to_owned).collect();
        let name = words.len();
        self.arguments(arguments, &mut words);
        if words.len() > name && self.chance(3) {
            self.spoil(&mut words, name);
        }
        words
    }
}

/// Makes keys of all types under names that are options as well.
fn fill(server: &mut TestServer) {
    for line in [
        "FLUSHALL",
        "MSET by 1 store abc k 5",
        "RPUSH l 1 2 3",
        "RPUSH limit a b",
        "SADD s 1 2 3",
        "SADD get 1 2",
        "HSET h f 1 g 2",
        "GEOADD z 1 1 m 1.1 1.1 by",
        "ZADD count 1 m 2 k",
    ] {
        server.run(line);
    }
}

#[test]
fn every_key_a_handler_touches_is_one_that_rights_were_checked_for() {
    let mut caller = Caller { random: Random::new(7), keys: [KEYS[0]; 2] };
    let all = GROUPS.iter().copied().flatten();
    let all = all.flat_map(|command| std::iter::once(command).chain(command.subcommands));
    for command in all.filter(|command| command.handler.is_some() && command.spec.has_keys()) {
        let arguments = parse(command.spec.syntax).expect("a valid line");
        let mut server = TestServer::new();
        fill(&mut server);
        for _ in 0..CALLS * arguments.len() {
            let words = caller.call(command, &arguments);
            let words: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
            server.run_args(&words);
            let client = server.server.rooms.clients.get(ClientId(1)).expect("it stays connected");
            if client.parked.is_some() {
                // A command behind one that waits would not run.
                server.disconnect(1);
                server.connect(1);
            }
            if caller.chance(20) {
                fill(&mut server);
            }
        }
    }
}

#[test]
fn keys_that_redis_overlooks_are_checked() {
    let mut server = TestServer::new();
    server.run("RPUSH src 2 1");
    server.run("GEOADD places 1 1 m");
    server.run("ACL SETUSER guest on nopass +@all ~src ~by ~asc ~places ~store");
    server.connect(2);
    assert_eq!(server.run_as(2, "AUTH guest x"), "OK");
    let refused = "(error) NOPERM this user has no permissions to access one of the keys used as arguments";
    for line in [
        "SORT src STORE by STORE forbidden",
        "SORT src STORE store STORE forbidden",
        "SORT src STORE asc STORE by STORE forbidden",
        "GEORADIUS places 1 1 1 m STORE store STORE forbidden",
        "GEORADIUS places 1 1 1 m STOREDIST by STOREDIST forbidden",
        "GEORADIUSBYMEMBER places m 1 m STORE by STORE forbidden",
        "PFMERGE forbidden",
    ] {
        assert_eq!(server.run_as(2, line), refused, "{line}");
        assert_eq!(server.run("EXISTS forbidden"), "(integer) 0", "{line}");
    }
    assert_eq!(server.run_as(2, "SORT src STORE forbidden STORE by"), "(integer) 2");
    assert_eq!(server.run_as(2, "GEORADIUS places 1 1 1 m STORE by STORE store ASC"), "(integer) 1");
}
