//! Sends keys to other servers: a thread for each target, with one connection.
//!
//! A thread takes the jobs for its target in order, keeps its connection (and the database selected
//! on it) between them, and ends when nothing came for ten seconds. So a slow target delays nobody
//! but those who wait for it. Replies are read line by line: RESTORE, AUTH and SELECT answer
//! nothing longer.
//!
//! Redis's rules for trouble hold: a connection that turns out dead before the target has answered
//! the first RESTORE is made anew once, unless it was a timeout; keys the target has taken before
//! it broke are deleted here.

use crate::base::text::lossless;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::engine::{Event, Handle, SystemClock};
use crate::rdb;
use crate::resp::{OwnedArgv, reply};
use crate::server::{Clock, Credentials, Direction, MigrateError, MigrateJob, MigrateReport, Target};

/// The time for which a connection is kept without use.
const IDLE: Duration = Duration::from_secs(10);
/// Targets that have a thread at a time.
const MAX_TARGETS: usize = 64;
/// Jobs that wait for one target.
const MAX_WAITING: usize = 1024;
/// The bytes that are sent at once, about.
const CHUNK_BYTES: usize = 64 << 10;
/// Longest reply line.
const MAX_LINE_BYTES: u64 = 16 << 10;

/// The threads by their targets.
pub struct Targets {
    handle: Handle,
    threads: HashMap<(String, u16), Sender<MigrateJob>>,
}

impl Targets {
    /// Reports go to `handle`.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Targets { handle, threads: HashMap::new() }
    }

    /// Gives a job to its target's thread. A job that cannot be taken comes back as a report.
    pub fn send(&mut self, job: MigrateJob) -> Result<(), MigrateReport> {
        let name = (job.target.host.clone(), job.target.port);
        let thread = match self.threads.get(&name) {
            Some(thread) => thread,
            None => match self.start() {
                Ok(thread) => self.threads.entry(name).or_insert(thread),
                Err(_) => return Err(job.failed(MigrateError::Overloaded)),
            },
        };
        match thread.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                Err(job.failed(MigrateError::Overloaded))
            }
        }
    }

    /// A thread for a new target. If there are many, one that has nothing to do ends.
    fn start(&mut self) -> io::Result<Sender<MigrateJob>> {
        if self.threads.len() >= MAX_TARGETS {
            let idle = self.threads.iter().find(|(_, thread)| thread.is_empty());
            let name = idle.map(|(name, _)| name.clone()).ok_or(ErrorKind::ResourceBusy)?;
            self.threads.remove(&name);
        }
        let (sender, jobs) = bounded(MAX_WAITING);
        let handle = self.handle.clone();
        Builder::new().name("migrate".to_owned()).spawn(move || serve(&jobs, &handle))?;
        Ok(sender)
    }
}

