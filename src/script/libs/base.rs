//! Functions of Lua's base library that know of read-only tables, or that could hold the server:
//! [`open`].

use super::coroutine::without_lines;
use crate::script::arguments::{Arguments, bytes};
use crate::script::readonly::Readonly;
use crate::script::{meter, protect, raise};
use mlua::{Error, Function, Lua, LuaString, MultiValue, Result, Table, Value};

/// Text that is compiled between two looks at the interrupt, bytes.
const PIECE_BYTES: usize = 16 << 10;

/// `next` for tables and their stand-ins.
const NEXT: &str = r#"
local next, type, reals, wrong = ...
return function(table, ...)
    if type(table) ~= 'table' then wrong(table) end
    return next(reals[table] or table, ...)
end
"#;

/// Replaces what is ours in `globals`.
pub fn open(lua: &Lua, globals: &Table, readonly: &Readonly) -> Result<()> {
    open_metatables(lua, globals, readonly)?;
    open_raw(lua, globals, readonly)?;
    open_walks(lua, globals, readonly)?;
    globals.raw_set("collectgarbage", lua.create_function(collectgarbage)?)
}

/// Sets `load` and `loadstring`, whose chunks have `environment`.
pub fn open_loading(lua: &Lua, globals: &Table, environment: &Table) -> Result<()> {
    let compiler = Compiler { load: globals.raw_get("load")?, environment: environment.clone() };
    let other = compiler.clone();
    globals
        .raw_set("loadstring", lua.create_function(move |lua, values| loadstring(lua, &compiler, values))?)?;
    globals.raw_set("load", lua.create_function(move |lua, values| load(lua, &other, values))?)
}

fn open_metatables(lua: &Lua, globals: &Table, readonly: &Readonly) -> Result<()> {
    let known = readonly.clone();
    let set = move |lua: &Lua, values| setmetatable(lua, &known, values);
    globals.raw_set("setmetatable", lua.create_function(set)?)?;
    let known = readonly.clone();
    let get = move |lua: &Lua, values| getmetatable(lua, &known, values);
    globals.raw_set("getmetatable", lua.create_function(get)?)
}

fn open_raw(lua: &Lua, globals: &Table, readonly: &Readonly) -> Result<()> {
    let known = readonly.clone();
    let rawget = move |lua: &Lua, values| {
        let arguments = Arguments::new(lua, values);
        let table = arguments.table(1)?;
        known.real(table).raw_get::<Value>(arguments.any(2)?)
    };
    globals.raw_set("rawget", lua.create_function(rawget)?)?;
    let known = readonly.clone();
    let rawset = move |lua: &Lua, values| {
        let arguments = Arguments::new(lua, values);
        let table = arguments.table(1)?;
        let (key, value) = (arguments.any(2)?, arguments.any(3)?);
        known.check_writable(table)?;
        table.raw_set(key, value)?;
        Ok(table.clone())
    };
    globals.raw_set("rawset", lua.create_function(rawset)?)
}

/// `pairs` gives Lua's own `next`, but for stand-ins.
fn open_walks(lua: &Lua, globals: &Table, readonly: &Readonly) -> Result<()> {
    let own_next: Function = globals.raw_get("next")?;
    let kind: Function = globals.raw_get("type")?;
    let wrong = lua.create_function(|lua, values: MultiValue| -> Result<()> {
        let got = values.front().map_or("no value", crate::script::arguments::type_name);
        let message = format!("bad argument #1 to 'next' (table expected, got {got})");
        Err(raise::at_level(lua, 2, message))
    })?;
    let next: Function =
        without_lines(lua, NEXT)?.call((own_next.clone(), kind, readonly.index().clone(), wrong))?;
    globals.raw_set("next", next.clone())?;
    let known = readonly.clone();
    let pairs = move |lua: &Lua, values| {
        let arguments = Arguments::new(lua, values);
        let table = arguments.table(1)?.clone();
        let walk = if known.holds(&table) { &next } else { &own_next };
        Ok((walk.clone(), table, Value::Nil))
    };
    globals.raw_set("pairs", lua.create_function(pairs)?)
}

fn setmetatable(lua: &Lua, readonly: &Readonly, values: MultiValue) -> Result<Table> {
    let arguments = Arguments::new(lua, values);
    let table = arguments.table(1)?;
    let metatable = match arguments.get(2) {
        Some(Value::Nil) => None,
        Some(Value::Table(metatable)) => Some(metatable.clone()),
        _ => return Err(raise::argument(lua, 2, "nil or table expected")),
    };
    readonly.check_writable(table)?;
    if let Some(old) = table.metatable()
        && !old.raw_get::<Value>("__metatable")?.is_nil()
    {
        return Err(raise::at_caller(lua, "cannot change a protected metatable"));
    }
    table.set_metatable(metatable)?;
    Ok(table.clone())
}

fn getmetatable(lua: &Lua, readonly: &Readonly, values: MultiValue) -> Result<Value> {
    let arguments = Arguments::new(lua, values);
    let metatable = match arguments.any(1)? {
        Value::Table(table) => match readonly.metatable(table) {
            Some(shown) => return Ok(shown),
            None => table.metatable(),
        },
        Value::String(_) => lua.type_metatable::<LuaString>(),
        _ => None,
    };
    let Some(metatable) = metatable else { return Ok(Value::Nil) };
    match metatable.raw_get("__metatable")? {
        Value::Nil => Ok(Value::Table(metatable)),
        shown => Ok(shown),
    }
}

