//! A Lua state with Redis's libraries, sealed: [`Vm`].
//!
//! There are two in a server: one for EVAL, one for functions. What a script defines is gone when
//! it ends, but for what functions keep for themselves.

use super::answer::{self, COUNTED, IsCounted};
use super::libraries::LibraryId;
use super::libs::deprecated::Deprecated;
use super::meter::Meter;
use super::raise::Raised;
use super::sandbox::{self, Sealed};
use super::settings::{DeprecatedFunctions, Settings};
use super::{Host, api, debugger, lent, libs, meter, raise};
use crate::base::text::{lossless, until_nul};
use crate::resp::Reply;
use mlua::chunk::ChunkMode;
use mlua::debug::{Debug as HookPlace, DebugEvent};
use mlua::state::{GcIncParams, GcMode};
use mlua::{Error, Function, HookTriggers, Lua, LuaOptions, Result, StdLib, Table, Value, VmState};
use std::fmt;

/// Instructions after which the interrupt is looked at. Each can take long where strings are long,
/// so they are few, and fewer still while much memory is in use.
pub(super) const INSTRUCTIONS_PER_TICK: u32 = 200;
/// A cycle of the garbage collector begins at this much of what the last one left, percent.
const GC_PAUSE_PERCENT: i32 = 130;
/// Up to this much memory in use it is this many; then fewer in proportion.
const SMALL_BYTES: usize = 4 << 20;

/// A Lua state. See the module.
pub struct Vm {
    pub(super) lua: Lua,
    pub(super) sealed: Sealed,
    /// Lua's own `xpcall`, whose handler still sees where the error was raised.
    pub(super) protected: Function,
    handler: Function,
    /// Binds a function to its two arguments, for `xpcall` passes none on.
    bind: Function,
    /// The compiled scripts by name, or tables of functions by the number of their library.
    pub(super) scripts: Table,
}

/// Lua code of [`Vm::bind`]. Nothing of it is on the stack while the function runs.
const BIND: &str = "local call, keys, arguments = ... return function() return call(keys, arguments) end";

impl fmt::Debug for Vm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Vm").field("used_bytes", &self.used_bytes()).finish_non_exhaustive()
    }
}

/// The error of a script, as it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line, with its code.
    pub line: String,
    /// True when INFO has counted it.
    pub is_counted: bool,
}

/// The names that a script is run by.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The script's name, as errors show it.
    pub name: &'a str,
    /// The place where it is kept.
    pub place: Place,
    /// Its keys.
    pub keys: &'a [&'a [u8]],
    /// Its other arguments.
    pub arguments: &'a [&'a [u8]],
}

/// The place where a script is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Among the scripts of EVAL, by its name.
    Scripts,
    /// In this library, by its name.
    Library(LibraryId),
}

impl Vm {
    /// For scripts of EVAL.
    pub fn for_eval(settings: Settings) -> Result<Vm> {
        let lua = bare(settings)?;
        let redis = api::open(&lua, settings.version)?;
        api::add_of_eval(&lua, &redis)?;
        let vm = Vm::sealed(lua, &[("redis", redis.clone()), ("server", redis)])?;
        vm.sealed.globals.raw_set("__redis__err__handler", &vm.handler)?;
        Ok(vm)
    }

    /// Seals `lua`, with these tables of the server's.
    pub(super) fn sealed(lua: Lua, libraries: &[(&str, Table)]) -> Result<Vm> {
        let protected: Function = lua.globals().raw_get("xpcall")?;
        let handler = lua.create_function(handle)?;
        let bind = lua.load(BIND).set_name("=bind").into_function()?;
        let deprecated = Deprecated::take(&lua)?;
        sandbox::install(&lua)?;
        let of_lua = [
            ("cjson", libs::cjson::open(&lua)?),
            ("cmsgpack", libs::cmsgpack::open(&lua)?),
            ("struct", libs::structs::open(&lua)?),
            ("bit", libs::bit::open(&lua)?),
        ];
        let sealed = sandbox::seal(&lua, &[libraries, &of_lua].concat())?;
        let settings = lua.app_data_ref::<Settings>().map(|settings| *settings);
        if settings.is_some_and(|settings| settings.deprecated == DeprecatedFunctions::Offered) {
            deprecated.offer(&lua, &sealed)?;
        }
        let scripts = lua.create_table()?;
        // What the preparation has left behind is no script's.
        lua.gc_collect()?;
        lua.gc_set_mode(GcMode::Incremental(GcIncParams::default().pause(GC_PAUSE_PERCENT)));
        let vm = Vm { lua, sealed, protected, handler, bind, scripts };
        look_after(&vm.lua, INSTRUCTIONS_PER_TICK)?;
        Ok(vm)
    }

