//! Functions of Lua's base library that know of read-only tables, or that could hold the server:
//! [`open`].

use super::in_lua;
use crate::script::arguments::{Arguments, bytes, integer_of, type_name};
use crate::script::readonly::Readonly;
use crate::script::{meter, protect, raise};
use mlua::{Error, Function, Lua, LuaString, MultiValue, Result, Table, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// Text that is compiled between two looks at the interrupt, bytes.
const PIECE_BYTES: usize = 16 << 10;

/// `next` for tables and their stand-ins.
const NEXT: &str = r#"
local next, type, reals, wrong = ...
return function(...)
    local table, key = ...
    if type(table) ~= 'table' then wrong(...) end
    return next(reals[table] or table, key)
end
"#;

/// `unpack` with the check that Lua's own would make if C did not take a sum of integers for what
/// never overflows.
const UNPACK: &str = r#"
local unpack, type, wrong, limit = ...
return function(...)
    local list, first, last = ...
    if type(list) ~= 'table' then wrong(...) end
    if first ~= nil or last ~= nil then
        wrong(...)
    elseif #list > limit then
        wrong(list, 1, #list)
    end
    return unpack(...)
end
"#;

/// The most results of `unpack` (`LUAI_MAXCSTACK`), with its arguments.
const UNPACKED: i64 = 8000;

/// Replaces what is ours in `globals`.
pub fn open(lua: &Lua, globals: &Table, readonly: &Readonly) -> Result<()> {
    open_metatables(lua, globals, readonly)?;
    open_raw(lua, globals, readonly)?;
    open_walks(lua, globals, readonly)?;
    let own: (Function, Function) = (globals.raw_get("unpack")?, globals.raw_get("type")?);
    let wrong = lua.create_function(check_unpacked)?;
    let unpack: Function = in_lua(lua, UNPACK)?.call((own.0, own.1, wrong, UNPACKED - 1))?;
    globals.raw_set("unpack", unpack)?;
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
        let got = values.front().map_or("no value", type_name);
        let message = format!("bad argument #1 to 'next' (table expected, got {got})");
        Err(raise::at_level(lua, 2, message))
    })?;
    let next: Function =
        in_lua(lua, NEXT)?.call((own_next.clone(), kind, readonly.index().clone(), wrong))?;
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

/// Fails for arguments that `unpack` refuses. The script is two levels above.
fn check_unpacked(lua: &Lua, values: MultiValue) -> Result<()> {
    let count = values.len() as i64;
    let name = lua.inspect_stack(1, |debug| debug.names().name.map(|name| name.into_owned()));
    let name = name.flatten().unwrap_or_else(|| "?".to_owned());
    let wrong = |index: usize, expected: &str, got: &str| {
        raise::at_level(lua, 2, format!("bad argument #{index} to '{name}' ({expected} expected, got {got})"))
    };
    let mut values = values.into_iter();
    let list = match values.next() {
        Some(Value::Table(list)) => list,
        other => return Err(wrong(1, "table", other.as_ref().map_or("no value", type_name))),
    };
    let mut bounds = [1, list.raw_len() as i64];
    for (index, value) in values.take(2).enumerate() {
        if value.is_nil() {
            continue;
        }
        let got = type_name(&value);
        let number = Arguments::new(lua, MultiValue::from_iter([value])).number(1);
        bounds[index] = i64::from(integer_of(number.map_err(|_| wrong(index + 2, "number", got))?) as i32);
    }
    let results = bounds[1] - bounds[0] + 1;
    if results > 0 && results + count.min(3) > UNPACKED {
        return Err(raise::at_level(lua, 2, "too many results to unpack"));
    }
    Ok(())
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
/// what it does in Redis when nothing was changed, and changes nothing: a later script would see
/// it.
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
        let text = Rc::new(RefCell::new(text));
        let pieces = lua.create_function_mut(reader(text.clone()))?;
        let results = self.load.call((pieces, name));
        // The function lives until Lua collects it; the text need not.
        text.take();
        let mut results: MultiValue = results?;
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
fn reader(text: Rc<RefCell<Vec<u8>>>) -> impl FnMut(&Lua, ()) -> Result<Option<LuaString>> {
    // Compiled code begins with an escape, and is no text: with a space before it Lua says so.
    let mut space = text.borrow().first() == Some(&0x1B);
    let mut read = 0;
    move |lua, ()| {
        if std::mem::take(&mut space) {
            return lua.create_string(" ").map(Some);
        }
        let text = text.borrow();
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

#[cfg(test)]
mod tests {
    use crate::script::testing::{run_sealed, sealed};

    /// Chunks with what redis-server 7.0.15 answers.
    #[test]
    fn the_functions_answer_as_in_redis() {
        let error = "error: user_script:1:";
        let rows = [
            ("return {unpack({1,2,3})}", "[1 2 3]".to_owned()),
            ("return {unpack({1,2,3}, '2', 3)}", "[2 3]".to_owned()),
            ("local x = unpack({}, 2^31, 1)", format!("{error} too many results to unpack")),
            ("local x = unpack({}, 1, 9000)", format!("{error} too many results to unpack")),
            (
                "local x = unpack(nil)",
                format!("{error} bad argument #1 to 'unpack' (table expected, got nil)"),
            ),
            (
                "local u = unpack local x = u(nil)",
                format!("{error} bad argument #1 to 'u' (table expected, got nil)"),
            ),
            (
                "local x = unpack({}, 'q')",
                format!("{error} bad argument #2 to 'unpack' (number expected, got string)"),
            ),
            ("return pairs(nil)", format!("{error} bad argument #1 to 'pairs' (table expected, got nil)")),
            ("local x = next()", format!("{error} bad argument #1 to 'next' (table expected, got no value)")),
            ("return next({},1)", "error: invalid key to 'next'".to_owned()),
            ("return rawset({},nil,1)", "error: table index is nil".to_owned()),
            ("return rawget({})", format!("{error} bad argument #2 to 'rawget' (value expected)")),
            (
                "return setmetatable({},1)",
                format!("{error} bad argument #2 to 'setmetatable' (nil or table expected)"),
            ),
            (
                "return setmetatable(setmetatable({},{__metatable=1}),{})",
                format!("{error} cannot change a protected metatable"),
            ),
            ("return getmetatable()", format!("{error} bad argument #1 to 'getmetatable' (value expected)")),
            (
                "return {tostring(collectgarbage('stop')),collectgarbage(),collectgarbage('setpause',100)}",
                "[0 0 200]".to_owned(),
            ),
            (
                "collectgarbage('foo')",
                format!("{error} bad argument #1 to 'collectgarbage' (invalid option 'foo')"),
            ),
        ];
        check(&rows);
    }

    #[test]
    fn chunks_are_text_in_the_same_environment() {
        let error = "error: user_script:1:";
        let rows = [
            ("return loadstring('return KEYS', nil) and 1", "1".to_owned()),
            (
                "local f,e=loadstring('\\27Lua') return e",
                "[string \"\u{1b}Lua\"]:1: unexpected symbol near 'char(27)'".to_owned(),
            ),
            ("return tostring(loadstring(string.dump(function() return 1 end)))", "nil".to_owned()),
            ("local n=0 return load(function() n=n+1 return ({'return',' ',5})[n] end)()", "5".to_owned()),
            ("return type(load(function() return nil end))", "function".to_owned()),
            ("local f,e=loadstring('x x','=foo') return e", "foo:1: '=' expected near 'x'".to_owned()),
            (
                "return load('return 1')",
                format!("{error} bad argument #1 to 'load' (function expected, got string)"),
            ),
            (
                "return load(function() end, {})",
                format!("{error} bad argument #2 to 'load' (string expected, got table)"),
            ),
            (
                "return loadstring()",
                format!("{error} bad argument #1 to 'loadstring' (string expected, got no value)"),
            ),
            (
                "loadstring('x=1')()",
                "error: [string \"x=1\"]:1: Attempt to modify a readonly table".to_owned(),
            ),
        ];
        check(&rows);
    }

    fn check(rows: &[(&str, String)]) {
        let (lua, sealed) = sealed();
        for (chunk, expected) in rows {
            assert_eq!(run_sealed(&lua, &sealed, chunk), *expected, "{chunk}");
        }
    }
}
