//! What a script may ask of the server: [`Host`].

use crate::resp::{Argv, Protocol};

/// The server, as a running script knows it.
pub trait Host {
    /// Runs a command for the script. Its answer, or its error line, is appended to `reply` in
    /// `protocol`.
    fn call(&mut self, argv: Argv<'_>, protocol: Protocol, reply: &mut Vec<u8>);

    /// Looks at the clock, lets the server hear others if it is time to, and says if the script may
    /// go on. Called often: after some hundred instructions, and by libraries as they work.
    fn tick(&mut self) -> Verdict;

    /// True when the user of the script may run this command with these keys; `None` if there is no
    /// such command.
    fn may_run(&mut self, argv: Argv<'_>) -> Option<bool>;

    /// From here on only these are told of what the script changes.
    fn propagate_to(&mut self, readers: Readers);
}

/// Who is told of changes: `redis.set_repl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readers {
    /// The append-only file.
    pub file: bool,
    /// Replicas.
    pub replicas: bool,
}

/// Says if a script may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    GoOn,
    /// It has to end, with this error.
    Stop(String),
}