    /// Compiles `code` and keeps it by its name. Errors with Lua's message.
    pub fn add(&self, name: &str, code: &[u8]) -> std::result::Result<(), String> {
        let compiled = self.compile("@user_script", code);
        let kept = compiled.and_then(|function| self.scripts.raw_set(name, function));
        kept.map_err(|error| message(&error))
    }

    /// Compiles `code`, which errors know by the name `source`.
    pub(super) fn compile(&self, source: &str, code: &[u8]) -> Result<Function> {
        let chunk = self.lua.load(code).set_name(source).set_mode(ChunkMode::Text);
        chunk.set_environment(self.sealed.env.clone()).into_function()
    }

    /// Forgets the script of this name.
    pub fn remove(&self, name: &str) {
        // A table that gets smaller takes no memory.
        let _ = self.scripts.raw_set(name, Value::Nil);
    }

    /// The next script that runs is debugged, and has this code.
    pub fn debug_next(&self, code: &[u8]) {
        debugger::begin(&self.lua, code, debugger::World::new(&self.sealed, &self.protected));
        meter::set_instructions(&self.lua, 0);
    }

    /// Runs the script `call.name` and answers what it returns. One of EVAL has its keys and its
    /// other arguments as the globals `KEYS` and `ARGV`, a function as its own arguments.
    pub fn run(
        &self,
        call: Call<'_>,
        host: &mut dyn Host,
        reply: &mut Reply<'_>,
    ) -> std::result::Result<answer::Errors, Failure> {
        let mark = reply.mark();
        lent::lend(host, || self.run_and_answer(call, reply)).inspect_err(|_| reply.cut(mark))
    }

    fn run_and_answer(
        &self,
        call: Call<'_>,
        reply: &mut Reply<'_>,
    ) -> std::result::Result<answer::Errors, Failure> {
        api::begin(&self.lua);
        let result = self.run_protected(call);
        let protocol = api::protocol();
        let answered = match &result {
            Ok((true, value)) => answer::write(&self.lua, value, protocol, reply),
            _ => Ok(answer::Errors::default()),
        };
        api::end();
        if debugger::end(&self.lua) {
            // So that the next one sets its own hook.
            meter::set_instructions(&self.lua, 0);
        }
        match (result, answered) {
            (Ok((true, _)), Ok(errors)) => Ok(errors),
            (Ok((false, error)), _) => Err(failure_of(call.name, &error)),
            (Err(error), _) | (_, Err(error)) => {
                Err(failure_of(call.name, &shown(&self.lua, Value::Error(Box::new(error)))))
            }
        }
    }

    fn run_protected(&self, call: Call<'_>) -> Result<(bool, Value)> {
        meter::collect_if_full(&self.lua)?;
        let (keys, arguments) = (self.array(call.keys)?, self.array(call.arguments)?);
        let script: Function = match call.place {
            Place::Scripts => {
                self.sealed.globals.raw_set("KEYS", keys)?;
                self.sealed.globals.raw_set("ARGV", arguments)?;
                self.scripts.raw_get(call.name)?
            }
            Place::Library(id) => {
                let library: Table = self.scripts.raw_get(id.0)?;
                let function: Function = library.raw_get(call.name)?;
                self.bind.call((function, keys, arguments))?
            }
        };
        look_after(&self.lua, INSTRUCTIONS_PER_TICK)?;
        meter::limited(&self.lua, || self.protected.call((script, &self.handler)))?
    }

    fn array(&self, words: &[&[u8]]) -> Result<Table> {
        let table = self.lua.create_table_with_capacity(words.len(), 0)?;
        for (index, word) in words.iter().enumerate() {
            meter::spend_on_string(&self.lua, word.len())?;
            table.raw_seti(index + 1, self.lua.create_string(word)?)?;
        }
        Ok(table)
    }

    /// Sets the most that scripts may hold, bytes.
    pub fn set_limit(&self, bytes: usize) {
        meter::set_limit(&self.lua, bytes);
    }

    /// The memory that Lua holds, bytes.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.lua.used_memory()
    }
}

/// Lua with the libraries that a script sees something of.
pub(super) fn bare(settings: Settings) -> Result<Lua> {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
    // A panic goes through whatever Lua has to catch errors.
    let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
    lua.set_app_data(Meter::new(settings.limit_bytes));
    lua.set_app_data(settings);
    Ok(lua)
}

