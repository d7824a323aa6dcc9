//! The real [`Server`] in memory, for tests of commands: no socket, no thread, a clock moved by
//! hand.
//!
//! Answers are shown as `redis-cli` shows them, so that a test reads like a session.

use super::table;
use crate::aof::Manifest;
use crate::base::ClientId;
use crate::base::hash::HashSeed;
use crate::base::text::{quote, split_args};
use crate::clients::{Close, Connection, Waking};
use crate::config::{Added, Appendfsync, Config, LogLevel, OomScoreAdj};
use crate::keyspace::ValueRef;
use crate::memory::Ledger;
use crate::persistence::WholeSave;
use crate::propagation::ReaderId;
use crate::resp::value::Value;
use crate::resp::{OwnedArgv, Requests};
use crate::server::{
    Aof, AofOpened, Clock, CommandTable, FileJob, FileReport, Host, News, ProcessFacts, Server, Setup, Task,
    UsersJob, UsersOutcome, UsersReport, UsersWork,
};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Read;
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// Two clocks that stand still until they are moved.
#[derive(Debug)]
struct Hands {
    wall_us: Cell<i64>,
    monotonic_ns: Cell<u64>,
    /// Each look at the clock takes so long.
    look_us: Cell<u64>,
}

impl Hands {
    /// Time goes on.
    fn advance_us(&self, us: u64) {
        self.wall_us.set(self.wall_us.get() + i64::try_from(us).expect("tests wait for short"));
        self.monotonic_ns.set(self.monotonic_ns.get() + us * 1000);
    }
}

#[derive(Debug)]
struct HandClock(Rc<Hands>);

impl Clock for HandClock {
    fn wall_us(&self) -> i64 {
        self.0.advance_us(self.0.look_us.get());
        self.0.wall_us.get()
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.advance_us(self.0.look_us.get());
        self.0.monotonic_ns.get()
    }
}

/// A port that nobody can listen to.
pub const TAKEN_PORT: u16 = 7;

/// A process whose files are in memory, and whose sleep moves the clock.
struct TestHost {
    hands: Rc<Hands>,
    files: Files,
}

/// Small files by name.
type Files = Rc<RefCell<BTreeMap<Vec<u8>, Vec<u8>>>>;

impl Host for TestHost {
    fn change_dir(&self, _path: &[u8]) -> Result<Vec<u8>, String> {
        Err("No such file or directory".to_owned())
    }

    fn make_room_for(&self, clients: u32) -> u32 {
        clients.min(1_000_000)
    }

    fn set_log_level(&self, _level: LogLevel) {}

    fn reopen_log(&self) {}

    fn listen(&self, config: &Config) -> Result<(), String> {
        if config.port == TAKEN_PORT { Err("taken".to_owned()) } else { Ok(()) }
    }

    fn stop_listening(&self) {}

    fn unread(&self, sockets: &[i32]) -> Vec<bool> {
        vec![false; sockets.len()]
    }

    fn schedule_worker(&self, _thread: i32, _waking: Waking) {}

    fn show_title(&self, _config: &Config, _config_file: &str) -> Result<(), String> {
        Ok(())
    }

    fn rewrite_config(&self, _file: &str, _config: &Config, _added: Added) -> Result<(), String> {
        Ok(())
    }

    fn set_oom_score(&self, _how: OomScoreAdj, score: i32) -> Result<(), String> {
        if score < 0 { Err("Permission denied".to_owned()) } else { Ok(()) }
    }

    fn sleep_us(&self, us: u64) {
        self.hands.advance_us(us);
    }

    fn write_snapshot(&self, _job: &WholeSave) -> Result<(), String> {
        Err("no disk in this test".to_owned())
    }

    fn hear(&self, _news: News) {}

    fn loaded(&self, _result: Result<(), String>) {}

    fn process_facts(&self) -> ProcessFacts {
        ProcessFacts::default()
    }

    fn replace_file(&self, path: &[u8], bytes: &[u8]) -> Result<(), String> {
        self.files.borrow_mut().insert(path.to_vec(), bytes.to_vec());
        Ok(())
    }

    fn fill_secret(&self, bytes: &mut [u8]) -> Result<(), String> {
        bytes.iter_mut().zip(0x1b..).for_each(|(byte, value)| *byte = value);
        Ok(())
    }

