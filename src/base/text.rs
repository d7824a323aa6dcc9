//! Lines of text: splitting one into arguments, quoting bytes for people, sizes with units.
//!
//! The quoting here is the one of inline commands, configuration lines and MONITOR: what [`quote`]
//! writes, [`split_args`] reads back.

use super::float_text::is_c_space;
use std::borrow::Cow;
use std::io;
use std::ops::Range;

/// Bytes of a key or another name of a file that [`shown`] shows.
const MAX_SHOWN_BYTES: usize = 100;
/// Code points that stand for bytes which are no UTF-8: this much above the byte. They lie at the
/// end of the last private plane.
const STAND_IN: u32 = 0x10_FF00;

/// Returns the text of the system for an error, without Rust's `(os error 28)`.
#[must_use]
pub fn os_reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Any bytes as text that loses nothing: [`original`] gives them back.
///
/// Error and log lines quote what clients send, in bytes; lines are put together from `str`. Bytes
/// that are no UTF-8, or would be taken for a stand-in, go byte by byte as a stand-in.
#[must_use]
pub fn lossless(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = str::from_utf8(bytes)
        && !text.contains(is_stand_in)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len());
    let stand_ins = |bytes: &[u8], out: &mut String| {
        out.extend(bytes.iter().filter_map(|&byte| char::from_u32(STAND_IN + u32::from(byte))));
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match is_stand_in(c) {
                true => stand_ins(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut out),
                false => out.push(c),
            }
        }
        stand_ins(chunk.invalid(), &mut out);
    }
    Cow::Owned(out)
}

/// The bytes that [`lossless`] carried in `text`.
#[must_use]
pub fn original(text: &str) -> Cow<'_, [u8]> {
    if text.is_ascii() || !text.contains(is_stand_in) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match is_stand_in(c) {
            true => out.push((u32::from(c) - STAND_IN) as u8),
            false => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(out)
}

fn is_stand_in(c: char) -> bool {
    u32::from(c) >= STAND_IN + 0x80
}

/// Most digits a memory size may have.
const MAX_SIZE_DIGITS: usize = 127;

/// Returns the part of `text` that C sees: it ends at the first NUL.
#[must_use]
pub fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The arguments of a line, or `None` when a quote is unbalanced or has text glued behind it.
///
/// `"…"` understands `\n \r \t \b \a \xHH` and takes any other escaped byte literally; `'…'` only
/// `\'`. A quote may open in the middle of a word. The line ends at the first NUL.
#[must_use]
pub fn split_args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = line.split(|&c| c == 0).next().unwrap_or_default();
    let mut args = Vec::new();
    loop {
        let space = rest.iter().take_while(|&&c| is_c_space(c)).count();
        rest = &rest[space..];
        if rest.is_empty() {
            return Some(args);
        }
        let mut arg = Vec::new();
        rest = read_word(rest, &mut arg)?;
        args.push(arg);
    }
}

/// Returns the ranges of the words of [`split_args`] in a line that has neither quotes nor a NUL;
/// `None` for others. Allocates nothing.
pub fn plain_words(line: &[u8]) -> Option<impl Iterator<Item = Range<usize>>> {
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'' | 0)) {
        return None;
    }
    let mut at = 0;
    Some(std::iter::from_fn(move || {
        at += line[at..].iter().take_while(|&&c| is_c_space(c)).count();
        let start = at;
        at += line[at..].iter().take_while(|c| !matches!(c, b' ' | b'\n' | b'\r' | b'\t')).count();
        (at > start).then_some(start..at)
    }))
}

/// `bytes` in double quotes, with everything outside printable ASCII escaped.
#[must_use]
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut out = Vec::with_capacity(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'x', HEX[high], HEX[low]]);
            }
        }
    }
    out.push(b'"');
    out
}

/// A name that nobody has checked, for a line of the log: quoted, shortened, fit for a terminal.
#[must_use]
pub fn shown(name: &[u8]) -> String {
    let start = &name[..name.len().min(MAX_SHOWN_BYTES)];
    let rest = if start.len() < name.len() { "..." } else { "" };
    format!("'{}'{rest}", start.escape_ascii())
}

