//! The sorted set beside a model: a vector kept in order.

use super::*;
use proptest::prelude::*;

/// EncodingLimits so low that short histories reach both forms.
fn limits(entries: usize) -> EncodingLimits {
    EncodingLimits {
        zset_max_listpack_entries: entries,
        zset_max_listpack_value: 6,
        ..EncodingLimits::default()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8, i8),
    Increment(u8, i8),
    Remove(u8),
    Pop(bool),
    RemoveRanks(u8, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), any::<i8>()).prop_map(|(member, score)| Step::Add(member, score)),
        2 => (any::<u8>(), any::<i8>()).prop_map(|(member, score)| Step::Increment(member, score)),
        2 => any::<u8>().prop_map(Step::Remove),
        1 => any::<bool>().prop_map(Step::Pop),
        1 => (any::<u8>(), 0u8..6).prop_map(|(start, count)| Step::RemoveRanks(start, count)),
    ]
}

/// Some members are numbers, some are too long for a listpack.
fn name(member: u8) -> Vec<u8> {
    match member % 3 {
        0 => member.to_string().into_bytes(),
        1 => format!("m{member}").into_bytes(),
        _ if member > 240 => format!("long-{member}").into_bytes(),
        _ => vec![member, 0],
    }
}

type Model = Vec<(Vec<u8>, f64)>;

fn sort(model: &mut Model) {
    model.sort_by(|one, two| one.1.total_cmp(&two.1).then_with(|| one.0.cmp(&two.0)));
}

fn owned<'a>(pairs: impl Iterator<Item = (Member<'a>, f64)>) -> Model {
    pairs.map(|(member, score)| (member.to_vec(), score)).collect()
}

fn apply(set: &mut SortedSet, model: &mut Model, step: &Step, limits: &EncodingLimits) {
    match *step {
        Step::Add(member, score) | Step::Increment(member, score) => {
            let (name, by) = (name(member), f64::from(score) / 2.0);
            let adds = matches!(step, Step::Increment(..));
            let decide = |old: Option<f64>| if adds { old.unwrap_or(0.0) + by } else { by };
            let place = model.iter().position(|pair| pair.0 == name);
            let expected = match place {
                None => Edit::Added,
                Some(place) if model[place].1 == decide(Some(model[place].1)) => Edit::Nothing,
                Some(_) => Edit::Updated,
            };
            assert_eq!(set.edit(&name, limits, |old| Some(decide(old))), expected);
            match place {
                Some(place) => model[place].1 = decide(Some(model[place].1)),
                None => model.push((name, decide(None))),
            }
            sort(model);
        }
        Step::Remove(member) => {
            let name = name(member);
            let place = model.iter().position(|pair| pair.0 == name);
            assert_eq!(set.remove(&name), place.is_some());
            place.map(|place| model.remove(place));
        }
        Step::Pop(max) => {
            let end = if max { End::Max } else { End::Min };
            let popped = set.pop_with(end, |member, score| (member.to_vec(), score));
            let expected = match (model.is_empty(), max) {
                (true, _) => None,
                (false, true) => model.pop(),
                (false, false) => Some(model.remove(0)),
            };
            assert_eq!(popped, expected);
        }
        Step::RemoveRanks(start, count) => {
            let start = usize::from(start).min(model.len());
            let end = (start + usize::from(count)).min(model.len());
            set.remove_ranks(start..end);
            model.drain(start..end);
        }
    }
}

