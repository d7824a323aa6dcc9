//! The kinds of parameters: name, flags, and the way from text to a field of [`Config`] and back.
//!
//! A [`Parameter`] is plain data with function pointers into [`Config`], so that CONFIG GET, CONFIG
//! SET, CONFIG REWRITE, the configuration file and the command line all read the same row. Error
//! texts are Redis's own. A parameter that needs more than one word of its own rules is a
//! [`Special`].

use super::parameters::Config;
use super::text::{Text, format_memory};
use crate::base::number::parse_i64;
use crate::base::text::{parse_memory, quote, split_args};
use std::fmt;

/// One row of [`super::PARAMETERS`].
pub struct Parameter {
    /// The name, in lower case.
    pub name: &'static str,
    /// A second name with the same effect: an older one of Redis, or pyredis's own.
    pub alias: Option<&'static str>,
    /// The things that may be done with it.
    pub flags: Flags,
    /// The way in which its text is read, shown and checked.
    pub kind: Kind,
    /// One line of documentation.
    pub doc: &'static str,
    /// Says if pyredis acts on it.
    pub effect: Effect,
}

/// Says if a parameter changes what pyredis does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Acts,
    /// It is only accepted and reported, for the reason given.
    Accepted(&'static str),
    /// Any value but the default would make the server something it cannot be yet, and is refused
    /// at start; what is missing.
    Refused(&'static str),
}

/// The things that may be done with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nothing special: CONFIG SET may change it at any time.
    pub const NONE: Flags = Flags(0);
    /// CONFIG SET must not change it.
    pub const IMMUTABLE: Flags = Flags(1);
    /// CONFIG SET may change it only where `enable-protected-configs` allows.
    pub const PROTECTED: Flags = Flags(1 << 1);
    /// The value is a secret: keep it out of logs.
    pub const SENSITIVE: Flags = Flags(1 << 2);
    /// CONFIG SET must not change it while a data set is being loaded.
    pub const DENY_LOADING: Flags = Flags(1 << 3);
    /// CONFIG GET shows it only when asked by its exact name.
    pub const HIDDEN: Flags = Flags(1 << 4);
    /// It takes any number of arguments.
    pub const MULTI_ARG: Flags = Flags(1 << 5);
    /// Its alias is shown only when asked by its exact name.
    pub const HIDDEN_ALIAS: Flags = Flags(1 << 6);
    /// Its text may hold any byte, NUL too.
    pub const ANY_BYTE: Flags = Flags(1 << 7);

    /// Both sets of flags together.
    pub const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// True when every flag of `other` is set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The way in which the text of a parameter is read, shown and checked.
pub enum Kind {
    /// `yes` or `no`.
    Bool {
        /// Reads the field.
        get: fn(&Config) -> bool,
        /// Writes the field.
        set: fn(&mut Config, bool),
    },
    /// A whole number between two limits, both allowed.
    Number {
        /// The unit in which the number is written.
        unit: Unit,
        /// The smallest value.
        min: i128,
        /// The largest value.
        max: i128,
        /// Reads the field.
        get: fn(&Config) -> i128,
        /// Writes the field; the value lies between the limits.
        set: fn(&mut Config, i128),
    },
    /// One of a few words.
    Choice {
        /// The words.
        words: &'static [&'static str],
        /// Reads the field, as a place in `words`.
        get: fn(&Config) -> usize,
        /// Writes the field, from a place in `words`.
        set: fn(&mut Config, usize),
    },
    /// Any bytes that pass a check.
    Text {
        /// The line that CONFIG REWRITE makes of an empty value.
        empty: Empty,
        /// Reads the field.
        get: fn(&Config) -> &Text,
        /// Writes the field.
        set: fn(&mut Config, Text),
        /// Says what is wrong with a value.
        check: fn(&[u8], &Config) -> Result<(), &'static str>,
    },
    /// Rules of its own.
    Special(&'static Special),
}

/// The unit in which a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Plain decimal.
    Count,
    /// Bytes, read with an optional unit such as `mb`.
    Memory,
    /// Bytes, or a percentage kept as a negative number.
    MemoryOrPercent,
    /// Octal, as file modes are.
    Octal,
}

