//! The append-only file of whole servers: folders that travel between pyredis and a real Redis,
//! broken files, full disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rdb::{fill, state};
use crate::support::{Client, RealServer, Server, of_redis, signal, text, wait_until};

const ALWAYS: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

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
    let output = Command::new("redis-check-aof").arg(part(folder, ".manifest")).output();
    let Some(output) = of_redis("redis-check-aof", output) else { return };
    let said = text(&output.stdout);
    assert!(said.contains("All AOF files and manifest are valid"), "{said}");
}

/// Changes to values of every type and encoding, behind a base that holds them.
const TAIL: &[&str] = &[
    "SELECT 0",
    "APPEND text !",
    "RPUSH list:large after",
    "LPOP list:plain",
    "SADD set:many text",
    "SREM set:text a",
    "HSET hash:large new field",
    "HDEL hash:small f",
    "ZADD zset:large 0.5 new",
    "ZREM zset:small a",
    "SETBIT binary 70000 1",
    "PEXPIRE list:small 100000000",
    "PERSIST nothing",
    "DEL set:16",
    "XADD stream MAXLEN ~ 100 * f v",
    "XREADGROUP GROUP all bob COUNT 5 STREAMS stream >",
    "XREADGROUP GROUP told alice NOACK STREAMS stream >",
    "XACK stream all 180-1 215-1",
    "XAUTOCLAIM stream all carol 0 170-1 COUNT 9",
    "XGROUP DELCONSUMER stream all alice",
    "XGROUP CREATECONSUMER stream all alice",
    "SELECT 15",
    "PERSIST hash",
    "MULTI",
    "HSET hash g w",
    "SELECT 3",
    "GETEX key PERSIST",
    "EXEC",
    "SELECT 0",
];

