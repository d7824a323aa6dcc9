//! The allocation behind a listpack: one pointer, a reference count and the bytes.
//!
//! ```text
//! | reference count 8 | capacity 8 | the listpack's bytes … | free |
//! ```
//!
//! Small collections are many, so what a listpack costs beside its bytes counts. Its own header
//! says how long it is; so no length is kept here, and whoever holds a listpack holds one pointer
//! instead of the three words of a `Vec` in one more allocation. The count makes a clone a
//! snapshot: a change copies the bytes first when somebody else holds them too.

use std::ops::Deref;

use crate::ds::shared::count_copy;
use triomphe::ThinArc;

use super::MAX_BYTES;
use crate::ds::size_class::size_class;

/// The bytes that a listpack's allocation holds besides the listpack.
pub const ALLOCATION_OVERHEAD: usize = 2 * size_of::<usize>();
/// Buffers are filled up from here; longer ones, which are rare, from a vector of zeros.
static ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// Bytes that begin with their own length, with room for more.
#[derive(Clone)]
pub(super) struct Buffer(ThinArc<(), u8>);

/// The capacity of the allocator's size class that holds `bytes` of them.
pub(super) fn roomy(bytes: usize) -> usize {
    size_class(bytes + ALLOCATION_OVERHEAD) - ALLOCATION_OVERHEAD
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let all = &self.0.slice;
        &all[..length(all)]
    }
}

impl Buffer {
    /// A copy of `bytes`, which begin with their length, in a buffer for `capacity` bytes or more.
    pub(super) fn of(bytes: &[u8], capacity: usize) -> Self {
        if capacity <= bytes.len() {
            return Self(ThinArc::from_header_and_slice((), bytes));
        }
        let mut buffer = match ZEROS.get(..capacity) {
            Some(zeros) => Self(ThinArc::from_header_and_slice((), zeros)),
            None => Self(ThinArc::from_header_and_slice((), &vec![0; capacity])),
        };
        buffer.edit(|all| all[..bytes.len()].copy_from_slice(bytes));
        buffer
    }

    /// Returns the number of bytes there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.0.slice.len()
    }

    /// Bytes allocated.
    pub(super) fn heap_bytes(&self) -> usize {
        ALLOCATION_OVERHEAD + self.capacity()
    }

    /// True when both are references to one allocation.
    pub(super) fn same(&self, other: &Self) -> bool {
        std::ptr::addr_eq(self.0.ptr(), other.0.ptr())
    }

    /// True when somebody else refers to the allocation too.
    pub(super) fn is_shared(&self) -> bool {
        ThinArc::strong_count(&self.0) > 1
    }

    /// Moves to an allocation for `capacity` bytes, not less than there are.
    pub(super) fn resize(&mut self, capacity: usize) {
        if self.is_shared() {
            count_copy(self.heap_bytes());
        }
        *self = Self::of(self, capacity.min(MAX_BYTES));
    }

    /// Changes the bytes, up to the capacity. `change` keeps the length they begin with true.
    pub(super) fn edit<R>(&mut self, change: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.is_shared() {
            self.resize(self.capacity());
        }
        self.0.with_arc_mut(|own| {
            let own = triomphe::Arc::get_mut(own).expect("the only holder, or a copy just made");
            change(own.slice_mut())
        })
    }
}

#[inline]
fn length(bytes: &[u8]) -> usize {
    let Some(&total) = bytes.first_chunk() else { unreachable!("a listpack has a header") };
    u32::from_le_bytes(total) as usize
}
