//! The set type: members without order, in one of three forms.
//!
//! - **Integers** only, up to `set-max-intset-entries`: a sorted array, [`Intset`].
//! - A **few** members of any kind: one flat allocation, [`Listpack`]. Redis 7.0 has no such form
//!   and makes a hash table; so this form answers `hashtable` too, and nobody can tell but by the
//!   memory: a paged dict of three members would take a KiB.
//! - **Many**: a paged [`Dict`] whose entries are keys without payload. No allocation per member,
//!   and one hash of it per operation.
//!
//! Forms only change upwards, as in Redis. A clone shares its pages with the original.

use super::encoding_limits::EncodingLimits;
use crate::base::number;
use crate::base::random::{Random, Selection};
use crate::ds::dict::{Dict, NewEntry, TableShape};
use crate::ds::intset::{self, Intset};
use crate::ds::listpack::{Listpack, ListpackValue};
use std::collections::BTreeSet;

/// A flat set holds no more members: finding one is a walk.
const MAX_FLAT_MEMBERS: usize = 32;
/// A flat set holds no longer members.
const MAX_FLAT_MEMBER_BYTES: usize = 64;

/// Up to this fraction of the members is drawn at random; more are picked while walking over all.
const SPARSE_SAMPLE: usize = 3;

/// A member, or a field or value of a hash: text, or the integer whose text it is.
pub type Member<'a> = ListpackValue<'a>;

/// A set. See the module.
#[derive(Clone, Debug)]
pub struct Set {
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Integers(Intset),
    Few(Listpack),
    Many(Box<Dict<()>>),
}

impl Default for Set {
    fn default() -> Self {
        Set::new()
    }
}

impl Set {
    /// An empty set, which takes integers until something else is added.
    #[must_use]
    pub fn new() -> Self {
        Set { form: Form::Integers(Intset::new()) }
    }

    /// An empty set in the form that suits its first member. Source: SADD of a new key.
    #[must_use]
    pub fn for_member(first: &[u8]) -> Self {
        let is_integer = number::parse_i64(first).is_some();
        Set { form: if is_integer { Form::Integers(Intset::new()) } else { Form::Few(Listpack::new()) } }
    }

