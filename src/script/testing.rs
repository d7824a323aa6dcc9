//! Lua for the tests of libraries: one library beside Lua's own, and no server.

use super::meter::Meter;
use super::protect;
use super::raise::Raised;
use super::sandbox::{self, Sealed};
use mlua::{Error, Lua, LuaOptions, Result, StdLib, Table, Value};

/// A Lua state with the library that `open` makes, as the global `name`. Memory is limited to 64
/// MiB.
pub(crate) fn lua_with(name: &str, open: impl FnOnce(&Lua) -> Result<Table>) -> Lua {
    let libs = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    let lua = Lua::new_with(libs, LuaOptions::default()).expect("a Lua state");
    lua.set_app_data(Meter::new(64 << 20));
    let table = open(&lua).expect("the library opens");
    lua.globals().raw_set(name, table).expect("a global is set");
    lua
}

/// A Lua state as scripts have it, with nothing of Redis's in it: the environment of scripts is the
/// result.
pub(crate) fn sealed() -> (Lua, Sealed) {
    let libs = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    let lua = Lua::new_with(libs, LuaOptions::default()).expect("a Lua state");
    lua.set_app_data(Meter::new(64 << 20));
    sandbox::install(&lua).expect("the sandbox is built");
    let sealed = sandbox::seal(&lua, &[]).expect("the sandbox is sealed");
    (lua, sealed)
}

/// Runs `chunk` as a script in the environment `sealed`, and returns its result as [`run`] does. A
/// list comes back as its elements in brackets.
pub(crate) fn run_sealed(lua: &Lua, sealed: &Sealed, chunk: &str) -> String {
    let chunk = lua.load(chunk).set_name("@user_script").set_environment(sealed.env.clone());
    let result = chunk.into_function().and_then(|function| protect::try_call(lua, &function, ()));
    match result {
        Ok(Ok(values)) => values.front().map_or_else(String::new, shown),
        Ok(Err(value)) => format!("error: {}", shown(&value)),
        Err(error) => format!("error: {}", text_of(&error)),
    }
}

/// A value as text. Lists show what they hold up to the first nil.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => String::from_utf8_lossy(&text.as_bytes()).into_owned(),
        Value::Table(list) => {
            let items = (1..).map_while(|index| match list.raw_get::<Value>(index) {
                Ok(Value::Nil) | Err(_) => None,
                Ok(item) => Some(shown(&item)),
            });
            format!("[{}]", items.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string().unwrap_or_else(|error| format!("error: {error}")),
    }
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
