//! Memory of clients: how much each costs, and `maxmemory-clients`, which bounds them all together.
//!
//! A client costs its session, requests that wait or have not arrived whole, answers that wait, its
//! transaction and what it watches and listens to ([`Session::heap_bytes`]). While there is a limit
//! the server keeps the sum: a client is weighed when it brings requests, with what it brought, when
//! a turn in which it took part is over, when its worker reports a growing argument, and all of them
//! ten times a second. Above the limit clients are *evicted*, the largest first, until the rest fits;
//! not those who asked for CLIENT NO-EVICT. Redis sorts clients into classes of size by powers of
//! two; the exact order costs no more, for nobody is sorted before somebody must go.
//!
//! Also here: the buffers for answers. A client that answers little gets a small one, as in Redis.

use super::client_info::info_line;
use super::session::{ClientId, Close, Session};
use super::{Parts, Server};
use crate::base::time::UnixMillis;
use crate::config::Config;

/// A lower limit would leave nobody to raise it.
const MIN_LIMIT_BYTES: u64 = 128 << 10;
/// The smallest buffer for answers that a client keeps.
const MIN_REPLY_BYTES: usize = 1024;
/// The largest.
const MAX_REPLY_BYTES: usize = 16 << 10;
/// How long the largest answer is remembered, milliseconds.
const PEAK_RESET_MS: i64 = 5000;

/// Buffers for answers are looked at once in so many turns of the periodic work.
const LOOK_EVERY: u32 = 10;

/// The sum of what clients cost, and how their buffers are sized.
#[derive(Debug)]
pub struct ClientMemory {
    total: usize,
    /// The limit by which clients were weighed last; 0 is none.
    followed: u64,
    /// Who must be weighed again.
    moved: Vec<ClientId>,
    /// Turns of the periodic work until buffers for answers are looked at.
    until_look: u32,
    /// Whether buffers for answers follow what is answered: DEBUG REPLYBUFFER RESIZING.
    pub resizes_replies: bool,
    /// How long the largest answer is remembered; `None` is for ever: DEBUG REPLYBUFFER.
    pub peak_reset_ms: Option<i64>,
}

impl Default for ClientMemory {
    fn default() -> Self {
        ClientMemory {
            total: 0,
            followed: 0,
            moved: Vec::new(),
            until_look: LOOK_EVERY,
            resizes_replies: true,
            peak_reset_ms: Some(PEAK_RESET_MS),
        }
    }
}

impl ClientMemory {
    /// The room a client has for answers when it begins to be answered.
    pub(super) fn reply_buffer_bytes(&self) -> usize {
        if self.resizes_replies { MIN_REPLY_BYTES } else { MAX_REPLY_BYTES }
    }

    /// Remembers the largest answer for its usual time again.
    pub fn reset_peak_time(&mut self) {
        self.peak_reset_ms = Some(PEAK_RESET_MS);
    }

    fn weigh(&mut self, session: &mut Session, arriving: usize) {
        let bytes = if session.close == Close::Now { 0 } else { session.heap_bytes() + arriving };
        self.total = self.total - session.counted_bytes + bytes;
        session.counted_bytes = bytes;
    }

    /// Takes a client that is gone out of the sum.
    pub(super) fn forget(&mut self, session: &Session) {
        self.total -= session.counted_bytes;
    }
}

/// `maxmemory-clients` in bytes; 0 is no limit.
fn limit_of(config: &Config) -> u64 {
    let limit = match config.maxmemory_clients {
        0 => return 0,
        percent if percent < 0 => {
            let share = u128::from(config.maxmemory) * u128::from(percent.unsigned_abs()) / 100;
            u64::try_from(share).unwrap_or(u64::MAX)
        }
        bytes => bytes.unsigned_abs(),
    };
    if limit == 0 { 0 } else { limit.max(MIN_LIMIT_BYTES) }
}

/// The size a buffer for answers of `capacity` bytes should have when `peak` bytes were the most
/// there was to answer; `None` if it is right.
fn reply_buffer_for(capacity: usize, peak: usize) -> Option<usize> {
    if capacity / 2 >= MIN_REPLY_BYTES && peak < capacity / 2 {
        return Some((peak + 1).max(MIN_REPLY_BYTES));
    }
    None
}

impl Server {
    /// A client's worker reads an argument that grows.
    pub fn growing(&mut self, id: ClientId) {
        self.parts.client_memory.moved.push(id);
    }
}

impl Parts {
    /// Weighs a client with the requests it has just brought, and evicts if that is too much. With
    /// no limit it does nothing.
    #[inline]
    pub(super) fn weigh_requests(&mut self, id: ClientId, arriving: usize) {
        if self.config.maxmemory_clients != 0 {
            self.weigh_moved();
            if let Some(session) = self.clients.get_mut(id) {
                self.client_memory.weigh(session, arriving);
            }
            self.client_memory.moved.push(id);
            self.evict_clients();
        }
    }

