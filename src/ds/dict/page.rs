//! A page: the entries of one range of hashes in one allocation of at most 4 KiB.
//!
//! ```text
//! reference count | header | fingerprints | offsets | free … | entries, packed to the end
//! ```
//!
//! Slot `i` is fingerprint `i` (the hash's low byte, which no directory uses) and offset `i`. A lookup runs
//! `memchr` over the fingerprints, which share their first cache line with the header, and compares the key
//! only where one fits. Entries leave no holes: what lies below a removed or resized entry is moved up to it
//! at once, a `memmove` of at most 4 KiB. The allocation grows and shrinks in steps of an eighth of its size,
//! which are the size classes of common allocators, so little of a block is lost.
//!
//! Header and bytes are one counted allocation (`triomphe`'s `HeaderSlice`), so reaching an entry costs two
//! cache misses beyond the directory, and no unsafe code is needed for it. Whoever clones a page shares it;
//! [`Page::table`] is the one way to its bytes for a writer and copies a shared page first.
//!
//! A page knows its range and nothing of other pages. Splitting hands back two new ones, merging one.

use std::ops::Range;

use memchr::memchr;
use triomphe::{Arc, HeaderSlice};

use super::entry::{self, Draft, LONG_KEY, LONG_PAYLOAD, MAX_INLINE_BYTES, OBJECT, Shape};

/// Bytes of a full page, reference count and header included.
pub(super) const PAGE_BYTES: usize = 4096;
/// Slots are added in groups, so that offsets move seldom.
const SLOT_GROUP: usize = 8;

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
pub struct Page<O>(Arc<HeaderSlice<Header<O>, [u8]>>);

#[derive(Debug, Clone)]
struct Header<O> {
    /// Out-of-line values; entries name them by position, so removing one leaves a hole to be filled.
    objects: Vec<Option<O>>,
    long: Option<Box<Long>>,
    /// The first hash of the page's range; the low byte, which no range reaches, holds the depth.
    span: u64,
    count: u32,
    /// Where the packed entries begin.
    data: u32,
}

/// Keys and payloads too long to live among the entries.
#[derive(Debug, Clone, Default)]
struct Long {
    values: Vec<Option<Arc<[u8]>>>,
    bytes: usize,
}

/// Reference count and header.
const fn fixed_bytes<O>() -> usize {
    size_of::<usize>() + size_of::<Header<O>>()
}

/// Offsets are two bytes until a page grows beyond what they reach, which takes keys of equal hash.
fn is_wide(len: usize) -> bool {
    len > usize::from(u16::MAX)
}

fn slot_capacity(count: usize) -> usize {
    count.next_multiple_of(SLOT_GROUP)
}

fn slot_bytes(count: usize, wide: bool) -> usize {
    slot_capacity(count) * if wide { 5 } else { 3 }
}

/// The length of the smallest block with room for `required` bytes behind the header.
fn block_len<O>(required: usize) -> usize {
    let total = required + fixed_bytes::<O>();
    let step = (total.next_power_of_two() / 8).max(16);
    total.next_multiple_of(step) - fixed_bytes::<O>()
}

/// Bytes behind the header that hold `count` slots and `data` bytes of entries.
fn required_len<O>(count: usize, data: usize) -> usize {
    let required = slot_bytes(count, false) + data;
    if is_wide(block_len::<O>(required)) { slot_bytes(count, true) + data } else { required }
}