/// True when `bytes` is `word` but for the case of ASCII letters.
#[inline]
#[must_use]
pub fn eq_ignore_case(bytes: &[u8], word: &str) -> bool {
    bytes.eq_ignore_ascii_case(word.as_bytes())
}

/// A size in bytes with an optional unit: `100`, `1b`, `1k` (1000), `1kb` (1024), … up to `g`,
/// `gb`.
///
/// Follows the C original into its corners: no digits are 0, too many digits are `u64::MAX`, and
/// the product with the unit wraps around. The text ends at the first NUL.
#[must_use]
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let text = text.split(|&c| c == 0).next().unwrap_or_default();
    let length = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(length);
    let factor: u64 = match &unit.to_ascii_lowercase()[..] {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    if digits.len() > MAX_SIZE_DIGITS {
        return None;
    }
    let size = digits
        .iter()
        .try_fold(0u64, |n, &c| n.checked_mul(10)?.checked_add(u64::from(c - b'0')))
        .unwrap_or(u64::MAX);
    Some(size.wrapping_mul(factor))
}

/// Reads one word into `arg` and returns what follows it.
fn read_word<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match *rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(rest),
            [b'"', ref inside @ ..] => return read_double_quoted(inside, arg),
            [b'\'', ref inside @ ..] => return read_single_quoted(inside, arg),
            [byte, ref after @ ..] => {
                arg.push(byte);
                rest = after;
            }
        }
    }
}

fn read_double_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match *rest {
            [] => return None,
            [b'\\', b'x', high, low, ref after @ ..] if is_hex(high) && is_hex(low) => {
                (hex_value(high) << 4 | hex_value(low), after)
            }
            [b'\\', escaped, ref after @ ..] => (unescape(escaped), after),
            [b'"', ref after @ ..] => return end_of_quote(after),
            [byte, ref after @ ..] => (byte, after),
        };
        arg.push(byte);
        rest = after;
    }
}

fn read_single_quoted<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match *rest {
            [] => return None,
            [b'\\', b'\'', ref after @ ..] => (b'\'', after),
            [b'\'', ref after @ ..] => return end_of_quote(after),
            [byte, ref after @ ..] => (byte, after),
        };
        arg.push(byte);
        rest = after;
    }
}

