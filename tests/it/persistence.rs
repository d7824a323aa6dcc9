//! Saving and loading as processes see it: `-LOADING`, ends in the middle of things, one server per
//! folder.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::aof::limit_files;
use crate::support::{Client, RealServer, Server, pyredis, run, signal, text, wait_until, within_limit};

/// Keys of the files that these tests make.
const KEYS: usize = 2000;

/// A folder with a snapshot of [`KEYS`] keys, and its DEBUG DIGEST.
fn folder_with_data() -> (tempfile::TempDir, String) {
    let server = Server::start(&["--enable-debug-command", "yes", "--save", ""]);
    let mut client = server.client();
    assert_eq!(client.run(&format!("DEBUG POPULATE {KEYS} key 10")), "OK");
    assert_eq!(client.run("SAVE"), "OK");
    let digest = client.run("DEBUG DIGEST");
    (server.stop(), digest)
}

pub(crate) fn field(client: &mut Client, section: &str, name: &str) -> String {
    let info = client.run(&format!("INFO {section}"));
    let line =
        info.lines().chain(info.split("\\r\\n")).find_map(|line| line.trim_matches('"').strip_prefix(name));
    line.and_then(|rest| rest.strip_prefix(':')).unwrap_or_default().trim().to_owned()
}

/// Asks until `done` is content with a field; every question is a round trip, so it is no busy
/// loop.
pub(crate) fn wait_for_field(client: &mut Client, section: &str, name: &str, done: impl Fn(&str) -> bool) {
    wait_until(&format!("{name} becomes what is wanted"), || done(&field(client, section, name)));
}

pub(crate) fn temporary_files(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("temp-")).count()
}

/// A server that takes long to load: a second for each of its keys until it is told otherwise.
fn slow_start(folder: tempfile::TempDir) -> Server {
    let mut server = Server::spawn(
        folder,
        &["--save", "", "--enable-debug-command", "yes", "--key-load-delay", "1000000"],
    );
    server.wait_for("Server initialized");
    server
}

#[test]
fn while_data_is_loaded_clients_are_told_so() {
    let (folder, digest) = folder_with_data();
    let mut server = slow_start(folder);
    let mut client = server.client();
    assert_eq!(client.run("GET key:1"), "-LOADING Redis is loading the dataset in memory");
    assert_eq!(client.run("PING"), "-LOADING Redis is loading the dataset in memory");
    assert_eq!(field(&mut client, "persistence", "loading"), "1");
    wait_for_field(&mut client, "persistence", "loading_total_bytes", |bytes| {
        bytes.parse().is_ok_and(|b: u64| b > 1000)
    });
    assert!(client.run("CONFIG SET appendonly yes").starts_with("-"), "not while loading");
    assert_eq!(client.run("CONFIG SET key-load-delay 0"), "OK");
    server.wait_for("Ready to accept connections");
    assert_eq!(client.run("DEBUG DIGEST"), digest);
    assert_eq!(field(&mut client, "persistence", "loading"), "0");
    assert_eq!(field(&mut client, "persistence", "rdb_last_load_keys_loaded"), KEYS.to_string());
    assert_eq!(field(&mut client, "persistence", "rdb_changes_since_last_save"), "0");
}

#[test]
fn a_server_that_loads_stops_at_once_and_changes_nothing() {
    let (mut folder, digest) = folder_with_data();
    let file = fs::read(folder.path().join("dump.rdb")).unwrap();
    for how in ["TERM", "INT", "SHUTDOWN", "KILL"] {
        let mut server = slow_start(folder);
        if how == "SHUTDOWN" {
            server.client().send("SHUTDOWN SAVE");
        } else {
            signal(server.pid(), how);
        }
        let code = server.wait().code();
        assert_eq!(code, if how == "KILL" { None } else { Some(0) }, "{how}: {:?}", server.log);
        folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
        assert_eq!(fs::read(folder.path().join("dump.rdb")).unwrap(), file, "{how}");
    }
    let server = Server::start_in(folder, &["--enable-debug-command", "yes"]);
    assert_eq!(server.client().run("DEBUG DIGEST"), digest);
}

