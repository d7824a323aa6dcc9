//! Taking in a snapshot: at start, and for DEBUG RELOAD.

use super::cron::save_job;
use super::task::SaveReason;
use super::{Parts, Server};
use crate::keyspace::{DbIndex, Keyspace};
use crate::rdb::{self, Item, LoadSummary, RdbError};
use std::io::Read;

impl Server {
    /// Adds every key of a snapshot to the keyspace. Keys whose time has come are left out.
    pub fn load(&mut self, input: impl Read) -> Result<LoadSummary, RdbError> {
        load(&mut self.keyspace, &mut self.parts, input)
    }
}

/// Writes the data set to its file and reads it back. Source: DEBUG RELOAD.
pub(super) fn reload(keyspace: &mut Keyspace, parts: &mut Parts, steps: ReloadSteps) -> Result<(), String> {
    if steps.save {
        let job = save_job(keyspace, parts, SaveReason::Reload);
        parts.host.write_snapshot(&job)?;
    }
    if steps.flush {
        keyspace.iter_mut().for_each(|db| {
            db.flush();
        });
    }
    let input = parts.host.read_file(&parts.config.dbfilename.to_string())?;
    load(keyspace, parts, input).map(drop).map_err(|error| error.to_string())
}

/// What DEBUG RELOAD does before it loads.
#[derive(Clone, Copy, Debug)]
pub struct ReloadSteps {
    /// Write the file first.
    pub save: bool,
    /// Remove the present keys first.
    pub flush: bool,
}

fn load(keyspace: &mut Keyspace, parts: &mut Parts, input: impl Read) -> Result<LoadSummary, RdbError> {
    let limits = keyspace.limits();
    let now = parts.now;
    let mut expired = 0;
    let home = keyspace.index();
    keyspace.select(DbIndex(0));
    let result = rdb::load(input, &limits, |item| {
        match item {
            Item::SelectDb(index) => match u16::try_from(index) {
                Ok(index) if usize::from(index) < keyspace.databases() => keyspace.select(DbIndex(index)),
                _ => return Err(RdbError::Refused(too_many_databases(keyspace.databases()))),
            },
            Item::Key { deadline: Some(deadline), .. } if deadline < now => expired += 1,
            Item::Key { key, value, deadline, .. } => keyspace.insert(&key, value, deadline),
            Item::Aux { .. } | Item::ResizeDb { .. } => {}
        }
        Ok(())
    });
    keyspace.select(home);
    if let Ok(summary) = &result {
        parts.persistence.last_load_keys = summary.keys - expired;
        parts.persistence.last_load_expired = expired;
        log::info!("Done loading RDB, keys loaded: {}, keys expired: {expired}.", summary.keys - expired);
    }
    result
}

fn too_many_databases(databases: usize) -> String {
    format!(
        "FATAL: Data file was created with a Redis server configured to handle more than {databases} databases. Exiting"
    )
}
