//! Processes, signals, PID file and log.

pub mod cli;
pub mod crash;
pub mod detach;
pub mod limits;
pub mod log;
pub mod pid_file;
pub mod probe;
pub mod signals;
pub(crate) mod sys;

use std::io;

/// What the system said, without Rust's `(os error 2)`.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
