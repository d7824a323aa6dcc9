//! Random commands, sent to pyredis and to a real redis-server 7.0.15 side by side: every answer
//! must be the same, and now and then the whole data set must be. A client that listens to every
//! keyspace event must hear the same from both.
//!
//! A run begins with an empty server and is given by its seed, so it can be repeated:
//! `PYREDIS_SEED` is the seed of the first run, `PYREDIS_COMMANDS` how many commands all runs send.
//! A run that finds a difference is cut down to the few commands that are needed for it.

mod compare;
mod edge_values;
mod edges;
mod exceptions;
mod forms;
mod packed;
mod scripts;
mod tables;
mod template;

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::panic::AssertUnwindSafe;

use crate::support::{Client, RealServer, Server};
use compare::{Compare, bytes_of, choice, connection, dump, elements, exchange, walk};
use pyredis::base::random::Random;
use pyredis::base::text::quote;
use pyredis::resp::value::Value;
use template::{Template, Words, pick, spoil};

/// Commands of one run.
const RUN: u64 = 2500;
/// Commands of all runs, when the environment does not say.
const COMMANDS: u64 = 10_000;
/// Commands between two comparisons of the whole data.
const DIGEST_EVERY: u64 = 500;
/// Commands sent before their answers are read.
const PIPELINE: usize = 50;
/// One command of so many is spoiled.
const SPOIL_ONE_OF: u64 = 30;

/// Thresholds of the encodings: the defaults, and some that small values cross.
const CONFIGS: &[&[(&str, &str)]] = &[
    &[
        ("set-max-intset-entries", "512"),
        ("hash-max-listpack-entries", "128"),
        ("hash-max-listpack-value", "64"),
        ("zset-max-listpack-entries", "128"),
        ("zset-max-listpack-value", "64"),
        ("list-max-listpack-size", "-2"),
        ("list-compress-depth", "0"),
        ("hll-sparse-max-bytes", "3000"),
        ("stream-node-max-entries", "100"),
        ("stream-node-max-bytes", "4096"),
    ],
    &[
        ("set-max-intset-entries", "4"),
        ("hash-max-listpack-entries", "4"),
        ("hash-max-listpack-value", "20"),
        ("zset-max-listpack-entries", "4"),
        ("zset-max-listpack-value", "20"),
        ("list-max-listpack-size", "4"),
        ("list-compress-depth", "1"),
        ("hll-sparse-max-bytes", "40"),
        ("stream-node-max-entries", "5"),
        ("stream-node-max-bytes", "200"),
    ],
];

/// One command of a run.
#[derive(Clone)]
struct Step {
    connection: usize,
    compare: Compare,
    words: Words,
}

/// A row of the tables.
struct Row {
    compare: Compare,
    spoilable: bool,
    template: Template,
}

impl Row {
    fn parse(text: &str) -> Self {
        let (spoilable, text) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest));
        let compare = match text.chars().next() {
            Some('~') => Compare::AnyOrder,
            Some('%') => Compare::PairsInAnyOrder,
            Some('≈') => Compare::NearNumbers,
            Some('&') => Compare::NearTimes,
            Some('@') => Compare::Walk,
            _ if text.starts_with("EXCHANGE") => Compare::Exchange,
            _ => Compare::Bytes,
        };
        let template = Template::parse(text.trim_start_matches(['~', '%', '≈', '&', '@']));
        Row { compare, spoilable: spoilable && compare != Compare::Exchange, template }
    }
}

/// Makes the steps of runs.
struct Generator {
    groups: Vec<(u64, Vec<Row>)>,
}

impl Generator {
    fn new() -> Self {
        let rows = |rows: &[&str]| rows.iter().map(|row| Row::parse(row)).collect();
        Self { groups: tables::GROUPS.iter().map(|&(weight, group)| (weight, rows(group))).collect() }
    }

    fn run(&self, seed: u64, commands: u64) -> Vec<Step> {
        let mut random = Random::new(seed);
        let mut steps = Vec::new();
        for index in 1..=commands {
            steps.push(self.step(&mut random));
            if index % DIGEST_EVERY == 0 || index == commands {
                let words = vec![b"DEBUG".to_vec(), b"DIGEST".to_vec()];
                steps.push(Step { connection: 0, compare: Compare::Digest, words });
            }
        }
        steps
    }

