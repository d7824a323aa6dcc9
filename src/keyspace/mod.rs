//! The data: [`Keyspace`] holds the databases, [`Db`] is the only way to touch a value.
//!
//! A room of vocabulary: it knows types, deadlines and encodings, but no client, reply or
//! command. Read [`Db`] first, then [`Value`]; each collection has its own file.

pub mod access;
mod checked_keys;
mod databases;
mod db;
mod db_index;
mod encoding_limits;
mod entry;
pub mod hash;
pub mod hyperloglog;
pub mod list;
mod mutated_keys;
mod parcel;
pub mod set;
pub mod snapshot;
pub mod sorted_set;
pub mod stream;
pub mod string;
mod undo;
mod value;

pub use access::AccessClock;
pub use checked_keys::CheckedKeys;
pub use databases::Keyspace;
pub use db::batch::{Attributes, Batch, Content, ExpiredKeys, PIECE_KEYS, PresentKeys, TakenIn};
pub use db::evict::{Among, EvictionPool};
pub use db::findings::{Findings, Garbage};
pub use db::{Db, DbSnapshot, Ttl, WrongType};
pub use db_index::DbIndex;
pub use encoding_limits::EncodingLimits;
pub use entry::{KeyView, Presence, Stored, StringCoding, ValueRef};
pub use hash::{Hash, Text};
pub use list::List;
pub use mutated_keys::MutatedKey;
pub use parcel::{Parcel, WalkedDb};
pub use set::{Member, Set};
pub use snapshot::Walk;
pub use sorted_set::SortedSet;
pub use stream::{Stream, StreamId};
pub use value::{Collection, Kind, Shared, Value};
