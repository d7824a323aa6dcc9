//! The sorted set type: members in the order of their scores, in one of two forms.
//!
//! - A **listpack** of member, score, member, score, … in order: up to `zset-max-listpack-entries`
//!   pairs with members of at most `zset-max-listpack-value` bytes. Scores are texts there, as in
//!   Redis, whole ones as integers; so `-0` becomes `0`.
//! - A **tree**: the order is a [`ScoreTree`], and a paged [`Dict`] finds the score of a member.
//!   OBJECT ENCODING calls it `skiplist`, what Redis has in its place.
//!
//! The form only changes upwards, as in Redis; results that are made anew ([`SortedSetBuilder`])
//! take the form that suits them. Every range, by score, by name or by rank, becomes a range of
//! ranks first: ranks are cheap in both forms, and so LIMIT offsets of any size cost nothing. A
//! clone shares its pages with the original.

mod builder;
mod pairs;
mod range;
#[cfg(test)]
mod tests;
mod walk;

pub use builder::SortedSetBuilder;
pub use range::{LexBound, LexRange, ScoreRange};
pub use walk::Walk;

use super::encoding_limits::EncodingLimits;
use crate::base::number;
use crate::base::random::{Random, Selection};
use crate::ds::dict::{Dict, NewEntry, TableShape};
use crate::ds::listpack::{self, Listpack, ListpackValue};
use crate::ds::score::{self, ShortScore};
use crate::ds::score_tree::{Edge, ScoreTree};
use pairs::{insert_pair, score_after};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Range;
use walk::Steps;

/// Up to this fraction of the members is drawn at random; more are picked while walking over all.
const SPARSE_SAMPLE: usize = 3;

/// A member: text, or the integer whose text it is.
type Member<'a> = ListpackValue<'a>;

/// A sorted set. See the module.
#[derive(Clone, Debug)]
pub struct SortedSet {
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Flat(Listpack),
    Tree(Box<Tree>),
}

#[derive(Clone, Debug)]
struct Tree {
    /// The score of each member, in its shortest form; of results made anew in eight bytes.
    scores: Dict<()>,
    order: ScoreTree,
}

/// The result of [`SortedSet::edit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The member is new.
    Added,
    /// It has another score now.
    Updated,
    /// Nothing.
    Nothing,
}

/// An end of the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lowest score.
    Min,
    /// The highest.
    Max,
}

/// The order in which members are walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Lowest score first.
    Ascending,
    /// Highest score first.
    Descending,
}

impl Default for SortedSet {
    fn default() -> Self {
        SortedSet::new()
    }
}

impl SortedSet {
    /// An empty sorted set.
    #[must_use]
    pub fn new() -> Self {
        SortedSet { form: Form::Flat(Listpack::new()) }
    }

