//! Starts with an append-only file that cannot be had, that needs nothing, or beside which others
//! have left theirs.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::persistence::field;
use crate::support::{Installation, PYREDIS, Server, clean, wait_until};

const ON: [&str; 6] = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
const INCR: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const BASE: &str = "appendonlydir/appendonly.aof.1.base.rdb";
const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
/// Where the manifest is written before it has its name.
const TEMPORARY_MANIFEST: &str = "appendonlydir/temp-appendonly.aof.manifest";

/// A folder with an append-only file that holds a key.
fn folder_with_data() -> tempfile::TempDir {
    let server = Server::start(&ON);
    assert_eq!(server.client().run("SET key value"), "OK");
    server.stop()
}

/// Makes a folder that is in the way of a file, and cannot be removed as one.
fn block(path: &Path) {
    fs::create_dir_all(path.join("in the way")).unwrap();
}

/// What stands in the way of an append-only file, and the line that says so.
type Obstacle = (fn(&Path), &'static str);

const OBSTACLES: [Obstacle; 5] = [
    (
        |folder| fs::write(folder.join("appendonlydir"), "").unwrap(),
        "Can't open or create append-only dir appendonlydir: Not a directory",
    ),
    (
        |folder| symlink("nowhere", folder.join("appendonlydir")).unwrap(),
        "Can't open or create append-only dir appendonlydir: No such file or directory",
    ),
    (
        |folder| block(&folder.join(TEMPORARY_MANIFEST)),
        "Can't open the append-only file appendonly.aof.1.base.rdb: Is a directory",
    ),
    (
        // The data set is loaded, and then there is nothing to append to.
        |folder| {
            let with_data = folder_with_data();
            fs::create_dir(folder.join("appendonlydir")).unwrap();
            fs::copy(with_data.path().join(BASE), folder.join(BASE)).unwrap();
            fs::write(folder.join(MANIFEST), "file appendonly.aof.1.base.rdb seq 1 type b\n").unwrap();
            block(&folder.join(INCR));
        },
        "Can't open the append-only file appendonly.aof.1.incr.aof: Is a directory",
    ),
    (
        |folder| {
            let with_data = folder_with_data();
            fs::create_dir(folder.join("appendonlydir")).unwrap();
            fs::copy(with_data.path().join(BASE), folder.join(BASE)).unwrap();
            fs::write(folder.join(MANIFEST), "file appendonly.aof.1.base.rdb seq 1 type b\n").unwrap();
            block(&folder.join(TEMPORARY_MANIFEST));
        },
        "Can't write the AOF manifest file appendonly.aof.manifest: Is a directory",
    ),
];

#[test]
fn a_server_that_cannot_have_its_append_only_file_does_not_serve() {
    for (prepare, line) in OBSTACLES {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let mut server = Server::spawn(folder, &ON);
        assert_eq!(server.wait().code(), Some(1), "{line}: {}", server.log.join("\n"));
        assert!(!server.log.iter().any(|line| line.contains("Ready to accept")), "{line}");
        let last = server.log.iter().rfind(|line| !line.is_empty()).unwrap();
        assert!(last.ends_with(line), "{line}: {}", server.log.join("\n"));
    }
}

#[test]
fn start_says_why_a_server_that_cannot_have_its_append_only_file_does_not_run() {
    for (prepare, line) in OBSTACLES {
        let installation = Installation::new();
        prepare(installation.folder.path());
        let (code, stdout, stderr) = installation.run("start", &ON);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.starts_with("pyredis: ") && stderr.lines().count() == 1, "{line}: {stderr}");
        assert!(stderr.contains(line), "{line}: {stderr}");
        assert!(installation.run("status", &[]).1.contains("is not running"), "{line}");
    }
}

