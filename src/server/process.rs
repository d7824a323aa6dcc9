//! The identity of the process: facts that do not change while it runs.

use crate::base::time::MonotonicMillis;

/// The process, for INFO and for whoever writes files.
#[derive(Debug)]
pub struct Process {
    /// The configuration file; empty without one.
    pub config_file: String,
    /// The program's path.
    pub executable: String,
    /// Its number.
    pub pid: u32,
    /// 40 random hexadecimal digits, new at each start.
    pub run_id: String,
    /// The moment at which the server was made.
    pub started: MonotonicMillis,
    /// Memory in use when the server was made, bytes.
    pub startup_bytes: u64,
}
