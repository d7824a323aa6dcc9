//! From a hash to its page: extendible hashing in two levels.
//!
//! ```text
//! top: 2^bits × u32 ──► segments: Arc<Segment>, each 2^bits × u16 ──► pages, with deadline bounds
//! ```
//!
//! The leading bits of the hash pick a segment, the next ones a page. Both levels hold *numbers*,
//! never counted references, and several neighbouring numbers name the same page while it is
//! shallower than the level. A segment is small ([`SEGMENT_BITS`]), so doubling or splitting one is
//! a bounded step however large the dict is; what doubles with the dict is only the top level, a
//! few KiB for ten million keys. Segments are counted references themselves: cloning a directory
//! costs one reference per segment.
//!
//! Knows nothing of keys and entries: it is told which page to replace by which.

use triomphe::Arc;

use super::super::shared::make_mut;
use super::page::Page;

/// A segment's directory has at most 2^this places.
const SEGMENT_BITS: u32 = 10;
/// Two neighbouring segments become one when both fit into so many bits.
const MERGE_SEGMENT_BITS: u32 = SEGMENT_BITS - 3;

/// A page and the one thing its owner notes about it.
#[derive(Debug)]
pub(super) struct Place<O> {
    pub(super) page: Page<O>,
    /// No entry of the page has a deadline before this. Kept outside of the page, so that learning
    /// a better bound never copies a shared page.
    pub(super) bound: i64,
    /// The number of the last walk that the page was handed to.
    pub(super) handed: u32,
}

impl<O> Clone for Place<O> {
    fn clone(&self) -> Place<O> {
        Place { page: self.page.clone(), ..*self }
    }
}

#[derive(Debug)]
struct Segment<O> {
    /// The number of leading bits the hashes of this segment have in common.
    depth: u32,
    /// The number of bits of the hash after these that pick a place.
    bits: u32,
    numbers: Vec<u16>,
    places: Vec<Place<O>>,
}

impl<O> Clone for Segment<O> {
    fn clone(&self) -> Segment<O> {
        Segment {
            depth: self.depth,
            bits: self.bits,
            numbers: self.numbers.clone(),
            places: self.places.clone(),
        }
    }
}

/// All pages of a dict, in the order of the hashes.
#[derive(Debug)]
pub(super) struct Directory<O> {
    bits: u32,
    top: Vec<u32>,
    segments: Vec<Arc<Segment<O>>>,
    page_count: usize,
    /// Places of all segments, for the memory account.
    number_count: usize,
    /// Numbers and places written by growing and shrinking, for tests that bound the work of a
    /// step.
    moved: u64,
}

impl<O> Clone for Directory<O> {
    /// Shares every page.
    fn clone(&self) -> Directory<O> {
        Directory { top: self.top.clone(), segments: self.segments.clone(), ..*self }
    }
}

/// The `bits` bits of `hash` behind the first `skip`, as a number.
#[inline]
fn bits_of(hash: u64, skip: u32, bits: u32) -> usize {
    // Two shifts, as a shift by 64 is not one.
    (((hash << skip) >> 1) >> (63 - bits)) as usize
}

/// Returns the range where the numbers of a thing stand that covers the hashes equal to `hash` in
/// `depth` bits, in a table that skips `skip` bits and has 2^`bits` places.
fn run(hash: u64, depth: u32, skip: u32, bits: u32) -> std::ops::Range<usize> {
    let len = 1 << (skip + bits - depth);
    let first = bits_of(hash, skip, bits) & !(len - 1);
    first..first + len
}

/// Doubles a table: every number twice.
fn doubled<T: Copy>(numbers: &[T]) -> Vec<T> {
    numbers.iter().flat_map(|&number| [number, number]).collect()
}

/// Halves a table if nothing is lost by it.
fn halved<T: Copy + PartialEq>(numbers: &[T]) -> Option<Vec<T>> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    let possible = rest.is_empty() && pairs.iter().all(|[left, right]| left == right);
    possible.then(|| pairs.iter().map(|pair| pair[0]).collect())
}

