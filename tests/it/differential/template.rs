//! A small language for random commands: [`Template`], and the pools its placeholders draw from.
//!
//! `SET {key} {value} [NX|XX] (EX {ttl}|KEEPTTL)`: a word stands for itself, `{pool}` for a word of
//! the pool, `[…]` for its content or nothing, `(…)` for its content; `|` separates alternatives.
//! `w:{pool}` puts something before a word of the pool. Behind `}`, `]` or `)`, `+` repeats up to
//! four times and `*` up to twenty.

use std::iter::Peekable;
use std::str::Chars;

use pyredis::base::random::Random;

use super::edge_values;

/// A command is its words.
pub(super) type Words = Vec<Vec<u8>>;

/// A parsed template.
pub(super) struct Template {
    parts: Vec<Part>,
}

enum Part {
    Word(String),
    Pool(String),
    Choice { options: Vec<Vec<Part>>, at_least: u64, at_most: u64 },
}

impl Template {
    /// Reads a template; one that is not well formed is a bug of the tables.
    pub(super) fn parse(text: &str) -> Self {
        let mut chars = text.chars().peekable();
        let mut options = alternatives(&mut chars);
        assert!(options.len() == 1 && chars.next().is_none(), "a bad template: {text}");
        Self { parts: options.remove(0) }
    }

    /// Makes a command.
    pub(super) fn words(&self, random: &mut Random) -> Words {
        let mut words = Words::new();
        expand(&self.parts, random, &mut words);
        words
    }
}

fn alternatives(chars: &mut Peekable<Chars<'_>>) -> Vec<Vec<Part>> {
    let mut options = vec![Vec::new()];
    loop {
        let part = match chars.peek() {
            None | Some(']' | ')') => return options,
            Some(' ') => {
                chars.next();
                continue;
            }
            Some('|') => {
                chars.next();
                options.push(Vec::new());
                continue;
            }
            Some(&bracket @ ('[' | '(' | '{')) => {
                chars.next();
                group(bracket, chars)
            }
            Some(_) => {
                let mut word = String::new();
                while let Some(char) = chars.next_if(|&char| !" |])".contains(char)) {
                    word.push(char);
                }
                Part::Word(word)
            }
        };
        options.last_mut().expect("there is one").push(part);
    }
}

fn group(bracket: char, chars: &mut Peekable<Chars<'_>>) -> Part {
    let options = if bracket == '{' {
        vec![vec![Part::Pool(chars.by_ref().take_while(|&char| char != '}').collect())]]
    } else {
        let options = alternatives(chars);
        assert!(chars.next().is_some(), "a bracket is not closed");
        options
    };
    let at_most = match chars.next_if(|&char| char == '+' || char == '*') {
        Some('+') => 4,
        Some(_) => 20,
        None => 1,
    };
    Part::Choice { options, at_least: u64::from(bracket != '['), at_most }
}

fn expand(parts: &[Part], random: &mut Random, words: &mut Words) {
    for part in parts {
        match part {
            Part::Word(word) => words.push(match word.trim_end_matches('}').split_once('{') {
                Some((before, name)) => [before.as_bytes(), &pool(name, random)].concat(),
                None => word.clone().into_bytes(),
            }),
            Part::Pool(name) => words.push(pool(name, random)),
            Part::Choice { options, at_least, at_most } => {
                for _ in 0..at_least + random.below(at_most - at_least + 1) {
                    expand(pick::<Vec<Part>>(options, random), random, words);
                }
            }
        }
    }
}

/// One of several.
pub(super) fn pick<'a, T>(from: &'a [T], random: &mut Random) -> &'a T {
    &from[usize::try_from(random.below(from.len() as u64)).expect("an index")]
}

/// What is wrong nearly everywhere. No small positive number: it could be a deadline that passes
/// during the run.
const ODD: &[&str] = &[
    "",
    "0",
    "-1",
    "x",
    "3.0",
    " 1",
    "+5",
    "0x10",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999",
    "COUNT",
    "LIMIT",
    "WITHSCORES",
    "NX",
    "GT",
    "GET",
    "STORE",
];

