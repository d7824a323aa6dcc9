//! The services of the process for the server: the little things [`Host`] names.

use crate::base::text::os_reason;
use crate::persistence::WholeSave;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::{env, ffi::OsStr, thread};

use super::log::{self as server_log, Logger};
use super::oom_score::OomScore;
use super::signals::{Phase, SharedPhase};
use super::supervisor::Supervisor;
use super::title::Title;
use super::{limits, listen, sys};
use crate::clients::Waking;
use crate::config::{Added, Config, LogLevel, OomScoreAdj};
use crate::engine::{config_file, os, saver};
use crate::server::{Host, News, ProcessFacts};

/// The bytes of a data file that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// This process.
pub struct Process {
    /// Its log.
    pub logger: &'static Logger,
    /// Its standing with the out-of-memory killer.
    pub oom_score: OomScore,
    /// The phase, which gives signals their meaning.
    pub phase: SharedPhase,
    /// Its listeners.
    pub listening: Arc<listen::Serving>,
    /// Its title.
    pub title: Arc<Title>,
    /// The program that started it.
    pub supervisor: Supervisor,
    /// To whoever waits for the data to be loaded.
    pub outcome: Sender<Result<(), String>>,
}

impl Host for Process {
    fn change_dir(&self, path: &[u8]) -> Result<Vec<u8>, String> {
        let entered = env::set_current_dir(OsStr::from_bytes(path)).and_then(|()| env::current_dir());
        entered.map(|folder| folder.into_os_string().into_vec()).map_err(|error| os_reason(&error))
    }

    fn make_room_for(&self, clients: u32) -> u32 {
        limits::apply(clients).map_or(0, |plan| plan.max_clients)
    }

    fn set_log_level(&self, level: LogLevel) {
        server_log::set_level(level);
    }

    fn reopen_log(&self) {
        if let Err(error) = self.logger.reopen() {
            log::warn!("Can't reopen the log file: {}", os_reason(&error));
        }
    }

    fn listen(&self, config: &Config) -> Result<(), String> {
        self.listening.listen(config)
    }

    fn stop_listening(&self) {
        self.listening.stop_tcp();
    }

    fn unread(&self, sockets: &[i32]) -> Vec<bool> {
        os::unread(sockets)
    }

    fn schedule_worker(&self, thread: i32, waking: Waking) {
        os::schedule_worker(thread, waking);
    }

    fn show_title(&self, config: &Config, config_file: &str) -> Result<(), String> {
        self.title.show(config, config_file)
    }

    fn rewrite_config(&self, file: &str, config: &Config, added: Added) -> Result<(), String> {
        config_file::rewrite_file(file, config, added)
    }

    fn set_oom_score(&self, how: OomScoreAdj, score: i32) -> Result<(), String> {
        self.oom_score.set(how, score).map_err(|error| os_reason(&error))
    }

    fn sleep_us(&self, us: u64) {
        thread::sleep(Duration::from_micros(us));
    }

    fn write_snapshot(&self, job: &WholeSave) -> Result<(), String> {
        saver::write_whole(job).map_err(|error| error.to_string())
    }

    fn hear(&self, news: News) {
        if matches!(news, News::Ready | News::GoesOn) {
            // From here on a signal asks; the one before has been answered.
            self.phase.set(Phase::Serving);
        }
        self.supervisor.tell(news);
    }

    fn loaded(&self, result: Result<(), String>) {
        // Whoever starts the server waits for it, unless it has given up.
        let _ = self.outcome.send(result);
    }

    fn process_facts(&self) -> ProcessFacts {
        let (cpu_user_us, cpu_system_us) = sys::cpu_times_us();
        let (thread_user_us, thread_system_us) = sys::thread_cpu_times_us();
        ProcessFacts {
            system: sys::name(),
            resident_bytes: pages_of("/proc/self/statm", 1) * sys::page_bytes(),
            total_memory_bytes: sys::memory_bytes(),
            cpu_system_us,
            cpu_user_us,
            thread_system_us,
            thread_user_us,
        }
    }

    fn replace_file(&self, path: &[u8], bytes: &[u8]) -> Result<(), String> {
        config_file::replace(Path::new(OsStr::from_bytes(path)), bytes).map_err(|error| os_reason(&error))
    }

    fn fill_secret(&self, bytes: &mut [u8]) -> Result<(), String> {
        getrandom::fill(bytes).map_err(|error| error.to_string())
    }

    fn read_file(&self, path: &[u8]) -> Result<Box<dyn Read>, String> {
        let file = File::open(OsStr::from_bytes(path)).map_err(|error| os_reason(&error))?;
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)))
    }
}

/// A number of a file of numbers, 0 when it cannot be read.
fn pages_of(path: &str, column: usize) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_ascii_whitespace().nth(column).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc;

    fn process() -> Process {
        Process {
            logger: server_log::install(),
            oom_score: OomScore::default(),
            phase: SharedPhase::default(),
            listening: Arc::default(),
            title: Arc::new(Title::nowhere()),
            supervisor: Supervisor::Nobody,
            outcome: mpsc::channel().0,
        }
    }

    #[test]
    fn rewritten_file_keeps_comments_and_permissions_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("redis.conf");
        fs::write(&file, "# ours\nport 1\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let config = Config { port: 7000, ..Config::default() };
        process().rewrite_config(file.to_str().unwrap(), &config, Added::Changed).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# ours\nport 7000\n"), "{text}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_done_is_told_in_the_words_of_the_system() {
        let missing = "No such file or directory";
        assert_eq!(process().change_dir(b"/no/such/folder").unwrap_err(), missing);
        assert_eq!(process().read_file(b"/no/such/file").err().unwrap(), missing);
        let rewritten = process().rewrite_config("/no/such/file", &Config::default(), Added::All);
        assert_eq!(rewritten.unwrap_err(), missing);
    }
}
