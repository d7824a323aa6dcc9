//! The libraries of scripts, each in a file: `open` makes its table.

pub mod base;
pub mod bit;
pub mod cjson;
pub mod cmsgpack;
pub mod coroutine;
pub mod deprecated;
pub mod math;
mod nest;
mod output;
pub mod string;
pub mod structs;
pub mod table;
mod work;

use mlua::{Function, Lua, Result};

/// Compiles code of ours in Lua. It has the name of Lua's own functions.
fn in_lua(lua: &Lua, code: &str) -> Result<Function> {
    lua.load(code).set_name("=[C]").into_function()
}

#[cfg(test)]
mod hostile_tests;
