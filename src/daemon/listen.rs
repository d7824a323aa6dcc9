//! Binds what `bind`, `port` and `unixsocket` say, before anything else of the server exists.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::launch::path_of;
use super::probe::Address;
use crate::base::text::os_reason;
use crate::config::Config;
use crate::net::{Listener, Net};

/// The listeners being served, shared with the owner, which may have to change them.
#[derive(Default)]
pub struct Serving(Mutex<Option<(Net, u16)>>);

impl Serving {
    /// Begins with these, bound to this port.
    pub fn begin(&self, net: Net, port: u16) {
        *self.lock() = Some((net, port));
    }

    /// Listens to what `bind` and `port` say now instead. A new port is bound before the old one is
    /// given up; for new addresses of the same port the old ones go first, since both may share
    /// some.
    pub fn listen(&self, config: &Config) -> Result<(), String> {
        let mut serving = self.lock();
        let Some((net, port)) = &mut *serving else { return Err("not listening yet".to_owned()) };
        if *port == config.port {
            net.retire_tcp();
        }
        let mut listeners = Vec::new();
        // The owner waits for this, so nobody is asked who is there.
        bind_tcp(config, &mut listeners).map_err(|refusal| refusal.line)?;
        if *port != config.port {
            net.retire_tcp();
        }
        *port = config.port;
        listeners
            .into_iter()
            .try_for_each(|listener| net.add(listener))
            .map_err(|error| format!("can't start accepting: {}", os_reason(&error)))
    }

    /// True when a unix socket is among the listeners.
    pub fn has_unix_socket(&self) -> bool {
        self.lock().as_ref().is_some_and(|(net, _)| net.has_unix_socket())
    }

    /// Stops accepting over TCP.
    pub fn stop_tcp(&self) {
        if let Some((net, _)) = &mut *self.lock() {
            net.retire_tcp();
        }
    }

    /// Stops accepting.
    pub fn stop(&self) {
        let serving = self.lock().take();
        if let Some((net, _)) = serving {
            net.stop();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Net, u16)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reason why a port could not be bound.
struct Refusal {
    /// One line for the user.
    line: String,
    /// The address that somebody else has.
    taken: Option<Address>,
}

impl Refusal {
    /// The line, with the name of whoever answers at the address. Waits for them.
    fn with_who_answers(self) -> String {
        match self.taken.and_then(|address| address.identify()) {
            Some(who) => {
                format!("{}: {who} answers there; stop it, or choose another port with --port", self.line)
            }
            None => self.line,
        }
    }
}

/// Binds all addresses, or none. The error is one line for the user; the log has Redis's lines by
/// then.
pub fn bind(config: &Config) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    let bound = bind_tcp(config, &mut listeners).map_err(Refusal::with_who_answers);
    match bound.and_then(|()| bind_unix(config, &mut listeners)) {
        Err(line) => {
            // The file of a unix socket would stay behind.
            listeners.iter().for_each(Listener::shut_down);
            Err(line)
        }
        Ok(()) if listeners.is_empty() => {
            log::warn!("Configured to not listen anywhere, exiting.");
            Err("configured to not listen anywhere: port is 0 and there is no unixsocket".into())
        }
        Ok(()) => Ok(listeners),
    }
}

fn bind_tcp(config: &Config, listeners: &mut Vec<Listener>) -> Result<(), Refusal> {
    if config.port == 0 {
        return Ok(());
    }
    for bind in &config.bind {
        let optional = bind.starts_with('-');
        let name = bind.trim_start_matches('-');
        if let Err(error) = bind_address(name, config, listeners) {
            let why = why(&error);
            log::warn!("Warning: Could not create server TCP listening socket {name}:{}: {why}", config.port);
            if is_unsupported(&error) || (optional && error.kind() == io::ErrorKind::AddrNotAvailable) {
                continue;
            }
            log::warn!("Failed listening on port {} (TCP), aborting.", config.port);
            let is_taken = error.kind() == io::ErrorKind::AddrInUse;
            return Err(Refusal {
                line: format!("can't listen on {name}:{}: {why}", config.port),
                taken: if is_taken { Address::of_bind(name, config.port) } else { None },
            });
        }
    }
    Ok(())
}

fn bind_address(name: &str, config: &Config, listeners: &mut Vec<Listener>) -> io::Result<()> {
    let host = match name {
        "*" => "0.0.0.0",
        "::*" => "::",
        other => other,
    };
    let mut last = io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
    for address in (host, config.port).to_socket_addrs()? {
        match Listener::tcp(address, backlog(config)) {
            Ok(listener) => {
                if config.socket_mark_id != 0
                    && let Err(error) = listener.set_mark(config.socket_mark_id)
                {
                    log::warn!(
                        "Can't mark connections with {}: {}",
                        config.socket_mark_id,
                        os_reason(&error)
                    );
                }
                listeners.push(listener);
                return Ok(());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns the reason, with the name of the step as Redis has it: binding, or finding the address.
fn why(error: &io::Error) -> String {
    let text = os_reason(error);
    match error.raw_os_error() {
        Some(_) => format!("bind: {text}"),
        None => text.trim_start_matches("failed to lookup address information: ").to_owned(),
    }
}

/// The machine does not speak this protocol at all; Redis then goes on with the other addresses.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EAFNOSUPPORT
                | libc::EPFNOSUPPORT
                | libc::ENOPROTOOPT
                | libc::EPROTONOSUPPORT
                | libc::ESOCKTNOSUPPORT
        )
    )
}

fn bind_unix(config: &Config, listeners: &mut Vec<Listener>) -> Result<(), String> {
    if config.unixsocket.is_empty() {
        return Ok(());
    }
    let path = path_of(&config.unixsocket);
    let mode = (config.unixsocketperm != 0).then_some(config.unixsocketperm);
    match Listener::unix(path, mode, backlog(config)) {
        Ok(listener) => {
            listeners.push(listener);
            Ok(())
        }
        Err(error) => {
            let why = os_reason(&error);
            log::warn!("Failed opening Unix socket: bind: {why}");
            Err(format!("can't listen on the unix socket {}: {why}", path.display()))
        }
    }
}

fn backlog(config: &Config) -> i32 {
    i32::try_from(config.tcp_backlog).unwrap_or(i32::MAX)
}
