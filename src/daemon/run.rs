//! The life of a server, from configuration to exit code.
//!
//! Order of the start: log file → PID file locked → data folder → limits → listeners → PID file
//! written → owner thread → accepting → loading, during which clients are answered `-LOADING`. So
//! everything that can fail, but for a damaged data file, fails before a client is let in, and what
//! costs nothing fails first. Order of the stop: accepting ends → the owner ends (it has saved by
//! then) → sockets, PID file → exit code. The lines in between are Redis's, since people and tools
//! wait for them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::cli::{PYREDIS_VERSION, REDIS_VERSION};
use super::detach::Report;
use super::folder::{self, FolderLock};
use super::host::Process;
use super::launch::{Launch, path_of};
use super::log::{self as server_log, Logger, RAW, Role};
use super::oom_score::OomScore;
use super::pid_file::{PidFile, PidFileError};
use super::probe::Address;
use super::signals::{self, Action, SharedPhase};
use super::supervisor::Supervisor;
use super::syslog::{self, Syslog};
use super::title::Title;
use super::{crash, limits, listen, terminal_log};
use crate::base::text::os_reason;
use crate::clients::WireLimits;
use crate::config::{Config, LogLevel};
use crate::engine::{self, Event, Handle, SystemClock, affinity, config_file, saver};
use crate::memory::Ledger;
use crate::net::{Listener, Net};
use crate::server::{STATION, Server, Setup, Signal};
use crate::{commands, link};

/// The people or programs that see the server.
pub enum Front {
    /// A terminal, or whoever started it in the foreground.
    Terminal,
    /// A terminal that wants every log line.
    Debug,
    /// Nobody; somebody waits for this report.
    Detached(Report),
    /// Nobody at all: `daemonize yes`.
    Alone,
}

/// The server to run.
pub struct Run {
    /// The configuration.
    pub launch: Launch,
    /// The people or programs that see it.
    pub front: Front,
    /// True when the PID file must be ours. If not, a server does without one where it can't have
    /// it.
    pub must_lock: bool,
}

/// The reason why the server did not get to serve.
struct Fatal(String);

/// The PID file, shared with the thread that may have to end the process.
type SharedPidFile = Arc<Mutex<Option<PidFile>>>;

/// Runs a server until it is stopped. Returns the exit code of the process.
pub fn serve(run: Run) -> u8 {
    let Run { launch, front, must_lock } = run;
    let title = Title::claim();
    let logger = open_log(&launch.config, &front);
    let report = match front {
        Front::Detached(report) => Some(report),
        _ => None,
    };
    let outcome = logger.and_then(|logger| {
        if let Some(report) = &report {
            logger.copy_to(report.log_copy().ok());
        }
        Starting::new(launch, must_lock, logger, title)?.start()
    });
    match outcome {
        Ok(serving) => {
            if let Some(report) = report {
                serving.logger.copy_to(None);
                report.ready(&serving.addresses);
            }
            serving.wait()
        }
        Err(fatal) => {
            tell(fatal, report);
            1
        }
    }
}

/// Returns the addresses at which the server can be asked whether it answers.
pub fn addresses(config: &Config) -> Vec<Address> {
    let mut addresses: Vec<Address> =
        config.bind.iter().filter_map(|bind| Address::of_bind(bind, config.port)).collect();
    if !config.unixsocket.is_empty() {
        addresses.push(Address::Unix(path_of(&config.unixsocket).into()));
    }
    addresses
}

fn tell(fatal: Fatal, report: Option<Report>) {
    let Fatal(line) = fatal;
    match report {
        Some(report) => report.failed(&line),
        None => {
            // It may be a file on the disk that is full.
            let _ = writeln!(io::stderr(), "pyredis: {line}");
        }
    }
}

fn open_log(config: &Config, front: &Front) -> Result<&'static Logger, Fatal> {
    if matches!(front, Front::Debug) {
        terminal_log::install();
    }
    let logger = server_log::install();
    server_log::set_level(if matches!(front, Front::Debug) { LogLevel::Debug } else { config.loglevel });
    if matches!(front, Front::Detached(_) | Front::Alone) {
        logger.detach_from_stdout();
    }
    if !config.logfile.is_empty() {
        let path = path_of(&config.logfile);
        logger.write_to_file(path).map_err(|error| {
            Fatal(format!("can't open the log file {}: {}", path.display(), os_reason(&error)))
        })?;
    }
    if config.syslog_enabled {
        let ident = config.syslog_ident.to_str();
        logger.write_to_syslog(Syslog::open(Path::new(syslog::SOCKET), &ident, config.syslog_facility));
    }
    Ok(logger)
}

