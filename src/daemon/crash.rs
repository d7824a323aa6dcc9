//! The report a dying server leaves in its log.
//!
//! Written when the owner thread panics (the data cannot be trusted any more) and when the process is
//! told to die by SIGABRT. It says what a bug report needs: version, command line, what went wrong and
//! where. A panic anywhere else costs one connection and one line.
//!
//! SIGSEGV is left to Rust's runtime, which tells a stack overflow from the rest; a report made inside
//! the handler of a real fault could not be made safely.

use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use super::cli::{PYREDIS_VERSION, REDIS_VERSION};
use super::log::RAW;

/// How the server was started, for the report.
static COMMAND_LINE: OnceLock<String> = OnceLock::new();

/// Decides by its name whether a thread's panic is the end of the process.
type IsFatal = fn(thread_name: &str) -> bool;

/// Has panics reported in the log from now on. After the panic of a thread that `is_fatal`, `last_words`
/// is called and the process aborts.
pub fn install(is_fatal: IsFatal, last_words: impl Fn() + Send + Sync + 'static) {
    let _ = COMMAND_LINE.set(std::env::args().collect::<Vec<_>>().join(" "));
    std::panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let what = describe(name, info);
        if is_fatal(name) {
            report(&what);
            last_words();
            std::process::abort();
        }
        log::warn!("{what}; its connection is closed");
        log::debug!(target: RAW, "{}\n", Backtrace::force_capture());
    }));
}

fn describe(thread: &str, info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("(no text)");
    match info.location() {
        Some(place) => format!("Panic in thread '{thread}' at {}:{}: {message}", place.file(), place.line()),
        None => format!("Panic in thread '{thread}': {message}"),
    }
}

/// Writes the report: the reason, the stack of this thread, the versions and the command line.
pub fn report(reason: &str) {
    log::error!(target: RAW, "\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n");
    log::error!("pyredis {PYREDIS_VERSION} (Redis {REDIS_VERSION}) crashed: {reason}");
    log::error!(
        target: RAW,
        "\n------ STACK TRACE ------\n{}\n------ COMMAND LINE ------\n{}\n\n\
         === REDIS BUG REPORT END. Make sure to include from START to END. ===\n",
        Backtrace::force_capture(),
        COMMAND_LINE.get().map_or("", String::as_str)
    );
}
