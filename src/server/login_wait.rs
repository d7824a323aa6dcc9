//! Passwords that wait: after a wrong one the next of the same address is looked at when the delay
//! is over, and nobody learns earlier whether it is right.
//!
//! [`crate::acl::Throttle`] knows the length of the delay. While it lasts, the client is parked in
//! front of its AUTH, HELLO or EXEC ([`Until::Login`]); then those of its address go on in the
//! order in which they came, until one is wrong, which is the beginning of the next delay. So an
//! address has one guess a delay, over however many connections, and one that hangs up and comes
//! again stands at the end. A right password is late by one delay for each different wrong one that
//! came before it, and is never refused. Those that wait with the same wrong guess are told
//! together, so that a fleet of clients with one outdated password delays others once.

use super::command::Command;
use super::rooms::Rooms;
use crate::acl::Guess;
use crate::clients::Session;
use crate::resp::Argv;
use crate::spec::RUNS_TRANSACTION;
use crate::waiting::{LoginWait, Then, Until, Wait};
use std::sync::atomic::Ordering;

/// Parks the client in front of `command` if that looks at a password and another of its address
/// was wrong lately. Returns whether it does.
#[inline]
pub(super) fn hold_back(rooms: &mut Rooms, session: &mut Session, command: &Command, argv: Argv<'_>) -> bool {
    rooms.acl.throttle.is_in_use() && hold_back_login(rooms, session, command, argv)
}

#[cold]
fn hold_back_login(rooms: &mut Rooms, session: &mut Session, command: &Command, argv: Argv<'_>) -> bool {
    let credentials = command.credentials.and_then(|credentials| credentials(argv));
    let is_transaction = command.spec.flags.contains(RUNS_TRANSACTION);
    let logs_in = credentials.is_some()
        || is_transaction && session.multi.as_ref().is_some_and(|transaction| transaction.logs_in());
    if !logs_in {
        return false;
    }
    let has_waited = std::mem::take(&mut session.login.has_waited);
    let (host, now) = (session.connection.host(), rooms.time.monotonic);
    let until = rooms.acl.throttle.delay_ends(host, now);
    if until.is_none() && (has_waited || !rooms.waiting.queue.has_login_of(host)) {
        return false;
    }
    let guess = credentials.map(|(user, password)| Guess::of(user, password));
    if has_waited && guess.as_ref() == rooms.acl.throttle.last_guess(host) {
        return false;
    }
    rooms.waiting.look_at_logins(until.unwrap_or(now));
    let login = LoginWait { host: host.to_string(), guess: guess.map(|guess| guess.bytes()) };
    rooms.park(session, Wait::new(Until::Login(login), Then::Begin, session.db));
    true
}

impl Rooms {
    /// True when a password need wait no longer: the delay of its address is over, or the wrong one
    /// that began it was the same. If not, it is looked at again when the delay ends.
    pub(super) fn may_log_in(&mut self, login: &LoginWait) -> bool {
        let Some(until) = self.acl.throttle.delay_ends(&login.host, self.time.monotonic) else { return true };
        let wrong = self.acl.throttle.last_guess(&login.host).map(Guess::bytes);
        let is_told = wrong.is_some() && wrong == login.guess;
        if !is_told {
            self.waiting.look_at_logins(until);
        }
        is_told
    }
}

/// Lets the worker know whether what waits may still log the client in.
pub(super) fn tell_worker(session: &Session) {
    if !session.login.authenticated {
        let waits = session.parked.is_some() || !session.requests.pending.is_empty();
        session.connection.gauges.may_log_in.store(waits, Ordering::Release);
    }
}
