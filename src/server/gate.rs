//! May this command run? A fixed order of small checks, the order of Redis's `processCommand`.

use super::command::{Command, FoundCommand, Lookup};
use super::error::CommandError;
use super::{Rooms, access, multi, publish};
use crate::acl::Context;
use crate::base::text::lossless;
use crate::clients::Session;
use crate::memory::Room;
use crate::resp::Argv;
use crate::script::run::Kind;
use crate::spec::{
    ALLOW_BUSY, DENYOOM, Flags, GUARDED_AS_DEBUG, GUARDED_AS_MODULE, LOADING, MAY_REPLICATE, NO_AUTH,
    NO_MULTI, READONLY, TELLS_OF_DISK_ERRORS, WRITE,
};
use crate::waiting::PauseReason;

/// The time for which after a line about a request of another protocol there is no other,
/// nanoseconds.
const CROSS_PROTOCOL_LOG_NS: u64 = 60_000_000_000;

/// Longest part of a client's words that an error line repeats, bytes.
const MAX_QUOTED_BYTES: usize = 128;

/// The error of a name that leads nowhere.
pub(super) fn not_found(lookup: Lookup, argv: Argv<'_>) -> CommandError {
    match lookup {
        Lookup::UnknownSubcommand(_) => {
            let word = quoted(argv.get(1).unwrap_or_default(), MAX_QUOTED_BYTES);
            let name = lossless(argv.at(0)).to_ascii_uppercase();
            CommandError::line(format!("ERR unknown subcommand '{word}'. Try {name} HELP."))
        }
        _ => unknown_command(argv),
    }
}

fn unknown_command(argv: Argv<'_>) -> CommandError {
    let mut args = String::new();
    for arg in argv.skip(1).iter() {
        if args.len() >= MAX_QUOTED_BYTES {
            break;
        }
        args.push_str(&format!("'{}' ", quoted(arg, MAX_QUOTED_BYTES - args.len())));
    }
    let name = quoted(argv.at(0), MAX_QUOTED_BYTES);
    CommandError::line(format!("ERR unknown command '{name}', with args beginning with: {args}"))
}

/// The start of a client's word as C prints it: up to `limit` bytes and the first NUL.
fn quoted(word: &[u8], limit: usize) -> String {
    let end = word.iter().position(|&byte| byte == 0).unwrap_or(word.len()).min(limit);
    lossless(&word[..end]).into_owned()
}

/// True when a request is the first line of an HTTP request, or the header that names the server: a
/// browser was made to send it, and what follows are words of somebody else.
pub(super) fn is_cross_protocol(argv: Argv<'_>) -> bool {
    let word = argv.at(0).split(|&byte| byte == 0).next().unwrap_or_default();
    matches!(word.len(), 4 | 5) && (word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:"))
}

impl Rooms {
    /// Tells of a request that is none of ours; somebody who sends many fills no disk with it.
    pub(super) fn log_cross_protocol(&mut self) {
        let now_ns = self.time.clock.monotonic_ns();
        let is_recent = |logged: u64| now_ns.saturating_sub(logged) <= CROSS_PROTOCOL_LOG_NS;
        if self.clients.cross_protocol_logged_ns.is_some_and(is_recent) {
            return;
        }
        self.clients.cross_protocol_logged_ns = Some(now_ns);
        log::warn!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. \
             This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis \
             instance. Connection aborted."
        );
    }
}

