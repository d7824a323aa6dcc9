//! The append-only file of whole servers: kill -9 in the middle of writing, folders that travel between pyredis
//! and a real Redis, full disks.
//!
//! `PYREDIS_ROUNDS` says how often the server is killed; without it a few times.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;

use pyredis::base::random::Random;

use crate::support::{RealServer, Server, signal, text};

/// Kills, when the environment does not say.
const ROUNDS: u64 = 4;
/// Clients that write at the same time.
const WRITERS: u64 = 6;
/// Acknowledged commands of all writers before a kill: so many, and up to as many more.
const KILL_AFTER: u64 = 300;

const ALWAYS: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// What one writer was told: how often each of its counters was raised.
#[derive(Clone, Default)]
struct Acknowledged(BTreeMap<String, u64>);

/// Writes until the server is gone. Each step raises a counter, alone or with a second one in a transaction, or
/// pushes to a list, or moves an element; every answer is told to `told`.
fn write_until_killed(port: u16, writer: u64, seed: u64, told: &mpsc::Sender<()>) -> Acknowledged {
    let mut random = Random::new(seed);
    let mut acknowledged = Acknowledged::default();
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return acknowledged };
    let mut reader = BufReader::new(stream);
    loop {
        let (lines, replies, counters): (Vec<String>, usize, &[&str]) = match random.below(4) {
            0 => (vec![format!("INCR n:{writer}")], 1, &["n"]),
            1 => (
                vec![
                    "MULTI".into(),
                    format!("INCR a:{writer}"),
                    format!("RPUSH l:{writer} x"),
                    format!("INCR b:{writer}"),
                    "EXEC".into(),
                ],
                8,
                &["a", "l", "b"],
            ),
            2 => (vec![format!("RPUSH l:{writer} y")], 1, &["l"]),
            _ => (vec![format!("MSET c:{writer} 1 d:{writer} 1"), format!("INCR n:{writer}")], 2, &["n"]),
        };
        let request: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        if reader.get_mut().write_all(request.as_bytes()).is_err() {
            return acknowledged;
        }
        for _ in 0..replies {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(_) if line.ends_with("\r\n") => assert!(!line.starts_with('-'), "{line}"),
                _ => return acknowledged,
            }
        }
        for counter in counters {
            *acknowledged.0.entry(format!("{counter}:{writer}")).or_default() += 1;
        }
        // The test may have seen enough.
        let _ = told.send(());
    }
}

#[test]
fn kill_9_loses_nothing_acknowledged_and_halves_no_transaction() {
    kill_in_a_loop("always");
}

/// The page cache outlives the process, so `everysec` loses nothing either, unless answers did not wait for a
/// busy disk: the log says when that was.
#[test]
fn kill_9_loses_nothing_acknowledged_with_everysec_unless_the_disk_was_busy() {
    kill_in_a_loop("everysec");
}

fn kill_in_a_loop(fsync: &str) {
    let arguments = ["--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--loglevel", "debug"];
    let mut busy_rounds = 0;
    let rounds = std::env::var("PYREDIS_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let mut folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(20_261_123);
    let mut expected = BTreeMap::<String, u64>::new();
    for round in 0..rounds {
        let mut server = Server::start_in(folder, &arguments);
        let (port, seed) = (server.port, random.u64());
        let (told, heard) = mpsc::channel();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let told = told.clone();
                std::thread::spawn(move || write_until_killed(port, writer, seed ^ writer, &told))
            })
            .collect();
        drop(told);
        let wanted = KILL_AFTER + random.below(KILL_AFTER);
        if round % 3 == 1 {
            server.client().run("BGREWRITEAOF");
        }
        assert_eq!(heard.iter().take(wanted as usize).count() as u64, wanted);
        signal(server.pid(), "KILL");
        server.wait();
        for writer in writers {
            for (key, count) in writer.join().unwrap().0 {
                *expected.entry(key).or_default() += count;
            }
        }
        folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
        let was_busy = server.log.iter().any(|line| line.contains("The disk is busy: answers leave before"));
        assert!(fsync != "always" || !was_busy, "with always everybody waits");
        busy_rounds += u64::from(was_busy);
        drop(server);
        folder = check_after_kill(folder, &mut expected, round, was_busy);
    }
    eprintln!("{fsync}: {rounds} kills, {busy_rounds} of them after answers that did not wait");
}

