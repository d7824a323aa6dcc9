//! Taking in a snapshot: at start, and for DEBUG RELOAD.

use super::cron::save_job;
use super::task::SaveReason;
use super::{Parts, Server, changed};
use crate::base::number;
use crate::base::time::UnixMillis;
use crate::keyspace::{Db, DbIndex, Keyspace};
use crate::rdb::{self, Item, LoadSummary, RdbError};
use std::io::Read;

/// Redis names only so many of the empty keys it skips.
const MAX_EMPTY_KEYS_TOLD: u64 = 10;

impl Server {
    /// Adds every key of a snapshot to the keyspace. Keys whose time has come are left out.
    pub fn load(&mut self, input: impl Read) -> Result<LoadSummary, RdbError> {
        load(&mut self.keyspace, &mut self.parts, input, PresentKeys::Refused, ExpiredKeys::LeftOut)
    }
}

/// Writes the data set to its file and reads it back. Source: DEBUG RELOAD.
pub(super) fn reload(keyspace: &mut Keyspace, parts: &mut Parts, steps: ReloadSteps) -> Result<(), String> {
    if steps.save {
        let job = save_job(keyspace, parts, SaveReason::Reload);
        parts.host.write_snapshot(&job)?;
        parts.persistence.saved_at_once(parts.now);
    }
    if steps.flush {
        let databases: Vec<_> = keyspace.iter().map(Db::index).collect();
        for index in databases {
            changed::flush(keyspace, parts, index);
        }
    }
    let input = parts.host.read_file(&parts.config.dbfilename.to_string())?;
    load(keyspace, parts, input, steps.present_keys, ExpiredKeys::LeftOut)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// What DEBUG RELOAD does.
#[derive(Clone, Copy, Debug)]
pub struct ReloadSteps {
    /// Write the file first.
    pub save: bool,
    /// Remove the present keys first.
    pub flush: bool,
    /// What becomes of keys that are there already.
    pub present_keys: PresentKeys,
}

/// What a load does with a key that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresentKeys {
    /// The file is wrong: a key stands in it once.
    Refused,
    /// The file's value takes the place of the present one.
    Replaced,
}

/// What a load does with a key whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpiredKeys {
    /// It is not there.
    LeftOut,
    /// It is there as long as commands follow that may need it: the base of an append-only file.
    Kept,
}

pub(super) fn load(
    keyspace: &mut Keyspace,
    parts: &mut Parts,
    input: impl Read,
    present_keys: PresentKeys,
    expired_keys: ExpiredKeys,
) -> Result<LoadSummary, RdbError> {
    let home = keyspace.index();
    keyspace.select(DbIndex(0));
    let limits = keyspace.limits();
    let mut loading = Loading { keyspace, now: parts.now, present_keys, expired_keys, expired: 0, empty: 0 };
    let result = rdb::load(input, &limits, |item| loading.take(item));
    let Loading { keyspace, expired, empty, .. } = loading;
    keyspace.select(home);
    if let Ok(summary) = &result {
        let loaded = summary.keys - expired;
        parts.persistence.last_load_keys = loaded;
        parts.persistence.last_load_expired = expired;
        let empty = if empty > 0 { format!(", empty keys skipped: {empty}") } else { String::new() };
        log::info!("Done loading RDB, keys loaded: {loaded}, keys expired: {expired}{empty}.");
    }
    result
}

/// A load under way.
struct Loading<'k> {
    keyspace: &'k mut Keyspace,
    now: UnixMillis,
    present_keys: PresentKeys,
    expired_keys: ExpiredKeys,
    expired: u64,
    empty: u64,
}

impl Loading<'_> {
    fn take(&mut self, item: Item) -> Result<(), RdbError> {
        match item {
            Item::SelectDb(index) => match u16::try_from(index) {
                Ok(index) if usize::from(index) < self.keyspace.databases() => {
                    self.keyspace.select(DbIndex(index));
                }
                _ => return Err(RdbError::Refused(too_many_databases(self.keyspace.databases()))),
            },
            Item::Key { deadline: Some(deadline), .. }
                if deadline < self.now && self.expired_keys == ExpiredKeys::LeftOut =>
            {
                self.expired += 1;
            }
            Item::Key { key, value, deadline, idle_secs, frequency } => {
                let before = self.keyspace.len();
                self.keyspace.insert(&key, value, deadline);
                // What is loaded is no news.
                self.keyspace.facts.added.clear();
                if self.keyspace.len() == before && self.present_keys == PresentKeys::Refused {
                    return Err(RdbError::Refused(duplicated(&key, self.keyspace.index())));
                }
                if let Some(access) = self.keyspace.access_clock().restored(idle_secs, frequency) {
                    self.keyspace.set_access_of(&key, access);
                }
            }
            Item::EmptyKey(key) => {
                if self.empty < MAX_EMPTY_KEYS_TOLD {
                    log::info!("rdbLoadObject skipping empty key: {}", String::from_utf8_lossy(&key));
                }
                self.empty += 1;
            }
            Item::Aux { name, value } => tell(&name, &value, self.now),
            Item::ResizeDb { .. } => {}
        }
        Ok(())
    }
}

/// Logs what a file says of itself.
fn tell(name: &[u8], value: &[u8], now: UnixMillis) {
    let number = number::parse_i64(value).unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    match name {
        b"redis-ver" => log::info!("Loading RDB produced by version {value}"),
        b"ctime" => log::info!("RDB age {} seconds", now.secs().saturating_sub(number).max(0)),
        b"used-mem" => {
            log::info!("RDB memory usage when created {:.2} Mb", number as f64 / f64::from(1 << 20));
        }
        b"aof-preamble" if number != 0 => log::info!("RDB has an AOF tail"),
        b"aof-base" if number != 0 => log::info!("RDB is base AOF"),
        b"redis-bits" | b"aof-preamble" | b"aof-base" | b"lua" => {}
        b"repl-stream-db" | b"repl-id" | b"repl-offset" => {}
        [b'%', ..] => log::info!("RDB '{}': {value}", String::from_utf8_lossy(name)),
        _ => log::trace!("Unrecognized RDB AUX field: '{}'", String::from_utf8_lossy(name)),
    }
}

fn duplicated(key: &[u8], db: DbIndex) -> String {
    format!("RDB has duplicated key '{}' in DB {}", String::from_utf8_lossy(key), db.0)
}

fn too_many_databases(databases: usize) -> String {
    format!(
        "FATAL: Data file was created with a Redis server configured to handle more than {databases} databases. Exiting"
    )
}
