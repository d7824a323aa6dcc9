//! The log's way into syslog, as `syslog-enabled` asks for.
//!
//! The work of syslog(3), on a socket whose failures are ours to see: a line is one datagram to
//! `/dev/log`. The kernel queues only a few of them, so a daemon has a moment to read; one that
//! does not read at all is waited for once and loses lines then, where syslog(3) would hold the
//! server up for good. Redis's levels become debug, info, notice and warning. Source: RFC 3164 for
//! the form; glibc's syslog(3) for what local daemons are sent.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::Level;

use crate::config::SyslogFacility;

/// The socket at which local daemons listen.
pub const SOCKET: &str = "/dev/log";

/// The time for which a line waits for the daemon to read those before it.
const PATIENCE: Duration = Duration::from_millis(50);

/// An open line to the syslog daemon.
pub struct Syslog {
    socket: PathBuf,
    ident: String,
    facility: u8,
    /// None until the daemon is there.
    datagrams: Option<UnixDatagram>,
}

impl Syslog {
    /// Lines of a program called `ident`. A daemon that is not there yet is looked for with each
    /// line.
    pub fn open(socket: &Path, ident: &str, facility: SyslogFacility) -> Self {
        let facility = match facility {
            SyslogFacility::User => 1,
            SyslogFacility::Local0 => 16,
            SyslogFacility::Local1 => 17,
            SyslogFacility::Local2 => 18,
            SyslogFacility::Local3 => 19,
            SyslogFacility::Local4 => 20,
            SyslogFacility::Local5 => 21,
            SyslogFacility::Local6 => 22,
            SyslogFacility::Local7 => 23,
        };
        Self { datagrams: connect(socket).ok(), socket: socket.into(), ident: ident.to_owned(), facility }
    }

    /// Sends one line; `time` is `Nov 24 02:15:14`, local. A line that cannot be sent is lost.
    pub fn write(&mut self, level: Level, time: &str, text: &str) {
        let priority = self.facility << 3 | severity(level);
        let line = format!("<{priority}>{time} {}[{}]: {text}", self.ident, std::process::id());
        if !self.datagrams.as_ref().is_some_and(|datagrams| send(datagrams, &line)) {
            // The daemon was started anew, or only now.
            self.datagrams = connect(&self.socket).ok();
            self.datagrams.as_ref().map(|datagrams| send(datagrams, &line));
        }
    }
}

/// Returns whether there is a daemon, reading or not.
fn send(datagrams: &UnixDatagram, line: &str) -> bool {
    let sent = datagrams.send(line.as_bytes());
    let is_deaf = matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    (is_deaf || sent.is_ok()) && datagrams.set_nonblocking(is_deaf).is_ok()
}

fn connect(socket: &Path) -> io::Result<UnixDatagram> {
    let datagrams = UnixDatagram::unbound()?;
    datagrams.connect(socket)?;
    datagrams.set_write_timeout(Some(PATIENCE))?;
    Ok(datagrams)
}

fn severity(level: Level) -> u8 {
    match level {
        Level::Error | Level::Warn => 4,
        Level::Info => 5,
        Level::Debug => 6,
        Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn heard(daemon: &UnixDatagram) -> String {
        let mut line = [0; 200];
        let count = daemon.recv(&mut line).unwrap();
        String::from_utf8_lossy(&line[..count]).into_owned()
    }

    #[test]
    fn a_line_carries_facility_level_time_ident_and_pid() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("log");
        let daemon = UnixDatagram::bind(&socket).unwrap();
        let pid = std::process::id();
        for (facility, level, priority) in [
            (SyslogFacility::User, Level::Warn, 12),
            (SyslogFacility::Local0, Level::Info, 133),
            (SyslogFacility::Local7, Level::Debug, 190),
            (SyslogFacility::Local1, Level::Trace, 143),
        ] {
            Syslog::open(&socket, "redis", facility).write(level, "Nov 24 02:15:14", "Ready");
            assert_eq!(heard(&daemon), format!("<{priority}>Nov 24 02:15:14 redis[{pid}]: Ready"));
        }
    }

    #[test]
    fn a_daemon_may_come_later_go_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("log");
        let mut syslog = Syslog::open(&socket, "redis", SyslogFacility::Local0);
        syslog.write(Level::Info, "", "lost");
        for text in ["first", "after the daemon came back"] {
            let daemon = UnixDatagram::bind(&socket).unwrap();
            syslog.write(Level::Info, "", text);
            assert!(heard(&daemon).ends_with(text));
            fs::remove_file(&socket).unwrap();
        }
    }

    #[test]
    fn a_daemon_that_does_not_read_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("log");
        let daemon = UnixDatagram::bind(&socket).unwrap();
        let mut syslog = Syslog::open(&socket, "redis", SyslogFacility::Local0);
        (0..10_000).for_each(|_| syslog.write(Level::Info, "", "again"));
        daemon.set_nonblocking(true).unwrap();
        let mut line = [0; 200];
        while daemon.recv(&mut line).is_ok() {}
        syslog.write(Level::Info, "", "heard");
        assert!(heard(&daemon).ends_with("heard"));
    }
}
