//! The debugger of scripts: what SCRIPT DEBUG turns on and `redis-cli --ldb` talks to.
//!
//! Before each line of the script Lua calls its hook, and the hook [`at`]. If the script is to stop
//! there, the client is told what has happened since it last stopped, and its [commands] are
//! carried out until one lets the script go on. The client is reached by the
//! [`Host`](super::Host); what it is told are lines in a [log].

pub mod commands;
pub mod log;
pub mod show;
pub mod source;
#[cfg(test)]
mod tests;

use self::log::Log;
use self::source::Source;
use super::host::Order;
use super::raise::{self, Raised};
use super::sandbox::Sealed;
use super::{lent, meter};
use crate::resp::Argv;
use mlua::debug::{Debug as Place, DebugEvent};
use mlua::{FromLua, Function, Lua, Result, Table, Value, Variadic};
use std::cell::RefCell;

/// Words of a command that are shown.
const SHOWN_WORDS: usize = 10;

/// The debugger of one Lua state, kept as its application data.
#[derive(Debug, Default)]
struct Debugger(RefCell<Option<Session>>);

/// A script that is debugged.
#[derive(Debug)]
struct Session {
    source: Source,
    log: Log,
    /// It stops before the next line; what commands do until then is told.
    steps: bool,
    /// It has called `redis.breakpoint`.
    has_called_breakpoint: bool,
    /// It has stopped: what runs now runs for the debugger.
    is_stopped: bool,
    world: World,
    /// The arguments of `redis.debug`.
    shown: Vec<u8>,
}

/// What the debugger needs of the Lua state.
#[derive(Clone, Debug)]
pub struct World {
    /// The environment of code that is evaluated.
    pub env: Table,
    /// The table with `KEYS` and `ARGV`.
    pub globals: Table,
    /// Lua's own `xpcall`.
    pub protected: Function,
}

impl World {
    /// The world of scripts that see what `sealed` holds.
    #[must_use]
    pub fn new(sealed: &Sealed, protected: &Function) -> Self {
        let (env, globals) = (sealed.env.clone(), sealed.globals.clone());
        World { env, globals, protected: protected.clone() }
    }
}

/// Adds the debugger to a Lua state, and its functions to the table `redis`.
pub fn open(lua: &Lua, table: &Table) -> Result<()> {
    lua.set_app_data(Debugger::default());
    table.raw_set("breakpoint", meter::function(lua, |lua, ()| Ok(call_breakpoint(lua)))?)?;
    let debug = |lua: &Lua, values| {
        debug(lua, values);
        Ok(())
    };
    table.raw_set("debug", meter::function(lua, debug)?)
}

/// The next script is debugged, which has this code.
pub fn begin(lua: &Lua, code: &[u8], world: World) {
    let session = Session {
        source: Source::new(code),
        log: Log::default(),
        steps: true,
        has_called_breakpoint: false,
        is_stopped: false,
        world,
        shown: Vec::new(),
    };
    if let Some(debugger) = lua.app_data_ref::<Debugger>() {
        debugger.0.replace(Some(session));
    }
}

/// The script has ended. What the client was not told yet is handed to the server; returns whether
/// the script was debugged.
pub fn end(lua: &Lua) -> bool {
    let session = lua.app_data_ref::<Debugger>().and_then(|debugger| debugger.0.take());
    let Some(mut session) = session else { return false };
    lent::with(|host| host.leave_debugger(session.log.take()));
    true
}

/// True when the script is debugged.
#[must_use]
pub fn is_on(lua: &Lua) -> bool {
    with(lua, |_| ()).is_some()
}

/// Gives the session to `act`, which calls nothing of a script's.
fn with<R>(lua: &Lua, act: impl FnOnce(&mut Session) -> R) -> Option<R> {
    let debugger = lua.app_data_ref::<Debugger>()?;
    let mut session = debugger.0.try_borrow_mut().ok()?;
    session.as_mut().map(act)
}

