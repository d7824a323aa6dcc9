//! `string.find`, `match`, `gmatch` and `gsub`: [`open`].

use super::pattern::{Capture, Matcher};
use crate::script::arguments::{Arguments, bytes, type_name};
use crate::script::libs::in_lua;
use crate::script::{meter, protect, raise};
use memchr::memmem;
use mlua::{Function, IntoLuaMulti, Lua, LuaString, MultiValue, Result, Table, Value};

/// What makes a text a pattern.
const SPECIAL: &[u8] = b"^$*+?.([%-";
/// Bytes that a plain search looks at for one unit of work.
const BYTES_PER_WORK: usize = 16;

/// `gmatch` in Lua: what it holds between two matches is then Lua's to collect. Without a match the
/// place stays.
const GMATCH: &str = r#"
local step = ...

local function iterate(text, pattern)
    local place = 0
    local function keep(next, ...)
        if next then
            place = next
            return ...
        end
    end
    return function()
        return keep(step(text, pattern, place))
    end
end

return iterate
"#;

/// Captures from this length on count as work.
const LONG_CAPTURE: usize = 1024;
/// Texts up to this length are searched byte by byte.
const SHORT_TEXT: usize = 64;

/// The place of a function in Lua that reads an element of a table, by its metatable if it has one.
const LOOK_UP: &str = "string.gsub looks up";

/// Sets the functions in `library`.
pub(super) fn open(lua: &Lua, library: &Table) -> Result<()> {
    let look_up = in_lua(lua, "local table, key = ... return table[key]")?;
    lua.set_named_registry_value(LOOK_UP, look_up)?;
    library.raw_set("find", meter::function(lua, |lua, values| search(lua, values, find_at))?)?;
    library.raw_set("match", meter::function(lua, |lua, values| search(lua, values, match_at))?)?;
    library.raw_set("gsub", lua.create_function(gsub)?)?;
    let step = meter::function(lua, gmatch_step)?;
    let iterate: Function = in_lua(lua, GMATCH)?.call(step)?;
    let gmatch = lua.create_function(move |lua, values| {
        let arguments = Arguments::new(lua, values);
        iterate.call::<Function>((arguments.string(1)?, arguments.string(2)?))
    })?;
    library.raw_set("gfind", gmatch.clone())?;
    library.raw_set("gmatch", gmatch)
}

