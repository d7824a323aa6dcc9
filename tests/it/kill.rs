//! kill -9 in a loop, while clients write, files are rewritten and snapshots are saved: what was
//! acknowledged is there afterwards, and of what was not, whole steps or nothing.
//!
//! ```text
//! PYREDIS_ROUNDS=100 cargo test --test it kill -- --nocapture    # how many; without it a few
//! PYREDIS_VICTIM=redis-server PYREDIS_ROUNDS=… …                 # kills that one, to compare
//! ```
//!
//! Every writer has keys of its own. A *step* is one command or one transaction. What a writer's
//! keys must hold after each step a second server knows, the *model*, which keeps no files and is
//! sent the same steps.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

use pyredis::base::random::Random;
use pyredis::engine::SystemClock;
use pyredis::resp::value::Value;
use pyredis::server::Clock;
use tempfile::TempDir;

use crate::aof::copy;
use crate::support::{Client, LIMIT, RealServer, Server, clean, signal};

/// Kills, when the environment does not say.
const ROUNDS: u64 = 4;
/// Clients that write at the same time.
const WRITERS: u64 = 6;
/// Acknowledged steps of all writers before a kill: so many, and up to twice as many more.
const KILL_AFTER: u64 = 200;
const DEBUG: [&str; 4] = ["--enable-debug-command", "yes", "--save", ""];

/// One command, or a transaction: lines, each answered once.
type Step = Vec<String>;

/// What one writer has sent in a round.
struct Written {
    steps: Vec<Step>,
    acknowledged: usize,
    /// When that was, of each acknowledged one, nanoseconds.
    times: Vec<u64>,
}

fn keys(writer: u64) -> String {
    let kinds = ["s", "t", "n", "f", "l", "m", "h", "set", "z", "big", "bits", "x"];
    kinds.map(|kind| format!("{kind}:{writer}")).join(" ")
}

fn command(random: &mut Random, writer: u64, step: usize) -> String {
    let (w, few, many) = (writer, random.below(20), random.below(2000) as usize);
    match random.below(25) {
        0 => format!("SET s:{w} {}", "v".repeat(many + 1)),
        1 => format!("SET t:{w} {step} EX 100000"),
        2 => format!("INCR n:{w}"),
        3 => format!("INCRBYFLOAT f:{w} 0.{few}1"),
        4 | 5 => format!("RPUSH l:{w} {step} {few}"),
        6 => format!("LMOVE l:{w} m:{w} LEFT RIGHT"),
        7 => format!("LTRIM l:{w} -{} -1", few + 1),
        8 => format!("HSET h:{w} f{few} {step} g{few} {many}"),
        9 => format!("HDEL h:{w} f{few}"),
        10 => format!("SADD set:{w} {many} {step}"),
        11 => format!("SREM set:{w} {many}"),
        12 => format!("ZINCRBY z:{w} 1.5 m{few}"),
        13 => format!("ZREMRANGEBYRANK z:{w} 0 0"),
        14 => format!("SETRANGE big:{w} {} {step}", many * 50),
        15 => format!("SETBIT bits:{w} {many} 1"),
        16 => format!("MSET s:{w} {step} t:{w} {few}"),
        // IDs that every server makes alike.
        17 | 18 => format!("XADD x:{w} 0-* f {step}"),
        19 => format!("XGROUP CREATE x:{w} g 0 MKSTREAM"),
        20 => format!("XREADGROUP GROUP g c{few} COUNT 3 STREAMS x:{w} >"),
        21 => format!("XREADGROUP GROUP g n{few} NOACK COUNT 1 STREAMS x:{w} >"),
        22 => format!("XACK x:{w} g 0-{few} 0-{}", many / 40),
        23 => format!("XAUTOCLAIM x:{w} g c{few} 0 0-{few} COUNT 2"),
        _ => format!("DEL {}:{w} m:{w}", ["l", "h", "set", "z", "big", "x"][few as usize % 6]),
    }
}

fn step(random: &mut Random, writer: u64, number: usize) -> Step {
    if random.below(4) > 0 {
        return vec![command(random, writer, number)];
    }
    let mut lines = vec!["MULTI".to_owned()];
    for index in 0..=random.below(5) {
        lines.push(command(random, writer, number));
        if index == 2 {
            lines.extend(["SELECT 3".to_owned(), command(random, writer, number), "SELECT 0".to_owned()]);
        }
    }
    lines.push("EXEC".to_owned());
    lines
}

fn request(step: &Step) -> String {
    step.iter().map(|line| format!("{line}\r\n")).collect()
}

