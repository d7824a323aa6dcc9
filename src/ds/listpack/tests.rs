//! The byte format against what redis-server 7.0.15 wrote (DUMP), and a model test against `Vec`.

use super::*;
use proptest::prelude::*;

fn listpack(elements: &[&[u8]]) -> Listpack {
    let mut listpack = Listpack::new();
    for element in elements {
        listpack.push_back(element).unwrap();
    }
    listpack
}

fn texts(listpack: &Listpack) -> Vec<Vec<u8>> {
    listpack.iter().map(|(_, value)| value.to_vec()).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let nibble = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// RPUSH l …, DUMP l of redis-server 7.0.15.
#[test]
fn bytes_are_those_of_redis() {
    let elements = "0 127 128 -1 4095 -4096 4096 -4097 32767 -32768 32768 8388607 -8388609 2147483647 2147483648 \
                    -9223372036854775808 9223372036854775808 007  a -0 +1";
    let elements: Vec<&[u8]> = elements.split(' ').map(str::as_bytes).collect();
    let expected =
        hex("78000000 1600 0001 7f01 c08002 dfff02 cfff02 d00002 f1001003 f1ffef03 f1ff7f03 f1008003
         f200800004 f2ffff7f04 f3ffff7fff05 f3ffffff7f05 f4000000800000000009 f4000000000000008009
         9339323233333732303336383534373735383038 14 83303037 04 8001 8161 02 822d30 03 822b31 03 ff");
    let listpack = listpack(&elements);
    assert_eq!(listpack.as_bytes(), expected);
    assert_eq!(Listpack::from_bytes_checked(expected), Ok(listpack));
}

/// HSET h f xxx…, DUMP h of redis-server 7.0.15: the head and the backlen of a string of each
/// length.
#[test]
fn string_heads_and_backlens_change_width_where_redis_does() {
    for (len, head, backlen) in [
        (63, "bf", "40"),
        (64, "e040", "42"),
        (125, "e07d", "7f"),
        (126, "e07e", "0180"),
        (4095, "efff", "2081"),
        (4096, "f000100000", "2085"),
        (16377, "f0f93f0000", "7ffe"),
        (16378, "f0fa3f0000", "00ffff"),
        (16379, "f0fb3f0000", "018080"),
    ] {
        let text = vec![b'x'; len];
        let listpack = listpack(&[&text]);
        let expected = [hex(head), text, hex(backlen), vec![END]].concat();
        assert_eq!(&listpack.as_bytes()[HEADER_BYTES..], expected, "{len}");
        assert_eq!(listpack.iter_rev().count(), 1, "{len}");
        assert!(Listpack::from_bytes_checked(listpack.as_bytes().to_vec()).is_ok(), "{len}");
    }
}

#[test]
fn corrupt_bytes_are_refused() {
    let good = listpack(&[b"field", b"12345", &[b'x'; 300]]).as_bytes().to_vec();
    let mut cases = vec![
        (vec![], "shorter than its header"),
        (vec![6, 0, 0, 0, 0, 0], "shorter than its header"),
        (good[..good.len() - 1].to_vec(), "total bytes differ from the header"),
        (vec![7, 0, 0, 0, 0, 0, 0], "no end mark"),
        (vec![7, 0, 0, 0, 1, 0, END], "element count differs from the header"),
        (hex("08000000 0100 81 ff"), "entry reaches past the end"),
        (hex("08000000 0100 f0 ff"), "bad encoding"),
        (hex("09000000 0100 f501 ff"), "bad encoding"),
        (hex("0b000000 0100 f0ffffff ff"), "bad encoding"),
        (hex("0c000000 0100 f0ffffff7f ff"), "entry reaches past the end"),
        (hex("09000000 0100 0102 ff"), "backlen differs from its entry"),
        (hex("0a000000 0100 c00081 ff"), "backlen differs from its entry"),
        (hex("0a000000 0200 0101ff ff"), "bad encoding"),
    ];
    let mut miscounted = good.clone();
    miscounted[4] = 4;
    cases.push((miscounted, "element count differs from the header"));
    for (bytes, reason) in cases {
        assert_eq!(Listpack::from_bytes_checked(bytes.clone()), Err(ListpackCorrupt(reason)), "{bytes:x?}");
    }
}

#[test]
fn counts_beyond_the_header_are_walked() {
    let mut listpack = Listpack::new();
    for _ in 0..65_534 {
        listpack.push_back(b"1").unwrap();
    }
    assert_eq!(listpack.counted(), Some(65_534));
    listpack.push_back(b"2").unwrap();
    listpack.push_front(b"0").unwrap();
    assert_eq!((listpack.counted(), listpack.len()), (None, 65_536));
    assert_eq!(listpack.get(65_535), Some(ListpackValue::Int(2)));
    assert_eq!(listpack.get(65_536), None);
    let mut twice = listpack.clone();
    twice.append(&listpack).unwrap();
    assert_eq!(twice.len(), 131_072);
    assert!(Listpack::from_bytes_checked(twice.as_bytes().to_vec()).is_ok());
    assert_eq!(listpack.remove_range(0, usize::MAX), 65_536);
    assert_eq!(listpack.counted(), Some(0));
}

#[test]
fn growth_beyond_the_bound_is_refused_and_changes_nothing() {
    let mut listpack = self::listpack(&[&vec![b'x'; MAX_BYTES - 30]]);
    let other = self::listpack(&[b"a string of twenty b"]);
    let before = listpack.clone();
    assert_eq!(listpack.push_back(b"a string of twenty b"), Err(ListpackFull));
    assert_eq!(listpack.insert_before(Cursor(HEADER_BYTES), b"a string of twenty b"), Err(ListpackFull));
    assert_eq!(listpack.append(&other), Err(ListpackFull));
    assert!(listpack.bytes.same(&before.bytes));
    assert_eq!(listpack.push_back(b"a short one"), Ok(()));
    assert_eq!((listpack.len(), before.len()), (2, 1));
}

#[test]
fn a_clone_is_a_snapshot_that_costs_nothing_until_a_change() {
    let mut listpack = listpack(&[b"one", b"two"]);
    let snapshot = listpack.clone();
    assert!(listpack.bytes.same(&snapshot.bytes));
    listpack.remove(listpack.first().unwrap());
    listpack.push_back(b"three").unwrap();
    assert!(!listpack.bytes.same(&snapshot.bytes));
    assert_eq!(texts(&snapshot), [b"one".to_vec(), b"two".to_vec()]);
    assert_eq!(texts(&listpack), [b"two".to_vec(), b"three".to_vec()]);
}

#[test]
fn elements_that_do_not_all_fit_are_not_added() {
    let mut listpack = listpack(&[b"one"]);
    let before = listpack.clone();
    let half = vec![b'x'; MAX_BYTES / 2];
    let halves = [ListpackValue::Int(1), ListpackValue::Bytes(&half), ListpackValue::Bytes(&half)];
    assert_eq!(listpack.push_back_all(halves.into_iter()), Err(ListpackFull));
    assert_eq!(listpack.as_bytes(), before.as_bytes());
    assert_eq!(listpack.push_back_all(halves[..2].iter().copied()), Ok(()));
    assert_eq!(listpack.len(), 3);
}

#[test]
fn find_skips_the_values_of_pairs() {
    let listpack = listpack(&[b"a", b"b", b"b", b"12", b"12", b"x"]);
    let found = |needle: &[u8], skip| {
        let cursor = listpack.find(needle, skip)?;
        listpack.iter().position(|(at, _)| at == cursor)
    };
    for (needle, skip, index) in [
        (&b"b"[..], 0, Some(1)),
        (b"b", 1, Some(2)),
        (b"12", 0, Some(3)),
        (b"12", 1, Some(4)),
        (b"x", 1, None),
        (b"012", 0, None),
        (b"a", 1000, Some(0)),
    ] {
        assert_eq!(found(needle, skip), index, "{needle:?} {skip}");
    }
    assert_eq!(Listpack::new().find(b"a", 1), None);
}

#[derive(Debug, Clone)]
enum Step {
    PushBack(Vec<u8>),
    PushBackAll(Vec<Vec<u8>>),
    PushFront(Vec<u8>),
    InsertAt(usize, Vec<u8>),
    InsertAfter(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    RemoveRange(usize, usize),
    Remove(usize),
    SplitAndAppend(usize),
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i64>().prop_map(|int| int.to_string().into_bytes()),
        any::<i16>().prop_map(|int| int.to_string().into_bytes()),
        (-200i64..200).prop_map(|int| int.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..80),
        (4000usize..4200).prop_map(|len| vec![b'y'; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        element().prop_map(Step::PushBack),
        proptest::collection::vec(element(), 0..12).prop_map(Step::PushBackAll),
        element().prop_map(Step::PushFront),
        (0usize..40, element()).prop_map(|(index, element)| Step::InsertAt(index, element)),
        (0usize..40, element()).prop_map(|(index, element)| Step::InsertAfter(index, element)),
        (0usize..40, element()).prop_map(|(index, element)| Step::Replace(index, element)),
        (0usize..40, 0usize..5).prop_map(|(index, count)| Step::RemoveRange(index, count)),
        (0usize..40).prop_map(Step::Remove),
        (0usize..40).prop_map(Step::SplitAndAppend),
    ]
}

fn apply(listpack: &mut Listpack, model: &mut Vec<Vec<u8>>, step: Step) {
    match step {
        Step::PushBack(element) => {
            listpack.push_back(&element).unwrap();
            model.push(element);
        }
        Step::PushBackAll(elements) => {
            let values = elements.iter().map(|element| ListpackValue::of(element));
            listpack.push_back_all(values).unwrap();
            model.extend(elements);
        }
        Step::PushFront(element) => {
            listpack.push_front(&element).unwrap();
            model.insert(0, element);
        }
        Step::InsertAt(index, element) => {
            listpack.insert_at(index, &element).unwrap();
            model.insert(index.min(model.len()), element);
        }
        Step::InsertAfter(index, element) => {
            let Some(cursor) = listpack.seek(index) else { return };
            let new = listpack.insert_after(cursor, &element).unwrap();
            assert!(listpack.value(new).eq_bytes(&element));
            model.insert(index + 1, element);
        }
        Step::Replace(index, element) => {
            let Some(cursor) = listpack.seek(index) else { return };
            listpack.replace(cursor, &element).unwrap();
            assert!(listpack.value(cursor).eq_bytes(&element));
            model[index] = element;
        }
        Step::RemoveRange(index, count) => {
            let from = index.min(model.len());
            let removed = model.drain(from..(from + count).min(model.len())).count();
            assert_eq!(listpack.remove_range(index, count), removed);
        }
        Step::Remove(index) => {
            let Some(cursor) = listpack.seek(index) else { return };
            model.remove(index);
            let next = listpack.remove(cursor).map(|at| listpack.value(at).to_vec());
            assert_eq!(next.as_ref(), model.get(index));
        }
        Step::SplitAndAppend(index) => {
            let tail = listpack.split_off(index);
            assert_eq!(texts(&tail), model[index.min(model.len())..]);
            listpack.append(&tail).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn behaves_like_a_vec(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut listpack, mut model) = (Listpack::new(), Vec::new());
        for step in steps {
            apply(&mut listpack, &mut model, step);
            prop_assert_eq!(listpack.len(), model.len());
            prop_assert_eq!(listpack.is_empty(), model.is_empty());
            prop_assert_eq!(&texts(&listpack), &model);
        }
        let mut backwards: Vec<_> = listpack.iter_rev().map(|(_, value)| value.to_vec()).collect();
        backwards.reverse();
        prop_assert_eq!(&backwards, &model);
        for (index, element) in model.iter().enumerate() {
            let value = listpack.get(index).unwrap();
            prop_assert!(value.eq_bytes(element) && value.len_as_text() == element.len());
            let first = model.iter().position(|other| other == element).unwrap();
            prop_assert_eq!(listpack.find(element, 0), listpack.seek(first));
        }
        prop_assert_eq!(listpack.get(model.len()), None);
        // The way in agrees with the way out, and the canonical form is unique.
        let again = Listpack::from_bytes_checked(listpack.as_bytes().to_vec()).unwrap();
        let mut rebuilt = Listpack::new();
        for element in &model {
            rebuilt.push_back(element).unwrap();
        }
        prop_assert_eq!(&again, &rebuilt);
    }

    #[test]
    fn hostile_bytes_are_refused_or_readable(
        mut bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(1u8), Just(0xFF)], 0..60),
    ) {
        if bytes.len() > HEADER_BYTES {
            let total = bytes.len() as u32;
            bytes[..4].copy_from_slice(&total.to_le_bytes());
            bytes[4..6].copy_from_slice(&COUNT_UNKNOWN.to_le_bytes());
            *bytes.last_mut().unwrap() = END;
        }
        if let Ok(mut listpack) = Listpack::from_bytes_checked(bytes) {
            let count = listpack.iter().count();
            prop_assert_eq!(listpack.counted(), Some(count));
            prop_assert_eq!(listpack.iter_rev().count(), count);
            listpack.push_front(b"x").unwrap();
            prop_assert_eq!(listpack.remove_range(0, usize::MAX), count + 1);
        }
    }
}
