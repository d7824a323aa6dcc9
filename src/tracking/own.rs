//! What a client knows of its own tracking: [`OwnTracking`].

use super::{Choice, Mode};

/// What a session knows of its own tracking.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnTracking {
    /// How it tracks, if it does.
    pub mode: Option<Mode>,
    /// What its prefixes cost, bytes.
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