impl<O> Segment<O> {
    #[inline]
    fn number(&self, hash: u64) -> usize {
        usize::from(self.numbers[bits_of(hash, self.depth, self.bits)])
    }

    fn run(&self, hash: u64, depth: u32) -> std::ops::Range<usize> {
        run(hash, depth, self.depth, self.bits)
    }

    fn set_run(&mut self, hash: u64, depth: u32, number: usize) -> usize {
        let run = self.run(hash, depth);
        self.numbers[run.clone()].fill(number as u16);
        run.len()
    }

    /// The places in the order of the hashes.
    fn into_places(segment: Arc<Segment<O>>) -> impl Iterator<Item = Place<O>> {
        let mut segment = Arc::unwrap_or_clone(segment);
        let mut places: Vec<_> = std::mem::take(&mut segment.places).into_iter().map(Some).collect();
        segment.numbers.into_iter().filter_map(move |number| places[usize::from(number)].take())
    }

    /// Appends the pages that `numbers` names, in order, and their numbers, each `stretch` times.
    fn append(&mut self, numbers: &[u16], from: &mut [Option<Place<O>>], stretch: usize) {
        let mut last = None;
        for &number in numbers {
            if last != Some(number) {
                last = Some(number);
                self.places.extend(from[usize::from(number)].take());
            }
            let new = (self.places.len() - 1) as u16;
            self.numbers.extend(std::iter::repeat_n(new, stretch));
        }
    }
}

impl<O> Directory<O> {
    /// A directory of one page, which covers all hashes.
    pub(super) fn new(page: Page<O>) -> Directory<O> {
        let places = vec![Place { page, bound: i64::MAX, handed: 0 }];
        let segment = Segment { depth: 0, bits: 0, numbers: vec![0], places };
        let segments = vec![Arc::new(segment)];
        Directory { bits: 0, top: vec![0], segments, page_count: 1, number_count: 1, moved: 0 }
    }

    pub(super) fn page_count(&self) -> usize {
        self.page_count
    }

    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Bytes of both levels, pages not included.
    pub(super) fn heap_bytes(&self) -> usize {
        self.top.len() * size_of::<u32>()
            + self.segments.len()
                * (size_of::<Arc<Segment<O>>>() + size_of::<Segment<O>>() + size_of::<usize>())
            + self.number_count * size_of::<u16>()
            + self.page_count * size_of::<Place<O>>()
    }

    #[inline]
    pub(super) fn place(&self, hash: u64) -> &Place<O> {
        let segment = &self.segments[self.segment_number(hash)];
        &segment.places[segment.number(hash)]
    }

    #[inline]
    pub(super) fn page(&self, hash: u64) -> &Page<O> {
        &self.place(hash).page
    }

    /// The place, to change. Makes the segment this directory's own; the page copies itself on a
    /// write.
    #[inline]
    pub(super) fn place_mut(&mut self, hash: u64) -> &mut Place<O> {
        let segment = self.segment_mut(hash);
        let number = segment.number(hash);
        &mut segment.places[number]
    }

    /// The page whose hashes differ from those of `hash`'s page in the last common bit only,
    /// if the two are halves of one and in one segment.
    pub(super) fn buddy(&self, hash: u64) -> Option<&Place<O>> {
        let segment = &self.segments[self.segment_number(hash)];
        let page = &segment.places[segment.number(hash)].page;
        if page.depth() == segment.depth {
            return None;
        }
        let buddy = &segment.places[segment.number(buddy_hash(page))];
        (buddy.page.depth() == page.depth()).then_some(buddy)
    }

