//! The one who knows all rooms: [`Server`] runs commands and keeps the books.
//!
//! It touches nothing: the engine gives it events ([`Server::connect`], [`Server::requests`],
//! [`Server::disconnect`], [`Server::signal`], …) between [`Server::begin_turn`] and
//! [`Server::end_turn`], and takes bytes ([`Server::take_outputs`]) and [`Task`]s from it. Its only
//! clock is the [`Clock`] it was given.
//!
//! Read [`Ctx`] first (what a handler works with), then `call` (the door every command passes) and
//! `changed` (what follows from a change). What needs two rooms is a sentence in this room.

mod access;
pub mod aof;
mod aof_load;
pub mod args;
pub mod blocking;
mod call;
mod changed;
pub mod client_info;
pub mod client_memory;
pub mod command;
mod cron;
pub mod ctx;
pub mod error;
pub mod evict;
mod gate;
pub mod info;
pub mod latency;
pub mod lazyfree;
mod loading;
pub mod migrate;
mod save_meter;
mod saving;
pub mod memory;
pub mod monitor;
pub mod multi;
mod output;
pub mod pause;
pub mod persistence;
pub mod propagate;
mod publish;
mod process;
mod redact;
pub mod reply_buffer;
pub mod retained;
mod rooms;
pub mod session;
pub mod settle;
pub mod shutdown;
pub mod slowlog;
pub mod stats;
pub mod task;
mod time;
mod timing;
pub mod tracking;
mod wake;
mod walk_wait;
pub mod watch;

pub use access::{Acl, Login};
pub use aof::{Aof, AofOpened, AofOrder, AofReport, AofState, AofWork};
pub use aof_load::{AofFile, AofFiles};
pub use args::Args;
pub use blocking::{BlockOn, TimeoutReply, Waiters, WakeOn};
pub use client_memory::ClientMemory;
pub use command::{Command, CommandIndex, CommandTable, Handler, Lookup};
pub use ctx::{Ctx, Origin};
pub use error::{CommandError, CommandResult};
pub use evict::Eviction;
pub use info::ProcessFacts;
pub use latency::LatencyMonitor;
pub use loading::{LoadEnd, LoadJob, LoadPiece, LoadResult, Loading, ReloadSteps};
pub use monitor::Monitors;
pub use multi::Transaction;
pub use pause::{Pause, PauseReason, Pauses};
pub use persistence::Saves;
pub use process::Process;
pub use propagate::{Effect, Propagation};
pub use rooms::{Memory, Persistence, Rooms, Stats, Stop, Waiting};
pub use session::{
    ClientGauges, ClientId, Clients, Close, Connection, ReplyMode, Session, Waking, WireLimits,
};
pub use shutdown::{News, Shutdown, ShutdownSave, Signal};
pub use slowlog::Slowlog;
pub use stats::Counters;
pub use task::{Delays, SaveFormat, SaveJob, SaveProgress, SaveReason, SaveReport, Task, WholeSave};
pub use time::{Clock, Time};
pub use walk_wait::WalkWaiters;
pub use watch::Watches;

use crate::base::alloc;
use crate::base::hash::HashSeed;
use crate::base::random::Random;
use crate::base::time::{MonotonicMillis, UnixMillis};
use crate::config::{Added, Appendfsync, Config, LogLevel, MaxmemoryPolicy, NotifyClasses, OomScoreAdj};
use crate::keyspace::{AccessClock, Keyspace, Limits};
use crate::pubsub::Subscriptions;
use crate::rdb::Checksum;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// The version of Redis whose behaviour this is.
pub const REDIS_VERSION: &str = "7.0.15";
/// Our own version.
pub const PYREDIS_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The log target of a station in the server's life, which Redis logs at its highest level though
/// nothing is wrong.
pub const STATION: &str = "station";

