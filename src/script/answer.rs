//! Answers of commands as values of Lua, and values of Lua as answers.
//!
//! A command that a script calls answers as any command does, into a buffer of its own, and
//! [`to_lua`] makes a value of that: integers are numbers, null is false (nil in RESP3), a status a
//! table with `ok`, an error one with `err`. What RESP3 has beside arrays comes as a table with one
//! field that names it: `map`, `set`, `double`, `big_number`, `verbatim_string`. [`write()`] goes
//! the other way for what a script returns.

use super::arguments::integer_of;
use super::meter;
use crate::base::number;
use crate::base::text::{lossless, until_nul};
use crate::resp::{Protocol, Reply};
use mlua::{Lua, Result, Table, Value};

/// Tables in tables that an answer may have, as Redis's Lua stack has room for.
const MAX_DEPTH: usize = 7_900;

/// Reads the answer that stands in `bytes`.
pub fn to_lua(lua: &Lua, bytes: &[u8]) -> Result<Value> {
    Reader { lua, rest: bytes }.value()
}

/// True when `bytes` is an error line.
#[must_use]
pub fn is_error(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'-')
}

/// The text of an error line, without `-` and the line's end.
#[must_use]
pub fn error_text(bytes: &[u8]) -> &[u8] {
    let line = bytes.strip_prefix(b"-").unwrap_or(bytes);
    line.split(|&byte| byte == b'\r').next().unwrap_or_default()
}

/// The table of an error: `err`, and a mark if the error is counted already.
pub fn error_table(lua: &Lua, line: &[u8], is_counted: IsCounted) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(line)?)?;
    if is_counted == IsCounted::Yes {
        table.raw_set(COUNTED, true)?;
    }
    Ok(table)
}

/// Says if INFO has counted an error, so that passing it on does not count it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsCounted {
    /// It has: a command failed with it.
    Yes,
    /// It has not.
    No,
}

/// The field of an error's table that says it is counted.
pub const COUNTED: &str = "ignore_error_stats_update";

struct Reader<'l, 'b> {
    lua: &'l Lua,
    rest: &'b [u8],
}

impl<'b> Reader<'_, 'b> {
    fn line(&mut self) -> &'b [u8] {
        let end = memchr::memchr(b'\r', self.rest).unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn block(&mut self, len: usize) -> &'b [u8] {
        let block = self.rest.get(..len).unwrap_or_default();
        self.rest = self.rest.get(len + 2..).unwrap_or_default();
        block
    }

    fn value(&mut self) -> Result<Value> {
        let Some((&kind, rest)) = self.rest.split_first() else { return Ok(Value::Nil) };
        self.rest = rest;
        let line = self.line();
        let number = number::parse_i64(line);
        match (kind, number) {
            (b':', Some(value)) => Ok(Value::Integer(value)),
            (b'$', Some(len)) => self.bulk(len),
            (b'*', Some(len)) => self.array(len),
            (b'+', _) => self.named("ok", line),
            (b'-', _) => error_table(self.lua, line, IsCounted::Yes).map(Value::Table),
            (b'#', _) => Ok(Value::Boolean(line == b"t")),
            (b',', _) => self.double(line),
            (b'(', _) => self.named("big_number", line),
            (b'=', Some(len)) => self.verbatim(len),
            (b'%', Some(len)) => self.map(len),
            (b'~', Some(len)) => self.set(len),
            (b'|', Some(len)) => {
                for _ in 0..len.saturating_mul(2) {
                    self.value()?;
                }
                self.value()
            }
            _ => Ok(Value::Nil),
        }
    }

    fn bulk(&mut self, len: i64) -> Result<Value> {
        let Ok(len) = usize::try_from(len) else { return Ok(Value::Boolean(false)) };
        self.lua.create_string(self.block(len)).map(Value::String)
    }

    fn named(&self, name: &str, text: &[u8]) -> Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(name, self.lua.create_string(text)?)?;
        Ok(Value::Table(table))
    }

    fn double(&self, text: &[u8]) -> Result<Value> {
        let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
        let table = self.lua.create_table()?;
        table.raw_set("double", value.unwrap_or(f64::NAN))?;
        Ok(Value::Table(table))
    }

    fn verbatim(&mut self, len: i64) -> Result<Value> {
        let block = self.block(usize::try_from(len).unwrap_or_default());
        let (format, text) = (block.get(..3).unwrap_or_default(), block.get(4..).unwrap_or_default());
        let parts = self.lua.create_table()?;
        parts.raw_set("string", self.lua.create_string(text)?)?;
        parts.raw_set("format", self.lua.create_string(format)?)?;
        let table = self.lua.create_table()?;
        table.raw_set("verbatim_string", parts)?;
        Ok(Value::Table(table))
    }

    fn array(&mut self, len: i64) -> Result<Value> {
        let Ok(len) = usize::try_from(len) else { return Ok(Value::Boolean(false)) };
        let table = self.lua.create_table_with_capacity(len, 0)?;
        for index in 1..=len {
            meter::spend(self.lua, 1)?;
            let value = self.value()?;
            table.raw_seti(index, value)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: i64) -> Result<Value> {
        let pairs = self.lua.create_table()?;
        for _ in 0..len {
            meter::spend(self.lua, 1)?;
            let (key, value) = (self.value()?, self.value()?);
            pairs.raw_set(key, value)?;
        }
        self.wrapped("map", pairs)
    }

    fn set(&mut self, len: i64) -> Result<Value> {
        let members = self.lua.create_table()?;
        for _ in 0..len {
            meter::spend(self.lua, 1)?;
            members.raw_set(self.value()?, true)?;
        }
        self.wrapped("set", members)
    }

    fn wrapped(&self, name: &str, inner: Table) -> Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(name, inner)?;
        Ok(Value::Table(table))
    }
}

