//! What catches errors: `pcall`, `xpcall`, `coroutine.resume` and `coroutine.wrap`, as functions in
//! Lua round Lua's own.
//!
//! They turn what Rust code raised into what a script expects, and raise the end of the script
//! again. They are code in Lua because Lua cannot go on with a call of its own through Rust as
//! often: each such call counts twice against the depth of calls that it allows.

use super::in_lua;
use crate::script::arguments::Arguments;
use crate::script::{protect, raise};
use mlua::{Error, Function, Lua, MultiValue, Result, Table, Value};

/// How often Lua calls the handler of `xpcall` for errors of the handler itself, before the depth
/// of calls that it allows ends that.
const HANDLER_CALLS: i64 = 221;

/// `pcall` and `xpcall`. An error's table with `err` becomes that text, as Redis's `pcall` has it;
/// one whose `err` is no text stays, and its `err` is a result more.
const CATCHING: &str = r#"
local call, type, caught, missing, limit = ...

local function value_of(value)
    if type(value) == 'userdata' then return caught(value) end
    return value
end

local function failed(value)
    value = value_of(value)
    if type(value) ~= 'table' then return false, value end
    local text = value.err
    local kind = type(text)
    if kind == 'string' or kind == 'number' then return false, text end
    return false, value, text
end

local function finish(ok, ...)
    if ok then return ok, ... end
    return failed((...))
end

local function pcall(body, ...)
    return finish(call(body, ...))
end

local function handle(handler, value)
    if type(handler) == 'function' then
        for _ = 1, limit do
            local ok, result = call(handler, value)
            if ok then return false, result end
            value = value_of(result)
        end
    end
    return false, 'error in error handling'
end

local function finish_handled(handler, ok, ...)
    if ok then return ok, ... end
    return handle(handler, value_of((...)))
end

local function xpcall(...)
    local body, handler = ...
    missing(...)
    return finish_handled(handler, call(body))
end

return pcall, xpcall
"#;

/// The same for coroutines. A string that goes out of a wrapped coroutine gets the place of who
/// called it.
const RESUMING: &str = r#"
local call, type, caught, create, resume, wrong, uncreated, propagate = ...

local function resumed(ok, ...)
    if ok then return ok, ... end
    local value = ...
    if type(value) == 'userdata' then value = caught(value) end
    return false, value
end

local function resume_safely(thread, ...)
    if type(thread) ~= 'thread' then wrong('resume', 'coroutine expected') end
    return resumed(resume(thread, ...))
end

local function wrapped(ok, ...)
    if ok then return ... end
    propagate((...))
end

local function wrap(body)
    local ok, thread = call(create, body)
    if not ok then uncreated(thread) end
    return function(...)
        return wrapped(resume(thread, ...))
    end
end

return resume_safely, wrap
"#;

/// Replaces `pcall` and `xpcall` in `globals`.
pub fn open_catching(lua: &Lua, globals: &Table) -> Result<()> {
    let call: Function = globals.raw_get("pcall")?;
    let kind: Function = globals.raw_get("type")?;
    let missing = lua.create_function(check_handler)?;
    let functions = (call, kind, catcher(lua)?, missing, HANDLER_CALLS);
    let (pcall, xpcall): (Function, Function) = in_lua(lua, CATCHING)?.call(functions)?;
    globals.raw_set("pcall", pcall)?;
    globals.raw_set("xpcall", xpcall)
}

/// Replaces `resume` and `wrap` in `coroutine`. Before [`open_catching`].
pub fn open(lua: &Lua, globals: &Table, coroutine: &Table) -> Result<()> {
    let call: Function = globals.raw_get("pcall")?;
    let kind: Function = globals.raw_get("type")?;
    let create: Function = coroutine.raw_get("create")?;
    let resume: Function = coroutine.raw_get("resume")?;
    let wrong = lua.create_function(|lua, (function, message): (String, String)| -> Result<()> {
        Err(raise::at_level(lua, 2, format!("bad argument #1 to '{function}' ({message})")))
    })?;
    let uncreated = lua.create_function(uncreated)?;
    let propagate = lua.create_function(propagate)?;
    let functions = (call, kind, catcher(lua)?, create, resume, wrong, uncreated, propagate);
    let (resume, wrap): (Function, Function) = in_lua(lua, RESUMING)?.call(functions)?;
    coroutine.raw_set("resume", resume)?;
    coroutine.raw_set("wrap", wrap)
}

/// The function that makes of a caught error what a script expects.
fn catcher(lua: &Lua) -> Result<Function> {
    lua.create_function(protect::caught)
}

/// The check of `xpcall`'s arguments, which looks for the line where `xpcall` stands.
fn check_handler(lua: &Lua, values: MultiValue) -> Result<()> {
    match values.len() {
        0 | 1 => Err(raise::at_level(lua, 2, "bad argument #2 to 'xpcall' (value expected)")),
        _ => Ok(()),
    }
}

/// Raises why no coroutine was made for `coroutine.wrap`: in Lua's text there is a wrong name.
fn uncreated(lua: &Lua, value: Value) -> Result<()> {
    let value = protect::caught(lua, value)?;
    let is_argument = value.as_string().is_some_and(|text| text.as_bytes().starts_with(b"bad argument"));
    if is_argument {
        return Err(raise::at_level(lua, 2, "bad argument #1 to 'wrap' (Lua function expected)"));
    }
    Err(raise::value(value))
}

