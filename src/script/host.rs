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
}

/// Says if a script may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    GoOn,
    /// It has to end, with this error.
    Stop(String),
}
