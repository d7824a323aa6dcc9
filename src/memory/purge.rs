//! Memory that is free and still occupied: when it is given back to the system.
//!
//! The allocator keeps what was freed and uses it again before it asks for more, which is good as
//! long as there is more to come. After FLUSHALL or many deletions there is not, and the process
//! would go on occupying its most; Redis has jemalloc give it back, at once on FLUSHALL and within
//! seconds else. [`Purge`] follows what is in use: when for a second it was never near what was in
//! use before, the owner lets its empty pages go, which is quick, and another thread gives them
//! back, which is not: about 0.2 ms a megabyte. Memory that bursts of requests take again and again
//! stays. Workers whose clients are quiet give their heaps up, whole waves of them: what that frees
//! follows when the wave has ended. `jemalloc-bg-thread no` leaves all of that to MEMORY PURGE.

/// Less than this stays for what comes next, bytes.
const MIN_BYTES: u64 = 8 << 20;
/// And so does less than this share of what was in use.
const MIN_SHARE: u64 = 4;
/// So many looks in a row make up their mind; the periodic work looks ten times a second.
const LOOKS: u32 = 10;

/// So many heaps that threads gave up are worth a round; each held tens of KiB.
const MIN_HEAPS: u64 = 32;

/// The decision when free memory is given back: the memory that was in use lately.
#[derive(Debug, Default)]
pub struct Purge {
    /// The most since something was given back last, bytes.
    most: u64,
    /// The most in the last few looks, bytes.
    lately: u64,
    looks: u32,
    /// Heaps given up: in all at the last look, and when their memory was given back last.
    heaps: u64,
    heaps_given: u64,
}

impl Purge {
    /// `used` bytes are in use now. Returns whether free ones should be given back.
    pub fn look(&mut self, used: u64) -> bool {
        self.lately = self.lately.max(used);
        self.looks += 1;
        if self.looks < LOOKS {
            return false;
        }
        let lately = std::mem::take(&mut self.lately);
        self.looks = 0;
        let free = self.most.saturating_sub(lately);
        let is_due = free >= MIN_BYTES && free >= self.most / MIN_SHARE;
        self.most = if is_due { lately } else { self.most.max(lately) };
        is_due
    }

    /// `heaps` were given up so far. Returns whether a wave of them has ended.
    pub fn look_at_heaps(&mut self, heaps: u64) -> bool {
        let has_ended = std::mem::replace(&mut self.heaps, heaps) == heaps;
        let is_due = has_ended && heaps - self.heaps_given >= MIN_HEAPS;
        if is_due {
            self.heaps_given = heaps;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Looks for a second at each of these sizes, MiB; which of them lead to giving back.
    fn due(sizes: &[u64]) -> Vec<bool> {
        let mut purge = Purge::default();
        sizes.iter().map(|size| (0..LOOKS).fold(false, |due, _| purge.look(size * MIB) | due)).collect()
    }

    #[test]
    fn what_has_become_free_is_given_back_once() {
        assert_eq!(due(&[100, 100, 20, 20, 20]), [false, false, true, false, false]);
        assert_eq!(due(&[100, 20, 100, 20]), [false, true, false, true]);
    }

    #[test]
    fn little_is_kept_in_bytes_or_as_a_share() {
        assert_eq!(due(&[10, 3, 1]), [false, false, true]);
        assert_eq!(due(&[1000, 751, 750, 600, 562]), [false, false, true, false, true]);
    }

    #[test]
    fn what_a_wave_of_threads_left_is_given_back_when_it_has_ended() {
        let mut purge = Purge::default();
        let due: Vec<_> =
            [0, 40, 80, 80, 80, 100, 100, 112, 112, 112].map(|heaps| purge.look_at_heaps(heaps)).into();
        assert_eq!(due, [false, false, false, true, false, false, false, false, true, false]);
    }

    #[test]
    fn what_bursts_take_stays() {
        let mut purge = Purge::default();
        for round in 0..20 {
            assert!(!purge.look(200 * MIB), "{round}");
            assert!((1..LOOKS).all(|_| !purge.look(10 * MIB)), "{round}");
        }
        assert!((1..=LOOKS).any(|_| purge.look(10 * MIB)), "they have ended");
    }
}
