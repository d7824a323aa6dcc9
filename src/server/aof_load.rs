//! Loading the append-only file: each command is run as if a client had sent it.
//!
//! What stands in the file was accepted once, so nothing is checked again, nothing expires
//! meanwhile and nothing is propagated. The commands of a transaction are kept until its EXEC
//! arrives: a file that ends before it ends before the transaction.

use super::call::{call, find};
use super::ctx::Origin;
use super::loading::{ExpiredKeys, PresentKeys, load};
use super::propagate::Propagation;
use super::session::{ClientId, Connection, Session};
use super::stats::Stats;
use super::{Server, changed};
use crate::aof::{Entry, ReadError, Reader, is_snapshot};
use crate::keyspace::Keyspace;
use crate::resp::{Argv, OwnedArgv, Protocol, Reply};
use std::io::{BufRead, Read};

/// Garbage is dropped after so many commands.
const COMMANDS_PER_CLEANING: u64 = 1024;

/// How a file was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AofLoaded {
    /// To its end.
    Whole,
    /// Up to here; there it ends too early, which is allowed.
    UpTo(u64),
}

/// The file cannot be loaded; the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AofRefused;

impl Server {
    /// Runs every command of one file. `is_old_style` says that it may hold a snapshot with commands behind it.
    pub fn load_aof(
        &mut self,
        name: &str,
        mut input: impl BufRead,
        is_old_style: bool,
    ) -> Result<AofLoaded, AofRefused> {
        let quiet = Quiet::begin(self);
        let start = input.fill_buf().map(is_snapshot);
        let result = match start {
            Ok(true) => self
                .load_base(name, &mut input, is_old_style)
                .and_then(|offset| self.run_file(name, input, offset)),
            Ok(false) => self.run_file(name, input, 0),
            Err(error) => refuse(format!("Unrecoverable error reading the append only file {name}: {error}")),
        };
        quiet.end(self);
        result
    }

    /// Empties all databases, as before DEBUG LOADAOF. The keys are freed on another thread.
    pub fn empty_for_loading(&mut self) {
        self.keyspace.iter_mut().for_each(|db| {
            db.flush();
        });
        self.parts.persistence.dirty = 0;
    }

    fn load_base(
        &mut self,
        name: &str,
        input: &mut impl BufRead,
        is_old_style: bool,
    ) -> Result<u64, AofRefused> {
        let what = if is_old_style {
            log::info!("Reading RDB preamble from AOF file...");
            "RDB preamble of the AOF file"
        } else {
            log::info!("Reading RDB base file on AOF loading...");
            "RDB base file"
        };
        let input: &mut dyn Read = input;
        match load(&mut self.keyspace, &mut self.parts, input, PresentKeys::Refused, ExpiredKeys::Kept) {
            Ok(summary) => {
                if is_old_style {
                    log::info!("Reading the remaining AOF tail...");
                }
                Ok(summary.bytes)
            }
            Err(error) => refuse(format!("Error reading the {what} {name}, AOF loading aborted: {error}")),
        }
    }

    fn run_file(&mut self, name: &str, input: impl BufRead, offset: u64) -> Result<AofLoaded, AofRefused> {
        let mut reader = Reader::new(input, offset);
        let mut client = AofClient::new(self);
        let mut valid = offset;
        loop {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) if client.transaction.is_none() => return Ok(AofLoaded::Whole),
                Ok(None) => {
                    log::warn!("Revert incomplete MULTI/EXEC transaction in AOF file {name}");
                    return self.truncated(name, valid);
                }
                Err(ReadError::Truncated) => return self.truncated(name, valid),
                Err(ReadError::Io(error)) => {
                    return refuse(format!(
                        "Unrecoverable error reading the append only file {name}: {error}"
                    ));
                }
                Err(ReadError::Format(reason)) => return bad_format(name, reader.offset(), &reason),
            };
            if let Entry::Command(argv) = entry
                && let Err(wrong) = client.take(self, argv)
            {
                return match wrong {
                    Wrong::Unknown(word) => {
                        refuse(format!("Unknown command '{word}' reading the append only file {name}"))
                    }
                    Wrong::Shape(reason) => bad_format(name, reader.offset(), reason),
                };
            }
            if client.transaction.is_none() {
                valid = reader.offset();
            }
        }
    }

    fn truncated(&self, name: &str, valid: u64) -> Result<AofLoaded, AofRefused> {
        if self.parts.config.aof_load_truncated {
            return Ok(AofLoaded::UpTo(valid));
        }
        refuse(format!(
            "Unexpected end of file reading the append only file {name}. You can: 1) Make a backup of your AOF file, \
             then use ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the \
             'aof-load-truncated' configuration option to yes and restart the server."
        ))
    }
}

