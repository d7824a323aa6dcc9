//! The dict against the standard library's maps, its guarantees one by one, and its inner order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use triomphe::Arc;

use super::*;

type Object = Arc<u64>;
type Model = HashMap<Vec<u8>, (Option<i64>, Vec<u8>, Option<u64>)>;

const SEED: HashSeed = *b"0123456789abcdef";

fn dict() -> Dict<Object> {
    Dict::new(SEED)
}

fn put(dict: &mut Dict<Object>, key: &[u8], payload: &[u8]) -> bool {
    dict.insert(key, NewEntry { deadline: None, payload: &[payload], object: None }).is_some()
}

fn put_due(dict: &mut Dict<Object>, key: &[u8], deadline: i64) {
    dict.insert(key, NewEntry { deadline: Some(deadline), payload: &[], object: None });
}

fn number(index: u64) -> Vec<u8> {
    format!("key:{index:012}").into_bytes()
}

/// A small generator of numbers for tests that want many of them.
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let mixed = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((u128::from(mixed) * u128::from(below)) >> 64) as u64
    }
}

impl<O: Clone> Dict<O> {
    /// Panics unless every account agrees with what the pages hold.
    fn check(&self) {
        self.view.directory.check();
        let (mut len, mut bytes, mut with_deadline) = (0, 0, 0);
        let mut indexed = BTreeSet::new();
        for page in self.pages() {
            len += page.len();
            bytes += page.heap_bytes();
            with_deadline += page.deadlines().count();
            for entry in page.iter() {
                let hash = self.hash(entry.key);
                assert!(page.range().contains(&(hash >> 16)), "an entry outside of its page's range");
                let found = page.find(hash, entry.key).map(|slot| page.entry(slot).key.as_ptr());
                assert_eq!(found, Some(entry.key.as_ptr()));
            }
            let bound = self.view.directory.place(page.first_hash()).bound;
            assert!(bound <= page.earliest_deadline(), "a bound later than a deadline");
            if bound != NEVER {
                indexed.insert((bound, page.first_hash()));
            }
        }
        assert_eq!((len, bytes, with_deadline), (self.len(), self.page_bytes, self.deadlines_len()));
        assert_eq!(self.pages().count(), self.page_count());
        assert!(indexed.iter().eq(self.deadlines.pages()));
    }
}

fn contents(view: &View<Object>) -> Model {
    let mut model = Model::new();
    for entry in view.iter() {
        let value = (entry.deadline, entry.payload.to_vec(), entry.object.map(|object| **object));
        assert!(model.insert(entry.key.to_vec(), value).is_none(), "an entry met twice");
    }
    model
}

#[derive(Debug, Clone)]
enum Op {
    Insert { key: u16, deadline: Option<i64>, payload: usize, object: Option<u64> },
    Remove(u16),
    RemoveRange(u16, u16),
    SetDeadline(u16, Option<i64>),
    Change(u16, u8),
    TakeDue { advance: i64, max: usize },
    Snapshot,
    Clear,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let key = 0u16..600;
    let deadline = prop_oneof![Just(None), (0i64..5000).prop_map(Some)];
    let payload = prop_oneof![8 => 0usize..40, 4 => 40usize..260, 1 => Just(5000usize)];
    let insert = (key.clone(), deadline.clone(), payload, prop::option::weighted(0.3, any::<u64>()))
        .prop_map(|(key, deadline, payload, object)| Op::Insert { key, deadline, payload, object });
    let op = prop_oneof![
        60 => insert,
        20 => key.clone().prop_map(Op::Remove),
        1 => (key.clone(), 50u16..400).prop_map(|(from, count)| Op::RemoveRange(from, count)),
        10 => (key.clone(), deadline).prop_map(|(key, deadline)| Op::SetDeadline(key, deadline)),
        10 => (key, any::<u8>()).prop_map(|(key, byte)| Op::Change(key, byte)),
        4 => (0i64..400, 1usize..30).prop_map(|(advance, max)| Op::TakeDue { advance, max }),
        2 => Just(Op::Snapshot),
        1 => Just(Op::Clear),
    ];
    prop::collection::vec(op, 1..1500)
}

/// Keys of all sizes: most are short, some are kept out of line.
fn model_key(key: u16) -> Vec<u8> {
    let mut bytes = format!("k{key}").into_bytes();
    match key % 16 {
        0 => bytes.resize(200, b'x'),
        1 => bytes.resize(513 + usize::from(key), b'y'),
        2 if key == 2 => bytes.clear(),
        _ => {}
    }
    bytes
}

