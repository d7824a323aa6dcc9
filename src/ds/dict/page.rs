//! A page: the entries of one range of hashes, at most a hundred, in a slot table and up to eight
//! blocks.
//!
//! ```text
//! slot table (448 bytes):  fingerprints | addresses | references to blocks | …
//! block (512 bytes): reference count | entries, packed | free
//! ```
//!
//! Why blocks, and not one allocation that grows: all pages of a dict fill up at about the same
//! pace, so growing allocations wander from size class to size class of the allocator together and
//! leave each behind in tatters. Measured with mimalloc, 47 bytes a key then occupied 66 to 100.
//! All slot tables are of one size and all blocks of another, so what one page frees fits the next.
//!
//! The slot table and the blocks are counted references. Whoever clones a page shares it; a writer
//! copies the slot table if it is shared, and of the blocks only those it changes.
//!
//! A page knows its range and nothing of other pages. Keys of equal hash can make a page
//! unsplittable; then a further slot table is linked to the first.

use std::ops::Range;

use memchr::memchr;
use triomphe::Arc;

use super::super::shared::{count_copy, make_mut};
use super::entry::{self, Draft};
use super::slot_table::{BLOCK_BYTES, OutOfLine, PAGE_BYTES, SLOTS, SlotTable};

/// One entry, borrowed.
#[derive(Debug)]
pub struct EntryRef<'a, O> {
    /// The key.
    pub key: &'a [u8],
    /// Unix milliseconds.
    pub deadline: Option<i64>,
    /// The inline value.
    pub payload: &'a [u8],
    /// The out-of-line value.
    pub object: Option<&'a O>,
}

impl<O> EntryRef<'_, O> {
    /// Bytes the entry takes in its page and outside it; not what its object points to.
    pub fn heap_bytes(&self) -> usize {
        /// The fingerprint and the address.
        const SLOT_BYTES: usize = size_of::<u8>() + size_of::<u16>();
        let (has_deadline, has_object) = (self.deadline.is_some(), self.object.is_some());
        let object = if has_object { size_of::<Option<O>>() } else { 0 };
        SLOT_BYTES + object + entry::bytes_of(self.key.len(), self.payload.len(), has_deadline, has_object)
    }
}

/// One entry, to change in place. A payload of another length is a matter of inserting again.
#[derive(Debug)]
pub struct EntryMut<'a, O> {
    /// Unix milliseconds.
    pub deadline: Option<i64>,
    /// The inline value.
    pub payload: &'a mut [u8],
    /// The out-of-line value.
    pub object: Option<&'a mut O>,
}

/// The things to store under a key.
#[derive(Debug)]
pub struct NewEntry<'a, O> {
    /// Unix milliseconds; `i64::MAX` is never due.
    pub deadline: Option<i64>,
    /// Parts of the inline value, stored one after the other.
    pub payload: &'a [&'a [u8]],
    /// The out-of-line value.
    pub object: Option<O>,
}

/// The things that were stored under a key before it was removed or overwritten.
#[derive(Debug, PartialEq, Eq)]
pub struct Removed<O> {
    /// Unix milliseconds.
    pub deadline: Option<i64>,
    /// The out-of-line value, for the caller to drop where it likes.
    pub object: Option<O>,
}

/// A shared chunk of a dict: all entries whose hash position lies in [`Page::range`].
#[derive(Debug)]
pub struct Page<O>(Arc<SlotTable<O>>);

impl<O> Clone for Page<O> {
    /// Shares the page.
    fn clone(&self) -> Page<O> {
        Page(self.0.clone())
    }
}

impl<O> Page<O> {
    /// Bytes of a slot table.
    pub(super) const SLOT_TABLE_BYTES: usize = size_of::<usize>() + size_of::<SlotTable<O>>();

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.tables().map(|table| usize::from(table.count)).sum()
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    /// The hash positions (below 2^48) this page is responsible for.
    pub fn range(&self) -> Range<u64> {
        let start = self.first_hash() >> 16;
        start..start + (1 << (48 - self.depth()))
    }