    /// Replaces the page of `hash` by its two halves.
    pub(super) fn put_halves(&mut self, hash: u64, left: Place<O>, right: Place<O>) {
        let depth = left.page.depth();
        self.make_deep(hash, depth);
        let segment = self.segment_mut(hash);
        let (left_number, right_number) = (segment.number(hash), segment.places.len());
        let first = right.page.first_hash();
        segment.places[left_number] = left;
        segment.places.push(right);
        let written = segment.set_run(first, depth, right_number);
        self.page_count += 1;
        self.moved += written as u64;
    }

    /// Replaces the page of `hash` and its buddy by what `merge` makes of them, then shrinks what
    /// can be.
    pub(super) fn merge_with_buddy(
        &mut self,
        hash: u64,
        merge: impl FnOnce(&mut Place<O>, &mut Place<O>) -> Place<O>,
    ) {
        let segment = self.segment_mut(hash);
        let buddy = buddy_hash(&segment.places[segment.number(hash)].page);
        let left_number = segment.number(hash.min(buddy));
        let right_number = segment.number(hash.max(buddy));
        let Ok([left, right]) = segment.places.get_disjoint_mut([left_number, right_number]) else {
            unreachable!("buddies are two pages");
        };
        let merged = merge(left, right);
        let depth = merged.page.depth();
        let mut written = segment.set_run(hash, depth, left_number);
        segment.places[left_number] = merged;
        segment.places.swap_remove(right_number);
        if let Some(moved) = segment.places.get(right_number) {
            let (first, depth) = (moved.page.first_hash(), moved.page.depth());
            written += segment.set_run(first, depth, right_number);
        }
        if segment.places.capacity() > 2 * segment.places.len() {
            segment.places.shrink_to_fit();
        }
        self.page_count -= 1;
        self.moved += written as u64;
        self.halve_segment(hash);
        self.merge_segment(hash);
    }

    /// All places in the order of the hashes. Lets go of each segment when it is passed, so that
    /// whoever holds the directory alone frees it on the way.
    pub(super) fn into_places(self) -> impl Iterator<Item = Place<O>> {
        let Directory { top, segments, .. } = self;
        let mut segments: Vec<_> = segments.into_iter().map(Some).collect();
        let in_order = top.into_iter().filter_map(move |number| segments[number as usize].take());
        in_order.flat_map(Segment::into_places)
    }

    fn segment_number(&self, hash: u64) -> usize {
        self.top[bits_of(hash, 0, self.bits)] as usize
    }

    fn segment_mut(&mut self, hash: u64) -> &mut Segment<O> {
        let number = self.segment_number(hash);
        make_mut(&mut self.segments[number], |segment| {
            segment.places.len() * size_of::<Place<O>>() + segment.numbers.len() * size_of::<u16>()
        })
    }

    /// Makes the segment of `hash` able to tell pages of `depth` bits apart.
    fn make_deep(&mut self, hash: u64, depth: u32) {
        let segment = self.segment_mut(hash);
        if depth <= segment.depth + segment.bits {
            return;
        }
        if segment.bits == SEGMENT_BITS {
            self.split_segment(hash);
        }
        let segment = self.segment_mut(hash);
        let added = segment.numbers.len();
        segment.numbers = doubled(&segment.numbers);
        segment.bits += 1;
        self.number_count += added;
        self.moved += 2 * added as u64;
    }

    fn split_segment(&mut self, hash: u64) {
        let new_number = self.segments.len();
        let segment = self.segment_mut(hash);
        let (depth, bits) = (segment.depth + 1, segment.bits - 1);
        let numbers = std::mem::take(&mut segment.numbers);
        let mut places: Vec<_> = std::mem::take(&mut segment.places).into_iter().map(Some).collect();
        self.moved += (numbers.len() + places.len()) as u64;
        let half = numbers.len() / 2;
        let [left, right] = [&numbers[..half], &numbers[half..]].map(|numbers| {
            let mut half =
                Segment { depth, bits, numbers: Vec::with_capacity(numbers.len()), places: vec![] };
            half.append(numbers, &mut places, 1);
            half
        });
        *self.segment_mut(hash) = left;
        self.segments.push(Arc::new(right));
        if depth > self.bits {
            self.top = doubled(&self.top);
            self.bits += 1;
            self.moved += self.top.len() as u64;
        }
        let right_hash = (hash & !(u64::MAX >> (depth - 1))) | 1 << (64 - depth);
        self.top[run(right_hash, depth, 0, self.bits)].fill(new_number as u32);
    }