/// What was acknowledged is there, unless answers did not wait; at most one step per writer more, and that whole.
fn check_after_kill(
    folder: tempfile::TempDir,
    expected: &mut BTreeMap<String, u64>,
    round: u64,
    may_lack: bool,
) -> tempfile::TempDir {
    let server = Server::start_in(folder, &ALWAYS);
    let mut client = server.client();
    let number =
        |reply: String| reply.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap_or(0);
    for writer in 0..WRITERS {
        let mut found = BTreeMap::new();
        for key in ["n", "a", "b"] {
            found.insert(format!("{key}:{writer}"), number(client.run(&format!("GET {key}:{writer}"))));
        }
        found.insert(
            format!("l:{writer}"),
            number(client.run(&format!("LLEN l:{writer}")).replace("(int) ", "")),
        );
        for (key, &count) in &found {
            let told = expected.get(key).copied().unwrap_or(0);
            assert!(
                (told..=told + 1).contains(&count) || may_lack && count < told,
                "round {round}: {key} is {count}, {told} were acknowledged"
            );
        }
        assert_eq!(
            found[&format!("a:{writer}")],
            found[&format!("b:{writer}")],
            "round {round}: half a transaction"
        );
        expected.extend(found);
    }
    server.stop()
}

/// Writes values of every type, some with deadlines, some removed again.
const FILL: &[&str] = &[
    "SET s hello",
    "SET expiring v PXAT 9999999999999",
    "RPUSH l a b c 1 2 3",
    "LPOP l",
    "SADD set a b c",
    "SPOP set",
    "HSET h f v g 12",
    "EXPIREAT h 9999999999",
    "ZADD z 1 a 2.5 b 0.1 c",
    "MULTI",
    "SELECT 3",
    "SET other 1",
    "INCRBYFLOAT other 1.5",
    "EXEC",
    "SETBIT bits 77 1",
    "DEL nothing",
    "GETDEL s",
];

fn part(folder: &Path, ending: &str) -> PathBuf {
    let entries = fs::read_dir(folder.join("appendonlydir")).unwrap();
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .collect();
    found.sort();
    found.pop().expect("there is such a part")
}

fn assert_checked(folder: &Path) {
    let Ok(output) = Command::new("redis-check-aof").arg(part(folder, ".manifest")).output() else { return };
    let said = text(&output.stdout);
    assert!(said.contains("All AOF files and manifest are valid"), "{said}");
}

