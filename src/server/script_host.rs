//! The server, as a running script knows it: [`Ctx::run_script`].
//!
//! What a script calls passes checks of its own, in the order of Redis's `scriptCall`, and then the
//! door that every command passes ([`super::call`]). It runs as the client that runs the script, on
//! a database of its own choosing, at the time at which the script began.

use super::access;
use super::busy::Busy;
use super::call::call;
use super::command::{FoundCommand, Lookup};
use super::ctx::Ctx;
use super::error::{CommandError, CommandResult};
use super::origin::Origin;
use super::output::prepend_own;
use super::stop::ShutdownSave;
use super::{Args, Rooms, debugging, gate, held_changes, tracking};
use crate::acl::Context;
use crate::clients::{LookupCache, Session};
use crate::keyspace::Keyspace;
use crate::memory::Room;
use crate::resp::{Argv, Protocol, Reply};
use crate::script::run::{Changes, Kill, Kind, Run};
use crate::script::shebang::ScriptFlags;
use crate::script::vm::{Call, Vm};
use crate::script::{Host, Order, Readers, Verdict};
use crate::spec::{DENYOOM, Group, MAY_REPLICATE, NOSCRIPT, READONLY, WRITE};

/// While a script runs too long, others are heard this often, nanoseconds.
const HEAR_NS: u64 = 1_000_000;
/// A script that is debugged stops after so long if `busy-reply-threshold` does not say another
/// time, milliseconds.
const DEBUGGED_TOO_LONG_MS: u64 = 5000;
/// The error of a script that was stopped.
const KILLED: &str = "ERR Script killed by user with SCRIPT KILL...";

/// The error of stopping a script that has written.
const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either \
     wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";

impl Ctx<'_> {
    /// Decides if a script with these flags may begin, and describes it. `argv` is the command that
    /// runs it. Source: Redis's `scriptPrepareForRun`.
    pub fn begin_script(
        &self,
        kind: Kind,
        name: &str,
        argv: Argv<'_>,
        flags: ScriptFlags,
    ) -> Result<Run, CommandError> {
        let is_ro_command = self.command.spec.flags.contains(READONLY);
        if !flags.says_nothing && !self.must_obey() {
            self.admit_script(flags, is_ro_command)?;
        }
        Ok(Run {
            kind,
            name: name.to_owned(),
            command: argv.to_owned(),
            began_ns: self.rooms.time.clock.monotonic_ns(),
            is_read_only: is_ro_command || flags.no_writes,
            allows_oom: flags.allow_oom || self.must_obey(),
            has_written: false,
            is_undone: debugging::is_undone(self.session),
            is_busy: false,
            heard_ns: 0,
            kill: None,
            readers: Readers { file: true, replicas: true },
        })
    }

    fn admit_script(&self, flags: ScriptFlags, is_ro_command: bool) -> CommandResult {
        if !flags.no_writes {
            gate::admit_script_writes(self.rooms)?;
            if is_ro_command {
                return Err(CommandError::fixed(
                    "ERR Can not execute a script with write flag using *_ro command.",
                ));
            }
            gate::admit_writes(self.rooms)?;
        }
        let is_full = self.rooms.memory.eviction.room == Room::None;
        if is_full && !flags.allow_oom && !flags.no_writes {
            return Err(CommandError::fixed(
                "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
            ));
        }
        Ok(())
    }

    /// Stops the script of this kind that runs. Source: SCRIPT KILL, FUNCTION KILL.
    pub fn kill_script(&mut self, kind: Kind, mut args: Args<'_>) -> CommandResult {
        let mut changes = if args.keyword("ROLLBACK") { Changes::RolledBack } else { Changes::None };
        if !args.is_done() {
            return Err(CommandError::Arity(self.command.spec.name.into()));
        }
        let Some(run) = &mut self.rooms.script.run else {
            return Err(CommandError::fixed("NOTBUSY No scripts in execution right now."));
        };
        if run.is_undone {
            changes = Changes::RolledBack;
        }
        if run.has_written && changes == Changes::None {
            return Err(CommandError::fixed(UNKILLABLE));
        }
        if run.kind != kind {
            return Err(gate::busy_error(run.kind));
        }
        run.kill = Some(Kill { line: KILLED.to_owned(), changes });
        log::warn!("Lua script killed by user with SCRIPT KILL.");
        self.reply.ok();
        Ok(())
    }

    /// Decides if the server may stop now: while a script runs too long, only without saving.
    /// Source: SHUTDOWN.
    pub fn admit_shutdown(&self, save: ShutdownSave) -> CommandResult {
        match self.rooms.script.run.as_ref().filter(|run| run.is_busy) {
            Some(run) if save != ShutdownSave::NoSave => Err(gate::busy_error(run.kind)),
            _ => Ok(()),
        }
    }

    /// Lets everybody know what the script has changed, or undoes it.
    fn end_script(&mut self) {
        let Some(run) = self.rooms.script.run.take() else { return };
        if self.rooms.held.is_none() {
            return;
        }
        match run.kill {
            _ if run.is_undone => self.undo_changes(),
            Some(Kill { changes: Changes::RolledBack, .. }) => self.undo_changes(),
            _ => self.deliver_changes(),
        }
        // What its own client is told of it stands in front of the answer that is written already.
        prepend_own(self.rooms, self.session, &mut self.reply);
    }

    /// Runs a script, which is described by `run`, and answers what it returns.
    pub fn run_script(&mut self, vm: &Vm, call: Call<'_>, run: Run) -> CommandResult {
        self.propagate_nothing();
        if run.kind == Kind::Eval && self.session.debugging.is_some() {
            vm.debug_next(run.command.as_argv().get(1).unwrap_or_default());
        }
        let db = self.session.db;
        self.rooms.script.run = Some(run);
        let Ctx { db: keyspace, reply, session, rooms, .. } = self;
        let mut host = ScriptHost { keyspace, rooms, session, declared: call.keys, was_refused: false };
        let result = vm.run(call, &mut host, reply);
        self.end_script();
        self.session.db = db;
        self.db.select(db);
        match result {
            Ok(errors) => {
                let counters = &mut self.rooms.stats.counters;
                errors.uncounted.iter().for_each(|line| counters.count_error(line));
                self.failures = Some(errors.counted + u64::from(!errors.uncounted.is_empty()));
                Ok(())
            }
            Err(failure) => {
                self.failures = failure.is_counted.then_some(1);
                Err(CommandError::line(failure.line))
            }
        }
    }
}