/// A limit on the size of files takes the place of a full disk.
#[test]
fn a_full_disk_at_the_start_is_told_and_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Command::new("sh");
    program.args(["-c", "ulimit -f 0; exec \"$0\" \"$@\"", PYREDIS]);
    let program = clean(program, folder.path());
    let mut server = Server::spawn_as(program, folder, &ON);
    assert_eq!(server.wait().code(), Some(1));
    let last = server.log.iter().rfind(|line| !line.is_empty()).unwrap();
    assert!(
        last.ends_with("Can't open the append-only file appendonly.aof.1.base.rdb: File too large"),
        "{last}"
    );
}

#[test]
fn where_nothing_has_to_change_nothing_is_written() {
    let folder = folder_with_data();
    let inode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().ino();
    let before = [MANIFEST, BASE, INCR].map(inode);
    // Whoever wants to write the manifest fails.
    block(&folder.path().join(TEMPORARY_MANIFEST));
    let after =
        |folder: &Path| [MANIFEST, BASE, INCR].map(|name| fs::metadata(folder.join(name)).unwrap().ino());
    let server = Server::start_in(folder, &ON);
    let mut client = server.client();
    assert_eq!(client.run("GET key"), "\"value\"");
    assert_eq!(client.run("SET more 1"), "OK");
    let folder = server.stop();
    assert_eq!(after(folder.path()), before);
    let server = Server::start_in(folder, &ON);
    assert_eq!(server.client().run("GET more"), "\"1\"");
}

#[test]
fn turning_it_on_where_it_cannot_be_had_is_an_error() {
    let server = Server::start(&["--save", ""]);
    let mut client = server.client();
    let in_the_way = server.folder.path().join("appendonlydir");
    fs::write(&in_the_way, "").unwrap();
    let refused = "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - Unable to turn on AOF. Check \
                   server logs.";
    for _ in 0..2 {
        assert_eq!(client.run("CONFIG SET appendonly yes"), refused);
        assert_eq!(client.run("CONFIG GET appendonly"), "[\"appendonly\", \"no\"]");
        assert_eq!(field(&mut client, "persistence", "aof_enabled"), "0");
    }
    fs::remove_file(in_the_way).unwrap();
    assert_eq!(client.run("CONFIG SET appendonly yes"), "OK");
    assert_eq!(field(&mut client, "persistence", "aof_enabled"), "1");
}

/// The names in the folder of the append-only file, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("appendonlydir")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn wait_until_gone(path: &Path) {
    wait_until(&format!("{} is gone", path.display()), || !path.exists());
}

/// A folder whose parts have number 2, after a rewrite.
fn folder_with_rewritten_data() -> tempfile::TempDir {
    let mut server = Server::start_in(folder_with_data(), &ON);
    let mut client = server.client();
    client.run("BGREWRITEAOF");
    server.wait_for("Background AOF rewrite finished successfully");
    assert_eq!(client.run("SET other 1"), "OK");
    wait_until_gone(&server.folder.path().join(BASE));
    wait_until_gone(&server.folder.path().join(INCR));
    server.stop()
}

#[test]
fn what_rewrites_that_were_killed_have_left_is_removed_and_nothing_else() {
    let folder = folder_with_rewritten_data();
    let listed = names(folder.path());
    let others = [
        "appendonly.aof.1.base.rdb.bak",
        "appendonly.aof.01.base.rdb",
        "appendonly2.aof.1.base.rdb",
        "base.aof.1.incr.aof",
        "notes",
    ];
    let left = [
        ("appendonly.aof.1.base.rdb", "replaced"),
        ("appendonly.aof.1.base.aof", "replaced"),
        ("appendonly.aof.1.incr.aof", "replaced"),
        ("appendonly.aof.3.base.rdb", "put in its place and not listed"),
        ("appendonly.aof.3.incr.aof", ""),
    ];
    let path = |folder: &Path, name: &str| folder.join("appendonlydir").join(name);
    others.iter().for_each(|name| fs::write(path(folder.path(), name), "x").unwrap());
    left.iter().for_each(|(name, text)| fs::write(path(folder.path(), name), text).unwrap());
    // A server that does not append leaves everything.
    let folder = Server::start_in(folder, &["--save", ""]).stop();
    assert_eq!(names(folder.path()).len(), listed.len() + others.len() + left.len());

    let server = Server::start_in(folder, &ON);
    let mut client = server.client();
    left.iter().for_each(|(name, _)| wait_until_gone(&path(server.folder.path(), name)));
    let mut expected = [&listed[..], &others.map(str::to_owned)].concat();
    expected.sort();
    assert_eq!(names(server.folder.path()), expected);
    assert_eq!(client.run("DBSIZE"), "(int) 2");
}