/// Makes a command somewhat wrong: a word too few, too many or another one.
pub(super) fn spoil(words: &mut Words, random: &mut Random) {
    let at = 1 + usize::try_from(random.below(words.len() as u64)).expect("an index");
    let odd = pick(ODD, random).as_bytes().to_vec();
    match random.below(4) {
        0 if at < words.len() => drop(words.remove(at)),
        1 => words.insert(at, odd),
        2 if at < words.len() => words.insert(at, words[at].clone()),
        _ if at < words.len() => words[at] = odd,
        _ => words.push(odd),
    }
}

/// The type a key usually has is in its name; each pool of keys gives others now and then.
fn key(of: &str, random: &mut Random) -> Vec<u8> {
    const TYPES: &[&str] = &["str", "list", "set", "hash", "zset", "bits", "hll", "geo", "ints", "stream"];
    if random.below(60) == 0 {
        return pick(
            &[
                &b""[..],
                b"\0\xff\r\n",
                b"{tag}key with a rather long name, longer than any small buffer of 44",
            ],
            random,
        )
        .to_vec();
    }
    let of = if TYPES.contains(&of) && random.below(25) != 0 { of } else { pick(TYPES, random) };
    format!("{of}:{}", random.below(4)).into_bytes()
}

fn number(random: &mut Random, from: i64, to: i64) -> Vec<u8> {
    let width = u64::try_from(to - from + 1).expect("from <= to");
    (from + i64::try_from(random.below(width)).expect("small")).to_string().into_bytes()
}

/// Text of a length around the limits where an encoding changes.
fn long_text(random: &mut Random) -> Vec<u8> {
    let length = *pick(&[12, 20, 44, 45, 63, 64, 65, 100, 200, 300, 700], random);
    let letter = *pick(b"abz", random);
    let mut text = vec![letter; length];
    text[length / 2] = *pick(b"abcxyz", random);
    text
}

/// Words of any type.
fn value(random: &mut Random) -> Vec<u8> {
    const INTS: &[&str] = &[
        "127",
        "128",
        "-128",
        "-129",
        "4095",
        "4096",
        "32767",
        "32768",
        "-32769",
        "8388607",
        "8388608",
        "-8388609",
        "2147483647",
        "2147483648",
        "-2147483649",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "9999",
        "10000",
        "007",
        "-0",
        "+1",
        "1 ",
    ];
    // Redis: what `strcoll` finds equal, SORT leaves in any order; so nothing here differs behind a
    // NUL only.
    const TEXTS: &[&[u8]] = &[
        b"",
        b"a",
        b"b",
        b"abc",
        b"ABC",
        b"foobar",
        b"\x01\0\xff\r\n",
        b"\xfe\xff",
        b"3.14",
        b"1e3",
        b"-2.5",
        b"nan",
        b"inf",
        b"*",
    ];
    match random.below(10) {
        0..=3 => number(random, -5, 40),
        4 => pick(INTS, random).as_bytes().to_vec(),
        5 => long_text(random),
        6 => pick(TEXTS, random).to_vec(),
        _ => format!("m{}", random.below(12)).into_bytes(),
    }
}

/// The ID of an entry of a stream, mostly one that was added.
fn id(random: &mut Random) -> String {
    const IDS: &[&str] =
        &["0", "0-0", "0-1", "18446744073709551615-18446744073709551615", "18446744073709551615", "5-x", ""];
    let size = random.below(14);
    let ms = random.below(1 << size);
    match random.below(8) {
        0 => (*pick(IDS, random)).to_owned(),
        1 | 2 => ms.to_string(),
        _ => format!("{ms}-{}", random.below(3)),
    }
}

