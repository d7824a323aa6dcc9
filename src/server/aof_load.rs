//! Loading the append-only file: each command is run as if a client had sent it.
//!
//! The commands in the file were accepted once, so nothing is checked again, nothing expires
//! meanwhile and nothing is propagated. The commands of a transaction are kept until its EXEC
//! arrives: a file that ends before it ends before the transaction. The engine reads the files and
//! tells how far they are good: commands come in pieces ([`super::loading`]), between which clients
//! are served.

use super::aof_loader::{AofClient, AofLoader};
use super::call::{call, find};
use super::changed;
use super::command::FoundCommand;
use super::machine::Server;
use super::origin::Origin;
use crate::base::ClientId;
use crate::clients::{Connection, Session};
use crate::keyspace::Keyspace;
use crate::persistence::Loading;
use crate::resp::{Argv, OwnedArgv, Protocol, Reply, Requests};
use crate::stats::Counters;

/// Garbage is dropped after so many commands.
const COMMANDS_PER_CLEANING: u64 = 1024;

impl Server {
    /// Empties all databases and deletes all functions, as before DEBUG LOADAOF. The keys are freed
    /// on another thread.
    pub fn empty_for_loading(&mut self) {
        self.keyspace.iter_mut().for_each(|db| {
            db.flush();
        });
        self.rooms.script.functions.flush();
        self.rooms.persistence.saves.dirty = 0;
    }

    /// A part begins, and with it a client in database 0.
    pub(super) fn begin_aof_file(&mut self) {
        let commands = self.rooms.commands.all().len();
        self.loader = Some(Box::new(AofLoader {
            began_ns: self.rooms.time.clock.monotonic_ns(),
            client: AofClient::new(self),
            stats: Counters::new(commands),
        }));
    }

    /// Runs commands of the file. Errors with a line that was logged.
    pub(super) fn run_loaded(&mut self, load: &Loading, commands: &Requests) -> Result<(), String> {
        let (Some(file), Some(mut loader)) = (load.file(), self.loader.take()) else { return Ok(()) };
        let quiet = Quiet::begin(self, &mut loader.stats);
        let result = (0..commands.len()).try_for_each(|index| loader.client.take(self, commands.get(index)));
        quiet.end(self, &mut loader.stats);
        self.loader = Some(loader);
        result.map_err(|wrong| match wrong {
            Wrong::Unknown(word) => {
                refuse(format!("Unknown command '{word}' reading the append only file {}", file.name))
            }
            Wrong::Shape(reason) => {
                log::debug!("{}: before offset {}: {reason}", file.name, load.loaded_bytes);
                refuse(file.bad_format())
            }
        })
    }

    /// A part is loaded.
    pub(super) fn end_aof_file(&mut self, load: &Loading) {
        let (Some(file), Some(loader)) = (load.file(), &self.loader) else { return };
        let kind = if file.is_base { "base" } else { "incr" };
        let ns = self.rooms.time.clock.monotonic_ns().saturating_sub(loader.began_ns);
        self.rooms.watches.unwatch(loader.client.session.id);
        if !file.is_empty {
            log::info!("DB loaded from {kind} file {}: {:.3} seconds", file.name, ns as f64 / 1e9);
        }
        clean(&mut self.keyspace);
    }
}

/// Puts aside until the end of a load everything else that happens to the server meanwhile.
struct Quiet;

impl Quiet {
    fn begin(server: &mut Server, stats: &mut Counters) -> Self {
        std::mem::swap(&mut server.rooms.stats.counters, stats);
        server.keyspace.stop_clock();
        server.rooms.propagation.set_silent(true);
        Quiet
    }

    fn end(self, server: &mut Server, stats: &mut Counters) {
        std::mem::swap(&mut server.rooms.stats.counters, stats);
        server.rooms.propagation.set_silent(false);
        server.keyspace.freeze(server.rooms.time.now, server.rooms.time.monotonic);
        server.rooms.persistence.saves.dirty = 0;
    }
}

