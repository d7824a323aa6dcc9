//! Finding the keys of one call.
//!
//! The order is Redis's: the key specs first, because they know what is done to each key; where
//! they cannot be relied on (an unknown part, a recipe that does not fit the arguments, flags that
//! depend on options), the command's own search. The own searches are a few lines each and tolerant
//! of syntax errors: a wrong call yields fewer keys, and the handler reports the error.
//!
//! That is what `COMMAND GETKEYS` tells ([`keys_of`]). Rights are checked for what
//! [`Spec::find_keys`] finds, which is more where Redis overlooks a key that the handler goes on to
//! touch; debug builds assert that nothing is left ([`crate::keyspace::CheckedKeys`]).

use crate::resp::Argv;

use super::{
    ACCESS, BeginSearch, DELETE, FindKeys, INCOMPLETE, KeyFlags, KeySpec, KeysBy, NOT_KEY, OW, RO, RW, Spec,
    UPDATE, VARIABLE_FLAGS,
};

/// A key of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Its position in the argument vector.
    pub index: usize,
    /// The things that the call does to it. Empty where Redis does not tell.
    pub flags: KeyFlags,
}

/// The reason why `COMMAND GETKEYS` has no keys to tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The command never has keys.
    #[error("The command has no key arguments")]
    NoKeys,
    /// The call is too short or too long.
    #[error("Invalid number of arguments specified for command")]
    Arity,
    /// No key could be found.
    #[error("Invalid arguments specified for command")]
    Invalid,
}

impl Spec {
    /// True when calls can have keys.
    pub fn has_keys(&self) -> bool {
        self.keys_by != KeysBy::Specs || self.keys.iter().any(|spec| !spec.flags.contains(NOT_KEY))
    }

    /// The keys of a call that its handler may touch, `argv` beginning with the command's name.
    /// Empty if there are none.
    pub fn find_keys(&self, argv: Argv<'_>) -> Vec<KeyRef> {
        match self.keys_by {
            KeysBy::GeoRadius(options) => georadius(argv, options as usize),
            KeysBy::Specs => self.keys.iter().flat_map(|spec| by_spec(spec, argv)).collect(),
            _ => self.told_keys(argv),
        }
    }

    /// The keys of a call as Redis tells of them.
    fn told_keys(&self, argv: Argv<'_>) -> Vec<KeyRef> {
        let reliable = !self.keys.iter().any(|spec| spec.flags.contains(VARIABLE_FLAGS));
        let specs = self.keys.iter().filter(|spec| !spec.flags.contains(NOT_KEY));
        let found = if reliable && !self.keys.is_empty() { by_specs(specs, argv) } else { None };
        found.unwrap_or_else(|| by_search(self.keys_by, argv))
    }

    /// The words of a call that decide its cluster slot: its keys, and the shard channels that are
    /// none.
    pub fn find_slot_words(&self, argv: Argv<'_>) -> Vec<KeyRef> {
        by_specs(self.keys.iter(), argv).unwrap_or_else(|| by_search(self.keys_by, argv))
    }
}

/// The keys of a call as `COMMAND GETKEYS` tells them.
pub fn keys_of(spec: &Spec, argv: Argv<'_>) -> Result<Vec<KeyRef>, KeysError> {
    if !spec.has_keys() {
        return Err(KeysError::NoKeys);
    }
    if !spec.accepts(argv.len()) {
        return Err(KeysError::Arity);
    }
    let keys = spec.told_keys(argv);
    if keys.is_empty() && !spec.flags.contains(super::NO_MANDATORY_KEYS) {
        return Err(KeysError::Invalid);
    }
    Ok(keys)
}

/// A recipe does not tell where keys are.
struct Unknown;

/// Follows all recipes, or none if one of them does not fit the arguments.
fn by_specs<'a>(specs: impl Iterator<Item = &'a KeySpec>, argv: Argv<'_>) -> Option<Vec<KeyRef>> {
    let mut keys = Vec::new();
    for spec in specs {
        let Some(begin) = begin(spec, argv).ok()? else { continue };
        let (first, last, step) = run(spec.find, begin, argv)?;
        if last < first || last >= argv.len() || spec.flags.contains(INCOMPLETE) {
            return None;
        }
        keys.extend((first..=last).step_by(step).map(|index| KeyRef { index, flags: spec.flags }));
    }
    Some(keys)
}

