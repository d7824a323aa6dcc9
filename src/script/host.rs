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

    /// True when the command that was called last did not run: the script may not call it.
    fn was_refused(&mut self) -> bool {
        false
    }

    /// True when the script has run for so long that others have to wait for it.
    fn runs_too_long(&mut self) -> bool {
        false
    }

    /// A script that is debugged has stopped, or a command of the debugger is done. Tells the
    /// client the lines of `said` and waits for what it wants next.
    fn ask_debugger(&mut self, said: Vec<Vec<u8>>) -> Order {
        let _ = said;
        Order::Gone
    }

    /// A script that was debugged has ended; its client has yet to be told the lines of `said`.
    fn leave_debugger(&mut self, said: Vec<Vec<u8>>) {
        let _ = said;
    }
}

/// What the client of a script that is debugged wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A command of the debugger, word by word.
    Command(Vec<Vec<u8>>),
    /// It has sent what is no command.
    Garbage,
    /// It is gone.
    Gone,
    /// Somebody else has stopped the script: [`Host::tick`] says how.
    Stop,
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
