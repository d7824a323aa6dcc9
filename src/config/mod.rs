//! Every parameter, declared once.
//!
//! [`PARAMETERS`] is the table of truth; CONFIG GET ([`config_get`]), CONFIG SET ([`config_set`]),
//! CONFIG REWRITE ([`rewrite()`]), the configuration file ([`load`]), the command line
//! ([`parse_args`]) and the table for people ([`parameter_table`]) all derive from it. The values
//! live in [`Config`], one typed public field each, so that the rest of the server reads
//! `config.maxmemory` and nothing looks up a name while serving.
//!
//! This room touches nothing: files, the working folder and the table of commands are reached
//! through [`Surroundings`], which the daemon implements. Nor does it apply anything:
//! [`config_set`] returns the parameters that changed, the caller acts on them, and puts its clone
//! of the old [`Config`] back if it cannot.
//!
//! Read first: [`Config`] and the rows in `parameters.rs`, then [`Parameter`].

mod args;
mod check;
mod choice;
mod docs;
mod file;
mod kind;
mod notify;
mod parameters;
mod rewrite;
mod special;
mod text;

use std::fmt;

use crate::base::glob::{Budget, Case, TooMuch, glob_match};
use crate::base::text::lossless;

pub use args::{CommandLine, parse_args};
pub use check::expand_title;
pub use choice::*;
pub use docs::{accepted_table, parameter_table};
pub use file::{
    DIRECTIVES, LoadError, MAX_CONFIG_FILES, MAX_INCLUDE_DEPTH, Named, Origin, Surroundings, load, parse_file,
};
pub use kind::{Effect, Empty, Flags, Kind, Line, Parameter, Source, Special, Take, Unit};
pub use notify::NotifyClasses;
pub use parameters::{Config, PARAMETERS};
pub use rewrite::{Added, rewrite};
pub use special::{
    BufferLimit, BufferLimits, MAX_BIND_ADDRESSES, PrimaryAddress, SavePoint, ShutdownOn, show_percentile,
};
pub use text::Text;

/// Whether the value of this parameter is a secret, which no log may show.
#[must_use]
pub fn is_sensitive(name: &[u8]) -> bool {
    lookup(name).is_some_and(|(parameter, _)| parameter.flags.has(Flags::SENSITIVE))
}

/// A `user` line of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// The user's name.
    pub name: Text,
    /// Its rules, as ACL SETUSER takes them.
    pub rules: Vec<Text>,
}

/// A `rename-command` line of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameCommand {
    /// The name that goes.
    pub from: Text,
    /// The name that comes; empty to disable the command.
    pub to: Text,
}

/// Finds a parameter by name or alias, in any case. Returns it with the name it was found under.
pub fn lookup(name: &[u8]) -> Option<(&'static Parameter, &'static str)> {
    PARAMETERS.iter().find_map(|parameter| {
        let found = names(parameter).find(|known| known.as_bytes().eq_ignore_ascii_case(name))?;
        Some((parameter, found))
    })
}

/// A parameter's name and, if it has one, its alias.
fn names(parameter: &'static Parameter) -> impl Iterator<Item = &'static str> {
    std::iter::once(parameter.name).chain(parameter.alias)
}

/// A parameter's name and its value.
pub type Shown = (Vec<u8>, Vec<u8>);

/// CONFIG GET: names and values for every pattern, each name once.
///
/// A pattern without `*`, `?` or `[` is a name: it is looked up in any case, answered as it was
/// spelled, and finds hidden parameters too. Errors when the patterns take too long to match.
/// Source: CONFIG GET.
pub fn config_get(config: &Config, patterns: &[&[u8]]) -> Result<Vec<Shown>, TooMuch> {
    let mut budget = Budget::COMMAND;
    let mut found: Vec<Shown> = Vec::new();
    let mut add = |name: &[u8], parameter: &Parameter| {
        if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            found.push((name.to_vec(), parameter.get(config)));
        }
    };
    for pattern in patterns {
        if !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
            if let Some((parameter, _)) = lookup(pattern) {
                add(pattern, parameter);
            }
            continue;
        }
        for parameter in PARAMETERS {
            for name in shown_names(parameter) {
                if glob_match(pattern, name.as_bytes(), Case::Insensitive, &mut budget)? {
                    add(name.as_bytes(), parameter);
                }
            }
        }
    }
    Ok(found)
}