/// Raises what came out of a wrapped coroutine. The caller stands two levels above: between them is
/// the function that was wrapped, which ended with a call of this one's caller.
fn propagate(lua: &Lua, value: Value) -> Result<()> {
    let value = protect::caught(lua, value)?;
    let text = match &value {
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            Arguments::new(lua, MultiValue::from_iter([value.clone()])).string(1)?
        }
        _ => return Err(raise::value(value)),
    };
    let bytes = text.as_bytes().to_vec();
    Err::<(), Error>(raise::at_level(lua, 3, bytes))
}

#[cfg(test)]
mod tests {
    use crate::script::testing::{run_sealed, sealed};

    /// Chunks with what redis-server 7.0.15 answers.
    #[test]
    fn what_was_caught_is_as_redis_has_it() {
        let rows = [
            ("local a,b=pcall(error,{err='x'}) return b", "x"),
            ("local a,b=pcall(error,{err=5}) return b", "5"),
            ("local a,b=pcall(error,{err={}}) return type(b)", "table"),
            ("return select('#', pcall(error,{}))", "3"),
            ("local a,b=pcall(error,'x') return b", "x"),
            ("local a,b=pcall(error) return tostring(a)..tostring(b)", "falsenil"),
            ("local a,b=pcall(5) return b", "attempt to call a number value"),
            (
                "local a,b=pcall(string.rep) return b",
                "bad argument #1 to '?' (string expected, got no value)",
            ),
            ("local a,b=pcall(error,setmetatable({},{__index=function() return 'q' end})) return b", "q"),
            (
                "local a,b=pcall(error,setmetatable({},{__index=function() error('q') end})) return b",
                "error: user_script:1: q",
            ),
            ("return select('#', pcall(function() return 1,nil,nil end))", "4"),
            (
                "local function f() return f() + 1 end local a,b=pcall(f) return b",
                "user_script:1: stack overflow",
            ),
            (
                "local n=0 local function f() n=n+1 local a,b=pcall(f) if not a then error(b,0) end return 1 end \
                 local a,b=pcall(f) return b",
                "C stack overflow",
            ),
        ];
        check(&rows);
    }

    #[test]
    fn the_handler_of_xpcall_is_called_as_by_redis() {
        let rows = [
            (
                "local a,b=xpcall(function() error('x') end, function(m) error('y') end) return b",
                "error in error handling",
            ),
            (
                "local n=0 local a,b=xpcall(function() error('x') end, function(m) n=n+1 error('y'..n) end) return n",
                "221",
            ),
            (
                "local n=0 local a,b=xpcall(function() error('x') end, function(m) n=n+1 \
                 if n<5 then error('y'..n) end return m end) return n..b",
                "5user_script:1: y4",
            ),
            ("local a,b=xpcall(function() error('x') end, nil) return b", "error in error handling"),
            ("local a,b,c=xpcall(function(...) return 1,select('#',...) end, 5, 7) return {b,c}", "[1 0]"),
            ("return select('#',xpcall(function(...) error('x') end, function(m) return 1,2 end))", "2"),
            ("local a,b=xpcall(function() error() end, function(m) return tostring(m) end) return b", "nil"),
            (
                "local function f() return f() + 1 end local a,b = xpcall(f, function(m) return 'H'..m end) return b",
                "Huser_script:1: stack overflow",
            ),
            ("local x = xpcall(1)", "error: user_script:1: bad argument #2 to 'xpcall' (value expected)"),
            (
                "return select(2, xpcall(string.rep, function(m) return type(m)..m end))",
                "stringbad argument #1 to '?' (string expected, got no value)",
            ),
        ];
        check(&rows);
    }

    #[test]
    fn coroutines_fail_as_those_of_redis() {
        let rows = [
            (
                "local w=coroutine.wrap(function() error('x') end) local y = w()",
                "error: user_script:1: user_script:1: x",
            ),
            (
                "local w=coroutine.wrap(function() string.rep() end) local y = w()",
                "error: user_script:1: user_script:1: bad argument #1 to 'rep' (string expected, got no value)",
            ),
            (
                "local w=coroutine.wrap(function() return 1 end) w() w()",
                "error: user_script:1: cannot resume dead coroutine",
            ),
            (
                "local c=coroutine.create(function() error({1}) end) local a,b=coroutine.resume(c) \
                 return {b[1],coroutine.status(c)}",
                "[1 dead]",
            ),
            (
                "local x = coroutine.resume()",
                "error: user_script:1: bad argument #1 to 'resume' (coroutine expected)",
            ),
            (
                "local x = coroutine.wrap(string.rep)",
                "error: user_script:1: bad argument #1 to 'wrap' (Lua function expected)",
            ),
            ("coroutine.yield(1)", "error: attempt to yield across metamethod/C-call boundary"),
            (
                "local c c=coroutine.create(function() return coroutine.resume(c) end) \
                 return select(3,coroutine.resume(c))",
                "cannot resume running coroutine",
            ),
            (
                "local function f() return coroutine.wrap(f)() end local a,b=pcall(f) return b:sub(-16)",
                "C stack overflow",
            ),
            (
                "local t={} for x in coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) do \
                 t[#t+1]=x end return t",
                "[1 2 3]",
            ),
        ];
        check(&rows);
    }

    fn check(rows: &[(&str, &str)]) {
        let (lua, sealed) = sealed();
        for (chunk, expected) in rows {
            assert_eq!(run_sealed(&lua, &sealed, chunk), *expected, "{chunk}");
        }
    }
}
