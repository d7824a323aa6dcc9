//! The format of a structure: [`Format`] reads it field by field.

use crate::base::text::until_nul;
use crate::script::libs::work::Work;
use crate::script::raise;
use mlua::{Lua, Result};

/// The largest integer, bytes.
pub(super) const INTEGER_BYTES: usize = 32;
/// The alignment of `!` without a number, bytes.
const DEFAULT_ALIGNMENT: usize = 8;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An integer that may be below zero.
    Signed,
    /// An integer that is not.
    Unsigned,
    /// A number of four bytes.
    Float,
    /// A number of eight bytes.
    Double,
    /// A byte of no meaning.
    Padding,
    /// So many characters.
    Characters,
    /// Characters up to a zero.
    Terminated,
    /// No field: an option for those that follow, or a mistake.
    Control(u8),
}

/// A field and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// What it holds.
    pub(super) item: Item,
    /// Bytes of it; 0 when it does not say.
    pub(super) size: usize,
    /// Zero bytes before it.
    pub(super) padding: usize,
}

/// The order of an integer's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endian {
    /// The lowest byte first, as the machine has it.
    Little,
    /// The highest byte first.
    Big,
}

/// A format, and the options that hold where it is read.
pub(super) struct Format<'a> {
    work: Work<'a>,
    text: &'a [u8],
    alignment: usize,
    /// The order of bytes that holds.
    pub(super) endian: Endian,
}

impl<'a> Format<'a> {
    /// The format `text`, which a zero ends.
    pub(super) fn new(lua: &'a Lua, text: &'a [u8]) -> Self {
        let text = until_nul(text);
        Format { work: Work::new(lua), text, alignment: 1, endian: Endian::Little }
    }

    /// The next field, which comes behind `position` bytes.
    pub(super) fn next_field(&mut self, position: usize) -> Result<Option<Field>> {
        let Some((&option, rest)) = self.text.split_first() else { return Ok(None) };
        self.work.add(1)?;
        self.text = rest;
        let (item, size) = match option {
            b'b' => (Item::Signed, 1),
            b'B' => (Item::Unsigned, 1),
            b'h' => (Item::Signed, 2),
            b'H' => (Item::Unsigned, 2),
            b'l' => (Item::Signed, 8),
            b'L' | b'T' => (Item::Unsigned, 8),
            b'i' => (Item::Signed, self.integer_size()?),
            b'I' => (Item::Unsigned, self.integer_size()?),
            b'f' => (Item::Float, 4),
            b'd' => (Item::Double, 8),
            b'x' => (Item::Padding, 1),
            b'c' => (Item::Characters, self.number(1)?),
            b's' => (Item::Terminated, 0),
            other => (Item::Control(other), 0),
        };
        let padding = if item == Item::Characters { 0 } else { self.padding(position, size) };
        Ok(Some(Field { item, size, padding }))
    }

    /// Takes an option that is no field.
    pub(super) fn control(&mut self, option: u8) -> Result<()> {
        match option {
            b' ' => {}
            b'>' => self.endian = Endian::Big,
            b'<' => self.endian = Endian::Little,
            b'!' => self.align()?,
            _ => {
                let message = [b"invalid format option '", &[option][..], b"'"].concat();
                return Err(raise::argument(self.work.lua(), 1, message));
            }
        }
        Ok(())
    }

    fn align(&mut self) -> Result<()> {
        let alignment = self.number(DEFAULT_ALIGNMENT)?;
        if !alignment.is_power_of_two() {
            let message = format!("alignment {alignment} is not a power of 2");
            return Err(raise::at_caller(self.work.lua(), message));
        }
        self.alignment = alignment;
        Ok(())
    }

    fn integer_size(&mut self) -> Result<usize> {
        let size = self.number(4)?;
        if size > INTEGER_BYTES {
            let message = format!("integral size {size} is larger than limit of {INTEGER_BYTES}");
            return Err(raise::at_caller(self.work.lua(), message));
        }
        Ok(size)
    }

    /// The digits that come next as a number, which has to fit in an `int` of C.
    fn number(&mut self, default: usize) -> Result<usize> {
        let digits = self.text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.text.split_at(digits);
        self.work.add(digits.len())?;
        self.text = rest;
        if digits.is_empty() {
            return Ok(default);
        }
        let number = digits
            .iter()
            .try_fold(0i32, |number, digit| number.checked_mul(10)?.checked_add(i32::from(digit - b'0')));
        let overflow = || raise::at_caller(self.work.lua(), "integral size overflow");
        number.map(|number| number as usize).ok_or_else(overflow)
    }

    /// Zeros that a field of `size` bytes needs before it. Sizes that are no power of two give what
    /// the formula gives.
    fn padding(&self, position: usize, size: usize) -> usize {
        let size = size.min(self.alignment);
        if size == 0 {
            return 0;
        }
        size.wrapping_sub(position & (size - 1)) & (size - 1)
    }
}