/// A server on its way up.
struct Starting {
    launch: Launch,
    logger: &'static Logger,
    title: Arc<Title>,
    supervisor: Supervisor,
    folder: Option<FolderLock>,
    pid_file: SharedPidFile,
    must_lock: bool,
    phase: SharedPhase,
    listening: Arc<listen::Serving>,
}

/// A server that serves.
struct Serving {
    logger: &'static Logger,
    /// The addresses at which it listens, for people.
    addresses: String,
    listening: Arc<listen::Serving>,
    owner: JoinHandle<i32>,
    pid_file: SharedPidFile,
    folder: Option<FolderLock>,
}

impl Starting {
    fn new(launch: Launch, must_lock: bool, logger: &'static Logger, title: Title) -> Result<Self, Fatal> {
        crash::install();
        let supervisor = launch.supervisor();
        supervisor.begin();
        affinity::pin(&launch.config.server_cpulist);
        log::warn!(target: STATION, "oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo");
        log::warn!(
            target: STATION,
            "Redis version={REDIS_VERSION}, bits={}, commit=00000000, modified=0, pid={}, just started",
            usize::BITS,
            std::process::id()
        );
        log::warn!(target: STATION, "pyredis version={PYREDIS_VERSION}");
        if launch.configured {
            log::warn!(target: STATION, "Configuration loaded");
        } else {
            log::warn!(
                "Warning: no config file specified, using the default config. In order to specify a config file use \
                 pyredis /path/to/redis.conf"
            );
        }
        log::info!("monotonic clock: POSIX clock_gettime");
        if let Some(module) = launch.config.modules.first() {
            let path = module.first().map(ToString::to_string).unwrap_or_default();
            log::warn!("Module {path} failed to load: pyredis has no module API");
            log::warn!("Can't load module from {path}: server aborting");
            return Err(Fatal(format!("can't load the module {path}: pyredis has no module API")));
        }
        if let Some(line) = launch.config.refusal() {
            log::warn!("{line}");
            return Err(Fatal(line));
        }
        // Whoever runs already is told by the PID file; the folder would only say that somebody
        // does.
        let pid_file = Arc::new(Mutex::new(take_pid_file(&launch, must_lock)?));
        let folder = folder::take(&launch.config).map_err(|line| {
            log::warn!("Can't start: {line}");
            remove(&pid_file);
            Fatal(line)
        })?;
        logger.set_role(Role::Primary);
        Ok(Self {
            launch,
            logger,
            title: Arc::new(title),
            supervisor,
            folder,
            pid_file,
            must_lock,
            phase: SharedPhase::default(),
            listening: Arc::default(),
        })
    }

    fn start(self) -> Result<Serving, Fatal> {
        let pid_file = Arc::clone(&self.pid_file);
        let result = self.bind_and_load();
        if result.is_err() {
            remove(&pid_file);
        }
        result
    }

    fn bind_and_load(mut self) -> Result<Serving, Fatal> {
        self.fit_limits()?;
        let listeners = listen::bind(&self.launch.config).map_err(Fatal)?;
        match self.write_pid_file().and_then(|()| self.start_owner()) {
            Ok(started) => self.accept(listeners, started),
            Err(fatal) => {
                listeners.iter().for_each(Listener::shut_down);
                Err(fatal)
            }
        }
    }

    fn fit_limits(&mut self) -> Result<(), Fatal> {
        let config = &mut self.launch.config;
        let plan = limits::apply(config.maxclients).map_err(|error| {
            log::warn!("{error}");
            Fatal(error.to_string())
        })?;
        plan.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        config.maxclients = plan.max_clients;
        Ok(())
    }

