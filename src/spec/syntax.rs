//! The syntax line of a command: the notation the Redis docs print, with annotations.
//!
//! ```text
//! key value                    arguments, lower case; the name implies the type (`key`: a key)
//! NX                           a token, upper case or symbols; `""` is the empty token
//! COUNT count                  a token that introduces an argument
//! [GET]  [COUNT count]         optional
//! [NX | XX]                    optional, one of several
//! <LEFT | RIGHT>               one of several
//! (offset count)               several that belong together; the docs print no parentheses
//! key [key ...]                one or more; the bracket repeats what stands before it
//! ```
//!
//! Annotations follow a word or a closing bracket without a space, and the docs print none of them.
//! They tell `COMMAND DOCS` what the line does not show:
//!
//! ```text
//! start:string                 the type, where the name implies another
//! [NX | XX]@condition          the name of a group or token; else it is made of the names inside
//! [GET]^6.2.0                  the version that added it
//! ip:port!2.8.12               the version that deprecated it
//! destination#2                the key spec; else the keys are counted from 0
//! ```
//!
//! [`parse`] makes the tree of [`Argument`]s, [`plain`] the line as the docs print it.

use std::fmt;

/// An argument, as `COMMAND DOCS` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// The kind of thing that it holds.
    pub kind: ArgumentKind,
    /// The word that introduces it, or, for a [`ArgumentKind::PureToken`], that it is.
    pub token: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// Is repeated together with its token.
    pub multiple_token: bool,
    /// The version that added it, where that is not the command's own.
    pub since: Option<&'static str>,
    /// The version that deprecated it.
    pub deprecated_since: Option<&'static str>,
    /// The number of the key spec that finds it.
    pub key_spec: Option<usize>,
    /// The members of a [`ArgumentKind::OneOf`] or [`ArgumentKind::Block`].
    pub arguments: Vec<Argument>,
}

/// The kind of thing that an argument holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentKind {
    /// Any bytes.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// The name of a key.
    Key,
    /// A glob.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// Only a word.
    PureToken,
    /// One of the arguments inside.
    OneOf,
    /// All of the arguments inside.
    Block,
}

impl ArgumentKind {
    /// The word `COMMAND DOCS` prints.
    pub const fn name(self) -> &'static str {
        match self {
            ArgumentKind::String => "string",
            ArgumentKind::Integer => "integer",
            ArgumentKind::Double => "double",
            ArgumentKind::Key => "key",
            ArgumentKind::Pattern => "pattern",
            ArgumentKind::UnixTime => "unix-time",
            ArgumentKind::PureToken => "pure-token",
            ArgumentKind::OneOf => "oneof",
            ArgumentKind::Block => "block",
        }
    }

    /// The kind of that name, among those a row may state.
    fn stated(name: &str) -> Option<ArgumentKind> {
        Some(match name {
            "string" => ArgumentKind::String,
            "integer" => ArgumentKind::Integer,
            "double" => ArgumentKind::Double,
            "key" => ArgumentKind::Key,
            "pattern" => ArgumentKind::Pattern,
            "unix-time" => ArgumentKind::UnixTime,
            _ => return None,
        })
    }

    /// The kind that an argument's name implies.
    fn implied(name: &str) -> ArgumentKind {
        match name {
            "key" | "key1" | "key2" | "newkey" | "source" | "sourcekey" | "src" | "destination"
            | "destkey" | "dst" => ArgumentKind::Key,
            "pattern" => ArgumentKind::Pattern,
            "unix-time-seconds" | "unix-time-milliseconds" => ArgumentKind::UnixTime,
            "longitude" | "latitude" | "radius" | "width" | "height" | "score" | "timeout" => {
                ArgumentKind::Double
            }
            "bit" | "client-id" | "count" | "cursor" | "decrement" | "destination-db" | "end-slot"
            | "entries_added" | "entries_read" | "frequency" | "increment" | "index" | "len" | "limit"
            | "milliseconds" | "numkeys" | "offset" | "port" | "rank" | "seconds" | "slot" | "start"
            | "start-slot" | "stop" | "ttl" | "weight" => ArgumentKind::Integer,
            _ => ArgumentKind::String,
        }
    }
}

