//! INFO, and whatever else reports on the server: every line declared once in [`FIELDS`].
//!
//! A field has a section, a name, and a function that renders its value from the server's rooms.
//! Sections that list things (commands, errors, databases) are rendered by [`write_section`].

use super::host::ProcessFacts;
use super::memory::{MemoryUse, ScriptsUse, largest_client};
use super::version::{PYREDIS_VERSION, REDIS_VERSION};
use super::{AofState, Rooms};
use crate::base::alloc;
use crate::clients::{Close, Session, traffic};
use crate::config::show_percentile;
use crate::keyspace::{Db, Keyspace, Walk};
use crate::memory::{Account, Balance, Counting};
use crate::persistence::SaveMeter;
use crate::pubsub::Topic;
use crate::waiting::Reason;
use std::cell::OnceCell;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// Everything that a field may look at.
#[derive(Debug)]
pub struct View<'a> {
    /// The data.
    pub keyspace: &'a Keyspace,
    /// All else.
    pub rooms: &'a Rooms,
    /// The client that asks; not among the clients while its command runs.
    pub session: &'a Session,
    /// The facts about the process that the operating system tells.
    pub process: ProcessFacts,
    memory: OnceCell<MemoryUse>,
}

impl<'a> View<'a> {
    /// A view of this moment.
    #[must_use]
    pub fn new(keyspace: &'a Keyspace, rooms: &'a Rooms, session: &'a Session) -> Self {
        View {
            keyspace,
            rooms,
            session,
            process: rooms.outside.host.process_facts(),
            memory: OnceCell::new(),
        }
    }

    /// All clients.
    pub fn clients(&self) -> impl Iterator<Item = &Session> {
        self.rooms.clients.iter().chain(std::iter::once(self.session))
    }

    /// Returns the bytes on each account of the ledger.
    #[must_use]
    pub fn balance(&self) -> Balance {
        self.rooms.balance(self.keyspace)
    }

    /// Returns the memory of scripts and functions.
    #[must_use]
    pub fn scripts(&self) -> ScriptsUse {
        ScriptsUse::of(self.rooms)
    }

    /// Returns the memory in use by purpose; summed up over all clients, so once.
    #[must_use]
    pub fn memory(&self) -> &MemoryUse {
        self.memory.get_or_init(|| MemoryUse::of(self))
    }
}