/// A manifest of yesterday that somebody has put back does not list what was written since.
#[test]
fn beside_what_may_be_newer_data_nothing_is_removed() {
    let folder = folder_with_rewritten_data();
    let path = folder.path().join("appendonlydir");
    for name in ["appendonly.aof.1.base.rdb", "appendonly.aof.3.base.rdb", "appendonly.aof.3.incr.aof"] {
        fs::write(path.join(name), "data").unwrap();
    }
    let before = names(folder.path());
    let mut server = Server::spawn(folder, &ON);
    server.wait_for("The AOF file appendonly.aof.3.incr.aof is newer than those that the manifest");
    server.wait_for("Ready to accept connections");
    let folder = server.stop();
    assert_eq!(names(folder.path()), before);
}

#[test]
fn a_damaged_file_ends_the_start_before_anything_is_removed() {
    let folder = folder_with_rewritten_data();
    let path = folder.path().join("appendonlydir");
    fs::write(path.join("appendonly.aof.1.base.rdb"), "the only good one, perhaps").unwrap();
    fs::write(path.join("appendonly.aof.2.incr.aof"), "*1\r\n$3\r\nbla\r\n").unwrap();
    let before = names(folder.path());
    let mut server = Server::spawn(folder, &ON);
    assert_eq!(server.wait().code(), Some(1));
    assert_eq!(names(server.folder.path()), before);
}

/// A first start is killed after it has made its empty base, and before it has listed it.
#[test]
fn a_first_start_that_was_killed_is_made_good_and_data_without_a_manifest_is_not_touched() {
    for preamble in ["yes", "no"] {
        let directives = [&ON[..], &["--aof-use-rdb-preamble", preamble]].concat();
        let folder = Server::start(&directives).stop();
        fs::remove_file(folder.path().join(MANIFEST)).unwrap();
        let server = Server::start_in(folder, &directives);
        assert_eq!(server.client().run("SET key value"), "OK");
        let folder = server.stop();
        fs::remove_file(folder.path().join(MANIFEST)).unwrap();
        let before = names(folder.path());
        let mut server = Server::spawn(folder, &directives);
        assert_eq!(server.wait().code(), Some(1), "there is data now");
        assert_eq!(names(server.folder.path()), before);
    }
    // A base of data alone is data.
    let folder = folder_with_rewritten_data();
    fs::remove_file(folder.path().join(MANIFEST)).unwrap();
    fs::remove_file(folder.path().join("appendonlydir/appendonly.aof.2.incr.aof")).unwrap();
    assert_eq!(Server::spawn(folder, &ON).wait().code(), Some(1));
}

/// Whoever looks for a server by trying its port is served by what it finds there.
#[test]
fn the_first_client_that_gets_in_is_answered() {
    let mut folder = tempfile::tempdir().unwrap();
    for start in 0..10 {
        let server = Server::spawn(folder, &ON);
        wait_until("the server listens", || TcpStream::connect(("127.0.0.1", server.port)).is_ok());
        let mut client = server.client();
        assert_eq!(client.run("PING"), "PONG");
        assert_eq!(client.run("INCR starts"), format!("(int) {}", start + 1));
        folder = server.stop();
    }
}
