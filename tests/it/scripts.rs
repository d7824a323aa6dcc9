//! Scripts in a real process: one that runs for too long, with others who come, ask, stop it and
//! go; what is left of scripts in files.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use tempfile::TempDir;

use crate::support::{Client, Server, signal, wait_until};

const ENDLESS: &str = "while true do end";
const BUSY: &str = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const KILLED: &str = "-ERR Script killed by user with SCRIPT KILL...";

fn send(client: &mut Client, script: &str) {
    client.send_words(&[b"EVAL", script.as_bytes(), b"0"]);
}

fn eval(client: &mut Client, script: &str) -> String {
    send(client, script);
    client.reply()
}

/// A server whose script runs too long, with the client that runs it and another one.
fn busy(script: &str, directives: &[&str]) -> (Server, Client, Client) {
    let directives = [&["--busy-reply-threshold", "5"], directives].concat();
    let server = Server::start(&directives);
    let (mut runner, mut client) = (server.client(), server.client());
    if directives.contains(&"--requirepass") {
        assert_eq!(
            (runner.run("AUTH secret"), client.run("AUTH secret")),
            ("OK".to_owned(), "OK".to_owned())
        );
    }
    assert_eq!(client.run("SET k v"), "OK");
    send(&mut runner, script);
    wait_until("others are told to wait", || client.run("PING") == BUSY);
    (server, runner, client)
}

fn is_killed(runner: &mut Client) {
    let answer = runner.reply();
    assert!(answer.starts_with(KILLED), "{answer}");
}

#[test]
fn others_are_told_to_wait_and_may_stop_it() {
    let (mut server, mut runner, mut client) = busy(ENDLESS, &["--save", ""]);
    for (line, expected) in [
        ("GET k", BUSY),
        ("FUNCTION KILL", BUSY),
        ("SHUTDOWN", BUSY),
        ("SHUTDOWN SAVE", BUSY),
        (
            "AUTH x",
            "-ERR AUTH <password> called without any password configured for the default user. Are you \
                    sure your configuration is correct?",
        ),
        ("MULTI", "OK"),
        ("GET k", BUSY),
        ("EXEC", &format!("-EXECABORT Transaction discarded because of: {}", &BUSY[1..])),
        ("WATCH k", "OK"),
        ("UNWATCH", "OK"),
        ("RESET", "RESET"),
    ] {
        assert_eq!(client.run(line), expected, "{line}");
    }
    assert!(client.run("HELLO 2").starts_with("[\"server\""));
    assert_eq!(client.run("FUNCTION STATS"), BUSY);
    // Some come and go.
    drop(server.client());
    let mut other = server.client();
    assert_eq!(other.run("PING"), BUSY);
    other.reset();
    let mut last = server.client();
    assert_eq!(last.run("PING"), BUSY);
    assert_eq!(last.run("SCRIPT KILL"), "OK");
    is_killed(&mut runner);
    assert_eq!(last.run("PING"), "PONG");
    assert_eq!(client.run("GET k"), "\"v\"");
    assert_eq!(client.run("SCRIPT KILL"), "-NOTBUSY No scripts in execution right now.");
    wait_until("those who went are forgotten", || {
        client.run("INFO clients").contains("connected_clients:3\\r")
    });
    let line = server.wait_for("Slow script detected");
    assert!(
        line.contains("You can try killing the script using the SCRIPT KILL command. Script name is: "),
        "{line}"
    );
    server.wait_for("Lua script killed by user with SCRIPT KILL.");
}

#[test]
fn one_that_has_written_is_stopped_with_its_changes() {
    let (_server, mut runner, mut client) =
        busy("redis.call('set','k','other') redis.call('lpush','l',1) while true do end", &["--save", ""]);
    assert_eq!(
        client.run("SCRIPT KILL"),
        "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the \
         script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
    );
    assert_eq!(client.run("SCRIPT KILL ROLLBACK"), "OK");
    is_killed(&mut runner);
    assert_eq!(client.run("GET k"), "\"v\"");
    assert_eq!(client.run("DBSIZE"), "(int) 1");
}

#[test]
fn what_stands_behind_it_runs_afterwards() {
    let (_server, mut runner, mut client) = busy(ENDLESS, &["--save", ""]);
    runner.send("SET after 1");
    runner.send("GET after");
    assert_eq!(client.run("GET after"), BUSY);
    assert_eq!(client.run("SCRIPT KILL"), "OK");
    is_killed(&mut runner);
    assert_eq!((runner.reply(), runner.reply()), ("OK".to_owned(), "\"1\"".to_owned()));
}

#[test]
fn its_own_client_may_hang_up() {
    let (_server, runner, mut client) = busy(ENDLESS, &["--save", ""]);
    drop(runner);
    assert_eq!(client.run("GET k"), BUSY);
    assert_eq!(client.run("SCRIPT KILL"), "OK");
    assert_eq!(client.run("GET k"), "\"v\"");
    wait_until("the one that ran it is forgotten", || {
        client.run("INFO clients").contains("connected_clients:1\\r")
    });
}

#[test]
fn shutdown_nosave_ends_the_process_at_once() {
    let (mut server, _runner, mut client) = busy("redis.call('set','x',1) while true do end", &[]);
    client.send("SHUTDOWN NOSAVE");
    assert_eq!(server.wait().code(), Some(0));
    assert!(!server.folder.path().join("dump.rdb").exists());
}

