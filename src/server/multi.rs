//! MULTI: the commands a client has queued, and what is decided about them before and at EXEC.
//!
//! Between MULTI and EXEC the door `call` queues instead of running ([`queue`]). A command that is
//! refused meanwhile spoils the whole transaction ([`refused`]). EXEC is judged by what it would
//! run: [`flags_of`] gives the gate its flags together with those of the queued commands, so that
//! every check there holds for a transaction too, without knowing of one. [`exec`] runs the queue,
//! each command through `call`, as one unit: nobody is served in between, and what it changes is
//! propagated together.
//!
//! The queue counts against `client-query-buffer-limit`: it is nothing but requests that wait.

use super::call::call;
use super::client_info::info_line;
use super::command::{Command, CommandTable, FoundCommand};
use super::ctx::Ctx;
use super::error::{CommandError, CommandResult};
use super::origin::Origin;
use super::{Rooms, access};
use crate::clients::{Close, Queued, Session, Transaction};
use crate::keyspace::Presence;
use crate::resp::Argv;
use crate::spec::{
    DENYOOM, DROPS_TRANSACTION, Flags, NOT_QUEUED, RUNS_FUNCTION, RUNS_SCRIPT, RUNS_TRANSACTION,
};

fn logs_in(command: &Command, argv: Argv<'_>) -> bool {
    command.credentials.and_then(|credentials| credentials(argv)).is_some()
}

/// The keys of queued commands that change a part of a string.
pub(super) fn edited_strings<'t>(
    commands: &CommandTable,
    transaction: &'t Transaction,
) -> impl Iterator<Item = &'t [u8]> {
    let edited = |queued: &'t Queued| commands.at(queued.index).edited_string(queued.argv());
    transaction.commands().iter().filter_map(edited)
}

/// The flags of a call, in the place of `flags`: those of a script are what it says of itself.
#[inline]
pub(super) fn flags_of_call(rooms: &Rooms, command: &Command, argv: Argv<'_>, flags: Flags) -> Flags {
    if command.spec.flags.contains(RUNS_SCRIPT) {
        rooms.script.flags_of_call(argv, flags)
    } else if command.spec.flags.contains(RUNS_FUNCTION) {
        rooms.script.flags_of_function_call(argv, flags)
    } else {
        flags
    }
}

/// The flags by which the gate judges `command`: EXEC is as restricted as what it would run, and
/// queueing takes memory like a write.
#[inline]
pub(super) fn flags_of(session: &Session, command: &Command) -> Flags {
    match &session.multi {
        None => command.spec.flags,
        Some(transaction) => transaction_flags(transaction, command),
    }
}

fn transaction_flags(transaction: &Transaction, command: &Command) -> Flags {
    let flags = command.spec.flags;
    if flags.contains(RUNS_TRANSACTION) {
        return transaction.flags_of_exec(flags);
    }
    if flags.contains(DROPS_TRANSACTION) { flags } else { flags | DENYOOM }
}

/// Queues an admitted command if the client is in a transaction and the command does not belong to
/// the transaction itself. Returns whether it did; the caller answers.
pub(super) fn queue(rooms: &mut Rooms, session: &mut Session, entry: FoundCommand, argv: Argv<'_>) -> bool {
    let Some(transaction) = &mut session.multi else { return false };
    if entry.0.spec.flags.contains(NOT_QUEUED) {
        return false;
    }
    // Redis: what will not run needs no place.
    if !transaction.is_spoilt() && !rooms.watches.is_dirty(session.id) {
        let (command, words, index) = entry;
        let flags = flags_of_call(rooms, command, argv, command.spec.flags);
        transaction.push((index, words), flags, argv);
        if logs_in(command, argv) {
            transaction.note_login();
        }
    }
    limit_memory(rooms, session);
    true
}