/// A closing quote must be followed by a space or nothing at all.
fn end_of_quote(after: &[u8]) -> Option<&[u8]> {
    after.first().is_none_or(|&c| is_c_space(c)).then_some(after)
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn hex_value(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lossless_text_gives_any_bytes_back() {
        let rows: &[&[u8]] = &[
            b"",
            b"plain",
            "caf\u{e9} \u{10fffd}".as_bytes(),
            b"\xff\x80a\xc3",
            b"\xf4\x8f\xbf\xbf\xf4\x8f",
        ];
        for bytes in rows {
            assert_eq!(*original(&lossless(bytes)), **bytes, "{bytes:?}");
            let line = format!("ERR '{}' is wrong", lossless(bytes));
            assert_eq!(*original(&line), [b"ERR '".as_slice(), bytes, b"' is wrong"].concat());
        }
        assert!(matches!(lossless("caf\u{e9}".as_bytes()), Cow::Borrowed(_)));
        let all: Vec<u8> = (0..=255).flat_map(|high| (0..=255).flat_map(move |low| [high, low])).collect();
        assert_eq!(*original(&lossless(&all)), *all);
    }

    #[test]
    fn lines_split_into_arguments() {
        let rows: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"  \t ", &[]),
            (b"get  key\r\n", &[b"get", b"key"]),
            (b"set k \"\"", &[b"set", b"k", b""]),
            (b"'' x", &[b"", b"x"]),
            (b"\"a b\" 'c d'", &[b"a b", b"c d"]),
            (b"\"\\n\\r\\t\\b\\a\\q\\\\\\\"\"", &[b"\n\r\t\x08\x07q\\\""]),
            (b"\"\\x00\\xfF\\xg1\\x1\"", &[b"\x00\xffxg1x1"]),
            (b"'\\n\\'\\x41\"'", &[b"\\n'\\x41\""]),
            (b"a\"b c\" d", &[b"ab c", b"d"]),
            (b"a'b' d", &[b"ab", b"d"]),
            (b"a\\ b", &[b"a\\", b"b"]),
            (b"\"a\"\x0bb", &[b"a", b"b"]),
            (b"a\x0bb", &[b"a\x0bb"]),
            (b"\x0b\x0ca", &[b"a"]),
            (b"ab\0cd", &[b"ab"]),
            (b"\xff\xfe", &[b"\xff\xfe"]),
        ];
        for &(line, expected) in rows {
            let got = split_args(line).unwrap_or_else(|| panic!("{line:?}"));
            assert_eq!(got, expected, "{line:?}");
        }
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        let rows: &[&[u8]] = &[
            b"\"",
            b"'",
            b"a \"b",
            b"a 'b",
            b"\"a\"b",
            b"'a'b",
            b"\"a\"\"b\"",
            b"\"a\\\"",
            b"\"a\0\"",
            b"'a\\'",
        ];
        for &line in rows {
            assert_eq!(split_args(line), None, "{line:?}");
        }
    }

    #[test]
    fn quoting_escapes_what_is_not_printable() {
        let rows: &[(&[u8], &[u8])] = &[
            (b"", b"\"\""),
            (b"a b~", b"\"a b~\""),
            (b"\"\\'", b"\"\\\"\\\\'\""),
            (b"\n\r\t\x07\x08", b"\"\\n\\r\\t\\a\\b\""),
            (b"\0\x1f\x7f\xff", b"\"\\x00\\x1f\\x7f\\xff\""),
        ];
        for &(bytes, expected) in rows {
            assert_eq!(quote(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn words_compare_without_case() {
        assert!(eq_ignore_case(b"WithScores", "WITHSCORES"));
        assert!(eq_ignore_case(b"", ""));
        assert!(!eq_ignore_case(b"withscore", "WITHSCORES"));
        assert!(!eq_ignore_case(b"k\xe9", "K\u{c9}"));
    }

    #[test]
    fn memory_sizes_are_read_as_config_set_reads_them() {
        // Checked with CONFIG SET maxmemory on Redis 7.0.15.
        let good = [
            ("0", 0),
            ("", 0),
            ("kb", 0),
            ("1b", 1),
            ("0100", 100),
            ("1k", 1000),
            ("1KB", 1024),
            ("2m", 2_000_000),
            ("100mb", 100 << 20),
            ("1g", 1_000_000_000),
            ("1Gb", 1 << 30),
            ("18446744073709551615", u64::MAX),
            ("99999999999999999999", u64::MAX),
            ("20000000000g", 1_553_255_926_290_448_384),
        ];
        for (text, size) in good {
            assert_eq!(parse_memory(text.as_bytes()), Some(size), "{text:?}");
        }
        for text in ["-5", "5x", "1.5gb", " 5", "5 ", "1kbb", "1tb", "+1", &"1".repeat(128)] {
            assert_eq!(parse_memory(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_splits_back(args in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..12), 0..5)) {
            let line = args.iter().map(|arg| quote(arg)).collect::<Vec<_>>().join(&b' ');
            prop_assert_eq!(split_args(&line), Some(args));
        }

        #[test]
        fn plain_words_are_those_that_splitting_gives(line in proptest::collection::vec(
            prop_oneof![4 => Just(b' '), 4 => any::<u8>(), 2 => 9u8..14, 4 => b'a'..=b'z', 1 => Just(b'\\')], 0..30)) {
            let words = plain_words(&line).map(|words| words.map(|range| line[range].to_vec()).collect::<Vec<_>>());
            match words {
                Some(words) => prop_assert_eq!(Some(words), split_args(&line)),
                None => prop_assert!(line.iter().any(|byte| b"\"'\0".contains(byte))),
            }
        }
    }
}
