//! `cmsgpack.unpack` and its two relatives.

use crate::script::arguments::{Arguments, bytes};
use crate::script::libs::nest::{Counts, HELD_RESULTS, Kind, Level, Nest, RESULTS, SLOTS};
use crate::script::libs::work::Work;
use crate::script::raise;
use mlua::{Lua, MultiValue, Result, Value};

/// Work of making a table.
const TABLE_WORK: usize = 32;
/// Work of making another value.
const VALUE_WORK: usize = 16;

/// The texts of what may be wrong.
const MISSING: &str = "Missing bytes in input.";
const BAD: &str = "Bad data format in input.";
const MANY: &str = "stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)";
const DEEP: &str = "stack overflow (in function mp_decode_to_lua_array)";
const FULL: &str = "stack overflow (in function mp_unpack_full)";

/// All values.
pub(super) fn unpack(lua: &Lua, values: MultiValue) -> Result<MultiValue> {
    unpack_some(&Arguments::new(lua, values), lua, 0, 0)
}

/// Where to go on, and one value.
pub(super) fn unpack_one(lua: &Lua, values: MultiValue) -> Result<MultiValue> {
    let mut arguments = Arguments::new(lua, values);
    let start = arguments.integer_or(2, 0)?;
    arguments.truncate(1);
    unpack_some(&arguments, lua, 1, start)
}

/// Where to go on, and so many values.
pub(super) fn unpack_limit(lua: &Lua, values: MultiValue) -> Result<MultiValue> {
    let mut arguments = Arguments::new(lua, values);
    let limit = arguments.integer(2)?;
    let start = arguments.integer_or(3, 0)?;
    arguments.truncate(1);
    unpack_some(&arguments, lua, limit, start)
}

/// Up to `limit` values from `start` on, after the position of what follows: -1 at the end. All of
/// them, without it, if both are 0.
fn unpack_some(arguments: &Arguments<'_>, lua: &Lua, limit: i64, start: i64) -> Result<MultiValue> {
    let text = arguments.string(1)?;
    let text = bytes(&text);
    let (shown, length) = (start as i32, text.len());
    if start < 0 || limit < 0 {
        // The original tells the length here, not the limit.
        let message = format!("Invalid request to unpack with offset of {shown} and limit of {length}.");
        return Err(raise::at_caller(lua, message));
    }
    let Some(rest) = usize::try_from(start).ok().and_then(|start| text.get(start..)) else {
        let message = format!("Start offset {shown} greater than input length {length}.");
        return Err(raise::at_caller(lua, message));
    };
    let all = limit == 0 && start == 0;
    let limit = if all { i64::from(i32::MAX) } else { limit };
    let mut reader = Reader::new(lua, rest, arguments.len());
    while !reader.rest.is_empty() && (reader.results.len() as i64) < limit {
        let value = reader.value()?;
        reader.held += usize::from(!matches!(value, Value::Integer(_) | Value::Number(_)));
        reader.results.push(value);
    }
    if !all {
        reader.place(length)?;
    }
    reader.work.tell()?;
    Ok(MultiValue::from_vec(reader.results))
}

/// MessagePack that is being read.
struct Reader<'a> {
    work: Work<'a>,
    rest: &'a [u8],
    results: Vec<Value>,
    /// Results that Rust holds.
    held: usize,
    /// The table that is being filled.
    level: Option<Level>,
    /// Those around it.
    outer: Nest<'a>,
    /// Slots of the stack that the original has in use, without results and level.
    slots: usize,
}

/// What begins at a place.
enum Item {
    /// A value that is no table.
    Value(Value),
    /// A table of so many items.
    Table(Kind, usize),
}

impl<'a> Reader<'a> {
    fn new(lua: &'a Lua, rest: &'a [u8], arguments: usize) -> Self {
        let (work, outer) = (Work::new(lua), Nest::new(lua));
        Reader { work, rest, results: Vec::new(), held: 0, level: None, outer, slots: arguments }
    }

    /// Puts the position of what is left before the results, out of `length` bytes.
    fn place(&mut self, length: usize) -> Result<()> {
        if self.slots_used() + 1 > SLOTS {
            return Err(self.fault(FULL));
        }
        let left = self.rest.len();
        let position = if left == 0 { -1 } else { (length - left) as i64 };
        self.results.insert(0, Value::Integer(position));
        Ok(())
    }

    /// A whole value.
    fn value(&mut self) -> Result<Value> {
        loop {
            let value = match self.item()? {
                Item::Value(value) => Some(value),
                Item::Table(kind, length) => self.table(kind, length)?,
            };
            let Some(value) = value else { continue };
            if let Some(value) = self.put(value)? {
                return Ok(value);
            }
        }
    }

