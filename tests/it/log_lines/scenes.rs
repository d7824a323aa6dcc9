//! What the servers are put through. A step that the log shows no end of is waited for, so that the
//! lines of each stand between its mark and the next.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use super::stage::Stage;
use crate::support::wait_until;

/// One server's life, or several in one folder.
pub(super) type Scene = fn(&mut Stage);

const NO_SAVE: [&str; 2] = ["--save", ""];

/// Every scene, with its name.
pub(super) const SCENES: &[(&str, Scene)] = &[
    ("start and SIGTERM", |stage| {
        stage.start(&[]);
        stage.stop();
    }),
    ("a file of keys is loaded", |stage| {
        stage.start(&[]);
        stage.run("DEBUG POPULATE 10 key");
        stage.run("SET volatile x EX 1000");
        stage.run("SET expired x PX 1");
        stage.stop();
        stage.start(&[]);
        stage.wait_for("DB 0");
        stage.stop();
    }),
    ("SHUTDOWN", shutdown),
    ("SIGINT", |stage| {
        stage.start(&NO_SAVE);
        stage.signal("INT");
        stage.end();
    }),
    ("SHUTDOWN cannot save", |stage| {
        stage.start(&["--dir", "."]);
        stage.run("SET key value");
        std::fs::create_dir_all(stage.path("dump.rdb/in the way")).unwrap();
        stage.mark("SHUTDOWN");
        stage.run("SHUTDOWN");
        stage.mark("SHUTDOWN ABORT");
        stage.run("SHUTDOWN ABORT");
        stage.mark("SIGTERM");
        stage.signal("TERM");
        stage.wait_for("Errors trying");
        stage.mark("SAVE");
        stage.run("SAVE");
        stage.mark("BGSAVE");
        stage.run("BGSAVE");
        stage.wait_for("Background saving error");
        stage.mark("SHUTDOWN FORCE");
        let mut client = stage.client();
        client.send("SHUTDOWN FORCE");
        stage.end();
    }),
    ("SAVE and BGSAVE", |stage| {
        stage.start(&NO_SAVE);
        stage.run("SET key value");
        stage.mark("SAVE");
        stage.run("SAVE");
        stage.mark("BGSAVE");
        stage.run("BGSAVE");
        stage.wait_for("terminated with success");
        stage.mark("save points");
        stage.client().show(&[b"CONFIG", b"SET", b"save", b"1 1"]);
        stage.run("SET key value2");
        stage.wait_for("terminated with success");
        stage.client().show(&[b"CONFIG", b"SET", b"save", b""]);
        stage.mark("DEBUG RELOAD");
        stage.run("DEBUG RELOAD");
        stage.mark("FLUSHALL");
        stage.run("FLUSHALL");
        stage.stop();
    }),
    ("BGSAVE under way at the end", |stage| {
        stage.start(&["--rdb-key-save-delay", "1000000", "--save", ""]);
        stage.run("DEBUG POPULATE 1000 key");
        stage.run("BGSAVE");
        stage.mark("FLUSHALL");
        stage.run("FLUSHALL");
        stage.wait_for("ackground");
        stage.run("DEBUG POPULATE 1000 key");
        stage.run("BGSAVE");
        stage.stop();
    }),
    ("append-only file, fresh, then there", |stage| {
        let on = ["--appendonly", "yes", "--save", ""];
        stage.start(&on);
        stage.run("SET key value");
        stage.stop();
        stage.start(&on);
        stage.stop();
        stage.mark("nosave");
        stage.start(&on);
        stage.run("SET key value");
        let mut client = stage.client();
        client.send("SHUTDOWN NOSAVE");
        stage.end();
    }),
    ("append-only file without a preamble", |stage| {
        let on = ["--appendonly", "yes", "--save", "", "--aof-use-rdb-preamble", "no"];
        stage.start(&on);
        stage.run("SET key value");
        stage.run("BGREWRITEAOF");
        stage.wait_for("finished successfully");
        stage.stop();
        stage.start(&on);
        stage.stop();
    }),
    ("append-only file of an old version", |stage| {
        std::fs::write(stage.path("appendonly.aof"), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n").unwrap();
        stage.start(&["--appendonly", "yes", "--save", ""]);
        stage.run("BGREWRITEAOF");
        stage.wait_for("finished successfully");
        stage.stop();
    }),
    ("append-only file of an old version with a preamble", |stage| {
        stage.start(&NO_SAVE);
        stage.run("SET key value");
        stage.run("SAVE");
        stage.stop();
        let mut bytes = std::fs::read(stage.path("dump.rdb")).unwrap();
        bytes.extend_from_slice(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n");
        std::fs::write(stage.path("appendonly.aof"), bytes).unwrap();
        stage.start(&["--appendonly", "yes", "--save", ""]);
        stage.stop();
    }),
    ("append-only file that is cut off", |stage| {
        let on = ["--appendonly", "yes", "--save", ""];
        stage.start(&on);
        stage.run("SET key value");
        stage.stop();
        let path = stage.path("appendonlydir/appendonly.aof.1.incr.aof");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        stage.mark("refused");
        stage.spawn(&["--appendonly", "yes", "--save", "", "--aof-load-truncated", "no"]);
        stage.end();
        stage.mark("cut");
        stage.start(&on);
        stage.run("SET key value");
        stage.stop();
        let mut bytes = std::fs::read(&path).unwrap();
        let place = bytes.len() - 3;
        bytes[10] = b'x';
        bytes[place] = b'x';
        std::fs::write(&path, &bytes).unwrap();
        stage.mark("bad");
        stage.spawn(&on);
        stage.end();
        std::fs::write(&path, "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n").unwrap();
        stage.mark("incomplete transaction");
        stage.start(&on);
        stage.stop();
    }),
    ("append-only file whose manifest is bad", |stage| {
        let on = ["--appendonly", "yes", "--save", ""];
        stage.start(&on);
        stage.stop();
        std::fs::write(stage.path("appendonlydir/appendonly.aof.manifest"), "nonsense\n").unwrap();
        stage.mark("refused");
        stage.spawn(&on);
        stage.end();
        let text =
            "file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.9.incr.aof seq 9 type i\n";
        std::fs::write(stage.path("appendonlydir/appendonly.aof.manifest"), text).unwrap();
        stage.mark("missing");
        stage.spawn(&on);
        stage.end();
    }),
    ("BGREWRITEAOF", |stage| {
        stage.start(&["--appendonly", "yes", "--save", "", "--appendfsync", "always"]);
        stage.run("SET key value");
        stage.mark("BGREWRITEAOF");
        stage.run("BGREWRITEAOF");
        stage.wait_for("finished successfully");
        stage.mark("keep history");
        stage.run("CONFIG SET aof-disable-auto-gc yes");
        stage.run("BGREWRITEAOF");
        stage.wait_for("finished successfully");
        stage.mark("delete history");
        stage.run("CONFIG SET aof-disable-auto-gc no");
        stage.wait_for("Removing");
        stage.mark("off");
        stage.run("CONFIG SET appendonly no");
        stage.mark("rewrite while off");
        stage.run("BGREWRITEAOF");
        stage.wait_for("finished successfully");
        stage.mark("on");
        stage.run("CONFIG SET appendonly yes");
        stage.wait_for("finished successfully");
        stage.mark("DEBUG LOADAOF");
        stage.run("DEBUG LOADAOF");
        stage.mark("stop");
        stage.stop();
    }),
    ("rewrites that meet", |stage| {
        stage.start(&["--appendonly", "yes", "--save", "", "--rdb-key-save-delay", "1000000"]);
        stage.run("DEBUG POPULATE 1000 key");
        stage.mark("BGSAVE");
        stage.run("BGSAVE");
        stage.run("BGREWRITEAOF");
        stage.mark("off while saving");
        stage.run("CONFIG SET appendonly no");
        stage.run("CONFIG SET appendonly yes");
        stage.mark("off again");
        stage.run("CONFIG SET appendonly no");
        stage.mark("stop");
        let mut client = stage.client();
        client.send("SHUTDOWN NOSAVE FORCE");
        stage.end();
    }),
    ("a rewrite that is given up", |stage| {
        stage.start(&["--appendonly", "yes", "--save", "", "--rdb-key-save-delay", "1000000"]);
        stage.run("DEBUG POPULATE 1000 key");
        stage.mark("BGREWRITEAOF");
        stage.run("BGREWRITEAOF");
        stage.wait_for("started");
        stage.mark("off");
        stage.run("CONFIG SET appendonly no");
        stage.mark("on");
        stage.run("CONFIG SET appendonly yes");
        stage.wait_for("started");
        stage.mark("SHUTDOWN");
        stage.run("SHUTDOWN");
        stage.mark("SHUTDOWN FORCE");
        let mut client = stage.client();
        client.send("SHUTDOWN FORCE");
        stage.end();
    }),
    ("a rewrite at the end", |stage| {
        stage.start(&["--appendonly", "yes", "--save", "", "--rdb-key-save-delay", "1000000"]);
        stage.run("DEBUG POPULATE 1000 key");
        stage.run("BGREWRITEAOF");
        stage.wait_for("started");
        stage.stop();
    }),
    ("a rewrite by growth", |stage| {
        stage.start(&["--appendonly", "yes", "--save", "", "--auto-aof-rewrite-min-size", "1"]);
        stage.run(&format!("SET key {}", "x".repeat(1000)));
        stage.wait_for("finished successfully");
        stage.stop();
    }),
    ("a rewrite that fails", |stage| {
        stage.start(&["--appendonly", "yes", "--save", ""]);
        std::fs::remove_dir_all(stage.path("appendonlydir")).unwrap();
        std::fs::write(stage.path("appendonlydir"), "").unwrap();
        stage.mark("BGREWRITEAOF");
        stage.run("BGREWRITEAOF");
        stage.mark("turn on");
        stage.run("CONFIG SET appendonly no");
        stage.run("CONFIG SET appendonly yes");
        let mut client = stage.client();
        client.send("SHUTDOWN NOSAVE FORCE");
        stage.end();
    }),
    ("CONFIG REWRITE", |stage| {
        stage.start(&[]);
        stage.mark("without a file");
        stage.run("CONFIG REWRITE");
        stage.stop();
        std::fs::create_dir(stage.path("etc")).unwrap();
        std::fs::write(stage.path("etc/redis.conf"), "save \"\"\n").unwrap();
        stage.start(&["etc/redis.conf"]);
        stage.mark("CONFIG REWRITE");
        stage.run("CONFIG REWRITE");
        std::fs::remove_dir_all(stage.path("etc")).unwrap();
        stage.mark("without a folder");
        stage.run("CONFIG REWRITE");
        stage.stop();
    }),
    ("CONFIG SET", |stage| {
        stage.start(&NO_SAVE);
        for words in
            ["maxmemory 1", "maxmemory 0", "hz 20", "loglevel verbose", "loglevel debug", "dir /nowhere"]
        {
            stage.mark(words);
            stage.run(&format!("CONFIG SET {words}"));
        }
        stage.stop();
    }),
    ("clients come and go", |stage| {
        stage.start(&NO_SAVE);
        stage.mark("hangs up");
        let mut client = stage.client();
        client.run("PING");
        drop(client);
        stage.mark("QUIT");
        let mut client = stage.client();
        client.run("QUIT");
        drop(client);
        stage.mark("CLIENT KILL");
        let (mut one, mut other) = (stage.client(), stage.client());
        other.run("PING");
        one.run(&format!("CLIENT KILL {}", other.local_addr()));
        assert!(other.is_closed());
        stage.mark("CLIENT KILL itself");
        one.run(&format!("CLIENT KILL {}", one.local_addr()));
        stage.mark("reset");
        stage.client().reset();
        let mut client = stage.client();
        client.run("PING");
        client.reset();
        stage.wait_for("eading from client");
        stage.mark("blocked and gone");
        let mut client = stage.client();
        client.send("BLPOP nothing 0");
        wait_until("it is blocked", || stage.run("INFO clients").contains("blocked_clients:1"));
        drop(client);
        wait_until("it is gone", || stage.run("INFO clients").contains("blocked_clients:0"));
        stage.mark("stop");
        let _client = stage.client();
        stage.stop();
    }),
    ("clients that are refused", |stage| {
        stage.start(&["--save", "", "--maxclients", "2"]);
        stage.mark("one too many");
        let (mut one, mut two) = (stage.client(), stage.client());
        one.run("PING");
        two.run("PING");
        assert!(stage.client().is_closed());
        stage.mark("stop");
        stage.stop();
    }),
    ("clients that send nonsense", |stage| {
        stage.start(&["--save", "", "--client-query-buffer-limit", "1mb"]);
        let unbalanced = b"SET \"x\r\n".to_vec();
        let long_inline = vec![b'x'; 70_000];
        let long_count = [b"*".to_vec(), vec![b'1'; 70_000]].concat();
        for bytes in [
            b"*1\r\nx\r\n".to_vec(),
            b"*x\r\n".to_vec(),
            b"*1\r\n$x\r\n".to_vec(),
            b"*9999999999\r\n".to_vec(),
            b"*1\r\n$9999999999999\r\n".to_vec(),
            unbalanced,
            long_inline,
            long_count,
            b"POST / HTTP/1.1\r\n".to_vec(),
            b"Host: x\r\n".to_vec(),
            [b"*2\r\n$3\r\nGET\r\n$1000000\r\n".to_vec(), vec![b'x'; 10]].concat(),
        ] {
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).replace(['\r', '\n'], "~");
            stage.mark(&start);
            let mut client = stage.client();
            let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).unwrap();
            drop(client.run("PING"));
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        stage.mark("query buffer");
        let mut client = stage.client();
        client.run("PING");
        let mut request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n".to_vec();
        request.resize(3_000_000, b'x');
        let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).unwrap();
        let _ = stream.write_all(&request);
        let _ = stream.read_to_end(&mut Vec::new());
        stage.mark("stop");
        stage.stop();
    }),
    ("clients that have not logged in", |stage| {
        stage.start(&["--save", "", "--requirepass", "secret"]);
        for bytes in [&b"*100\r\n"[..], b"*1\r\n$100000\r\n"] {
            stage.mark("too much");
            let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).unwrap();
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        stage.mark("AUTH");
        stage.run("AUTH wrong");
        stage.stop();
    }),
    ("clients that do not read", |stage| {
        stage.start(&["--save", "", "--client-output-buffer-limit", "normal 1mb 0 0"]);
        let big = "x".repeat(600_000);
        stage.run(&format!("SET big {big}"));
        stage.mark("output buffer limit");
        let mut slow = stage.client();
        slow.send_raw(&b"GET big\r\n".repeat(40));
        stage.wait_for("for overcoming");
        stage.mark("gone while we write");
        stage.client().show(&[b"CONFIG", b"SET", b"client-output-buffer-limit", b"normal 0 0 0"]);
        let mut gone = stage.client();
        gone.send_raw(&b"GET big\r\n".repeat(40));
        let id = gone.local_addr();
        wait_until("its answers wait", || {
            let list = stage.run("CLIENT LIST");
            list.split("\\n").any(|line| line.contains(&id) && !line.contains("omem=0 "))
        });
        gone.reset();
        wait_until("it is gone", || !stage.run("CLIENT LIST").contains(&id));
        stage.mark("stop");
        stage.stop();
    }),
    ("clients that are idle", |stage| {
        stage.start(&["--save", "", "--timeout", "1"]);
        let mut client = stage.client();
        client.run("PING");
        assert!(client.is_closed());
        stage.stop();
    }),
    ("clients that use too much memory", |stage| {
        stage.start(&["--save", "", "--maxmemory-clients", "1mb"]);
        let mut client = stage.client();
        let mut request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000000\r\n".to_vec();
        request.resize(3_000_000, b'x');
        let mut stream = TcpStream::connect(("127.0.0.1", stage.port)).unwrap();
        let _ = stream.write_all(&request);
        stage.wait_for("Evicting");
        client.run("PING");
        stage.stop();
    }),
    ("unix socket", |stage| {
        let on = ["--save", "", "--unixsocket", "s"];
        stage.start(&on);
        stage.mark("client");
        let mut stream = UnixStream::connect(stage.path("s")).unwrap();
        stream.write_all(b"PING\r\n").unwrap();
        let _ = stream.read(&mut [0; 20]);
        drop(stream);
        stage.wait_for("Accepted connection to");
        stage.stop();
        stage.mark("gone at the end");
        stage.start(&on);
        std::fs::remove_file(stage.path("s")).unwrap();
        stage.stop();
        stage.mark("no TCP");
        stage.spawn(&["--save", "", "--unixsocket", "s", "--port", "0"]);
        stage.wait_for("accept connections at");
        stage.stop();
    }),
    ("PID file", |stage| {
        let path = stage.path("server.pid");
        let path = path.to_str().unwrap().to_owned();
        stage.start(&["--save", "", "--pidfile", &path]);
        stage.stop();
        stage.start(&["--save", "", "--pidfile", "/nowhere/at all"]);
        stage.stop();
    }),
    ("refused starts", |stage| {
        let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = std::mem::replace(&mut stage.port, busy.local_addr().unwrap().port());
        stage.mark("port");
        stage.spawn(&NO_SAVE);
        stage.end();
        stage.port = port;
        stage.mark("nowhere");
        stage.spawn(&["--save", "", "--port", "0"]);
        stage.end();
        stage.mark("unix socket");
        stage.spawn(&["--save", "", "--unixsocket", "no/such/folder"]);
        stage.end();
        stage.mark("address");
        stage.spawn(&["--save", "", "--bind", "192.0.2.1"]);
        stage.end();
        stage.mark("optional address");
        stage.start(&["--save", "", "--bind", "127.0.0.1 -192.0.2.1 -::1"]);
        stage.stop();
        stage.mark("ACL file");
        std::fs::write(stage.path("users.acl"), "user x nonsense\n").unwrap();
        stage.spawn(&["--save", "", "--aclfile", "users.acl"]);
        stage.end();
        stage.mark("ACL file missing");
        stage.spawn(&["--save", "", "--aclfile", "none.acl"]);
        stage.end();
        stage.mark("snapshot");
        std::fs::write(stage.path("dump.rdb"), "nonsense that is long").unwrap();
        stage.spawn(&NO_SAVE);
        stage.end();
        stage.mark("snapshot of the future");
        std::fs::write(stage.path("dump.rdb"), "REDIS0099xxxxxxxxxxxxx").unwrap();
        stage.spawn(&NO_SAVE);
        stage.end();
        stage.mark("short snapshot");
        std::fs::write(stage.path("dump.rdb"), "REDIS0010").unwrap();
        stage.spawn(&NO_SAVE);
        stage.end();
    }),
    ("ACL", |stage| {
        std::fs::write(stage.path("users.acl"), "user x on >y +@all ~*\nuser z\n").unwrap();
        stage.start(&["--save", "", "--aclfile", "users.acl"]);
        stage.mark("ACL SAVE");
        stage.run("ACL SAVE");
        stage.mark("ACL LOAD");
        std::fs::write(stage.path("users.acl"), "user x nonsense\n").unwrap();
        stage.run("ACL LOAD");
        stage.stop();
    }),
    ("small memory", |stage| {
        stage.start(&["--save", "", "--maxmemory", "1000"]);
        stage.stop();
    }),
    ("DEBUG", |stage| {
        stage.start(&NO_SAVE);
        stage.run("DEBUG LOG hello");
        stage.run("DEBUG JMAP");
        stage.run("SWAPDB 0 1");
        stage.run("MEMORY PURGE");
        stage.run("RESET");
        stage.stop();
    }),
];

/// Every way a client has to end a server. Its lines do not depend on what was heard when, so that
/// it is played at every level.
pub(super) fn shutdown(stage: &mut Stage) {
    for words in ["SHUTDOWN NOSAVE", "SHUTDOWN SAVE", "SHUTDOWN", "SHUTDOWN NOW", "SHUTDOWN NOSAVE FORCE"] {
        stage.start(&[]);
        stage.mark(words);
        let mut client = stage.client();
        client.send(words);
        stage.end();
    }
}
