//! Glob patterns over bytes: `*`, `?`, `[abc]`, `[a-z]`, `[^a]` and `\` before a byte meant
//! literally.
//!
//! Every part of a pattern except `*` eats exactly one byte, so when a match fails it is enough to
//! let the *last* star eat one byte more: an earlier star can gain nothing by it. One point to go
//! back to, no recursion: at most `pattern × text` steps, where the obvious recursion is
//! exponential.
//!
//! Plain bytes between two stars are searched as a whole, which takes about as many steps as the
//! text has bytes; only `?`, classes, escapes and letters of either case can make them as many as
//! the product. Those steps are counted, and what a match takes beyond an allowance of its own it
//! takes from the [`Budget`] of the command it is for. Without any left a match has no outcome:
//! [`TooMuch`] is neither yes nor no.
//!
//! Classes keep the quirks clients can observe:
//! - an unterminated class ends with the pattern (`[abc` is `[abc]`, `[^` any byte, `[` none);
//! - a range may be written backwards, and its bounds are compared as *signed* bytes;
//! - `]` always closes, so `[]` is empty; an escaped byte in a class is case-sensitive, always;
//! - of more than a thousand stars the later ones match nothing;
//! - the empty text matches only the empty pattern, not even `*`.

use memchr::memmem;

/// Says if letters of the ASCII alphabet match regardless of case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` and `A` differ.
    Sensitive,
    /// `a` and `A` match.
    Insensitive,
}

/// Stars beyond these match nothing, unless they end the pattern; some in a row count as one.
const MAX_STARS: usize = 1000;

/// Steps that every match may take whatever the budget: patterns and texts of some hundred bytes
/// are always decided, and so is a walk over any number of them.
const FREE_STEPS: u64 = 1 << 16;
/// As many more for each byte of the text, which somebody had to send.
const FREE_STEPS_PER_BYTE: u64 = 4;

/// A match was given up: the pattern and the text are too long to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

/// Steps that the matches of one command may take together, beyond what each may take in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    left: u64,
}

impl Budget {
    /// Of one command: some tens of milliseconds, which decide 4 KB against 4 KB.
    pub const COMMAND: Budget = Budget { left: 1 << 24 };
    /// Of one among many patterns of others: a few milliseconds, which decide 2 KB against 2 KB.
    pub const ONE_OF_MANY: Budget = Budget { left: 1 << 22 };
}

/// The steps of one match.
struct Steps<'b> {
    free: u64,
    budget: &'b mut Budget,
}

impl Steps<'_> {
    #[inline]
    fn take(&mut self, count: usize) -> Result<(), TooMuch> {
        let count = count as u64;
        if let Some(left) = self.free.checked_sub(count) {
            self.free = left;
            return Ok(());
        }
        let left = self.budget.left.checked_sub(count - self.free);
        (self.free, self.budget.left) = (0, left.unwrap_or(0));
        left.map(|_| ()).ok_or(TooMuch)
    }
}

/// Tells if `pattern` matches all of `text`. Errors when that takes more than `budget` has left.
pub fn glob_match(pattern: &[u8], text: &[u8], case: Case, budget: &mut Budget) -> Result<bool, TooMuch> {
    if text.is_empty() {
        return Ok(pattern.is_empty());
    }
    let mut steps = Steps { free: FREE_STEPS + FREE_STEPS_PER_BYTE * text.len() as u64, budget };
    let (mut at, mut position) = (0, 0);
    // The place to go on after the last star, and the first byte that star has not eaten.
    let mut last_star: Option<(usize, usize)> = None;
    let mut stars = 0;
    while position < text.len() {
        if pattern.get(at) == Some(&b'*') {
            let run = stars_at(&pattern[at..]);
            steps.take(run)?;
            at += run;
            if at == pattern.len() {
                return Ok(true);
            }
            stars += 1;
            if stars > MAX_STARS {
                return Ok(false);
            }
            let rest = &text[position..];
            let literal = plain_part(&pattern[at..], rest.len() + 1);
            if literal.len() > rest.len() {
                return Ok(false);
            }
            match pattern.get(at + literal.len()) {
                // A piece between two stars, or behind the last one, needs no going back if it is
                // plain.
                Some(b'*') if case == Case::Sensitive => {
                    let Some(found) = memmem::find(rest, literal) else { return Ok(false) };
                    (at, position) = (at + literal.len(), position + found + literal.len());
                }
                None if case == Case::Sensitive => return Ok(rest.ends_with(literal)),
                _ => last_star = Some((at, position)),
            }
            continue;
        }
        let (matches, next) = match_one(pattern, at, text[position], case);
        steps.take((next - at).max(1))?;
        if matches {
            at = next;
            position += 1;
        } else if let Some((after, eaten)) = &mut last_star {
            *eaten += 1;
            (at, position) = (*after, *eaten);
        } else {
            return Ok(false);
        }
    }
    Ok(stars_at(&pattern[at..]) == pattern.len() - at)
}

