//! The stream beside a model of it.

use super::*;
use crate::base::random::Random;
use crate::ds::listpack::{Listpack, ListpackValue};
use crate::keyspace::EncodingLimits;
use std::collections::BTreeMap;

type Model = BTreeMap<StreamId, Vec<Vec<u8>>>;

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId { ms, seq }
}

fn small_nodes() -> EncodingLimits {
    EncodingLimits { stream_node_max_entries: 5, ..EncodingLimits::default() }
}

/// Fields and values in turn.
fn texts(entry: &StreamEntry<'_>) -> Vec<Vec<u8>> {
    entry.fields().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect()
}

fn contents(log: &Log) -> Model {
    log.iter().map(|entry| (entry.id, texts(&entry))).collect()
}

fn append(log: &mut Log, at: StreamId, pairs: &[&[u8]], limits: &EncodingLimits) {
    log.append(at, pairs, limits).expect("it is small");
}

#[test]
fn random_changes_give_what_a_model_has_and_snapshots_stay() {
    let limits = small_nodes();
    let (mut log, mut model, mut random) = (Log::default(), Model::new(), Random::new(7));
    let mut snapshots = Vec::new();
    for step in 0..30_000u64 {
        match random.below(100) {
            0..70 => {
                let at = if random.below(3) == 0 { id(step, 0) } else { log.last_id().next().unwrap() };
                let at = at.max(id(0, 1));
                if at <= log.last_id() {
                    continue;
                }
                let number = step.to_string();
                let own = [b"a".as_slice(), number.as_bytes(), b"b", b"text"];
                let pairs: &[&[u8]] = if random.below(4) == 0 { &own[..2] } else { &own };
                append(&mut log, at, pairs, &limits);
                model.insert(at, pairs.iter().map(|piece| piece.to_vec()).collect());
            }
            70..95 => {
                let Some(at) = model.keys().nth(random.below(model.len().max(1) as u64) as usize) else {
                    continue;
                };
                let at = *at;
                assert!(log.delete(at) && !log.delete(at));
                model.remove(&at);
            }
            95 => {
                let keep = random.below(model.len() as u64 + 3);
                let (count, _) = log.trim(TrimTo::Length(keep), Precision::Exact);
                let gone = (model.len() as u64).saturating_sub(keep);
                assert_eq!(count, gone);
                (0..gone).for_each(|_| drop(model.pop_first()));
            }
            96 => {
                let from = id(random.below(step + 1), random.below(3));
                let (count, _) = log.trim(TrimTo::Ids(from), Precision::Exact);
                let kept = model.split_off(&from);
                assert_eq!(count, std::mem::replace(&mut model, kept).len() as u64);
            }
            97 => {
                let keep = random.below(model.len() as u64 + 3);
                let (count, _) = log.trim(TrimTo::Length(keep), Precision::WholeNodes { limit: None });
                (0..count).for_each(|_| drop(model.pop_first()));
                assert!(model.len() as u64 >= keep.min(model.len() as u64));
            }
            _ => {}
        }
        assert_eq!(log.len(), model.len() as u64);
        if step % 3000 == 0 {
            snapshots.push((log.clone(), model.clone()));
        }
    }
    snapshots.push((log, model));
    for (log, model) in snapshots {
        assert_eq!(contents(&log), model);
        let first = model.keys().next().copied().unwrap_or_default();
        assert_eq!(log.first_id(), first);
        for _ in 0..50 {
            let (from, to) = (id(random.below(31_000), random.below(3)), id(random.below(31_000), 0));
            let found = log.range(from, to).map(|entry| entry.id);
            let back = log.range_rev(from, to).map(|entry| entry.id);
            if from <= to {
                assert!(found.eq(model.range(from..=to).map(|(id, _)| *id)));
                assert!(back.eq(model.range(from..=to).rev().map(|(id, _)| *id)));
            } else {
                assert_eq!((found.count(), back.count()), (0, 0));
            }
        }
    }
}

