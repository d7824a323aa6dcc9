//! A worker: reads one connection until it ends.
//!
//! A worker waits in a blocking read into a small buffer on its stack, so an idle connection costs
//! a few pages of stack and nothing of the heap. The requests that a read brings are parsed at once
//! and leave as ONE event, the buffer with them, so a pipeline pays for the channel once. A read
//! that fills the small buffer is continued without waiting. The memory a batch travels in comes
//! back from the owner ([`Handle::spent`]): a worker that never allocates never gets a heap of its
//! own from the allocator, which is tens of KiB a thread. One that had to gives it up when its
//! client is quiet.
//!
//! While the owner is behind, the bounded channel blocks the worker, and TCP its client. When the
//! owner has ended the channel is closed and so is the connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::socket::{Received, Socket};
use crate::base::text::os_reason;
use crate::base::time::Arrival;
use crate::base::{ClientId, alloc};
use crate::clients::{ClientGauges, Waking, WireLimits};
use crate::engine::{Event, Handle, Milestone, Stopped, new_batch, os, transit_bytes};
use crate::memory::{Account, Charge};
use crate::resp::{Login, ParseLimits, Parser};

/// The buffer on the stack that waits for a client, bytes: enough for most pipelines.
const IDLE_BYTES: usize = 4096;
/// The bytes that a read is continued with while more waits.
const MORE_BYTES: usize = 16 * 1024;
/// Most bytes gathered for one event, but for a big argument.
const GATHER_BYTES: usize = 64 * 1024;
/// After so many bytes a client's worker waits until the owner has run them.
const AHEAD_BYTES: usize = 1 << 20;
/// After so long without a byte a worker that had to allocate gives its heap up.
const QUIET: Duration = Duration::from_millis(300);
/// Between two looks at whether an AUTH that waits has logged the client in.
const LOGIN_LOOK: Duration = Duration::from_millis(20);
/// So much of a request that is too large is shown in the log.
const OVERLONG_SHOWN_BYTES: usize = 64;
/// An unfinished command is reported each time it has grown by this much, bytes.
const REPORT_BYTES: usize = 64 * 1024;

/// One connection and its thread's state.
pub struct Connection {
    id: ClientId,
    socket: Arc<Socket>,
    handle: Handle,
    gauges: Arc<ClientGauges>,
    limits: Arc<WireLimits>,
    parser: Parser,
    /// The point at which the owner has run what was handed over.
    milestone: Milestone,
    /// Bytes handed to the owner since it was last waited for.
    ahead: usize,
    /// The size of the unfinished command that was reported last.
    reported: usize,
    /// The memory that the next batch is gathered in. An unfinished command is its client's, and
    /// may stay.
    transit: Charge,
    /// The time at which the bytes that were read last arrived, where that is known.
    arrival: Option<Arrival>,
    /// The socket gives up after [`QUIET`].
    is_hurried: bool,
}

/// Tells the owner that the client is gone, however its worker ended: a panic is an end too. The
/// next client of this thread begins as all do.
struct Presence {
    id: ClientId,
    handle: Handle,
    gauges: Arc<ClientGauges>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A stopped owner has no clients.
        let _ = self.handle.send(Event::Disconnect(self.id));
        if self.gauges.is_one_of_few || self.gauges.wakes_at_once.load(Ordering::Relaxed) {
            os::schedule_as_batch(os::SLICE);
        }
    }
}

impl Connection {
    /// The worker's side of a connection the owner has been told of.
    #[must_use]
    pub fn new(
        id: ClientId,
        socket: Arc<Socket>,
        handle: Handle,
        gauges: Arc<ClientGauges>,
        limits: Arc<WireLimits>,
    ) -> Self {
        let transit = handle.ledger().charge(Account::RequestsInTransit, 0);
        let mut parser = Parser::new();
        parser.reuse(new_batch());
        Connection {
            id,
            socket,
            handle,
            gauges,
            limits,
            parser,
            milestone: Milestone::default(),
            ahead: 0,
            reported: 0,
            transit,
            arrival: None,
            is_hurried: false,
        }
    }

