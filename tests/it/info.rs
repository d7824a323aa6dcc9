//! INFO against a real redis-server: the same sections in the same order, the same fields in the
//! same order, and values of the same form. What the values are is tested where they are made.

use crate::support::{Client, RealServer, Server};
use pyredis::resp::value::Value;

/// Requests that leave something in every section that lists things.
const BEFORE: &[&str] = &[
    "CONFIG RESETSTAT",
    "SET a 1",
    "SET b 1 EX 1000",
    "GET a",
    "INCR a",
    "GET nosuch",
    "HSET a f v",
    "NOSUCH",
    "CLIENT ID",
    "SELECT 3",
    "RPUSH l a b c",
];

/// What only pyredis has.
const OURS: &[&str] = &["pyredis_version"];
/// Sections whose lines stand in the order of a hash table on the real server.
const UNORDERED: &[&str] = &["# Commandstats", "# Errorstats", "# Latencystats"];

/// The form of a value: what a monitoring agent's parser must expect.
fn form(value: &str) -> String {
    let number = |text: &str| !text.is_empty() && text.parse::<f64>().is_ok() && !text.contains(['e', 'n']);
    if value.is_empty() {
        return "empty".into();
    }
    if value.contains('=') {
        let pairs = value.split(',').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        return pairs.map(|(name, value)| format!("{name}={}", form(value))).collect::<Vec<_>>().join(",");
    }
    if value.parse::<i64>().is_ok() {
        return "integer".into();
    }
    if number(value) {
        let decimals = value.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        return format!("decimal of {decimals}");
    }
    match value.split_at(value.len() - 1) {
        (text, "%") if number(text) => "percent".into(),
        (text, "B" | "K" | "M" | "G" | "T") if number(text) => "size".into(),
        _ if value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) => "40 digits".into(),
        _ => "text".into(),
    }
}

/// One line as it is compared: a heading, or the name of a field and the form of its value.
fn shape(line: &str) -> String {
    match line.split_once(':') {
        Some((name, value)) => format!("{name}:{}", form(value)),
        None => line.to_owned(),
    }
}

/// Sends words and reads the answer.
fn ask(client: &mut Client, words: &[&[u8]]) -> Value {
    client.send_words(words);
    client.value()
}

fn info(client: &mut Client, sections: &[&str]) -> String {
    let mut words = vec![&b"INFO"[..]];
    words.extend(sections.iter().map(|section| section.as_bytes()));
    match ask(client, &words) {
        Value::Bulk(text) => String::from_utf8(text).expect("INFO is text"),
        other => panic!("{other:?}"),
    }
}

/// The shapes of all lines, those of unordered sections sorted.
fn shapes(text: &str) -> Vec<String> {
    let mut sections: Vec<Vec<String>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            sections.push(Vec::new());
        }
        if !OURS.contains(&line.split(':').next().unwrap_or_default()) {
            sections.last_mut().expect("there is one").push(shape(line));
        }
    }
    for section in &mut sections {
        if section.first().is_some_and(|heading| UNORDERED.contains(&heading.as_str())) {
            section.sort();
        }
    }
    sections.concat()
}

fn prepare(port: u16) -> Client {
    let mut client = Client::connect(port);
    for line in BEFORE {
        ask(&mut client, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
    }
    client
}

#[test]
fn info_has_the_sections_and_fields_of_a_real_server() {
    let Some(real) = RealServer::start(&["--save", ""]) else { return };
    let ours = Server::start(&["--save", ""]);
    let (mut real, mut ours) = (prepare(real.port), prepare(ours.port()));
    for sections in [
        &["everything"][..],
        &[],
        &["all"],
        &["default"],
        &["cpu", "all"],
        &["cpu", "default"],
        &["keyspace", "server"],
        &["commandSTATS"],
        &["modules"],
        &["module_list"],
        &["errorstats", "nosuch", "cluster"],
        &["nosuch"],
    ] {
        let (expected, answered) = (shapes(&info(&mut real, sections)), shapes(&info(&mut ours, sections)));
        let missing: Vec<_> = expected.iter().filter(|line| !answered.contains(line)).collect();
        let added: Vec<_> = answered.iter().filter(|line| !expected.contains(line)).collect();
        assert!(
            missing.is_empty() && added.is_empty(),
            "{sections:?}: missing {missing:#?}, added {added:#?}"
        );
        assert_eq!(answered, expected, "{sections:?}");
    }
}

#[test]
fn forms_tell_numbers_from_texts() {
    for (value, expected) in [
        ("12", "integer"),
        ("-1", "integer"),
        ("0.00", "decimal of 2"),
        ("99.10%", "percent"),
        ("1.09M", "size"),
        ("epoll", "text"),
        ("nan", "text"),
        ("", "empty"),
        ("keys=1,expires=0", "keys=integer,expires=integer"),
    ] {
        assert_eq!(form(value), expected, "{value}");
    }
}

#[test]
fn used_memory_follows_what_memory_usage_tells_of_keys() {
    let server = Server::start(&["--save", ""]);
    let mut client = server.client();
    let used = |client: &mut Client| -> i64 {
        let text = info(client, &["memory"]);
        let line = text.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.expect("the field is there").parse().expect("a number")
    };
    let before = used(&mut client);
    let value = vec![b'x'; 40_000];
    let keys: Vec<String> = (0..500).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        ask(&mut client, &[b"SET", key.as_bytes(), &value]);
        ask(&mut client, &[b"HSET", format!("h{key}").as_bytes(), b"field", &value]);
    }
    let mut told = 0;
    for key in keys.iter().flat_map(|key| [key.clone(), format!("h{key}")]) {
        let Value::Integer(bytes) = ask(&mut client, &[b"MEMORY", b"USAGE", key.as_bytes()]) else {
            panic!("{key}")
        };
        told += bytes;
    }
    let grown = used(&mut client) - before;
    // Buffers on the way and half-filled pages of the table are nobody's key.
    assert!((told - grown).abs() < told / 20, "used_memory grew by {grown}, the keys take {told}");
}
