//! CLIENT LIST shows what has arrived: it waits a moment for the workers that still read.
//!
//! A thread reads for each client. Whoever writes on one connection and then asks on another what the first
//! client holds, or whether it is still there, would else be told so or so, as the kernel happened to wake
//! the two threads. The command is parked, at most [`MAX_WAIT_MS`], until every client with unread bytes has
//! been seen with none; clients that send without a pause need only be met once between two requests.
//! While `maxmemory-clients` limits them they are weighed then too, so that who is too large is gone.

use super::blocking::{BlockOn, Parked, WakeOn};
use super::ctx::{Ctx, Origin};
use super::session::{ClientId, Close, Running, Session};
use super::{Parts, Server};
use crate::base::time::UnixMillis;
use crate::resp::Argv;
use std::sync::atomic::Ordering;

/// How long CLIENT LIST waits for others, milliseconds.
const MAX_WAIT_MS: i64 = 10;

/// A command that waits for workers.
#[derive(Debug)]
struct Waiting {
    client: ClientId,
    until: UnixMillis,
    /// Who has not been seen with nothing to read.
    readers: Vec<ClientId>,
    /// What its own line shows of the requests it came with.
    running: Running,
}

/// All of them, oldest first.
#[derive(Debug, Default)]
pub struct Settling(Vec<Waiting>);

impl Settling {
    /// Whether somebody waits.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.0.is_empty()
    }
}

impl Ctx<'_> {
    /// Whether all that has arrived from clients is known. If not, the command is parked and runs again
    /// soon; the handler returns without an answer.
    pub fn has_settled(&mut self, argv: Argv<'_>) -> bool {
        if self.origin == Origin::Client {
            let readers = self.server.readers(self.server.clients.iter());
            if !readers.is_empty() {
                let until = self.server.now.saturating_add_ms(MAX_WAIT_MS);
                let (client, running) = (self.session.id, self.session.running);
                self.server.settling.0.push(Waiting { client, until, readers, running });
                let argv = argv.to_owned();
                let parked = Parked::new(BlockOn::Task, WakeOn::AnyChange, argv, self.db.index());
                self.session.parked = Some(parked);
                return false;
            }
        }
        self.server.weigh_all_and_evict();
        true
    }
}

impl Parts {
    /// Those of `clients` whose workers have something to read or to hand over.
    fn readers<'s>(&self, clients: impl Iterator<Item = &'s Session>) -> Vec<ClientId> {
        let candidates: Vec<_> = clients.filter(|session| session.close == Close::No).collect();
        let sockets: Vec<_> = candidates.iter().map(|session| session.connection.fd).collect();
        // First the sockets: what is no longer there has a busy worker.
        let unread = self.host.unread(&sockets);
        let is_reader = |&(session, is_unread): &(&Session, bool)| {
            is_unread || session.connection.gauges.is_reading.load(Ordering::Acquire)
        };
        candidates.into_iter().zip(unread).filter(is_reader).map(|(session, _)| session.id).collect()
    }
}