/// Adds a line to the log.
fn log(lua: &Lua, line: impl Into<Vec<u8>>) {
    with(lua, |session| session.log.push(line));
}

/// Adds a line with a value to the log.
fn log_value(lua: &Lua, label: &str, value: &Value) -> Result<()> {
    let Some(limit_bytes) = with(lua, |session| session.log.value_bytes()) else { return Ok(()) };
    let mut line = label.as_bytes().to_vec();
    show::value(lua, value, &mut line, limit_bytes)?;
    with(lua, |session| session.log.push_value(line));
    Ok(())
}

/// `redis.breakpoint()`: the script stops before the next line. False when it is not debugged.
fn call_breakpoint(lua: &Lua) -> bool {
    with(lua, |session| session.has_called_breakpoint = true).is_some()
}

/// `redis.debug(value, …)`: tells the client of values.
fn debug(lua: &Lua, _: Variadic<Shown>) {
    with(lua, |session| {
        let label = format!("<debug> line {}: ", session.source.current);
        session.log.push([label.as_bytes(), &std::mem::take(&mut session.shown)].concat());
    });
}

/// An argument of `redis.debug`, which is in [`Session::shown`] by now. mlua can hold some thousand
/// values at a time, and a script may pass as many: so none is held.
struct Shown;

impl FromLua for Shown {
    fn from_lua(value: Value, lua: &Lua) -> Result<Self> {
        let shown = with(lua, |session| std::mem::take(&mut session.shown));
        let Some(mut shown) = shown else { return Ok(Shown) };
        if !shown.is_empty() {
            shown.extend_from_slice(b", ");
        }
        show::value(lua, &value, &mut shown, log::MAX_LOG_BYTES)?;
        with(lua, |session| session.shown = shown);
        Ok(Shown)
    }
}

/// The script calls a command.
pub fn note_command(lua: &Lua, argv: Argv<'_>) {
    with(lua, |session| {
        if session.steps {
            session.log.push(line_of_command(argv));
        }
    });
}

fn line_of_command(argv: Argv<'_>) -> Vec<u8> {
    let mut line = b"<redis>".to_vec();
    for word in argv.iter().take(SHOWN_WORDS) {
        line.push(b' ');
        line.extend_from_slice(&word[..word.len().min(log::MAX_LOG_BYTES)]);
    }
    if argv.len() > SHOWN_WORDS {
        // Redis does not count the first of those that it leaves out.
        line.extend_from_slice(format!(" ... ({} more)", argv.len() - SHOWN_WORDS - 1).as_bytes());
    }
    line
}

/// The command has answered with `reply`.
pub fn note_answer(lua: &Lua, reply: &[u8]) {
    let error = reply.strip_prefix(b"-").map(|_| super::answer::error_text(reply));
    let was_refused = lent::with(|host| host.was_refused()).unwrap_or(false);
    match error {
        Some(line) if was_refused => return note_error(lua, &text_of_refusal(line)),
        Some(line) => note_error(lua, &[b"-", line].concat()),
        None => {}
    }
    with(lua, |session| {
        if session.steps {
            let mut line = b"<reply> ".to_vec();
            show::answer(reply, &mut line, session.log.value_bytes());
            session.log.push_value(line);
        }
    });
}

/// A refusal as Redis has it in its source: without the code that all have, or a whole answer.
fn text_of_refusal(line: &[u8]) -> Vec<u8> {
    match line.strip_prefix(b"ERR ") {
        Some(text) => text.to_vec(),
        None => [b"-", line, b"\r\n"].concat(),
    }
}

/// A function of `redis` makes an error of this text.
pub fn note_error(lua: &Lua, text: &[u8]) {
    with(lua, |session| {
        if session.steps {
            session.log.push([b"<error> ", text].concat());
        }
    });
}

