//! Keys on their way to another server: MIGRATE between its two halves.
//!
//! Redis stops the world until the target has answered. Here the owner hands over *references* to
//! the values ([`crate::server::MigrateJob`]) and goes on; a thread of `link/` serializes and sends
//! them. When it reports which keys the target took ([`MigrateReport`]), a key is deleted here only
//! if it still is what was sent. That is exact without any counter: the references are held until
//! the report has come, and whoever changes a value that is shared copies it first, so the same
//! allocation means the same value.
//!
//! A key that changed meanwhile stays, and the client is told: the target has the older value and
//! this server the newer, and which of them is wanted only the client can say. Nothing is lost
//! either way.
//!
//! Redis that is told to send keys to itself waits for its own answer until the timeout, and the
//! key stays. We would answer ourselves, and delete what we have just restored: so a report tells
//! where its connection begins, and if one of our clients is there, nothing is deleted and the
//! answer is Redis's. A proxy in between hides it.

use super::changed;
use super::machine::Server;
use super::migrate_job::{Direction, MigrateError, MigrateReport};
use crate::config::NotifyClasses;
use crate::keyspace::{DbIndex, Stored};
use crate::resp::OwnedArgv;
use core::net::SocketAddr;

/// Tells that a key was not deleted here because it is not what was sent.
const CHANGED: &str = "ERR Key changed while it was migrated: the target has the older value, this server keeps the \
     newer one";

impl Server {
    /// Deletes what the target has taken and answers the client, if it is still there.
    pub fn migrated(&mut self, report: MigrateReport) {
        let MigrateReport { client, db, mut taken, mut result, from } = report;
        if from.is_some_and(|address| self.is_connected_from(address)) {
            taken.clear();
            result = Err(MigrateError::Broken(Direction::Reading));
        }
        let all_same = self.delete_taken(db, taken);
        let line = match result {
            Err(error) => Some(error.to_string()),
            Ok(()) if !all_same => Some(CHANGED.to_owned()),
            Ok(()) => None,
        };
        self.end_unit();
        self.serve_ready();
        if let Some(session) = self.rooms.clients.get_mut(client) {
            // The answer tells of deletions.
            session.outbox.awaits_file = true;
        }
        self.complete(client, |rooms, reply| match line {
            None => reply.ok(),
            Some(line) => {
                rooms.stats.counters.count_error(line.as_bytes());
                reply.error(&line);
            }
        });
    }

    /// True when one of our clients is at the other end of a connection that begins at `address`:
    /// then we have sent the keys to ourselves, by whichever name of ours.
    fn is_connected_from(&self, address: SocketAddr) -> bool {
        let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        self.rooms.clients.iter().any(|session| {
            let peer = session.connection.addr.parse();
            peer.is_ok_and(|peer| canonical(peer) == canonical(address))
        })
    }

    /// Deletes each key that still is what was sent; they leave as one DEL. Returns whether all
    /// were.
    fn delete_taken(&mut self, index: DbIndex, taken: Vec<(Vec<u8>, Stored)>) -> bool {
        let Some(db) = self.keyspace.at(index) else { return taken.is_empty() };
        let mut deleted: Vec<Vec<u8>> = Vec::new();
        let mut all_same = true;
        for (key, sent) in taken {
            match db.copy_of(&key) {
                Some(present) if present.is_same(&sent) => {
                    db.remove(&key);
                    changed::key_changed(db, &mut self.rooms, NotifyClasses::GENERIC, "del", &key);
                    deleted.push(key);
                }
                // Its time has come meanwhile; or it was named twice.
                None if sent.deadline.is_some_and(|deadline| deadline <= self.rooms.time.now) => {}
                None if deleted.contains(&key) => {}
                _ => all_same = false,
            }
        }
        if !deleted.is_empty() && self.rooms.propagation.is_wanted() {
            let words = std::iter::once(&b"DEL"[..]).chain(deleted.iter().map(Vec::as_slice));
            self.rooms.propagation.push(index, OwnedArgv::from_parts(words));
        }
        all_same
    }
}
