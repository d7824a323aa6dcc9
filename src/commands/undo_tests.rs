//! Scripts that are kept and scripts that are undone, before there is a language for them: a
//! made-up command runs others as a script does.
//!
//! `lines keep LINE…` is what EXEC is for the same lines, to everybody who could see a difference;
//! `lines undo LINE…` is nothing at all.

use super::GROUPS;
use super::testing::TestServer;
use crate::base::random::Random;
use crate::base::text::split_args;
use crate::config::NotifyClasses;
use crate::resp::OwnedArgv;
use crate::resp::value::Value;
use crate::server::held_changes;
use crate::server::{Args, Command, CommandResult, CommandTable, Ctx, Task};
use crate::spec::{Group, Spec, WRITE};
use std::fmt::Write as _;

static COMMANDS: &[Command] =
    &[Command::new(Spec::new("lines", Group::Scripting, -2, "ending line").flags(&[WRITE]), script)];

/// Answers with what each line has answered.
fn script(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> CommandResult {
    let ending = args.key();
    let home = ctx.session.db;
    ctx.hold_changes();
    let mut answers = Vec::new();
    while !args.is_done() {
        let words = split_args(args.key()).expect("quotes are balanced");
        let argv = OwnedArgv::from_parts(words.iter().map(Vec::as_slice));
        let answer = ctx.call_as_script(argv.as_argv());
        let (value, used) = Value::parse(&answer).expect("it is RESP").expect("it is whole");
        assert_eq!(used, answer.len(), "one answer");
        answers.push(value.to_string());
    }
    ctx.session.db = home;
    ctx.db.select(home);
    match ending {
        b"keep" => ctx.deliver_changes(),
        b"undo" => ctx.undo_changes(),
        // The test ends it.
        ending => assert_eq!(ending, b"leave"),
    }
    ctx.reply.bulk(answers.join("; ").as_bytes());
    Ok(())
}

fn server() -> TestServer {
    let commands = CommandTable::new(GROUPS.iter().copied().flatten().chain(COMMANDS), super::coming::COMING);
    let mut server = TestServer::of(commands, |config| {
        config.notify_keyspace_events = NotifyClasses::parse(b"KEAmn").expect("they are classes");
        config.databases = 3;
    })
    .expect("it starts");
    (2..=9).for_each(|id| server.connect(id));
    server
}

/// A line for [`script`] with these lines.
fn quoted(ending: &str, lines: &[String]) -> String {
    lines.iter().fold(format!("lines {ending}"), |text, line| format!("{text} \"{line}\""))
}

/// Lines of every kind; `K` and `L` stand for keys.
const LINES: &[&str] = &[
    "set K 17",
    "set K text",
    "set K 18 px 300",
    "set K 1 keepttl",
    "setrange K 300 x",
    "append K more",
    "setbit K 70 1",
    "incr K",
    "incrbyfloat K 1.5",
    "getdel K",
    "getex K px 200",
    "getset K other",
    "mset K 1 L 2",
    "msetnx K 1 L 2",
    "bitop or K L K",
    "bitfield K set u8 0 7",
    "get K",
    "strlen K",
    "pfadd K a b c",
    "pfcount K",
    "pfmerge K L",
    "rpush K a b c",
    "lpush K d",
    "lpop K",
    "rpoplpush K L",
    "lmove K L left right",
    "ltrim K 1 2",
    "linsert K before a z",
    "lrem K 0 a",
    "lset K 0 y",
    "blpop K 0",
    "lpushx K e",
    "lrange K 0 -1",
    "sadd K a b 3",
    "sadd K 1 2 3",
    "srem K a 1",
    "spop K",
    "smove K L a",
    "sunionstore K K L",
    "sinterstore K K L",
    "smembers K",
    "zadd K 1 a 2 b",
    "zadd K 3 c",
    "zincrby K 5 a",
    "zpopmin K",
    "zrem K a",
    "zrangestore K L 0 1",
    "zremrangebyrank K 0 0",
    "zunionstore K 2 K L",
    "zrange K 0 -1",
    "hset K f 1 g 2",
    "hset K long MANY",
    "hdel K f",
    "hincrby K f 3",
    "hgetall K",
    "geoadd K 13 38 p",
    "geosearchstore K L fromlonlat 15 37 byradius 400 km",
    "xadd K * f v",
    "xadd K maxlen 2 * f w",
    "xgroup create K g 0 mkstream",
    "xgroup createconsumer K g c",
    "xreadgroup group g c streams K >",
    "xack K g 1-1",
    "xtrim K maxlen 1",
    "xautoclaim K g d 0 0",
    "xlen K",
    "xgroup destroy K g",
    "xsetid K 9999999999999-1",
    "rename K L",
    "renamenx K L",
    "copy K L",
    "copy K L db 1 replace",
    "move K 1",
    "del K",
    "unlink K L",
    "expire K 100",
    "pexpire K 150",
    "persist K",
    "pexpireat K 1",
    "touch K L",
    "type K",
    "exists K",
    "object encoding K",
    "sort K alpha store L",
    "dbsize",
    "randomkey",
    "scan 0",
    "flushdb",
    "flushall",
    "swapdb 0 1",
    "swapdb 1 2",
    "select 1",
    "select 0",
    "publish news K",
    "spublish news K",
    "sadd K MANY",
    "rpush K MANY",
    "zadd K NUMBERED",
    "hset K PAIRS",
    "append K LONG",
    "keys *",
    "object freq K",
    "lolwut nonsense",
];

fn line(random: &mut Random) -> String {
    let mut pick = |of: usize| random.below(of as u64) as usize;
    // What empties databases is rare, so that something is there.
    let mut line = LINES[pick(LINES.len())];
    if (line.starts_with("flush") || line.starts_with("swap")) && pick(3) > 0 {
        line = LINES[pick(60)];
    }
    let (key, other) = (format!("k{}", pick(8)), format!("k{}", pick(8)));
    let many = |text: &dyn Fn(usize) -> String| (0..150).map(text).collect::<Vec<_>>().join(" ");
    let words = line.split(' ').map(|word| match word {
        "K" => key.clone(),
        "L" => other.clone(),
        "MANY" if line.starts_with("hset") => "v".repeat(90),
        "MANY" => many(&|n| format!("member:{n}")),
        "NUMBERED" => many(&|n| format!("{n} member:{n}")),
        "PAIRS" => many(&|n| format!("field:{n} {n}")),
        "LONG" => "long".repeat(100),
        word => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn lines(random: &mut Random) -> Vec<String> {
    let mut lines: Vec<_> = (0..1 + random.below(12)).map(|_| line(random)).collect();
    lines.push("select 0".to_owned());
    lines
}

/// Everything that is stored, by reference to nothing.
fn stored(server: &TestServer) -> Vec<String> {
    let keyspace = &server.server.keyspace;
    let of_db = |db: &crate::keyspace::Db| {
        let mut keys: Vec<_> = db
            .iter()
            .map(|view| {
                let form = (view.encoding(), view.string_coding(), view.deadline);
                format!("{:?} {form:?} {:?}", view.key, view.value)
            })
            .collect();
        keys.sort_unstable();
        format!("{} {} {keys:?}", db.len(), db.deadlines_len())
    };
    keyspace.iter().map(of_db).collect()
}

/// Everything that a client can find out.
fn visible(server: &mut TestServer) -> String {
    let mut text = server.run("DEBUG DIGEST");
    for db in 0..3 {
        server.run(&format!("SELECT {db}"));
        let mut names: Vec<_> = server
            .server
            .keyspace
            .iter()
            .nth(db)
            .into_iter()
            .flat_map(|db| db.iter())
            .map(|view| String::from_utf8_lossy(view.key).into_owned())
            .collect();
        names.sort_unstable();
        for name in names {
            for ask in ["TYPE", "OBJECT ENCODING", "PTTL", "XINFO STREAM"] {
                let more = if ask.starts_with('X') { "FULL" } else { "" };
                let _ = write!(text, " {}", server.run(&format!("{ask} {name} {more}")));
            }
        }
    }
    server.run("SELECT 0");
    text
}

/// Clients that hear of changes, and what they have heard.
struct Audience {
    waits: [bool; 2],
}

impl Audience {
    fn sit_down(server: &mut TestServer) -> Self {
        for (id, line) in [
            (2, "PSUBSCRIBE *"),
            (2, "SSUBSCRIBE news"),
            (3, "HELLO 3"),
            (3, "CLIENT TRACKING ON"),
            (3, "PSUBSCRIBE *"),
            (8, "HELLO 3"),
            (8, "CLIENT TRACKING ON BCAST NOLOOP"),
        ] {
            server.run_as(id, line);
        }
        Audience { waits: [false; 2] }
    }

    /// Reads keys, waits for some, and returns lines that are sent just before the script.
    fn prepare(&mut self, server: &mut TestServer) -> Vec<(u64, &'static str)> {
        for key in 0..8 {
            server.run_as(3, &format!("TYPE k{key}"));
        }
        let calls = [(5, "BLPOP k0 k1 k2 k3 0"), (7, "XREAD BLOCK 0 STREAMS k4 k5 k6 $ $ $")];
        for (waits, (id, call)) in self.waits.iter_mut().zip(calls) {
            if !*waits {
                *waits = server.run_as(id, call).is_empty();
            }
        }
        vec![(4, "WATCH k0 k1"), (6, "WATCH k2"), (9, "WATCH k3")]
    }

    /// What everybody has heard, and whether what they watch has changed.
    fn heard(&mut self, server: &mut TestServer) -> Vec<String> {
        let mut heard: Vec<String> = [2, 3, 8].iter().map(|&id| server.raw_output_of(id)).collect();
        for (waits, id) in self.waits.iter_mut().zip([5, 7]) {
            let answer = server.raw_output_of(id);
            *waits &= answer.is_empty();
            heard.push(answer);
        }
        for id in [4, 6, 9] {
            server.run_as(id, "MULTI");
            heard.push(server.run_as(id, "EXEC"));
        }
        heard
    }
}

fn advance_and_send(server: &mut TestServer, us: u64, first: Vec<(u64, &str)>, lines: &[String]) {
    let all: Vec<_> = first.into_iter().chain(lines.iter().map(|line| (1, line.as_str()))).collect();
    server.turn_after_us(us, &all);
}

#[test]
fn a_script_that_is_kept_is_what_exec_is_to_everybody() {
    for seed in 0..12 {
        let random = &mut Random::new(seed);
        let (mut script, mut exec) = (server(), server());
        let mut audiences = [Audience::sit_down(&mut script), Audience::sit_down(&mut exec)];
        for round in 0..40 {
            let (us, lines) = (random.below(120_000), lines(random));
            let first = audiences[0].prepare(&mut script);
            advance_and_send(&mut script, us, first, &[quoted("keep", &lines)]);
            let first = audiences[1].prepare(&mut exec);
            let queued: Vec<_> = std::iter::once("multi".to_owned())
                .chain(lines.iter().cloned())
                .chain(["exec".to_owned()])
                .collect();
            advance_and_send(&mut exec, us, first, &queued);
            let place = format!("seed {seed} round {round} {lines:?}");
            assert_eq!(script.effects(), exec.effects(), "{place}");
            assert_eq!(audiences[0].heard(&mut script), audiences[1].heard(&mut exec), "{place}");
            assert_eq!(script.dirty(), exec.dirty(), "{place}");
            [&mut script, &mut exec].into_iter().for_each(|server| drop(server.output_of(1)));
            assert_eq!(visible(&mut script), visible(&mut exec), "{place}");
        }
    }
}

#[test]
fn a_script_that_is_undone_is_nothing_to_anybody() {
    for seed in 0..12 {
        let random = &mut Random::new(seed);
        let mut server = server();
        let mut audience = Audience::sit_down(&mut server);
        for round in 0..40 {
            for line in lines(random) {
                server.run(&line);
            }
            server.run("SELECT 0");
            audience.prepare(&mut server);
            audience.heard(&mut server);
            server.effects();
            let first = audience.prepare(&mut server);
            let (before, seen, dirty) = (stored(&server), visible(&mut server), server.dirty());
            server.effects();
            [2, 3, 8].iter().for_each(|&id| drop(server.output_of(id)));
            // In the second half keys have expired that nobody has met.
            let us = if round < 20 { 0 } else { 1000 * random.below(400) };
            let lines = lines(random);
            let place = format!("seed {seed} round {round} {lines:?}");
            advance_and_send(&mut server, us, first, &[quoted("undo", &lines)]);
            assert!(stored(&server) == before, "{place}");
            assert_eq!((server.effects(), server.dirty()), (String::new(), dirty), "{place}");
            assert_eq!([2, 3, 8, 5, 7].map(|id| server.output_of(id)), [""; 5], "{place}");
            server.output_of(1);
            if us > 0 {
                continue;
            }
            let silence = ["", "", "", "", "", "(empty array)", "(empty array)", "(empty array)"];
            assert_eq!(audience.heard(&mut server), silence, "{place}");
            assert!(visible(&mut server) == seen, "{place}");
        }
    }
}

fn script_of(ending: &str, lines: &[&str]) -> String {
    quoted(ending, &lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
}

#[test]
fn scripts_of_a_transaction_are_part_of_its_unit() {
    let mut server = server();
    server.send_only_as(2, "BLPOP list 0");
    let undone = script_of("undo", &["set b 2", "del a", "rpush list x", "flushall"]);
    let kept = script_of("keep", &["set c 3", "incr c", "rpush list y z"]);
    for line in ["MULTI", "SET a 1", &undone, &kept, "EXISTS a b c list"] {
        server.run(line);
    }
    let answers =
        "1) OK\n2) OK; (integer) 1; (integer) 1; OK\n3) OK; (integer) 4; (integer) 2\n4) (integer) 3";
    assert_eq!(server.run("EXEC").replace('"', ""), answers);
    let unit = "MULTI | SET a 1 | set c 3 | incr c | rpush list y z | EXEC";
    assert_eq!(server.effects(), format!("SELECT 0 | {unit} | LPOP list"));
    assert_eq!(server.output_of(2), "1) \"list\"\n2) \"y\"");
}

#[test]
fn what_a_script_tells_its_own_client_stands_in_front_of_its_answer() {
    let mut server = server();
    for line in ["HELLO 3", "SUBSCRIBE news", "CLIENT TRACKING ON", "SET k 0", "GET k"] {
        server.run(line);
    }
    let raw = server.raw(&script_of("keep", &["set k 1", "publish news hi"]));
    let message = ">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n";
    let answer = "$15\r\nOK; (integer) 1\r\n";
    let invalidation = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
    assert_eq!(raw, format!("{message}{answer}{invalidation}"));
    server.run("GET k");
    assert_eq!(server.raw(&script_of("undo", &["set k 2", "publish news hi"])), answer);
    assert_eq!(server.raw("SET k 3"), format!("+OK\r\n{invalidation}"), "it still tracks the key");
}

#[test]
fn who_has_seen_nothing_of_a_script_sees_what_comes_next() {
    let mut server = server();
    for (id, line) in [(2, "BLPOP list 0"), (3, "WATCH k"), (3, "MULTI")] {
        server.run_as(id, line);
    }
    server.run(&script_of("undo", &["rpush list x", "set k 1", "flushall", "swapdb 0 1"]));
    assert_eq!((server.output_of(2), server.run_as(3, "EXEC")), (String::new(), "(empty array)".to_owned()));
    for (id, line) in [(3, "WATCH k"), (1, "RPUSH list y"), (1, "SET k 2"), (3, "MULTI")] {
        server.run_as(id, line);
    }
    assert_eq!(server.output_of(2), "1) \"list\"\n2) \"y\"");
    assert_eq!(server.run_as(3, "EXEC"), "(nil)");
}

#[test]
fn flushall_of_a_script_gives_a_save_up_only_if_it_is_kept() {
    for (ending, is_kept) in [("undo", false), ("keep", true)] {
        let mut server = server();
        server.check(&[("SETNX k v", "(integer) 1"), ("BGSAVE", "Background saving started")]);
        server.server.take_tasks();
        server.run(&script_of(ending, &["set other v", "flushall"]));
        let tasks = server.server.take_tasks();
        assert_eq!(tasks.iter().any(|task| matches!(task, Task::CancelSave)), is_kept, "{ending}");
        assert_eq!(server.run("EXISTS k"), if is_kept { "(integer) 0" } else { "(integer) 1" });
    }
}

#[test]
fn what_nobody_gets_and_what_is_said_twice_takes_no_memory() {
    let mut server = server();
    server.run("CLIENT TRACKING ON BCAST");
    for line in ["SUBSCRIBE heard", "WATCH watched"] {
        server.run_as(2, line);
    }
    let again = ["set watched v", "set other v", "del other", "publish unheard m"].repeat(100);
    let held = |server: &mut TestServer, lines: &[&str]| {
        server.run(&script_of("leave", lines));
        let (rooms, keyspace) = (&mut server.server.rooms, &mut server.server.keyspace);
        let held = rooms.held.as_ref().map(|held| held.told_len());
        held_changes::drop_all(rooms, keyspace);
        held
    };
    assert_eq!(held(&mut server, &again), Some(2), "the two keys");
    assert_eq!(held(&mut server, &["publish heard m", "set k v"]), Some(2), "a message and a key");
    assert_eq!((server.effects(), server.dirty()), (String::new(), 0));
}

#[test]
fn a_client_that_is_answered_meanwhile_does_not_end_the_unit() {
    let mut server = server();
    server.run_as(2, "BLPOP list 0");
    server.run(&script_of("leave", &["rpush list x", "set k v"]));
    assert_eq!((server.run_as(3, "PING"), server.effects()), ("PONG".to_owned(), String::new()));
    assert_eq!(server.output_of(2), "");
    held_changes::deliver(&mut server.server.rooms, &mut server.server.keyspace);
    server.run_as(3, "PING");
    assert_eq!(server.effects(), "SELECT 0 | MULTI | rpush list x | set k v | EXEC | LPOP list");
    assert_eq!(server.output_of(2), "1) \"list\"\n2) \"x\"");
}
