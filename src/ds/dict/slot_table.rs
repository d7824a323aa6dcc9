//! The slot table of a page: its slots, and the blocks with the bytes of the entries.
//!
//! Slot `i` is fingerprint `i` (the hash's low byte, which no directory uses) and address `i`
//! (block and offset). A lookup runs `memchr` over the fingerprints and compares the key only where
//! one fits. Entries leave no holes: what follows a removed entry in its block moves up, a
//! `memmove` of at most 512 bytes.
//!
//! Parts of an entry that are held out of line (object, long key, long payload) stand in lists of
//! the slot table, and the entry names them by position.
//!
//! Knows nothing of hashes beyond the fingerprint, nor of the slot tables linked to it.

use std::ops::Range;

use memchr::memchr;
use triomphe::Arc;

use super::super::shared::make_mut;
use super::entry::{self, Draft, EntryShape, LONG_KEY, LONG_PAYLOAD, MAX_ENTRY, OBJECT};
use super::page::{EntryMut, EntryRef, NewEntry, Page};
use crate::ds::size_class::size_class;

/// Entries of one slot table.
pub(super) const SLOTS: usize = 100;
/// Blocks of one slot table.
const BLOCKS: usize = 8;
/// Bytes of a block, less its reference count.
pub(super) const BLOCK_BYTES: usize = 512 - size_of::<usize>();
/// Addresses are block × this + offset.
const BLOCK_STRIDE: usize = 512;
/// The most that a page holds, in bytes of entries.
pub(super) const PAGE_BYTES: usize = BLOCKS * BLOCK_BYTES;
/// A page whose blocks have more free bytes than this is packed anew if that frees a block. Entries
/// of one size, which leave at most a third of each block free, never come near it by themselves.
const MAX_FREE: usize = 3 * BLOCK_BYTES;

type Block = Arc<[u8; BLOCK_BYTES]>;

/// The fields stand in the order in which a lookup needs them.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct SlotTable<O> {
    /// The first hash of the page's range; the low byte, which no range reaches, holds the depth.
    pub(super) span: u64,
    pub(super) count: u16,
    block_count: u16,
    pub(super) data_bytes: u32,
    pub(super) fingerprints: [u8; SLOTS],
    addresses: [u16; SLOTS],
    blocks: [Option<Block>; BLOCKS],
    /// The number of bytes of each block that are in use.
    fills: [u16; BLOCKS],
    /// Out-of-line values; entries name them by position, so removing one leaves a hole to be
    /// filled.
    objects: Vec<Option<O>>,
    long: Option<Box<Long>>,
    pub(super) next: Option<Page<O>>,
}

/// Keys and payloads too long to live among the entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Long {
    values: Vec<Option<Arc<[u8]>>>,
    bytes: usize,
}

/// The parts of an entry that are held out of line.
pub(super) struct OutOfLine<O> {
    pub(super) object: Option<O>,
    long_key: Option<Arc<[u8]>>,
    long_payload: Option<Arc<[u8]>>,
}

/// A block's bytes, to change. Copies the block if somebody else holds it too.
fn block_mut(block: &mut Option<Block>) -> &mut [u8; BLOCK_BYTES] {
    make_mut(block.as_mut().expect("addresses name blocks that exist"), |_| BLOCK_STRIDE)
}

impl<O> SlotTable<O> {
    pub(super) fn new(span: u64) -> SlotTable<O> {
        SlotTable {
            span,
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
        }
    }

    pub(super) fn slots(&self) -> Range<usize> {
        0..usize::from(self.count)
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let fingerprints = &self.fingerprints[..usize::from(self.count)];
        let mut from = 0;
        while let Some(found) = memchr(hash as u8, &fingerprints[from..]) {
            let slot = from + found;
            let (bytes, at) = self.located(slot);
            if self.key(&EntryShape::read(bytes, at), bytes) == key {
                return Some(slot);
            }
            from = slot + 1;
        }
        None
    }

    /// Asks for the cache lines that a lookup will need one after the other, all at once. Within a
    /// single lookup this gains nothing (measured); between the lookups of a batch it does.
    #[inline]
    pub(super) fn touch(&self) {
        std::hint::black_box(self.fingerprints[0]);
        std::hint::black_box(self.fingerprints[SLOTS - 1]);
        std::hint::black_box(self.addresses[SLOTS / 2]);
        std::hint::black_box(self.addresses[SLOTS - 1]);
        std::hint::black_box(self.blocks[BLOCKS - 1].is_some());
    }

