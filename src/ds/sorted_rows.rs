//! An ordered map of small rows of one size: a counted tree of short arrays.
//!
//! For what is many, small, and of one size, as the pending entries of a stream's group: a row
//! costs its own bytes and next to nothing else, a snapshot shares what does not change, and a
//! search is one descent and one binary search. Rows that arrive in order fill one array after the
//! other.

use super::counted_tree::{ByMark, CountedTree, Leaf, Siblings, ToMark};
use std::slice;

/// Rows of an array at most.
const MAX_ROWS: usize = 128;
/// Neighbours that make less than this together become one array.
const MERGE_BELOW: usize = MAX_ROWS / 2;

/// A row, told from others by its key.
pub trait Row: Copy {
    /// The key that rows are ordered by.
    type Key: Copy + Ord;
    /// The key of this one. It never changes while the row is in a map.
    fn key(&self) -> Self::Key;
}

/// An ordered map of rows; see the module's doc. A clone is a snapshot.
#[derive(Clone)]
pub struct SortedRows<R: Row> {
    tree: CountedTree<Rows<R>>,
}

#[derive(Clone)]
struct Rows<R>(Vec<R>);

impl<R: Row + std::fmt::Debug> std::fmt::Debug for SortedRows<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<R: Row> Default for SortedRows<R> {
    fn default() -> Self {
        Self { tree: CountedTree::new(()) }
    }
}

impl<R: Row> SortedRows<R> {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.tree.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of `key`.
    #[must_use]
    pub fn get(&self, key: R::Key) -> Option<&R> {
        self.tree.leaf(&mut ToMark(key))?.get(key)
    }

    /// The rows of several keys, as [`SortedRows::get`] finds each, but faster: the processor waits
    /// for the memory of all of them at once. What is done with these keys next finds it near.
    #[must_use]
    pub fn get_each<const N: usize>(&self, keys: [R::Key; N]) -> [Option<&R>; N] {
        if self.is_empty() {
            return [None; N];
        }
        let rows = self.tree.leaves_at(keys.map(ToMark)).map(|Rows(rows)| &rows[..]);
        let places = find_each(rows, keys);
        std::array::from_fn(|which| rows[which].get(places[which]).filter(|row| row.key() == keys[which]))
    }

    /// The first row.
    #[must_use]
    pub fn first(&self) -> Option<&R> {
        self.iter().next()
    }

    /// The last row.
    #[must_use]
    pub fn last(&self) -> Option<&R> {
        let (Rows(rows), at) = self.tree.leaf_at(self.len().checked_sub(1)?)?;
        rows.get(at)
    }

    /// All rows in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, R> {
        Iter { tree: &self.tree, next: 0, rows: [].iter() }
    }

    /// The rows whose keys are at or after `key`, in order.
    #[must_use]
    pub fn iter_from(&self, key: R::Key) -> Iter<'_, R> {
        let mut to = ByMark::new(key);
        let Some(Rows(rows)) = self.tree.leaf(&mut to) else { return self.iter() };
        let before = rows.partition_point(|row| row.key() < key);
        Iter { tree: &self.tree, next: to.before + rows.len() as u64, rows: rows[before..].iter() }
    }

    /// Adds `row`, or puts it in the place of the one with its key. Returns that one.
    pub fn insert(&mut self, row: R) -> Option<R> {
        self.tree.edit(ToMark(row.key()), |siblings, index, _| {
            let Some(Rows(rows)) = siblings.get(index) else {
                siblings.insert(index, Rows(vec![row]));
                return None;
            };
            let place = rows.binary_search_by_key(&row.key(), Row::key);
            match place {
                Ok(at) => siblings.update(index, |Rows(rows)| Some(std::mem::replace(&mut rows[at], row))),
                Err(at) => {
                    insert_new(siblings, index, at, row);
                    None
                }
            }
        })
    }

    /// Changes the row of `key` by `change`, which leaves its key alone. Returns whether there is
    /// one.
    pub fn update(&mut self, key: R::Key, change: impl FnOnce(&mut R)) -> bool {
        let Some(mut row) = self.get(key).copied() else { return false };
        change(&mut row);
        self.insert(row).is_some()
    }

    /// Removes the row of `key` and returns it.
    pub fn remove(&mut self, key: R::Key) -> Option<R> {
        self.tree.edit(ToMark(key), |siblings, index, _| {
            let Rows(rows) = siblings.get(index)?;
            let at = rows.binary_search_by_key(&key, Row::key).ok()?;
            let removed = siblings.update(index, |Rows(rows)| {
                let removed = rows.remove(at);
                if rows.capacity() > 2 * rows.len() + 8 {
                    rows.shrink_to_fit();
                }
                removed
            });
            siblings.rebalance(index, ());
            Some(removed)
        })
    }

    /// Bytes allocated, extrapolated for very many rows.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.tree.heap_bytes()
    }
}

impl<R: Row> Rows<R> {
    fn get(&self, key: R::Key) -> Option<&R> {
        self.0.binary_search_by_key(&key, Row::key).ok().map(|at| &self.0[at])
    }
}

/// The place of each key, or where it would stand, among its own rows. Each search goes one step in
/// turn, without a branch: what a comparison says cannot be guessed, and a wrong guess would let
/// the searches behind it wait.
fn find_each<R: Row, const N: usize>(rows: [&[R]; N], keys: [R::Key; N]) -> [usize; N] {
    let (mut starts, mut lens) = ([0; N], rows.map(<[R]>::len));
    let is_before = |which: usize, at: usize| rows[which][at].key() < keys[which];
    for _ in 0..=MAX_ROWS.ilog2() {
        for which in 0..N {
            let step = lens[which].div_ceil(2);
            if step > 0 {
                let passed = usize::from(is_before(which, starts[which] + step - 1));
                starts[which] += step & passed.wrapping_neg();
                lens[which] -= step;
            }
        }
    }
    starts
}

