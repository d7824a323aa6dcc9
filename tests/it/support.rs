//! Starts real servers in folders of their own, speaks RESP to them and cleans up after them.
//!
//! Nothing here waits by the clock: readiness is a line of the log, an end is the end of a process.
//! Every wait has a limit after which the test fails, so that a hang is an error and not a hang.

#![allow(dead_code, reason = "every module of the binary uses its own part of this")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use pyredis::engine::SystemClock;
use pyredis::resp::value::Value;
use pyredis::resp::{OwnedArgv, reply};
use pyredis::server::Clock;

/// No step of a test takes longer on a machine that works at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// The program under test.
pub(crate) const PYREDIS: &str = env!("CARGO_BIN_EXE_pyredis");

/// A port of the loopback address that was free a moment ago, and that neither this process nor a
/// connection of somebody takes meanwhile: ports of connections are higher ones.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 22_000;
    const COUNT: u32 = 10_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(7919);
    let ports = (0..COUNT).map(|_| {
        let place = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        u16::try_from(FIRST + place).expect("a port")
    });
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.into_iter().find(is_free).expect("a free port")
}

/// A command that knows nothing of the environment's PYREDIS_ variables.
pub(crate) fn pyredis(folder: &Path) -> Command {
    clean(Command::new(PYREDIS), folder)
}

/// Takes the PYREDIS_ variables away from a command and sets its folder, which is its home too.
pub(crate) fn clean(mut command: Command, folder: &Path) -> Command {
    for name in [
        "XDG_STATE_HOME",
        "PYREDIS_CONF",
        "PYREDIS_PORT",
        "PYREDIS_DIR",
        "PYREDIS_PIDFILE",
        "PYREDIS_LOGFILE",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", folder).current_dir(folder).stdin(Stdio::null());
    command
}

/// Sends a signal by name to a process.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// Runs a command to its end, within the limit.
pub(crate) fn run(command: &mut Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    within_limit(&format!("{command:?} ends"), move || child.wait_with_output().unwrap())
}

/// Runs something that could hang, on a thread that may be left behind if it does. `what` names
/// what is waited for.
pub(crate) fn within_limit<T: Send + 'static>(what: &str, action: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(action()));
    match receiver.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("not within {LIMIT:?}: {what}"),
        Err(RecvTimeoutError::Disconnected) => panic!("failed: {what}"),
    }
}

/// Asks again and again until the answer is yes. `what` names what is waited for.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = Waiting::begin();
    while !holds() {
        assert!(!waiting.left().is_zero(), "not within {LIMIT:?}: {what}");
        std::thread::yield_now();
    }
}

/// One wait, however many steps it takes.
struct Waiting(SystemClock);

impl Waiting {
    fn begin() -> Self {
        Waiting(SystemClock::new())
    }

    /// How much longer it may take.
    fn left(&self) -> Duration {
        LIMIT.saturating_sub(Duration::from_nanos(self.0.monotonic_ns()))
    }
}

/// What a process printed, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server in the foreground, child of this test.
pub(crate) struct Server {
    child: Child,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// Its working folder.
    pub(crate) folder: tempfile::TempDir,
    lines: Receiver<String>,
    /// Log lines read so far.
    pub(crate) log: Vec<String>,
}

impl Server {
    /// Starts a server in a new folder and waits until it serves.
    pub(crate) fn start(directives: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), directives)
    }

    /// Starts a server in this folder and waits until it serves.
    pub(crate) fn start_in(folder: tempfile::TempDir, directives: &[&str]) -> Self {
        let mut server = Self::spawn(folder, directives);
        server.wait_for("Ready to accept connections");
        server
    }

    /// Starts a server and waits for nothing.
    pub(crate) fn spawn(folder: tempfile::TempDir, directives: &[&str]) -> Self {
        let program = pyredis(folder.path());
        Self::spawn_as(program, folder, directives)
    }

    /// Starts a server by this command, which runs in `folder`, and waits for nothing.
    pub(crate) fn spawn_as(mut program: Command, folder: tempfile::TempDir, directives: &[&str]) -> Self {
        let port = free_port();
        let mut child = program
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(directives)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, port, folder, lines, log: Vec::new() }
    }

    /// Reads the log up to a line that contains `wanted`, and returns that line.
    pub(crate) fn wait_for(&mut self, wanted: &str) -> String {
        let waiting = Waiting::begin();
        loop {
            let line = self.lines.recv_timeout(waiting.left()).unwrap_or_else(|error| {
                panic!("no line with {wanted:?} in the log ({error}); it has\n{}", self.log.join("\n"))
            });
            self.log.push(line.clone());
            if line.contains(wanted) {
                return line;
            }
        }
    }

    /// Reads the rest of the log and says how the process ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let waiting = Waiting::begin();
        loop {
            match self.lines.recv_timeout(waiting.left()) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("not within {LIMIT:?}: the server ends; its log has\n{}", self.log.join("\n"))
                }
            }
        }
        wait_until("the server, which has closed its log, ends", || self.has_ended());
        self.child.wait().unwrap()
    }

    /// Whether the process is gone.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Sends SIGTERM, waits for the end and hands the folder back.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        signal(self.pid(), "TERM");
        assert_eq!(self.wait().code(), Some(0), "log:\n{}", self.log.join("\n"));
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A real redis-server to compare with, in a folder of its own.
pub(crate) struct RealServer {
    child: Child,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
    /// Holds its files.
    pub(crate) folder: tempfile::TempDir,
}

