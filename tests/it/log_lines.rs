//! The lines of the log beside those of redis-server, in scenes that both play.
//!
//! Lines are compared by their text without numbers, together with the sign of their level, and
//! with the step of the scene in which they were written. A line that one of the two does not have
//! stands in a table here, with the reason; one that stands in none fails, and so does an entry
//! that is true no more.

mod scenes;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;

use crate::support::of_redis;
use scenes::{SCENES, Scene, shutdown};
use stage::{MARK, Program, Stage};

/// Scenes that are played at once.
const AT_ONCE: usize = 6;

/// How often a scene is played at most.
const ATTEMPTS: u32 = 5;

/// How a line begins that only redis-server has, and why.
const ONLY_REDIS: &[(&str, &str)] = &[
    ("# WARNING Memory overcommit", "Nothing is forked, so nothing is promised twice."),
    ("* Background saving started by pid", "No other process saves: ours has the line without it."),
    ("* Background append only file rewriting started by pid", "No other process rewrites: as above."),
    ("* Fork CoW for", "There is no fork: \"Copied for RDB\" says what was copied."),
    ("- Fork CoW for", "As above."),
    ("N:signal-handler (N) Received SIGUSRN in child", "There is no child."),
    ("# There is a child saving an .rdb. Killing it!", "There is no child: a save is given up."),
    ("# There is a child rewriting the AOF. Killing it!", "There is no child: a rewrite is given up."),
    ("# Background saving terminated by signal", "There is no child."),
    ("- Background AOF rewrite signal handler took", "There is no child whose end a handler deals with."),
    ("* Creating AOF incr file temp-appendonly.aof.incr on", "The temporary file has another name."),
    ("* Successfully renamed the temporary AOF incr file temp-appendonly.aof.incr into", "As above."),
    ("# Fail to fsync the AOF file: Bad file descriptor", "Nothing is forced to disk that is not open."),
    ("*** FATAL AOF MANIFEST FILE ERROR ***", "The line has its head, where Redis begins a new one."),
    ("# Wrong signature trying to load DB", "A file that is refused is named with the reason, then the end."),
    ("# Can't handle RDB format version", "As above."),
    ("# Fatal error loading the DB: Invalid argument", "The reason stands in the place of an error number."),
    ("# Short read or OOM loading DB", "Memory is not what was lacking: the line says what was."),
    ("# Internal error in RDB reading offset", "No file rdb.c is read by anybody."),
];

/// How a line begins that only this server has, and why.
const ONLY_PYREDIS: &[(&str, &str)] = &[
    ("# pyredis version=", "Which program it is."),
    ("* Background saving started", "See above: no other process."),
    ("* Background append only file rewriting started", "See above: no other process."),
    ("* Copied for RDB", "What a save has cost in memory."),
    ("# Background saving was given up", "What Redis does by killing a child."),
    ("# A save is under way. Giving it up!", "As above."),
    ("# A rewrite of the AOF is under way. Giving it up!", "As above."),
    ("* Creating AOF incr file temp-appendonly.aof.incr.aof on", "The temporary file has another name."),
    ("* Successfully renamed the temporary AOF incr file temp-appendonly.aof.incr.aof into", "As above."),
    (
        "* Removing the temp incr aof file",
        "Redis leaves it where the file is turned off before the rewrite begins.",
    ),
    ("# Failed to write PID file", "Redis says nothing, and goes on."),
    ("# *** FATAL AOF MANIFEST FILE ERROR ***", "See above: it has its head."),
    ("# The RDB file", "Which file was refused, and why, before the end."),
    ("# Terminating server after rdb file reading failure", "Redis has the line for some of them."),
    ("# Fatal error loading the DB", "With the reason."),
];

/// Lines whose step is chance: they come by the clock, or when a closed connection is noticed.
/// Each must be written by both in some scene.
const ANY_TIME: [&str; 7] = [
    "- DB ",
    ". N clients connected",
    "- Accepted",
    "- Client closed connection",
    // Whichever of the two meets the fault first.
    "- Reading from client",
    "- Error writing to client",
    // Redis names the process by itself where it is ended before it is ready.
    "* Removing the pid file.",
];

/// Lines for which there is no scene in which both are sure to write them: reading and writing are
/// two threads here, and either may meet the fault of a connection first.
const EITHER: [&str; 3] = [
    "- Error writing to client",
    // The thread that syncs once a second may meet a folder that is gone, or not.
    "# Error writing to the AOF file: Not a directory",
    "# Fail to fsync the AOF file: Not a directory",
];

fn is_by_chance(line: &str) -> bool {
    EITHER.iter().any(|start| line.starts_with(start))
}

/// What one program has written: by scene and step, and whenever.
#[derive(Default)]
struct Written {
    steps: BTreeMap<(String, String), BTreeSet<String>>,
    any_time: BTreeSet<String>,
}

