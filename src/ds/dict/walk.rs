//! A walk over all pages of a dict *as they were when it began*, while the dict goes on changing.
//!
//! A cursor goes through the pages in the order of positions and hands out a reference to each. A
//! page that is about to change and was not handed out yet is handed out first, out of order: its
//! pre-image. Each place of the directory carries the number of the last walk its page was handed
//! to, halves inherit it, and pages that differ in it do not merge; so every entry of the beginning
//! is handed out exactly once, whatever is split, merged, removed or flushed meanwhile, and what
//! was handed out already changes freely.
//!
//! Why marks and not a view of everything: with a view, whoever writes copies every page once, and
//! all copies live until the end. Here a page is shared only from its hand-over until its taker
//! drops it.
//!
//! Knows nothing of who takes the pages, or when: the number of pages handed out in order is the
//! caller's choice ([`Dict::walk_on`]), the pre-images are waiting in [`Dict::take_pre_images`].

use super::page::Page;
use super::view::{POSITIONS, View};
use super::{Dict, Place};

/// A walk under way, as its dict knows it.
#[derive(Debug, Clone)]
pub(super) struct Walk<O> {
    /// Larger than that of every walk before.
    number: u32,
    /// The next position in order; [`POSITIONS`] at the end.
    cursor: u64,
    /// Pages handed out of order that nobody has taken yet.
    pre_images: Vec<Page<O>>,
}

/// The part that a walk had not handed out when its dict was cleared: everything behind the cursor,
/// by reference.
#[derive(Debug)]
pub struct Rest<O> {
    view: View<O>,
    number: u32,
    cursor: u64,
}

impl<O: Clone> Dict<O> {
    /// Begins a walk over the entries as they are now. `number` is larger than that of every
    /// earlier walk of this dict, and not 0.
    pub fn begin_walk(&mut self, number: u32) {
        self.walk = Some(Box::new(Walk { number, cursor: 0, pre_images: Vec::new() }));
    }

    /// True when a walk is under way, its last pages taken or not.
    #[must_use]
    pub fn is_walked(&self) -> bool {
        self.walk.is_some()
    }

    /// Ends a walk, finished or not.
    pub fn end_walk(&mut self) {
        self.walk = None;
    }

    /// Hands out the next pages in order. Looks at `max` pages at most; empty ones and those handed
    /// out before are left out. Returns whether there may be more. Without a walk there is nothing.
    pub fn walk_on(&mut self, max: usize, out: &mut Vec<Page<O>>) -> bool {
        let Some(walk) = &mut self.walk else { return false };
        for _ in 0..max {
            if walk.cursor == POSITIONS {
                return false;
            }
            let place = self.view.directory.place_mut(walk.cursor << 16);
            walk.cursor = place.page.range().end;
            if place.handed != walk.number && !place.page.is_empty() {
                place.handed = walk.number;
                out.push(place.page.clone());
            }
        }
        walk.cursor < POSITIONS
    }

    /// The pages that had to be handed out of order since the last call.
    pub fn take_pre_images(&mut self) -> Vec<Page<O>> {
        self.walk.as_mut().map(|walk| std::mem::take(&mut walk.pre_images)).unwrap_or_default()
    }

    /// Removes everything. If a walk is under way it ends here, and what it has not handed out is
    /// the second value; else what was there is the first, to be dropped elsewhere.
    pub fn clear_walked(&mut self) -> (Option<View<O>>, Option<Rest<O>>) {
        let walk = self.walk.take();
        let view = self.clear();
        match walk {
            None => (Some(view), None),
            Some(walk) => (None, Some(Rest { view, number: walk.number, cursor: walk.cursor })),
        }
    }

    /// Ends the walk under way, if there is one. What it has not handed out is returned by
    /// reference; the entries stay.
    pub fn end_walk_early(&mut self) -> Option<Rest<O>> {
        let walk = self.walk.take()?;
        Some(Rest { view: self.view(), number: walk.number, cursor: walk.cursor })
    }

    /// To be called before the page of `hash` changes.
    #[inline]
    pub(super) fn before_change(&mut self, hash: u64) {
        if self.walk.is_some() {
            self.hand_over(hash);
        }
    }

    /// Hands the page of `hash` to the walk under way, if it has not been. Returns whether somebody
    /// else holds it.
    pub fn hand_page_over(&mut self, hash: u64) -> bool {
        self.before_change(hash);
        !self.view.directory.place(hash).page.is_unique()
    }

    #[cold]
    fn hand_over(&mut self, hash: u64) {
        let Some(walk) = &mut self.walk else { return };
        if self.view.directory.place(hash).handed == walk.number || walk.cursor == POSITIONS {
            return;
        }
        let Place { page, handed, .. } = self.view.directory.place_mut(hash);
        *handed = walk.number;
        if !page.is_empty() {
            walk.pre_images.push(page.clone());
        }
    }

    /// True when a walk forbids that two pages with these marks become one: only one of them was
    /// handed out.
    pub(super) fn walk_parts(&self, marks: [u32; 2]) -> bool {
        self.walk.as_ref().is_some_and(|walk| {
            let [left, right] = marks.map(|mark| mark == walk.number);
            left != right
        })
    }
}

impl<O> Rest<O> {
    /// Goes through the pages and lets go of each part of the dict once it is passed.
    pub fn into_pages(self) -> impl Iterator<Item = Page<O>> {
        let Rest { view, number, cursor } = self;
        let places = view.directory.into_places().filter(move |place| {
            place.handed != number && !place.page.is_empty() && place.page.range().end > cursor
        });
        places.map(|place| place.page)
    }

    /// The number of entries the dict had; an upper bound of what is left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.view.len()
    }

    /// True when the dict had no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
