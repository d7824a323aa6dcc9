//! The consequences of parameters: every part is given those it goes by.

use super::ctx::Ctx;
use super::rooms::Rooms;
use crate::config::{Appendfsync, MaxmemoryPolicy, NotifyClasses};
use crate::keyspace::{AccessClock, EncodingLimits, Keyspace};
use crate::script::settings::DeprecatedFunctions;
use std::sync::atomic::Ordering;

impl Rooms {
    /// Gives the process the out-of-memory score of its role. Returns whether the system took it; a
    /// refusal is logged.
    pub fn apply_oom_score(&self) -> bool {
        let [primary, _replica, _saving] = self.config.oom_score_adj_values;
        let result = self.outside.host.set_oom_score(self.config.oom_score_adj, primary);
        if let Err(reason) = &result {
            log::warn!("Unable to write oom_score_adj: {reason}");
        }
        result.is_ok()
    }
}

impl Ctx<'_> {
    /// Lets every part go by the parameters as they are now. Source: CONFIG SET.
    pub fn apply_config(&mut self) {
        apply_config(self.db, self.rooms);
    }
}

/// Gives every part the parameters it goes by: at start and after CONFIG SET.
pub(crate) fn apply_config(keyspace: &mut Keyspace, rooms: &mut Rooms) {
    let config = &rooms.config;
    rooms.clients.set_limits(config.client_output_buffer_limit);
    keyspace.set_limits(EncodingLimits {
        list_max_listpack_size: config.list_max_listpack_size,
        list_plain_from: keyspace.limits().list_plain_from,
        hash_max_listpack_entries: config.hash_max_listpack_entries,
        hash_max_listpack_value: config.hash_max_listpack_value,
        set_max_intset_entries: config.set_max_intset_entries,
        zset_max_listpack_entries: config.zset_max_listpack_entries,
        zset_max_listpack_value: config.zset_max_listpack_value,
        stream_node_max_bytes: config.stream_node_max_bytes,
        stream_node_max_entries: config.stream_node_max_entries,
        seed: keyspace.limits().seed,
    });
    let deprecated = match config.lua_enable_deprecated_api {
        true => DeprecatedFunctions::Offered,
        false => DeprecatedFunctions::Hidden,
    };
    rooms.script.set(usize::try_from(config.script_memory_limit).unwrap_or(usize::MAX), deprecated);
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