impl Server {
    /// Runs the commands again that need wait no longer. The caller runs what was released.
    pub(super) fn settle(&mut self) {
        if !self.parts.settling.is_waiting() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.parts.settling.0);
        let now = self.parts.now;
        let due = waiting.extract_if(.., |waiting| {
            let parts = &self.parts;
            waiting.readers = parts.readers(waiting.readers.iter().filter_map(|&id| parts.clients.get(id)));
            waiting.readers.is_empty() || waiting.until <= now
        });
        let due: Vec<_> = due.map(|waiting| (waiting.client, waiting.running)).collect();
        self.parts.settling.0 = waiting;
        for (client, running) in due {
            self.show_running(client, running);
            self.retry(client);
            self.show_running(client, Running::default());
        }
    }

    /// Requests that wait behind the command are shown as such.
    fn show_running(&mut self, client: ClientId, running: Running) {
        if let Some(session) = self.parts.clients.get_mut(client)
            && session.pending.is_empty()
        {
            session.running = running;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::TestServer;

    fn set_reading(server: &TestServer, id: u64, is_reading: bool) {
        let session = server.server.parts.clients.get(ClientId(id)).expect("the client is there");
        session.connection.gauges.is_reading.store(is_reading, Ordering::Release);
    }

    fn with_reader() -> TestServer {
        let mut server = TestServer::new();
        server.connect(2);
        server.connect(3);
        set_reading(&server, 2, true);
        server
    }

    #[test]
    fn client_list_waits_for_who_still_reads_and_its_client_for_it() {
        let mut server = with_reader();
        assert_eq!(server.pipeline_as(1, &["CLIENT LIST", "ECHO behind"]), "");
        assert_eq!(server.run_as(3, "PING"), "PONG", "nobody else waits");
        assert_eq!(server.output_of(1), "");
        set_reading(&server, 2, false);
        server.run_as(3, "PING");
        let answers = server.output_of(1);
        assert!(answers.contains("id=2 ") && answers.ends_with("\"behind\""), "{answers}");
        assert!(server.run("INFO commandstats").contains("cmdstat_client|list:calls=1,"));
    }

    #[test]
    fn its_own_line_is_the_same_as_if_it_had_not_waited() {
        let mut server = with_reader();
        set_reading(&server, 2, false);
        let at_once = server.run("CLIENT LIST ID 1");
        set_reading(&server, 2, true);
        assert_eq!(server.run("CLIENT LIST ID 1"), "");
        set_reading(&server, 2, false);
        server.advance(0);
        let later = server.output_of(1);
        // The answer before has made its buffer's peak.
        let without_peak =
            |line: &str| line.split(' ').filter(|word| !word.starts_with("rbp=")).collect::<String>();
        assert_eq!(without_peak(&later), without_peak(&at_once));
    }

    #[test]
    fn client_list_does_not_wait_for_ever_and_not_for_who_starts_later() {
        let mut server = with_reader();
        assert_eq!(server.run("CLIENT LIST"), "");
        server.advance(MAX_WAIT_MS - 1);
        assert_eq!(server.output_of(1), "");
        server.advance(1);
        assert!(server.output_of(1).contains("id=3 "));
        assert_eq!(server.run("CLIENT LIST"), "");
        set_reading(&server, 2, false);
        set_reading(&server, 3, true);
        server.advance(0);
        assert!(server.output_of(1).contains("id=3 "));
    }

    #[test]
    fn a_reader_that_leaves_and_one_who_asks_and_leaves_hold_up_nobody() {
        let mut server = with_reader();
        assert_eq!(server.run("CLIENT LIST"), "");
        assert_eq!(server.run_as(3, "CLIENT LIST"), "");
        server.disconnect(3);
        server.disconnect(2);
        server.advance(0);
        let answer = server.output_of(1);
        assert!(answer.contains("id=1 ") && !answer.contains("id=2 "), "{answer}");
        assert!(!server.server.parts.settling.is_waiting());
    }

    #[test]
    fn in_a_transaction_nothing_is_waited_for() {
        let mut server = with_reader();
        ["MULTI", "CLIENT LIST"].iter().for_each(|line| drop(server.run(line)));
        assert!(server.run("EXEC").contains("id=2 "));
    }

    #[test]
    fn who_is_too_large_with_what_has_arrived_is_gone_from_the_list() {
        let mut server = with_reader();
        server.run("CONFIG SET maxmemory-clients 1000000");
        assert_eq!(server.run("CLIENT LIST"), "");
        let session = server.server.parts.clients.get(ClientId(2)).expect("the client is there");
        session.connection.gauges.query_heap.store(1_000_001, Ordering::Relaxed);
        set_reading(&server, 2, false);
        server.advance(0);
        assert!(!server.output_of(1).contains("id=2 "));
        assert_eq!(server.closed, [ClientId(2)]);
    }
}
