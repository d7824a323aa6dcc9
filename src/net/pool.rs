//! The bounded worker pool: who is accepted gets a slot and a thread, or is told that the server
//! is full.
//!
//! The listeners' threads only accept and take slots. One more thread admits the connections one by
//! one: it tells the owner of them and finds, or makes, their threads. So thousands that come at
//! once are accepted at once, and do not overflow the kernel's queue while threads are made.
//!
//! The bound is the spawn limit, the same number as `maxclients`; it is looked at for each
//! connection, so it can be changed at run time. A lowered bound closes nobody.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use super::connection;
use super::drainer::Drainer;
use super::listener::{Accepted, Listener};
use super::outlet::Outlet;
use super::socket::Socket;
use super::threads::{IDLE, Threads};
use crate::clients::{ClientGauges, Connection, WireLimits};
use crate::engine::{Event, Handle, Stopped};
use crate::server::connection_order::MAX_ORDERED_CLIENTS;

/// The error for a connection over the limit.
const FULL: &[u8] = b"-ERR max number of clients reached\r\n";
/// Up to so many connections are few: what they send is to be run in the order in which it was
/// written.
const FEW_CLIENTS: usize = 6;
/// The time for which accepting pauses when the system has no descriptor or thread left.
const PAUSE: Duration = Duration::from_millis(10);

/// The listeners being served.
pub struct Net {
    shared: Arc<Shared>,
    accepting: Vec<Accepting>,
    /// Threads whose listener was given up; they end by themselves.
    retired: Vec<JoinHandle<()>>,
    /// To the thread that admits who was accepted, which ends when nobody can be accepted any more.
    accepted: Sender<(Accepted, Slot)>,
    admitting: JoinHandle<()>,
}