/// A function of `redis` raises an error.
pub fn note_raised(lua: &Lua, error: &mlua::Error) {
    if let Some(Raised::Misuse(line)) = Raised::of(error) {
        note_error(lua, line.strip_prefix(b"ERR ").unwrap_or(&line));
    }
}

/// Lua's hook has come, at `place`: stops there if the script is to stop.
pub fn at(lua: &Lua, place: &Place<'_>) -> Result<()> {
    match reason_to_stop(lua, place) {
        None => Ok(()),
        Some(reason) => {
            let limit_bytes = lua.set_memory_limit(0)?;
            let result = stop(lua, reason);
            lua.set_memory_limit(limit_bytes)?;
            result
        }
    }
}

/// Why a script stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Step,
    Breakpoint,
    BreakpointCalled,
    TimedOut,
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Reason::Step => "step over",
            Reason::Breakpoint => "break point",
            Reason::BreakpointCalled => "redis.breakpoint() called",
            Reason::TimedOut => "timeout reached, infinite loop?",
        }
    }
}

fn reason_to_stop(lua: &Lua, place: &Place<'_>) -> Option<Reason> {
    let is_line = place.event() == DebugEvent::Line;
    let wish = with(lua, |session| session.wish(place, is_line))?;
    match wish {
        Wish::Stop(reason) => Some(reason),
        Wish::StopIfTooLong if lent::with(|host| host.runs_too_long())? => Some(Reason::TimedOut),
        Wish::StopIfTooLong | Wish::GoOn => None,
    }
}

/// What a session wants at a place.
enum Wish {
    Stop(Reason),
    StopIfTooLong,
    GoOn,
}

impl Session {
    fn wish(&mut self, place: &Place<'_>, is_line: bool) -> Wish {
        let is_script = place.source().short_src.is_some_and(|source| source.contains("user_script"));
        if self.is_stopped || !is_script {
            return Wish::GoOn;
        }
        if !is_line {
            return Wish::StopIfTooLong;
        }
        let line = place.current_line().unwrap_or(0);
        self.source.current = line;
        match (self.has_called_breakpoint, self.source.is_breakpoint(line), self.steps) {
            (true, ..) => Wish::Stop(Reason::BreakpointCalled),
            (_, true, _) => Wish::Stop(Reason::Breakpoint),
            (.., true) => Wish::Stop(Reason::Step),
            _ => Wish::GoOn,
        }
    }

    fn stop(&mut self, reason: Reason) {
        (self.steps, self.has_called_breakpoint, self.is_stopped) = (false, false, true);
        let line = self.source.current;
        self.log.push(format!("* Stopped at {line}, stop reason = {}", reason.text()));
        self.source.show(line, &mut self.log);
    }

    /// Nobody is there any more to stop for.
    fn leave_alone(&mut self) {
        self.steps = false;
        self.source.remove_breakpoints();
    }
}

/// Asks the client what to do until the script goes on. The error ends the script.
fn stop(lua: &Lua, reason: Reason) -> Result<()> {
    with(lua, |session| session.stop(reason));
    let result = ask(lua, reason);
    with(lua, |session| session.is_stopped = false);
    result
}

fn ask(lua: &Lua, reason: Reason) -> Result<()> {
    loop {
        let said = with(lua, |session| session.log.take()).unwrap_or_default();
        match lent::with(|host| host.ask_debugger(said)).unwrap_or(Order::Gone) {
            Order::Command(words) => {
                if commands::run(lua, &words)? == commands::Then::GoOn {
                    return Ok(());
                }
            }
            Order::Garbage => return Err(raise::stop("ERR protocol error")),
            Order::Gone => {
                with(lua, Session::leave_alone);
                return match reason {
                    Reason::TimedOut => {
                        Err(raise::stop("ERR timeout during Lua debugging with client closing connection"))
                    }
                    _ => Ok(()),
                };
            }
            // Whoever looks at the interrupt next is told the same.
            Order::Stop => return meter::tick(),
        }
    }
}