    fn step(&self, random: &mut Random) -> Step {
        let total: u64 = self.groups.iter().map(|(weight, _)| weight).sum();
        let mut point = random.below(total);
        let group = self.groups.iter().find(|(weight, _)| {
            let found = point < *weight;
            point = point.saturating_sub(*weight);
            found
        });
        let row = pick(&group.expect("the point is below the total").1, random);
        let mut words = row.template.words(random);
        if row.spoilable && random.below(SPOIL_ONE_OF) == 0 {
            spoil(&mut words, random);
        }
        let connection = *pick(&[0, 0, 0, 0, 1, 1, 1, 1, 2], random);
        Step { connection, compare: row.compare, words }
    }
}

/// What two servers do not agree about.
struct Difference {
    index: usize,
    ours: String,
    theirs: String,
}

/// A connection to each server.
struct Pair {
    ours: Client,
    theirs: Client,
}

impl Pair {
    fn send(&mut self, words: &Words) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.ours.send_words(&words);
        self.theirs.send_words(&words);
    }

    /// Sends a command that both must answer alike.
    fn expect(&mut self, line: &str) {
        let (ours, theirs) = (self.ours.run(line), self.theirs.run(line));
        assert_eq!(ours, theirs, "{line}");
    }
}

/// The connection that speaks RESP3.
const RESP3: usize = 1;

/// What was seen of answers that were accepted.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// They were not the same to the byte.
    loosely: usize,
    /// They were no errors.
    answered: usize,
}

/// Both servers and connections to them: RESP2, RESP3, and one to database 1.
struct Arena {
    server: Server,
    real: RealServer,
    pairs: Vec<Pair>,
    seen: Seen,
    /// Subscribed to all keyspace events.
    listeners: Pair,
}

impl Arena {
    fn new(server: Server, real: RealServer) -> Self {
        let pair = || Pair { ours: server.client(), theirs: Client::connect(real.port) };
        let mut pairs = vec![pair(), pair(), pair()];
        let resp3 = &mut pairs[RESP3];
        for client in [&mut resp3.ours, &mut resp3.theirs] {
            client.send("HELLO 3");
            assert!(matches!(client.value(), Value::Map(_)));
        }
        pairs[2].expect("SELECT 1");
        pairs[0].expect("CONFIG SET notify-keyspace-events EAmn");
        // How long a command takes is each server's own.
        pairs[0].expect("CONFIG SET slowlog-log-slower-than -1");
        let mut listeners = pair();
        listeners.expect("PSUBSCRIBE __keyevent@*");
        listeners.expect(&format!("SUBSCRIBE {END_OF_EVENTS}"));
        Self { server, real, pairs, seen: Seen::default(), listeners }
    }

    fn configure(&mut self, seed: u64) {
        let configs = CONFIGS.len() as u64;
        for (name, value) in CONFIGS[usize::try_from(seed % configs).expect("small")] {
            self.pairs[0].expect(&format!("CONFIG SET {name} {value}"));
        }
    }