/// A word of a pool.
fn pool(name: &str, random: &mut Random) -> Vec<u8> {
    const SCORES: &[&str] = &[
        "0",
        "1",
        "-1",
        "1.5",
        "-2.25",
        "3",
        "10",
        "1e10",
        "1e-7",
        "0.1",
        "3.14159265358979",
        "inf",
        "-inf",
        "1e17",
        "123456789012345678",
        "-0",
        "17976931348623157e292",
        "5e-324",
    ];
    const FLOATS: &[&str] = &[
        "1",
        "-1",
        "0.5",
        "0.1",
        "-0.3",
        "1e3",
        "3.0",
        "100000",
        "1e15",
        "0.00001",
        "-7.25",
        "1234.5678",
        "1e-10",
    ];
    const TYPES: &[&str] = &["i8", "u8", "i16", "u1", "i64", "u63", "u4", "i5", "u32", "i33"];
    const EXTREMES: &[&str] = &["9223372036854775807", "-9223372036854775808", "4611686018427387904"];
    const LEX: &[&str] = &["-", "+", "[", "(", "[m3", "(m3", "[m7", "(m9", "[a", "(abc", "[1", "[m", "(z"];
    const PATTERNS: &[&str] = &[
        "*", "m*", "*:1", "s*", "[a-m]*", "?", "f?", "m[0-5]", "m[^0-5]", "*:[13]", "\\*", "h*[", "", "***",
        "list:?",
    ];
    if let Some(pool) = edge_values::pool(name) {
        return pick(pool, random).as_bytes().to_vec();
    }
    let text = match name {
        "value" | "member" => return value(random),
        "field" if random.below(4) > 0 => format!("f{}", random.below(10)),
        "field" => return value(random),
        "any" => return key("", random),
        "int" if random.below(12) == 0 => (*pick(EXTREMES, random)).to_string(),
        "int" => return number(random, -100, 1000),
        "small" => return number(random, -40, 40),
        "index" => return number(random, -12, 12),
        "count" => return number(random, 0, 6),
        "positive" => return number(random, 1, 6),
        "signed" => return number(random, -4, 4),
        "bit" => return number(random, 0, 1),
        "offset" => return number(random, 0, 300),
        "db" => return number(random, 0, 1),
        "float" => (*pick(FLOATS, random)).to_string(),
        "score" if random.below(3) == 0 => (*pick(SCORES, random)).to_string(),
        "score" => return number(random, -3, 9),
        "bound" if random.below(3) == 0 => format!("({}", pick(SCORES, random)),
        "bound" if random.below(3) == 0 => (*pick(SCORES, random)).to_string(),
        "bound" => return number(random, -4, 10),
        "lex" => (*pick(LEX, random)).to_string(),
        "id" => id(random),
        "from_id" if random.below(4) == 0 => "-".to_owned(),
        "to_id" if random.below(4) == 0 => "+".to_owned(),
        "from_id" | "to_id" if random.below(5) == 0 => format!("({}", id(random)),
        "from_id" | "to_id" => id(random),
        // Higher ones are rare, so that many are higher than the last.
        "new_id" => match (1 << random.below(14), random.below(4)) {
            (ms, 0) => format!("{ms}-*"),
            (ms, 1) => format!("{}", random.below(ms)),
            (ms, _) => format!("{}-{}", random.below(ms), random.below(3)),
        },
        // What never holds anything but streams: dumps of others are in an order of their own.
        "log" => format!("log:{}", random.below(2)),
        "group" => format!("g{}", random.below(2)),
        "consumer" => format!("c{}", random.below(3)),
        "bits_type" => (*pick(TYPES, random)).to_string(),
        // Sorted sets of one score; in others a range by name has no meaning, and differs.
        "names" => format!("names:{}", random.below(2)),
        "pattern" => (*pick(PATTERNS, random)).to_string(),
        // Far away, and never twice the same: EXPIRE … GT must not depend on a millisecond.
        "secs" => (100_000 + random.below(1_000_000_000)).to_string(),
        "millis" => (100_000_000 + random.below(1_000_000_000_000)).to_string(),
        "unix" => (4_000_000_000 + random.below(1_000_000_000)).to_string(),
        "unix_ms" => (4_000_000_000_000 + random.below(1_000_000_000_000)).to_string(),
        "lon" => format!("{}.{}", i64::try_from(random.below(60)).expect("small") - 30, random.below(1000)),
        "lat" => format!("{}.{}", i64::try_from(random.below(60)).expect("small") - 30, random.below(1000)),
        "distance" => (*pick(&["1", "100", "1000.5", "3000", "20000", "0"], random)).to_string(),
        "unit" => (*pick(&["m", "km", "ft", "mi", "KM"], random)).to_string(),
        of => return key(of, random),
    };
    text.into_bytes()
}
