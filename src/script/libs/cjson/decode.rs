//! `cjson.decode`.

use super::settings::Settings;
use super::token::{Reader, Token};
use super::{Done, Fault};
use crate::script::arguments::{Arguments, bytes};
use crate::script::libs::nest::{Kind, Level, Nest, SLOTS};
use crate::script::libs::work::Work;
use crate::script::{meter, raise};
use mlua::{Lua, MultiValue, Result, Value};

/// Work of making a table.
const TABLE_WORK: usize = 32;
/// Work of making a value and putting it into its table.
const VALUE_WORK: usize = 16;

/// JSON as a value.
pub(super) fn decode(lua: &Lua, settings: &Settings, values: MultiValue) -> Result<MultiValue> {
    let arguments = Arguments::new(lua, values);
    if arguments.len() != 1 {
        return Err(raise::argument(lua, 1, "expected 1 argument"));
    }
    let text = arguments.string(1)?;
    let text = bytes(&text);
    if matches!(text[..], [0, _, ..] | [_, 0, ..]) {
        return Err(raise::at_caller(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    // A string with escapes in it is copied.
    meter::reserve(lua, text.len())?;
    let reader = Reader::new(&text);
    let strict = settings.decode_invalid_numbers.get() == 0;
    let decoder = Decoder {
        lua,
        reader: if strict { reader } else { reader.with_invalid_numbers() },
        work: Work::new(lua),
        told: 0,
        depth_limit: settings.decode_max_depth.get() as usize,
        level: None,
        outer: Nest::new(lua),
        slots: 1,
    };
    let value = decoder.run().map_err(|fault| fault.raise(lua))?;
    Ok(MultiValue::from_iter([value]))
}

/// JSON that is being read.
struct Decoder<'a> {
    lua: &'a Lua,
    reader: Reader<'a>,
    work: Work<'a>,
    /// Bytes that are counted as work.
    told: usize,
    depth_limit: usize,
    /// The table that is being filled.
    level: Option<Level>,
    /// Those around it.
    outer: Nest<'a>,
    /// Slots of the stack that the original has in use.
    slots: usize,
}

impl Decoder<'_> {
    fn run(mut self) -> Done<Value> {
        let mut token = self.reader.next_token();
        loop {
            let Some(value) = self.begin(&mut token)? else { continue };
            let Some(value) = self.put(value, &mut token)? else { continue };
            let token = self.reader.next_token();
            if token != Token::End {
                return Err(self.unexpected("the end", token));
            }
            self.work.tell()?;
            return Ok(value);
        }
    }

    /// The value that `token` is. A table that has items becomes the level to fill, `token` the
    /// start of its first value.
    fn begin(&mut self, token: &mut Token) -> Done<Option<Value>> {
        self.count(VALUE_WORK)?;
        Ok(Some(match *token {
            Token::String => self.string()?,
            // Whatever kind of number: Lua has one kind.
            Token::Number(number) => Value::Number(number),
            Token::Boolean(value) => Value::Boolean(value),
            Token::Null => Value::NULL,
            Token::ArrayBegin => return self.table(Kind::Array, token),
            Token::ObjectBegin => return self.table(Kind::Object, token),
            other => return Err(self.unexpected("value", other)),
        }))
    }

    fn string(&mut self) -> Result<Value> {
        self.lua.create_string(self.reader.string()).map(Value::String)
    }

    /// A table, if it has no items; otherwise it is the level to fill from now on.
    fn table(&mut self, kind: Kind, token: &mut Token) -> Done<Option<Value>> {
        self.descend(kind)?;
        self.count(TABLE_WORK)?;
        let table = self.lua.create_table()?;
        *token = self.reader.next_token();
        if is_end(kind, *token) {
            return Ok(Some(Value::Table(table)));
        }
        let level = Level::new(table, kind, 0);
        if let Some(outer) = self.level.replace(level) {
            self.slots += slots(outer.counts.kind);
            self.outer.push(outer)?;
        }
        self.item(kind, token)?;
        Ok(None)
    }

    /// Fails if there may be no table inside of the levels there are.
    fn descend(&self, kind: Kind) -> Done<()> {
        let around = self.outer.depth() + usize::from(self.level.is_some());
        let used = self.slots + self.level.as_ref().map_or(0, |level| slots(level.counts.kind));
        if around < self.depth_limit && used + slots(kind) < SLOTS {
            return Ok(());
        }
        let (depth, at) = (around + 1, self.reader.at);
        Err(Fault::Line(format!("Found too many nested data structures ({depth}) at character {at}")))
    }

    /// Reads up to the value of an item that begins with `token`.
    fn item(&mut self, kind: Kind, token: &mut Token) -> Done<()> {
        if kind == Kind::Array {
            return Ok(());
        }
        if *token != Token::String {
            return Err(self.unexpected("object key string", *token));
        }
        let key = self.string()?;
        if let Some(level) = &mut self.level {
            level.key = key;
        }
        let colon = self.reader.next_token();
        if colon != Token::Colon {
            return Err(self.unexpected("colon", colon));
        }
        *token = self.reader.next_token();
        Ok(())
    }

    /// Puts a value into the level, and the level into the one around it if it ends. Gives the
    /// value back if there is no level; otherwise `token` is the start of the next value.
    fn put(&mut self, mut value: Value, token: &mut Token) -> Done<Option<Value>> {
        while let Some(level) = &mut self.level {
            level.counts.done += 1;
            match level.counts.kind {
                Kind::Array => level.table.raw_set(level.counts.done, value)?,
                Kind::Object => level.table.raw_set(&level.key, value)?,
            }
            let kind = level.counts.kind;
            *token = self.reader.next_token();
            if *token == Token::Comma {
                *token = self.reader.next_token();
                self.item(kind, token)?;
                return Ok(None);
            }
            value = self.end(kind, *token)?;
        }
        Ok(Some(value))
    }

    /// Ends the level: its table.
    fn end(&mut self, kind: Kind, token: Token) -> Done<Value> {
        if !is_end(kind, token) {
            let expected = if kind == Kind::Array { "comma or array end" } else { "comma or object end" };
            return Err(self.unexpected(expected, token));
        }
        let outer = self.outer.pop()?;
        self.slots -= outer.as_ref().map_or(0, |outer| slots(outer.counts.kind));
        let ended = std::mem::replace(&mut self.level, outer);
        Ok(ended.map_or(Value::Nil, |level| Value::Table(level.table)))
    }

    /// Counts what was read since the last time, and `more`.
    fn count(&mut self, more: usize) -> Result<()> {
        let read = self.reader.at - self.told;
        self.told = self.reader.at;
        self.work.add(read + more)
    }

    fn unexpected(&self, expected: &str, token: Token) -> Fault {
        let (found, at) = (token.name(), self.reader.token_at + 1);
        Fault::Line(format!("Expected {expected} but found {found} at character {at}"))
    }
}

/// Slots that a table and the item of it that is being read take in the original.
fn slots(kind: Kind) -> usize {
    match kind {
        Kind::Array => 1,
        Kind::Object => 2,
    }
}

fn is_end(kind: Kind, token: Token) -> bool {
    token == if kind == Kind::Array { Token::ArrayEnd } else { Token::ObjectEnd }
}