/// The names under which a pattern may find a parameter.
fn shown_names(parameter: &'static Parameter) -> impl Iterator<Item = &'static str> {
    names(parameter).filter(|name| {
        let hidden = if *name == parameter.name { Flags::HIDDEN } else { Flags::HIDDEN_ALIAS };
        !parameter.is(Flags::HIDDEN) && !parameter.is(hidden)
    })
}

impl Config {
    /// What the log says where defragmentation is wanted, which builds with another allocator than
    /// the official ones refuse: a configuration that asks for it is no reason not to start.
    pub fn defrag_notice(&self) -> Option<&'static str> {
        self.activedefrag.then_some(
            "activedefrag is accepted and does nothing: the allocator never moves what it has handed out",
        )
    }
}

/// What CONFIG SET must know about the moment and the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetContext {
    /// A data set is being loaded.
    pub loading: bool,
    /// The client is connected from this machine, for `enable-protected-configs local`.
    pub local_client: bool,
}

/// Why CONFIG SET changed nothing. `Display` is the error line without its leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSetError {
    /// A name without a value.
    Syntax,
    /// No parameter has this name.
    Unknown(Vec<u8>),
    /// Not while a data set is being loaded.
    Loading,
    /// The value was refused, by this room or by whoever applies it.
    Refused {
        /// The name at fault.
        argument: String,
        /// Redis's words for why.
        reason: String,
    },
}

impl ConfigSetError {
    /// The error for a change of `argument` that could not be applied.
    pub fn refused(argument: &str, reason: &str) -> ConfigSetError {
        ConfigSetError::Refused { argument: argument.to_owned(), reason: reason.to_owned() }
    }
}

impl fmt::Display for ConfigSetError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigSetError::Syntax => out.write_str("ERR syntax error"),
            ConfigSetError::Unknown(name) => {
                let name = lossless(name);
                write!(out, "ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            ConfigSetError::Loading => out.write_str("LOADING Redis is loading the dataset in memory"),
            ConfigSetError::Refused { argument, reason } => {
                write!(out, "ERR CONFIG SET failed (possibly related to argument '{argument}') - {reason}")
            }
        }
    }
}

impl std::error::Error for ConfigSetError {}

/// CONFIG SET: all of the `name value …` arguments, or nothing.
///
/// Returns the parameters whose values changed, in the order given, for the caller to apply.
/// Source: CONFIG SET.
pub fn config_set(
    config: &mut Config,
    args: &[&[u8]],
    context: SetContext,
) -> Result<Vec<&'static Parameter>, ConfigSetError> {
    if !args.len().is_multiple_of(2) {
        return Err(ConfigSetError::Syntax);
    }
    let settings = resolve(config, args, context)?;
    let mut new = config.clone();
    for (parameter, name, value) in &settings {
        let set = parameter.set(&mut new, &[value], Source::Command);
        set.map_err(|reason| ConfigSetError::refused(name, &reason))?;
    }
    new.keep_in_bounds();
    let mut changed: Vec<&'static Parameter> = Vec::new();
    for (parameter, ..) in settings {
        if parameter.get(config) != parameter.get(&new) && !changed.contains(&parameter) {
            changed.push(parameter);
        }
    }
    *config = new;
    Ok(changed)
}

/// A parameter, the name it was called by, and the new value.
type Setting<'a> = (&'static Parameter, &'static str, &'a [u8]);