/// Closes a client whose transaction holds more than `client-query-buffer-limit`.
fn limit_memory(rooms: &mut Rooms, session: &mut Session) {
    let queued = session.multi.as_ref().map_or(0, |transaction| transaction.argument_bytes());
    let held = queued + rooms.watches.bytes_of(session.id);
    if held as u64 > rooms.config.client_query_buffer_limit {
        log::warn!("Closing client that reached max query buffer length: {}", info_line(rooms, session));
        rooms.stats.counters.query_buffer_disconnections += 1;
        session.close = Close::Now;
    }
}

/// The line a refused command is answered with. A transaction is spoilt by it, and a refused EXEC
/// ends it.
pub(super) fn refused(
    rooms: &mut Rooms,
    session: &mut Session,
    command: Option<&Command>,
    error: &CommandError,
) -> String {
    if command.is_some_and(|command| command.spec.flags.contains(RUNS_TRANSACTION)) {
        discard(rooms, session);
        let line = error.to_string();
        let reason = line.strip_prefix("ERR ").unwrap_or(&line);
        return format!("EXECABORT Transaction discarded because of: {reason}");
    }
    if let Some(transaction) = &mut session.multi {
        transaction.spoil();
    }
    error.to_string()
}

fn unwatch(rooms: &mut Rooms, session: &mut Session) {
    rooms.watches.unwatch(session.id);
    session.watched_bytes = 0;
}

/// Forgets the transaction and what was watched for it.
pub(super) fn discard(rooms: &mut Rooms, session: &mut Session) {
    session.multi = None;
    unwatch(rooms, session);
}

impl Ctx<'_> {
    /// Begins to watch `keys` of the current database. Source: WATCH.
    pub fn watch<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) {
        let db = self.db.index();
        for key in keys {
            let is_stale = self.db.presence(key) == Presence::Expired;
            self.rooms.watches.watch(self.session.id, db, key, is_stale);
        }
        self.session.watched_bytes = self.rooms.watches.bytes_of(self.session.id);
        limit_memory(self.rooms, self.session);
    }

    /// Forgets what the client watches. Source: UNWATCH.
    pub fn unwatch(&mut self) {
        unwatch(self.rooms, self.session);
    }

    /// Forgets the client's transaction, if there is one, and what it watches. Source: DISCARD,
    /// RESET.
    pub fn discard(&mut self) {
        discard(self.rooms, self.session);
    }

    /// Runs `transaction`, the client's own, and answers with an array of its answers; with a null
    /// instead when a watched key has changed. Source: EXEC.
    pub fn exec(&mut self, transaction: &Transaction) -> CommandResult {
        exec(self, transaction)
    }
}

fn exec(ctx: &mut Ctx<'_>, transaction: &Transaction) -> CommandResult {
    let id = ctx.session.id;
    let is_dirty = ctx.rooms.watches.is_dirty(id) || ctx.rooms.watches.has_expired(id, ctx.db);
    unwatch(ctx.rooms, ctx.session);
    if transaction.is_spoilt() {
        return Err(CommandError::ExecAbort);
    }
    if is_dirty {
        // This tells of changes too.
        ctx.session.outbox.awaits_file |= ctx.rooms.persistence.aof.has_unsynced();
        ctx.reply.null_array();
        return Ok(());
    }
    ctx.session.requests.running.transaction = Some((transaction.len(), transaction.heap_bytes()));
    ctx.reply.array(transaction.len());
    for queued in transaction.commands() {
        let entry = (ctx.rooms.commands.at(queued.index), queued.words, queued.index);
        let mut reply = ctx.reply.reborrow();
        // HELLO may have changed it.
        reply.set_protocol(ctx.session.protocol);
        // A command that was allowed when it was queued may not be allowed any more.
        if let Err(refusal) = access::check_queued(ctx.rooms, ctx.session, entry, queued.argv()) {
            ctx.rooms.stats.counters.count_error(refusal.as_bytes());
            reply.error(&refusal);
            continue;
        }
        call(ctx.db, ctx.rooms, ctx.session, reply, entry, queued.argv(), Origin::Transaction);
        debug_assert!(ctx.session.parked.is_none(), "nothing waits in a transaction");
    }
    ctx.session.requests.running.transaction = None;
    ctx.session.login.has_guessed = false;
    Ok(())
}
