//! How an answer of pyredis is compared with that of a real redis-server: to the byte where that is
//! possible, and by one of the looser rules of [`Compare`] where an answer depends on chance, on
//! time, or on which process gives it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pyredis::base::text::quote;
use pyredis::resp::value::Value;

use super::Pair;
use super::template::Words;
use crate::support::Client;

/// How answers are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compare {
    Bytes,
    AnyOrder,
    PairsInAnyOrder,
    NearNumbers,
    NearTimes,
    /// The same types, lengths of arrays and names in maps; errors to the byte.
    Shape,
    /// The same, and texts of the same length.
    Lengths,
    /// Texts have the same fields (`name=value`); errors to the byte.
    Fields,
    /// Both answer an error, the same, or neither does.
    Errors,
    /// The same shape; what was chosen is a part of what the key holds.
    Choice,
    /// Everything that a connection is sent from this command to its end.
    Connection,
    /// SCAN and its like, to the end.
    Walk,
    /// The same payload where the order of the elements is that of a rule, and both servers RESTORE
    /// both payloads.
    Dump,
    /// DUMP a key on both servers, RESTORE both payloads on both.
    Exchange,
    Digest,
}

impl Compare {
    /// Whether one answer is all that is looked at, so that commands can be pipelined.
    pub(super) fn is_plain(self) -> bool {
        use Compare::{Choice, Connection, Digest, Dump, Exchange, Walk};
        !matches!(self, Walk | Dump | Exchange | Digest | Choice | Connection)
    }

    /// Whether two answers are the same by this rule.
    pub(super) fn accepts(self, ours: &(Value, Vec<u8>), theirs: &(Value, Vec<u8>)) -> bool {
        if self != Compare::Errors && nulls(&ours.1) != nulls(&theirs.1) {
            return false;
        }
        match self {
            Compare::Bytes => ours.1 == theirs.1,
            Compare::NearNumbers => near(&ours.0, &theirs.0, 0),
            Compare::NearTimes => near(&ours.0, &theirs.0, TIMES_FROM),
            Compare::Shape | Compare::Lengths | Compare::Fields | Compare::Errors => {
                shape(&ours.0, self) == shape(&theirs.0, self)
            }
            _ => sorted(ours.0.clone(), self) == sorted(theirs.0.clone(), self),
        }
    }
}

/// How often each of the two kinds of null is in an answer of RESP2, as far as bytes tell.
fn nulls(answer: &[u8]) -> [usize; 2] {
    [b"$-1\r\n", b"*-1\r\n"].map(|null| answer.windows(5).filter(|bytes| bytes == null).count())
}

/// What is left of an answer by a rule.
fn shape(value: &Value, rule: Compare) -> Value {
    if !matches!(value, Value::Error(_)) && rule == Compare::Errors {
        return Value::Null;
    }
    let shapes = |items: &[Value]| items.iter().map(|item| shape(item, rule)).collect();
    match value {
        Value::Integer(_) => Value::Integer(0),
        Value::Double(_) => Value::Double(String::new()),
        Value::Simple(_) => Value::Simple(String::new()),
        Value::Bulk(text) => Value::Bulk(shape_of_text(text, rule)),
        Value::Verbatim(format, text) => Value::Verbatim(format.clone(), shape_of_text(text, rule)),
        Value::Array(items) => Value::Array(shapes(items)),
        Value::Set(items) => Value::Set(shapes(items)),
        Value::Push(items) => Value::Push(shapes(items)),
        Value::Map(pairs) => {
            Value::Map(pairs.iter().map(|(name, value)| (name.clone(), shape(value, rule))).collect())
        }
        other => other.clone(),
    }
}

fn shape_of_text(text: &[u8], rule: Compare) -> Vec<u8> {
    match rule {
        Compare::Lengths => vec![b'x'; text.len()],
        Compare::Fields => {
            let words = text.split_inclusive(|byte| byte.is_ascii_whitespace());
            let names = words.map(|word| word.split(|&byte| byte == b'=').next().unwrap_or(word));
            names.collect::<Vec<_>>().join(&b' ')
        }
        _ => Vec::new(),
    }
}

