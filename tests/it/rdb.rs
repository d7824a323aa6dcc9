//! Snapshots and payloads travel between pyredis and a real Redis in both directions, and nothing
//! is lost: equal digests, equal encodings, equal deadlines.

use std::fs;
use std::path::Path;
use std::process::Command;

use pyredis::resp::value::Value;

use crate::support::{Client, RealServer, Server, of_redis, text};

const DEBUG: [&str; 2] = ["--enable-debug-command", "yes"];

/// Written by Redis 7.0.15 from [`FILL`]; see there.
const REAL_FILE: &[u8] = include_bytes!("../data/types-7.0.15.rdb");
/// The same with `rdbcompression no`.
const REAL_FILE_PLAIN: &[u8] = include_bytes!("../data/types-7.0.15-plain.rdb");
/// DEBUG DIGEST of Redis 7.0.15 after [`FILL`].
const REAL_DIGEST: &str = include_str!("../data/types-7.0.15.digest");

/// Keys of every type and encoding; `*N` repeats a line with `#` counted up from 0.
const FILL: &[&str] = &[
    "SELECT 0",
    "SET empty {}",
    "SET int:8 -100",
    "SET int:16 30000",
    "SET int:32 -2000000000",
    "SET int:64 9223372036854775807",
    "SET looks:010 010",
    "SET short hello",
    "SET text the-quick-brown-fox-jumps-over-the-lazy-dog-and-away",
    "SETRANGE zeroes 3000 x",
    "SETBIT binary 800 1",
    "RPUSH list:small a 1 -5000 b 70000 {} 5000000000",
    "*1500 RPUSH list:large element-#",
    "SETRANGE long 9000 x",
    "SADD set:16 1 2 3 -4",
    "SADD set:32 1 70000",
    "SADD set:64 1 5000000000",
    "*600 SADD set:many #",
    "SADD set:text a b c 1 2",
    "*700 SADD set:large member:#",
    "HSET hash:small f v g 12 h {} {} x",
    "*300 HSET hash:large field:# value:#",
    "HSET hash:long f 1234567890123456789012345678901234567890123456789012345678901234567890",
    "ZADD zset:small 1 a 2.5 b -inf c +inf d -3 {} 1e300 e 0.1 12",
    "*300 ZADD zset:large #.5 member:#",
    "ZADD zset:long 1 1234567890123456789012345678901234567890123456789012345678901234567890",
    "*250 XADD stream #-1 sensor 7 text value-#",
    "XADD stream 250-1 other fields and more",
    "XGROUP CREATE stream all 0",
    "XGROUP CREATE stream told 30-1 ENTRIESREAD 31",
    "XGROUP CREATE stream end $",
    "*190 XCLAIM stream all alice 0 #-1 TIME 17000000# RETRYCOUNT 1 FORCE JUSTID LASTID #-1",
    "*90 XCLAIM stream all bob 0 1#-1 TIME 17000000# RETRYCOUNT 1# JUSTID",
    "XACK stream all 40-1 41-1 180-1",
    "XDEL stream 3-1 100-1 101-1",
    "XTRIM stream MAXLEN 230",
    "XREADGROUP GROUP told alice NOACK COUNT 3 STREAMS stream >",
    "XGROUP CREATECONSUMER stream end idle",
    "XGROUP CREATE stream:new readers 7-7 MKSTREAM",
    "XADD stream:empty MAXLEN 0 18446744073709551615-3 f v",
    "XADD stream:set 5-5 f v",
    "XSETID stream:set 9-9 ENTRIESADDED 77 MAXDELETEDID 8-8",
    "XSETID stream:set 6-6",
    "SELECT 3",
    "XADD stream 1-1 f v",
    "PEXPIREAT stream 9999999999000",
    "SET key value PXAT 9999999999999",
    "RPUSH list x",
    "PEXPIREAT list 9999999999000",
    "SELECT 15",
    "HSET hash f v",
    "EXPIREAT hash 9999999999",
];