    /// A set of these integers, in the form the limits ask for. Source: RDB.
    #[must_use]
    pub fn from_intset(ints: Intset, limits: &EncodingLimits) -> Self {
        let mut set = Set { form: Form::Integers(ints) };
        set.leave_integers_above(limits);
        set
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Integers(ints) => ints.len(),
            Form::Few(members) => members.len(),
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
            Form::Integers(_) => "intset",
            Form::Few(_) | Form::Many(_) => "hashtable",
        }
    }

    /// The array of integers, if the set has that form.
    #[must_use]
    pub fn as_intset(&self) -> Option<&Intset> {
        if let Form::Integers(ints) = &self.form { Some(ints) } else { None }
    }

    /// Describes how its table is filled, if it has grown one. Source: DEBUG HTSTATS-KEY.
    #[must_use]
    pub fn table_shape(&self) -> Option<TableShape> {
        if let Form::Many(dict) = &self.form { Some(dict.shape()) } else { None }
    }

    /// Bytes that a clone copies; of all but integers it only refers to what there is.
    #[must_use]
    pub(super) fn clone_bytes(&self) -> usize {
        match &self.form {
            Form::Integers(ints) => size_of::<Self>() + ints.heap_bytes(),
            Form::Few(_) | Form::Many(_) => size_of::<Self>(),
        }
    }

    /// Bytes allocated.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Integers(ints) => ints.heap_bytes(),
            Form::Few(members) => members.heap_bytes(),
            Form::Many(dict) => size_of::<Dict<()>>() + dict.heap_bytes(),
        }
    }

    /// True when `member` is in the set.
    #[must_use]
    pub fn contains(&self, member: &[u8]) -> bool {
        match &self.form {
            Form::Integers(ints) => number::parse_i64(member).is_some_and(|int| ints.contains(int)),
            Form::Few(members) => members.find(member, 0).is_some(),
            Form::Many(dict) => dict.contains(member),
        }
    }

    /// True when a member of another set is in this one.
    #[must_use]
    pub fn contains_member(&self, member: Member<'_>) -> bool {
        match (&self.form, member) {
            (Form::Integers(ints), Member::Int(int)) => ints.contains(int),
            _ => member.with_bytes(|bytes| self.contains(bytes)),
        }
    }

    /// Adds `member`. Returns whether it is new.
    pub fn insert(&mut self, member: &[u8], limits: &EncodingLimits) -> bool {
        if let Form::Integers(ints) = &mut self.form {
            let int = number::parse_i64(member);
            if let Some(Ok(is_new)) = int.map(|int| ints.insert(int)) {
                if is_new {
                    self.leave_integers_above(limits);
                }
                return is_new;
            }
            self.leave_integers(1, limits);
        }
        if let Form::Few(members) = &mut self.form {
            if members.find(member, 0).is_some() {
                return false;
            }
            let fits = members.len() < MAX_FLAT_MEMBERS && member.len() <= MAX_FLAT_MEMBER_BYTES;
            if fits && members.push_back(member).is_ok() {
                return true;
            }
            self.form = Form::Many(Box::new(self.to_dict(limits)));
        }
        let Form::Many(dict) = &mut self.form else { unreachable!("the other forms have returned") };
        insert_into(dict, member)
    }

    /// Adds a member of another set. Returns whether it is new.
    pub fn insert_member(&mut self, member: Member<'_>, limits: &EncodingLimits) -> bool {
        member.with_bytes(|bytes| self.insert(bytes, limits))
    }

    /// Removes `member`. Returns whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Integers(ints) => number::parse_i64(member).is_some_and(|int| ints.remove(int)),
            Form::Few(members) => {
                let Some(place) = members.find(member, 0) else { return false };
                members.remove(place);
                true
            }
            Form::Many(dict) => dict.remove(member).is_some(),
        }
    }

    /// Removes a member of another set. Returns whether it was there.
    pub fn remove_member(&mut self, member: Member<'_>) -> bool {
        member.with_bytes(|bytes| self.remove(bytes))
    }

    /// All members.
    pub fn iter(&self) -> impl Iterator<Item = Member<'_>> {
        let (ints, few, many) = match &self.form {
            Form::Integers(ints) => (Some(ints), None, None),
            Form::Few(members) => (None, Some(members), None),
            Form::Many(dict) => (None, None, Some(dict)),
        };
        let ints = ints.into_iter().flat_map(|ints| ints.iter().map(Member::Int));
        let few = few.into_iter().flat_map(|members| members.iter().map(|(_, member)| member));
        let many = many.into_iter().flat_map(|dict| dict.iter().map(|entry| Member::Bytes(entry.key)));
        ints.chain(few).chain(many)
    }

    /// Any member; all are equally likely. `None` of an empty set.
    pub fn random(&self, random: &mut Random) -> Option<Member<'_>> {
        let at = |random: &mut Random| random.below(self.len() as u64) as usize;
        match &self.form {
            Form::Integers(ints) => ints.get(at(random)).map(Member::Int),
            Form::Few(members) => members.get(at(random)),
            Form::Many(dict) => dict.random(&mut |bound| random.below(bound)).map(|e| Member::Bytes(e.key)),
        }
    }

    /// Shows `count` different members, all if there are fewer; every choice is equally likely.
    /// Never takes memory for more than it shows.
    pub fn sample(&self, count: usize, random: &mut Random, mut show: impl FnMut(Member<'_>)) {
        match &self.form {
            Form::Many(dict) if count <= self.len() / SPARSE_SAMPLE => {
                let mut shown = BTreeSet::new();
                while shown.len() < count {
                    let entry = dict.random(&mut |bound| random.below(bound)).expect("it is not empty");
                    if shown.insert(entry.key) {
                        show(Member::Bytes(entry.key));
                    }
                }
            }
            _ => {
                let mut selection = Selection::new(count, self.len());
                self.iter().filter(|_| selection.picks_next(random)).for_each(show);
            }
        }
    }

    /// Removes any member and gives its text. `None` of an empty set.
    pub fn pop(&mut self, random: &mut Random) -> Option<Vec<u8>> {
        let member = self.random(random)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    /// Removes all but `kept` members, chosen at random, and shows the removed ones. Makes a new
    /// set of those that stay, so it is for the case that these are the fewer.
    pub fn pop_all_but(
        &mut self,
        kept: usize,
        random: &mut Random,
        limits: &EncodingLimits,
        mut show: impl FnMut(Member<'_>),
    ) {
        let mut selection = Selection::new(kept, self.len());
        let mut rest = match &self.form {
            Form::Integers(_) => Set::new(),
            Form::Few(_) | Form::Many(_) => Set { form: Form::Few(Listpack::new()) },
        };
        for member in self.iter() {
            if selection.picks_next(random) {
                rest.insert_member(member, limits);
            } else {
                show(member);
            }
        }
        *self = rest;
    }

    /// Shows about `count` members from `cursor` on. Returns the cursor to go on with, 0 at the
    /// end. The compact forms show all at once. Source: SSCAN.
    pub fn scan(&self, cursor: u64, count: usize, mut show: impl FnMut(Member<'_>)) -> u64 {
        if let Form::Many(dict) = &self.form {
            return dict.scan(cursor, count, |entry| show(Member::Bytes(entry.key)));
        }
        self.iter().for_each(show);
        0
    }

    fn leave_integers_above(&mut self, limits: &EncodingLimits) {
        let max = limits.set_max_intset_entries.min(intset::MAX_LEN);
        if matches!(&self.form, Form::Integers(ints) if ints.len() > max) {
            self.leave_integers(0, limits);
        }
    }

    /// Takes the form for any members, with room for `more`.
    fn leave_integers(&mut self, more: usize, limits: &EncodingLimits) {
        self.form = if self.len() + more <= MAX_FLAT_MEMBERS {
            let mut members = Listpack::new();
            for member in self.iter() {
                members.push_back_value(member).expect("a few integers fit");
            }
            Form::Few(members)
        } else {
            Form::Many(Box::new(self.to_dict(limits)))
        };
    }

    fn to_dict(&self, limits: &EncodingLimits) -> Dict<()> {
        let mut dict = Dict::new(limits.seed.0);
        for member in self.iter() {
            member.with_bytes(|bytes| insert_into(&mut dict, bytes));
        }
        dict
    }
}

fn insert_into(dict: &mut Dict<()>, member: &[u8]) -> bool {
    let hash = dict.hash(member);
    if dict.contains_hashed(hash, member) {
        return false;
    }
    dict.insert_hashed(hash, member, NewEntry { deadline: None, payload: &[], object: None });
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn limits(set_max_intset_entries: usize) -> EncodingLimits {
        EncodingLimits { set_max_intset_entries, ..EncodingLimits::default() }
    }

    fn set_of(members: impl IntoIterator<Item = String>) -> Set {
        let mut set = Set::new();
        for member in members {
            set.insert(member.as_bytes(), &limits(512));
        }
        set
    }

    fn texts(set: &Set) -> BTreeSet<Vec<u8>> {
        set.iter().map(|member| member.to_vec()).collect()
    }

    /// One set of each form.
    fn forms(len: usize) -> [Set; 3] {
        let letters = ["", "x"].map(|prefix| set_of((0..len).map(|i| format!("{prefix}{i}"))));
        let [ints, few] = letters;
        let mut many = few.clone();
        many.form = Form::Many(Box::new(many.to_dict(&limits(512))));
        [ints, few, many]
    }

    #[test]
    fn the_form_follows_the_members_and_never_goes_back() {
        let limits = limits(4);
        let mut set = Set::for_member(b"1");
        for int in ["1", "-5", "9223372036854775807", "3"] {
            assert!(set.insert(int.as_bytes(), &limits));
            assert_eq!(set.encoding(), "intset");
        }
        let mut mixed = set.clone();
        assert!(set.insert(b"8", &limits) && !set.insert(b"8", &limits));
        assert_eq!((set.encoding(), set.len()), ("hashtable", 5), "one above set-max-intset-entries");
        assert!(mixed.insert(b"007", &limits), "not how an integer is written");
        assert_eq!((mixed.encoding(), mixed.len()), ("hashtable", 5));
        for member in ["8", "1", "-5"] {
            assert!(set.remove(member.as_bytes()) && !set.remove(member.as_bytes()));
        }
        assert_eq!((set.encoding(), set.len()), ("hashtable", 2));
        assert_eq!(Set::for_member(b"a").encoding(), "hashtable");
    }

    #[test]
    fn a_few_members_are_flat_until_one_is_many_or_long() {
        let few = set_of((0..MAX_FLAT_MEMBERS).map(|i| format!("m{i}")));
        assert!(matches!(few.form, Form::Few(_)));
        let (mut more, mut longer) = (few.clone(), set_of(["a".to_string()]));
        more.insert(b"one more", &limits(512));
        longer.insert(&[b'x'; MAX_FLAT_MEMBER_BYTES + 1], &limits(512));
        assert!(matches!(more.form, Form::Many(_)) && matches!(longer.form, Form::Many(_)));
        assert_eq!((more.len(), longer.len()), (MAX_FLAT_MEMBERS + 1, 2));
        assert!(few.heap_bytes() < 256, "{}", few.heap_bytes());
    }

    #[test]
    fn a_clone_does_not_see_later_changes() {
        for mut set in forms(30) {
            let before = set.clone();
            let expected = texts(&set);
            while set.pop(&mut Random::new(1)).is_some() {}
            set.insert(b"new", &limits(512));
            assert_eq!(texts(&before), expected);
        }
    }

    #[test]
    fn chance_is_fair_in_every_form() {
        for set in forms(20) {
            let mut random = Random::new(3);
            let mut drawn = std::collections::BTreeMap::<Vec<u8>, u32>::new();
            for _ in 0..20_000 {
                *drawn.entry(set.random(&mut random).expect("not empty").to_vec()).or_default() += 1;
            }
            assert_eq!(drawn.len(), 20);
            assert!(drawn.values().all(|count| (850..1150).contains(count)), "{drawn:?}");
            let mut sampled = std::collections::BTreeMap::<Vec<u8>, u32>::new();
            for _ in 0..4000 {
                set.sample(5, &mut random, |member| *sampled.entry(member.to_vec()).or_default() += 1);
            }
            assert!(sampled.values().all(|count| (850..1150).contains(count)), "{sampled:?}");
        }
    }

    #[test]
    fn a_sample_is_of_different_members_and_no_larger_than_the_set() {
        for set in forms(30) {
            for count in [0, 1, 5, 10, 11, 29, 30, 31, usize::MAX] {
                let mut sample = Vec::new();
                set.sample(count, &mut Random::new(7), |member| sample.push(member.to_vec()));
                assert_eq!(sample.len(), count.min(30));
                let sample: BTreeSet<_> = sample.into_iter().collect();
                assert_eq!(sample.len(), count.min(30));
                assert!(sample.is_subset(&texts(&set)));
            }
        }
    }

    #[test]
    fn popping_all_but_some_parts_the_set() {
        for set in forms(30) {
            for kept in [0, 1, 7, 30] {
                let (mut rest, mut popped) = (set.clone(), BTreeSet::new());
                rest.pop_all_but(kept, &mut Random::new(2), &limits(512), |member| {
                    popped.insert(member.to_vec());
                });
                assert_eq!((rest.len(), popped.len()), (kept, 30 - kept));
                assert!(popped.is_disjoint(&texts(&rest)));
                assert_eq!(rest.encoding(), set.encoding());
            }
        }
    }

    #[test]
    fn a_scan_shows_everything_that_stays_though_the_set_grows_and_shrinks() {
        let mut set = set_of((0..2000).map(|i| format!("stays{i}")));
        let mut seen = BTreeSet::new();
        let (mut cursor, mut step) = (0, 0);
        loop {
            cursor = set.scan(cursor, 10, |member| {
                seen.insert(member.to_vec());
            });
            for i in 0..20 {
                set.insert(format!("comes{step}-{i}").as_bytes(), &limits(512));
                set.remove(format!("comes{}-{i}", step - step % 7).as_bytes());
            }
            step += 1;
            if cursor == 0 {
                break;
            }
        }
        assert!((0..2000).all(|i| seen.contains(format!("stays{i}").as_bytes())));
        assert!(step > 100, "ten or so at a time");
    }

    fn member() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => (-30i64..30).prop_map(|int| int.to_string().into_bytes()),
            1 => any::<i64>().prop_map(|int| int.to_string().into_bytes()),
            2 => "[a-d]{0,2}".prop_map(String::into_bytes),
            1 => (0u8..4, 60usize..70).prop_map(|(byte, len)| vec![byte; len]),
            1 => Just(vec![b'k'; 600]),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_btreeset(
            max in 0usize..40,
            steps in proptest::collection::vec((0u8..3, member()), 1..150),
        ) {
            let limits = limits(max);
            let (mut set, mut model) = (Set::new(), BTreeSet::new());
            for (step, member) in steps {
                if step > 0 {
                    prop_assert_eq!(set.insert(&member, &limits), model.insert(member.clone()));
                } else {
                    prop_assert_eq!(set.remove(&member), model.remove(&member));
                }
                prop_assert_eq!(set.contains(&member), model.contains(&member));
                prop_assert_eq!(set.contains_member(Member::of(&member)), model.contains(&member));
                prop_assert_eq!(set.len(), model.len());
                let is_intset = set.encoding() == "intset";
                prop_assert!(!is_intset || set.len() <= max && set.as_intset().is_some());
            }
            prop_assert_eq!(texts(&set), model.clone());
            let mut random = Random::new(1);
            while let Some(member) = set.pop(&mut random) {
                prop_assert!(model.remove(&member));
            }
            prop_assert!(model.is_empty() && set.is_empty());
        }
    }
}
