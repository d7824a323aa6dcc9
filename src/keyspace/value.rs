//! The values of keys: [`Kind`] names the type, [`Value`] holds what does not fit beside the key.
//!
//! Short strings live inside the dict's page and never become a [`Value`]. Everything else is a
//! counted reference, so that a snapshot, COPY or a freeing thread shares it for one increment,
//! and the owner copies a chunk only when it changes what somebody else still holds.

use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::sorted_set::SortedSet;
use super::stream::Stream;
use crate::ds::dict::TableShape;
use crate::ds::shared::make_mut;
use triomphe::Arc;

/// The type of a value, as TYPE names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Bytes; also numbers, bitmaps, HyperLogLogs.
    String = 0,
    /// A sequence.
    List = 1,
    /// Members without order.
    Set = 2,
    /// Members ordered by score.
    SortedSet = 3,
    /// Fields and their values.
    Hash = 4,
    /// Entries ordered by ID, and groups that read them.
    Stream = 5,
}

impl Kind {
    /// The word TYPE answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Hash => "hash",
            Kind::Stream => "stream",
        }
    }

    pub(super) fn from_bits(bits: u8) -> Kind {
        [Kind::String, Kind::List, Kind::Set, Kind::SortedSet, Kind::Hash, Kind::Stream][usize::from(bits)]
    }
}

/// A value kept outside its dict page.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string too long for the page.
    String(Arc<Vec<u8>>),
    /// A list.
    List(Arc<List>),
    /// A set.
    Set(Arc<Set>),
    /// A sorted set.
    SortedSet(Arc<SortedSet>),
    /// A hash, which is a reference itself: small ones are many.
    Hash(Hash),
    /// A stream.
    Stream(Arc<Stream>),
}

/// Values of more elements are freed on another thread.
const FREE_ELSEWHERE_ELEMENTS: usize = 64;
/// Strings of more bytes are freed on another thread.
const FREE_ELSEWHERE_BYTES: usize = 1 << 20;