/// What a command sends over a connection of its own, up to the end of it. Behind it stand an ECHO
/// and a QUIT, and then the client says nothing more: what waits is given up.
pub(super) fn connection(port: u16, words: &Words, is_resp3: bool) -> String {
    let mut client = Client::connect(port);
    if is_resp3 {
        client.send("HELLO 3");
        client.value();
    }
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let mut bytes = client.all_answers(&[&words, &[b"ECHO", b"end"], &[b"QUIT"]]);
    let mut answers = String::new();
    while let Some((value, used)) = Value::parse(&bytes).expect("a server speaks RESP") {
        let _ = write!(answers, "{:?} ", without_own(value));
        bytes.drain(..used);
    }
    answers + &String::from_utf8_lossy(&bytes)
}

/// An answer without the id of the client and without the time and the address of a MONITOR line.
fn without_own(value: Value) -> Value {
    let is_id = |name: &Value| *name == Value::Bulk(b"id".to_vec());
    match value {
        Value::Simple(line) if line.starts_with(|first: char| first.is_ascii_digit()) => {
            Value::Simple(line.split_once("] ").map_or(line.clone(), |(_, command)| command.to_owned()))
        }
        Value::Array(mut items) => {
            if let Some(at) = items.iter().position(is_id) {
                items[at + 1] = Value::Null;
            }
            Value::Array(items)
        }
        Value::Map(mut pairs) => {
            pairs.iter_mut().filter(|(name, _)| is_id(name)).for_each(|(_, id)| *id = Value::Null);
            Value::Map(pairs)
        }
        other => other,
    }
}

/// The texts and numbers in an answer, in order.
fn leaves(value: Value) -> Vec<Vec<u8>> {
    match value {
        Value::Array(items) | Value::Set(items) => items.into_iter().flat_map(leaves).collect(),
        Value::Map(pairs) => pairs.into_iter().flat_map(|(a, b)| [leaves(a), leaves(b)].concat()).collect(),
        Value::Bulk(text) => vec![text],
        Value::Double(digits) => vec![digits.into_bytes()],
        _ => Vec::new(),
    }
}

/// What a key holds, or all keys: what a command may choose from.
fn choices(client: &mut Client, words: &Words) -> Vec<Vec<u8>> {
    let key = words.get(1).map_or(&b""[..], Vec::as_slice);
    let all: &[&[u8]] = match &words[0].to_ascii_lowercase()[..] {
        b"randomkey" => &[b"KEYS", b"*"],
        b"hrandfield" => &[b"HGETALL", key],
        b"zrandmember" => &[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"],
        _ => &[b"SMEMBERS", key],
    };
    client.send_words(all);
    leaves(client.value())
}

/// A choice of each server: its shape, and whatever of it was not there to choose.
pub(super) fn choice(client: &mut Client, words: &Words) -> String {
    let from = choices(client, words);
    client.send_words(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let (value, bytes) = client.value_and_bytes();
    let chosen = leaves(value.clone());
    let width =
        if words.last().is_some_and(|word| word.to_ascii_uppercase().starts_with(b"WITH")) { 2 } else { 1 };
    let is_there = |item: &&[Vec<u8>]| from.chunks(width).any(|other| other == *item);
    let strange: Vec<_> = chosen.chunks(width).filter(|item| !is_there(item)).collect();
    let different = chosen.chunks(width).collect::<BTreeSet<_>>().len();
    let mut told = format!("{:?} strange: {strange:?}", shape(&value, Compare::Shape));
    let is_distinct = words.get(2).is_some_and(|count| !count.starts_with(b"-"));
    if is_distinct {
        let _ = write!(told, " different: {different}");
    }
    if matches!(value, Value::Error(_)) {
        told = String::from_utf8_lossy(&bytes).into_owned();
    }
    if words[0].eq_ignore_ascii_case(b"spop") && !chosen.is_empty() {
        // What is left is not the same.
        let _ = write!(told, " left: {}", client.show(&[b"SCARD", &words[1]]));
        client.show(&[b"DEL", &words[1]]);
    }
    told
}

/// What DUMP gives; then the payloads are exchanged.
pub(super) fn dump(pair: &mut Pair, words: &Words) -> (String, String) {
    pair.send(words);
    let (ours, theirs) = (pair.ours.value_and_bytes(), pair.theirs.value_and_bytes());
    let is_payload = matches!((&ours.0, &theirs.0), (Value::Bulk(_), Value::Bulk(_)));
    if !is_payload || !is_hash_table(&mut pair.theirs, &words[1]) && ours.1 != theirs.1 {
        return (
            String::from_utf8_lossy(&quote(&ours.1)).into(),
            String::from_utf8_lossy(&quote(&theirs.1)).into(),
        );
    }
    exchange(pair, &vec![b"EXCHANGE".to_vec(), words[1].clone(), b"one".to_vec(), b"other".to_vec()])
}

fn is_hash_table(client: &mut Client, key: &[u8]) -> bool {
    client.show(&[b"OBJECT", b"ENCODING", key]).contains("hashtable")
}

pub(super) fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        other => vec![other],
    }
}