/// Set where tests shall leave out what they compare with programs of Redis.
const WITHOUT_REDIS: &str = "PYREDIS_TESTS_WITHOUT_REDIS";

/// What a program of Redis gave. `None` where it is missing and comparisons are left out on
/// purpose; a comparison that silently does not happen would pass for one that succeeded.
pub(crate) fn of_redis<T>(program: &str, result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(_) if std::env::var_os(WITHOUT_REDIS).is_some() => None,
        Err(error) => panic!(
            "{program} can't be run ({error}): install redis-server and redis-tools 7.0.15 (scripts/test.sh \
             does), or set {WITHOUT_REDIS} to leave out what is compared with it"
        ),
    }
}

impl RealServer {
    /// Starts one and waits until it answers; `None` where comparisons are left out ([`of_redis`]).
    pub(crate) fn start(directives: &[&str]) -> Option<Self> {
        Self::start_in(tempfile::tempdir().unwrap(), directives)
    }

    /// The same in a folder that may hold data.
    pub(crate) fn start_in(folder: tempfile::TempDir, directives: &[&str]) -> Option<Self> {
        Self::start_with(folder, None, directives)
    }

    /// The same with a configuration file of the folder.
    pub(crate) fn start_with(
        folder: tempfile::TempDir,
        file: Option<&str>,
        directives: &[&str],
    ) -> Option<Self> {
        let port = free_port();
        let child = Command::new("redis-server")
            .args(file)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--enable-debug-command", "yes"])
            .args(directives)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = of_redis("redis-server", child)?;
        let mut log = BufReader::new(child.stdout.take().unwrap());
        // Whatever happens from here on, it is stopped.
        let server = Self { child, port, folder };
        let mut log = within_limit("redis-server is ready", move || {
            let mut line = String::new();
            while !line.contains("Ready to accept") {
                line.clear();
                assert!(log.read_line(&mut line).unwrap() > 0, "redis-server ended before it was ready");
            }
            log
        });
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(server)
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that speaks RESP2.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a port of 127.0.0.1.
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// Its own address, as the server sees it.
    pub(crate) fn local_addr(&self) -> String {
        self.reader.get_ref().local_addr().unwrap().to_string()
    }

    /// Sends a command, words separated by spaces, and returns its reply in one line: `OK`, `(int)
    /// 1`, `"text"`, `(nil)`, `[a, b]`, or the error with its minus.
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.send(line);
        self.reply()
    }

