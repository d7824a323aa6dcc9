//! What Rust code costs that works for a script: time ([`spend`]) and memory ([`reserve`]).
//!
//! Lua looks at the interrupt after some hundred instructions of its own, but not while a function
//! of a library runs. So every loop of a library over data of a script's choosing says what it has
//! done; from time to time that looks at the interrupt, and ends the function if the script has to
//! end. Memory that such a function takes is no memory of Lua's until it is handed over, so it asks
//! first.

use super::{Verdict, lent, raise};
use mlua::{Lua, Result};
use std::cell::Cell;

/// Units of work after which the interrupt is looked at: some hundred microseconds.
const WORK_PER_TICK: usize = 1 << 16;

/// The account of one Lua state, kept as its application data.
#[derive(Debug)]
pub struct Meter {
    /// Work since the last look.
    work: Cell<usize>,
    /// The most that scripts may hold, bytes.
    pub limit_bytes: Cell<usize>,
}

impl Meter {
    /// With a limit of so many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Meter { work: Cell::new(0), limit_bytes: Cell::new(limit_bytes) }
    }
}

/// Says that `work` units are done: bytes copied, steps of a match, elements moved. The error ends
/// the script.
pub fn spend(lua: &Lua, work: usize) -> Result<()> {
    let Some(meter) = lua.app_data_ref::<Meter>() else { return Ok(()) };
    let done = meter.work.get().saturating_add(work);
    if done < WORK_PER_TICK {
        meter.work.set(done);
        return Ok(());
    }
    meter.work.set(0);
    // What the server does now may run for long and use the meter again.
    drop(meter);
    match lent::with(|host| host.tick()) {
        Some(Verdict::Stop(line)) => Err(raise::stop(&line)),
        Some(Verdict::GoOn) | None => Ok(()),
    }
}

/// Asks for `bytes` of memory beside what Lua holds. Fails with Lua's own error for it.
pub fn reserve(lua: &Lua, bytes: usize) -> Result<()> {
    let limit_bytes = lua.app_data_ref::<Meter>().map_or(usize::MAX, |meter| meter.limit_bytes.get());
    if lua.used_memory().saturating_add(bytes) > limit_bytes {
        return Err(raise::text("not enough memory"));
    }
    Ok(())
}