/// Runs one operation on both, and compares what they answer.
fn apply(dict: &mut Dict<Object>, model: &mut Model, now: &mut i64, op: Op) {
    match op {
        Op::Insert { key, deadline, payload, object } => {
            let key = model_key(key);
            let payload: Vec<u8> = (0..payload).map(|at| at as u8).collect();
            let parts = payload.split_at(payload.len() / 3);
            let new = NewEntry { deadline, payload: &[parts.0, parts.1], object: object.map(Arc::new) };
            let replaced = dict.insert(&key, new).map(|old| (old.deadline, old.object.map(|object| *object)));
            let expected = model.insert(key, (deadline, payload, object));
            assert_eq!(replaced, expected.map(|(deadline, _, object)| (deadline, object)));
        }
        Op::Remove(key) => {
            let key = model_key(key);
            let removed = dict.remove(&key).map(|old| (old.deadline, old.object.map(|object| *object)));
            assert_eq!(removed, model.remove(&key).map(|(deadline, _, object)| (deadline, object)));
        }
        Op::RemoveRange(from, count) => {
            for key in from..from + count {
                apply(dict, model, now, Op::Remove(key));
            }
        }
        Op::SetDeadline(key, deadline) => {
            let key = model_key(key);
            let entry = model.get_mut(&key);
            assert_eq!(dict.set_deadline(&key, deadline), entry.is_some());
            if let Some(entry) = entry {
                entry.0 = deadline;
            }
        }
        Op::Change(key, byte) => {
            let key = model_key(key);
            let (found, expected) = (dict.get_mut(&key), model.get_mut(&key));
            assert_eq!(found.is_some(), expected.is_some());
            if let (Some(found), Some(expected)) = (found, expected) {
                assert_eq!(found.deadline, expected.0);
                found.payload.fill(byte);
                expected.1.fill(byte);
                if let (Some(object), Some(expected)) = (found.object, expected.2.as_mut()) {
                    *object = Arc::new(u64::from(byte));
                    *expected = u64::from(byte);
                }
            }
        }
        Op::TakeDue { advance, max } => {
            *now += advance;
            for key in dict.due(*now, max) {
                assert!(model[&*key].0.is_some_and(|deadline| deadline <= *now), "handed out too early");
                assert!(dict.remove(&key).is_some() && model.remove(&*key).is_some());
            }
        }
        Op::Clear => {
            let before = dict.clear_walked().0.expect("no walk");
            assert_eq!(contents(&before), std::mem::take(model));
        }
        Op::Snapshot => {}
    }
}

