//! The server's stopwatch: [`Stopwatch`] knows when the last command ended, and which commands are
//! timed together.

use crate::spec::CommandIndex;

/// The time at which the last command ended, and the commands that are timed together since.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    /// The time at which the last command ended, or the turn began.
    last_ns: u64,
    run: Option<Run>,
}

/// Small fast commands of one name in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of the command.
    pub index: CommandIndex,
    /// The number of times that it ran.
    pub count: u64,
}

impl Stopwatch {
    /// A stopwatch that begins at `now_ns` of the monotonic clock.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Stopwatch { last_ns: now_ns, run: None }
    }

    /// The last reading of the clock, nanoseconds.
    #[inline]
    #[must_use]
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Ends a lap at `now_ns`. Returns how long it was, nanoseconds.
    #[inline]
    pub fn lap(&mut self, now_ns: u64) -> u64 {
        let lap = now_ns.saturating_sub(self.last_ns);
        self.last_ns = now_ns;
        lap
    }

    /// Adds a command to the run under way, or begins one.
    #[inline]
    pub fn join_run(&mut self, index: CommandIndex) {
        self.run.get_or_insert(Run { index, count: 0 }).count += 1;
    }

    /// True when commands are being timed together that `index` does not belong to.
    #[inline]
    #[must_use]
    pub fn runs_another(&self, index: CommandIndex) -> bool {
        self.run.is_some_and(|run| run.index != index)
    }

    /// True when a run is under way.
    #[inline]
    #[must_use]
    pub fn has_run(&self) -> bool {
        self.run.is_some()
    }

    /// Takes the run under way; whoever takes it ends the lap.
    #[inline]
    pub fn take_run(&mut self) -> Option<Run> {
        self.run.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lap_goes_from_one_reading_to_the_next_and_never_backwards() {
        let mut watch = Stopwatch::new(100);
        assert_eq!([watch.lap(130), watch.lap(130), watch.lap(90), watch.lap(100)], [30, 0, 0, 10]);
    }

    #[test]
    fn commands_of_one_name_make_a_run() {
        let mut watch = Stopwatch::new(0);
        assert_eq!(watch.take_run(), None);
        (0..3).for_each(|_| watch.join_run(CommandIndex(7)));
        assert!(watch.runs_another(CommandIndex(8)) && !watch.runs_another(CommandIndex(7)));
        assert_eq!(watch.take_run(), Some(Run { index: CommandIndex(7), count: 3 }));
        assert!(!watch.runs_another(CommandIndex(8)), "the run is over");
    }
}
