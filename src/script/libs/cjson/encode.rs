//! `cjson.encode`.

use super::settings::Settings;
use super::{Done, Fault, number};
use crate::script::arguments::{bytes, integer_of, type_name};
use crate::script::libs::nest::{Counts, Kind, Level, Nest, SLOTS};
use crate::script::libs::output::Output;
use crate::script::raise;
use mlua::{Error, Lua, LuaString, MultiValue, Result, Table, Value};

/// Room for a number: a sign, 14 digits, a point and an exponent, or zeros before the digits.
const NUMBER_ROOM: usize = 32;
/// Slots that must be free when a table begins.
const TABLE_SLOTS: usize = 3;
/// Entries of an object that are read before they are written, behind a table in it.
const AHEAD_ENTRIES: usize = 32;
/// Levels that read ahead.
const AHEAD_LEVELS: usize = 16;
/// Work of a step that looks up a value of Lua's.
const STEP_WORK: usize = 8;

/// A value as JSON.
pub(super) fn encode(lua: &Lua, settings: &Settings, mut values: MultiValue) -> Result<MultiValue> {
    let value = values.pop_front().filter(|_| values.is_empty());
    let value = value.ok_or_else(|| raise::argument(lua, 1, "expected 1 argument"))?;
    let encoder = Encoder { settings, output: Output::new(lua), nest: Nest::new(lua), slots: 1 };
    let text = encoder.run(value).map_err(|fault| fault.raise(lua))?;
    Ok(MultiValue::from_iter([Value::String(text)]))
}

/// JSON that is being written.
struct Encoder<'l> {
    settings: &'l Settings,
    output: Output<'l>,
    nest: Nest<'l>,
    /// Slots of the stack that the original has in use.
    slots: usize,
}