fn compare(dict: &mut Dict<Object>, model: &Model, now: i64) {
    dict.check();
    assert_eq!(&contents(dict), model);
    for (key, (deadline, payload, object)) in model {
        let entry = dict.get(key).expect("every key of the model is there");
        assert_eq!((entry.deadline, entry.payload), (*deadline, &payload[..]));
        assert_eq!(entry.object.map(|object| **object), *object);
    }
    assert!((0..1000).map(model_key).all(|key| dict.contains(&key) == model.contains_key(&key)));
    // Nothing due is ever missed, and the bound becomes exact by asking.
    let mut due = BTreeSet::new();
    let mut copy = dict.clone();
    while copy.next_deadline().is_some_and(|next| next <= now) {
        for key in copy.due(now, 7) {
            copy.remove(&key);
            due.insert(key.into_vec());
        }
    }
    let is_due = |deadline: &Option<i64>| deadline.is_some_and(|deadline| deadline <= now);
    let expected = model.iter().filter(|(_, (deadline, ..))| is_due(deadline)).map(|(key, _)| key.clone());
    assert_eq!(due, expected.collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_map_and_snapshots_stay_as_they_were(ops in ops()) {
        let (mut dict, mut model, mut now) = (dict(), Model::new(), 0);
        let mut snapshots: Vec<(View<Object>, Model)> = Vec::new();
        for (step, op) in ops.into_iter().enumerate() {
            if matches!(op, Op::Snapshot) {
                snapshots.push((dict.view(), model.clone()));
                snapshots.drain(..snapshots.len().saturating_sub(3));
            }
            apply(&mut dict, &mut model, &mut now, op);
            if step % 100 == 0 {
                compare(&mut dict, &model, now);
            }
        }
        compare(&mut dict, &model, now);
        for (view, model) in snapshots {
            prop_assert_eq!(contents(&view), model);
        }
    }

    #[test]
    fn a_scan_shows_once_what_stays_and_nothing_twice(
        seed: u64,
        start in 1u64..3000,
        count in 1usize..200,
        steps in prop::collection::vec((any::<bool>(), 0u64..600), 1..60),
    ) {
        let (mut dict, mut below) = (dict(), numbers(seed));
        // Keys below 1000 stay; the others come and go between the calls.
        for key in 0..start.max(1000) {
            put(&mut dict, &number(key), b"payload");
        }
        let (mut cursor, mut seen, mut steps) = (0, BTreeMap::new(), steps.into_iter().cycle());
        loop {
            let mut shown = 0;
            cursor = dict.scan(cursor, count, |entry| {
                shown += 1;
                *seen.entry(entry.key.to_vec()).or_insert(0) += 1;
            });
            prop_assert!(shown <= count);
            prop_assert!(cursor < POSITIONS);
            if cursor == 0 {
                break;
            }
            let (grow, changes) = steps.next().expect("an endless cycle");
            for _ in 0..changes {
                let key = number(1000 + below(4000));
                if grow { put(&mut dict, &key, b"later"); } else { dict.remove(&key); }
            }
        }
        prop_assert!((0..1000).all(|key| seen.get(&number(key)) == Some(&1)));
        prop_assert!(seen.values().all(|&times| times == 1));
    }
}

#[test]
fn a_million_inserts_and_removals_move_little_each() {
    const KEYS: u64 = 1_000_000;
    let mut dict: Dict<Object> = Dict::new(SEED);
    let (mut worst, mut before) = (0, 0);
    let mut note = |dict: &Dict<Object>| {
        worst = worst.max(dict.moved() - before);
        before = dict.moved();
    };
    for key in 0..KEYS {
        put(&mut dict, &number(key), b"four");
        note(&dict);
    }
    assert_eq!(dict.len() as u64, KEYS);
    let full = dict.heap_bytes();
    assert!(dict.get(&number(KEYS / 2)).is_some_and(|entry| entry.payload == b"four"));
    for key in 0..KEYS {
        assert!(dict.remove(&number(key)).is_some());
        note(&dict);
    }
    dict.check();
    assert_eq!((dict.page_count(), dict.is_empty()), (1, true));
    assert!(dict.heap_bytes() * 1000 < full, "an emptied dict keeps {} bytes", dict.heap_bytes());
    // A page of such keys holds at most 170, a segment 1024 places and as many pages.
    assert!(worst <= 4096, "one operation moved {worst}");
}

#[test]
fn a_dict_whose_length_is_known_takes_its_shape_at_once() {
    const KEYS: u64 = 100_000;
    let new = |deadline| NewEntry { deadline, payload: &[b"sixteen bytes ..", b"more"], object: None };
    let (mut known, mut grown) = (dict(), dict());
    known.anticipate(KEYS as usize);
    for index in 0..KEYS {
        let (key, deadline) = (number(index), (index % 5 == 0).then_some(index as i64));
        let hash = known.hash(&key);
        let before = known.moved();
        assert!(known.insert_new(hash, &key, new(deadline)));
        assert!(known.moved() - before <= 4096, "{} moved", known.moved() - before);
        assert!(!known.insert_new(hash, &key, new(None)), "it is there");
        grown.insert(&key, new(deadline));
    }
    for dict in [&known, &grown] {
        dict.check();
        assert_eq!((dict.len() as u64, dict.deadlines_len() as u64), (KEYS, KEYS / 5));
    }
    assert!(known.moved() < grown.moved() / 2, "{} and {} moved", known.moved(), grown.moved());
    let (pages, pages_grown) = (known.page_count() as f64, grown.page_count() as f64);
    assert!((0.9..1.1).contains(&(pages / pages_grown)), "{pages} and {pages_grown} pages");
    // A length that is far from the truth costs what arrives, not what was said.
    let mut mistaken = dict();
    mistaken.anticipate(usize::MAX);
    for index in 0..10 {
        let key = number(index);
        mistaken.insert_new(mistaken.hash(&key), &key, new(None));
    }
    mistaken.check();
    assert!(mistaken.page_count() <= 1 + 10 * MAX_ANTICIPATED_DEPTH as usize);
    assert!(mistaken.moved() <= 1 << 20, "{} moved", mistaken.moved());
}

#[test]
fn expiry_hands_out_each_deadline_in_its_millisecond() {
    let (mut dict, mut below) = (dict(), numbers(7));
    let mut expected: BTreeMap<i64, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for key in 0..5000 {
        let deadline = 1000 + below(300) as i64;
        put_due(&mut dict, &number(key), deadline);
        expected.entry(deadline).or_default().insert(number(key));
    }
    for now in 990..1310 {
        let mut due = BTreeSet::new();
        while dict.next_deadline().is_some_and(|next| next <= now) {
            for key in dict.due(now, 10) {
                assert!(dict.remove(&key).is_some());
                assert!(due.insert(key.into_vec()), "handed out twice");
            }
        }
        assert_eq!(due, expected.remove(&now).unwrap_or_default(), "at {now}");
    }
    assert_eq!((dict.len(), dict.deadlines_len(), dict.next_deadline()), (0, 0, None));
}

#[test]
fn the_work_of_one_call_for_due_keys_is_bounded_when_all_were_postponed() {
    let mut dict = dict();
    for key in 0..40_000 {
        put_due(&mut dict, &number(key), 10);
    }
    for key in 0..40_000 {
        dict.set_deadline(&number(key), None);
    }
    assert_eq!((dict.deadlines_len(), dict.next_deadline()), (0, None));
    put_due(&mut dict, b"later", 1000);
    assert!(dict.page_count() > 4 * IDLE_PAGES);
    assert_eq!((dict.deadlines_len(), dict.next_deadline()), (1, Some(10)));
    let pages = dict.deadlines.pages().count();
    assert!(dict.due(20, 100).is_empty());
    assert_eq!(dict.deadlines.pages().count(), pages - IDLE_PAGES);
    while dict.next_deadline() != Some(1000) {
        assert!(dict.due(20, 100).is_empty());
    }
}

#[test]
fn a_deadline_of_never_is_never_due() {
    let mut dict = dict();
    put_due(&mut dict, b"k", NEVER);
    assert_eq!((dict.next_deadline(), dict.deadlines_len()), (None, 1));
    assert_eq!(dict.get(b"k").and_then(|entry| entry.deadline), Some(NEVER));
    dict.check();
}

#[test]
fn keys_of_equal_hash_grow_their_page_and_not_the_directory() {
    let mut dict = dict();
    // 18 equal bits are more than any split may use in so small a dict.
    let keys = (0u64..).map(u64::to_le_bytes).filter(|key| dict.hash(key) >> 46 == 0x1_2345).take(150);
    let keys: Vec<_> = keys.collect();
    for key in &keys {
        put(&mut dict, key, &[7; 200]);
    }
    dict.check();
    assert!(dict.pages().any(|page| page.len() > slot_table::SLOTS), "no page needed a second slot table");
    assert!(dict.page_count() < 64);
    let mut seen = 0;
    dict.scan(0, 1000, |_| seen += 1);
    assert_eq!(seen, keys.len());
    for (index, key) in keys.iter().enumerate() {
        assert!(dict.set_deadline(key, Some(5)));
        if index % 2 == 0 {
            assert!(put(&mut dict, key, &[9; 3]));
        }
    }
    dict.check();
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(
            dict.get(key).map(|entry| entry.payload.len()),
            Some(if index % 2 == 0 { 3 } else { 200 })
        );
        assert!(dict.remove(key).is_some());
    }
    dict.check();
    assert_eq!((dict.len(), dict.page_count()), (0, 1));
}

