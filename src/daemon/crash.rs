//! The report a process leaves in its log when a signal ends it as a crash, and panics of odd
//! threads.
//!
//! Panics of the owner thread and of the workers are the engine's business ([`crate::engine`]);
//! here are the threads of the roof itself, and the signals. The report is written by an ordinary
//! thread, never inside a signal handler, where next to nothing may safely be done.

use std::backtrace::Backtrace;
use std::sync::OnceLock;

use super::cli::{PYREDIS_VERSION, REDIS_VERSION};
use super::log::RAW;

/// The command line as it was: the process title is written over it.
static COMMAND_LINE: OnceLock<String> = OnceLock::new();

/// Sends the panics of threads nobody else looks after to the log, beside the terminal. To be
/// called before the process title changes.
pub fn install() {
    COMMAND_LINE.get_or_init(|| {
        let words: Vec<_> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
        words.join(" ")
    });
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        log::error!("{info}");
        previous(info);
    }));
}

/// Writes the report: the reason, the stack of this thread, the versions and the command line.
pub fn report(signal: i32) {
    log::error!(target: RAW, "\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n");
    log::error!("Redis {REDIS_VERSION} crashed by signal: {signal} (pyredis {PYREDIS_VERSION})");
    log::error!(
        target: RAW,
        "\n------ STACK TRACE ------\n{}\n------ COMMAND LINE ------\n{}\n\n\
         === REDIS BUG REPORT END. Make sure to include from START to END. ===\n",
        Backtrace::force_capture(),
        COMMAND_LINE.get().map_or("", String::as_str)
    );
}
