//! `getfenv`, `setfenv` and `newproxy`, which scripts have with `lua-enable-deprecated-api`.
//!
//! They are Lua's own, but for what would lead out of the sandbox: the real globals are shown as
//! the environment of scripts, and the environment of functions that are not a script's is not
//! changed. `getmetatable` finds the metatable that `newproxy` has made.

use super::in_lua;
use crate::script::sandbox::Sealed;
use mlua::{Function, Lua, Result};

/// The functions as Lua has them, taken before they are removed.
pub struct Deprecated {
    getfenv: Function,
    setfenv: Function,
    newproxy: Function,
    getmetatable: Function,
}

/// A level counts from the caller, and these functions are one level more.
const ENVIRONMENTS: &str = "
local getfenv, setfenv, globals, env, error, type, of_proxy, of_other = ...
local function own(f)
    if f == nil then return 2 end
    if type(f) == 'number' and f > 0 then return f + 1 end
    return f
end
return function(f)
    local found = getfenv(own(f))
    if found == globals then found = env end
    return found
end, function(f, t)
    local level = type(f) == 'number' and f > 0 and f + 1 or f
    if level == 0 or getfenv(level) == globals then
        error(\"'setfenv' cannot change environment of given object\", 2)
    end
    local changed = setfenv(level, t)
    return changed
end, function(value)
    if type(value) == 'userdata' then return of_proxy(value) end
    return of_other(value)
end";

impl Deprecated {
    /// Takes the functions from a fresh Lua state.
    pub fn take(lua: &Lua) -> Result<Self> {
        let globals = lua.globals();
        Ok(Deprecated {
            getfenv: globals.raw_get("getfenv")?,
            setfenv: globals.raw_get("setfenv")?,
            newproxy: globals.raw_get("newproxy")?,
            getmetatable: globals.raw_get("getmetatable")?,
        })
    }

    /// Gives them to the scripts of `sealed`.
    pub fn offer(&self, lua: &Lua, sealed: &Sealed) -> Result<()> {
        let Sealed { globals, env } = sealed;
        let error: Function = globals.raw_get("error")?;
        let type_of: Function = globals.raw_get("type")?;
        let sealed_one: Function = globals.raw_get("getmetatable")?;
        let Deprecated { getfenv, setfenv, newproxy, getmetatable } = self;
        let parts = (getfenv, setfenv, globals, env, error, type_of, getmetatable, sealed_one);
        let made: (Function, Function, Function) = in_lua(lua, ENVIRONMENTS)?.call(parts)?;
        let (getfenv, setfenv, getmetatable) = made;
        globals.raw_set("getmetatable", getmetatable)?;
        globals.raw_set("getfenv", getfenv)?;
        globals.raw_set("setfenv", setfenv)?;
        globals.raw_set("newproxy", newproxy)
    }
}
