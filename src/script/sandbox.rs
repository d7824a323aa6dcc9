//! The world of a script: which functions of Lua's it has ([`install`]), and that none of them, and
//! no table that scripts have in common, can be changed by one ([`seal`]).

use super::libs::{base, coroutine, math, string, table};
use super::readonly::Readonly;
use super::{protect, raise};
use mlua::{Function, Lua, LuaString, MultiValue, Result, StdLib, Table, Value};

/// What Lua brings and a script of Redis's has.
const GLOBALS: [&str; 27] = [
    "_VERSION",
    "assert",
    "collectgarbage",
    "coroutine",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "load",
    "loadstring",
    "math",
    "next",
    "os",
    "pairs",
    "pcall",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "unpack",
    "xpcall",
];

/// Libraries of Lua's own that scripts have.
const LIBRARIES: [&str; 5] = ["coroutine", "math", "os", "string", "table"];

/// Tables for who runs scripts.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The environment of every chunk.
    pub env: Table,
    /// The real table of globals behind it, for `KEYS` and `ARGV`. No script may get it.
    pub globals: Table,
}

/// Gives a fresh Lua state with `table`, `string` and `math` the functions of a script, and takes
/// away what scripts do not have.
pub fn install(lua: &Lua) -> Result<()> {
    let globals = lua.globals();
    let readonly = Readonly::new(lua)?;
    lua.set_app_data(readonly.clone());
    protect::keep(lua, globals.raw_get("pcall")?);
    open_clock(lua, &globals)?;
    table::open(lua, &globals, &globals.raw_get("table")?, &readonly)?;
    string::open(lua, &globals.raw_get("string")?)?;
    base::open(lua, &globals, &readonly)?;
    coroutine::open(lua, &globals, &globals.raw_get("coroutine")?)?;
    coroutine::open_catching(lua, &globals)?;
    math::open(lua, &globals.raw_get("math")?)?;
    remove_others(&globals)
}

/// Makes the environment of scripts: all globals, and `libraries` with their names, can be read and
/// not written.
pub fn seal(lua: &Lua, libraries: &[(&str, Table)]) -> Result<Sealed> {
    let globals = lua.globals();
    let readonly = lua.app_data_ref::<Readonly>().map(|readonly| readonly.clone());
    let readonly = readonly.ok_or_else(|| raise::text("the sandbox is not installed"))?;
    for name in LIBRARIES {
        let library: Table = globals.raw_get(name)?;
        globals.raw_set(name, readonly.stand_in(lua, library, None)?)?;
    }
    for (name, library) in libraries {
        globals.raw_set(*name, readonly.stand_in(lua, library.clone(), None)?)?;
    }
    seal_strings(lua, &globals, &readonly)?;
    let missing = lua.create_table()?;
    missing.raw_set("__index", lua.create_function(refuse_missing)?)?;
    globals.set_metatable(Some(missing.clone()))?;
    let shown = readonly.stand_in(lua, missing, None)?;
    let env = readonly.stand_in(lua, globals.clone(), Some(shown))?;
    globals.raw_set("_G", &env)?;
    base::open_loading(lua, &globals, &env)?;
    Ok(Sealed { env, globals })
}

/// The metatable of strings leads to the real library; a script sees a read-only one that leads to
/// the stand-in.
fn seal_strings(lua: &Lua, globals: &Table, readonly: &Readonly) -> Result<()> {
    let Some(metatable) = lua.type_metatable::<LuaString>() else { return Ok(()) };
    let seen = lua.create_table()?;
    seen.raw_set("__index", globals.raw_get::<Table>("string")?)?;
    metatable.raw_set("__metatable", readonly.stand_in(lua, seen, None)?)
}

/// `os` has `clock` and nothing else.
fn open_clock(lua: &Lua, globals: &Table) -> Result<()> {
    lua.load_std_libs(StdLib::OS)?;
    let clock: Function = globals.raw_get::<Table>("os")?.raw_get("clock")?;
    let os = lua.create_table()?;
    os.raw_set("clock", clock)?;
    globals.raw_set("os", os)
}

fn remove_others(globals: &Table) -> Result<()> {
    let names: Vec<Value> = globals.pairs::<Value, Value>().map(|pair| Ok(pair?.0)).collect::<Result<_>>()?;
    for name in names {
        let kept = name
            .as_string()
            .is_some_and(|name| GLOBALS.iter().any(|kept| *name.as_bytes() == *kept.as_bytes()));
        if !kept {
            globals.raw_remove(name)?;
        }
    }
    Ok(())
}

