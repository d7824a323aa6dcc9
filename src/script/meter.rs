//! What Rust code costs that works for a script: time ([`spend`]) and memory ([`reserve`]).
//!
//! Lua looks at the interrupt after some hundred instructions of its own, but not while a function
//! of a library runs. So every loop of a library over data of a script's choosing says what it has
//! done; from time to time that looks at the interrupt, and ends the function if the script has to
//! end. Memory that such a function takes is no memory of Lua's until it is handed over, so it asks
//! first.

use super::{Verdict, lent, raise};
use mlua::{FromLuaMulti, Function, IntoLuaMulti, Lua, Result};
use std::cell::Cell;

/// So much is given without a look: Lua itself notices many of them, when it runs again.
const UNASKED_BYTES: usize = 16 << 10;
/// Units of work after which the interrupt is looked at: some hundred microseconds.
const WORK_PER_TICK: usize = 1 << 16;

thread_local! {
    /// Work since the last look.
    static WORK: Cell<usize> = const { Cell::new(0) };
}

/// The account of one Lua state, kept as its application data.
#[derive(Debug)]
pub struct Meter {
    /// The most that scripts may hold, bytes.
    limit_bytes: Cell<usize>,
    /// The instructions of Lua between two looks.
    instructions: Cell<u32>,
    /// The memory in use after [`collect_if_full`] has last collected what is garbage, bytes.
    collected_bytes: Cell<usize>,
}

impl Meter {
    /// With a limit of so many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Meter {
            limit_bytes: Cell::new(limit_bytes),
            instructions: Cell::new(0),
            collected_bytes: Cell::new(0),
        }
    }
}

/// Sets the most that scripts may hold, bytes.
pub fn set_limit(lua: &Lua, bytes: usize) {
    if let Some(meter) = lua.app_data_ref::<Meter>() {
        meter.limit_bytes.set(bytes);
    }
}

/// The most that scripts may hold, bytes.
#[must_use]
pub fn limit_bytes(lua: &Lua) -> usize {
    lua.app_data_ref::<Meter>().map_or(usize::MAX, |meter| meter.limit_bytes.get())
}

/// Collects what earlier scripts have left, if that is so much that it could fail this one: Lua
/// itself does not when it meets the limit.
pub fn collect_if_full(lua: &Lua) -> Result<()> {
    let (used, limit) = (lua.used_memory(), limit_bytes(lua));
    let Some(meter) = lua.app_data_ref::<Meter>() else { return Ok(()) };
    let collected = meter.collected_bytes.get();
    if used < collected + limit.saturating_sub(collected) / 2 {
        return Ok(());
    }
    lua.gc_collect()?;
    meter.collected_bytes.set(lua.used_memory());
    Ok(())
}

/// Runs Lua code: Lua itself refuses what is over the limit.
pub fn limited<R>(lua: &Lua, act: impl FnOnce() -> R) -> Result<R> {
    lua.set_memory_limit(limit_bytes(lua))?;
    let result = act();
    lua.set_memory_limit(0)?;
    Ok(result)
}

/// A function of a library. While it runs, Lua itself sets no limit: every value made would cost a
/// protected call. What takes much asks by [`reserve`].
pub fn function<A, R>(lua: &Lua, act: impl Fn(&Lua, A) -> Result<R> + 'static) -> Result<Function>
where
    A: FromLuaMulti,
    R: IntoLuaMulti,
{
    lua.create_function(move |lua, arguments: A| {
        let limit_bytes = lua.set_memory_limit(0)?;
        let result = act(lua, arguments);
        lua.set_memory_limit(limit_bytes)?;
        result
    })
}

/// Says that `work` units are done: bytes copied, steps of a match, elements moved. The error ends
/// the script.
pub fn spend(_lua: &Lua, work: usize) -> Result<()> {
    let done = WORK.get().saturating_add(work);
    if done < WORK_PER_TICK {
        WORK.set(done);
        return Ok(());
    }
    WORK.set(0);
    tick()
}

/// Says that a string of so many bytes of somebody's choosing is about to be made. Lua 5.1 hashes a
/// few bytes of a long string only, and keeps all strings in one table: whoever chooses strings
/// that differ in the others makes each new one wait for a walk over all before. So the interrupt
/// is looked at after sixteen of them.
pub fn spend_on_string(lua: &Lua, bytes: usize) -> Result<()> {
    spend(lua, bytes + WORK_PER_TICK / 16)
}

/// Looks at the interrupt. The error ends the script.
pub fn tick() -> Result<()> {
    match lent::with(|host| host.tick()) {
        Some(Verdict::Stop(line)) => Err(raise::stop(&line)),
        Some(Verdict::GoOn) | None => Ok(()),
    }
}

/// Notes that the hook comes after so many instructions; returns whether that is new.
pub fn set_instructions(lua: &Lua, instructions: u32) -> bool {
    lua.app_data_ref::<Meter>().is_some_and(|meter| meter.instructions.replace(instructions) != instructions)
}

/// Asks for `bytes` of memory beside what Lua holds. Fails with Lua's own error for it.
pub fn reserve(lua: &Lua, bytes: usize) -> Result<()> {
    if bytes > UNASKED_BYTES && lua.used_memory().saturating_add(bytes) > limit_bytes(lua) {
        return Err(raise::text("not enough memory"));
    }
    Ok(())
}