/// Writes what a script returned. `protocol` is the one that the script has set for itself: it
/// decides about booleans.
pub fn write(lua: &Lua, value: &Value, protocol: Protocol, reply: &mut Reply<'_>) -> Result<()> {
    Writer { lua, protocol, reply }.value(value, 0)
}

struct Writer<'l, 'r, 'b> {
    lua: &'l Lua,
    protocol: Protocol,
    reply: &'r mut Reply<'b>,
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        meter::spend(self.lua, 1)?;
        if depth > MAX_DEPTH {
            self.reply.error("ERR reached lua stack limit");
            return Ok(());
        }
        match value {
            Value::String(text) => {
                let text = text.as_bytes();
                meter::spend(self.lua, text.len())?;
                meter::reserve(self.lua, self.reply.since(self.reply.start()).len() + text.len())?;
                self.reply.bulk(&text);
            }
            Value::Boolean(value) => self.boolean(*value),
            Value::Integer(value) => self.reply.integer(*value),
            Value::Number(value) => self.reply.integer(integer_of(*value)),
            Value::Table(table) => self.table(table, depth)?,
            _ => self.reply.null(),
        }
        Ok(())
    }

    fn boolean(&mut self, value: bool) {
        match (self.protocol, value) {
            (Protocol::Resp3, _) => self.reply.boolean(value),
            (Protocol::Resp2, true) => self.reply.integer(1),
            (Protocol::Resp2, false) => self.reply.null(),
        }
    }

    fn table(&mut self, table: &Table, depth: usize) -> Result<()> {
        if let Value::String(line) = table.raw_get("err")? {
            self.reply.error(&lossless(until_nul(&line.as_bytes())));
        } else if let Value::String(line) = table.raw_get("ok")? {
            self.status(&line.as_bytes());
        } else if let value @ (Value::Integer(_) | Value::Number(_)) = table.raw_get("double")? {
            self.reply.double(value.as_f64().unwrap_or_default());
        } else if let Value::String(digits) = table.raw_get("big_number")? {
            let one_line = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
            let digits: Vec<u8> = digits.as_bytes().iter().map(one_line).collect();
            self.reply.big_number(&digits);
        } else if !self.verbatim(&table.raw_get("verbatim_string")?)? {
            match (table.raw_get("map")?, table.raw_get("set")?) {
                (Value::Table(pairs), _) => self.map(&pairs, depth)?,
                (_, Value::Table(members)) => self.set(&members, depth)?,
                _ => self.array(table, depth)?,
            }
        }
        Ok(())
    }

    fn status(&mut self, line: &[u8]) {
        let one_line = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
        let line: Vec<u8> = until_nul(line).iter().map(one_line).collect();
        self.reply.raw(b"+");
        self.reply.raw(&line);
        self.reply.raw(b"\r\n");
    }

    /// Writes a table with a text and its format; returns whether it is one.
    fn verbatim(&mut self, value: &Value) -> Result<bool> {
        let Value::Table(parts) = value else { return Ok(false) };
        let (Value::String(format), Value::String(text)) =
            (parts.raw_get("format")?, parts.raw_get("string")?)
        else {
            return Ok(false);
        };
        // Redis: three letters, filled up with spaces.
        let mut letters = String::from_utf8_lossy(until_nul(&format.as_bytes())).into_owned();
        letters.retain(|letter| letter.is_ascii() && !letter.is_ascii_control());
        letters.truncate(3);
        self.reply.verbatim(&format!("{letters:3}"), &text.as_bytes());
        Ok(true)
    }

    // The number of parts comes first, so they are counted before. Their types do not matter: as
    // booleans they cost least.

    fn map(&mut self, pairs: &Table, depth: usize) -> Result<()> {
        self.reply.map(count_pairs(self.lua, pairs)?);
        pairs.pairs::<Value, Value>().try_for_each(|pair| {
            let (key, value) = pair?;
            self.value(&key, depth + 1)?;
            self.value(&value, depth + 1)
        })
    }

    fn set(&mut self, members: &Table, depth: usize) -> Result<()> {
        self.reply.set(count_pairs(self.lua, members)?);
        members.pairs::<Value, bool>().try_for_each(|pair| self.value(&pair?.0, depth + 1))
    }

    fn array(&mut self, table: &Table, depth: usize) -> Result<()> {
        let mut len = 0;
        table.for_each_value(|_: bool| {
            len += 1;
            meter::spend(self.lua, 1)
        })?;
        self.reply.array(len);
        table.for_each_value(|value: Value| self.value(&value, depth + 1))
    }
}

fn count_pairs(lua: &Lua, table: &Table) -> Result<usize> {
    let mut count = 0;
    table.for_each(|_: bool, _: bool| {
        count += 1;
        meter::spend(lua, 1)
    })?;
    Ok(count)
}