/// Runs `fill` on zeroed bytes, on the stack for pages of ordinary size.
fn with_scratch<R>(len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
    if len <= PAGE_BYTES { fill(&mut [0; PAGE_BYTES][..len]) } else { fill(&mut vec![0; len]) }
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
        self.0.header.count as usize
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hash positions (below 2^48) this page is responsible for.
    pub fn range(&self) -> Range<u64> {
        let start = self.first_hash() >> 16;
        start..start + (1 << (48 - self.depth()))
    }

    /// The entries, in no particular order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = EntryRef<'_, O>> {
        (0..self.len()).map(|slot| self.entry(slot))
    }

    /// Bytes allocated for this page and its long keys; not what its objects point to.
    pub fn heap_bytes(&self) -> usize {
        let header = &self.0.header;
        let long = header.long.as_ref().map_or(0, |long| {
            size_of::<Long>() + long.values.capacity() * size_of::<Option<Arc<[u8]>>>() + long.bytes
        });
        fixed_bytes::<O>() + self.0.slice.len() + header.objects.capacity() * size_of::<Option<O>>() + long
    }

    /// Whether both are references to one page, not copies of it.
    pub fn same(&self, other: &Page<O>) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many leading bits the hashes of this page have in common.
    pub(super) fn depth(&self) -> u32 {
        (self.0.header.span & 0xff) as u32
    }

    /// The smallest hash of the range; it also is the page's name while the shape stays.
    pub(super) fn first_hash(&self) -> u64 {
        self.0.header.span & !0xffff
    }

    /// The entry in `slot`.
    pub(super) fn entry(&self, slot: usize) -> EntryRef<'_, O> {
        let bytes = &self.0.slice;
        let shape = self.shape(slot);
        EntryRef {
            key: self.key(&shape),
            deadline: shape.deadline(bytes),
            payload: match shape.long_payload(bytes) {
                Some(index) => self.0.header.long_value(index),
                None => &bytes[shape.payload()],
            },
            object: shape.object(bytes).and_then(|index| self.0.header.objects[index].as_ref()),
        }
    }

    /// The slot that holds `key`.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let fingerprints = &self.0.slice[..self.len()];
        let mut from = 0;
        while let Some(found) = memchr(hash as u8, &fingerprints[from..]) {
            let slot = from + found;
            if self.key(&self.shape(slot)) == key {
                return Some(slot);
            }
            from = slot + 1;
        }
        None
    }

    /// The earliest deadline of an entry, `i64::MAX` for none.
    pub(super) fn earliest_deadline(&self) -> i64 {
        self.deadlines().map(|(_, deadline)| deadline).min().unwrap_or(i64::MAX)
    }

    /// The slots that have a deadline.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (usize, i64)> {
        (0..self.len()).filter_map(|slot| Some((slot, entry::deadline_at(&self.0.slice, self.offset(slot))?)))
    }

    /// Bytes behind the header that are in use.
    pub(super) fn used(&self) -> usize {
        required_len::<O>(self.len(), self.data_bytes())
    }

    /// Bytes needed behind the header once `slot` (or a new one) holds an entry of `size` bytes.
    pub(super) fn required(&self, slot: Option<usize>, size: usize) -> usize {
        match slot {
            None => required_len::<O>(self.len() + 1, self.data_bytes() + size),
            Some(slot) => {
                let shape = self.shape(slot);
                required_len::<O>(self.len(), self.data_bytes() + size - (shape.end - shape.at))
            }
        }
    }

    /// Bytes of `slot`'s entry once it has or has not a deadline.
    pub(super) fn size_with_deadline(&self, slot: usize, has_deadline: bool) -> usize {
        let shape = self.shape(slot);
        let size = shape.end - shape.at;
        match (shape.has(entry::DEADLINE), has_deadline) {
            (false, true) => size + entry::DEADLINE_BYTES,
            (true, false) => size - entry::DEADLINE_BYTES,
            _ => size,
        }
    }

    /// Brings the header into the cache. Loads of several pages overlap, as none depends on another.
    pub(super) fn touch(&self) {
        std::hint::black_box(self.0.header.count);
        std::hint::black_box(self.0.slice.get(24));
    }

    fn key(&self, shape: &Shape) -> &[u8] {
        match shape.long_key(&self.0.slice) {
            Some(index) => self.0.header.long_value(index),
            None => &self.0.slice[shape.key()],
        }
    }

    fn shape(&self, slot: usize) -> Shape {
        Shape::read(&self.0.slice, self.offset(slot))
    }

    fn offset(&self, slot: usize) -> usize {
        offset(&self.0.slice, self.len(), slot)
    }

    fn data_bytes(&self) -> usize {
        self.0.slice.len() - self.0.header.data as usize
    }
}

