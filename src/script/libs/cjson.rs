//! The library `cjson`: values as JSON, and back.

mod decode;
mod encode;
mod number;
mod settings;
mod token;

use crate::script::meter;
use mlua::{Lua, MultiValue, Result, Table, Value};
use settings::Settings;
use std::rc::Rc;

/// Makes the table `cjson`, with settings of its own. What a script sets holds for all later ones.
pub fn open(lua: &Lua) -> Result<Table> {
    let settings = Rc::new(Settings::new(lua)?);
    let table = lua.create_table()?;
    let with = |act: fn(&Lua, &Settings, MultiValue) -> Result<MultiValue>| {
        let settings = Rc::clone(&settings);
        meter::function(lua, move |lua, values| act(lua, &settings, values))
    };
    table.raw_set("encode", with(encode::encode)?)?;
    table.raw_set("decode", with(decode::decode)?)?;
    table.raw_set("encode_sparse_array", with(settings::encode_sparse_array)?)?;
    table.raw_set("encode_max_depth", with(settings::encode_max_depth)?)?;
    table.raw_set("decode_max_depth", with(settings::decode_max_depth)?)?;
    table.raw_set("encode_number_precision", with(settings::encode_number_precision)?)?;
    table.raw_set("encode_keep_buffer", with(settings::encode_keep_buffer)?)?;
    table.raw_set("encode_invalid_numbers", with(settings::encode_invalid_numbers)?)?;
    table.raw_set("decode_invalid_numbers", with(settings::decode_invalid_numbers)?)?;
    table.raw_set("new", meter::function(lua, |lua, _: MultiValue| open(lua))?)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// An error of this library.
enum Fault {
    /// A line that gets the position of the script before it.
    Line(String),
    /// One that is as it should be.
    Other(mlua::Error),
}

/// What a part of this library gives, or the error.
type Done<T> = std::result::Result<T, Fault>;

impl From<mlua::Error> for Fault {
    fn from(error: mlua::Error) -> Self {
        Fault::Other(error)
    }
}

impl Fault {
    /// The error for the script, made where the function of the library runs.
    fn raise(self, lua: &Lua) -> mlua::Error {
        match self {
            Fault::Line(text) => crate::script::raise::at_caller(lua, text),
            Fault::Other(error) => error,
        }
    }
}

#[cfg(test)]
mod tests;
