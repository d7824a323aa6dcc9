//! Turning the append-only file on and off while the server runs: CONFIG SET appendonly.

use super::{Aof, AofOrder, AofState, StartCommand, Starter, hand_over, rewrite::cancel_rewrite};
use crate::base::ClientId;
use crate::keyspace::Keyspace;
use crate::server::Rooms;
use crate::server::machine::Server;

impl Rooms {
    /// Acts on a change of `appendonly`. Returns whether the client has to wait for the outcome.
    pub fn set_appendonly(
        &mut self,
        keyspace: &mut Keyspace,
        wanted: bool,
        client: Option<ClientId>,
    ) -> bool {
        if self.persistence.loading {
            // It is looked at when everything is loaded.
            return false;
        }
        match (wanted, self.persistence.aof.state) {
            (true, AofState::Off) => self.turn_on_aof(keyspace, client),
            (false, AofState::On | AofState::WaitRewrite) => {
                self.turn_off_aof(keyspace);
                false
            }
            _ => false,
        }
    }

    fn turn_on_aof(&mut self, keyspace: &mut Keyspace, client: Option<ClientId>) -> bool {
        self.persistence.aof.state = AofState::WaitRewrite;
        if self.persistence.saves.running.is_some() {
            self.persistence.aof.scheduled = true;
            log::warn!(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to \
                 start when possible."
            );
            return false;
        }
        if client.is_none() {
            self.persistence.aof.scheduled = true;
            log::warn!(
                "AOF was enabled during a transaction. An AOF background was scheduled to start when possible."
            );
            return false;
        }
        if self.persistence.aof.is_rewriting() {
            log::warn!(
                "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and starting \
                 a rewrite now."
            );
            cancel_rewrite(keyspace, self);
        }
        if self.persistence.aof.is_rewriting() {
            self.persistence.aof.scheduled = true;
            return false;
        }
        self.persistence.aof.requested = true;
        self.persistence.aof.starter = client.map(|client| Starter { client, command: StartCommand::TurnOn });
        true
    }

    fn turn_off_aof(&mut self, keyspace: &mut Keyspace) {
        let is_listed = self.persistence.aof.state == AofState::On;
        cancel_rewrite(keyspace, self);
        stop_feeding(self);
        self.propagation.forget_selected();
        let temporary = Aof::names(&self.config).temporary_incr();
        self.persistence.aof.order(if is_listed { AofOrder::Close } else { AofOrder::Discard(temporary) });
        self.persistence.aof.state = AofState::Off;
        (self.persistence.aof.scheduled, self.persistence.aof.incr_size) = (false, 0);
        self.persistence.aof.error = None;
    }
}

impl Server {
    /// Acts on a change of `appendonly` while the snapshot was loaded.
    pub(in crate::server) fn catch_up_with_appendonly(&mut self) {
        if self.rooms.config.appendonly && self.rooms.persistence.aof.state == AofState::Off {
            self.rooms.turn_on_aof(&mut self.keyspace, None);
        }
    }
}

/// Nothing more is appended for now.
pub(super) fn stop_feeding(rooms: &mut Rooms) {
    hand_over(rooms);
    if std::mem::take(&mut rooms.persistence.aof.is_fed) {
        rooms.propagation.unsubscribe();
    }
}
