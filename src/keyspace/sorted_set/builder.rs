//! A sorted set in the making: [`SortedSetBuilder`].
//!
//! Members come in any order, some of them several times; so they are gathered in the dict that a
//! large sorted set needs anyway, and put in order once, at the end.

use super::pairs::push_pair;
use super::{Form, SortedSet, Tree, by_score, score_of};
use crate::ds::dict::{Dict, NewEntry};
use crate::ds::listpack::Listpack;
use crate::ds::score_tree::ScoreTree;
use crate::keyspace::encoding_limits::EncodingLimits;

/// Members gathered from elsewhere, each with one score, to become a sorted set of their own:
/// the result of a union, a range or a search, or a value read from a file.
#[derive(Debug)]
pub struct SortedSetBuilder {
    scores: Dict<()>,
    longest: usize,
}

impl SortedSetBuilder {
    /// Nothing yet.
    #[must_use]
    pub fn new(limits: &EncodingLimits) -> Self {
        SortedSetBuilder { scores: Dict::new(limits.seed.0), longest: 0 }
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a member, or lets `combine` make one score of that it has and this one. Neither is NaN.
    pub fn add(&mut self, member: &[u8], score: f64, combine: impl FnOnce(f64, f64) -> f64) {
        let hash = self.scores.hash(member);
        if let Some(entry) = self.scores.get_mut_hashed(hash, member) {
            let combined = combine(score_of(entry.payload), score);
            entry.payload.copy_from_slice(&combined.to_le_bytes());
            return;
        }
        self.longest = self.longest.max(member.len());
        let entry = NewEntry { deadline: None, payload: &[&score.to_le_bytes()], object: None };
        self.scores.insert_hashed(hash, member, entry);
    }

    /// Takes a member out again.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        self.scores.remove(member).is_some()
    }

    /// Returns the members gathered so far, lowest score first.
    #[must_use]
    pub fn in_order(&self) -> Vec<(&[u8], f64)> {
        let mut pairs: Vec<_> =
            self.scores.iter().map(|entry| (entry.key, score_of(entry.payload))).collect();
        pairs.sort_unstable_by(|one, two| by_score(one.1, two.1).then_with(|| one.0.cmp(two.0)));
        pairs
    }

    /// The sorted set, in the form the limits ask for.
    #[must_use]
    pub fn into_sorted_set(self, limits: &EncodingLimits) -> SortedSet {
        let pairs = self.in_order();
        if pairs.len() <= limits.zset_max_listpack_entries && self.longest <= limits.zset_max_listpack_value {
            let mut flat = Listpack::new();
            if pairs.iter().all(|&(member, score)| push_pair(&mut flat, member, score).is_ok()) {
                return SortedSet { form: Form::Flat(flat) };
            }
        }
        let mut order = ScoreTree::new();
        for (member, score) in pairs {
            order.insert(score, member);
        }
        SortedSet { form: Form::Tree(Box::new(Tree { scores: self.scores, order })) }
    }
}