impl Written {
    fn take(&mut self, scene: &str, lines: Vec<String>) {
        let (mut step, mut steps) = ((scene.to_owned(), String::new()), 0);
        for line in lines {
            if let Some(name) = line.strip_prefix(MARK) {
                steps += 1;
                step.1 = format!("step {steps},{name}");
            } else if let Some(start) = ANY_TIME.iter().find(|start| line.starts_with(*start)) {
                // What follows tells how far the client had come.
                self.any_time.insert((*start).to_owned());
            } else {
                self.steps.entry(step.clone()).or_default().insert(line);
            }
        }
    }
}

/// The lines that stand in no table where only one of two programs has written them. `used` takes
/// the entries that were of use.
fn unexplained(
    lines: &BTreeSet<String>,
    others: Option<&BTreeSet<String>>,
    table: &'static [(&str, &str)],
    used: &mut BTreeSet<&'static str>,
) -> Vec<String> {
    let is_alone = |line: &&String| !others.is_some_and(|others| others.contains(*line));
    let mut left = Vec::new();
    for line in lines.iter().filter(is_alone) {
        match table.iter().find(|(start, _)| line.starts_with(start)) {
            Some((start, _)) => _ = used.insert(start),
            None => left.push(line.clone()),
        }
    }
    left
}

/// What is not as the tables say, of `mine` beside `others`.
fn differences(
    whose: Program,
    mine: &Written,
    others: &Written,
    table: &'static [(&str, &str)],
) -> Vec<String> {
    let (mut used, mut found) = (BTreeSet::new(), Vec::new());
    for ((scene, step), lines) in &mine.steps {
        let others = others.steps.get(&(scene.clone(), step.clone()));
        let left = unexplained(lines, others, table, &mut used);
        let left = left.into_iter().filter(|line| !is_by_chance(line));
        found.extend(left.map(|line| format!("{scene}, {step}: only {whose:?}: {line}")));
    }
    let left = unexplained(&mine.any_time, Some(&others.any_time), table, &mut used);
    let left = left.into_iter().filter(|line| !is_by_chance(line));
    found.extend(left.map(|line| format!("in no scene: only {whose:?}: {line}")));
    let stale = table.iter().filter(|(start, _)| !used.contains(start));
    found.extend(stale.map(|(start, _)| format!("of no use in the table of {whose:?}: {start}")));
    found
}

/// Plays a scene, again if the log cannot be read; the lines of one that comes to no end are shown.
fn play(program: Program, level: &'static str, name: &str, scene: Scene, attempts: u32) -> Vec<String> {
    let mut stage = Stage::new(program, level);
    let result = catch_unwind(AssertUnwindSafe(|| scene(&mut stage)));
    assert!(result.is_ok(), "{name}: {program:?} comes to no end:\n{}", stage.lines().join("\n"));
    if stage.is_torn() && attempts > 1 {
        play(program, level, name, scene, attempts - 1)
    } else {
        stage.lines()
    }
}

/// What both write in these scenes; `None` where comparisons are left out.
fn play_all(scenes: &[(&str, &'static str, Scene)]) -> Option<(Written, Written)> {
    let version = Command::new("redis-server").arg("--version").output();
    of_redis("redis-server", version)?;
    let (redis, ours) = (Mutex::new(Written::default()), Mutex::new(Written::default()));
    for group in scenes.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            for &(name, level, scene) in group {
                for (program, written) in [(Program::Redis, &redis), (Program::Pyredis, &ours)] {
                    scope.spawn(move || {
                        let lines = play(program, level, name, scene, ATTEMPTS);
                        written.lock().unwrap().take(name, lines);
                    });
                }
            }
        });
    }
    Some((redis.into_inner().unwrap(), ours.into_inner().unwrap()))
}

#[test]
fn the_log_has_the_lines_of_redis() {
    let scenes: Vec<_> = SCENES.iter().map(|&(name, scene)| (name, "debug", scene)).collect();
    let Some((redis, ours)) = play_all(&scenes) else { return };
    let mut found = differences(Program::Redis, &redis, &ours, ONLY_REDIS);
    found.extend(differences(Program::Pyredis, &ours, &redis, ONLY_PYREDIS));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn each_level_shows_what_it_shows_in_redis() {
    let levels = ["debug", "verbose", "notice", "warning"];
    let scenes = levels.map(|level| (level, level, shutdown as Scene));
    let Some((redis, ours)) = play_all(&scenes) else { return };
    let explained = |found: Vec<String>| found.into_iter().filter(|line| !line.starts_with("of no use"));
    let mut found: Vec<_> = explained(differences(Program::Redis, &redis, &ours, ONLY_REDIS)).collect();
    found.extend(explained(differences(Program::Pyredis, &ours, &redis, ONLY_PYREDIS)));
    assert!(found.is_empty(), "{}", found.join("\n"));
}
