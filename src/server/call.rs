//! The door every command passes: look up, admit, run, keep the books.
//!
//! [`Server::requests`] takes what one read brought. Each command is a unit: after it, expired
//! keys are reported, effects are encoded, and clients parked on keys that became ready are
//! served, so that they see the state right after the change they waited for.

use super::aof::unsynced;
use super::args::Args;
use super::command::{Command, FoundCommand, Lookup};
use super::ctx::Ctx;
use super::error::CommandError;
use super::machine::{Server, limit_pending};
use super::origin::Origin;
use super::{
    Rooms, changed, connection_order, evict, gate, hold_back, login_wait, monitor, multi, output,
    protocol_error, saving, timing, tracking,
};
use crate::base::ClientId;
use crate::base::text::lossless;
use crate::clients::{Close, LookupCache, ReplyMode, Running, Session};
use crate::keyspace::Keyspace;
use crate::propagation::Effect;
use crate::resp::{Argv, Reply, Requests};
use crate::spec::TOUCHES_ARBITRARY_KEYS;
use crate::waiting::{Pause, PauseReason};

impl Server {
    /// Runs what one read of a client brought, in order; what stands behind a command that parks
    /// the client waits with it. Returns the batch when all of it ran, so that its memory can
    /// carry another one.
    pub fn requests(&mut self, id: ClientId, batch: Requests) -> Option<Requests> {
        self.rooms.weigh_requests(id, batch.content_bytes());
        let mut session = self.rooms.clients.take(id)?;
        let mut spent = None;
        self.rooms.stats.counters.reads += 1;
        session.requests.received += 1;
        if session.close == Close::No {
            self.follow_clock();
            session.last.interaction = self.rooms.time.monotonic;
            let waits = session.parked.is_some() || !session.requests.pending.is_empty();
            if waits || self.rooms.hold_back_behind_earlier(&mut session, batch.arrival) {
                session.requests.pending.push_back(batch);
                limit_pending(&mut self.rooms, &mut session);
            } else {
                spent = self.run_batch(&mut session, batch, 0);
            }
        }
        self.rooms.clients.put_back(session);
        self.run_released();
        spent
    }

    /// Runs the commands of `batch` from `first` on, each a unit of its own. Gives the batch back
    /// unless the rest of it waits.
    pub(super) fn run_batch(
        &mut self,
        session: &mut Session,
        batch: Requests,
        first: usize,
    ) -> Option<Requests> {
        let mut out = std::mem::take(&mut session.outbox.bytes);
        out.reserve_exact(session.outbox.buffer.size);
        session.requests.running = Running::begin(&batch, &out);
        session.requests.arrival = batch.arrival;
        let mut room = out.capacity();
        for index in first..batch.len() {
            self.follow_clock();
            self.execute(session, batch.get(index), &mut out);
            if out.capacity() > room {
                self.rooms.memory.eviction.answers_grew(out.capacity() - room);
                room = out.capacity();
            }
            self.rooms.clients.limit_answers(session, &mut out);
            if session.close != Close::No {
                break;
            }
            if let Some(parked) = &session.parked {
                // The time it waits is no time of its own.
                self.rooms.end_run();
                session.requests.running = Running::default();
                session.outbox.bytes = out;
                let next = index + usize::from(!parked.is_held_back());
                if next == batch.len() && batch.failure.is_none() {
                    return Some(batch);
                }
                session.requests.pending.push_front(batch, next);
                login_wait::tell_worker(session);
                limit_pending(&mut self.rooms, session);
                return None;
            }
        }
        if let Some(failure) = batch.failure.as_deref().filter(|_| session.close == Close::No) {
            protocol_error::answer(&self.rooms, session, failure, &mut out);
        }
        session.requests.running = Running::default();
        login_wait::tell_worker(session);
        timing::end_batch(&mut self.rooms, session, &batch);
        session.outbox.bytes = out;
        Some(batch)
    }

    /// One command of a client, with all that follows from it.
    fn execute(&mut self, session: &mut Session, argv: Argv<'_>, out: &mut Vec<u8>) {
        if gate::is_cross_protocol(argv) {
            self.rooms.log_cross_protocol();
            session.close = Close::Now;
            return;
        }
        self.rooms.clients.in_doubt = self.rooms.clients.doubt_of(session, &self.rooms.persistence.aof);
        let found = find(&mut self.rooms, session, argv);
        session.last.command = found.as_ref().ok().map(|entry| entry.2);
        evict::make_room(&mut self.keyspace, &mut self.rooms, argv.span());
        if self.rooms.tracking.tables.is_active() {
            self.rooms.limit_tracking_table();
        }
        self.append_aside(session, out);
        match self.next_step(session, found, argv) {
            Step::HoldBack => return,
            Step::Refuse(entry, error) => {
                let command = entry.map(|entry| entry.0);
                self.run_unit(session, out, command, |server, session, out| {
                    reject(&mut server.rooms, entry, &error, session, out);
                });
            }
            Step::Queue(command) => self.run_unit(session, out, Some(command), |_, session, out| {
                Reply::new(out, session.protocol).simple("QUEUED");
            }),
            Step::Run(entry) => self.run_unit(session, out, Some(entry.0), |server, session, out| {
                let reply = Reply::new(out, session.protocol);
                call(&mut server.keyspace, &mut server.rooms, session, reply, entry, argv, Origin::Client);
            }),
        }
        self.append_aside(session, out);
    }