    /// Sends a command without waiting for its reply.
    pub(crate) fn send(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.send_raw(request.as_bytes());
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Reads one reply.
    pub(crate) fn reply(&mut self) -> String {
        let line = self.line();
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" => rest.to_owned(),
            "-" => line,
            ":" => format!("(int) {rest}"),
            "$" if rest == "-1" => "(nil)".to_owned(),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.reader.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                format!("{:?}", text(&bytes))
            }
            "*" if rest == "-1" => "(nil)".to_owned(),
            "*" => {
                let elements: Vec<String> =
                    (0..rest.parse::<usize>().unwrap()).map(|_| self.reply()).collect();
                format!("[{}]", elements.join(", "))
            }
            _ => panic!("not RESP2: {line:?}"),
        }
    }

    /// Sends words of any bytes and returns the answer as redis-cli shows it.
    pub(crate) fn show(&mut self, words: &[&[u8]]) -> String {
        self.send_words(words);
        self.value().to_string()
    }

    /// Sends words of any bytes without waiting for the answer.
    pub(crate) fn send_words(&mut self, words: &[&[u8]]) {
        let mut request = Vec::new();
        reply::write_command(OwnedArgv::from_parts(words.iter().copied()).as_argv(), &mut request);
        self.send_raw(&request);
    }

    /// Reads one answer of either protocol.
    pub(crate) fn value(&mut self) -> Value {
        self.value_and_bytes().0
    }

    /// Reads one answer of either protocol, and the bytes it was sent as.
    pub(crate) fn value_and_bytes(&mut self) -> (Value, Vec<u8>) {
        let mut bytes = Vec::new();
        loop {
            let arrived = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                arrived => arrived.unwrap(),
            };
            assert!(!arrived.is_empty(), "the connection ended after {:?}", text(&bytes));
            let (before, more) = (bytes.len(), arrived.len());
            bytes.extend_from_slice(arrived);
            match Value::parse(&bytes).expect("a server speaks RESP") {
                Some((value, used)) => {
                    self.reader.consume(used - before);
                    bytes.truncate(used);
                    return (value, bytes);
                }
                None => self.reader.consume(more),
            }
        }
    }

    /// Sends commands at once and then says that nothing more comes; returns everything that the
    /// server sends up to the end of the connection.
    pub(crate) fn all_answers(&mut self, commands: &[&[&[u8]]]) -> Vec<u8> {
        let mut request = Vec::new();
        for words in commands {
            reply::write_command(OwnedArgv::from_parts(words.iter().copied()).as_argv(), &mut request);
        }
        self.send_raw(&request);
        // It may be closed already.
        let _ = self.reader.get_ref().shutdown(std::net::Shutdown::Write);
        let mut bytes = Vec::new();
        if let Err(error) = self.reader.read_to_end(&mut bytes) {
            // A server that closes before it has read everything resets the connection.
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "after {:?}", text(&bytes));
        }
        bytes
    }

    /// Ends the connection so that the server hears of a fault, not of an end.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(self.reader.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Whether the server has closed the connection, after whatever it still sends.
    pub(crate) fn is_closed(&mut self) -> bool {
        std::io::copy(&mut self.reader, &mut std::io::sink()).is_ok()
    }

    /// What the server sends until it closes the connection, or ends before it has accepted it.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            read => {
                read.unwrap();
            }
        }
        bytes
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the connection ended after {line:?}");
        line.truncate(line.len() - 2);
        line
    }
}

/// An installation controlled by `pyredis start|stop|…`: a folder, a port, a PID file. Whatever
/// runs there is stopped at the end of the test.
pub(crate) struct Installation {
    /// Holds everything.
    pub(crate) folder: tempfile::TempDir,
    /// Port on 127.0.0.1.
    pub(crate) port: u16,
}

impl Installation {
    /// A new one with a configuration file `redis.conf`.
    pub(crate) fn new() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let installation = Self { folder, port };
        let config = format!(
            "port {port}\nbind 127.0.0.1\npidfile {}\ndir {}\n",
            installation.pid_file().display(),
            installation.folder.path().display()
        );
        std::fs::write(installation.path("redis.conf"), config).unwrap();
        installation
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder as the system names it.
    pub(crate) fn real_folder(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// Where the PID file is.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.path("pyredis.pid")
    }

    /// `pyredis WORD redis.conf …`, to be run.
    pub(crate) fn command(&self, word: &str, directives: &[&str]) -> Command {
        let mut command = pyredis(self.folder.path());
        command.arg(word).arg("redis.conf").args(directives.iter().map(OsStr::new));
        command
    }

    /// Runs `pyredis WORD redis.conf …`; returns the exit code, stdout and stderr.
    pub(crate) fn run(&self, word: &str, directives: &[&str]) -> (i32, String, String) {
        let output = run(&mut self.command(word, directives));
        (output.status.code().expect("an exit code"), text(&output.stdout), text(&output.stderr))
    }

    /// Runs it and expects exit code 0.
    pub(crate) fn expect(&self, word: &str, directives: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(word, directives);
        assert_eq!(code, 0, "{word} {directives:?}: {stdout}{stderr}");
        stdout
    }

    /// The PID in the PID file.
    pub(crate) fn pid(&self) -> u32 {
        std::fs::read_to_string(self.pid_file()).unwrap().trim().parse().unwrap()
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = run(&mut self.command("stop", &[]));
    }
}
