//! The table of truth: every parameter of Redis 7.0.15, declared once.
//!
//! One row gives the field of [`Config`], its default, its names, its limits, what may be done with
//! it, a line of documentation and whether pyredis acts on it. The macro turns the rows into the
//! struct, its `Default` and [`PARAMETERS`]; nothing about a parameter is written anywhere else.
//!
//! ```text
//! /// What it is for.
//! "name" | "alias" => field: Type = default, kind(limits), [FLAGS], EFFECT;
//! ```
//!
//! Kinds: `boolean`, `number(unit, min, max)`, `choice(Enum)`, `text(empty, check)`,
//! `special(STATIC)`.

use super::check;
use super::choice::*;
use super::directive::{RenameCommand, UserLine};
use super::kind::{Effect, Empty, Flags, Kind, Parameter, Unit};
use super::notify::NotifyClasses;
use super::special::{self, BufferLimits, PrimaryAddress, SavePoint, ShutdownOn};
use super::text::Text;

const INT_MAX: i128 = i32::MAX as i128;
const INT_MIN: i128 = i32::MIN as i128;
const UINT_MAX: i128 = u32::MAX as i128;
const LONG_MAX: i128 = i64::MAX as i128;
const ULONG_MAX: i128 = u64::MAX as i128;
const MB: i128 = 1 << 20;

const ACTS: Effect = Effect::Acts;
const ALLOCATOR: Effect = Effect::Accepted("the allocator never moves what it has handed out");
const CLUSTER: Effect = Effect::Accepted("waits for cluster mode");
const CLUSTER_SWITCH: Effect = Effect::Refused("cluster mode");
const LAYOUT: Effect = Effect::Accepted("pyredis lays its data out differently");
const ORDERED: Effect = Effect::Accepted("keys expire in the exact order of their deadlines");
const REPLICATION: Effect = Effect::Accepted("waits for replication");
const REPLICATION_SWITCH: Effect = Effect::Refused("replication");
const THREADS: Effect = Effect::Accepted("every connection has its own thread");
const TLS: Effect = Effect::Accepted("waits for TLS");
const TLS_SWITCH: Effect = Effect::Refused("TLS");

macro_rules! kind {
    ($field:ident: $type:ty, boolean) => {
        Kind::Bool { get: |c| c.$field, set: |c, value| c.$field = value }
    };
    ($field:ident: $type:ty, number($unit:ident, $min:expr, $max:expr)) => {
        Kind::Number {
            unit: Unit::$unit,
            min: $min,
            max: $max,
            get: |c| c.$field as i128,
            set: |c, value| c.$field = value as $type,
        }
    };
    ($field:ident: $type:ty, choice($choice:ident)) => {
        Kind::Choice {
            words: $choice::WORDS,
            get: |c| c.$field.position(),
            set: |c, place| c.$field = $choice::ALL[place],
        }
    };
    ($field:ident: $type:ty, text($empty:ident)) => { kind!($field: $type, text($empty, check::any)) };
    ($field:ident: $type:ty, text($empty:ident, $check:path)) => {
        Kind::Text {
            empty: Empty::$empty,
            get: |c| &c.$field,
            set: |c, value| c.$field = value,
            check: $check,
        }
    };
    ($field:ident: $type:ty, special($special:ident)) => { Kind::Special(&special::$special) };
}

macro_rules! alias {
    () => {
        None
    };
    ($alias:literal) => {
        Some($alias)
    };
}

macro_rules! parameters {
    ($(
        $(#[doc = $doc:literal])+
        $name:literal $(| $alias:literal)? => $field:ident: $type:ty = $default:expr,
            $kind:ident $(($($limit:tt)*))?, [$($flag:ident),*], $effect:expr;
    )+) => {
        /// The values of all parameters, plus the directives that only a configuration file has.
        ///
        /// Any value within a parameter's limits is valid, so the fields are public.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( $(#[doc = $doc])+ pub $field: $type, )+
            /// `user` lines, in order; the ACL room reads and replaces them.
            pub users: Vec<UserLine>,
            /// `rename-command` lines, in order.
            pub renamed_commands: Vec<RenameCommand>,
            /// `loadmodule` lines: path and arguments. pyredis has no module API and says so at
            /// start.
            pub modules: Vec<Vec<Text>>,
        }

        impl Default for Config {
            /// Returns the parameters of a server without configuration: Redis's defaults, but with
            /// a PID file, as pyredis promises.
            fn default() -> Config {
                Config {
                    $( $field: $default, )+
                    users: Vec::new(),
                    renamed_commands: Vec::new(),
                    modules: Vec::new(),
                }
            }
        }

        /// Every parameter, in the order of this file.
        pub static PARAMETERS: &[Parameter] = &[ $(
            Parameter {
                name: $name,
                alias: alias!($($alias)?),
                flags: Flags::NONE $( .and(Flags::$flag) )*,
                kind: kind!($field: $type, $kind $(($($limit)*))?),
                doc: concat!($($doc),+).trim_ascii(),
                effect: $effect,
            },
        )+ ];
    };
}

