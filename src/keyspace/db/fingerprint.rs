//! The content of a key as a number to compare: debug builds find out by it what a command has
//! changed ([`crate::keyspace::mutated_keys`]).
//!
//! It is cheap enough for every command of every test, so it looks at a part of what is large: a
//! change may go unnoticed there, but nothing is found that is none.

use super::Db;
use crate::keyspace::entry::{KeyView, ValueRef};
use crate::keyspace::mutated_keys::Fingerprint;
use crate::keyspace::stream::Group;
use crate::keyspace::value::Value;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Bytes of a string that a fingerprint looks at, at its start and at its end: what lies between
/// them in a long one may change unnoticed.
const SAMPLE_BYTES: usize = 4096;
/// Elements of a collection that a fingerprint looks at: of a larger one it knows the number only.
const MAX_ELEMENTS: usize = 128;

impl Db {
    /// Returns the fingerprint of `key` as it is.
    pub(in crate::keyspace) fn fingerprint(&self, key: &[u8]) -> Fingerprint {
        let entry = self.dict.get(key).filter(|entry| !self.is_past(entry.deadline));
        Fingerprint(entry.map(KeyView::of).map(|view| {
            let hasher = &mut DefaultHasher::new();
            (view.kind(), view.deadline.map(|deadline| deadline.0)).hash(hasher);
            match view.value {
                ValueRef::String(bytes) => hash_string(bytes, hasher),
                ValueRef::Object(value) => hash_collection(value, hasher),
            }
            hasher.finish()
        }))
    }
}

fn hash_string(bytes: &[u8], hasher: &mut DefaultHasher) {
    bytes.len().hash(hasher);
    bytes[..bytes.len().min(SAMPLE_BYTES)].hash(hasher);
    bytes[bytes.len().saturating_sub(SAMPLE_BYTES)..].hash(hasher);
}

fn hash_collection(value: &Value, hasher: &mut DefaultHasher) {
    value.len().hash(hasher);
    if value.len() > MAX_ELEMENTS {
        return;
    }
    // Elements that have no order are summed up: another encoding has them in another one.
    let mut sum = 0u64;
    let mut add = |one: &dyn Fn(&mut DefaultHasher)| {
        let mut own = DefaultHasher::new();
        one(&mut own);
        sum = sum.wrapping_add(own.finish());
    };
    match value {
        Value::String(bytes) => hash_string(bytes, hasher),
        Value::List(list) => {
            list.elements.iter().for_each(|element| element.with_bytes(|text| text.hash(hasher)));
        }
        Value::Set(set) => {
            set.iter().for_each(|member| add(&|own| member.with_bytes(|text| text.hash(own))));
        }
        Value::SortedSet(set) => set.iter().for_each(|(member, score)| {
            add(&|own| member.with_bytes(|text| (text, score.to_bits()).hash(own)));
        }),
        Value::Hash(hash) => hash.iter().for_each(|(field, value)| {
            add(&|own| field.with_bytes(|field| value.with_bytes(|value| (field, value).hash(own))));
        }),
        Value::Stream(stream) => {
            stream.log.iter().for_each(|entry| entry.id.hash(hasher));
            (stream.log.last_id(), stream.log.max_deleted_id(), stream.log.added()).hash(hasher);
            stream.groups.iter().for_each(|(name, group)| hash_group(name, group, hasher));
        }
    }
    sum.hash(hasher);
}

/// The time at which a consumer was seen last is bookkeeping, as when a key was used.
fn hash_group(name: &[u8], group: &Group, hasher: &mut DefaultHasher) {
    (name, group.last_id, group.entries_read, group.pending().len()).hash(hasher);
    for pending in group.pending().iter().take(MAX_ELEMENTS) {
        (pending.id, pending.delivered_ms, pending.deliveries).hash(hasher);
    }
    group.consumers().iter().for_each(|consumer| (consumer.name(), consumer.pending().len()).hash(hasher));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{MonotonicMillis, UnixMillis};
    use crate::keyspace::{DbIndex, EncodingLimits, List, Set, Ttl};
    use triomphe::Arc;

    /// True when `act` leaves something else under `key`.
    fn differs(db: &mut Db, key: &[u8], act: impl FnOnce(&mut Db)) -> bool {
        let before = db.fingerprint(key);
        act(db);
        db.fingerprint(key) != before
    }

    #[test]
    fn a_fingerprint_differs_when_a_client_could_tell() {
        let mut db = Db::new(DbIndex(0), EncodingLimits::default(), 7);
        db.freeze(UnixMillis(1000), MonotonicMillis(1000));
        assert!(differs(&mut db, b"k", |db| db.set_string(b"k", b"one", Ttl::Clear)));
        assert!(!differs(&mut db, b"k", |db| db.set_string(b"k", b"one", Ttl::Clear)));
        assert!(differs(&mut db, b"k", |db| db.set_string(b"k", b"two", Ttl::Clear)));
        assert!(differs(&mut db, b"k", |db| assert!(db.set_deadline(b"k", Some(UnixMillis(2000))))));
        assert!(!differs(&mut db, b"k", |db| db.set_access_of(b"k", 77)));
        let long = vec![b'x'; 3 * SAMPLE_BYTES];
        db.set_string(b"k", &long, Ttl::Clear);
        for at in [0, long.len() - 1] {
            let mut other = long.clone();
            other[at] = b'y';
            assert!(differs(&mut db, b"k", |db| db.set_string(b"k", &other, Ttl::Clear)), "{at}");
        }
        assert!(differs(&mut db, b"k", |db| assert!(db.remove(b"k"))));
    }

    #[test]
    fn a_collection_is_its_elements_whatever_form_they_have() {
        let limits = EncodingLimits::default();
        let mut db = Db::new(DbIndex(0), limits, 7);
        let mut set = Set::new();
        for number in 0..100 {
            set.insert(number.to_string().as_bytes(), &limits);
        }
        let mut as_table = set.clone();
        as_table.insert(b"text", &limits);
        as_table.remove(b"text");
        assert_ne!(set.encoding(), as_table.encoding());
        db.insert(b"k", Value::Set(Arc::new(set)), None);
        let other = Value::Set(Arc::new(as_table));
        assert!(!differs(&mut db, b"k", |db| db.insert(b"k", other, None)));
        let grow = |db: &mut Db| {
            let list: &mut List = db.write_or_create(b"l", List::new).expect("it is a list");
            list.elements.push_back(b"same");
        };
        for length in 0..MAX_ELEMENTS + 3 {
            assert!(differs(&mut db, b"l", grow), "{length}");
        }
    }
}