/// Looks all names up and checks that they may be set, before any is.
fn resolve<'a>(
    config: &Config,
    args: &[&'a [u8]],
    context: SetContext,
) -> Result<Vec<Setting<'a>>, ConfigSetError> {
    let mut settings: Vec<Setting<'a>> = Vec::new();
    let mut first_error = None;
    for pair in args.chunks_exact(2) {
        let Some((parameter, name)) = lookup(pair[0]) else {
            first_error.get_or_insert(ConfigSetError::Unknown(pair[0].to_vec()));
            continue;
        };
        if context.loading && parameter.is(Flags::DENY_LOADING) {
            // Redis: this error goes before all others, for clients know how to wait.
            return Err(ConfigSetError::Loading);
        }
        let refusal = if settings.iter().any(|(_, known, _)| *known == name) {
            Some("duplicate parameter")
        } else {
            refusal(config, parameter, context)
        };
        if let Some(reason) = refusal {
            let argument = lossless(pair[0]);
            first_error.get_or_insert(ConfigSetError::refused(&argument, reason));
        }
        settings.push((parameter, name, pair[1]));
    }
    first_error.map_or(Ok(settings), Err)
}

/// Why a parameter may not be set by this client, if it may not.
fn refusal(config: &Config, parameter: &Parameter, context: SetContext) -> Option<&'static str> {
    let protected_allowed = config.enable_protected_configs.admits(context.local_client);
    if parameter.is(Flags::IMMUTABLE) {
        Some("can't set immutable config")
    } else if parameter.is(Flags::PROTECTED) && !protected_allowed {
        Some("can't set protected config")
    } else {
        None
    }
}

/// Redis works with at least 1 and at most this many turns of periodic work a second.
const MAX_HZ: i64 = 500;
/// Redis keeps at least this much replication history.
const MIN_BACKLOG_BYTES: u64 = 16 << 10;

impl Config {
    /// Why a server of this configuration must not start, if it must not: it would be something
    /// else than it is told to be, such as a second primary that takes writes, or one that shows to
    /// all what should be hidden.
    pub fn refusal(&self) -> Option<String> {
        let defaults = Config::default();
        PARAMETERS.iter().find_map(|parameter| {
            let Effect::Refused(what) = parameter.effect else { return None };
            let (name, value) = (parameter.name, parameter.get(self));
            let is_asked = value != parameter.get(&defaults);
            is_asked
                .then(|| format!("can't start with '{name} {}': {what} is not there yet", lossless(&value)))
        })
    }

    /// Sets one parameter by name, as one line of a configuration file would.
    ///
    /// Errors with Redis's words for that line.
    pub fn set(&mut self, name: &str, args: &[&str]) -> Result<(), String> {
        let (parameter, _) =
            lookup(name.as_bytes()).ok_or_else(|| "Bad directive or wrong number of arguments".to_owned())?;
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        parameter.set(self, &args, Source::FirstLine)
    }