    /// Reads until the connection ends.
    pub fn run(mut self) {
        let _presence =
            Presence { id: self.id, handle: self.handle.clone(), gauges: Arc::clone(&self.gauges) };
        let thread = os::thread_number();
        self.gauges.worker.store(thread, Ordering::Relaxed);
        if self.gauges.is_one_of_few {
            os::schedule_worker(thread, Waking::AtOnce);
        }
        let mut idle = [0; IDLE_BYTES];
        while self.read(&mut idle) {
            if self.parser.pending_bytes() > self.limits.query_buffer_bytes.load(Ordering::Relaxed) {
                let start = self.parser.unread(OVERLONG_SHOWN_BYTES);
                // It is set here only, and the worker ends.
                let _ = self.gauges.overlong.set(start.into());
                return;
            }
            match self.ship() {
                Ok(true) => {
                    if self.report_growth() == Err(Stopped) {
                        return;
                    }
                }
                Ok(false) => return self.ignore_rest(),
                Err(Stopped) => return,
            }
        }
    }

    /// Waits for bytes and takes what is there. `false` at the end of the connection.
    fn read(&mut self, idle: &mut [u8]) -> bool {
        // A big argument is read to its end and no further, into memory of its own size.
        let inside_argument = self.parser.argument_bytes() > IDLE_BYTES;
        let space = if inside_argument { self.parser.space(IDLE_BYTES) } else { &mut *idle };
        let room = space.len();
        self.gauges.is_reading.store(false, Ordering::Release);
        let is_noted = self.gauges.knows_arrivals;
        let received = receive(&self.socket, &mut self.is_hurried, |socket| match is_noted {
            true => socket.receive_with_arrival(space),
            false => socket.receive(space).map(|count| Received { count, arrival: None }),
        });
        let count = match received {
            Ok(Received { count: 0, .. }) => {
                let ended_itself = !self.gauges.has_ended.swap(true, Ordering::Relaxed);
                self.gauges.hung_up.store(ended_itself, Ordering::Relaxed);
                return false;
            }
            Ok(Received { count, arrival }) => {
                self.arrival = arrival;
                count
            }
            Err(error) => {
                if !self.gauges.has_ended.swap(true, Ordering::Relaxed) {
                    log::debug!("Reading from client: {}", os_reason(&error));
                }
                return false;
            }
        };
        self.gauges.is_reading.store(true, Ordering::Relaxed);
        if inside_argument {
            self.parser.advance(count);
        } else {
            self.take(&idle[..count]);
        }
        let gathered = if count == room && !inside_argument { count + self.read_more() } else { count };
        self.gauges.read_bytes.fetch_add(gathered as u64, Ordering::Relaxed);
        true
    }

    /// The next batch takes at least `bytes`.
    fn expect(&mut self, bytes: u64) {
        if bytes > self.transit.amount() {
            self.transit.resize(bytes);
        }
    }

    /// Feeds the parser, in the memory of a spent batch if there is one.
    fn take(&mut self, bytes: &[u8]) {
        if self.parser.is_bare()
            && let Some(spent) = self.handle.spent()
        {
            self.expect(transit_bytes(&spent));
            self.parser.reuse(spent);
        }
        self.expect(self.parser.growth_of(bytes.len()) as u64);
        self.parser.feed(bytes);
    }

    /// Takes what else has arrived, without waiting.
    fn read_more(&mut self) -> usize {
        let mut gathered = 0;
        let limits = self.limits(self.login(Login::Pending));
        while gathered < GATHER_BYTES {
            // The missing part of a big argument is read in one piece.
            self.parser.scan(&limits);
            let inside_big_argument = self.parser.argument_bytes() >= MORE_BYTES;
            self.expect(self.parser.growth_of(MORE_BYTES) as u64);
            let space = self.parser.space(MORE_BYTES);
            let room = space.len();
            // An error, like the end of the stream, comes again in the next blocking read.
            let count = self.socket.receive_now(space).unwrap_or(0);
            self.parser.advance(count);
            gathered += count;
            // To look for more behind a big argument, its memory would have to grow: the next read
            // does that.
            if count < room || inside_big_argument {
                break;
            }
        }
        gathered
    }

