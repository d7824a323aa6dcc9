//! The script that runs at this moment: [`Run`].

use super::host::Readers;
use crate::resp::OwnedArgv;

/// The kind of a script, which decides the words of errors and who may stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// EVAL and its siblings.
    Eval,
    /// FCALL.
    Function,
}

/// A request to stop a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The error it ends with.
    pub line: String,
    /// What becomes of its changes.
    pub changes: Changes,
}

/// What becomes of the changes of a script that is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// There are none.
    None,
    /// They are undone.
    RolledBack,
}

/// A script that runs.
#[derive(Clone, Debug)]
pub struct Run {
    /// The kind.
    pub kind: Kind,
    /// The name: the SHA-1 of a script, a function's own.
    pub name: String,
    /// The command, as FUNCTION STATS shows it.
    pub command: OwnedArgv,
    /// The beginning, nanoseconds of the monotonic clock.
    pub began_ns: u64,
    /// It may not write.
    pub is_read_only: bool,
    /// It may take memory over the limit.
    pub allows_oom: bool,
    /// It has begun to write.
    pub has_written: bool,
    /// All that it changes is undone at its end, however it ends.
    pub is_undone: bool,
    /// It runs for so long that others are told to wait.
    pub is_busy: bool,
    /// The last time that others were heard, nanoseconds of the monotonic clock.
    pub heard_ns: u64,
    /// It has to end.
    pub kill: Option<Kill>,
    /// Who is told of what it changes.
    pub readers: Readers,
}
