//! `pyredis check-aof` beside redis-check-aof: the same verdict, the same bytes left, for every
//! kind of tail.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{PYREDIS, Server, clean, of_redis, text, wait_until, within_limit};

fn command(words: &str) -> String {
    let words: Vec<_> = words.split(' ').collect();
    let arguments: String = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{arguments}", words.len())
}

/// Runs a tool in a folder and answers its question with yes. Returns the exit code and what it
/// says of files.
fn check(folder: &Path, tool: &[&str], arguments: &[&str]) -> Option<(Option<i32>, Vec<String>)> {
    let mut program = Command::new(tool[0]);
    program.args(&tool[1..]).args(arguments);
    let mut program = clean(program, folder);
    let child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = of_redis(tool[0], child)?;
    // It may have ended without a question.
    let _ = child.stdin.take().unwrap().write_all(b"y\n");
    let output = within_limit(&format!("{tool:?} ends"), move || child.wait_with_output().unwrap());
    let said = text(&output.stdout)
        .replace("Continue? [y/N]: ", "")
        .replace("redis-check-aof", "check-aof")
        .replace("./", "");
    let said = said.split("\ncommand  ").next().unwrap().to_owned();
    // What is wrong with a command each says in its own words, and where the snapshot is sane too.
    // Redis counts the lines of all files, without annotations.
    let is_logged = |line: &str| line.split(':').nth(1).is_some_and(|rest| rest.starts_with("C "));
    let said = said
        .lines()
        .map(|line| if is_logged(line) { line.split_once(" # ").map_or("", |(_, text)| text) } else { line });
    let lines = said.filter(|line| {
        let is_detail = ["0x", "[", "RDB "].iter().any(|start| line.starts_with(start));
        !is_detail && !line.is_empty() && !line.ends_with("format error")
    });
    let lines = lines.map(|line| match line.split_once(", ok_up_to_line=") {
        Some((before, after)) => format!("{before}, {}", after.split_once(' ').unwrap().1),
        None => line.to_owned(),
    });
    let lines = lines.collect();
    Some((output.status.code(), lines))
}

/// Runs both tools on copies of the same files.
fn compare(files: &[(&str, Vec<u8>)], arguments: &[&str], context: &str) {
    let mut outcomes = Vec::new();
    for tool in [&["redis-check-aof"][..], &[PYREDIS, "check-aof"]] {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let Some((code, said)) = check(folder.path(), tool, arguments) else { return };
        let after: Vec<_> =
            files.iter().map(|(name, _)| fs::read(folder.path().join(name)).unwrap()).collect();
        outcomes.push((code, said, after));
    }
    assert_eq!(outcomes[0].0, outcomes[1].0, "{context} {arguments:?}: {outcomes:?}");
    assert_eq!(outcomes[0].1, outcomes[1].1, "{context} {arguments:?}");
    assert!(outcomes[0].2 == outcomes[1].2, "{context} {arguments:?}: other bytes are left");
}

/// What may stand behind whole commands. Left out is what we refuse and Redis's tool does not:
/// commands without a word, which its server refuses, and an annotation that is not whole, behind
/// which a server would append.
fn tails() -> Vec<String> {
    let (set, multi, exec) = (command("SET a 1"), command("MULTI"), command("EXEC"));
    let mut tails = vec![
        String::new(),
        "\0".repeat(10),
        "!!!\r\n".to_owned(),
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$-1\r\n".to_owned(),
        "*x\r\n".to_owned(),
        "*1\r\n:5\r\n".to_owned(),
        "*1\n$4\nPING\n".to_owned(),
        "*1\r\n$99999999999\r\nx".to_owned(),
        format!("{multi}{set}{exec}"),
        format!("{multi}{set}"),
        format!("{multi}{multi}{set}{exec}"),
        exec.clone(),
        format!("{set}{exec}{set}"),
        format!("#TS:100\r\n{set}#TS:200\r\n{set}#TS:300\r\n{multi}{set}{exec}"),
        "#comment\r\n".to_owned(),
    ];
    tails.push(multi);
    tails
}

