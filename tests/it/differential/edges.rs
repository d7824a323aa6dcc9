//! Calls of every command, made from its syntax line with values at the edges of what it takes:
//! keys of every type, numbers that do not fit, options twice and in any order, counts that lie.
//! Every answer must be that of a real redis-server 7.0.15, and so must the data behind it.
//!
//! `PYREDIS_SEED` gives the calls, `PYREDIS_CALLS` how many of each command there are.

use pyredis::base::random::Random;
use pyredis::server::Command;
use pyredis::spec::syntax::{Argument, ArgumentKind, parse};
use pyredis::spec::{ADMIN, BLOCKING, PUBSUB};

use super::{Arena, Compare, Step, Words, environment, listed, pick, spoil};
use crate::support::{RealServer, Server};

/// Calls of a command when the environment does not say.
const CALLS: u64 = 20;
/// Differences of one command that are told; the rest is not looked for.
const MAX_DIFFERENCES: usize = 5;
/// One call of so many is spoiled.
const SPOIL_ONE_OF: u64 = 4;
/// Calls between two refillings and comparisons of the data.
const FILL_EVERY: u64 = 20;

/// Commands left out besides those of administrators, those that wait and those of channels: they
/// change the connection, depend on time or chance, answer in an order of their own, or tell of
/// this very server.
const LEFT_OUT: &[&str] = &[
    "acl",
    "client",
    "command",
    "discard",
    "dump",
    "exec",
    "hello",
    "hrandfield",
    "hscan",
    "info",
    "lolwut",
    "latency",
    "memory",
    "migrate",
    "module",
    "multi",
    "object|freq",
    "object|idletime",
    "quit",
    "randomkey",
    "reset",
    "scan",
    "script",
    "function",
    "select",
    "spop",
    "srandmember",
    "sscan",
    "time",
    "wait",
    "zrandmember",
    "zscan",
    "watch",
    "eval",
    "evalsha",
    "eval_ro",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
];

const ANY_ORDER: &[&str] = &[
    "smembers",
    "sinter",
    "sunion",
    "sdiff",
    "hkeys",
    "hvals",
    "keys",
    "georadius",
    "georadius_ro",
    "georadiusbymember",
    "georadiusbymember_ro",
    "geosearch",
    "sort",
    "sort_ro",
];

/// One key of each type in a small and a large encoding, and one that is missing.
const KEYS: &[&str] = &[
    "missing", "int", "text", "float", "bits", "hll", "list", "biglist", "ints", "set", "bigset", "hash",
    "bighash", "zset", "bigzset", "geo", "",
];

/// No small positive number that could be a deadline, and none that could be the length of a string
/// and take gigabytes.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "-2",
    "-100",
    "1000",
    "02",
    "+1",
    " 1",
    "1 ",
    "",
    "1.5",
    "-0",
    "0x10",
    "1e2",
    "x",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "4611686018427387904",
];
const DOUBLES: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1.5",
    "0.1",
    "1e10",
    "5e-324",
    "1e308",
    "1e400",
    "-1e400",
    "1e-400",
    "inf",
    "-inf",
    "+inf",
    "Infinity",
    "nan",
    "-nan",
    "0x1p3",
    "0x10",
    "",
    " 1",
    "1 ",
    "x",
    "180",
    "-180.1",
    "85.06",
    "3.14159265358979",
    "(1",
    "9223372036854775807",
    "17976931348623157e293",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "m1",
    "m2",
    "f1",
    "f2",
    "5",
    "-",
    "+",
    "[a",
    "(m1",
    "[",
    "(",
    "-inf",
    "+inf",
    "(1",
    "(nan",
    "nan",
    "i8",
    "u63",
    "u64",
    "i64",
    "i65",
    "i0",
    "#1",
    "10000",
    "9223372036854775807",
    "-9223372036854775808",
    "0",
    "1",
    "-1",
    "1e400",
    "*",
    "m*",
    "[m",
    "\\",
    "m",
];

/// Fills both servers with [`KEYS`].
fn fill() -> Vec<Words> {
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Words>();
    let many = |line: &str, member: &dyn Fn(u64) -> String| {
        let members: Vec<String> = (0..600).map(member).collect();
        words(&format!("{line} {}", members.join(" ")))
    };
    let mut lines: Vec<Words> = [
        "FLUSHALL",
        "MSET int 5 text foobar float 3.5 bits abc",
        "PFADD hll a b c",
        "RPUSH list a m1 5 m1",
        "SADD ints 1 2 5",
        "SADD set a m1 m2",
        "HSET hash f1 1 f2 x a 9223372036854775807",
        "ZADD zset 1 a 2 m1 -inf m2 inf b",
        "GEOADD geo 13.361389 38.115556 m1 15.087269 37.502669 m2",
    ]
    .map(words)
    .to_vec();
    lines.push(many("RPUSH biglist", &|nth| format!("element-{nth}")));
    lines.push(many("SADD bigset", &|nth| format!("m{nth}")));
    lines.push(many("HSET bighash", &|nth| format!("f{nth} {nth}")));
    lines.push(many("ZADD bigzset", &|nth| format!("{nth} m{nth}")));
    lines
}

/// Writes arguments, optional ones in any order and up to twice.
fn arguments(arguments: &[Argument], random: &mut Random, out: &mut Words) {
    let mut options = Vec::new();
    for argument in arguments {
        if !argument.optional {
            repeated(argument, random, out);
            continue;
        }
        for _ in 0..random.below(4).saturating_sub(1) {
            let at = usize::try_from(random.below(options.len() as u64 + 1)).expect("an index");
            options.insert(at, argument);
        }
    }
    options.into_iter().for_each(|argument| repeated(argument, random, out));
}