#[test]
fn chance_is_fair() {
    let (mut dict, mut below) = (dict(), numbers(3));
    assert!(dict.random(&mut below).is_none());
    for size in [1u64, 50, 2000] {
        for key in 0..size {
            put(&mut dict, &number(key), b"");
        }
        let draws = size * 200;
        let mut drawn: HashMap<Vec<u8>, u64> = HashMap::new();
        for _ in 0..draws {
            let entry = dict.random(&mut below).expect("not empty");
            *drawn.entry(entry.key.to_vec()).or_default() += 1;
        }
        assert_eq!(drawn.len() as u64, size);
        // 200 expected, a deviation of 14: nothing fair is farther off than six of those.
        assert!(drawn.values().all(|&times| size == 1 || (115..=285).contains(&times)), "{drawn:?}");
    }
}

#[test]
fn chance_finds_the_last_entry_of_a_deserted_dict() {
    let (mut dict, mut below) = (dict(), numbers(5));
    dict.allow_merging(false);
    for key in 0..20_000 {
        put(&mut dict, &number(key), b"");
    }
    for key in 1..20_000 {
        dict.remove(&number(key));
    }
    assert!(dict.page_count() > 100, "merging was not allowed");
    assert_eq!(dict.random(&mut below).map(|entry| entry.key.to_vec()), Some(number(0)));
    // A scan of nothing but empty pages gives up early and says where to go on.
    let mut cursor = dict.scan(0, 1, |_| {});
    assert_ne!(cursor, 0);
    let mut calls = 1;
    while cursor != 0 {
        cursor = dict.scan(cursor, 1, |_| {});
        calls += 1;
    }
    assert!(calls >= dict.page_count() / view::PAGES_PER_ENTRY);
}

