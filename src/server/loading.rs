//! Taking in a snapshot: at start, and for DEBUG RELOAD.

use super::Server;
use crate::keyspace::DbIndex;
use crate::rdb::{self, Item, LoadSummary, RdbError};
use std::io::Read;

impl Server {
    /// Adds every key of a snapshot to the keyspace. Keys whose time has come are left out.
    pub fn load(&mut self, input: impl Read) -> Result<LoadSummary, RdbError> {
        let limits = self.keyspace.limits();
        let keyspace = &mut self.keyspace;
        let now = self.parts.now;
        let mut expired = 0;
        let home = keyspace.index();
        keyspace.select(DbIndex(0));
        let result = rdb::load(input, &limits, |item| {
            match item {
                Item::SelectDb(index) => match u16::try_from(index) {
                    Ok(index) if usize::from(index) < keyspace.databases() => keyspace.select(DbIndex(index)),
                    _ => {
                        let line = format!(
                            "Data file was created with a Redis server configured to handle more than {} databases. Exiting",
                            keyspace.databases()
                        );
                        return Err(RdbError::Refused(line));
                    }
                },
                Item::Key { deadline: Some(deadline), .. } if deadline <= now => expired += 1,
                Item::Key { key, value, deadline, .. } => keyspace.insert(&key, value, deadline),
                Item::Aux { .. } | Item::ResizeDb { .. } => {}
            }
            Ok(())
        });
        keyspace.select(home);
        if let Ok(summary) = &result {
            log::info!("Done loading RDB, keys loaded: {}, keys expired: {expired}.", summary.keys - expired);
        }
        result
    }

    /// Replaces the data with a snapshot's. Source: DEBUG RELOAD.
    pub fn reload(&mut self, input: impl Read) -> Result<(), String> {
        self.keyspace.iter_mut().for_each(|db| {
            db.flush();
        });
        self.load(input).map(drop).map_err(|error| error.to_string())
    }
}