    fn halve_segment(&mut self, hash: u64) {
        let number = self.segment_number(hash);
        while let Some(numbers) = halved(&self.segments[number].numbers) {
            let segment = self.segment_mut(hash);
            segment.numbers = numbers;
            segment.bits -= 1;
            let removed = segment.numbers.len();
            self.number_count -= removed;
            self.moved += removed as u64;
        }
    }

    /// Makes one segment of the one of `hash` and its buddy when both are small.
    fn merge_segment(&mut self, hash: u64) {
        let number = self.segment_number(hash);
        let depth = self.segments[number].depth;
        if depth == 0 {
            return;
        }
        let buddy_hash = hash ^ 1 << (64 - depth);
        let buddy_number = self.segment_number(buddy_hash);
        let small = |segment: &Segment<O>| segment.depth == depth && segment.bits <= MERGE_SEGMENT_BITS;
        if !small(&self.segments[number]) || !small(&self.segments[buddy_number]) {
            return;
        }
        let bits = self.segments[number].bits.max(self.segments[buddy_number].bits);
        let mut merged = Segment {
            depth: depth - 1,
            bits: bits + 1,
            numbers: Vec::with_capacity(2 << bits),
            places: vec![],
        };
        for hash in [hash.min(buddy_hash), hash.max(buddy_hash)] {
            let half = self.segment_mut(hash);
            let mut places: Vec<_> = std::mem::take(&mut half.places).into_iter().map(Some).collect();
            let numbers = std::mem::take(&mut half.numbers);
            self.number_count -= numbers.len();
            merged.append(&numbers, &mut places, (1 << bits) / numbers.len());
        }
        self.number_count += merged.numbers.len();
        self.moved += (merged.numbers.len() + merged.places.len()) as u64;
        self.segments[number] = Arc::new(merged);
        self.top[run(hash, depth - 1, 0, self.bits)].fill(number as u32);
        self.remove_segment(buddy_number);
        self.halve_segment(hash);
        while let Some(top) = halved(&self.top) {
            self.moved += top.len() as u64;
            self.top = top;
            self.bits -= 1;
        }
    }

    fn remove_segment(&mut self, number: usize) {
        self.segments.swap_remove(number);
        if let Some(moved) = self.segments.get(number) {
            let (first, depth) = (moved.places[0].page.first_hash(), moved.depth);
            self.top[run(first, depth, 0, self.bits)].fill(number as u32);
        }
    }
}

fn buddy_hash<O>(page: &Page<O>) -> u64 {
    page.first_hash() ^ 1 << (64 - page.depth())
}

#[cfg(test)]
impl<O> Directory<O> {
    /// Panics unless both levels name every page exactly where its range says.
    pub(super) fn check(&self) {
        assert_eq!(self.top.len(), 1 << self.bits);
        let mut pages = 0;
        let mut numbers = 0;
        for segment in &self.segments {
            assert_eq!(segment.numbers.len(), 1 << segment.bits);
            assert!(segment.bits <= SEGMENT_BITS);
            pages += segment.places.len();
            numbers += segment.numbers.len();
            for (number, place) in segment.places.iter().enumerate() {
                let (first, depth) = (place.page.first_hash(), place.page.depth());
                let run = segment.run(first, depth);
                assert!(segment.numbers[run].iter().all(|&found| usize::from(found) == number));
                let last = first | (u64::MAX >> depth.min(63));
                assert!(std::ptr::eq(self.place(first), place) && std::ptr::eq(self.place(last), place));
            }
        }
        assert_eq!((pages, numbers), (self.page_count, self.number_count));
    }
}