#[test]
fn pages_walked_by_position_hold_every_entry_once() {
    let mut dict = dict();
    for key in 0..10_000 {
        put(&mut dict, &number(key), b"x");
    }
    let (mut position, mut seen) = (0, BTreeSet::new());
    loop {
        let (page, next) = dict.page_at(position);
        assert_eq!(page.range().start, position);
        assert!(page.iter().all(|entry| seen.insert(entry.key.to_vec())));
        // Writers copy what is held here.
        put(&mut dict, &number(position % 10_000), b"changed meanwhile");
        position = next;
        if position == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 10_000);
}

#[test]
fn sharing_costs_a_copy_only_where_something_is_written() {
    let mut dict = dict();
    for key in 0..1000 {
        put(&mut dict, &number(key), b"x");
    }
    let view = dict.view();
    dict.get_mut(&number(5)).expect("it is there").payload[0] = b'y';
    let copied = view.pages().zip(dict.pages()).filter(|(old, new)| !old.same(new)).count();
    assert_eq!(copied, 1);
    assert_eq!(view.get(&number(5)).map(|entry| entry.payload), Some(&b"x"[..]));
    assert_eq!(dict.get(&number(5)).map(|entry| entry.payload), Some(&b"y"[..]));
}

#[test]
fn removals_give_blocks_back_before_pages_merge() {
    let mut dict = dict();
    dict.allow_merging(false);
    for key in 0..20_000 {
        put(&mut dict, &number(key), &[1; 40]);
    }
    let (pages, full) = (dict.page_count(), dict.heap_bytes());
    for key in (0..20_000).filter(|key| key % 4 != 0) {
        dict.remove(&number(key));
    }
    dict.check();
    assert_eq!(dict.page_count(), pages);
    // Every page may keep three free blocks beside its slot table and a quarter of its entries.
    assert!(dict.heap_bytes() < full * 7 / 10, "{} of {full} bytes", dict.heap_bytes());
}

#[test]
fn a_dict_of_few_entries_is_small() {
    let mut dict = dict();
    assert!(dict.heap_bytes() < 700, "empty: {}", dict.heap_bytes());
    for key in 0..4 {
        put(&mut dict, &number(key), b"four");
    }
    assert!(dict.heap_bytes() < 1200, "four entries: {}", dict.heap_bytes());
}

#[test]
fn a_view_may_leave_the_thread() {
    fn assert_sendable<T: Send + Sync>() {}
    assert_sendable::<Dict<Object>>();
    assert_sendable::<View<Object>>();
    assert_sendable::<Page<Object>>();
}

#[test]
fn a_tight_dict_loses_nothing_when_it_packs_its_pages() {
    let mut dict = dict();
    dict.pack_tightly(true);
    for index in 0..3000 {
        put(&mut dict, &number(index), &[index as u8; 20][..(index % 20) as usize]);
    }
    let full = dict.heap_bytes();
    for index in (0..3000).filter(|index| index % 3 != 0) {
        assert!(dict.remove(&number(index)).is_some());
    }
    dict.check();
    assert_eq!(dict.len(), 1000);
    assert!((0..3000).step_by(3).all(|index| dict.contains(&number(index))));
    assert!(dict.heap_bytes() * 2 < full, "{} of {full}", dict.heap_bytes());
}

#[test]
fn a_rare_deadline_is_found_among_pages_that_have_lost_theirs() {
    let mut dict = dict();
    (0..20_000).for_each(|index| put_due(&mut dict, &number(index), index as i64));
    for index in (0..20_000).filter(|&index| index != 777) {
        assert!(dict.set_deadline(&number(index), None));
    }
    let mut below = numbers(5);
    for _ in 0..20 {
        let mut found = Vec::new();
        dict.sample_with_deadline(5, &mut below, |entry| found.push(entry.key.to_vec()));
        assert_eq!(found, [number(777)]);
    }
    dict.check();
}