/// The place where a syntax line breaks the rules of the notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The fault, in words.
    pub message: &'static str,
    /// The line from there on.
    pub rest: &'static str,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at `{}`", self.message, self.rest)
    }
}

impl std::error::Error for SyntaxError {}

/// The arguments of a syntax line.
pub fn parse(line: &'static str) -> Result<Vec<Argument>, SyntaxError> {
    let mut parser = Parser { line, position: 0, keys: 0 };
    let arguments = parser.sequence()?;
    if parser.peek().is_some() { Err(parser.error("unexpected")) } else { Ok(arguments) }
}

/// The line as the docs print it: without annotations and parentheses.
pub fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if is_word(first) {
            let (word, after) = rest.split_at(word_length(rest));
            out.push_str(split_annotations(word).0);
            rest = after;
            continue;
        }
        if first != '(' && first != ')' {
            out.push(first);
        }
        rest = &rest[first.len_utf8()..];
        // Annotations of a closing bracket.
        if matches!(first, ')' | ']' | '>') {
            rest = &rest[word_length(rest)..];
        }
    }
    out
}

fn is_word(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '[' | ']' | '<' | '>' | '(' | ')' | '|')
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// A word and its annotations. A lone symbol is a token and not an annotation.
fn split_annotations(word: &str) -> (&str, &str) {
    let typed = word.match_indices(':').find(|(at, _)| {
        let name = &word[at + 1..];
        let end = name.find(['@', '^', '!', '#']).unwrap_or(name.len());
        ArgumentKind::stated(&name[..end]).is_some()
    });
    let marked = word.char_indices().skip(1).find(|(_, c)| matches!(c, '@' | '^' | '!' | '#'));
    let end = [typed.map(|(at, _)| at), marked.map(|(at, _)| at)].into_iter().flatten().min();
    word.split_at(end.unwrap_or(word.len()))
}

/// A recursive-descent parser; the lines are our own, so the depth is what a row's author wrote.
struct Parser {
    line: &'static str,
    position: usize,
    keys: usize,
}

