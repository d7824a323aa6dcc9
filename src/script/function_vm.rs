//! The Lua state of functions: [`FunctionVm`].
//!
//! While a library is loaded its code sees nothing but a `redis` of its own, which registers
//! functions and writes to the log; all globals come back before a function runs. What a library
//! keeps in local variables lives on between calls.

use super::Host;
use super::libraries::{BAD_NAME, Function, LibraryId, is_name};
use super::raise::Raised;
use super::settings::Settings;
use super::shebang::ScriptFlags;
use super::vm::{self, Vm};
use super::{api, lent, meter, raise};
use crate::base::text::lossless;
use mlua::{Lua, LuaString, MultiValue, Result, Table, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// The names under which scripts see what the server offers.
const NAMES: [&str; 2] = ["redis", "server"];
/// The name under which the table of loading is sealed.
const LOADING_NAME: &str = "__loading__";

/// The Lua state of functions.
#[derive(Debug)]
pub(super) struct FunctionVm {
    vm: Rc<Vm>,
    /// The globals of functions, and those of a library that is loaded.
    running: Table,
    loading: Table,
    /// A handler that makes an error what Lua code would see of it.
    plain_handler: mlua::Function,
}

/// The functions that the library has registered that is being loaded.
struct Registered {
    functions: Vec<Function>,
    callbacks: Table,
}

/// The place of [`Registered`] in a Lua state; empty while no library is loaded.
#[derive(Default)]
struct Registering(RefCell<Option<Registered>>);

impl FunctionVm {
    /// A Lua state without functions. `version` is Redis's.
    pub(super) fn new(settings: Settings) -> Result<Self> {
        let version = settings.version;
        let lua = vm::bare(settings)?;
        lua.set_app_data(Registering::default());
        let redis = api::open(&lua, version)?;
        let loading = table_of_loading(&lua, &redis)?;
        let vm = Vm::sealed(lua, &[(NAMES[0], redis.clone()), (NAMES[1], redis), (LOADING_NAME, loading)])?;
        let lua = &vm.lua;
        let (running, of_loading) = (lua.create_table()?, lua.create_table()?);
        let loading: Value = vm.sealed.globals.raw_get(LOADING_NAME)?;
        NAMES.iter().try_for_each(|name| of_loading.raw_set(*name, &loading))?;
        vm.sealed.globals.raw_set(LOADING_NAME, Value::Nil)?;
        vm.sealed.globals.for_each(|name: Value, value: Value| running.raw_set(name, value))?;
        let plain_handler = lua.create_function(|lua, error: Value| Ok(raise::unwrap(lua, error)))?;
        Ok(FunctionVm { vm: Rc::new(vm), running, loading: of_loading, plain_handler })
    }

    /// The Lua state by itself, which runs functions.
    #[must_use]
    pub(super) fn vm(&self) -> &Rc<Vm> {
        &self.vm
    }

    /// Runs the code of a library and keeps the functions that it registers. Errors in words,
    /// without a code; then nothing of it is kept.
    pub(super) fn load(
        &self,
        id: LibraryId,
        code: &[u8],
        host: &mut dyn Host,
    ) -> std::result::Result<Vec<Function>, String> {
        let fault = |error: mlua::Error| format!("Error registering functions: ERR {}", vm::message(&error));
        self.show(&self.loading).map_err(fault)?;
        let registered = self.register(code, host);
        self.show(&self.running).map_err(fault)?;
        let Registered { functions, callbacks } = registered.inspect_err(|_| self.collect())?;
        if functions.is_empty() {
            return Err("No functions registered".to_owned());
        }
        self.vm.scripts.raw_set(id.0, callbacks).map_err(fault)?;
        Ok(functions)
    }

    /// Gives back what a library leaves that was not loaded: Lua itself does so when it takes more,
    /// which it may not if the limit is near.
    fn collect(&self) {
        // An error of a finalizer; there are none.
        let _ = self.vm.lua.gc_collect();
    }

    /// Makes these the globals.
    fn show(&self, globals: &Table) -> Result<()> {
        self.vm.sealed.globals.clear()?;
        globals.for_each(|name: Value, value: Value| self.vm.sealed.globals.raw_set(name, value))
    }

    fn register(&self, code: &[u8], host: &mut dyn Host) -> std::result::Result<Registered, String> {
        let chunk = self.vm.compile("@user_function", code);
        let chunk = chunk.map_err(|error| format!("Error compiling function: {}", vm::message(&error)))?;
        let ran = lent::lend(host, || self.run_registering(chunk));
        let place = self.vm.lua.app_data_ref::<Registering>();
        let registered = place.and_then(|place| place.0.take());
        let error = match ran {
            Ok((true, _)) => return registered.ok_or_else(|| "No functions registered".to_owned()),
            Ok((false, error)) => error,
            Err(error) => raise::unwrap(&self.vm.lua, Value::Error(Box::new(error))),
        };
        Err(format!("Error registering functions: {}", line_of(&error)))
    }

    fn run_registering(&self, chunk: mlua::Function) -> Result<(bool, Value)> {
        let lua = &self.vm.lua;
        let registered = Registered { functions: Vec::new(), callbacks: lua.create_table()? };
        if let Some(place) = lua.app_data_ref::<Registering>() {
            place.0.replace(Some(registered));
        }
        vm::look_after(lua, vm::INSTRUCTIONS_PER_TICK)?;
        meter::limited(lua, || self.vm.protected.call((chunk, &self.plain_handler)))?
    }

    /// Forgets the functions of a library.
    pub(super) fn remove(&self, id: LibraryId) {
        // A table that gets smaller takes no memory.
        let _ = self.vm.scripts.raw_set(id.0, Value::Nil);
    }
}

/// The table `redis` that a library sees while it is loaded: what is not there is an error.
fn table_of_loading(lua: &Lua, redis: &Table) -> Result<Table> {
    let table = lua.create_table()?;
    let names = ["log", "REDIS_VERSION", "REDIS_VERSION_NUM"];
    let levels = ["LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"];
    for name in names.into_iter().chain(levels) {
        table.raw_set(name, redis.raw_get::<Value>(name)?)?;
    }
    table.raw_set("register_function", meter::function(lua, register_function)?)?;
    let behind = lua.create_table()?;
    behind.raw_set("__index", meter::function(lua, refuse_unknown)?)?;
    table.set_metatable(Some(behind))?;
    Ok(table)
}

fn refuse_unknown(lua: &Lua, (_, name): (Value, Value)) -> Result<()> {
    let line = match api::text_of(lua, &name)? {
        Some(name) => {
            let text = b"Script attempted to access nonexistent global variable '";
            [&text[..], &name.as_bytes(), b"'"].concat()
        }
        None => b"Second argument to luaProtectedTableError must be a string or number".to_vec(),
    };
    Err(raise::at_caller(lua, line))
}

/// The line of an error that says nothing. Redis 7.0 ends here.
const NO_TEXT: &str = "ERR unknown error";

/// The line of an error that ended the load.
fn line_of(error: &Value) -> String {
    match error {
        Value::String(text) => format!("ERR {}", lossless(&text.as_bytes())),
        Value::Table(table) => match table.raw_get::<Value>("err") {
            Ok(Value::String(text)) => lossless(&text.as_bytes()).into_owned(),
            _ => NO_TEXT.to_owned(),
        },
        Value::Error(error) => Raised::of(error).unwrap_or(Raised::Stop(NO_TEXT.to_owned())).to_string(),
        _ => NO_TEXT.to_owned(),
    }
}

fn register_function(lua: &Lua, values: MultiValue) -> Result<()> {
    let Some(registering) = lua.app_data_ref::<Registering>() else { return Ok(()) };
    let mut place = registering.0.borrow_mut();
    let Some(registered) = place.as_mut() else {
        return Err(raise::misuse("redis.register_function can only be called on FUNCTION LOAD command"));
    };
    let wish = match values.len() {
        1 => Wish::by_name(lua, &values[0]),
        2 => Wish::by_position(lua, &values[0], &values[1]),
        _ => Err(raise::misuse("wrong number of arguments to redis.register_function")),
    }?;
    let name = wish.name.as_bytes().to_vec();
    if !is_name(&name) {
        return Err(raise::misuse(BAD_NAME));
    }
    let name = lossless(&name).into_owned();
    // Redis takes names that differ in capital letters, and fails when their library goes.
    if registered.functions.iter().any(|function| function.name.eq_ignore_ascii_case(&name)) {
        return Err(raise::misuse("Function already exists in the library"));
    }
    registered.callbacks.raw_set(name.as_str(), wish.callback)?;
    registered.functions.push(Function { name, description: wish.description, flags: wish.flags });
    Ok(())
}

/// A function that is to be registered.
struct Wish {
    name: LuaString,
    callback: mlua::Function,
    description: Option<Vec<u8>>,
    flags: ScriptFlags,
}

impl Wish {
    fn by_position(lua: &Lua, name: &Value, callback: &Value) -> Result<Wish> {
        let name = api::text_of(lua, name)?;
        let name =
            name.ok_or_else(|| raise::misuse("first argument to redis.register_function must be a string"))?;
        let Value::Function(callback) = callback else {
            return Err(raise::misuse("second argument to redis.register_function must be a function"));
        };
        Ok(Wish { name, callback: callback.clone(), description: None, flags: ScriptFlags::default() })
    }

    fn by_name(lua: &Lua, arguments: &Value) -> Result<Wish> {
        let Value::Table(arguments) = arguments else {
            return Err(raise::misuse(
                "calling redis.register_function with a single argument is only applicable to Lua table (representing \
                 named arguments).",
            ));
        };
        let mut named = Named::default();
        arguments.for_each(|key: Value, value: Value| named.take(lua, &key, &value))?;
        let missing = |what| raise::misuse(&format!("redis.register_function must get a {what} argument"));
        Ok(Wish {
            name: named.name.ok_or_else(|| missing("function name"))?,
            callback: named.callback.ok_or_else(|| missing("callback"))?,
            description: named.description,
            flags: named.flags,
        })
    }
}

/// The named arguments that were found so far.
#[derive(Default)]
struct Named {
    name: Option<LuaString>,
    callback: Option<mlua::Function>,
    description: Option<Vec<u8>>,
    flags: ScriptFlags,
}

impl Named {
    fn take(&mut self, lua: &Lua, key: &Value, value: &Value) -> Result<()> {
        meter::spend(lua, 1)?;
        let key = api::text_of(lua, key)?;
        let key = key.ok_or_else(|| {
            raise::misuse("named argument key given to redis.register_function is not a string")
        })?;
        match &*key.as_bytes().to_ascii_lowercase() {
            b"function_name" => self.name = Some(string_of(lua, "function_name", value)?),
            b"description" => {
                self.description = Some(string_of(lua, "description", value)?.as_bytes().to_vec());
            }
            b"callback" => match value {
                Value::Function(callback) => self.callback = Some(callback.clone()),
                _ => {
                    let message = "callback argument given to redis.register_function must be a function";
                    return Err(raise::misuse(message));
                }
            },
            b"flags" => self.flags = flags_of(lua, value)?,
            _ => return Err(raise::misuse("unknown argument given to redis.register_function")),
        }
        Ok(())
    }
}

fn string_of(lua: &Lua, name: &str, value: &Value) -> Result<LuaString> {
    let wrong = || format!("{name} argument given to redis.register_function must be a string");
    api::text_of(lua, value)?.ok_or_else(|| raise::misuse(&wrong()))
}

fn flags_of(lua: &Lua, value: &Value) -> Result<ScriptFlags> {
    let Value::Table(names) = value else {
        return Err(raise::misuse(
            "flags argument to redis.register_function must be a table representing function flags",
        ));
    };
    let mut flags = ScriptFlags::default();
    for name in names.sequence_values::<Value>() {
        meter::spend(lua, 1)?;
        let name = api::text_of(lua, &name?)?;
        let is_known = name.is_some_and(|name| flags.set(&name.as_bytes().to_ascii_lowercase()));
        if !is_known {
            return Err(raise::misuse("unknown flag given"));
        }
    }
    Ok(flags)
}
