//! The commands of the debugger: [`run`].

use super::source::Added;
use super::{log, log_value, with};
use crate::base::number::parse_i64;
use crate::script::locals::local;
use crate::script::{api, meter, raise};
use mlua::chunk::ChunkMode;
use mlua::{Error, Function, Lua, MultiValue, Result, Value};

/// What follows a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next one is asked for.
    Ask,
    /// The script goes on.
    GoOn,
}

/// A command: its short name and its long one, its least number of words, what it does.
pub(super) type Command = (&'static str, &'static str, usize, fn(&Lua, &[Vec<u8>]) -> Result<Then>);

pub(super) const COMMANDS: &[Command] = &[
    ("h", "help", 1, |lua, _| help(lua)),
    ("s", "step", 1, |lua, _| step(lua)),
    ("n", "next", 1, |lua, _| step(lua)),
    ("c", "continue", 1, |_, _| Ok(Then::GoOn)),
    ("t", "trace", 1, |lua, _| trace(lua)),
    ("m", "maxlen", 1, maxlen),
    ("b", "break", 1, breakpoints),
    ("e", "eval", 1, eval),
    ("a", "abort", 1, |_, _| Err(raise::misuse("script aborted for user request"))),
    ("r", "redis", 2, redis),
    ("p", "print", 1, print),
    ("l", "list", 1, list),
    ("w", "whole", 1, |lua, _| show_around(lua, Some(1), usize::MAX)),
];

/// Carries out a command. An error ends the script.
pub fn run(lua: &Lua, words: &[Vec<u8>]) -> Result<Then> {
    let name = words.first().map_or(&b""[..], |word| word);
    let is_it = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    let found = COMMANDS
        .iter()
        .find(|(short, long, least, _)| (is_it(short) || is_it(long)) && words.len() >= *least);
    match found {
        Some((.., act)) => act(lua, words),
        None => {
            log(lua, "<error> Unknown Redis Lua debugger command or wrong number of arguments.");
            Ok(Then::Ask)
        }
    }
}

/// What `help` shows.
const HELP: &str = "\
Redis Lua debugger help:
[h]elp               Show this help.
[s]tep               Run current line and stop again.
[n]ext               Alias for step.
[c]ontinue           Run till next breakpoint.
[l]ist               List source code around current line.
[l]ist [line]        List source code around [line].
                     line = 0 means: current position.
[l]ist [line] [ctx]  In this form [ctx] specifies how many lines
                     to show before/after [line].
[w]hole              List all source code. Alias for 'list 1 1000000'.
[p]rint              Show all the local variables.
[p]rint <var>        Show the value of the specified variable.
                     Can also show global vars KEYS and ARGV.
[b]reak              Show all breakpoints.
[b]reak <line>       Add a breakpoint to the specified line.
[b]reak -<line>      Remove breakpoint from the specified line.
[b]reak 0            Remove all breakpoints.
[t]race              Show a backtrace.
[e]val <code>        Execute some Lua code (in a different callframe).
[r]edis <cmd>        Execute a Redis command.
[m]axlen [len]       Trim logged Redis replies and Lua var dumps to len.
                     Specifying zero as <len> means unlimited.
[a]bort              Stop the execution of the script. In sync
                     mode dataset changes will be retained.

Debugger functions you can call from Lua scripts:
redis.debug()        Produce logs in the debugger console.
redis.breakpoint()   Stop execution like if there was a breakpoint in the
                     next line of code.";

fn help(lua: &Lua) -> Result<Then> {
    HELP.split('\n').for_each(|line| log(lua, line));
    Ok(Then::Ask)
}

fn step(lua: &Lua) -> Result<Then> {
    with(lua, |session| session.steps = true);
    Ok(Then::GoOn)
}