    /// Decides the next step for a command that has arrived. One that is held back is parked by
    /// this, one that is queued is in the queue.
    #[inline]
    fn next_step(
        &mut self,
        session: &mut Session,
        found: Result<FoundCommand, CommandError>,
        argv: Argv<'_>,
    ) -> Step {
        let entry = match found {
            Ok(entry) => entry,
            Err(error) => return Step::Refuse(None, error),
        };
        if let Err(error) = gate::admit(&mut self.rooms, session, entry, argv) {
            return Step::Refuse(Some(entry), error);
        }
        if hold_back::by_pause(&mut self.rooms, session, entry.0, argv) {
            return Step::HoldBack;
        }
        if multi::queue(&mut self.rooms, session, entry, argv) {
            return Step::Queue(entry.0);
        }
        if hold_back::by_walk(&mut self.keyspace, &mut self.rooms, session, entry.0, argv)
            || connection_order::hold_back(&mut self.rooms, session, entry.0)
            || login_wait::hold_back(&mut self.rooms, session, entry.0, argv)
        {
            return Step::HoldBack;
        }
        Step::Run(entry)
    }

    /// The bracket around what a client's command does, at its first run and whenever it is run
    /// again: `act` runs it; then what it did is reported, and whoever waited for it is
    /// served.
    #[inline]
    pub(super) fn run_unit(
        &mut self,
        session: &mut Session,
        out: &mut Vec<u8>,
        command: Option<&'static Command>,
        act: impl FnOnce(&mut Server, &mut Session, &mut Vec<u8>),
    ) {
        let mark = out.len();
        let before = tracking::begin(&mut self.rooms, session.id);
        act(self, session, out);
        if session.parked.is_none() {
            apply_reply_mode(session, out, mark);
        }
        self.end_unit();
        self.serve_ready();
        tracking::end(&mut self.rooms, session, command, before);
        session.outbox.awaits_file |= self.rooms.clients.in_doubt && session.outbox.held.is_empty();
    }

    /// Sends the client what was delivered to it while it was taken out, if it stays.
    fn append_aside(&mut self, session: &Session, out: &mut Vec<u8>) {
        if self.rooms.clients.has_aside() {
            let mut aside = self.rooms.clients.take_aside(session.id, session.protocol);
            // Redis: behind the answer to QUIT nothing comes, not even what a MONITOR shows of it.
            if session.close == Close::No {
                out.append(&mut aside);
            }
        }
    }

    /// Settles what the unit left behind.
    pub(super) fn end_unit(&mut self) {
        // While a script runs, a client that may stop it is answered: the unit is the script's.
        if self.rooms.held.is_some() {
            return;
        }
        changed::report_all_findings(&mut self.keyspace, &mut self.rooms);
        if self.rooms.propagation.is_wanted() {
            self.rooms.propagation.end_unit();
        }
        if saving::is_behind(&self.keyspace, &self.rooms) {
            self.rooms.waiting.pauses.pause(PauseReason::Snapshot, Pause::Writes, None);
        }
    }
}