/// The server, lent to a script.
struct ScriptHost<'h> {
    keyspace: &'h mut Keyspace,
    rooms: &'h mut Rooms,
    session: &'h mut Session,
    /// The keys that the script was given.
    declared: &'h [&'h [u8]],
    /// The last command that it called did not run.
    was_refused: bool,
}

impl Host for ScriptHost<'_> {
    fn call(&mut self, argv: Argv<'_>, protocol: Protocol, reply: &mut Vec<u8>) {
        let mut reply = Reply::new(reply, protocol);
        let found = self.find(argv);
        let admitted = found.and_then(|entry| {
            let refusal = |error| (Some(entry), error);
            self.admit(entry, argv).map(|()| entry).map_err(refusal)
        });
        self.was_refused = admitted.is_err();
        match admitted {
            Ok(entry) => self.run(entry, argv, reply),
            Err((entry, error)) => {
                if let Some((_, _, index)) = entry {
                    self.rooms.stats.counters.command(index).rejected += 1;
                }
                let line = error.to_string();
                self.rooms.stats.counters.count_error(line.as_bytes());
                reply.error(&line);
            }
        }
    }

    fn tick(&mut self) -> Verdict {
        let now_ns = self.rooms.time.clock.monotonic_ns();
        let Some(run) = &mut self.rooms.script.run else { return Verdict::GoOn };
        let elapsed_ms = now_ns.saturating_sub(run.began_ns) / 1_000_000;
        let max_ms = self.rooms.config.script_max_time;
        if max_ms > 0 && elapsed_ms >= max_ms && run.kill.is_none() {
            run.kill = Some(Kill { line: too_long(max_ms), changes: Changes::RolledBack });
        }
        let threshold_ms = u64::try_from(self.rooms.config.busy_reply_threshold).unwrap_or(0);
        if threshold_ms > 0 && elapsed_ms >= threshold_ms {
            self.hear_others(now_ns, elapsed_ms);
        }
        match self.rooms.script.run.as_ref().and_then(|run| run.kill.as_ref()) {
            Some(kill) => Verdict::Stop(kill.line.clone()),
            None => Verdict::GoOn,
        }
    }

    fn may_run(&mut self, argv: Argv<'_>) -> Option<bool> {
        let Lookup::Found(command, _, index) = self.rooms.commands.lookup(argv) else { return None };
        let user = self.rooms.acl.users.get(&self.session.login.user)?;
        Some(user.check(usize::from(index.0), &command.spec, argv).is_ok())
    }

    fn propagate_to(&mut self, readers: Readers) {
        if let Some(run) = &mut self.rooms.script.run {
            run.readers = readers;
        }
    }

    fn was_refused(&mut self) -> bool {
        self.was_refused
    }

    fn runs_too_long(&mut self) -> bool {
        let now_ns = self.rooms.time.clock.monotonic_ns();
        let threshold_ms = match self.rooms.config.busy_reply_threshold {
            0 => DEBUGGED_TOO_LONG_MS,
            ms => u64::try_from(ms).unwrap_or(DEBUGGED_TOO_LONG_MS),
        };
        let run = self.rooms.script.run.as_ref();
        run.is_some_and(|run| now_ns.saturating_sub(run.began_ns) / 1_000_000 >= threshold_ms)
    }

    fn ask_debugger(&mut self, said: Vec<Vec<u8>>) -> Order {
        debugging::ask(self.keyspace, self.rooms, self.session, said)
    }

    fn leave_debugger(&mut self, mut said: Vec<Vec<u8>>) {
        if let Some(debugging) = &mut self.session.debugging {
            debugging.untold.append(&mut said);
        }
    }
}

