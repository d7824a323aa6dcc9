//! Edits of long strings while a snapshot is taken: they wait until the saver has passed them.
//!
//! Everything else is copied in small chunks when it changes under a walk
//! ([`crate::keyspace::snapshot`]). A string is one piece: to change a byte of half a GB, the owner
//! would copy all of it while everybody waits, and memory would hold it twice. So the page with the
//! string is handed over first, and the client's command, one that is marked
//! [`Command::edits_string`] or an EXEC of such, is held back ([`BlockOn::Walk`]) until the parcels
//! on their way have been dealt with. Others go on, also with this key.

use super::command::Command;
use super::machine::Server;
use super::{Rooms, multi};
use crate::base::ClientId;
use crate::clients::Session;
use crate::keyspace::Keyspace;
use crate::resp::{Argv, OwnedArgv};
use crate::waiting::{BlockOn, Parked, WakeOn};

/// Clients whose commands wait, oldest first.
#[derive(Debug, Default)]
pub struct WalkWaiters(Vec<Waiting>);

#[derive(Clone, Copy, Debug)]
struct Waiting {
    client: ClientId,
    /// The last parcel that may hold what the command would change; known at the end of the turn.
    parcel: Option<u64>,
}

/// Parks the client in front of `command` if that would copy a long string for the sake of a walk.
#[inline]
pub(super) fn hold_back(
    keyspace: &mut Keyspace,
    rooms: &mut Rooms,
    session: &mut Session,
    command: &Command,
    argv: Argv<'_>,
) -> bool {
    match keyspace.walk_number() {
        None => false,
        Some(walk) => hold_back_in(walk, keyspace, rooms, session, command, argv),
    }
}

#[cold]
fn hold_back_in(
    walk: u32,
    keyspace: &mut Keyspace,
    rooms: &mut Rooms,
    session: &mut Session,
    command: &Command,
    argv: Argv<'_>,
) -> bool {
    // Whoever still holds the string when it has waited is not the walk.
    if std::mem::take(&mut session.requests.waited_for_walk) == walk {
        return false;
    }
    let Some(db) = keyspace.at(session.db) else { return false };
    let would_copy = match &session.multi {
        None => command.edits_string && db.edit_would_copy(argv.at(1)),
        // A SELECT inside is not followed: what it leads to is copied.
        Some(queued) if command.spec.name == "exec" => {
            // Each is asked, so that all are handed over in this turn.
            multi::edited_strings(&rooms.commands, queued)
                .fold(false, |any, key| db.edit_would_copy(key) | any)
        }
        Some(_) => false,
    };
    if would_copy {
        session.requests.waited_for_walk = walk;
        rooms.waiting.walk.0.push(Waiting { client: session.id, parcel: None });
        let parked = Parked::new(BlockOn::Walk, WakeOn::AnyChange, OwnedArgv::default(), session.db);
        session.parked = Some(parked);
    }
    would_copy
}

impl Server {
    /// Notes behind which parcel the commands held back in this turn may run. Called when it has
    /// been packed.
    pub(super) fn note_walk_waiters(&mut self) {
        let last = self.keyspace.walk().and_then(|walk| walk.last_packed());
        for waiting in &mut self.rooms.waiting.walk.0 {
            waiting.parcel = waiting.parcel.or(last);
        }
    }

    /// Lets commands go on whose strings the walk holds no longer. The caller runs what was
    /// released.
    pub(super) fn release_walk_waiters(&mut self) {
        let rooms = &mut self.rooms;
        if rooms.waiting.walk.0.is_empty() {
            return;
        }
        let walk = self.keyspace.walk();
        let is_over = |parcel: Option<u64>| {
            walk.is_none_or(|walk| parcel.is_some_and(|number| walk.has_released(number)))
        };
        let (over, waiting) = std::mem::take(&mut rooms.waiting.walk.0)
            .into_iter()
            .partition(|waiting| is_over(waiting.parcel));
        rooms.waiting.walk.0 = waiting;
        for Waiting { client, .. } in over {
            // It may have been killed meanwhile.
            if let Some(session) = rooms.clients.get_mut(client)
                && session.parked.take_if(|parked| parked.on == BlockOn::Walk).is_some()
            {
                rooms.waiting.keys.release(client);
            }
        }
    }
}
