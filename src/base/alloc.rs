//! The memory in use: an allocator that counts what it hands out.
//!
//! `used_memory` must follow every allocation of every thread and be cheap to read. Each thread
//! adds to one of a few counters, each on a cache line of its own, and a reader sums them up. The
//! sizes are those asked for; what the allocator rounds up shows in the resident size.
//!
//! The allocator itself is mimalloc, made for small allocations from many threads that others free.
//! The crate of that name asks it for every alignment in so many words, even for that of a `u64`;
//! mimalloc then adds the alignment to all sizes that are no power of two, and so takes the next
//! larger class of blocks for a page's head or an 8 KiB chunk: [`Mimalloc`] asks so only where its
//! blocks are not aligned anyway.
#![allow(unsafe_code)]

use libmimalloc_sys as mi;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// All of mimalloc's blocks begin at a multiple of this, as their sizes are whole words.
const BLOCK_ALIGNMENT: usize = size_of::<usize>();

/// Counters; threads share them round-robin.
const SHARDS: usize = 16;
/// The place of one more, which one thread has for itself: [`claim`].
const CLAIMED: usize = SHARDS;

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(AtomicI64);

/// A sum that many threads change. Each adds to a counter that it shares with few, so that they do
/// not wait for each other; one may add what another takes away.
#[derive(Debug, Default)]
pub struct Sum([Shard; SHARDS + 1]);

impl Sum {
    /// Nothing so far.
    #[must_use]
    pub const fn new() -> Self {
        Sum([const { Shard(AtomicI64::new(0)) }; SHARDS + 1])
    }

    /// `amount` is added, or taken away if it is negative.
    #[inline]
    pub fn add(&self, amount: i64) {
        self.0[shard()].0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Returns the value of about this moment. While others change it the reader may see what one
    /// takes away and miss what another has added: that is no less than nothing.
    #[must_use]
    pub fn get(&self) -> u64 {
        let sum: i64 = self.0.iter().map(|shard| shard.0.load(Ordering::Relaxed)).sum();
        u64::try_from(sum).unwrap_or(0)
    }
}

static USED: Sum = Sum::new();
static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);
static LEFT_HEAPS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// This thread's counter; `usize::MAX` until it has one.
    static OWN_SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
    static LEFT: Left = const { Left };
}

/// Bytes handed out and not yet given back. 0 unless [`Counting`] is the global allocator.
#[must_use]
pub fn used_bytes() -> usize {
    USED.get() as usize
}

/// Gives the calling thread a counter of its own. For one thread of the process: it can tell with
/// [`claimed_bytes`] what something it does takes or gives back, whatever others do meanwhile.
pub fn claim() {
    OWN_SHARD.set(CLAIMED);
}

/// Returns the bytes that the thread that called [`claim`] has allocated since, less those it has
/// freed.
#[must_use]
pub fn claimed_bytes() -> i64 {
    USED.0[CLAIMED].0.load(Ordering::Relaxed)
}

/// Lets pages of the calling thread that are empty go, so that [`give_back`] on any thread reaches
/// them. Quick.
pub fn let_go() {
    // SAFETY: as in `give_back`.
    unsafe { libmimalloc_sys::mi_collect(false) }
}