    /// Hands the completed commands to the owner. `false` after the request that ends the
    /// connection.
    fn ship(&mut self) -> Result<bool, Stopped> {
        let mut login = self.login(Login::Pending);
        loop {
            let mut parsed = self.parser.parse(&self.limits(login));
            parsed.requests.arrival = self.arrival;
            self.transit.resize(transit_bytes(&parsed.requests));
            self.publish();
            let failed = parsed.requests.failure.is_some();
            if failed || !parsed.requests.is_empty() {
                self.ahead += parsed.requests.heap_bytes();
                self.gauges.handed_over.fetch_add(1, Ordering::Release);
                self.handle.send(Event::Requests(self.id, parsed.requests, self.transit.take()))?;
                self.keep_pace()?;
            }
            if !parsed.needs_login {
                return Ok(!failed);
            }
            // An AUTH may be among the commands under way: look again when they have run.
            self.handle.sync(&self.milestone)?;
            while self.login(Login::Missing) == Login::Missing
                && self.gauges.may_log_in.load(Ordering::Acquire)
            {
                if self.socket.ends_within(LOGIN_LOOK) {
                    return Err(Stopped);
                }
            }
            login = self.login(Login::Missing);
        }
    }

    /// Says if the client is logged in, else `otherwise`.
    fn login(&self, otherwise: Login) -> Login {
        if self.gauges.authenticated.load(Ordering::Acquire) { Login::Done } else { otherwise }
    }

    fn limits(&self, login: Login) -> ParseLimits {
        ParseLimits { max_bulk_bytes: self.limits.max_bulk_bytes.load(Ordering::Relaxed), login }
    }

    /// Lets the owner catch up with a client that sends a lot without waiting for answers: what is
    /// under way costs memory, and more of it makes nothing faster.
    fn keep_pace(&mut self) -> Result<(), Stopped> {
        if self.ahead >= AHEAD_BYTES {
            self.ahead = 0;
            self.handle.sync(&self.milestone)?;
        }
        Ok(())
    }

    /// Shows CLIENT LIST how much of an unfinished command is held.
    fn publish(&self) {
        let pending = self.parser.pending_bytes();
        let arguments = self.parser.argument_bytes_held();
        let gauges = &self.gauges;
        if gauges.query_buffer.load(Ordering::Relaxed) + gauges.arguments.load(Ordering::Relaxed) != pending {
            gauges.query_buffer.store(pending - arguments, Ordering::Relaxed);
            gauges.arguments.store(arguments, Ordering::Relaxed);
            // An argument counts as long as it is announced, as in Redis, which makes room for all
            // of it: how much has arrived by now is chance, and who may be evicted for it must not
            // be. This is one number, so that it is never read half changed.
            let announced = self.parser.announced_bytes();
            gauges.query_heap.store(announced, Ordering::Relaxed);
            gauges.query_buffer_free.store(announced.saturating_sub(pending), Ordering::Relaxed);
        }
    }

    /// Lets a server that bounds the memory of clients know of an argument that grows.
    fn report_growth(&mut self) -> Result<(), Stopped> {
        let held = self.parser.announced_bytes();
        self.reported = self.reported.min(held);
        if held >= self.reported + REPORT_BYTES && self.limits.weighs_clients.load(Ordering::Relaxed) {
            self.reported = held;
            self.handle.send(Event::Growing(self.id))?;
        }
        Ok(())
    }

