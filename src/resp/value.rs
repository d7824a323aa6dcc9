//! A reply read back: [`Value`], for tests, links and tools. `Display` shows it as redis-cli does.

use crate::base::text::quote;
use std::fmt;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+OK`.
    Simple(String),
    /// `-ERR …`, without the dash.
    Error(String),
    /// `:1`.
    Integer(i64),
    /// `$3 abc`.
    Bulk(Vec<u8>),
    /// `$-1`, `*-1` or `_`.
    Null,
    /// `*2 …`.
    Array(Vec<Value>),
    /// `%1 …`.
    Map(Vec<(Value, Value)>),
    /// `~2 …`.
    Set(Vec<Value>),
    /// `>2 …`.
    Push(Vec<Value>),
    /// `,3.5`, its digits.
    Double(String),
    /// `#t`.
    Boolean(bool),
    /// `(123`, its digits.
    BigNumber(String),
    /// `=7 txt:abc`: format and text.
    Verbatim(String, Vec<u8>),
}

/// Bytes that are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a RESP reply at byte {at}")]
pub struct NotResp {
    /// The place where reading stopped.
    pub at: usize,
}

/// Answers nested deeper are refused.
const MAX_DEPTH: usize = 128;

impl Value {
    /// Reads one answer from the start of `bytes`. Returns it with the number of bytes it took,
    /// `None` when more bytes are needed.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Value, usize)>, NotResp> {
        let mut reader = Reader { bytes, at: 0 };
        Ok(reader.value(0)?.map(|value| (value, reader.at)))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Option<Value>, NotResp> {
        let Some((kind, line)) = self.head()? else { return Ok(None) };
        let text = || String::from_utf8_lossy(line).into_owned();
        Ok(Some(match kind {
            b'+' => Value::Simple(text()),
            b'-' => Value::Error(text()),
            b':' => Value::Integer(self.number(line)?),
            b'_' => Value::Null,
            b',' => Value::Double(text()),
            b'#' => Value::Boolean(line == b"t"),
            b'(' => Value::BigNumber(text()),
            b'$' | b'=' => return self.bulk(kind, line),
            b'*' | b'~' | b'>' | b'%' => return self.aggregate(kind, line, depth),
            _ => return Err(NotResp { at: self.at }),
        }))
    }

    fn bulk(&mut self, kind: u8, line: &[u8]) -> Result<Option<Value>, NotResp> {
        let Ok(len) = usize::try_from(self.number(line)?) else { return Ok(Some(Value::Null)) };
        let Some(body) = self.bytes.get(self.at..self.at + len) else { return Ok(None) };
        if self.bytes.len() < self.at + len + 2 {
            return Ok(None);
        }
        self.at += len + 2;
        if kind == b'$' {
            return Ok(Some(Value::Bulk(body.to_vec())));
        }
        let (format, text) = body.split_at_checked(4).ok_or(NotResp { at: self.at })?;
        Ok(Some(Value::Verbatim(String::from_utf8_lossy(&format[..3]).into_owned(), text.to_vec())))
    }

    fn aggregate(&mut self, kind: u8, line: &[u8], depth: usize) -> Result<Option<Value>, NotResp> {
        let Ok(len) = usize::try_from(self.number(line)?) else { return Ok(Some(Value::Null)) };
        if depth >= MAX_DEPTH {
            return Err(NotResp { at: self.at });
        }
        let mut items = Vec::new();
        for _ in 0..if kind == b'%' { len * 2 } else { len } {
            let Some(item) = self.value(depth + 1)? else { return Ok(None) };
            items.push(item);
        }
        Ok(Some(match kind {
            b'*' => Value::Array(items),
            b'~' => Value::Set(items),
            b'>' => Value::Push(items),
            _ => {
                let mut items = items.into_iter();
                Value::Map(std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect())
            }
        }))
    }

    fn head(&mut self) -> Result<Option<(u8, &'a [u8])>, NotResp> {
        let rest = &self.bytes[self.at..];
        let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(None) };
        if end < 2 || rest[end - 1] != b'\r' {
            return Err(NotResp { at: self.at });
        }
        self.at += end + 1;
        Ok(Some((rest[0], &rest[1..end - 1])))
    }

    fn number(&self, line: &[u8]) -> Result<i64, NotResp> {
        crate::base::number::parse_i64(line).ok_or(NotResp { at: self.at })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(out, 0)
    }
}

impl Value {
    fn show(&self, out: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        match self {
            Value::Simple(text) => out.write_str(text),
            Value::Error(text) => write!(out, "(error) {text}"),
            Value::Integer(value) => write!(out, "(integer) {value}"),
            Value::Bulk(bytes) => out.write_str(&String::from_utf8_lossy(&quote(bytes))),
            Value::Null => out.write_str("(nil)"),
            Value::Double(digits) => write!(out, "(double) {digits}"),
            Value::Boolean(value) => write!(out, "({value})"),
            Value::BigNumber(digits) => write!(out, "(big number) {digits}"),
            Value::Verbatim(_, text) => out.write_str(&String::from_utf8_lossy(text)),
            Value::Array(items) => show_items(items, ')', "(empty array)", out, indent),
            Value::Set(items) => show_items(items, '~', "(empty set)", out, indent),
            Value::Push(items) => show_items(items, '>', "(empty push)", out, indent),
            Value::Map(pairs) => show_pairs(pairs, out, indent),
        }
    }
}

fn show_items(
    items: &[Value],
    mark: char,
    empty: &str,
    out: &mut fmt::Formatter<'_>,
    indent: usize,
) -> fmt::Result {
    if items.is_empty() {
        return out.write_str(empty);
    }
    let width = items.len().to_string().len();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            write!(out, "\n{:indent$}", "")?;
        }
        write!(out, "{:>width$}{mark} ", index + 1)?;
        item.show(out, indent + width + 2)?;
    }
    Ok(())
}

fn show_pairs(pairs: &[(Value, Value)], out: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
    if pairs.is_empty() {
        return out.write_str("(empty hash)");
    }
    let width = pairs.len().to_string().len();
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            write!(out, "\n{:indent$}", "")?;
        }
        write!(out, "{:>width$}# ", index + 1)?;
        key.show(out, indent + width + 2)?;
        out.write_str(" => ")?;
        value.show(out, indent + width + 2)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_answers_as_redis_cli_does() {
        let cases: [(&str, &str); 8] = [
            ("+OK\r\n", "OK"),
            (":5\r\n", "(integer) 5"),
            ("$2\r\na\n\r\n", "\"a\\n\""),
            ("*-1\r\n", "(nil)"),
            ("*2\r\n$1\r\na\r\n*2\r\n:1\r\n:2\r\n", "1) \"a\"\n2) 1) (integer) 1\n   2) (integer) 2"),
            ("%1\r\n+k\r\n#t\r\n", "1# k => (true)"),
            ("=6\r\ntxt:hi\r\n", "hi"),
            (",3.5\r\n", "(double) 3.5"),
        ];
        for (bytes, shown) in cases {
            let (value, used) = Value::parse(bytes.as_bytes()).expect("valid").expect("whole");
            assert_eq!((value.to_string().as_str(), used), (shown, bytes.len()));
            for cut in 0..bytes.len() {
                assert_eq!(Value::parse(&bytes.as_bytes()[..cut]), Ok(None), "{bytes:?} cut at {cut}");
            }
        }
        assert!(Value::parse(b"?\r\n").is_err());
    }
}
