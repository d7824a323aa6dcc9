//! Comparing our table with what a real Redis says about itself. Only built for tests.
//!
//! [`describe`] writes the facts of a command as readable text, in the form of
//! `tests/data/command-info.txt`, which `scripts/capture-commands.py` wrote from a real server's
//! `COMMAND` and `COMMAND DOCS`. Facts only: no summaries, no sentences.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::resp::OwnedArgv;

use super::syntax::{Argument, parse};
use super::{BeginSearch, FindKeys, KeySpec, Spec, keys_of};

/// `COMMAND` and `COMMAND DOCS` of Redis 7.0.15.
pub(crate) const CAPTURED_INFO: &str = include_str!("../../tests/data/command-info.txt");

/// `COMMAND GETKEYSANDFLAGS` of Redis 7.0.15.
pub(crate) const CAPTURED_KEYS: &str = include_str!("../../tests/data/command-getkeys.txt");

/// Every difference between `table` and the captured facts. Commands that the table lacks are no
/// difference.
pub(crate) fn compare<'a>(table: impl Iterator<Item = &'a Spec>, captured: &str) -> Vec<String> {
    let blocks: HashMap<&str, &str> = blocks(captured).collect();
    let mut differences = Vec::new();
    for spec in table {
        let ours = describe(spec);
        let Some(theirs) = blocks.get(spec.name) else {
            differences.push(format!("{}: unknown to Redis", spec.name));
            continue;
        };
        let only = |a: &str, b: &str, sign: &str| -> Vec<String> {
            let there: Vec<&str> = b.lines().collect();
            a.lines().filter(|line| !there.contains(line)).map(|line| format!("{sign} {line}")).collect()
        };
        if ours.trim() != *theirs {
            let mut lines = only(&ours, theirs, "ours ");
            lines.extend(only(theirs, &ours, "redis"));
            differences.push(format!("{}:\n{}", spec.name, lines.join("\n")));
        }
    }
    differences
}

/// The commands that a real server has: each name, and its facts as text.
pub(crate) fn captured() -> impl Iterator<Item = (&'static str, &'static str)> {
    blocks(CAPTURED_INFO).filter(|(name, _)| *name != "#")
}

fn blocks(captured: &str) -> impl Iterator<Item = (&str, &str)> {
    captured.split("\n\n").filter_map(|block| Some((block.trim().split_once(' ')?.0, block.trim())))
}

/// Every captured `COMMAND GETKEYSANDFLAGS` call that `table` answers otherwise. Calls of commands
/// it lacks are skipped.
pub(crate) fn compare_keys<'a>(table: impl Iterator<Item = &'a Spec> + Clone, captured: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for line in captured.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (call, theirs) = line.split_once(" => ").expect("a call, an arrow and an answer");
        let words: Vec<&str> = call.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
        let full = format!("{}|{}", words[0], words.get(1).unwrap_or(&""));
        let spec = table.clone().find(|spec| spec.name == full);
        let Some(spec) = spec.or_else(|| table.clone().find(|spec| spec.name == words[0])) else { continue };
        let ours = answer(spec, &words);
        if ours != theirs {
            differences.push(format!("{call}: ours {ours}, Redis {theirs}"));
        }
    }
    differences
}

fn answer(spec: &Spec, words: &[&str]) -> String {
    let argv = OwnedArgv::from_parts(words.iter().map(|word| word.as_bytes()));
    match keys_of(spec, argv.as_argv()) {
        Err(error) => format!("ERR {error}"),
        Ok(keys) if keys.is_empty() => "(none)".to_owned(),
        Ok(keys) => {
            let one = |key: &super::KeyRef| {
                format!("{}({})", words[key.index], key.flags.names().collect::<Vec<_>>().join(" "))
            };
            keys.iter().map(one).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The facts of a command as text.
pub(crate) fn describe(spec: &Spec) -> String {
    let mut out = String::new();
    let (first, last, step) = spec.key_range();
    line(
        &mut out,
        0,
        &format!("{} arity {} group {} since {}", spec.name, spec.arity.0, spec.group.name(), spec.since),
    );
    listed(&mut out, "flags", spec.all_flags().names());
    listed(&mut out, "acl", spec.acl_categories().iter().map(|category| category.name()));
    listed(&mut out, "tips", spec.tips.iter().copied());
    if spec.system {
        line(&mut out, 1, "system");
    }
    if let Some(deprecated) = spec.deprecated {
        line(&mut out, 1, &format!("deprecated {}", deprecated.since));
    }
    listed(&mut out, "history", spec.history.iter().map(|(version, _)| *version));
    line(&mut out, 1, &format!("range {first} {last} {step}"));
    for key in spec.keys {
        line(&mut out, 1, &key_spec(key));
    }
    match parse(spec.syntax) {
        Ok(arguments) => arguments.iter().for_each(|argument| tree(&mut out, 1, argument)),
        Err(error) => line(&mut out, 1, &format!("syntax error: {error}")),
    }
    out
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = writeln!(out, "{}{}", "  ".repeat(depth), text);
}

fn listed<'a>(out: &mut String, title: &str, words: impl Iterator<Item = &'a str>) {
    let words: Vec<&str> = words.collect();
    if !words.is_empty() {
        line(out, 1, &format!("{title} {}", words.join(" ")));
    }
}

fn key_spec(spec: &KeySpec) -> String {
    let begin = match spec.begin {
        BeginSearch::Index(index) => format!("index {index}"),
        BeginSearch::Keyword(word, from) => format!("keyword {word} from {from}"),
        BeginSearch::Unknown => "unknown".to_owned(),
    };
    let find = match spec.find {
        FindKeys::Range { last, step, limit } => format!("range last {last} step {step} limit {limit}"),
        FindKeys::KeyNum { number, first, step } => format!("keynum at {number} first {first} step {step}"),
        FindKeys::Unknown => "unknown".to_owned(),
    };
    format!("keys {begin}, {find}: {}", spec.flags.names().collect::<Vec<_>>().join(" "))
}

fn tree(out: &mut String, depth: usize, argument: &Argument) {
    let mut text = format!("argument {} {}", argument.name, argument.kind.name());
    if let Some(token) = argument.token {
        let _ = write!(text, " token \"{token}\"");
    }
    if let Some(index) = argument.key_spec {
        let _ = write!(text, " key {index}");
    }
    for (set, word) in [
        (argument.optional, " optional"),
        (argument.multiple, " multiple"),
        (argument.multiple_token, " multiple_token"),
    ] {
        text.push_str(if set { word } else { "" });
    }
    for (version, word) in [(argument.since, "since"), (argument.deprecated_since, "deprecated")] {
        if let Some(version) = version {
            let _ = write!(text, " {word} {version}");
        }
    }
    line(out, depth, &text);
    argument.arguments.iter().for_each(|inner| tree(out, depth + 1, inner));
}
