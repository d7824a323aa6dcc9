//! `pyredis start|stop|restart|status`: what a person types, and what they are told.
//!
//! Each word reads the configuration (so that it speaks of the right server), does its work and
//! returns an exit code. Good news goes to stdout, bad news to stderr, one line each where one line can
//! say it. `start` returns when the server has answered a PING; `stop` when the lock of the PID file is
//! free; `restart` looks at everything that could make the start fail before it stops anything.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::time::Duration;

use super::cli::{EXIT_NOT_RUNNING, Place};
use super::detach::{Child, Detached, Outcome, detach};
use super::launch::{Launch, LaunchError, find_pid_file};
use super::pid_file::{PidFileError, Running};
use super::probe::Address;
use super::run::{self, Front, Run};
use super::sys::{self, ProcessHandle};
use super::{launch, reason};

/// How often somebody who waits is told what for.
const TICK: Duration = Duration::from_secs(5);
/// How often a server that says it serves is asked, before it is taken for mute.
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
        eprintln!("{text}");
        1
    })
}

fn try_start(args: &[OsString], place: Place) -> Done {
    let launch = read(args)?;
    let pid_file = launch.pid_file();
    if let Some(running) = Running::find(&pid_file)? {
        return Err(Failure(format!(
            "pyredis: already running with PID {} (PID file {})",
            running.pid,
            pid_file.display()
        )));
    }
    match place {
        Place::Background => in_background(launch),
        Place::Foreground => Ok(run::serve(Run { launch, front: Front::Terminal, must_lock: true })),
        Place::Debug => Ok(run::serve(Run { launch, front: Front::Debug, must_lock: true })),
    }
}

fn try_restart(args: &[OsString]) -> Done {
    let launch = read(args)?;
    if let Some(line) = launch.config.refusal() {
        return Err(Failure(format!("pyredis: {line}")));
    }
    if let Some(running) = Running::find(&launch.pid_file())? {
        stop_running(running)?;
    }
    in_background(launch)
}

fn try_stop(args: &[OsString]) -> Done {
    let pid_file = find_pid_file(args).map_err(|error| Failure(error.to_string()))?;
    match Running::find(&pid_file)? {
        Some(running) => stop_running(running)?,
        None => println!("pyredis is not running (no server holds the PID file {})", pid_file.display()),
    }
    Ok(0)
}

fn try_status(args: &[OsString]) -> Done {
    let pid_file = find_pid_file(args).map_err(|error| Failure(error.to_string()))?;
    match Running::find(&pid_file) {
        Err(unseen @ PidFileError::HeldUnseen { .. }) => {
            println!("pyredis is running: {unseen}");
            Ok(0)
        }
        Err(error) => Err(error.into()),
        Ok(Some(running)) => {
            println!("pyredis is running with PID {} (PID file {})", running.pid, pid_file.display());
            Ok(0)
        }
        Ok(None) => {
            println!("pyredis is not running (no server holds the PID file {})", pid_file.display());
            Ok(EXIT_NOT_RUNNING)
        }
    }
}

/// Reads the configuration and looks at the data folder, which is the working folder afterwards.
fn read(args: &[OsString]) -> Result<Launch, Failure> {
    let launch = Launch::read(args).map_err(|error| match error {
        LaunchError::Folder { path, reason, .. } => {
            Failure(format!("pyredis: can't use the folder {}: {reason}", path.display()))
        }
        LaunchError::Config(error) => Failure(match error {
            crate::config::LoadError::Unreadable { .. } => format!("pyredis: {error}"),
            _ => error.to_string(),
        }),
    })?;
    check_writable(launch::path_of(&launch.config.dir))?;
    Ok(launch)
}

/// Makes a file in the working folder and removes it: the only question every file system answers truly.
fn check_writable(dir: &Path) -> Result<(), Failure> {
    let name = format!("temp-{}.check", std::process::id());
    match OpenOptions::new().write(true).create_new(true).open(&name) {
        Ok(_) => {
            let _ = fs::remove_file(&name);
            Ok(())
        }
        Err(error) => {
            let dir = std::env::current_dir().unwrap_or_else(|_| dir.into());
            Err(Failure(format!("pyredis: can't write in the folder {}: {}", dir.display(), reason(&error))))
        }
    }
}

fn stop_running(running: Running) -> Result<(), Failure> {
    let pid = running.pid;
    running
        .terminate()
        .map_err(|error| Failure(format!("pyredis: can't stop PID {pid}: {}", reason(&error))))?;
    running.wait_until_gone(TICK, || {
        eprintln!("pyredis: still waiting for PID {pid} to stop (it saves its data first; see its log)");
    })?;
    println!("pyredis has stopped (PID {pid})");
    Ok(())
}

/// Forks; returns in both processes.
fn in_background(launch: Launch) -> Done {
    let addresses = run::addresses(&launch.config);
    match detach().map_err(|error| Failure(format!("pyredis: can't detach: {}", reason(&error))))? {
        Detached::Server(report) => {
            Ok(run::serve(Run { launch, front: Front::Detached(report), must_lock: true }))
        }
        Detached::Parent(child) => follow(child, &addresses),
    }
}

/// Waits for the outcome and tells it.
fn follow(child: Child, addresses: &[Address]) -> Done {
    let pid = child.pid;
    let outcome = child.wait(TICK, |pid| {
        eprintln!("pyredis: still waiting for PID {pid} to be ready (it loads its data first; see its log)");
    })?;
    match outcome {
        Outcome::Ready => match answering(addresses) {
            Ok(address) => {
                println!("pyredis has started with PID {pid}{address}");
                Ok(0)
            }
            Err(why) => {
                // Ours without doubt: it is a child that nobody has waited for yet.
                ProcessHandle::open(pid)?.terminate()?;
                sys::wait_for_child(pid)?;
                Err(Failure(format!("pyredis: PID {pid} does not answer, and was stopped: {why}")))
            }
        },
        Outcome::Failed(line) => Err(Failure(format!("pyredis: {line}"))),
        Outcome::Died { status, last_lines } => Err(Failure(format!(
            "pyredis: the server did not start ({status}); its log ends with\n{}",
            last_lines.join("\n")
        ))),
    }
}

/// The first address that answers, as the end of a sentence; nothing when there is none to ask.
fn answering(addresses: &[Address]) -> Result<String, String> {
    let mut why = String::new();
    for _ in 0..PINGS {
        for address in addresses {
            match address.ping() {
                Ok(()) => return Ok(format!(", {address}")),
                Err(error) => why = format!("{address}: {}", reason(&error)),
            }
        }
    }
    if addresses.is_empty() { Ok(String::new()) } else { Err(why) }
}
