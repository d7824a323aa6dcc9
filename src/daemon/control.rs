//! `pyredis start|stop|restart|status`: what a person types, and what they are told.
//!
//! Each word reads the configuration (so that it speaks of the right server), does its work and
//! returns an exit code. Good news goes to stdout, bad news to stderr, one line each where one line
//! can say it; where a server listens, keeps its data and logs follows in lines of their own.
//! `start` returns when the server has answered a PING; `stop` when the lock of the PID file is
//! free; `restart` looks at everything that could make the start fail before it stops anything.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::cli::{EXIT_NOT_RUNNING, Place};
use super::detach::{Child, Detached, Outcome, detach};
use super::launch::Launch;
use super::pid_file::{PidFileError, Running};
use super::probe::Address;
use super::run::{self, Front, Run};
use super::sys::{self, ProcessHandle};
use super::{home, suggest, whereabouts};
use crate::base::text::{original, os_reason, split_args};
use crate::config::{self, LoadError, Origin, PARAMETERS, Text};

/// The time after which somebody who waits is told again what for.
const TICK: Duration = Duration::from_secs(5);
/// The number of times that a server that says it serves is asked, before it is taken for mute.
const PINGS: u32 = 5;

/// Something went wrong: what goes to stderr, without the last newline.
struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(format!("pyredis: {error}"))
    }
}

type Done = Result<u8, Failure>;

/// Starts a server, in front or in the background.
pub fn start(args: &[OsString], place: Place) -> u8 {
    finish(try_start(args, place))
}

/// Stops the server of this configuration.
pub fn stop(args: &[OsString]) -> u8 {
    finish(try_stop(args))
}

/// Stops the server if it runs, and starts it.
pub fn restart(args: &[OsString]) -> u8 {
    finish(try_restart(args))
}

/// Says whether the server runs.
pub fn status(args: &[OsString]) -> u8 {
    finish(try_status(args))
}

fn finish(result: Done) -> u8 {
    result.unwrap_or_else(|Failure(text)| {
        // It may hold any byte of the configuration.
        let _ = io::stderr().write_all(&original(&(text + "\n")));
        1
    })
}

/// Returns the server to start, if it is one that this program can be.
fn find_to_start(args: &[OsString]) -> Result<Launch, Failure> {
    let launch = find(args)?;
    match launch.config.refusal() {
        Some(line) => Err(Failure(format!("pyredis: {line}"))),
        None => Ok(launch),
    }
}

fn try_start(args: &[OsString], place: Place) -> Done {
    let mut launch = find_to_start(args)?;
    let pid_file = launch.pid_file();
    // One that is starting may fail yet: whoever takes the PID file waits for that.
    if let Some(running) = Running::find(&pid_file)?.filter(|running| running.has_started) {
        return Err(Failure(format!(
            "pyredis: already running with PID {} (PID file {})",
            running.pid,
            pid_file.display()
        )));
    }
    let front = match place {
        Place::Background => {
            prepare_background(&mut launch)?;
            return in_background(launch);
        }
        Place::Foreground => Front::Terminal,
        Place::Debug => Front::Debug,
    };
    enter(&mut launch)?;
    Ok(run::serve(Run { launch, front, must_lock: true }))
}

fn try_restart(args: &[OsString]) -> Done {
    let mut launch = find_to_start(args)?;
    prepare_background(&mut launch)?;
    if let Some(running) = Running::find(&launch.pid_file())? {
        stop_running(running, &launch)?;
    }
    in_background(launch)
}

fn try_stop(args: &[OsString]) -> Done {
    let launch = find(args)?;
    match Running::find(&launch.pid_file())? {
        Some(running) => stop_running(running, &launch)?,
        None => tell_not_running(launch),
    }
    Ok(0)
}

fn try_status(args: &[OsString]) -> Done {
    let launch = find(args)?;
    let pid_file = launch.pid_file();
    match Running::find(&pid_file) {
        Err(unseen @ PidFileError::HeldUnseen { .. }) => {
            println!("pyredis is running: {unseen}");
            Ok(0)
        }
        Err(error) => Err(error.into()),
        Ok(Some(running)) => {
            println!("pyredis is running with PID {} (PID file {})", running.pid, pid_file.display());
            if let Some(folder) = whereabouts::folder_of(running.pid) {
                tell("data in", folder.display());
            }
            if let Some(log) = log_of(&running, &launch) {
                tell("logs to", log.display());
            }
            Ok(0)
        }
        Ok(None) => {
            tell_not_running(launch);
            Ok(EXIT_NOT_RUNNING)
        }
    }
}

/// One line of what a person wants to know.
fn tell(what: &str, value: impl std::fmt::Display) {
    println!("  {what:<11}{value}");
}

/// Whoever looks for a server that crashed finds where it wrote why.
fn tell_not_running(mut launch: Launch) {
    println!("pyredis is not running (no server holds the PID file {})", launch.pid_file().display());
    launch.log_to_folder();
    if let Some(log) = launch.log_file().filter(|log| log.exists()) {
        tell("its log", log.display());
    }
}

/// The log file of a running server: what the configuration says, if that is true of this process.
fn log_of(running: &Running, launch: &Launch) -> Option<PathBuf> {
    let folder = whereabouts::folder_of(running.pid)?;
    let candidates = [launch.log_file(), Some(folder.join(home::LOG_FILE))];
    candidates.into_iter().flatten().find(|log| whereabouts::has_open(running.pid, log))
}