#[test]
fn a_signal_stops_the_script_and_saves_what_was_before() {
    let directives = ["--save", "3600 1"];
    let (mut server, mut runner, _client) =
        busy("redis.call('set','k','other') while true do end", &directives);
    signal(server.pid(), "TERM");
    assert_eq!(server.wait().code(), Some(0), "{}", server.log.join("\n"));
    let answer = String::from_utf8_lossy(&runner.rest()).into_owned();
    let stopped = "-ERR Script stopped: the server is shutting down. Its changes are undone.";
    assert!(answer.is_empty() || answer.starts_with(stopped), "{answer}");
    let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
    let server = Server::start_in(folder, &directives);
    assert_eq!(server.client().run("GET k"), "\"v\"");
}

/// Ends the server without notice; returns its folder.
fn end_at_once(mut server: Server) -> TempDir {
    signal(server.pid(), "KILL");
    server.wait();
    std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap())
}

/// What stands in the last part of the append-only file.
fn appended(folder: &TempDir) -> String {
    let folder = folder.path().join("appendonlydir");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let last = files.filter(|path| path.to_string_lossy().ends_with(".incr.aof")).max();
    String::from_utf8_lossy(&fs::read(last.expect("there is one")).unwrap()).into_owned()
}

const APPENDING: [&str; 8] =
    ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes"];

#[test]
fn of_a_script_that_was_undone_nothing_is_in_the_file() {
    let (server, mut runner, mut client) =
        busy("redis.call('set','k','other') redis.call('set','ghost',1) while true do end", &APPENDING);
    assert_eq!(client.run("SCRIPT KILL ROLLBACK"), "OK");
    is_killed(&mut runner);
    assert_eq!(client.run("SET last 1"), "OK");
    let folder = end_at_once(server);
    let file = appended(&folder);
    assert!(file.contains("last") && !file.contains("ghost") && !file.contains("MULTI"), "{file}");
    let server = Server::start_in(folder, &APPENDING);
    let mut client = server.client();
    assert_eq!(client.run("MGET k last ghost"), "[\"v\", \"1\", (nil)]");
}

#[test]
fn of_a_script_that_was_still_running_nothing_is_in_the_file() {
    let (server, _runner, _client) = busy("redis.call('set','k','other') while true do end", &APPENDING);
    let folder = end_at_once(server);
    assert!(!appended(&folder).contains("other"));
    let server = Server::start_in(folder, &APPENDING);
    assert_eq!(server.client().run("GET k"), "\"v\"");
}

#[test]
fn the_changes_of_a_script_are_one_unit_of_the_file() {
    let server = Server::start(&APPENDING);
    let mut client = server.client();
    let script = "for i = 1, 5 do redis.call('rpush','l',i) end redis.call('spop','nothing')
                  redis.call('incrbyfloat','f','0.5') return redis.call('llen','l')";
    assert_eq!(eval(&mut client, script), "(int) 5");
    let digest = client.run("DEBUG DIGEST");
    let folder = end_at_once(server);
    let file = appended(&folder);
    let [multi, push, set, exec] = ["MULTI", "rpush", "0.5", "EXEC"].map(|word| file.find(word).expect(word));
    assert!(multi < push && push < set && set < exec, "{file}");
    assert!(!file.contains("EVAL") && file.matches("MULTI").count() == 1, "{file}");
    let server = Server::start_in(folder, &APPENDING);
    assert_eq!(server.client().run("DEBUG DIGEST"), digest);
}

#[test]
fn a_script_that_wants_all_memory_gets_an_error() {
    let server = Server::start(&["--save", "", "--script-memory-limit", "8mb"]);
    let mut client = server.client();
    for bomb in [
        "local t = {} while true do t[#t + 1] = string.rep('x', 100000) .. #t end",
        "local t = 'x' while true do t = t .. t end",
        "return string.rep('x', 2^30)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local function f() return f() + 1 end return f()",
        "local t = {} for i = 1, 100 do t[i] = string.rep('x', 60000) end return table.concat(t) .. table.concat(t)",
        "local t = {} while true do t = {t} end",
        "redis.call('set','big',string.rep('x', 4000000)) local t = {} while true do t[#t + 1] = redis.call('get','big') .. #t end",
        "while true do local ok, e = pcall(function() local t = {} while true do t[#t + 1] = {} end end) if not ok then error(e) end end",
    ] {
        let answer = eval(&mut client, bomb);
        let is_refused = ["not enough memory", "stack overflow", "too large", "too long", "resulting string"];
        assert!(
            answer.starts_with("-ERR") && is_refused.iter().any(|text| answer.contains(text)),
            "{bomb}: {answer}"
        );
        assert_eq!(eval(&mut client, "return 1"), "(int) 1", "{bomb}");
    }
}

#[test]
fn who_asks_and_hangs_up_at_once_gets_the_answer() {
    let (server, mut runner, mut client) = busy(ENDLESS, &["--save", ""]);
    for _ in 0..20 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(b"PING\r\nGET k\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, format!("{BUSY}\r\n{BUSY}\r\n"));
    }
    assert_eq!(client.run("SCRIPT KILL"), "OK");
    is_killed(&mut runner);
}

#[test]
fn a_client_that_has_to_log_in_first_is_told_so_meanwhile() {
    let (server, mut runner, mut client) = busy(ENDLESS, &["--save", "", "--requirepass", "secret"]);
    let mut stranger = server.client();
    // A request as long waits until it is known who sends it.
    let long = "x".repeat(20_000);
    stranger.send_words(&[b"AUTH", b"secret"]);
    stranger.send_words(&[b"ECHO", long.as_bytes()]);
    assert_eq!(stranger.reply(), "OK");
    assert_eq!(stranger.reply(), BUSY);
    assert_eq!(client.run("SCRIPT KILL"), "OK");
    is_killed(&mut runner);
}