/// The stars at the front of a pattern.
fn stars_at(pattern: &[u8]) -> usize {
    pattern.iter().take_while(|&&byte| byte == b'*').count()
}

/// The bytes at the front of a pattern that mean themselves, or the first `limit` of them.
fn plain_part(pattern: &[u8], limit: usize) -> &[u8] {
    let pattern = &pattern[..pattern.len().min(limit)];
    let special = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    &pattern[..special.unwrap_or(pattern.len())]
}

/// Matches the part of the pattern at `at` with one byte; returns whether it does and where the
/// next part starts. The end of the pattern matches no byte.
fn match_one(pattern: &[u8], at: usize, byte: u8, case: Case) -> (bool, usize) {
    match pattern.get(at) {
        None => (false, at),
        Some(b'?') => (true, at + 1),
        Some(b'[') => match_class(pattern, at + 1, byte, case),
        Some(b'\\') if at + 1 < pattern.len() => (same(pattern[at + 1], byte, case), at + 2),
        Some(&literal) => (same(literal, byte, case), at + 1),
    }
}

/// Matches the class whose inside starts at `at`; returns whether it does and the place after it.
fn match_class(pattern: &[u8], mut at: usize, byte: u8, case: Case) -> (bool, usize) {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    let end = loop {
        match pattern[at..] {
            [] => break at,
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                at += 2;
            }
            [b']', ..] => break at + 1,
            [low, b'-', high, ..] => {
                found |= in_range(low, high, byte, case);
                at += 3;
            }
            [literal, ..] => {
                found |= same(literal, byte, case);
                at += 1;
            }
        }
    };
    (found != negated, end)
}

fn same(a: u8, b: u8, case: Case) -> bool {
    match case {
        Case::Sensitive => a == b,
        Case::Insensitive => a.eq_ignore_ascii_case(&b),
    }
}

fn in_range(low: u8, high: u8, byte: u8, case: Case) -> bool {
    let (low, high) = (low as i8, high as i8);
    let (low, high) = (low.min(high), low.max(high));
    match case {
        Case::Sensitive => (low..=high).contains(&(byte as i8)),
        Case::Insensitive => (c_tolower(low)..=c_tolower(high)).contains(&c_tolower(byte as i8)),
    }
}