    /// What comes next.
    fn item(&mut self) -> Result<Item> {
        let mark = *self.rest.first().ok_or_else(|| self.fault(MISSING))?;
        let is_full = self.results.len() >= RESULTS || self.held > HELD_RESULTS;
        if is_full || self.slots_used() + 1 > SLOTS {
            return Err(self.fault(MANY));
        }
        self.work.add(VALUE_WORK)?;
        self.rest = &self.rest[1..];
        Ok(Item::Value(match mark {
            0x00..=0x7f => Value::Integer(i64::from(mark)),
            0xe0..=0xff => Value::Integer(i64::from(mark as i8)),
            0x80..=0x8f => return Ok(Item::Table(Kind::Object, usize::from(mark & 15))),
            0x90..=0x9f => return Ok(Item::Table(Kind::Array, usize::from(mark & 15))),
            0xa0..=0xbf => self.text(usize::from(mark & 31))?,
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Boolean(mark == 0xc3),
            0xca..=0xd3 => self.number(mark)?,
            0xd9..=0xdb => self.long_text(mark)?,
            0xdc..=0xdf => return self.long_table(mark),
            _ => return Err(self.fault(BAD)),
        }))
    }

    fn number(&mut self, mark: u8) -> Result<Value> {
        Ok(match mark {
            0xca => Value::Number(f64::from(f32::from_be_bytes(self.bytes()?))),
            0xcb => Value::Number(f64::from_be_bytes(self.bytes()?)),
            0xcc => Value::Integer(i64::from(u8::from_be_bytes(self.bytes()?))),
            0xcd => Value::Integer(i64::from(u16::from_be_bytes(self.bytes()?))),
            0xce => Value::Integer(i64::from(u32::from_be_bytes(self.bytes()?))),
            0xd0 => Value::Integer(i64::from(i8::from_be_bytes(self.bytes()?))),
            0xd1 => Value::Integer(i64::from(i16::from_be_bytes(self.bytes()?))),
            0xd2 => Value::Integer(i64::from(i32::from_be_bytes(self.bytes()?))),
            // Without a sign too, an integer of 64 bits is read as one with a sign.
            _ => Value::Integer(i64::from_be_bytes(self.bytes()?)),
        })
    }

    fn long_text(&mut self, mark: u8) -> Result<Value> {
        let length = match mark {
            0xd9 => usize::from(u8::from_be_bytes(self.bytes()?)),
            0xda => usize::from(u16::from_be_bytes(self.bytes()?)),
            _ => u32::from_be_bytes(self.bytes()?) as usize,
        };
        self.text(length)
    }

    fn long_table(&mut self, mark: u8) -> Result<Item> {
        let kind = if mark < 0xde { Kind::Array } else { Kind::Object };
        let length = match mark & 1 {
            0 => usize::from(u16::from_be_bytes(self.bytes()?)),
            _ => u32::from_be_bytes(self.bytes()?) as usize,
        };
        Ok(Item::Table(kind, length))
    }

    fn text(&mut self, length: usize) -> Result<Value> {
        let (text, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.fault(MISSING))?;
        self.rest = rest;
        self.work.add(length)?;
        self.work.lua().create_string(text).map(Value::String)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(|| self.fault(MISSING))?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// A table, if it has no items; otherwise it is the level to fill from now on.
    fn table(&mut self, kind: Kind, length: usize) -> Result<Option<Value>> {
        self.work.add(TABLE_WORK)?;
        // The table itself is on the stack of the original by now.
        if kind == Kind::Array && self.slots_used() + 2 > SLOTS {
            return Err(self.fault(DEEP));
        }
        let table = self.work.lua().create_table()?;
        if length == 0 {
            return Ok(Some(Value::Table(table)));
        }
        let length = if kind == Kind::Array { length } else { 2 * length };
        let level = Level::new(table, kind, length);
        if let Some(outer) = self.level.replace(level) {
            self.slots += slots(outer.counts);
            self.outer.push(outer)?;
        }
        Ok(None)
    }

    /// Puts a value into the level, and the level into the one around it if it is full. Gives the
    /// value back if there is no level.
    fn put(&mut self, mut value: Value) -> Result<Option<Value>> {
        while let Some(level) = &mut self.level {
            level.counts.done += 1;
            match (level.counts.kind, level.counts.done % 2) {
                (Kind::Array, _) => level.table.raw_set(level.counts.done, value)?,
                (Kind::Object, 1) => level.key = value,
                (Kind::Object, _) => set(level, value)?,
            }
            if level.counts.done < level.counts.length {
                return Ok(None);
            }
            let outer = self.outer.pop()?;
            self.slots -= outer.as_ref().map_or(0, |outer| slots(outer.counts));
            let full = std::mem::replace(&mut self.level, outer);
            value = full.map_or(Value::Nil, |level| Value::Table(level.table));
        }
        Ok(Some(value))
    }

    fn slots_used(&self) -> usize {
        let level = self.level.as_ref().map_or(0, |level| slots(level.counts));
        self.slots + self.results.len() + level
    }

    fn fault(&self, message: &str) -> mlua::Error {
        raise::at_caller(self.work.lua(), message)
    }
}

/// Puts a value under the key of its level.
fn set(level: &mut Level, value: Value) -> Result<()> {
    match std::mem::take(&mut level.key) {
        Value::Nil => Err(raise::text("table index is nil")),
        Value::Number(key) if key.is_nan() => Err(raise::text("table index is NaN")),
        key => level.table.raw_set(key, value),
    }
}

/// Slots that a table, and what of it is being read, take in the original.
fn slots(counts: Counts) -> usize {
    match counts.kind {
        Kind::Array => 2,
        Kind::Object => 1 + counts.done % 2,
    }
}
