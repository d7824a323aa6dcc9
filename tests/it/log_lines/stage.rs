//! A server of either kind that writes a log file, and the lines it wrote without what differs
//! from run to run.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::{Client, PYREDIS, clean, free_port, of_redis, signal, wait_until, within_limit};

/// The log, in the folder of the stage.
const LOG: &str = "log";

/// Stands where a line of a server has the sign of its level.
pub(super) const MARK: &str = "=";

/// Whose lines are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    Redis,
    Pyredis,
}

/// A folder in which one program is started, as often as the scene likes.
pub(super) struct Stage {
    program: Program,
    level: &'static str,
    child: Option<Child>,
    /// Up to where the log was waited through, bytes.
    seen: usize,
    /// The port of whichever server runs there.
    pub(super) port: u16,
    /// The working folder.
    pub(super) folder: tempfile::TempDir,
}

impl Stage {
    /// An empty folder.
    pub(super) fn new(program: Program, level: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Stage { program, level, child: None, seen: 0, port: free_port(), folder }
    }

    /// A path of the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server and waits for nothing.
    pub(super) fn spawn(&mut self, arguments: &[&str]) {
        let name = match self.program {
            Program::Redis => "redis-server",
            Program::Pyredis => PYREDIS,
        };
        let mut command = clean(Command::new(name), self.folder.path());
        // A configuration file comes before the options.
        let (file, rest) =
            arguments.split_at(arguments.iter().take_while(|word| !word.starts_with("--")).count());
        command
            .args(file)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--logfile", LOG])
            .args(["--loglevel", self.level, "--enable-debug-command", "yes"])
            .args(rest)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = of_redis(name, command.spawn());
    }

    /// Starts a server and waits until it serves.
    pub(super) fn start(&mut self, arguments: &[&str]) {
        self.spawn(arguments);
        if self.level != "warning" {
            return self.wait_for("eady to accept connections");
        }
        let port = self.port;
        wait_until("the server serves", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        self.run("PING");
    }

    /// A new connection.
    pub(super) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Runs a command on a connection of its own.
    pub(super) fn run(&self, line: &str) -> String {
        self.client().run(line)
    }

    /// Waits until the log has a line with `wanted`, behind what was waited for before.
    pub(super) fn wait_for(&mut self, wanted: &str) {
        let path = self.path(LOG);
        let mut seen = self.seen;
        wait_until(&format!("{:?} logs {wanted:?}", self.program), || {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text[seen.min(text.len())..]).into_owned();
            let place = text.find(wanted);
            seen += place.map_or(0, |place| place + wanted.len());
            place.is_some()
        });
        self.seen = seen;
    }

    /// Sends a signal.
    pub(super) fn signal(&self, name: &str) {
        signal(self.child.as_ref().unwrap().id(), name);
    }

    /// Waits for the end of the process.
    pub(super) fn end(&mut self) {
        let mut child = self.child.take().unwrap();
        within_limit("the server ends", move || child.wait().unwrap());
    }

    /// Stops it with SIGTERM.
    pub(super) fn stop(&mut self) {
        self.signal("TERM");
        self.end();
    }

    /// Begins a step: a line in the log, behind which everything else is waited for.
    pub(super) fn mark(&mut self, text: &str) {
        let mut log = File::options().append(true).create(true).open(self.path(LOG)).unwrap();
        let line = format!("0:M 01 Jan 2026 00:00:00.000 {MARK} {text}\n");
        log.write_all(line.as_bytes()).unwrap();
        self.seen = usize::try_from(log.metadata().unwrap().len()).unwrap();
    }

    /// Whether lines have got mixed: a child of redis-server that is killed writes its last one in
    /// pieces.
    pub(super) fn is_torn(&self) -> bool {
        let text = fs::read(self.path(LOG)).unwrap_or_default();
        let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.any(|line| !(line.starts_with(b"***") || has_head(line)))
    }

    /// The log, each line without what differs from run to run.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = fs::read(self.path(LOG)).unwrap_or_default();
        let folder = self.folder.path().canonicalize().unwrap();
        String::from_utf8_lossy(&text)
            .replace(&*folder.to_string_lossy(), "FOLDER")
            .lines()
            .map(normal)
            // Redis begins some texts with a new line.
            .filter(|line| !["", "# "].contains(&line.trim_start()))
            .collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether a line begins as it should: with a process and its role or `signal-handler (TIME)`, and
/// then a text.
fn has_head(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let Some((process, rest)) = line.split_once(':') else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = match rest.strip_prefix("signal-handler (") {
        Some(rest) => rest.split_once(") ").map_or("", |(_, text)| text),
        None => &rest[rest.len().min(2)..],
    };
    is_number(process) && !text.is_empty() && !text.contains(":signal-handler") && !text.contains(":M ")
}

/// A line without its head, but with its mark; each number is `N`.
fn normal(line: &str) -> String {
    let words: Vec<&str> = line.splitn(7, ' ').collect();
    let text = match words[..] {
        [head, .., mark, text] if head.contains(":") && mark.len() == 1 => format!("{mark} {text}"),
        _ => line.to_owned(),
    };
    let text = shorten_client(&text);
    let mut short = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if !character.is_ascii_digit() {
            short.push(character);
            continue;
        }
        short.push('N');
        while rest.next_if(char::is_ascii_digit).is_some() {}
    }
    for (long, other) in
        [("N.N", "N"), ("N.N", "N"), ("bg-N-N.aof", "bg-N.aof"), ("temp-N-N.rdb", "temp-N.rdb")]
    {
        short = short.replace(long, other);
    }
    short
}

/// The line of a client says only which command it ran last.
fn shorten_client(text: &str) -> String {
    let places = (text.find("id="), text.find(" cmd="), text.find(" user="));
    let (Some(start), Some(command), Some(user)) = places else { return text.to_owned() };
    let end = text[user..].find(" resp=").map_or(text.len(), |place| user + place + 7);
    format!("{}CLIENT{}{}", &text[..start], &text[command..user], &text[end..])
}
