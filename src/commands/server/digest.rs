//! Signatures of values and of the whole data set, equal to those of Redis for equal data:
//! DEBUG DIGEST and DIGEST-VALUE.
//!
//! Data that has an order is *mixed* in (the digest so far is hashed again), data that has none is
//! *added* by XOR of its own hash.

use crate::base::number;
use crate::keyspace::{Db, KeyView, Keyspace, Kind, Value, ValueRef};
use sha1::{Digest, Sha1};

/// 20 bytes of SHA-1.
#[derive(Clone, Copy, Default)]
struct Sum([u8; 20]);

impl Sum {
    /// XORs the hash of `bytes` in: order does not matter.
    fn add(&mut self, bytes: &[u8]) {
        let hash: [u8; 20] = Sha1::digest(bytes).into();
        self.0.iter_mut().zip(hash).for_each(|(sum, byte)| *sum ^= byte);
    }

    /// Makes `bytes` part of a sequence: order matters.
    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The signature of all databases.
pub(super) fn of_keyspace(keyspace: &Keyspace) -> String {
    let mut sum = Sum::default();
    for db in keyspace.iter().filter(|db| !db.is_empty()) {
        sum.mix(&u32::from(db.index().0).to_be_bytes());
        for view in db.iter() {
            let mut own = Sum::default();
            own.mix(view.key);
            add_value(&mut own, &view);
            sum.add(&own.0);
        }
    }
    sum.hex()
}

/// The signature of one value; zeroes for a missing key.
pub(super) fn of_value(db: &mut Db, key: &[u8]) -> String {
    let mut sum = Sum::default();
    if let Some(view) = db.peek(key) {
        add_value(&mut sum, &view);
    }
    sum.hex()
}

fn add_value(sum: &mut Sum, view: &KeyView<'_>) {
    sum.mix(&type_number(view.kind()).to_be_bytes());
    match view.value {
        ValueRef::String(bytes) => sum.mix(bytes),
        ValueRef::Object(value) => add_object(sum, value),
    }
    if view.deadline.is_some() {
        sum.add(b"!!expire!!");
    }
}

fn add_object(sum: &mut Sum, value: &Value) {
    match value {
        Value::String(_) => unreachable!("a view shows long strings as strings"),
        Value::List(list) => {
            list.elements.iter().for_each(|element| element.with_bytes(|text| sum.mix(text)))
        }
        Value::Set(set) => set.iter().for_each(|member| member.with_bytes(|text| sum.add(text))),
        Value::SortedSet(set) => set.iter().for_each(|(member, score)| {
            let mut text = Vec::new();
            number::format_f64_17g(score, &mut text);
            let mut own = Sum::default();
            member.with_bytes(|member| own.mix(member));
            own.mix(&text);
            sum.add(&own.0);
        }),
        Value::Hash(hash) => hash.iter().for_each(|(field, value)| {
            let mut own = Sum::default();
            field.with_bytes(|field| own.mix(field));
            value.with_bytes(|value| own.mix(value));
            sum.add(&own.0);
        }),
        Value::Stream(stream) => stream.log.iter().for_each(|entry| {
            sum.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
            entry.fields().for_each(|(field, value)| {
                field.with_bytes(|field| sum.mix(field));
                value.with_bytes(|value| sum.mix(value));
            });
        }),
    }
}

/// The numbers of Redis's types.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}
