//! A page: the entries of one range of hashes, at most a hundred, in a head and up to eight blocks.
//!
//! ```text
//! head (448 bytes):  fingerprints | addresses | references to blocks | …
//! block (512 bytes): reference count | entries, packed | free
//! ```
//!
//! Slot `i` is fingerprint `i` (the hash's low byte, which no directory uses) and address `i` (block and
//! offset). A lookup runs `memchr` over the fingerprints and compares the key only where one fits. Entries
//! leave no holes: what follows a removed entry in its block moves up, a `memmove` of at most 512 bytes.
//!
//! Why blocks, and not one allocation that grows: all pages of a dict fill up at about the same pace, so
//! growing allocations wander from size class to size class of the allocator together and leave each
//! behind in tatters. Measured with mimalloc, 47 bytes a key then occupied 66 to 100. All heads are of one
//! size and all blocks of another, so what one page frees fits the next.
//!
//! Head and blocks are counted references. Whoever clones a page shares it; a writer copies the head if it
//! is shared, and of the blocks only those it changes.
//!
//! A page knows its range and nothing of other pages. Keys of equal hash can make a page unsplittable;
//! then a further head is linked to the first.

use std::ops::Range;

use memchr::memchr;
use triomphe::Arc;

use super::entry::{self, Draft, LONG_KEY, LONG_PAYLOAD, MAX_ENTRY, OBJECT, Shape};

/// Entries of one head.
pub(super) const SLOTS: usize = 100;
/// Blocks of one head.
const BLOCKS: usize = 8;
/// Bytes of a block, less its reference count.
const BLOCK_BYTES: usize = 512 - size_of::<usize>();
/// Addresses are block × this + offset.
const BLOCK_STRIDE: usize = 512;
/// What a full page holds, in bytes of entries.
pub(super) const PAGE_BYTES: usize = BLOCKS * BLOCK_BYTES;
/// A page whose blocks have more free bytes than this is packed anew. Entries of one size, which leave at
/// most a third of a block free, never come near it by themselves.
const MAX_FREE: usize = 3 * BLOCK_BYTES;

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

/// What to store under a key.
#[derive(Debug)]
pub struct NewEntry<'a, O> {
    /// Unix milliseconds; `i64::MAX` is never due.
    pub deadline: Option<i64>,
    /// Parts of the inline value, stored one after the other.
    pub payload: &'a [&'a [u8]],
    /// The out-of-line value.
    pub object: Option<O>,
}

/// What was stored under a key before it was removed or overwritten.
#[derive(Debug, PartialEq, Eq)]
pub struct Removed<O> {
    /// Unix milliseconds.
    pub deadline: Option<i64>,
    /// The out-of-line value, for the caller to drop where it likes.
    pub object: Option<O>,
}

/// A shared chunk of a dict: all entries whose hash position lies in [`Page::range`].
#[derive(Debug)]
pub struct Page<O>(Arc<Head<O>>);

type Block = Arc<[u8; BLOCK_BYTES]>;

/// The fields stand in the order in which a lookup needs them.
#[derive(Debug, Clone)]
#[repr(C)]
struct Head<O> {
    /// The first hash of the page's range; the low byte, which no range reaches, holds the depth.
    span: u64,
    count: u16,
    block_count: u16,
    data_bytes: u32,
    fingerprints: [u8; SLOTS],
    addresses: [u16; SLOTS],
    blocks: [Option<Block>; BLOCKS],
    /// How many bytes of each block are in use.
    fills: [u16; BLOCKS],
    /// Out-of-line values; entries name them by position, so removing one leaves a hole to be filled.
    objects: Vec<Option<O>>,
    long: Option<Box<Long>>,
    next: Option<Page<O>>,
}

/// Keys and payloads too long to live among the entries.
#[derive(Debug, Clone, Default)]
struct Long {
    values: Vec<Option<Arc<[u8]>>>,
    bytes: usize,
}

impl<O> Clone for Page<O> {
    /// Shares the page.
    fn clone(&self) -> Page<O> {
        Page(self.0.clone())
    }
}

