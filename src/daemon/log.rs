//! The log, line by line as Redis writes it, behind the `log` facade.
//!
//! `4711:M 23 Nov 2026 17:06:19.100 * Ready to accept connections`: PID, role, local time with
//! milliseconds, level, text. Rooms below say `log::info!` and know nothing of files. Redis has
//! four levels where the facade has five:
//!
//! | `loglevel` | mark | facade |
//! |---|---|---|
//! | debug | `.` | `trace!` |
//! | verbose | `-` | `debug!` |
//! | notice (default) | `*` | `info!` |
//! | warning | `#` | `warn!`, `error!` |
//!
//! Every line is one write to a file opened for appending, so lines of several processes do not
//! tear. A line that cannot be written is lost: a full disk must not stop the server. Control
//! characters are escaped, so that nobody can forge a line. Three targets stand apart: [`RAW`] is
//! printed as it is (the logo), a room named `crash` may write reports of many lines, and
//! [`SIGNAL`] has the short head Redis gives to lines of its signal handler.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};

use super::sys::{self, LocalTime};
use super::syslog::Syslog;
use crate::base::text::original;
use crate::config::LogLevel;

/// Target of text that is printed without head or escapes.
pub const RAW: &str = "raw";
/// Target of lines about signals received.
pub const SIGNAL: &str = "signal-handler";
/// Redis cuts log texts at this length.
const MAX_TEXT_BYTES: usize = 1024;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The role of this process, as the letter after the PID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Not serving yet.
    Starting,
    /// Serves its own data.
    Primary,
    /// Copies another server's data.
    Replica,
}

/// The destination of lines.
enum Sink {
    Stdout,
    File(PathBuf, File),
    /// A detached server without `logfile`.
    Nowhere,
}

/// The program's logger. One exists; [`install`] hands it out.
pub struct Logger {
    sink: Mutex<Sink>,
    syslog: Mutex<Option<Syslog>>,
    role: AtomicU8,
    /// Gets a copy of every line while the process that started us waits for the outcome.
    copy: Mutex<Option<Box<dyn Write + Send>>>,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Makes lines go to stdout, at level notice until [`set_level`] says otherwise. May be called
/// twice.
pub fn install() -> &'static Logger {
    // Log lines of the library's tests are nobody's output.
    let logger = LOGGER.get_or_init(|| Logger::new(if cfg!(test) { Sink::Nowhere } else { Sink::Stdout }));
    // Errors when some other logger is installed (`start debug`): that one keeps the lines then.
    let _ = log::set_logger(logger);
    log::set_max_level(LevelFilter::Info);
    logger
}

/// Sets the lowest level that is written.
pub fn set_level(level: LogLevel) {
    log::set_max_level(match level {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
    });
}

impl Logger {
    fn new(sink: Sink) -> Self {
        Self {
            sink: Mutex::new(sink),
            syslog: Mutex::new(None),
            role: AtomicU8::new(Role::Starting as u8),
            copy: Mutex::new(None),
        }
    }

    /// Sends the lines to a file from now on.
    pub fn write_to_file(&self, path: &Path) -> io::Result<()> {
        // Absolute, since CONFIG SET dir must not move the file that SIGHUP reopens.
        let path = std::path::absolute(path)?;
        let file = open(&path)?;
        *lock(&self.sink) = Sink::File(path, file);
        Ok(())
    }

    /// Drops the lines from now on, unless they go to a file.
    pub fn detach_from_stdout(&self) {
        let mut sink = lock(&self.sink);
        if matches!(*sink, Sink::Stdout) {
            *sink = Sink::Nowhere;
        }
    }

    /// Opens the log file anew: after SIGHUP, when it has been moved away. Keeps the old one on
    /// error.
    pub fn reopen(&self) -> io::Result<()> {
        let mut sink = lock(&self.sink);
        if let Sink::File(path, file) = &mut *sink {
            *file = open(path)?;
        }
        Ok(())
    }

    /// Sends every line but the logo to syslog as well.
    pub fn write_to_syslog(&self, syslog: Syslog) {
        *lock(&self.syslog) = Some(syslog);
    }

    /// Gives a copy of every line to `copy` as well, or to nobody any more.
    pub fn copy_to(&self, copy: Option<Box<dyn Write + Send>>) {
        *lock(&self.copy) = copy;
    }

    /// Sets the letter after the PID.
    pub fn set_role(&self, role: Role) {
        self.role.store(role as u8, Ordering::Relaxed);
    }

    fn role_letter(&self) -> char {
        match self.role.load(Ordering::Relaxed) {
            role if role == Role::Primary as u8 => 'M',
            role if role == Role::Replica as u8 => 'S',
            _ => 'C',
        }
    }

    fn tell_syslog(&self, now: SystemTime, level: Level, text: &str) {
        if let Some(syslog) = &mut *lock(&self.syslog) {
            let time = sys::local_time(since_1970(now).as_secs().cast_signed());
            syslog.write(level, &syslog_time(&time), &String::from_utf8_lossy(&original(text)));
        }
    }

    fn write(&self, line: &[u8]) {
        let _ = match &mut *lock(&self.sink) {
            Sink::Stdout => write_stdout(line),
            Sink::File(_, file) => file.write_all(line),
            Sink::Nowhere => Ok(()),
        };
        if let Some(copy) = &mut *lock(&self.copy) {
            let _ = copy.write_all(line);
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    #[expect(clippy::disallowed_methods, reason = "the time of a line of the log, which nothing depends on")]
    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            let now = SystemTime::now();
            let line = match record.target() {
                RAW => text,
                SIGNAL => {
                    self.tell_syslog(now, record.level(), &escape(&text));
                    signal_line(std::process::id(), now, &text)
                }
                target => {
                    let text = if target.ends_with("::crash") { text } else { escape(&text) };
                    self.tell_syslog(now, record.level(), &text);
                    line(std::process::id(), self.role_letter(), now, record.level(), &text)
                }
            };
            self.write(&original(&line));
        }
    }

