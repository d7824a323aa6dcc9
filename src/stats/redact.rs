//! The arguments of a command that are secrets: SLOWLOG and MONITOR show `(redacted)` in their
//! place.
//!
//! Redis marks them while a command runs. Here they follow from what the command declares
//! ([`Secrets`]) and the words alone, so that nothing is done before somebody wants to look.

use crate::config;
use crate::resp::Argv;
use crate::spec::{Secrets, Spec};

/// The text that is shown instead of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// Places of secret arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SecretPlaces {
    places: Vec<usize>,
    /// From here on everything is secret.
    from: Option<usize>,
}

impl SecretPlaces {
    /// True when the argument at `place` is a secret.
    #[must_use]
    pub fn contains(&self, place: usize) -> bool {
        self.from.is_some_and(|from| place >= from) || self.places.contains(&place)
    }
}

/// The secrets of a command as it was sent.
#[must_use]
pub fn secrets(spec: &Spec, argv: Argv<'_>) -> SecretPlaces {
    let places = match spec.secrets {
        Secrets::None => Vec::new(),
        Secrets::From { place, most_words } => {
            return SecretPlaces { places: Vec::new(), from: (argv.len() <= most_words).then_some(place) };
        }
        Secrets::Behind { start, options } => {
            options.iter().flat_map(|&(word, count)| after_word(argv, start, word, count)).collect()
        }
        Secrets::OfParameters => sensitive_values(argv),
    };
    SecretPlaces { places, from: None }
}

/// The places of the `count` arguments behind `word`, wherever it stands from `start` on. The
/// arguments that follow KEYS are keys.
fn after_word(argv: Argv<'_>, start: usize, word: &str, count: usize) -> Vec<usize> {
    let options = argv.iter().enumerate().skip(start);
    options
        .take_while(|(_, argument)| !argument.eq_ignore_ascii_case(b"KEYS"))
        .filter(|(place, argument)| {
            argument.eq_ignore_ascii_case(word.as_bytes()) && place + count < argv.len()
        })
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
    use crate::spec::Group;

    /// The line with its secrets hidden.
    fn shown(declared: Secrets, line: &str) -> String {
        let spec = Spec::new("x", Group::Server, -1, "").secrets(declared);
        let argv = OwnedArgv::from_parts(line.split(' ').map(str::as_bytes));
        let secrets = secrets(&spec, argv.as_argv());
        let words = line.split(' ').enumerate();
        words
            .map(|(place, word)| if secrets.contains(place) { "*" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn declared_places_are_secrets_and_nothing_else_is() {
        let auth = Secrets::From { place: 1, most_words: 3 };
        let all = Secrets::From { place: 2, most_words: usize::MAX };
        let options = Secrets::Behind { start: 2, options: &[("AUTH", 1), ("AUTH2", 2)] };
        for (declared, line, expected) in [
            (Secrets::None, "get auth", "get auth"),
            (auth, "auth pass", "auth *"),
            (auth, "auth a b c", "auth a b c"),
            (all, "acl setuser bob on >x", "acl setuser * * *"),
            (options, "x AUTH y auth pass more", "x AUTH y auth * more"),
            (options, "x y AUTH2 u p AUTH p", "x y AUTH2 * * AUTH *"),
            (options, "x y AUTH2 u", "x y AUTH2 u"),
            (options, "x y KEYS AUTH p", "x y KEYS AUTH p"),
            (
                Secrets::OfParameters,
                "config set maxmemory 1 REQUIREPASS x",
                "config set maxmemory 1 REQUIREPASS *",
            ),
            (Secrets::OfParameters, "config set requirepass", "config set requirepass"),
        ] {
            assert_eq!(shown(declared, line), expected);
        }
    }
}
