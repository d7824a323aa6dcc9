//! Chance that can be replayed: every generator starts from a seed it is given.
//!
//! Not for secrets. Wraps wyrand (`fastrand`): one multiplication per draw, and nobody outside this
//! file knows which generator it is.

/// A seeded generator; the same seed gives the same run.
#[derive(Clone, Debug)]
pub struct Random {
    rng: fastrand::Rng,
}

impl Random {
    /// A generator that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed) }
    }

    /// An evenly distributed number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.rng.u64(..bound) }
    }

    /// 64 random bits.
    pub fn u64(&mut self) -> u64 {
        self.rng.u64(..)
    }

    /// An evenly distributed number in `0.0..1.0`.
    pub fn f64(&mut self) -> f64 {
        self.rng.f64()
    }

    /// Overwrites `bytes` with random ones.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.rng.fill(bytes);
    }

    /// `length` random lowercase hexadecimal digits.
    pub fn hex(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b"0123456789abcdef"[self.rng.usize(..16)])).collect()
    }
}

/// Picks `wanted` out of a sequence of known length while it passes by once: every set of picks is
/// equally likely, and nothing is remembered but two numbers (Knuth's algorithm S).
#[derive(Clone, Debug)]
pub struct Selection {
    wanted: usize,
    left: usize,
}

impl Selection {
    /// A selection of `wanted` out of `len`; of all, if `wanted` is more.
    #[must_use]
    pub fn new(wanted: usize, len: usize) -> Self {
        Selection { wanted: wanted.min(len), left: len }
    }

    /// True when the next of the sequence is picked.
    pub fn picks_next(&mut self, random: &mut Random) -> bool {
        let picked = random.below(self.left as u64) < self.wanted as u64;
        self.left = self.left.saturating_sub(1);
        self.wanted -= usize::from(picked);
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_replays_the_same_run() {
        let (mut a, mut b, mut other) = (Random::new(7), Random::new(7), Random::new(8));
        let run = |r: &mut Random| (0..20).map(|_| r.u64()).collect::<Vec<_>>();
        let first = run(&mut a);
        assert_eq!(first, run(&mut b));
        assert_ne!(first, run(&mut other));
        assert_eq!(a.hex(40), b.hex(40));
    }

    #[test]
    fn below_reaches_every_value_and_no_other() {
        let mut random = Random::new(1);
        let mut seen = [0u32; 5];
        for _ in 0..1000 {
            seen[usize::try_from(random.below(5)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
        assert_eq!(random.below(1), 0);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn a_selection_picks_exactly_as_many_and_everybody_equally_often() {
        let mut random = Random::new(5);
        let mut picks = [0u32; 10];
        for _ in 0..10_000 {
            let mut selection = Selection::new(3, picks.len());
            let before: u32 = picks.iter().sum();
            picks.iter_mut().for_each(|count| *count += u32::from(selection.picks_next(&mut random)));
            assert_eq!(picks.iter().sum::<u32>() - before, 3);
            assert!(!selection.picks_next(&mut random), "nobody is left");
        }
        assert!(picks.iter().all(|&count| (2800..3200).contains(&count)), "{picks:?}");
        let mut all = Selection::new(99, 4);
        assert!((0..4).all(|_| all.picks_next(&mut random)));
    }

    #[test]
    fn hex_has_the_asked_length_and_alphabet() {
        let text = Random::new(3).hex(41);
        assert_eq!(text.len(), 41);
        assert!(text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)));
    }

    #[test]
    fn fill_changes_every_part_and_fractions_stay_below_one() {
        let mut random = Random::new(9);
        let mut bytes = [0u8; 64];
        random.fill(&mut bytes);
        assert!(bytes.chunks(16).all(|part| part.iter().any(|&b| b != 0)));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&random.f64())));
    }
}