/// Gives memory that is free in the allocator's hands back to the system. Source: MEMORY PURGE.
pub fn give_back() {
    // SAFETY: it may be called at any time, by any thread, and also when mimalloc allocates
    // nothing.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Returns the statistics of the allocator, as JSON. Source: MEMORY MALLOC-STATS.
#[must_use]
pub fn statistics() -> String {
    mimalloc::MiMalloc::stats_json().map_or_else(str::to_owned, |text| text.to_string_lossy().into_owned())
}

/// True when the calling thread has allocated, and so has a heap of its own in mimalloc: some 8
/// KiB, and a page for every size it asked for, which stays when the memory is free.
#[must_use]
pub fn has_heap() -> bool {
    OWN_SHARD.get() != usize::MAX
}

/// Gives up the heap of the calling thread, if it has one; the next allocation makes another.
/// Memory that was free in it goes back to the system with the next [`give_back`] of any thread:
/// thousands may leave at once. Not for the thread that called [`claim`].
pub fn leave() {
    if has_heap() {
        LEFT.with(|_| ());
        // SAFETY: mimalloc makes a thread's heap with its first allocation, whether it had one
        // before or not. What is still in use of the old one is freed as other threads' memory is.
        // When the thread ends mimalloc looks at the last heap that it had, and `Left` makes sure
        // that there is one.
        unsafe { mi::mi_thread_done() };
        OWN_SHARD.set(usize::MAX);
        LEFT_HEAPS.fetch_add(1, Ordering::Relaxed);
    }
}

/// The number of heaps that have been given up so far.
#[must_use]
pub fn left_heaps() -> u64 {
    LEFT_HEAPS.load(Ordering::Relaxed)
}

/// On a thread that gave its heap up: has it end with one. Destructors of this kind run before
/// mimalloc's.
struct Left;

impl Drop for Left {
    fn drop(&mut self) {
        // SAFETY: a fresh block is freed.
        unsafe { mi::mi_free(mi::mi_malloc(1)) }
    }
}

#[inline]
fn own_shard() -> usize {
    OWN_SHARD.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        own.get()
    })
}

/// A counter for a thread that need not have allocated.
#[inline]
fn shard() -> usize {
    let own = OWN_SHARD.get();
    if own == usize::MAX { 0 } else { own }
}

/// `bytes` were allocated.
#[inline]
fn count(bytes: i64) {
    USED.0[own_shard()].0.fetch_add(bytes, Ordering::Relaxed);
}

/// Counts what `A` hands out.
#[derive(Debug)]
pub struct Counting<A>(pub A);

// SAFETY: every call goes to `A` unchanged, with the same layout, and its answer is returned; only
// a number is kept beside it.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        USED.add(-(layout.size() as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as i64 - layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { self.0.realloc(block, layout, new_size) }
    }
}

/// mimalloc. See the module.
#[derive(Debug)]
pub struct Mimalloc;

