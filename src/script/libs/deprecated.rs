//! `getfenv`, `setfenv` and `newproxy`, which scripts have with `lua-enable-deprecated-api`.
//!
//! They are Lua's own, but for what would lead out of the sandbox: the real globals are shown as
//! the environment of scripts, and the environment of functions that are not a script's is not
//! changed. `getmetatable` finds the metatable that `newproxy` has made. No `__gc` gets into it:
//! Lua promises no time for a finalizer, and would run it where nothing can interrupt it, so it
//! never comes.

use super::in_lua;
use crate::script::sandbox::Sealed;
use mlua::{Function, Lua, Result, Table};

/// The functions as Lua has them, taken before they are replaced or removed.
pub struct Deprecated(Table);

/// The names of those functions.
const NAMES: [&str; 4] = ["getfenv", "setfenv", "newproxy", "getmetatable"];

/// Makes what scripts are given. A level of the stack counts from the caller, and these functions
/// are one level more.
const OFFERED: &str = r#"
local lua, sealed, globals, env = ...
local getfenv, setfenv, newproxy, getmetatable = lua.getfenv, lua.setfenv, lua.newproxy, lua.getmetatable
local error, type, setmetatable, rawset = sealed.error, sealed.type, sealed.setmetatable, sealed.rawset
local of_other = sealed.getmetatable
local offered = {}

local function own(f)
    if f == nil then return 2 end
    if type(f) == 'number' and f > 0 then return f + 1 end
    return f
end

function offered.getfenv(f)
    local found = getfenv(own(f))
    if found == globals then found = env end
    return found
end

function offered.setfenv(f, t)
    local level = type(f) == 'number' and f > 0 and f + 1 or f
    if level == 0 or getfenv(level) == globals then
        error("'setfenv' cannot change environment of given object", 2)
    end
    local changed = setfenv(level, t)
    return changed
end

local guard = { __metatable = false }
function guard.__newindex(t, key, value)
    if key ~= '__gc' then rawset(t, key, value) end
end

function offered.newproxy(like)
    local proxy = newproxy(like)
    if like == true then setmetatable(getmetatable(proxy), guard) end
    return proxy
end

function offered.getmetatable(value)
    if type(value) == 'userdata' then return getmetatable(value) end
    return of_other(value)
end

function offered.rawset(t, key, value)
    if key == '__gc' and type(t) == 'table' and getmetatable(t) == false then return t end
    return rawset(t, key, value)
end

return offered"#;

impl Deprecated {
    /// Takes the functions from a fresh Lua state.
    pub fn take(lua: &Lua) -> Result<Self> {
        let (globals, taken) = (lua.globals(), lua.create_table()?);
        for name in NAMES {
            taken.raw_set(name, globals.raw_get::<Function>(name)?)?;
        }
        Ok(Deprecated(taken))
    }

    /// Gives them to the scripts of `sealed`.
    pub fn offer(&self, lua: &Lua, sealed: &Sealed) -> Result<()> {
        let now = lua.create_table()?;
        for name in ["error", "type", "setmetatable", "rawset", "getmetatable"] {
            now.raw_set(name, sealed.globals.raw_get::<Function>(name)?)?;
        }
        let offered: Table = in_lua(lua, OFFERED)?.call((&self.0, now, &sealed.globals, &sealed.env))?;
        offered.for_each(|name: String, function: Function| sealed.globals.raw_set(name, function))
    }
}

#[cfg(test)]
mod tests {
    use crate::resp::{Argv, Protocol, Reply};
    use crate::script::settings::{DeprecatedFunctions, Settings};
    use crate::script::vm::{Call, Place, Vm};
    use crate::script::{Host, Readers, Verdict};

    struct Nobody;

    impl Host for Nobody {
        fn call(&mut self, _: Argv<'_>, _: Protocol, _: &mut Vec<u8>) {}

        fn tick(&mut self) -> Verdict {
            Verdict::GoOn
        }

        fn may_run(&mut self, _: Argv<'_>) -> Option<bool> {
            None
        }

        fn propagate_to(&mut self, _: Readers) {}
    }

    fn run(vm: &Vm, script: &str) -> String {
        vm.add("script", script.as_bytes()).expect("it compiles");
        let mut answer = Vec::new();
        let call = Call { name: "script", place: Place::Scripts, keys: &[], arguments: &[] };
        match vm.run(call, &mut Nobody, &mut Reply::new(&mut answer, Protocol::Resp2)) {
            Ok(_) => String::from_utf8_lossy(&answer).trim_end().to_owned(),
            Err(failure) => failure.line,
        }
    }

    #[test]
    fn they_do_not_lead_out_of_the_sandbox() {
        let settings = Settings { deprecated: DeprecatedFunctions::Offered, ..Settings::new("7.0.15") };
        let vm = Vm::for_eval(settings).expect("Lua starts");
        for (script, expected) in [
            ("return getfenv(1) == _G and getfenv(pcall) == _G and getfenv() == _G", ":1"),
            ("local f = function() return x end setfenv(f, {x = 5}) return f()", ":5"),
            ("getfenv(string.rep).x = 1", "Attempt to modify a readonly table"),
            ("setfenv(pcall, {})", "'setfenv' cannot change environment of given object"),
            ("setfenv(0, {})", "'setfenv' cannot change environment of given object"),
            ("local m = getmetatable(newproxy(true)) m.__index = {a = 3} return type(m)", "table"),
            ("local m = getmetatable(newproxy(true)) m.__gc = error return m.__gc == nil", ":1"),
            ("return rawset(getmetatable(newproxy(true)), '__gc', error).__gc == nil", ":1"),
        ] {
            let answer = run(&vm, script);
            assert!(answer.contains(expected), "{script}: {answer}");
        }
    }
}