    fn flush(&self) {}
}

/// A panic while writing a line leaves nothing half done that a later line could trip over.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_stdout(line: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line)?;
    stdout.flush()
}

/// Opens a log file for appending, making it if need be.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(libc::O_NOCTTY).open(path)
}

fn since_1970(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// As RFC 3164 has it: `Nov  4 02:15:14`.
fn syslog_time(time: &LocalTime) -> String {
    let LocalTime { month, day, hour, minute, second, .. } = *time;
    format!("{} {day:2} {hour:02}:{minute:02}:{second:02}", MONTHS[month.min(11)])
}

fn line(pid: u32, role: char, now: SystemTime, level: Level, text: &str) -> String {
    let since_1970 = since_1970(now);
    let time = sys::local_time(since_1970.as_secs().cast_signed());
    format!(
        "{pid}:{role} {:02} {} {} {:02}:{:02}:{:02}.{:03} {} {}\n",
        time.day,
        MONTHS[time.month.min(11)],
        time.year,
        time.hour,
        time.minute,
        time.second,
        since_1970.subsec_millis(),
        mark(level),
        text
    )
}

fn signal_line(pid: u32, now: SystemTime, text: &str) -> String {
    format!("{pid}:signal-handler ({}) {}\n", since_1970(now).as_secs(), escape(text))
}

fn mark(level: Level) -> char {
    match level {
        Level::Trace => '.',
        Level::Debug => '-',
        Level::Info => '*',
        Level::Warn | Level::Error => '#',
    }
}

/// Cuts the text as Redis does and makes control characters visible.
pub(crate) fn escape(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\t' {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SyslogFacility;
    use std::os::unix::net::UnixDatagram;

    fn moment() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_795_453_579_007)
    }

    #[test]
    fn line_has_the_form_of_redis() {
        for (level, mark) in [
            (Level::Trace, '.'),
            (Level::Debug, '-'),
            (Level::Info, '*'),
            (Level::Warn, '#'),
            (Level::Error, '#'),
        ] {
            let line = line(4711, 'M', moment(), level, "Ready to accept connections");
            // The hour depends on the time zone of the machine, the rest nearly never.
            let (head, rest) = line.split_at("4711:M ".len());
            assert_eq!(head, "4711:M ");
            let (date, rest) = rest.split_at("23 Nov 2026 17:06:19.007".len());
            assert!(date.contains(" Nov 2026 ") && date.ends_with(":19.007"), "{date}");
            assert_eq!(rest, format!(" {mark} Ready to accept connections\n"));
        }
    }

    #[test]
    fn signal_line_has_the_short_head() {
        assert_eq!(
            signal_line(4711, moment(), "Received SIGTERM scheduling shutdown..."),
            "4711:signal-handler (1795453579) Received SIGTERM scheduling shutdown...\n"
        );
    }

    #[test]
    fn nobody_forges_a_second_line() {
        assert_eq!(escape("a\n1:M 01 Jan\r\u{1b}[0mä\t"), "a\\n1:M 01 Jan\\r\\u{1b}[0mä\t");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(escape(&"x".repeat(5000)).len(), MAX_TEXT_BYTES);
        let cut = escape(&format!("x{}", "ä".repeat(1000)));
        assert_eq!(cut.len(), MAX_TEXT_BYTES - 1);
    }

    #[test]
    fn reopened_file_takes_the_lines_that_follow() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let logger = Logger::new(Sink::Nowhere);
        logger.write_to_file(&path).unwrap();
        logger.write(b"one\n");
        std::fs::rename(&path, &moved).unwrap();
        logger.write(b"two\n");
        logger.reopen().unwrap();
        logger.write(b"three\n");
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn syslog_gets_each_line_without_our_head_and_no_logo() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("syslog");
        let daemon = UnixDatagram::bind(&socket).unwrap();
        daemon.set_nonblocking(true).unwrap();
        let logger = Logger::new(Sink::Nowhere);
        logger.write_to_syslog(Syslog::open(&socket, "redis", SyslogFacility::Local0));
        set_level(LogLevel::Notice);
        for target in [RAW, SIGNAL, "pyredis::server"] {
            let text = format_args!("said by {target}\n");
            logger.log(&Record::builder().target(target).level(Level::Error).args(text).build());
        }
        let mut line = [0; 200];
        for target in [SIGNAL, "pyredis::server"] {
            let count = daemon.recv(&mut line).unwrap();
            let line = String::from_utf8_lossy(&line[..count]);
            assert!(
                line.starts_with("<132>") && line.ends_with(&format!("]: said by {target}\\n")),
                "{line}"
            );
        }
        assert!(daemon.recv(&mut line).is_err(), "the logo was sent");
        let time = LocalTime { year: 2026, month: 10, day: 4, hour: 2, minute: 15, second: 9 };
        assert_eq!(syslog_time(&time), "Nov  4 02:15:09");
    }

    #[test]
    fn role_letter_follows_the_role() {
        let logger = Logger::new(Sink::Nowhere);
        for (role, letter) in [(Role::Starting, 'C'), (Role::Primary, 'M'), (Role::Replica, 'S')] {
            logger.set_role(role);
            assert_eq!(logger.role_letter(), letter);
        }
    }
}