    /// Says that nobody else need start: what fails later is not for others to mend.
    fn write_pid_file(&self) -> Result<(), Fatal> {
        let held = self.pid_file.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_ref().map_or(Ok(()), PidFile::write) {
            Err(error) if self.must_lock => Err(Fatal(error.to_string())),
            Err(error) => {
                log::warn!("Failed to write PID file: {error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Starts signals and owner, which begins to load the data.
    fn start_owner(&self) -> Result<Started, Fatal> {
        let wire_limits = Arc::new(WireLimits::default());
        let (loaded, outcome) = mpsc::channel();
        let setup = Prepared::new(self, Arc::clone(&wire_limits), loaded)
            .map_err(|error| Fatal(format!("the system gives no random numbers: {}", os_reason(&error))))?;
        if self.launch.config.set_proc_title
            && let Err(why) = self.title.show(&self.launch.config, &setup.config_file)
        {
            log::warn!("{why}");
        }
        let (announced, announcement) = mpsc::channel::<()>();
        let make = move |handle: &Handle, clock| {
            // The log tells who starts before what is loaded. Whoever announces drops the sender.
            let _ = announcement.recv();
            make_server(setup, handle.ledger(), clock)
        };
        let (handle, owner) = engine::spawn(link::links, make)
            .map_err(|error| Fatal(format!("can't start the owner thread: {}", os_reason(&error))))?;
        self.watch_signals(handle.clone())?;
        // From here on a signal ends the server as it should.
        announce(&self.launch.config);
        drop(announced);
        Ok(Started { handle, owner, wire_limits, outcome })
    }

    fn watch_signals(&self, handle: Handle) -> Result<(), Fatal> {
        let (logger, pid_file) = (self.logger, Arc::clone(&self.pid_file));
        let act = move |action| match action {
            Action::Stop(signal) => {
                let signal = match signal {
                    signal_hook::consts::SIGINT => Signal::Interrupt,
                    _ => Signal::Terminate,
                };
                // An owner that has ended needs no signal.
                let _ = handle.send(Event::Signal(signal));
            }
            Action::Exit(code) => {
                saver::remove_temporary();
                config_file::remove_temporaries();
                remove(&pid_file);
                std::process::exit(code);
            }
            Action::ReopenLog => {
                if let Err(error) = logger.reopen() {
                    log::warn!("Can't reopen the log file: {}", os_reason(&error));
                }
            }
            Action::Crash(signal) => {
                crash::report(signal);
                remove(&pid_file);
                let _ = signal_hook::low_level::emulate_default_handler(signal);
                std::process::abort();
            }
        };
        signals::watch(self.phase.clone(), act)
            .map_err(|error| Fatal(format!("can't watch for signals: {}", os_reason(&error))))
    }

    /// Lets clients in, and waits until the data is loaded.
    fn accept(self, listeners: Vec<Listener>, started: Started) -> Result<Serving, Fatal> {
        let addresses = listeners.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let Started { handle, owner, wire_limits, outcome } = started;
        let net = Net::serve(listeners, handle, wire_limits)
            .map_err(|error| Fatal(format!("can't start accepting: {}", os_reason(&error))))?;
        self.listening.begin(net, self.launch.config.port);
        match outcome.recv() {
            // Without an outcome the owner has ended because it was told to; its exit code says the
            // rest.
            Ok(Ok(())) | Err(_) => {
                let Starting { logger, folder, pid_file, listening, .. } = self;
                Ok(Serving { logger, addresses, listening, owner, pid_file, folder })
            }
            Ok(Err(line)) => {
                self.listening.stop();
                Err(Fatal(line))
            }
        }
    }
}

/// An owner at work, and where the outcome of its loading comes from.
struct Started {
    handle: Handle,
    owner: JoinHandle<i32>,
    wire_limits: Arc<WireLimits>,
    outcome: Receiver<Result<(), String>>,
}

impl Serving {
    /// Waits for the owner to end and cleans up.
    fn wait(self) -> u8 {
        let exit_code = self.owner.join().unwrap_or(1);
        // Redis: a refused start has told the reason in its last line.
        let says_what_it_removes = exit_code == 0;
        if says_what_it_removes && self.listening.has_unix_socket() {
            log::info!("Removing the unix socket file.");
        }
        self.listening.stop();
        config_file::remove_temporaries();
        // Before the PID file, whose absence tells others that they may start here.
        drop(self.folder);
        if says_what_it_removes && self.pid_file.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            log::info!("Removing the pid file.");
        }
        remove(&self.pid_file);
        if exit_code == 0 {
            log::warn!(target: STATION, "Redis is now ready to exit, bye bye...");
        }
        u8::try_from(exit_code).unwrap_or(1)
    }
}

/// The parts that make a server, as far as they may travel to the owner's thread.
struct Prepared {
    config: Config,
    config_file: String,
    executable: String,
    random_seed: u64,
    hash_seed: [u8; 16],
    limits: Arc<WireLimits>,
    logger: &'static Logger,
    title: Arc<Title>,
    supervisor: Supervisor,
    phase: SharedPhase,
    listening: Arc<listen::Serving>,
    outcome: Sender<Result<(), String>>,
}

impl Prepared {
    fn new(
        starting: &Starting,
        limits: Arc<WireLimits>,
        outcome: Sender<Result<(), String>>,
    ) -> io::Result<Self> {
        let Starting { launch, logger, title, supervisor, phase, listening, .. } = starting;
        let path =
            |path: Option<PathBuf>| path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        let (mut random_seed, mut hash_seed) = ([0; 8], [0; 16]);
        getrandom::fill(&mut random_seed).map_err(io::Error::other)?;
        getrandom::fill(&mut hash_seed).map_err(io::Error::other)?;
        Ok(Self {
            config: launch.config.clone(),
            config_file: path(launch.config_file.clone()),
            executable: path(std::env::current_exe().ok()),
            random_seed: u64::from_ne_bytes(random_seed),
            hash_seed,
            limits,
            logger,
            title: Arc::clone(title),
            supervisor: supervisor.clone(),
            phase: phase.clone(),
            listening: Arc::clone(listening),
            outcome,
        })
    }

    fn setup(self, ledger: &'static Ledger, clock: SystemClock) -> Setup {
        Setup {
            config: self.config,
            config_file: self.config_file,
            executable: self.executable,
            pid: std::process::id(),
            clock: Box::new(clock),
            host: Box::new(Process {
                logger: self.logger,
                oom_score: OomScore::default(),
                phase: self.phase,
                listening: self.listening,
                title: self.title,
                supervisor: self.supervisor,
                outcome: self.outcome,
            }),
            random_seed: self.random_seed,
            hash_seed: crate::base::hash::HashSeed(self.hash_seed),
            limits: self.limits,
            ledger,
        }
    }
}

/// Runs on the owner's thread: a server never changes threads. Says when it cannot be made.
fn make_server(prepared: Prepared, ledger: &'static Ledger, clock: SystemClock) -> Option<Server> {
    let outcome = prepared.outcome.clone();
    match Server::new(prepared.setup(ledger, clock), commands::table()) {
        Ok(mut server) => {
            server.begin_loading();
            Some(server)
        }
        Err(line) => {
            // Whoever waits for the outcome waits for nothing else, so there is somebody.
            let _ = outcome.send(Err(line));
            None
        }
    }
}

/// Takes the PID file. A server that need not have one does without, and says so.
fn take_pid_file(launch: &Launch, must_lock: bool) -> Result<Option<PidFile>, Fatal> {
    let daemonized = launch.config.daemonize && !launch.config.pidfile.is_empty();
    if !(must_lock || daemonized || launch.names_pid_file()) {
        return Ok(None);
    }
    match PidFile::acquire(&launch.pid_file()) {
        Ok(pid_file) => Ok(Some(pid_file)),
        Err(error) if must_lock => Err(Fatal(error.to_string())),
        Err(
            error @ (PidFileError::Held { .. }
            | PidFileError::Starting { .. }
            | PidFileError::HeldUnseen { .. }),
        ) => {
            log::warn!("Going on without a PID file: {error}");
            Ok(None)
        }
        Err(error) => {
            log::warn!("Failed to write PID file: {error}");
            Ok(None)
        }
    }
}

fn remove(pid_file: &SharedPidFile) {
    let mut held = pid_file.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pid_file) = held.take() {
        pid_file.remove_before_exit();
    }
}

/// The lines a start is recognised by: port and "Server initialized".
fn announce(config: &Config) {
    if config.always_show_logo {
        log::info!(target: RAW, "{}", logo(config.port, std::process::id()));
    } else {
        log::info!("Running mode=standalone, port={}.", config.port);
    }
    log::warn!(target: STATION, "Server initialized");
    config.defrag_notice().iter().for_each(|notice| log::warn!("{notice}"));
}

fn logo(port: u16, pid: u32) -> String {
    format!(
        "\n   .--------------.\n   |  p y         |    pyredis {PYREDIS_VERSION}, answers as Redis {REDIS_VERSION}, {bits} bit\n   \
         |   >_ r e d i s |\n   |              |    Running in standalone mode\n   '--------------'    Port: {port}\n   \
         \x20                    PID: {pid}\n\n",
        bits = usize::BITS
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logo_has_the_pid_as_harnesses_look_for_it() {
        let logo = logo(7000, 4711);
        assert!(logo.contains(" PID: 4711\n") && logo.contains("Port: 7000\n"), "{logo}");
    }

    #[test]
    fn addresses_to_ask_are_those_of_this_machine() {
        let config = Config {
            bind: ["*", "-::1", "example.invalid"].map(String::from).to_vec(),
            port: 7000,
            unixsocket: "/tmp/s".into(),
            ..Config::default()
        };
        let addresses: Vec<String> = addresses(&config).iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["127.0.0.1:7000", "[::1]:7000", "/tmp/s"]);
    }
}
