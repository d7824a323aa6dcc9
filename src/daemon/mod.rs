//! Processes, signals, PID file and log: the roof, which alone knows what a process is.
//!
//! [`main`] reads the command line ([`cli`]) and does what it says: `start`, `stop`, `restart` and
//! `status` ([`control`]), or a server in the foreground as redis-server is one. Either way a
//! server comes up in [`run`], which holds the order of start and stop. The lock of the PID file
//! ([`pid_file`]) holds the rest together: it, and nothing else, says whether a server runs.

pub mod check_aof;
pub mod check_rdb;
pub mod cli;
pub mod control;
pub mod crash;
pub mod detach;
pub mod folder;
pub mod home;
pub mod host;
pub mod launch;
pub mod limits;
pub mod listen;
pub mod log;
pub mod oom_score;
pub mod pid_file;
pub mod probe;
pub mod run;
pub mod signals;
pub mod suggest;
pub mod supervisor;
pub(crate) mod sys;
pub mod syslog;
pub mod terminal_log;
pub mod title;
pub mod whereabouts;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use cli::Wish;
use launch::{Launch, LaunchError};
use run::{Front, Run};

use crate::base::text::{original, os_reason};
use crate::config::LoadError;

/// Does what the command line (without the program's name) and the environment ask for. Returns the
/// exit code of the process.
pub fn main(args: &[OsString]) -> u8 {
    if asks_for_sentinel(std::env::args_os().next(), args) {
        eprintln!("pyredis: can't start as a Sentinel: that is not there yet");
        return 1;
    }
    match cli::parse(args, |name| std::env::var_os(name)) {
        Wish::Serve(args) => serve(&args),
        Wish::Start(args, place) => control::start(&args, place),
        Wish::Stop(args) => control::stop(&args),
        Wish::Restart(args) => control::restart(&args),
        Wish::Status(args) => control::status(&args),
        Wish::CheckAof(path, remedy) => check_aof::run(&path, remedy),
        Wish::CheckRdb(path) => check_rdb::run(&path),
        Wish::Print(text) => {
            // Whoever closed the pipe (`pyredis --help | head`) has read enough.
            let _ = io::stdout().write_all(text.as_bytes());
            0
        }
        Wish::Refuse(text, code) => {
            eprint!("{text}");
            code
        }
    }
}

/// True when the program is called as a Sentinel, as redis-server finds it out: by its name or by
/// an option.
fn asks_for_sentinel(program: Option<OsString>, args: &[OsString]) -> bool {
    let program = program.unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    name.to_string_lossy().contains("redis-sentinel") || args.iter().any(|arg| arg == "--sentinel")
}

/// As redis-server: in the foreground, or detached with `daemonize yes`.
fn serve(args: &[OsString]) -> u8 {
    let launch = match Launch::read(args) {
        Ok(launch) => launch,
        Err(LaunchError::Config(error @ LoadError::Unreadable { .. })) => {
            log::install();
            ::log::warn!("{error}");
            eprintln!("pyredis: {error}");
            return 1;
        }
        Err(LaunchError::Config(error) | LaunchError::Folder { error, .. }) => {
            // Its line may hold any byte.
            let _ = io::stderr().write_all(&original(&format!("{error}\n")));
            return 1;
        }
    };
    if !launch.config.daemonize || launch.supervisor().is_there() {
        return run::serve(Run { launch, front: Front::Terminal, must_lock: false });
    }
    match detach::detach() {
        // As redis-server: the terminal is free at once, and the log tells the rest.
        Ok(detach::Detached::Parent(_)) => 0,
        Ok(detach::Detached::Server(_)) => run::serve(Run { launch, front: Front::Alone, must_lock: false }),
        Err(error) => {
            eprintln!("pyredis: can't detach: {}", os_reason(&error));
            1
        }
    }
}
