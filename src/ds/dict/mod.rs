//! The paged dict: byte keys to small inline payloads and optional objects, with optional
//! deadlines. Keyspace, big hashes, big sets and the members of sorted sets are all made of it.
//!
//! Extendible hashing over flat [pages](Page) of about 4 KiB. There is no allocation per key; a
//! page is at once the unit of growth, of sharing (snapshot, copy-on-write), of SCAN and of expiry.
//! A full page is split in two by the next bit of the hash, two sparse halves become one again, and
//! the directory follows in small steps: no operation moves more than the entries of a few pages.
//! An open-addressing table is faster to search, but must rehash all at once (or keep two tables),
//! pays for empty slots, and has no parts that could be shared. Deadlines are exact and cost the
//! entries eight bytes each.
//!
//! Measured with mimalloc, release build, 16-byte keys and 20 bytes of payload, on a busy machine,
//! so in CPU time and beside std's `HashMap<Box<[u8]>, Box<[u8]>>` (itself with its keyed hash) in
//! the same minutes:
//!
//! | | 1 M keys | std | 10 M keys | std |
//! |---|---|---|---|---|
//! | resident bytes per key (payload 36) | 54 | 119–154 | 53.5 | 104 |
//! | the same with a deadline each | 65 | | | |
//! | members without payload / with 8 bytes | 31.5 / 40 | | | |
//! | random get, ns | 420–540 | 510–560 | 800 | 850 |
//! | random overwrite, ns | 610–750 | 600–740 | 1000 | 1250 |
//! | get in batches of 64 with prefetch, ns | 230–330 | | 430 | |
//! | a view of everything, µs | 2 | | 6 | |
//!
//! While 10 M keys were inserted, a step that reached the directory came every 20 000 inserts and
//! took 61 µs on average; none moves more than about 4000 entries and places. The smallest dict
//! takes half a KiB when empty and one from the first entry on: smaller collections have flat
//! encodings instead.
//!
//! It knows only bytes: what payload, object and deadline mean is its user's business. `O` is
//! cloned when a shared page is copied, so it should be a counted reference. Read [`Dict`], then
//! [`View`] (everything that only reads), then [`Page`].

mod deadlines;
mod directory;
mod entry;
mod slot_table;
mod page;
mod sample;
mod view;
mod walk;

#[cfg(test)]
mod tests;

use std::ops::Deref;

use siphasher::sip::SipHasher13;

use deadlines::{Deadlines, NEVER};
use directory::{Directory, Place};
use entry::Draft;
pub use page::{EntryMut, EntryRef, NewEntry, Page, Removed};
pub use view::{Found, HashSeed, POSITIONS, TableShape, View};
pub use walk::Rest;
use walk::Walk;

/// Two pages become one if one uses less than this, …
const MERGE_BELOW: usize = slot_table::PAGE_BYTES / 4;
/// … and both together no more than this, far from the next split.
const MERGE_INTO: usize = slot_table::PAGE_BYTES / 2;
/// The number of levels of pages one removal may merge.
const MERGES_PER_REMOVAL: usize = 4;
/// Hashes that agree in so many more bits than the number of pages suggests are no accident: their
/// page grows instead of the directory.
const SPARE_DEPTH: u32 = 12;
/// Positions have no more bits than this.
const MAX_DEPTH: u32 = 48;
/// No more than so many bits are anticipated, four billion entries, as the directory's top level
/// grows at once then.
const MAX_ANTICIPATED_DEPTH: u32 = 26;
/// Pages of a dict that grows by itself have at least about so many entries: twice as many do not
/// fit one.
const ENTRIES_OF_PAGE: usize = 56;
/// The number of pages without due entries that [`Dict::due`] may look at.
const IDLE_PAGES: usize = 64;

/// A hash table of shared pages. Dereferences to [`View`] for all that only reads.
#[derive(Debug)]
pub struct Dict<O> {
    view: View<O>,
    deadlines: Deadlines,
    page_bytes: usize,
    merging: bool,
    /// See [`Dict::pack_tightly`].
    tight: bool,
    moved: u64,
    /// No page is shallower than this once something is put into it: see [`Dict::anticipate`].
    least_depth: u32,
    walk: Option<Box<Walk<O>>>,
}

impl<O> Clone for Dict<O> {
    /// Shares every page; but the order of deadlines is copied, so prefer [`Dict::view`] for
    /// reading.
    fn clone(&self) -> Dict<O> {
        // A walk is over one dict, not over its copies.
        Dict { view: self.view.clone(), deadlines: self.deadlines.clone(), walk: None, ..*self }
    }
}

impl<O> Deref for Dict<O> {
    type Target = View<O>;

    fn deref(&self) -> &View<O> {
        &self.view
    }
}

