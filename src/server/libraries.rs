//! Loading libraries of functions: by commands, which have little time for it, and from files.

use super::ctx::Ctx;
use super::error::{CommandError, CommandResult};
use super::time::Clock;
use super::{Rooms, gate};
use crate::resp::{Argv, Protocol};
use crate::script::functions::{Codes, Policy};
use crate::script::libraries::Existing;
use crate::script::run::{Kind, Run};
use crate::script::{Host, Readers, Verdict};
use std::time::Duration;

/// The time that the code of a library may take to register its functions. Redis:
/// `LOAD_TIMEOUT_MS`.
const LOAD_TIME: Duration = Duration::from_millis(500);
/// The time for all libraries of a payload. Redis sets none.
const RESTORE_TIME: Duration = Duration::from_secs(5);

impl Ctx<'_> {
    /// Loads a library; returns its name. Source: FUNCTION LOAD.
    pub fn load_library(&mut self, code: &[u8], existing: Existing) -> Result<String, CommandError> {
        let limit = (!self.must_obey()).then_some(LOAD_TIME);
        let Rooms { script, time, .. } = &mut *self.rooms;
        let mut host = LoadHost::new(&*time.clock, limit);
        script.functions.load(code, existing, &mut host).map_err(refused)
    }

    /// Loads several libraries, all of them or none. Source: FUNCTION RESTORE.
    pub fn restore_libraries(&mut self, codes: Codes<'_>, policy: Policy) -> CommandResult {
        let limit = (!self.must_obey()).then_some(RESTORE_TIME);
        let Rooms { script, time, .. } = &mut *self.rooms;
        let mut host = LoadHost::new(&*time.clock, limit);
        script.functions.restore(codes, policy, &mut host).map_err(refused)
    }

    /// The function that runs, if one does; the error of everybody else while a script of EVAL
    /// runs. Source: FUNCTION STATS.
    pub fn running_function(&self) -> Result<Option<&Run>, CommandError> {
        match &self.rooms.script.run {
            Some(run) if run.kind == Kind::Eval => Err(gate::busy_error(run.kind)),
            run => Ok(run.as_ref()),
        }
    }
}

fn refused(reason: String) -> CommandError {
    CommandError::line(format!("ERR {reason}"))
}

impl Rooms {
    /// Takes in a library that a snapshot holds. Errors in words.
    pub(super) fn take_in_library(&mut self, code: &[u8], existing: Existing) -> Result<(), String> {
        let mut host = LoadHost::new(&*self.time.clock, None);
        let loaded = self.script.functions.load(code, existing, &mut host);
        loaded.map(drop).map_err(|reason| format!("Failed loading library, {reason}"))
    }
}

/// The server, as a library knows it that is loaded: there is nothing but the time.
struct LoadHost<'c> {
    clock: &'c dyn Clock,
    /// The end of its time, nanoseconds of the monotonic clock.
    ends_ns: Option<u64>,
}

impl<'c> LoadHost<'c> {
    fn new(clock: &'c dyn Clock, time: Option<Duration>) -> Self {
        let ends_ns = time.map(|time| {
            let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            clock.monotonic_ns().saturating_add(ns)
        });
        LoadHost { clock, ends_ns }
    }
}

impl Host for LoadHost<'_> {
    fn call(&mut self, _: Argv<'_>, _: Protocol, _: &mut Vec<u8>) {}

    fn tick(&mut self) -> Verdict {
        match self.ends_ns {
            Some(end) if self.clock.monotonic_ns() > end => {
                Verdict::Stop("ERR FUNCTION LOAD timeout".to_owned())
            }
            _ => Verdict::GoOn,
        }
    }

    fn may_run(&mut self, _: Argv<'_>) -> Option<bool> {
        None
    }

    fn propagate_to(&mut self, _: Readers) {}
}