/// Puts `row`, whose key is new, at `at` of the array at `index`, which is split when it is full.
/// At the very end a new array begins instead: keys mostly ascend.
fn insert_new<R: Row>(siblings: &mut Siblings<'_, Rows<R>>, index: usize, at: usize, row: R) {
    let len = siblings.leaf(index).len();
    if len < MAX_ROWS {
        return siblings.update(index, |Rows(rows)| rows.insert(at, row));
    }
    if at == len {
        return siblings.insert(index + 1, Rows(vec![row]));
    }
    let half = len / 2;
    let mut upper = siblings.update(index, |Rows(rows)| {
        let upper = rows.split_off(half);
        rows.shrink_to_fit();
        upper
    });
    if at > half {
        upper.insert(at - half, row);
    }
    siblings.insert(index + 1, Rows(upper));
    if at <= half {
        siblings.update(index, |Rows(rows)| rows.insert(at, row));
    }
}

impl<R: Row> Leaf for Rows<R> {
    type Mark = R::Key;
    type Limits = ();

    fn len(&self) -> usize {
        self.0.len()
    }

    fn mark(&self) -> R::Key {
        self.0[0].key()
    }

    fn should_merge(&self, next: &Self, (): ()) -> bool {
        self.len() + next.len() < MERGE_BELOW
    }

    fn append(&mut self, next: &Self) {
        self.0.extend_from_slice(&next.0);
    }

    fn remove_range(&mut self, start: usize, count: usize) {
        self.0.drain(start..start + count);
    }

    fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<R>()
    }

    fn clone_bytes(&self) -> usize {
        self.0.len() * size_of::<R>()
    }
}

/// Rows in order; see [`SortedRows::iter_from`].
#[derive(Clone)]
pub struct Iter<'a, R: Row> {
    tree: &'a CountedTree<Rows<R>>,
    /// The position of the first row after `rows`.
    next: u64,
    rows: slice::Iter<'a, R>,
}

impl<'a, R: Row> Iterator for Iter<'a, R> {
    type Item = &'a R;

    fn next(&mut self) -> Option<&'a R> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(row);
            }
            let (Rows(rows), at) = self.tree.leaf_at(self.next)?;
            self.next += (rows.len() - at) as u64;
            self.rows = rows[at..].iter();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;
    use std::collections::BTreeMap;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Pair(u64, u64);

    impl Row for Pair {
        type Key = u64;

        fn key(&self) -> u64 {
            self.0
        }
    }

    fn contents(rows: &SortedRows<Pair>) -> Vec<(u64, u64)> {
        rows.iter().map(|pair| (pair.0, pair.1)).collect()
    }

    #[test]
    fn random_changes_give_what_a_btree_map_has_and_snapshots_stay() {
        let (mut rows, mut model) = (SortedRows::default(), BTreeMap::new());
        let mut random = Random::new(7);
        let mut snapshots = Vec::new();
        for step in 0..40_000u64 {
            let key = random.below(3000);
            // Grows, then shrinks.
            if random.below(10) < if step < 20_000 { 7 } else { 2 } {
                let old = rows.insert(Pair(key, step)).map(|pair| pair.1);
                assert_eq!(old, model.insert(key, step));
            } else {
                assert_eq!(rows.remove(key).map(|pair| pair.1), model.remove(&key));
            }
            let is_there = rows.update(key, |pair| pair.1 += 1);
            assert_eq!(is_there, model.get_mut(&key).map(|value| *value += 1).is_some());
            if step % 5000 == 0 {
                snapshots.push((rows.clone(), model.clone()));
            }
        }
        rows.tree.check(&|one, two| one == two);
        snapshots.push((rows, model));
        for (rows, model) in snapshots {
            assert_eq!(contents(&rows), Vec::from_iter(model.clone()));
            assert_eq!((rows.len(), rows.is_empty()), (model.len() as u64, model.is_empty()));
            assert_eq!(rows.first().map(|pair| pair.0), model.keys().next().copied());
            assert_eq!(rows.last().map(|pair| pair.0), model.keys().next_back().copied());
            for from in (0..3100).step_by(50) {
                let found = rows.iter_from(from).map(|pair| pair.0);
                assert!(found.eq(model.range(from..).map(|(key, _)| *key)), "{from}");
                assert_eq!(rows.get(from).map(|pair| pair.1), model.get(&from).copied());
                let each: [u64; 7] = std::array::from_fn(|which| from + 400 * which as u64 + 3);
                let found = rows.get_each(each).map(|row| row.map(|pair| pair.1));
                assert_eq!(found, each.map(|key| model.get(&key).copied()), "{from}");
            }
        }
    }

    #[test]
    fn rows_that_ascend_take_little_more_than_themselves() {
        let mut rows = SortedRows::default();
        (0..100_000).for_each(|key| _ = rows.insert(Pair(key, 0)));
        let per_row = rows.heap_bytes() / 100_000;
        assert!((size_of::<Pair>()..=size_of::<Pair>() + 1).contains(&per_row), "{per_row}");
        (0..99_990).for_each(|key| _ = rows.remove(key));
        assert!(rows.heap_bytes() < 1000, "{}", rows.heap_bytes());
    }
}
