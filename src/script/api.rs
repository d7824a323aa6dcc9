//! The table `redis`, also called `server`: what a script can ask of the server.

use super::answer::{self, IsCounted};
use super::arguments::integer_of;
use super::host::Readers;
use super::{debugger, lent, meter, raise};
use crate::base::text::{lossless, until_nul};
use crate::resp::argv::ArgRange;
use crate::resp::{Argv, Protocol};
use mlua::{
    FromLua, FromLuaMulti, Function, IntoLuaMulti, Lua, LuaString, MultiValue, Result, Table, Value, Variadic,
};
use sha1::{Digest, Sha1};
use std::cell::{Cell, RefCell};
use std::fmt::Write;

thread_local! {
    /// Of the script that runs on this thread. No look-up by type leads here, since each argument
    /// of each call comes by.
    static CALLS: Calls = Calls::default();
}

/// What a running script has set for itself, and the memory that its calls use again.
#[derive(Debug, Default)]
struct Calls {
    /// The protocol of the answers it gets: `redis.setresp`.
    protocol: Cell<Protocol>,
    /// True while a script runs: only then is there somebody to ask.
    is_running: Cell<bool>,
    /// The script is debugged.
    is_debugged: Cell<bool>,
    words: RefCell<Words>,
    /// The most that the words of a call may have, bytes.
    limit_bytes: Cell<usize>,
    reply: RefCell<Vec<u8>>,
}

/// A command in one buffer.
#[derive(Debug, Default)]
struct Words {
    bytes: Vec<u8>,
    ranges: Vec<ArgRange>,
    /// The first argument that cannot be one.
    fault: Option<&'static str>,
}

/// An argument of a command, which is in [`Calls::words`] by now. mlua can hold some thousand
/// values at a time, and a script may pass as many: so none is held.
struct Word;

impl FromLua for Word {
    fn from_lua(value: Value, _: &Lua) -> Result<Self> {
        CALLS.with(|calls| calls.words.borrow_mut().push(&value, calls.limit_bytes.get()));
        Ok(Word)
    }
}

/// Buffers of more bytes are given back after a call.
const KEPT_BYTES: usize = 64 << 10;

/// The protocol that the running script has set.
#[must_use]
pub fn protocol() -> Protocol {
    CALLS.with(|calls| calls.protocol.get())
}

/// A script begins, which gets answers as RESP2.
pub fn begin(lua: &Lua) {
    CALLS.with(|calls| {
        calls.protocol.set(Protocol::Resp2);
        calls.is_running.set(true);
        calls.limit_bytes.set(meter::limit_bytes(lua).min(u32::MAX as usize));
        calls.is_debugged.set(debugger::is_on(lua));
    });
}

/// The script has ended.
pub fn end() {
    CALLS.with(|calls| calls.is_running.set(false));
}

fn is_running() -> bool {
    CALLS.with(|calls| calls.is_running.get())
}

/// Makes the table. `version` is Redis's, as `7.0.15`.
pub fn open(lua: &Lua, version: &str) -> Result<Table> {
    let table = lua.create_table()?;
    let calling = |on_error| move |lua: &Lua, _: Variadic<Word>| call(lua, on_error);
    table.raw_set("call", function(lua, calling(OnError::Raise))?)?;
    table.raw_set("pcall", function(lua, calling(OnError::Return))?)?;
    table.raw_set("sha1hex", function(lua, sha1hex)?)?;
    table.raw_set("error_reply", function(lua, error_reply)?)?;
    table.raw_set("status_reply", function(lua, status_reply)?)?;
    table.raw_set("log", function(lua, log)?)?;
    table.raw_set("setresp", function(lua, setresp)?)?;
    table.raw_set("set_repl", function(lua, set_repl)?)?;
    table.raw_set("acl_check_cmd", function(lua, acl_check_cmd)?)?;
    for (name, value) in CONSTANTS {
        table.raw_set(*name, *value)?;
    }
    table.raw_set("REDIS_VERSION", version)?;
    table.raw_set("REDIS_VERSION_NUM", version_number(version))?;
    Ok(table)
}