impl<O: Clone> Page<O> {
    /// An empty page for the hashes that share the first `depth` bits of `first_hash`.
    pub(super) fn new(first_hash: u64, depth: u32) -> Page<O> {
        Builder::new(first_hash, depth, 0, 0).finish()
    }

    /// Adds an entry whose key is not in the page.
    pub(super) fn insert(&mut self, hash: u64, draft: &Draft, key: &[u8], new: NewEntry<'_, O>) {
        self.fit(self.required(None, draft.size));
        let mut table = self.table();
        let at = table.add_slot(hash as u8, draft.size);
        table.write(at, draft, key, new);
    }

    /// Overwrites the entry in `slot`, which has the same key.
    pub(super) fn replace(
        &mut self,
        slot: usize,
        draft: &Draft,
        key: &[u8],
        new: NewEntry<'_, O>,
    ) -> Removed<O> {
        self.fit(self.required(Some(slot), draft.size));
        let mut table = self.table();
        let shape = table.shape(slot);
        let removed = table.release(&shape);
        let at = table.resize_entry(slot, shape.end - shape.at, draft.size);
        table.write(at, draft, key, new);
        removed
    }

    /// Removes the entry in `slot`; the last slot takes its place.
    pub(super) fn remove(&mut self, slot: usize) -> Removed<O> {
        let mut table = self.table();
        let shape = table.shape(slot);
        let removed = table.release(&shape);
        table.resize_entry(slot, shape.end - shape.at, 0);
        table.remove_slot(slot);
        self.fit(self.used());
        removed
    }

    /// Gives `slot` another deadline, or takes it away. Returns the one before.
    pub(super) fn set_deadline(&mut self, slot: usize, deadline: Option<i64>) -> Option<i64> {
        let size = self.size_with_deadline(slot, deadline.is_some());
        self.fit(self.required(Some(slot), size));
        let mut table = self.table();
        let shape = table.shape(slot);
        let before = shape.deadline(table.bytes);
        // Growing or shrinking an entry at its front leaves all but flags and deadline where they are.
        let at = table.resize_entry(slot, shape.end - shape.at, size);
        table.bytes[at] = shape.flags & !entry::DEADLINE;
        if let Some(deadline) = deadline {
            table.bytes[at] |= entry::DEADLINE;
            entry::set_deadline_at(table.bytes, at, deadline);
        }
        before
    }