/// Lists longer elements than a node takes get nodes of their own; it needs a value of 9 KB.
pub(crate) fn fill(client: &mut Client) {
    for line in FILL {
        let (times, line) = match line.strip_prefix('*').and_then(|line| line.split_once(' ')) {
            Some((times, line)) => (times.parse().unwrap(), line),
            None => (1, *line),
        };
        for turn in 0..times {
            let reply = client.run(&line.replace('#', &turn.to_string()).replace("{}", ""));
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
    }
    let long = "long-element-".repeat(1000);
    client.run("SELECT 0");
    for line in ["RPUSH list:plain first", &format!("RPUSH list:plain {long}"), "RPUSH list:plain last"] {
        assert!(client.run(line).starts_with("(int)"));
    }
}

/// Everything that must survive: the digest, each key's encoding and deadline, and of streams what
/// is known of them and their groups.
pub(crate) fn state(client: &mut Client) -> Vec<String> {
    let mut lines = vec![client.run("DEBUG DIGEST")];
    for db in 0..16 {
        client.run(&format!("SELECT {db}"));
        let keys = client.run("KEYS *");
        let mut keys: Vec<&str> =
            keys.trim_matches(['[', ']']).split(", ").filter(|key| !key.is_empty()).collect();
        keys.sort_unstable();
        for key in keys {
            let key = key.trim_matches('"');
            let encoding = client.run(&format!("OBJECT ENCODING {key}"));
            let mut line = format!("{db} {key} {encoding} {}", client.run(&format!("PEXPIRETIME {key}")));
            if encoding == "\"stream\"" {
                line += &format!(" {}", known_of_stream(client, key));
            }
            lines.push(line);
        }
    }
    client.run("SELECT 0");
    lines
}

/// Entries, groups, consumers and what is pending, but for when consumers were seen: commands that
/// make them anew do not tell that.
fn known_of_stream(client: &mut Client, key: &str) -> String {
    let known = client.run(&format!("XINFO STREAM {key} FULL COUNT 0"));
    let (mut parts, name) = (known.split("\"seen-time\", (int) "), "\"seen-time\", ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + name + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

fn folder_with(file: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("dump.rdb"), file).unwrap();
    folder
}

fn copy_of(folder: &Path) -> tempfile::TempDir {
    folder_with(&fs::read(folder.join("dump.rdb")).unwrap())
}

#[test]
fn files_of_a_real_server_are_loaded_whole() {
    let mut states = Vec::new();
    for file in [REAL_FILE, REAL_FILE_PLAIN] {
        let mut server = Server::spawn(folder_with(file), &DEBUG);
        server.wait_for("Loading RDB produced by version 7.0.15");
        server.wait_for("RDB age ");
        server.wait_for("RDB memory usage when created ");
        let told = server.wait_for("Done loading RDB, keys loaded: ");
        server.wait_for("Ready to accept connections");
        let mut client = server.client();
        assert_eq!(client.run("DEBUG DIGEST"), REAL_DIGEST.trim());
        let found = state(&mut client);
        assert!(told.ends_with(&format!(" {}, keys expired: 0.", found.len() - 1)), "{told}");
        states.push(found);
    }
    assert_eq!(states[0], states[1]);
}

#[test]
fn a_reload_keeps_everything() {
    let server = Server::start(&DEBUG);
    let mut client = server.client();
    fill(&mut client);
    let before = state(&mut client);
    for _ in 0..2 {
        assert_eq!(client.run("DEBUG RELOAD"), "OK");
        assert_eq!(state(&mut client), before);
    }
    assert_eq!(client.run("DEBUG RELOAD NOFLUSH MERGE"), "OK");
    assert_eq!(state(&mut client), before);
    let refused = "-ERR Error trying to load the RDB dump";
    assert_eq!(client.run("DEBUG RELOAD NOFLUSH"), refused, "keys that are there already");
}

#[test]
fn snapshots_travel_both_ways() {
    let directives: &[&[&str]] = &[
        &[],
        &["--rdbcompression", "no", "--maxmemory-policy", "allkeys-lru", "--list-max-listpack-size", "5"],
        &["--rdbchecksum", "no", "--maxmemory-policy", "volatile-lfu", "--zset-max-listpack-entries", "2"],
    ];
    for directives in directives {
        let directives = [directives, &DEBUG[..]].concat();
        let server = Server::start(&directives);
        let mut client = server.client();
        fill(&mut client);
        let ours = state(&mut client);
        assert_eq!(client.run("SAVE"), "OK");
        let file = server.folder.path().join("dump.rdb");
        let output = Command::new("redis-check-rdb").arg(&file).output();
        if let Some(output) = of_redis("redis-check-rdb", output) {
            assert!(output.status.success(), "{}", text(&output.stdout));
        }
        let Some(real) = RealServer::start_in(copy_of(server.folder.path()), &directives) else { return };
        let mut client = Client::connect(real.port);
        assert_eq!(state(&mut client), ours, "a real server read our file: {directives:?}");
        assert_eq!(client.run("SAVE"), "OK");
        let server = Server::start_in(copy_of(real.folder.path()), &directives);
        assert_eq!(state(&mut server.client()), ours, "we read its file: {directives:?}");
    }
}

#[test]
fn payloads_are_those_of_a_real_server() {
    // Compressed texts may differ, sets and hash tables have no order, and our chunks of a long
    // list are a few bytes shorter than Redis's limit. Of pending entries it is kept when they were
    // given.
    let directives = [&["--rdbcompression", "no", "--save", ""][..], &DEBUG].concat();
    let server = Server::start(&directives);
    let Some(real) = RealServer::start(&directives) else { return };
    let (mut ours, mut theirs) = (server.client(), Client::connect(real.port));
    fill(&mut ours);
    fill(&mut theirs);
    let free_in_form = ["set:many", "set:text", "set:large", "hash:large", "list:large", "stream"];
    for line in state(&mut ours).iter().filter(|line| line.starts_with("0 ")) {
        let key = line.split(' ').nth(1).unwrap();
        let (our_dump, their_dump) = (dump(&mut ours, key), dump(&mut theirs, key));
        if !free_in_form.contains(&key) {
            assert!(our_dump == their_dump, "{key}");
        }
        for (from, to) in [(&our_dump, &mut theirs), (&their_dump, &mut ours)] {
            assert_eq!(to.show(&[b"RESTORE", b"copy", b"0", from, b"REPLACE"]), "OK", "{key}");
            let digests = to.run(&format!("DEBUG DIGEST-VALUE copy {key}"));
            let (one, two) = digests.trim_matches(['[', ']']).split_once(", ").unwrap();
            assert_eq!(one, two, "{key}");
        }
    }
}

fn dump(client: &mut Client, key: &str) -> Vec<u8> {
    client.send(&format!("DUMP {key}"));
    match client.value() {
        Value::Bulk(payload) => payload.to_vec(),
        other => panic!("DUMP {key} answered {other}"),
    }
}

#[test]
fn a_damaged_file_stops_the_start() {
    let mut damaged = REAL_FILE.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    for (file, reason) in [
        (&damaged[..], ""),
        (&REAL_FILE[..middle], "Unexpected EOF reading RDB file"),
        (b"not a snapshot at all", "Wrong signature trying to load DB from file"),
        (b"REDIS9999", "Can't handle RDB format version 9999"),
        (b"REDIS0010\xf5\x01x", "Failed loading library, Missing library metadata"),
    ] {
        let mut server = Server::spawn(folder_with(file), &[]);
        assert_eq!(server.wait().code(), Some(1), "{reason}");
        let told = server.log.iter().find(|line| line.contains("Fatal error loading the DB: "));
        assert!(told.is_some_and(|line| line.contains(reason)), "{reason}: {:?}", server.log);
        assert_eq!(fs::read(server.folder.path().join("dump.rdb")).unwrap(), file, "it stays as it was");
    }
}

const SHORT_KEY: &[u8] = b"\x00\x05short\x05hello";

/// [`REAL_FILE_PLAIN`] with other bytes for the key `short`, and without a checksum.
fn with_short_key(bytes: &[u8]) -> Vec<u8> {
    let at = REAL_FILE_PLAIN.windows(SHORT_KEY.len()).position(|window| window == SHORT_KEY).unwrap();
    let mut file = [&REAL_FILE_PLAIN[..at], bytes, &REAL_FILE_PLAIN[at + SHORT_KEY.len()..]].concat();
    let sum = file.len() - 8;
    file[sum..].fill(0);
    file
}

/// What the log of a server that refuses the file says ahead of its last lines.
fn refusal(file: &[u8]) -> String {
    let mut server = Server::spawn(folder_with(file), &["--loglevel", "warning"]);
    assert_eq!(server.wait().code(), Some(1));
    let lines = &server.log[server.log.len() - 3..];
    assert!(lines[1].ends_with("Terminating server after rdb file reading failure."), "{lines:?}");
    let (_, reason) = lines[0].split_once("The RDB file dump.rdb can't be loaded: ").expect(&lines[0]);
    assert!(lines[2].ends_with(&format!("Fatal error loading the DB: {reason}. Exiting.")), "{lines:?}");
    reason.to_owned()
}

#[test]
fn the_log_names_the_key_or_section_that_is_refused() {
    let whole = with_short_key(SHORT_KEY);
    let at = whole.windows(SHORT_KEY.len()).position(|window| window == SHORT_KEY).unwrap();
    let mut other_sum = REAL_FILE.to_vec();
    *other_sum.last_mut().unwrap() ^= 1;
    let mut future = REAL_FILE.to_vec();
    future[5..9].copy_from_slice(b"0099");
    for (file, start, end) in [
        (
            &whole[..at + 10],
            "Unexpected EOF reading RDB file",
            format!("at byte {}, in the value of type string of key 'short' in DB 0", at + 10),
        ),
        (
            &other_sum,
            "RDB CRC error: wrong checksum, expected (",
            format!("at byte {}, in the checksum", REAL_FILE.len()),
        ),
        (&future, "Can't handle RDB format version 99", "99".to_owned()),
        (
            &with_short_key(&[SHORT_KEY, b"\xc8"].concat()),
            "Unknown RDB encoding type 200",
            format!("at byte {}, in an opcode or type behind key 'short' in DB 0", at + SHORT_KEY.len() + 1),
        ),
        (
            &with_short_key(&SHORT_KEY.repeat(2)),
            "RDB has duplicated key 'short' in DB 0",
            "in DB 0".to_owned(),
        ),
        (
            &with_short_key(b"\x10\x05short\x05hello"),
            "Internal error in RDB reading at offset ",
            "in the value of type hash of key 'short' in DB 0".to_owned(),
        ),
    ] {
        let reason = refusal(file);
        assert!(reason.starts_with(start) && reason.ends_with(&end), "{reason}: {start} … {end}");
    }
}

#[test]
fn the_log_names_what_is_wrong_with_a_library() {
    let library = |code: &[u8]| [&[0xf5, code.len() as u8], code].concat();
    let file = |libraries: &[u8]| [b"REDIS0010", libraries, b"\xff", &[0; 8]].concat();
    let good = library(b"#!lua name=a\nredis.register_function('f',print)");
    let told = refusal(&file(&good));
    let reason = "Failed loading library, Error registering functions: ERR user_function:2: Script attempted to access \
                  nonexistent global variable 'print'";
    assert!(told.ends_with(reason), "{told}");
    let told = refusal(&[b"REDIS0010", &library(b"#!lua name=a\n\n")[..10]].concat());
    assert!(told.contains("in the function library"), "{told}");
}

#[test]
fn a_reload_and_an_append_only_file_name_the_refused_key_too() {
    let file = with_short_key(&[SHORT_KEY, b"\xc8"].concat());
    let place = "in an opcode or type behind key 'short' in DB 0";
    let mut server = Server::start(&[&DEBUG[..], &["--save", ""]].concat());
    fs::write(server.folder.path().join("dump.rdb"), &file).unwrap();
    assert!(server.client().run("DEBUG RELOAD NOSAVE").starts_with('-'));
    let told = server.wait_for(
        "DEBUG RELOAD failed: the RDB file dump.rdb can't be loaded: Unknown RDB encoding type 200",
    );
    assert!(told.ends_with(place), "{told}");

    for (file, reason) in
        [(file, place), (with_short_key(&SHORT_KEY.repeat(2)), "RDB has duplicated key 'short' in DB 0")]
    {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("appendonlydir");
        fs::create_dir(&parts).unwrap();
        fs::write(parts.join("appendonly.aof.1.base.rdb"), &file).unwrap();
        let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\n";
        fs::write(parts.join("appendonly.aof.manifest"), manifest).unwrap();
        let mut server = Server::spawn(folder, &["--appendonly", "yes"]);
        assert_eq!(server.wait().code(), Some(1));
        let last = server.log.last().unwrap();
        let start = "Error reading the RDB base file appendonly.aof.1.base.rdb, AOF loading aborted: ";
        assert!(last.contains(start) && last.ends_with(reason), "{last}");
    }
}

/// Few elements of every type and encoding.
const SMALL: &[&str] = &[
    "CONFIG SET loglevel warning",
    "SET text the-quick-brown-fox EX 100000",
    "SETRANGE zeroes 300 x",
    "SET int 12345",
    "RPUSH list a 1 -5000 b 70000",
    "SADD ints 1 2 70000",
    "SADD set a b c",
    "CONFIG SET set-max-intset-entries 2",
    "SADD numbers 4 5 6",
    "HSET hash f v g 12",
    "ZADD zset 1 a 2.5 b -inf c",
    "CONFIG SET hash-max-listpack-entries 1",
    "HSET table f v g 12",
    "CONFIG SET zset-max-listpack-entries 1",
    "ZADD tree 1 a 2.5 b",
    "CONFIG SET maxmemory-policy allkeys-lru",
    "XADD stream 1-1 f v",
    "XADD stream 2-1 g w h x",
    "XGROUP CREATE stream readers 0",
    "XREADGROUP GROUP readers one COUNT 1 STREAMS stream >",
    "SELECT 3",
    "PFADD hll a b",
    "SET key value",
];

fn memory_kb(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

/// Whatever a byte of the file says, and whether the file is cut there: without a checksum that
/// would notice, it is refused or loaded, with neither a crash nor much memory.
#[test]
fn no_byte_of_a_small_file_can_do_harm() {
    let server = Server::start(&[&DEBUG[..], &["--rdbchecksum", "no", "--save", ""]].concat());
    let mut client = server.client();
    for line in SMALL {
        assert!(!client.run(line).starts_with('-'), "{line}");
    }
    let digest = client.run("DEBUG DIGEST");
    assert_eq!(client.run("SAVE"), "OK");
    let path = server.folder.path().join("dump.rdb");
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() < 2000, "{} bytes", whole.len());
    let (peak, resident) = (memory_kb(server.pid(), "VmPeak:"), memory_kb(server.pid(), "VmHWM:"));
    let refused = "-ERR Error trying to load the RDB dump";
    let mut loads = 0;
    for at in 0..whole.len() {
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(client.run("DEBUG RELOAD NOSAVE"), refused, "cut at {at}");
        for change in [0x01, 0x40, 0x80, 0xff, whole[at]] {
            let mut damaged = whole.clone();
            damaged[at] ^= change;
            fs::write(&path, &damaged).unwrap();
            let reply = client.run("DEBUG RELOAD NOSAVE");
            assert!(reply == "OK" || reply == refused, "{change:#x} at {at}: {reply}");
            loads += u32::from(reply == "OK");
        }
    }
    assert!(loads > 100, "{loads} loads");
    let grown = |name, before| memory_kb(server.pid(), name).saturating_sub(before) >> 10;
    assert!(grown("VmHWM:", resident) < 64, "{} MB more resident", grown("VmHWM:", resident));
    assert!(grown("VmPeak:", peak) < 1024, "{} MB more reserved", grown("VmPeak:", peak));
    fs::write(&path, &whole).unwrap();
    assert_eq!(client.run("DEBUG RELOAD NOSAVE"), "OK");
    assert_eq!(client.run("DEBUG DIGEST"), digest);
}

/// With `PYREDIS_WRITE_TEST_DATA` in the environment it writes the files above anew.
#[test]
fn a_real_server_has_the_digest_of_the_files() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for (compression, name) in [("yes", "types-7.0.15.rdb"), ("no", "types-7.0.15-plain.rdb")] {
        let directives = ["--rdbcompression", compression, "--save", ""];
        let Some(real) = RealServer::start(&directives) else { return };
        let mut client = Client::connect(real.port);
        fill(&mut client);
        if std::env::var_os("PYREDIS_WRITE_TEST_DATA").is_some() {
            assert_eq!(client.run("SAVE"), "OK");
            fs::copy(real.folder.path().join("dump.rdb"), data.join(name)).unwrap();
            fs::write(data.join("types-7.0.15.digest"), client.run("DEBUG DIGEST") + "\n").unwrap();
        } else {
            assert_eq!(client.run("DEBUG DIGEST"), REAL_DIGEST.trim());
        }
    }
}
