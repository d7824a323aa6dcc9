//! Calls of every command, made from its syntax line with values at the edges of what it takes:
//! keys of every type, numbers that do not fit, options twice and in any order, counts that lie.
//! Every answer must be that of a real redis-server 7.0.15, and so must the data behind it.
//!
//! `PYREDIS_SEED` gives the calls, `PYREDIS_CALLS` how many of each command there are.

use std::collections::BTreeSet;

use pyredis::base::crc64::crc64;
use pyredis::base::random::Random;
use pyredis::server::Command;
use pyredis::spec::syntax::{Argument, ArgumentKind, parse};

use super::compare::Compare;
use super::edge_values::{
    DOUBLES, IDLE_TIMES, KEYS, NUMBERS, SHORT_INTEGER_TIMEOUTS, SHORT_TIMEOUTS, TEXTS, TIMEOUTS,
};
use super::exceptions::{EXCEPTIONS, Exception, How, exception_of};
use super::forms::FORMS;
use super::{Arena, Row, Seen, Step, Words, environment, listed, pick, spoil};
use crate::support::{RealServer, Server};

/// Calls of a command when the environment does not say.
const CALLS: u64 = 20;
/// Differences of one command that are told; the rest is not looked for.
const MAX_DIFFERENCES: usize = 5;
/// One call of so many is spoiled.
const SPOIL_ONE_OF: u64 = 4;
/// Calls between two refillings and comparisons of the data.
const FILL_EVERY: u64 = 20;

/// Fills both servers with [`KEYS`].
fn fill() -> Vec<Words> {
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Words>();
    let many = |line: &str, member: &dyn Fn(u64) -> String| {
        let members: Vec<String> = (0..200).map(member).collect();
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
        "XADD stream 1 f1 a m1 5",
        "XADD stream 1-5 f1 m1",
        "XADD stream 5 f1 9223372036854775807",
        "XADD stream 6 a a",
        "XGROUP CREATE stream m1 1",
        "XGROUP CREATE stream a 0",
        "XREADGROUP GROUP a m1 COUNT 3 STREAMS stream >",
        "XDEL stream 1-5",
    ]
    .map(words)
    .to_vec();
    lines.push(many("RPUSH biglist", &|nth| format!("element-{nth}")));
    lines.push(many("SADD bigset", &|nth| format!("m{nth}")));
    lines.push(many("HSET bighash", &|nth| format!("f{nth} {nth}")));
    lines.push(many("ZADD bigzset", &|nth| format!("{nth} m{nth}")));
    lines
}

/// Writes calls of a command by its syntax line.
struct Writer<'a> {
    random: &'a mut Random,
    /// What stands where a timeout does, if it is not just a number.
    timeouts: Option<&'static [&'static str]>,
    words: Words,
}

impl Writer<'_> {
    /// Writes arguments, optional ones in any order and up to twice.
    fn arguments(&mut self, arguments: &[Argument]) {
        let mut options = Vec::new();
        for argument in arguments {
            if !argument.optional {
                self.repeated(argument);
                continue;
            }
            for _ in 0..self.random.below(4).saturating_sub(1) {
                let at = usize::try_from(self.random.below(options.len() as u64 + 1)).expect("an index");
                options.insert(at, argument);
            }
        }
        options.into_iter().for_each(|argument| self.repeated(argument));
    }

    fn repeated(&mut self, argument: &Argument) {
        let times = if argument.multiple { 1 + self.random.below(3) } else { 1 };
        for nth in 0..times {
            if nth == 0 || argument.multiple_token {
                self.words.extend(argument.token.map(|token| token.as_bytes().to_vec()));
            }
            self.value(argument);
        }
    }

    fn value(&mut self, argument: &Argument) {
        let random = &mut *self.random;
        let text = match argument.kind {
            ArgumentKind::PureToken => return,
            ArgumentKind::OneOf => {
                let one = pick(&argument.arguments, random);
                return self.repeated(one);
            }
            ArgumentKind::Block => return self.arguments(&argument.arguments),
            ArgumentKind::Key => pick(KEYS, random),
            _ if argument.name == "min-idle-time" => pick(IDLE_TIMES, random),
            ArgumentKind::Double | ArgumentKind::Integer if argument.name == "timeout" => {
                pick(self.timeouts.unwrap_or(DOUBLES), random)
            }
            ArgumentKind::Double => pick(DOUBLES, random),
            ArgumentKind::Integer | ArgumentKind::UnixTime if random.below(3) == 0 => pick(NUMBERS, random),
            ArgumentKind::UnixTime => return self.words.push(far_away(4_000_000_000_000, random)),
            ArgumentKind::Integer if matches!(&argument.name[..], "seconds" | "milliseconds" | "ttl") => {
                return self.words.push(far_away(100_000_000, random));
            }
            ArgumentKind::Integer => pick(&["0", "1", "2", "3"], random),
            ArgumentKind::String | ArgumentKind::Pattern => pick(TEXTS, random),
        };
        self.words.push(text.as_bytes().to_vec());
    }
}

