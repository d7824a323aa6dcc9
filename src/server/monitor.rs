//! MONITOR: every command is shown to those who asked for it, as it runs.
//!
//! As in Redis 7.0 a line follows the command it shows, so that secrets and the selected database
//! are known: `+1339518083.107412 [0 127.0.0.1:60866] "get" "k"`. Commands of a transaction come
//! before its EXEC, commands of a script behind the script. Administration is never shown.

use super::Rooms;
use super::command::FoundCommand;
use super::ctx::Ctx;
use super::origin::Origin;
use crate::base::text::quote;
use crate::clients::{ReplyMode, Session};
use crate::resp::{Argv, Broadcast, Reply};
use crate::spec::{ADMIN, SKIP_MONITOR};
use crate::stats::{REDACTED, secrets};

impl Ctx<'_> {
    /// Shows this client what runs from now on. Returns whether it was not shown that already.
    pub fn begin_monitor(&mut self) -> bool {
        let is_new = !std::mem::replace(&mut self.session.is_monitor, true);
        if is_new {
            self.rooms.monitors.add(self.session.id);
        }
        is_new
    }

    /// Ends what MONITOR began. Source: RESET.
    pub fn end_monitor(&mut self) {
        if std::mem::take(&mut self.session.is_monitor) {
            self.rooms.monitors.remove(self.session.id);
        }
    }

    /// Shows `argv` now, before what it runs. Source: scripts, which are not shown by themselves.
    pub fn show_to_monitors(&mut self, argv: Argv<'_>) {
        if !self.rooms.monitors.is_empty() {
            show(self.rooms, self.session, self.command, argv, self.origin);
        }
    }
}

/// Shows a command that has just run, if it may be shown.
pub(super) fn feed(
    rooms: &mut Rooms,
    session: &mut Session,
    (command, ..): FoundCommand,
    argv: Argv<'_>,
    origin: Origin,
) {
    // A command that waited was shown when it came.
    let was_shown = origin == Origin::Unparked || rooms.persistence.loading;
    if !was_shown && !command.spec.flags.intersects(ADMIN.with(SKIP_MONITOR)) {
        show(rooms, session, command, argv, origin);
    }
}

fn show(rooms: &mut Rooms, session: &mut Session, command: &super::Command, argv: Argv<'_>, origin: Origin) {
    let line = line(rooms, session, command, argv, origin);
    let write = |reply: &mut Reply<'_>| reply.raw(&line);
    let mut broadcast = Broadcast::new(&write);
    for &id in rooms.monitors.clients() {
        let monitor = if id == session.id { Some(&*session) } else { rooms.clients.get(id) };
        if monitor.is_none_or(|monitor| monitor.outbox.mode != ReplyMode::Off) {
            rooms.clients.push(id, &mut broadcast);
        }
    }
}

fn line(
    rooms: &Rooms,
    session: &Session,
    command: &super::Command,
    argv: Argv<'_>,
    origin: Origin,
) -> Vec<u8> {
    let us = rooms.time.clock.wall_us();
    let (secs, us) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let source = match origin {
        Origin::Script => "lua".to_owned(),
        _ if session.connection.unix => format!("unix:{}", rooms.config.unixsocket.to_str()),
        _ => session.connection.addr.clone(),
    };
    let secrets = secrets(&command.spec, argv);
    let mut line = format!("+{secs}.{us:06} [{} {source}]", session.db.0).into_bytes();
    for (place, argument) in argv.iter().enumerate() {
        line.push(b' ');
        line.extend(quote(if secrets.contains(place) { REDACTED } else { argument }));
    }
    line.extend_from_slice(b"\r\n");
    line
}
