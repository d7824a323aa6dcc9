//! Values of Lua and answers of commands as the debugger shows them: [`value`], [`answer`].
//!
//! Both stop when they have written as much as is shown, however large or deep a value is.

use crate::base::number::{self, format_f64_6g};
use crate::base::text::quote;
use crate::script::meter;
use mlua::{Lua, Result, Table, Value};

/// Tables in tables that are shown.
const MAX_TABLES: usize = 10;
/// Arrays in arrays of an answer that are shown.
const MAX_ARRAYS: usize = 1000;

/// Appends `value` to `line`, which becomes no longer than some bytes over `limit_bytes`, strings
/// but for their first bytes not counted.
pub fn value(lua: &Lua, value: &Value, line: &mut Vec<u8>, limit_bytes: usize) -> Result<()> {
    Shower { lua, line, limit_bytes }.value(value, 0)
}

struct Shower<'l, 'o> {
    lua: &'l Lua,
    line: &'o mut Vec<u8>,
    limit_bytes: usize,
}

impl Shower<'_, '_> {
    fn is_full(&self) -> bool {
        self.line.len() > self.limit_bytes
    }

    fn put(&mut self, text: &str) {
        self.line.extend_from_slice(text.as_bytes());
    }

    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        if depth == MAX_TABLES {
            self.put("<max recursion level reached! Nested table?>");
            return Ok(());
        }
        meter::spend(self.lua, 1)?;
        match value {
            Value::Nil => self.put("nil"),
            Value::Boolean(value) => self.put(if *value { "true" } else { "false" }),
            Value::Integer(value) => format_f64_6g(*value as f64, self.line),
            Value::Number(value) => format_f64_6g(*value, self.line),
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Table(table) => self.table(table, depth)?,
            other => self.address(other),
        }
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) {
        put_text(bytes, self.line, self.limit_bytes);
    }

    fn address(&mut self, value: &Value) {
        let kind = match value {
            Value::Function(_) => "function",
            Value::Thread(_) => "thread",
            Value::LightUserData(_) => "light-userdata",
            _ => "userdata",
        };
        self.put(&format!("\"{kind}@{:p}\"", value.to_pointer()));
    }

    /// A table whose keys come as 1, 2, … is shown by its values alone.
    fn table(&mut self, table: &Table, depth: usize) -> Result<()> {
        let is_array = self.is_array(table)?;
        self.put("{");
        let mut is_first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::replace(&mut is_first, false) {
                self.put("; ");
            }
            if !is_array {
                self.put("[");
                self.value(&key, depth + 1)?;
                self.put("]=");
            }
            self.value(&value, depth + 1)?;
            if self.is_full() {
                break;
            }
        }
        self.put("}");
        Ok(())
    }

    fn is_array(&self, table: &Table) -> Result<bool> {
        let mut next = 1.0;
        for pair in table.pairs::<Value, Value>() {
            let (key, _) = pair?;
            let is_next = match key {
                Value::Integer(key) => key as f64 == next,
                Value::Number(key) => key == next,
                _ => false,
            };
            if !is_next {
                return Ok(false);
            }
            next += 1.0;
            if next > self.limit_bytes as f64 {
                // What is shown of it ends before the key that could tell.
                return Ok(true);
            }
            meter::spend(self.lua, 1)?;
        }
        Ok(true)
    }
}

/// Appends text in quotes, and no more of it than is shown.
fn put_text(bytes: &[u8], line: &mut Vec<u8>, limit_bytes: usize) {
    let shown = bytes.len().min(limit_bytes.saturating_sub(line.len()).saturating_add(1));
    line.extend_from_slice(&quote(&bytes[..shown]));
}

/// Appends the answer that stands in `bytes` to `line`, which becomes not much longer than
/// `limit_bytes`.
pub fn answer(bytes: &[u8], line: &mut Vec<u8>, limit_bytes: usize) {
    AnswerShower { rest: bytes, line, limit_bytes }.value(0);
}

struct AnswerShower<'b, 'o> {
    rest: &'b [u8],
    line: &'o mut Vec<u8>,
    limit_bytes: usize,
}