/// Follows one recipe as far as it fits: `PFMERGE key` has a target, though no key follows it.
fn by_spec(spec: &KeySpec, argv: Argv<'_>) -> Vec<KeyRef> {
    let begin = begin(spec, argv).ok().flatten().filter(|_| !spec.flags.contains(NOT_KEY));
    let Some((first, last, step)) = begin.and_then(|begin| run(spec.find, begin, argv)) else {
        return Vec::new();
    };
    let places = (first..=last).step_by(step).take_while(|index| *index < argv.len());
    places.map(|index| KeyRef { index, flags: spec.flags }).collect()
}

/// Returns the place where the run of keys begins; `None` if the word in front of it is not there.
fn begin(spec: &KeySpec, argv: Argv<'_>) -> Result<Option<usize>, Unknown> {
    match spec.begin {
        BeginSearch::Index(index) => Ok(Some(index as usize)),
        BeginSearch::Keyword(word, from) => Ok(behind_word(argv, word, from)),
        BeginSearch::Unknown => Err(Unknown),
    }
}

/// The position behind `word`, searched from `from`, or backwards from the end if that is negative.
fn behind_word(argv: Argv<'_>, word: &str, from: i32) -> Option<usize> {
    let matches = |index: &usize| argv.at(*index).eq_ignore_ascii_case(word.as_bytes());
    let found = if from > 0 {
        // Redis: the last argument is not looked at, for no key can follow it.
        (from as usize..argv.len().saturating_sub(1)).find(matches)
    } else {
        let start = argv.len().checked_sub(from.unsigned_abs() as usize)?;
        (2..=start).rev().find(matches)
    };
    found.map(|index| index + 1)
}

/// First and last position and step of a run that begins at `begin`.
fn run(find: FindKeys, begin: usize, argv: Argv<'_>) -> Option<(usize, usize, usize)> {
    let argc = argv.len();
    match find {
        FindKeys::Range { last, step, limit } => {
            let last = if last >= 0 {
                begin + last as usize
            } else if limit == 0 {
                argc.checked_sub(last.unsigned_abs() as usize)?
            } else {
                // Redis: a limit goes with `last` -1 only, "one before the first argument that is
                // no key".
                (begin + argc.checked_sub(begin)? / limit as usize).checked_sub(1)?
            };
            Some((begin, last, step as usize))
        }
        FindKeys::KeyNum { number, first, step } => {
            let count = key_count(argv.get(begin + number as usize)?)?;
            let first = begin + first as usize;
            Some((first, first + (count - 1) * step as usize, step as usize))
        }
        FindKeys::Unknown => None,
    }
}

/// The number of keys an argument tells, at least one.
fn key_count(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?;
    let count: i64 = text.parse().ok()?;
    let plain = !text.starts_with(['0', '+', '-']);
    // Redis: the number is read as 64 bits and used as 32.
    usize::try_from(count as i32).ok().filter(|count| plain && *count > 0)
}

/// The command's own search.
fn by_search(keys_by: KeysBy, argv: Argv<'_>) -> Vec<KeyRef> {
    match keys_by {
        KeysBy::Specs => Vec::new(),
        KeysBy::Set => vec![set(argv)],
        KeysBy::BitField => vec![bitfield(argv)],
        KeysBy::Sort => sort(argv),
        KeysBy::SortRo => vec![key(1, &[RO, ACCESS])],
        KeysBy::Migrate => migrate(argv),
        KeysBy::XReadGroup => xreadgroup(argv),
        KeysBy::GeoRadius(options) => georadius(argv, options as usize),
        KeysBy::KeyNum(position) => keynum(argv, position as usize),
        KeysBy::StoreKeyNum => {
            let mut keys = keynum(argv, 2);
            if !keys.is_empty() {
                keys.push(key(1, &[]));
            }
            keys
        }
    }
}

fn key(index: usize, flags: &[KeyFlags]) -> KeyRef {
    KeyRef { index, flags: flags.iter().fold(KeyFlags::NONE, |set, flag| set.with(*flag)) }
}

fn is(argv: Argv<'_>, index: usize, word: &str) -> bool {
    argv.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
}

/// The number of arguments the option at `index` takes, `None` if it is none of `options`.
fn skipped(argv: Argv<'_>, index: usize, options: &[(&str, usize)]) -> Option<usize> {
    options.iter().find(|(word, _)| is(argv, index, word)).map(|(_, count)| *count)
}

/// Redis: any argument that spells GET counts, even where it is the value of another option.
fn set(argv: Argv<'_>) -> KeyRef {
    let reads = (3..argv.len()).any(|index| is(argv, index, "GET"));
    if reads { key(1, &[RW, ACCESS, UPDATE]) } else { key(1, &[OW, UPDATE]) }
}

