//! The duties of a shutdown towards the append-only file.

use super::rewrite::cancel_rewrite;
use super::state::Flush;
use super::{Aof, AofState, hand_over};
use crate::persistence::AofOrder;
use crate::server::machine::Server;

impl Server {
    pub(super) fn aof_flushed(&mut self, result: Result<(), String>) {
        let aof = &mut self.rooms.persistence.aof;
        if aof.flush != Flush::Running {
            return;
        }
        aof.flush = Flush::Done;
        if let Err(reason) = result {
            // Redis: that is no reason to stay.
            log::warn!("Fail to fsync the AOF file: {reason}.");
        }
        self.continue_shutdown();
    }

    /// Does the part of a shutdown that the append-only file needs before anything else. Returns
    /// whether the shutdown has to wait for it, or was given up.
    pub(in crate::server) fn finish_aof(&mut self, force: bool) -> bool {
        if self.rooms.persistence.jobs.is_installing() {
            // Its end goes on with the shutdown.
            return true;
        }
        if self.rooms.persistence.jobs.is_rewriting() {
            if self.rooms.persistence.aof.state == AofState::WaitRewrite {
                if !force {
                    log::warn!("Writing initial AOF, can't exit.");
                    self.fail_shutdown();
                    return true;
                }
                log::warn!("Writing initial AOF. Exit anyway.");
            }
            log::warn!("A rewrite of the AOF is under way. Giving it up!");
            cancel_rewrite(&mut self.keyspace, &mut self.rooms);
        }
        match self.rooms.persistence.aof.flush {
            Flush::Running => return true,
            Flush::Done => return false,
            Flush::No => {}
        }
        if !self.rooms.persistence.aof.may_owe_bytes() {
            return false;
        }
        if self.rooms.persistence.aof.is_fed() {
            log::info!("Calling fsync() on the AOF file.");
            hand_over(&mut self.rooms);
        }
        self.rooms.persistence.aof.order(AofOrder::Flush);
        self.rooms.persistence.aof.flush = Flush::Running;
        true
    }
}

impl Aof {
    /// True when a stop has to see to it that what was answered is in the file: there is one, or
    /// there was, and it may not be closed yet.
    pub(in crate::server) fn may_owe_bytes(&self) -> bool {
        self.is_fed() || self.handed > 0
    }

    /// A shutdown was given up: the next one begins anew.
    pub(in crate::server) fn shutdown_aborted(&mut self) {
        self.flush = Flush::No;
    }
}