/// The error for who reads a global that is not there.
fn refuse_missing(lua: &Lua, values: MultiValue) -> Result<()> {
    let name = match values.get(1) {
        Some(name @ (Value::String(_) | Value::Integer(_) | Value::Number(_))) => {
            lua.coerce_string(name.clone())?
        }
        _ => None,
    };
    let Some(name) = name else {
        let message = "Second argument to luaProtectedTableError must be a string or number";
        return Err(raise::at_caller(lua, message));
    };
    let mut message = b"Script attempted to access nonexistent global variable '".to_vec();
    message.extend_from_slice(&name.as_bytes());
    message.push(b'\'');
    Err(raise::at_caller(lua, message))
}

#[cfg(test)]
mod tests {
    use crate::script::testing::{run_sealed, sealed};

    const REFUSAL: &str = "Attempt to modify a readonly table";

    fn check(rows: &[(&str, &str)]) {
        let (lua, sealed) = sealed();
        for (chunk, expected) in rows {
            assert_eq!(run_sealed(&lua, &sealed, chunk), *expected, "{chunk}");
        }
    }

    /// Chunks with what redis-server 7.0.15 answers.
    #[test]
    fn what_scripts_have_in_common_is_not_written() {
        let with_line = format!("error: user_script:1: {REFUSAL}");
        let without = format!("error: {REFUSAL}");
        let lines = ["x=1", "string.x=1", "string=nil", "KEYS=1", "_G[1]=1", "getmetatable('').__index='x'"];
        let more = ["getmetatable(_G).__index=nil", "getmetatable('').__foo=1", "_G.string.rep=nil"];
        let plain =
            ["rawset(_G,'x',1)", "rawset(string,'x',1)", "setmetatable(_G,{})", "setmetatable(string,{})"];
        let deep = ["setmetatable(getmetatable(_G),{})", "return rawset(getmetatable(''),'x',1)"];
        let rows = lines.iter().chain(&more).map(|chunk| (*chunk, with_line.as_str()));
        let rows = rows.chain(plain.iter().chain(&deep).map(|chunk| (*chunk, without.as_str())));
        check(&rows.collect::<Vec<_>>());
        check(&[("loadstring('x=1')()", &format!("error: [string \"x=1\"]:1: {REFUSAL}"))]);
    }

    #[test]
    fn what_is_read_is_as_in_redis() {
        check(&[
            ("return {tostring(_G.string==string),tostring(_G._G==_G)}", "[true true]"),
            ("return tostring(getmetatable(string))", "nil"),
            ("return tostring(getmetatable('').__index==string)", "true"),
            ("return tostring(getmetatable(getmetatable('')))", "nil"),
            (
                "local t={} for k,v in pairs(getmetatable(_G)) do t[#t+1]=k..type(v) end return t",
                "[__indexfunction]",
            ),
            ("return tostring(rawget(_G,'y'))", "nil"),
            ("return tostring(rawget(string,'rep')==string.rep)", "true"),
            ("return tostring(string.foo)", "nil"),
            ("return type(next(string))", "string"),
            ("string.foo()", "error: user_script:1: attempt to call field 'foo' (a nil value)"),
        ]);
    }

    #[test]
    fn a_missing_global_is_an_error() {
        let text = "error: user_script:1: Script attempted to access nonexistent global variable";
        let odd =
            "error: user_script:1: Second argument to luaProtectedTableError must be a string or number";
        check(&[
            ("return y", &format!("{text} 'y'")),
            ("return _G.y", &format!("{text} 'y'")),
            ("return _G[1]", &format!("{text} '1'")),
            ("return _G[{}]", odd),
            ("return _G[nil]", odd),
            ("local t=setmetatable({},{__index=_G}) return t.foo", &format!("{text} 'foo'")),
            ("local a,b=pcall(function() return y end) return b", &format!("{text} 'y'")["error: ".len()..]),
            ("print(1)", &format!("{text} 'print'")),
            ("setfenv(1,{})", &format!("{text} 'setfenv'")),
        ]);
    }

    #[test]
    fn the_globals_are_those_of_redis_and_a_clock() {
        let chunk = "local t={} for k,v in pairs(_G) do t[#t+1]=k end table.sort(t) return t";
        let expected = "[_G _VERSION assert collectgarbage coroutine error gcinfo getmetatable ipairs load \
                        loadstring math next os pairs pcall rawequal rawget rawset select setmetatable string \
                        table tonumber tostring type unpack xpcall]";
        check(&[
            (chunk, expected),
            ("return type(os.clock())", "number"),
            ("return tostring(os.time)", "nil"),
        ]);
    }
}
