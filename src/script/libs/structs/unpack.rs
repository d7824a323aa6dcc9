//! `struct.unpack`.

use super::format::{Endian, Field, Format, INTEGER_BYTES, Item};
use super::unsigned_of;
use crate::script::arguments::{Arguments, bytes};
use crate::script::libs::nest::{HELD_RESULTS, RESULTS, SLOTS};
use crate::script::libs::work::Work;
use crate::script::raise;
use mlua::{Lua, MultiValue, Result, Value};

/// A structure that is read.
struct Reader<'a> {
    work: Work<'a>,
    data: &'a [u8],
    /// Bytes of it that are done; may be beyond the end.
    position: usize,
    results: Vec<Value>,
    strings: usize,
    /// Results for which there is room.
    room: usize,
}

/// The values that the bytes stand for, and the position behind them.
pub(super) fn unpack(lua: &Lua, values: MultiValue) -> Result<MultiValue> {
    let arguments = Arguments::new(lua, values);
    let (text, data) = (arguments.string(1)?, arguments.string(2)?);
    let (text, data) = (bytes(&text), bytes(&data));
    let start = arguments.integer_or(3, 1)?;
    if start == 0 {
        return Err(raise::argument(lua, 3, "offset must be 1 or greater"));
    }
    let mut format = Format::new(lua, &text);
    let mut reader = Reader {
        work: Work::new(lua),
        data: &data,
        position: (start as usize).wrapping_sub(1),
        results: Vec::new(),
        strings: 0,
        room: SLOTS.saturating_sub(arguments.len()).min(RESULTS),
    };
    while let Some(field) = format.next_field(reader.position)? {
        reader.position = reader.position.wrapping_add(field.padding);
        reader.check(field)?;
        match field.item {
            Item::Control(option) => format.control(option)?,
            _ => reader.read(field, format.endian)?,
        }
    }
    reader.results.push(Value::Number(reader.position.wrapping_add(1) as i64 as f64));
    Ok(MultiValue::from_vec(reader.results))
}

impl Reader<'_> {
    /// Fails if there is no room for the field, in the data or among the results.
    fn check(&self, field: Field) -> Result<()> {
        self.bytes(field.size)?;
        // One for the result, one for the position at the end.
        if self.results.len() + 2 > self.room || self.strings > HELD_RESULTS {
            return Err(raise::at_caller(self.work.lua(), "stack overflow (too many results)"));
        }
        Ok(())
    }

    /// The next `size` bytes.
    fn bytes(&self, size: usize) -> Result<&[u8]> {
        let end = self.position.checked_add(size);
        let bytes = end.and_then(|end| self.data.get(self.position..end));
        bytes.ok_or_else(|| raise::argument(self.work.lua(), 2, "data string too short"))
    }

    fn read(&mut self, field: Field, endian: Endian) -> Result<()> {
        let value = match field.item {
            Item::Characters if field.size == 0 => return self.sized_text(),
            Item::Characters => return self.text(field.size, 0),
            Item::Terminated => return self.terminated_text(),
            Item::Padding | Item::Control(_) => None,
            Item::Float => Some(f64::from(f32::from_le_bytes(self.ordered(4, endian)?))),
            Item::Double => Some(f64::from_le_bytes(self.ordered(8, endian)?)),
            Item::Signed => Some(signed(self.integer(field.size, endian)?, field.size)),
            Item::Unsigned => Some(self.integer(field.size, endian)? as f64),
        };
        self.results.extend(value.map(Value::Number));
        self.position += field.size;
        Ok(())
    }

    /// The next `size` bytes, the lowest first, with zeros behind them.
    fn ordered<const N: usize>(&self, size: usize, endian: Endian) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes[..size].copy_from_slice(self.bytes(size)?);
        if endian == Endian::Big {
            bytes[..size].reverse();
        }
        Ok(bytes)
    }

    /// The low 64 bits of an integer.
    fn integer(&self, size: usize, endian: Endian) -> Result<u64> {
        let bytes: [u8; INTEGER_BYTES] = self.ordered(size, endian)?;
        let mut low = [0; 8];
        low.copy_from_slice(&bytes[..8]);
        Ok(u64::from_le_bytes(low))
    }

    /// Characters whose number the last result says, which is no result then.
    fn sized_text(&mut self) -> Result<()> {
        let lua = self.work.lua();
        let size = match self.results.last() {
            Some(last) => lua.coerce_number(last.clone())?,
            None => None,
        };
        let Some(size) = size else {
            return Err(raise::at_caller(lua, "format 'c0' needs a previous size"));
        };
        self.strings -= usize::from(matches!(self.results.pop(), Some(Value::String(_))));
        self.text(usize::try_from(unsigned_of(size)).unwrap_or(usize::MAX), 0)
    }

    fn terminated_text(&mut self) -> Result<()> {
        let rest = self.bytes(0).map(|_| &self.data[self.position..])?;
        match memchr::memchr(0, rest) {
            Some(size) => self.text(size, 1),
            None => Err(raise::at_caller(self.work.lua(), "unfinished string in data")),
        }
    }

    /// Takes `size` characters, and `skipped` bytes behind them.
    fn text(&mut self, size: usize, skipped: usize) -> Result<()> {
        let text = self.work.lua().create_string(self.bytes(size)?)?;
        self.work.add(size)?;
        self.results.push(Value::String(text));
        self.strings += 1;
        self.position += size + skipped;
        Ok(())
    }
}

/// An integer of `size` bytes whose highest bit is a sign. The shift of sizes above eight wraps, as
/// the processor does it.
fn signed(integer: u64, size: usize) -> f64 {
    let sign = u64::MAX.wrapping_shl((size as u32).wrapping_mul(8).wrapping_sub(1));
    let integer = if integer & sign == 0 { integer } else { integer | sign };
    integer as i64 as f64
}
