//! Entries picked to be removed: by chance, or because their deadline is next.
//!
//! A sample is made of neighbours in one page, so that it costs one cache miss and not one per
//! entry. Pages are met in proportion to the part of the hash space they cover, which is nearly in
//! proportion to their entries.

use super::page::{EntryRef, Page};
use super::{Dict, NEVER, POSITIONS};

/// Pages looked at for one sample.
const SAMPLE_PAGES: usize = 16;

impl<O: Clone> Dict<O> {
    /// Shows up to `count` entries of a random place. `below(n)` draws from 0..n. Shows none only
    /// if there is none, or if a dict of many empty pages gives none in sixteen of them.
    pub fn sample(
        &self,
        count: usize,
        below: &mut impl FnMut(u64) -> u64,
        mut show: impl FnMut(EntryRef<'_, O>),
    ) {
        if self.is_empty() {
            return;
        }
        let mut left = count;
        let mut position = below(POSITIONS);
        for _ in 0..SAMPLE_PAGES {
            let page = self.page(position);
            left -= show_some(page, left, below, |_| true, &mut show);
            if left == 0 {
                return;
            }
            position = page.range().end % POSITIONS;
        }
    }

    /// As [`Dict::sample`], among the entries that have a deadline; shows at least one if there is
    /// one.
    pub fn sample_with_deadline(
        &mut self,
        count: usize,
        below: &mut impl FnMut(u64) -> u64,
        mut show: impl FnMut(EntryRef<'_, O>),
    ) {
        let has_deadline = |entry: &EntryRef<'_, O>| entry.deadline.is_some();
        let mut left = count;
        let mut position = below(POSITIONS);
        for _ in 0..SAMPLE_PAGES {
            if left == 0 {
                return;
            }
            let page = self.page(position);
            left -= show_some(page, left, below, has_deadline, &mut show);
            position = page.range().end % POSITIONS;
        }
        if left < count {
            return;
        }
        // They are rare: any page that is known to have one, found by a random time.
        // A page may be left in the index by deadlines that are gone; each is found so once.
        while let Some(first_hash) = self.deadlines.random_page(below) {
            let place = self.view.directory.place_mut(first_hash);
            if show_some(&place.page, left, below, has_deadline, &mut show) > 0 {
                return;
            }
            self.deadlines.set_bound(first_hash, &mut place.bound, NEVER);
        }
    }

    /// The entry whose deadline is the earliest.
    pub fn earliest(&mut self) -> Option<EntryRef<'_, O>> {
        let first_hash = loop {
            let (bound, first_hash) = self.deadlines.first_from((i64::MIN, 0))?;
            let earliest = self.view.directory.page(first_hash).earliest_deadline();
            if earliest == bound {
                break first_hash;
            }
            // The bound was too early; every page is mended once per deadline that was taken from
            // it.
            let bound = &mut self.view.directory.place_mut(first_hash).bound;
            self.deadlines.set_bound(first_hash, bound, earliest);
        };
        let page = self.view.directory.page(first_hash);
        page.iter().min_by_key(|entry| entry.deadline.unwrap_or(NEVER))
    }

    /// Sets if removals give memory back at once: a page is packed anew as soon as that frees a
    /// part of it. Worth the work when memory is short.
    pub fn pack_tightly(&mut self, tight: bool) {
        self.tight = tight;
    }
}

/// Shows up to `count` entries of a page that are `wanted`, from a random one on. Returns how many.
fn show_some<O>(
    page: &Page<O>,
    count: usize,
    below: &mut impl FnMut(u64) -> u64,
    wanted: impl Fn(&EntryRef<'_, O>) -> bool,
    show: &mut impl FnMut(EntryRef<'_, O>),
) -> usize {
    let len = page.len();
    if len == 0 {
        return 0;
    }
    let start = below(len as u64) as usize;
    let indexes = (start..len).chain(0..start);
    let entries = indexes.filter_map(|index| page.entry_at(index)).filter(wanted).take(count);
    entries.map(show).count()
}
