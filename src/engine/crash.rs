//! The report of a panic: on the owner thread it is the last thing the process does.
//!
//! [`guard`] wraps the owner thread. The panic hook notes message, place and backtrace where they
//! are known; when the panic arrives at the top of the thread the report goes to the log, with
//! the version and the command, and the process aborts (exit status 134). A panic anywhere else
//! costs one log line here and whatever its thread was doing.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process;
use std::sync::Once;

use crate::base::ClientId;
use crate::resp::Requests;

/// Bytes of a command's name that a report shows.
const NAME_BYTES: usize = 32;

thread_local! {
    static RUNNING: Cell<Note> = const { Cell::new(Note { client: 0, commands: 0, length: 0, name: [0; NAME_BYTES] }) };
    static CARE: Cell<Care> = const { Cell::new(Care::Default) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The consequence of a panic of this thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// The same as the hook before ours does.
    Default,
    /// One line in the log.
    Line,
    /// The report.
    Report,
}

/// The batch of commands under way.
#[derive(Clone, Copy)]
struct Note {
    client: u64,
    commands: usize,
    length: usize,
    name: [u8; NAME_BYTES],
}

/// Notes that `requests` of `client` are about to run. Costs a copy of a few bytes.
pub(super) fn note(client: ClientId, requests: &Requests) {
    let mut note = Note { client: client.0, commands: requests.len(), length: 0, name: [0; NAME_BYTES] };
    if !requests.is_empty() {
        let name = requests.get(0).get(0).unwrap_or_default();
        note.length = name.len().min(NAME_BYTES);
        note.name[..note.length].copy_from_slice(&name[..note.length]);
    }
    RUNNING.set(note);
}

/// Runs the owner thread; a panic in it ends the process.
pub(super) fn guard(run: impl FnOnce() -> i32) -> i32 {
    install();
    CARE.set(Care::Report);
    match panic::catch_unwind(AssertUnwindSafe(run)) {
        Ok(exit_code) => exit_code,
        Err(payload) => {
            let panic = PANIC.take().unwrap_or_else(|| message(payload.as_ref()).to_owned());
            log::error!("{}", report(&panic, &RUNNING.get()));
            log::logger().flush();
            process::abort();
        }
    }
}

fn report(panic: &str, note: &Note) -> String {
    format!(
        "=== PYREDIS BUG REPORT START: Cut & paste starting from here ===\n\
         pyredis {} crashed: {panic}\n\
         ------ RUNNING ------\n\
         client id={}, {} command(s) in this read, the first: {}\n\
         === PYREDIS BUG REPORT END. The data on disk is untouched ===",
        env!("CARGO_PKG_VERSION"),
        note.client,
        note.commands,
        note.name[..note.length].escape_ascii(),
    )
}

/// From now on a panic of the calling thread is one line in the log, without a backtrace: a
/// worker's stack is too small to make one.
pub fn report_briefly() {
    CARE.set(Care::Line);
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| match CARE.get() {
            Care::Default => previous(info),
            Care::Line => log::error!("A thread panicked, its connection is closed: {}", describe(info)),
            Care::Report => {
                let backtrace = Backtrace::force_capture();
                PANIC.set(Some(format!("{}\n------ STACK TRACE ------\n{backtrace}", describe(info))));
            }
        }));
    });
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    format!("{} at {place}", message(info.payload()))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "panic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;

    #[test]
    fn the_report_names_version_panic_client_and_command() {
        let argv = OwnedArgv::from_parts([&b"S\xffT"[..], b"secret"]);
        note(ClientId(7), &Requests::single(argv));
        let text = report("index out of bounds", &RUNNING.get());
        for part in [env!("CARGO_PKG_VERSION"), "index out of bounds", "client id=7", "S\\xffT"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("secret"));
    }
}
