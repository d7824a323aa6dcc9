//! redis-cli, every mode of it that a script can run, against pyredis and against a real server:
//! what it prints must be the same but for numbers that say how fast or how large something is.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::support::{Client, RealServer, Server, of_redis, run, text, within_limit};

/// One key of each type, so that no answer depends on the order of a scan.
const DATA: &[&str] = &["SET s hello", "RPUSH l a b c", "SADD st x y", "ZADD z 1.5 m", "HSET h f v g w"];

fn redis_cli(port: u16, words: &[&str]) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &port.to_string()]).args(words).stdin(Stdio::null());
    command
}

/// What redis-cli prints, lines in any order, every number replaced by `N`.
fn printed(port: u16, words: &[&str]) -> Vec<String> {
    let output = run(&mut redis_cli(port, words));
    let mut lines: Vec<String> =
        text(&output.stdout).lines().chain(text(&output.stderr).lines()).map(masked).collect();
    lines.sort();
    lines
}

/// The line with its numbers masked, and without blanks that pad them.
fn masked(line: &str) -> String {
    let mut shown = String::new();
    for word in line.split_whitespace() {
        let is_number = |c: char| c.is_ascii_digit() || ".%-".contains(c);
        let core = word.trim_matches(|c: char| "()[]+".contains(c)).trim_end_matches(['M', 'K', 'G', 'B']);
        let hidden = core.contains(|c: char| c.is_ascii_digit()) && core.chars().all(is_number);
        shown += if hidden { "N" } else { word };
        shown.push(' ');
    }
    shown
}

