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
//! the product.
//!
//! Classes keep the quirks clients can observe:
//! - an unterminated class ends with the pattern (`[abc` is `[abc]`, `[^` any byte, `[` none);
//! - a range may be written backwards, and its bounds are compared as *signed* bytes;
//! - `]` always closes, so `[]` is empty; an escaped byte in a class is case-sensitive, always;
//! - of more than a thousand stars the later ones match nothing;
//! - the empty text matches only the empty pattern, not even `*`.

use memchr::memmem;

/// Whether letters of the ASCII alphabet match regardless of case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `a` and `A` differ.
    Sensitive,
    /// `a` and `A` match.
    Insensitive,
}

/// Stars beyond these match nothing, unless they end the pattern; some in a row count as one.
const MAX_STARS: usize = 1000;

/// Whether `pattern` matches all of `text`.
#[must_use]
pub fn glob_match(pattern: &[u8], text: &[u8], case: Case) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut position) = (0, 0);
    // Where to go on after the last star, and the first byte that star has not eaten.
    let mut last_star: Option<(usize, usize)> = None;
    let mut stars = 0;
    while position < text.len() {
        if pattern.get(at) == Some(&b'*') {
            at += pattern[at..].iter().take_while(|&&byte| byte == b'*').count();
            if at == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > MAX_STARS {
                return false;
            }
            let literal = plain_part(&pattern[at..]);
            match pattern.get(at + literal.len()) {
                // What stands between two stars, or behind the last one, needs no going back if it
                // is plain.
                Some(b'*') if case == Case::Sensitive => {
                    let Some(found) = memmem::find(&text[position..], literal) else { return false };
                    (at, position) = (at + literal.len(), position + found + literal.len());
                }
                None if case == Case::Sensitive => return text[position..].ends_with(literal),
                _ => last_star = Some((at, position)),
            }
        } else if let Some(next) = match_one(pattern, at, text[position], case) {
            at = next;
            position += 1;
        } else if let Some((after, eaten)) = &mut last_star {
            *eaten += 1;
            (at, position) = (*after, *eaten);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// The bytes at the front of a pattern that mean themselves.
fn plain_part(pattern: &[u8]) -> &[u8] {
    let special = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    &pattern[..special.unwrap_or(pattern.len())]
}

/// Matches the part of the pattern at `at` with one byte; returns where the next part starts.
fn match_one(pattern: &[u8], at: usize, byte: u8, case: Case) -> Option<usize> {
    let (literal, next) = match *pattern.get(at)? {
        b'?' => return Some(at + 1),
        b'[' => return match_class(pattern, at + 1, byte, case),
        b'\\' if at + 1 < pattern.len() => (pattern[at + 1], at + 2),
        literal => (literal, at + 1),
    };
    same(literal, byte, case).then_some(next)
}

/// Matches the class whose inside starts at `at`; returns the place after it.
fn match_class(pattern: &[u8], mut at: usize, byte: u8, case: Case) -> Option<usize> {
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
    (found != negated).then_some(end)
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
            let got = glob_match(pattern.as_bytes(), text.as_bytes(), Case::Sensitive);
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
            assert_eq!(glob_match(pattern, text, Case::Insensitive), expected, "{pattern:?}");
        }
    }

    #[test]
    fn ranges_compare_signed_bytes() {
        assert!(glob_match(b"[\x80-\xff]", b"\xc0", Case::Sensitive));
        assert!(glob_match(b"[a-\xff]", b"A", Case::Sensitive));
        assert!(!glob_match(b"[a-\xff]", b"z", Case::Sensitive));
        assert!(glob_match(b"[\x80-\xfe]", b"\xc0", Case::Insensitive));
        assert!(!glob_match(b"[\x80-\xff]", b"\xc0", Case::Insensitive));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"a*".repeat(1000);
        let mut text = b"a".repeat(20_000);
        assert!(glob_match(&pattern, &text, Case::Sensitive));
        let pattern = [&pattern[..], b"b"].concat();
        assert!(!glob_match(&pattern, &text, Case::Sensitive));
        text.push(b'b');
        assert!(glob_match(&pattern, &text, Case::Sensitive));
    }

    #[test]
    fn plain_bytes_between_stars_take_no_product_of_lengths() {
        // By going back byte by byte each of these takes 4 * 10^12 steps, which is hours.
        let text = vec![b'a'; 4 << 20];
        let half = vec![b'a'; 2 << 20];
        for (end, matches) in [(&b"b"[..], false), (b"b*", false), (b"*b*", false), (b"", true), (b"*", true)]
        {
            let pattern = [&b"*"[..], &half, end].concat();
            assert_eq!(glob_match(&pattern, &text, Case::Sensitive), matches, "{end:?}");
        }
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
            assert_eq!(glob_match(pattern.as_bytes(), &text, Case::Sensitive), matches, "{part} {times}");
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
            let got = glob_match(&pattern, &text, Case::Sensitive);
            prop_assert_eq!(got, model(&pattern, &text));
        }
    }
}