    /// The value of one parameter as CONFIG GET shows it.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        lookup(name.as_bytes()).map(|(parameter, _)| parameter.get(self))
    }

    /// Brings values that Redis accepts but does not use as given to what it uses.
    fn keep_in_bounds(&mut self) {
        self.hz = self.hz.clamp(1, MAX_HZ);
        self.repl_backlog_size = self.repl_backlog_size.max(MIN_BACKLOG_BYTES);
        if self.watchdog_period > 0 {
            // The watchdog cannot look more often than twice in a turn of periodic work.
            self.watchdog_period = self.watchdog_period.max(2 * 1000 / self.hz);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name<TAB>value` lines of a real server's CONFIG GET.
    const REAL_DEFAULTS: &str = include_str!("../../tests/data/config-get-7.0.15.tsv");
    /// What a real server's CONFIG SET makes of good and bad values.
    const REAL_SETS: &str = include_str!("../../tests/data/config-set-7.0.15.txt");

    fn set(config: &mut Config, args: &[&str]) -> Result<Vec<&'static str>, String> {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        config_set(config, &args, SetContext::default())
            .map(|changed| changed.iter().map(|parameter| parameter.name).collect())
            .map_err(|error| error.to_string())
    }

    fn shown(config: &Config, name: &str) -> String {
        String::from_utf8_lossy(&config.get(name).expect(name)).into_owned()
    }

    #[test]
    fn names_and_defaults_are_those_of_a_real_server() {
        let config = Config::default();
        let ours = "pidfile";
        let mut real: Vec<&str> = vec!["dir"];
        for line in REAL_DEFAULTS.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once('\t').expect(line);
            real.push(name);
            if name != ours {
                assert_eq!(shown(&config, name), value, "{name}");
            }
        }
        for name in PARAMETERS.iter().flat_map(names) {
            assert!(real.contains(&name) || name == "spawn-limit", "{name} is no name of Redis");
        }
    }

    #[test]
    fn values_are_taken_and_refused_as_a_real_server_does() {
        let mut names: Vec<&str> = Vec::new();
        let mut config = Config { enable_protected_configs: Protected::Yes, ..Config::default() };
        config.save.clear();
        for line in REAL_SETS.lines().filter(|line| !line.starts_with('#')) {
            if let Some(line) = line.strip_prefix("> ") {
                names = line.split(' ').collect();
                continue;
            }
            let (value, outcome) = line.split_once('\t').expect(line);
            for name in &names {
                let mut config = config.clone();
                let expected = match outcome.split_at(1) {
                    ("=", value) => Ok(value.to_owned()),
                    (_, reason) => Err(ConfigSetError::refused(name, reason).to_string()),
                };
                let got = set(&mut config, &[name, value]).map(|_| shown(&config, name));
                assert_eq!(got, expected, "{name} {value:?}");
            }
        }
    }

    #[test]
    fn limits_survive_the_field_they_are_kept_in() {
        for parameter in PARAMETERS {
            let Kind::Number { min, max, get, set, .. } = &parameter.kind else { continue };
            for value in [*min, *max] {
                let mut config = Config::default();
                set(&mut config, value);
                assert_eq!(get(&config), value, "{}", parameter.name);
            }
        }
    }

    #[test]
    fn every_parameter_is_documented_and_named_once() {
        let mut all: Vec<&str> = PARAMETERS.iter().flat_map(names).collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        for parameter in PARAMETERS {
            assert!(parameter.doc.ends_with('.') && !parameter.doc.contains('\n'), "{}", parameter.name);
            assert!(!parameter.is(Flags::MULTI_ARG) || matches!(parameter.kind, Kind::Special(_)));
        }
    }

    #[test]
    fn what_the_server_cannot_be_is_refused_and_saying_no_is_not() {
        let refusal = |name: &str, args: &[&str]| {
            let mut config = Config::default();
            config.set(name, args).expect(name);
            config.refusal()
        };
        for (name, args, refused) in [
            ("replicaof", &["127.0.0.1", "6379"][..], Some("replicaof 127.0.0.1 6379': replication")),
            ("slaveof", &["db.example", "1"], Some("replicaof db.example 1': replication")),
            ("replicaof", &["no", "one"], None),
            ("cluster-enabled", &["yes"], Some("cluster-enabled yes': cluster mode")),
            ("cluster-enabled", &["no"], None),
            ("tls-port", &["6380"], Some("tls-port 6380': TLS")),
            ("tls-port", &["0"], None),
            ("tls-cluster", &["yes"], Some("tls-cluster yes': TLS")),
            ("tls-replication", &["yes"], Some("tls-replication yes': TLS")),
            ("masterauth", &["x"], None),
            ("cluster-node-timeout", &["5"], None),
        ] {
            let line = refused.map(|refused| format!("can't start with '{refused} is not there yet"));
            assert_eq!(refusal(name, args), line, "{name} {args:?}");
        }
    }

    #[test]
    fn set_is_all_or_nothing() {
        let rows: &[(&[&str], &str)] = &[
            (&["timeout", "1", "port"], "ERR syntax error"),
            (&["foo", "1", "bar", "2"], "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
            (
                &["port", "abc", "Foo", "1"],
                "ERR Unknown option or number of arguments for CONFIG SET - 'Foo'",
            ),
            (&["Timeout", "1", "PORT", "x"], "port') - argument couldn't be parsed into an integer"),
            (&["timeout", "1", "DATABASES", "3"], "DATABASES') - can't set immutable config"),
            (&["databases", "3", "foo", "x"], "databases') - can't set immutable config"),
            (&["port", "x", "databases", "2"], "databases') - can't set immutable config"),
            (&["dir", "/tmp", "port", "x"], "dir') - can't set protected config"),
            (&["port", "1", "PORT", "2"], "PORT') - duplicate parameter"),
            (&["Slave-Priority", "x"], "slave-priority') - argument couldn't be parsed into an integer"),
            (&["Slaveof", "x y"], "Slaveof') - can't set immutable config"),
        ];
        for (args, expected) in rows {
            let mut config = Config::default();
            let error = set(&mut config, args).unwrap_err();
            let expected = match expected.starts_with("ERR") {
                true => (*expected).to_owned(),
                false => format!("ERR CONFIG SET failed (possibly related to argument '{expected}"),
            };
            assert_eq!(error, expected);
            assert_eq!(config, Config::default(), "{args:?}");
        }
    }

    #[test]
    fn set_returns_what_changed() {
        let mut config = Config::default();
        assert_eq!(set(&mut config, &["timeout", "0", "hz", "7", "appendonly", "no"]).unwrap(), ["hz"]);
        // Redis: a name and its alias are two names, the second wins.
        let both = ["hash-max-ziplist-entries", "1", "hash-max-listpack-entries", "2"];
        assert_eq!(set(&mut config, &both).unwrap(), ["hash-max-listpack-entries"]);
        assert_eq!(config.hash_max_listpack_entries, 2);
        assert_eq!(set(&mut config, &["spawn-limit", "5"]).unwrap(), ["maxclients"]);
        let same = ["bind", "* -::*", "save", "3600 1 300 100 60 10000"];
        assert!(set(&mut config, &same).unwrap().is_empty());
        assert_eq!(set(&mut config, &["hz", "501"]).unwrap(), ["hz"]);
        assert!(set(&mut config, &["hz", "502"]).unwrap().is_empty(), "both are 500");
    }

    #[test]
    fn loading_is_reported_before_all_else() {
        let mut config = Config::default();
        let context = SetContext { loading: true, local_client: true };
        let args: [&[u8]; 4] = [b"foo", b"1", b"appendonly", b"yes"];
        assert_eq!(config_set(&mut config, &args, context), Err(ConfigSetError::Loading));
    }

    #[test]
    fn get_takes_names_and_patterns() {
        let config = Config::default();
        let rows: &[(&[&str], &[&str])] = &[
            (&["port", "PORT"], &["port"]),
            (&["PORT"], &["PORT"]),
            (&["PORT", "p*rt"], &["PORT"]),
            (&["p?rt", "port"], &["port"]),
            (&["Po*"], &["port"]),
            (&["*a-priority"], &["replica-priority"]),
            (&["*e-priority"], &["slave-priority"]),
            (&["slaveof"], &["slaveof"]),
            (&["key-load-delay"], &["key-load-delay"]),
            (&["key-load*"], &[]),
            (&["spawn-limit"], &["spawn-limit"]),
            (&["spawn*"], &[]),
            (&["nope", "[", "po\\rt"], &[]),
        ];
        for (patterns, expected) in rows {
            let patterns: Vec<&[u8]> = patterns.iter().map(|p| p.as_bytes()).collect();
            let found = config_get(&config, &patterns).expect("short patterns");
            let names: Vec<Vec<u8>> = found.into_iter().map(|row| row.0).collect();
            let expected: Vec<Vec<u8>> = expected.iter().map(|name| name.as_bytes().to_vec()).collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn everything_shown_can_be_set_again() {
        let config = Config { enable_protected_configs: Protected::Yes, ..Config::default() };
        for (name, value) in config_get(&config, &[b"*"]).expect("a short pattern") {
            let (parameter, _) = lookup(&name).expect("its own name");
            if !parameter.is(Flags::IMMUTABLE) {
                let mut again = config.clone();
                config_set(&mut again, &[&name, &value], SetContext::default()).expect(parameter.name);
                assert_eq!(again, config, "{}", parameter.name);
            }
        }
    }
}
