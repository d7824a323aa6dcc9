//! Values as the format spells them: one type byte and a body.
//!
//! Written are the forms of Redis 7.0: what is small goes out as the flat bytes it is in memory.

use super::collections::{Nodes, PACKED_NODE, PLAIN_NODE, Scores};
use super::error::RdbError;
use super::reader::RdbReader;
use super::streams::{self, StreamVersion};
use super::writer::Writer;
use crate::ds::chunk_list::ChunkRef;
use crate::ds::listpack::Listpack;
use crate::keyspace::sorted_set::Direction;
use crate::keyspace::{Collection, EncodingLimits, Value, ValueRef};
use std::io::{BufRead, Write};
use triomphe::Arc;

/// Header, length and end of a listpack of one element.
const MAX_LISTPACK_OVERHEAD: usize = 17;

/// The type byte of a string.
pub(super) const STRING: u8 = kind::STRING;

/// Type bytes.
mod kind {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const SORTED_SET: u8 = 3;
    pub(super) const HASH: u8 = 4;
    pub(super) const SORTED_SET_2: u8 = 5;
    pub(super) const MODULE: u8 = 6;
    pub(super) const MODULE_2: u8 = 7;
    pub(super) const HASH_ZIPMAP: u8 = 9;
    pub(super) const LIST_ZIPLIST: u8 = 10;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const SORTED_SET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    pub(super) const LIST_QUICKLIST: u8 = 14;
    pub(super) const STREAM: u8 = 15;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const SORTED_SET_LISTPACK: u8 = 17;
    pub(super) const LIST_QUICKLIST_2: u8 = 18;
    pub(super) const STREAM_2: u8 = 19;
    pub(super) const SET_LISTPACK: u8 = 20;
    pub(super) const STREAM_3: u8 = 21;
    pub(super) const HASH_METADATA_PRE_GA: u8 = 22;
    pub(super) const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    pub(super) const HASH_METADATA: u8 = 24;
    pub(super) const HASH_LISTPACK_EX: u8 = 25;
}

/// The type byte of a value.
pub(super) fn type_of(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::String(_) | ValueRef::Object(Value::String(_)) => kind::STRING,
        ValueRef::Object(Value::List(_)) => kind::LIST_QUICKLIST_2,
        ValueRef::Object(Value::Set(set)) if set.as_intset().is_some() => kind::SET_INTSET,
        ValueRef::Object(Value::Set(_)) => kind::SET,
        ValueRef::Object(Value::SortedSet(set)) if set.as_listpack().is_some() => kind::SORTED_SET_LISTPACK,
        ValueRef::Object(Value::SortedSet(_)) => kind::SORTED_SET_2,
        ValueRef::Object(Value::Hash(hash)) if hash.as_listpack().is_some() => kind::HASH_LISTPACK,
        ValueRef::Object(Value::Hash(_)) => kind::HASH,
        ValueRef::Object(Value::Stream(_)) => kind::STREAM_2,
    }
}

/// Returns the meaning of a type byte, in the words of TYPE; `None` if it has none.
pub(super) fn type_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        kind::STRING => "string",
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => "list",
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => "set",
        kind::SORTED_SET | kind::SORTED_SET_2 | kind::SORTED_SET_ZIPLIST | kind::SORTED_SET_LISTPACK => {
            "zset"
        }
        kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => "hash",
        kind::HASH_METADATA_PRE_GA | kind::HASH_LISTPACK_EX_PRE_GA => "hash",
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => "hash",
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => "stream",
        kind::MODULE | kind::MODULE_2 => "module",
        _ => return None,
    })
}

/// Writes a value's body.
pub(super) fn write<W: Write>(writer: &mut Writer<'_, W>, value: ValueRef<'_>) -> Result<(), RdbError> {
    match value {
        ValueRef::String(bytes) => writer.string(bytes),
        ValueRef::Object(value) => write_object(writer, value),
    }
}