impl<O> Page<O> {
    /// The number of entries.
    pub fn len(&self) -> usize {
        self.heads().map(|head| usize::from(head.count)).sum()
    }

    /// Whether there is no entry.
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
        self.heads().flat_map(|head| head.slots().map(|slot| head.entry(slot)))
    }

    /// Bytes allocated for this page and its long keys; not what its objects point to.
    pub fn heap_bytes(&self) -> usize {
        self.heads().map(Head::heap_bytes).sum()
    }

    /// Whether both are references to one page, not copies of it.
    pub fn same(&self, other: &Page<O>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many leading bits the hashes of this page have in common.
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
        let (head, slot) = self.head_of(slot);
        head.entry(slot)
    }

    /// The entry at `index`, below [`Page::len`], of [`Page::iter`].
    pub(super) fn entry_at(&self, mut index: usize) -> Option<EntryRef<'_, O>> {
        for head in self.heads() {
            if index < usize::from(head.count) {
                return Some(head.entry(index));
            }
            index -= usize::from(head.count);
        }
        None
    }

    /// The slot that holds `key`.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let mut heads = self.heads().enumerate();
        heads.find_map(|(link, head)| Some(link * SLOTS + head.find(hash, key)?))
    }

    /// The earliest deadline of an entry, `i64::MAX` for none.
    pub(super) fn earliest_deadline(&self) -> i64 {
        self.deadlines().min().unwrap_or(i64::MAX)
    }

    /// The deadlines of those entries that have one.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = i64> {
        self.heads().flat_map(|head| head.slots().filter_map(|slot| head.deadline(slot)))
    }

    /// The keys whose deadline is not after `now`.
    pub(super) fn due(&self, now: i64) -> impl Iterator<Item = &[u8]> {
        self.heads().flat_map(move |head| {
            let due = move |&slot: &usize| head.deadline(slot).is_some_and(|deadline| deadline <= now);
            head.slots().filter(due).map(|slot| head.entry(slot).key)
        })
    }

    /// How full the page is: bytes of entries, or their number when that is nearer to its limit.
    pub(super) fn load(&self) -> usize {
        self.heads()
            .map(|head| (head.data_bytes as usize).max(usize::from(head.count) * PAGE_BYTES / SLOTS))
            .sum()
    }

    /// Whether `slot` (or a new one) can take an entry of `size` bytes without linking a further head.
    pub(super) fn has_room(&self, slot: Option<usize>, size: usize) -> bool {
        match slot {
            None => self.heads().any(|head| head.room_for_new(size).is_some()),
            Some(slot) => {
                let (head, slot) = self.head_of(slot);
                head.room_instead(slot, size)
            }
        }
    }

    /// Bytes of `slot`'s entry once it has or has not a deadline.
    pub(super) fn size_with_deadline(&self, slot: usize, has_deadline: bool) -> usize {
        let (head, slot) = self.head_of(slot);
        let shape = head.shape(slot);
        match (shape.has(entry::DEADLINE), has_deadline) {
            (false, true) => shape.size() + entry::DEADLINE_BYTES,
            (true, false) => shape.size() - entry::DEADLINE_BYTES,
            _ => shape.size(),
        }
    }

    /// Brings the head into the cache. Loads of several pages overlap, as none depends on another.
    pub(super) fn touch(&self) {
        self.0.touch();
    }

    /// Brings the first entry that may be the one with this hash into the cache.
    pub(super) fn touch_entry(&self, hash: u64) {
        let head = &self.0;
        if let Some(slot) = memchr(hash as u8, &head.fingerprints[..usize::from(head.count)]) {
            let (bytes, at) = head.located(slot);
            std::hint::black_box(bytes[at]);
        }
    }

    fn heads(&self) -> impl Iterator<Item = &Head<O>> {
        std::iter::successors(Some(&*self.0), |head| head.next.as_ref().map(|next| &*next.0))
    }

    #[inline]
    fn head_of(&self, mut slot: usize) -> (&Head<O>, usize) {
        let mut head = &*self.0;
        while slot >= SLOTS {
            slot -= SLOTS;
            head = &head.next.as_ref().expect("a slot of a linked head").0;
        }
        (head, slot)
    }
}

