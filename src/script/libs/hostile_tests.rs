//! Chunks that want to hold the server, to break it, or to change what a later script sees. Each
//! ends soon after the server has said that it has to.

use crate::resp::{Argv, Protocol};
use crate::script::testing::{run_sealed, sealed};
use crate::script::{Host, Readers, Verdict, lent, raise};
use mlua::{HookTriggers, VmState};

/// A server that lets a script go on for so many ticks, and counts those after them.
struct Impatient {
    patience: u32,
    ticks_after: u32,
}

impl Host for Impatient {
    fn call(&mut self, _: Argv<'_>, _: Protocol, _: &mut Vec<u8>) {}

    fn tick(&mut self) -> Verdict {
        if self.patience > 0 {
            self.patience -= 1;
            return Verdict::GoOn;
        }
        self.ticks_after += 1;
        Verdict::Stop("ERR the script was killed".to_owned())
    }

    fn may_run(&mut self, _: Argv<'_>) -> Option<bool> {
        None
    }

    fn propagate_to(&mut self, _: Readers) {}
}

/// Runs `chunk` with a hook as the server sets it; gives its result and the ticks after the end was
/// told.
fn run_hostile(chunk: &str, patience: u32) -> (String, u32) {
    let (lua, sealed) = sealed();
    let hook = lua.set_global_hook(HookTriggers::new().every_nth_instruction(200), |_, _| {
        match lent::with(|host| host.tick()) {
            Some(Verdict::Stop(line)) => Err(raise::stop(&line)),
            _ => Ok(VmState::Continue),
        }
    });
    hook.expect("a hook is set");
    let mut host = Impatient { patience, ticks_after: 0 };
    let result = lent::lend(&mut host, || run_sealed(&lua, &sealed, chunk));
    lua.remove_global_hook();
    assert_eq!(run_sealed(&lua, &sealed, "return ('a'):rep(3)"), "aaa", "the state lives on: {chunk}");
    (result, host.ticks_after)
}

#[test]
fn what_never_ends_is_ended() {
    let chunks = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(error) end",
        "while true do xpcall(error, function() while true do end end) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local function f() pcall(f) f() end f()",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do pcall(coroutine.wrap(function() pcall(coroutine.wrap(function() while true do end end)) end)) end",
        "local function f() coroutine.resume(coroutine.create(f)) end while true do f() end",
        "return ('a'):rep(40):find(('a*'):rep(30)..'b')",
        "while true do pcall(string.find, ('a'):rep(40), ('a*'):rep(30)..'b') end",
        "return ('a'):rep(1000000):find(('.-'):rep(200)..'b')",
        "return ('('):rep(100000):gsub('%b()', '')",
        "return ('x'):rep(100000):match('.-.-.-%f[y]')",
        "while true do ('x'):rep(1000000):lower():upper():reverse() end",
        "local s=('x'):rep(1000000) while true do s:find('y', 1, true) end",
        "while true do pcall(string.format, ('%s'):rep(100), ('x'):rep(100000)) end",
        "local t={} for i=1,100 do t[i]=i end while true do pcall(table.sort, t, function() return true end) end",
        "local t={} for i=1,100 do t[i]=i end while true do pcall(table.sort, t, function() while true do end end) end",
        "table.sort({1,2,3}, function() while true do end end)",
        "('x'):gsub('x', function() while true do end end)",
        "local t={} for i=1,100000 do t[i]=1 end while true do table.insert(t, 1, 2) table.remove(t, 1) end",
        "local t={} for i=1,100000 do t[i]=1 end while true do table.concat(t, ',') end",
        "local t={} for i=1,100000 do t[i]=1 end while true do table.maxn(t) end",
        "local t={1} while true do table.foreachi(t, math.randomseed) end",
        "table.insert({}, -2^31, 1)",
        "load(function() return ' ' end)",
        "load(function() while true do end end)",
        "local s=('x=1 '):rep(1000000) while true do loadstring(s) end",
        "while true do collectgarbage() end",
        "for x in ('x'):rep(1000000):gmatch('.-y') do end",
        "setmetatable({}, {__index=function(t,k) while true do end end}).x()",
        "tostring(setmetatable({}, {__tostring=function() while true do end end}))",
        "pcall(error, setmetatable({}, {__index=function() while true do end end}))",
    ];
    for chunk in chunks {
        let (result, ticks_after) = run_hostile(chunk, 20);
        assert_eq!(result, "error: ERR the script was killed", "{chunk}");
        // Who catches the end raises it again, and each call that is left looks at the clock.
        assert!(ticks_after < 1000, "{chunk}: {ticks_after} ticks after the end");
    }
}