    fn read_file(&self, path: &[u8]) -> Result<Box<dyn Read>, String> {
        let file = self.files.borrow().get(path).cloned().ok_or("No such file or directory")?;
        Ok(Box::new(std::io::Cursor::new(file)))
    }
}

/// A server with clients that need no sockets.
pub struct TestServer {
    /// The server under test.
    pub server: Server,
    hands: Rc<Hands>,
    outputs: BTreeMap<ClientId, Vec<u8>>,
    /// The place up to which [`TestServer::effects`] has read.
    reader: ReaderId,
    /// The files of the server, by name.
    pub files: Files,
    /// Clients the server has asked to close.
    pub closed: Vec<ClientId>,
}

/// A server with `appendfsync always`, whose file is open. Nobody writes it: a test reports what a
/// thread would.
pub fn always() -> TestServer {
    let mut server = TestServer::with(|config| {
        config.appendonly = true;
        config.appendfsync = Appendfsync::Always;
    });
    let mut manifest = Manifest::default();
    manifest.next_incr(&Aof::names(&server.server.rooms.config));
    server.server.aof_opened(AofOpened { manifest, ..AofOpened::default() });
    server
}

impl TestServer {
    /// Changes since the last save.
    pub fn dirty(&self) -> u64 {
        self.server.rooms.persistence.saves.dirty
    }

    /// A server with the default configuration and one client, number 1. Its effects are recorded.
    #[expect(clippy::new_without_default, reason = "tests only say new")]
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with a changed configuration.
    pub fn with(configure: impl FnOnce(&mut Config)) -> Self {
        Self::try_with(configure).expect("the configuration is valid")
    }

    /// The same; the error is why a server would not start.
    pub fn try_with(configure: impl FnOnce(&mut Config)) -> Result<Self, String> {
        Self::of(table(), configure)
    }

    /// The same that knows other commands.
    pub fn of(commands: CommandTable, configure: impl FnOnce(&mut Config)) -> Result<Self, String> {
        let hands = Rc::new(Hands {
            wall_us: Cell::new(1_700_000_000_000_000),
            monotonic_ns: Cell::new(5_000_000_000),
            look_us: Cell::new(0),
        });
        let files = Files::default();
        let mut config = Config::default();
        configure(&mut config);
        let setup = Setup {
            config,
            config_file: String::new(),
            executable: "pyredis".to_string(),
            pid: 1,
            clock: Box::new(HandClock(Rc::clone(&hands))),
            host: Box::new(TestHost { hands: Rc::clone(&hands), files: Rc::clone(&files) }),
            random_seed: 7,
            hash_seed: HashSeed([3; 16]),
            limits: std::sync::Arc::default(),
            ledger: Ledger::open(),
        };
        let mut server = Server::new(setup, commands)?;
        let reader = server.rooms.propagation.join();
        let mut test =
            TestServer { server, hands, outputs: BTreeMap::new(), reader, files, closed: Vec::new() };
        test.connect(1);
        Ok(test)
    }

    /// Connects client `id` from this machine.
    pub fn connect(&mut self, id: u64) {
        self.connect_from(id, &format!("127.0.0.1:{}", 10_000 + id));
    }

    /// Connects client `id` from an address of any machine.
    pub fn connect_from(&mut self, id: u64, addr: &str) {
        self.server.begin_turn();
        let connection = Connection { addr: addr.to_owned(), fd: 8, ..Connection::default() };
        self.server.connect(ClientId(id), connection);
        self.collect();
    }

    /// Disconnects client `id`.
    pub fn disconnect(&mut self, id: u64) {
        self.server.disconnect(ClientId(id));
        self.collect();
    }

    /// Sends a line of words (quoted as in redis-cli) as client 1 and shows the answers.
    pub fn run(&mut self, line: &str) -> String {
        self.run_as(1, line)
    }

    /// Runs each line as client 1 and compares what it answers with what stands beside it; a line
    /// `encoding KEY` asks how the key is held.
    pub fn check(&mut self, rows: &[(&str, &str)]) {
        for (line, answer) in rows {
            match line.strip_prefix("encoding ") {
                Some(key) => assert_eq!(self.encoding(key), Some(*answer), "{line}"),
                None => assert_eq!(self.run(line), *answer, "{line}"),
            }
        }
    }