impl<O: Clone> Page<O> {
    /// An empty page for the hashes that share the first `depth` bits of `first_hash`.
    pub(super) fn new(first_hash: u64, depth: u32) -> Page<O> {
        Page(Arc::new(Head {
            span: first_hash | u64::from(depth),
            count: 0,
            block_count: 0,
            data_bytes: 0,
            fingerprints: [0; SLOTS],
            addresses: [0; SLOTS],
            blocks: [const { None }; BLOCKS],
            fills: [0; BLOCKS],
            objects: Vec::new(),
            long: None,
            next: None,
        }))
    }

    /// Copies the head if somebody else holds it too: the one way to change a page. Blocks follow suit
    /// when they are written to.
    fn head_mut(&mut self) -> &mut Head<O> {
        Arc::make_mut(&mut self.0)
    }

    /// The head that `slot` belongs to, and its number there.
    fn head_mut_of(&mut self, slot: usize) -> (&mut Head<O>, usize) {
        let head = self.head_mut();
        if slot < SLOTS {
            return (head, slot);
        }
        head.next.as_mut().expect("a slot of a linked head").head_mut_of(slot - SLOTS)
    }

    /// The first head with room for a new entry of `size` bytes; links a new one if there is none.
    fn head_with_room(&mut self, size: usize) -> &mut Head<O> {
        let (first_hash, depth) = (self.first_hash(), self.depth());
        let head = self.head_mut();
        if head.room_for_new(size).is_some() {
            return head;
        }
        head.next.get_or_insert_with(|| Page::new(first_hash, depth)).head_with_room(size)
    }

    /// Adds an entry whose key is not in the page.
    pub(super) fn insert(&mut self, hash: u64, draft: &Draft, key: &[u8], new: NewEntry<'_, O>) {
        let head = self.head_with_room(draft.size);
        let slot = head.add_slot(hash as u8, draft.size);
        head.write(slot, draft, key, new);
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
        let (head, own_slot) = self.head_mut_of(slot);
        if !head.room_instead(own_slot, draft.size) {
            let removed = self.remove(slot);
            self.insert(hash, draft, key, new);
            return removed;
        }
        let shape = head.shape(own_slot);
        let deadline = head.deadline(own_slot);
        let removed = Removed { deadline, object: head.detach_entry(own_slot).object };
        if shape.size() != draft.size {
            head.cut(own_slot);
            head.place(own_slot, draft.size);
        }
        head.write(own_slot, draft, key, new);
        removed
    }

    /// Removes the entry in `slot`. Another entry may take its place.
    pub(super) fn remove(&mut self, slot: usize) -> Removed<O> {
        let deadline = self.entry(slot).deadline;
        Removed { deadline, object: self.take_entry(slot).object }
    }

    fn take_entry(&mut self, slot: usize) -> Held<O> {
        let head = self.head_mut();
        if let Some(slot) = slot.checked_sub(SLOTS) {
            let next = head.next.as_mut().expect("a slot of a linked head");
            let held = next.take_entry(slot);
            head.next.take_if(|next| next.is_empty());
            return held;
        }
        let held = head.detach_entry(slot);
        head.cut(slot);
        head.remove_slot(slot);
        head.repack_if_sparse();
        if head.count == 0
            && let Some(next) = head.next.take()
        {
            *self = next;
        }
        held
    }

