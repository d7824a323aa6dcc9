//! Ranges of scores and of names.

/// Scores from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The lowest.
    pub min: f64,
    /// True when `min` itself is left out.
    pub min_excluded: bool,
    /// The highest.
    pub max: f64,
    /// True when `max` itself is left out.
    pub max_excluded: bool,
}

impl ScoreRange {
    /// From `min` to `max`, both of them in it.
    #[must_use]
    pub fn closed(min: f64, max: f64) -> Self {
        ScoreRange { min, min_excluded: false, max, max_excluded: false }
    }

    pub(super) fn is_below(&self, score: f64) -> bool {
        score < self.min || (self.min_excluded && score == self.min)
    }

    pub(super) fn is_above(&self, score: f64) -> bool {
        score > self.max || (self.max_excluded && score == self.max)
    }
}

/// An end of a range of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all names: `-`.
    Lowest,
    /// After all names: `+`.
    Highest,
    /// This name: `[name`.
    Included(&'a [u8]),
    /// All names beyond this one: `(name`.
    Excluded(&'a [u8]),
}

/// Names from `min` to `max`, for sets whose members all have the same score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// The first.
    pub min: LexBound<'a>,
    /// The last.
    pub max: LexBound<'a>,
}

impl LexRange<'_> {
    pub(super) fn is_below(&self, name: &[u8]) -> bool {
        match self.min {
            LexBound::Lowest => false,
            LexBound::Highest => true,
            LexBound::Included(min) => name < min,
            LexBound::Excluded(min) => name <= min,
        }
    }

    pub(super) fn is_above(&self, name: &[u8]) -> bool {
        match self.max {
            LexBound::Lowest => true,
            LexBound::Highest => false,
            LexBound::Included(max) => name > max,
            LexBound::Excluded(max) => name >= max,
        }
    }
}