fn repeated(argument: &Argument, random: &mut Random, out: &mut Words) {
    let times = if argument.multiple { 1 + random.below(3) } else { 1 };
    for nth in 0..times {
        if nth == 0 || argument.multiple_token {
            out.extend(argument.token.map(|token| token.as_bytes().to_vec()));
        }
        value(argument, random, out);
    }
}

fn value(argument: &Argument, random: &mut Random, out: &mut Words) {
    let text = match argument.kind {
        ArgumentKind::PureToken => return,
        ArgumentKind::OneOf => return repeated(pick(&argument.arguments, random), random, out),
        ArgumentKind::Block => return arguments(&argument.arguments, random, out),
        ArgumentKind::Key => pick(KEYS, random),
        ArgumentKind::Double => pick(DOUBLES, random),
        ArgumentKind::Integer | ArgumentKind::UnixTime if random.below(3) == 0 => pick(NUMBERS, random),
        ArgumentKind::UnixTime => return out.push(far_away(4_000_000_000_000, random)),
        ArgumentKind::Integer if matches!(&argument.name[..], "seconds" | "milliseconds" | "ttl") => {
            return out.push(far_away(100_000_000, random));
        }
        ArgumentKind::Integer => pick(&["0", "1", "2", "3"], random),
        ArgumentKind::String | ArgumentKind::Pattern => pick(TEXTS, random),
    };
    out.push(text.as_bytes().to_vec());
}

/// A time to live or of day that does not come, and not the same twice.
fn far_away(from: u64, random: &mut Random) -> Vec<u8> {
    (from + random.below(1_000_000_000)).to_string().into_bytes()
}

/// Every command that answers the same whenever and wherever it is called.
fn commands() -> Vec<&'static Command> {
    let table = pyredis::commands::table();
    let is_left_out = |name: &str| LEFT_OUT.iter().any(|other| other.eq_ignore_ascii_case(name));
    let all = table.all().iter().copied().filter(|command| {
        let spec = &command.spec;
        let container = spec.name.split('|').next().expect("the first part");
        command.handler.is_some()
            && !spec.flags.intersects(ADMIN.with(BLOCKING).with(PUBSUB))
            && !is_left_out(spec.name)
            && !is_left_out(container)
    });
    all.collect()
}

fn compare_of(name: &str) -> Compare {
    match &name.to_ascii_lowercase()[..] {
        "hgetall" => Compare::PairsInAnyOrder,
        "ttl" | "pttl" | "expiretime" | "pexpiretime" => Compare::NearNumbers,
        name if ANY_ORDER.contains(&name) => Compare::AnyOrder,
        _ => Compare::Bytes,
    }
}

/// Calls of one command, on keys that are there again every so often.
fn calls(command: &Command, count: u64, random: &mut Random) -> Vec<Step> {
    let syntax = parse(command.spec.syntax).expect("a valid line");
    let step = |compare, words, connection| Step { connection, compare, words };
    let mut steps = Vec::new();
    for index in 0..count {
        if index % FILL_EVERY == 0 {
            steps.extend(fill().into_iter().map(|words| step(Compare::Bytes, words, 0)));
        }
        let mut words: Words = command.spec.name.split('|').map(|word| word.as_bytes().to_vec()).collect();
        let name = words.len();
        arguments(&syntax, random, &mut words);
        if words.len() > name && random.below(SPOIL_ONE_OF) == 0 {
            let mut rest = words.split_off(name - 1);
            spoil(&mut rest, random);
            words.append(&mut rest);
        }
        if command.spec.name.to_ascii_lowercase().starts_with("sort") {
            // BY a constant keeps the order of the hash table, which is another after each start.
            let sets = words.iter_mut().filter(|word| word.ends_with(b"set") && !word.ends_with(b"zset"));
            sets.for_each(|word| *word = b"ints".to_vec());
        }
        let connection = usize::try_from(random.below(2)).expect("small");
        steps.push(step(compare_of(command.spec.name), words, connection));
        if (index + 1) % FILL_EVERY == 0 || index + 1 == count {
            // The digest counts keys that are due and not yet met; KEYS deletes them.
            let keys = vec![b"KEYS".to_vec(), b"*".to_vec()];
            steps.push(step(Compare::AnyOrder, keys, 0));
            steps.push(step(Compare::Digest, vec![b"DEBUG".to_vec(), b"DIGEST".to_vec()], 0));
        }
    }
    steps
}

/// What is different about a command, one call after the other left out.
fn differences(arena: &mut Arena, mut steps: Vec<Step>) -> String {
    let mut report = String::new();
    for _ in 0..MAX_DIFFERENCES {
        let Some(found) = arena.play(&steps) else { break };
        let from = found.index.saturating_sub(1);
        let (calls, ours, theirs) = (listed(&steps[from..=found.index]), found.ours, found.theirs);
        report += &format!("{calls}  pyredis: {ours}\n  redis:   {theirs}\n");
        steps.remove(found.index);
    }
    report
}

#[test]
fn every_command_answers_edge_values_as_a_real_server_does() {
    let Some(real) = RealServer::start(&["--save", ""]) else {
        return eprintln!("no redis-server here: nothing compared");
    };
    let server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    let mut arena = Arena::new(server, real);
    let mut random = Random::new(environment("PYREDIS_SEED", 1));
    let count = environment("PYREDIS_CALLS", CALLS);
    let commands = commands();
    assert!(commands.len() > 100, "{} commands", commands.len());
    let report: String =
        commands.iter().map(|command| differences(&mut arena, calls(command, count, &mut random))).collect();
    println!("{} calls of each of {} commands", count, commands.len());
    assert!(report.is_empty(), "differences:\n{report}");
}
