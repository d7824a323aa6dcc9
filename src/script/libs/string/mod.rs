//! Lua's `string` library: what can take long is ours, the rest is Lua's own.

mod format;
mod pattern;
mod search;

use crate::script::arguments::{Arguments, bytes};
use crate::script::{meter, protect};
use mlua::{Lua, LuaString, MultiValue, Result, Table};

/// Bytes that are made between two looks at the interrupt.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes that are copied for one unit of work.
const BYTES_PER_WORK: usize = 16;

/// Replaces what is ours in the library.
pub fn open(lua: &Lua, library: &Table) -> Result<()> {
    library.raw_set("rep", meter::function(lua, rep)?)?;
    let pieces =
        |convert: fn(&mut [u8])| meter::function(lua, move |lua, values| convert_text(lua, values, convert));
    library.raw_set("lower", pieces(|piece| piece.make_ascii_lowercase())?)?;
    library.raw_set("upper", pieces(|piece| piece.make_ascii_uppercase())?)?;
    library.raw_set("reverse", meter::function(lua, reverse)?)?;
    search::open(lua, library)?;
    format::open(lua, library)
}

/// C takes the count as an `int`.
fn rep(lua: &Lua, values: MultiValue) -> Result<LuaString> {
    let arguments = Arguments::new(lua, values);
    let text = arguments.string(1)?;
    let count = arguments.integer(2)? as i32;
    let text = bytes(&text);
    let count = usize::try_from(count).unwrap_or(0);
    let length = text.len().saturating_mul(count);
    if length == 0 {
        return lua.create_string("");
    }
    meter::reserve(lua, length.saturating_mul(2))?;
    if length <= PIECE_BYTES {
        meter::spend(lua, length / BYTES_PER_WORK)?;
        return lua.create_string(text.repeat(count));
    }
    let mut made = Vec::with_capacity(length);
    let piece = text.repeat((PIECE_BYTES / text.len()).clamp(1, count));
    while made.len() < length {
        meter::spend(lua, piece.len() / BYTES_PER_WORK)?;
        made.extend_from_slice(&piece[..piece.len().min(length - made.len())]);
    }
    lua.create_string(made)
}

fn convert_text(lua: &Lua, values: MultiValue, convert: fn(&mut [u8])) -> Result<LuaString> {
    let text = Arguments::new(lua, values).string(1)?;
    meter::reserve(lua, 2 * bytes(&text).len())?;
    let mut converted = bytes(&text).to_vec();
    for piece in converted.chunks_mut(PIECE_BYTES) {
        meter::spend(lua, piece.len() / BYTES_PER_WORK)?;
        convert(piece);
    }
    lua.create_string(converted)
}

fn reverse(lua: &Lua, values: MultiValue) -> Result<LuaString> {
    let text = Arguments::new(lua, values).string(1)?;
    meter::reserve(lua, 2 * bytes(&text).len())?;
    meter::spend(lua, bytes(&text).len() / BYTES_PER_WORK)?;
    let mut reversed = bytes(&text).to_vec();
    reversed.reverse();
    lua.create_string(reversed)
}

/// Calls one of Lua's own functions for ours. What it says of its arguments gets our name and line.
fn delegate(
    lua: &Lua,
    own: &mlua::Function,
    values: MultiValue,
    place: impl Fn(usize) -> usize,
) -> Result<MultiValue> {
    match protect::try_call(lua, own, values)? {
        Ok(results) => Ok(results),
        Err(mlua::Value::String(text)) => Err(renamed(lua, &bytes(&text), place)),
        Err(value) => Err(crate::script::raise::value(value)),
    }
}

/// The error `text` of a function without a name, as if ours had raised it. `place` says which of
/// our arguments one of its is.
fn renamed(lua: &Lua, text: &[u8], place: impl Fn(usize) -> usize) -> mlua::Error {
    let line = String::from_utf8_lossy(text);
    let parts = line.strip_prefix("bad argument #").and_then(|rest| rest.split_once(" to '?' ("));
    let parts = parts.and_then(|(index, rest)| Some((index.parse().ok()?, rest.strip_suffix(')')?)));
    match parts {
        Some((index, message)) => crate::script::raise::argument(lua, place(index), message),
        None => crate::script::raise::at_caller(lua, text),
    }
}

#[cfg(test)]
mod tests;
