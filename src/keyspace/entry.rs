//! The parts of an entry of a database, and the views of it.
//!
//! The accessors write entries, the savers and SCAN look at them ([`KeyView`]), RENAME, COPY and
//! MOVE carry them whole ([`Stored`]); all of them agree on one layout, which nobody else needs to
//! know.
//!
//! An entry of the dict is the key, its deadline if it has one, and this payload:
//!
//! ```text
//! +---------------------+----------------+------------------------------------------+
//! | kind (4 bits low),  | access clock   | the string itself, if it is short;       |
//! | string coding       | 3 bytes        | else nothing, and the entry's object     |
//! +---------------------+----------------+------------------------------------------+
//! ```

use super::value::{Kind, Value};
use crate::base::number;
use crate::base::time::UnixMillis;
use crate::ds::dict::EntryRef;

/// The encoding of a string, as OBJECT ENCODING names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringCoding {
    /// A 64-bit integer.
    Int,
    /// At most 44 bytes, not edited in place.
    Embstr,
    /// Anything else.
    Raw,
}

/// An entry taken out of, or to be put into, a database: value, deadline and access history.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(super) payload: Vec<u8>,
    pub(super) object: Option<Value>,
    /// The time at which the key expires.
    pub deadline: Option<UnixMillis>,
}

/// The state of a key at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Missing,
    /// A value whose time is over and that nobody has met since.
    Expired,
    /// A value.
    Alive,
}

impl Stored {
    /// The value.
    #[must_use]
    pub fn value(&self) -> ValueRef<'_> {
        match &self.object {
            None => ValueRef::String(self.payload.get(HEADER..).unwrap_or_default()),
            Some(Value::String(bytes)) => ValueRef::String(bytes),
            Some(object) => ValueRef::Object(object),
        }
    }

    /// True when both are the same value with the same deadline: equal short strings, or one
    /// allocation. Whoever changes a shared value makes another allocation first, so a value that
    /// is held and still the same has not been changed. The time at which it was used does not
    /// matter.
    #[must_use]
    pub fn is_same(&self, other: &Stored) -> bool {
        let objects = match (&self.object, &other.object) {
            (None, None) => self.payload.get(HEADER..) == other.payload.get(HEADER..),
            (Some(one), Some(two)) => one.is_same_allocation(two),
            _ => false,
        };
        objects && self.deadline == other.deadline
    }
}

/// A value seen in place.
#[derive(Clone, Copy, Debug)]
pub enum ValueRef<'a> {
    /// A string.
    String(&'a [u8]),
    /// A collection.
    Object(&'a Value),
}

/// A key with its value, seen in place: what SCAN, OBJECT, DEBUG and the savers need.
#[derive(Clone, Copy, Debug)]
pub struct KeyView<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: ValueRef<'a>,
    /// The time at which the key expires.
    pub deadline: Option<UnixMillis>,
    header: [u8; HEADER],
}

/// Bytes of a payload before the string.
pub(super) const HEADER: usize = 4;
/// Longer strings leave the page.
pub(super) const MAX_INLINE_STRING: usize = 192;
/// Redis prints `embstr` up to this many bytes.
pub(super) const MAX_EMBSTR: usize = 44;

impl<'a> KeyView<'a> {
    pub(super) fn of(entry: EntryRef<'a, Value>) -> Self {
        let (header, inline) = entry.payload.split_first_chunk().expect("every payload has a header");
        let value = match entry.object {
            None => ValueRef::String(inline),
            Some(Value::String(bytes)) => ValueRef::String(bytes),
            Some(object) => ValueRef::Object(object),
        };
        KeyView { key: entry.key, value, deadline: entry.deadline.map(UnixMillis), header: *header }
    }

    /// The value's type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::from_bits(self.header[0] & 0x0f)
    }

    /// Returns the encoding of a string; of other types it says nothing.
    #[must_use]
    pub fn string_coding(&self) -> StringCoding {
        coding_of(self.header[0])
    }

    /// True when a string is an integer that was copied. Redis shares small integers among the keys
    /// they are written to, but gives every copy its own. Source: OBJECT REFCOUNT.
    #[must_use]
    pub fn is_copied_integer(&self) -> bool {
        self.header[0] == COPIED_INTEGER
    }

    /// Returns the encoding of the value, as OBJECT ENCODING names it.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        match (self.value, self.string_coding()) {
            (ValueRef::Object(value), _) => value.encoding(),
            (ValueRef::String(_), StringCoding::Int) => "int",
            (ValueRef::String(_), StringCoding::Embstr) => "embstr",
            (ValueRef::String(_), StringCoding::Raw) => "raw",
        }
    }

    /// The access history: 24 bits as Redis keeps them, see [`crate::keyspace::access`].
    #[must_use]
    pub fn access(&self) -> u32 {
        access_of(&self.header)
    }
}

/// The access history in a payload's header.
pub(super) fn access_of(payload: &[u8]) -> u32 {
    u32::from_le_bytes([payload[1], payload[2], payload[3], 0])
}

pub(super) fn header_byte(kind: Kind, coding: StringCoding) -> u8 {
    let coding = match coding {
        StringCoding::Int => 0,
        StringCoding::Embstr => 1,
        StringCoding::Raw => 2,
    };
    kind as u8 | coding << 4
}

fn coding_of(header: u8) -> StringCoding {
    match header >> 4 {
        0 | 3 => StringCoding::Int,
        1 => StringCoding::Embstr,
        _ => StringCoding::Raw,
    }
}

/// The first byte of the header of an integer that was copied from another key.
pub(super) const COPIED_INTEGER: u8 = Kind::String as u8 | 3 << 4;

pub(super) fn coding_for(bytes: &[u8]) -> StringCoding {
    /// More digits than an i64 has, sign included.
    const MAX_INTEGER_BYTES: usize = 20;
    if bytes.len() <= MAX_INTEGER_BYTES && number::parse_i64(bytes).is_some() {
        StringCoding::Int
    } else if bytes.len() <= MAX_EMBSTR {
        StringCoding::Embstr
    } else {
        StringCoding::Raw
    }
}