/// What the process does for the server: little things that are done at once. The roof
/// implements it; a test's does nothing, or fails on purpose.
pub trait Host {
    /// Changes the working folder. Returns its absolute path, or why not.
    fn change_dir(&self, path: &[u8]) -> Result<Vec<u8>, String>;
    /// Makes room for this many clients. Returns how many there is room for.
    fn make_room_for(&self, clients: u32) -> u32;
    /// Logs from this level on.
    fn set_log_level(&self, level: LogLevel);
    /// Opens the log file again, after it was moved away.
    fn reopen_log(&self);
    /// Listens to the addresses and the port of `config` instead of those before. Errors in words.
    fn listen(&self, config: &Config) -> Result<(), String>;
    /// Which of these sockets have bytes that nobody has read, or have ended.
    fn unread(&self, sockets: &[i32]) -> Vec<bool>;
    /// Changes how a worker's thread is woken.
    fn schedule_worker(&self, thread: i32, waking: Waking);
    /// Shows the process title that `proc-title-template` asks for. Errors in words.
    fn show_title(&self, config: &Config, config_file: &str) -> Result<(), String>;
    /// Writes the configuration to `file`, keeping its comments and order.
    fn rewrite_config(&self, file: &str, config: &Config, added: Added) -> Result<(), String>;
    /// Tells the kernel how gladly this process may be killed when memory runs out.
    fn set_oom_score(&self, how: OomScoreAdj, score: i32) -> Result<(), String>;
    /// Stops this thread for a while: DEBUG SLEEP, whose purpose it is.
    fn sleep_us(&self, us: u64);
    /// Writes a snapshot while everybody waits: DEBUG RELOAD.
    fn write_snapshot(&self, job: &WholeSave) -> Result<(), String>;
    /// What the operating system says of the process now.
    fn process_facts(&self) -> ProcessFacts;
    /// Hears how the server stands, for whoever supervises the process.
    fn hear(&self, news: News);
    /// Notes that what was on disk is loaded, or why it cannot be.
    fn loaded(&self, result: Result<(), String>);
    /// Puts a whole new file in the place of an old one, which survives a failure.
    fn replace_file(&self, path: &str, bytes: &[u8]) -> Result<(), String>;
    /// Fills `bytes` with chance that nobody can guess, for passwords.
    fn fill_secret(&self, bytes: &mut [u8]) -> Result<(), String>;
    /// Opens a file of the data folder.
    fn read_file(&self, path: &str) -> Result<Box<dyn Read>, String>;
}

/// What a server is made from.
pub struct Setup {
    /// The parameters.
    pub config: Config,
    /// The configuration file, for INFO and CONFIG REWRITE; empty without one.
    pub config_file: String,
    /// The program's path, for INFO.
    pub executable: String,
    /// The process.
    pub pid: u32,
    /// Where time is read.
    pub clock: Box<dyn Clock>,
    /// What the process does for us.
    pub host: Box<dyn Host>,
    /// Seeds every choice; a test gives the same one to replay a run.
    pub random_seed: u64,
    /// Seeds the hash tables.
    pub hash_seed: HashSeed,
    /// Limits shared with the workers.
    pub limits: Arc<WireLimits>,
}

impl Rooms {
    /// Gives the process the out-of-memory score of its role. Returns whether the system took it; a
    /// refusal is logged.
    pub fn apply_oom_score(&self) -> bool {
        let [primary, _replica, _saving] = self.config.oom_score_adj_values;
        let result = self.host.set_oom_score(self.config.oom_score_adj, primary);
        if let Err(reason) = &result {
            log::warn!("Unable to write oom_score_adj: {reason}");
        }
        result.is_ok()
    }
}

/// The state machine. There is one, on one thread.
#[derive(Debug)]
pub struct Server {
    /// The data.
    pub keyspace: Keyspace,
    /// All else.
    pub rooms: Rooms,
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
        let limits = Limits { seed: setup.hash_seed, ..Limits::default() };
        let now = UnixMillis(setup.clock.wall_us() / 1000);
        let timing = timing::Timing::new(setup.clock.monotonic_ns());
        let monotonic = timing.last();
        let mut server = Server {
            keyspace: Keyspace::new(databases, limits, random.u64()),
            rooms: Rooms {
                stats: Stats {
                    counters: Counters::new(commands.all().len()),
                    slowlog: Slowlog::default(),
                    latency: LatencyMonitor::default(),
                    timing,
                },
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
                clients: Clients { wire_limits: setup.limits, ..Clients::default() },
                acl,
                waiting: Waiting::default(),
                watches: Watches::default(),
                tracking: tracking::TrackingState::default(),
                pubsub: Subscriptions::default(),
                propagation: Propagation::default(),
                persistence: Persistence {
                    saves: Saves { last_save: now, saved_at: monotonic, ..Saves::default() },
                    aof: Aof::default(),
                    loading: false,
                    load: None,
                    checksum: Checksum::Verified,
                    delays: Arc::default(),
                },
                memory: Memory::default(),
                stop: Stop::default(),
                tasks: Vec::new(),
                migrate_sockets: Arc::default(),
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
                host: setup.host,
            },
        };
        server.keyspace.freeze(now, monotonic);
        apply_config(&mut server.keyspace, &mut server.rooms);
        Ok(server)
    }

    /// A client has connected.
    pub fn connect(&mut self, id: ClientId, connection: Connection) {
        self.follow_clock();
        self.rooms.stats.counters.connections += 1;
        let rooms = &mut self.rooms;
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
            session.outbox.extend_from_slice(format!("-{}\r\n", access::PROTECTED).as_bytes());
        }
        rooms.clients.insert(session);
        if is_refused {
            rooms.clients.close(id, Close::AfterFlush);
        }
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

    /// What the engine is to do, in order.
    pub fn take_tasks(&mut self) -> Vec<Task> {
        std::mem::take(&mut self.rooms.tasks)
    }
}