#[test]
fn folders_travel_between_pyredis_and_a_real_redis() {
    for preamble in ["yes", "no"] {
        let directives = [
            "--appendonly",
            "yes",
            "--save",
            "",
            "--aof-use-rdb-preamble",
            preamble,
            "--aof-timestamp-enabled",
            "yes",
        ];
        let ours: Vec<&str> = directives.iter().chain(&DEBUG).copied().collect();
        let server = Server::start(&ours);
        let mut client = server.client();
        for line in FILL {
            let reply = client.run(line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
        client.run("CONFIG SET appendfsync always");
        client.run("RPUSH l after");
        let digest = client.run("DEBUG DIGEST");
        let folder = server.stop();
        assert_checked(folder.path());

        let Some(real) = RealServer::start_in(folder, &directives) else { return };
        let mut client = crate::support::Client::connect(real.port);
        assert_eq!(client.run("DEBUG DIGEST"), digest, "a real server finds the same");
        for line in ["SET theirs 1", "ZADD z 7 d", "EXPIRE z 1000000"] {
            client.run(line);
        }
        client.run("BGREWRITEAOF");
        while client.run("INFO persistence").contains("aof_rewrite_in_progress:1") {}
        client.run("SADD set more");
        let digest = client.run("DEBUG DIGEST");
        client.send("SHUTDOWN");
        assert!(client.is_closed());
        let copied = tempfile::tempdir().unwrap();
        copy(&real.folder.path().join("appendonlydir"), &copied.path().join("appendonlydir"));
        let server = Server::start_in(copied, &ours);
        assert_eq!(server.client().run("DEBUG DIGEST"), digest, "we find what a real server left");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_file_cut_at_every_byte_of_its_tail_loads_what_came_before() {
    let server = Server::start(&ALWAYS);
    let mut client = server.client();
    let mut ends = Vec::new();
    for step in 0..3 {
        client.run(&format!("RPUSH l {step}"));
        for line in ["MULTI", "INCR n", "INCR m", "EXEC"] {
            client.run(line);
        }
        ends.push(fs::metadata(part(server.folder.path(), ".1.incr.aof")).unwrap().len());
    }
    let folder = server.stop();
    let path = part(folder.path(), ".1.incr.aof");
    let whole = fs::read(&path).unwrap();
    let mut folder = Some(folder);
    // Every byte of the last step; each start costs a process.
    for cut in (ends[1]..=ends[2]).step_by(7) {
        fs::write(&path, &whole[..cut as usize]).unwrap();
        let server = Server::start_in(folder.take().unwrap(), &ALWAYS);
        let mut client = server.client();
        let (n, m) = (client.run("GET n"), client.run("GET m"));
        assert_eq!(n, m, "cut at {cut}");
        assert_eq!(n, if cut == ends[2] { "\"3\"" } else { "\"2\"" }, "cut at {cut}");
        assert_eq!(client.run("RPUSH l after").len(), "(int) 3".len(), "it goes on behind the cut");
        drop(client);
        folder = Some(server.stop());
    }
}

#[test]
fn broken_files_are_refused_with_the_words_of_redis_last() {
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
    let set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    for (manifest, file, line) in [
        (
            manifest,
            format!("{set}!!!{set}"),
            "Bad file format reading the append only file appendonly.aof.1.incr.aof",
        ),
        (manifest, format!("{set}*1\r\n$3\r\nbla\r\n"), "Unknown command 'bla' reading the append only file"),
        (
            "file b seq 1 type b\nfile c seq 1 type b\n",
            String::new(),
            "Found duplicate base file information",
        ),
        ("", String::new(), "Found an empty AOF manifest"),
        ("file missing seq 1 type b\n", String::new(), "No such file or directory"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("appendonlydir");
        fs::create_dir(&parts).unwrap();
        fs::write(parts.join("appendonly.aof.manifest"), manifest).unwrap();
        fs::write(parts.join("appendonly.aof.1.incr.aof"), file).unwrap();
        let mut server = Server::spawn(folder, &ALWAYS);
        assert_eq!(server.wait().code(), Some(1));
        let last = server.log.iter().rfind(|line| !line.is_empty()).unwrap();
        assert!(last.contains(line), "{line}: {}", server.log.join("\n"));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("appendonlydir")).unwrap();
    fs::write(folder.path().join("appendonlydir/appendonly.aof.3.incr.aof"), set).unwrap();
    let mut server = Server::spawn(folder, &ALWAYS);
    assert_eq!(server.wait().code(), Some(1));
    server.log.retain(|line| line.contains("but no manifest appendonly.aof.manifest that lists it"));
    assert_eq!(server.log.len(), 1, "parts without a manifest are somebody's data");
}

/// Sets how large files may become.
pub(crate) fn limit_files(server: &Server, bytes: &str) -> bool {
    let pid = server.pid().to_string();
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status();
    done.is_ok_and(|status| status.success())
}

/// A limit on the size of files takes the place of a full disk: writes fail halfway, and work again
/// when the limit is lifted.
#[test]
fn a_full_disk_refuses_writes_and_heals_and_nothing_acknowledged_is_lost() {
    for fsync in ["always", "everysec", "no"] {
        let mut server = Server::start(&["--appendonly", "yes", "--save", "", "--appendfsync", fsync]);
        let mut client = server.client();
        if !limit_files(&server, "4000:unlimited") {
            return eprintln!("no prlimit here: nothing tested");
        }
        let mut writer = server.client();
        let value = "x".repeat(300);
        let mut acknowledged = 0;
        for _ in 0..100 {
            writer.send(&format!("RPUSH l {value}"));
        }
        server.wait_for("Error writing to the AOF file: File too large");
        let refused = client.run("SET other 1");
        assert_eq!(refused, "-MISCONF Errors writing to the AOF file: File too large");
        assert_eq!(client.run("PING"), refused, "as Redis answers it");
        assert!(client.run("LLEN l").starts_with("(int)"), "reads go on");
        assert!(client.run("INFO persistence").contains("aof_last_write_status:err"));
        assert!(limit_files(&server, "unlimited:unlimited"));
        server.wait_for("AOF write error looks solved, The server can write again.");
        for _ in 0..100 {
            acknowledged += u64::from(writer.reply().starts_with("(int)"));
        }
        assert!(acknowledged > 0);
        assert_eq!(client.run("CONFIG SET appendfsync always"), "OK");
        assert!(client.run("RPUSH l last").starts_with("(int)"));
        signal(server.pid(), "KILL");
        server.wait();
        let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
        assert_checked(folder.path());
        let server = Server::start_in(folder, &ALWAYS);
        assert_eq!(server.client().run("LLEN l"), format!("(int) {}", acknowledged + 1), "{fsync}");
    }
}
