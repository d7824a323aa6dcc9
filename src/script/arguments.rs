//! The arguments of a library's function, with Lua's rules of what passes for what and Lua's error
//! texts: [`Arguments`].

use super::raise;
use mlua::{BorrowedBytes, Error, Lua, LuaString, MultiValue, Result, Table, Value};

/// What a function was called with. Positions count from 1, as the texts of errors do.
pub struct Arguments<'l> {
    lua: &'l Lua,
    values: MultiValue,
}

impl<'l> Arguments<'l> {
    /// The arguments `values` of the function that runs.
    #[must_use]
    pub fn new(lua: &'l Lua, values: MultiValue) -> Self {
        Arguments { lua, values }
    }

    /// The number of arguments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets the arguments behind the first `length`.
    pub fn truncate(&mut self, length: usize) {
        self.values.truncate(length);
    }

    /// Argument `index`; `None` past the end, which is not the same as nil.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index - 1)
    }

    /// True when argument `index` is missing or nil.
    #[must_use]
    pub fn is_none_or_nil(&self, index: usize) -> bool {
        matches!(self.get(index), None | Some(Value::Nil))
    }

    /// A value of any type that is there, as `luaL_checkany`.
    pub fn any(&self, index: usize) -> Result<&Value> {
        self.get(index).ok_or_else(|| raise::argument(self.lua, index, "value expected"))
    }

    /// A string, or a number as its text: `luaL_checklstring`.
    pub fn string(&self, index: usize) -> Result<LuaString> {
        match self.get(index) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(value @ (Value::Integer(_) | Value::Number(_))) => {
                self.lua.coerce_string(value.clone())?.ok_or_else(|| self.wrong_type(index, "string"))
            }
            _ => Err(self.wrong_type(index, "string")),
        }
    }

    /// A number, or a string that is one: `luaL_checknumber`.
    pub fn number(&self, index: usize) -> Result<f64> {
        match self.get(index) {
            Some(Value::Integer(value)) => Ok(*value as f64),
            Some(Value::Number(value)) => Ok(*value),
            Some(value @ Value::String(_)) => {
                self.lua.coerce_number(value.clone())?.ok_or_else(|| self.wrong_type(index, "number"))
            }
            _ => Err(self.wrong_type(index, "number")),
        }
    }

    /// A number without its fraction: `luaL_checkinteger`. What does not fit becomes the smallest
    /// one, as the processor does it.
    pub fn integer(&self, index: usize) -> Result<i64> {
        self.number(index).map(integer_of)
    }

    /// The same, `default` if the argument is missing or nil: `luaL_optinteger`.
    pub fn integer_or(&self, index: usize, default: i64) -> Result<i64> {
        if self.is_none_or_nil(index) { Ok(default) } else { self.integer(index) }
    }

    /// A table: `luaL_checktype`.
    pub fn table(&self, index: usize) -> Result<&Table> {
        match self.get(index) {
            Some(Value::Table(table)) => Ok(table),
            _ => Err(self.wrong_type(index, "table")),
        }
    }

    /// The error of an argument of a wrong type: `luaL_typerror`.
    #[must_use]
    pub fn wrong_type(&self, index: usize, expected: &str) -> Error {
        let got = self.get(index).map_or("no value", type_name);
        raise::argument(self.lua, index, format!("{expected} expected, got {got}"))
    }
}

/// The bytes of a string, borrowed.
#[must_use]
pub fn bytes(text: &LuaString) -> BorrowedBytes {
    text.as_bytes()
}

/// A number as C's cast makes an integer of it.
#[must_use]
pub fn integer_of(number: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    if fits { number as i64 } else { i64::MIN }
}

/// The name of a value's type, as `type` gives it.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) | Value::Number(_) => "number",
        Value::Error(_) | Value::LightUserData(_) => "userdata",
        other => other.type_name(),
    }
}