/// A number as C's `atoi` reads it.
fn atoi(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let sign = text.first().is_some_and(|byte| matches!(byte, b'-' | b'+'));
    let digits = text[usize::from(sign)..].iter().take_while(|byte| byte.is_ascii_digit());
    let size = digits.fold(0i64, |size, byte| size.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    if text.first() == Some(&b'-') { -size } else { size }
}

fn list(lua: &Lua, words: &[Vec<u8>]) -> Result<Then> {
    let around = words.get(1).map(|word| atoi(word)).filter(|&line| line > 0);
    let context = words.get(2).map_or(5, |word| atoi(word));
    let around = around.map(|line| usize::try_from(line).unwrap_or(usize::MAX));
    match usize::try_from(context) {
        Ok(context) => show_around(lua, around, context),
        Err(_) => Ok(Then::Ask),
    }
}

/// Shows the lines around one, or around where the script is.
fn show_around(lua: &Lua, around: Option<usize>, context: usize) -> Result<Then> {
    with(lua, |session| {
        let around = around.unwrap_or(session.source.current);
        session.source.show_around(around, context, &mut session.log);
    });
    Ok(Then::Ask)
}

fn maxlen(lua: &Lua, words: &[Vec<u8>]) -> Result<Then> {
    with(lua, |session| {
        if let [_, len] = words {
            session.log.set_max_len(atoi(len));
        }
        let line = match session.log.max_len() {
            0 => "<value> replies are unlimited.".to_owned(),
            len => format!("<value> replies are truncated at {len} bytes."),
        };
        session.log.push(line);
    });
    Ok(Then::Ask)
}

fn breakpoints(lua: &Lua, words: &[Vec<u8>]) -> Result<Then> {
    match words {
        [_] => list_breakpoints(lua),
        _ => words[1..].iter().for_each(|word| change_breakpoint(lua, word)),
    }
    Ok(Then::Ask)
}

fn list_breakpoints(lua: &Lua) {
    with(lua, |session| {
        let lines = session.source.breakpoints();
        session.log.push(match lines.len() {
            0 => "No breakpoints set. Use 'b <line>' to add one.".to_owned(),
            count => format!("{count} breakpoints set:"),
        });
        lines.iter().for_each(|&line| session.source.show(line, &mut session.log));
    });
}

fn change_breakpoint(lua: &Lua, word: &[u8]) {
    let Some(number) = parse_i64(word) else {
        return log(lua, [b"Invalid argument:'", word, b"'"].concat());
    };
    let line = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
    with(lua, |session| {
        let source = &mut session.source;
        let message = match number {
            0 => {
                source.remove_breakpoints();
                "All breakpoints removed."
            }
            1.. => match source.add_breakpoint(line) {
                Added::New => return source.show_around(line, 1, &mut session.log),
                Added::WrongLine => "Wrong line number.",
                Added::TooMany => "Too many breakpoints set.",
            },
            _ if source.remove_breakpoint(line) => "Breakpoint removed.",
            _ => "No breakpoint in the specified line.",
        };
        session.log.push(message);
    });
}

fn print(lua: &Lua, words: &[Vec<u8>]) -> Result<Then> {
    match words {
        [_, name] => print_variable(lua, &String::from_utf8_lossy(name))?,
        _ => print_locals(lua)?,
    }
    Ok(Then::Ask)
}

/// Shows the innermost variable of this name.
fn print_variable(lua: &Lua, name: &str) -> Result<()> {
    let mut level = 0;
    while lua.inspect_stack(level, |_| ()).is_some() {
        // Each level is found from the innermost on.
        meter::spend(lua, level)?;
        let mut index = 1;
        while let Some(variable) = local(lua, level, index)? {
            if variable.name == name {
                return log_value(lua, "<value> ", &variable.value);
            }
            index += 1;
        }
        level += 1;
    }
    let world = with(lua, |session| session.world.clone());
    match world.filter(|_| matches!(name, "KEYS" | "ARGV")) {
        Some(world) => log_value(lua, "<value> ", &world.globals.raw_get(name)?),
        None => {
            log(lua, "No such variable.");
            Ok(())
        }
    }
}

/// Shows the variables of the function that the script is in.
fn print_locals(lua: &Lua) -> Result<()> {
    let (mut index, mut is_any) = (1, false);
    while let Some(variable) = local(lua, 0, index)? {
        if !variable.name.contains("(*temporary)") {
            is_any = true;
            log_value(lua, &format!("<value> {} = ", variable.name), &variable.value)?;
        }
        index += 1;
    }
    if !is_any {
        log(lua, "No local variables in the current context.");
    }
    Ok(())
}

/// Shows by which calls the script has come to where it is.
fn trace(lua: &Lua) -> Result<Then> {
    let mut level = 0;
    while let Some(call) = lua.inspect_stack(level, |place| {
        let is_script = place.source().short_src?.contains("user_script");
        let name = place.names().name.map_or_else(|| "top level".to_owned(), |name| name.into_owned());
        is_script.then(|| (name, place.current_line().unwrap_or(0)))
    }) {
        meter::spend(lua, level)?;
        if let Some((name, line)) = call {
            let word = if level == 0 { "In" } else { "From" };
            with(lua, |session| {
                session.log.push(format!("{word} {name}:"));
                session.source.show(line, &mut session.log);
            });
        }
        level += 1;
    }
    Ok(Then::Ask)
}

/// Calls a command; the call itself tells of it.
fn redis(lua: &Lua, words: &[Vec<u8>]) -> Result<Then> {
    let words = words[1..].iter().map(|word| lua.create_string(word).map(Value::String));
    let words = words.collect::<Result<MultiValue>>()?;
    with(lua, |session| session.steps = true);
    let result = api::pcall(lua, words);
    with(lua, |session| session.steps = false);
    match result {
        Err(error) if raise::is_stop(&error) => Err(error),
        _ => Ok(Then::Ask),
    }
}

/// Runs Lua code: an expression, or else statements.
fn eval(lua: &Lua, words: &[Vec<u8>]) -> Result<Then> {
    let code = words[1..].join(&b' ');
    let compiled = compile(lua, &[b"return ", &code[..]].concat()).or_else(|_| compile(lua, &code));
    match compiled {
        Ok(function) => {
            let result = meter::limited(lua, || call(lua, function)).and_then(|result| result);
            match result {
                Ok((true, value)) => log_value(lua, "<retval> ", &value)?,
                Ok((false, error)) => log_error(lua, &raise::unwrap(lua, error))?,
                Err(error) => log_error(lua, &raise::unwrap(lua, Value::Error(Box::new(error))))?,
            }
        }
        Err(Error::SyntaxError { message, .. }) => log(lua, format!("<error> {message}")),
        Err(error) => log(lua, format!("<error> {error}")),
    }
    Ok(Then::Ask)
}

fn compile(lua: &Lua, code: &[u8]) -> Result<Function> {
    let env = with(lua, |session| session.world.env.clone());
    let env = env.ok_or_else(|| raise::text("nothing is debugged"))?;
    let chunk = lua.load(code).set_name("@ldb_eval").set_mode(ChunkMode::Text);
    meter::limited(lua, || chunk.set_environment(env).into_function())?
}

/// Calls a function in a coroutine: Lua calls no hook within a hook, so that nothing could end it
/// otherwise.
fn call(lua: &Lua, function: Function) -> Result<(bool, Value)> {
    let protected = with(lua, |session| session.world.protected.clone());
    let protected = protected.ok_or_else(|| raise::text("nothing is debugged"))?;
    let handler = lua.create_function(|lua, error: Value| Ok(raise::unwrap(lua, error)))?;
    lua.create_thread(protected)?.resume((function, handler))
}

fn log_error(lua: &Lua, error: &Value) -> Result<()> {
    let text = match error {
        Value::Table(table) => table.raw_get::<Value>("err")?,
        other => other.clone(),
    };
    match lua.coerce_string(text)? {
        Some(text) => log(lua, [b"<error> ", &text.as_bytes()[..]].concat()),
        // Redis ends here.
        None => log_value(lua, "<error> ", error)?,
    }
    Ok(())
}