parameters! {
    // Network.

    /// TCP port; 0 listens on none.
    "port" => port: u16 = 6379, number(Count, 0, 65535), [], ACTS;
    /// Addresses to listen on; one with a leading minus may be missing.
    "bind" => bind: Vec<String> = vec!["*".to_owned(), "-::*".to_owned()],
        special(BIND), [MULTI_ARG], ACTS;
    /// Local address of outgoing connections.
    "bind-source-addr" => bind_source_addr: Text = Text::default(), text(Unset), [], REPLICATION;
    /// Refuse other machines while no password is set.
    "protected-mode" => protected_mode: bool = true, boolean, [], ACTS;
    /// Connections the kernel may queue before they are accepted.
    "tcp-backlog" => tcp_backlog: i64 = 511, number(Count, 0, INT_MAX), [IMMUTABLE], ACTS;
    /// Seconds between keepalive probes; 0 sends none.
    "tcp-keepalive" => tcp_keepalive: i64 = 300, number(Count, 0, INT_MAX), [], ACTS;
    /// Seconds after which an idle client is closed; 0 never.
    "timeout" => timeout: i64 = 0, number(Count, 0, INT_MAX), [], ACTS;
    /// Path of the unix socket; empty for none.
    "unixsocket" => unixsocket: Text = Text::default(), text(Unset), [IMMUTABLE], ACTS;
    /// File mode of the unix socket, in octal; 0 leaves it to the umask.
    "unixsocketperm" => unixsocketperm: u32 = 0, number(Octal, 0, 0o777), [IMMUTABLE], ACTS;
    /// SO_MARK of listening sockets, Linux only.
    "socket-mark-id" => socket_mark_id: u32 = 0, number(Count, 0, UINT_MAX), [IMMUTABLE], ACTS;
    /// Clients served at once: the spawn limit of the worker pool.
    "maxclients" | "spawn-limit" => maxclients: u32 = 10000, number(Count, 1, UINT_MAX), [HIDDEN_ALIAS], ACTS;
    /// Threads for input and output.
    "io-threads" => io_threads: i64 = 1, number(Count, 1, 128), [IMMUTABLE], THREADS;
    /// Have those threads read, too.
    "io-threads-do-reads" => io_threads_do_reads: bool = false, boolean, [IMMUTABLE], THREADS;
    /// Largest single argument of a command.
    "proto-max-bulk-len" => proto_max_bulk_len: u64 = 512 << 20, number(Memory, MB, LONG_MAX), [], ACTS;
    /// Largest command that a client may have sent in part.
    "client-query-buffer-limit" => client_query_buffer_limit: u64 = 1 << 30,
        number(Memory, MB, LONG_MAX), [], ACTS;
    /// The limits beyond which clients that do not read their replies are closed.
    "client-output-buffer-limit" => client_output_buffer_limit: BufferLimits = special::DEFAULT_BUFFER_LIMITS,
        special(CLIENT_OUTPUT_BUFFER_LIMIT), [MULTI_ARG], ACTS;
    /// Memory all clients together may use, or a percentage of maxmemory; 0 is no limit.
    "maxmemory-clients" => maxmemory_clients: i64 = 0, number(MemoryOrPercent, -100, LONG_MAX), [], ACTS;

    // Process and log.

    /// Detach from the terminal.
    "daemonize" => daemonize: bool = false, boolean, [IMMUTABLE], ACTS;
    /// Path of the locked PID file.
    "pidfile" => pidfile: Text = Text::from("/tmp/pyredis.pid"), text(Unset), [IMMUTABLE], ACTS;
    /// Supervisor to be told when the server is ready.
    "supervised" => supervised: Supervised = Supervised::No, choice(Supervised), [IMMUTABLE],
        ACTS;
    /// Least important log line that is written.
    "loglevel" => loglevel: LogLevel = LogLevel::Notice, choice(LogLevel), [], ACTS;
    /// Log file; empty logs to stdout.
    "logfile" => logfile: Text = Text::default(), text(Value), [IMMUTABLE], ACTS;
    /// Also log to syslog.
    "syslog-enabled" => syslog_enabled: bool = false, boolean, [IMMUTABLE], ACTS;
    /// Name in syslog.
    "syslog-ident" => syslog_ident: Text = Text::from("redis"), text(Value), [IMMUTABLE], ACTS;
    /// Facility in syslog.
    "syslog-facility" => syslog_facility: SyslogFacility = SyslogFacility::Local0,
        choice(SyslogFacility), [IMMUTABLE], ACTS;
    /// Show the logo at start even when the log is not a terminal.
    "always-show-logo" => always_show_logo: bool = false, boolean, [IMMUTABLE], ACTS;
    /// Rewrite the process title.
    "set-proc-title" => set_proc_title: bool = true, boolean, [IMMUTABLE], ACTS;
    /// The text of the process title.
    "proc-title-template" => proc_title_template: Text = Text::from("{title} {listen-addr} {server-mode}"),
        text(Value, check::title_template), [], ACTS;
    /// Log a report when the server crashes.
    "crash-log-enabled" => crash_log_enabled: bool = true, boolean, [], ACTS;
    /// Test memory when the server crashes.
    "crash-memcheck-enabled" => crash_memcheck_enabled: bool = true, boolean, [],
        Effect::Accepted("a crash report tests no memory");
    /// Exit instead of aborting on a broken invariant.
    "use-exit-on-panic" => use_exit_on_panic: bool = false, boolean, [HIDDEN],
        Effect::Accepted("a broken invariant always aborts with a report");
    /// Milliseconds after which a blocked server logs its stack; 0 never.
    "watchdog-period" => watchdog_period: i64 = 0, number(Count, 0, INT_MAX), [HIDDEN],
        Effect::Accepted("there is no watchdog");
    /// Known problems not to warn about.
    "ignore-warnings" => ignore_warnings: Text = Text::default(), text(Value), [],
        Effect::Accepted("it silences a warning about a kernel fault that only forks meet");
    /// The action on SIGINT.
    "shutdown-on-sigint" => shutdown_on_sigint: ShutdownOn = ShutdownOn::default(),
        special(SHUTDOWN_ON_SIGINT), [MULTI_ARG], ACTS;
    /// The action on SIGTERM.
    "shutdown-on-sigterm" => shutdown_on_sigterm: ShutdownOn = ShutdownOn::default(),
        special(SHUTDOWN_ON_SIGTERM), [MULTI_ARG], ACTS;
    /// Seconds a shutdown waits for lagging replicas.
    "shutdown-timeout" => shutdown_timeout: i64 = 10, number(Count, 0, INT_MAX), [], REPLICATION;
    /// Tell the out-of-memory killer whom to prefer.
    "oom-score-adj" => oom_score_adj: OomScoreAdj = OomScoreAdj::No, choice(OomScoreAdj), [], ACTS;
    /// Scores of a primary, a replica and a saving child.
    "oom-score-adj-values" => oom_score_adj_values: [i32; 3] = [0, 200, 800],
        special(OOM_SCORE_ADJ_VALUES), [MULTI_ARG], ACTS;
    /// Ask the kernel for no transparent huge pages.
    "disable-thp" => disable_thp: bool = true, boolean, [IMMUTABLE],
        Effect::Accepted("the allocator never uses huge pages");
    /// CPUs of the server's threads.
    "server_cpulist" => server_cpulist: Text = Text::default(), text(Unset), [IMMUTABLE], ACTS;
    /// CPUs of background threads.
    "bio_cpulist" => bio_cpulist: Text = Text::default(), text(Unset), [IMMUTABLE], ACTS;
    /// CPUs of an append-only file rewrite.
    "aof_rewrite_cpulist" => aof_rewrite_cpulist: Text = Text::default(), text(Unset), [IMMUTABLE], ACTS;
    /// CPUs of a background save.
    "bgsave_cpulist" => bgsave_cpulist: Text = Text::default(), text(Unset), [IMMUTABLE], ACTS;

    // Security.

    /// Password of the default user; empty for none.
    "requirepass" => requirepass: Text = Text::default(), text(Unset), [SENSITIVE, ANY_BYTE], ACTS;
    /// File of ACL users.
    "aclfile" => aclfile: Text = Text::default(), text(Value), [IMMUTABLE], ACTS;
    /// Channels of a new user.
    "acl-pubsub-default" => acl_pubsub_default: AclPubsubDefault = AclPubsubDefault::Resetchannels,
        choice(AclPubsubDefault), [], ACTS;
    /// Entries the ACL log keeps.
    "acllog-max-len" => acllog_max_len: usize = 128, number(Count, 0, LONG_MAX), [], ACTS;
    /// The clients that may CONFIG SET protected parameters.
    "enable-protected-configs" => enable_protected_configs: Protected = Protected::No,
        choice(Protected), [IMMUTABLE], ACTS;
    /// The clients that may use DEBUG.
    "enable-debug-command" => enable_debug_command: Protected = Protected::No,
        choice(Protected), [IMMUTABLE], ACTS;
    /// The clients that may use MODULE.
    "enable-module-command" => enable_module_command: Protected = Protected::No,
        choice(Protected), [IMMUTABLE], ACTS;
    /// The cases in which payloads are checked in depth.
    "sanitize-dump-payload" => sanitize_dump_payload: SanitizeDumpPayload = SanitizeDumpPayload::No,
        choice(SanitizeDumpPayload), [], Effect::Accepted("payloads are always checked");

    // Keyspace.

    /// Number of databases.
    "databases" => databases: usize = 16, number(Count, 1, INT_MAX), [IMMUTABLE], ACTS;
    /// Memory for data; 0 is no limit.
    "maxmemory" => maxmemory: u64 = 0, number(Memory, 0, ULONG_MAX), [], ACTS;
    /// The keys that are evicted when memory is full.
    "maxmemory-policy" => maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::Noeviction,
        choice(MaxmemoryPolicy), [], ACTS;
    /// Keys looked at for each one evicted.
    "maxmemory-samples" => maxmemory_samples: usize = 5, number(Count, 1, INT_MAX), [], ACTS;
    /// The latency that eviction may cost, 0 to 100.
    "maxmemory-eviction-tenacity" => maxmemory_eviction_tenacity: i64 = 10, number(Count, 0, 100), [], ACTS;
    /// The brake on the access frequency counter: the larger, the slower it grows.
    "lfu-log-factor" => lfu_log_factor: i64 = 10, number(Count, 0, INT_MAX), [], ACTS;
    /// Minutes after which the access frequency counter shrinks by one.
    "lfu-decay-time" => lfu_decay_time: i64 = 1, number(Count, 0, INT_MAX), [], ACTS;
    /// The effort that the server makes to find expired keys, 1 to 10.
    "active-expire-effort" => active_expire_effort: i64 = 1, number(Count, 1, 10), [], ORDERED;
    /// Free evicted values on another thread.
    "lazyfree-lazy-eviction" => lazyfree_lazy_eviction: bool = false, boolean, [], ACTS;
    /// Free expired values on another thread.
    "lazyfree-lazy-expire" => lazyfree_lazy_expire: bool = false, boolean, [], ACTS;
    /// Free overwritten values on another thread.
    "lazyfree-lazy-server-del" => lazyfree_lazy_server_del: bool = false, boolean, [], ACTS;
    /// Let DEL free on another thread, as UNLINK does.
    "lazyfree-lazy-user-del" => lazyfree_lazy_user_del: bool = false, boolean, [], ACTS;
    /// Let FLUSHALL and FLUSHDB free on another thread unless told otherwise.
    "lazyfree-lazy-user-flush" => lazyfree_lazy_user_flush: bool = false, boolean, [], ACTS;
    /// Event classes published on keyspace channels.
    "notify-keyspace-events" => notify_keyspace_events: NotifyClasses = NotifyClasses::NONE,
        special(NOTIFY_KEYSPACE_EVENTS), [], ACTS;
    /// Turns of periodic work a second.
    "hz" => hz: i64 = 10, number(Count, 0, INT_MAX), [], ACTS;
    /// Raise hz with the number of clients.
    "dynamic-hz" => dynamic_hz: bool = true, boolean, [], Effect::Accepted("periodic work does not grow with clients");
    /// Rehash tables in idle time.
    "activerehashing" => activerehashing: bool = true, boolean, [], LAYOUT;
    /// Entries of a hash kept as one buffer.
    "hash-max-listpack-entries" | "hash-max-ziplist-entries" => hash_max_listpack_entries: usize = 512,
        number(Count, 0, LONG_MAX), [], ACTS;
    /// Longest field or value of a hash kept as one buffer.
    "hash-max-listpack-value" | "hash-max-ziplist-value" => hash_max_listpack_value: usize = 64,
        number(Memory, 0, LONG_MAX), [], ACTS;
    /// Members of a set of integers kept as one buffer.
    "set-max-intset-entries" => set_max_intset_entries: usize = 512, number(Count, 0, LONG_MAX), [], ACTS;
    /// Members of a sorted set kept as one buffer.
    "zset-max-listpack-entries" | "zset-max-ziplist-entries" => zset_max_listpack_entries: usize = 128,
        number(Count, 0, LONG_MAX), [], ACTS;
    /// Longest member of a sorted set kept as one buffer.
    "zset-max-listpack-value" | "zset-max-ziplist-value" => zset_max_listpack_value: usize = 64,
        number(Memory, 0, LONG_MAX), [], ACTS;
    /// Elements of a list node, or minus one to minus five for 4 to 64 kb.
    "list-max-listpack-size" | "list-max-ziplist-size" => list_max_listpack_size: i64 = -2,
        number(Count, INT_MIN, INT_MAX), [], ACTS;
    /// List nodes at either end that stay uncompressed; 0 compresses none.
    "list-compress-depth" => list_compress_depth: usize = 0, number(Count, 0, INT_MAX), [], LAYOUT;
    /// Bytes of a stream node; 0 is no limit.
    "stream-node-max-bytes" => stream_node_max_bytes: usize = 4096, number(Memory, 0, LONG_MAX), [], ACTS;
    /// Entries of a stream node; 0 is no limit.
    "stream-node-max-entries" => stream_node_max_entries: usize = 100, number(Count, 0, LONG_MAX), [], ACTS;
    /// Bytes up to which a HyperLogLog stays sparse.
    "hll-sparse-max-bytes" => hll_sparse_max_bytes: usize = 3000, number(Memory, 0, LONG_MAX), [], ACTS;
    /// Defragment memory while serving.
    "activedefrag" => activedefrag: bool = false, boolean, [], ALLOCATOR;
    /// Waste below which nothing is defragmented.
    "active-defrag-ignore-bytes" => active_defrag_ignore_bytes: u64 = 100 << 20,
        number(Memory, 1, LONG_MAX), [], ALLOCATOR;
    /// Percent of waste at which defragmentation starts.
    "active-defrag-threshold-lower" => active_defrag_threshold_lower: i64 = 10,
        number(Count, 0, 1000), [], ALLOCATOR;
    /// Percent of waste at which it runs at full effort.
    "active-defrag-threshold-upper" => active_defrag_threshold_upper: i64 = 100,
        number(Count, 0, 1000), [], ALLOCATOR;
    /// Least percent of CPU time for it.
    "active-defrag-cycle-min" => active_defrag_cycle_min: i64 = 1, number(Count, 1, 99), [], ALLOCATOR;
    /// Most percent of CPU time for it.
    "active-defrag-cycle-max" => active_defrag_cycle_max: i64 = 25, number(Count, 1, 99), [], ALLOCATOR;
    /// Elements of a big value looked at in one go.
    "active-defrag-max-scan-fields" => active_defrag_max_scan_fields: i64 = 1000,
        number(Count, 1, LONG_MAX), [], ALLOCATOR;
    /// Give free memory back to the system by itself, on a thread of its own.
    "jemalloc-bg-thread" => jemalloc_bg_thread: bool = true, boolean, [], ACTS;

    // Watching.

    /// Microseconds from which a command is logged as slow; -1 logs none.
    "slowlog-log-slower-than" => slowlog_log_slower_than: i64 = 10000, number(Count, -1, LONG_MAX), [], ACTS;
    /// Slow commands kept.
    "slowlog-max-len" => slowlog_max_len: usize = 128, number(Count, 0, LONG_MAX), [], ACTS;
    /// Milliseconds from which an event is kept by the latency monitor; 0 keeps none.
    "latency-monitor-threshold" => latency_monitor_threshold: i64 = 0, number(Count, 0, LONG_MAX), [], ACTS;
    /// Keep a histogram of each command's latency.
    "latency-tracking" => latency_tracking: bool = true, boolean, [], ACTS;
    /// Percentiles that INFO latencystats shows.
    "latency-tracking-info-percentiles" => latency_tracking_info_percentiles: Vec<f64> = vec![50.0, 99.0, 99.9],
        special(LATENCY_TRACKING_INFO_PERCENTILES), [MULTI_ARG], ACTS;
    /// Keys remembered for client-side caching; 0 is no limit.
    "tracking-table-max-keys" => tracking_table_max_keys: usize = 1_000_000,
        number(Count, 0, LONG_MAX), [], ACTS;
    /// Milliseconds a script runs before others are told to wait.
    "busy-reply-threshold" | "lua-time-limit" => busy_reply_threshold: i64 = 5000,
        number(Count, 0, LONG_MAX), [], ACTS;
    /// Milliseconds after which a script is stopped and its changes are undone; 0 is never.
    "script-max-time" => script_max_time: u64 = 0, number(Count, 0, LONG_MAX), [], ACTS;
    /// Memory that scripts may hold; whoever asks for more fails.
    "script-memory-limit" => script_memory_limit: u64 = 512 << 20, number(Memory, MB, LONG_MAX), [], ACTS;
    /// Offer the deprecated parts of the script API.
    "lua-enable-deprecated-api" => lua_enable_deprecated_api: bool = false, boolean, [IMMUTABLE, HIDDEN], ACTS;

    // Persistence.

    /// Folder of all data files; the server's working folder.
    "dir" => dir: Text = Text::from("."), special(DIR), [PROTECTED, DENY_LOADING], ACTS;
    /// Seconds and changes after which the data set is saved.
    "save" => save: Vec<SavePoint> = special::default_save(), special(SAVE), [MULTI_ARG], ACTS;
    /// Name of the RDB file in dir.
    "dbfilename" => dbfilename: Text = Text::from("dump.rdb"), text(Value, check::db_filename), [PROTECTED], ACTS;
    /// Compress long strings in RDB files.
    "rdbcompression" => rdbcompression: bool = true, boolean, [], ACTS;
    /// End RDB files with a checksum, and check it.
    "rdbchecksum" => rdbchecksum: bool = true, boolean, [IMMUTABLE], ACTS;
    /// Refuse writes while the last save failed.
    "stop-writes-on-bgsave-error" => stop_writes_on_bgsave_error: bool = true, boolean, [], ACTS;
    /// Delete RDB files that only replication needed.
    "rdb-del-sync-files" => rdb_del_sync_files: bool = false, boolean, [], REPLICATION;
    /// Force RDB files to disk bit by bit while they are written.
    "rdb-save-incremental-fsync" => rdb_save_incremental_fsync: bool = true, boolean, [], ACTS;
    /// Microseconds to sleep after each key that is saved; for tests.
    "rdb-key-save-delay" => rdb_key_save_delay: i64 = 0, number(Count, INT_MIN, INT_MAX), [HIDDEN], ACTS;
    /// Microseconds to sleep after each key that is loaded; for tests.
    "key-load-delay" => key_load_delay: i64 = 0, number(Count, INT_MIN, INT_MAX), [HIDDEN], ACTS;
    /// Bytes loaded between two looks at clients.
    "loading-process-events-interval-bytes" => loading_process_events_interval_bytes: i64 = 2 << 20,
        number(Count, 1024, INT_MAX), [HIDDEN], Effect::Accepted("clients are served all the time while data is loaded");
    /// Keep an append-only file.
    "appendonly" => appendonly: bool = false, boolean, [DENY_LOADING], ACTS;
    /// Start of the names of append-only files.
    "appendfilename" => appendfilename: Text = Text::from("appendonly.aof"),
        text(Value, check::append_filename), [IMMUTABLE], ACTS;
    /// Folder of append-only files in dir.
    "appenddirname" => appenddirname: Text = Text::from("appendonlydir"),
        text(Value, check::append_dirname), [IMMUTABLE], ACTS;
    /// The moments at which the append-only file is forced to disk.
    "appendfsync" => appendfsync: Appendfsync = Appendfsync::Everysec, choice(Appendfsync), [], ACTS;
    /// Do not force it to disk while a save or rewrite runs.
    "no-appendfsync-on-rewrite" => no_appendfsync_on_rewrite: bool = false, boolean, [], ACTS;
    /// Growth in percent at which it is rewritten; 0 never.
    "auto-aof-rewrite-percentage" => auto_aof_rewrite_percentage: i64 = 100, number(Count, 0, INT_MAX), [], ACTS;
    /// Size below which it is not rewritten by itself.
    "auto-aof-rewrite-min-size" => auto_aof_rewrite_min_size: u64 = 64 << 20,
        number(Memory, 0, LONG_MAX), [], ACTS;
    /// Load a file whose end is cut off.
    "aof-load-truncated" => aof_load_truncated: bool = true, boolean, [], ACTS;
    /// Begin rewritten files in RDB format.
    "aof-use-rdb-preamble" => aof_use_rdb_preamble: bool = true, boolean, [], ACTS;
    /// Note the time of day in it.
    "aof-timestamp-enabled" => aof_timestamp_enabled: bool = false, boolean, [], ACTS;
    /// Force a rewritten file to disk bit by bit.
    "aof-rewrite-incremental-fsync" => aof_rewrite_incremental_fsync: bool = true, boolean, [], ACTS;
    /// Keep files of earlier rewrites.
    "aof-disable-auto-gc" => aof_disable_auto_gc: bool = false, boolean, [], ACTS;

    // Replication.

    /// Address of the primary that this server copies.
    "replicaof" | "slaveof" => replicaof: Option<PrimaryAddress> = None,
        special(REPLICAOF), [IMMUTABLE, MULTI_ARG], REPLICATION_SWITCH;
    /// Password for the primary.
    "masterauth" => masterauth: Text = Text::default(), text(Unset), [SENSITIVE, ANY_BYTE], REPLICATION;
    /// User name for the primary.
    "masteruser" => masteruser: Text = Text::default(), text(Unset), [SENSITIVE], REPLICATION;
    /// Answer reads while the link to the primary is down.
    "replica-serve-stale-data" | "slave-serve-stale-data" => replica_serve_stale_data: bool = true,
        boolean, [], REPLICATION;
    /// Refuse writes of clients on a replica.
    "replica-read-only" | "slave-read-only" => replica_read_only: bool = true, boolean, [], REPLICATION;
    /// A replica leaves eviction to its primary.
    "replica-ignore-maxmemory" | "slave-ignore-maxmemory" => replica_ignore_maxmemory: bool = true,
        boolean, [], REPLICATION;
    /// Drop the old data on another thread before a full sync.
    "replica-lazy-flush" | "slave-lazy-flush" => replica_lazy_flush: bool = false, boolean, [], REPLICATION;
    /// Order in which replicas are promoted; 0 never.
    "replica-priority" | "slave-priority" => replica_priority: i64 = 100, number(Count, 0, INT_MAX), [], REPLICATION;
    /// Tell sentinels about this replica.
    "replica-announced" => replica_announced: bool = true, boolean, [], REPLICATION;
    /// Address a replica says it has.
    "replica-announce-ip" | "slave-announce-ip" => replica_announce_ip: Text = Text::default(),
        text(Unset), [], REPLICATION;
    /// Port a replica says it has; 0 for its own.
    "replica-announce-port" | "slave-announce-port" => replica_announce_port: u16 = 0,
        number(Count, 0, 65535), [], REPLICATION;
    /// Go on when a replica cannot write its append-only file.
    "replica-ignore-disk-write-errors" => replica_ignore_disk_write_errors: bool = false, boolean, [], REPLICATION;
    /// Send a full sync without a file.
    "repl-diskless-sync" => repl_diskless_sync: bool = true, boolean, [], REPLICATION;
    /// Seconds to wait for more replicas before one.
    "repl-diskless-sync-delay" => repl_diskless_sync_delay: i64 = 5, number(Count, 0, INT_MAX), [], REPLICATION;
    /// Replicas that end the wait; 0 for none.
    "repl-diskless-sync-max-replicas" => repl_diskless_sync_max_replicas: i64 = 0,
        number(Count, 0, INT_MAX), [], REPLICATION;
    /// Load a full sync without a file.
    "repl-diskless-load" => repl_diskless_load: ReplDisklessLoad = ReplDisklessLoad::Disabled,
        choice(ReplDisklessLoad), [DENY_LOADING], REPLICATION;
    /// Trade latency of replicas for fewer packets.
    "repl-disable-tcp-nodelay" => repl_disable_tcp_nodelay: bool = false, boolean, [], REPLICATION;
    /// Seconds between pings to replicas.
    "repl-ping-replica-period" | "repl-ping-slave-period" => repl_ping_replica_period: i64 = 10,
        number(Count, 1, INT_MAX), [], REPLICATION;
    /// Seconds of silence after which the link is down.
    "repl-timeout" => repl_timeout: i64 = 60, number(Count, 1, INT_MAX), [], REPLICATION;
    /// Bytes of history kept for partial syncs.
    "repl-backlog-size" => repl_backlog_size: u64 = 1 << 20, number(Memory, 1, LONG_MAX), [], REPLICATION;
    /// Seconds without replicas after which that history goes; 0 never.
    "repl-backlog-ttl" => repl_backlog_ttl: i64 = 3600, number(Count, 0, LONG_MAX), [], REPLICATION;
    /// Replicas in good state without which writes are refused.
    "min-replicas-to-write" | "min-slaves-to-write" => min_replicas_to_write: i64 = 0,
        number(Count, 0, INT_MAX), [], ACTS;
    /// Seconds a replica in good state may lag.
    "min-replicas-max-lag" | "min-slaves-max-lag" => min_replicas_max_lag: i64 = 10,
        number(Count, 0, INT_MAX), [], ACTS;
    /// The reaction to a propagated command that fails.
    "propagation-error-behavior" => propagation_error_behavior: PropagationError = PropagationError::Ignore,
        choice(PropagationError), [], REPLICATION;

    // Cluster.

    /// Run as a node of a cluster.
    "cluster-enabled" => cluster_enabled: bool = false, boolean, [IMMUTABLE], CLUSTER_SWITCH;
    /// File in which the node keeps what it knows.
    "cluster-config-file" => cluster_config_file: Text = Text::from("nodes.conf"), text(Value), [IMMUTABLE], CLUSTER;
    /// Milliseconds of silence after which a node is failing.
    "cluster-node-timeout" => cluster_node_timeout: i64 = 15000, number(Count, 0, LONG_MAX), [], CLUSTER;
    /// Port of the cluster bus; 0 for port plus 10000.
    "cluster-port" => cluster_port: u16 = 0, number(Count, 0, 65535), [IMMUTABLE], CLUSTER;
    /// Address the node says it has.
    "cluster-announce-ip" => cluster_announce_ip: Text = Text::default(), text(Unset), [], CLUSTER;
    /// Host name the node says it has.
    "cluster-announce-hostname" => cluster_announce_hostname: Text = Text::default(),
        text(Unset, check::hostname), [], CLUSTER;
    /// Port the node says it has; 0 for its own.
    "cluster-announce-port" => cluster_announce_port: u16 = 0, number(Count, 0, 65535), [], CLUSTER;
    /// TLS port the node says it has.
    "cluster-announce-tls-port" => cluster_announce_tls_port: u16 = 0, number(Count, 0, 65535), [], CLUSTER;
    /// Bus port the node says it has.
    "cluster-announce-bus-port" => cluster_announce_bus_port: u16 = 0, number(Count, 0, 65535), [], CLUSTER;
    /// The way in which redirections name a node.
    "cluster-preferred-endpoint-type" => cluster_preferred_endpoint_type: ClusterEndpoint = ClusterEndpoint::Ip,
        choice(ClusterEndpoint), [], CLUSTER;
    /// Refuse all keys while some slots have no node.
    "cluster-require-full-coverage" => cluster_require_full_coverage: bool = true, boolean, [], CLUSTER;
    /// Answer reads while the cluster is down.
    "cluster-allow-reads-when-down" => cluster_allow_reads_when_down: bool = false, boolean, [], CLUSTER;
    /// Serve sharded channels while the cluster is down.
    "cluster-allow-pubsubshard-when-down" => cluster_allow_pubsubshard_when_down: bool = true, boolean, [], CLUSTER;
    /// Let replicas move to primaries that have none.
    "cluster-allow-replica-migration" => cluster_allow_replica_migration: bool = true, boolean, [], CLUSTER;
    /// Replicas a primary keeps when one moves away.
    "cluster-migration-barrier" => cluster_migration_barrier: i64 = 1, number(Count, 0, INT_MAX), [], CLUSTER;
    /// Never promote this replica by itself.
    "cluster-replica-no-failover" | "cluster-slave-no-failover" => cluster_replica_no_failover: bool = false,
        boolean, [], CLUSTER;
    /// The age up to which a replica may be promoted, in node timeouts.
    "cluster-replica-validity-factor" | "cluster-slave-validity-factor" => cluster_replica_validity_factor: i64 = 10,
        number(Count, 0, INT_MAX), [], CLUSTER;
    /// Bytes that may wait on a link of the bus; 0 is no limit.
    "cluster-link-sendbuf-limit" => cluster_link_sendbuf_limit: u64 = 0, number(Memory, 0, ULONG_MAX), [], CLUSTER;

    // TLS.

    /// TLS port; 0 listens on none.
    "tls-port" => tls_port: u16 = 0, number(Count, 0, 65535), [], TLS_SWITCH;
    /// TLS on the cluster bus.
    "tls-cluster" => tls_cluster: bool = false, boolean, [], TLS_SWITCH;
    /// TLS to the primary.
    "tls-replication" => tls_replication: bool = false, boolean, [], TLS_SWITCH;
    /// Clients must show a certificate, or may.
    "tls-auth-clients" => tls_auth_clients: TlsAuthClients = TlsAuthClients::Yes, choice(TlsAuthClients), [], TLS;
    /// Choose ciphers in the server's order.
    "tls-prefer-server-ciphers" => tls_prefer_server_ciphers: bool = false, boolean, [], TLS;
    /// Remember TLS sessions.
    "tls-session-caching" => tls_session_caching: bool = true, boolean, [], TLS;
    /// Sessions remembered.
    "tls-session-cache-size" => tls_session_cache_size: i64 = 20480, number(Count, 0, INT_MAX), [], TLS;
    /// Seconds they are remembered.
    "tls-session-cache-timeout" => tls_session_cache_timeout: i64 = 300, number(Count, 0, INT_MAX), [], TLS;
    /// Certificate of the server.
    "tls-cert-file" => tls_cert_file: Text = Text::default(), text(Unset), [], TLS;
    /// Its key.
    "tls-key-file" => tls_key_file: Text = Text::default(), text(Unset), [], TLS;
    /// The key's passphrase.
    "tls-key-file-pass" => tls_key_file_pass: Text = Text::default(), text(Unset), [SENSITIVE], TLS;
    /// Certificate for outgoing connections.
    "tls-client-cert-file" => tls_client_cert_file: Text = Text::default(), text(Unset), [], TLS;
    /// Its key.
    "tls-client-key-file" => tls_client_key_file: Text = Text::default(), text(Unset), [], TLS;
    /// The key's passphrase.
    "tls-client-key-file-pass" => tls_client_key_file_pass: Text = Text::default(), text(Unset), [SENSITIVE], TLS;
    /// Diffie-Hellman parameters.
    "tls-dh-params-file" => tls_dh_params_file: Text = Text::default(), text(Unset), [], TLS;
    /// Trusted certificates, one file.
    "tls-ca-cert-file" => tls_ca_cert_file: Text = Text::default(), text(Unset), [], TLS;
    /// Trusted certificates, a folder.
    "tls-ca-cert-dir" => tls_ca_cert_dir: Text = Text::default(), text(Unset), [], TLS;
    /// Protocol versions.
    "tls-protocols" => tls_protocols: Text = Text::default(), text(Unset), [], TLS;
    /// Ciphers up to TLS 1.2.
    "tls-ciphers" => tls_ciphers: Text = Text::default(), text(Unset), [], TLS;
    /// Ciphers of TLS 1.3.
    "tls-ciphersuites" => tls_ciphersuites: Text = Text::default(), text(Unset), [], TLS;
}
