//! Parameters, what CONFIG GET shows and CONFIG SET takes, beside what a real server does.

use super::lookup::names;
use super::*;

/// `name<TAB>value` lines of a real server's CONFIG GET.
const REAL_DEFAULTS: &str = include_str!("../../tests/data/config-get-7.0.15.tsv");
/// The answers of a real server's CONFIG SET to good and bad values.
const REAL_SETS: &str = include_str!("../../tests/data/config-set-7.0.15.txt");

/// The parameters that Redis does not have.
const OURS: [&str; 3] = ["spawn-limit", "script-max-time", "script-memory-limit"];

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
        assert!(real.contains(&name) || OURS.contains(&name), "{name} is no name of Redis");
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
        (&["port", "abc", "Foo", "1"], "ERR Unknown option or number of arguments for CONFIG SET - 'Foo'"),
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