/// The line that CONFIG REWRITE makes of an empty text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// Empty means "not set": the line goes away.
    Unset,
    /// Empty is a value: the line says `""`.
    Value,
}

/// Takes the arguments of a [`Special`], or returns Redis's error text.
pub type Take = fn(&mut Config, &[&[u8]], Source) -> Result<(), String>;

/// A parameter with rules of its own.
pub struct Special {
    /// The value as CONFIG GET shows it.
    pub get: fn(&Config) -> Vec<u8>,
    /// Takes the arguments.
    pub set: Take,
    /// The lines CONFIG REWRITE writes: current and default configuration.
    pub rewrite: fn(&'static str, &Config, &Config) -> Vec<Line>,
    /// A word for the table of parameters: what a value looks like.
    pub shape: &'static str,
}

/// The origin of the arguments of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// CONFIG SET: the value replaces the old one.
    Command,
    /// The first time that the configuration file or command line names the parameter: defaults go.
    FirstLine,
    /// A repeated line: some parameters add to what the lines before it said.
    NextLine,
}

/// One line that CONFIG REWRITE wants to see in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The whole line.
    pub text: Vec<u8>,
    /// Add it when the file has no line to put it in.
    pub force: bool,
}

/// Two parameters are the same when they have the same name.
impl PartialEq for Parameter {
    fn eq(&self, other: &Parameter) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Parameter({})", self.name)
    }
}

impl Parameter {
    /// True when `flag` is set.
    pub const fn is(&self, flag: Flags) -> bool {
        self.flags.has(flag)
    }

    /// The value as CONFIG GET shows it.
    pub fn get(&self, config: &Config) -> Vec<u8> {
        match &self.kind {
            Kind::Bool { get, .. } => yes_no(get(config)).as_bytes().to_vec(),
            Kind::Number { unit, get, .. } => show_number(*unit, get(config)).into_bytes(),
            Kind::Choice { words, get, .. } => words[get(config)].as_bytes().to_vec(),
            Kind::Text { get, .. } => get(config).as_bytes().to_vec(),
            Kind::Special(special) => (special.get)(config),
        }
    }

    /// A number as CONFIG GET shows it for this parameter.
    pub(super) fn shown(&self, number: i128) -> String {
        match self.kind {
            Kind::Number { unit, .. } => show_number(unit, number),
            _ => number.to_string(),
        }
    }

    /// Sets the value from its arguments. Errors with Redis's text.
    ///
    /// One argument of a parameter that takes several is split, as Redis does: by CONFIG SET at
    /// each space, else by the rules of a line, where one that has no end of a quote holds nothing.
    pub fn set(&self, config: &mut Config, args: &[&[u8]], source: Source) -> Result<(), String> {
        if self.is(Flags::MULTI_ARG) {
            let Kind::Special(special) = &self.kind else {
                unreachable!("only special parameters take several arguments")
            };
            return match (source, args) {
                (Source::Command, [b""]) => (special.set)(config, &[], source),
                (Source::Command, [one]) => {
                    (special.set)(config, &one.split(|byte| *byte == b' ').collect::<Vec<_>>(), source)
                }
                (_, [one]) if !one.is_empty() => {
                    let words = split_args(one).unwrap_or_default();
                    (special.set)(config, &words.iter().map(Vec::as_slice).collect::<Vec<_>>(), source)
                }
                _ => (special.set)(config, args, source),
            };
        }
        let [value] = args else { return Err("wrong number of arguments".to_owned()) };
        self.set_one(config, value, source)
    }

    fn set_one(&self, config: &mut Config, value: &[u8], source: Source) -> Result<(), String> {
        match &self.kind {
            Kind::Bool { set, .. } => {
                set(config, parse_yes_no(value).ok_or("argument must be 'yes' or 'no'")?)
            }
            Kind::Number { unit, min, max, set, .. } => set(config, parse_number(*unit, value, *min, *max)?),
            Kind::Choice { words, set, .. } => {
                set(config, position_of(words, value).ok_or_else(|| one_of(words))?)
            }
            Kind::Text { set, check, .. } => {
                // Redis: texts are C strings; only those that may stay secret hold any byte.
                let value = match self.is(Flags::ANY_BYTE) {
                    true => value,
                    false => value.split(|byte| *byte == 0).next().unwrap_or_default(),
                };
                check(value, config)?;
                set(config, Text::from(value));
            }
            Kind::Special(special) => return (special.set)(config, &[value], source),
        }
        Ok(())
    }