/// What else happens to a server that loads is put aside until the end.
struct Quiet {
    readers: u32,
    stats: Stats,
}

impl Quiet {
    fn begin(server: &mut Server) -> Self {
        let commands = server.parts.commands.all().len();
        let stats = std::mem::replace(&mut server.parts.stats, Stats::new(commands));
        server.keyspace.stop_clock();
        Quiet { readers: Propagation::fall_silent(&mut server.parts.propagation), stats }
    }

    fn end(self, server: &mut Server) {
        server.parts.stats = self.stats;
        server.parts.propagation.tell_again(self.readers);
        server.keyspace.freeze(server.parts.now);
        server.parts.persistence.dirty = 0;
    }
}

/// The client that is no client: its commands come from the file.
struct AofClient {
    session: Box<Session>,
    /// The commands behind a MULTI.
    transaction: Option<Vec<OwnedArgv>>,
    commands: u64,
    out: Vec<u8>,
}

enum Wrong {
    Unknown(String),
    Shape(&'static str),
}

impl AofClient {
    fn new(server: &Server) -> Self {
        let mut session = Session::new(ClientId(u64::MAX), Connection::default(), server.parts.now);
        session.unrestricted = true;
        AofClient { session: Box::new(session), transaction: None, commands: 0, out: Vec::new() }
    }

    /// Runs a command, or keeps it until its transaction is complete.
    fn take(&mut self, server: &mut Server, argv: OwnedArgv) -> Result<(), Wrong> {
        let word = argv.as_argv().at(0);
        if word.eq_ignore_ascii_case(b"multi") {
            if self.transaction.replace(Vec::new()).is_some() {
                return Err(Wrong::Shape("MULTI calls can not be nested"));
            }
        } else if word.eq_ignore_ascii_case(b"exec") {
            let commands = self.transaction.take().ok_or(Wrong::Shape("EXEC without MULTI"))?;
            commands.iter().try_for_each(|argv| self.run(server, argv.as_argv()))?;
        } else if let Some(commands) = &mut self.transaction {
            commands.push(argv);
        } else {
            self.run(server, argv.as_argv())?;
        }
        Ok(())
    }

    fn run(&mut self, server: &mut Server, argv: Argv<'_>) -> Result<(), Wrong> {
        let unknown = || Wrong::Unknown(String::from_utf8_lossy(argv.at(0)).into_owned());
        let entry = find(&mut server.parts, &mut self.session, argv).map_err(|_| unknown())?;
        if !entry.0.spec.accepts(argv.len()) || entry.0.handler.is_none() {
            return Err(Wrong::Shape("wrong number of arguments"));
        }
        self.out.clear();
        let (keyspace, parts) = (&mut server.keyspace, &mut server.parts);
        let reply = Reply::new(&mut self.out, Protocol::Resp2);
        call(keyspace, parts, &mut self.session, reply, entry, argv, Origin::AofLoad);
        changed::settle_all(keyspace, parts);
        if let Some(error) = self.out.strip_prefix(b"-") {
            log::warn!(
                "== CRITICAL == This server is sending an error to its AOF-loading-client: '{}' after processing the \
                 command '{}'",
                String::from_utf8_lossy(error).trim_end(),
                entry.0.spec.name
            );
        }
        self.commands += 1;
        if self.commands.is_multiple_of(COMMANDS_PER_CLEANING) {
            clean(keyspace);
        }
        Ok(())
    }
}

/// What was replaced while loading is freed at once: nobody is served meanwhile.
fn clean(keyspace: &mut Keyspace) {
    drop(keyspace.take_garbage());
}

fn refuse<T>(line: String) -> Result<T, AofRefused> {
    log::warn!("{line}");
    Err(AofRefused)
}

fn bad_format<T>(name: &str, offset: u64, reason: &str) -> Result<T, AofRefused> {
    log::debug!("{name}: at offset {offset}: {reason}");
    refuse(format!(
        "Bad file format reading the append only file {name}: make a backup of your AOF file, then use \
         ./redis-check-aof --fix <filename.manifest>"
    ))
}
