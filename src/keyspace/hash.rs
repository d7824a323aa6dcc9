//! The hash type: fields with values, in one of three forms.
//!
//! - A **listpack** of field, value, field, value, …: up to `hash-max-listpack-entries` pairs of at
//!   most `hash-max-listpack-value` bytes a text.
//! - A **few** pairs that Redis would keep in a hash table, because one of them is longer than
//!   that: the same flat bytes, bounded by our own limits. It answers `hashtable`; a paged dict for
//!   two or three pairs would take a KiB more.
//! - **Many**: a paged [`Dict`] from field to value. Values live beside their fields in the pages;
//!   long ones are counted references, which the dict keeps by itself.
//!
//! Forms only change upwards, as in Redis. A hash is a counted reference in each of them: a clone
//! shares the bytes or pages with the original until one side changes.

use super::encoding_limits::EncodingLimits;
use crate::base::random::{Random, Selection};
use crate::ds::dict::{Dict, EntryRef, NewEntry, TableShape};
use crate::ds::listpack::{Cursor, Listpack, ListpackFull, ListpackValue};
use std::collections::BTreeSet;
use triomphe::Arc;

/// Pairs a listpack of the second form holds: finding one is a walk.
const MAX_FEW_PAIRS: usize = 32;
/// Bytes a listpack of the second form holds: changing one moves them.
const MAX_FEW_BYTES: usize = 2048;
/// More than a listpack adds to the texts of one pair.
const PAIR_OVERHEAD: usize = 24;

/// Up to this fraction of the fields is drawn at random; more are picked while walking over all.
const SPARSE_SAMPLE: usize = 3;

/// A field or a value: text, or the integer whose text it is.
pub type Text<'a> = ListpackValue<'a>;

/// A hash. See the module.
#[derive(Clone, Debug)]
pub struct Hash {
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Listpack(Listpack),
    Few(Listpack),
    Many(Arc<Dict<()>>),
}

impl Default for Hash {
    fn default() -> Self {
        Hash::new()
    }
}

impl Hash {
    /// An empty hash.
    #[must_use]
    pub fn new() -> Self {
        Hash { form: Form::Listpack(Listpack::new()) }
    }