#[test]
fn a_save_that_is_killed_leaves_the_old_file_and_the_next_start_cleans_up() {
    let (folder, digest) = folder_with_data();
    let mut server = Server::start_in(folder, &["--save", "", "--rdb-key-save-delay", "1000000"]);
    let mut client = server.client();
    assert_eq!(client.run("SET new key"), "OK");
    assert_eq!(client.run("BGSAVE"), "Background saving started");
    wait_for_field(&mut client, "persistence", "current_save_keys_processed", |keys| {
        keys != "0" && !keys.is_empty()
    });
    assert_eq!(temporary_files(server.folder.path()), 1);
    signal(server.pid(), "KILL");
    server.wait();
    let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
    assert_eq!(temporary_files(folder.path()), 1);
    let server = Server::start_in(folder, &["--save", "", "--enable-debug-command", "yes"]);
    assert_eq!(server.client().run("DEBUG DIGEST"), digest);
    assert_eq!(temporary_files(server.folder.path()), 0);
}

#[test]
fn a_save_is_one_moment_while_clients_write() {
    let (folder, digest) = folder_with_data();
    let mut server = Server::start_in(
        folder,
        &["--save", "", "--enable-debug-command", "yes", "--rdb-key-save-delay", "1000000"],
    );
    let mut client = server.client();
    assert_eq!(client.run("BGSAVE"), "Background saving started");
    for key in 0..KEYS {
        assert_eq!(client.run(&format!("SET key:{key} changed")), "OK");
    }
    assert_eq!(client.run("SWAPDB 0 1"), "OK");
    assert_eq!(client.run("FLUSHDB"), "OK");
    assert_eq!(client.run("CONFIG SET rdb-key-save-delay 0"), "OK");
    server.wait_for("Background saving terminated with success");
    let folder = server.stop();
    let server = Server::start_in(folder, &["--save", "", "--enable-debug-command", "yes"]);
    assert_eq!(server.client().run("DEBUG DIGEST"), digest);
    let folder = server.stop();
    let Some(real) = RealServer::start_in(folder, &["--save", ""]) else { return };
    assert_eq!(Client::connect(real.port).run("DEBUG DIGEST"), digest);
}

#[test]
fn a_folder_is_refused_to_a_second_server_that_keeps_data() {
    let server = Server::start(&[]);
    let mut second = pyredis(server.folder.path());
    second.args(["--port", "0"]);
    let output = run(&mut second);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("another server keeps its data in /"), "{told}");
    assert_eq!(server.client().run("PING"), "PONG");
}

#[test]
fn a_disk_that_refuses_fails_the_save_and_nothing_else() {
    let mut server = Server::start(&["--save", "3600 1", "--enable-protected-configs", "yes"]);
    let mut client = server.client();
    assert_eq!(client.run("SET k v"), "OK");
    assert_eq!(client.run("CONFIG SET dbfilename no-such-file.rdb"), "OK");
    fs::create_dir(server.folder.path().join("no-such-file.rdb")).unwrap();
    assert_eq!(client.run("BGSAVE"), "Background saving started");
    server.wait_for("Background saving error");
    assert!(client.run("SET k w").starts_with("-MISCONF Redis is configured to save RDB snapshots"));
    assert_eq!(client.run("GET k"), "\"v\"");
    assert_eq!(temporary_files(server.folder.path()), 0);
    assert_eq!(client.run("CONFIG SET dbfilename dump.rdb"), "OK");
    assert_eq!(client.run("BGSAVE"), "Background saving started");
    server.wait_for("Background saving terminated with success");
    assert_eq!(client.run("SET k w"), "OK");
}