/// The search of `find` or `match` in a text from a place on.
type Search = fn(&Lua, &Arguments<'_>, &LuaString, &LuaString, usize) -> Result<MultiValue>;

fn search(lua: &Lua, values: MultiValue, search: Search) -> Result<MultiValue> {
    let arguments = Arguments::new(lua, values);
    let (text, pattern) = (arguments.string(1)?, arguments.string(2)?);
    let length = bytes(&text).len();
    let init = arguments.integer_or(3, 1)?;
    let init = if init < 0 { init.saturating_add(length as i64 + 1) } else { init };
    let start = init.saturating_sub(1).clamp(0, length as i64) as usize;
    search(lua, &arguments, &text, &pattern, start)
}

fn find_at(
    lua: &Lua,
    arguments: &Arguments<'_>,
    text: &LuaString,
    pattern: &LuaString,
    start: usize,
) -> Result<MultiValue> {
    let (text, pattern) = (bytes(text), bytes(pattern));
    let is_plain = arguments.get(4).is_some_and(|value| !matches!(value, Value::Nil | Value::Boolean(false)));
    if is_plain || !has_special(&pattern) {
        let Some(found) = find_plain(lua, &text[start..], &pattern)? else { return nothing() };
        let first = start + found;
        return (first + 1, first + pattern.len()).into_lua_multi(lua);
    }
    let mut matcher = Matcher::new(lua, &text, &pattern, 1);
    let Some((first, end)) = first_match(&mut matcher, start, text.len())? else { return nothing() };
    let mut results = values_of(lua, &text, matcher.captures(None)?)?;
    results.push_front(Value::Integer(end as i64));
    results.push_front(Value::Integer(first as i64 + 1));
    Ok(results)
}

fn match_at(
    lua: &Lua,
    _: &Arguments<'_>,
    text: &LuaString,
    pattern: &LuaString,
    start: usize,
) -> Result<MultiValue> {
    let (text, pattern) = (bytes(text), bytes(pattern));
    let mut matcher = Matcher::new(lua, &text, &pattern, 1);
    match first_match(&mut matcher, start, text.len())? {
        Some(whole) => values_of(lua, &text, matcher.captures(Some(whole))?),
        None => nothing(),
    }
}

/// The place of `wanted`. What prepares a fast search takes longer than a slow one of a short text.
fn find_plain(lua: &Lua, text: &[u8], wanted: &[u8]) -> Result<Option<usize>> {
    if wanted.is_empty() {
        return Ok(Some(0));
    }
    if text.len() <= SHORT_TEXT {
        return Ok(text.windows(wanted.len()).position(|piece| piece == wanted));
    }
    meter::spend(lua, text.len() / BYTES_PER_WORK)?;
    Ok(memmem::find(text, wanted))
}

/// A pattern reaches to its first zero byte.
fn has_special(pattern: &[u8]) -> bool {
    let end = memchr::memchr(0, pattern).unwrap_or(pattern.len());
    pattern[..end].iter().any(|byte| SPECIAL.contains(byte))
}

fn first_match(matcher: &mut Matcher<'_>, start: usize, length: usize) -> Result<Option<(usize, usize)>> {
    let last = if matcher.take_anchor() { start } else { length };
    for first in start..=last {
        if let Some(end) = matcher.run(first)? {
            return Ok(Some((first, end)));
        }
    }
    Ok(None)
}

fn nothing() -> Result<MultiValue> {
    Ok(MultiValue::from_iter([Value::Nil]))
}

fn values_of(lua: &Lua, text: &[u8], captures: Vec<Capture>) -> Result<MultiValue> {
    captures.into_iter().map(|capture| value_of(lua, text, capture)).collect()
}

fn value_of(lua: &Lua, text: &[u8], capture: Capture) -> Result<Value> {
    match capture {
        Capture::Position(at) | Capture::Open(at) => Ok(Value::Integer(at as i64 + 1)),
        Capture::Closed(start, length) => {
            if length >= LONG_CAPTURE {
                meter::spend(lua, length / BYTES_PER_WORK)?;
                meter::reserve(lua, length)?;
            }
            lua.create_string(&text[start..start + length]).map(Value::String)
        }
    }
}

/// The next match behind `place`: where to go on, and the captures.
fn gmatch_step(lua: &Lua, (text, pattern, place): (LuaString, LuaString, usize)) -> Result<MultiValue> {
    let (text, pattern) = (bytes(&text), bytes(&pattern));
    // Between this function and the script there is the one in Lua.
    let mut matcher = Matcher::new(lua, &text, &pattern, 2);
    for first in place..=text.len() {
        if let Some(end) = matcher.run(first)? {
            let next = if end == first { end + 1 } else { end };
            let mut results = values_of(lua, &text, matcher.captures(Some((first, end)))?)?;
            results.push_front(Value::Integer(next as i64));
            return Ok(results);
        }
    }
    nothing()
}

/// The result of `gsub` as it grows.
struct Output<'a> {
    lua: &'a Lua,
    bytes: Vec<u8>,
}

impl Output<'_> {
    fn add(&mut self, more: &[u8]) -> Result<()> {
        if self.bytes.capacity() - self.bytes.len() < more.len() {
            meter::reserve(self.lua, 2 * (self.bytes.len() + more.len()))?;
        }
        if more.len() >= BYTES_PER_WORK {
            meter::spend(self.lua, more.len() / BYTES_PER_WORK)?;
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }
}

fn gsub(lua: &Lua, mut values: MultiValue) -> Result<(LuaString, usize)> {
    values.truncate(4);
    let arguments = Arguments::new(lua, values);
    let (text, pattern) = (arguments.string(1)?, arguments.string(2)?);
    let (text, pattern) = (bytes(&text), bytes(&pattern));
    let most = arguments.integer_or(4, text.len() as i64 + 1)? as i32;
    let replacement = Replacement::of(lua, &arguments)?;
    let mut matcher = Matcher::new(lua, &text, &pattern, 1);
    let is_anchored = matcher.take_anchor();
    let mut out = Output { lua, bytes: Vec::new() };
    let (mut at, mut copied, mut count) = (0, 0, 0);
    while i64::from(most) > count as i64 {
        let end = matcher.run(at)?;
        if let Some(end) = end {
            count += 1;
            out.add(&text[copied..at])?;
            replacement.add(&matcher, &text, (at, end), &mut out)?;
            copied = end;
        }
        match end {
            Some(end) if end > at => at = end,
            _ if at < text.len() => at += 1,
            _ => break,
        }
        if is_anchored {
            break;
        }
    }
    out.add(&text[copied..])?;
    Ok((lua.create_string(&out.bytes)?, count))
}

