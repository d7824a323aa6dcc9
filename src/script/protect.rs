//! Calls of a script's functions from Rust code, which keep what the functions raise.
//!
//! mlua's own call makes a text of every error, with a trace of the stack. Here Lua's `pcall`
//! catches the error first, so that it stays the value it is.

use super::raise;
use mlua::{Function, IntoLuaMulti, Lua, MultiValue, Result, Value};

/// Lua's own `pcall`, which scripts do not have; kept as application data.
struct CatchingCall(Function);

/// Keeps Lua's own `pcall`, before a script's one takes its place.
pub fn keep(lua: &Lua, catching_call: Function) {
    lua.set_app_data(CatchingCall(catching_call));
}

/// Calls `function`. The inner error is the value that a script would catch; the outer one is the
/// end of the script.
pub fn try_call(
    lua: &Lua,
    function: &Function,
    arguments: impl IntoLuaMulti,
) -> Result<std::result::Result<MultiValue, Value>> {
    let catching_call = lua.app_data_ref::<CatchingCall>().map(|kept| kept.0.clone());
    let Some(catching_call) = catching_call else { return function.call(arguments).map(Ok) };
    let mut all = arguments.into_lua_multi(lua)?;
    all.push_front(Value::Function(function.clone()));
    let mut results: MultiValue = catching_call.call(all)?;
    if matches!(results.pop_front(), Some(Value::Boolean(true))) {
        return Ok(Ok(results));
    }
    caught(lua, results.pop_front().unwrap_or(Value::Nil)).map(Err)
}

/// Calls `function`; an error goes on as it is.
pub fn call(lua: &Lua, function: &Function, arguments: impl IntoLuaMulti) -> Result<MultiValue> {
    try_call(lua, function, arguments)?.map_err(raise::value)
}

/// What a script sees of `value`, which was caught. The error is the end of the script.
pub fn caught(lua: &Lua, value: Value) -> Result<Value> {
    match raise::unwrap(lua, value) {
        Value::Error(error) => Err(*error),
        value => Ok(value),
    }
}