/// A time to live or of day that does not come, and not the same twice.
fn far_away(from: u64, random: &mut Random) -> Vec<u8> {
    (from + random.below(1_000_000_000)).to_string().into_bytes()
}

/// Every command that is built.
fn commands() -> Vec<&'static Command> {
    let table = pyredis::commands::table();
    table.all().iter().copied().filter(|command| command.handler.is_some()).collect()
}

fn how(command: &Command) -> How {
    exception_of(command.spec.name).map_or(How::By(Compare::Bytes), |exception| exception.how)
}

/// Where the calls of one command come from.
struct Calls {
    name: Words,
    syntax: Vec<Argument>,
    forms: Vec<Row>,
}

impl Calls {
    fn of(command: &Command) -> Self {
        let rows = FORMS.iter().filter(|(name, _)| *name == command.spec.name).flat_map(|(_, rows)| *rows);
        Self {
            name: command.spec.name.split('|').map(|word| word.as_bytes().to_vec()).collect(),
            syntax: parse(command.spec.syntax).expect("a valid line"),
            forms: rows.map(|row| Row::parse(row)).collect(),
        }
    }

    /// A call, somewhat wrong now and then.
    fn write(&self, timeouts: Option<&'static [&'static str]>, random: &mut Random) -> Words {
        let (mut words, is_spoilable) = if self.forms.is_empty() {
            (self.plain(timeouts, random), true)
        } else {
            let row = pick(&self.forms, random);
            (row.template.words(random), row.spoilable)
        };
        let name = self.name.len();
        if is_spoilable && words.len() > name && random.below(SPOIL_ONE_OF) == 0 {
            let mut rest = words.split_off(name - 1);
            spoil(&mut rest, random);
            words.append(&mut rest);
        }
        words
    }

    /// A call by the syntax line, as it should be.
    fn plain(&self, timeouts: Option<&'static [&'static str]>, random: &mut Random) -> Words {
        let mut writer = Writer { random, timeouts, words: self.name.clone() };
        writer.arguments(&self.syntax);
        let mut words = writer.words;
        if self.name == [b"xadd"] {
            // The clocks of both servers make IDs of their own.
            words.iter_mut().filter(|word| *word == b"*").for_each(|word| *word = b"5-*".to_vec());
        }
        words
    }
}

fn step(compare: Compare, words: Words, connection: usize) -> Step {
    Step { connection, compare, words }
}