    /// The lines CONFIG REWRITE writes for this parameter; none when its lines should go away.
    pub fn rewrite(&self, config: &Config, defaults: &Config) -> Vec<Line> {
        let value = match &self.kind {
            Kind::Special(special) => return (special.rewrite)(self.name, config, defaults),
            Kind::Text { empty: Empty::Unset, get, .. } if get(config).is_empty() => return Vec::new(),
            Kind::Text { get, .. } => quote(get(config).as_bytes()),
            Kind::Number { unit: Unit::Memory, get, .. } => format_memory(get(config)).into_bytes(),
            Kind::Number { unit: Unit::MemoryOrPercent, get, .. } if get(config) >= 0 => {
                format_memory(get(config)).into_bytes()
            }
            _ => self.get(config),
        };
        let force = self.get(config) != self.get(defaults);
        vec![Line::new(self.name, &value, force)]
    }
}

impl Line {
    /// `name value`.
    pub(super) fn new(name: &str, value: &[u8], force: bool) -> Line {
        Line { text: [name.as_bytes(), b" ", value].concat(), force }
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn parse_yes_no(value: &[u8]) -> Option<bool> {
    position_of(&["no", "yes"], value).map(|place| place == 1)
}

/// The place of `value` in `words`, in any case.
pub(super) fn position_of(words: &[&str], value: &[u8]) -> Option<usize> {
    words.iter().position(|word| word.as_bytes().eq_ignore_ascii_case(value))
}

/// The error text that lists the words.
pub(super) fn one_of(words: &[&str]) -> String {
    format!("argument(s) must be one of the following: {}", words.join(", "))
}

/// The number as CONFIG GET shows it.
fn show_number(unit: Unit, value: i128) -> String {
    match unit {
        Unit::Octal => format!("{value:o}"),
        Unit::MemoryOrPercent if value < 0 => format!("{}%", -value),
        _ => value.to_string(),
    }
}

/// Reads a number and holds it against its limits.
fn parse_number(unit: Unit, value: &[u8], min: i128, max: i128) -> Result<i128, String> {
    let number = match unit {
        Unit::Count => i128::from(parse_i64(value).ok_or("argument couldn't be parsed into an integer")?),
        Unit::Memory => i128::from(parse_memory(value).ok_or("argument must be a memory value")?),
        // Redis: beyond 63 bits the number wraps and reads as a percentage.
        Unit::MemoryOrPercent => match parse_memory(value) {
            Some(bytes) => i128::from(bytes as i64),
            None => parse_percent(value).ok_or("argument must be a memory or percent value")?,
        },
        Unit::Octal => parse_octal(value).ok_or("argument couldn't be parsed as an octal number")?,
    };
    if unit == Unit::MemoryOrPercent && number < 0 {
        return match number >= min {
            true => Ok(number),
            false => Err(format!("percentage argument must be less or equal to {}", -min)),
        };
    }
    if (min..=max).contains(&number) {
        return Ok(number);
    }
    let (min, max) = (show_number(unit, min), show_number(unit, max));
    Err(format!("argument must be between {min} and {max} inclusive"))
}

/// Reads `50%` as -50.
fn parse_percent(value: &[u8]) -> Option<i128> {
    let number = parse_i64(value.strip_suffix(b"%")?)?;
    (number >= 0).then(|| -i128::from(number))
}

/// Reads octal digits, with a minus sign if need be, up to 63 bits; empty text is 0, as `strtoll`
/// has it.
fn parse_octal(value: &[u8]) -> Option<i128> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let number = digits.iter().try_fold(0i64, |sum, digit| {
        let is_octal = (b'0'..=b'7').contains(digit);
        if is_octal { sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')) } else { None }
    })?;
    Some(i128::from(if digits.len() == value.len() { number } else { -number }))
}
