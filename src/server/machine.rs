//! The state machine: [`Server`], and what it is made from.

use super::access;
use super::aof::Aof;
use super::aof_loader::AofLoader;
use super::apply_config::apply_config;
use super::client_info::info_line;
use super::command::CommandTable;
use super::host::Host;
use super::outside::Outside;
use super::process::Process;
use super::rooms::{Persistence, Rooms};
use super::stop::Stop;
use super::task::Task;
use super::time::{Clock, Time};
use super::version::REDIS_VERSION;
use crate::acl::Acl;
use crate::base::hash::HashSeed;
use crate::base::random::Random;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::base::{ClientId, alloc};
use crate::clients::{Clients, Close, Connection, Monitors, Session, Watches, WireLimits};
use crate::config::Config;
use crate::keyspace::{EncodingLimits, Keyspace};
use crate::memory::{Ledger, Memory};
use crate::persistence::{Jobs, Saves};
use crate::propagation::Propagation;
use crate::pubsub::Subscriptions;
use crate::rdb::Checksum;
use crate::script::Scripts;
use crate::stats::Stats;
use crate::tracking::TrackingState;
use crate::waiting::Waiting;
use std::sync::Arc;

/// The parts that a server is made from.
pub struct Setup {
    /// The parameters.
    pub config: Config,
    /// The configuration file, for INFO and CONFIG REWRITE; empty without one.
    pub config_file: String,
    /// The program's path, for INFO.
    pub executable: String,
    /// The process.
    pub pid: u32,
    /// The clock.
    pub clock: Box<dyn Clock>,
    /// The services of the process.
    pub host: Box<dyn Host>,
    /// Seeds every choice; a test gives the same one to replay a run.
    pub random_seed: u64,
    /// Seeds the hash tables.
    pub hash_seed: HashSeed,
    /// Limits shared with the workers.
    pub limits: Arc<WireLimits>,
    /// The memory in use by purpose; the workers charge what they read to it.
    pub ledger: &'static Ledger,
}

/// The state machine. There is one, on one thread.
#[derive(Debug)]
pub struct Server {
    /// The data.
    pub keyspace: Keyspace,
    /// All else.
    pub rooms: Rooms,
    /// The runner of the commands of the append-only file that is loaded.
    pub(super) loader: Option<Box<AofLoader>>,
}

impl Server {
    /// A server with no data and no clients. `rename-command` lines of the configuration are
    /// applied to `commands`; a bad one is the error.
    pub fn new(setup: Setup, mut commands: CommandTable) -> Result<Server, String> {
        for rename in &setup.config.renamed_commands {
            commands.rename(rename.from.as_bytes(), rename.to.as_bytes())?;
        }
        let acl = Acl::new(&setup.config, &commands, setup.host.as_ref())?;
        let mut random = Random::new(setup.random_seed);
        let databases = u16::try_from(setup.config.databases).unwrap_or(u16::MAX);
        let limits = EncodingLimits { seed: setup.hash_seed, ..EncodingLimits::default() };
        let now = UnixMillis(setup.clock.wall_us() / 1000);
        let stats = Stats::new(commands.all().len(), setup.clock.monotonic_ns());
        let monotonic = stats.last_lap();
        let mut server = Server {
            keyspace: Keyspace::new(databases, limits, random.u64()),
            rooms: Rooms {
                stats,
                config: setup.config,
                process: Process {
                    config_file: setup.config_file,
                    executable: setup.executable,
                    pid: setup.pid,
                    run_id: random.hex(40),
                    started: monotonic,
                    startup_bytes: alloc::used_bytes() as u64,
                },
                commands,
                monitors: Monitors::default(),
                clients: Clients::new(setup.limits),
                acl,
                waiting: Waiting::default(),
                watches: Watches::default(),
                held: None,
                tracking: TrackingState::default(),
                pubsub: Subscriptions::default(),
                propagation: Propagation::default(),
                persistence: Persistence {
                    jobs: Jobs::default(),
                    saves: Saves { last_save: now, saved_at: monotonic, ..Saves::default() },
                    aof: Aof::default(),
                    loading: false,
                    load: None,
                    checksum: Checksum::Verified,
                    delays: Arc::default(),
                },
                memory: Memory::new(setup.ledger),
                stop: Stop::default(),
                script: Scripts::new(REDIS_VERSION),
                outside: Outside { host: setup.host, tasks: Vec::new(), ear: None },
                random,
                time: Time {
                    now,
                    monotonic,
                    clock: setup.clock,
                    next_cron: monotonic,
                    next_report: monotonic,
                    cron_paused: false,
                    active_expire: true,
                },
            },
            loader: None,
        };
        server.keyspace.freeze(now, monotonic);
        apply_config(&mut server.keyspace, &mut server.rooms);
        Ok(server)
    }

