//! Changes that are in memory and not on disk, with `appendfsync always`: an answer that shows one
//! of them waits.
//!
//! Whatever changes a key notes it here ([`Rooms::note_changed`]), at the latest when the change is
//! announced. The accessors of a database say which keys a command looked up
//! ([`Keyspace::has_looked_up`]), so that no command can forget to wait; what shows many keys and
//! names none waits for all. Keys are known by their hash: a collision makes somebody wait in vain,
//! no more. A note lives until its change is on disk, so there are fewer than bytes on their way to
//! the file.

use super::Aof;
use crate::clients::{Clients, Session};
use crate::keyspace::{Db, Keyspace};
use crate::server::Rooms;
use crate::server::command::Command;
use crate::spec::READONLY;

impl Aof {
    /// True when a change is on its way to the disk that answers must not show before it is there.
    pub(in crate::server) fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// How much has been noted in this turn.
    pub(in crate::server) fn noted_unsynced(&self) -> (usize, bool) {
        self.unsynced.noted()
    }

    /// Forgets what was noted since: it is undone.
    pub(in crate::server) fn forget_unsynced_after(&mut self, noted: (usize, bool)) {
        self.unsynced.forget_noted_after(noted);
    }
}

impl Rooms {
    /// Notes that `key` of `db` changed: what shows it waits until that is on disk, with
    /// `appendfsync always`.
    #[inline]
    pub(in crate::server) fn note_changed(&mut self, db: &Db, key: &[u8]) {
        if self.persistence.aof.is_strict(&self.config) {
            self.persistence.aof.unsynced.note(db.hash_of(key));
            self.clients.in_doubt = true;
        }
    }

    /// Notes that any key may have changed.
    pub(in crate::server) fn note_all_changed(&mut self) {
        if self.persistence.aof.is_strict(&self.config) {
            self.persistence.aof.unsynced.note_all();
            self.clients.in_doubt = true;
        }
    }
}

/// Before a command: what was looked up is no business of it.
#[inline]
pub(in crate::server) fn begin(keyspace: &mut Keyspace) {
    if keyspace.findings.looked_up.is_wanted {
        keyspace.has_looked_up(|_| false);
    }
}

/// After a command: whether what it answers shows a change that is not on disk.
#[inline]
pub(in crate::server) fn shows_unsynced(keyspace: &mut Keyspace, aof: &Aof, command: &Command) -> bool {
    if !keyspace.findings.looked_up.is_wanted {
        return false;
    }
    let shows_changed = keyspace.has_looked_up(|key| aof.unsynced.holds(key)) || shows_many(command);
    shows_changed && aof.has_unsynced()
}

/// True when a command shows data and names no key: DBSIZE, KEYS, RANDOMKEY, SCAN.
fn shows_many(command: &Command) -> bool {
    command.spec.flags.contains(READONLY) && !command.spec.has_keys()
}

impl Clients {
    /// Before a command of a client: whether what it makes others hear tells of something that is
    /// not on disk.
    pub(in crate::server) fn doubt_of(&self, session: &Session, aof: &Aof) -> bool {
        aof.has_unsynced() && (session.outbox.awaits_file || !session.outbox.held.is_empty())
    }
}