    /// The entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_, O>> {
        self.tables().flat_map(|table| table.slots().map(|slot| table.entry(slot)))
    }

    /// Bytes allocated for this page and its long keys; not what its objects point to.
    pub fn heap_bytes(&self) -> usize {
        self.tables().map(SlotTable::heap_bytes).sum()
    }

    /// True when both are references to one page, not copies of it.
    pub fn same(&self, other: &Page<O>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The number of leading bits the hashes of this page have in common.
    pub(super) fn depth(&self) -> u32 {
        (self.0.span & 0xff) as u32
    }

    /// The smallest hash of the range; it also is the page's name while the shape stays.
    pub(super) fn first_hash(&self) -> u64 {
        self.0.span & !0xffff
    }

    /// The entry in `slot`.
    #[inline]
    pub(super) fn entry(&self, slot: usize) -> EntryRef<'_, O> {
        let (table, slot) = self.table_of(slot);
        table.entry(slot)
    }

    /// The entry at `index`, below [`Page::len`], of [`Page::iter`].
    pub(super) fn entry_at(&self, mut index: usize) -> Option<EntryRef<'_, O>> {
        for table in self.tables() {
            if index < usize::from(table.count) {
                return Some(table.entry(index));
            }
            index -= usize::from(table.count);
        }
        None
    }

    /// The slot that holds `key`.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let (mut table, mut first) = (&*self.0, 0);
        loop {
            if let Some(slot) = table.find(hash, key) {
                return Some(first + slot);
            }
            table = &table.next.as_ref()?.0;
            first += SLOTS;
        }
    }

    /// The earliest deadline of an entry, `i64::MAX` for none.
    pub(super) fn earliest_deadline(&self) -> i64 {
        self.deadlines().min().unwrap_or(i64::MAX)
    }

    /// The deadlines of those entries that have one.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = i64> {
        self.tables().flat_map(|table| table.slots().filter_map(|slot| table.deadline(slot)))
    }

    /// The keys whose deadline is not after `now`.
    pub(super) fn due(&self, now: i64) -> impl Iterator<Item = &[u8]> {
        self.tables().flat_map(move |table| {
            let due = move |&slot: &usize| table.deadline(slot).is_some_and(|deadline| deadline <= now);
            table.slots().filter(due).map(|slot| table.entry(slot).key)
        })
    }

    /// Returns the load of the page: bytes of entries, or their number when that is nearer to its
    /// limit.
    pub(super) fn load(&self) -> usize {
        self.tables()
            .map(|table| (table.data_bytes as usize).max(usize::from(table.count) * PAGE_BYTES / SLOTS))
            .sum()
    }

    /// True when `slot` (or a new one) can take an entry of `size` bytes without linking a further
    /// slot table.
    pub(super) fn has_room(&self, slot: Option<usize>, size: usize) -> bool {
        match slot {
            None => self.tables().any(|table| table.room_for_new(size).is_some()),
            Some(slot) => {
                let (table, slot) = self.table_of(slot);
                table.room_instead(slot, size)
            }
        }
    }

    /// True when the entry in `slot` and the drafted one, of the same key, differ in the payload's
    /// bytes at most: it has neither deadline nor anything out of line.
    pub(super) fn is_alike(&self, slot: usize, draft: &Draft) -> bool {
        let (table, slot) = self.table_of(slot);
        draft.is_like(&table.shape(slot))
    }

    /// True when nobody else holds the page's first slot table.
    pub(super) fn is_unique(&self) -> bool {
        Arc::is_unique(&self.0)
    }

    /// Bytes of `slot`'s entry once it has or has not a deadline.
    pub(super) fn size_with_deadline(&self, slot: usize, has_deadline: bool) -> usize {
        let (table, slot) = self.table_of(slot);
        let shape = table.shape(slot);
        match (shape.has(entry::DEADLINE), has_deadline) {
            (false, true) => shape.size() + entry::DEADLINE_BYTES,
            (true, false) => shape.size() - entry::DEADLINE_BYTES,
            _ => shape.size(),
        }
    }

    /// Brings the slot table into the cache. Loads of several pages overlap, as none depends on
    /// another.
    pub(super) fn touch(&self) {
        self.0.touch();
    }

    /// Brings the first entry that may be the one with this hash into the cache.
    pub(super) fn touch_entry(&self, hash: u64) {
        let table = &self.0;
        if let Some(slot) = memchr(hash as u8, &table.fingerprints[..usize::from(table.count)]) {
            let (bytes, at) = table.located(slot);
            std::hint::black_box(bytes[at]);
        }
    }

    /// Brings the bytes that a new entry of about `size` bytes would take into the cache.
    pub(super) fn touch_room(&self, size: usize) {
        self.0.touch_room(size);
    }

    fn tables(&self) -> impl Iterator<Item = &SlotTable<O>> {
        std::iter::successors(Some(&*self.0), |table| table.next.as_ref().map(|next| &*next.0))
    }

    #[inline]
    fn table_of(&self, mut slot: usize) -> (&SlotTable<O>, usize) {
        let mut table = &*self.0;
        while slot >= SLOTS {
            slot -= SLOTS;
            table = &table.next.as_ref().expect("a slot of a linked table").0;
        }
        (table, slot)
    }
}