impl Rooms {
    /// Reads the monotonic clock, which `monotonic` lags behind while a turn goes on.
    fn read_monotonic(&self) -> MonotonicMillis {
        MonotonicMillis::from_ns(self.time.clock.monotonic_ns())
    }

    fn drain_output(&mut self, mut take: impl FnMut(ClientId, &mut Vec<u8>, Close)) {
        let Rooms { clients, persistence, time, stats, .. } = self;
        let hold = persistence.aof.hold_up_to();
        clients.drain_output(time.monotonic, hold, |id, bytes, close| {
            stats.counters.writes += u64::from(!bytes.is_empty());
            take(id, bytes, close);
        });
    }
}

/// Gives every part the parameters it goes by: at start and after CONFIG SET.
pub(crate) fn apply_config(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    let config = &rooms.config;
    rooms.clients.set_limits(config.client_output_buffer_limit);
    keyspace.set_limits(Limits {
        list_max_listpack_size: config.list_max_listpack_size,
        list_plain_from: keyspace.limits().list_plain_from,
        hash_max_listpack_entries: config.hash_max_listpack_entries,
        hash_max_listpack_value: config.hash_max_listpack_value,
        set_max_intset_entries: config.set_max_intset_entries,
        zset_max_listpack_entries: config.zset_max_listpack_entries,
        zset_max_listpack_value: config.zset_max_listpack_value,
        seed: keyspace.limits().seed,
    });
    let policy = config.maxmemory_policy;
    let whole = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let mut access = AccessClock::default();
    access.lfu = matches!(policy, MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu);
    access.lfu_log_factor = whole(config.lfu_log_factor);
    access.lfu_decay_minutes = whole(config.lfu_decay_time);
    keyspace.set_access(access);
    keyspace.set_memory_is_short(config.maxmemory != 0);
    let events = config.notify_keyspace_events;
    keyspace.set_wants(events.intersects(NotifyClasses::KEY_MISS), events.intersects(NotifyClasses::NEW));
    keyspace.set_wants_lookups(config.appendfsync == Appendfsync::Always);
    let limits = &rooms.clients.wire_limits;
    limits
        .max_bulk_bytes
        .store(i64::try_from(config.proto_max_bulk_len).unwrap_or(i64::MAX), Ordering::Relaxed);
    let query_buffer = usize::try_from(config.client_query_buffer_limit).unwrap_or(usize::MAX);
    limits.query_buffer_bytes.store(query_buffer, Ordering::Relaxed);
    limits.max_clients.store(config.maxclients as usize, Ordering::Relaxed);
    limits.keepalive_secs.store(config.tcp_keepalive.unsigned_abs(), Ordering::Relaxed);
    rooms.persistence.delays.save_us.store(config.rdb_key_save_delay, Ordering::Relaxed);
    rooms.persistence.delays.load_us.store(config.key_load_delay, Ordering::Relaxed);
}

impl Default for WireLimits {
    fn default() -> Self {
        WireLimits {
            max_bulk_bytes: AtomicI64::new(512 << 20),
            query_buffer_bytes: AtomicUsize::new(1 << 30),
            max_clients: AtomicUsize::new(10_000),
            keepalive_secs: AtomicU64::new(300),
            weighs_clients: AtomicBool::new(false),
        }
    }
}
