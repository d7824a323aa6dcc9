//! Memory of clients: how much each costs, and `maxmemory-clients`, which bounds them all together.
//!
//! A client costs its session, requests that wait or have not arrived whole, answers that wait, its
//! transaction and what it watches and listens to ([`Session::heap_bytes`]). While there is a limit
//! the server keeps the sum: a client is weighed when it brings requests, with what it brought,
//! when its answers have left, as far as its socket took them, when its worker reports a growing
//! argument, and all of them ten times a second. Above the limit clients are *evicted*, the largest
//! first, until the rest fits; not those who asked for CLIENT NO-EVICT. Redis sorts clients into
//! classes of size by powers of two; the exact order costs no more, for nobody is sorted before
//! somebody must go.

use super::Rooms;
use super::client_info::info_line;
use super::machine::Server;
use crate::base::ClientId;
use crate::clients::{Close, Session};
use crate::config::Config;
use crate::memory::{Charge, ClientMemory};

/// A lower limit would leave nobody to raise it.
const MIN_LIMIT_BYTES: u64 = 128 << 10;

impl ClientMemory {
    fn weigh(&self, session: &mut Session, arriving: usize) {
        let bytes = if session.close == Close::Now { 0 } else { session.heap_bytes() + arriving };
        session.counted = Some(self.charge(bytes));
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

impl Server {
    /// A client's worker reads an argument that grows.
    pub fn growing(&mut self, id: ClientId) {
        self.rooms.memory.clients.have_moved([id]);
    }
}

impl Rooms {
    /// Weighs a client with the requests it has just brought, and evicts if that is too much. With
    /// no limit it does nothing.
    #[inline]
    pub(super) fn weigh_requests(&mut self, id: ClientId, arriving: usize) {
        if self.config.maxmemory_clients != 0 && limit_of(&self.config) != 0 {
            self.weigh_moved();
            if let Some(session) = self.clients.get_mut(id) {
                self.memory.clients.weigh(session, arriving);
            }
            self.memory.clients.have_moved([id]);
            self.evict_clients();
        }
    }

    /// Answers are about to leave: weighs who gets them afterwards.
    #[inline]
    pub(super) fn note_output(&mut self) {
        if self.config.maxmemory_clients != 0 {
            self.memory.clients.have_moved(self.clients.listed().iter().copied());
        }
    }

    /// Weighs who must be, and evicts. Returns whether somebody was.
    pub(super) fn limit_client_memory(&mut self) -> bool {
        let limit = limit_of(&self.config);
        if self.memory.clients.follow(limit) {
            self.clients.wire_limits.weighs_clients.store(limit != 0, std::sync::atomic::Ordering::Relaxed);
            match limit {
                0 => self.clients.iter_mut().for_each(|session| session.counted = None),
                _ => self.weigh_all(),
            }
        }
        let evicted = self.stats.counters.evicted_clients;
        if limit != 0 {
            self.weigh_moved();
            self.evict_clients();
        } else {
            self.memory.clients.forget_moved();
        }
        self.stats.counters.evicted_clients > evicted
    }

    /// Closes whoever is too large by now: ten times a second, and when somebody wants to see all
    /// clients.
    pub(super) fn weigh_all_and_evict(&mut self) {
        if limit_of(&self.config) != 0 {
            self.weigh_all();
            self.evict_clients();
        }
    }

    fn weigh_all(&mut self) {
        self.memory.clients.forget_moved();
        let Rooms { clients, memory, .. } = self;
        clients.iter_mut().for_each(|session| memory.clients.weigh(session, 0));
    }

    fn weigh_moved(&mut self) {
        let Rooms { clients, memory, .. } = self;
        let moved = memory.clients.take_moved();
        for id in moved.into_iter().chain(clients.listed().to_vec()) {
            if let Some(session) = clients.get_mut(id) {
                memory.clients.weigh(session, 0);
            }
        }
    }

    /// Closes the largest clients until the rest fits.
    fn evict_clients(&mut self) {
        let limit = limit_of(&self.config);
        if limit == 0 || self.memory.clients.total_bytes() <= limit {
            return;
        }
        let mut largest: Vec<(u64, ClientId)> = self
            .clients
            .iter()
            .filter(|session| !session.no_evict && session.close != Close::Now)
            .map(|session| (session.counted.as_ref().map_or(0, Charge::amount), session.id))
            .collect();
        largest.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
        for (_, id) in largest {
            if self.memory.clients.total_bytes() <= limit {
                break;
            }
            self.evict(id);
        }
    }

    fn evict(&mut self, id: ClientId) {
        let rooms = self;
        if let Some(session) = rooms.clients.get(id) {
            log::info!("Evicting client: {}", info_line(rooms, session));
        }
        rooms.stats.counters.evicted_clients += 1;
        rooms.close_client(id, Close::Now);
        if let Some(session) = rooms.clients.get_mut(id) {
            session.outbox.bytes = Vec::new();
            rooms.memory.clients.weigh(session, 0);
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
}
