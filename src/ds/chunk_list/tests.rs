//! A model test against `VecDeque`, with chunks so small that the tree grows several levels.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

type Model = VecDeque<Vec<u8>>;

fn texts(list: &ChunkList) -> Vec<Vec<u8>> {
    list.iter().map(|value| value.to_vec()).collect()
}

fn assert_same(list: &ChunkList, model: &Model) {
    list.tree.check(&|(), ()| true);
    assert_eq!(list.len(), model.len() as u64);
    assert!(list.iter().eq_by_text(model.iter()));
    assert!(list.iter_rev().eq_by_text(model.iter().rev()));
}

trait EqByText {
    fn eq_by_text<'m>(self, model: impl Iterator<Item = &'m Vec<u8>>) -> bool;
}

impl<'a, I: Iterator<Item = ListpackValue<'a>>> EqByText for I {
    fn eq_by_text<'m>(mut self, mut model: impl Iterator<Item = &'m Vec<u8>>) -> bool {
        loop {
            match (self.next(), model.next()) {
                (Some(value), Some(element)) if value.eq_bytes(element) => {}
                (None, None) => return true,
                _ => return false,
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    PushBack(Vec<u8>),
    PushFront(Vec<u8>),
    PopBack,
    PopFront,
    Set(u64, Vec<u8>),
    InsertBefore(u64, Vec<u8>),
    InsertAfter(u64, Vec<u8>),
    Remove(u64),
    RemoveRange(u64, u64),
    RemoveEqual(Vec<u8>, u64, Direction),
    AppendListpack(Vec<Vec<u8>>),
    AppendPlain(Vec<u8>),
}

fn apply(list: &mut ChunkList, model: &mut Model, step: Step) {
    let len = model.len() as u64;
    match step {
        Step::PushBack(element) => {
            list.push_back(&element);
            model.push_back(element);
        }
        Step::PushFront(element) => {
            list.push_front(&element);
            model.push_front(element);
        }
        Step::PopBack => assert_eq!(list.pop_back(), model.pop_back()),
        Step::PopFront => assert_eq!(list.pop_front(), model.pop_front()),
        Step::Set(index, element) => {
            assert_eq!(list.set(index, &element), index < len);
            if let Some(old) = model.get_mut(index as usize) {
                *old = element;
            }
        }
        Step::InsertBefore(index, element) => {
            assert_eq!(list.insert_before(index, &element), index <= len);
            if index <= len {
                model.insert(index as usize, element);
            }
        }
        Step::InsertAfter(index, element) => {
            assert_eq!(list.insert_after(index, &element), index < len);
            if index < len {
                model.insert(index as usize + 1, element);
            }
        }
        Step::Remove(index) => assert_eq!(list.remove(index), model.remove(index as usize).is_some()),
        Step::RemoveRange(start, count) => {
            list.remove_range(start, count);
            let start = start.min(len);
            model.drain(start as usize..start.saturating_add(count).min(len) as usize);
        }
        Step::RemoveEqual(element, limit, direction) => {
            assert_eq!(
                list.remove_equal(&element, limit, direction),
                remove_equal(model, &element, limit, direction)
            );
        }
        Step::AppendListpack(elements) => {
            let mut listpack = Listpack::new();
            for element in &elements {
                listpack.push_back(element).unwrap();
            }
            list.append_listpack(listpack);
            model.extend(elements);
        }
        Step::AppendPlain(element) => {
            list.append_plain(element.clone());
            model.push_back(element);
        }
    }
}

fn remove_equal(model: &mut Model, element: &[u8], limit: u64, direction: Direction) -> u64 {
    let mut places: Vec<usize> = (0..model.len()).filter(|&index| model[index] == element).collect();
    if direction == Direction::Forward {
        places.truncate(limit as usize);
        places.reverse();
    } else {
        places.reverse();
        places.truncate(limit as usize);
    }
    for &place in &places {
        model.remove(place);
    }
    places.len() as u64
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (-3i64..3).prop_map(|int| int.to_string().into_bytes()),
        4 => proptest::collection::vec(any::<u8>(), 0..20),
        2 => (100usize..1500).prop_map(|len| vec![b'm'; len]),
        1 => (4000usize..4200).prop_map(|len| vec![b'n'; len]),
        1 => (8100usize..9000).prop_map(|len| vec![b'o'; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let at = || prop_oneof![3 => 0u64..20, 1 => 0u64..200];
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    prop_oneof![
        4 => element().prop_map(Step::PushBack),
        4 => element().prop_map(Step::PushFront),
        1 => Just(Step::PopBack),
        1 => Just(Step::PopFront),
        3 => (at(), element()).prop_map(|(index, element)| Step::Set(index, element)),
        3 => (at(), element()).prop_map(|(index, element)| Step::InsertBefore(index, element)),
        3 => (at(), element()).prop_map(|(index, element)| Step::InsertAfter(index, element)),
        1 => at().prop_map(Step::Remove),
        1 => (at(), 0u64..15).prop_map(|(start, count)| Step::RemoveRange(start, count)),
        1 => (element(), 0u64..5, direction).prop_map(|(element, limit, direction)| {
            Step::RemoveEqual(element, limit, direction)
        }),
        2 => proptest::collection::vec(element(), 0..40).prop_map(Step::AppendListpack),
        1 => element().prop_map(Step::AppendPlain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn behaves_like_a_deque(
        fill in prop_oneof![Just(1i64), Just(2), Just(5), Just(-1), Just(-2)],
        plain_from in prop_oneof![Just(u64::MAX), Just(1), Just(6)],
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let (mut list, mut model) = (ChunkList::new(Fill::new(fill).plain_from(plain_from)), Model::new());
        for step in steps {
            let (snapshot, before) = (list.clone(), model.clone());
            apply(&mut list, &mut model, step);
            assert_same(&list, &model);
            assert_same(&snapshot, &before);
        }
    }
}

/// Thousands of steps on thousands of tiny chunks: three levels of branches.
#[test]
fn behaves_like_a_deque_when_the_tree_is_high() {
    for (seed, fill) in [(1, 1), (2, 2), (3, 3)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut list, mut model) = (ChunkList::new(Fill::new(fill)), Model::new());
        for turn in 0..30_000 {
            let element = random.u16(..).to_string().into_bytes();
            let at = random.u64(..model.len() as u64 + 2);
            let growing = turn < 20_000;
            let step = match random.u8(..if growing { 12 } else { 20 }) {
                0..2 => Step::PushBack(element),
                2..4 => Step::PushFront(element),
                4..8 => Step::InsertBefore(at, element),
                8..10 => Step::Set(at, element),
                10 => Step::PopFront,
                11 => Step::PopBack,
                12..16 => Step::RemoveRange(at, random.u64(..6)),
                _ => Step::Remove(at),
            };
            apply(&mut list, &mut model, step);
            assert_eq!(list.len(), model.len() as u64);
            let at = random.usize(..model.len() + 1);
            assert_eq!(list.get(at as u64).map(|value| value.to_vec()).as_ref(), model.get(at));
            if turn % 1000 == 0 {
                assert_same(&list, &model);
                let tail: Vec<_> = list.iter_from(at as u64).map(|value| value.to_vec()).collect();
                assert!(tail.iter().eq(model.range(at..)));
                let head = list.iter_rev_from(at as u64);
                assert!(head.eq_by_text(model.range(..(at + 1).min(model.len())).rev()));
            }
        }
        assert!(list.len() > 64 * 64 * fill as u64 / 2, "{} elements", list.len());
        list.remove_range(3, list.len() - 7);
        model.drain(3..model.len() - 4);
        assert_same(&list, &model);
        assert!(list.chunk_count() <= 7);
        list.remove_range(0, u64::MAX);
        assert!(list.is_empty() && list.chunk_count() == 0);
        list.push_back(b"again");
        assert_eq!(texts(&list), [b"again"]);
    }
}

#[test]
fn pushing_at_either_end_fills_chunks_as_redis_does() {
    // redis-server 7.0.15, DEBUG OBJECT: ql_nodes:13 ql_avg_node:384.62
    // ql_uncompressed_size:100091.
    for push in [ChunkList::push_back, ChunkList::push_front] {
        let mut list = ChunkList::new(Fill::default());
        for _ in 0..5000 {
            push(&mut list, b"element:0123456789");
        }
        let sizes: Vec<usize> = list.chunks().map(packed_len).collect();
        assert_eq!(sizes.iter().filter(|&&len| len == 408).count(), 12);
        assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (13, 5000));
        let bytes = |chunk: ChunkRef<'_>| match chunk {
            ChunkRef::Packed(listpack) => listpack.byte_len(),
            ChunkRef::Plain(element) => element.len(),
        };
        assert_eq!(list.chunks().map(bytes).sum::<usize>(), 100_091);
    }
}

fn packed_len(chunk: ChunkRef<'_>) -> usize {
    match chunk {
        ChunkRef::Packed(listpack) => listpack.len(),
        ChunkRef::Plain(_) => 1,
    }
}

#[test]
fn large_elements_are_chunks_of_their_own() {
    let large = vec![b'x'; 8185];
    let mut list = ChunkList::new(Fill::default());
    for element in [&b"a"[..], &large, b"b", b"c"] {
        list.push_back(element);
    }
    let plain: Vec<bool> = list.chunks().map(|chunk| matches!(chunk, ChunkRef::Plain(_))).collect();
    assert_eq!(plain, [false, true, false]);
    assert!(list.set(1, b"small"));
    assert_eq!(list.chunk_count(), 1, "a replaced large element rejoins its neighbours");
    assert!(list.insert_before(2, &large));
    assert_eq!(texts(&list), [b"a".to_vec(), b"small".to_vec(), large, b"b".to_vec(), b"c".to_vec()]);
    assert_eq!(list.chunk_count(), 3);
}

#[test]
fn the_size_of_elements_that_stand_alone_can_be_lowered() {
    let mut list = ChunkList::new(Fill::default().plain_from(5));
    list.extend(["aa", "bb", "large", "cc"]);
    let plain = |list: &ChunkList| -> Vec<bool> {
        list.chunks().map(|chunk| matches!(chunk, ChunkRef::Plain(_))).collect()
    };
    assert_eq!(plain(&list), [false, true, false]);
    assert!(list.set(0, b"other"));
    assert_eq!(plain(&list), [true, false, true, false]);
    assert!(list.set(2, b"dd"));
    assert_eq!(texts(&list), [&b"other"[..], b"bb", b"dd", b"cc"]);
    assert_eq!(plain(&list), [true, false]);
}

#[test]
fn fill_is_read_as_redis_reads_it() {
    for (given, bytes, count) in [
        (-1, 4 << 10, usize::MAX),
        (-2, 8 << 10, usize::MAX),
        (-5, 64 << 10, usize::MAX),
        (-100, 64 << 10, usize::MAX),
        (0, 8 << 10, 1),
        (128, 8 << 10, 128),
        (1 << 40, 8 << 10, 32767),
    ] {
        let mut list = ChunkList::new(Fill::new(given));
        assert_eq!(list.fill(), Fill::new(given));
        list.extend(std::iter::repeat_n("1", 70_000));
        let first = packed_len(list.chunks().next().unwrap());
        // Two bytes an element after a header of seven, within an allocation of its own sixteen;
        // ten must be free for the next.
        assert_eq!(first, count.min((bytes - 16 - 7 - 9) / 2 + 1), "{given}");
    }
}

#[test]
fn oversized_listpacks_from_outside_are_packed_anew() {
    let mut listpack = Listpack::new();
    for int in 0..50_000 {
        listpack.push_back(int.to_string().as_bytes()).unwrap();
    }
    let mut list = ChunkList::new(Fill::default());
    list.append_listpack(listpack);
    assert_eq!(list.len(), 50_000);
    assert!(list.chunks().all(|chunk| matches!(chunk, ChunkRef::Packed(l) if l.byte_len() <= 8192)));
    assert_eq!(list.get(49_999), Some(ListpackValue::Int(49_999)));
    list.append_listpack(Listpack::new());
    assert_eq!(list.len(), 50_000);
}

#[test]
fn snapshots_may_leave_the_thread() {
    fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<ChunkList>();
}