/// Carries out jobs until nobody can give any more; drops the connection when it is idle.
fn serve(jobs: &Receiver<MigrateJob>, handle: &Handle) {
    let clock = SystemClock::new();
    let mut connection = None;
    loop {
        match jobs.recv_timeout(IDLE) {
            Ok(job) => {
                let report = carry_out(job, &mut connection, &clock);
                // When the owner is gone nobody waits for the report.
                let _ = handle.send(Event::Migrated(report));
            }
            Err(RecvTimeoutError::Timeout) => connection = None,
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Sends what a job asks for, on the connection there is or a new one.
fn carry_out(mut job: MigrateJob, connection: &mut Option<Connection>, clock: &SystemClock) -> MigrateReport {
    let mut taken = vec![false; job.keys.len()];
    let mut result = attempt(&job, connection, clock, &mut taken);
    if let Err(Trouble::Broken { may_retry: true, .. }) = result {
        *connection = None;
        taken.fill(false);
        result = attempt(&job, connection, clock, &mut taken);
    }
    let from = connection.as_ref().and_then(|open| open.stream.get_ref().local_addr().ok());
    let result = result.map_err(|trouble| match trouble {
        Trouble::Connect => MigrateError::Connect,
        Trouble::Broken { direction, .. } => {
            *connection = None;
            MigrateError::Broken(direction)
        }
        Trouble::Refused(line) => MigrateError::Refused(line),
    });
    let mut places = taken.iter();
    let copy = job.copy;
    job.keys.retain(|_| places.next().is_some_and(|&taken| taken && !copy));
    MigrateReport { client: job.client, db: job.db, taken: job.keys, result, from }
}

/// The reason why an attempt failed.
enum Trouble {
    Connect,
    Broken { direction: Direction, may_retry: bool },
    Refused(String),
}

/// A connection to a target.
struct Connection {
    stream: BufReader<TcpStream>,
    /// The database selected there, if it is known.
    selected: Option<i64>,
    sockets: Arc<AtomicUsize>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    fn open(target: &Target, timeout: Duration, sockets: &Arc<AtomicUsize>) -> Result<Self, Trouble> {
        let addresses =
            (target.host.as_str(), target.port).to_socket_addrs().map_err(|_| Trouble::Connect)?;
        let mut trouble = Trouble::Connect;
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    // Slower without it, but no less right.
                    let _ = stream.set_nodelay(true);
                    sockets.fetch_add(1, Ordering::Relaxed);
                    let stream = BufReader::new(stream);
                    return Ok(Connection { stream, selected: None, sockets: Arc::clone(sockets) });
                }
                Err(error) if is_timeout(&error) => trouble = Trouble::Connect,
                // Redis: a refused connection is only noticed by the first write.
                Err(_) => {
                    trouble = Trouble::Broken { direction: Direction::Writing, may_retry: false };
                }
            }
        }
        Err(trouble)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.stream.get_mut().write_all(bytes).map_err(|error| Trouble::Broken {
            direction: Direction::Writing,
            may_retry: !is_timeout(&error),
        })
    }

    /// One reply: `Err` holds the text of an error.
    fn reply(&mut self, is_first: bool) -> Result<Result<(), String>, Trouble> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        let timed_out = read.as_ref().is_err_and(is_timeout);
        if read.is_err() || line.last() != Some(&b'\n') {
            let may_retry = is_first && !timed_out;
            return Err(Trouble::Broken { direction: Direction::Reading, may_retry });
        }
        let text = line.trim_ascii_end();
        Ok(match text.split_first() {
            Some((b'-', error)) => Err(lossless(error).into_owned()),
            _ => Ok(()),
        })
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

/// Sends the keys whose time has not come and marks those the target has taken.
fn attempt(
    job: &MigrateJob,
    connection: &mut Option<Connection>,
    clock: &SystemClock,
    taken: &mut [bool],
) -> Result<(), Trouble> {
    let timeout = Duration::from_millis(job.timeout_ms);
    let connection = match connection {
        Some(open) => open,
        None => connection.insert(Connection::open(&job.target, timeout, &job.sockets)?),
    };
    let socket = connection.stream.get_ref();
    if socket.set_read_timeout(Some(timeout)).and(socket.set_write_timeout(Some(timeout))).is_err() {
        return Err(Trouble::Broken { direction: Direction::Writing, may_retry: true });
    }
    let selects = connection.selected != Some(job.target_db);
    connection.selected = None;
    let mut out = greeting(job.credentials.as_ref(), selects.then_some(job.target_db));
    let sent = send_keys(job, connection, clock, &mut out)?;
    let mut refused = None;
    for _ in 0..usize::from(job.credentials.is_some()) + usize::from(selects) {
        refused = refused.or(connection.reply(true)?.err());
    }
    let is_greeted = refused.is_none();
    for (nth, place) in sent.into_iter().enumerate() {
        match connection.reply(nth == 0)? {
            Ok(()) if is_greeted => taken[place] = true,
            Ok(()) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(line) => Err(Trouble::Refused(line)),
        None => {
            connection.selected = Some(job.target_db);
            Ok(())
        }
    }
}

/// Returns the commands that go before the keys.
fn greeting(credentials: Option<&Credentials>, db: Option<i64>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(Credentials { user, password }) = credentials {
        let words = [Some(&b"AUTH"[..]), user.as_deref(), Some(password)];
        write(words.into_iter().flatten(), &mut out);
    }
    if let Some(db) = db {
        write([&b"SELECT"[..], db.to_string().as_bytes()], &mut out);
    }
    out
}

/// Sends every key that still lives, behind what stands in `out`. Returns their places in the job.
fn send_keys(
    job: &MigrateJob,
    connection: &mut Connection,
    clock: &SystemClock,
    out: &mut Vec<u8>,
) -> Result<Vec<usize>, Trouble> {
    let mut sent = Vec::with_capacity(job.keys.len());
    for (place, (key, stored)) in job.keys.iter().enumerate() {
        let left_ms = stored.deadline.map(|deadline| deadline.0.saturating_sub(clock.wall_us() / 1000));
        if left_ms.is_some_and(|left| left < 0) {
            continue;
        }
        let ttl = left_ms.map_or(0, |left| left.max(1)).to_string();
        let payload = rdb::dump(stored.value(), job.compress);
        let replace = job.replace.then_some(&b"REPLACE"[..]);
        let words = [&b"RESTORE"[..], key, ttl.as_bytes(), &payload];
        write(words.into_iter().chain(replace), out);
        sent.push(place);
        if out.len() >= CHUNK_BYTES {
            connection.send(out)?;
            out.clear();
        }
    }
    connection.send(out)?;
    Ok(sent)
}

fn write<'a>(words: impl IntoIterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    reply::write_command(OwnedArgv::from_parts(words).as_argv(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ClientId;
    use crate::engine;
    use crate::keyspace::{Db, DbIndex, EncodingLimits, Ttl};
    use std::net::TcpListener;
    use std::thread;

    /// A target that answers each connection with the next of `scripts`, whatever it is sent, and
    /// tells what it was sent.
    fn target(scripts: Vec<&'static str>) -> (Target, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let run = move || {
            let answer = |script: &str| {
                let (mut stream, _) = listener.accept().expect("a connection");
                stream.write_all(script.as_bytes()).expect("the peer reads");
                stream.shutdown(std::net::Shutdown::Write).expect("it is open");
                let mut heard = Vec::new();
                // The peer may reset the connection when it has got what it wanted.
                let _ = stream.read_to_end(&mut heard);
                String::from_utf8_lossy(&heard).into_owned()
            };
            scripts.into_iter().map(answer).collect()
        };
        (Target { host: "127.0.0.1".to_owned(), port }, thread::spawn(run))
    }

    fn job(target: Target, keys: &[&str]) -> MigrateJob {
        let mut db = Db::new(DbIndex(0), EncodingLimits::default(), 1);
        let keys = keys.iter().map(|key| {
            db.set_string(key.as_bytes(), b"value", Ttl::Clear);
            (key.as_bytes().to_vec(), db.copy_of(key.as_bytes()).expect("it was just set"))
        });
        MigrateJob {
            client: ClientId(1),
            target,
            target_db: 3,
            keys: keys.collect(),
            db: DbIndex(0),
            timeout_ms: 5000,
            credentials: None,
            replace: false,
            copy: false,
            compress: true,
            sockets: Arc::default(),
        }
    }

    /// The result as the client reads it, and the keys the target has taken.
    fn outcome(job: MigrateJob) -> (String, Vec<String>) {
        let report = carry_out(job, &mut None, &SystemClock::new());
        let taken = report.taken.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned());
        (report.result.map_or_else(|error| error.to_string(), |()| "OK".to_owned()), taken.collect())
    }

    #[test]
    fn each_answer_decides_about_its_key() {
        let refused = |text: &str| format!("ERR Target instance replied with error: {text}");
        let rows = [
            ("+OK\r\n+OK\r\n+OK\r\n", "OK".to_owned(), vec!["a", "b"]),
            ("+OK\r\n+OK\r\n-BUSYKEY no\r\n", refused("BUSYKEY no"), vec!["a"]),
            ("-ERR db\r\n+OK\r\n+OK\r\n", refused("ERR db"), vec![]),
            ("+OK\r\n-X\r\n-Y\r\n", refused("X"), vec![]),
        ];
        for (script, answer, taken) in rows {
            let (target, heard) = target(vec![script]);
            let taken: Vec<String> = taken.into_iter().map(str::to_owned).collect();
            assert_eq!(outcome(job(target, &["a", "b"])), (answer, taken), "{script:?}");
            let heard = heard.join().expect("the target ends");
            assert!(
                heard[0].starts_with("*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*4\r\n$7\r\nRESTORE\r\n"),
                "{heard:?}"
            );
        }
    }

    #[test]
    fn credentials_and_replace_are_passed_on() {
        let (target, heard) = target(vec!["+OK\r\n+OK\r\n+OK\r\n"]);
        let credentials = Credentials { user: Some(b"me".to_vec()), password: b"secret".to_vec() };
        let job =
            MigrateJob { credentials: Some(credentials), replace: true, copy: true, ..job(target, &["a"]) };
        assert!(!format!("{job:?}").contains("secret"));
        assert_eq!(outcome(job), ("OK".to_owned(), vec![]));
        let heard = heard.join().expect("the target ends");
        assert!(
            heard[0].starts_with("*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\nsecret\r\n*2\r\n$6\r\nSELECT"),
            "{heard:?}"
        );
        assert!(heard[0].ends_with("$7\r\nREPLACE\r\n"), "{heard:?}");
    }

    #[test]
    fn a_dead_connection_is_made_anew_once_before_the_first_answer() {
        let (again, heard) = target(vec!["", "+OK\r\n+OK\r\n"]);
        assert_eq!(outcome(job(again, &["a"])).0, "OK");
        assert_eq!(heard.join().expect("the target ends").len(), 2);
        let reading = "IOERR error or timeout reading to target instance";
        let (dead, _) = target(vec!["", ""]);
        assert_eq!(outcome(job(dead, &["a"])), (reading.to_owned(), vec![]));
        let (broken, heard) = target(vec!["+OK\r\n+OK\r\n"]);
        assert_eq!(outcome(job(broken, &["a", "b"])), (reading.to_owned(), vec!["a".to_owned()]));
        assert_eq!(heard.join().expect("the target ends").len(), 1);
    }

    #[test]
    fn a_target_that_is_not_there_is_told_as_redis_tells_it() {
        let nobody = Target { host: "127.0.0.1".to_owned(), port: 0 };
        assert_eq!(outcome(job(nobody, &["a"])).0, "IOERR error or timeout writing to target instance");
        let nowhere = Target { host: "no host".to_owned(), port: 1 };
        assert_eq!(outcome(job(nowhere, &["a"])).0, "IOERR error or timeout connecting to the client");
    }

    #[test]
    fn many_targets_share_a_bounded_number_of_threads() {
        let (handle, _queue) = engine::channel();
        let mut targets = Targets::new(handle);
        for host in 0..MAX_TARGETS * 2 {
            let job = job(Target { host: format!("host {host}"), port: 1 }, &["a"]);
            // A thread may still be busy with the job before; then nothing is taken.
            let _ = targets.send(job);
            assert!(targets.threads.len() <= MAX_TARGETS);
        }
    }
}