/// One line of INFO.
pub struct Field {
    /// Its section.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its value, as text.
    pub value: fn(&View<'_>) -> String,
}

/// The sections of a plain INFO, in order.
pub const DEFAULT_SECTIONS: &[&str] = &[
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "module_list",
    "errorstats",
    "cluster",
    "keyspace",
];

/// All sections, in order.
pub const ALL_SECTIONS: &[&str] = &[
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "cpu",
    "module_list",
    "commandstats",
    "errorstats",
    "latencystats",
    "cluster",
    "keyspace",
];

macro_rules! fields {
    ($($section:literal { $($name:literal => |$view:ident| $value:expr;)* })*) => {
        &[$($(Field { section: $section, name: $name, value: |$view| $value.to_string() }),*),*]
    };
}

/// Every line of the sections that are not lists.
pub const FIELDS: &[Field] = fields! {
    "server" {
        "redis_version" => |_view| REDIS_VERSION;
        "pyredis_version" => |_view| PYREDIS_VERSION;
        "redis_git_sha1" => |_view| "00000000";
        "redis_git_dirty" => |_view| 0;
        "redis_build_id" => |_view| PYREDIS_VERSION;
        "redis_mode" => |_view| "standalone";
        "os" => |view| view.process.system;
        "arch_bits" => |_view| usize::BITS;
        "monotonic_clock" => |_view| "POSIX clock_gettime";
        "multiplexing_api" => |_view| "threads";
        "atomicvar_api" => |_view| "rust-std";
        // The text of Redis where another compiler than GCC made it.
        "gcc_version" => |_view| "0.0.0";
        "process_id" => |view| view.rooms.process.pid;
        "process_supervised" => |_view| "no";
        "run_id" => |view| view.rooms.process.run_id;
        "tcp_port" => |view| view.rooms.config.port;
        "server_time_usec" => |view| view.rooms.time.clock.wall_us();
        "uptime_in_seconds" => |view| uptime_secs(view);
        "uptime_in_days" => |view| uptime_secs(view) / 86_400;
        "hz" => |view| view.rooms.config.hz;
        "configured_hz" => |view| view.rooms.config.hz;
        "lru_clock" => |view| view.rooms.time.now.secs() & 0xff_ffff;
        "executable" => |view| view.rooms.process.executable;
        "config_file" => |view| view.rooms.process.config_file;
        "io_threads_active" => |_view| 0;
    }
    "clients" {
        "connected_clients" => |view| view.clients().filter(|session| session.close != Close::Now).count();
        "cluster_connections" => |_view| 0;
        "maxclients" => |view| view.rooms.config.maxclients;
        "client_recent_max_input_buffer" => |view| largest_client(view, |session| session.pending_bytes());
        "client_recent_max_output_buffer" => |view| largest_client(view, |session| session.output_bytes());
        "blocked_clients" => |view| view.rooms.waiting.queue.len() + view.rooms.waiting.queue.of_reason(Reason::Pause).count();
        "tracking_clients" => |view| view.rooms.tracking.tables.clients_len();
        "clients_in_timeout_table" => |view| view.rooms.waiting.queue.deadlines_len();
    }
    "memory" {
        "used_memory" => |_view| alloc::used_bytes();
        "used_memory_human" => |_view| human(alloc::used_bytes() as u64);
        "used_memory_rss" => |view| view.process.resident_bytes;
        "used_memory_rss_human" => |view| human(view.process.resident_bytes);
        "used_memory_peak" => |view| view.memory().peak;
        "used_memory_peak_human" => |view| human(view.memory().peak);
        "used_memory_peak_perc" => |view| percent(view.memory().peak_percent());
        "used_memory_overhead" => |view| view.memory().overhead;
        "used_memory_startup" => |view| view.rooms.process.startup_bytes;
        "used_memory_dataset" => |view| view.memory().dataset();
        "used_memory_dataset_perc" => |view| percent(view.memory().dataset_percent());
        "allocator_allocated" => |_view| alloc::used_bytes();
        "allocator_active" => |_view| alloc::used_bytes();
        "allocator_resident" => |view| view.process.resident_bytes;
        "total_system_memory" => |view| view.process.total_memory_bytes;
        "total_system_memory_human" => |view| human(view.process.total_memory_bytes);
        "used_memory_lua" => |view| view.scripts().eval_vm;
        "used_memory_vm_eval" => |view| view.scripts().eval_vm;
        "used_memory_lua_human" => |view| human(view.scripts().eval_vm);
        "used_memory_scripts_eval" => |view| view.scripts().eval;
        "number_of_cached_scripts" => |view| view.rooms.script.cache().len();
        "number_of_functions" => |view| view.rooms.script.functions.libraries().functions_len();
        "number_of_libraries" => |view| view.rooms.script.functions.libraries().len();
        "used_memory_vm_functions" => |view| view.scripts().functions_vm;
        "used_memory_vm_total" => |view| view.scripts().vms();
        "used_memory_vm_total_human" => |view| human(view.scripts().vms());
        "used_memory_functions" => |view| view.scripts().functions;
        "used_memory_scripts" => |view| view.scripts().kept();
        "used_memory_scripts_human" => |view| human(view.scripts().kept());
        "maxmemory" => |view| view.rooms.config.maxmemory;
        "maxmemory_human" => |view| human(view.rooms.config.maxmemory);
        "maxmemory_policy" => |view| text_of(view, "maxmemory-policy");
        "allocator_frag_ratio" => |_view| "1.00";
        "allocator_frag_bytes" => |_view| 0;
        "allocator_rss_ratio" => |view| ratio(view.memory().resident_ratio());
        "allocator_rss_bytes" => |view| view.memory().resident_beyond_used();
        "rss_overhead_ratio" => |_view| "1.00";
        "rss_overhead_bytes" => |_view| 0;
        "mem_fragmentation_ratio" => |view| ratio(view.memory().resident_ratio());
        "mem_fragmentation_bytes" => |view| view.memory().resident_beyond_used();
        "mem_not_counted_for_evict" => |view| view.balance().sum(Counting::NotCountedForEvict);
        "mem_replication_backlog" => |_view| 0;
        "mem_total_replication_buffers" => |_view| 0;
        "mem_clients_slaves" => |_view| 0;
        "mem_clients_normal" => |view| view.memory().clients;
        "mem_cluster_links" => |_view| 0;
        "mem_aof_buffer" => |view| view.balance().bytes(Account::AofBuffer);
        "mem_allocator" => |_view| "mimalloc";
        "active_defrag_running" => |_view| 0;
        "lazyfree_pending_objects" => |view| pending_garbage(view);
        "lazyfreed_objects" => |view| view.rooms.stats.counters.lazyfreed_objects.saturating_sub(pending_garbage(view));
    }
    "persistence" {
        "loading" => |view| u8::from(view.rooms.persistence.loading);
        "async_loading" => |_view| 0;
        "current_cow_peak" => |view| view.keyspace.walk().map_or(0, Walk::peak_copies);
        "current_cow_size" => |view| view.keyspace.walk().map_or(0, Walk::all_copies);
        "current_cow_size_age" => |_view| 0;
        "current_fork_perc" => |view| format!("{:.2}", running_save(view).map_or(0.0, SaveMeter::percent));
        "current_save_keys_processed" => |view| running_save(view).map_or(0, SaveMeter::saved);
        "current_save_keys_total" => |view| running_save(view).map_or(0, SaveMeter::total);
        "rdb_changes_since_last_save" => |view| view.rooms.persistence.saves.dirty;
        "rdb_bgsave_in_progress" => |view| u8::from(view.rooms.persistence.jobs.saving().is_some());
        "rdb_last_save_time" => |view| view.rooms.persistence.saves.last_save.secs();
        "rdb_last_bgsave_status" => |view| if view.rooms.persistence.saves.last_failed { "err" } else { "ok" };
        "rdb_last_bgsave_time_sec" => |view| view.rooms.persistence.saves.last_duration_secs.unwrap_or(-1);
        "rdb_current_bgsave_time_sec" => |view| current_save_secs(view);
        "rdb_saves" => |view| view.rooms.persistence.saves.saves;
        "rdb_last_cow_size" => |view| view.rooms.persistence.saves.last_copies;
        "rdb_last_load_keys_expired" => |view| view.rooms.persistence.saves.last_load_expired;
        "rdb_last_load_keys_loaded" => |view| view.rooms.persistence.saves.last_load_keys;
        "aof_enabled" => |view| u8::from(view.rooms.persistence.aof.state != AofState::Off || view.rooms.persistence.loading && view.rooms.config.appendonly);
        "aof_rewrite_in_progress" => |view| u8::from(view.rooms.persistence.jobs.is_rewriting());
        "aof_rewrite_scheduled" => |view| u8::from(view.rooms.persistence.jobs.is_rewrite_scheduled());
        "aof_last_rewrite_time_sec" => |view| view.rooms.persistence.aof.rewrites.last_secs().unwrap_or(-1);
        "aof_current_rewrite_time_sec" => |view| view.rooms.persistence.aof.rewrites.current_secs(view.rooms.time.monotonic).unwrap_or(-1);
        "aof_last_bgrewrite_status" => |view| if view.rooms.persistence.aof.rewrites.last_failed() { "err" } else { "ok" };
        "aof_rewrites" => |view| view.rooms.persistence.aof.rewrites.begun();
        "aof_rewrites_consecutive_failures" => |view| view.rooms.persistence.aof.rewrites.failures();
        "aof_last_write_status" => |view| if view.rooms.persistence.aof.error.is_some() { "err" } else { "ok" };
        "aof_last_cow_size" => |_view| 0;
        "module_fork_in_progress" => |_view| 0;
        "module_fork_last_cow_size" => |_view| 0;
    }
    "stats" {
        "total_connections_received" => |view| view.rooms.stats.counters.connections;
        "total_commands_processed" => |view| view.rooms.stats.counters.commands;
        "instantaneous_ops_per_sec" => |view| view.rooms.stats.counters.rate.per_second();
        "total_net_input_bytes" => |view| view.rooms.stats.counters.read_bytes + connected_bytes(view).0;
        "total_net_output_bytes" => |view| view.rooms.stats.counters.written_bytes + connected_bytes(view).1;
        "total_net_repl_input_bytes" => |_view| 0;
        "total_net_repl_output_bytes" => |_view| 0;
        "instantaneous_input_kbps" => |view| kilobytes(view.rooms.stats.counters.input_rate.per_second());
        "instantaneous_output_kbps" => |view| kilobytes(view.rooms.stats.counters.output_rate.per_second());
        "instantaneous_input_repl_kbps" => |_view| "0.00";
        "instantaneous_output_repl_kbps" => |_view| "0.00";
        "rejected_connections" => |view| view.rooms.stats.counters.rejected_connections;
        "sync_full" => |_view| 0;
        "sync_partial_ok" => |_view| 0;
        "sync_partial_err" => |_view| 0;
        "expired_keys" => |view| view.rooms.stats.counters.expired_keys;
        "expired_stale_perc" => |_view| "0.00";
        "expired_time_cap_reached_count" => |view| view.rooms.stats.counters.expire_cap_reached;
        "expire_cycle_cpu_milliseconds" => |view| view.rooms.stats.counters.expire_ns / 1_000_000;
        "evicted_keys" => |view| view.rooms.stats.counters.evicted_keys;
        "evicted_clients" => |view| view.rooms.stats.counters.evicted_clients;
        "total_eviction_exceeded_time" => |view| eviction_exceeded_ms(view).1;
        "current_eviction_exceeded_time" => |view| eviction_exceeded_ms(view).0;
        "keyspace_hits" => |view| view.keyspace.iter().map(|db| db.findings.hits).sum::<u64>();
        "keyspace_misses" => |view| view.keyspace.iter().map(|db| db.findings.misses).sum::<u64>();
        "pubsub_channels" => |view| view.rooms.pubsub.names_len(Topic::Channel);
        "pubsub_patterns" => |view| view.rooms.pubsub.names_len(Topic::Pattern);
        "pubsubshard_channels" => |view| view.rooms.pubsub.names_len(Topic::Shard);
        "latest_fork_usec" => |_view| 0;
        "total_forks" => |view| view.rooms.persistence.saves.job;
        "migrate_cached_sockets" => |view| view.rooms.stats.migrate_sockets.load(Ordering::Relaxed);
        "slave_expires_tracked_keys" => |_view| 0;
        "active_defrag_hits" => |_view| 0;
        "active_defrag_misses" => |_view| 0;
        "active_defrag_key_hits" => |_view| 0;
        "active_defrag_key_misses" => |_view| 0;
        "total_active_defrag_time" => |_view| 0;
        "current_active_defrag_time" => |_view| 0;
        "tracking_total_keys" => |view| view.rooms.tracking.tables.keys_len();
        "tracking_total_items" => |view| view.rooms.tracking.tables.readers_len();
        "tracking_total_prefixes" => |view| view.rooms.tracking.tables.prefixes_len();
        "unexpected_error_replies" => |_view| 0;
        "total_error_replies" => |view| view.rooms.stats.counters.errors;
        "dump_payload_sanitizations" => |_view| 0;
        "total_reads_processed" => |view| view.rooms.stats.counters.reads;
        "total_writes_processed" => |view| view.rooms.stats.counters.writes;
        "io_threaded_reads_processed" => |view| view.rooms.stats.counters.reads;
        "io_threaded_writes_processed" => |_view| 0;
        "reply_buffer_shrinks" => |view| view.rooms.stats.counters.reply_buffer_shrinks;
        "reply_buffer_expands" => |view| view.rooms.stats.counters.reply_buffer_expands;
    }
    "replication" {
        "role" => |_view| "master";
        "connected_slaves" => |_view| 0;
        "master_failover_state" => |_view| "no-failover";
        "master_replid" => |view| view.rooms.process.run_id;
        "master_replid2" => |_view| "0".repeat(40);
        "master_repl_offset" => |_view| 0;
        "second_repl_offset" => |_view| -1;
        "repl_backlog_active" => |_view| 0;
        "repl_backlog_size" => |view| view.rooms.config.repl_backlog_size;
        "repl_backlog_first_byte_offset" => |_view| 0;
        "repl_backlog_histlen" => |_view| 0;
    }
    "cpu" {
        "used_cpu_sys" => |view| seconds(view.process.cpu_system_us);
        "used_cpu_user" => |view| seconds(view.process.cpu_user_us);
        "used_cpu_sys_children" => |_view| seconds(0);
        "used_cpu_user_children" => |_view| seconds(0);
        "used_cpu_sys_main_thread" => |view| seconds(view.process.thread_system_us);
        "used_cpu_user_main_thread" => |view| seconds(view.process.thread_user_us);
    }
    "cluster" {
        "cluster_enabled" => |_view| 0;
    }
};

/// The headings INFO prints.
fn title(section: &str) -> &str {
    match section {
        "server" => "Server",
        "clients" => "Clients",
        "memory" => "Memory",
        "persistence" => "Persistence",
        "stats" => "Stats",
        "replication" => "Replication",
        "cpu" => "CPU",
        "module_list" => "Modules",
        "commandstats" => "Commandstats",
        "errorstats" => "Errorstats",
        "latencystats" => "Latencystats",
        "cluster" => "Cluster",
        _ => "Keyspace",
    }
}

/// Appends a section with its heading. Unknown sections have nothing to say.
pub fn write_section(view: &View<'_>, section: &str, out: &mut String) {
    if !ALL_SECTIONS.contains(&section) {
        return;
    }
    if !out.is_empty() {
        out.push_str("\r\n");
    }
    // Writing to a string cannot fail.
    let _ = write!(out, "# {}\r\n", title(section));
    for field in FIELDS.iter().filter(|field| field.section == section) {
        let _ = write!(out, "{}:{}\r\n", field.name, (field.value)(view));
    }
    match section {
        "commandstats" => write_commands(view.rooms, out),
        "errorstats" => {
            for (code, count) in &view.rooms.stats.counters.errors_by_code {
                let _ = write!(out, "errorstat_{code}:count={count}\r\n");
            }
        }
        "latencystats" => write_latencies(view.rooms, out),
        "keyspace" => view.keyspace.iter().filter(|db| !db.is_empty()).for_each(|db| write_db(db, out)),
        "persistence" => {
            if view.rooms.persistence.aof.state != AofState::Off {
                write_aof(view, out);
            }
            write_loading(view, out);
        }
        _ => {}
    }
}

/// Writes the fields that exist only while an append-only file is kept.
fn write_aof(view: &View<'_>, out: &mut String) {
    let (aof, relaxed) = (&view.rooms.persistence.aof, Ordering::Relaxed);
    let _ = write!(
        out,
        "aof_current_size:{}\r\naof_base_size:{}\r\naof_pending_rewrite:0\r\naof_buffer_length:{}\r\n\
         aof_pending_bio_fsync:{}\r\naof_delayed_fsync:{}\r\n",
        aof.sizes.current,
        aof.sizes.base,
        view.balance().bytes(Account::AofBuffer),
        u8::from(aof.gauges.syncing.load(relaxed)),
        aof.delayed_fsyncs
    );
}

/// Writes the progress of a load, while there is one.
fn write_loading(view: &View<'_>, out: &mut String) {
    let Some(load) = &view.rooms.persistence.load else { return };
    let _ = write!(
        out,
        "loading_start_time:{}\r\nloading_total_bytes:{}\r\nloading_rdb_used_mem:{}\r\nloading_loaded_bytes:{}\r\n\
         loading_loaded_perc:{:.2}\r\nloading_eta_seconds:{}\r\n",
        load.started.secs(),
        load.total_bytes,
        load.used_memory_bytes,
        load.loaded_bytes,
        load.percent(),
        load.eta_secs(view.rooms.time.monotonic)
    );
}

fn write_commands(rooms: &Rooms, out: &mut String) {
    for (command, stat) in rooms.commands.all().iter().zip(&rooms.stats.counters.by_command) {
        if stat.calls == 0 && stat.rejected == 0 {
            continue;
        }
        let us = stat.ns / 1000;
        let per_call = if stat.calls == 0 { 0.0 } else { us as f64 / stat.calls as f64 };
        let _ = write!(
            out,
            "cmdstat_{}:calls={},usec={us},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}\r\n",
            command.spec.name, stat.calls, stat.rejected, stat.failed
        );
    }
}

fn write_latencies(rooms: &Rooms, out: &mut String) {
    let percentiles = &rooms.config.latency_tracking_info_percentiles;
    if !rooms.config.latency_tracking || percentiles.is_empty() {
        return;
    }
    for (command, times) in rooms.commands.all().iter().zip(&rooms.stats.counters.histograms) {
        if times.is_empty() {
            continue;
        }
        let shown = percentiles.iter().map(|&percentile| {
            let us = times.value_at_percentile(percentile) as f64 / 1000.0;
            format!("p{}={us:.3}", show_percentile(&percentile))
        });
        let _ = write!(
            out,
            "latency_percentiles_usec_{}:{}\r\n",
            command.spec.name,
            shown.collect::<Vec<_>>().join(",")
        );
    }
}

fn write_db(db: &Db, out: &mut String) {
    let _ = write!(
        out,
        "db{}:keys={},expires={},avg_ttl={}\r\n",
        db.index().0,
        db.len(),
        db.deadlines_len(),
        db.average_ttl_ms()
    );
}

/// Values on their way to the thread that frees them.
fn pending_garbage(view: &View<'_>) -> u64 {
    view.rooms.memory.ledger.lazyfree_objects()
}

fn uptime_secs(view: &View<'_>) -> i64 {
    view.rooms.time.monotonic.secs_since(view.rooms.process.started)
}

fn current_save_secs(view: &View<'_>) -> i64 {
    let persistence = &view.rooms.persistence.saves;
    if view.rooms.persistence.jobs.saving().is_some() {
        view.rooms.time.monotonic.secs_since(persistence.started)
    } else {
        -1
    }
}

/// Returns the progress of the running save.
fn running_save<'a>(view: &View<'a>) -> Option<&'a SaveMeter> {
    view.keyspace.walk().map(|_| &view.rooms.persistence.saves.meter)
}

