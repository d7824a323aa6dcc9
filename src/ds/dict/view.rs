//! Everything a dict can be asked without changing it: look-ups, walks, chance.
//!
//! A [`View`] is what a dict consists of, less the book-keeping of its writer. Cloning one costs a
//! reference per thousand pages and yields a snapshot: the dict goes on and copies what it changes.
//! It may leave the owner's thread.
//!
//! All walks follow the *position*, the upper 48 bits of an entry's hash. It never changes,
//! whatever becomes of pages and directory, so a SCAN cursor is a position and needs no
//! reverse-binary trick: what has been passed lies below it, what is to come does not.

use siphasher::sip::SipHasher13;

use super::directory::Directory;
use super::page::{EntryRef, Page};

/// The secret that makes hashes unpredictable to clients.
pub type HashSeed = [u8; 16];

/// Positions are below this.
pub const POSITIONS: u64 = 1 << 48;
/// SCAN gives up after this many pages per entry asked for, in a dict that is nearly empty.
pub(super) const PAGES_PER_ENTRY: usize = 10;
/// Draws before [`View::random`] accepts any page.
const RANDOM_TRIES: usize = 64;

/// The entries of a dict, shared and unchanging.
#[derive(Debug)]
pub struct View<O> {
    pub(super) directory: Directory<O>,
    pub(super) hasher: SipHasher13,
    pub(super) len: usize,
}

/// The spread of the entries, for those who want to see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableShape {
    /// Pages.
    pub pages: usize,
    /// Pages that hold something.
    pub pages_in_use: usize,
    /// Entries.
    pub entries: usize,
    /// Entries of the fullest page.
    pub largest_page: usize,
}

/// The place of an entry, good until the dict changes: found once, read and changed without another
/// search.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub(super) hash: u64,
    pub(super) slot: usize,
}

impl<O> Clone for View<O> {
    fn clone(&self) -> View<O> {
        View { directory: self.directory.clone(), ..*self }
    }
}

