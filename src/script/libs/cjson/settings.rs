//! What scripts may set: [`Settings`], and the functions that show and set them.

use crate::base::text::until_nul;
use crate::script::arguments::{Arguments, bytes};
use crate::script::raise;
use mlua::{Function, Lua, MultiValue, Result, Value};
use std::cell::Cell;

/// Words for no and yes, in this order.
const SWITCH: &[&str] = &["off", "on"];
/// How numbers that JSON does not have are written.
const INVALID_NUMBERS: &[&str] = &["off", "on", "null"];

/// The settings of a table `cjson`.
pub(super) struct Settings {
    /// A sparse array becomes an object, not an error: 0 or 1.
    pub(super) sparse_convert: Cell<i32>,
    /// An array is sparse whose largest index is more than so many times its items; 0 for never.
    pub(super) sparse_ratio: Cell<i32>,
    /// No array is sparse whose largest index is not above this.
    pub(super) sparse_safe: Cell<i32>,
    /// Levels of tables that are written.
    pub(super) encode_max_depth: Cell<i32>,
    /// Levels of tables that are read.
    pub(super) decode_max_depth: Cell<i32>,
    /// Significant digits of numbers that are written.
    pub(super) number_precision: Cell<i32>,
    /// An index of [`INVALID_NUMBERS`].
    pub(super) encode_invalid_numbers: Cell<i32>,
    /// Numbers that JSON does not have are read: 0 or 1.
    pub(super) decode_invalid_numbers: Cell<i32>,
    /// Shown and set, but of no effect.
    keep_buffer: Cell<i32>,
    /// Lua's `next`.
    pub(super) next: Function,
}

impl Settings {
    /// What holds in the beginning.
    pub(super) fn new(lua: &Lua) -> Result<Self> {
        Ok(Settings {
            sparse_convert: Cell::new(0),
            sparse_ratio: Cell::new(2),
            sparse_safe: Cell::new(10),
            encode_max_depth: Cell::new(1000),
            decode_max_depth: Cell::new(1000),
            number_precision: Cell::new(14),
            encode_invalid_numbers: Cell::new(0),
            decode_invalid_numbers: Cell::new(1),
            keep_buffer: Cell::new(1),
            next: lua.globals().raw_get("next")?,
        })
    }
}

/// Convert, ratio, safe.
pub(super) fn encode_sparse_array(lua: &Lua, settings: &Settings, values: MultiValue) -> Result<MultiValue> {
    let options = Options::new(lua, values, 3)?;
    let convert = options.word(1, &settings.sparse_convert, SWITCH)?;
    let ratio = options.integer(2, &settings.sparse_ratio, 0, i32::MAX)?;
    let safe = options.integer(3, &settings.sparse_safe, 0, i32::MAX)?;
    Ok([convert, ratio, safe].into_iter().collect())
}

/// Levels of tables that are written.
pub(super) fn encode_max_depth(lua: &Lua, settings: &Settings, values: MultiValue) -> Result<MultiValue> {
    one_integer(lua, values, &settings.encode_max_depth, i32::MAX)
}

/// Levels of tables that are read.
pub(super) fn decode_max_depth(lua: &Lua, settings: &Settings, values: MultiValue) -> Result<MultiValue> {
    one_integer(lua, values, &settings.decode_max_depth, i32::MAX)
}

/// Digits of numbers.
pub(super) fn encode_number_precision(
    lua: &Lua,
    settings: &Settings,
    values: MultiValue,
) -> Result<MultiValue> {
    one_integer(lua, values, &settings.number_precision, 14)
}

/// Whether memory is kept between calls. It never is, whatever is set.
pub(super) fn encode_keep_buffer(lua: &Lua, settings: &Settings, values: MultiValue) -> Result<MultiValue> {
    one_word(lua, values, &settings.keep_buffer, SWITCH)
}

/// How infinity and NaN are written.
pub(super) fn encode_invalid_numbers(
    lua: &Lua,
    settings: &Settings,
    values: MultiValue,
) -> Result<MultiValue> {
    one_word(lua, values, &settings.encode_invalid_numbers, INVALID_NUMBERS)
}

/// Whether infinity, NaN and other numbers that JSON does not have are read.
pub(super) fn decode_invalid_numbers(
    lua: &Lua,
    settings: &Settings,
    values: MultiValue,
) -> Result<MultiValue> {
    one_word(lua, values, &settings.decode_invalid_numbers, SWITCH)
}

fn one_integer(lua: &Lua, values: MultiValue, setting: &Cell<i32>, most: i32) -> Result<MultiValue> {
    let value = Options::new(lua, values, 1)?.integer(1, setting, 1, most)?;
    Ok(MultiValue::from_iter([value]))
}

fn one_word(lua: &Lua, values: MultiValue, setting: &Cell<i32>, words: &[&str]) -> Result<MultiValue> {
    let value = Options::new(lua, values, 1)?.word(1, setting, words)?;
    Ok(MultiValue::from_iter([value]))
}

/// The arguments of a function that sets.
struct Options<'l> {
    lua: &'l Lua,
    arguments: Arguments<'l>,
}

impl<'l> Options<'l> {
    /// At most `most` arguments.
    fn new(lua: &'l Lua, values: MultiValue, most: usize) -> Result<Self> {
        if values.len() > most {
            return Err(raise::argument(lua, most + 1, "found too many arguments"));
        }
        Ok(Options { lua, arguments: Arguments::new(lua, values) })
    }

    /// Sets an integer if argument `index` is one; gives what holds.
    fn integer(&self, index: usize, setting: &Cell<i32>, least: i32, most: i32) -> Result<Value> {
        if !self.arguments.is_none_or_nil(index) {
            // An `int` of C has the low bits.
            let value = self.arguments.integer(index)? as i32;
            if !(least..=most).contains(&value) {
                let message = format!("expected integer between {least} and {most}");
                return Err(raise::argument(self.lua, 1, message));
            }
            setting.set(value);
        }
        Ok(Value::Integer(i64::from(setting.get())))
    }

    /// Sets the index of a word, or of the first two by a boolean; gives what holds.
    fn word(&self, index: usize, setting: &Cell<i32>, words: &[&str]) -> Result<Value> {
        match self.arguments.get(index) {
            None | Some(Value::Nil) => {}
            Some(Value::Boolean(value)) => setting.set(i32::from(*value)),
            Some(_) => setting.set(self.word_index(index, words)?),
        }
        match setting.get() {
            value @ (0 | 1) => Ok(Value::Boolean(value == 1)),
            value => self.lua.create_string(words[value as usize]).map(Value::String),
        }
    }

    fn word_index(&self, index: usize, words: &[&str]) -> Result<i32> {
        let text = self.arguments.string(index)?;
        let text = bytes(&text);
        let given = until_nul(&text);
        let found = words.iter().position(|word| word.as_bytes() == given);
        let message = || [b"invalid option '", given, b"'"].concat();
        found.map(|found| found as i32).ok_or_else(|| raise::argument(self.lua, index, message()))
    }
}
