//! Turning the append-only file on and off while the server runs: CONFIG SET appendonly.

use super::rewrite::cancel_rewrite;
use super::{Aof, AofState, hand_over};
use crate::base::ClientId;
use crate::keyspace::Keyspace;
use crate::persistence::{AofOrder, JobWish, RewriteStarter, StartCommand, Verdict};
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
        if self.persistence.jobs.saving().is_some() {
            self.persistence.jobs.schedule_rewrite();
            log::warn!(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to \
                 start when possible."
            );
            return false;
        }
        if client.is_none() {
            self.persistence.jobs.schedule_rewrite();
            log::warn!(
                "AOF was enabled during a transaction. An AOF background was scheduled to start when possible."
            );
            return false;
        }
        if self.persistence.jobs.is_rewriting() {
            log::warn!(
                "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and starting \
                 a rewrite now."
            );
            cancel_rewrite(keyspace, self);
        }
        if self.persistence.jobs.ask(JobWish::TurnOnAof) == Verdict::Scheduled {
            return false;
        }
        let starter = client.map(|client| RewriteStarter { client, command: StartCommand::TurnOn });
        self.persistence.aof.rewrites.starter = starter;
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
        self.persistence.jobs.forget_scheduled_rewrite();
        self.persistence.aof.sizes.incr = 0;
        self.persistence.aof.forget_errors();
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
    if let Some(reader) = rooms.persistence.aof.reader.take() {
        rooms.propagation.leave(reader);
    }
}