/// A listener and the thread that accepts from it.
struct Accepting {
    listener: Arc<Listener>,
    is_retired: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Shared {
    handle: Handle,
    limits: Arc<WireLimits>,
    threads: Arc<Threads<Slot>>,
    drainer: Arc<Drainer>,
    /// Connections that have a slot.
    open: Arc<AtomicUsize>,
    stopping: AtomicBool,
}

/// A place in the pool; given back when dropped.
#[derive(Debug)]
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(open: &Arc<AtomicUsize>, limit: usize) -> Option<Slot> {
        let next = |count| (count < limit).then_some(count + 1);
        open.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).ok()?;
        Some(Slot(Arc::clone(open)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Net {
    /// Starts accepting on `listeners`, one thread each. Clients are announced to `handle`.
    pub fn serve(listeners: Vec<Listener>, handle: Handle, limits: Arc<WireLimits>) -> io::Result<Net> {
        let shared = Arc::new(Shared {
            handle,
            limits,
            threads: Threads::new(IDLE),
            drainer: Drainer::start()?,
            open: Arc::default(),
            stopping: AtomicBool::new(false),
        });
        // Never more than there are slots.
        let (accepted, to_admit) = unbounded();
        let admit = {
            let shared = Arc::clone(&shared);
            move || shared.admit_from(&to_admit)
        };
        let admitting = Builder::new().name("admit".to_owned()).spawn(admit)?;
        let mut net = Net { shared, accepting: Vec::new(), retired: Vec::new(), accepted, admitting };
        listeners.into_iter().try_for_each(|listener| net.add(listener))?;
        Ok(net)
    }

    /// Serves one more listener.
    pub fn add(&mut self, listener: Listener) -> io::Result<()> {
        let listener = Arc::new(listener);
        let is_retired = Arc::new(AtomicBool::new(false));
        let (shared, accepting, retired) =
            (Arc::clone(&self.shared), Arc::clone(&listener), Arc::clone(&is_retired));
        let accepted = self.accepted.clone();
        let accept = move || shared.accept_from(&accepting, &retired, &accepted);
        let thread = Builder::new().name("accept".to_owned()).spawn(accept)?;
        self.accepting.push(Accepting { listener, is_retired, thread });
        Ok(())
    }

    /// Gives up all TCP listeners; their addresses are free at once, and connections stay. Does not
    /// wait for their threads, which may be waiting for the caller.
    pub fn retire_tcp(&mut self) {
        let is_tcp = |accepting: &mut Accepting| matches!(*accepting.listener, Listener::Tcp(_));
        for Accepting { listener, is_retired, thread } in self.accepting.extract_if(.., is_tcp) {
            is_retired.store(true, Ordering::Release);
            listener.shut_down();
            self.retired.push(thread);
        }
        self.retired.retain(|thread| !thread.is_finished());
    }

    /// True when one of its listeners is a unix socket, whose file goes with it.
    #[must_use]
    pub fn has_unix_socket(&self) -> bool {
        self.accepting.iter().any(|accepting| matches!(*accepting.listener, Listener::Unix(..)))
    }

    /// Connections that have a slot.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Acquire)
    }

    /// Stops accepting; connections stay. Returns when no new client can be announced any more.
    pub fn stop(self) {
        self.shared.stopping.store(true, Ordering::Release);
        for accepting in &self.accepting {
            accepting.listener.shut_down();
        }
        for thread in self.accepting.into_iter().map(|accepting| accepting.thread).chain(self.retired) {
            // An accept thread that panicked has stopped too.
            let _ = thread.join();
        }
        drop(self.accepted);
        let _ = self.admitting.join();
    }
}

impl Shared {
    fn accept_from(&self, listener: &Listener, is_retired: &AtomicBool, queue: &Sender<(Accepted, Slot)>) {
        let is_over = || self.is_stopping() || is_retired.load(Ordering::Acquire);
        while !is_over() {
            match listener.accept(|| self.limits.keepalive_secs.load(Ordering::Relaxed)) {
                Ok(accepted) => {
                    if self.give_slot(accepted, queue) == Err(Stopped) {
                        return;
                    }
                }
                Err(_) if is_over() => return,
                // The peer gave up before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    log::warn!("Accepting client connection: {error}");
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Gives the connection a slot and queues it, or refuses it.
    fn give_slot(&self, accepted: Accepted, queue: &Sender<(Accepted, Slot)>) -> Result<(), Stopped> {
        match Slot::take(&self.open, self.limits.max_clients.load(Ordering::Relaxed)) {
            Some(slot) => queue.send((accepted, slot)).map_err(|_| Stopped),
            None => self.refuse(&accepted.socket),
        }
    }

    fn refuse(&self, socket: &Socket) -> Result<(), Stopped> {
        // A peer that does not even take this line gets none.
        let _ = socket.send_now(FULL);
        self.handle.send(Event::Rejected)
    }

    /// Admits who was accepted; when nobody waits, threads are made ready for those who come next.
    fn admit_from(&self, queue: &Receiver<(Accepted, Slot)>) {
        loop {
            let next = match queue.try_recv() {
                Err(TryRecvError::Empty) if self.make_ready() => continue,
                Err(TryRecvError::Empty) => queue.recv().ok(),
                next => next.ok(),
            };
            let Some((accepted, slot)) = next else { return };
            if !self.is_stopping() && self.admit(accepted, slot) == Err(Stopped) {
                return;
            }
        }
    }

    fn make_ready(&self) -> bool {
        !self.is_stopping() && self.threads.make_ready(self.limits.max_clients.load(Ordering::Relaxed))
    }

    /// Announces the connection and gives it a worker, or refuses it.
    fn admit(&self, accepted: Accepted, slot: Slot) -> Result<(), Stopped> {
        let Accepted { socket, addr, laddr, unix } = accepted;
        let open = self.open.load(Ordering::Relaxed);
        let is_one_of_few = open <= FEW_CLIENTS;
        let knows_arrivals = open <= MAX_ORDERED_CLIENTS && socket.note_arrivals();
        let (id, fd, socket) = (self.handle.next_client(), socket.fd(), Arc::new(socket));
        let gauges = Arc::new(ClientGauges { is_one_of_few, knows_arrivals, ..ClientGauges::default() });
        let outlet = Outlet::new(Arc::clone(&socket), Arc::clone(&gauges), Arc::clone(&self.drainer));
        let connection = Connection { addr, laddr, fd, unix, gauges: Arc::clone(&gauges) };
        self.handle.send(Event::Connect { id, connection, stream: Box::new(outlet) })?;
        let (handle, limits) = (self.handle.clone(), Arc::clone(&self.limits));
        let worker = connection::Connection::new(id, Arc::clone(&socket), handle, gauges, limits);
        if let Err(error) = self.threads.run(Box::new(move || worker.run()), slot) {
            log::warn!("No thread for a new client: {error}");
            self.refuse(&socket)?;
            self.handle.send(Event::Disconnect(id))?;
        }
        Ok(())
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::wait_until;
    use crate::engine::{Queue, channel};
    use std::io::{Read, Write};
    use std::net::TcpStream;

    /// A served listener whose events the test takes itself.
    fn served(max_clients: usize) -> (Net, TcpStream, std::net::SocketAddr, Queue, Arc<WireLimits>) {
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into(), 16).unwrap();
        let address = listener.address().unwrap();
        let (handle, queue) = channel();
        let limits = Arc::new(WireLimits { max_clients: max_clients.into(), ..WireLimits::default() });
        let net = Net::serve(vec![listener], handle, Arc::clone(&limits)).unwrap();
        (net, TcpStream::connect(address).unwrap(), address, queue, limits)
    }

    fn text(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_changed_keepalive_reaches_the_next_connection() {
        let listener = Arc::new(Listener::tcp(([127, 0, 0, 1], 0).into(), 16).unwrap());
        let address = listener.address().unwrap();
        let limits = Arc::new(WireLimits::default());
        let (waiting, asked) = (Arc::clone(&listener), Arc::clone(&limits));
        let accept = thread::spawn(move || {
            waiting.accept(|| asked.keepalive_secs.load(Ordering::Relaxed)).unwrap().socket.keepalive_secs()
        });
        // It does not matter if accept waits already: it asks when there is a connection.
        limits.keepalive_secs.store(17, Ordering::Relaxed);
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(accept.join().unwrap(), Some(17));
    }

    #[test]
    fn clients_are_announced_in_order_and_their_requests_follow() {
        let (net, mut first, address, queue, _) = served(10);
        let second = TcpStream::connect(address).unwrap();
        first.write_all(b"PING\r\n").unwrap();
        let mut connected = Vec::new();
        let mut streams = Vec::new();
        let mut ran = 0;
        while connected.len() < 2 || ran == 0 {
            match queue.receive() {
                Event::Connect { id, connection, stream } => {
                    connected.push((id.0, connection.addr));
                    streams.push(stream);
                }
                Event::Requests(id, requests, _) => {
                    assert_eq!((id.0, connected[0].0, requests.len()), (1, 1, 1));
                    ran += 1;
                }
                _ => panic!("nobody has left"),
            }
        }
        let peers = [(1, first.local_addr().unwrap()), (2, second.local_addr().unwrap())];
        assert_eq!(connected, peers.map(|(id, addr)| (id, addr.to_string())));
        streams[0].send(&mut b"+PONG\r\n".to_vec());
        drop(streams);
        assert_eq!(text(first), "+PONG\r\n");
        net.stop();
    }

    #[test]
    fn one_too_many_is_told_so_and_counted_and_a_higher_limit_counts_at_once() {
        let (net, _first, address, queue, limits) = served(1);
        let announced = queue.receive();
        assert!(matches!(announced, Event::Connect { .. }));
        assert_eq!(text(TcpStream::connect(address).unwrap()), "-ERR max number of clients reached\r\n");
        assert!(matches!(queue.receive(), Event::Rejected));
        assert_eq!(net.open(), 1);
        limits.max_clients.store(2, Ordering::Relaxed);
        let _second = TcpStream::connect(address).unwrap();
        assert!(matches!(queue.receive(), Event::Connect { .. }));
        net.stop();
    }

    #[test]
    fn a_slot_is_free_again_when_its_client_has_left() {
        let (net, first, address, queue, _) = served(1);
        drop(first);
        while !matches!(queue.receive(), Event::Disconnect(_)) {}
        wait_until("the slot is given back", || net.open() == 0);
        let _second = TcpStream::connect(address).unwrap();
        assert!(matches!(queue.receive(), Event::Connect { .. }));
        net.stop();
    }

    #[test]
    fn retired_listeners_free_their_address_and_leave_connections_alone() {
        let (mut net, mut first, address, queue, _) = served(10);
        // Events hold the streams: dropped, they would end the connections.
        let one = queue.receive();
        net.retire_tcp();
        assert!(TcpStream::connect(address).is_err());
        net.add(Listener::tcp(address, 16).unwrap()).unwrap();
        let _second = TcpStream::connect(address).unwrap();
        let two = queue.receive();
        assert!([&one, &two].iter().all(|event| matches!(event, Event::Connect { .. })));
        first.write_all(b"PING\r\n").unwrap();
        assert!(matches!(queue.receive(), Event::Requests(..)));
        net.stop();
    }

    #[test]
    fn after_the_stop_nobody_is_accepted() {
        let (net, _first, address, _queue, _) = served(10);
        net.stop();
        assert!(TcpStream::connect(address).is_err());
    }
}
