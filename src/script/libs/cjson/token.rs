//! JSON as tokens: [`Reader`].
//!
//! A zero byte ends the text, wherever it stands.

use crate::base::number::strtod;

/// A piece of JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token {
    /// `{`
    ObjectBegin,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayBegin,
    /// `]`
    ArrayEnd,
    /// A string, which [`Reader::string`] gives.
    String,
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`
    Null,
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// The end of the text.
    End,
    /// What is no JSON, and why.
    Fault(&'static str),
}

impl Token {
    /// What errors call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Fault(reason) => reason,
        }
    }
}

/// A text that is read token by token.
pub(super) struct Reader<'a> {
    text: &'a [u8],
    /// Bytes that are read.
    pub(super) at: usize,
    /// Where the last token begins, or the fault is.
    pub(super) token_at: usize,
    /// Numbers that JSON does not have are read too.
    invalid_numbers: bool,
    /// Where the last string stands in the text, if it is there as it is.
    plain: Option<(usize, usize)>,
    /// The last string otherwise.
    unescaped: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// At the start of `text`, for numbers of JSON.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Reader { text, at: 0, token_at: 0, invalid_numbers: false, plain: None, unescaped: Vec::new() }
    }

    /// Reads also numbers that JSON does not have: `nan`, `inf`, `0x10`, `+1`, `007`.
    pub(super) fn with_invalid_numbers(self) -> Self {
        Reader { invalid_numbers: true, ..self }
    }

    /// The string that was the last token.
    pub(super) fn string(&self) -> &[u8] {
        match self.plain {
            Some((start, end)) => &self.text[start..end],
            None => &self.unescaped,
        }
    }

    /// The byte so many behind the position; zero behind the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at.min(self.text.len())..]
    }

    /// The next token.
    pub(super) fn next_token(&mut self) -> Token {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        match self.peek(0) {
            b'{' => self.sign(Token::ObjectBegin),
            b'}' => self.sign(Token::ObjectEnd),
            b'[' => self.sign(Token::ArrayBegin),
            b']' => self.sign(Token::ArrayEnd),
            b',' => self.sign(Token::Comma),
            b':' => self.sign(Token::Colon),
            0 => Token::End,
            b'"' => self.quoted(),
            b'-' | b'0'..=b'9' if self.invalid_numbers || !self.is_invalid_number() => self.number(),
            b'-' | b'0'..=b'9' => self.fault("invalid number"),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => self.word(),
            _ => self.fault("invalid token"),
        }
    }

    fn sign(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn fault(&mut self, reason: &'static str) -> Token {
        self.token_at = self.at;
        Token::Fault(reason)
    }

    fn word(&mut self) -> Token {
        let words: [(&[u8], Token); 3] =
            [(b"true", Token::Boolean(true)), (b"false", Token::Boolean(false)), (b"null", Token::Null)];
        let rest = self.rest();
        if let Some((word, token)) = words.into_iter().find(|(word, _)| rest.starts_with(word)) {
            self.at += word.len();
            return token;
        }
        if self.invalid_numbers && self.is_invalid_number() {
            return self.number();
        }
        self.fault("invalid token")
    }

    /// What `strtod` may read but JSON does not have.
    fn is_invalid_number(&self) -> bool {
        if self.peek(0) == b'+' {
            return true;
        }
        let sign = usize::from(self.peek(0) == b'-');
        match self.peek(sign) {
            b'0' => matches!(self.peek(sign + 1), b'x' | b'X' | b'0'..=b'9'),
            b'i' | b'I' | b'n' | b'N' => {
                let word = self.rest().get(sign..sign + 3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
            _ => false,
        }
    }

    fn number(&mut self) -> Token {
        if let Some((value, length)) = short_integer(self.rest()) {
            self.at += length;
            return Token::Number(value);
        }
        let number = strtod(self.rest());
        if number.consumed == 0 {
            return self.fault("invalid number");
        }
        self.at += number.consumed;
        Token::Number(number.value)
    }

    fn quoted(&mut self) -> Token {
        self.at += 1;
        let start = self.at;
        let length = self.plain_length();
        self.at += length;
        if self.peek(0) == b'"' {
            self.plain = Some((start, self.at));
            self.at += 1;
            return Token::String;
        }
        self.plain = None;
        self.unescaped.clear();
        self.unescaped.extend_from_slice(&self.text[start..self.at]);
        self.escaped()
    }

    /// How many bytes of a string stand for themselves.
    fn plain_length(&self) -> usize {
        let rest = self.rest();
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0);
        rest.iter().position(is_special).unwrap_or(rest.len())
    }

    /// The rest of a string from its first escape on.
    fn escaped(&mut self) -> Token {
        loop {
            let length = self.plain_length();
            self.unescaped.extend_from_slice(&self.rest()[..length]);
            self.at += length;
            let result = match self.peek(0) {
                b'"' => return self.sign(Token::String),
                b'\\' if self.peek(1) == b'u' => self.unicode().ok_or("invalid unicode escape code"),
                b'\\' => self.short_escape().ok_or("invalid escape code"),
                _ => Err("unexpected end of string"),
            };
            if let Err(reason) = result {
                return self.fault(reason);
            }
        }
    }

    fn short_escape(&mut self) -> Option<()> {
        let byte = match self.peek(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            _ => return None,
        };
        self.unescaped.push(byte);
        self.at += 2;
        Some(())
    }

    /// `\uXXXX`, or two of them for what needs more than 16 bits. A half of such a pair alone is a
    /// fault.
    fn unicode(&mut self) -> Option<()> {
        let first = self.unit(2)?;
        let (code, length) = match first {
            0xd800..=0xdbff => {
                let second = if self.peek(6) == b'\\' && self.peek(7) == b'u' { self.unit(8)? } else { 0 };
                let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                (0x10000 + ((first - 0xd800) << 10) + low, 12)
            }
            _ => (first, 6),
        };
        let mut utf8 = [0; 4];
        self.unescaped.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut utf8).as_bytes());
        self.at += length;
        Some(())
    }

    /// Four hexadecimal digits.
    fn unit(&self, ahead: usize) -> Option<u32> {
        (ahead..ahead + 4)
            .try_fold(0, |unit, ahead| Some(unit << 4 | char::from(self.peek(ahead)).to_digit(16)?))
    }
}

/// A number of a few digits and nothing else, and its length: what most numbers are.
fn short_integer(text: &[u8]) -> Option<(f64, usize)> {
    const MOST_DIGITS: usize = 15;
    let sign = usize::from(text.first() == Some(&b'-'));
    let digits = text[sign..].iter().take(MOST_DIGITS).take_while(|byte| byte.is_ascii_digit());
    let (count, value) =
        digits.fold((0, 0u64), |(count, value), digit| (count + 1, value * 10 + u64::from(digit - b'0')));
    // Anything else that may belong to a number is not for this.
    let next = text.get(sign + count).copied().unwrap_or(0);
    if count == 0 || matches!(next, b'0'..=b'9' | b'.' | b'e' | b'E' | b'x' | b'X') {
        return None;
    }
    let value = value as f64;
    Some((if sign == 1 { -value } else { value }, sign + count))
}
