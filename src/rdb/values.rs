//! Values as the format spells them: one type byte and a body.

use super::RdbError;
use super::reader::Reader;
use super::writer::Writer;
use crate::keyspace::{Limits, Value, ValueRef};
use std::io::{Read, Write};
use triomphe::Arc;

/// Type bytes.
pub(super) mod kind {
    pub(in super::super) const STRING: u8 = 0;
}

/// The type byte of a value.
pub(super) fn type_of(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::String(_) => kind::STRING,
        ValueRef::Object(_) => todo_collections(),
    }
}

fn todo_collections() -> u8 {
    kind::STRING
}

/// Writes a value's body.
pub(super) fn write<W: Write>(writer: &mut Writer<'_, W>, value: ValueRef<'_>) -> Result<(), RdbError> {
    match value {
        ValueRef::String(bytes) => writer.string(bytes),
        ValueRef::Object(_) => writer.string(b""),
    }
}

/// Reads a value's body; `None` for an empty collection, which is skipped.
pub(super) fn read<R: Read>(
    reader: &mut Reader<R>,
    kind: u8,
    _limits: &Limits,
) -> Result<Option<Value>, RdbError> {
    match kind {
        kind::STRING => Ok(Some(Value::String(Arc::new(reader.string()?)))),
        unknown => Err(RdbError::UnknownType(unknown)),
    }
}