impl<'b> AnswerShower<'b, '_> {
    fn put(&mut self, text: &[u8]) {
        self.line.extend_from_slice(text);
    }

    /// Takes a line of the answer, without its end.
    fn take_line(&mut self) -> &'b [u8] {
        let end = memchr::memchr(b'\r', self.rest).unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn take_block(&mut self, len: usize) -> &'b [u8] {
        let block = self.rest.get(..len).unwrap_or_default();
        self.rest = self.rest.get(len + 2..).unwrap_or_default();
        block
    }

    fn value(&mut self, depth: usize) {
        if self.line.len() > self.limit_bytes || depth > MAX_ARRAYS {
            return;
        }
        let line = self.take_line();
        let Some((&kind, text)) = line.split_first() else { return };
        let len = number::parse_i64(text).and_then(|len| usize::try_from(len).ok());
        match (kind, len) {
            (b':', _) => self.put(text),
            (b'+' | b'-', _) => put_text(line, self.line, self.limit_bytes),
            (b'$', Some(len)) => {
                let block = self.take_block(len);
                put_text(block, self.line, self.limit_bytes);
            }
            (b'$' | b'*', None) => self.put(b"NULL"),
            (b'_', _) => self.put(b"(null)"),
            (b'#', _) => self.put(if text == b"t" { b"#true" } else { b"#false" }),
            (b',', _) => {
                self.put(b"(double) ");
                self.put(text);
            }
            (b'*', Some(len)) => self.values(len, [b"[", b"]"], depth),
            (b'~', Some(len)) => self.values(len, [b"~(", b")"], depth),
            (b'%', Some(len)) => self.pairs(len, depth),
            // The debugger of Redis shows nothing of these.
            (b'=', Some(len)) => drop(self.take_block(len)),
            _ => {}
        }
    }

    fn values(&mut self, len: usize, [open, close]: [&[u8]; 2], depth: usize) {
        self.put(open);
        for index in 0..len {
            if self.line.len() > self.limit_bytes {
                break;
            }
            if index > 0 {
                self.put(b",");
            }
            self.value(depth + 1);
        }
        self.put(close);
    }

    fn pairs(&mut self, len: usize, depth: usize) {
        self.put(b"{");
        for index in 0..len {
            if self.line.len() > self.limit_bytes {
                break;
            }
            if index > 0 {
                self.put(b",");
            }
            self.value(depth + 1);
            self.put(b" => ");
            self.value(depth + 1);
        }
        self.put(b"}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str) -> String {
        shown_within(code, 10_000)
    }

    fn shown_within(code: &str, limit_bytes: usize) -> String {
        let lua = Lua::new();
        let result: Value = lua.load(code).eval().expect("the value is made");
        let mut line = Vec::new();
        value(&lua, &result, &mut line, limit_bytes).expect("it is shown");
        String::from_utf8(line).expect("it is ASCII")
    }

    #[test]
    fn values_are_shown_as_the_debugger_of_redis_shows_them() {
        for (code, expected) in [
            ("nil", "nil"),
            ("true", "true"),
            ("1e15", "1e+15"),
            ("1/3", "0.333333"),
            ("'a\"\\1\\n'", "\"a\\\"\\x01\\n\""),
            ("{}", "{}"),
            ("{1, 'a', {false}}", "{1; \"a\"; {false}}"),
            ("{nil, 2}", "{[2]=2}"),
            ("{a={b=1}}", "{[\"a\"]={[\"b\"]=1}}"),
        ] {
            assert_eq!(shown(&format!("return {code}")), expected, "{code}");
        }
        assert!(shown("return print").starts_with("\"function@0x"));
        assert!(shown("return coroutine.create(function() end)").starts_with("\"thread@0x"));
    }

    #[test]
    fn a_table_in_itself_ends_at_a_depth() {
        let expected = format!(
            "{}<max recursion level reached! Nested table?>{}",
            "{".repeat(MAX_TABLES),
            "}".repeat(MAX_TABLES)
        );
        assert_eq!(shown("local t = {} t[1] = t return t"), expected);
    }

    #[test]
    fn what_is_not_shown_costs_nothing() {
        let many = shown_within("local t = {} for i = 1, 1000 do t[i] = t end return t", 300);
        assert!(many.len() < 1000, "{}", many.len());
        let long = shown_within("return string.rep('x', 1000000)", 300);
        assert!((300..400).contains(&long.len()), "{}", long.len());
        assert!(
            shown_within("local t = {} for i = 1, 1000 do t[i] = i end return t", 300)
                .starts_with("{1; 2; 3")
        );
    }

    #[test]
    fn answers_are_shown_as_the_debugger_of_redis_shows_them() {
        for (bytes, expected) in [
            (":5\r\n", "5"),
            ("$2\r\na\n\r\n", "\"a\\n\""),
            ("$-1\r\n", "NULL"),
            ("*-1\r\n", "NULL"),
            ("+OK\r\n", "\"+OK\""),
            ("-ERR x\r\n", "\"-ERR x\""),
            ("*0\r\n", "[]"),
            ("*3\r\n:1\r\n*1\r\n$1\r\na\r\n:2\r\n", "[1,[\"a\"],2]"),
            ("~2\r\n:1\r\n:2\r\n", "~(1,2)"),
            ("%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", "{\"+a\" => 1,\"+b\" => 2}"),
            ("_\r\n", "(null)"),
            ("#t\r\n", "#true"),
            ("#f\r\n", "#false"),
            (",1.5\r\n", "(double) 1.5"),
            ("*2\r\n=5\r\ntxt:a\r\n:7\r\n", "[,7]"),
            ("", ""),
        ] {
            let mut line = Vec::new();
            answer(bytes.as_bytes(), &mut line, 1000);
            assert_eq!(String::from_utf8_lossy(&line), expected, "{bytes:?}");
        }
        let mut line = Vec::new();
        answer(&[&b"*100000\r\n"[..], &b":1\r\n".repeat(100_000)].concat(), &mut line, 100);
        assert!(line.len() < 200);
        answer(&b"*1\r\n".repeat(100_000), &mut Vec::new(), 1_000_000);
    }
}
