//! Which arguments of a command are secrets: SLOWLOG and MONITOR show `(redacted)` in their place.
//!
//! Redis marks them while a command runs. Here they follow from the words alone, so that a command
//! cannot forget it, and nothing is done before somebody wants to look.

use super::command::Command;
use crate::config;
use crate::resp::Argv;

/// What is shown instead of a secret.
pub(super) const REDACTED: &[u8] = b"(redacted)";

/// Places of secret arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Secrets {
    places: Vec<usize>,
    /// From here on everything is secret.
    from: Option<usize>,
}

impl Secrets {
    /// Whether the argument at `place` is a secret.
    pub(super) fn contains(&self, place: usize) -> bool {
        self.from.is_some_and(|from| place >= from) || self.places.contains(&place)
    }

    fn at(places: Vec<usize>) -> Self {
        Secrets { places, from: None }
    }
}

/// The secrets of a command as it was sent.
pub(super) fn secrets(command: &Command, argv: Argv<'_>) -> Secrets {
    match command.spec.name {
        "auth" if argv.len() <= 3 => Secrets { places: Vec::new(), from: Some(1) },
        "acl|setuser" => Secrets { places: Vec::new(), from: Some(2) },
        "hello" => Secrets::at(after_word(argv, 2, b"AUTH", 2)),
        "config|set" => Secrets::at(sensitive_values(argv)),
        "migrate" => {
            let mut places = after_word(argv, 6, b"AUTH", 1);
            places.extend(after_word(argv, 6, b"AUTH2", 2));
            Secrets::at(places)
        }
        _ => Secrets::default(),
    }
}

/// The places of the `count` arguments behind `word`, wherever it stands from `start` on. What
/// follows KEYS are keys.
fn after_word(argv: Argv<'_>, start: usize, word: &[u8], count: usize) -> Vec<usize> {
    let options = argv.iter().enumerate().skip(start);
    options
        .take_while(|(_, argument)| !argument.eq_ignore_ascii_case(b"KEYS"))
        .filter(|(place, argument)| argument.eq_ignore_ascii_case(word) && place + count < argv.len())
        .flat_map(|(place, _)| place + 1..=place + count)
        .collect()
}

fn sensitive_values(argv: Argv<'_>) -> Vec<usize> {
    (2..argv.len())
        .step_by(2)
        .filter(|&place| config::is_sensitive(argv.at(place)))
        .map(|place| place + 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;
    use crate::server::Handler;
    use crate::spec::{Group, Spec};

    /// The line with its secrets hidden.
    fn shown(name: &'static str, line: &str) -> String {
        let handler: Handler = |_, _| Ok(());
        let command = Command::new(Spec::new(name, Group::Server, -1, ""), handler);
        let argv = OwnedArgv::from_parts(line.split(' ').map(str::as_bytes));
        let secrets = secrets(&command, argv.as_argv());
        let words = line.split(' ').enumerate();
        words
            .map(|(place, word)| if secrets.contains(place) { "*" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn passwords_are_secrets_and_nothing_else_is() {
        for (name, line, expected) in [
            ("get", "get auth", "get auth"),
            ("auth", "auth pass", "auth *"),
            ("auth", "auth user pass", "auth * *"),
            ("auth", "auth a b c", "auth a b c"),
            ("hello", "hello 3 setname me AUTH user pass", "hello 3 setname me AUTH * *"),
            ("hello", "hello 3 auth user", "hello 3 auth user"),
            ("acl|setuser", "acl setuser bob on >x", "acl setuser * * *"),
            ("config|set", "config set maxmemory 1 REQUIREPASS x", "config set maxmemory 1 REQUIREPASS *"),
            ("config|set", "config set requirepass", "config set requirepass"),
            ("migrate", "migrate h p k 0 10 COPY AUTH x", "migrate h p k 0 10 COPY AUTH *"),
            ("migrate", "migrate h p k 0 10 AUTH2 u x", "migrate h p k 0 10 AUTH2 * *"),
            ("migrate", "migrate h p k 0 10 KEYS AUTH x", "migrate h p k 0 10 KEYS AUTH x"),
        ] {
            assert_eq!(shown(name, line), expected);
        }
    }
}
