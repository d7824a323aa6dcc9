//! `cmsgpack.pack`.

use crate::script::arguments::bytes;
use crate::script::libs::nest::SLOTS;
use crate::script::libs::output::Output;
use crate::script::raise;
use mlua::{Error, Lua, LuaString, MultiValue, Result, Table, Value};

/// Tables in tables that are written; one further down becomes nil.
const DEPTH: usize = 16;
/// Work of a step that looks up a value of Lua's.
const STEP_WORK: usize = 8;

/// The values, one behind the other.
pub(super) fn pack(lua: &Lua, values: MultiValue) -> Result<LuaString> {
    if values.is_empty() {
        return Err(raise::argument(lua, 0, "MessagePack pack needs input."));
    }
    if 2 * values.len() > SLOTS {
        return Err(raise::argument(lua, 0, "Too many arguments for MessagePack pack."));
    }
    let mut output = Output::new(lua);
    for value in &values {
        write(&mut output, value, 0)?;
    }
    output.finish()
}

/// Writes a value that stands in `depth` tables.
fn write(output: &mut Output<'_>, value: &Value, depth: usize) -> Result<()> {
    output.work(STEP_WORK)?;
    match value {
        Value::String(text) => write_text(output, &bytes(text)),
        Value::Boolean(value) => output.push(0xc2 + u8::from(*value)),
        Value::Integer(value) => write_integer(output, *value),
        Value::Number(value) => write_number(output, *value),
        Value::Table(table) if depth < DEPTH => write_table(output, table, depth + 1),
        _ => output.push(0xc0),
    }
}

fn write_text(output: &mut Output<'_>, text: &[u8]) -> Result<()> {
    let length = text.len();
    match length {
        0..32 => output.push(0xa0 | length as u8)?,
        32..0x100 => output.extend(&[0xd9, length as u8])?,
        _ => write_length(output, length, 0xda)?,
    }
    output.extend(text)
}

/// A length of 16 bits behind `mark`, or of 32 behind the mark that follows it.
fn write_length(output: &mut Output<'_>, length: usize, mark: u8) -> Result<()> {
    match u16::try_from(length) {
        Ok(length) => write_marked(output, mark, length.to_be_bytes()),
        Err(_) => write_marked(output, mark + 1, (length as u32).to_be_bytes()),
    }
}

fn write_marked<const N: usize>(output: &mut Output<'_>, mark: u8, bytes: [u8; N]) -> Result<()> {
    output.push(mark)?;
    output.extend(&bytes)
}

/// A number is an integer where one of 64 bits equals it.
fn write_number(output: &mut Output<'_>, number: f64) -> Result<()> {
    let integer = number as i64;
    if integer as f64 == number && integer < i64::MAX {
        return write_integer(output, integer);
    }
    let short = number as f32;
    if f64::from(short) == number {
        return write_marked(output, 0xca, short.to_be_bytes());
    }
    write_marked(output, 0xcb, number.to_be_bytes())
}

fn write_integer(output: &mut Output<'_>, number: i64) -> Result<()> {
    match number {
        -32..0x80 => output.push(number as u8),
        0x80..0x100 => write_marked(output, 0xcc, [number as u8]),
        0x100..0x1_0000 => write_marked(output, 0xcd, (number as u16).to_be_bytes()),
        0x1_0000..0x1_0000_0000 => write_marked(output, 0xce, (number as u32).to_be_bytes()),
        0x1_0000_0000.. => write_marked(output, 0xcf, number.to_be_bytes()),
        -0x80..-32 => write_marked(output, 0xd0, [number as u8]),
        -0x8000..-0x80 => write_marked(output, 0xd1, (number as i16).to_be_bytes()),
        -0x8000_0000..-0x8000 => write_marked(output, 0xd2, (number as i32).to_be_bytes()),
        _ => write_marked(output, 0xd3, number.to_be_bytes()),
    }
}

fn write_table(output: &mut Output<'_>, table: &Table, depth: usize) -> Result<()> {
    match array_length(output, table)? {
        Some(length) => write_array(output, table, length, depth),
        None => write_map(output, table, depth),
    }
}

/// The length of a table whose keys are 1, 2, 3 and so on.
fn array_length(output: &mut Output<'_>, table: &Table) -> Result<Option<usize>> {
    let (mut largest, mut count, mut is_map) = (0, 0, false);
    let outcome = table.for_each(|key: Value, _: bool| match key {
        Value::Integer(key @ 1..=0x7fff_ffff) => {
            largest = largest.max(key as usize);
            count += 1;
            output.work(1)
        }
        _ => {
            is_map = true;
            // Ends the walk; nobody sees it.
            Err(Error::StackError)
        }
    });
    if is_map {
        return Ok(None);
    }
    outcome?;
    Ok((largest == count).then_some(count))
}

fn write_array(output: &mut Output<'_>, table: &Table, length: usize, depth: usize) -> Result<()> {
    match length {
        0..16 => output.push(0x90 | length as u8)?,
        _ => write_length(output, length, 0xdc)?,
    }
    for index in 1..=length {
        write(output, &table.raw_get(index)?, depth)?;
    }
    Ok(())
}

fn write_map(output: &mut Output<'_>, table: &Table, depth: usize) -> Result<()> {
    let mut length = 0;
    table.for_each(|_: bool, _: bool| {
        length += 1;
        output.work(1)
    })?;
    match length {
        0..16 => output.push(0x80 | length as u8)?,
        _ => write_length(output, length, 0xde)?,
    }
    table.for_each(|key: Value, value: Value| {
        write(output, &key, depth)?;
        write(output, &value, depth)
    })
}
