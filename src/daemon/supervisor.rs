//! The messages to systemd or upstart, as `supervised` asks for.
//!
//! systemd names a datagram socket in `NOTIFY_SOCKET` and takes lines such as `READY=1` from it; a
//! unit with `Type=notify` counts as started only then. Upstart takes it as readiness that the
//! process stops itself, and continues it. Both are asked for by the environment, so
//! [`Supervisor::of`] can be tried without either. Source: sd_notify(3); `redisIsSupervised` of
//! Redis 7.0 for the order and the words.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::base::text::os_reason;
use crate::config::Supervised;
use crate::server::News;

/// The program that started this process and waits for word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Supervisor {
    /// Nobody.
    Nobody,
    /// Nobody, though `supervised` names somebody.
    Missing(Supervised),
    /// Upstart.
    Upstart,
    /// systemd, at this socket.
    Systemd(OsString),
}

impl Supervisor {
    /// Finds the supervisor that `supervised` asks for in the environment.
    pub fn of(supervised: Supervised, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let upstart = variable("UPSTART_JOB").map(|_| Supervisor::Upstart);
        let systemd = variable("NOTIFY_SOCKET").map(Supervisor::Systemd);
        match supervised {
            Supervised::No => Supervisor::Nobody,
            Supervised::Auto => upstart.or(systemd).unwrap_or(Supervisor::Nobody),
            Supervised::Upstart => upstart.unwrap_or(Supervisor::Missing(supervised)),
            Supervised::Systemd => systemd.unwrap_or(Supervisor::Missing(supervised)),
        }
    }

    /// True when there is one: the process must stay the one that it started.
    pub fn is_there(&self) -> bool {
        matches!(self, Supervisor::Upstart | Supervisor::Systemd(_))
    }

    /// Tells that the start begins; for upstart, that is all there is to tell.
    pub fn begin(&self) {
        match self {
            Supervisor::Nobody => {}
            Supervisor::Missing(Supervised::Upstart) => {
                log::warn!("upstart supervision requested, but UPSTART_JOB not found!");
            }
            Supervisor::Missing(_) => {
                log::warn!("systemd supervision error: NOTIFY_SOCKET not found!");
            }
            Supervisor::Upstart => {
                log::info!("supervised by upstart, will stop to signal readiness.");
                if let Err(error) = signal_hook::low_level::raise(signal_hook::consts::SIGSTOP) {
                    log::warn!("upstart supervision error: {}", os_reason(&error));
                }
            }
            Supervisor::Systemd(_) => {
                log::info!(
                    "Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and \
                     TimeoutStopSec in your service unit."
                );
                self.send("STATUS=Redis is loading...\n");
            }
        }
    }

    /// Tells systemd how things stand.
    pub fn tell(&self, news: News) {
        match news {
            News::Ready => {
                self.send("STATUS=Ready to accept connections\n");
                self.send("READY=1\n");
            }
            News::Stopping => self.send("STOPPING=1\n"),
            News::SavingAtExit => self.send("STATUS=Saving the final RDB snapshot\n"),
            News::CannotSave => self.send("STATUS=Error trying to save the DB, can't exit.\n"),
            News::GoesOn => {}
        }
    }

    fn send(&self, state: &str) {
        let Supervisor::Systemd(socket) = self else { return };
        if let Err(error) = send(socket, state) {
            log::warn!("systemd supervision error: {}: {}", socket.display(), os_reason(&error));
        }
    }
}

/// Sends one datagram. A name that begins with `@` is one of the abstract namespace.
fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let datagrams = UnixDatagram::unbound()?;
    // A supervisor that does not read must not hold the server up.
    datagrams.set_nonblocking(true)?;
    datagrams.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn supervisor_is_the_one_asked_for_if_the_environment_names_it() {
        let systemd = || Supervisor::Systemd("/run/notify".into());
        let missing = Supervisor::Missing;
        for (supervised, both, only_systemd, neither) in [
            (Supervised::No, Supervisor::Nobody, Supervisor::Nobody, Supervisor::Nobody),
            (Supervised::Auto, Supervisor::Upstart, systemd(), Supervisor::Nobody),
            (Supervised::Systemd, systemd(), systemd(), missing(Supervised::Systemd)),
            (
                Supervised::Upstart,
                Supervisor::Upstart,
                missing(Supervised::Upstart),
                missing(Supervised::Upstart),
            ),
        ] {
            let find = |names: &[&str]| {
                Supervisor::of(supervised, |name| names.contains(&name).then(|| "/run/notify".into()))
            };
            assert_eq!(find(&["UPSTART_JOB", "NOTIFY_SOCKET"]), both, "{supervised:?}");
            assert_eq!(find(&["NOTIFY_SOCKET"]), only_systemd, "{supervised:?}");
            assert_eq!(find(&[]), neither, "{supervised:?}");
        }
        assert!(systemd().is_there() && !missing(Supervised::Systemd).is_there());
    }

    #[test]
    fn systemd_hears_of_every_step_at_a_path_or_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("pyredis-supervisor-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        for (listening, socket) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{name}").into()),
        ] {
            let supervisor = Supervisor::Systemd(socket);
            supervisor.begin();
            for news in [News::Ready, News::Stopping, News::SavingAtExit, News::CannotSave, News::GoesOn] {
                supervisor.tell(news);
            }
            let mut heard = String::new();
            let mut line = [0; 100];
            for _ in 0..6 {
                let count = listening.recv(&mut line).unwrap();
                heard.push_str(str::from_utf8(&line[..count]).unwrap());
            }
            assert_eq!(
                heard,
                "STATUS=Redis is loading...\nSTATUS=Ready to accept connections\nREADY=1\nSTOPPING=1\n\
                 STATUS=Saving the final RDB snapshot\nSTATUS=Error trying to save the DB, can't exit.\n"
            );
        }
    }
}