impl<O: Clone> Page<O> {
    /// An empty page for the hashes that share the first `depth` bits of `first_hash`.
    pub(super) fn new(first_hash: u64, depth: u32) -> Page<O> {
        Page(Arc::new(SlotTable::new(first_hash | u64::from(depth))))
    }

    /// Copies the slot table if somebody else holds it too: the one way to change a page. Blocks
    /// follow suit when they are written to.
    fn table_mut(&mut self) -> &mut SlotTable<O> {
        make_mut(&mut self.0, |_| size_of::<SlotTable<O>>())
    }

    /// The slot table that `slot` belongs to, and its number there.
    fn table_mut_of(&mut self, slot: usize) -> (&mut SlotTable<O>, usize) {
        let table = self.table_mut();
        if slot < SLOTS {
            return (table, slot);
        }
        table.next.as_mut().expect("a slot of a linked table").table_mut_of(slot - SLOTS)
    }

    /// The first slot table with room for a new entry of `size` bytes; links a new one if there is
    /// none.
    fn table_with_room(&mut self, size: usize) -> &mut SlotTable<O> {
        let (first_hash, depth) = (self.first_hash(), self.depth());
        let table = self.table_mut();
        if table.room_for_new(size).is_some() {
            return table;
        }
        table.next.get_or_insert_with(|| Page::new(first_hash, depth)).table_with_room(size)
    }

    /// Adds an entry whose key is not in the page.
    pub(super) fn insert(&mut self, hash: u64, draft: &Draft, key: &[u8], new: NewEntry<'_, O>) {
        let table = self.table_with_room(draft.size);
        let slot = table.add_slot(hash as u8, draft.size);
        table.write(slot, draft, key, new);
    }

    /// Overwrites the entry in `slot`, which has the same key and hash.
    pub(super) fn replace(
        &mut self,
        slot: usize,
        hash: u64,
        draft: &Draft,
        key: &[u8],
        new: NewEntry<'_, O>,
    ) -> Removed<O> {
        let (table, own_slot) = self.table_mut_of(slot);
        if !table.room_instead(own_slot, draft.size) {
            let removed = self.remove(slot);
            self.insert(hash, draft, key, new);
            return removed;
        }
        let shape = table.shape(own_slot);
        let deadline = table.deadline(own_slot);
        let removed = Removed { deadline, object: table.detach_entry(own_slot).object };
        if shape.size() != draft.size {
            table.cut(own_slot);
            table.place(own_slot, draft.size);
        }
        table.write(own_slot, draft, key, new);
        removed
    }

    /// Removes the entry in `slot`. Another entry may take its place.
    pub(super) fn remove(&mut self, slot: usize) -> Removed<O> {
        let deadline = self.entry(slot).deadline;
        Removed { deadline, object: self.take_entry(slot).object }
    }