pub(super) fn bytes_of(value: Value) -> Vec<u8> {
    match value {
        Value::Bulk(bytes) => bytes,
        other => other.to_string().into_bytes(),
    }
}

/// Two numbers that clocks read at slightly different times lead to.
pub(super) fn near(ours: &Value, theirs: &Value, from: i64) -> bool {
    match (ours, theirs) {
        (Value::Integer(a), Value::Integer(b)) if *a >= from && *b >= from => a.abs_diff(*b) < 10_000,
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).all(|(a, b)| near(a, b, from))
        }
        (Value::Map(ours), Value::Map(theirs)) if ours.len() == theirs.len() => {
            ours.iter().zip(theirs).all(|(ours, theirs)| ours.0 == theirs.0 && near(&ours.1, &theirs.1, from))
        }
        _ => ours == theirs,
    }
}

/// Larger numbers are Unix times in milliseconds.
const TIMES_FROM: i64 = 1_000_000_000_000;

/// An answer in an order of its own.
pub(super) fn sorted(value: Value, compare: Compare) -> Value {
    let sort = |mut items: Vec<Value>| {
        items.sort_by_cached_key(|item| format!("{item:?}"));
        items
    };
    match value {
        Value::Array(items)
            if compare == Compare::PairsInAnyOrder
                && items.len() % 2 == 0
                && !matches!(items.first(), Some(Value::Array(_))) =>
        {
            let pairs = items.chunks(2).map(|pair| Value::Array(pair.to_vec()));
            Value::Array(sort(pairs.collect()))
        }
        Value::Array(items) => Value::Array(sort(items)),
        Value::Set(items) => Value::Set(sort(items)),
        Value::Map(mut pairs) => {
            pairs.sort_by_cached_key(|pair| format!("{pair:?}"));
            Value::Map(pairs)
        }
        other => other,
    }
}

/// Follows a cursor from its 0 to the end; returns what it met, each once.
pub(super) fn walk(client: &mut Client, words: &Words) -> String {
    let mut words = words.clone();
    let name = words[0].to_ascii_uppercase();
    let cursor = if name == b"SCAN" { 1 } else { 2 };
    let in_pairs = name == b"HSCAN" || name == b"ZSCAN";
    // Elsewhere a cursor is a place in each server's own table.
    let is_whole = words.get(cursor).is_none_or(|cursor| cursor == b"0");
    let mut met = BTreeSet::new();
    for _ in 0..10_000 {
        client.send_words(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let (value, bytes) = client.value_and_bytes();
        let (Value::Array(reply), true) = (value, words.len() > cursor) else {
            return String::from_utf8_lossy(&bytes).into_owned();
        };
        if !is_whole {
            return "a part".to_owned();
        }
        let [next, found] = &reply[..] else { return format!("{reply:?}") };
        met.extend(
            elements(found.clone()).chunks(if in_pairs { 2 } else { 1 }).map(|item| format!("{item:?}")),
        );
        words[cursor] = bytes_of(next.clone());
        if words[cursor] == b"0" {
            return met.into_iter().collect::<Vec<_>>().join("\n    ");
        }
    }
    "a walk without an end".to_string()
}

/// Restores what each server dumped on both; returns what they said.
pub(super) fn exchange(pair: &mut Pair, words: &Words) -> (String, String) {
    let mut said = (String::new(), String::new());
    let [_, from, to, other] = &words[..] else { panic!("a key and two more") };
    pair.send(&vec![b"DUMP".to_vec(), from.clone()]);
    let dumps = (pair.ours.value(), pair.theirs.value());
    let (Value::Bulk(ours), Value::Bulk(theirs)) = dumps else {
        return (dumps.0.to_string(), dumps.1.to_string());
    };
    for (key, payload) in [(to, ours), (other, theirs)] {
        let restore =
            vec![b"RESTORE".to_vec(), key.clone(), b"0".to_vec(), payload.clone(), b"REPLACE".to_vec()];
        pair.send(&restore);
        let _ = write!(said.0, "{} ", pair.ours.value());
        let _ = write!(said.1, "{} ", pair.theirs.value());
        if said.0 != said.1 {
            let _ = write!(said.0, "{}", String::from_utf8_lossy(&quote(&payload)));
        }
    }
    said
}