    /// Sends steps to empty servers until their answers differ.
    fn play(&mut self, steps: &[Step]) -> Option<Difference> {
        self.pairs[0].expect("FLUSHALL");
        self.pairs[0].expect("SCRIPT FLUSH");
        self.events(0);
        let mut at = 0;
        while at < steps.len() {
            let alike = |step: &&Step| step.connection == steps[at].connection && step.compare.is_plain();
            let batch = steps[at..].iter().take(PIPELINE).take_while(alike).count();
            let end = at + batch.max(1);
            let answer = || {
                if batch == 0 { self.special(at, &steps[at]) } else { self.batch(at, &steps[at..end]) }
            };
            let found = std::panic::catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|reason| {
                eprintln!("no answer to one of\n{}", listed(&steps[at..end]));
                if self.server.has_ended() {
                    eprintln!("{}\n{}", self.server.wait(), self.server.log.join("\n"));
                }
                std::panic::resume_unwind(reason)
            });
            if found.is_some() {
                return found;
            }
            at = end;
        }
        None
    }

    fn batch(&mut self, at: usize, steps: &[Step]) -> Option<Difference> {
        let pair = &mut self.pairs[steps[0].connection];
        steps.iter().for_each(|step| pair.send(&step.words));
        let mut found = None;
        for (index, step) in steps.iter().enumerate() {
            let (ours, theirs) = (pair.ours.value_and_bytes(), pair.theirs.value_and_bytes());
            let same = step.compare.accepts(&ours, &theirs);
            self.seen.loosely += usize::from(same && ours.1 != theirs.1);
            self.seen.answered += usize::from(!matches!(theirs.0, Value::Error(_)));
            if !same && found.is_none() {
                found =
                    Some(Difference { index: at + index, ours: shown(&ours.1), theirs: shown(&theirs.1) });
            }
        }
        found.or_else(|| self.events(at + steps.len() - 1))
    }

    /// Compares what the commands since the last time have announced. It cannot be told which of
    /// them did what, so it is blamed on the one at `index`, the last.
    fn events(&mut self, index: usize) -> Option<Difference> {
        self.pairs[0].expect(&format!("PUBLISH {END_OF_EVENTS} x"));
        let (ours, theirs) = (heard(&mut self.listeners.ours), heard(&mut self.listeners.theirs));
        let first = ours.iter().zip(&theirs).position(|(our, their)| our != their);
        let first = first.unwrap_or(ours.len().min(theirs.len()));
        let rest = |events: &[String]| brief(events[first.saturating_sub(1)..].join(" "));
        (ours != theirs).then(|| Difference { index, ours: rest(&ours), theirs: rest(&theirs) })
    }

    fn special(&mut self, index: usize, step: &Step) -> Option<Difference> {
        let pair = &mut self.pairs[step.connection];
        let (ours, theirs) = match step.compare {
            Compare::Walk => (walk(&mut pair.ours, &step.words), walk(&mut pair.theirs, &step.words)),
            Compare::Exchange => exchange(pair, &step.words),
            Compare::Dump => dump(pair, &step.words),
            Compare::Choice => (choice(&mut pair.ours, &step.words), choice(&mut pair.theirs, &step.words)),
            Compare::Connection => {
                let tell = |port| connection(port, &step.words, step.connection == RESP3);
                (tell(self.server.port), tell(self.real.port))
            }
            _ => self.digests(),
        };
        if ours != theirs {
            return Some(Difference { index, ours, theirs });
        }
        self.seen.answered += usize::from(!ours.starts_with('-'));
        if matches!(step.compare, Compare::Digest) { None } else { self.events(index) }
    }

    /// A digest of everything on both servers, and the keys that are not the same.
    fn digests(&mut self) -> (String, String) {
        let pair = &mut self.pairs[0];
        let (mut ours, mut theirs) = (pair.ours.run("DEBUG DIGEST"), pair.theirs.run("DEBUG DIGEST"));
        if ours == theirs {
            return (ours, theirs);
        }
        for pair in [0, 2] {
            let Pair { ours: our, theirs: their } = &mut self.pairs[pair];
            let mut keys = BTreeSet::new();
            for client in [&mut *our, &mut *their] {
                client.send("KEYS *");
                keys.extend(elements(client.value()).into_iter().map(bytes_of));
            }
            for key in keys {
                let command: [&[u8]; 3] = [b"DEBUG", b"DIGEST-VALUE", &key];
                let (one, other) = (our.show(&command), their.show(&command));
                if one != other {
                    let name = quote(&key);
                    let name = String::from_utf8_lossy(&name);
                    let _ = write!(ours, "\n    {name} {one} {}", our.show(&[b"PTTL", &key]));
                    let _ = write!(theirs, "\n    {name} {other} {}", their.show(&[b"PTTL", &key]));
                }
            }
        }
        (ours, theirs)
    }

    /// Leaves out of a run what the difference does not need.
    fn shortest(&mut self, mut steps: Vec<Step>) -> (Vec<Step>, Option<Difference>) {
        // Mostly it has to do with what was done to the same keys.
        let last = steps.last().expect("a difference needs a step").words.clone();
        let mut related = steps.clone();
        related
            .retain(|step| last == step.words || step.words[1..].iter().any(|word| last[1..].contains(word)));
        if let Some(difference) = self.play(&related) {
            related.truncate(difference.index + 1);
            steps = related;
        }
        let mut chunk = steps.len().div_ceil(2);
        loop {
            let mut at = 0;
            while at < steps.len() && steps.len() > 1 {
                let mut fewer = steps.clone();
                fewer.drain(at..(at + chunk).min(steps.len()));
                match self.play(&fewer) {
                    Some(difference) => {
                        fewer.truncate(difference.index + 1);
                        steps = fewer;
                    }
                    None => at += chunk,
                }
            }
            if chunk == 1 {
                let difference = self.play(&steps);
                return (steps, difference);
            }
            chunk = chunk.div_ceil(2);
        }
    }
}