/// Decides if `session` may run `command` at this moment.
pub(super) fn admit(
    rooms: &mut Rooms,
    session: &Session,
    entry: FoundCommand,
    argv: Argv<'_>,
) -> Result<(), CommandError> {
    let command = entry.0;
    let spec = &command.spec;
    if !spec.accepts(argv.len()) || command.handler.is_none() {
        return Err(CommandError::Arity(spec.name.into()));
    }
    if spec.flags.intersects(GUARDED_AS_DEBUG.with(GUARDED_AS_MODULE)) {
        guarded(rooms, session, spec.flags)?;
    }
    if !session.login.authenticated && !spec.flags.contains(NO_AUTH) && !rooms.acl.users.default_is_open() {
        return Err(CommandError::NoAuth);
    }
    let flags = flags_of(rooms, session, command, argv);
    if session.multi.is_some() && flags.contains(NO_MULTI) {
        return Err(CommandError::fixed("ERR Command not allowed inside a transaction"));
    }
    if !session.login.unrestricted {
        let context = if session.multi.is_some() { Context::Multi } else { Context::Toplevel };
        access::check(rooms, session, entry, argv, context)?;
    }
    if rooms.memory.eviction.room == Room::None && flags.contains(DENYOOM) {
        return Err(CommandError::OutOfMemory);
    }
    if flags.contains(WRITE) {
        admit_writes(rooms)?;
    } else if spec.flags.contains(TELLS_OF_DISK_ERRORS) {
        disk_error(rooms)?;
    }
    publish::admit(session, command)?;
    // Commands wait for data that will be loaded soon.
    if rooms.persistence.loading
        && !flags.contains(LOADING)
        && !rooms.waiting.pauses.is_paused_by(PauseReason::Load)
    {
        return Err(CommandError::fixed("LOADING Redis is loading the dataset in memory"));
    }
    if !spec.flags.contains(ALLOW_BUSY) {
        not_busy(rooms)?;
    }
    // Redis counts a monitor as a replica here.
    if session.is_monitor && flags.intersects(WRITE.with(READONLY).with(MAY_REPLICATE)) {
        return Err(CommandError::fixed("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}

/// The flags by which a call is judged: a transaction is as restricted as what it would run, a
/// script as it says of itself.
#[inline]
pub(super) fn flags_of(rooms: &Rooms, session: &Session, command: &Command, argv: Argv<'_>) -> Flags {
    multi::flags_of_call(rooms, command, argv, multi::flags_of(session, command))
}

/// The error of writes while they cannot be kept, or not by enough servers.
pub(super) fn admit_writes(rooms: &Rooms) -> Result<(), CommandError> {
    disk_error(rooms)?;
    good_replicas(rooms)
}

/// The error of everybody else while a script runs too long.
fn not_busy(rooms: &Rooms) -> Result<(), CommandError> {
    match rooms.script.run.as_ref().filter(|run| run.is_busy) {
        None => Ok(()),
        Some(run) => Err(busy_error(run.kind)),
    }
}

/// The error while a script of this kind runs too long.
pub(super) fn busy_error(kind: Kind) -> CommandError {
    CommandError::fixed(match kind {
        Kind::Eval => {
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
        }
        Kind::Function => {
            "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
        }
    })
}

/// The error of a script that may write while what it changes cannot be kept.
pub(super) fn admit_script_writes(rooms: &Rooms) -> Result<(), CommandError> {
    if rooms.persistence.saves.refuses_writes(&rooms.config) {
        return Err(CommandError::fixed(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
             Writable scripts are blocked. Use 'no-writes' flag for read only scripts.",
        ));
    }
    let Some(line) = rooms.persistence.aof.refusal() else { return Ok(()) };
    let reason = line.split_once(": ").map_or("", |(_, reason)| reason);
    Err(CommandError::line(format!(
        "MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. Writable \
         scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: {reason}"
    )))
}

/// The error of writes while what they change cannot be kept.
fn disk_error(rooms: &Rooms) -> Result<(), CommandError> {
    if rooms.persistence.saves.refuses_writes(&rooms.config) {
        return Err(CommandError::fixed(MISCONF));
    }
    rooms.persistence.aof.refusal().map_or(Ok(()), |line| Err(CommandError::line(line)))
}

/// The error of writes while fewer replicas are in good state than `min-replicas-to-write` asks
/// for. There are none yet.
fn good_replicas(rooms: &Rooms) -> Result<(), CommandError> {
    if rooms.config.min_replicas_to_write > 0 && rooms.config.min_replicas_max_lag > 0 {
        return Err(CommandError::fixed("NOREPLICAS Not enough good replicas to write."));
    }
    Ok(())
}

const MISCONF: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
     Commands that may modify the data set are disabled, because this instance is configured to report errors during \
     writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details \
     about the RDB error.";

/// DEBUG and MODULE are guarded by parameters of their own.
fn guarded(rooms: &Rooms, session: &Session, flags: Flags) -> Result<(), CommandError> {
    let (name, setting, parameter) = if flags.contains(GUARDED_AS_DEBUG) {
        ("DEBUG", rooms.config.enable_debug_command, "enable-debug-command")
    } else {
        ("MODULE", rooms.config.enable_module_command, "enable-module-command")
    };
    if setting.admits(session.connection.is_local()) {
        return Ok(());
    }
    Err(CommandError::line(format!(
        "ERR {name} command not allowed. If the {parameter} option is set to \"local\", you can run it from a local \
         connection, otherwise you need to set this option in the configuration file, and then restart the server."
    )))
}