/// Reads the configuration.
fn find(args: &[OsString]) -> Result<Launch, Failure> {
    Launch::find(args).map_err(|error| {
        Failure(match error {
            LoadError::Line { line, reason, origin: Origin::CommandLine, .. } => wrong_option(&line, &reason),
            LoadError::Unreadable { .. } => format!("pyredis: {error}"),
            _ => error.to_string(),
        })
    })
}

/// Describes the fault of an option of the command line, which was read as this line of a
/// configuration.
fn wrong_option(line: &Text, reason: &str) -> String {
    let words = split_args(line.as_bytes()).unwrap_or_default();
    let name = words.first().map(|name| Text::from(name.as_slice())).unwrap_or_default().to_string();
    let is_known = config::lookup(name.as_bytes()).is_some()
        || config::DIRECTIVES.iter().any(|known| known.eq_ignore_ascii_case(&name));
    if is_known {
        return format!("pyredis: the option --{line} is wrong: {reason}");
    }
    let known = PARAMETERS.iter().map(|parameter| parameter.name).chain(config::DIRECTIVES.iter().copied());
    match suggest::nearest(&name, known) {
        Some(meant) => format!("pyredis: there is no option --{name}; did you mean --{meant}?"),
        None => format!("pyredis: there is no option --{name}; options are the directives of redis.conf"),
    }
}

/// Goes to the data folder and looks whether it and the log file can be used.
fn enter(launch: &mut Launch) -> Result<(), Failure> {
    let failure = |line| Failure(format!("pyredis: {line}"));
    launch.enter().map_err(failure)?;
    check_writable(&launch.config.dir)?;
    launch.try_log_file().map_err(failure)
}

/// As [`enter`], for a server that nobody sees.
fn prepare_background(launch: &mut Launch) -> Result<(), Failure> {
    launch.log_to_folder();
    enter(launch)
}

/// Makes a file in the working folder and removes it: the only question every file system answers
/// truly.
fn check_writable(dir: &Text) -> Result<(), Failure> {
    let name = format!("temp-{}.check", std::process::id());
    match OpenOptions::new().write(true).create_new(true).open(&name) {
        Ok(_) => {
            let _ = fs::remove_file(&name);
            Ok(())
        }
        Err(error) => {
            Err(Failure(format!("pyredis: can't write in the folder {dir}: {}", os_reason(&error))))
        }
    }
}

fn stop_running(running: Running, launch: &Launch) -> Result<(), Failure> {
    let pid = running.pid;
    let log = log_of(&running, launch);
    running
        .terminate()
        .map_err(|error| Failure(format!("pyredis: can't stop PID {pid}: {}", os_reason(&error))))?;
    let see = log.as_ref().map(|log| format!("; see {}", log.display())).unwrap_or_default();
    running.wait_until_gone(TICK, || {
        eprintln!("pyredis: still waiting for PID {pid} to stop (it saves its data first{see})");
    })?;
    println!("pyredis has stopped (PID {pid})");
    if let Some(log) = log {
        tell("its log", log.display());
    }
    Ok(())
}

/// Forks; returns in both processes.
fn in_background(launch: Launch) -> Done {
    let plan = Plan {
        addresses: run::addresses(&launch.config),
        folder: launch.config.dir.clone(),
        log: launch.log_file(),
    };
    match detach().map_err(|error| Failure(format!("pyredis: can't detach: {}", os_reason(&error))))? {
        Detached::Server(report) => {
            Ok(run::serve(Run { launch, front: Front::Detached(report), must_lock: true }))
        }
        Detached::Parent(child) => follow(child, &plan),
    }
}

/// The facts about the server that the process that waits knows.
struct Plan {
    /// The addresses at which it can be asked.
    addresses: Vec<Address>,
    folder: Text,
    log: Option<PathBuf>,
}

/// Waits for the outcome and tells it.
fn follow(child: Child, plan: &Plan) -> Done {
    let pid = child.pid;
    let log = plan.log.as_ref().map(|log| log.display().to_string());
    let see = log.as_ref().map(|log| format!("; see {log}")).unwrap_or_default();
    let outcome = child.wait(TICK, |pid| {
        eprintln!("pyredis: still waiting for PID {pid} to be ready (it loads its data first{see})");
    })?;
    match outcome {
        Outcome::Ready(listening) => {
            if let Err(why) = answers(&plan.addresses) {
                // Ours without doubt: it is a child that nobody has waited for yet.
                ProcessHandle::open(pid)?.terminate()?;
                sys::wait_for_child(pid)?;
                let line = format!("pyredis: PID {pid} does not answer, and was stopped: {why}{see}");
                return Err(Failure(line));
            }
            println!("pyredis has started with PID {pid}");
            tell("listens on", listening);
            tell("data in", &plan.folder);
            if let Some(log) = log {
                tell("logs to", log);
            }
            Ok(0)
        }
        Outcome::Failed(line) => Err(Failure(format!("pyredis: {line}{see}"))),
        Outcome::Died { status, last_lines } => {
            let log = log.map(|log| format!("\nAll of it: {log}")).unwrap_or_default();
            Err(Failure(format!(
                "pyredis: the server did not start ({status}); its log ends with\n{}{log}",
                last_lines.join("\n")
            )))
        }
    }
}

/// Checks that one of the addresses answers, if there is one to ask; the error says why not.
fn answers(addresses: &[Address]) -> Result<(), String> {
    let mut outcome = Ok(());
    for _ in 0..PINGS {
        for address in addresses {
            match address.ping() {
                Ok(()) => return Ok(()),
                Err(error) => outcome = Err(format!("{address}: {}", os_reason(&error))),
            }
        }
    }
    outcome
}
