//! The lines of the script, the one that it is at, and those to stop at: [`Source`].

use super::log::Log;

/// Breakpoints at most, as in Redis.
const MAX_BREAKPOINTS: usize = 64;

/// The script as text. Lines count from 1.
#[derive(Debug)]
pub struct Source {
    lines: Vec<Vec<u8>>,
    breakpoints: Vec<usize>,
    /// The line it is at.
    pub current: usize,
}

/// What became of a breakpoint that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is there now.
    New,
    /// There is no such line, or it has one already.
    WrongLine,
    /// There are as many as there may be.
    TooMany,
}

impl Source {
    /// The script with this code, before its first line.
    #[must_use]
    pub fn new(code: &[u8]) -> Self {
        let end = code.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
        let lines = match &code[..end] {
            b"" => Vec::new(),
            code => code.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect(),
        };
        Source { lines, breakpoints: Vec::new(), current: 0 }
    }

    /// True when the script stops at this line.
    #[must_use]
    pub fn is_breakpoint(&self, line: usize) -> bool {
        self.breakpoints.contains(&line)
    }

    /// The breakpoints in the order in which they were added.
    #[must_use]
    pub fn breakpoints(&self) -> &[usize] {
        &self.breakpoints
    }

    /// Adds a breakpoint.
    pub fn add_breakpoint(&mut self, line: usize) -> Added {
        if self.breakpoints.len() == MAX_BREAKPOINTS {
            return Added::TooMany;
        }
        if !(1..=self.lines.len()).contains(&line) || self.is_breakpoint(line) {
            return Added::WrongLine;
        }
        self.breakpoints.push(line);
        Added::New
    }

    /// Removes a breakpoint; returns whether there was one.
    pub fn remove_breakpoint(&mut self, line: usize) -> bool {
        let before = self.breakpoints.len();
        self.breakpoints.retain(|&other| other != line);
        self.breakpoints.len() < before
    }

    /// Removes all breakpoints.
    pub fn remove_breakpoints(&mut self) {
        self.breakpoints.clear();
    }

    /// Adds the line to `log`, with marks: `->` where the script is, `#` for a breakpoint.
    pub fn show(&self, line: usize, log: &mut Log) {
        let marks = match (self.current == line, self.is_breakpoint(line)) {
            (true, true) => "->#",
            (true, false) => "-> ",
            (false, true) => "  #",
            (false, false) => "   ",
        };
        let text = line.checked_sub(1).and_then(|index| self.lines.get(index));
        let text = text.map_or(&b"<out of range source code line>"[..], |text| text);
        log.push([format!("{marks}{line:<3} ").as_bytes(), text].concat());
    }

    /// Adds the lines to `log` that are at most `context` lines from `around`.
    pub fn show_around(&self, around: usize, context: usize, log: &mut Log) {
        let first = around.saturating_sub(context).max(1);
        let last = around.saturating_add(context).min(self.lines.len());
        (first..=last).for_each(|line| self.show(line, log));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &Source, around: usize, context: usize) -> Vec<String> {
        let mut log = Log::default();
        source.show_around(around, context, &mut log);
        log.take().iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn lines_are_shown_with_marks_and_numbers() {
        let mut source = Source::new(b"one\n\nthree\nfour\r\n\n");
        source.current = 3;
        source.add_breakpoint(3);
        source.add_breakpoint(4);
        assert_eq!(shown(&source, 2, 9), ["   1   one", "   2   ", "->#3   three", "  #4   four"]);
        assert_eq!(shown(&source, 1, 0), ["   1   one"]);
        assert!(shown(&source, 50, 5).is_empty());
        assert!(shown(&Source::new(b"\n\r"), 1, 5).is_empty());
    }

    #[test]
    fn breakpoints_stand_on_lines_that_are_there() {
        let code = "x\n".repeat(70);
        let mut source = Source::new(code.as_bytes());
        assert_eq!([0, 71].map(|line| source.add_breakpoint(line)), [Added::WrongLine; 2]);
        for line in 1..=64 {
            assert_eq!(source.add_breakpoint(line), Added::New);
        }
        assert_eq!(source.add_breakpoint(65), Added::TooMany);
        assert!(source.remove_breakpoint(64) && !source.remove_breakpoint(64));
        assert_eq!(source.add_breakpoint(63), Added::WrongLine);
        source.remove_breakpoints();
        assert!(source.breakpoints().is_empty());
    }
}
