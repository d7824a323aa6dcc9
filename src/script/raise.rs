//! Errors that Rust code raises in a script: [`Raised`].
//!
//! Lua sees such an error as an object of mlua's, until whoever catches it turns it into what a
//! script expects ([`unwrap`]).

use super::answer::IsCounted;
use mlua::{Error, Lua, Value};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// An error that Rust code has raised.
#[derive(Clone, Debug, PartialEq)]
pub enum Raised {
    /// A string, as Lua's own functions raise it. Bytes, for a script may have put in any.
    Text(Vec<u8>),
    /// The table of a command's error, as `redis.call` raises it: the line without its `-`. INFO
    /// has counted it.
    Reply(Vec<u8>),
    /// The table of another error of `redis`: the line.
    Misuse(Vec<u8>),
    /// What a script's own function raised, on its way through Rust code that had called it. Who
    /// catches it takes it out: it has a place in mlua's list of values, which has an end.
    Value(Rc<RefCell<Value>>),
    /// The script has to end: nothing in it may catch this for long.
    Stop(String),
}

impl fmt::Display for Raised {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raised::Text(bytes) | Raised::Reply(bytes) | Raised::Misuse(bytes) => {
                out.write_str(&String::from_utf8_lossy(bytes))
            }
            Raised::Value(value) => out.write_str(&shown(&value.borrow())),
            Raised::Stop(line) => out.write_str(line),
        }
    }
}

/// A string as it is, of any other value its type: this looks at no metatable.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string_lossy(),
        other => format!("(error object is a {} value)", other.type_name()),
    }
}

impl std::error::Error for Raised {}

impl Raised {
    /// What Rust code raised, if `error` is of that kind.
    #[must_use]
    pub fn of(error: &Error) -> Option<Raised> {
        match error {
            Error::CallbackError { cause, .. } | Error::BadArgument { cause, .. } => Raised::of(cause),
            Error::ExternalError(inner) => inner.downcast_ref::<Raised>().cloned(),
            _ => None,
        }
    }
}

/// What a script sees of `value`, which was caught: a string or a table for what Rust code raised,
/// any other value as it is.
///
/// What is a [`Value::Error`] afterwards is the end of the script: who caught it raises it again at
/// once.
#[must_use]
pub fn unwrap(lua: &Lua, value: Value) -> Value {
    let Value::Error(error) = &value else { return value };
    match Raised::of(error) {
        Some(Raised::Stop(_)) => value,
        Some(Raised::Value(inner)) => unwrap(lua, inner.replace(Value::Nil)),
        Some(Raised::Text(text)) => string(lua, &text),
        Some(Raised::Reply(line)) => table(lua, &line, IsCounted::Yes),
        Some(Raised::Misuse(line)) => table(lua, &line, IsCounted::No),
        None => other(lua, error),
    }
}

/// The table of an error.
fn table(lua: &Lua, line: &[u8], is_counted: IsCounted) -> Value {
    super::answer::error_table(lua, line, is_counted).map_or_else(|error| other(lua, &error), Value::Table)
}

/// The text of an error that is Lua's or mlua's own.
fn other(lua: &Lua, error: &Error) -> Value {
    string(lua, text_of(error).as_bytes())
}

/// A string; nil if there is no memory for it.
fn string(lua: &Lua, bytes: &[u8]) -> Value {
    lua.create_string(bytes).map_or(Value::Nil, Value::String)
}

/// What `error` says, without the names of mlua's kinds and the trace of the stack.
fn text_of(error: &Error) -> String {
    let text = match error {
        Error::CallbackError { cause, .. } => return text_of(cause),
        Error::RuntimeError(text) | Error::MemoryError(text) => text.clone(),
        Error::SyntaxError { message, .. } => message.clone(),
        Error::StackError => "stack overflow".to_owned(),
        other => other.to_string(),
    };
    text.split("\nstack traceback:").next().unwrap_or_default().to_owned()
}

/// A string without a line, as `lua_error` raises it.
#[must_use]
pub fn text(message: impl Into<Vec<u8>>) -> Error {
    Error::external(Raised::Text(message.into()))
}

/// The error of a command, as `redis.call` raises it.
#[must_use]
pub fn reply(line: &[u8]) -> Error {
    Error::external(Raised::Reply(line.to_vec()))
}

/// The error of a wrong use of `redis`.
#[must_use]
pub fn misuse(message: &str) -> Error {
    Error::external(Raised::Misuse(format!("ERR {message}").into_bytes()))
}

/// A string with the line of the function that called the running one, as `luaL_error` raises it:
/// `user_script:1: message`.
#[must_use]
pub fn at_caller(lua: &Lua, message: impl AsRef<[u8]>) -> Error {
    at_level(lua, 1, message)
}

/// The same with the line that level `level` of the stack is at.
#[must_use]
pub fn at_level(lua: &Lua, level: usize, message: impl AsRef<[u8]>) -> Error {
    let mut bytes = position(lua, level).unwrap_or_default().into_bytes();
    bytes.extend_from_slice(message.as_ref());
    text(bytes)
}

/// The error of a wrong argument, as `luaL_argerror` raises it. `index` counts from 1.
#[must_use]
pub fn argument(lua: &Lua, index: usize, message: impl AsRef<[u8]>) -> Error {
    let name = lua.inspect_stack(0, |debug| {
        let names = debug.names();
        (names.name.map(|name| name.into_owned()), names.name_what == Some("method"))
    });
    let (name, is_method) = name.unwrap_or_default();
    let name = name.unwrap_or_else(|| "?".to_owned());
    let mut line = match index {
        1 if is_method => format!("calling '{name}' on bad self ("),
        _ => format!("bad argument #{} to '{name}' (", index.saturating_sub(usize::from(is_method))),
    }
    .into_bytes();
    line.extend_from_slice(message.as_ref());
    line.push(b')');
    at_caller(lua, line)
}

/// A value as it is, as `error` raises one.
#[must_use]
pub fn value(value: Value) -> Error {
    Error::external(Raised::Value(Rc::new(RefCell::new(value))))
}

/// The end of the script, whatever it does to go on.
#[must_use]
pub fn stop(line: &str) -> Error {
    Error::external(Raised::Stop(line.to_owned()))
}

/// True for an error that ends the script.
#[must_use]
pub fn is_stop(error: &Error) -> bool {
    matches!(Raised::of(error), Some(Raised::Stop(_)))
}

/// The line that level `level` of the stack is at, as `luaL_where` gives it: `user_script:1: `;
/// `None` if it is no code of a script.
#[must_use]
pub fn position(lua: &Lua, level: usize) -> Option<String> {
    lua.inspect_stack(level, |debug| {
        let line = debug.current_line()?;
        Some(format!("{}:{line}: ", debug.source().short_src?))
    })?
}