    /// Gives `slot` another deadline, or takes it away. Returns the one before.
    pub(super) fn set_deadline(&mut self, slot: usize, hash: u64, deadline: Option<i64>) -> Option<i64> {
        let size = self.size_with_deadline(slot, deadline.is_some());
        let (head, own_slot) = self.head_mut_of(slot);
        let shape = head.shape(own_slot);
        let before = shape.deadline(head.located(own_slot).0);
        if size == shape.size() {
            if let Some(deadline) = deadline {
                let (bytes, at) = head.located_mut(own_slot);
                entry::set_deadline_at(bytes, at, deadline);
            }
            return before;
        }
        let mut copy = [0; BLOCK_BYTES];
        shape.copy_with_deadline(head.located(own_slot).0, deadline, &mut copy[..size]);
        if head.room_instead(own_slot, size) {
            head.cut(own_slot);
            head.place(own_slot, size);
            head.write_raw(own_slot, &copy[..size]);
        } else {
            let held = self.take_entry(slot);
            self.push(hash as u8, &copy[..size], held);
        }
        before
    }

    /// Adds an entry given by its bytes and what it holds out of line.
    fn push(&mut self, fingerprint: u8, raw: &[u8], held: Held<O>) {
        let head = self.head_with_room(raw.len());
        let slot = head.add_slot(fingerprint, raw.len());
        head.write_raw(slot, raw);
        head.adopt(slot, held);
    }

    /// The entry in `slot`, to change in place.
    pub(super) fn entry_mut(&mut self, slot: usize) -> EntryMut<'_, O> {
        let (head, slot) = self.head_mut_of(slot);
        let address = usize::from(head.addresses[slot]);
        let Head { blocks, objects, long, .. } = head;
        let bytes = block_mut(&mut blocks[address / BLOCK_STRIDE]);
        let shape = Shape::read(bytes, address % BLOCK_STRIDE);
        let object = shape.object(bytes);
        EntryMut {
            deadline: shape.deadline(bytes),
            payload: match (shape.long_payload(bytes), long) {
                (Some(index), Some(long)) => long.value_mut(index),
                _ => &mut bytes[shape.payload()],
            },
            object: object.and_then(|index| objects[index].as_mut()),
        }
    }

    /// Copies the head if somebody else holds it too.
    pub(super) fn make_unique(&mut self) {
        self.head_mut();
    }

    /// The two halves of this page, by the next bit of the hash. Leaves it without objects, to be dropped.
    pub(super) fn split(&mut self, hash_of: impl Fn(&[u8]) -> u64) -> (Page<O>, Page<O>) {
        let bit = 1 << (63 - self.depth());
        let mut halves =
            [self.first_hash(), self.first_hash() | bit].map(|hash| Page::new(hash, self.depth() + 1));
        self.move_entries(&mut halves, |key| usize::from(hash_of(key) & bit != 0));
        halves.into()
    }

    /// One page with the entries of two neighbours of the same depth. Leaves both without objects.
    pub(super) fn merge(left: &mut Page<O>, right: &mut Page<O>) -> Page<O> {
        let mut merged = [Page::new(left.first_hash(), left.depth() - 1)];
        left.move_entries(&mut merged, |_| 0);
        right.move_entries(&mut merged, |_| 0);
        let [merged] = merged;
        merged
    }

    /// Moves every entry to the one of `targets` that is picked for its key.
    fn move_entries(&mut self, targets: &mut [Page<O>], pick: impl Fn(&[u8]) -> usize) {
        let head = self.head_mut();
        for slot in head.slots() {
            let shape = head.shape(slot);
            let target = &mut targets[pick(head.key(&shape, head.located(slot).0))];
            let held = head.detach_entry(slot);
            let raw = &head.located(slot).0[shape.range()];
            target.push(head.fingerprints[slot], raw, held);
        }
        if let Some(next) = &mut head.next {
            next.move_entries(targets, pick);
        }
    }
}

/// What an entry holds out of line.
struct Held<O> {
    object: Option<O>,
    long_key: Option<Arc<[u8]>>,
    long_payload: Option<Arc<[u8]>>,
}

/// A block's bytes, to change. Copies the block if somebody else holds it too.
fn block_mut(block: &mut Option<Block>) -> &mut [u8; BLOCK_BYTES] {
    Arc::make_mut(block.as_mut().expect("addresses name blocks that exist"))
}

impl<O> Head<O> {
    fn slots(&self) -> Range<usize> {
        0..usize::from(self.count)
    }

