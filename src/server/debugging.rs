//! A session of the scripts' debugger, from SCRIPT DEBUG to the end of the connection.
//!
//! EVAL of a client that is debugged runs the script as ever, on the owner thread, in both modes.
//! Where it stops, the client is sent what is logged, and the owner waits for its next command,
//! with an ear for others ([`Busy::wait`]): to them it is a script that runs too long. Redis debugs
//! in a child that is lost with its changes (SCRIPT DEBUG YES), or in the server (SYNC): here the
//! first differs from the second in that its changes are undone.

use super::Rooms;
use super::busy::Busy;
use super::ctx::Ctx;
use super::error::{CommandError, CommandResult};
use super::origin::Origin;
use crate::clients::{Close, DebuggedChanges, Debugging, Sent, Session};
use crate::keyspace::Keyspace;
use crate::script::Order;
use crate::script::run::{Changes, Kill};

/// The last line of a session: redis-cli waits for it.
const END: &[u8] = b"<endsession>";

impl Ctx<'_> {
    /// Debugs the scripts of this client from here on; `None` ends that.
    pub fn set_debugging(&mut self, changes: Option<DebuggedChanges>) -> CommandResult {
        if self.reply.buffered_bytes() > 0 {
            return Err(CommandError::fixed("ERR SCRIPT DEBUG must be called outside a pipeline"));
        }
        self.session.debugging = changes.map(|changes| Box::new(Debugging::new(changes)));
        self.reply.ok();
        Ok(())
    }

    /// Runs `act`, which is EVAL, as a session of the debugger if the client wants that.
    pub fn maybe_debugged(&mut self, act: impl FnOnce(&mut Self) -> CommandResult) -> CommandResult {
        let Some(changes) = self.session.debugging.as_ref().map(|debugging| debugging.changes) else {
            return act(self);
        };
        // What is said meanwhile overtakes answers that wait.
        if self.origin != Origin::Client || self.reply.buffered_bytes() > 0 {
            return Err(CommandError::fixed("ERR Scripts are debugged outside of a pipeline or transaction"));
        }
        log::warn!("Lua debugging session started. {}", said_of(changes));
        self.set_under_way(true);
        let result = act(self);
        self.end_debugging();
        log::warn!("Lua debugging session ended.");
        result
    }

    fn set_under_way(&mut self, is_under_way: bool) {
        if let Some(debugging) = &mut self.session.debugging {
            debugging.is_under_way = is_under_way;
        }
    }

    /// Tells the client the rest and that it is the end, in front of the answer of EVAL, behind
    /// which the connection closes.
    fn end_debugging(&mut self) {
        let Some(mut debugging) = self.session.debugging.take() else { return };
        debugging.untold.push(END.to_vec());
        self.reply.prepend(&message(&debugging.untold));
        if self.session.close == Close::No {
            self.session.close = Close::AfterFlush;
        }
    }
}

fn said_of(changes: DebuggedChanges) -> &'static str {
    match changes {
        DebuggedChanges::Undone => "Its changes are undone at its end.",
        DebuggedChanges::Kept => "Its changes stay.",
    }
}

/// Lines as the client gets them: an array of simple strings.
fn message(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", lines.len()).into_bytes();
    for line in lines {
        bytes.push(b'+');
        bytes.extend(line.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Sends the client of the script that runs the lines of `said`, and waits for what it wants next.
pub(super) fn ask(
    keyspace: &mut Keyspace,
    rooms: &mut Rooms,
    session: &mut Session,
    mut said: Vec<Vec<u8>>,
) -> Order {
    if rooms.outside.ear.is_none() || is_gone(session) {
        if let Some(debugging) = &mut session.debugging {
            debugging.untold.append(&mut said);
        }
        return without_client(rooms, session);
    }
    session.outbox.bytes.append(&mut message(&said));
    let order = wait(keyspace, rooms, session);
    // The time for which a client thinks is none of the script's.
    let now_ns = rooms.time.clock.monotonic_ns();
    if let Some(run) = &mut rooms.script.run {
        run.began_ns = now_ns;
    }
    if order == Order::Gone { without_client(rooms, session) } else { order }
}

/// Hears whoever says something until the client of the debugger does.
fn wait(keyspace: &mut Keyspace, rooms: &mut Rooms, session: &mut Session) -> Order {
    let was_busy = set_busy(rooms, true);
    Busy::new(keyspace, rooms, session).listen();
    let order = loop {
        if let Some(order) = next(rooms, session) {
            break order;
        }
        Busy::new(keyspace, rooms, session).wait();
    };
    set_busy(rooms, was_busy);
    order
}

/// What follows when nobody is there to say it: nobody would see what comes of a script that is
/// undone.
fn without_client(rooms: &mut Rooms, session: &Session) -> Order {
    match &mut rooms.script.run {
        Some(run) if is_undone(session) => {
            let line = "ERR The client that debugs the script is gone.".to_owned();
            run.kill = Some(Kill { line, changes: Changes::RolledBack });
            Order::Stop
        }
        _ => Order::Gone,
    }
}

/// True when nothing comes of the client any more.
fn is_gone(session: &Session) -> bool {
    session.close != Close::No || session.debugging.as_ref().is_none_or(|debugging| debugging.is_done())
}

/// True when the script that this client debugs leaves nothing behind. What it runs besides, as
/// FCALL, is debugged by nobody.
pub(super) fn is_undone(session: &Session) -> bool {
    let debugged = session.debugging.as_ref().filter(|debugging| debugging.is_under_way);
    debugged.is_some_and(|debugging| debugging.changes == DebuggedChanges::Undone)
}

/// Sets if others are told to wait; returns if they were.
fn set_busy(rooms: &mut Rooms, is_busy: bool) -> bool {
    rooms.script.run.as_mut().is_some_and(|run| std::mem::replace(&mut run.is_busy, is_busy))
}

/// What the client wants, if that is known.
fn next(rooms: &Rooms, session: &mut Session) -> Option<Order> {
    if rooms.script.run.as_ref().is_some_and(|run| run.kill.is_some()) {
        return Some(Order::Stop);
    }
    // What it has sent before it went is what it wants.
    let sent = session.debugging.as_mut().and_then(|debugging| debugging.take());
    match sent.filter(|_| session.close == Close::No) {
        Some(Sent::Command(words)) => Some(Order::Command(words)),
        Some(Sent::Garbage) => Some(Order::Garbage),
        None => is_gone(session).then_some(Order::Gone),
    }
}
