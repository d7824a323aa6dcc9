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