/// Writes until the server is gone, one to three steps at a time. Each acknowledged step is told to
/// `told`.
fn write_until_killed(
    port: u16,
    writer: u64,
    seed: u64,
    clock: SystemClock,
    told: &mpsc::Sender<()>,
) -> Written {
    let mut random = Random::new(seed);
    let mut written = Written { steps: Vec::new(), acknowledged: 0, times: Vec::new() };
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return written };
    let mut arrived = Vec::new();
    loop {
        let first = written.steps.len();
        for _ in 0..=random.below(3) {
            let number = written.steps.len();
            written.steps.push(step(&mut random, writer, number));
        }
        let batch: String = written.steps[first..].iter().map(request).collect();
        if stream.write_all(batch.as_bytes()).is_err() {
            return written;
        }
        for index in first..written.steps.len() {
            for line in written.steps[index].clone() {
                match next_reply(&mut stream, &mut arrived) {
                    Some(Value::Error(error)) if !is_about_group(&error) => panic!("{line}: {error:?}"),
                    Some(_) => {}
                    None => return written,
                }
            }
            written.acknowledged += 1;
            written.times.push(clock.monotonic_ns());
            // The test may have seen enough.
            let _ = told.send(());
        }
    }
}

/// A group may be missing, or be there already; the model is told the same.
fn is_about_group(error: &str) -> bool {
    error.starts_with("NOGROUP ") || error.starts_with("BUSYGROUP ")
}

/// One whole reply, or nothing when the server is gone.
fn next_reply(stream: &mut TcpStream, arrived: &mut Vec<u8>) -> Option<Value> {
    loop {
        if let Some((value, used)) = Value::parse(arrived).expect("a server speaks RESP") {
            arrived.drain(..used);
            return Some(value);
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => arrived.extend_from_slice(&buffer[..count]),
        }
    }
}

/// What a writer's keys hold, and what its group waits for: no digest tells that.
fn digest(client: &mut Client, writer: u64) -> String {
    let mut both = String::new();
    for db in [3, 0] {
        client.run(&format!("SELECT {db}"));
        both += &client.run(&format!("DEBUG DIGEST-VALUE {}", keys(writer)));
        // Redis: how many entries a group has read is not propagated with each of them.
        let group = client.run(&format!("XINFO GROUPS x:{writer}"));
        both += group.split("\"entries-read\"").next().unwrap_or_default();
        both += &client.run(&format!("XPENDING x:{writer} g"));
    }
    both
}

/// The model, and how it got there.
struct Model {
    client: Client,
    _server: Server,
    history: Vec<Vec<Step>>,
}

impl Model {
    fn new() -> Self {
        let server = Server::start(&DEBUG);
        Model { client: server.client(), _server: server, history: vec![Vec::new(); WRITERS as usize] }
    }

    fn apply(&mut self, step: &Step) {
        self.client.send_raw(request(step).as_bytes());
        for _ in step {
            self.client.reply();
        }
    }

    /// Follows a writer up to what was found of it. Returns how many acknowledged steps are lost.
    fn follow(&mut self, writer: u64, written: Written, found: &str, context: &str) -> usize {
        let Written { steps, acknowledged, .. } = written;
        let mut rest = steps.into_iter();
        let known: Vec<Step> = rest.by_ref().take(acknowledged).collect();
        known.iter().for_each(|step| self.apply(step));
        self.history[writer as usize].extend(known);
        loop {
            if digest(&mut self.client, writer) == found {
                return 0;
            }
            let Some(step) = rest.next() else { break };
            self.apply(&step);
            self.history[writer as usize].push(step);
        }
        self.search(writer, acknowledged, found, context)
    }

    /// Finds the step that a writer was thrown back to.
    fn search(&mut self, writer: u64, acknowledged: usize, found: &str, context: &str) -> usize {
        let history = std::mem::take(&mut self.history[writer as usize]);
        for db in [3, 0] {
            self.client.run(&format!("SELECT {db}"));
            self.client.run(&format!("DEL {}", keys(writer)));
        }
        for count in 0..=history.len() {
            if digest(&mut self.client, writer) == found {
                self.history[writer as usize] = history[..count].to_vec();
                return (history.len() - count).min(acknowledged);
            }
            if let Some(step) = history.get(count) {
                self.apply(step);
            }
        }
        panic!(
            "{context}: writer {writer} is at no step's end: {:?}",
            &history[history.len() - acknowledged..]
        );
    }
}

/// Something that happens while clients write.
fn disturb(random: &mut Random, client: &mut Client) {
    let line = match random.below(8) {
        0..4 => "BGREWRITEAOF",
        4 | 5 => "BGSAVE",
        6 => ["CONFIG SET aof-use-rdb-preamble yes", "CONFIG SET aof-use-rdb-preamble no"]
            [random.below(2) as usize],
        _ => ["CONFIG SET rdb-key-save-delay 0", "CONFIG SET rdb-key-save-delay 3000"]
            [random.below(2) as usize],
    };
    // That something runs already is fine.
    client.run(line);
}

/// Another program that is killed in the place of this one. What it loses is counted.
fn other_victim() -> Option<OsString> {
    std::env::var_os("PYREDIS_VICTIM")
}

