//! A model test against a sorted `Vec`, and what only a tree of leaves can get wrong.

use super::*;
use proptest::prelude::*;
use std::cmp::Ordering;

/// Pairs in order: what the tree must be.
#[derive(Debug, Clone, Default)]
struct Model(Vec<(f64, Vec<u8>)>);

fn order(left: (f64, &[u8]), right: (f64, &[u8])) -> Ordering {
    left.0.partial_cmp(&right.0).unwrap().then(left.1.cmp(right.1))
}

impl Model {
    fn find(&self, score: f64, member: &[u8]) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, name)| order((*own, name), (score, member)))
    }

    fn insert(&mut self, score: f64, member: &[u8]) -> bool {
        let Err(index) = self.find(score, member) else { return false };
        self.0.insert(index, (score, member.to_vec()));
        true
    }

    fn remove(&mut self, score: f64, member: &[u8]) -> bool {
        self.find(score, member).map(|index| self.0.remove(index)).is_ok()
    }

    fn get(&self, index: usize) -> Option<(&[u8], f64)> {
        self.0.get(index).map(|(score, member)| (&member[..], *score))
    }

    fn drain(&mut self, start: u64, count: u64) -> Vec<(f64, Vec<u8>)> {
        let len = self.0.len() as u64;
        let start = start.min(len);
        self.0.drain(start as usize..start.saturating_add(count).min(len) as usize).collect()
    }
}

/// Equal to the bit, so that `-0` and `0` differ.
fn same(left: (&[u8], f64), right: (&[u8], f64)) -> bool {
    left.0 == right.0 && left.1.to_bits() == right.1.to_bits()
}

fn assert_same(tree: &ScoreTree, model: &Model) {
    tree.tree.check(&|left: (f64, u64), right: (f64, u64)| left == right);
    assert_eq!(tree.len(), model.0.len() as u64);
    let mut count = 0;
    for (index, found) in tree.iter().enumerate() {
        assert!(same(found, model.get(index).unwrap()), "{index}");
        count += 1;
    }
    for (index, found) in tree.iter_rev().enumerate() {
        assert!(same(found, model.get(model.0.len() - 1 - index).unwrap()), "{index} from the end");
        count -= 1;
    }
    assert_eq!(count, 0);
    assert_eq!(tree.first(), model.get(0));
    assert_eq!(tree.last(), model.0.len().checked_sub(1).and_then(|last| model.get(last)));
}

fn assert_ranks(tree: &ScoreTree, model: &Model, score: f64, member: &[u8]) {
    assert_eq!(tree.rank_of(score, member), model.find(score, member).ok().map(|rank| rank as u64));
    assert_eq!(tree.contains(score, member), model.find(score, member).is_ok());
    let count = |before: &dyn Fn(f64, &[u8]) -> bool| {
        model.0.partition_point(|(own, name)| before(*own, name)) as u64
    };
    assert_eq!(tree.rank_at(Edge::BeforeScore(score)), count(&|own, _| own < score));
    assert_eq!(tree.rank_at(Edge::AfterScore(score)), count(&|own, _| own <= score));
    let before = |own, name: &[u8]| order((own, name), (score, member)).is_lt();
    assert_eq!(tree.rank_at(Edge::Before(score, member)), count(&before));
    let until = |own, name: &[u8]| order((own, name), (score, member)).is_le();
    assert_eq!(tree.rank_at(Edge::After(score, member)), count(&until));
}

#[derive(Debug, Clone)]
enum Step {
    Insert(f64, Vec<u8>),
    Remove(f64, Vec<u8>),
    RemoveAt(u64),
    PopFirst,
    PopLast,
    RemoveRange(u64, u64),
}

