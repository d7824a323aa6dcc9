//! Holding a command back before it begins: while a pause lasts, or until a save has passed the
//! long string that the command would change.
//!
//! Everything but a string is copied in small chunks when it changes under a walk
//! ([`crate::keyspace::snapshot`]). A string is one piece: to change a byte of half a GB, the owner
//! would copy all of it while everybody waits, and memory would hold it twice. So the page with the
//! string is handed over first, and the client's command, one that is marked
//! [`Command::edits_string_at`] or an EXEC of such, waits until the parcels on their way have been
//! dealt with. Others go on, also with this key.

use super::command::Command;
use super::rooms::Rooms;
use super::{gate, multi};
use crate::clients::Session;
use crate::keyspace::Keyspace;
use crate::resp::Argv;
use crate::spec::RUNS_TRANSACTION;
use crate::waiting::{Then, Until, Wait};

/// Parks the client in front of `command` if a pause holds it back. Returns whether it does.
#[inline]
pub(super) fn by_pause(rooms: &mut Rooms, session: &mut Session, command: &Command, argv: Argv<'_>) -> bool {
    let is_held_back = rooms.waiting.pauses.are_on()
        && rooms.waiting.pauses.holds_back(gate::flags_of(rooms, session, command, argv));
    if is_held_back {
        rooms.park(session, Wait::new(Until::PauseEnds, Then::Begin, session.db));
    }
    is_held_back
}

/// Parks the client in front of `command` if that would copy a long string for the sake of a walk.
#[inline]
pub(super) fn by_walk(
    keyspace: &mut Keyspace,
    rooms: &mut Rooms,
    session: &mut Session,
    command: &Command,
    argv: Argv<'_>,
) -> bool {
    match keyspace.walk_number() {
        None => false,
        Some(walk) => by_this_walk(walk, keyspace, rooms, session, command, argv),
    }
}

#[cold]
fn by_this_walk(
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
        None => command.edited_string(argv).is_some_and(|key| db.edit_would_copy(key)),
        // A SELECT inside is not followed: what it leads to is copied.
        Some(queued) if command.spec.flags.contains(RUNS_TRANSACTION) => {
            // Each is asked, so that all are handed over in this turn.
            multi::edited_strings(&rooms.commands, queued)
                .fold(false, |any, key| db.edit_would_copy(key) | any)
        }
        Some(_) => false,
    };
    if would_copy {
        session.requests.waited_for_walk = walk;
        rooms.park(session, Wait::new(Until::Parcel(None), Then::Begin, session.db));
    }
    would_copy
}