impl Value {
    /// The type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Value::String(_) => Kind::String,
            Value::List(_) => Kind::List,
            Value::Set(_) => Kind::Set,
            Value::SortedSet(_) => Kind::SortedSet,
            Value::Hash(_) => Kind::Hash,
            Value::Stream(_) => Kind::Stream,
        }
    }

    /// True when both refer to the same allocation.
    #[must_use]
    pub(super) fn is_same_allocation(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::String(one), Value::String(two)) => Arc::ptr_eq(one, two),
            (Value::List(one), Value::List(two)) => Arc::ptr_eq(one, two),
            (Value::Set(one), Value::Set(two)) => Arc::ptr_eq(one, two),
            (Value::SortedSet(one), Value::SortedSet(two)) => Arc::ptr_eq(one, two),
            (Value::Hash(one), Value::Hash(two)) => one.same(two),
            (Value::Stream(one), Value::Stream(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }

    /// True when somebody else refers to it too.
    #[must_use]
    pub(super) fn is_shared(&self) -> bool {
        match self {
            Value::String(bytes) => !bytes.is_unique(),
            Value::List(list) => !list.is_unique(),
            Value::Set(set) => !set.is_unique(),
            Value::SortedSet(set) => !set.is_unique(),
            Value::Hash(hash) => hash.is_shared(),
            Value::Stream(stream) => !stream.is_unique(),
        }
    }

    /// True when freeing it would be felt by the owner thread.
    #[must_use]
    pub fn is_costly_to_free(&self) -> bool {
        match self {
            Value::String(bytes) => bytes.capacity() > FREE_ELSEWHERE_BYTES,
            Value::List(list) => list.len() > FREE_ELSEWHERE_ELEMENTS,
            Value::Set(set) => set.len() > FREE_ELSEWHERE_ELEMENTS,
            Value::SortedSet(set) => set.len() > FREE_ELSEWHERE_ELEMENTS,
            Value::Hash(hash) => hash.len() > FREE_ELSEWHERE_ELEMENTS,
            Value::Stream(stream) => stream.is_costly_to_free(),
        }
    }

    /// The number of elements; the number of bytes of a string.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Value::String(bytes) => bytes.len(),
            Value::List(list) => list.len(),
            Value::Set(set) => set.len(),
            Value::SortedSet(set) => set.len(),
            Value::Hash(hash) => hash.len(),
            Value::Stream(stream) => stream.len(),
        }
    }

    /// Bytes allocated; of very long lists and sorted sets extrapolated from their beginning.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        fn shared<T>(_: &Arc<T>) -> usize {
            size_of::<usize>() + size_of::<T>()
        }
        match self {
            Value::String(bytes) => shared(bytes) + bytes.capacity(),
            Value::List(list) => shared(list) + list.heap_bytes(),
            Value::Set(set) => shared(set) + set.heap_bytes(),
            Value::SortedSet(set) => shared(set) + set.heap_bytes(),
            Value::Hash(hash) => hash.heap_bytes(),
            Value::Stream(stream) => shared(stream) + stream.heap_bytes(),
        }
    }

    /// Returns its encoding, as OBJECT ENCODING names it.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        match self {
            Value::String(_) => "raw",
            Value::List(list) => list.encoding(),
            Value::Set(set) => set.encoding(),
            Value::SortedSet(set) => set.encoding(),
            Value::Hash(hash) => hash.encoding(),
            Value::Stream(stream) => stream.encoding(),
        }
    }

    /// Describes how its table is filled, if it has grown one. Source: DEBUG HTSTATS-KEY.
    #[must_use]
    pub fn table_shape(&self) -> Option<TableShape> {
        match self {
            Value::String(_) | Value::List(_) | Value::Stream(_) => None,
            Value::Set(set) => set.table_shape(),
            Value::SortedSet(set) => set.table_shape(),
            Value::Hash(hash) => hash.table_shape(),
        }
    }

    /// True when it stands for no key: a collection without elements. A stream without entries is
    /// still one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && !matches!(self, Value::Stream(_))
    }
}

/// A type of collection: how [`super::Db`] finds it inside a [`Value`].
pub trait Collection: Clone {
    /// The type's name.
    const KIND: Kind;
    /// The collection inside `value`, if it is of this type.
    fn of(value: &Value) -> Option<&Self>;
    /// The same, to change it; copied first if it is shared.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// Makes it a value.
    fn into_value(self) -> Value;
}

/// A collection behind a counted reference.
pub trait Shared: Collection {
    /// The reference inside `value`, if it is of this type.
    fn shared(value: &Value) -> Option<&Arc<Self>>;
}

macro_rules! collection {
    ($type:ident, $kind:ident) => {
        impl Collection for $type {
            const KIND: Kind = Kind::$kind;

            fn of(value: &Value) -> Option<&Self> {
                if let Value::$kind(inner) = value { Some(inner) } else { None }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$kind(inner) = value { Some(make_mut(inner, $type::clone_bytes)) } else { None }
            }

            fn into_value(self) -> Value {
                Value::$kind(Arc::new(self))
            }
        }

        impl Shared for $type {
            fn shared(value: &Value) -> Option<&Arc<Self>> {
                if let Value::$kind(inner) = value { Some(inner) } else { None }
            }
        }
    };
}

collection!(List, List);
collection!(Set, Set);
collection!(SortedSet, SortedSet);
collection!(Stream, Stream);

impl Collection for Hash {
    const KIND: Kind = Kind::Hash;

    fn of(value: &Value) -> Option<&Self> {
        if let Value::Hash(hash) = value { Some(hash) } else { None }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Self> {
        if let Value::Hash(hash) = value { Some(hash) } else { None }
    }

    fn into_value(self) -> Value {
        Value::Hash(self)
    }
}

// Pages hold one for every key that is no short string.
const _: () = assert!(size_of::<Option<Value>>() == 16);