/// A limit on the size of files takes the place of a full disk.
#[test]
fn a_full_disk_fails_saves_and_rewrites_and_the_next_ones_work() {
    let mut server = Server::start(&["--save", "3600 100000", "--enable-debug-command", "yes"]);
    let mut client = server.client();
    assert_eq!(client.run("DEBUG POPULATE 20000 key 10"), "OK");
    assert_eq!(client.run("SAVE"), "OK");
    let saved = fs::read(server.folder.path().join("dump.rdb")).unwrap();
    assert_eq!(client.run("SET one more"), "OK");
    if !limit_files(&server, "20000:unlimited") {
        return eprintln!("no prlimit here: nothing tested");
    }
    assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
    server.wait_for("Background AOF rewrite terminated with error: File too large");
    assert_eq!(field(&mut client, "persistence", "aof_last_bgrewrite_status"), "err");
    assert_eq!(client.run("SET one more"), "OK", "a rewrite that fails keeps nobody from writing");
    assert_eq!(client.run("SAVE"), "-ERR");
    assert_eq!(client.run("SET one more"), "OK", "a SAVE that fails tells its client alone");
    assert_eq!(client.run("BGSAVE"), "Background saving started");
    server.wait_for("Background saving error");
    assert_eq!(field(&mut client, "persistence", "rdb_last_bgsave_status"), "err");
    let refused = client.run("SET one more");
    assert!(refused.starts_with("-MISCONF Redis is configured to save RDB snapshots, but it's"), "{refused}");
    assert_eq!(client.run("GET one"), "\"more\"");
    assert_eq!(temporary_files(server.folder.path()), 0);
    assert_eq!(
        fs::read(server.folder.path().join("dump.rdb")).unwrap(),
        saved,
        "the old file is still there"
    );
    assert!(limit_files(&server, "unlimited:unlimited"));
    assert_eq!(client.run("BGSAVE"), "Background saving started");
    server.wait_for("Background saving terminated with success");
    assert_eq!(field(&mut client, "persistence", "rdb_last_bgsave_status"), "ok");
    assert_eq!(client.run("SET one more"), "OK");
    assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
    server.wait_for("Background AOF rewrite finished successfully");
    assert_eq!(field(&mut client, "persistence", "aof_last_bgrewrite_status"), "ok");
    let digest = client.run("DEBUG DIGEST");
    let server = Server::start_in(server.stop(), &["--enable-debug-command", "yes"]);
    assert_eq!(server.client().run("DEBUG DIGEST"), digest);
}

#[test]
fn a_damaged_file_is_told_by_check_rdb_with_its_exit_code() {
    let (folder, _) = folder_with_data();
    let check = |file: &str| {
        let output = run(pyredis(folder.path()).args(["check-rdb", file]));
        (output.status.code(), text(&output.stdout))
    };
    let (code, told) = check("dump.rdb");
    assert!(code == Some(0) && told.contains(&format!("[info] {KEYS} keys read")), "{told}");
    let mut bytes = fs::read(folder.path().join("dump.rdb")).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(folder.path().join("damaged.rdb"), bytes).unwrap();
    let (code, told) = check("damaged.rdb");
    assert!(code == Some(1) && told.contains("--- RDB ERROR DETECTED ---"), "{told}");
    assert_eq!(
        check("missing.rdb"),
        (Some(1), "Cannot open file missing.rdb: No such file or directory\n".into())
    );
    assert_eq!(run(pyredis(folder.path()).arg("check-rdb")).status.code(), Some(1));
}

/// A disk that stands still until it is read from: a pipe in the place of the first save's
/// temporary file. It cannot be forced to keep anything, so the save fails in the end, when all has
/// been written.
struct StillDisk {
    pipe: PathBuf,
}

impl StillDisk {
    fn under(server: &Server) -> Self {
        let pipe = server.folder.path().join(format!("temp-{}-1.rdb", server.pid()));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        StillDisk { pipe }
    }

    /// Lets the save open its file. What it writes has room for 64 KiB until somebody reads.
    fn open(&self) -> fs::File {
        let pipe = self.pipe.clone();
        within_limit("the save opens its file", move || fs::File::open(pipe).unwrap())
    }
}

fn number(client: &mut Client, section: &str, name: &str) -> u64 {
    field(client, section, name).parse().unwrap()
}

/// The digest of what a server finds in this file.
fn digest_of(file: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("dump.rdb"), file).unwrap();
    Server::start_in(folder, &["--save", "", "--enable-debug-command", "yes"]).client().run("DEBUG DIGEST")
}