    /// The entry in `slot`, to change in place.
    pub(super) fn entry_mut(&mut self, slot: usize) -> EntryMut<'_, O> {
        let Table { header, bytes } = self.table();
        let shape = Shape::read(bytes, offset(bytes, header.count as usize, slot));
        let deadline = shape.deadline(bytes);
        let object = shape.object(bytes);
        let long_payload = shape.long_payload(bytes);
        let Header { objects, long, .. } = header;
        EntryMut {
            deadline,
            payload: match (long_payload, long) {
                (Some(index), Some(long)) => long.value_mut(index),
                _ => &mut bytes[shape.payload()],
            },
            object: object.and_then(|index| objects[index].as_mut()),
        }
    }

    /// The two halves of this page, by the next bit of the hash. Leaves it without objects, to be dropped.
    pub(super) fn split(&mut self, hash_of: impl Fn(&[u8]) -> u64) -> (Page<O>, Page<O>) {
        let (count, depth, first_hash) = (self.len(), self.depth(), self.first_hash());
        let bit = 1 << (63 - depth);
        let mut goes_right = Vec::with_capacity(count);
        let (mut counts, mut data) = ([0, 0], [0, 0]);
        for slot in 0..count {
            let shape = self.shape(slot);
            let right = hash_of(self.key(&shape)) & bit != 0;
            goes_right.push(right);
            counts[usize::from(right)] += 1;
            data[usize::from(right)] += shape.end - shape.at;
        }
        let mut left = Builder::new(first_hash, depth + 1, counts[0], data[0]);
        let mut right = Builder::new(first_hash | bit, depth + 1, counts[1], data[1]);
        let mut source = self.detach();
        for (slot, &goes_right) in goes_right.iter().enumerate() {
            let target = if goes_right { &mut right } else { &mut left };
            target.push(&mut source, slot);
        }
        (left.finish(), right.finish())
    }

    /// One page with the entries of two neighbours of the same depth. Leaves both without objects.
    pub(super) fn merge(left: &mut Page<O>, right: &mut Page<O>) -> Page<O> {
        let data = left.data_bytes() + right.data_bytes();
        let (first_hash, depth) = (left.first_hash(), left.depth() - 1);
        let mut merged = Builder::new(first_hash, depth, left.len() + right.len(), data);
        for page in [left, right] {
            let mut source = page.detach();
            for slot in 0..source.count {
                merged.push(&mut source, slot);
            }
        }
        merged.finish()
    }

    /// Copies the page if somebody else holds it too.
    pub(super) fn make_unique(&mut self) {
        if !self.0.is_unique() {
            self.0 = Arc::from_header_and_slice(self.0.header.clone(), &self.0.slice);
        }
    }

    /// The one way to change a page: copies it first when somebody else holds it too.
    fn table(&mut self) -> Table<'_, O> {
        self.make_unique();
        let body = Arc::get_mut(&mut self.0).expect("the only holder, or a copy just made");
        Table { header: &mut body.header, bytes: &mut body.slice }
    }

    /// The header with everything it owns; moved out, or cloned when somebody else holds the page too.
    fn take_header(&mut self) -> Header<O> {
        match Arc::get_mut(&mut self.0) {
            Some(body) => Header {
                objects: std::mem::take(&mut body.header.objects),
                long: body.header.long.take(),
                ..body.header
            },
            None => self.0.header.clone(),
        }
    }

    fn detach(&mut self) -> Source<'_, O> {
        let count = self.len();
        let Header { objects, long, .. } = self.take_header();
        Source { bytes: &self.0.slice, count, objects, long }
    }

    /// Reallocates when `required` bytes do not fit, or would fit into three quarters.
    fn fit(&mut self, required: usize) {
        let (old_len, new_len) = (self.0.slice.len(), block_len::<O>(required));
        if required > old_len || new_len <= old_len / 4 * 3 {
            self.resize(new_len);
        }
    }

    fn resize(&mut self, new_len: usize) {
        let mut header = self.take_header();
        let old = &self.0.slice;
        let (old_len, count, data) = (old.len(), header.count as usize, header.data as usize);
        // While an entry is being overwritten by a smaller one the block may be too short for both:
        // the caller asks for room for the smaller one before the larger is gone.
        let new_len = new_len.max(block_len::<O>(required_len::<O>(count, old_len - data)));
        let new_data = new_len - (old_len - data);
        header.data = new_data as u32;
        self.0 = with_scratch(new_len, |bytes| {
            bytes[..count].copy_from_slice(&old[..count]);
            bytes[new_data..].copy_from_slice(&old[data..]);
            for slot in 0..count {
                set_offset(bytes, count, slot, offset(old, count, slot) + new_len - old_len);
            }
            Arc::from_header_and_slice(header, bytes)
        });
    }
}

fn offset(bytes: &[u8], count: usize, slot: usize) -> usize {
    let first = slot_capacity(count);
    if is_wide(bytes.len()) {
        let at = first + slot * 4;
        u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
    } else {
        let at = first + slot * 2;
        usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
    }
}

