//! Lua's patterns: [`Matcher`].
//!
//! Lua's own matcher calls itself for every item of a pattern that can match in several ways. This
//! one keeps the ways that are left to try in a list ([`Entry`]), so a long pattern takes memory
//! and no stack; and it says what it does to the meter, so a pattern that tries forever can be
//! ended.

use crate::script::{meter, raise};
use mlua::{Error, Lua, Result};

/// The most captures of a pattern (`LUA_MAXCAPTURES`).
const CAPTURES: usize = 32;
/// Steps after which the meter hears of them.
const STEPS: usize = 1024;

/// What a capture has caught so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Capture {
    /// It has begun here, and is not closed.
    Open(usize),
    /// A place alone.
    Position(usize),
    /// From here, so many bytes.
    Closed(usize, usize),
}

/// A way that is left to try when matching fails, or what has to be undone then.
enum Entry {
    /// One byte less for `*` or `+`: it has matched up to `at`, and not less than up to `least`.
    Greedy { at: usize, least: usize, next: usize },
    /// One byte more for `-`, whose item is at `item` and ends at `end`.
    Lazy { at: usize, item: usize, end: usize },
    /// Nothing for `?`.
    Skip { at: usize, next: usize },
    /// The last capture had begun.
    Begun,
    /// This capture had ended.
    Ended(usize),
}

/// What one item of the pattern comes to.
enum Step {
    /// Go on at this place of the text, with this place of the pattern.
    On(usize, usize),
    Fail,
    /// The pattern is at its end.
    Matched(usize),
}

/// A pattern at work on a text.
pub(super) struct Matcher<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    pattern: &'a [u8],
    captures: [Capture; CAPTURES],
    level: usize,
    left: Vec<Entry>,
    steps: usize,
    /// How many levels of the stack are between the function that runs and the script.
    depth: usize,
}

impl<'a> Matcher<'a> {
    /// For `pattern`, which ends where C ends it: before a zero byte.
    #[must_use]
    pub(super) fn new(lua: &'a Lua, text: &'a [u8], pattern: &'a [u8], depth: usize) -> Self {
        let end = memchr::memchr(0, pattern).unwrap_or(pattern.len());
        Matcher {
            lua,
            text,
            pattern: &pattern[..end],
            captures: [Capture::Open(0); CAPTURES],
            level: 0,
            left: Vec::new(),
            steps: 0,
            depth,
        }
    }

    /// Takes a `^` off the pattern's begin, and says if there was one.
    pub(super) fn take_anchor(&mut self) -> bool {
        let Some(rest) = self.pattern.strip_prefix(b"^") else { return false };
        self.pattern = rest;
        true
    }

    /// Matches at place `start` of the text; gives the place behind the match.
    pub(super) fn run(&mut self, start: usize) -> Result<Option<usize>> {
        self.level = 0;
        self.left.clear();
        let mut place = Some((start, 0));
        while let Some((at, item)) = place {
            self.step(1)?;
            place = match self.item(at, item)? {
                Step::On(at, item) => Some((at, item)),
                Step::Matched(end) => return Ok(Some(end)),
                Step::Fail => self.next_way()?,
            };
        }
        Ok(None)
    }

    /// The captures of the last match; if there are none and `whole` is given, the whole match.
    pub(super) fn captures(&self, whole: Option<(usize, usize)>) -> Result<Vec<Capture>> {
        let count = if self.level == 0 && whole.is_some() { 1 } else { self.level };
        (0..count).map(|index| self.capture(index, whole.unwrap_or((0, 0)))).collect()
    }

    /// Capture `index` of the last match, which counts from 0; the first of none is the whole
    /// match.
    pub(super) fn capture(&self, index: usize, whole: (usize, usize)) -> Result<Capture> {
        if index >= self.level {
            let (start, end) = whole;
            return if index == 0 {
                Ok(Capture::Closed(start, end - start))
            } else {
                Err(self.error("invalid capture index"))
            };
        }
        match self.captures[index] {
            Capture::Open(_) => Err(self.error("unfinished capture")),
            capture => Ok(capture),
        }
    }

    /// Counts work.
    pub(super) fn step(&mut self, count: usize) -> Result<()> {
        self.steps += count;
        if self.steps < STEPS { Ok(()) } else { meter::spend(self.lua, std::mem::take(&mut self.steps)) }
    }