    #[inline]
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.touch();
        let fingerprints = &self.fingerprints[..usize::from(self.count)];
        let mut from = 0;
        while let Some(found) = memchr(hash as u8, &fingerprints[from..]) {
            let slot = from + found;
            let (bytes, at) = self.located(slot);
            if self.key(&Shape::read(bytes, at), bytes) == key {
                return Some(slot);
            }
            from = slot + 1;
        }
        None
    }

    /// Asks for the cache lines that a lookup will need one after the other, all at once.
    #[inline]
    fn touch(&self) {
        std::hint::black_box(self.fingerprints[0]);
        std::hint::black_box(self.fingerprints[SLOTS - 1]);
        std::hint::black_box(self.addresses[SLOTS / 2]);
        std::hint::black_box(self.addresses[SLOTS - 1]);
        std::hint::black_box(self.blocks[BLOCKS - 1].is_some());
    }

    fn entry(&self, slot: usize) -> EntryRef<'_, O> {
        let (bytes, at) = self.located(slot);
        let shape = Shape::read(bytes, at);
        EntryRef {
            key: self.key(&shape, bytes),
            deadline: shape.deadline(bytes),
            payload: match shape.long_payload(bytes) {
                Some(index) => self.long_value(index),
                None => &bytes[shape.payload()],
            },
            object: shape.object(bytes).and_then(|index| self.objects[index].as_ref()),
        }
    }

    fn key<'a>(&'a self, shape: &Shape, bytes: &'a [u8]) -> &'a [u8] {
        match shape.long_key(bytes) {
            Some(index) => self.long_value(index),
            None => &bytes[shape.key()],
        }
    }

    fn deadline(&self, slot: usize) -> Option<i64> {
        let (bytes, at) = self.located(slot);
        entry::deadline_at(bytes, at)
    }

    /// The block of an entry and its place there.
    #[inline]
    fn located(&self, slot: usize) -> (&[u8; BLOCK_BYTES], usize) {
        let address = usize::from(self.addresses[slot]);
        let block = self.blocks[address / BLOCK_STRIDE].as_ref().expect("addresses name blocks that exist");
        (block, address % BLOCK_STRIDE)
    }

    fn located_mut(&mut self, slot: usize) -> (&mut [u8; BLOCK_BYTES], usize) {
        let address = usize::from(self.addresses[slot]);
        (block_mut(&mut self.blocks[address / BLOCK_STRIDE]), address % BLOCK_STRIDE)
    }

    fn shape(&self, slot: usize) -> Shape {
        let (bytes, at) = self.located(slot);
        Shape::read(bytes, at)
    }

    fn heap_bytes(&self) -> usize {
        let long = self.long.as_ref().map_or(0, |long| {
            size_of::<Long>() + long.values.capacity() * size_of::<Option<Arc<[u8]>>>() + long.bytes
        });
        size_of::<usize>()
            + size_of::<Head<O>>()
            + usize::from(self.block_count) * BLOCK_STRIDE
            + self.objects.capacity() * size_of::<Option<O>>()
            + long
    }

    /// The block that can take a new entry; the next one if all others are too full.
    fn room_for_new(&self, size: usize) -> Option<usize> {
        if usize::from(self.count) == SLOTS { None } else { self.room_for(size) }
    }

    fn room_for(&self, size: usize) -> Option<usize> {
        let fits = |fill: &u16| usize::from(*fill) + size <= BLOCK_BYTES;
        // Blocks that do not exist yet have a fill of 0, so this is the first of them if no other fits.
        self.fills.iter().position(fits)
    }

    fn room_instead(&self, slot: usize, size: usize) -> bool {
        let fill = usize::from(self.fills[usize::from(self.addresses[slot]) / BLOCK_STRIDE]);
        fill + size - self.shape(slot).size() <= BLOCK_BYTES || self.room_for(size).is_some()
    }

    fn long_value(&self, index: usize) -> &[u8] {
        let value = self.long.as_ref().and_then(|long| long.values[index].as_ref());
        value.expect("an entry marked long has a long value")
    }

    /// Adds a slot and room for its entry, which there is.
    fn add_slot(&mut self, fingerprint: u8, size: usize) -> usize {
        let slot = usize::from(self.count);
        self.count += 1;
        self.fingerprints[slot] = fingerprint;
        self.place(slot, size);
        slot
    }

    /// Removes a slot whose entry is cut out; the last slot takes its number.
    fn remove_slot(&mut self, slot: usize) {
        self.count -= 1;
        let last = usize::from(self.count);
        self.fingerprints[slot] = self.fingerprints[last];
        self.addresses[slot] = self.addresses[last];
    }

    /// Finds room for the entry of `slot` at the end of a block.
    fn place(&mut self, slot: usize, size: usize) {
        let block = self.room_for(size).expect("the caller made sure of it");
        if block == usize::from(self.block_count) {
            self.blocks[block] = Some(Arc::new([0; BLOCK_BYTES]));
            self.block_count += 1;
        }
        self.addresses[slot] = (block * BLOCK_STRIDE) as u16 + self.fills[block];
        self.fills[block] += size as u16;
        self.data_bytes += size as u32;
    }

    /// Cuts the entry of `slot` out of its block. The slot then waits for another place or its removal.
    fn cut(&mut self, slot: usize) {
        let size = self.shape(slot).size();
        let address = self.addresses[slot];
        let block = usize::from(address) / BLOCK_STRIDE;
        let (bytes, at) = self.located_mut(slot);
        bytes.copy_within(at + size.., at);
        self.fills[block] -= size as u16;
        self.data_bytes -= size as u32;
        let end = ((block + 1) * BLOCK_STRIDE) as u16;
        for other in &mut self.addresses[..usize::from(self.count)] {
            if *other > address && *other < end {
                *other -= size as u16;
            }
        }
        if self.fills[block] == 0 {
            self.remove_block(block);
        }
    }

    /// Frees an empty block; the last one takes its number.
    fn remove_block(&mut self, block: usize) {
        self.block_count -= 1;
        let last = usize::from(self.block_count);
        self.blocks[block] = self.blocks[last].take();
        self.fills[block] = self.fills[last];
        self.fills[last] = 0;
        if block != last {
            let (from, to) = ((last * BLOCK_STRIDE) as u16, (block * BLOCK_STRIDE) as u16);
            for address in &mut self.addresses[..usize::from(self.count)] {
                if *address >= from {
                    *address = *address - from + to;
                }
            }
        }
    }

    /// Packs the entries anew when many were removed and the blocks are mostly free.
    fn repack_if_sparse(&mut self) {
        if usize::from(self.block_count) * BLOCK_BYTES - self.data_bytes as usize <= MAX_FREE {
            return;
        }
        let old_blocks = std::mem::replace(&mut self.blocks, [const { None }; BLOCKS]);
        (self.fills, self.block_count, self.data_bytes) = ([0; BLOCKS], 0, 0);
        for slot in self.slots() {
            let address = usize::from(self.addresses[slot]);
            let Some(old) = &old_blocks[address / BLOCK_STRIDE] else {
                unreachable!("addresses name blocks that exist");
            };
            let raw = &old[Shape::read(&**old, address % BLOCK_STRIDE).range()];
            self.place(slot, raw.len());
            self.write_raw(slot, raw);
        }
    }

    fn write_raw(&mut self, slot: usize, raw: &[u8]) {
        let (bytes, at) = self.located_mut(slot);
        bytes[at..at + raw.len()].copy_from_slice(raw);
    }

    /// Writes an entry to the place made for it.
    fn write(&mut self, slot: usize, draft: &Draft, key: &[u8], new: NewEntry<'_, O>) {
        let address = usize::from(self.addresses[slot]);
        let Head { blocks, objects, long, .. } = self;
        let bytes = block_mut(&mut blocks[address / BLOCK_STRIDE]);
        let shape = draft.write(bytes, address % BLOCK_STRIDE, new.deadline);
        if shape.has(LONG_KEY) {
            shape.set_long_key(bytes, put_long(long, Arc::from(key)));
        } else {
            bytes[shape.key()].copy_from_slice(key);
        }
        if shape.has(LONG_PAYLOAD) {
            shape.set_long_payload(bytes, put_long(long, Arc::from(&new.payload.concat()[..])));
        } else {
            let mut next = shape.payload().start;
            for part in new.payload {
                bytes[next..next + part.len()].copy_from_slice(part);
                next += part.len();
            }
        }
        if let Some(object) = new.object {
            shape.set_object(bytes, put(objects, object));
        }
    }

    /// Takes what an entry holds out of line. The entry must not be read as it stands any more.
    fn detach_entry(&mut self, slot: usize) -> Held<O> {
        let (bytes, at) = self.located(slot);
        if bytes[at] & (OBJECT | LONG_KEY | LONG_PAYLOAD) == 0 {
            return Held { object: None, long_key: None, long_payload: None };
        }
        let shape = Shape::read(bytes, at);
        let (object, key, payload) = (shape.object(bytes), shape.long_key(bytes), shape.long_payload(bytes));
        Held {
            object: object.and_then(|index| take(&mut self.objects, index)),
            long_key: key.and_then(|index| take_long(&mut self.long, index)),
            long_payload: payload.and_then(|index| take_long(&mut self.long, index)),
        }
    }

    /// Gives the entry in `slot` what it holds out of line.
    fn adopt(&mut self, slot: usize, held: Held<O>) {
        let shape = self.shape(slot);
        let address = usize::from(self.addresses[slot]);
        let Head { blocks, objects, long, .. } = self;
        let bytes = block_mut(&mut blocks[address / BLOCK_STRIDE]);
        if let Some(object) = held.object {
            shape.set_object(bytes, put(objects, object));
        }
        if let Some(key) = held.long_key {
            shape.set_long_key(bytes, put_long(long, key));
        }
        if let Some(payload) = held.long_payload {
            shape.set_long_payload(bytes, put_long(long, payload));
        }
    }
}