/// A function of the table, whose errors the debugger is told of.
fn function<A, R>(lua: &Lua, act: impl Fn(&Lua, A) -> Result<R> + 'static) -> Result<Function>
where
    A: FromLuaMulti,
    R: IntoLuaMulti,
{
    meter::function(lua, move |lua, arguments| {
        act(lua, arguments).inspect_err(|error| debugger::note_raised(lua, error))
    })
}

/// Adds what only scripts of EVAL have.
pub fn add_of_eval(lua: &Lua, table: &Table) -> Result<()> {
    debugger::open(lua, table)?;
    table.raw_set("replicate_commands", meter::function(lua, |_, ()| Ok(true))?)
}

const CONSTANTS: &[(&str, i64)] = &[
    ("LOG_DEBUG", 0),
    ("LOG_VERBOSE", 1),
    ("LOG_NOTICE", 2),
    ("LOG_WARNING", 3),
    ("REPL_NONE", 0),
    ("REPL_AOF", 1),
    ("REPL_SLAVE", 2),
    ("REPL_REPLICA", 2),
    ("REPL_ALL", 3),
];

/// A version as one number, a byte for each part.
fn version_number(version: &str) -> i64 {
    version.split('.').fold(0, |number, part| number << 8 | part.parse::<i64>().unwrap_or_default())
}

/// What is done with the error of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnError {
    Raise,
    Return,
}

/// Calls a command for the debugger; its error is a value.
pub(super) fn pcall(lua: &Lua, words: MultiValue) -> Result<Value> {
    words.into_iter().try_for_each(|word| Word::from_lua(word, lua).map(drop))?;
    call(lua, OnError::Return)
}

fn call(lua: &Lua, on_error: OnError) -> Result<Value> {
    let (words, mut reply) = CALLS.with(|calls| (calls.words.take(), calls.reply.take()));
    if !is_running() {
        return Err(raise::misuse("redis.call/pcall can only be called inside a script invocation"));
    }
    reply.clear();
    let result = match words.fault() {
        Some(message) if on_error == OnError::Raise => Err(raise::misuse(message)),
        Some(message) => {
            debugger::note_error(lua, message.as_bytes());
            let line = format!("ERR {message}");
            answer::error_table(lua, line.as_bytes(), IsCounted::No).map(Value::Table)
        }
        None => {
            ask(lua, words.argv(), &mut reply);
            if on_error == OnError::Raise && answer::is_error(&reply) {
                Err(raise::reply(answer::error_text(&reply)))
            } else {
                meter::reserve(lua, reply.len()).and_then(|()| answer::to_lua(lua, &reply))
            }
        }
    };
    CALLS.with(|calls| {
        calls.words.replace(words.emptied());
        calls.reply.replace(if reply.capacity() > KEPT_BYTES { Vec::new() } else { reply });
    });
    result
}

fn ask(lua: &Lua, argv: Argv<'_>, reply: &mut Vec<u8>) {
    let is_debugged = CALLS.with(|calls| calls.is_debugged.get());
    if is_debugged {
        debugger::note_command(lua, argv);
    }
    lent::with(|host| host.call(argv, protocol(), reply));
    if is_debugged {
        debugger::note_answer(lua, reply);
    }
}

impl Words {
    fn argv(&self) -> Argv<'_> {
        Argv::new(&self.bytes, &self.ranges)
    }

    /// Adds an argument of a call: a string, or a number with all its digits.
    fn push(&mut self, value: &Value, limit_bytes: usize) {
        let start = self.bytes.len();
        match value {
            Value::String(text) if start + text.as_bytes().len() > limit_bytes => {
                self.fault = self.fault.or(Some("The arguments of the command are too long"));
            }
            Value::String(text) => self.bytes.extend_from_slice(&text.as_bytes()),
            Value::Integer(value) => push_number(*value as f64, &mut self.bytes),
            Value::Number(value) => push_number(*value, &mut self.bytes),
            _ => {
                let message = "Lua redis lib command arguments must be strings or integers";
                self.fault = self.fault.or(Some(message));
            }
        }
        if let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(self.bytes.len())) {
            self.ranges.push((start, end));
        }
    }

    /// What is wrong with the call, if something is.
    fn fault(&self) -> Option<&'static str> {
        let message = "Please specify at least one argument for this redis lib call";
        if self.ranges.is_empty() { Some(message) } else { self.fault }
    }

    /// The memory for the next call.
    fn emptied(mut self) -> Self {
        if self.bytes.capacity() > KEPT_BYTES {
            return Words::default();
        }
        self.bytes.clear();
        self.ranges.clear();
        self.fault = None;
        self
    }
}

/// A number as C's `%.17g` prints it.
fn push_number(value: f64, bytes: &mut Vec<u8>) {
    let is_small_integer =
        value.fract() == 0.0 && value.abs() < 1e15 && (value != 0.0 || value.is_sign_positive());
    if is_small_integer {
        bytes.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        crate::base::number::format_f64_17g(value, bytes);
    }
}

fn sha1hex(lua: &Lua, values: MultiValue) -> Result<String> {
    if values.len() != 1 {
        return Err(raise::misuse("wrong number of arguments"));
    }
    let text = text_of(lua, &values[0])?;
    let bytes = text.as_ref().map(|text| text.as_bytes());
    let bytes = bytes.as_deref().unwrap_or_default();
    meter::spend(lua, bytes.len())?;
    Ok(hex_of_sha1(bytes))
}

