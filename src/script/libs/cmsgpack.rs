//! The library `cmsgpack`: values as MessagePack, and back.

mod pack;
mod unpack;

use crate::script::meter;
use mlua::{Lua, Result, Table};

/// Makes the table `cmsgpack`.
pub fn open(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("pack", meter::function(lua, pack::pack)?)?;
    table.raw_set("unpack", meter::function(lua, unpack::unpack)?)?;
    table.raw_set("unpack_one", meter::function(lua, unpack::unpack_one)?)?;
    table.raw_set("unpack_limit", meter::function(lua, unpack::unpack_limit)?)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

#[cfg(test)]
mod tests;