impl Long {
    fn value_mut(&mut self, index: usize) -> &mut [u8] {
        let value = self.values[index].as_mut().expect("an entry marked long has a long value");
        if !value.is_unique() {
            *value = Arc::from(&**value);
        }
        Arc::get_mut(value).expect("the only holder, or a copy just made")
    }
}

fn put_long(long: &mut Option<Box<Long>>, value: Arc<[u8]>) -> usize {
    let long = long.get_or_insert_default();
    long.bytes += value.len();
    put(&mut long.values, value)
}

fn take_long(long: &mut Option<Box<Long>>, index: usize) -> Option<Arc<[u8]>> {
    let list = long.as_mut()?;
    let value = take(&mut list.values, index)?;
    list.bytes -= value.len();
    if list.values.is_empty() {
        *long = None;
    }
    Some(value)
}

/// Fills the first hole, or grows the list by a quarter.
fn put<T>(list: &mut Vec<Option<T>>, value: T) -> usize {
    let hole = list.iter().position(Option::is_none).unwrap_or(list.len());
    if hole == list.len() {
        if list.len() == list.capacity() {
            list.reserve_exact((list.len() / 4).max(1));
        }
        list.push(None);
    }
    list[hole] = Some(value);
    hole
}

/// Takes a value out and cuts off the holes at the end.
fn take<T>(list: &mut Vec<Option<T>>, index: usize) -> Option<T> {
    let value = list[index].take();
    let len = list.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    list.truncate(len);
    if list.capacity() > 2 * len {
        list.shrink_to(len + len / 4);
    }
    value
}

// Two entries fit a block, and still do when they are given a deadline.
const _: () = assert!(2 * MAX_ENTRY + entry::DEADLINE_BYTES <= BLOCK_BYTES);
// Heads are of one size class, whatever they hold.
const _: () = assert!(size_of::<usize>() + size_of::<Head<u64>>() == 448);