/// glibc's `tolower` of a signed `char`: negative ones come back unsigned, except -1, which is
/// `EOF`.
fn c_tolower(byte: i8) -> i32 {
    match byte {
        -1 => -1,
        _ => i32::from((byte as u8).to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The outcome of a match that a command can afford.
    fn decided(pattern: &[u8], text: &[u8], case: Case) -> bool {
        let mut budget = Budget::COMMAND;
        glob_match(pattern, text, case, &mut budget).expect("an outcome")
    }

    #[test]
    fn patterns_match_what_redis_matches() {
        let rows: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("*", "", false),
            ("**", "", false),
            ("", "a", false),
            ("*", "a", true),
            ("a*", "a", true),
            ("a**", "a", true),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbx", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("?", "", false),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hello", false),
            ("h[^e]llo", "hallo", true),
            ("[a-c]", "b", true),
            ("[c-a]", "b", true),
            ("[a-c]", "d", false),
            ("[a-]", "-", false),
            ("[a-]", "]", true),
            ("[a-]b", "_b", false),
            ("[abc", "b", true),
            ("[abc", "bx", false),
            ("[a-", "-", true),
            ("[", "[", false),
            ("[^", "x", true),
            ("[^", "xx", false),
            ("[]", "]", false),
            ("[]a", "a", false),
            ("[^]", "x", true),
            ("[\\]]", "]", true),
            ("[\\", "\\", true),
            ("[a\\-c]", "-", true),
            ("[a\\-c]", "b", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\", "\\", true),
            ("a\\", "a\\", true),
            ("\\\\", "\\", true),
            ("A", "a", false),
        ];
        for &(pattern, text, expected) in rows {
            let got = decided(pattern.as_bytes(), text.as_bytes(), Case::Sensitive);
            assert_eq!(got, expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn case_is_ignored_except_for_escapes_in_classes() {
        let rows: &[(&[u8], &[u8], bool)] = &[
            (b"MAX*", b"maxmemory", true),
            (b"\\A", b"a", true),
            (b"[A-C]", b"b", true),
            (b"[XY]", b"y", true),
            (b"[\\X]", b"x", false),
        ];
        for &(pattern, text, expected) in rows {
            assert_eq!(decided(pattern, text, Case::Insensitive), expected, "{pattern:?}");
        }
    }

    #[test]
    fn ranges_compare_signed_bytes() {
        assert!(decided(b"[\x80-\xff]", b"\xc0", Case::Sensitive));
        assert!(decided(b"[a-\xff]", b"A", Case::Sensitive));
        assert!(!decided(b"[a-\xff]", b"z", Case::Sensitive));
        assert!(decided(b"[\x80-\xfe]", b"\xc0", Case::Insensitive));
        assert!(!decided(b"[\x80-\xff]", b"\xc0", Case::Insensitive));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"a*".repeat(1000);
        let mut text = b"a".repeat(20_000);
        assert!(decided(&pattern, &text, Case::Sensitive));
        let pattern = [&pattern[..], b"b"].concat();
        assert!(!decided(&pattern, &text, Case::Sensitive));
        text.push(b'b');
        assert!(decided(&pattern, &text, Case::Sensitive));
    }

    #[test]
    fn plain_bytes_between_stars_take_no_product_of_lengths() {
        // By going back byte by byte each of these takes 4 * 10^12 steps, which is hours.
        let text = vec![b'a'; 4 << 20];
        let half = vec![b'a'; 2 << 20];
        for (end, matches) in [(&b"b"[..], false), (b"b*", false), (b"*b*", false), (b"", true), (b"*", true)]
        {
            let pattern = [&b"*"[..], &half, end].concat();
            assert_eq!(decided(&pattern, &text, Case::Sensitive), matches, "{end:?}");
        }
    }

    /// Returns the steps that a match takes from a budget that decides everything, and its outcome.
    fn steps_of(pattern: &[u8], text: &[u8], case: Case) -> (u64, bool) {
        let mut budget = Budget { left: u64::MAX };
        let matches = glob_match(pattern, text, case, &mut budget).expect("an outcome");
        (u64::MAX - budget.left, matches)
    }

    #[test]
    fn a_match_of_megabytes_is_given_up_and_takes_no_more_than_the_budget() {
        let (half, text) = (vec![b'a'; 1 << 20], vec![b'a'; 2 << 20]);
        let nasty = [&b"*"[..], &half, b"?b*"].concat();
        let class = [&b"*["[..], &half, b"]b*"].concat();
        let stars = b"*a?".repeat(900);
        let rows = [
            (&nasty, Case::Sensitive),
            (&[&b"*"[..], &half, b"b"].concat(), Case::Insensitive),
            (&class, Case::Sensitive),
            (&[&stars[..], &half, b"?b*"].concat(), Case::Sensitive),
        ];
        for (pattern, case) in rows {
            let mut budget = Budget::COMMAND;
            let shown = text_start(pattern);
            assert_eq!(glob_match(pattern, &text, case, &mut budget), Err(TooMuch), "{shown}");
            assert_eq!(budget.left, 0, "{shown}: it is given up when nothing is left");
            assert_eq!(glob_match(pattern, &text, case, &mut budget), Err(TooMuch), "{shown}: nothing again");
            assert_eq!(glob_match(b"*?b*", b"aab", case, &mut budget), Ok(true), "{shown}: short ones go on");
        }
    }

    fn text_start(pattern: &[u8]) -> String {
        String::from_utf8_lossy(&pattern[..pattern.len().min(20)]).into_owned()
    }

    #[test]
    fn what_a_match_needs_in_any_case_is_free() {
        let long = vec![b'a'; 1 << 20];
        let rows: [(&[u8], &[u8], bool); 5] = [
            (b"*?b*", &long, false),
            (b"a?*", &long, true),
            (&[&b"*"[..], &long].concat(), &long[..10], false),
            (&[&b"*"[..], &long[..200], b"?b*"].concat(), &long[..400], false),
            (&[&b"["[..], &long[..60_000], b"]*"].concat(), &long, true),
        ];
        for (pattern, text, matches) in rows {
            assert_eq!(steps_of(pattern, text, Case::Sensitive), (0, matches), "{}", text_start(pattern));
        }
    }

    #[test]
    fn patterns_and_texts_of_kilobytes_are_decided() {
        let text = vec![b'a'; 4 << 10];
        for case in [Case::Sensitive, Case::Insensitive] {
            for length in [1, 1 << 10, 2 << 10, 4 << 10] {
                let pattern = [&b"*"[..], &text[..length - 1], b"?b*"].concat();
                assert!(!decided(&pattern, &text, case), "{length}");
            }
        }
        let (pattern, text) = ([&b"*"[..], &text[..1 << 10], b"?b*"].concat(), &text[..2 << 10]);
        let mut budget = Budget::ONE_OF_MANY;
        assert_eq!(glob_match(&pattern, text, Case::Sensitive, &mut budget), Ok(false));
    }

    #[test]
    fn only_a_thousand_stars_count() {
        let text = [b'a'; 3000];
        let rows = [
            ("*?", 1000, "", true),
            ("**?", 1000, "*", true),
            ("*?", 1001, "", false),
            ("*a", 1500, "*", false),
        ];
        for (part, times, end, matches) in rows {
            let pattern = part.repeat(times) + end;
            assert_eq!(decided(pattern.as_bytes(), &text, Case::Sensitive), matches, "{part} {times}");
        }
    }

    /// The same language by plain recursion, for patterns and texts of a few bytes.
    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|eaten| model(&pattern[1..], &text[eaten..])),
            Some(_) => {
                let Some((&byte, rest)) = text.split_first() else { return false };
                model_one(pattern, byte).is_some_and(|length| model(&pattern[length..], rest))
            }
        }
    }

    fn model_one(pattern: &[u8], byte: u8) -> Option<usize> {
        match pattern[0] {
            b'?' => Some(1),
            b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
            b'[' => {
                let negated = pattern.get(1) == Some(&b'^');
                let mut members = std::collections::HashSet::new();
                let mut rest = &pattern[1 + usize::from(negated)..];
                while !rest.is_empty() && rest[0] != b']' {
                    let length = if rest[0] == b'\\' && rest.len() >= 2 {
                        members.insert(rest[1]);
                        2
                    } else if rest.len() >= 3 && rest[1] == b'-' {
                        members.extend(rest[0].min(rest[2])..=rest[0].max(rest[2]));
                        3
                    } else {
                        members.insert(rest[0]);
                        1
                    };
                    rest = &rest[length..];
                }
                let length = pattern.len() - rest.len() + usize::from(!rest.is_empty());
                (members.contains(&byte) != negated).then_some(length)
            }
            literal => (literal == byte).then_some(1),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn it_agrees_with_plain_recursion(
            pattern in proptest::collection::vec(proptest::sample::select(b"**?[]^-\\abc".to_vec()), 0..9),
            text in proptest::collection::vec(proptest::sample::select(b"abc-]\\".to_vec()), 1..7),
        ) {
            let got = decided(&pattern, &text, Case::Sensitive);
            prop_assert_eq!(got, model(&pattern, &text));
        }
    }
}