    /// Reads without looking until the owner has closed the connection: closing a socket with
    /// unread bytes would make the peer lose the error line.
    fn ignore_rest(mut self) {
        self.parser = Parser::new();
        self.socket.set_patience(None);
        while let Ok(count) = self.socket.receive(self.parser.space(MORE_BYTES)) {
            if count == 0 {
                return;
            }
        }
    }
}

/// Waits for bytes by `read`. A thread that has a heap gives it up when it has waited for a while.
fn receive(
    socket: &Socket,
    is_hurried: &mut bool,
    mut read: impl FnMut(&Socket) -> io::Result<Received>,
) -> io::Result<Received> {
    if alloc::has_heap() && !*is_hurried {
        socket.set_patience(Some(QUIET));
        *is_hurried = true;
    }
    match read(socket) {
        Err(error) if *is_hurried && error.kind() == io::ErrorKind::WouldBlock => {
            alloc::leave();
            socket.set_patience(None);
            *is_hurried = false;
            read(socket)
        }
        received => received,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Queue, channel};
    use crate::memory::Ledger;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::thread::{self, JoinHandle};

    /// A worker, its client's end and the queue it sends to.
    struct Bench {
        client: UnixStream,
        socket: Arc<Socket>,
        queue: Queue,
        gauges: Arc<ClientGauges>,
        ledger: &'static Ledger,
        worker: JoinHandle<()>,
    }

    fn bench(limits: WireLimits) -> Bench {
        let (ours, client) = UnixStream::pair().unwrap();
        let (socket, gauges) = (Arc::new(Socket::unix(ours)), Arc::new(ClientGauges::default()));
        let (handle, queue) = channel();
        let ledger = handle.ledger();
        let worker =
            Connection::new(ClientId(1), Arc::clone(&socket), handle, Arc::clone(&gauges), Arc::new(limits));
        let worker = thread::spawn(move || worker.run());
        Bench { client, socket, queue, gauges, ledger, worker }
    }

    fn limits() -> WireLimits {
        WireLimits::default()
    }

    impl Bench {
        fn event(&self) -> Event {
            self.queue.receive()
        }

        /// The next requests; a worker that waits for its owner before them is let on.
        fn requests(&self) -> crate::resp::Requests {
            loop {
                match self.event() {
                    Event::Requests(ClientId(1), requests, _) => return requests,
                    Event::Sync(answer) => answer.keep(),
                    _ => panic!("requests are due"),
                }
            }
        }

        fn log_in(&self) {
            self.gauges.authenticated.store(true, Ordering::Release);
        }

        fn ends(self) {
            assert!(matches!(self.event(), Event::Disconnect(ClientId(1))));
            self.worker.join().unwrap();
        }
    }

    #[test]
    fn a_pipeline_of_one_write_is_one_event() {
        let mut bench = bench(limits());
        bench.client.write_all(&b"*1\r\n$4\r\nPING\r\n".repeat(50)).unwrap();
        let requests = bench.requests();
        assert_eq!((requests.len(), transit_bytes(&requests)), (50, 0), "the worker need not allocate");
        bench.client.write_all(b"*2\r\n$4\r\nECHO\r\n$100\r\n").unwrap();
        bench.client.write_all(&[b'x'; 102]).unwrap();
        assert_eq!(bench.requests().get(0).at(1), [b'x'; 100]);
        bench.client.shutdown(Shutdown::Both).unwrap();
        bench.ends();
    }

    #[test]
    fn what_is_on_its_way_is_charged_until_it_has_run_or_its_client_is_gone() {
        let mut bench = bench(limits());
        bench.log_in();
        let ledger = bench.ledger;
        let in_transit = || ledger.charged_bytes(Account::RequestsInTransit);
        let value = "v".repeat(50_000);
        for _ in 0..2 {
            write!(bench.client, "*2\r\n$4\r\nECHO\r\n${}\r\n{value}\r\n", value.len()).unwrap();
            let (mut charges, mut bytes) = (Vec::new(), 0);
            while bytes < value.len() {
                match bench.event() {
                    Event::Requests(_, requests, charge) => {
                        bytes += requests.content_bytes();
                        assert_eq!(charge.amount(), transit_bytes(&requests));
                        charges.push(charge);
                    }
                    Event::Sync(answer) => answer.keep(),
                    _ => panic!("requests are due"),
                }
            }
            assert!(in_transit() > 49_000, "{}", in_transit());
            drop(charges);
            assert_eq!(in_transit(), 0);
        }
        // The client goes in the middle of a command.
        bench.client.write_all(&[b"*2\r\n$4\r\nECHO\r\n$90000\r\n", value.as_bytes()].concat()).unwrap();
        bench.client.shutdown(Shutdown::Both).unwrap();
        while !matches!(bench.event(), Event::Disconnect(_)) {}
        bench.worker.join().unwrap();
        assert_eq!(in_transit(), 0);
    }

    #[test]
    fn a_long_pipeline_and_a_big_argument_arrive_whole() {
        let bench = bench(limits());
        bench.log_in();
        let value = (0..3_000_000usize).map(|index| (index % 253) as u8).collect::<Vec<_>>();
        let mut bytes = b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n".repeat(20_000);
        bytes.extend(format!("*2\r\n$4\r\nECHO\r\n${}\r\n", value.len()).bytes());
        bytes.extend(&value);
        bytes.extend(b"\r\nPING\r\n");
        let mut client = bench.client.try_clone().unwrap();
        let writer = thread::spawn(move || client.write_all(&bytes).unwrap());
        let mut commands = Vec::new();
        while commands.len() < 20_002 {
            let requests = bench.requests();
            commands.extend((0..requests.len()).map(|index| requests.get(index).to_owned()));
        }
        writer.join().unwrap();
        assert!(commands[..20_000].iter().all(|argv| argv.as_argv().at(1) == b"hello"));
        assert!(commands[20_000].as_argv().at(1) == value);
        assert_eq!(commands[20_001].as_argv().at(0), b"PING");
        bench.client.shutdown(Shutdown::Both).unwrap();
        bench.ends();
    }

    #[test]
    fn a_login_under_way_is_waited_for() {
        let mut bench = bench(limits());
        bench.client.write_all(b"AUTH x\r\n*11\r\n").unwrap();
        assert_eq!(bench.requests().len(), 1);
        let Event::Sync(answer) = bench.event() else { panic!("the worker asks for the outcome") };
        bench.log_in();
        answer.keep();
        bench.client.write_all(&b"$1\r\nx\r\n".repeat(11)).unwrap();
        assert_eq!(bench.requests().get(0).len(), 11);
        bench.client.shutdown(Shutdown::Both).unwrap();
        bench.ends();
    }

    #[test]
    fn after_a_failure_bytes_are_ignored_until_the_owner_closes() {
        let mut bench = bench(limits());
        bench.client.write_all(b"PING\r\n*11\r\n").unwrap();
        assert_eq!(bench.requests().len(), 1);
        let Event::Sync(answer) = bench.event() else { panic!("the worker asks for the outcome") };
        answer.keep();
        let failure = bench.requests().failure;
        assert_eq!(failure.unwrap().line, "ERR Protocol error: unauthenticated multibulk length");
        bench.client.write_all(b"PING\r\n").unwrap();
        bench.socket.send_now(b"-ERR\r\n").unwrap();
        bench.socket.shut_down();
        let mut line = Vec::new();
        bench.client.read_to_end(&mut line).unwrap();
        assert_eq!(line, b"-ERR\r\n");
        bench.ends();
    }

    #[test]
    fn a_command_larger_than_the_query_buffer_ends_the_connection() {
        let mut bench = bench(WireLimits { query_buffer_bytes: 100_000.into(), ..limits() });
        bench.log_in();
        bench.client.write_all(b"*1\r\n$50000\r\n").unwrap();
        bench.client.write_all(&[b'x'; 50_002]).unwrap();
        assert_eq!(bench.requests().get(0).at(0).len(), 50_000);
        bench.client.write_all(b"*1\r\n$150000\r\n").unwrap();
        // The worker may have hung up before the last byte.
        let _ = bench.client.write_all(&[b'x'; 150_002]);
        bench.ends();
    }

    #[test]
    fn what_is_held_of_an_unfinished_command_shows_in_the_gauges() {
        let mut bench = bench(limits());
        bench.client.write_all(b"PING\r\n*2\r\n$4\r\nEC").unwrap();
        assert_eq!(bench.requests().len(), 1);
        assert_eq!(bench.gauges.query_buffer.load(Ordering::Relaxed), 2);
        assert_eq!(bench.gauges.arguments.load(Ordering::Relaxed), 8);
        assert_eq!(bench.gauges.read_bytes.load(Ordering::Relaxed), 16);
        bench.client.shutdown(Shutdown::Both).unwrap();
        bench.ends();
    }

    #[test]
    fn a_big_argument_shows_in_the_gauges_as_it_was_announced() {
        let mut bench = bench(WireLimits { weighs_clients: true.into(), ..limits() });
        bench.log_in();
        bench.client.write_all(b"*1\r\n$1000000\r\nab").unwrap();
        loop {
            match bench.event() {
                Event::Growing(ClientId(1)) => break,
                Event::Requests(_, requests, _) => assert!(requests.is_empty()),
                _ => panic!("nothing is complete"),
            }
        }
        let gauge = |gauge: &std::sync::atomic::AtomicUsize| gauge.load(Ordering::Relaxed);
        assert_eq!(gauge(&bench.gauges.query_buffer), 2);
        let all = gauge(&bench.gauges.query_heap);
        assert!((1_000_000..1_001_000).contains(&all), "{all}");
        assert_eq!(2 + gauge(&bench.gauges.arguments) + gauge(&bench.gauges.query_buffer_free), all);
        bench.client.shutdown(Shutdown::Both).unwrap();
        bench.ends();
    }

    #[test]
    fn a_growing_argument_is_reported_to_a_server_that_weighs_clients() {
        let mut bench = bench(WireLimits { weighs_clients: true.into(), ..limits() });
        bench.log_in();
        bench.client.write_all(b"*1\r\n$150000\r\n").unwrap();
        bench.client.write_all(&[b'x'; 140_000]).unwrap();
        loop {
            match bench.event() {
                Event::Growing(ClientId(1)) => break,
                Event::Requests(_, requests, _) => assert!(requests.is_empty()),
                _ => panic!("nothing is complete"),
            }
        }
        bench.client.shutdown(Shutdown::Both).unwrap();
        while !matches!(bench.event(), Event::Disconnect(_)) {}
        bench.worker.join().unwrap();
    }

    #[test]
    fn a_stopped_owner_ends_the_worker() {
        let Bench { mut client, queue, worker, .. } = bench(limits());
        drop(queue);
        client.write_all(b"PING\r\n").unwrap();
        worker.join().unwrap();
    }

    #[test]
    fn a_client_far_ahead_waits_and_its_worker_ends_with_the_owner() {
        let Bench { client, queue, worker, .. } = bench(limits());
        let mut writer = client.try_clone().unwrap();
        let flood = thread::spawn(move || while writer.write_all(&b"PING\r\n".repeat(10_000)).is_ok() {});
        let mut held = 0;
        loop {
            match queue.receive() {
                Event::Requests(_, requests, _) => held += requests.heap_bytes(),
                Event::Sync(_) => break,
                _ => panic!("requests are due"),
            }
        }
        assert!((AHEAD_BYTES..AHEAD_BYTES + 2 * GATHER_BYTES * 8).contains(&held), "{held}");
        drop(queue);
        worker.join().unwrap();
        client.shutdown(Shutdown::Both).unwrap();
        flood.join().unwrap();
    }
}