impl Parser {
    fn rest(&self) -> &'static str {
        &self.line[self.position..]
    }

    fn error(&self, message: &'static str) -> SyntaxError {
        SyntaxError { message, rest: self.rest() }
    }

    /// The next character that is not a space.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn word(&mut self) -> &'static str {
        let word = &self.rest()[..word_length(self.rest())];
        self.position += word.len();
        word
    }

    fn close(&mut self, bracket: char) -> Result<(), SyntaxError> {
        if self.peek() != Some(bracket) {
            return Err(self.error("missing bracket"));
        }
        self.position += 1;
        Ok(())
    }

    /// Arguments up to a bar, a closing bracket or the end.
    fn sequence(&mut self) -> Result<Vec<Argument>, SyntaxError> {
        let mut arguments = Vec::new();
        let mut starts = Vec::new();
        while let Some(next) = self.peek() {
            if matches!(next, '|' | ']' | ')' | '>') {
                break;
            }
            if let Some(repeated) = self.repetition() {
                self.repeat(&mut arguments, &mut starts, repeated)?;
                continue;
            }
            starts.push(self.position);
            arguments.push(self.argument()?);
        }
        Ok(arguments)
    }

    /// The words of a bracket that ends in `...`, if one stands here.
    fn repetition(&self) -> Option<&'static str> {
        let rest = self.rest().strip_prefix('[')?;
        let mut depth = 1;
        let end = rest.char_indices().find_map(|(at, c)| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            (depth == 0).then_some(at)
        })?;
        Some(rest[..end].strip_suffix("...")?.trim())
    }

    /// Marks what stands before a repeating bracket as repeated: as many arguments as it spells.
    fn repeat(
        &mut self,
        arguments: &mut Vec<Argument>,
        starts: &mut Vec<usize>,
        repeated: &'static str,
    ) -> Result<(), SyntaxError> {
        let end = self.position;
        for count in 1..=arguments.len() {
            let at = arguments.len() - count;
            let spelled = plain(self.line[starts[at]..end].trim());
            let own = spelled == repeated;
            let without_token = arguments[at].token.and_then(|token| spelled.strip_prefix(token));
            if !own && without_token.map(str::trim_start) != Some(repeated) {
                continue;
            }
            let inner = arguments.split_off(at);
            starts.truncate(at + 1);
            let mut argument = if count == 1 { inner.into_iter().next().expect("one") } else { block(inner) };
            argument.multiple = true;
            argument.multiple_token = own && argument.token.is_some();
            self.position += self.rest().find("...").map_or(0, |dots| dots + 3);
            self.close(']')?;
            self.annotate(&mut argument)?;
            arguments.push(argument);
            return Ok(());
        }
        Err(self.error("repeats something else"))
    }

    /// One argument with its token and annotations.
    fn argument(&mut self) -> Result<Argument, SyntaxError> {
        let Some(first) = self.peek() else { return Err(self.error("missing argument")) };
        if !is_word(first) {
            return self.bracket(first);
        }
        let whole = self.word();
        let (word, annotations) = split_annotations(whole);
        if word.contains(char::is_lowercase) {
            let mut argument = Argument::new(word, ArgumentKind::implied(word));
            self.apply(&mut argument, annotations)?;
            self.count_key(&mut argument);
            return Ok(argument);
        }
        let token = if word == "\"\"" { "" } else { word };
        let introduces = annotations.is_empty()
            && matches!(self.peek(), Some(c) if c.is_lowercase() || c == '(' || c == '<');
        let mut argument = if introduces {
            self.argument()?
        } else {
            Argument::new(&token.to_lowercase(), ArgumentKind::PureToken)
        };
        argument.token = Some(token);
        self.apply(&mut argument, annotations)?;
        Ok(argument)
    }

    /// A bracketed group with its annotations.
    fn bracket(&mut self, open: char) -> Result<Argument, SyntaxError> {
        let shut = match open {
            '[' => ']',
            '<' => '>',
            '(' => ')',
            _ => return Err(self.error("unexpected")),
        };
        self.position += 1;
        let mut alternatives = vec![self.sequence()?];
        while self.peek() == Some('|') {
            self.position += 1;
            alternatives.push(self.sequence()?);
        }
        self.close(shut)?;
        if alternatives.iter().any(Vec::is_empty) {
            return Err(self.error("empty alternative"));
        }
        let mut argument = if open == '<' || alternatives.len() > 1 {
            one_of(alternatives)
        } else {
            let inner = alternatives.swap_remove(0);
            if open == '[' { single(inner) } else { block(inner) }
        };
        argument.optional |= open == '[';
        self.annotate(&mut argument)?;
        Ok(argument)
    }

    /// Reads the annotations that follow a closing bracket.
    fn annotate(&mut self, argument: &mut Argument) -> Result<(), SyntaxError> {
        let annotations = self.word();
        self.apply(argument, annotations)
    }

    fn apply(&self, argument: &mut Argument, annotations: &'static str) -> Result<(), SyntaxError> {
        let mut rest = annotations;
        while let Some(mark) = rest.chars().next() {
            let text = &rest[mark.len_utf8()..];
            let end = text.find(['@', '^', '!', '#']).unwrap_or(text.len());
            let (value, after) = text.split_at(end);
            match mark {
                ':' => {
                    argument.kind = ArgumentKind::stated(value).ok_or(self.error("unknown type before"))?
                }
                '@' => argument.name = value.to_owned(),
                '^' => argument.since = Some(value),
                '!' => argument.deprecated_since = Some(value),
                '#' => argument.key_spec = value.parse().ok(),
                _ => return Err(self.error("unknown annotation before")),
            }
            rest = after;
        }
        Ok(())
    }

    /// Keys belong to the key specs in order, unless annotated otherwise.
    fn count_key(&mut self, argument: &mut Argument) {
        if argument.kind == ArgumentKind::Key {
            argument.key_spec.get_or_insert(self.keys);
            self.keys += 1;
        }
    }
}

impl Argument {
    fn new(name: &str, kind: ArgumentKind) -> Argument {
        Argument {
            name: name.to_owned(),
            kind,
            token: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: None,
            deprecated_since: None,
            key_spec: None,
            arguments: Vec::new(),
        }
    }
}

/// The argument itself if it is alone, or else a block.
fn single(mut arguments: Vec<Argument>) -> Argument {
    if arguments.len() == 1 { arguments.swap_remove(0) } else { block(arguments) }
}