#[test]
fn what_is_too_much_is_an_error_line() {
    let rows = [
        ("return ('x'):rep(2^30)", "not enough memory"),
        (
            "local s=('x'):rep(2^20) local t={} for i=1,100 do t[i]=s end return table.concat(t)",
            "not enough memory",
        ),
        ("local s=('x'):rep(2^20) return ('y'):rep(100):gsub('y', s)", "not enough memory"),
        (
            "local s=('x'):rep(2^20) return (('%s'):rep(100)):format(unpack((function() local t={} for i=1,100 do \
          t[i]=s end return t end)()))",
            "not enough memory",
        ),
        ("return ('x'):find(('()'):rep(10000))", "user_script:1: too many captures"),
        ("return ('x'):find(('('):rep(20))", "user_script:1: unfinished capture"),
        ("return ('x'):find('%b')", "user_script:1: unbalanced pattern"),
        ("local function f() return ('x'):gsub('x', f) end return f()", "C stack overflow"),
        ("local function f() table.sort({1,2}, f) end f()", "C stack overflow"),
        (
            "local s='return ' return loadstring(s..('{'):rep(1000))()",
            "user_script:1: attempt to call a nil value",
        ),
    ];
    for (chunk, expected) in rows {
        let (result, _) = run_hostile(chunk, 1_000_000);
        assert_eq!(result, format!("error: {expected}"), "{chunk}");
    }
}

/// Each of mlua's values takes a place in a list that has an end, behind which it panics.
#[test]
fn no_chunk_fills_the_list_of_values() {
    let rows = [
        ("for i=1,20000 do pcall(string.gsub, 'a', 'a', function() error({}) end) end return 'ok'", "ok"),
        ("local t={} for i=1,20000 do t[i]=('a'):gmatch('a') end return 'ok'", "ok"),
        ("local t={} for i=1,20000 do t[i]=coroutine.wrap(function() end) end return 'ok'", "ok"),
        ("local t={} for i=1,20000 do t[i]=loadstring('return 1') end return 'ok'", "ok"),
        (
            "local t={} for i=1,7000 do t[i]='x' end return pcall(string.format, '%s', unpack(t)) and 'ok' or 'no'",
            "no",
        ),
        (
            "local t={} for i=1,7900 do t[i]={} end \
             local function f(n) if n == 0 then return getmetatable({}) end \
             return ('a'):gsub('a', function() return f(n-1) end, 1, unpack(t)) end \
             for n=1,30 do pcall(f, n) end return 'ok'",
            "ok",
        ),
    ];
    for (chunk, expected) in rows {
        let (result, _) = run_hostile(chunk, 10_000_000);
        assert_eq!(result, expected, "{chunk}");
    }
}

#[test]
fn nothing_that_a_later_script_sees_can_be_changed() {
    let chunks = [
        "x=1",
        "_G.x=1",
        "rawset(_G,'x',1)",
        "setmetatable(_G,nil)",
        "setmetatable(_G,{__index=1})",
        "for _,library in pairs(_G) do if type(library)=='table' then pcall(rawset,library,'x',1) \
         pcall(function() library.x=1 end) pcall(table.insert,library,1) pcall(table.insert,library,1,1) \
         pcall(table.remove,library,1) pcall(table.sort,library) pcall(setmetatable,library,{}) \
         pcall(table.foreach,library,function(k,v) if type(v)=='table' then v.x=1 end end) end end",
        "local function walk(t,d) if d==0 then return end for k,v in pairs(t) do if type(v)=='table' then \
         pcall(rawset,v,'x',1) pcall(rawset,v,1,1) walk(v,d-1) end end end walk({_G, getmetatable(''), getmetatable(_G)},3)",
        "getmetatable('').__index.x=1",
        "pcall(getmetatable(_G).__index, _G, 'x') local ok, t = pcall(getmetatable(_G).__index)",
        "string.gsub('a','a',_G)",
        "math.random=nil",
        "local f=loadstring('x=1 string=nil') pcall(f)",
        "coroutine.wrap(function() x=1 end)()",
        "for k,v in next,_G do if type(v)=='table' then pcall(rawset,v,'x',1) end end",
        "collectgarbage('stop') collectgarbage('setpause', 1000000)",
        "local t=setmetatable({},{__index=string,__newindex=string}) t.x=1",
        "local t=setmetatable({},{__newindex=_G}) t.x=1",
        "local t=setmetatable({},getmetatable('')) t.x=1",
    ];
    for chunk in chunks {
        let (lua, sealed) = sealed();
        run_sealed(&lua, &sealed, chunk);
        let look = "local t={} for _,name in ipairs({'string','table','math','coroutine','os'}) do local l=_G[name] \
                    t[#t+1]=tostring(rawget(l,'x'))..tostring(l.x)..tostring(l[1])..tostring(#l) end \
                    return tostring(rawget(_G,'x'))..table.concat(t)..type(string.rep)..type(math.random)..('a'):rep(2) \
                    ..tostring(('').x)..tostring(rawget(getmetatable(''),'x'))";
        let expected = format!("nil{}functionfunctionaanilnil", "nilnilnil0".repeat(5));
        assert_eq!(run_sealed(&lua, &sealed, look), expected, "{chunk}");
        let refusal = "error: user_script:1: Script attempted to access nonexistent global variable 'x'";
        assert_eq!(run_sealed(&lua, &sealed, "return x"), refusal, "{chunk}");
    }
}
