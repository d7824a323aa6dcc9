//! Functions in files, between pyredis and a real Redis; and the one that runs.

use std::fs;
use std::process::Command;

use pyredis::resp::value::Value;

use crate::support::{Client, RealServer, Server, of_redis, pyredis, run, text, wait_until};

const LIBRARY: &[u8] = b"#!lua name=lib
local n = 0
redis.register_function('count', function(keys) n = n + 1 return {n, redis.call('incr', keys[1])} end)
redis.register_function{function_name='reads', flags={'no-writes'}, description='what is there',
  callback=function(keys) return redis.call('get', keys[1]) end}
redis.register_function{function_name='endless', flags={'no-writes'}, callback=function() while true do end end}
";
const OTHER: &[u8] = b"#!lua name=other\nredis.register_function('one', function() return 1 end)";

fn fill(client: &mut Client) {
    assert_eq!(client.show(&[b"FUNCTION", b"LOAD", LIBRARY]), "\"lib\"");
    assert_eq!(client.show(&[b"FUNCTION", b"LOAD", OTHER]), "\"other\"");
    assert_eq!(client.run("FCALL count 1 key"), "[(int) 1, (int) 1]");
}

/// What is known of the functions, and what they answer.
fn known(client: &mut Client) -> [String; 4] {
    let lines =
        ["GET key", "FCALL one 0", "FCALL_RO reads 1 key", "FUNCTION LIST WITHCODE LIBRARYNAME other"];
    lines.map(|line| client.run(line))
}

#[test]
fn snapshots_carry_functions_in_both_directions() {
    let server = Server::start(&["--save", ""]);
    let mut client = server.client();
    fill(&mut client);
    let expected = known(&mut client);
    assert_eq!(client.run("SAVE"), "OK");
    let folder = server.stop();
    let checked = run(pyredis(folder.path()).args(["check-rdb", "dump.rdb"]));
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    let output = Command::new("redis-check-rdb").arg(folder.path().join("dump.rdb")).output();
    if let Some(output) = of_redis("redis-check-rdb", output) {
        assert!(output.status.success(), "{}", text(&output.stdout));
    }
    let Some(real) = RealServer::start_in(folder, &["--save", ""]) else { return };
    let mut theirs = Client::connect(real.port);
    assert_eq!(known(&mut theirs), expected);
    assert_eq!(theirs.run("FCALL count 1 key"), "[(int) 1, (int) 2]");
    assert_eq!(theirs.run("SAVE"), "OK");
    let file = fs::read(real.folder.path().join("dump.rdb")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("dump.rdb"), file).unwrap();
    let server = Server::start_in(folder, &["--save", "", "--enable-debug-command", "yes"]);
    let mut client = server.client();
    assert_eq!(client.run("GET key"), "\"2\"");
    assert_eq!(client.run("FCALL count 1 key"), "[(int) 1, (int) 3]");
    assert_eq!(client.run("DEBUG RELOAD"), "OK");
    assert_eq!(client.run("FCALL count 1 key"), "[(int) 1, (int) 4]");
    assert_eq!(client.run("DEBUG RELOAD MERGE NOFLUSH"), "OK");
    assert_eq!(client.run("FCALL count 1 key"), "[(int) 1, (int) 5]");
}

#[test]
fn dumps_are_equal_and_travel_in_both_directions() {
    let server = Server::start(&["--save", ""]);
    let Some(real) = RealServer::start(&["--save", ""]) else { return };
    let (mut ours, mut theirs) = (server.client(), Client::connect(real.port));
    let mut dumps = [&mut ours, &mut theirs].map(|client| {
        assert_eq!(client.show(&[b"FUNCTION", b"LOAD", LIBRARY]), "\"lib\"");
        client.send("FUNCTION DUMP");
        let Value::Bulk(dump) = client.value() else { panic!("a dump is a string") };
        dump
    });
    assert_eq!(dumps[0], dumps[1]);
    for client in [&mut ours, &mut theirs] {
        assert_eq!(client.show(&[b"FUNCTION", b"RESTORE", &dumps[0], b"FLUSH"]), "OK");
    }
    dumps[0].pop();
    let damaged = ours.show(&[b"FUNCTION", b"RESTORE", &dumps[0]]);
    assert_eq!(damaged, "(error) ERR DUMP payload version or checksum are wrong");
}

#[test]
fn append_only_files_carry_functions_in_both_directions() {
    for preamble in ["yes", "no"] {
        let directives = ["--save", "", "--appendonly", "yes", "--aof-use-rdb-preamble", preamble];
        let server = Server::start(&directives);
        let mut client = server.client();
        fill(&mut client);
        assert_eq!(client.show(&[b"FUNCTION", b"LOAD", b"REPLACE", OTHER]), "\"other\"");
        let expected = known(&mut client);
        let folder = server.stop();
        // What stands there is commands; then it is a base.
        let server = Server::start_in(folder, &directives);
        let mut client = server.client();
        assert_eq!(known(&mut client), expected);
        client.run("BGREWRITEAOF");
        wait_until("the rewrite is done", || {
            let info = client.run("INFO persistence");
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrites:1")
        });
        let folder = server.stop();
        let Some(real) = RealServer::start_in(folder, &directives) else { return };
        let mut theirs = Client::connect(real.port);
        assert_eq!(known(&mut theirs), expected, "{preamble}");
    }
}

#[test]
fn the_function_that_runs_is_shown_and_can_be_stopped() {
    let server = Server::start(&["--save", "", "--busy-reply-threshold", "10"]);
    let (mut client, mut runner) = (server.client(), server.client());
    fill(&mut client);
    runner.send("FCALL endless 1 k arg");
    wait_until("others are heard", || client.run("GET key").starts_with("-BUSY"));
    assert_eq!(
        client.run("GET key"),
        "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
    );
    let stats = client.run("FUNCTION STATS");
    let start = "[\"running_script\", [\"name\", \"endless\", \"command\", [\"FCALL\", \"endless\", \"1\", \"k\", \
                 \"arg\"], \"duration_ms\", (int) ";
    assert!(stats.starts_with(start), "{stats}");
    assert!(stats.ends_with("[\"libraries_count\", (int) 2, \"functions_count\", (int) 4]]]"), "{stats}");
    assert!(client.run("SCRIPT KILL").starts_with("-BUSY"));
    assert_eq!(client.run("FUNCTION KILL"), "OK");
    assert_eq!(
        runner.reply(),
        "-ERR Script killed by user with SCRIPT KILL... script: endless, on @user_function:6."
    );
    assert_eq!(client.run("GET key"), "\"1\"");
}