fn apply(tree: &mut ScoreTree, model: &mut Model, step: Step) {
    match step {
        Step::Insert(score, member) => {
            assert_eq!(tree.insert(score, &member), model.insert(score, &member));
        }
        Step::Remove(score, member) => {
            assert_eq!(tree.remove(score, &member), model.remove(score, &member));
        }
        Step::RemoveAt(rank) => {
            let found = tree.get(rank).map(|(member, score)| (member.to_vec(), score));
            assert_eq!(found.as_ref().map(|(member, score)| (&member[..], *score)), model.get(rank as usize));
            if let Some((member, score)) = found {
                assert!(tree.remove(score, &member) && model.remove(score, &member));
            }
        }
        Step::PopFirst => {
            let popped = model.drain(0, 1).pop().map(|(score, member)| (member, score));
            assert_eq!(tree.pop_first(), popped);
        }
        Step::PopLast => assert_eq!(tree.pop_last(), model.0.pop().map(|(score, member)| (member, score))),
        Step::RemoveRange(start, count) => {
            let mut seen = Vec::new();
            tree.remove_rank_range(start, count, |member, score| seen.push((score, member.to_vec())));
            assert_eq!(seen, model.drain(start, count));
        }
    }
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-3i32..3).prop_map(f64::from),
        2 => any::<i32>().prop_map(f64::from),
        2 => -1.0..1.0f64,
        1 => any::<f64>().prop_filter("NaN is refused by the caller", |score| !score.is_nan()),
        1 => prop_oneof![
            Just(-0.0), Just(0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(f64::MAX),
            Just(2147483647.0), Just(2147483648.0), Just(-2147483648.0), Just(-2147483649.0),
        ],
    ]
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(0u8..3, 0..12),
        2 => proptest::collection::vec(any::<u8>(), 0..80),
        2 => (0u32..500).prop_map(|number| format!("member:{number:09}").into_bytes()),
        1 => (0usize..4, 500usize..2500).prop_map(|(last, len)| [vec![b'm'; len], vec![last as u8]].concat()),
        1 => (4000usize..4200).prop_map(|len| vec![b'n'; len]),
        1 => (8000usize..20_000).prop_map(|len| vec![b'o'; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (score(), member()).prop_map(|(score, member)| Step::Insert(score, member)),
        2 => (score(), member()).prop_map(|(score, member)| Step::Remove(score, member)),
        2 => (0u64..60).prop_map(Step::RemoveAt),
        1 => Just(Step::PopFirst),
        1 => Just(Step::PopLast),
        1 => (0u64..60, 0u64..6).prop_map(|(start, count)| Step::RemoveRange(start, count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn behaves_like_a_sorted_vec(
        steps in proptest::collection::vec(step(), 1..150),
        probes in proptest::collection::vec((score(), member()), 5),
    ) {
        let (mut tree, mut model) = (ScoreTree::new(), Model::default());
        for step in steps {
            let (snapshot, before) = (tree.clone(), model.clone());
            apply(&mut tree, &mut model, step);
            assert_same(&tree, &model);
            assert_same(&snapshot, &before);
        }
        for (score, member) in &probes {
            assert_ranks(&tree, &model, *score, member);
        }
        for (score, member) in &model.0 {
            assert_ranks(&tree, &model, *score, member);
        }
        for rank in 0..=model.0.len() {
            prop_assert!(tree.iter_from_rank(rank as u64).eq((rank..).map_while(|rank| model.get(rank))));
            prop_assert_eq!(tree.iter_rev_from_rank(rank as u64).count(), (rank + 1).min(model.0.len()));
        }
    }

    #[test]
    fn pairs_are_read_back_to_the_bit(score in score(), member in member()) {
        let entry = encode(score, &member);
        let mut walk = entries(&entry);
        let found = walk.next().map(pair).unwrap();
        prop_assert!(same(found, (&member, score)));
        prop_assert!(walk.next().is_none());
    }

    #[test]
    fn prefixes_compare_like_members(left in member(), right in member()) {
        if prefix(&left) != prefix(&right) {
            prop_assert_eq!(prefix(&left).cmp(&prefix(&right)), left.cmp(&right));
        }
    }
}

/// Tens of thousands of large pairs in thousands of leaves: several levels of branches, grown and
/// shrunk with tied, ascending and random scores.
#[test]
fn behaves_like_a_sorted_vec_when_the_tree_is_high() {
    for seed in 1..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut tree, mut model) = (ScoreTree::new(), Model::default());
        let filler = vec![b'f'; 600];
        for turn in 0..40_000 {
            let score = match seed {
                1 => f64::from(random.u8(..)),
                2 => f64::from(turn),
                _ => random.f64(),
            };
            let member = [&random.u32(..).to_be_bytes()[..], &filler[..random.usize(..600)]].concat();
            let at = random.u64(..model.0.len() as u64 + 2);
            let step = match random.u8(..if turn < 30_000 { 12 } else { 20 }) {
                0..10 => Step::Insert(score, member),
                10 => Step::PopFirst,
                11 => Step::PopLast,
                12..16 => Step::RemoveRange(at, random.u64(..9)),
                _ => Step::RemoveAt(at),
            };
            apply(&mut tree, &mut model, step);
            if turn % 5000 == 0 {
                assert_same(&tree, &model);
            }
            if let Some((score, member)) = model.0.get(at as usize) {
                assert_eq!(tree.rank_of(*score, member), Some(at));
                assert_ranks(&tree, &model, *score, member);
            }
        }
        assert!(tree.tree.leaf_count() > 1000, "{} leaves", tree.tree.leaf_count());
        assert_same(&tree, &model);
        let (snapshot, before) = (tree.clone(), model.clone());
        apply(&mut tree, &mut model, Step::RemoveRange(5, before.0.len() as u64 - 12));
        assert_same(&tree, &model);
        assert_same(&snapshot, &before);
        apply(&mut tree, &mut model, Step::RemoveRange(0, u64::MAX));
        assert!(tree.is_empty() && tree.first().is_none() && tree.last().is_none());
        assert!(tree.insert(1.0, b"again"));
    }
}

fn leaf_fill(tree: &ScoreTree) -> f64 {
    let bytes: usize = tree.tree.leaves().map(|leaf| leaf.bytes().len()).sum();
    bytes as f64 / (tree.tree.leaf_count() * MAX_LEAF_BYTES) as f64
}

#[test]
fn leaves_are_well_filled() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut up, mut down, mut mixed) = (ScoreTree::new(), ScoreTree::new(), ScoreTree::new());
    for number in 0..50_000 {
        let member = format!("member:{number:010}");
        up.insert(f64::from(number), member.as_bytes());
        down.insert(-f64::from(number), member.as_bytes());
        mixed.insert(random.f64(), member.as_bytes());
    }
    assert!(leaf_fill(&up) > 0.98, "ascending: {}", leaf_fill(&up));
    assert!(leaf_fill(&down) > 0.98, "descending: {}", leaf_fill(&down));
    assert!(leaf_fill(&mixed) > 0.80, "random: {}", leaf_fill(&mixed));
    while mixed.len() > 5000 {
        let (member, score) = mixed.get(random.u64(..mixed.len())).unwrap();
        let member = member.to_vec();
        mixed.remove(score, &member);
    }
    assert!(leaf_fill(&mixed) > 0.30, "after removals: {}", leaf_fill(&mixed));
}

#[test]
fn a_huge_member_moves_no_neighbour_but_stands_in_order() {
    let mut tree = ScoreTree::new();
    let huge = vec![b'h'; 1 << 20];
    tree.insert(5.0, &huge);
    for number in 0..2000 {
        tree.insert(f64::from(number % 11), format!("member:{number}").as_bytes());
    }
    let rank = tree.rank_of(5.0, &huge).unwrap();
    assert_eq!(tree.get(rank), Some((&huge[..], 5.0)));
    assert_eq!(rank, tree.rank_at(Edge::BeforeScore(5.0)), "h sorts before m");
    let alone = tree.tree.leaves().filter(|leaf| leaf.is_oversized()).all(|leaf| leaf.count() == 1);
    assert!(alone);
}

#[test]
fn snapshots_may_leave_the_thread() {
    fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<ScoreTree>();
}
