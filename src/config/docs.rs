//! The table of parameters for people: Markdown, made from [`PARAMETERS`].

use std::borrow::Cow;
use std::fmt::Write;

use super::kind::{Effect, Flags, Kind, Parameter};
use super::parameters::{Config, PARAMETERS};

/// A Markdown table of all parameters: name, values, default, purpose, and what pyredis does with
/// it.
pub fn parameter_table() -> String {
    let defaults = Config::default();
    let mut table =
        "| parameter | values | default | what it is for | in pyredis |\n|---|---|---|---|---|\n".to_owned();
    for parameter in PARAMETERS.iter().filter(|parameter| !parameter.is(Flags::HIDDEN)) {
        let alias = parameter.alias.map(|alias| format!(" (`{alias}`)")).unwrap_or_default();
        let default = parameter.get(&defaults);
        let default = String::from_utf8_lossy(&default);
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        writeln!(
            table,
            "| `{}`{alias} | {} | {default} | {} | {} |",
            parameter.name,
            values(parameter),
            parameter.doc,
            effect(parameter)
        )
        .expect("a String takes everything");
    }
    table
}

/// A Markdown table of the parameters that are accepted and reported without a meaning here, by the
/// reason.
pub fn accepted_table() -> String {
    let mut by_reason: Vec<(Cow<'static, str>, Vec<String>)> = Vec::new();
    for parameter in PARAMETERS {
        let Some(why) = reason(parameter.effect) else { continue };
        let name = format!("`{}`", parameter.name);
        match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, names)) => names.push(name),
            None => by_reason.push((why, vec![name])),
        }
    }
    let mut table = "| accepted, without a meaning here | because |\n|---|---|\n".to_owned();
    for (why, names) in by_reason {
        writeln!(table, "| {} | {why} |", names.join(" ")).expect("a String takes everything");
    }
    table
}

/// Returns the reason why a parameter does not act, if it does not.
fn reason(effect: Effect) -> Option<Cow<'static, str>> {
    match effect {
        Effect::Acts => None,
        Effect::Accepted(why) => Some(why.into()),
        Effect::Refused(what) => Some(format!("waits for {what}: turning it on is refused").into()),
    }
}

/// Describes the values of a parameter in a few words.
fn values(parameter: &Parameter) -> String {
    match &parameter.kind {
        Kind::Bool { .. } => "yes, no".to_owned(),
        Kind::Choice { words, .. } => words.join(", "),
        Kind::Number { min, max, .. } => {
            let [min, max] = [min, max].map(|limit| parameter.shown(*limit));
            format!("{min} to {max}")
        }
        Kind::Text { .. } => "text".to_owned(),
        Kind::Special(special) => special.shape.to_owned(),
    }
}

/// Says if it acts, and if it can be changed while the server runs.
fn effect(parameter: &Parameter) -> String {
    let effect = match reason(parameter.effect) {
        None => "acts",
        Some(why) => &format!("accepted: {why}"),
    };
    let when = if parameter.is(Flags::IMMUTABLE) { "; at start only" } else { "" };
    format!("{effect}{when}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_what_is_accepted_without_a_meaning() {
        let table = accepted_table();
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&table), "put this table into README.md:\n{table}");
    }

    #[test]
    fn rows_say_what_a_parameter_takes_and_does() {
        let table = parameter_table();
        for row in [
            "| `port` | 0 to 65535 | `6379` | TCP port; 0 listens on none. | acts |\n",
            "| `unixsocketperm` | 0 to 777 | `0` | File mode of the unix socket, in octal; 0 leaves it to the \
             umask. | acts; at start only |\n",
            "| `maxmemory-clients` | 100% to 9223372036854775807 |",
            "| `io-threads` | 1 to 128 | `1` | Threads for input and output. | accepted: every connection has \
             its own thread; at start only |\n",
            "| `replica-priority` (`slave-priority`) | 0 to 2147483647 | `100` |",
            "| `loglevel` | debug, verbose, notice, warning | `notice` |",
            "| `save` | seconds changes … | `3600 1 300 100 60 10000` |",
        ] {
            assert!(table.contains(row), "{row}");
        }
        assert!(table.lines().all(|line| line.matches('|').count() == 6), "a cell holds a bar");
    }
}