    /// An error with the line of the script that is matching.
    fn error(&self, message: &str) -> Error {
        raise::at_level(self.lua, self.depth, message)
    }

    /// The byte of the pattern at `index`; zero at its end, as in C.
    fn byte(&self, index: usize) -> u8 {
        self.pattern.get(index).copied().unwrap_or(0)
    }

    fn item(&mut self, at: usize, item: usize) -> Result<Step> {
        match self.byte(item) {
            b'(' => self.begin_capture(at, item),
            b')' => self.end_capture(at, item),
            b'%' if self.byte(item + 1) == b'b' => self.balance(at, item + 2),
            b'%' if self.byte(item + 1) == b'f' => self.frontier(at, item + 2),
            b'%' if self.byte(item + 1).is_ascii_digit() => self.back_reference(at, item),
            b'$' if item + 1 == self.pattern.len() => {
                Ok(if at == self.text.len() { Step::Matched(at) } else { Step::Fail })
            }
            _ if item >= self.pattern.len() => Ok(Step::Matched(at)),
            _ => self.single(at, item),
        }
    }

    /// An item for one byte, with what says how often.
    fn single(&mut self, at: usize, item: usize) -> Result<Step> {
        let end = self.class_end(item)?;
        let matches = self.fits(at, item, end);
        match self.byte(end) {
            b'?' => {
                if !matches {
                    return Ok(Step::On(at, end + 1));
                }
                self.left.push(Entry::Skip { at, next: end + 1 });
                Ok(Step::On(at + 1, end + 1))
            }
            b'*' => self.repeat(at, item, end),
            b'+' if matches => self.repeat(at + 1, item, end),
            b'-' => {
                self.left.push(Entry::Lazy { at, item, end });
                Ok(Step::On(at, end + 1))
            }
            b'+' => Ok(Step::Fail),
            _ if matches => Ok(Step::On(at + 1, end)),
            _ => Ok(Step::Fail),
        }
    }

    /// Takes as many bytes as fit, and leaves fewer for later.
    fn repeat(&mut self, least: usize, item: usize, end: usize) -> Result<Step> {
        let mut at = least;
        while self.fits(at, item, end) {
            at += 1;
            self.step(1)?;
        }
        if at > least {
            self.left.push(Entry::Greedy { at, least, next: end + 1 });
        }
        Ok(Step::On(at, end + 1))
    }

    /// Goes back to the last way that is left.
    fn next_way(&mut self) -> Result<Option<(usize, usize)>> {
        while let Some(entry) = self.left.pop() {
            match entry {
                Entry::Skip { at, next } => return Ok(Some((at, next))),
                Entry::Greedy { at, least, next } => {
                    let at = at - 1;
                    if at > least {
                        self.left.push(Entry::Greedy { at, least, next });
                    }
                    return Ok(Some((at, next)));
                }
                Entry::Lazy { at, item, end } => {
                    if self.fits(at, item, end) {
                        self.left.push(Entry::Lazy { at: at + 1, item, end });
                        return Ok(Some((at + 1, end + 1)));
                    }
                }
                Entry::Begun => self.level -= 1,
                Entry::Ended(index) => self.reopen(index),
            }
            self.step(1)?;
        }
        Ok(None)
    }

    fn reopen(&mut self, index: usize) {
        if let Capture::Closed(start, _) = self.captures[index] {
            self.captures[index] = Capture::Open(start);
        }
    }

    fn begin_capture(&mut self, at: usize, item: usize) -> Result<Step> {
        if self.level >= CAPTURES {
            return Err(self.error("too many captures"));
        }
        let is_position = self.byte(item + 1) == b')';
        self.captures[self.level] = if is_position { Capture::Position(at) } else { Capture::Open(at) };
        self.level += 1;
        self.left.push(Entry::Begun);
        Ok(Step::On(at, item + 1 + usize::from(is_position)))
    }

    fn end_capture(&mut self, at: usize, item: usize) -> Result<Step> {
        let open =
            self.captures[..self.level].iter().rposition(|capture| matches!(capture, Capture::Open(_)));
        let Some(index) = open else { return Err(self.error("invalid pattern capture")) };
        if let Capture::Open(start) = self.captures[index] {
            self.captures[index] = Capture::Closed(start, at - start);
        }
        self.left.push(Entry::Ended(index));
        Ok(Step::On(at, item + 1))
    }

