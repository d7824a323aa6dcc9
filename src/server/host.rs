//! The services of the process for the server: [`Host`].

use super::stop::News;
use crate::clients::Waking;
use crate::config::{Added, Config, LogLevel, OomScoreAdj};
use crate::persistence::WholeSave;
use std::io::Read;

/// The services of the process for the server: little things that are done at once. The roof
/// implements it; a test's does nothing, or fails on purpose.
///
/// The owner thread waits for each, so none may block: what can is a [`super::Task`] with a client
/// that waits. These touch a disk or a file system all the same, and everybody waits for them:
///
/// | what | why it is done at once |
/// |---|---|
/// | CONFIG REWRITE, ACL SAVE, ACL LOAD in a transaction | nothing waits in a transaction |
/// | DEBUG RELOAD | a tool for tests: nobody may see the data while it is away |
/// | DEBUG LOADAOF ([`super::Task::LoadAof`]) | the same |
/// | CONFIG SET `dir` | it is the working folder of the whole process, and may be refused |
/// | SIGHUP (`reopen_log`) | the next line goes into the new file |
/// | a line of the log | one write to a file that is not synced, as in Redis |
/// | the ACL file and the opening of the append-only file at the start | nobody is served yet |
pub trait Host {
    /// Changes the working folder. Returns its absolute path, or why not.
    fn change_dir(&self, path: &[u8]) -> Result<Vec<u8>, String>;
    /// Makes room for this many clients. Returns how many there is room for.
    fn make_room_for(&self, clients: u32) -> u32;
    /// Logs from this level on.
    fn set_log_level(&self, level: LogLevel);
    /// Opens the log file again, after it was moved away.
    fn reopen_log(&self);
    /// Listens to the addresses and the port of `config` instead of those before. Errors in words.
    fn listen(&self, config: &Config) -> Result<(), String>;
    /// Refuses new connections over TCP: the server is about to end, and who is told so finds
    /// nobody here any more.
    fn stop_listening(&self);
    /// Tells for each of these sockets if it has bytes that nobody has read, or has ended.
    fn unread(&self, sockets: &[i32]) -> Vec<bool>;
    /// Changes how a worker's thread is woken.
    fn schedule_worker(&self, thread: i32, waking: Waking);
    /// Shows the process title that `proc-title-template` asks for. Errors in words.
    fn show_title(&self, config: &Config, config_file: &str) -> Result<(), String>;
    /// Writes the configuration to `file` at once, keeping its comments and order. Blocks on the
    /// disk: only for CONFIG REWRITE in a transaction, where nothing can be waited for; all others
    /// are a [`super::Task::File`].
    fn rewrite_config(&self, file: &str, config: &Config, added: Added) -> Result<(), String>;
    /// Tells the kernel how gladly this process may be killed when memory runs out.
    fn set_oom_score(&self, how: OomScoreAdj, score: i32) -> Result<(), String>;
    /// Stops this thread for a while: DEBUG SLEEP, whose purpose it is.
    fn sleep_us(&self, us: u64);
    /// Writes a snapshot while everybody waits: DEBUG RELOAD.
    fn write_snapshot(&self, job: &WholeSave) -> Result<(), String>;
    /// Returns the facts about the process that the operating system tells at this moment.
    fn process_facts(&self) -> ProcessFacts;
    /// Hears how the server stands, for whoever supervises the process.
    fn hear(&self, news: News);
    /// Notes that what was on disk is loaded, or why it cannot be.
    fn loaded(&self, result: Result<(), String>);
    /// Puts a whole new file in the place of an old one, which survives a failure. Blocks on the
    /// disk: only for ACL SAVE in a transaction; all others are a [`super::Task::File`].
    fn replace_file(&self, path: &[u8], bytes: &[u8]) -> Result<(), String>;
    /// Fills `bytes` with chance that nobody can guess, for passwords.
    fn fill_secret(&self, bytes: &mut [u8]) -> Result<(), String>;
    /// Opens a file of the data folder. Blocks on the disk: for the start, DEBUG RELOAD, and ACL
    /// LOAD in a transaction.
    fn read_file(&self, path: &[u8]) -> Result<Box<dyn Read>, String>;
}

/// The facts about the process that the operating system tells.
#[derive(Clone, Debug, Default)]
pub struct ProcessFacts {
    /// The system, its release and the machine: `Linux 6.1.0 x86_64`.
    pub system: String,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Memory of the machine, bytes.
    pub total_memory_bytes: u64,
    /// CPU time in the kernel, microseconds.
    pub cpu_system_us: u64,
    /// CPU time outside it, microseconds.
    pub cpu_user_us: u64,
    /// CPU time of the calling thread in the kernel, microseconds.
    pub thread_system_us: u64,
    /// CPU time of the calling thread outside it, microseconds.
    pub thread_user_us: u64,
}