impl<O: Clone> Dict<O> {
    /// An empty dict whose hashes depend on `seed`.
    pub fn new(seed: HashSeed) -> Dict<O> {
        Dict::with_hasher(SipHasher13::new_with_key(&seed))
    }

    fn with_hasher(hasher: SipHasher13) -> Dict<O> {
        let page = Page::new(0, 0);
        let page_bytes = page.heap_bytes();
        let view = View { directory: Directory::new(page), hasher, len: 0 };
        Dict {
            view,
            deadlines: Deadlines::default(),
            page_bytes,
            merging: true,
            tight: false,
            moved: 0,
            least_depth: 0,
            walk: None,
        }
    }

    /// The entries as they are now, by reference.
    pub fn view(&self) -> View<O> {
        self.view.clone()
    }

    /// Removes everything; returns what was there, to be dropped elsewhere. A walk goes on: it
    /// finds nothing more, so [`Dict::clear_walked`] is for dicts that have not handed out
    /// everything.
    fn clear(&mut self) -> View<O> {
        let walk = self.walk.take();
        let old = self.take();
        self.walk = walk;
        old.view
    }

    /// Leaves an empty dict in its place and returns it, with the walk that is under way.
    pub fn take(&mut self) -> Dict<O> {
        let empty = Dict {
            merging: self.merging,
            tight: self.tight,
            moved: self.moved(),
            least_depth: self.least_depth,
            ..Dict::with_hasher(self.view.hasher)
        };
        std::mem::replace(self, empty)
    }

    /// Bytes allocated by the dict itself, without what its objects point to.
    pub fn heap_bytes(&self) -> usize {
        self.page_bytes + self.view.directory.heap_bytes() + self.deadlines.heap_bytes()
    }

    /// Bytes of what leads to the entries: the directory and the slot tables of pages.
    pub fn index_bytes(&self) -> usize {
        self.view.page_count() * Page::<O>::SLOT_TABLE_BYTES + self.view.directory.heap_bytes()
    }

    /// Bytes of what knows which entries are due next.
    pub fn deadline_index_bytes(&self) -> usize {
        self.deadlines.heap_bytes()
    }

    /// Returns the number of entries and directory places that growing and shrinking have moved so
    /// far.
    pub fn moved(&self) -> u64 {
        self.moved + self.view.directory.moved()
    }

    /// Sets if sparse pages may be merged. A walk over the pages that must not meet an entry twice
    /// forbids it meanwhile; splitting goes on and keeps ranges nested.
    pub fn allow_merging(&mut self, merging: bool) {
        self.merging = merging;
    }

