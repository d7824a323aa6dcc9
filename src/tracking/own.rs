//! The part of tracking that each client knows of itself: [`OwnTracking`].

use super::{Choice, Mode};

/// The part of tracking that a session knows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnTracking {
    /// The mode in which it tracks, if it does.
    pub mode: Option<Mode>,
    /// The memory of its prefixes, bytes.
    pub prefix_bytes: usize,
    /// CLIENT CACHING was called for the next command.
    pub caching: bool,
}

impl OwnTracking {
    /// True when the keys of the next command that reads are remembered.
    #[inline]
    #[must_use]
    pub fn remembers(self) -> bool {
        self.mode.is_some_and(|mode| {
            !mode.broadcast
                && match mode.choice {
                    Choice::Every => true,
                    Choice::OptIn => self.caching,
                    Choice::OptOut => !self.caching,
                }
        })
    }
}
