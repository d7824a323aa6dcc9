//! Whole servers that end while they load an append-only file, or write it anew; and what their
//! folder looks like.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::persistence::{field, temporary_files, wait_for_field};
use crate::support::{Server, signal};

/// Keys of the data set: half of them in the base, half behind it.
const KEYS: usize = 600;
const ON: [&str; 8] =
    ["--appendonly", "yes", "--save", "", "--enable-debug-command", "yes", "--appendfsync", "always"];

/// Arguments of a server that takes a second for each key of what `delay` names.
fn slow<'a>(delay: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&ON[..], &[delay, "1000000"], more].concat()
}

/// A folder with a base and a tail, and its DEBUG DIGEST.
fn folder_with_data(preamble: &str) -> (tempfile::TempDir, String) {
    let arguments = [&ON[..], &["--aof-use-rdb-preamble", preamble]].concat();
    let mut server = Server::start(&arguments);
    let mut client = server.client();
    for key in 0..KEYS {
        if key == KEYS / 2 {
            assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
            server.wait_for("Background AOF rewrite finished successfully");
        }
        assert!(client.run(&format!("HSET key:{key} field value:{key} other {key}")).starts_with("(int)"));
    }
    let digest = client.run("DEBUG DIGEST");
    (server.stop(), digest)
}

/// Every file of the append-only file, with its content.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder.join("appendonlydir")).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn take_folder(server: &mut Server) -> tempfile::TempDir {
    std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap())
}

fn assert_digest(folder: tempfile::TempDir, digest: &str) -> tempfile::TempDir {
    let server = Server::start_in(folder, &ON);
    assert_eq!(server.client().run("DEBUG DIGEST"), digest);
    server.stop()
}

#[test]
fn while_an_append_only_file_is_loaded_clients_are_told_so() {
    for preamble in ["yes", "no"] {
        let (folder, digest) = folder_with_data(preamble);
        let bytes: usize = files(folder.path()).iter().map(|(_, bytes)| bytes.len()).sum();
        let manifest = files(folder.path()).pop().unwrap().1.len();
        let mut server = Server::spawn(folder, &slow("--key-load-delay", &[]));
        server.wait_for("Server initialized");
        let mut client = server.client();
        let loading = "-LOADING Redis is loading the dataset in memory";
        for refused in ["GET key:1", "SET key:1 x", "PING", "DEBUG LOADAOF", "BGREWRITEAOF", "BGSAVE"] {
            assert_eq!(client.run(refused), loading, "{refused}");
        }
        assert_eq!(client.run("MULTI"), "OK");
        assert_eq!(client.run("GET key:1"), loading);
        assert!(client.run("EXEC").starts_with("-EXECABORT"));
        wait_for_field(&mut client, "persistence", "loading_loaded_bytes", |bytes| {
            !["", "0"].contains(&bytes)
        });
        assert_eq!(field(&mut client, "persistence", "loading"), "1");
        assert_eq!(field(&mut client, "persistence", "async_loading"), "0");
        assert_eq!(field(&mut client, "persistence", "loading_total_bytes"), (bytes - manifest).to_string());
        assert!(client.run("CLIENT LIST").contains("cmd=client|list"));
        assert_eq!(client.run("CONFIG SET key-load-delay 0"), "OK");
        server.wait_for("DB loaded from append only file");
        server.wait_for("Ready to accept connections");
        assert_eq!(client.run("DEBUG DIGEST"), digest);
        assert_eq!(field(&mut client, "persistence", "loading"), "0");
        assert_eq!(client.run("DEBUG LOADAOF"), "OK");
        assert_eq!(client.run("DEBUG DIGEST"), digest, "loaded once more");
        for steps in ["", " NOSAVE", " NOSAVE NOFLUSH MERGE"] {
            assert_eq!(client.run(&format!("DEBUG RELOAD{steps}")), "OK");
            assert_eq!(client.run("DEBUG DIGEST"), digest, "{steps}");
        }
        assert_eq!(client.run("DEL key:1"), "(int) 1");
        let digest = client.run("DEBUG DIGEST");
        assert_eq!(client.run("DEBUG LOADAOF"), "OK");
        assert_eq!(client.run("DEBUG DIGEST"), digest, "what was flushed and read back stands in the file");
    }
}

#[test]
fn a_server_that_ends_while_it_loads_leaves_every_file_as_it_was() {
    let (mut folder, digest) = folder_with_data("yes");
    let before = files(folder.path());
    for how in ["TERM", "INT", "SHUTDOWN", "KILL"] {
        let mut server = Server::spawn(folder, &slow("--key-load-delay", &[]));
        server.wait_for("Server initialized");
        let mut client = server.client();
        wait_for_field(&mut client, "persistence", "loading_loaded_bytes", |bytes| {
            !["", "0"].contains(&bytes)
        });
        match how {
            "SHUTDOWN" => client.send("SHUTDOWN"),
            _ => signal(server.pid(), how),
        }
        let code = server.wait().code();
        assert_eq!(code, if how == "KILL" { None } else { Some(0) }, "{how}: {:?}", server.log);
        folder = take_folder(&mut server);
        assert_eq!(files(folder.path()), before, "{how}");
    }
    assert_digest(folder, &digest);
}

