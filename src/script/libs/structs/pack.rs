//! `struct.pack`.

use super::format::{Endian, Field, Format, INTEGER_BYTES, Item};
use super::unsigned_of;
use crate::script::arguments::{Arguments, bytes};
use crate::script::libs::output::Output;
use crate::script::raise;
use mlua::{Lua, LuaString, MultiValue, Result, Value};

/// The values as bytes.
pub(super) fn pack(lua: &Lua, mut values: MultiValue) -> Result<LuaString> {
    // Where an argument is missing the original finds a nil, which its errors tell.
    if !values.is_empty() {
        values.push_back(Value::Nil);
    }
    let arguments = Arguments::new(lua, values);
    let text = arguments.string(1)?;
    let text = bytes(&text);
    let mut format = Format::new(lua, &text);
    let mut output = Output::new(lua);
    let mut index = 1;
    while let Some(field) = format.next_field(output.len())? {
        output.extend(&[0; INTEGER_BYTES][..field.padding])?;
        index += usize::from(!matches!(field.item, Item::Padding | Item::Control(_)));
        match field.item {
            Item::Control(option) => format.control(option)?,
            _ => write(&mut output, field, format.endian, &arguments, index)?,
        }
    }
    output.finish()
}

/// Writes argument `index` as the field says.
fn write(
    output: &mut Output<'_>,
    field: Field,
    endian: Endian,
    arguments: &Arguments<'_>,
    index: usize,
) -> Result<()> {
    match field.item {
        Item::Padding => output.push(0),
        Item::Characters | Item::Terminated => write_text(output, field, arguments, index),
        Item::Float => ordered(output, (arguments.number(index)? as f32).to_le_bytes(), 4, endian),
        Item::Double => ordered(output, arguments.number(index)?.to_le_bytes(), 8, endian),
        _ => {
            let mut bytes = [0; INTEGER_BYTES];
            bytes[..8].copy_from_slice(&unsigned_of(arguments.number(index)?).to_le_bytes());
            ordered(output, bytes, field.size, endian)
        }
    }
}

/// Writes the first `size` of `bytes`, the lowest of which is the first.
fn ordered<const N: usize>(
    output: &mut Output<'_>,
    mut bytes: [u8; N],
    size: usize,
    endian: Endian,
) -> Result<()> {
    if endian == Endian::Big {
        bytes[..size].reverse();
    }
    output.extend(&bytes[..size])
}

fn write_text(output: &mut Output<'_>, field: Field, arguments: &Arguments<'_>, index: usize) -> Result<()> {
    let text = arguments.string(index)?;
    let text = bytes(&text);
    let size = if field.size == 0 { text.len() } else { field.size };
    let Some(text) = text.get(..size) else {
        // The original counts on before it looks.
        return Err(raise::argument(output.lua(), index + 1, "string too short"));
    };
    output.extend(text)?;
    if field.item == Item::Terminated { output.push(0) } else { Ok(()) }
}