    /// Weighs who took part in the turn, and evicts.
    pub(super) fn limit_client_memory(&mut self) {
        let limit = limit_of(&self.config);
        if limit != self.client_memory.followed {
            self.client_memory.followed = limit;
            self.limits.weighs_clients.store(limit != 0, std::sync::atomic::Ordering::Relaxed);
            self.weigh_all();
        }
        if limit != 0 {
            self.weigh_moved();
            self.evict_clients();
        }
    }

    /// What is due for all clients ten times a second.
    pub(super) fn client_memory_cron(&mut self) {
        if limit_of(&self.config) != 0 {
            self.weigh_all();
            self.evict_clients();
        }
        let Parts { clients, client_memory, stats, now, .. } = self;
        client_memory.until_look -= 1;
        if client_memory.until_look > 0 {
            return;
        }
        client_memory.until_look = LOOK_EVERY;
        if client_memory.resizes_replies {
            for session in clients.iter_mut() {
                stats.reply_buffer_shrinks += u64::from(session.fit_reply_buffer());
                session.reset_reply_peak(client_memory.peak_reset_ms, *now);
            }
        }
    }

    fn weigh_all(&mut self) {
        self.client_memory.moved.clear();
        let Parts { clients, client_memory, .. } = self;
        clients.iter_mut().for_each(|session| client_memory.weigh(session, 0));
    }

    fn weigh_moved(&mut self) {
        let Parts { clients, client_memory, .. } = self;
        let moved = std::mem::take(&mut client_memory.moved);
        for id in moved.into_iter().chain(clients.output.clone()) {
            if let Some(session) = clients.get_mut(id) {
                client_memory.weigh(session, 0);
            }
        }
    }

    /// Closes the largest clients until the rest fits.
    fn evict_clients(&mut self) {
        let limit = limit_of(&self.config);
        if limit == 0 || self.client_memory.total as u64 <= limit {
            return;
        }
        let mut largest: Vec<(usize, ClientId)> = self
            .clients
            .iter()
            .filter(|session| !session.no_evict && session.close != Close::Now)
            .map(|session| (session.counted_bytes, session.id))
            .collect();
        largest.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        for (_, id) in largest {
            if self.client_memory.total as u64 <= limit {
                break;
            }
            self.evict(id);
        }
    }

    fn evict(&mut self, id: ClientId) {
        let parts = self;
        if let Some(session) = parts.clients.get(id) {
            log::info!("Evicting client: {}", info_line(parts, session));
        }
        parts.stats.evicted_clients += 1;
        parts.close_client(id, Close::Now);
        if let Some(session) = parts.clients.get_mut(id) {
            session.outbox = Vec::new();
            parts.client_memory.weigh(session, 0);
        }
    }
}

impl Session {
    /// Gives a buffer for answers back that has been too large for a while. Returns whether it was.
    fn fit_reply_buffer(&mut self) -> bool {
        let Some(bytes) = reply_buffer_for(self.outbox.capacity(), self.reply_peak) else { return false };
        if self.outbox.is_empty() {
            self.outbox = Vec::with_capacity(bytes.min(MAX_REPLY_BYTES));
        }
        self.outbox.is_empty()
    }

    fn reset_reply_peak(&mut self, after_ms: Option<i64>, now: UnixMillis) {
        if after_ms.is_some_and(|ms| now.0 - self.reply_peak_since.0 > ms) {
            self.reply_peak = self.outbox.len();
            self.reply_peak_since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_bytes_or_a_share_of_maxmemory_and_never_tiny() {
        let rows = [
            (0, 1 << 30, 0),
            (1, 0, MIN_LIMIT_BYTES),
            (5_000_000, 0, 5_000_000),
            (-7, 6 << 20, 440_401),
            (-7, 0, 0),
            (-100, u64::MAX, u64::MAX),
        ];
        for (maxmemory_clients, maxmemory, limit) in rows {
            let config = Config { maxmemory_clients, maxmemory, ..Config::default() };
            assert_eq!(limit_of(&config), limit, "{maxmemory_clients} {maxmemory}");
        }
    }

    #[test]
    fn a_buffer_for_answers_shrinks_to_what_was_needed() {
        let rows = [
            (1024, 0, None),
            (2047, 0, None),
            (2048, 5, Some(1024)),
            (16384, 8192, None),
            (16384, 8191, Some(8192)),
            (16384, 100, Some(1024)),
        ];
        rows.iter().for_each(|&(capacity, peak, to)| assert_eq!(reply_buffer_for(capacity, peak), to));
    }
}
