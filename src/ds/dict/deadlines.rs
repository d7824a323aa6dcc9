//! The order of pages by their next deadline: exact, at the price of one index entry per *page*.
//!
//! Every page has a bound, a time before which none of its entries is due. Only pages with a
//! deadline in them stand in the index, ordered by bound. A new earlier deadline lowers the bound
//! at once; removing or postponing a deadline leaves it, so it may be too early but never too late.
//! Whoever finds nothing due in the first page raises its bound to the truth. An order of keys
//! would be exact at once, but costs some forty bytes a key; sampling, as Redis does it, costs
//! nothing but lets dead keys linger.
//!
//! Pages are named by their first hash, which is unique at any time.

use std::collections::BTreeSet;

/// No deadline.
pub(super) const NEVER: i64 = i64::MAX;

/// The pages that have deadlines, in the order of their bounds.
#[derive(Debug, Clone, Default)]
pub(super) struct Deadlines {
    index: BTreeSet<(i64, u64)>,
    /// The number of entries that have a deadline.
    pub(super) len: usize,
}

impl Deadlines {
    /// Moves a page from one bound to another.
    pub(super) fn set_bound(&mut self, page: u64, bound: &mut i64, new: i64) {
        if *bound == new {
            return;
        }
        if *bound != NEVER {
            self.index.remove(&(*bound, page));
        }
        if new != NEVER {
            self.index.insert((new, page));
        }
        *bound = new;
    }

    /// The first page at or behind `from`, in the order of (bound, page).
    pub(super) fn first_from(&self, from: (i64, u64)) -> Option<(i64, u64)> {
        self.index.range(from..).next().copied()
    }

    pub(super) fn first_bound(&self) -> Option<i64> {
        self.index.first().map(|&(bound, _)| bound)
    }

    /// Any page of the index: the one behind a random time, which favours deadlines far from
    /// others.
    pub(super) fn random_page(&self, below: &mut impl FnMut(u64) -> u64) -> Option<u64> {
        let (first, last) = (self.index.first()?.0, self.index.last()?.0);
        let time = first.saturating_add_unsigned(below(last.abs_diff(first).saturating_add(1)));
        let place = self.first_from((time, below(u64::MAX))).or(self.index.first().copied());
        place.map(|(_, page)| page)
    }

    /// About what the tree allocates: its nodes are filled to two thirds on average.
    pub(super) fn heap_bytes(&self) -> usize {
        self.index.len() * size_of::<(i64, u64)>() * 3 / 2
    }

    #[cfg(test)]
    pub(super) fn pages(&self) -> impl Iterator<Item = &(i64, u64)> {
        self.index.iter()
    }
}