/// The next step for a command that has arrived.
pub(super) enum Step {
    /// It is refused, with this error.
    Refuse(Option<FoundCommand>, CommandError),
    /// It waits before it begins.
    HoldBack,
    /// It waits for EXEC.
    Queue(&'static Command),
    /// It runs.
    Run(FoundCommand),
}

/// Takes back the answer from `mark` on if the client wants none, when its command is done.
pub(super) fn apply_reply_mode(session: &mut Session, out: &mut Vec<u8>, mark: usize) {
    if matches!(session.outbox.mode, ReplyMode::Off | ReplyMode::Skip) {
        out.truncate(mark);
    }
    session.outbox.mode = match session.outbox.mode {
        ReplyMode::SkipNext => ReplyMode::Skip,
        ReplyMode::Skip => ReplyMode::On,
        mode => mode,
    };
}

/// Finds the command `argv` names. A client that repeats itself pays for one comparison.
pub(super) fn find(
    rooms: &mut Rooms,
    session: &mut Session,
    argv: Argv<'_>,
) -> Result<FoundCommand, CommandError> {
    let name = argv.at(0);
    if let Some(index) = session.last.lookup.as_ref().and_then(|cache| cache.get(name)) {
        return Ok((rooms.commands.at(index), 1, index));
    }
    match rooms.commands.lookup(argv) {
        Lookup::Found(command, words, index) => {
            if words == 1 && command.subcommands.is_empty() {
                session.last.lookup = LookupCache::new(name, index).or(session.last.lookup);
            }
            Ok((command, words, index))
        }
        lookup => Err(gate::not_found(lookup, argv)),
    }
}

/// Answers with the error of a command that does not run.
pub(super) fn reject(
    rooms: &mut Rooms,
    entry: Option<FoundCommand>,
    error: &CommandError,
    session: &mut Session,
    out: &mut Vec<u8>,
) {
    // The time of those before it is none of its own.
    rooms.end_run();
    if let Some((_, _, index)) = entry {
        rooms.stats.counters.command(index).rejected += 1;
    }
    let line = multi::refused(rooms, session, entry.map(|(command, ..)| command), error);
    rooms.stats.counters.count_error(line.as_bytes());
    Reply::new(out, session.protocol).error(&line);
}

/// Runs an admitted command: the handler, its error line, counters, dirty count and effect.
/// Nested commands (EXEC, scripts) come here too.
pub(super) fn call(
    db: &mut Keyspace,
    rooms: &mut Rooms,
    session: &mut Session,
    reply: Reply<'_>,
    (command, words, index): FoundCommand,
    argv: Argv<'_>,
    origin: Origin,
) {
    let handler = command.handler.expect("the gate refuses containers");
    unsynced::begin(db);
    let begun = timing::begin(rooms, (command, index), argv);
    db.select(session.db);
    let now = rooms.time.now;
    let mut ctx = Ctx {
        db,
        reply,
        session,
        rooms,
        effect: Effect::Verbatim,
        now,
        origin,
        command,
        changes: 0,
        failures: None,
    };
    let held_to = ctx.db.begin_command(&command.spec, argv, command.edited_string(argv));
    let result = handler(&mut ctx, Args::new(argv, words));
    assert_told(&ctx);
    ctx.db.end_command(held_to);
    if let Err(error) = &result {
        ctx.reply.cut(ctx.reply.start());
        ctx.reply.error(&error.to_string());
    }
    let answer = ctx.reply.since(ctx.reply.start());
    let failed = ctx.failures.is_none() && answer.first() == Some(&b'-');
    let failures = ctx.failures.unwrap_or(u64::from(failed));
    if failed {
        let line = answer[1..].split(|&byte| byte == b'\r').next().unwrap_or_default();
        ctx.rooms.stats.counters.count_error(line);
    }
    let answered = answer.len();
    let Ctx { db, mut reply, session, rooms, effect, changes, .. } = ctx;
    output::append_own(rooms, session, &mut reply);
    tracking::remember(rooms, session, command, argv, origin);
    changed::report_findings(db, rooms);
    output::prepend_own(rooms, session, &mut reply);
    if command.spec.flags.contains(TOUCHES_ARBITRARY_KEYS) && origin == Origin::Client {
        rooms.propagation.keep_apart();
    }
    if changes > 0 || matches!(effect, Effect::Instead(_)) {
        session.outbox.awaits_file = true;
        rooms.propagation.push_effect(db.index(), argv, effect);
    }
    session.outbox.awaits_file |= unsynced::shows_unsynced(db, &rooms.persistence.aof, command);
    // A command that is tried again was counted when it came.
    let is_new = u64::from(origin != Origin::Unparked);
    rooms.stats.counters.commands += is_new;
    let stat = rooms.stats.counters.command(index);
    stat.calls += is_new;
    stat.failed += failures;
    if !rooms.monitors.is_empty() {
        monitor::feed(rooms, session, (command, words, index), argv, origin);
    }
    timing::end(rooms, session, (command, index), argv, origin, (begun, answered));
}

/// In debug builds: the handler reported each key that it changed, and what it changed is passed on
/// unless the handler said that nothing is.
fn assert_told(ctx: &Ctx<'_>) {
    if !cfg!(debug_assertions) {
        return;
    }
    let is_passed_on =
        ctx.changes > 0 || ctx.effect != Effect::Verbatim || !ctx.rooms.propagation.is_wanted();
    for mutated in ctx.db.mutated_keys() {
        let (command, key) = (ctx.command.spec.name, lossless(&mutated.key));
        assert!(mutated.is_reported, "{command} changes the key '{key}' and does not report it");
        assert!(is_passed_on, "{command} changes the key '{key}' and propagates nothing of it");
    }
}