    /// Asks for where a new entry of about `size` bytes would be written.
    pub(super) fn touch_room(&self, size: usize) {
        if let Some(block) = self.room_for(size)
            && let Some(bytes) = &self.blocks[block]
        {
            std::hint::black_box(Arc::is_unique(bytes));
            std::hint::black_box(bytes[usize::from(self.fills[block])]);
        }
    }

    pub(super) fn entry(&self, slot: usize) -> EntryRef<'_, O> {
        let (bytes, at) = self.located(slot);
        let shape = EntryShape::read(bytes, at);
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

    pub(super) fn entry_mut(&mut self, slot: usize) -> EntryMut<'_, O> {
        let address = usize::from(self.addresses[slot]);
        let SlotTable { blocks, objects, long, .. } = self;
        let bytes = block_mut(&mut blocks[address / BLOCK_STRIDE]);
        let shape = EntryShape::read(bytes, address % BLOCK_STRIDE);
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

    pub(super) fn key<'a>(&'a self, shape: &EntryShape, bytes: &'a [u8]) -> &'a [u8] {
        match shape.long_key(bytes) {
            Some(index) => self.long_value(index),
            None => &bytes[shape.key()],
        }
    }

    pub(super) fn deadline(&self, slot: usize) -> Option<i64> {
        let (bytes, at) = self.located(slot);
        entry::deadline_at(bytes, at)
    }

    /// The block of an entry and its place there.
    #[inline]
    pub(super) fn located(&self, slot: usize) -> (&[u8; BLOCK_BYTES], usize) {
        let address = usize::from(self.addresses[slot]);
        let block = self.blocks[address / BLOCK_STRIDE].as_ref().expect("addresses name blocks that exist");
        (block, address % BLOCK_STRIDE)
    }

    pub(super) fn located_mut(&mut self, slot: usize) -> (&mut [u8; BLOCK_BYTES], usize) {
        let address = usize::from(self.addresses[slot]);
        (block_mut(&mut self.blocks[address / BLOCK_STRIDE]), address % BLOCK_STRIDE)
    }

    pub(super) fn shape(&self, slot: usize) -> EntryShape {
        let (bytes, at) = self.located(slot);
        EntryShape::read(bytes, at)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let long = self.long.as_ref().map_or(0, |long| {
            size_of::<Long>() + long.values.capacity() * size_of::<Option<Arc<[u8]>>>() + long.bytes
        });
        size_of::<usize>()
            + size_of::<SlotTable<O>>()
            + usize::from(self.block_count) * BLOCK_STRIDE
            + self.objects.capacity() * size_of::<Option<O>>()
            + long
    }

    /// The block that can take a new entry; the next one if all others are too full.
    pub(super) fn room_for_new(&self, size: usize) -> Option<usize> {
        if usize::from(self.count) == SLOTS { None } else { self.room_for(size) }
    }

    fn room_for(&self, size: usize) -> Option<usize> {
        let fits = |fill: &u16| usize::from(*fill) + size <= BLOCK_BYTES;
        // Blocks that do not exist yet have a fill of 0, so this is the first of them if no other
        // fits.
        self.fills.iter().position(fits)
    }

    pub(super) fn room_instead(&self, slot: usize, size: usize) -> bool {
        let fill = usize::from(self.fills[usize::from(self.addresses[slot]) / BLOCK_STRIDE]);
        fill + size - self.shape(slot).size() <= BLOCK_BYTES || self.room_for(size).is_some()
    }

    fn long_value(&self, index: usize) -> &[u8] {
        let value = self.long.as_ref().and_then(|long| long.values[index].as_ref());
        value.expect("an entry marked long has a long value")
    }

    /// Adds a slot and room for its entry, which there is.
    pub(super) fn add_slot(&mut self, fingerprint: u8, size: usize) -> usize {
        let slot = usize::from(self.count);
        self.count += 1;
        self.fingerprints[slot] = fingerprint;
        self.place(slot, size);
        slot
    }

    /// Removes a slot whose entry is cut out; the last slot takes its number.
    pub(super) fn remove_slot(&mut self, slot: usize) {
        self.count -= 1;
        let last = usize::from(self.count);
        self.fingerprints[slot] = self.fingerprints[last];
        self.addresses[slot] = self.addresses[last];
    }

    /// Finds room for the entry of `slot` at the end of a block.
    pub(super) fn place(&mut self, slot: usize, size: usize) {
        let block = self.room_for(size).expect("the caller made sure of it");
        if block == usize::from(self.block_count) {
            self.blocks[block] = Some(Arc::new([0; BLOCK_BYTES]));
            self.block_count += 1;
        }
        self.addresses[slot] = (block * BLOCK_STRIDE) as u16 + self.fills[block];
        self.fills[block] += size as u16;
        self.data_bytes += size as u32;
    }