/// The channel that tells the listeners that all events so far have come.
const END_OF_EVENTS: &str = "end-of-events";

/// The events that came, up to the end. When a key expires each server finds out in its own time.
fn heard(listener: &mut Client) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let words: Vec<Vec<u8>> = elements(listener.value()).into_iter().map(bytes_of).collect();
        match &words[..] {
            [_, _, channel, key] if !channel.ends_with(b":expired") => {
                let channel = String::from_utf8_lossy(channel).replace("__keyevent@", "").replace("__:", ":");
                events.push(format!("{channel}={}", shown(key)));
            }
            [_, channel, _] if channel == END_OF_EVENTS.as_bytes() => {
                // SORT looks up in the order of its algorithm, set operations from the smallest set
                // on.
                let is_miss = |event: &String| event.contains(":keymiss=");
                events.chunk_by_mut(|one, other| is_miss(one) && is_miss(other)).for_each(<[_]>::sort);
                return events;
            }
            _ => {}
        }
    }
}

/// Steps for a report: the connection and the command.
fn listed(steps: &[Step]) -> String {
    let line = |step: &Step| {
        let words: Vec<String> = step.words.iter().map(|word| shown(word)).collect();
        format!("  {}> {}\n", step.connection, brief(words.join(" ")))
    };
    steps.iter().map(line).collect()
}

/// Bytes for a report, quoted and not too long.
fn shown(bytes: &[u8]) -> String {
    brief(String::from_utf8_lossy(&quote(bytes)))
}

/// Text for a report: the beginning of it.
fn brief(text: impl Display) -> String {
    let text = text.to_string();
    if text.chars().count() < 400 { text } else { text.chars().take(400).chain("…".chars()).collect() }
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn random_commands_are_answered_as_a_real_server_does() {
    let Some(real) = RealServer::start(&["--save", ""]) else { return };
    let server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    let generator = Generator::new();
    let mut arena = Arena::new(server, real);
    let first = environment("PYREDIS_SEED", 1);
    let commands = environment("PYREDIS_COMMANDS", COMMANDS);
    let mut report = String::new();
    for seed in first..first + commands.div_ceil(RUN) {
        println!("PYREDIS_SEED={seed}");
        arena.configure(seed);
        let mut steps = generator.run(seed, RUN);
        let Some(difference) = arena.play(&steps) else { continue };
        steps.truncate(difference.index + 1);
        let (steps, found) = arena.shortest(steps);
        let difference = found.unwrap_or(difference);
        let found = format!(
            "PYREDIS_SEED={seed}, configuration {}\n{}  pyredis: {}\n  redis:   {}\n",
            seed % CONFIGS.len() as u64,
            listed(&steps),
            difference.ours,
            difference.theirs
        );
        println!("{found}");
        report += &found;
    }
    assert!(report.is_empty(), "differences:\n{report}");
}

/// The lines of HELP.
fn help_of(client: &mut Client, container: &str) -> Vec<Vec<u8>> {
    client.send(&format!("{container} HELP"));
    elements(client.value()).into_iter().map(bytes_of).collect()
}

#[test]
fn help_is_that_of_a_real_server_line_by_line() {
    let Some(real) = RealServer::start(&["--save", ""]) else { return };
    let server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    let (mut ours, mut theirs) = (server.client(), Client::connect(real.port));
    for container in [
        "ACL", "CLIENT", "COMMAND", "CONFIG", "LATENCY", "MEMORY", "MODULE", "OBJECT", "PUBSUB", "SLOWLOG",
        "FUNCTION", "SCRIPT",
    ] {
        assert_eq!(help_of(&mut ours, container), help_of(&mut theirs, container), "{container}");
    }
    let (ours, theirs) = (help_of(&mut ours, "DEBUG"), help_of(&mut theirs, "DEBUG"));
    let mut rest = theirs.iter();
    let is_part = ours.iter().all(|line| rest.any(|other| other == line));
    assert!(is_part && ours.len() > 10, "DEBUG: what is not built is left out, nothing else");
}