    fn take_entry(&mut self, slot: usize) -> OutOfLine<O> {
        let table = self.table_mut();
        if let Some(slot) = slot.checked_sub(SLOTS) {
            let next = table.next.as_mut().expect("a slot of a linked table");
            let held = next.take_entry(slot);
            table.next.take_if(|next| next.is_empty());
            return held;
        }
        let held = table.detach_entry(slot);
        table.cut(slot);
        table.remove_slot(slot);
        table.repack_if_sparse();
        if table.count == 0
            && let Some(next) = table.next.take()
        {
            *self = next;
        }
        held
    }

    /// Gives memory back that removals have left free.
    pub(super) fn pack(&mut self) {
        self.table_mut().pack();
    }

    /// Gives `slot` another deadline, or takes it away. Returns the one before.
    pub(super) fn set_deadline(&mut self, slot: usize, hash: u64, deadline: Option<i64>) -> Option<i64> {
        let size = self.size_with_deadline(slot, deadline.is_some());
        let (table, own_slot) = self.table_mut_of(slot);
        let shape = table.shape(own_slot);
        let before = shape.deadline(table.located(own_slot).0);
        if size == shape.size() {
            if let Some(deadline) = deadline {
                let (bytes, at) = table.located_mut(own_slot);
                entry::set_deadline_at(bytes, at, deadline);
            }
            return before;
        }
        let mut copy = [0; BLOCK_BYTES];
        shape.copy_with_deadline(table.located(own_slot).0, deadline, &mut copy[..size]);
        if table.room_instead(own_slot, size) {
            table.cut(own_slot);
            table.place(own_slot, size);
            table.write_raw(own_slot, &copy[..size]);
        } else {
            let held = self.take_entry(slot);
            self.push(hash as u8, &copy[..size], held);
        }
        before
    }

    /// Adds an entry given by its bytes and what it holds out of line.
    fn push(&mut self, fingerprint: u8, raw: &[u8], held: OutOfLine<O>) {
        let table = self.table_with_room(raw.len());
        let slot = table.add_slot(fingerprint, raw.len());
        table.write_raw(slot, raw);
        table.adopt(slot, held);
    }

    /// The entry in `slot`, to change in place.
    pub(super) fn entry_mut(&mut self, slot: usize) -> EntryMut<'_, O> {
        let (table, slot) = self.table_mut_of(slot);
        table.entry_mut(slot)
    }

    /// Copies the slot table if somebody else holds it too.
    pub(super) fn make_unique(&mut self) {
        self.table_mut();
    }

    /// The two halves of this page, by the next bit of the hash. Leaves it without objects, to be
    /// dropped.
    pub(super) fn split(&mut self, hash_of: impl Fn(&[u8]) -> u64) -> (Page<O>, Page<O>) {
        self.count_if_shared();
        let bit = 1 << (63 - self.depth());
        let mut halves =
            [self.first_hash(), self.first_hash() | bit].map(|hash| Page::new(hash, self.depth() + 1));
        self.move_entries(&mut halves, |key| usize::from(hash_of(key) & bit != 0));
        halves.into()
    }

    /// One page with the entries of two neighbours of the same depth. Leaves both without objects.
    pub(super) fn merge(left: &mut Page<O>, right: &mut Page<O>) -> Page<O> {
        [&*left, &*right].into_iter().for_each(Page::count_if_shared);
        let mut merged = [Page::new(left.first_hash(), left.depth() - 1)];
        left.move_entries(&mut merged, |_| 0);
        right.move_entries(&mut merged, |_| 0);
        let [merged] = merged;
        merged
    }

    /// Counts what moving the entries elsewhere copies.
    fn count_if_shared(&self) {
        if !self.0.is_unique() {
            count_copy(self.heap_bytes());
        }
    }

    /// Moves every entry to the one of `targets` that is picked for its key.
    fn move_entries(&mut self, targets: &mut [Page<O>], pick: impl Fn(&[u8]) -> usize) {
        let table = self.table_mut();
        for slot in table.slots() {
            let shape = table.shape(slot);
            let target = &mut targets[pick(table.key(&shape, table.located(slot).0))];
            let held = table.detach_entry(slot);
            let raw = &table.located(slot).0[shape.range()];
            target.push(table.fingerprints[slot], raw, held);
        }
        if let Some(next) = &mut table.next {
            next.move_entries(targets, pick);
        }
    }
}
