//! The local variables of the Lua functions that run, for the debugger: [`local`].
//!
//! mlua shows the lines of a running function but not its variables, so Lua is asked itself.

#![allow(unsafe_code)]

use mlua::{Lua, Result, Value, ffi};
use std::ffi::{CStr, c_char, c_int};

/// A local variable.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Local {
    /// Its name; `(*temporary)` for a place in use that has none.
    pub(super) name: String,
    /// Its value.
    pub(super) value: Value,
}

/// Variable `index` of level `level` of the stack, as [`Lua::inspect_stack`] counts levels; `None`
/// if there is no such level or no such variable. Variables count from 1, in the order of their
/// definition. Only to be called from a hook.
pub(super) fn local(lua: &Lua, level: usize, index: usize) -> Result<Option<Local>> {
    let (Ok(level), Ok(index)) = (c_int::try_from(level), c_int::try_from(index)) else { return Ok(None) };
    let place = index + if level == 0 { guest(lua) } else { 0 };
    let mut found: *const c_char = std::ptr::null();
    // SAFETY: Lua calls the closure in protected mode, in a function of its own with twenty free
    // places on its stack, of which at most two are taken. It owns nothing, so that an error that
    // jumps out of it loses nothing. That function is level 0 there, so the others are one further.
    let value: Value = unsafe {
        lua.exec_raw((), |state| {
            let mut frame: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(state, level + 1, &mut frame) == 0 {
                return;
            }
            found = ffi::lua_getlocal(state, &frame, index);
            if !found.is_null() && place != index {
                ffi::lua_settop(state, -2);
                ffi::lua_getlocal(state, &frame, place);
            }
        })
    }?;
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: the name is a part of the running function's code, or of Lua itself. Nothing has run
    // since that could have freed it.
    let name = unsafe { CStr::from_ptr(found) }.to_string_lossy().into_owned();
    Ok(Some(Local { name, value }))
}

/// The places by which the variables of the function that a hook has stopped are shifted. mlua
/// keeps memory for an error of the hook; if it had to make some, that lies below them until the
/// hook returns.
fn guest(lua: &Lua) -> c_int {
    // SAFETY: the state is the one that runs, and lives as long as `lua`. Its first place is looked
    // at, and the metatable that is put on top is taken off again: a hook has room for that.
    unsafe {
        let state = lua.exec_raw_lua(|raw| raw.state());
        if ffi::lua_type(state, 1) != ffi::LUA_TUSERDATA || ffi::lua_getmetatable(state, 1) == 0 {
            return 0;
        }
        ffi::lua_settop(state, -2);
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlua::{HookTriggers, VmState};
    use std::cell::RefCell;
    use std::rc::Rc;

    /// The variables that a hook sees of every level at line `line` of `code`.
    fn seen(lua: &Lua, code: &str, line: usize) -> Vec<String> {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let notes = Rc::clone(&seen);
        lua.set_hook(HookTriggers::EVERY_LINE, move |lua, place| {
            if place.current_line() == Some(line) {
                note(lua, &mut notes.borrow_mut())?;
            }
            Ok(VmState::Continue)
        })
        .expect("a hook is set");
        lua.load(code).exec().expect("the code runs");
        lua.remove_hook();
        seen.take()
    }

    fn note(lua: &Lua, notes: &mut Vec<String>) -> Result<()> {
        for level in 0.. {
            if lua.inspect_stack(level, |_| ()).is_none() {
                return Ok(());
            }
            for index in 1.. {
                let Some(Local { name, value }) = local(lua, level, index)? else { break };
                if name != "(*temporary)" {
                    notes.push(format!("{level} {name} {}", value.to_string()?));
                }
            }
        }
        Ok(())
    }

    const CODE: &str = "local a, b = 1, 'x'\nlocal function f(c)\n local d = c\n return d\nend\nf(5)";

    #[test]
    fn the_variables_of_all_levels_are_seen_with_their_names() {
        let lua = Lua::new();
        let expected = ["0 c 5", "0 d 5", "1 a 1", "1 b x"];
        assert_eq!(seen(&lua, CODE, 4)[..4], expected);
        // The second time mlua has its memory already.
        assert_eq!(seen(&lua, CODE, 4)[..4], expected);
    }

    #[test]
    fn a_hook_that_is_the_first_use_of_memory_for_errors_sees_them_too() {
        let lua = Lua::new();
        let fail = lua.create_function(|_, ()| Err::<(), _>(mlua::Error::runtime("x"))).expect("it is made");
        lua.globals().set("fail", fail).expect("it is set");
        let code =
            "for i = 1, 1000 do pcall(fail) end\nlocal a = 7\nlocal b = {}\nlocal c = 8\nb = a\nreturn c";
        assert_eq!(seen(&lua, code, 6), ["0 a 7", "0 b 7", "0 c 8"]);
    }

    #[test]
    fn there_is_nothing_where_there_is_no_level() {
        let lua = Lua::new();
        let at = Rc::new(RefCell::new(Vec::new()));
        let notes = Rc::clone(&at);
        lua.set_hook(HookTriggers::EVERY_LINE, move |lua, _| {
            notes.borrow_mut().push(local(lua, 900, 1)?);
            notes.borrow_mut().push(local(lua, usize::MAX, 1)?);
            notes.borrow_mut().push(local(lua, 0, usize::MAX)?);
            Ok(VmState::Continue)
        })
        .expect("a hook is set");
        lua.load("local a = 1").exec().expect("it runs");
        assert_eq!(at.take(), [None, None, None]);
    }
}