/// What a script may do to the garbage collector is to look at it, and one step. The rest answers
/// what it does in Redis when nothing was changed, and changes nothing: a later script would see it.
fn collectgarbage(lua: &Lua, values: MultiValue) -> Result<Value> {
    let arguments = Arguments::new(lua, values);
    let option = if arguments.is_none_or_nil(1) { None } else { Some(arguments.string(1)?) };
    let option = option.map_or_else(|| b"collect".to_vec(), |option| bytes(&option).to_vec());
    arguments.integer_or(2, 0)?;
    match option.as_slice() {
        b"count" => Ok(Value::Number(lua.used_memory() as f64 / 1024.0)),
        b"step" => Ok(Value::Boolean(lua.gc_step()?)),
        b"stop" | b"restart" => Ok(Value::Integer(0)),
        b"collect" => lua.gc_step().map(|_| Value::Integer(0)),
        b"setpause" | b"setstepmul" => Ok(Value::Integer(200)),
        other => {
            let message = format!("invalid option '{}'", String::from_utf8_lossy(other));
            Err(raise::argument(lua, 1, &message))
        }
    }
}

/// What makes functions of text.
#[derive(Clone)]
struct Compiler {
    /// Lua's own `load`.
    load: Function,
    environment: Table,
}

impl Compiler {
    /// The function, or nil and the error.
    fn compile(&self, lua: &Lua, text: Vec<u8>, name: LuaString) -> Result<(Value, Value)> {
        let pieces = lua.create_function_mut(reader(text))?;
        let mut results: MultiValue = self.load.call((pieces, name))?;
        match results.pop_front() {
            Some(Value::Function(function)) => {
                function.set_environment(self.environment.clone())?;
                Ok((Value::Function(function), Value::Nil))
            }
            _ => Ok((Value::Nil, protect::caught(lua, results.pop_front().unwrap_or(Value::Nil))?)),
        }
    }
}

/// Hands out `text` in pieces, and looks at the interrupt between them.
fn reader(text: Vec<u8>) -> impl FnMut(&Lua, ()) -> Result<Option<LuaString>> {
    // Compiled code begins with an escape, and is no text: with a space before it Lua says so.
    let mut space = text.first() == Some(&0x1B);
    let mut read = 0;
    move |lua, ()| {
        if std::mem::take(&mut space) {
            return lua.create_string(" ").map(Some);
        }
        let piece = &text[read..text.len().min(read + PIECE_BYTES)];
        read += piece.len();
        meter::spend(lua, piece.len())?;
        if piece.is_empty() { Ok(None) } else { lua.create_string(piece).map(Some) }
    }
}

fn loadstring(lua: &Lua, compiler: &Compiler, values: MultiValue) -> Result<MultiValue> {
    let arguments = Arguments::new(lua, values);
    let text = arguments.string(1)?;
    let name = if arguments.is_none_or_nil(2) { text.clone() } else { arguments.string(2)? };
    meter::reserve(lua, bytes(&text).len())?;
    answer(compiler.compile(lua, bytes(&text).to_vec(), name)?)
}

fn load(lua: &Lua, compiler: &Compiler, values: MultiValue) -> Result<MultiValue> {
    let arguments = Arguments::new(lua, values);
    let name =
        if arguments.is_none_or_nil(2) { lua.create_string("=(load)")? } else { arguments.string(2)? };
    let Some(Value::Function(pieces)) = arguments.get(1) else {
        return Err(arguments.wrong_type(1, "function"));
    };
    match gather(lua, pieces)? {
        Ok(text) => answer(compiler.compile(lua, text, name)?),
        Err(value) => answer((Value::Nil, value)),
    }
}

/// A function alone, or nil and its error.
fn answer(results: (Value, Value)) -> Result<MultiValue> {
    Ok(match results {
        (Value::Nil, error) => MultiValue::from_iter([Value::Nil, error]),
        (function, _) => MultiValue::from_iter([function]),
    })
}

/// What `pieces` gives until it ends; or what it raised.
fn gather(lua: &Lua, pieces: &Function) -> Result<std::result::Result<Vec<u8>, Value>> {
    let mut text = Vec::new();
    loop {
        let piece = match protect::try_call(lua, pieces, ())? {
            Ok(mut results) => results.pop_front().unwrap_or(Value::Nil),
            Err(value) => return Ok(Err(value)),
        };
        let piece = match piece {
            Value::Nil => return Ok(Ok(text)),
            Value::String(_) | Value::Integer(_) | Value::Number(_) => lua.coerce_string(piece)?,
            _ => None,
        };
        let Some(piece) = piece else { return Ok(Err(unreadable(lua)?)) };
        if bytes(&piece).is_empty() {
            return Ok(Ok(text));
        }
        meter::spend(lua, bytes(&piece).len() + 1)?;
        meter::reserve(lua, text.len() + bytes(&piece).len())?;
        text.extend_from_slice(&bytes(&piece));
    }
}

/// The error of a reader that gives no text, as a value.
fn unreadable(lua: &Lua) -> Result<Value> {
    let error = raise::at_caller(lua, "reader function must return a string");
    protect::caught(lua, Value::Error(Box::new(Error::clone(&error))))
}