    /// The entry of `key`, to change in place. Copies a shared page first.
    pub fn get_mut(&mut self, key: &[u8]) -> Option<EntryMut<'_, O>> {
        self.get_mut_hashed(self.hash(key), key)
    }

    /// The entry of `key`, whose hash the caller knows, to change in place.
    pub fn get_mut_hashed(&mut self, hash: u64, key: &[u8]) -> Option<EntryMut<'_, O>> {
        self.view.find_hashed(hash, key).map(|found| self.at_mut(found))
    }

    /// The entry found before, to change in place.
    pub fn at_mut(&mut self, Found { hash, slot }: Found) -> EntryMut<'_, O> {
        self.before_change(hash);
        let page = &mut self.view.directory.place_mut(hash).page;
        if !page.is_unique() {
            let before = page.heap_bytes();
            page.make_unique();
            // A copy of a list is cut to its length.
            self.page_bytes = self.page_bytes + page.heap_bytes() - before;
        }
        page.entry_mut(slot)
    }

    /// Says that the dict will have about `len` entries, 0 that nobody knows. Entries that come by
    /// [`Dict::insert_new`] then find the pages that so many need, rather than growing through all
    /// smaller shapes. A page is made when its first entry comes, so a wrong number costs little.
    pub fn anticipate(&mut self, len: usize) {
        let pages = len / ENTRIES_OF_PAGE;
        self.least_depth = pages.checked_ilog2().unwrap_or(0).min(MAX_ANTICIPATED_DEPTH);
    }

    /// Stores an entry under a key that is not there; the caller knows its hash. Returns false, and
    /// changes nothing, if it is.
    pub fn insert_new(&mut self, hash: u64, key: &[u8], new: NewEntry<'_, O>) -> bool {
        let page = self.view.directory.page(hash);
        if page.find(hash, key).is_some() {
            return false;
        }
        let is_shallow = page.depth() < self.least_depth;
        self.before_change(hash);
        if is_shallow {
            self.deepen(hash);
        }
        let payload_len = new.payload.iter().map(|part| part.len()).sum();
        let draft = Draft::new(key.len(), payload_len, new.deadline.is_some(), new.object.is_some());
        self.make_room(hash, key, draft.size, None);
        let deadline = new.deadline;
        let page = &mut self.view.directory.place_mut(hash).page;
        let before = page.heap_bytes();
        page.insert(hash, &draft, key, new);
        self.view.len += 1;
        self.page_bytes = self.page_bytes + page.heap_bytes() - before;
        if deadline.is_some() {
            self.count_deadline(hash, None, deadline);
        }
        true
    }

    /// Splits the page of `hash` until it is as deep as pages are meant to be.
    #[cold]
    fn deepen(&mut self, hash: u64) {
        while self.view.directory.page(hash).depth() < self.least_depth {
            self.split_page(hash);
        }
    }

    /// Stores an entry. Returns what it replaces.
    pub fn insert(&mut self, key: &[u8], new: NewEntry<'_, O>) -> Option<Removed<O>> {
        self.insert_hashed(self.hash(key), key, new)
    }

    /// Stores an entry under a key whose hash the caller knows. Returns what it replaces.
    pub fn insert_hashed(&mut self, hash: u64, key: &[u8], new: NewEntry<'_, O>) -> Option<Removed<O>> {
        let payload_len = new.payload.iter().map(|part| part.len()).sum();
        let draft = Draft::new(key.len(), payload_len, new.deadline.is_some(), new.object.is_some());
        let found = self.view.find_hashed(hash, key);
        if let Some(found) = found.filter(|found| self.view.directory.page(hash).is_alike(found.slot, &draft))
        {
            // The common case of a value that keeps its length: nothing moves.
            let mut left = &mut *self.at_mut(found).payload;
            for part in new.payload {
                let place;
                (place, left) = left.split_at_mut(part.len());
                place.copy_from_slice(part);
            }
            return Some(Removed { deadline: None, object: None });
        }
        self.before_change(hash);
        let slot = self.make_room(hash, key, draft.size, found.map(|found| found.slot));
        let deadline = new.deadline;
        let place = self.view.directory.place_mut(hash);
        let before = place.page.heap_bytes();
        let replaced = match slot {
            Some(slot) => Some(place.page.replace(slot, hash, &draft, key, new)),
            None => {
                place.page.insert(hash, &draft, key, new);
                self.view.len += 1;
                None
            }
        };
        self.page_bytes = self.page_bytes + place.page.heap_bytes() - before;
        self.count_deadline(hash, replaced.as_ref().and_then(|replaced| replaced.deadline), deadline);
        replaced
    }

    /// Removes the entry of `key`.
    pub fn remove(&mut self, key: &[u8]) -> Option<Removed<O>> {
        self.remove_hashed(self.hash(key), key)
    }

    /// Removes the entry of `key`, whose hash the caller knows.
    pub fn remove_hashed(&mut self, hash: u64, key: &[u8]) -> Option<Removed<O>> {
        let slot = self.view.directory.page(hash).find(hash, key)?;
        self.before_change(hash);
        let place = self.view.directory.place_mut(hash);
        let before = place.page.heap_bytes();
        let removed = place.page.remove(slot);
        if self.tight {
            place.page.pack();
        }
        self.page_bytes = self.page_bytes + place.page.heap_bytes() - before;
        self.view.len -= 1;
        self.count_deadline(hash, removed.deadline, None);
        self.merge_pages(hash);
        Some(removed)
    }

    /// Gives the entry of `key` another deadline or none. Returns whether there is such an entry.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Option<i64>) -> bool {
        self.set_deadline_hashed(self.hash(key), key, deadline)
    }

    /// [`Dict::set_deadline`] for a key whose hash the caller knows.
    pub fn set_deadline_hashed(&mut self, hash: u64, key: &[u8], deadline: Option<i64>) -> bool {
        let page = self.view.directory.page(hash);
        let Some(slot) = page.find(hash, key) else {
            return false;
        };
        let size = page.size_with_deadline(slot, deadline.is_some());
        self.before_change(hash);
        let Some(slot) = self.make_room(hash, key, size, Some(slot)) else {
            unreachable!("making room loses no entry");
        };
        let place = self.view.directory.place_mut(hash);
        let before = place.page.heap_bytes();
        let old = place.page.set_deadline(slot, hash, deadline);
        self.page_bytes = self.page_bytes + place.page.heap_bytes() - before;
        self.count_deadline(hash, old, deadline);
        true
    }

    /// The number of entries that have a deadline.
    pub fn deadlines_len(&self) -> usize {
        self.deadlines.len
    }

    /// A time before which nothing is due; `None` if nothing ever is. It may be earlier than the
    /// earliest deadline after some were removed or postponed, and becomes exact by calling
    /// [`Dict::due`] then.
    pub fn next_deadline(&self) -> Option<i64> {
        self.deadlines.first_bound().filter(|_| self.deadlines.len > 0)
    }

    /// Keys whose deadline is at or before `now`, at most `max`, about in the order of their
    /// deadlines. They stay in the dict until the caller removes them.
    ///
    /// The work is bounded by `max`: if fewer keys come back, there still may be more, and they are
    /// found by the next call. Nothing is due exactly when [`Dict::next_deadline`] is later than
    /// `now`.
    pub fn due(&mut self, now: i64, max: usize) -> Vec<Box<[u8]>> {
        let mut keys: Vec<Box<[u8]>> = Vec::new();
        let mut from = (i64::MIN, 0);
        let mut idle_pages = 0;
        while keys.len() < max && idle_pages < IDLE_PAGES {
            let Some((bound, first_hash)) =
                self.deadlines.first_from(from).filter(|&(bound, _)| bound <= now)
            else {
                break;
            };
            from = (bound, first_hash + 1);
            let page = self.view.directory.page(first_hash);
            let found = keys.len();
            keys.extend(page.due(now).take(max - found).map(Box::from));
            if keys.len() == found {
                idle_pages += 1;
                let earliest = page.earliest_deadline();
                let bound = &mut self.view.directory.place_mut(first_hash).bound;
                self.deadlines.set_bound(first_hash, bound, earliest);
            }
        }
        keys
    }

    /// Splits the page of `hash` until an entry of `size` bytes for `key`, which is in `slot`,
    /// fits. Returns the key's slot then.
    fn make_room(&mut self, hash: u64, key: &[u8], size: usize, mut slot: Option<usize>) -> Option<usize> {
        loop {
            let page = self.view.directory.page(hash);
            if page.has_room(slot, size) || !self.may_split(page) {
                return slot;
            }
            self.split_page(hash);
            slot = slot.and_then(|_| self.view.directory.page(hash).find(hash, key));
        }
    }

    fn may_split(&self, page: &Page<O>) -> bool {
        let depth_of_count = usize::BITS - self.view.page_count().leading_zeros();
        page.len() > 1 && page.depth() < MAX_DEPTH.min(depth_of_count + SPARE_DEPTH)
    }

    fn split_page(&mut self, hash: u64) {
        let hasher = self.view.hasher;
        let Place { page, bound, handed } = self.view.directory.place_mut(hash);
        let handed = *handed;
        self.moved += page.len() as u64;
        let before = page.heap_bytes();
        let first_hash = page.first_hash();
        let (left, right) = page.split(|key| hasher.hash(key));
        self.page_bytes = self.page_bytes + left.heap_bytes() + right.heap_bytes() - before;
        let had_deadlines = *bound != NEVER;
        self.deadlines.set_bound(first_hash, bound, NEVER);
        let deadlines = &mut self.deadlines;
        let [left, right] = [left, right].map(|page| {
            let mut bound = NEVER;
            if had_deadlines {
                deadlines.set_bound(page.first_hash(), &mut bound, page.earliest_deadline());
            }
            Place { page, bound, handed }
        });
        self.view.directory.put_halves(hash, left, right);
    }

    /// Merges the page of `hash` with its other half, and so on, while both are sparse.
    fn merge_pages(&mut self, hash: u64) {
        if self.is_empty() && self.merging {
            self.clear();
            return;
        }
        for _ in 0..MERGES_PER_REMOVAL {
            let page = self.view.directory.page(hash);
            if !self.merging || page.load() >= MERGE_BELOW {
                return;
            }
            let Some(buddy) = self.view.directory.buddy(hash) else {
                return;
            };
            if page.load() + buddy.page.load() > MERGE_INTO {
                return;
            }
            let marks = [self.view.directory.place(hash).handed, buddy.handed];
            if self.walk_parts(marks) {
                return;
            }
            let Dict { view, deadlines, page_bytes, moved, .. } = self;
            view.directory.merge_with_buddy(hash, |left, right| {
                *moved += (left.page.len() + right.page.len()) as u64;
                let before = left.page.heap_bytes() + right.page.heap_bytes();
                let page = Page::merge(&mut left.page, &mut right.page);
                *page_bytes = *page_bytes + page.heap_bytes() - before;
                let earliest = left.bound.min(right.bound);
                deadlines.set_bound(right.page.first_hash(), &mut right.bound, NEVER);
                deadlines.set_bound(left.page.first_hash(), &mut left.bound, earliest);
                Place { page, bound: left.bound, handed: left.handed.max(right.handed) }
            });
        }
    }

    /// Keeps the number of deadlines, and the bound of the page of `hash` at or below all of its
    /// deadlines.
    fn count_deadline(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        self.deadlines.len = self.deadlines.len + usize::from(new.is_some()) - usize::from(old.is_some());
        let Some(deadline) = new else {
            return;
        };
        if deadline < self.view.directory.place(hash).bound {
            let Place { page, bound, .. } = self.view.directory.place_mut(hash);
            self.deadlines.set_bound(page.first_hash(), bound, deadline);
        }
    }
}