fn check(set: &SortedSet, model: &Model, limits: &EncodingLimits) {
    assert_eq!(owned(set.iter()), *model);
    assert_eq!(set.len(), model.len());
    let middle = model.len() / 3..model.len();
    assert_eq!(owned(set.walk(middle.clone(), Direction::Ascending)), model[middle.clone()]);
    let mut back = owned(set.walk(middle.clone(), Direction::Descending));
    back.reverse();
    assert_eq!(back, model[middle]);
    for (rank, (member, score)) in model.iter().enumerate() {
        assert_eq!((set.rank(member), set.score(member)), (Some(rank), Some(*score)));
        for (min_excluded, max_excluded) in [(false, false), (true, false), (false, true), (true, true)] {
            let range = ScoreRange { min: *score, min_excluded, max: score + 3.0, max_excluded };
            let expected = model.iter().filter(|pair| {
                (pair.1 > range.min || (!min_excluded && pair.1 == range.min))
                    && (pair.1 < range.max || (!max_excluded && pair.1 == range.max))
            });
            let ranks = set.score_ranks(&range);
            assert_eq!(ranks.len(), expected.count(), "{range:?}");
        }
    }
    assert_eq!((set.rank(b"none"), set.score(b"none")), (None, None));
    if set.encoding() == "listpack" {
        assert!(model.len() <= limits.zset_max_listpack_entries);
        assert!(model.iter().all(|pair| pair.0.len() <= limits.zset_max_listpack_value));
        let again = SortedSet::from_listpack(set.as_listpack().expect("its form").clone(), limits);
        assert_eq!(owned(again.expect("a valid listpack").iter()), *model);
    }
    let mut gathered = SortedSetBuilder::new(limits);
    model.iter().for_each(|(member, score)| gathered.add(member, *score, |old, _| old));
    assert_eq!(owned(gathered.into_sorted_set(limits).iter()), *model);
    let mut scanned = Vec::new();
    let mut cursor = 0;
    loop {
        cursor = set.scan(cursor, 3, |member, score| {
            let score = score.with_bytes(number::parse_f64).expect("a score");
            scanned.push((member.to_vec(), score));
        });
        if cursor == 0 {
            break;
        }
    }
    sort(&mut scanned);
    assert_eq!(scanned, *model);
}

proptest! {
    #[test]
    fn it_is_a_vector_in_order(steps in proptest::collection::vec(step(), 1..120), entries in 0usize..60) {
        let limits = limits(entries);
        let (mut set, mut model) = (SortedSet::new(), Model::new());
        for step in &steps {
            apply(&mut set, &mut model, step, &limits);
        }
        check(&set, &model, &limits);
    }

    #[test]
    fn names_have_ranks_where_scores_are_equal(
        members in proptest::collection::vec(any::<u8>(), 0..40), low: u8, high: u8, entries in 0usize..60,
    ) {
        let limits = limits(entries);
        let mut set = SortedSet::new();
        members.iter().for_each(|&member| { set.add(&name(member), 1.5, &limits); });
        let names: Vec<_> = set.iter().map(|(member, _)| member.to_vec()).collect();
        let (low, high) = (name(low), name(high));
        let bounds = |name| [LexBound::Lowest, LexBound::Highest, LexBound::Included(name), LexBound::Excluded(name)];
        for min in bounds(&low[..]) {
            for max in bounds(&high[..]) {
                let range = LexRange { min, max };
                let inside = |name: &&Vec<u8>| !range.is_below(name) && !range.is_above(name);
                let expected: Vec<_> = names.iter().filter(inside).collect();
                let found: Vec<_> = names[set.lex_ranks(&range)].iter().collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}

#[test]
fn whole_scores_are_stored_as_integers_and_others_as_digits() {
    let limits = EncodingLimits::default();
    let mut set = SortedSet::new();
    for (member, score) in
        [("a", 1.0), ("b", 0.1), ("c", f64::INFINITY), ("d", -0.0), ("e", 1e18), ("f", 5e18)]
    {
        set.add(member.as_bytes(), score, &limits);
    }
    let texts: Vec<_> =
        set.as_listpack().expect("it is small").iter().map(|(_, text)| text.to_vec()).collect();
    let texts: Vec<_> = texts.iter().map(|text| String::from_utf8_lossy(text)).collect();
    let expected = "d 0 b 0.10000000000000001 a 1 e 1000000000000000000 f 5e+18 c inf";
    assert_eq!(texts.join(" "), expected);
    assert_eq!(set.score(b"e"), Some(1e18));
}

#[test]
fn a_listpack_from_outside_must_be_pairs_in_order() {
    let limits = EncodingLimits::default();
    let cases: [(&[&str], bool); 7] = [
        (&["a", "1", "b", "1", "c", "2.5"], true),
        (&[], true),
        (&["a", "1", "b"], false),
        (&["b", "1", "a", "1"], false),
        (&["a", "1", "b", "0"], false),
        (&["a", "1", "a", "2"], false),
        (&["a", "x"], false),
    ];
    for (texts, valid) in cases {
        let mut pairs = Listpack::new();
        texts.iter().for_each(|text| pairs.push_back(text.as_bytes()).expect("it is small"));
        assert_eq!(SortedSet::from_listpack(pairs, &limits).is_some(), valid, "{texts:?}");
    }
}