impl<O> View<O> {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash that the `…_hashed` functions expect beside `key`.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// The entry of `key`.
    pub fn get(&self, key: &[u8]) -> Option<EntryRef<'_, O>> {
        self.get_hashed(self.hash(key), key)
    }

    /// The entry of `key`, whose hash the caller knows.
    #[inline]
    pub fn get_hashed(&self, hash: u64, key: &[u8]) -> Option<EntryRef<'_, O>> {
        let page = self.directory.page(hash);
        page.find(hash, key).map(|slot| page.entry(slot))
    }

    /// Finds the entry of `key`; the caller knows its hash.
    #[inline]
    pub fn find_hashed(&self, hash: u64, key: &[u8]) -> Option<Found> {
        self.directory.page(hash).find(hash, key).map(|slot| Found { hash, slot })
    }

    /// The entry found before.
    #[inline]
    pub fn at(&self, found: Found) -> EntryRef<'_, O> {
        self.directory.page(found.hash).entry(found.slot)
    }

    /// True when `key` is there.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.contains_hashed(self.hash(key), key)
    }

    /// True when `key` is there; the caller knows its hash.
    pub fn contains_hashed(&self, hash: u64, key: &[u8]) -> bool {
        self.directory.page(hash).find(hash, key).is_some()
    }

    /// Brings the page of `hash` into the cache. Worth it for a batch of keys: the loads overlap.
    pub fn prefetch(&self, hash: u64) {
        self.directory.page(hash).touch();
    }

    /// The second step for a batch, after [`View::prefetch`] of all its hashes: fetches the likely
    /// entry.
    pub fn prefetch_entry(&self, hash: u64) {
        self.directory.page(hash).touch_entry(hash);
    }

    /// The second step for a batch of new keys: fetches where an entry of about `size` bytes will
    /// be written.
    pub fn prefetch_room(&self, hash: u64, size: usize) {
        self.directory.page(hash).touch_room(size);
    }

    /// Shows every entry at or behind position `cursor` until `count` were shown, in the order of
    /// positions. Returns the cursor to go on with, 0 at the end. Entries of one position are never
    /// parted.
    ///
    /// Entries that are in the dict from the first call to the last are shown, whatever happens in
    /// between, and nothing is shown twice. Source: SCAN.
    pub fn scan(&self, cursor: u64, count: usize, mut show: impl FnMut(EntryRef<'_, O>)) -> u64 {
        let mut left = count.max(1);
        let mut position = cursor % POSITIONS;
        for _ in 0..left.saturating_mul(PAGES_PER_ENTRY) {
            let page = self.page(position);
            if page.range().start == position && page.len() <= left {
                page.iter().for_each(&mut show);
                left -= page.len();
            } else {
                let entries = self.entries_from(page, position);
                let mut shown = left.min(entries.len());
                while shown > 0 && shown < entries.len() && entries[shown].0 == entries[shown - 1].0 {
                    shown += 1;
                }
                let next = entries.get(shown).map(|&(position, _)| position);
                entries.into_iter().take(shown).for_each(|(_, entry)| show(entry));
                if let Some(next) = next {
                    return next;
                }
                left = left.saturating_sub(shown);
            }
            position = page.range().end % POSITIONS;
            if position == 0 || left == 0 {
                break;
            }
        }
        position
    }

    /// All entries, page by page in the order of positions.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_, O>> {
        self.pages().flat_map(Page::iter)
    }

    /// All pages, in the order of positions.
    pub fn pages(&self) -> impl Iterator<Item = &Page<O>> {
        self.pages_from(0)
    }

    fn pages_from(&self, position: u64) -> impl Iterator<Item = &Page<O>> {
        let mut next = Some(position);
        std::iter::from_fn(move || {
            let page = self.page(next?);
            next = Some(page.range().end).filter(|&end| end < POSITIONS);
            Some(page)
        })
    }

    /// Describes the spread of the entries; looks at every page.
    pub fn shape(&self) -> TableShape {
        let pages = self.page_count();
        self.pages().fold(TableShape { pages, ..TableShape::default() }, |shape, page| TableShape {
            pages_in_use: shape.pages_in_use + usize::from(!page.is_empty()),
            entries: shape.entries + page.len(),
            largest_page: shape.largest_page.max(page.len()),
            ..shape
        })
    }

    /// The number of pages.
    pub fn page_count(&self) -> usize {
        self.directory.page_count()
    }

    /// A reference to the page responsible for `position`, and the position behind it, 0 at the
    /// end.
    pub fn page_at(&self, position: u64) -> (Page<O>, u64) {
        let page = self.page(position);
        (page.clone(), page.range().end % POSITIONS)
    }

    /// The page of a key with this hash: what a snapshot must keep before a write to it.
    pub fn page_of(&self, hash: u64) -> &Page<O> {
        self.directory.page(hash)
    }

    /// Any entry; all are equally likely while pages are about evenly filled. `below(n)` draws from
    /// 0..n.
    ///
    /// A random position finds a page with a likelihood that halves with its depth; accepting it in
    /// proportion to its entries and 2^depth makes up for that.
    pub fn random(&self, below: &mut impl FnMut(u64) -> u64) -> Option<EntryRef<'_, O>> {
        if self.is_empty() {
            return None;
        }
        for _ in 0..RANDOM_TRIES {
            let page = self.page(below(POSITIONS));
            let density = u128::from(POSITIONS) * page.len() as u128
                / u128::from(page.range().end - page.range().start);
            // The average density is the number of entries; twice that is seldom exceeded.
            if u128::from(below(self.len as u64 * 2)) < density {
                return page.entry_at(below(page.len() as u64) as usize);
            }
        }
        let from = below(POSITIONS);
        let (mut behind, mut before) = (self.pages_from(from), self.pages());
        let page = behind.find(|page| !page.is_empty()).or_else(|| before.find(|page| !page.is_empty()))?;
        page.entry_at(below(page.len() as u64) as usize)
    }

    pub(super) fn page(&self, position: u64) -> &Page<O> {
        self.directory.page(position << 16)
    }

    /// The entries of a page at or behind `position`, sorted by position.
    fn entries_from<'a>(&self, page: &'a Page<O>, position: u64) -> Vec<(u64, EntryRef<'a, O>)> {
        let positions = page.iter().map(|entry| (self.hash(entry.key) >> 16, entry));
        let mut entries: Vec<_> = positions.filter(|&(found, _)| found >= position).collect();
        entries.sort_unstable_by_key(|&(position, _)| position);
        entries
    }
}