    /// Cuts the entry of `slot` out of its block. The slot then waits for another place or its
    /// removal.
    pub(super) fn cut(&mut self, slot: usize) {
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

    /// Packs the entries anew when many were removed, the blocks are mostly free and some can be
    /// given back.
    pub(super) fn repack_if_sparse(&mut self) {
        self.repack(MAX_FREE);
    }

    /// Packs the entries anew if a block can be given back.
    pub(super) fn pack(&mut self) {
        self.repack(BLOCK_BYTES - 1);
    }

    /// Packs the entries anew if more than `max_free` bytes are free and a block can be given back.
    fn repack(&mut self, max_free: usize) {
        let free = usize::from(self.block_count) * BLOCK_BYTES - self.data_bytes as usize;
        if free <= max_free || self.blocks_when_packed() >= usize::from(self.block_count) {
            return;
        }
        let old_blocks = std::mem::replace(&mut self.blocks, [const { None }; BLOCKS]);
        (self.fills, self.block_count, self.data_bytes) = ([0; BLOCKS], 0, 0);
        for slot in self.slots() {
            let address = usize::from(self.addresses[slot]);
            let Some(old) = &old_blocks[address / BLOCK_STRIDE] else {
                unreachable!("addresses name blocks that exist");
            };
            let raw = &old[EntryShape::read(&**old, address % BLOCK_STRIDE).range()];
            self.place(slot, raw.len());
            self.write_raw(slot, raw);
        }
    }

    /// The number of blocks that the entries take if each goes to the first that has room, as
    /// [`SlotTable::place`] does it.
    fn blocks_when_packed(&self) -> usize {
        // In another order they may need more blocks than now, even more than a slot table has.
        let mut fills = [0; 2 * BLOCKS];
        for slot in self.slots() {
            let size = self.shape(slot).size();
            let Some(fill) = fills.iter_mut().find(|fill| **fill + size <= BLOCK_BYTES) else {
                return fills.len();
            };
            *fill += size;
        }
        fills.iter().filter(|&&fill| fill > 0).count()
    }

    pub(super) fn write_raw(&mut self, slot: usize, raw: &[u8]) {
        let (bytes, at) = self.located_mut(slot);
        bytes[at..at + raw.len()].copy_from_slice(raw);
    }

    /// Writes an entry to the place made for it.
    pub(super) fn write(&mut self, slot: usize, draft: &Draft, key: &[u8], new: NewEntry<'_, O>) {
        let address = usize::from(self.addresses[slot]);
        let SlotTable { blocks, objects, long, .. } = self;
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
    pub(super) fn detach_entry(&mut self, slot: usize) -> OutOfLine<O> {
        let (bytes, at) = self.located(slot);
        if bytes[at] & (OBJECT | LONG_KEY | LONG_PAYLOAD) == 0 {
            return OutOfLine { object: None, long_key: None, long_payload: None };
        }
        let shape = EntryShape::read(bytes, at);
        let (object, key, payload) = (shape.object(bytes), shape.long_key(bytes), shape.long_payload(bytes));
        OutOfLine {
            object: object.and_then(|index| take(&mut self.objects, index)),
            long_key: key.and_then(|index| take_long(&mut self.long, index)),
            long_payload: payload.and_then(|index| take_long(&mut self.long, index)),
        }
    }

    /// Gives the entry in `slot` what it holds out of line.
    pub(super) fn adopt(&mut self, slot: usize, held: OutOfLine<O>) {
        let shape = self.shape(slot);
        let address = usize::from(self.addresses[slot]);
        let SlotTable { blocks, objects, long, .. } = self;
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

/// Fills the first hole, or grows the list to the allocator's next size.
fn put<T>(list: &mut Vec<Option<T>>, value: T) -> usize {
    let hole = list.iter().position(Option::is_none).unwrap_or(list.len());
    if hole == list.len() {
        if list.len() == list.capacity() {
            let bytes = size_class((list.len() + 1) * size_of::<Option<T>>());
            list.reserve_exact(bytes / size_of::<Option<T>>() - list.len());
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
const _: () = assert!(2 * (MAX_ENTRY + entry::DEADLINE_BYTES) <= BLOCK_BYTES);
// Slot tables are of one size class, whatever they hold.
const _: () = assert!(size_of::<usize>() + size_of::<SlotTable<u64>>() == 448);