#[test]
fn nodes_are_full_as_configured_and_whole_ones_are_trimmed_within_the_limit() {
    let limits = small_nodes();
    let mut log = Log::default();
    (1..=23).for_each(|ms| append(&mut log, id(ms, 0), &[b"f", b"v"], &limits));
    assert_eq!((log.node_count(), log.len()), (5, 23));
    let whole = |limit| Precision::WholeNodes { limit };
    assert_eq!(log.trim(TrimTo::Length(16), whole(None)).0, 5);
    assert_eq!(log.trim(TrimTo::Length(0), whole(Some(9))).0, 5);
    assert_eq!(log.trim(TrimTo::Ids(id(14, 0)), whole(None)).0, 0);
    assert_eq!(log.trim(TrimTo::Ids(id(16, 0)), whole(Some(4))).0, 0);
    assert_eq!(log.trim(TrimTo::Ids(id(16, 0)), whole(None)).0, 5);
    assert_eq!(log.trim(TrimTo::Length(0), whole(None)).0, 8);
    assert_eq!((log.node_count(), log.first_id(), log.kept_from()), (0, StreamId::MIN, StreamId::MAX));
    let bytes = EncodingLimits {
        stream_node_max_bytes: 100,
        stream_node_max_entries: 0,
        ..EncodingLimits::default()
    };
    (24..34).for_each(|ms| append(&mut log, id(ms, 0), &[b"f", &[b'v'; 30]], &bytes));
    assert_eq!(log.node_count(), 5);
}

#[test]
fn what_is_trimmed_in_great_number_is_handed_out_to_be_freed_elsewhere() {
    let mut log = Log::default();
    (1..=1000).for_each(|ms| append(&mut log, id(ms, 0), &[b"f", b"v"], &EncodingLimits::default()));
    let (count, removed) = log.trim(TrimTo::Length(50), Precision::Exact);
    assert_eq!((count, removed.map(|removed| removed.len())), (950, Some(950)));
    let (count, removed) = log.trim(TrimTo::Length(20), Precision::Exact);
    assert_eq!((count, removed.is_none(), log.len()), (30, true, 20));
}

/// The last entry of the node was deleted before and has a larger ID than what is trimmed.
#[test]
fn a_first_node_emptied_by_an_id_is_kept_until_it_is_passed() {
    let limits = EncodingLimits::default();
    let mut log = Log::default();
    (1..=3).for_each(|ms| append(&mut log, id(ms, 0), &[b"f", b"v"], &limits));
    log.delete(id(3, 0));
    assert_eq!(log.trim(TrimTo::Ids(id(3, 0)), Precision::Exact).0, 2);
    assert_eq!((log.len(), log.node_count(), log.kept_from()), (0, 1, id(1, 0)));
    append(&mut log, id(4, 0), &[b"f", b"w"], &limits);
    assert_eq!((log.len(), log.node_count(), log.first_id()), (1, 1, id(4, 0)));
    assert_eq!(texts(&log.get(id(4, 0)).unwrap()), [b"f", b"w"]);
    log.delete(id(4, 0));
    assert_eq!(log.node_count(), 0);
}

#[test]
fn a_node_is_taken_as_it_was_written_and_nothing_broken_is() {
    let mut log = Log::default();
    let limits = EncodingLimits::default();
    append(&mut log, id(5, 5), &[b"a", b"1", b"b", b"2"], &limits);
    append(&mut log, id(6, 0), &[b"a", b"-1", b"b", b"text"], &limits);
    append(&mut log, id(6, 1), &[b"other", b"x"], &limits);
    log.delete(id(6, 0));
    let bytes = log.nodes().next().unwrap().listpack().as_bytes().to_vec();
    let check = |master: StreamId, bytes: Vec<u8>| {
        Node::checked(master, Listpack::from_bytes_checked(bytes).map_err(|_| "no listpack")?)
    };
    let mut read = Log::default();
    read.push_node(check(id(5, 5), bytes.clone()).unwrap()).unwrap();
    assert_eq!(contents(&read), contents(&log));
    assert!(read.push_node(check(id(5, 5), bytes.clone()).unwrap()).is_err(), "out of order");
    let mut refused = 0;
    for at in 0..bytes.len() {
        for change in [1, 2, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] ^= change;
            match check(id(5, 5), broken) {
                Err(_) => refused += 1,
                Ok(node) => {
                    let mut log = Log::default();
                    log.push_node(node).unwrap();
                    let ids: Vec<_> = log.iter().map(|entry| (entry.id, texts(&entry).len()).0).collect();
                    assert!(
                        log.range_rev(StreamId::MIN, StreamId::MAX)
                            .map(|entry| entry.id)
                            .eq(ids.iter().rev().copied())
                    );
                    assert!(ids.iter().all(|&id| log.delete(id)) && log.is_empty());
                }
            }
        }
    }
    assert!(refused > bytes.len(), "{refused}");
}