/// What `gsub` puts in the place of a match.
enum Replacement {
    Text(LuaString),
    Function(Function),
    Table(Table),
}

impl Replacement {
    fn of(lua: &Lua, arguments: &Arguments<'_>) -> Result<Self> {
        match arguments.get(3) {
            Some(Value::String(_) | Value::Integer(_) | Value::Number(_)) => {
                arguments.string(3).map(Replacement::Text)
            }
            Some(Value::Function(function)) => Ok(Replacement::Function(function.clone())),
            Some(Value::Table(table)) => Ok(Replacement::Table(table.clone())),
            _ => Err(raise::argument(lua, 3, "string/function/table expected")),
        }
    }

    /// Adds what replaces the match from `whole.0` to `whole.1`.
    fn add(
        &self,
        matcher: &Matcher<'_>,
        text: &[u8],
        whole: (usize, usize),
        out: &mut Output<'_>,
    ) -> Result<()> {
        let lua = out.lua;
        let value = match self {
            Replacement::Text(replacement) => {
                return add_text(matcher, text, whole, &bytes(replacement), out);
            }
            Replacement::Function(function) => {
                let captures = values_of(lua, text, matcher.captures(Some(whole))?)?;
                protect::call(lua, function, captures)?.pop_front()
            }
            Replacement::Table(table) => {
                let key = value_of(lua, text, matcher.capture(0, whole)?)?;
                look_up(lua, table, key)?
            }
        };
        add_value(value.unwrap_or(Value::Nil), text, whole, out)
    }
}

/// An element of `table`, by its metatable if it has one.
fn look_up(lua: &Lua, table: &Table, key: Value) -> Result<Option<Value>> {
    if table.metatable().is_none() {
        return table.raw_get(key).map(Some);
    }
    let get: Function = lua.named_registry_value(LOOK_UP)?;
    Ok(protect::call(lua, &get, (table.clone(), key))?.pop_front())
}

/// Adds a value of a function or a table; the match itself for nil and false.
fn add_value(value: Value, text: &[u8], whole: (usize, usize), out: &mut Output<'_>) -> Result<()> {
    let lua = out.lua;
    match value {
        Value::Nil | Value::Boolean(false) => out.add(&text[whole.0..whole.1]),
        Value::String(_) | Value::Integer(_) | Value::Number(_) => match lua.coerce_string(value)? {
            Some(value) => out.add(&bytes(&value)),
            None => Ok(()),
        },
        other => {
            let message = format!("invalid replacement value (a {})", type_name(&other));
            Err(raise::at_caller(lua, message))
        }
    }
}

/// Adds a replacement text, with captures for `%0` to `%9`.
fn add_text(
    matcher: &Matcher<'_>,
    text: &[u8],
    whole: (usize, usize),
    replacement: &[u8],
    out: &mut Output<'_>,
) -> Result<()> {
    let mut rest = replacement;
    while let Some(escape) = memchr::memchr(b'%', rest) {
        out.add(&rest[..escape])?;
        // C reads the zero byte behind a string that ends with the escape.
        let byte = rest.get(escape + 1).copied().unwrap_or(0);
        rest = rest.get(escape + 2..).unwrap_or_default();
        match byte {
            b'0' => out.add(&text[whole.0..whole.1])?,
            b'1'..=b'9' => match matcher.capture(usize::from(byte - b'1'), whole)? {
                Capture::Closed(start, length) => out.add(&text[start..start + length])?,
                Capture::Position(at) | Capture::Open(at) => out.add((at + 1).to_string().as_bytes())?,
            },
            other => out.add(&[other])?,
        }
    }
    out.add(rest)
}