#[test]
fn single_files_are_judged_and_fixed_as_redis_does() {
    let whole = ["SET a 1", "MULTI", "SET a 1", "EXEC"].map(command).concat();
    for cut in 1..whole.len() {
        compare(&[("file.aof", whole[..cut].into())], &["--fix", "file.aof"], &format!("cut at {cut}"));
    }
    for tail in tails() {
        for begin in ["", &command("SET before 1").repeat(2)] {
            let file = [begin, &tail].concat().into_bytes();
            for arguments in [&["file.aof"][..], &["--fix", "file.aof"]] {
                compare(&[("file.aof", file.clone())], arguments, &format!("{begin:?} {tail:?}"));
            }
        }
    }
}

#[test]
fn parts_are_judged_fixed_and_cut_to_a_time_as_redis_does() {
    let manifest =
        b"file base.aof seq 1 type b\nfile one.aof seq 1 type i\nfile two.aof seq 2 type i\n".to_vec();
    let timed = |from: u64| {
        let steps = (from..from + 3).map(|at| format!("#TS:{}\r\n{}", at * 100, command("SET a 1")));
        steps.collect::<String>().into_bytes()
    };
    let torn = |mut file: Vec<u8>| {
        file.truncate(file.len() - 3);
        file
    };
    for (base, one, two) in [
        (timed(1), timed(4), timed(7)),
        (Vec::new(), timed(4), Vec::new()),
        (timed(1), timed(4), torn(timed(7))),
        (timed(1), torn(timed(4)), timed(7)),
        (torn(timed(1)), timed(4), timed(7)),
        (timed(1), torn(timed(4)), Vec::new()),
    ] {
        let files =
            [("m.manifest", manifest.clone()), ("base.aof", base), ("one.aof", one), ("two.aof", two)];
        for arguments in [&["m.manifest"][..], &["--fix", "m.manifest"]] {
            compare(&files, arguments, "parts");
        }
        for secs in ["50", "100", "350", "450", "650", "700", "850", "900", "1000"] {
            compare(&files, &["--truncate-to-timestamp", secs, "m.manifest"], "parts");
        }
    }
    for manifest in [
        "",
        "file base.aof seq 1 type b\nfile base.aof seq 2 type b\n",
        "file ../base.aof seq 1 type b\n",
        "file base.aof seq 0 type b\n",
        "file base.aof seq 1 type x\n",
        "file base.aof seq 1\n",
        "file base.aof seq 2 type i\nfile base.aof seq 1 type i\n",
        "file base.aof seq 1 type h\n",
        "#comment\nfile base.aof seq 1 type b\n",
        "file \"base.aof\" seq 1 type b later word\n",
        "file base.aof seq 1 type b",
    ] {
        let files = [("m.manifest", manifest.as_bytes().to_vec()), ("base.aof", timed(1))];
        compare(&files, &["m.manifest"], manifest);
    }
}

/// A real file of ours, with a snapshot as its base and times behind it, cut to a time and loaded.
/// The seconds in an answer of TIME.
fn seconds(time: &str) -> u64 {
    time.split('"').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_folder_cut_to_a_time_holds_what_was_there_then() {
    let arguments =
        ["--appendonly", "yes", "--save", "", "--aof-timestamp-enabled", "yes", "--appendfsync", "always"];
    for tool in [&["redis-check-aof"][..], &[PYREDIS, "check-aof"]] {
        let mut server = Server::start(&arguments);
        let mut client = server.client();
        client.run("SET base 1");
        assert_eq!(client.run("BGREWRITEAOF"), "Background append only file rewriting started");
        server.wait_for("Background AOF rewrite finished successfully");
        client.run("SET early 1");
        let early = seconds(&client.run("TIME"));
        // The next second gets an annotation of its own.
        wait_until("the second after the next begins", || seconds(&client.run("TIME")) > early + 1);
        client.run("SET late 1");
        let folder = server.stop();
        let parts = folder.path().join("appendonlydir");
        let arguments_of_tool = ["--truncate-to-timestamp", &early.to_string(), "appendonly.aof.manifest"];
        let Some((code, said)) = check(&parts, tool, &arguments_of_tool) else { return };
        assert_eq!(code, Some(0), "{said:?}");
        let server = Server::start_in(folder, &arguments);
        assert_eq!(server.client().run("EXISTS base early"), "(int) 2");
        assert_eq!(server.client().run("EXISTS late"), "(int) 0");
    }
}
