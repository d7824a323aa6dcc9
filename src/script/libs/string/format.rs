//! `string.format`: [`open`].
//!
//! Lua's own does the work while it is little. For long texts we read the format ourselves, copy
//! what is long in pieces, and give Lua's own one item at a time.

use super::{BYTES_PER_WORK, PIECE_BYTES, delegate};
use crate::script::arguments::{Arguments, bytes};
use crate::script::{meter, raise};
use mlua::{Function, Lua, LuaString, MultiValue, Result, Table, Value};

/// The most arguments: each takes a place in mlua's list of values, which has an end.
const MOST_ARGUMENTS: usize = 6000;
/// Texts from this length on are put in whole, if no precision is given.
const LONG_TEXT: usize = 100;

/// Sets the function in `library`.
pub(super) fn open(lua: &Lua, library: &Table) -> Result<()> {
    let own: Function = library.raw_get("format")?;
    library.raw_set("format", meter::function(lua, move |lua, values| format(lua, &own, values))?)
}

fn format(lua: &Lua, own: &Function, values: MultiValue) -> Result<Value> {
    if values.len() > MOST_ARGUMENTS {
        return Err(raise::at_caller(lua, "too many arguments"));
    }
    let length = values.iter().map(text_bytes).fold(0, usize::saturating_add);
    if length <= PIECE_BYTES {
        // What fails is done again, in the way that keeps the error's bytes.
        return match own.call::<Value>(&values) {
            Ok(text) => Ok(text),
            Err(_) => Ok(delegate(lua, own, values, |index| index)?.pop_front().unwrap_or(Value::Nil)),
        };
    }
    let arguments = Arguments::new(lua, values);
    let text = arguments.string(1)?;
    let text = bytes(&text);
    let mut out = Output { lua, own, arguments: &arguments, bytes: Vec::new() };
    out.fill(&text)?;
    lua.create_string(&out.bytes).map(Value::String)
}

fn text_bytes(value: &Value) -> usize {
    value.as_string().map_or(0, |text| bytes(text).len())
}

/// The result as it grows.
struct Output<'a> {
    lua: &'a Lua,
    own: &'a Function,
    arguments: &'a Arguments<'a>,
    bytes: Vec<u8>,
}

impl Output<'_> {
    fn fill(&mut self, text: &[u8]) -> Result<()> {
        let mut rest = text;
        let mut argument = 1;
        while let Some(escape) = memchr::memchr(b'%', rest) {
            self.add(&rest[..escape])?;
            rest = &rest[escape + 1..];
            if rest.first() == Some(&b'%') {
                self.add(b"%")?;
                rest = &rest[1..];
                continue;
            }
            argument += 1;
            let length = item_length(rest);
            self.item(&rest[..length], argument)?;
            rest = &rest[length..];
        }
        self.add(rest)
    }

    /// Adds argument `argument` as `item` says, which is without its `%`.
    fn item(&mut self, item: &[u8], argument: usize) -> Result<()> {
        let arguments = self.arguments;
        let Some(value) = arguments.get(argument) else {
            return Err(raise::argument(self.lua, argument, "no value"));
        };
        let is_text = matches!(value, Value::String(_));
        match item.last() {
            Some(b's') if is_text && text_bytes(value) >= LONG_TEXT && !item.contains(&b'.') => {
                self.add(&bytes(&arguments.string(argument)?))
            }
            Some(b'q') if is_text => self.add_quoted(&arguments.string(argument)?),
            _ => self.add_by_own(item, value, argument),
        }
    }

    fn add_by_own(&mut self, item: &[u8], value: &Value, argument: usize) -> Result<()> {
        let format = self.lua.create_string([b"%", item].concat())?;
        let values = MultiValue::from_iter([Value::String(format), value.clone()]);
        match delegate(self.lua, self.own, values, |_| argument)?.pop_front() {
            Some(Value::String(text)) => self.add(&bytes(&text)),
            _ => Ok(()),
        }
    }

    /// Adds `text` as Lua would read it.
    fn add_quoted(&mut self, text: &LuaString) -> Result<()> {
        self.add(b"\"")?;
        for piece in bytes(text).chunks(PIECE_BYTES) {
            let mut quoted = Vec::with_capacity(piece.len());
            for &byte in piece {
                match byte {
                    b'"' | b'\\' | b'\n' => quoted.extend_from_slice(&[b'\\', byte]),
                    b'\r' => quoted.extend_from_slice(b"\\r"),
                    0 => quoted.extend_from_slice(b"\\000"),
                    _ => quoted.push(byte),
                }
            }
            self.add(&quoted)?;
        }
        self.add(b"\"")
    }

    fn add(&mut self, more: &[u8]) -> Result<()> {
        if self.bytes.capacity() - self.bytes.len() < more.len() {
            meter::reserve(self.lua, 2 * (self.bytes.len() + more.len()))?;
        }
        for piece in more.chunks(PIECE_BYTES) {
            meter::spend(self.lua, piece.len() / BYTES_PER_WORK + 1)?;
            self.bytes.extend_from_slice(piece);
        }
        Ok(())
    }
}

/// The bytes of an item behind its `%`: flags, width, precision, and the letter. Those that Lua
/// refuses end where it does not matter.
fn item_length(rest: &[u8]) -> usize {
    let flags = rest.iter().take_while(|byte| b"-+ #0".contains(byte)).count();
    let mut length = flags + digits(&rest[flags..]);
    if rest.get(length) == Some(&b'.') {
        length += 1;
        length += digits(&rest[length..]);
    }
    (length + 1).min(rest.len())
}

/// How many of at most two digits there are.
fn digits(rest: &[u8]) -> usize {
    rest.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count()
}
