//! The reason why a command failed: [`CommandError`], whose `Display` is the exact line Redis
//! answers.
//!
//! Handlers return it with `?`; `call` cuts the half-written reply, writes the line and counts it.

use crate::base::glob::TooMuch;
use crate::keyspace::WrongType;
use std::borrow::Cow;
use thiserror::Error;

/// The result of a handler.
pub type CommandResult = Result<(), CommandError>;

/// An error line without its `-`. Texts are Redis 7.0.15's, to the byte.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CommandError {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// An argument does not belong.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument or value is not a 64-bit integer.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// An argument or value is not a double.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// An argument is out of its range.
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    /// An integer beyond what the command takes.
    #[error("ERR value is out of range")]
    OutOfRange,
    /// `INCR` and friends would overflow.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// `INCRBYFLOAT` and friends would leave the numbers.
    #[error("ERR increment would produce NaN or Infinity")]
    NotFinite,
    /// The key is missing where it must exist.
    #[error("ERR no such key")]
    NoSuchKey,
    /// The index is outside the list.
    #[error("ERR index out of range")]
    IndexOutOfRange,
    /// SELECT, MOVE, SWAPDB, COPY beyond `databases`.
    #[error("ERR DB index is out of range")]
    DbIndexOutOfRange,
    /// The value would be longer than `proto-max-bulk-len`.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// Wrong number of arguments; the full name of the command in lower case.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(Cow<'static, str>),
    /// The expire time is invalid for this command.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// AUTH is needed first.
    #[error("NOAUTH Authentication required.")]
    NoAuth,
    /// Memory is over `maxmemory` and nothing can be evicted.
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    /// A script calls what scripts may not.
    #[error("ERR This Redis command is not allowed from script")]
    NotFromScript,
    /// A queued command was refused, so the transaction is dropped.
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    ExecAbort,
    /// Any other line, its code first: `ERR ...`.
    #[error("{0}")]
    Line(Cow<'static, str>),
}

impl CommandError {
    /// An error of a fixed line, its code first.
    #[must_use]
    pub const fn fixed(line: &'static str) -> Self {
        CommandError::Line(Cow::Borrowed(line))
    }

    /// An error of a line made now, its code first.
    #[must_use]
    pub fn line(line: String) -> Self {
        CommandError::Line(Cow::Owned(line))
    }
}

impl From<TooMuch> for CommandError {
    fn from(_: TooMuch) -> Self {
        CommandError::fixed("ERR pattern takes too long to match")
    }
}

impl From<WrongType> for CommandError {
    fn from(_: WrongType) -> Self {
        CommandError::WrongType
    }
}