fn block(arguments: Vec<Argument>) -> Argument {
    let mut block = Argument::new(&joined(&arguments), ArgumentKind::Block);
    block.arguments = arguments;
    block
}

fn one_of(alternatives: Vec<Vec<Argument>>) -> Argument {
    let arguments: Vec<Argument> = alternatives.into_iter().map(single).collect();
    let mut one_of = Argument::new(&joined(&arguments), ArgumentKind::OneOf);
    one_of.arguments = arguments;
    one_of
}

fn joined(arguments: &[Argument]) -> String {
    arguments.iter().map(|argument| argument.name.as_str()).collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tree in short: `name kind`, its token before, `?` optional, `+` repeated, `*` repeated
    /// with its token.
    fn show(argument: &Argument) -> String {
        let token = argument.token.map_or(String::new(), |token| format!("{token}="));
        let key = argument.key_spec.map_or(String::new(), |index| format!("#{index}"));
        let since = argument.since.map_or(String::new(), |version| format!("^{version}"));
        let marks = [(argument.optional, "?"), (argument.multiple, "+"), (argument.multiple_token, "*")];
        let marks: String = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark).collect();
        let inner: Vec<String> = argument.arguments.iter().map(show).collect();
        let inner = if inner.is_empty() { String::new() } else { format!("({})", inner.join(", ")) };
        format!("{token}{}:{}{key}{since}{marks}{inner}", argument.name, argument.kind.name())
    }

    #[test]
    fn lines_become_trees() {
        for (line, tree) in [
            ("key value", "key:key#0 value:string"),
            ("[GET]^6.2.0", "GET=get:pure-token^6.2.0?"),
            ("[COUNT count]", "COUNT=count:integer?"),
            ("[NX | XX]@condition", "condition:oneof?(NX=nx:pure-token, XX=xx:pure-token)"),
            ("<HARD | SOFT>", "hard_soft:oneof(HARD=hard:pure-token, SOFT=soft:pure-token)"),
            ("key [key ...]", "key:key#0+"),
            ("[member [member ...]]", "member:string?+"),
            ("field value [field value ...]", "field_value:block+(field:string, value:string)"),
            ("[GET pattern#1 [GET pattern ...]]", "GET=pattern:pattern#1?+*"),
            ("KEYS key^3.0.6 [key ...]", "KEYS=key:key#0^3.0.6+"),
            ("[LIMIT (offset count)]", "LIMIT=offset_count:block?(offset:integer, count:integer)"),
            ("NO@no one", "NO=no:pure-token one:string"),
            ("ip:port!2.8.12 end:integer@stop", "ip:port:string stop:integer"),
            ("<* | ~@about | \"\">@id", "id:oneof(*=*:pure-token, ~=about:pure-token, =:pure-token)"),
            ("(parameter) [parameter ...]", "parameter:block+(parameter:string)"),
        ] {
            let arguments = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let shown: Vec<String> = arguments.iter().map(show).collect();
            assert_eq!(shown.join(" "), tree, "{line}");
        }
    }

    #[test]
    fn plain_lines_are_what_the_docs_print() {
        for (line, printed) in [
            ("key [GET]^6.2.0 [NX | XX]@condition", "key [GET] [NX | XX]"),
            ("STREAMS (key [key ...] id [id ...])@streams", "STREAMS key [key ...] id [id ...]"),
            ("[=@equal | ~@about]@operator threshold", "[= | ~] threshold"),
            ("ip:port!2.8.12 end:integer", "ip:port end"),
        ] {
            assert_eq!(plain(line), printed);
        }
    }

    #[test]
    fn broken_lines_are_told_apart() {
        for (line, message) in [
            ("[GET", "missing bracket"),
            ("GET]", "unexpected"),
            ("<A | >", "empty alternative"),
            ("key [value ...]", "repeats something else"),
            ("[A]x", "unknown annotation before"),
        ] {
            assert_eq!(parse(line).map_err(|error| error.message), Err(message), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in "[A-Ba-b:@^#!<>|. \\[\\]()]{0,40}") {
            let line: &'static str = Box::leak(line.into_boxed_str());
            let _ = parse(line);
            let _ = plain(line);
        }
    }
}
