//! The log of `start debug`, for a person at a terminal: `17:06:19.100 notice  pyredis: Ready to
//! accept connections`.
//!
//! simplelog writes the lines; this room says what is in them: local time, the level in the words
//! of `loglevel`, our name. Redis logs the stations of a server's life at its highest level, so
//! that no `loglevel` hides them; here they are notices, since nothing is wrong.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, SimpleLogger};

use super::log::{RAW, SIGNAL, escape};
use super::sys;
use crate::server::STATION;

/// Sends every line to the terminal. Nothing changes when a logger is installed already, which then
/// serves as well.
pub fn install() {
    let _ = log::set_boxed_logger(Box::new(TerminalLog(writer())));
}

struct TerminalLog(Box<SimpleLogger>);

/// Writes what it is given, line by line, and adds nothing of its own.
fn writer() -> Box<SimpleLogger> {
    let nothing_added = ConfigBuilder::new()
        .set_time_level(LevelFilter::Off)
        .set_max_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    SimpleLogger::new(LevelFilter::Trace, nothing_added)
}

impl Log for TerminalLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    #[expect(clippy::disallowed_methods, reason = "the time of a line of the log, which nothing depends on")]
    fn log(&self, record: &Record<'_>) {
        let text = record.args().to_string();
        if record.target() == RAW {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return;
        }
        // Reports of a crash have many lines, which nobody else can write.
        let text = if record.target().ends_with("::crash") { text } else { escape(&text) };
        let line = line(SystemTime::now(), record.level(), record.target(), &text);
        // All lines on one stream, in their order: errors would go to stderr.
        let mut plain = Record::builder();
        self.0.log(&plain.level(Level::Info).args(format_args!("{line}")).build());
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn line(now: SystemTime, level: Level, target: &str, text: &str) -> String {
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = sys::local_time(since_1970.as_secs().cast_signed());
    let word = match level {
        _ if target == STATION || target == SIGNAL => "notice",
        Level::Trace => "debug",
        Level::Debug => "verbose",
        Level::Info => "notice",
        Level::Warn => "warning",
        Level::Error => "error",
    };
    let (hour, minute, second) = (time.hour, time.minute, time.second);
    let millis = since_1970.subsec_millis();
    format!("{hour:02}:{minute:02}:{second:02}.{millis:03} {word:<7} pyredis: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn line_has_time_level_and_name() {
        let now = UNIX_EPOCH + Duration::from_millis(1_795_453_579_007);
        for (level, target, word) in [
            (Level::Trace, "pyredis::net", "debug  "),
            (Level::Debug, "pyredis::net", "verbose"),
            (Level::Info, "pyredis::net", "notice "),
            (Level::Warn, "pyredis::net", "warning"),
            (Level::Error, "pyredis::net", "error  "),
            (Level::Warn, STATION, "notice "),
            (Level::Warn, SIGNAL, "notice "),
        ] {
            let line = line(now, level, target, "text");
            // Hour and minute depend on the time zone of the machine.
            let (time, rest) = line.split_at("17:06:19.007".len());
            assert!(time.ends_with(":19.007"), "{line}");
            assert_eq!(rest, format!(" {word} pyredis: text"));
        }
    }
}
