//! Everything the server has besides the keyspace: [`Rooms`], one room a field.
//!
//! Rooms do not know each other. A sentence that needs two of them belongs to this floor.

use super::held::HeldChanges;
use super::outside::Outside;
use super::process::Process;
use super::stop::Stop;
use super::{Aof, CommandTable, Time};
use crate::acl::Acl;
use crate::base::random::Random;
use crate::clients::{Clients, Monitors, Watches};
use crate::config::Config;
use crate::memory::Memory;
use crate::persistence::{Delays, Jobs, Loading, Saves};
use crate::propagation::Propagation;
use crate::pubsub::Subscriptions;
use crate::rdb::Checksum;
use crate::script::Scripts;
use crate::stats::Stats;
use crate::tracking::TrackingState;
use crate::waiting::Waiting;
use std::fmt;
use std::sync::Arc;

/// Everything a handler can reach besides the keyspace.
pub struct Rooms {
    /// The parameters.
    pub config: Config,
    /// The identity of the process.
    pub process: Process,
    /// All commands by name.
    pub commands: CommandTable,
    /// All clients but the one whose command runs, and what they cost.
    pub clients: Clients,
    /// Users and what they may do.
    pub acl: Acl,
    /// The clients that wait, and the reasons for their waits.
    pub waiting: Waiting,
    /// The keys that clients watch.
    pub watches: Watches,
    /// What a running script has changed and nobody was told yet.
    pub held: Option<Box<HeldChanges>>,
    /// Client-side caching.
    pub tracking: TrackingState,
    /// The channels and patterns that clients listen to.
    pub pubsub: Subscriptions,
    /// The clients that are shown every command.
    pub monitors: Monitors,
    /// Counters and timings.
    pub stats: Stats,
    /// Effects on their way to the append-only file and replicas.
    pub propagation: Propagation,
    /// The state of the files on disk.
    pub persistence: Persistence,
    /// Keeping to `maxmemory`, and giving memory back.
    pub memory: Memory,
    /// A requested stop.
    pub stop: Stop,
    /// Scripts and functions, and the one that runs.
    pub script: Scripts,
    /// Orders for the engine, and what it lends.
    pub outside: Outside,
    /// Chance.
    pub random: Random,
    /// The clock, and the moments at which periodic work is due.
    pub time: Time,
}

/// The state of the files on disk.
#[derive(Debug)]
pub struct Persistence {
    /// The jobs over the data set: the one that runs, and those that are to run.
    pub jobs: Jobs,
    /// Saving.
    pub saves: Saves,
    /// The append-only file.
    pub aof: Aof,
    /// True when the data set is being loaded.
    pub loading: bool,
    /// The load under way.
    pub load: Option<Box<Loading>>,
    /// Says if RESTORE verifies checksums: DEBUG SET-SKIP-CHECKSUM-VALIDATION.
    pub checksum: Checksum,
    /// Delays shared with the threads that save and load.
    pub delays: Arc<Delays>,
}

impl fmt::Debug for Rooms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Rooms")
            .field("clients", &self.clients.len())
            .field("now", &self.time.now)
            .finish_non_exhaustive()
    }
}
