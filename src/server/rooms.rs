//! Everything the server has besides the keyspace: [`Rooms`], one room a field.
//!
//! Rooms do not know each other. What needs two of them is a sentence of this floor.

use super::host::Host;
use super::process::Process;
use super::stop::Stop;
use super::{Aof, CommandTable, Task, Time};
use crate::acl::Acl;
use crate::base::random::Random;
use crate::clients::{Clients, Monitors, Watches};
use crate::config::Config;
use crate::memory::Memory;
use crate::persistence::{Delays, Jobs, Loading, Saves};
use crate::propagation::Propagation;
use crate::pubsub::Subscriptions;
use crate::rdb::Checksum;
use crate::stats::Stats;
use crate::tracking::TrackingState;
use crate::waiting::Waiting;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Everything a handler can reach besides the keyspace.
pub struct Rooms {
    /// The parameters.
    pub config: Config,
    /// What the process is.
    pub process: Process,
    /// All commands by name.
    pub commands: CommandTable,
    /// All clients but the one whose command runs, and what they cost.
    pub clients: Clients,
    /// Users and what they may do.
    pub acl: Acl,
    /// Who waits, and what for.
    pub waiting: Waiting,
    /// Who watches which key.
    pub watches: Watches,
    /// Client-side caching.
    pub tracking: TrackingState,
    /// Who listens to what.
    pub pubsub: Subscriptions,
    /// Who is shown every command.
    pub monitors: Monitors,
    /// What is counted and timed.
    pub stats: Stats,
    /// Effects on their way to the append-only file and replicas.
    pub propagation: Propagation,
    /// What is kept on disk.
    pub persistence: Persistence,
    /// Keeping to `maxmemory`, and giving memory back.
    pub memory: Memory,
    /// A requested stop.
    pub stop: Stop,
    /// What the engine is to do.
    pub tasks: Vec<Task>,
    /// Connections to the targets of MIGRATE that are kept open.
    pub migrate_sockets: Arc<AtomicUsize>,
    /// Chance.
    pub random: Random,
    /// Where time is read, and what it is time for.
    pub time: Time,
    /// What the process does for us.
    pub host: Box<dyn Host>,
}

/// What is kept on disk.
#[derive(Debug)]
pub struct Persistence {
    /// What runs over the data set, and what is to.
    pub jobs: Jobs,
    /// Saving.
    pub saves: Saves,
    /// The append-only file.
    pub aof: Aof,
    /// True when the data set is being loaded.
    pub loading: bool,
    /// The load under way.
    pub load: Option<Box<Loading>>,
    /// Whether RESTORE verifies checksums: DEBUG SET-SKIP-CHECKSUM-VALIDATION.
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