fn bitfield(argv: Argv<'_>) -> KeyRef {
    let mut index = 2;
    while index < argv.len() {
        let remaining = argv.len() - index - 1;
        if is(argv, index, "GET") && remaining >= 2 {
            index += 3;
        } else if is(argv, index, "OVERFLOW") && remaining >= 1 {
            index += 2;
        } else {
            // SET, INCRBY, or a syntax error, for which a write is the safer guess.
            return key(1, &[RW, ACCESS, UPDATE]);
        }
    }
    key(1, &[RO, ACCESS])
}

fn sort(argv: Argv<'_>) -> Vec<KeyRef> {
    let mut keys = vec![key(1, &[RO, ACCESS])];
    let mut index = 2;
    while index < argv.len() {
        if is(argv, index, "LIMIT") {
            index += 2;
        } else if is(argv, index, "GET") || is(argv, index, "BY") {
            index += 1;
        } else if is(argv, index, "STORE") && index + 1 < argv.len() {
            // The last STORE wins, as it does in SORT itself.
            keys.truncate(1);
            keys.push(key(index + 1, &[OW, UPDATE]));
            // Redis looks for options in the key's name as well, and misses a later STORE behind a
            // key `by`.
            index += 1;
        }
        index += 1;
    }
    keys
}

/// Every STORE and STOREDIST counts, though the last one wins.
fn georadius(argv: Argv<'_>, options: usize) -> Vec<KeyRef> {
    let mut keys = vec![key(1, &[RO, ACCESS])];
    let mut index = options;
    while index + 1 < argv.len() {
        if is(argv, index, "STORE") || is(argv, index, "STOREDIST") {
            keys.push(key(index + 1, &[OW, UPDATE]));
            index += 1;
        } else if is(argv, index, "COUNT") {
            index += 1;
        }
        index += 1;
    }
    keys
}

fn migrate(argv: Argv<'_>) -> Vec<KeyRef> {
    const FLAGS: &[KeyFlags] = &[RW, ACCESS, DELETE];
    let mut index = 6;
    while index < argv.len() {
        if is(argv, index, "KEYS") {
            // Redis: KEYS beside a key is a syntax error, which the command itself reports.
            let several = argv.at(3).is_empty();
            return if several {
                (index + 1..argv.len()).map(|at| key(at, FLAGS)).collect()
            } else {
                Vec::new()
            };
        }
        index += 1 + skipped(argv, index, &[("AUTH", 1), ("AUTH2", 2)]).unwrap_or(0);
    }
    if argv.len() > 3 { vec![key(3, FLAGS)] } else { Vec::new() }
}

fn xreadgroup(argv: Argv<'_>) -> Vec<KeyRef> {
    let mut index = 1;
    while index < argv.len() {
        if is(argv, index, "STREAMS") {
            let words = argv.len() - index - 1;
            let count = if words.is_multiple_of(2) { words / 2 } else { 0 };
            return (index + 1..=index + count).map(|at| key(at, &[])).collect();
        }
        match skipped(argv, index, &[("BLOCK", 1), ("COUNT", 1), ("GROUP", 2), ("NOACK", 0)]) {
            Some(count) => index += 1 + count,
            None => break,
        }
    }
    Vec::new()
}

/// As many keys as the number at `position` says, read as leniently as C's `atoi`.
fn keynum(argv: Argv<'_>, position: usize) -> Vec<KeyRef> {
    let Some(text) = argv.get(position) else { return Vec::new() };
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let count =
        digits.fold(0usize, |sum, digit| sum.saturating_mul(10).saturating_add((digit - b'0') as usize));
    let room = argv.len() - position - 1;
    if count > room {
        return Vec::new();
    }
    (position + 1..=position + count).map(|at| key(at, &[])).collect()
}

#[cfg(test)]
mod tests {
    use crate::resp::OwnedArgv;
    use crate::spec::captured_info::{CAPTURED_KEYS, compare_keys};
    use crate::spec::*;