#[test]
fn a_disk_that_stands_still_costs_a_save_bounded_memory_and_readers_nothing() {
    const KEYS: usize = 60_000;
    const MIB: u64 = 1 << 20;
    let mut server = Server::start(&["--save", "", "--enable-debug-command", "yes"]);
    let mut client = server.client();
    assert_eq!(client.run(&format!("DEBUG POPULATE {KEYS} key 500")), "OK");
    let digest = client.run("DEBUG DIGEST");
    let before = number(&mut client, "memory", "used_memory");
    assert!(before > 30 * MIB, "{before} bytes are enough to be told from their copies");
    let disk = StillDisk::under(&server);
    assert_eq!(client.run("BGSAVE"), "Background saving started");
    let mut file = disk.open();
    let mut writer = server.client();
    let writing = std::thread::spawn(move || {
        let value = "v".repeat(500);
        for key in 0..KEYS {
            assert_eq!(writer.run(&format!("SET key:{key} {value}")), "OK");
        }
    });
    // The writer is held back when this much has been copied.
    wait_for_field(&mut client, "persistence", "current_cow_peak", |bytes| {
        bytes.parse::<u64>().unwrap() >= 4 * MIB
    });
    for key in (0..KEYS).rev().take(2000) {
        assert_eq!(client.run(&format!("STRLEN key:{key}")), "(int) 500");
    }
    let copied = number(&mut client, "persistence", "current_cow_peak");
    assert!(copied < 6 * MIB, "{copied} bytes are copied");
    let used = number(&mut client, "memory", "used_memory");
    // The saver has a table for packing too, a quarter of a MiB.
    assert!(used < before + 6 * MIB + MIB / 4, "{before} bytes became {used}");
    assert!(!writing.is_finished(), "writes wait for the disk");
    let mut written = Vec::new();
    file.read_to_end(&mut written).unwrap();
    writing.join().unwrap();
    server.wait_for("Write error saving DB on disk: Invalid argument");
    assert!(client.run(&format!("GET key:{}", KEYS - 1)).starts_with("\"vvv"));
    assert_eq!(digest_of(&written), digest);
}

#[test]
fn a_long_string_is_not_copied_for_a_save() {
    let plain = ["--rdbcompression", "no", "--rdb-save-incremental-fsync", "no"];
    let mut server = Server::start(&[&["--save", "", "--enable-debug-command", "yes"], &plain[..]].concat());
    let mut client = server.client();
    for key in ["one", "two", "three", "four", "five"] {
        assert_eq!(client.run(&format!("SETRANGE {key} 20000000 x")), "(int) 20000001");
    }
    assert_eq!(client.run("SET short value"), "OK");
    let digest = client.run("DEBUG DIGEST");
    let disk = StillDisk::under(&server);
    assert_eq!(client.run("BGSAVE"), "Background saving started");
    let mut file = disk.open();
    let mut waiting: Vec<_> = (0..4).map(|_| server.client()).collect();
    assert_eq!(waiting[1].run("MULTI"), "OK");
    assert_eq!(waiting[1].run("SETBIT two 7 1"), "QUEUED");
    assert_eq!(waiting[1].run("APPEND short er"), "QUEUED");
    for (client, command) in
        waiting.iter_mut().zip(["SETRANGE one 5 y", "EXEC", "APPEND five z", "BITFIELD one SET u8 0 1"])
    {
        client.send(command);
    }
    let is_waiting =
        |list: &str| ["setrange", "exec", "append", "bitfield"].iter().all(|name| list.contains(name));
    wait_until("all four clients wait", || is_waiting(&client.run("CLIENT LIST")));
    let copied = number(&mut client, "persistence", "current_cow_size");
    // Everybody else goes on, whatever he does with these keys.
    assert_eq!(client.run("GETRANGE one 5 5"), "\"\\0\"");
    assert_eq!(client.run("SET three replaced"), "OK");
    assert_eq!(client.run("APPEND short s"), "(int) 6");
    assert_eq!(client.run("APPEND new s"), "(int) 1");
    assert_eq!(client.run("DEL four"), "(int) 1");
    let id = waiting[3].local_addr();
    assert_eq!(client.run(&format!("CLIENT KILL ADDR {id}")), "(int) 1");
    let mut written = Vec::new();
    file.read_to_end(&mut written).unwrap();
    assert_eq!(waiting[0].reply(), "(int) 20000001");
    assert!(waiting[1].reply().contains("(int) 8"), "the transaction came whole");
    assert_eq!(waiting[2].reply(), "(int) 20000002");
    assert_eq!(client.run("GETRANGE one 5 5"), "\"y\"");
    assert_eq!(client.run("GETBIT one 7"), "(int) 0", "who was killed did nothing");
    server.wait_for("Write error saving DB on disk: Invalid argument");
    let in_all = number(&mut client, "persistence", "rdb_last_cow_size");
    assert!(copied < 1 << 20, "{copied} bytes were copied");
    assert!(in_all < 2 * 20_000_001 + (1 << 20), "{in_all}: what was replaced and deleted had to be kept");
    assert_eq!(digest_of(&written), digest);
}