enum Wrong {
    Unknown(String),
    Shape(&'static str),
}

impl AofClient {
    fn new(server: &Server) -> Self {
        let now = server.rooms.time.monotonic;
        let replies = server.rooms.clients.reply_buffers.new_buffer(now);
        let mut session = Session::new(ClientId(u64::MAX), Connection::default(), replies, now);
        session.login.unrestricted = true;
        AofClient { session: Box::new(session), transaction: None, commands: 0, out: Vec::new() }
    }

    /// Runs a command, or keeps it until its transaction is complete.
    fn take(&mut self, server: &mut Server, argv: Argv<'_>) -> Result<(), Wrong> {
        // Redis: also in a transaction that never ends.
        self.find(server, argv)?;
        let word = argv.at(0);
        if word.eq_ignore_ascii_case(b"multi") {
            if self.transaction.is_some() {
                warn_of_error("MULTI calls can not be nested", "exec");
            }
            self.transaction.get_or_insert_default();
        } else if word.eq_ignore_ascii_case(b"exec") {
            let Some(commands) = self.transaction.take() else {
                warn_of_error("EXEC without MULTI", "exec");
                return Ok(());
            };
            self.exec(server, &commands)?;
        } else if let Some(commands) = &mut self.transaction {
            commands.push(argv.to_owned());
        } else {
            self.run(server, argv)?;
        }
        Ok(())
    }

    /// Runs a transaction, unless a watched key was changed before it.
    fn exec(&mut self, server: &mut Server, commands: &[OwnedArgv]) -> Result<(), Wrong> {
        let is_dirty = server.rooms.watches.is_dirty(self.session.id);
        server.rooms.watches.unwatch(self.session.id);
        if is_dirty {
            return Ok(());
        }
        // Commands see that they are in one: WATCH is refused.
        self.session.multi = Some(Box::default());
        let result = commands.iter().try_for_each(|argv| self.run(server, argv.as_argv()));
        self.session.multi = None;
        result
    }

    fn find(&mut self, server: &mut Server, argv: Argv<'_>) -> Result<FoundCommand, Wrong> {
        let unknown = || Wrong::Unknown(String::from_utf8_lossy(argv.at(0)).into_owned());
        find(&mut server.rooms, &mut self.session, argv).map_err(|_| unknown())
    }

    fn run(&mut self, server: &mut Server, argv: Argv<'_>) -> Result<(), Wrong> {
        let entry = self.find(server, argv)?;
        if !entry.0.spec.accepts(argv.len()) || entry.0.handler.is_none() {
            return Err(Wrong::Shape("wrong number of arguments"));
        }
        self.out.clear();
        let (keyspace, rooms) = (&mut server.keyspace, &mut server.rooms);
        let reply = Reply::new(&mut self.out, Protocol::Resp2);
        call(keyspace, rooms, &mut self.session, reply, entry, argv, Origin::AofLoad);
        changed::report_all_findings(keyspace, rooms);
        if let Some(error) = self.out.strip_prefix(b"-") {
            let command = if self.session.multi.is_some() { "exec" } else { entry.0.spec.name };
            warn_of_error(String::from_utf8_lossy(error).trim_end(), command);
        }
        self.commands += 1;
        if self.commands.is_multiple_of(COMMANDS_PER_CLEANING) {
            clean(keyspace);
        }
        Ok(())
    }
}

/// The file goes on behind what a client would be told an error for.
fn warn_of_error(error: &str, command: &str) {
    log::warn!(
        "== CRITICAL == This server is sending an error to its AOF-loading-client: '{error}' after processing the \
         command '{command}'"
    );
}

/// Frees at once the values that were replaced while loading: nobody is served meanwhile.
fn clean(keyspace: &mut Keyspace) {
    drop(keyspace.take_garbage());
}

fn refuse(line: String) -> String {
    log::warn!("{line}");
    line
}
