//! The library `struct`: values as the bytes of a structure of C, and back.

mod format;
mod pack;
mod unpack;

use crate::script::arguments::{Arguments, bytes, integer_of};
use crate::script::{meter, raise};
use format::{Format, Item};
use mlua::{Lua, MultiValue, Result, Table};

/// Makes the table `struct`.
pub fn open(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("pack", meter::function(lua, pack::pack)?)?;
    table.raw_set("unpack", meter::function(lua, unpack::unpack)?)?;
    table.raw_set("size", meter::function(lua, size)?)?;
    Ok(table)
}

/// The size of a structure without strings of their own length.
fn size(lua: &Lua, values: MultiValue) -> Result<i64> {
    let arguments = Arguments::new(lua, values);
    let text = arguments.string(1)?;
    let text = bytes(&text);
    let mut format = Format::new(lua, &text);
    let mut size = 0usize;
    while let Some(field) = format.next_field(size)? {
        size = size.wrapping_add(field.padding);
        match field.item {
            Item::Terminated => return Err(raise::argument(lua, 1, "option 's' has no fixed size")),
            Item::Characters if field.size == 0 => {
                return Err(raise::argument(lua, 1, "option 'c0' has no fixed size"));
            }
            // Letters of no meaning are nothing here, and an error when a structure is made.
            Item::Control(option) if !option.is_ascii_alphanumeric() => format.control(option)?,
            _ => size = size.wrapping_add(field.size),
        }
    }
    Ok(size as i64)
}

/// A number as C makes an unsigned integer of 64 bits of it. What does not fit becomes what the
/// processor makes of it.
fn unsigned_of(number: f64) -> u64 {
    const HALF: f64 = 9_223_372_036_854_775_808.0;
    if number >= HALF { integer_of(number - HALF) as u64 ^ 1 << 63 } else { integer_of(number) as u64 }
}

#[cfg(test)]
mod tests;