    /// One command for every way of finding keys; the table of `commands/` is compared in full
    /// there.
    const SAMPLES: &[Spec] = &[
        Spec::new("get", Group::String, 2, "key").keys(&[KeySpec::one(1, &[RO, ACCESS])]),
        Spec::new("mset", Group::String, -3, "").keys(&[KeySpec::range(1, -1, 2, &[OW, UPDATE])]),
        Spec::new("blpop", Group::List, -3, "").keys(&[KeySpec::range(1, -2, 1, &[RW, ACCESS, DELETE])]),
        Spec::new("ping", Group::Connection, -1, ""),
        Spec::new("spublish", Group::PubSub, 3, "").keys(&[KeySpec::one(1, &[NOT_KEY])]),
        Spec::new("set", Group::String, -3, "")
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE, VARIABLE_FLAGS])])
            .keys_by(KeysBy::Set),
        Spec::new("bitfield", Group::Bitmap, -2, "")
            .keys(&[KeySpec::one(1, &[RW, ACCESS, UPDATE, VARIABLE_FLAGS])])
            .keys_by(KeysBy::BitField),
        Spec::new("sort", Group::Generic, -2, "")
            .keys(&[
                KeySpec::one(1, &[RO, ACCESS]),
                KeySpec::unknown(&[RO, ACCESS]),
                KeySpec::unknown(&[OW, UPDATE]),
            ])
            .keys_by(KeysBy::Sort),
        Spec::new("sort_ro", Group::Generic, -2, "")
            .keys(&[KeySpec::one(1, &[RO, ACCESS]), KeySpec::unknown(&[RO, ACCESS])])
            .keys_by(KeysBy::SortRo),
        Spec::new("migrate", Group::Generic, -6, "")
            .keys(&[
                KeySpec::one(3, &[RW, ACCESS, DELETE]),
                KeySpec::all_after("KEYS", -2, 0, &[RW, ACCESS, DELETE, INCOMPLETE]),
            ])
            .keys_by(KeysBy::Migrate),
        Spec::new("georadius", Group::Geo, -6, "")
            .keys(&[
                KeySpec::one(1, &[RO, ACCESS]),
                KeySpec::after("STORE", 6, &[OW, UPDATE]),
                KeySpec::after("STOREDIST", 6, &[OW, UPDATE]),
            ])
            .keys_by(KeysBy::GeoRadius(6)),
        Spec::new("xread", Group::Stream, -4, "").keys(&[KeySpec::all_after("STREAMS", 1, 2, &[RO, ACCESS])]),
        Spec::new("xreadgroup", Group::Stream, -7, "")
            .keys(&[KeySpec::all_after("STREAMS", 4, 2, &[RO, ACCESS])])
            .keys_by(KeysBy::XReadGroup),
        Spec::new("eval", Group::Scripting, -3, "")
            .flags(&[NO_MANDATORY_KEYS])
            .keys(&[KeySpec::keynum(2, &[RW, ACCESS, UPDATE])])
            .keys_by(KeysBy::KeyNum(2)),
        Spec::new("zunion", Group::SortedSet, -3, "")
            .keys(&[KeySpec::keynum(1, &[RO, ACCESS])])
            .keys_by(KeysBy::KeyNum(1)),
        Spec::new("zinterstore", Group::SortedSet, -4, "")
            .keys(&[KeySpec::one(1, &[OW, UPDATE]), KeySpec::keynum(2, &[RO, ACCESS])])
            .keys_by(KeysBy::StoreKeyNum),
        Spec::new("object|freq", Group::Generic, 3, "key").keys(&[KeySpec::one(2, &[RO])]),
    ];

    #[test]
    fn finds_the_keys_that_redis_finds() {
        assert_eq!(compare_keys(SAMPLES.iter(), CAPTURED_KEYS), Vec::<String>::new());
        for spec in SAMPLES {
            let call = format!("\n{} ", spec.name.replace('|', " "));
            assert!(CAPTURED_KEYS.contains(&call), "no captured call of {}", spec.name);
        }
    }

    #[test]
    fn a_shard_channel_decides_the_slot_but_is_no_key() {
        let spec = SAMPLES.iter().find(|spec| spec.name == "spublish").expect("a sample");
        let call = OwnedArgv::from_parts([b"spublish".as_slice(), b"channel", b"text"]);
        assert_eq!(keys_of(spec, call.as_argv()), Err(KeysError::NoKeys));
        let indexes: Vec<usize> =
            spec.find_slot_words(call.as_argv()).iter().map(|word| word.index).collect();
        assert_eq!(indexes, [1]);
    }

    #[test]
    fn a_wrong_recipe_is_noticed() {
        const WRONG: Spec = Spec::new("get", Group::String, 2, "key").keys(&[KeySpec::one(1, &[RW])]);
        assert_eq!(compare_keys([WRONG].iter(), CAPTURED_KEYS), ["get a: ours a(RW), Redis a(RO access)"]);
    }
}