    /// A client has connected.
    pub fn connect(&mut self, id: ClientId, connection: Connection) {
        self.follow_clock();
        self.rooms.connect(id, connection);
    }

    /// A connection was refused for `maxclients`.
    pub fn rejected_connection(&mut self) {
        self.rooms.stats.counters.rejected_connections += 1;
    }

    /// Hands every client with something to send, or to close, to `take`, which empties the bytes.
    /// Clients that are too large with what their sockets did not take are closed right after that.
    pub fn take_outputs(&mut self, mut take: impl FnMut(ClientId, &mut Vec<u8>, Close)) {
        self.rooms.note_output();
        self.rooms.drain_output(&mut take);
        self.rooms.memory.eviction.answers_left();
        if self.rooms.limit_client_memory() {
            self.rooms.drain_output(&mut take);
        }
    }

    /// Takes the tasks for the engine, in order.
    pub fn take_tasks(&mut self) -> Vec<Task> {
        std::mem::take(&mut self.rooms.outside.tasks)
    }
}

impl Rooms {
    /// A client has connected.
    pub(super) fn connect(&mut self, id: ClientId, connection: Connection) {
        self.stats.counters.connections += 1;
        let rooms = self;
        let is_refused = rooms.acl.refuses(&rooms.config, &connection);
        let mut session = Session::new(
            id,
            connection,
            rooms.clients.reply_buffers.new_buffer(rooms.time.monotonic),
            rooms.time.monotonic,
        );
        rooms.acl.log_out(&mut session);
        if is_refused {
            rooms.stats.counters.rejected_connections += 1;
            session.outbox.bytes.extend_from_slice(format!("-{}\r\n", access::PROTECTED).as_bytes());
        }
        rooms.clients.insert(session);
        if is_refused {
            rooms.clients.close(id, Close::AfterFlush);
        }
    }

    /// Reads the monotonic clock, which `monotonic` lags behind while a turn goes on.
    pub(super) fn read_monotonic(&self) -> MonotonicMillis {
        MonotonicMillis::from_ns(self.time.clock.monotonic_ns())
    }

    pub(super) fn drain_output(&mut self, mut take: impl FnMut(ClientId, &mut Vec<u8>, Close)) {
        let Rooms { clients, persistence, time, stats, .. } = self;
        let hold = persistence.aof.hold_up_to();
        clients.drain_output(time.monotonic, hold, |id, bytes, close| {
            stats.counters.writes += u64::from(!bytes.is_empty());
            take(id, bytes, close);
        });
    }
}

/// Closes a client whose requests that wait are longer than `client-query-buffer-limit`.
pub(super) fn limit_pending(rooms: &mut Rooms, session: &mut Session) {
    let limit = usize::try_from(rooms.config.client_query_buffer_limit).unwrap_or(usize::MAX);
    if session.pending_bytes() > limit {
        log::warn!("Closing client that reached max query buffer length: {}", info_line(rooms, session));
        rooms.stats.counters.query_buffer_disconnections += 1;
        session.close = Close::Now;
    }
}