fn word(text: &str) -> Words {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// A call of a command that may wait, in one of three ways.
fn waiting(calls: &Calls, connection: usize, random: &mut Random) -> Vec<Step> {
    match random.below(3) {
        0 => {
            let call = calls.write(None, random);
            [word("MULTI"), call, word("EXEC")].map(|words| step(Compare::Bytes, words, connection)).to_vec()
        }
        1 => vec![step(Compare::Connection, calls.write(Some(TIMEOUTS), random), connection)],
        _ => {
            let is_integer =
                |argument: &Argument| argument.name == "timeout" && argument.kind == ArgumentKind::Integer;
            let short =
                if calls.syntax.iter().any(is_integer) { SHORT_INTEGER_TIMEOUTS } else { SHORT_TIMEOUTS };
            vec![step(Compare::Bytes, calls.plain(Some(short), random), connection)]
        }
    }
}

/// SORT has no order of its own where the order is that of a hash table (BY a constant), or where
/// elements have the same weight (BY with ALPHA).
fn sorting(words: Words, connection: usize) -> Vec<Step> {
    let has = |option: &[u8]| words.iter().any(|word| word.eq_ignore_ascii_case(option));
    if !has(b"BY") {
        return vec![step(Compare::Bytes, words, connection)];
    }
    let after = |option: &[u8]| {
        let pairs = words.windows(2).filter(|pair| pair[0].eq_ignore_ascii_case(option));
        pairs.map(|pair| pair[1].clone()).collect::<Words>()
    };
    let is_table = words.get(1).is_some_and(|key| key == b"set" || key == b"bigset");
    let is_constant = after(b"BY").iter().any(|by| !by.contains(&b'*'));
    let has_ties = has(b"ALPHA") || is_table && is_constant;
    if !has_ties {
        return vec![step(Compare::Bytes, words, connection)];
    }
    let compare = if has(b"LIMIT") { Compare::Errors } else { Compare::AnyOrder };
    let stored = after(b"STORE");
    let mut steps = vec![step(compare, words, connection)];
    steps.extend(stored.into_iter().map(|key| step(Compare::Bytes, vec![b"DEL".to_vec(), key], connection)));
    steps
}

/// Calls of one command, on keys that are there again every so often.
fn steps(command: &Command, count: u64, random: &mut Random) -> Vec<Step> {
    let calls = Calls::of(command);
    let mut steps = Vec::new();
    for index in 0..count {
        if index % FILL_EVERY == 0 {
            steps.extend(fill().into_iter().map(|words| step(Compare::Bytes, words, 0)));
        }
        let connection = usize::try_from(random.below(2)).expect("small");
        match how(command) {
            How::NotAtAll => return Vec::new(),
            How::Waiting => steps.extend(waiting(&calls, connection, random)),
            How::DefinedOrder => steps.extend(sorting(calls.write(None, random), connection)),
            How::Alone => steps.push(step(Compare::Connection, calls.write(None, random), connection)),
            How::By(compare) => steps.push(step(compare, calls.write(None, random), connection)),
        }
        if (index + 1) % FILL_EVERY == 0 || index + 1 == count {
            // The digest counts keys that are due and not yet met; KEYS deletes them.
            steps.push(step(Compare::AnyOrder, word("KEYS *"), 0));
            steps.push(step(Compare::Digest, word("DEBUG DIGEST"), 0));
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

/// What is wrong with the tables themselves.
fn misplaced() -> String {
    let names: BTreeSet<&str> = commands().iter().map(|command| command.spec.name).collect();
    let mut known = BTreeSet::new();
    let mut report = String::new();
    for Exception { command, reason, .. } in EXCEPTIONS {
        if !names.contains(command) || !known.insert(*command) || reason.is_empty() {
            report += &format!("{command} is no command that is built, is there twice, or has no reason\n");
        }
    }
    for (command, _) in FORMS {
        if !names.contains(command) || !known.insert(command) && exception_of(command).is_none() {
            report += &format!("the calls of {command} are of no command that is built\n");
        }
    }
    report
}

/// Compares a command; returns what is different, or that its row of the table is not needed.
fn report_of(arena: &mut Arena, command: &Command, count: u64, seed: u64) -> String {
    let name = command.spec.name;
    let mut random = Random::new(seed ^ crc64(name.as_bytes()));
    arena.seen = Seen::default();
    let mut report = differences(arena, steps(command, count, &mut random));
    let how = how(command);
    if matches!(how, How::By(rule) if rule != Compare::Bytes && rule.is_plain()) && arena.seen.loosely == 0 {
        report += &format!("{name}: its exception is not needed\n");
    }
    if arena.seen.answered == 0 && how != How::NotAtAll {
        report += &format!("{name}: nothing but errors was compared\n");
    }
    report
}

/// A command that is in no table is compared to the byte; every row of the tables is of a command
/// that is built, and is needed as far as that can be seen.
#[test]
fn every_command_answers_edge_values_as_a_real_server_does() {
    let Some(real) = RealServer::start(&["--save", ""]) else {
        return eprintln!("no redis-server here: nothing compared");
    };
    let server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    let mut arena = Arena::new(server, real);
    let (seed, count) = (environment("PYREDIS_SEED", 1), environment("PYREDIS_CALLS", CALLS));
    let mut report = misplaced();
    for command in commands() {
        report += &report_of(&mut arena, command, count, seed);
    }
    assert!(report.is_empty(), "differences:\n{report}");
}
