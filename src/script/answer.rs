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
use mlua::{Function, Lua, Result, Table, Value};
use std::rc::Rc;

/// Tables in tables that an answer may have, as Redis's Lua stack has room for.
const MAX_DEPTH: usize = 7_996;

/// Reads the answer that stands in `bytes`.
pub fn to_lua(lua: &Lua, bytes: &[u8]) -> Result<Value> {
    Reader { lua, rest: bytes, has_nil: None }.value()
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
    /// There is a nil of RESP3 in the rest, or something that looks like one; looked for at the
    /// first array.
    has_nil: Option<bool>,
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
        meter::spend_on_string(self.lua, len)?;
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
        // How long a table with nils is depends on how it has grown, which is as in Redis.
        let rest = self.rest;
        let has_nil = *self.has_nil.get_or_insert_with(|| memchr::memmem::find(rest, b"_\r\n").is_some());
        let capacity = if has_nil { 0 } else { len };
        let table = self.lua.create_table_with_capacity(capacity, 0)?;
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
pub fn write(lua: &Lua, value: &Value, protocol: Protocol, reply: &mut Reply<'_>) -> Result<Errors> {
    let mut writer =
        Writer { lua, protocol, reply, begun: None, levels: Vec::new(), errors: Errors::default() };
    writer.value(value)?;
    while let Some(level) = writer.levels.last().copied()
        && let Some(begun) = writer.begun.clone()
    {
        writer.go_on(&begun, level)?;
    }
    Ok(writer.errors)
}

/// The errors in what a script has returned.
#[derive(Debug, Default)]
pub struct Errors {
    /// So many were counted where they arose.
    pub counted: u64,
    /// The lines of the others.
    pub uncounted: Vec<Vec<u8>>,
}

/// Writes one value after the other. Tables in tables may be some thousand levels deep, and mlua
/// holds no more values than that for Rust code: so the tables that have been begun are in a table
/// of Lua's.
struct Writer<'l, 'r, 'b> {
    lua: &'l Lua,
    protocol: Protocol,
    reply: &'r mut Reply<'b>,
    /// There once a table has been begun.
    begun: Option<Rc<Begun>>,
    levels: Vec<Level>,
    errors: Errors,
}

/// The tables that have been begun.
struct Begun {
    /// Lua's `next`.
    next: Function,
    /// The table of each level, from 1.
    tables: Table,
    /// The key that each level is at.
    keys: Table,
}

impl Begun {
    fn new(lua: &Lua) -> Result<Self> {
        let next = lua.globals().raw_get("next")?;
        Ok(Begun { next, tables: lua.create_table()?, keys: lua.create_table()? })
    }
}

/// A table that has been begun.
#[derive(Clone, Copy)]
enum Level {
    /// Its elements from this one on.
    Array(usize),
    /// Its keys and values; the key is next.
    Map,
    /// The value of the key is next.
    MapValue,
    /// Its keys.
    Set,
}