impl Encoder<'_> {
    fn run(mut self, value: Value) -> Done<LuaString> {
        let Some(table) = self.value(value)? else { return Ok(self.output.finish()?) };
        let mut level = self.enter(table)?;
        loop {
            let inner = match level.counts.kind {
                Kind::Array => self.array(&mut level)?,
                Kind::Object => self.object(&mut level)?,
            };
            if let Some(table) = inner {
                self.slots += slots(level.counts.kind);
                self.nest.push(level)?;
                level = self.enter(table)?;
                continue;
            }
            self.output.push(if level.counts.kind == Kind::Array { b']' } else { b'}' })?;
            let Some(outer) = self.nest.pop()? else { return Ok(self.output.finish()?) };
            level = outer;
            self.slots -= slots(level.counts.kind);
        }
    }

    /// Writes a value that is no table; gives the table otherwise.
    fn value(&mut self, value: Value) -> Done<Option<Table>> {
        match value {
            Value::Table(table) => return Ok(Some(table)),
            Value::String(text) => self.text(&text)?,
            Value::Integer(value) => self.number(value as f64)?,
            Value::Number(value) => self.number(value)?,
            Value::Boolean(true) => self.output.extend(b"true")?,
            Value::Boolean(false) => self.output.extend(b"false")?,
            Value::Nil => self.output.extend(b"null")?,
            value if value == Value::NULL => self.output.extend(b"null")?,
            other => return Err(refusal(&other, "type not supported")),
        }
        Ok(None)
    }

    fn number(&mut self, value: f64) -> Done<()> {
        if !value.is_finite() {
            match self.settings.encode_invalid_numbers.get() {
                0 => return Err(refusal(&Value::Number(value), "must not be NaN or Inf")),
                1 if value.is_nan() => return Ok(self.output.extend(b"nan")?),
                1 => {}
                _ => return Ok(self.output.extend(b"null")?),
            }
        }
        let precision = self.settings.number_precision.get() as usize;
        number::write(value, precision, self.output.room(NUMBER_ROOM)?);
        Ok(())
    }

    fn text(&mut self, text: &LuaString) -> Result<()> {
        let text = bytes(text);
        let mut rest = &text[..];
        self.output.room(rest.len() + 2)?.push(b'"');
        while let Some(at) = rest.iter().position(|&byte| HAS_ESCAPE[usize::from(byte)]) {
            self.output.extend(&rest[..at])?;
            self.escape(rest[at])?;
            rest = &rest[at + 1..];
        }
        self.output.extend(rest)?;
        self.output.push(b'"')
    }

    fn escape(&mut self, byte: u8) -> Result<()> {
        let short = match byte {
            b'"' | b'\\' | b'/' => byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ => {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                return self.output.extend(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
        };
        self.output.extend(&[b'\\', short])
    }

    /// Begins a table.
    fn enter(&mut self, table: Table) -> Done<Level> {
        let depth = self.nest.depth() + 1;
        let limit = self.settings.encode_max_depth.get() as usize;
        if depth > limit || self.slots + TABLE_SLOTS > SLOTS {
            return Err(Fault::Line(format!("Cannot serialise, excessive nesting ({depth})")));
        }
        let length = self.array_length(&table)?;
        let kind = if length > 0 { Kind::Array } else { Kind::Object };
        self.output.push(if length > 0 { b'[' } else { b'{' })?;
        Ok(Level::new(table, kind, length))
    }

    /// The largest index of a table that is an array; 0 for one that is an object.
    fn array_length(&mut self, table: &Table) -> Done<usize> {
        // Numbers of 32 bits: a very large index is less than any other, as in the original.
        let (mut largest, mut items, mut is_object) = (0i32, 0i32, false);
        let output = &mut self.output;
        let outcome = table.for_each(|key: Value, _: bool| match index(&key) {
            Some(index) => {
                if index > f64::from(largest) {
                    largest = i32_of(index);
                }
                items = items.wrapping_add(1);
                output.work(1)
            }
            None => {
                is_object = true;
                Err(leave())
            }
        });
        if is_object {
            return Ok(0);
        }
        outcome?;
        let ratio = self.settings.sparse_ratio.get();
        let is_sparse = largest > items.wrapping_mul(ratio) && largest > self.settings.sparse_safe.get();
        match (ratio > 0 && is_sparse, self.settings.sparse_convert.get()) {
            (true, 0) => Err(Fault::Line("Cannot serialise table: excessively sparse array".to_owned())),
            (true, _) => Ok(0),
            (false, _) => Ok(usize::try_from(largest).unwrap_or(0)),
        }
    }

    /// Writes items of an array up to one that is a table, which it gives.
    fn array(&mut self, level: &mut Level) -> Done<Option<Table>> {
        while level.counts.done < level.counts.length {
            if level.counts.done > 0 {
                self.output.push(b',')?;
            }
            self.output.work(STEP_WORK)?;
            level.counts.done += 1;
            let inner = self.value(level.table.raw_get(level.counts.done)?)?;
            if inner.is_some() {
                return Ok(inner);
            }
        }
        Ok(None)
    }

    /// Writes entries of an object up to one that is a table, which it gives.
    fn object(&mut self, level: &mut Level) -> Done<Option<Table>> {
        if level.counts.done == 0 {
            return self.first_entries(level);
        }
        loop {
            let (key, value) = match level.ahead.pop() {
                Some(entry) => entry,
                None => self.settings.next.call((&level.table, &level.key))?,
            };
            if key.is_nil() {
                return Ok(None);
            }
            let inner = self.entry(&key, value, &mut level.counts)?;
            if level.ahead.is_empty() {
                level.key = key;
            }
            if inner.is_some() {
                return Ok(inner);
            }
        }
    }

    /// The same from the start, the fast way: it cannot go on where it has left off, so it reads
    /// some entries ahead.
    fn first_entries(&mut self, level: &mut Level) -> Done<Option<Table>> {
        let most = if self.nest.depth() < AHEAD_LEVELS { AHEAD_ENTRIES } else { 0 };
        let (mut inner, mut fault) = (None, None);
        let Level { table, key: last, ahead, counts } = level;
        let outcome = table.for_each(|key: Value, value: Value| {
            if inner.is_some() {
                ahead.push((key, value));
            } else {
                match self.entry(&key, value, counts) {
                    Ok(None) => return Ok(()),
                    Ok(table) => inner = table,
                    // Its position in the script shows only outside of this walk.
                    Err(error) => fault = Some(error),
                }
                *last = key;
            }
            if ahead.len() < most && fault.is_none() { Ok(()) } else { Err(leave()) }
        });
        match (fault, &inner) {
            (Some(fault), _) => return Err(fault),
            (None, None) => outcome?,
            // A walk that came to the end has nil behind the last entry.
            (None, Some(_)) if outcome.is_ok() => ahead.push((Value::Nil, Value::Nil)),
            (None, Some(_)) => {}
        }
        ahead.reverse();
        Ok(inner)
    }

    /// Writes a key, and its value if that is no table.
    fn entry(&mut self, key: &Value, value: Value, counts: &mut Counts) -> Done<Option<Table>> {
        if counts.done > 0 {
            self.output.push(b',')?;
        }
        counts.done += 1;
        self.output.work(STEP_WORK)?;
        match key {
            Value::String(text) => self.text(text)?,
            Value::Integer(number) => self.number_key(*number as f64)?,
            Value::Number(number) => self.number_key(*number)?,
            other => return Err(refusal(other, "table key must be a number or string")),
        }
        self.output.push(b':')?;
        self.value(value)
    }

    fn number_key(&mut self, number: f64) -> Done<()> {
        self.output.push(b'"')?;
        self.number(number)?;
        Ok(self.output.push(b'"')?)
    }
}

/// Slots that a table and the item of it that is being written take in the original.
fn slots(kind: Kind) -> usize {
    match kind {
        Kind::Array => 1,
        Kind::Object => 2,
    }
}

/// The error that ends a walk through a table before its end. Nobody sees it.
fn leave() -> Error {
    Error::StackError
}

fn refusal(value: &Value, reason: &str) -> Fault {
    Fault::Line(format!("Cannot serialise {}: {reason}", lua_type(value)))
}

/// The type of a value; light userdata is userdata for Lua.
fn lua_type(value: &Value) -> &'static str {
    match value {
        Value::LightUserData(_) => "userdata",
        other => type_name(other),
    }
}

/// A key that may be the index of an array: a whole number from 1.
fn index(key: &Value) -> Option<f64> {
    let number = match key {
        Value::Integer(number) => *number as f64,
        Value::Number(number) => *number,
        _ => return None,
    };
    (number >= 1.0 && number.floor() == number).then_some(number)
}

/// A number as C makes an `int` of it. What does not fit becomes the smallest one.
fn i32_of(number: f64) -> i32 {
    i32::try_from(integer_of(number)).unwrap_or(i32::MIN)
}

/// Bytes that are not written as they are.
const HAS_ESCAPE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte < 0x20 || matches!(byte as u8, b'"' | b'\\' | b'/' | 0x7f);
        byte += 1;
    }
    table
};