    /// Sends a line as client `id` and shows the answers; empty while it is parked.
    pub fn run_as(&mut self, id: u64, line: &str) -> String {
        let words = split_args(line.as_bytes()).expect("quotes are balanced");
        let argv = OwnedArgv::from_parts(words.iter().map(Vec::as_slice));
        self.send(id, &argv);
        self.output_of(id)
    }

    /// Sends lines that arrive in the same turn, each of a client.
    pub fn turn_of(&mut self, lines: &[(u64, &str)]) {
        self.turn_after_us(0, lines);
    }

    /// The same in a turn that has gone on for so long already.
    pub fn turn_after_us(&mut self, us: u64, lines: &[(u64, &str)]) {
        self.server.begin_turn();
        self.hands.advance_us(us);
        for &(id, line) in lines {
            let words = split_args(line.as_bytes()).expect("quotes are balanced");
            let argv = OwnedArgv::from_parts(words.iter().map(Vec::as_slice));
            self.server.requests(ClientId(id), Requests::single(argv));
        }
        self.server.end_turn();
        self.collect();
    }

    /// Sends lines as client `id` in one read and shows the answers.
    pub fn pipeline_as(&mut self, id: u64, lines: &[&str]) -> String {
        self.send_batch(id, batch_of(lines));
        self.output_of(id)
    }

    /// Sends lines as client 1 in one read, of a turn that has gone on for so long already.
    pub fn pipeline_after_us(&mut self, us: u64, lines: &[&str]) {
        self.server.begin_turn();
        self.hands.advance_us(us);
        self.server.requests(ClientId(1), batch_of(lines));
        self.server.end_turn();
        self.collect();
    }

    /// Sends a command of any bytes as client 1 and shows the answers.
    pub fn run_args(&mut self, words: &[&[u8]]) -> String {
        self.send(1, &OwnedArgv::from_parts(words.iter().copied()));
        self.output_of(1)
    }

    /// Sends a command as client 1 and gives the raw bytes of the answer.
    pub fn raw(&mut self, line: &str) -> String {
        String::from_utf8_lossy(&self.raw_bytes(line)).into_owned()
    }

    /// Sends a command as client 1 and gives the bytes of the answer as they are.
    pub fn raw_bytes(&mut self, line: &str) -> Vec<u8> {
        let words = split_args(line.as_bytes()).expect("quotes are balanced");
        self.send(1, &OwnedArgv::from_parts(words.iter().map(Vec::as_slice)));
        self.outputs.remove(&ClientId(1)).unwrap_or_default()
    }

    /// Returns the output that arrived for client `id` since it was last asked, as redis-cli shows
    /// it.
    pub fn output_of(&mut self, id: u64) -> String {
        let bytes = self.outputs.remove(&ClientId(id)).unwrap_or_default();
        let mut rest = &bytes[..];
        let mut shown = Vec::new();
        while !rest.is_empty() {
            let (value, used) = Value::parse(rest).expect("the server writes RESP").expect("whole answers");
            shown.push(value.to_string());
            rest = &rest[used..];
        }
        shown.join("\n")
    }