    /// A hash of these pairs, which are whole and of different fields, in the form the limits ask
    /// for. Source: RDB.
    #[must_use]
    pub fn from_listpack(pairs: Listpack, limits: &EncodingLimits) -> Self {
        let fits = pairs.len() / 2 <= limits.hash_max_listpack_entries
            && pairs.iter().all(|(_, text)| text.len_as_text() <= limits.hash_max_listpack_value);
        let mut hash = Hash { form: Form::Listpack(pairs) };
        if !fits {
            hash.leave_listpack(0, limits);
        }
        hash
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => pairs.len() / 2,
            Form::Many(dict) => dict.len(),
        }
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the answer of OBJECT ENCODING.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Listpack(_) => "listpack",
            Form::Few(_) | Form::Many(_) => "hashtable",
        }
    }

    /// The listpack of pairs, if the hash has that form in the eyes of Redis.
    #[must_use]
    pub fn as_listpack(&self) -> Option<&Listpack> {
        if let Form::Listpack(pairs) = &self.form { Some(pairs) } else { None }
    }

    /// Describes how its table is filled, if it has grown one. Source: DEBUG HTSTATS-KEY.
    #[must_use]
    pub fn table_shape(&self) -> Option<TableShape> {
        if let Form::Many(dict) = &self.form { Some(dict.shape()) } else { None }
    }

    /// Bytes allocated.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => pairs.heap_bytes(),
            Form::Many(dict) => size_of::<Dict<()>>() + dict.heap_bytes(),
        }
    }

    /// True when both are references to the same bytes or pages, not copies of them.
    #[must_use]
    pub fn same(&self, other: &Hash) -> bool {
        match (&self.form, &other.form) {
            (Form::Listpack(one), Form::Listpack(two)) | (Form::Few(one), Form::Few(two)) => one.same(two),
            (Form::Many(one), Form::Many(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }

    /// True when somebody else refers to it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        match &self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => pairs.is_shared(),
            Form::Many(dict) => !dict.is_unique(),
        }
    }

    /// The value of `field`.
    #[must_use]
    pub fn get(&self, field: &[u8]) -> Option<Text<'_>> {
        match &self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => {
                let value = pairs.next(pairs.find(field, 1)?)?;
                Some(pairs.value(value))
            }
            Form::Many(dict) => dict.get(field).map(|entry| Text::Bytes(entry.payload)),
        }
    }

    /// True when there is such a field.
    #[must_use]
    pub fn contains(&self, field: &[u8]) -> bool {
        match &self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => pairs.find(field, 1).is_some(),
            Form::Many(dict) => dict.contains(field),
        }
    }

    /// Prepares for several pairs, whose `texts` are about to be added: leaves the listpack form if
    /// one of them is too long for it, and asks for their room at once if the hash is new. Redis
    /// looks at all arguments of HSET before it stores the first, too.
    pub fn make_way_for<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t [u8]> + Clone,
        limits: &EncodingLimits,
    ) {
        let Form::Listpack(pairs) = &mut self.form else { return };
        let (mut count, mut longest, mut sum) = (0, 0, 0usize);
        for text in texts.clone() {
            count += 1;
            longest = longest.max(text.len());
            sum = sum.saturating_add(text.len());
        }
        if longest > limits.hash_max_listpack_value {
            self.leave_listpack(sum, limits);
        } else if pairs.is_empty() && count / 2 <= limits.hash_max_listpack_entries {
            pairs.reserve(texts.map(Listpack::bytes_needed).sum());
        }
    }

    /// Sets `field` to `value`. Returns whether the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], limits: &EncodingLimits) -> bool {
        let bytes = field.len() + value.len() + PAIR_OVERHEAD;
        if field.len().max(value.len()) > limits.hash_max_listpack_value {
            self.leave_listpack(bytes, limits);
        }
        match &mut self.form {
            Form::Listpack(pairs) => {
                if let Ok(is_new) = set_flat(pairs, field, value) {
                    if is_new && pairs.len() / 2 > limits.hash_max_listpack_entries {
                        self.leave_listpack(0, limits);
                    }
                    return is_new;
                }
                self.leave_listpack(bytes, limits);
            }
            Form::Few(pairs) => {
                let fits = pairs.len() / 2 < MAX_FEW_PAIRS && pairs.byte_len() + bytes <= MAX_FEW_BYTES;
                if fits && let Ok(is_new) = set_flat(pairs, field, value) {
                    return is_new;
                }
                self.form = Form::Many(Arc::new(self.to_dict(limits)));
            }
            Form::Many(_) => {}
        }
        match &mut self.form {
            Form::Many(dict) => set_in(Arc::make_mut(dict), field, value),
            Form::Listpack(_) | Form::Few(_) => unreachable!("a pair that is too large made it a dict"),
        }
    }

    /// Removes `field`. Returns whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => {
                let Some(place) = pairs.find(field, 1) else { return false };
                pairs.remove_count(place, 2);
                true
            }
            Form::Many(dict) => Arc::make_mut(dict).remove(field).is_some(),
        }
    }

    /// All fields with their values.
    pub fn iter(&self) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
        let (flat, many) = match &self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => (Some(pairs), None),
            Form::Many(dict) => (None, Some(dict)),
        };
        let many = many.into_iter().flat_map(|dict| dict.iter().map(pair_of));
        flat.into_iter().flat_map(pairs_of).chain(many)
    }

    /// Any field and its value; all are equally likely. `None` of an empty hash.
    pub fn random(&self, random: &mut Random) -> Option<(Text<'_>, Text<'_>)> {
        match &self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => {
                let place = pairs.seek(2 * random.below(self.len() as u64) as usize)?;
                Some(pair_at(pairs, place))
            }
            Form::Many(dict) => dict.random(&mut |bound| random.below(bound)).map(pair_of),
        }
    }

    /// Shows `count` different fields and their values, all if there are fewer; every choice is
    /// equally likely. Never takes memory for more than it shows.
    pub fn sample(&self, count: usize, random: &mut Random, mut show: impl FnMut(Text<'_>, Text<'_>)) {
        match &self.form {
            Form::Many(dict) if count <= self.len() / SPARSE_SAMPLE => {
                let mut shown = BTreeSet::new();
                while shown.len() < count {
                    let entry = dict.random(&mut |bound| random.below(bound)).expect("it is not empty");
                    if shown.insert(entry.key) {
                        show(Text::Bytes(entry.key), Text::Bytes(entry.payload));
                    }
                }
            }
            _ => {
                let mut selection = Selection::new(count, self.len());
                let picked = self.iter().filter(|_| selection.picks_next(random));
                picked.for_each(|(field, value)| show(field, value));
            }
        }
    }

    /// Calls `show` with fields chosen at random, over and over, until it returns false. The same
    /// field may come up often. Of an empty hash nothing is shown.
    pub fn draw(&self, random: &mut Random, mut show: impl FnMut(Text<'_>, Text<'_>) -> bool) {
        let places = match &self.form {
            Form::Listpack(pairs) | Form::Few(pairs) => {
                Some((pairs, pairs.iter().map(|(place, _)| place).step_by(2).collect::<Vec<_>>()))
            }
            Form::Many(_) => None,
        };
        loop {
            let pair = match &places {
                Some((pairs, places)) => {
                    places.get(random.below(places.len() as u64) as usize).map(|&at| pair_at(pairs, at))
                }
                None => self.random(random),
            };
            if !pair.is_some_and(|(field, value)| show(field, value)) {
                return;
            }
        }
    }

    /// Shows about `count` pairs from `cursor` on. Returns the cursor to go on with, 0 at the end.
    /// The compact forms show all at once. Source: HSCAN.
    pub fn scan(&self, cursor: u64, count: usize, mut show: impl FnMut(Text<'_>, Text<'_>)) -> u64 {
        if let Form::Many(dict) = &self.form {
            return dict.scan(cursor, count, |entry| {
                let (field, value) = pair_of(entry);
                show(field, value);
            });
        }
        self.iter().for_each(|(field, value)| show(field, value));
        0
    }

    /// Takes one of the other two forms; `more` bytes are about to be added.
    fn leave_listpack(&mut self, more: usize, limits: &EncodingLimits) {
        let Form::Listpack(pairs) = &mut self.form else { return };
        let few = pairs.len() / 2 < MAX_FEW_PAIRS && pairs.byte_len().saturating_add(more) <= MAX_FEW_BYTES;
        self.form =
            if few { Form::Few(std::mem::take(pairs)) } else { Form::Many(Arc::new(self.to_dict(limits))) };
    }

    fn to_dict(&self, limits: &EncodingLimits) -> Dict<()> {
        let mut dict = Dict::new(limits.seed.0);
        for (field, value) in self.iter() {
            field.with_bytes(|field| value.with_bytes(|value| set_in(&mut dict, field, value)));
        }
        dict
    }
}