// SAFETY: mimalloc's functions are an allocator; blocks of an alignment above a word come from
// those functions that are told the alignment, and all are given back to the same one.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= BLOCK_ALIGNMENT {
            // SAFETY: any size may be asked for.
            return unsafe { mi::mi_malloc(layout.size()) }.cast();
        }
        // SAFETY: any size may be asked for; a layout's alignment is a power of two.
        unsafe { mi::mi_malloc_aligned(layout.size(), layout.align()) }.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= BLOCK_ALIGNMENT {
            // SAFETY: any size may be asked for.
            return unsafe { mi::mi_zalloc(layout.size()) }.cast();
        }
        // SAFETY: any size may be asked for; a layout's alignment is a power of two.
        unsafe { mi::mi_zalloc_aligned(layout.size(), layout.align()) }.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller promises that the block is from here.
        unsafe { mi::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() <= BLOCK_ALIGNMENT {
            // SAFETY: the caller promises that the block is from here.
            return unsafe { mi::mi_realloc(block.cast(), new_size) }.cast();
        }
        // SAFETY: the same; a layout's alignment is a power of two.
        unsafe { mi::mi_realloc_aligned(block.cast(), new_size, layout.align()) }.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;

    #[test]
    fn blocks_of_any_alignment_are_aligned_and_kept_when_they_grow() {
        for (size, align) in
            (1..200).chain([1000, 4095, 70_000]).flat_map(|n| [1, 2, 8, 16, 64].map(|a| (n, a)))
        {
            let layout = Layout::from_size_align(size, align).expect("a valid layout");
            // SAFETY: a fresh block is written within its size, grown once and freed with its last
            // layout.
            unsafe {
                let block = Mimalloc.alloc(layout);
                block.write(7);
                let zeroed = Mimalloc.alloc_zeroed(layout);
                assert!((0..size).all(|at| *zeroed.add(at) == 0), "{layout:?}");
                let grown = Mimalloc.realloc(block, layout, 3 * size);
                assert_eq!(*grown, 7);
                for block in [grown, zeroed] {
                    assert!((block as usize).is_multiple_of(align), "{layout:?}");
                }
                Mimalloc.dealloc(zeroed, layout);
                Mimalloc.dealloc(grown, Layout::from_size_align(3 * size, align).expect("a valid layout"));
            }
        }
    }

    #[test]
    fn what_is_given_back_is_no_longer_counted() {
        let allocator = Counting(System);
        let sum = || USED.0[own_shard()].0.load(Ordering::Relaxed);
        let layout = Layout::from_size_align(1000, 8).expect("a valid layout");
        // SAFETY: a fresh block is grown once and freed with its last layout.
        unsafe {
            let block = allocator.alloc(layout);
            let before = sum();
            let block = allocator.realloc(block, layout, 5000);
            assert!(sum() >= before + 4000 - 1000, "other threads may share the counter");
            allocator.dealloc(block, Layout::from_size_align(5000, 8).expect("a valid layout"));
        }
    }

    #[test]
    fn a_thread_that_claims_a_counter_sees_only_its_own() {
        let allocator = Counting(System);
        let layout = Layout::from_size_align(3000, 8).expect("a valid layout");
        // SAFETY: fresh blocks are freed with their layout.
        let (own, others) = std::thread::spawn(move || unsafe {
            claim();
            let before = claimed_bytes();
            let block = allocator.alloc(layout);
            let own = claimed_bytes() - before;
            allocator.dealloc(block, layout);
            let before = claimed_bytes();
            let other = std::thread::spawn(move || {
                let block = Counting(System).alloc(layout);
                Counting(System).dealloc(block, layout);
                Counting(System).alloc(layout) as usize
            });
            let left = other.join().expect("it ends");
            let others = claimed_bytes() - before;
            allocator.dealloc(left as *mut u8, layout);
            (own, others)
        })
        .join()
        .expect("it ends");
        assert_eq!((own, others), (3000, 0));
    }

    #[test]
    fn a_thread_may_give_its_heap_up_again_and_again_and_end_with_or_without_one() {
        static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);
        let layout = |size| Layout::from_size_align(size, 8).expect("a valid layout");
        let work = move |rounds: usize, ends_with_heap: bool| {
            let mut kept = Vec::new();
            for round in 0..rounds {
                assert!(!has_heap());
                for size in [16, 300, 5000, 70_000] {
                    // SAFETY: fresh blocks are written within their size; each is freed once, with
                    // its layout.
                    unsafe {
                        let block = ALLOCATOR.alloc(layout(size));
                        block.write_bytes(round as u8, size);
                        kept.push((block as usize, size, round as u8));
                        ALLOCATOR.dealloc(ALLOCATOR.alloc(layout(size)), layout(size));
                    }
                }
                assert!(has_heap());
                leave();
                leave();
            }
            if ends_with_heap {
                // SAFETY: as above.
                unsafe { ALLOCATOR.dealloc(ALLOCATOR.alloc(layout(40)), layout(40)) };
            }
            kept
        };
        for _ in 0..20 {
            let threads: Vec<_> =
                (0..20).map(|number| std::thread::spawn(move || work(number % 4, number % 3 == 0))).collect();
            for (block, size, byte) in threads.into_iter().flat_map(|thread| thread.join().expect("it ends"))
            {
                // SAFETY: the block was kept, by a thread that has ended.
                unsafe {
                    let block = block as *mut u8;
                    assert!((0..size).all(|at| *block.add(at) == byte));
                    ALLOCATOR.dealloc(block, layout(size));
                }
            }
        }
    }

    #[test]
    fn one_thread_takes_away_what_another_has_added() {
        let sum = Sum::new();
        sum.add(1000);
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(|| (0..100).for_each(|_| sum.add(-2)))));
        });
        assert_eq!(sum.get(), 200);
        sum.add(-300);
        assert_eq!(sum.get(), 0, "it is no less than nothing");
    }
}
