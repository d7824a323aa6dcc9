//! The size to ask for when a buffer grows in small steps.
//!
//! Doubling wastes a third of the memory of many small containers; asking for the exact length
//! moves the buffer on every step. Allocators hand out size classes four to the doubling (mimalloc:
//! … 64 80 96 112 128 160 192 224 256 …), so the room up to the next class is free: ask for that.

/// The smallest size class that holds `bytes`.
pub(crate) fn size_class(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 8).max(16);
    bytes.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_the_bytes_and_waste_at_most_a_quarter() {
        for (bytes, class) in [(0, 0), (1, 16), (7, 16), (65, 80), (129, 160), (160, 160), (4097, 5120)] {
            assert_eq!(size_class(bytes), class, "{bytes}");
        }
        for bytes in 64..10_000 {
            let class = size_class(bytes);
            assert!(class >= bytes && class * 4 <= bytes * 5 + 64, "{bytes} {class}");
        }
    }
}