/// Bytes read from and written to the clients that are connected.
fn connected_bytes(view: &View<'_>) -> (u64, u64) {
    traffic(view.clients())
}

fn text_of(view: &View<'_>, parameter: &str) -> String {
    String::from_utf8_lossy(&view.rooms.config.get(parameter).unwrap_or_default()).into_owned()
}

/// Returns the time that memory has been over its limit without a break, and the time in all,
/// milliseconds.
fn eviction_exceeded_ms(view: &View<'_>) -> (u64, u64) {
    view.rooms.memory.eviction.exceeded_ms(view.rooms.time.clock.monotonic_ns())
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn kilobytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1024.0)
}

fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

/// Bytes for people: `1.09M`.
#[must_use]
pub fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64;
    let mut unit = ' ';
    for next in ['K', 'M', 'G', 'T', 'P'] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.2}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        let rows =
            [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_138_480, "1.09M"), (25_276_502_016, "23.54G")];
        rows.iter().for_each(|&(bytes, text)| assert_eq!(human(bytes), text));
    }

    #[test]
    fn every_field_is_of_a_known_section_and_named_once() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert!(ALL_SECTIONS.contains(&field.section), "{}", field.name);
            assert!(FIELDS[..index].iter().all(|other| other.name != field.name), "{}", field.name);
        }
    }
}
