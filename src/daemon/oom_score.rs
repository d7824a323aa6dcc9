//! `oom-score-adj`: telling the kernel whom to kill first when memory runs out.
//!
//! Knows the process's own score file and what stood in it before we wrote to it, so that `no` puts
//! it back. The server decides which score belongs to which role.

use std::cell::Cell;
use std::fs;
use std::io;

use crate::config::OomScoreAdj;

/// The score of this process.
const FILE: &str = "/proc/self/oom_score_adj";
/// The kernel takes no more than this, either way.
const MAX_SCORE: i32 = 1000;

/// The score the process had before it was changed, while it is changed.
#[derive(Debug, Default)]
pub struct OomScore {
    before: Cell<Option<i32>>,
}

impl OomScore {
    /// Gives the process `score`, read as `how` says, or the score it had before. Errors as the
    /// system's words.
    pub fn set(&self, how: OomScoreAdj, score: i32) -> io::Result<()> {
        if how == OomScoreAdj::No {
            return match self.before.take() {
                Some(before) => fs::write(FILE, before.to_string()),
                None => Ok(()),
            };
        }
        let before = match self.before.get() {
            Some(before) => before,
            None => read()?,
        };
        self.before.set(Some(before));
        fs::write(FILE, wanted(how, score, before).to_string())
    }
}

fn wanted(how: OomScoreAdj, score: i32, before: i32) -> i32 {
    let wanted = if how == OomScoreAdj::Absolute { score } else { before.saturating_add(score) };
    wanted.clamp(-MAX_SCORE, MAX_SCORE)
}

fn read() -> io::Result<i32> {
    fs::read_to_string(FILE)?.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_scores_are_added_to_what_the_process_started_with() {
        use OomScoreAdj::{Absolute, Relative};
        let rows = [
            (Absolute, 9, 22, 9),
            (Relative, 9, 22, 31),
            (Relative, 1500, 22, 1000),
            (Absolute, -2000, 22, -1000),
        ];
        for (how, score, before, expected) in rows {
            assert_eq!(wanted(how, score, before), expected, "{how:?} {score}");
        }
    }

    #[test]
    fn switching_it_off_puts_back_what_was_there() {
        let (score, before) = (OomScore::default(), read().unwrap());
        score.set(OomScoreAdj::No, 500).unwrap();
        assert_eq!(read().unwrap(), before, "nothing to put back");
        // Raising one's own score needs no privilege, lowering it again to where it was neither.
        score.set(OomScoreAdj::Relative, 7).unwrap();
        assert_eq!(read().unwrap(), (before + 7).min(MAX_SCORE));
        score.set(OomScoreAdj::No, 0).unwrap();
        assert_eq!(read().unwrap(), before);
    }
}