fn spawn_victim(folder: TempDir, arguments: &[&str]) -> Server {
    match other_victim() {
        Some(program) => {
            let program = clean(Command::new(program), folder.path());
            Server::spawn_as(program, folder, arguments)
        }
        None => Server::spawn(folder, arguments),
    }
}

fn start_victim(folder: TempDir, arguments: &[&str]) -> Server {
    let mut server = spawn_victim(folder, arguments);
    server.wait_for("Ready to accept connections");
    server
}

fn kill_in_a_loop(fsync: &str) {
    let arguments = ["--appendonly", "yes", "--appendfsync", fsync, "--loglevel", "debug"];
    let arguments = [&arguments[..], &DEBUG, &["--aof-timestamp-enabled", "yes"]].concat();
    let rounds = std::env::var("PYREDIS_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let (mut folder, mut model) = (tempfile::tempdir().unwrap(), Model::new());
    let mut random = Random::new(20_261_124);
    let (mut busy_rounds, mut acknowledged, mut lost, mut rewrites) = (0, 0, 0, 0);
    let (clock, mut oldest_lost_ns) = (SystemClock::new(), 0);
    for round in 0..rounds {
        let mut server = start_victim(folder, &arguments);
        let (port, seed) = (server.port, random.u64());
        let (told, heard) = mpsc::channel();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let told = told.clone();
                std::thread::spawn(move || write_until_killed(port, writer, seed ^ writer, clock, &told))
            })
            .collect();
        drop(told);
        let mut client = server.client();
        for _ in 0..KILL_AFTER + random.below(2 * KILL_AFTER) {
            heard.recv_timeout(LIMIT).expect("a step is acknowledged within the limit");
            if random.below(40) == 0 {
                disturb(&mut random, &mut client);
            }
        }
        let killed_ns = clock.monotonic_ns();
        signal(server.pid(), "KILL");
        server.wait();
        let written: Vec<Written> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let was_busy = server.log.iter().any(|line| line.contains("The disk is busy: answers leave before"));
        assert!(fsync != "always" || !was_busy, "with always everybody waits");
        busy_rounds += u64::from(was_busy);
        rewrites += server.log.iter().filter(|line| line.contains("rewriting started by")).count();
        folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
        if round % 4 == 3 {
            folder = kill_while_loading(folder, &arguments);
        }
        // Before anybody cuts what is half written.
        let copied = (round % 4 == 1).then(|| copy_of(folder.path()));
        let server = start_victim(folder, &arguments);
        let mut client = server.client();
        let real =
            copied.and_then(|copied| RealServer::start_in(copied, &["--appendonly", "yes", "--save", ""]));
        for (writer, written) in (0..).zip(written) {
            acknowledged += written.acknowledged;
            let times = written.times.clone();
            let found = digest(&mut client, writer);
            if let Some(real) = &real {
                let theirs = digest(&mut Client::connect(real.port), writer);
                assert_eq!(found, theirs, "{fsync}, round {round}: a real server finds something else");
            }
            let missing = model.follow(writer, written, &found, &format!("{fsync}, round {round}"));
            assert!(
                missing == 0 || was_busy || other_victim().is_some(),
                "{fsync}, round {round}: {missing} acknowledged steps are lost"
            );
            lost += missing;
            if missing > 0 {
                oldest_lost_ns = oldest_lost_ns.max(killed_ns.saturating_sub(times[times.len() - missing]));
            }
        }
        folder = server.stop();
    }
    eprintln!(
        "{fsync}: {rounds} kills, {rewrites} rewrites, {acknowledged} acknowledged steps, {lost} lost, 0 halved; \
         {busy_rounds} kills after answers that did not wait for a busy disk; the oldest lost answer was {} ms old",
        oldest_lost_ns / 1_000_000
    );
}

/// A folder with the same append-only file.
fn copy_of(folder: &Path) -> TempDir {
    let copied = tempfile::tempdir().unwrap();
    copy(&folder.join("appendonlydir"), &copied.path().join("appendonlydir"));
    copied
}

/// Kills a server in the middle of its start.
fn kill_while_loading(folder: TempDir, arguments: &[&str]) -> TempDir {
    let mut server = spawn_victim(folder, &[arguments, &["--key-load-delay", "1000000"]].concat());
    server.wait_for("Server initialized");
    signal(server.pid(), "KILL");
    server.wait();
    std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap())
}

#[test]
fn kill_9_loses_nothing_acknowledged_and_halves_no_transaction() {
    kill_in_a_loop("always");
}

/// The page cache outlives the process, so these lose nothing either, unless answers did not wait
/// for a busy disk: the log says when that was.
#[test]
fn kill_9_loses_nothing_acknowledged_with_everysec_and_no_unless_the_disk_was_busy() {
    kill_in_a_loop("everysec");
    kill_in_a_loop("no");
}