fn set_offset(bytes: &mut [u8], count: usize, slot: usize, offset: usize) {
    let first = slot_capacity(count);
    if is_wide(bytes.len()) {
        bytes[first + slot * 4..][..4].copy_from_slice(&(offset as u32).to_le_bytes());
    } else {
        bytes[first + slot * 2..][..2].copy_from_slice(&(offset as u16).to_le_bytes());
    }
}

impl<O> Header<O> {
    fn long_value(&self, index: usize) -> &[u8] {
        let value = self.long.as_ref().and_then(|long| long.values[index].as_ref());
        value.expect("an entry marked long has a long value")
    }

    fn put_object(&mut self, object: O) -> usize {
        put(&mut self.objects, object)
    }

    fn put_long(&mut self, value: Arc<[u8]>) -> usize {
        let long = self.long.get_or_insert_default();
        long.bytes += value.len();
        put(&mut long.values, value)
    }

    fn remove_long(&mut self, index: usize) -> Option<Arc<[u8]>> {
        let long = self.long.as_mut()?;
        let value = take(&mut long.values, index)?;
        long.bytes -= value.len();
        if long.values.is_empty() {
            self.long = None;
        }
        Some(value)
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

/// A page's parts while a writer holds it alone.
struct Table<'a, O> {
    header: &'a mut Header<O>,
    bytes: &'a mut [u8],
}

impl<O> Table<'_, O> {
    fn count(&self) -> usize {
        self.header.count as usize
    }

    fn shape(&self, slot: usize) -> Shape {
        Shape::read(self.bytes, offset(self.bytes, self.count(), slot))
    }

    /// Adds a slot for an entry of `size` bytes, for which there is room. Returns where the entry goes.
    fn add_slot(&mut self, fingerprint: u8, size: usize) -> usize {
        let slot = self.count();
        self.move_offsets(slot + 1);
        self.header.count += 1;
        self.header.data -= size as u32;
        self.bytes[slot] = fingerprint;
        set_offset(self.bytes, slot + 1, slot, self.header.data as usize);
        self.header.data as usize
    }

    /// Removes a slot whose entry is gone already.
    fn remove_slot(&mut self, slot: usize) {
        let last = self.count() - 1;
        self.bytes[slot] = self.bytes[last];
        let moved = offset(self.bytes, last + 1, last);
        set_offset(self.bytes, last + 1, slot, moved);
        self.move_offsets(last);
        self.header.count -= 1;
    }

    /// Puts the offsets where they belong once there are `count` slots.
    fn move_offsets(&mut self, count: usize) {
        let (from, to) = (slot_capacity(self.count()), slot_capacity(count));
        if from != to {
            let width = if is_wide(self.bytes.len()) { 4 } else { 2 };
            let kept = self.count().min(count);
            self.bytes.copy_within(from..from + kept * width, to);
        }
    }

    /// Grows or shrinks an entry at its front by moving all that lies below it. Returns its new place.
    fn resize_entry(&mut self, slot: usize, old_size: usize, new_size: usize) -> usize {
        let count = self.count();
        let at = offset(self.bytes, count, slot);
        if old_size != new_size {
            let data = self.header.data as usize;
            self.bytes.copy_within(data..at, data + old_size - new_size);
            self.header.data = (data + old_size - new_size) as u32;
            for slot in 0..count {
                let offset = offset(self.bytes, count, slot);
                if offset <= at {
                    set_offset(self.bytes, count, slot, offset + old_size - new_size);
                }
            }
        }
        at + old_size - new_size
    }