/// The interrupt between instructions. While much memory is in use it comes sooner: then a single
/// instruction may work on many megabytes. When the script has to end it comes at once, so that
/// nothing that catches the error goes on for long.
fn hook(lua: &Lua, place: &HookPlace<'_>) -> Result<VmState> {
    let debugged = debugger::at(lua, place).map(|()| VmState::Continue);
    if place.event() == DebugEvent::Line {
        return debugged;
    }
    if let Err(stop) = meter::tick() {
        look_after(lua, 1)?;
        return Err(stop);
    }
    let weight = u32::try_from(lua.used_memory() / SMALL_BYTES).unwrap_or(u32::MAX).max(1);
    look_after(lua, (INSTRUCTIONS_PER_TICK / weight).max(1))?;
    debugged
}

/// Looks at the interrupt after so many instructions, from here on.
pub(super) fn look_after(lua: &Lua, instructions: u32) -> Result<()> {
    if !meter::set_instructions(lua, instructions) {
        return Ok(());
    }
    let mut triggers = HookTriggers::new().every_nth_instruction(instructions);
    triggers.every_line = debugger::is_on(lua);
    lua.set_global_hook(triggers, hook)
}

/// What Lua calls with an error at the place where it is raised: makes it a table, with the line of
/// the script there.
fn handle(lua: &Lua, error: Value) -> Result<Table> {
    let table = match shown(lua, error) {
        Value::Table(table) => table,
        other => {
            let line = [b"ERR ", &text_of(&other)?[..]].concat();
            answer::error_table(lua, &line, IsCounted::No)?
        }
    };
    // Level 0 is this function, 1 mlua's around it. What comes through a coroutine has passed some
    // functions of ours.
    if let Some((source, line)) = (2..=5).find_map(|level| place(lua, level)) {
        table.raw_set("source", source)?;
        table.raw_set("line", line)?;
    }
    Ok(table)
}

/// A string as it is, another value as Lua prints it.
fn text_of(value: &Value) -> Result<Vec<u8>> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        other => other.to_string().map(String::into_bytes),
    }
}

/// An error as it is shown at the end of a script, where its end is one too.
fn shown(lua: &Lua, error: Value) -> Value {
    let error = match raise::unwrap(lua, error) {
        Value::Error(error) => error,
        other => return other,
    };
    let line = Raised::of(&error).map_or_else(|| error.to_string(), |raised| raised.to_string());
    answer::error_table(lua, line.as_bytes(), IsCounted::No).map_or(Value::Nil, Value::Table)
}

/// The source and the line that level `level` of the stack is at; `None` for what is no Lua code.
fn place(lua: &Lua, level: usize) -> Option<(String, i64)> {
    lua.inspect_stack(level, |debug| {
        let source = debug.source();
        // Code of ours in Lua passes for C too.
        if matches!(source.what, "C" | "tail") || source.source.as_deref() == Some("=[C]") {
            return None;
        }
        let line = debug.current_line().and_then(|line| i64::try_from(line).ok()).unwrap_or(-1);
        Some((source.source?.into_owned(), line))
    })?
}

/// The line that is answered for what a script has raised.
fn failure_of(name: &str, error: &Value) -> Failure {
    let Value::Table(table) = error else {
        let text = match error {
            Value::String(text) => lossless(&text.as_bytes()).into_owned(),
            _ => "execution failure".to_owned(),
        };
        let text: String = text.chars().take(100).collect();
        return Failure { line: format!("ERR Error running script {name}, {text}"), is_counted: false };
    };
    let text = |field: &str| match table.raw_get::<Value>(field) {
        Ok(Value::String(text)) => Some(lossless(until_nul(&text.as_bytes())).into_owned()),
        Ok(Value::Integer(number)) => Some(number.to_string()),
        Ok(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    // Redis 7.0 ends here if there is no text; newer ones say this.
    let mut line = text("err").unwrap_or_else(|| "ERR unknown error".to_owned());
    if let (Some(source), Some(number)) = (text("source"), text("line")) {
        line.push_str(&format!(" script: {name}, on {source}:{number}."));
    }
    let is_counted = matches!(table.raw_get::<Value>(COUNTED), Ok(Value::Boolean(true)));
    Failure { line, is_counted }
}

/// Lua's message of a chunk that does not compile.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::SyntaxError { message, .. } | Error::MemoryError(message) => message.clone(),
        other => other.to_string(),
    }
}