/// The SHA-1 of `bytes` in hexadecimal digits.
#[must_use]
pub fn hex_of_sha1(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().fold(String::with_capacity(40), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A string or a number as a string; `None` for what has no text.
pub(super) fn text_of(lua: &Lua, value: &Value) -> Result<Option<LuaString>> {
    match value {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => lua.coerce_string(value.clone()),
        _ => Ok(None),
    }
}

fn wrong_use(lua: &Lua) -> Result<Table> {
    debugger::note_error(lua, b"wrong number or type of arguments");
    answer::error_table(lua, b"ERR wrong number or type of arguments", IsCounted::No)
}

fn only_string(values: &MultiValue) -> Option<&LuaString> {
    match (values.len(), values.front()) {
        (1, Some(Value::String(text))) => Some(text),
        _ => None,
    }
}

/// An error as a table. Without a code it is an `ERR`.
fn error_reply(lua: &Lua, values: MultiValue) -> Result<Table> {
    let Some(text) = only_string(&values) else { return wrong_use(lua) };
    let text = text.as_bytes();
    let text = until_nul(&text);
    let text = text.strip_prefix(b"-").unwrap_or(text);
    debugger::note_error(lua, &[b"-", text].concat());
    let (code, message): (&[u8], &[u8]) = match text.iter().position(|&byte| byte == b' ') {
        Some(space) => (&text[..space], &text[space + 1..]),
        None => (b"ERR", text),
    };
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = message.iter().position(|byte| !is_end(byte)).unwrap_or(message.len());
    let end = message.iter().rposition(|byte| !is_end(byte)).map_or(start, |last| last + 1);
    answer::error_table(lua, &[code, b" ", &message[start..end]].concat(), IsCounted::No)
}

fn status_reply(lua: &Lua, values: MultiValue) -> Result<Table> {
    let Some(text) = only_string(&values) else { return wrong_use(lua) };
    let table = lua.create_table()?;
    table.raw_set("ok", text)?;
    Ok(table)
}

fn log(lua: &Lua, values: MultiValue) -> Result<()> {
    if values.len() < 2 {
        return Err(raise::misuse("redis.log() requires two arguments or more."));
    }
    let level = match lua.coerce_number(values[0].clone())? {
        Some(level) => integer_of(level),
        None => return Err(raise::misuse("First argument must be a number (log level).")),
    };
    let level = match level {
        0 => log::Level::Trace,
        1 => log::Level::Debug,
        2 => log::Level::Info,
        3 => log::Level::Warn,
        _ => return Err(raise::misuse("Invalid debug level.")),
    };
    if log::log_enabled!(level) {
        let texts: Result<Vec<_>> = values.iter().skip(1).map(|value| text_of(lua, value)).collect();
        let texts: Vec<_> = texts?.iter().flatten().map(|text| text.as_bytes().to_vec()).collect();
        log::log!(level, "{}", lossless(&texts.join(&b' ')));
    }
    Ok(())
}

fn setresp(lua: &Lua, values: MultiValue) -> Result<()> {
    ask_running("redis.setresp")?;
    if values.len() != 1 {
        return Err(raise::misuse("redis.setresp() requires one argument."));
    }
    let protocol = match number_of(lua, &values[0])? {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(raise::misuse("RESP version must be 2 or 3.")),
    };
    CALLS.with(|calls| calls.protocol.set(protocol));
    Ok(())
}

fn number_of(lua: &Lua, value: &Value) -> Result<i64> {
    Ok(lua.coerce_number(value.clone())?.map_or(0, integer_of))
}

fn set_repl(lua: &Lua, values: MultiValue) -> Result<()> {
    ask_running("redis.set_repl")?;
    if values.len() != 1 {
        return Err(raise::misuse("redis.set_repl() requires two arguments."));
    }
    let flags = number_of(lua, &values[0])?;
    if flags & !3 != 0 {
        let message = "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(raise::misuse(message));
    }
    lent::with(|host| host.propagate_to(Readers { file: flags & 1 != 0, replicas: flags & 2 != 0 }));
    Ok(())
}

fn acl_check_cmd(_: &Lua, _: Variadic<Word>) -> Result<bool> {
    let words = CALLS.with(|calls| calls.words.take());
    ask_running("redis.acl_check_cmd")?;
    if let Some(message) = words.fault() {
        return Err(raise::misuse(message));
    }
    let answer = lent::with(|host| host.may_run(words.argv())).flatten();
    answer.ok_or_else(|| raise::misuse("Invalid command passed to redis.acl_check_cmd()"))
}

fn ask_running(name: &str) -> Result<()> {
    if is_running() {
        return Ok(());
    }
    Err(raise::misuse(&format!("{name} can only be called inside a script invocation")))
}