    /// The bytes that arrived for client `id` since it was last asked.
    pub fn raw_output_of(&mut self, id: u64) -> String {
        let bytes = self.outputs.remove(&ClientId(id)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a line as client `id`; what it answers can be asked for later.
    pub fn send_only_as(&mut self, id: u64, line: &str) {
        let words = split_args(line.as_bytes()).expect("quotes are balanced");
        self.send(id, &OwnedArgv::from_parts(words.iter().map(Vec::as_slice)));
    }

    /// Says that the writer of client `id` is so many bytes behind.
    pub fn set_pending_output(&mut self, id: u64, bytes: usize) {
        let session = self.server.rooms.clients.get(ClientId(id)).expect("the client is connected");
        session.connection.gauges.pending_output.store(bytes, Ordering::Relaxed);
    }

    /// Sends a line as client 1 and drops what it answers, which need not be whole.
    pub fn send_only(&mut self, line: &str) {
        self.raw(line);
    }

    /// Returns the encoding of the collection under `key`, as OBJECT ENCODING names it; it is not
    /// touched.
    pub fn encoding(&mut self, key: &str) -> Option<&'static str> {
        match self.server.keyspace.peek(key.as_bytes())?.value {
            ValueRef::Object(value) => Some(value.encoding()),
            ValueRef::String(_) => None,
        }
    }

    /// Lets time pass, and the server do what is due.
    pub fn advance(&mut self, ms: i64) {
        self.hands.advance_us(ms.unsigned_abs() * 1000);
        self.turn();
    }

    /// From here on the server takes so long for each look at the clock: so time passes while it
    /// works.
    pub fn take_us_per_look(&mut self, us: u64) {
        self.hands.look_us.set(us);
    }

    /// Sets the time of day forward, or back when `ms` is negative; no time passes.
    pub fn set_clock_forward(&mut self, ms: i64) {
        self.hands.wall_us.set(self.hands.wall_us.get() + ms * 1000);
        self.turn();
    }

    fn turn(&mut self) {
        self.server.begin_turn();
        self.server.end_turn();
        self.collect();
    }

    /// Returns the commands propagated since the last call: joined by ` | `, words as they are,
    /// quoted where they are not plain.
    pub fn effects(&mut self) -> String {
        let blocks = self.server.rooms.propagation.read(self.reader);
        let bytes: Vec<u8> = blocks.iter().flat_map(|block| block.iter().copied()).collect();
        let mut rest = &bytes[..];
        let mut shown = Vec::new();
        while !rest.is_empty() {
            let (value, used) = Value::parse(rest).expect("effects are RESP").expect("whole effects");
            let Value::Array(words) = value else { panic!("an effect is an array") };
            let words = words.iter().map(|word| match word {
                Value::Bulk(bytes)
                    if bytes.iter().all(|byte| byte.is_ascii_graphic()) && !bytes.is_empty() =>
                {
                    String::from_utf8_lossy(bytes).into_owned()
                }
                Value::Bulk(bytes) => String::from_utf8_lossy(&quote(bytes)).into_owned(),
                other => panic!("an effect's word is a bulk string, not {other}"),
            });
            shown.push(words.collect::<Vec<_>>().join(" "));
            rest = &rest[used..];
        }
        shown.join(" | ")
    }

    /// Does the work on ACL files that the server has asked for.
    pub fn work_on_files(&mut self) {
        for task in self.server.take_tasks() {
            let Task::File(FileJob::Users(UsersJob { client, path, work })) = task else { continue };
            let outcome = match work {
                UsersWork::Save(text) => {
                    self.files.borrow_mut().insert(path.clone(), text);
                    UsersOutcome::Saved(Ok(()))
                }
                UsersWork::Read(at) => {
                    let text = self.files.borrow().get(&path).cloned();
                    UsersOutcome::Read(at, text.ok_or("No such file or directory".to_owned()))
                }
            };
            self.server.file_reported(FileReport::Users(UsersReport { client, path, outcome }));
        }
        self.turn();
    }

    fn send(&mut self, id: u64, argv: &OwnedArgv) {
        self.send_batch(id, Requests::single(argv.clone()));
    }

    /// Sends a batch as client `id`; what it answers can be asked for later.
    pub fn send_batch(&mut self, id: u64, batch: Requests) {
        self.server.begin_turn();
        self.server.requests(ClientId(id), batch);
        self.server.end_turn();
        self.collect();
    }

    fn collect(&mut self) {
        let (outputs, closed) = (&mut self.outputs, &mut self.closed);
        self.server.take_outputs(|id, bytes, close| {
            outputs.entry(id).or_default().append(bytes);
            if close != Close::No {
                closed.push(id);
            }
        });
    }
}

/// Returns the requests that one read of these lines brings.
fn batch_of(lines: &[&str]) -> Requests {
    let (mut buffer, mut ranges, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for line in lines {
        for word in split_args(line.as_bytes()).expect("quotes are balanced") {
            let start = buffer.len() as u32;
            buffer.extend_from_slice(&word);
            ranges.push((start, buffer.len() as u32));
        }
        ends.push(ranges.len() as u32);
    }
    Requests::new(buffer, ranges, ends, None)
}
