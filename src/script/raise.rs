//! Errors that Rust code raises in a script: [`Raised`].
//!
//! Lua sees such an error as an object of mlua's, until whoever catches it unwraps it
//! ([`Raised::of`]) into what a script expects.

use mlua::{Error, Lua};
use std::fmt;

/// An error that Rust code has raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raised {
    /// A string, as Lua's own functions raise it. Bytes, for a script may have put in any.
    Text(Vec<u8>),
    /// The table of a command's error, as `redis.call` raises it: the line without its `-`.
    Reply(Vec<u8>),
    /// The script has to end: nothing in it may catch this for long.
    Stop(String),
}

impl fmt::Display for Raised {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raised::Text(bytes) | Raised::Reply(bytes) => out.write_str(&String::from_utf8_lossy(bytes)),
            Raised::Stop(line) => out.write_str(line),
        }
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

/// A string without a line, as `lua_error` raises it.
#[must_use]
pub fn text(message: impl Into<Vec<u8>>) -> Error {
    Error::external(Raised::Text(message.into()))
}

/// A string with the line of the function that called the running one, as `luaL_error` raises it:
/// `user_script:1: message`.
#[must_use]
pub fn at_caller(lua: &Lua, message: impl AsRef<[u8]>) -> Error {
    let mut bytes = position(lua, 1).unwrap_or_default().into_bytes();
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

/// The end of the script, whatever it does to go on.
#[must_use]
pub fn stop(line: &str) -> Error {
    Error::external(Raised::Stop(line.to_owned()))
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
