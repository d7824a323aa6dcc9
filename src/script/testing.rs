//! Lua for the tests of libraries: one library beside Lua's own, and no server.

use super::meter::Meter;
use super::raise::Raised;
use mlua::{Error, Lua, LuaOptions, Result, StdLib, Table, Value};

/// A Lua state with the library that `open` makes, as the global `name`. Memory is limited to 64 MiB.
pub(crate) fn lua_with(name: &str, open: impl FnOnce(&Lua) -> Result<Table>) -> Lua {
    let libs = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    let lua = Lua::new_with(libs, LuaOptions::default()).expect("a Lua state");
    lua.set_app_data(Meter::new(64 << 20));
    let table = open(&lua).expect("the library opens");
    lua.globals().raw_set(name, table).expect("a global is set");
    lua
}

/// Runs `chunk` as a script and returns its result as text: strings as they are, other values as
/// Lua prints them, an error as `error: ` and its text.
pub(crate) fn run(lua: &Lua, chunk: &str) -> String {
    match lua.load(chunk).set_name("@user_script").eval::<Value>() {
        Ok(Value::String(text)) => String::from_utf8_lossy(&text.as_bytes()).into_owned(),
        Ok(value) => value.to_string().unwrap_or_else(|error| format!("error: {error}")),
        Err(error) => format!("error: {}", text_of(&error)),
    }
}

fn text_of(error: &Error) -> String {
    match (Raised::of(error), error) {
        (Some(raised), _) => raised.to_string(),
        (None, Error::RuntimeError(text) | Error::MemoryError(text)) => {
            text.lines().next().unwrap_or_default().to_owned()
        }
        (None, other) => other.to_string(),
    }
}