fn change(client: &mut Client) {
    for line in TAIL {
        let reply = client.run(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

/// Every type and encoding, several databases, deadlines, values of many pages, compressed ones, in
/// the base and behind it: the same digest, encodings and deadlines on either server.
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
        let mut server = Server::start(&ours);
        let mut client = server.client();
        for line in FILL {
            let reply = client.run(line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        fill(&mut client);
        assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
        server.wait_for("Background AOF rewrite finished successfully");
        change(&mut client);
        let digest = client.run("DEBUG DIGEST");
        // Short strings that were written to in place have another encoding before they are loaded.
        let server = Server::start_in(server.stop(), &ours);
        let before = state(&mut server.client());
        assert_eq!(before[0], digest);
        let folder = server.stop();
        assert_checked(folder.path());

        let Some(real) = RealServer::start_in(folder, &directives) else { return };
        let mut client = Client::connect(real.port);
        assert_eq!(state(&mut client), before, "a real server finds the same");
        for line in ["SET theirs 1", "ZADD z 7 d", "EXPIRE z 1000000"] {
            client.run(line);
        }
        client.run("BGREWRITEAOF");
        wait_until("redis-server has rewritten its file", || {
            client.run("INFO persistence").contains("aof_rewrite_in_progress:0")
        });
        change(&mut client);
        let digest = client.run("DEBUG DIGEST");
        assert_eq!(client.run("DEBUG LOADAOF"), "OK");
        let before = state(&mut client);
        assert_eq!(before[0], digest);
        client.send("SHUTDOWN");
        assert!(client.is_closed());
        let copied = tempfile::tempdir().unwrap();
        copy(&real.folder.path().join("appendonlydir"), &copied.path().join("appendonlydir"));
        let server = Server::start_in(copied, &ours);
        assert_eq!(state(&mut server.client()), before, "we find what a real server left");
    }
}

/// The single file of older versions, of commands or with a snapshot before them, becomes the base.
#[test]
fn an_old_single_file_is_taken_over() {
    let arguments = [&ALWAYS[..], &DEBUG].concat();
    for preamble in ["yes", "no"] {
        let directives = [&arguments[..], &["--aof-use-rdb-preamble", preamble]].concat();
        let mut server = Server::start(&directives);
        let mut client = server.client();
        fill(&mut client);
        assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
        server.wait_for("Background AOF rewrite finished successfully");
        change(&mut client);
        assert_eq!(client.run("DEBUG LOADAOF"), "OK");
        let before = state(&mut client);
        let folder = server.stop();
        let base = if preamble == "yes" { ".base.rdb" } else { ".base.aof" };
        let single =
            [base, ".incr.aof"].map(|ending| fs::read(part(folder.path(), ending)).unwrap()).concat();
        let old = tempfile::tempdir().unwrap();
        fs::write(old.path().join("appendonly.aof"), &single).unwrap();
        let server = Server::start_in(old, &arguments);
        assert_eq!(state(&mut server.client()), before);
        assert_eq!(server.client().run("SET more 1"), "OK");
        let folder = server.stop();
        assert!(!folder.path().join("appendonly.aof").exists());
        assert_eq!(fs::read(folder.path().join("appendonlydir/appendonly.aof")).unwrap(), single);
        assert_checked(folder.path());
        let server = Server::start_in(folder, &arguments);
        assert_eq!(server.client().run("GET more"), "\"1\"");
        server.client().run("DEL more");
        assert_eq!(server.client().run("DEBUG DIGEST"), before[0]);
    }
}

/// Copies the files of a folder into a new one.
pub(crate) fn copy(from: &Path, to: &Path) {
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

#[test]
fn a_rewrite_that_cannot_make_its_files_is_answered_with_the_error() {
    const REFUSED: &str =
        "-ERR Can't execute an AOF background rewriting. Please check the server logs for more information.";
    for appendonly in ["no", "yes"] {
        let mut server = Server::start(&["--appendonly", appendonly, "--save", ""]);
        let (mut client, folder) = (server.client(), server.folder.path().join("appendonlydir"));
        let aside = server.folder.path().join("aside");
        let was_there = fs::rename(&folder, &aside).is_ok();
        fs::write(&folder, "a file in the place of the folder").unwrap();
        assert_eq!(client.run("BGREWRITEAOF"), REFUSED);
        server.wait_for("Can't open or create append-only dir");
        fs::remove_file(&folder).unwrap();
        if was_there {
            fs::rename(&aside, &folder).unwrap();
        }
        assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
        server.wait_for("Background AOF rewrite finished successfully");
    }
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
        assert_eq!(client.run("GET never"), "(nil)", "reads go on");
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

/// How a disk fails: it takes nothing more, or it does not answer.
#[derive(Clone, Copy, Debug)]
enum BadDisk {
    Full,
    Hanging,
}

/// Asks until a command has run so often.
fn wait_until_called(client: &mut Client, command: &str, calls: u64) {
    let wanted = format!("cmdstat_{command}:calls={calls},");
    wait_until(&wanted, || client.run("INFO commandstats").contains(&wanted));
}

impl BadDisk {
    /// A server that has met it with a write. `None` where there is no such disk.
    fn met_by(self, fsync: &str) -> Option<(Server, Client)> {
        let directives =
            ["--appendonly", "yes", "--save", "", "--appendfsync", fsync, "--enable-debug-command", "yes"];
        let mut server = Server::start(&directives);
        let mut client = server.client();
        assert_eq!(client.run("SET there 1"), "OK");
        match self {
            BadDisk::Full if !limit_files(&server, "100:unlimited") => return None,
            BadDisk::Full => {}
            // It takes nothing for ten minutes.
            BadDisk::Hanging => assert_eq!(client.run("DEBUG AOF-FLUSH-SLEEP 600000000"), "OK"),
        }
        let mut writer = server.client();
        writer.send(&format!("SET key {}", "x".repeat(300)));
        match self {
            BadDisk::Full => drop(server.wait_for("Error writing to the AOF file: File too large")),
            BadDisk::Hanging => wait_until_called(&mut client, "set", 2),
        }
        Some((server, writer))
    }
}

/// What cannot be written keeps nobody from stopping the server: SIGTERM stops one whose disk
/// refuses, as Redis does, and whoever insists stops one whose disk does not answer.
#[test]
fn no_disk_keeps_a_server_from_being_stopped() {
    let insist = |server: &mut Server| {
        signal(server.pid(), "TERM");
        // Two signals that nobody has taken yet are one.
        server.wait_for("Received SIGTERM");
        signal(server.pid(), "TERM");
    };
    let no_save = |server: &mut Server| server.client().send("SHUTDOWN NOSAVE");
    let once = |server: &mut Server| signal(server.pid(), "TERM");
    type Stopping<'s> = &'s dyn Fn(&mut Server);
    let rows: [(BadDisk, &str, Stopping<'_>); 6] = [
        (BadDisk::Full, "always", &once),
        (BadDisk::Full, "everysec", &once),
        (BadDisk::Full, "always", &no_save),
        (BadDisk::Hanging, "always", &insist),
        (BadDisk::Hanging, "everysec", &insist),
        (BadDisk::Hanging, "everysec", &no_save),
    ];
    for (disk, fsync, stop) in rows {
        let Some((mut server, _writer)) = disk.met_by(fsync) else {
            return eprintln!("no prlimit here: nothing tested");
        };
        stop(&mut server);
        let status = server.wait();
        assert!(status.success(), "{disk:?} {fsync}: {status}\n{}", server.log.join("\n"));
    }
}

/// With `always` nobody is told OK for what is not on disk, nor kept waiting for ever.
#[test]
fn an_answer_that_a_full_disk_holds_is_given_up_with_an_error() {
    let Some((server, mut writer)) = BadDisk::Full.met_by("always") else {
        return eprintln!("no prlimit here: nothing tested");
    };
    let rest = String::from_utf8(writer.rest()).unwrap();
    assert!(rest.starts_with('-') && rest.lines().count() == 1, "{rest}");
    assert!(rest.contains("in memory") && rest.contains("not on disk"), "{rest}");
    assert_eq!(server.client().run("GET there"), "\"1\"", "the others are served");
}

/// What was answered is in the file, also when the file is turned off on the way out.
#[test]
fn a_stop_waits_for_a_file_that_was_just_turned_off() {
    let directives = ["--appendonly", "yes", "--save", "", "--enable-debug-command", "yes"];
    let mut server = Server::start(&directives);
    let mut client = server.client();
    // Longer than the end of the process waits for its threads.
    assert_eq!(client.run("DEBUG AOF-FLUSH-SLEEP 900000"), "OK");
    assert_eq!(client.run("SET key value"), "OK");
    client.send("CONFIG SET appendonly no");
    client.send("SHUTDOWN");
    assert!(server.wait().success());
    let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
    let server = Server::start_in(folder, &directives);
    assert_eq!(server.client().run("GET key"), "\"value\"");
}

/// With `always` a change that is lost with the process was shown to nobody, and no other reader
/// has waited.
#[test]
fn a_disk_that_stands_still_shows_nothing_that_a_kill_takes_away() {
    let always = ["--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"];
    let mut server = Server::start(&always);
    let [mut writer, mut reader, mut other] = [(); 3].map(|()| server.client());
    assert_eq!(writer.run("SET there 1"), "OK");
    // The disk takes nothing for ten minutes.
    assert_eq!(writer.run("DEBUG AOF-FLUSH-SLEEP 600000000"), "OK");
    writer.send("SET key new");
    wait_until_called(&mut other, "set", 2);
    reader.send("GET key");
    wait_until_called(&mut other, "get", 1);
    assert_eq!(other.run("GET there"), "\"1\"");
    assert_eq!(other.run("GET missing"), "(nil)");
    signal(server.pid(), "KILL");
    server.wait();
    assert_eq!((writer.rest(), reader.rest()), (Vec::new(), Vec::new()), "neither has heard anything");
    let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
    let server = Server::start_in(folder, &always);
    assert_eq!(server.client().run("MGET there key"), "[\"1\", (nil)]");
}