fn too_long(max_ms: u64) -> String {
    format!(
        "ERR Script stopped: it ran for longer than script-max-time ({max_ms} ms). Its changes are undone."
    )
}

type Refused = (Option<FoundCommand>, CommandError);

impl ScriptHost<'_> {
    fn find(&mut self, argv: Argv<'_>) -> Result<FoundCommand, Refused> {
        let name = argv.at(0);
        let entry = match self.session.last.script_lookup.as_ref().and_then(|cache| cache.get(name)) {
            Some(index) => (self.rooms.commands.at(index), 1, index),
            None => self.look_up(argv)?,
        };
        if entry.0.spec.accepts(argv.len()) && entry.0.handler.is_some() {
            return Ok(entry);
        }
        let error = CommandError::fixed("ERR Wrong number of args calling Redis command from script");
        Err((Some(entry), error))
    }

    fn look_up(&mut self, argv: Argv<'_>) -> Result<FoundCommand, Refused> {
        let Lookup::Found(command, words, index) = self.rooms.commands.lookup(argv) else {
            return Err((None, CommandError::fixed("ERR Unknown Redis command called from script")));
        };
        if words == 1 && command.subcommands.is_empty() {
            let last = &mut self.session.last;
            last.script_lookup = LookupCache::new(argv.at(0), index).or(last.script_lookup);
        }
        Ok((command, words, index))
    }

    fn admit(&mut self, entry: FoundCommand, argv: Argv<'_>) -> CommandResult {
        let flags = entry.0.spec.flags;
        // A script runs no script, whatever DEBUG allows.
        let is_allowed = self.rooms.script.may_call_all && entry.0.spec.group != Group::Scripting;
        if flags.contains(NOSCRIPT) && !is_allowed {
            return Err(CommandError::NotFromScript);
        }
        if !self.session.login.unrestricted {
            access::check(self.rooms, self.session, entry, argv, Context::Lua)
                .map_err(|refusal| refusal.in_script())?;
        }
        let Some(run) = &self.rooms.script.run else { return Ok(()) };
        if run.is_read_only && flags.intersects(WRITE.with(MAY_REPLICATE)) {
            return Err(CommandError::fixed("ERR Write commands are not allowed from read-only scripts."));
        }
        // What has begun to write is not stopped half way.
        if run.has_written {
            return Ok(());
        }
        let allows_oom = run.allows_oom;
        if flags.contains(WRITE) {
            gate::admit_writes(self.rooms)?;
        }
        if !allows_oom && flags.contains(DENYOOM) && self.rooms.memory.eviction.room == Room::None {
            return Err(CommandError::OutOfMemory);
        }
        Ok(())
    }

    fn run(&mut self, entry: FoundCommand, argv: Argv<'_>, reply: Reply<'_>) {
        let flags = entry.0.spec.flags;
        let mut is_silent = false;
        if let Some(run) = &mut self.rooms.script.run {
            run.has_written |= flags.contains(WRITE);
            is_silent = !run.readers.file;
        }
        // A script that only reads costs nothing of this.
        if self.rooms.held.is_none() && flags.intersects(WRITE.with(MAY_REPLICATE)) {
            held_changes::begin(self.rooms, self.keyspace);
        }
        let before = is_silent.then(|| self.rooms.propagation.replace_silent(true));
        if flags.contains(READONLY) {
            tracking::remember_declared(self.rooms, self.session, self.declared);
        }
        call(self.keyspace, self.rooms, self.session, reply, entry, argv, Origin::Script);
        if let Some(before) = before {
            self.rooms.propagation.replace_silent(before);
        }
    }

    /// Lets the server hear others, from time to time.
    fn hear_others(&mut self, now_ns: u64, elapsed_ms: u64) {
        let Some(run) = &mut self.rooms.script.run else { return };
        if !run.is_busy {
            run.is_busy = true;
            let command = if run.kind == Kind::Eval { "SCRIPT KILL" } else { "FUNCTION KILL" };
            log::warn!(
                "Slow script detected: still in execution after {elapsed_ms} milliseconds. You can try killing the \
                 script using the {command} command. Script name is: {}.",
                run.name
            );
        } else if now_ns.saturating_sub(run.heard_ns) < HEAR_NS {
            return;
        }
        run.heard_ns = now_ns;
        Busy::new(self.keyspace, self.rooms, self.session).listen();
    }
}