fn prepare(port: u16) -> Client {
    let mut client = Client::connect(port);
    for line in DATA {
        client.show(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    }
    client
}

/// Both servers with the same data; `None` where redis is not installed.
fn both() -> Option<(RealServer, Server)> {
    let real = RealServer::start(&["--save", ""])?;
    let ours = Server::start(&["--save", ""]);
    prepare(real.port);
    prepare(ours.port());
    Some((real, ours))
}

fn compare(modes: &[&[&str]]) {
    let Some((real, ours)) = both() else { return };
    for words in modes {
        let expected = printed(real.port, words);
        assert!(!expected.is_empty(), "{words:?} prints nothing");
        assert_eq!(printed(ours.port(), words), expected, "{words:?}");
    }
}

#[test]
fn analysing_modes_find_what_they_find_on_a_real_server() {
    compare(&[
        &["--bigkeys"],
        &["--memkeys"],
        &["--memkeys-samples", "0"],
        &["--hotkeys"],
        &["config", "set", "maxmemory-policy", "allkeys-lfu"],
        &["--hotkeys"],
        &["--scan"],
        &["--scan", "--pattern", "s*"],
        &["--latency", "-i", "0.02"],
        &["--latency", "--raw", "-i", "0.02"],
    ]);
}

#[test]
fn answers_are_printed_alike_in_every_format() {
    compare(&[
        &["-3", "hgetall", "h"],
        &["-3", "--no-raw", "zrange", "z", "0", "-1", "withscores"],
        &["-2", "--no-raw", "hgetall", "h"],
        &["--json", "hgetall", "h"],
        &["--quoted-json", "-3", "get", "s"],
        &["--csv", "lrange", "l", "0", "-1"],
        &["-D", ",", "lrange", "l", "0", "-1"],
        &["-e", "get"],
        &["-r", "2", "-i", "0", "-n", "3", "dbsize"],
        &["-3", "--no-raw", "command", "info", "get"],
        &["--no-raw", "memory", "usage", "nosuch"],
        &["info", "cluster"],
    ]);
}

#[test]
fn help_and_hints_show_the_syntax_a_real_server_documents() {
    let Some((real, ours)) = both() else { return };
    for command in ["get", "set", "zadd", "config set", "lpos", "geosearch", "client kill", "memory usage"] {
        let words: Vec<&str> = std::iter::once("help").chain(command.split(' ')).collect();
        // The summary is in words of our own.
        let shown = |port| -> Vec<String> {
            printed(port, &words).into_iter().filter(|line| !line.contains("summary")).collect()
        };
        let expected = shown(real.port);
        assert!(expected.len() >= 3, "{expected:?}");
        assert_eq!(shown(ours.port()), expected, "{command}");
    }
}

/// A redis-cli that goes on until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first lines of a mode that goes on until it is stopped; `None` where there is no redis-cli.
fn first_lines(port: u16, words: &[&str], count: usize) -> Option<Vec<String>> {
    let mut child = of_redis("redis-cli", redis_cli(port, words).stdout(Stdio::piped()).spawn())?;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let _running = Running(child);
    Some(within_limit(&format!("{count} lines of {words:?}"), move || {
        lines.take(count).map(|line| masked(&line)).collect()
    }))
}

#[test]
fn statistics_are_shown_as_of_a_real_server() {
    let Some((real, ours)) = both() else { return };
    let words = ["--stat", "-i", "0.01"];
    let expected = first_lines(real.port, &words, 4).expect("redis-cli stands beside redis-server");
    assert_eq!(first_lines(ours.port(), &words, 4), Some(expected));
}

#[test]
fn monitor_shows_what_others_send() {
    let server = Server::start(&["--save", ""]);
    let child = redis_cli(server.port(), &["monitor"]).stdout(Stdio::piped()).spawn();
    let Some(mut child) = of_redis("redis-cli", child) else { return };
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let _running = Running(child);
    let mut client = server.client();
    let addr = client.local_addr();
    let shown = within_limit("the commands are shown", move || {
        assert_eq!(lines.next().as_deref(), Some("OK"));
        client.run("SELECT 2");
        client.show(&[b"SET", b"k", b"a b"]);
        [lines.next().unwrap_or_default(), lines.next().unwrap_or_default()]
    });
    let [select, set] = shown.each_ref().map(|line| line.split_once(' ').map_or("", |(_, rest)| rest));
    assert_eq!(select, format!("[2 {addr}] \"SELECT\" \"2\""));
    assert_eq!(set, format!("[2 {addr}] \"SET\" \"k\" \"a b\""));
}

#[test]
fn bulk_loading_counts_answers_and_errors_as_with_a_real_server() {
    let Some((real, ours)) = both() else { return };
    let requests =
        b"SET p1 1\r\n*3\r\n$3\r\nSET\r\n$2\r\np2\r\n$1\r\n3\r\nNOSUCH\r\nLPUSH p1 x\r\nINCR p1\r\n";
    let loaded = |port| {
        let mut command = redis_cli(port, &["--pipe"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(requests).unwrap();
        let output = within_limit("redis-cli --pipe ends", move || child.wait_with_output().unwrap());
        (text(&output.stdout).to_owned(), text(&output.stderr).to_owned(), output.status.code())
    };
    let expected = loaded(real.port);
    assert!(expected.0.contains("errors: 2, replies: 5"), "{expected:?}");
    assert_eq!(loaded(ours.port()), expected);
}

/// A script with something of everything that the debugger shows.
const DEBUGGED: &str = r#"local x = 10
local t = {1, 2, {a = 1}}
local s = "hello\n\"w\""
redis.call('set', KEYS[1], ARGV[1])
local v = redis.call('get', KEYS[1])
local function f(a, b)
  local c = a + b
  redis.debug(c, t, s, nil)
  return c
end
local r = f(1, 2.5)
local e = redis.pcall('lpush', KEYS[1], 'x')
for i = 1, 3 do
  x = x + i
end
redis.breakpoint()
local e2 = redis.error_reply('My Err')
local many = redis.call('lrange', 'l', 0, -1)
redis.call('nosuch', 1)
return {x, r, v}
"#;

/// What a user types.
const DEBUGGER_COMMANDS: &str = "\
help\ns\ns\np\nn\nn\np\np v\np nosuch\np KEYS\nprint ARGV\nb\nb 7\nb 7\nb 99\nb -3\nb x\nb 9 12\nb\nl\nl 3\n\
l 3 1\nl x -2\nw\nc\nt\np\ntrace\ne 1+1\ne redis.call(\"get\", KEYS[1])\ne error(\"boo\")\ne x y z\n\
e return redis.sha1hex(\"\")\ne local q = 3\nr get %s\nr lrange nolist 0 -1\nr nosuch\nr set\nr hset hh a 1 b 2\n\
r hgetall hh\nredis\nm\nm 10\nm 0\nmaxlen 60\nr lrange l 0 -1\nr sort l alpha desc get # get # get # get #\nb 0\n\
b\nc\ns\np many\ns\ns\ns\nfoo\nget k1\n";

/// All that redis-cli prints while a script is debugged.
fn debugged(port: u16, mode: &str, script: &std::path::Path, typed: &'static str) -> String {
    let path = script.to_str().unwrap();
    let mut command = redis_cli(port, &[mode, "--eval", path, "k1", ",", "v1"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = within_limit("redis-cli --ldb ends", move || child.wait_with_output().unwrap());
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[test]
fn scripts_are_debugged_as_with_a_real_server() {
    let Some((real, ours)) = both() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.lua");
    for code in [DEBUGGED, "return (", "#!lua flags=no-writes\nlocal a = 1\nreturn redis.call('set', 'a', a)"]
    {
        std::fs::write(&script, code).unwrap();
        for mode in ["--ldb", "--ldb-sync-mode"] {
            for typed in [
                DEBUGGER_COMMANDS,
                "s\ns\ns\ns\nabort\nget k1\n",
                "c\n",
                "s\ns\ns\ns\nquit\n",
                "b 5\nc\nrestart\nw\n",
            ] {
                let expected = debugged(real.port, mode, &script, typed);
                assert_eq!(debugged(ours.port(), mode, &script, typed), expected, "{mode} {code} {typed}");
            }
        }
    }
}