fn write_object<W: Write>(writer: &mut Writer<'_, W>, value: &Value) -> Result<(), RdbError> {
    match value {
        Value::String(bytes) => writer.string(bytes),
        Value::List(list) => {
            writer.length(list.elements.chunk_count() as u64)?;
            list.elements.chunks().try_for_each(|chunk| match chunk {
                ChunkRef::Packed(listpack) => {
                    writer.length(PACKED_NODE)?;
                    writer.string(listpack.as_bytes())
                }
                ChunkRef::Plain(element) => write_long_element(writer, element),
            })
        }
        Value::Set(set) => match set.as_intset() {
            Some(ints) => writer.string(ints.as_bytes()),
            None => {
                writer.length(set.len() as u64)?;
                set.iter().try_for_each(|member| member.with_bytes(|member| writer.string(member)))
            }
        },
        Value::SortedSet(set) => match set.as_listpack() {
            Some(pairs) => writer.string(pairs.as_bytes()),
            None => {
                writer.length(set.len() as u64)?;
                // Redis: from the highest score down, which a skiplist takes in fastest.
                set.walk(0..set.len(), Direction::Descending).try_for_each(|(member, score)| {
                    member.with_bytes(|member| writer.string(member))?;
                    writer.raw(&score.to_le_bytes())
                })
            }
        },
        Value::Hash(hash) => match hash.as_listpack() {
            Some(pairs) => writer.string(pairs.as_bytes()),
            None => {
                writer.length(hash.len() as u64)?;
                hash.iter().try_for_each(|(field, value)| {
                    field.with_bytes(|field| writer.string(field))?;
                    value.with_bytes(|value| writer.string(value))
                })
            }
        },
        Value::Stream(stream) => streams::write(writer, stream),
    }
}

/// Redis: before 7.2 only what no listpack can hold goes out plain, whatever the size of nodes.
fn write_long_element<W: Write>(writer: &mut Writer<'_, W>, element: &[u8]) -> Result<(), RdbError> {
    let mut node = Listpack::with_capacity(element.len() + MAX_LISTPACK_OVERHEAD);
    if node.push_back(element).is_ok() {
        writer.length(PACKED_NODE)?;
        return writer.string(node.as_bytes());
    }
    writer.length(PLAIN_NODE)?;
    writer.string(element)
}

/// Reads a value's body; `None` for an empty collection, which is skipped.
pub(super) fn read<R: BufRead>(
    reader: &mut RdbReader<R>,
    kind: u8,
    limits: &EncodingLimits,
) -> Result<Option<Value>, RdbError> {
    let value = match kind {
        kind::STRING => return Ok(Some(Value::String(Arc::new(reader.string()?)))),
        kind::LIST => reader.list(limits)?.into_value(),
        kind::LIST_ZIPLIST => reader.list_of_ziplist(limits)?.into_value(),
        kind::LIST_QUICKLIST => reader.quicklist(Nodes::Ziplists, limits)?.into_value(),
        kind::LIST_QUICKLIST_2 => reader.quicklist(Nodes::Marked, limits)?.into_value(),
        kind::SET => reader.set(limits)?.into_value(),
        kind::SET_INTSET => reader.set_of_intset(limits)?.into_value(),
        kind::SET_LISTPACK => reader.set_of_listpack(limits)?.into_value(),
        kind::SORTED_SET => reader.sorted_set(Scores::Text, limits)?.into_value(),
        kind::SORTED_SET_2 => reader.sorted_set(Scores::Binary, limits)?.into_value(),
        kind::SORTED_SET_ZIPLIST => reader.sorted_set_of_ziplist(limits)?.into_value(),
        kind::SORTED_SET_LISTPACK => reader.sorted_set_of_listpack(limits)?.into_value(),
        kind::HASH => reader.hash(limits)?.into_value(),
        kind::HASH_ZIPMAP => reader.hash_of_zipmap(limits)?.into_value(),
        kind::HASH_ZIPLIST => reader.hash_of_ziplist(limits)?.into_value(),
        kind::HASH_LISTPACK => reader.hash_of_listpack(limits)?.into_value(),
        kind::STREAM => reader.stream(StreamVersion::First)?.into_value(),
        kind::STREAM_2 => reader.stream(StreamVersion::Second)?.into_value(),
        kind::STREAM_3 => reader.stream(StreamVersion::Third)?.into_value(),
        kind::HASH_METADATA | kind::HASH_LISTPACK_EX => {
            return Err(RdbError::Unsupported("a hash with fields that expire (Redis 7.4)"));
        }
        kind::HASH_METADATA_PRE_GA | kind::HASH_LISTPACK_EX_PRE_GA => {
            return Err(RdbError::Unsupported("a hash of a release candidate of Redis 7.4"));
        }
        kind::MODULE => return Err(RdbError::Unsupported("a value of a module's first format")),
        kind::MODULE_2 => return Err(RdbError::ModuleValue(reader.module_name()?)),
        unknown => return Err(RdbError::UnknownType(unknown)),
    };
    Ok((!value.is_empty()).then_some(value))
}