#[test]
fn a_rewrite_that_is_killed_loses_nothing_and_the_next_start_cleans_up() {
    for preamble in ["yes", "no"] {
        let (folder, _) = folder_with_data(preamble);
        let mut server =
            Server::start_in(folder, &slow("--rdb-key-save-delay", &["--aof-use-rdb-preamble", preamble]));
        let mut client = server.client();
        assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
        wait_for_field(&mut client, "persistence", "current_save_keys_processed", |keys| {
            !["", "0"].contains(&keys)
        });
        assert_eq!(client.run("SET meanwhile x"), "OK");
        assert_eq!(client.run("DEL key:7"), "(int) 1");
        let digest = client.run("DEBUG DIGEST");
        assert_eq!(temporary_files(server.folder.path()), 1);
        signal(server.pid(), "KILL");
        server.wait();
        let folder = take_folder(&mut server);
        let folder = assert_digest(folder, &digest);
        assert_eq!(temporary_files(folder.path()), 0);
        assert_eq!(temporary_files(&folder.path().join("appendonlydir")), 0);
        let server = Server::start_in(folder, &ON);
        assert_eq!(server.client().run("BGREWRITEAOF"), "Background append only file rewriting started");
        let folder = server.stop();
        assert_digest(folder, &digest);
    }
}

/// A first base that was never finished is of no use: what counts is the snapshot file, as before.
#[test]
fn a_first_base_that_is_killed_leaves_the_folder_as_if_it_never_began() {
    let server = Server::start(&["--save", ""]);
    let mut client = server.client();
    for key in 0..20 {
        client.run(&format!("SET key:{key} {key}"));
    }
    assert_eq!(client.run("SAVE"), "OK");
    let folder = server.stop();
    let mut server = Server::start_in(folder, &["--save", "", "--rdb-key-save-delay", "1000000"]);
    let mut client = server.client();
    assert_eq!(client.run("CONFIG SET appendonly yes"), "OK");
    assert_eq!(client.run("SET other 1"), "OK");
    wait_for_field(&mut client, "persistence", "aof_rewrite_in_progress", |is| is == "1");
    signal(server.pid(), "KILL");
    server.wait();
    let folder = take_folder(&mut server);
    let server = Server::start_in(folder, &["--save", ""]);
    assert_eq!(server.client().run("DBSIZE"), "(int) 20");
    assert_eq!(temporary_files(server.folder.path()), 0);
    assert_eq!(temporary_files(&server.folder.path().join("appendonlydir")), 0);
}

#[test]
fn files_are_for_the_owner_and_its_group_at_most_and_for_fewer_if_the_umask_says_so() {
    for (umask, most) in [("000", 0o640), ("077", 0o600), ("027", 0o640)] {
        let folder = tempfile::tempdir().unwrap();
        let mut program = std::process::Command::new("sh");
        program.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), crate::support::PYREDIS]);
        let program = crate::support::clean(program, folder.path());
        let mut server = Server::spawn_as(program, folder, &ON);
        server.wait_for("Ready to accept connections");
        let mut client = server.client();
        for line in ["SET a 1", "SAVE", "BGREWRITEAOF"] {
            assert!(!client.run(line).starts_with('-'), "{line}");
        }
        server.wait_for("Background AOF rewrite finished successfully");
        let parts = server.folder.path().join("appendonlydir");
        let mut seen = 0;
        for folder in [server.folder.path(), &parts] {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                // Parts that the rewrite has replaced are being deleted.
                let Ok(metadata) = entry.metadata() else { continue };
                let mode = metadata.permissions().mode();
                if metadata.is_file() && entry.file_name() != "pyredis.pid" {
                    assert_eq!(mode & 0o777 & !most, 0, "{:?} is {mode:o}", entry.file_name());
                    seen += 1;
                }
            }
        }
        assert!(seen >= 4, "{seen} files");
    }
}

/// A folder with an append-only file of these commands.
fn folder_of(commands: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let parts = folder.path().join("appendonlydir");
    fs::create_dir(&parts).unwrap();
    let mut bytes = String::new();
    for command in commands.split("; ") {
        let words: Vec<&str> = command.split(' ').collect();
        bytes += &format!("*{}\r\n", words.len());
        words.iter().for_each(|word| bytes += &format!("${}\r\n{word}\r\n", word.len()));
    }
    fs::write(parts.join("appendonly.aof.1.incr.aof"), bytes).unwrap();
    let manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n";
    fs::write(parts.join("appendonly.aof.manifest"), manifest).unwrap();
    folder
}

/// What a file holds that no server writes has the outcome that it has with a real one.
#[test]
fn commands_that_no_server_writes_are_loaded_as_by_a_real_server() {
    for commands in [
        "SET a 1; SHUTDOWN NOSAVE; SET b 1",
        "SET a 1; SUBSCRIBE x; SET b 1",
        "SET a 1; MONITOR; SET b 1",
        "WATCH a; SET a 1; MULTI; SET c 1; EXEC; SET b 1",
        "SET a 1; MULTI; WATCH b; SET b 1; EXEC",
        "SET a 1; QUIT; SET b 1",
        "SET a 1; BLPOP l 0; SET b 1",
        "SET a 1; LPUSH a x; SET b 1",
        "SET a 1; SELECT 99; SET b 1",
        "SET a 1; SET b 1; MULTI; SET c 1",
    ] {
        let server = Server::start_in(folder_of(commands), &ON);
        let mut client = server.client();
        assert_eq!(client.run("EXISTS a b"), "(int) 2", "{commands}");
        assert_eq!(client.run("EXISTS c"), "(int) 0", "{commands}");
        assert_eq!(client.run("PUBSUB NUMSUB x"), "[\"x\", (int) 0]", "{commands}");
    }
    for commands in ["SET a 1; MULTI; SET b 1; NOSUCH x", "SET a 1; CONFIG NOSUCH x"] {
        let mut server = Server::spawn(folder_of(commands), &ON);
        assert_eq!(server.wait().code(), Some(1), "{commands}");
        assert!(server.log.iter().any(|line| line.contains("Unknown command")), "{commands}");
    }
}