    /// A sorted set of these pairs, in the form the limits ask for. `None` if they are no pairs of
    /// different members with scores, in order. Source: RDB.
    #[must_use]
    pub fn from_listpack(pairs: Listpack, limits: &EncodingLimits) -> Option<Self> {
        let is_score = |text: ListpackValue<'_>| text.with_bytes(number::parse_f64).is_some();
        if !pairs.len().is_multiple_of(2) || !pairs.iter().skip(1).step_by(2).all(|(_, text)| is_score(text))
        {
            return None;
        }
        let set = SortedSet { form: Form::Flat(pairs) };
        let ascends = set.iter().zip(set.iter().skip(1)).all(|(one, two)| compare(one, two).is_lt());
        let mut names: Vec<_> = set.iter().map(|(member, _)| member.to_vec()).collect();
        names.sort_unstable();
        let are_different = names.windows(2).all(|two| two[0] != two[1]);
        let fits = names.len() <= limits.zset_max_listpack_entries
            && names.iter().all(|name| name.len() <= limits.zset_max_listpack_value);
        let set = if fits { set } else { SortedSet { form: Form::Tree(set.to_tree(limits)) } };
        (ascends && are_different).then_some(set)
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Flat(pairs) => pairs.len() / 2,
            Form::Tree(tree) => tree.scores.len(),
        }
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns its encoding, as OBJECT ENCODING names it.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        match &self.form {
            Form::Flat(_) => "listpack",
            Form::Tree(_) => "skiplist",
        }
    }

    /// The listpack of pairs, if the set has that form.
    #[must_use]
    pub fn as_listpack(&self) -> Option<&Listpack> {
        if let Form::Flat(pairs) = &self.form { Some(pairs) } else { None }
    }

    /// Describes how its table of members is filled, if it has grown one. Source: DEBUG
    /// HTSTATS-KEY.
    #[must_use]
    pub fn table_shape(&self) -> Option<TableShape> {
        if let Form::Tree(tree) = &self.form { Some(tree.scores.shape()) } else { None }
    }

    /// Bytes that a clone copies: it only refers to the elements.
    #[must_use]
    pub(super) fn clone_bytes(&self) -> usize {
        size_of::<Self>()
    }

    /// Bytes allocated.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match &self.form {
            Form::Flat(pairs) => pairs.heap_bytes(),
            Form::Tree(tree) => size_of::<Tree>() + tree.scores.heap_bytes() + tree.order.heap_bytes(),
        }
    }

    // ── looking ──────────────────────────────────────────────────────────────────────────────

    /// The score of `member`.
    #[must_use]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match &self.form {
            Form::Flat(pairs) => pairs.find(member, 1).map(|place| score_after(pairs, place)),
            Form::Tree(tree) => tree.scores.get(member).map(|entry| score_of(entry.payload)),
        }
    }

    /// The number of members that stand before `member`.
    #[must_use]
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match &self.form {
            Form::Flat(_) => {
                let needle = listpack::Needle::new(member);
                self.iter().position(|(name, _)| needle.matches(name))
            }
            Form::Tree(tree) => {
                let score = score_of(tree.scores.get(member)?.payload);
                tree.order.rank_of(score, member).map(index)
            }
        }
    }

    /// The ranks of the members with these scores.
    #[must_use]
    pub fn score_ranks(&self, range: &ScoreRange) -> Range<usize> {
        let (start, end) = match &self.form {
            Form::Flat(_) => {
                let start = self.iter().take_while(|&(_, score)| range.is_below(score)).count();
                (start, self.iter().take_while(|&(_, score)| !range.is_above(score)).count())
            }
            Form::Tree(tree) => {
                let edge = |after, score| {
                    if after { Edge::AfterScore(score) } else { Edge::BeforeScore(score) }
                };
                let start = tree.order.rank_at(edge(range.min_excluded, range.min));
                let end = tree.order.rank_at(edge(!range.max_excluded, range.max));
                (index(start), index(end))
            }
        };
        start..end.max(start)
    }

    /// The ranks of the members with these names. Where scores differ the names are in no order,
    /// and the answer is some range.
    #[must_use]
    pub fn lex_ranks(&self, range: &LexRange<'_>) -> Range<usize> {
        let (start, end) = match &self.form {
            Form::Flat(_) => {
                let below = |&(name, _): &(Member<'_>, f64)| name.with_bytes(|name| range.is_below(name));
                let inside = |&(name, _): &(Member<'_>, f64)| !name.with_bytes(|name| range.is_above(name));
                let start = self.iter().take_while(below).count();
                (start, start + self.iter().skip(start).take_while(inside).count())
            }
            Form::Tree(tree) => (tree.lex_rank(range, End::Min), tree.lex_rank(range, End::Max)),
        };
        start..end.max(start)
    }

    /// All members with their scores, lowest score first.
    #[must_use]
    pub fn iter(&self) -> Walk<'_> {
        self.walk(0..self.len(), Direction::Ascending)
    }

    /// The members of these ranks, which exist, with their scores.
    #[must_use]
    pub fn walk(&self, ranks: Range<usize>, direction: Direction) -> Walk<'_> {
        let steps = match (&self.form, direction) {
            (_, _) if ranks.is_empty() => Steps::None,
            (Form::Flat(pairs), Direction::Ascending) => match pairs.seek(2 * ranks.start) {
                Some(place) => Steps::Flat(pairs.iter_from(place)),
                None => Steps::None,
            },
            (Form::Flat(pairs), Direction::Descending) => match pairs.seek(2 * ranks.end - 1) {
                Some(place) => Steps::FlatBack(pairs.iter_rev_from(place)),
                None => Steps::None,
            },
            (Form::Tree(tree), Direction::Ascending) => {
                Steps::Tree(tree.order.iter_from_rank(ranks.start as u64))
            }
            (Form::Tree(tree), Direction::Descending) => {
                Steps::TreeBack(tree.order.iter_rev_from_rank(ranks.end as u64 - 1))
            }
        };
        Walk { steps, left: ranks.len() }
    }

    /// The member at `rank` and its score.
    #[must_use]
    pub fn get(&self, rank: usize) -> Option<(Member<'_>, f64)> {
        self.walk(rank..rank + 1, Direction::Ascending).next()
    }

    /// Any member and its score; all are equally likely. `None` of an empty set.
    pub fn random(&self, random: &mut Random) -> Option<(Member<'_>, f64)> {
        if self.is_empty() { None } else { self.get(random.below(self.len() as u64) as usize) }
    }

    /// Shows `count` different members, all if there are fewer; every choice is equally likely.
    /// Never takes memory for more than it shows.
    pub fn sample(&self, count: usize, random: &mut Random, mut show: impl FnMut(Member<'_>, f64)) {
        let len = self.len();
        if matches!(self.form, Form::Tree(_)) && count <= len / SPARSE_SAMPLE {
            let mut shown = BTreeSet::new();
            while shown.len() < count {
                let rank = random.below(len as u64) as usize;
                if shown.insert(rank)
                    && let Some((member, score)) = self.get(rank)
                {
                    show(member, score);
                }
            }
            return;
        }
        let mut selection = Selection::new(count, len);
        // Redis walks from the highest score where it shows all.
        let all = self.walk(0..len, Direction::Descending);
        all.filter(|_| selection.picks_next(random)).for_each(|(member, score)| show(member, score));
    }

    /// Calls `show` with members chosen at random, over and over, until it returns false. The same
    /// member may come up often. Of an empty set nothing is shown.
    pub fn draw(&self, random: &mut Random, mut show: impl FnMut(Member<'_>, f64) -> bool) {
        let pairs: Option<Vec<_>> = matches!(self.form, Form::Flat(_)).then(|| self.iter().collect());
        loop {
            let pair = match &pairs {
                Some(pairs) => pairs.get(random.below(pairs.len() as u64) as usize).copied(),
                None => self.random(random),
            };
            if !pair.is_some_and(|(member, score)| show(member, score)) {
                return;
            }
        }
    }

    /// Shows about `count` members and the texts of their scores from `cursor` on. Returns the
    /// cursor to go on with, 0 at the end. A listpack is shown at once, its texts as they stand.
    /// Source: ZSCAN.
    pub fn scan(&self, cursor: u64, count: usize, mut show: impl FnMut(Member<'_>, Member<'_>)) -> u64 {
        match &self.form {
            Form::Flat(pairs) => {
                let mut texts = pairs.iter().map(|(_, text)| text);
                while let (Some(member), Some(score)) = (texts.next(), texts.next()) {
                    show(member, score);
                }
                0
            }
            Form::Tree(tree) => tree.scores.scan(cursor, count, |entry| {
                let mut text = Vec::with_capacity(24);
                number::format_f64_17g(score_of(entry.payload), &mut text);
                show(Member::Bytes(entry.key), Member::Bytes(&text));
            }),
        }
    }

    // ── changing ─────────────────────────────────────────────────────────────────────────────

    /// Gives `member` the score that `decide` makes of its present one, `None` for a new member.
    /// If `decide` gives none, nothing happens. It never gives NaN.
    pub fn edit(
        &mut self,
        member: &[u8],
        limits: &EncodingLimits,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Edit {
        let Form::Flat(pairs) = &mut self.form else { return self.edit_tree(member, decide) };
        if let Some(place) = pairs.find(member, 1) {
            let old = score_after(pairs, place);
            let Some(new) = decide(Some(old)).filter(|&new| new != old) else { return Edit::Nothing };
            pairs.remove_count(place, 2);
            self.insert_flat(member, new, limits);
            return Edit::Updated;
        }
        let Some(score) = decide(None) else { return Edit::Nothing };
        if pairs.len() / 2 < limits.zset_max_listpack_entries
            && member.len() <= limits.zset_max_listpack_value
        {
            self.insert_flat(member, score, limits);
        } else {
            let mut tree = self.to_tree(limits);
            tree.insert(member, score);
            self.form = Form::Tree(tree);
        }
        Edit::Added
    }

    /// Takes the form of a tree, whatever the limits say. Source: SORT.
    pub fn become_tree(&mut self, limits: &EncodingLimits) {
        if let Form::Flat(_) = &self.form {
            self.form = Form::Tree(self.to_tree(limits));
        }
    }

    /// Gives `member` this score, which is not NaN. Returns whether it is new.
    pub fn add(&mut self, member: &[u8], score: f64, limits: &EncodingLimits) -> bool {
        self.edit(member, limits, |_| Some(score)) == Edit::Added
    }

    /// Removes `member`. Returns whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Flat(pairs) => {
                let Some(place) = pairs.find(member, 1) else { return false };
                pairs.remove_count(place, 2);
                true
            }
            Form::Tree(tree) => tree.remove(member),
        }
    }

    /// Removes the member at one end after showing it to `see`.
    pub fn pop_with<R>(&mut self, end: End, see: impl FnOnce(Member<'_>, f64) -> R) -> Option<R> {
        match &mut self.form {
            Form::Flat(pairs) => {
                let place = match end {
                    End::Min => pairs.first()?,
                    End::Max => pairs.prev(pairs.last()?)?,
                };
                let result = see(pairs.value(place), score_after(pairs, place));
                pairs.remove_count(place, 2);
                Some(result)
            }
            Form::Tree(tree) => {
                let scores = &mut tree.scores;
                let take = |member: &[u8], score| {
                    scores.remove(member);
                    see(Member::Bytes(member), score)
                };
                match end {
                    End::Min => tree.order.pop_first_with(take),
                    End::Max => tree.order.pop_last_with(take),
                }
            }
        }
    }

    /// Removes the members of these ranks, which exist.
    pub fn remove_ranks(&mut self, ranks: Range<usize>) {
        match &mut self.form {
            Form::Flat(pairs) => {
                pairs.remove_range(2 * ranks.start, 2 * ranks.len());
            }
            Form::Tree(tree) => {
                let scores = &mut tree.scores;
                tree.order.remove_rank_range(ranks.start as u64, ranks.len() as u64, |member, _| {
                    scores.remove(member);
                });
            }
        }
    }

    fn edit_tree(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) -> Edit {
        let Form::Tree(tree) = &mut self.form else { unreachable!("the caller handles the other form") };
        let hash = tree.scores.hash(member);
        let old = tree.scores.get_hashed(hash, member).map(|entry| score_of(entry.payload));
        let Some(new) = decide(old).filter(|&new| Some(new) != old) else { return Edit::Nothing };
        let payload = ShortScore::new(new);
        let payload = payload.as_bytes();
        let edit = match old {
            Some(old) => {
                tree.order.remove(old, member);
                let entry = tree.scores.get_mut_hashed(hash, member).expect("it was just found");
                if entry.payload.len() == payload.len() {
                    entry.payload.copy_from_slice(payload);
                } else {
                    let entry = NewEntry { deadline: None, payload: &[payload], object: None };
                    tree.scores.insert_hashed(hash, member, entry);
                }
                Edit::Updated
            }
            None => {
                let entry = NewEntry { deadline: None, payload: &[payload], object: None };
                tree.scores.insert_hashed(hash, member, entry);
                Edit::Added
            }
        };
        tree.order.insert(new, member);
        edit
    }

    /// Adds a pair to the listpack, whose member is not there; one that is full becomes a tree.
    fn insert_flat(&mut self, member: &[u8], score: f64, limits: &EncodingLimits) {
        let Form::Flat(pairs) = &mut self.form else { unreachable!("the caller handles the other form") };
        if insert_pair(pairs, member, score).is_err() {
            let mut tree = self.to_tree(limits);
            tree.insert(member, score);
            self.form = Form::Tree(tree);
        }
    }

    fn to_tree(&self, limits: &EncodingLimits) -> Box<Tree> {
        let mut tree = Box::new(Tree { scores: Dict::new(limits.seed.0), order: ScoreTree::new() });
        for (member, score) in self.iter() {
            member.with_bytes(|member| tree.insert(member, score));
        }
        tree
    }
}