fn pairs_of(pairs: &Listpack) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
    let mut texts = pairs.iter().map(|(_, text)| text);
    std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
}

fn pair_at(pairs: &Listpack, field: Cursor) -> (Text<'_>, Text<'_>) {
    let value = pairs.next(field).expect("a value follows its field");
    (pairs.value(field), pairs.value(value))
}

fn pair_of(entry: EntryRef<'_, ()>) -> (Text<'_>, Text<'_>) {
    (Text::Bytes(entry.key), Text::Bytes(entry.payload))
}

/// Sets a field in flat bytes; on an error nothing is changed.
fn set_flat(pairs: &mut Listpack, field: &[u8], value: &[u8]) -> Result<bool, ListpackFull> {
    if let Some(place) = pairs.find(field, 1) {
        let place = pairs.next(place).expect("a value follows its field");
        pairs.replace(place, value)?;
        return Ok(false);
    }
    pairs.push_back(field)?;
    if let Err(full) = pairs.push_back(value) {
        let field = pairs.last().expect("it was just added");
        pairs.remove(field);
        return Err(full);
    }
    Ok(true)
}

fn set_in(dict: &mut Dict<()>, field: &[u8], value: &[u8]) -> bool {
    dict.insert(field, NewEntry { deadline: None, payload: &[value], object: None }).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn limits(entries: usize, value: usize) -> EncodingLimits {
        EncodingLimits {
            hash_max_listpack_entries: entries,
            hash_max_listpack_value: value,
            ..EncodingLimits::default()
        }
    }

    fn hash_of(len: usize) -> Hash {
        let mut hash = Hash::new();
        for i in 0..len {
            hash.set(format!("f{i}").as_bytes(), i.to_string().as_bytes(), &limits(128, 64));
        }
        hash
    }

    fn texts(hash: &Hash) -> BTreeMap<Vec<u8>, Vec<u8>> {
        hash.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect()
    }

    /// One hash of each form.
    fn forms(len: usize) -> [Hash; 3] {
        let (listpack, mut few, mut many) = (hash_of(len), hash_of(len), hash_of(len));
        let Form::Listpack(pairs) = std::mem::take(&mut few).form else { panic!("it is small") };
        few.form = Form::Few(pairs);
        many.form = Form::Many(Arc::new(many.to_dict(&limits(0, 0))));
        [listpack, few, many]
    }

    #[test]
    fn the_form_follows_number_and_length_and_never_goes_back() {
        let limits = limits(3, 5);
        let mut by_number = Hash::new();
        for field in ["a", "b", "c", "c"] {
            by_number.set(field.as_bytes(), b"12345", &limits);
            assert_eq!(by_number.encoding(), "listpack");
        }
        let mut by_length = by_number.clone();
        assert!(by_number.set(b"d", b"", &limits));
        assert_eq!((by_number.encoding(), by_number.len()), ("hashtable", 4));
        assert!(by_number.remove(b"d") && by_number.remove(b"c") && !by_number.remove(b"c"));
        assert_eq!((by_number.encoding(), by_number.len()), ("hashtable", 2));
        assert!(!by_length.set(b"a", b"123456", &limits));
        assert_eq!((by_length.encoding(), by_length.len()), ("hashtable", 3));
        let mut prepared = Hash::new();
        prepared.make_way_for([&b"x"[..], b"toolong"].into_iter(), &limits);
        assert_eq!(prepared.encoding(), "hashtable");
    }

    #[test]
    fn a_few_long_pairs_stay_flat_until_they_are_many_bytes() {
        let (limits, value) = (limits(128, 64), [b'v'; 100]);
        let mut hash = Hash::new();
        for i in 0..10u8 {
            hash.set(&[i], &value, &limits);
            assert!(matches!(hash.form, Form::Few(_)), "{i}");
        }
        let mut longer = hash.clone();
        assert!(!longer.set(&[3], &[b'w'; 3000], &limits));
        assert!(matches!(longer.form, Form::Many(_)));
        assert!(longer.get(&[3]).is_some_and(|value| value.eq_bytes(&[b'w'; 3000])));
        for i in 10..50u8 {
            hash.set(&[i], &value, &limits);
        }
        assert!(matches!(hash.form, Form::Many(_)) && hash.len() == 50);
    }

    #[test]
    fn a_listpack_from_a_file_is_taken_if_the_limits_allow() {
        let mut pairs = Listpack::new();
        for text in ["a", "1", "b", "22222"] {
            pairs.push_back(text.as_bytes()).expect("it is small");
        }
        for (entries, value, encoding) in [(2, 5, "listpack"), (1, 5, "hashtable"), (2, 4, "hashtable")] {
            let hash = Hash::from_listpack(pairs.clone(), &limits(entries, value));
            assert_eq!((hash.encoding(), hash.len()), (encoding, 2));
            assert_eq!(hash.as_listpack().is_some(), encoding == "listpack");
            assert!(hash.get(b"b").is_some_and(|value| value.eq_bytes(b"22222")));
        }
    }

    #[test]
    fn a_clone_does_not_see_later_changes() {
        for mut hash in forms(30) {
            let before = hash.clone();
            let expected = texts(&hash);
            for i in 0..30 {
                hash.set(format!("f{i}").as_bytes(), b"changed", &limits(128, 64));
            }
            assert_eq!(texts(&before), expected);
        }
    }

    #[test]
    fn chance_is_fair_in_every_form() {
        let fair = |drawn: &BTreeMap<Vec<u8>, u32>| {
            drawn.len() == 20 && drawn.values().all(|count| (850..1150).contains(count))
        };
        for hash in forms(20) {
            let mut random = Random::new(3);
            let [mut single, mut drawn, mut sampled] = [const { BTreeMap::new() }; 3];
            for _ in 0..20_000 {
                let (field, _) = hash.random(&mut random).expect("not empty");
                *single.entry(field.to_vec()).or_default() += 1;
            }
            let mut left = 20_000;
            hash.draw(&mut random, |field, _| {
                *drawn.entry(field.to_vec()).or_default() += 1;
                left -= 1;
                left > 0
            });
            for _ in 0..4000 {
                hash.sample(5, &mut random, |field, _| *sampled.entry(field.to_vec()).or_default() += 1);
            }
            assert!(fair(&single) && fair(&drawn) && fair(&sampled), "{single:?} {drawn:?} {sampled:?}");
        }
        Hash::new().draw(&mut Random::new(1), |_, _| panic!("there is nothing to show"));
    }

    #[test]
    fn a_sample_shows_whole_pairs_of_different_fields() {
        for hash in forms(30) {
            for count in [0, 1, 5, 10, 11, 30, usize::MAX] {
                let mut sample = BTreeMap::new();
                hash.sample(count, &mut Random::new(7), |field, value| {
                    assert!(sample.insert(field.to_vec(), value.to_vec()).is_none());
                });
                assert_eq!(sample.len(), count.min(30));
                assert!(sample.iter().all(|(field, value)| field[1..] == value[..]));
            }
        }
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => "[a-e]{0,2}".prop_map(String::into_bytes),
            2 => (-9i64..9).prop_map(|int| int.to_string().into_bytes()),
            1 => (0u8..4, 0usize..300).prop_map(|(byte, len)| vec![byte; len]),
            1 => Just(vec![b'k'; 700]),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_btreemap(
            entries in 0usize..50,
            longest in 0usize..200,
            steps in proptest::collection::vec((0u8..4, text(), text()), 1..150),
        ) {
            let limits = limits(entries, longest);
            let (mut hash, mut model) = (Hash::new(), BTreeMap::new());
            for (step, field, value) in steps {
                if step > 0 {
                    let is_new = model.insert(field.clone(), value.clone()).is_none();
                    prop_assert_eq!(hash.set(&field, &value, &limits), is_new);
                } else {
                    prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some());
                }
                prop_assert_eq!(hash.contains(&field), model.contains_key(&field));
                prop_assert_eq!(hash.get(&field).map(|value| value.to_vec()), model.get(&field).cloned());
                prop_assert_eq!(hash.len(), model.len());
                prop_assert!(hash.encoding() != "listpack" || hash.len() <= entries);
            }
            prop_assert_eq!(texts(&hash), model.clone());
            let (mut scanned, mut cursor) = (BTreeMap::new(), 0);
            loop {
                cursor = hash.scan(cursor, 3, |field, value| {
                    assert!(scanned.insert(field.to_vec(), value.to_vec()).is_none(), "shown twice");
                });
                if cursor == 0 {
                    break;
                }
            }
            prop_assert_eq!(scanned, model);
        }
    }
}