#[test]
fn an_entry_too_large_for_a_listpack_changes_nothing() {
    let mut log = Log::default();
    let huge = vec![b'x'; crate::ds::listpack::MAX_BYTES];
    assert_eq!(log.append(id(1, 0), &[b"f", &huge], &EncodingLimits::default()), Err(EntryTooLarge));
    assert_eq!((log.len(), log.last_id(), log.added()), (0, StreamId::MIN, 0));
}

/// XSETID may set the last ID back to that of the last living entry.
#[test]
fn ids_may_be_given_again_that_were_deleted_at_the_end() {
    let (limits, one_entry) = (
        EncodingLimits::default(),
        EncodingLimits { stream_node_max_entries: 1, ..EncodingLimits::default() },
    );
    for limits in [limits, one_entry] {
        let mut log = Log::default();
        (1..=3).for_each(|ms| append(&mut log, id(ms, 0), &[b"f", b"v"], &limits));
        log.delete(id(3, 0));
        log.set_last_id(id(2, 0));
        append(&mut log, id(2, 1), &[b"f", b"w"], &limits);
        append(&mut log, id(3, 0), &[b"f", b"x"], &limits);
        let mut read = Log::default();
        for node in log.nodes() {
            let bytes = node.listpack().as_bytes().to_vec();
            let node = Node::checked(node.master(), Listpack::from_bytes_checked(bytes).unwrap()).unwrap();
            read.push_node(node).unwrap();
        }
        assert_eq!(contents(&read), contents(&log));
        assert_eq!(texts(&read.get(id(3, 0)).unwrap()), [b"f", b"x"]);
        assert!(read.delete(id(2, 1)) && read.delete(id(3, 0)) && !read.delete(id(3, 0)));
        assert_eq!(read.iter().map(|entry| entry.id.ms).collect::<Vec<_>>(), [1, 2]);
    }
}

#[test]
fn an_emptied_first_node_does_not_outlive_a_smaller_last_id() {
    let mut log = Log::default();
    (5..=7).for_each(|ms| append(&mut log, id(ms, 0), &[b"f", b"v"], &EncodingLimits::default()));
    log.delete(id(7, 0));
    log.trim(TrimTo::Ids(id(7, 0)), Precision::Exact);
    assert_eq!(log.node_count(), 1);
    log.set_last_id(id(1, 0));
    append(&mut log, id(2, 0), &[b"f", b"v"], &EncodingLimits::default());
    assert_eq!((log.first_id(), log.kept_from()), (id(2, 0), id(2, 0)));
    assert!(log.delete(id(2, 0)));
}

#[test]
fn entries_that_no_command_adds_are_refused() {
    // Living and deleted entries, fields of the master, its end; then flags, the ID, pieces.
    let node = |master: StreamId, entry: &[i64]| {
        let mut listpack = Listpack::new();
        [1, 0, 1, 7, 0].iter().chain(entry).for_each(|&number| {
            listpack.push_back_value(ListpackValue::Int(number)).unwrap();
        });
        Node::checked(master, listpack).map(|node| node.living())
    };
    assert_eq!(node(id(1, 0), &[2, 0, 0, 8, 4]), Ok(1));
    assert_eq!(node(id(1, 0), &[0, 0, 0, 1, 8, 9, 6]), Ok(1));
    assert!(node(id(1, 0), &[0, 0, 0, 0, 4]).is_err(), "no fields");
    assert!(node(StreamId::MIN, &[2, 0, 0, 8, 4]).is_err(), "the ID 0-0");
}