impl Tree {
    /// Adds a member that is not there.
    fn insert(&mut self, member: &[u8], score: f64) {
        let payload = ShortScore::new(score);
        let entry = NewEntry { deadline: None, payload: &[payload.as_bytes()], object: None };
        self.scores.insert(member, entry);
        self.order.insert(score, member);
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.scores.hash(member);
        let Some(entry) = self.scores.get_hashed(hash, member) else { return false };
        let score = score_of(entry.payload);
        self.scores.remove_hashed(hash, member);
        self.order.remove(score, member);
        true
    }

    /// The number of members that stand before the start of `range`, or before what follows its
    /// end.
    fn lex_rank(&self, range: &LexRange<'_>, end: End) -> usize {
        let (Some((_, first)), Some((_, last))) = (self.order.first(), self.order.last()) else { return 0 };
        let edge = match (end, if end == End::Min { range.min } else { range.max }) {
            (_, LexBound::Lowest) => return 0,
            (_, LexBound::Highest) => return self.scores.len(),
            (End::Min, LexBound::Included(name)) | (End::Max, LexBound::Excluded(name)) => {
                Edge::Before(first, name)
            }
            (End::Min, LexBound::Excluded(name)) | (End::Max, LexBound::Included(name)) => {
                Edge::After(first, name)
            }
        };
        if first == last {
            return index(self.order.rank_at(edge));
        }
        let (mut low, mut high) = (0, self.order.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let is_before = self.order.get(middle).is_some_and(|(name, _)| match end {
                End::Min => range.is_below(name),
                End::Max => !range.is_above(name),
            });
            (low, high) = if is_before { (middle + 1, high) } else { (low, middle) };
        }
        index(low)
    }
}

fn index(rank: u64) -> usize {
    usize::try_from(rank).expect("ranks of what is in memory fit")
}

/// Scores in order; `-0` equals `0`, and there is no NaN.
fn by_score(one: f64, two: f64) -> Ordering {
    one.partial_cmp(&two).unwrap_or(Ordering::Equal)
}

fn compare(one: (Member<'_>, f64), two: (Member<'_>, f64)) -> Ordering {
    by_score(one.1, two.1).then_with(|| one.0.with_bytes(|one| two.0.with_bytes(|two| one.cmp(two))))
}

fn score_of(payload: &[u8]) -> f64 {
    score::read(payload)
}
