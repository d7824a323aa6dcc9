//! Leaving the terminal, and telling the one who waits there how it went.
//!
//! The server is a fork of the process the user started, made before any thread exists. Both share
//! a pipe: every log line of the start goes into it, then either "ready" or the reason why not.
//! When the server dies without a word the pipe just ends, so nobody waits for a dead process and
//! no time limit is needed: a start that loads for ten minutes is a start that takes ten minutes.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::sys::{self, Side};

/// Begins a line of the pipe that is not a line of the log: log lines hold no control characters.
const MARK: char = '\u{1}';
/// The number of last log lines that are kept for the report.
const KEPT_LINES: usize = 12;

/// The result of [`detach`], which returns once in each process.
pub enum Detached {
    /// In the process the user started.
    Parent(Child),
    /// In the server, which has no terminal any more.
    Server(Report),
}

/// The server seen from the process that started it.
pub struct Child {
    /// Its PID.
    pub pid: u32,
    lines: Receiver<String>,
    last_lines: Vec<String>,
}

/// The result of the start.
#[derive(Debug)]
pub enum Outcome {
    /// It says that it serves, and where it listens.
    Ready(String),
    /// It said in one line why it does not.
    Failed(String),
    /// It ended without saying why.
    Died {
        /// The status with which it ended.
        status: ExitStatus,
        /// The end of its log.
        last_lines: Vec<String>,
    },
}

/// The server's end of the pipe.
pub struct Report(PipeWriter);

/// Forks. The child leaves its session and the standard streams behind.
pub fn detach() -> io::Result<Detached> {
    let (reader, writer) = io::pipe()?;
    io::stdout().flush()?;
    match sys::fork()? {
        Side::Parent(pid) => {
            drop(writer);
            Ok(Detached::Parent(Child { pid, lines: read_lines(reader), last_lines: Vec::new() }))
        }
        Side::Child => {
            drop(reader);
            sys::new_session()?;
            sys::close_standard_streams()?;
            sys::close_inherited(writer.as_fd());
            Ok(Detached::Server(Report(writer)))
        }
    }
}

fn read_lines(reader: PipeReader) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

impl Child {
    /// Waits until the server serves or has failed. Calls `still_waiting` every `tick`.
    pub fn wait(mut self, tick: Duration, mut still_waiting: impl FnMut(u32)) -> io::Result<Outcome> {
        loop {
            match self.lines.recv_timeout(tick) {
                Ok(line) => {
                    match line.strip_prefix(MARK).map(|words| words.split_once(' ').unwrap_or((words, ""))) {
                        Some(("ready", listening)) => return Ok(Outcome::Ready(listening.to_owned())),
                        Some((_, reason)) => {
                            sys::wait_for_child(self.pid)?;
                            return Ok(Outcome::Failed(reason.to_owned()));
                        }
                        None => self.keep(line),
                    }
                }
                Err(RecvTimeoutError::Timeout) => still_waiting(self.pid),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = sys::wait_for_child(self.pid)?;
                    return Ok(Outcome::Died { status, last_lines: self.last_lines });
                }
            }
        }
    }

    fn keep(&mut self, line: String) {
        if self.last_lines.len() == KEPT_LINES {
            self.last_lines.remove(0);
        }
        self.last_lines.push(line);
    }
}

impl Report {
    /// A second handle that takes log lines.
    pub fn log_copy(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(Box::new(self.0.try_clone()?))
    }

    /// Says that the server serves, and where it listens.
    pub fn ready(self, listening: &str) {
        self.say(&format!("ready {}", in_one_line(listening)));
    }

    /// Says why it does not.
    pub fn failed(self, reason: &str) {
        self.say(&format!("failed {}", in_one_line(reason)));
    }

    fn say(mut self, words: &str) {
        // Whoever waited may have gone away; the server does not need them.
        let _ = self.0.write_all(format!("{MARK}{words}\n").as_bytes());
    }
}

fn in_one_line(text: &str) -> String {
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(60);

    /// A child that is not forked: the pipe and a process that has ended with code 0.
    fn child_and_report() -> (Child, Report) {
        let (reader, writer) = io::pipe().unwrap();
        // Waited for by `Child::wait`, as the real one.
        #[expect(clippy::zombie_processes)]
        let process = std::process::Command::new("true").spawn().unwrap();
        (Child { pid: process.id(), lines: read_lines(reader), last_lines: vec![] }, Report(writer))
    }

    #[test]
    fn ready_ends_the_waiting_whatever_the_log_says() {
        let (child, report) = child_and_report();
        report.log_copy().unwrap().write_all(b"1:M ready\nfailed\n").unwrap();
        report.ready("127.0.0.1:7000, /tmp/a\nb");
        let Outcome::Ready(listening) = child.wait(TICK, |_| ()).unwrap() else { panic!() };
        assert_eq!(listening, "127.0.0.1:7000, /tmp/a b");
    }

    #[test]
    fn reason_arrives_in_one_line() {
        let (child, report) = child_and_report();
        report.failed("port 1 is\nin use");
        let Outcome::Failed(reason) = child.wait(TICK, |_| ()).unwrap() else { panic!() };
        assert_eq!(reason, "port 1 is in use");
    }

    #[test]
    fn silent_death_shows_the_end_of_the_log() {
        let (child, report) = child_and_report();
        let mut log = report.log_copy().unwrap();
        for number in 0..100 {
            log.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        drop((log, report));
        let Outcome::Died { status, last_lines } = child.wait(TICK, |_| ()).unwrap() else { panic!() };
        assert!(status.success());
        assert_eq!(last_lines.len(), KEPT_LINES);
        assert_eq!(last_lines.last().unwrap(), "line 99");
    }

    #[test]
    fn long_start_is_reported_meanwhile() {
        let (child, report) = child_and_report();
        let mut report = Some(report);
        let outcome = child.wait(Duration::from_millis(1), |_| {
            if let Some(report) = report.take() {
                report.ready("");
            }
        });
        assert!(matches!(outcome.unwrap(), Outcome::Ready(_)));
    }
}
