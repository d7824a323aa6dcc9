//! Reading the file back: DEBUG LOADAOF.
//!
//! The files must hold all that was propagated, and nothing may be propagated while they are read,
//! else memory and file would differ. So writes pause, the thread is asked to write what is on its
//! way, and when it reports that it has, the engine loads the file, at once. Nobody waits for the
//! thread itself: it may be waiting for room in the owner's queue.

use super::Aof;
use super::state::ReloadStep;
use crate::base::ClientId;
use crate::persistence::AofOrder;
use crate::resp::Reply;
use crate::server::Rooms;
use crate::server::machine::Server;
use crate::server::task::Task;
use crate::waiting::{Pause, PauseReason};

impl Aof {
    /// Ends a turn, behind what was propagated in it.
    pub(super) fn order_reload(&mut self) {
        if self.reload.step == ReloadStep::Requested {
            self.reload.step = ReloadStep::Ordered;
            self.order(AofOrder::Reload);
        }
    }
}

impl Rooms {
    /// Has the data set read back from the file; `client` waits for that. Source: DEBUG LOADAOF.
    pub fn request_aof_reload(&mut self, client: Option<ClientId>) {
        self.waiting.pauses.pause(PauseReason::Reload, Pause::Writes, None);
        let reload = &mut self.persistence.aof.reload;
        reload.clients.extend(client);
        if reload.step == ReloadStep::Idle {
            reload.step = ReloadStep::Requested;
        }
    }
}

impl Server {
    /// The file holds everything, or cannot.
    pub(super) fn aof_may_reload(&mut self, result: Result<(), String>) {
        match result {
            Ok(()) => self.rooms.outside.tasks.push(Task::LoadAof),
            Err(reason) => {
                log::warn!("DEBUG LOADAOF: the AOF file does not hold everything: {reason}");
                self.end_reload(|reply| {
                    reply.error("ERR Error trying to load the AOF files, check server logs.");
                });
            }
        }
    }

    /// Whoever waits for a reload is answered, and writes go on.
    pub(super) fn end_reload(&mut self, write: impl Fn(&mut Reply<'_>)) {
        self.rooms.waiting.pauses.unpause(PauseReason::Reload);
        for client in std::mem::take(&mut self.rooms.persistence.aof.reload).clients {
            self.complete(client, |_, reply| write(reply));
        }
    }
}