    /// `%1` to `%9`: what a capture has caught, once more.
    fn back_reference(&mut self, at: usize, item: usize) -> Result<Step> {
        let index = usize::from(self.byte(item + 1)).wrapping_sub(usize::from(b'1'));
        match self.captures[..self.level].get(index) {
            None | Some(Capture::Open(_)) => Err(self.error("invalid capture index")),
            Some(Capture::Position(_)) => Ok(Step::Fail),
            Some(&Capture::Closed(start, length)) => {
                self.step(length / 16)?;
                let same = self.text[at..].starts_with(&self.text[start..start + length]);
                Ok(if same { Step::On(at + length, item + 2) } else { Step::Fail })
            }
        }
    }

    /// `%bxy`: from an `x` to the `y` that closes it.
    fn balance(&mut self, at: usize, item: usize) -> Result<Step> {
        let (open, close) = (self.byte(item), self.byte(item + 1));
        if open == 0 || close == 0 {
            return Err(self.error("unbalanced pattern"));
        }
        if self.text.get(at) != Some(&open) {
            return Ok(Step::Fail);
        }
        let mut depth = 1_usize;
        for index in at + 1..self.text.len() {
            self.step(1)?;
            let byte = self.text[index];
            if byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Step::On(index + 1, item + 2));
                }
            } else if byte == open {
                depth += 1;
            }
        }
        Ok(Step::Fail)
    }

    /// `%f[set]`: the place where the set begins to hold. Beyond both ends of the text stands a
    /// zero.
    fn frontier(&mut self, at: usize, item: usize) -> Result<Step> {
        if self.byte(item) != b'[' {
            return Err(self.error("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(item)?;
        let before = if at == 0 { 0 } else { self.text[at - 1] };
        let here = self.text.get(at).copied().unwrap_or(0);
        let begins = !self.in_set(before, item, end - 1) && self.in_set(here, item, end - 1);
        Ok(if begins { Step::On(at, end) } else { Step::Fail })
    }

    /// The place behind the item for one byte that is at `item`.
    fn class_end(&mut self, item: usize) -> Result<usize> {
        match self.byte(item) {
            b'%' if item + 1 >= self.pattern.len() => Err(self.error("malformed pattern (ends with '%')")),
            b'%' => Ok(item + 2),
            b'[' => self.set_end(item),
            _ => Ok(item + 1),
        }
    }

    fn set_end(&mut self, item: usize) -> Result<usize> {
        let mut index = item + 1;
        if self.byte(index) == b'^' {
            index += 1;
        }
        loop {
            if index >= self.pattern.len() {
                return Err(self.error("malformed pattern (missing ']')"));
            }
            let is_escape = self.pattern[index] == b'%';
            index += 1;
            if is_escape && index < self.pattern.len() {
                index += 1;
            }
            self.step(1)?;
            if self.byte(index) == b']' {
                return Ok(index + 1);
            }
        }
    }

    /// Says if the text's byte at `at` is one for the item from `item` to `end`.
    fn fits(&self, at: usize, item: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(at) else { return false };
        match self.pattern[item] {
            b'.' => true,
            b'%' => in_class(byte, self.pattern[item + 1]),
            b'[' => self.in_set(byte, item, end - 1),
            plain => plain == byte,
        }
    }

    /// Says if `byte` is in the set that begins at `item` and whose `]` is at `last`.
    fn in_set(&self, byte: u8, item: usize, last: usize) -> bool {
        let inverted = self.pattern[item + 1] == b'^';
        let mut index = item + 1 + usize::from(inverted);
        while index < last {
            let first = self.pattern[index];
            if first == b'%' {
                if in_class(byte, self.byte(index + 1)) {
                    return !inverted;
                }
                index += 2;
            } else if self.pattern[index + 1] == b'-' && index + 2 < last {
                if (first..=self.pattern[index + 2]).contains(&byte) {
                    return !inverted;
                }
                index += 3;
            } else if first == byte {
                return !inverted;
            } else {
                index += 1;
            }
        }
        inverted
    }
}

/// Says if `byte` is in the class of the letter `class`; an upper one means the opposite.
fn in_class(byte: u8, class: u8) -> bool {
    let holds = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    holds == class.is_ascii_lowercase()
}