impl Writer<'_, '_, '_> {
    /// Writes the next part of the innermost table, or ends it. One table may be there many times,
    /// so what it holds is no bound for the answer.
    fn go_on(&mut self, begun: &Begun, level: Level) -> Result<()> {
        meter::spend(self.lua, 1)?;
        self.reserve(0)?;
        let depth = self.levels.len();
        let table: Table = begun.tables.raw_get(depth)?;
        match level {
            Level::Array(index) => self.elements(&table, index),
            Level::Map => self.key(begun, &table, Level::MapValue),
            Level::Set => self.key(begun, &table, Level::Set),
            Level::MapValue => {
                self.levels[depth - 1] = Level::Map;
                let value: Value = table.raw_get(begun.keys.raw_get::<Value>(depth)?)?;
                self.value(&value)
            }
        }
    }

    /// Writes elements up to one that is a table.
    fn elements(&mut self, table: &Table, first: usize) -> Result<()> {
        for index in first.. {
            let value: Value = table.raw_get(index)?;
            match value {
                Value::Nil => {
                    self.levels.pop();
                    break;
                }
                Value::Table(_) => {
                    if let Some(level) = self.levels.last_mut() {
                        *level = Level::Array(index + 1);
                    }
                    return self.value(&value);
                }
                _ => self.value(&value)?,
            }
        }
        Ok(())
    }

    /// Writes the next key, and goes on with `after`; ends the table if there is none.
    fn key(&mut self, begun: &Begun, table: &Table, after: Level) -> Result<()> {
        let depth = self.levels.len();
        let key: Value = begun.next.call((table, begun.keys.raw_get::<Value>(depth)?))?;
        begun.keys.raw_set(depth, &key)?;
        if key.is_nil() {
            self.levels.pop();
            return Ok(());
        }
        self.levels[depth - 1] = after;
        self.value(&key)
    }

    fn value(&mut self, value: &Value) -> Result<()> {
        meter::spend(self.lua, 1)?;
        match value {
            Value::String(text) => {
                let text = text.as_bytes();
                meter::spend(self.lua, text.len())?;
                self.reserve(text.len())?;
                self.reply.bulk(&text);
            }
            Value::Boolean(value) => self.boolean(*value),
            Value::Integer(value) => self.reply.integer(*value),
            Value::Number(value) => self.reply.integer(integer_of(*value)),
            Value::Table(table) => self.table(table)?,
            _ => self.reply.null(),
        }
        Ok(())
    }

    /// Asks for the answer as it is and for so many bytes more.
    fn reserve(&self, bytes: usize) -> Result<()> {
        meter::reserve(self.lua, self.reply.since(self.reply.start()).len() + bytes)
    }

    fn boolean(&mut self, value: bool) {
        match (self.protocol, value) {
            (Protocol::Resp3, _) => self.reply.boolean(value),
            (Protocol::Resp2, true) => self.reply.integer(1),
            (Protocol::Resp2, false) => self.reply.null(),
        }
    }

    fn table(&mut self, table: &Table) -> Result<()> {
        if self.levels.len() >= MAX_DEPTH {
            self.error(b"ERR reached lua stack limit", IsCounted::No);
        } else if let Value::String(line) = table.raw_get("err")? {
            let is_counted = matches!(table.raw_get(COUNTED)?, Value::Boolean(true));
            self.error(until_nul(&line.as_bytes()), if is_counted { IsCounted::Yes } else { IsCounted::No });
        } else if let Value::String(line) = table.raw_get("ok")? {
            self.status(&line.as_bytes());
        } else if let Some(value) = number_of(&table.raw_get("double")?) {
            self.reply.double(value);
        } else if let Value::String(digits) = table.raw_get("big_number")? {
            self.reply.big_number(&in_one_line(&digits.as_bytes()));
        } else if !self.verbatim(&table.raw_get("verbatim_string")?)? {
            return self.parts(table);
        }
        Ok(())
    }

    /// Begins a table that is a map, a set or an array. The number of parts comes first, so they
    /// are counted before.
    fn parts(&mut self, table: &Table) -> Result<()> {
        match (table.raw_get("map")?, table.raw_get("set")?) {
            (Value::Table(pairs), _) => {
                self.reply.map(count_pairs(self.lua, &pairs)?);
                self.begin(&pairs, Level::Map)
            }
            (_, Value::Table(members)) => {
                self.reply.set(count_pairs(self.lua, &members)?);
                self.begin(&members, Level::Set)
            }
            _ => {
                self.reply.array(count_elements(self.lua, table)?);
                self.begin(table, Level::Array(1))
            }
        }
    }

    fn begin(&mut self, table: &Table, level: Level) -> Result<()> {
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => Rc::new(Begun::new(self.lua)?),
        };
        self.levels.push(level);
        begun.keys.raw_set(self.levels.len(), Value::Nil)?;
        begun.tables.raw_set(self.levels.len(), table)?;
        self.begun = Some(begun);
        Ok(())
    }

    fn error(&mut self, line: &[u8], is_counted: IsCounted) {
        self.reply.error(&lossless(line));
        match is_counted {
            IsCounted::Yes => self.errors.counted += 1,
            IsCounted::No => self.errors.uncounted.push(line.to_vec()),
        }
    }

    fn status(&mut self, line: &[u8]) {
        self.reply.raw(b"+");
        self.reply.raw(&in_one_line(until_nul(line)));
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
}

/// Text without the ends of lines.
fn in_one_line(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte }).collect()
}

// What is counted does not matter: as a boolean a value costs least.

fn count_elements(lua: &Lua, table: &Table) -> Result<usize> {
    let mut count = 0;
    table.for_each_value(|_: bool| {
        count += 1;
        meter::spend(lua, 1)
    })?;
    Ok(count)
}

/// The number that `value` is, however mlua holds it.
fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(value) => Some(*value as f64),
        Value::Number(value) => Some(*value),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::testing::lua_with;

    fn written(chunk: &str) -> std::result::Result<usize, String> {
        let lua = lua_with("none", Lua::create_table);
        meter::set_limit(&lua, 1 << 20);
        let value: Value = lua.load(chunk).eval().expect("a value");
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let result =
            write(&lua, &value, Protocol::Resp2, &mut reply).map(|_| ()).map_err(|error| error.to_string());
        result.map(|()| out.len())
    }

    #[test]
    fn an_answer_is_bounded_however_often_a_table_is_in_it() {
        let many_times = |part: &str| format!("local t = {part} for i = 1, 40 do t = {{t, t}} end return t");
        for part in ["{1, 2, 3}", "{false}", "{ok = 'x'}", "{}", "{map = {a = 1}}"] {
            let error = written(&many_times(part)).expect_err(part);
            assert!(error.contains("not enough memory"), "{part}: {error}");
        }
        assert_eq!(written("local t = {1} return {t, t}"), Ok("*2\r\n*1\r\n:1\r\n*1\r\n:1\r\n".len()));
    }
}