    /// Writes an entry to the place made for it.
    fn write(&mut self, at: usize, draft: &Draft, key: &[u8], new: NewEntry<'_, O>) {
        let shape = draft.write(self.bytes, at, new.deadline);
        if shape.has(LONG_KEY) {
            shape.set_long_key(self.bytes, self.header.put_long(Arc::from(key)));
        } else {
            self.bytes[shape.key()].copy_from_slice(key);
        }
        if shape.has(LONG_PAYLOAD) {
            let payload = new.payload.concat();
            shape.set_long_payload(self.bytes, self.header.put_long(Arc::from(&payload[..])));
        } else {
            let mut next = shape.payload().start;
            for part in new.payload {
                self.bytes[next..next + part.len()].copy_from_slice(part);
                next += part.len();
            }
        }
        if let Some(object) = new.object {
            shape.set_object(self.bytes, self.header.put_object(object));
        }
    }

    /// Frees what an entry holds out of line.
    fn release(&mut self, shape: &Shape) -> Removed<O> {
        for index in [shape.long_key(self.bytes), shape.long_payload(self.bytes)].into_iter().flatten() {
            self.header.remove_long(index);
        }
        Removed {
            deadline: shape.deadline(self.bytes),
            object: shape.object(self.bytes).and_then(|index| take(&mut self.header.objects, index)),
        }
    }
}

/// A page whose entries are being moved elsewhere.
struct Source<'a, O> {
    bytes: &'a [u8],
    count: usize,
    objects: Vec<Option<O>>,
    long: Option<Box<Long>>,
}

/// A page being filled with a known number of entries of a known size.
struct Builder<O> {
    header: Header<O>,
    bytes: Vec<u8>,
    /// The number of slots when all entries are in.
    slots: usize,
}

impl<O> Builder<O> {
    fn new(first_hash: u64, depth: u32, count: usize, data: usize) -> Builder<O> {
        let len = block_len::<O>(required_len::<O>(count, data));
        let span = first_hash | u64::from(depth);
        let header = Header { objects: Vec::new(), long: None, span, count: 0, data: len as u32 };
        Builder { header, bytes: vec![0; len], slots: count }
    }

    /// Copies the bytes of an entry and moves what it holds out of line.
    fn push(&mut self, source: &mut Source<'_, O>, slot: usize) {
        let old = Shape::read(source.bytes, offset(source.bytes, source.count, slot));
        let at = self.header.data as usize - (old.end - old.at);
        self.bytes[at..at + old.end - old.at].copy_from_slice(&source.bytes[old.at..old.end]);
        let target = self.header.count as usize;
        self.bytes[target] = source.bytes[slot];
        set_offset(&mut self.bytes, self.slots, target, at);
        self.header.data = at as u32;
        self.header.count += 1;
        if old.flags & (OBJECT | LONG_KEY | LONG_PAYLOAD) != 0 {
            self.adopt(source, &old, at);
        }
    }

    fn adopt(&mut self, source: &mut Source<'_, O>, old: &Shape, at: usize) {
        let new = Shape::read(&self.bytes, at);
        if let Some(object) = old.object(source.bytes).and_then(|index| source.objects[index].take()) {
            self.header.objects.push(Some(object));
            new.set_object(&mut self.bytes, self.header.objects.len() - 1);
        }
        let long = &mut source.long;
        let mut take_long = |index: usize| long.as_mut().and_then(|long| long.values[index].take());
        if let Some(key) = old.long_key(source.bytes).and_then(&mut take_long) {
            new.set_long_key(&mut self.bytes, self.header.put_long(key));
        }
        if let Some(payload) = old.long_payload(source.bytes).and_then(&mut take_long) {
            new.set_long_payload(&mut self.bytes, self.header.put_long(payload));
        }
    }

    fn finish(mut self) -> Page<O> {
        self.header.objects.shrink_to_fit();
        Page(Arc::from_header_and_slice(self.header, &self.bytes))
    }
}

/// The longest block of a page that is not over-full.
pub(super) const fn max_len<O>() -> usize {
    PAGE_BYTES - fixed_bytes::<O>()
}

// A page takes several entries of the largest inline size, so splitting always gets somewhere.
const _: () = assert!(PAGE_BYTES > 3 * (2 * MAX_INLINE_BYTES + 32));
