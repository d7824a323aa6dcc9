//! The use of memory: the figures behind INFO memory, MEMORY STATS and MEMORY DOCTOR.
//!
//! `used` is what all threads have asked the allocator for. Everything that is not data is summed
//! up from the structures that hold it; the data is the rest. The allocator does not tell what it
//! loses inside its pages, so everything between `used` and what the process occupies counts as its
//! retention.

use super::info::View;
use super::rooms::Rooms;
use crate::base::alloc;
use crate::clients::Session;
use crate::keyspace::{DbIndex, Keyspace, Walk};
use crate::memory::{Account, Balance, Measured};

impl Rooms {
    /// Returns the bytes on each account of the ledger.
    #[must_use]
    pub fn balance(&self, keyspace: &Keyspace) -> Balance {
        self.memory.ledger.balance(Measured {
            aof_buffer: self.persistence.aof.unwritten_bytes(),
            walk_copies: keyspace.walk().map_or(0, Walk::copies),
        })
    }
}

/// The cost of one database beside its keys and values, bytes.
#[derive(Clone, Copy, Debug)]
pub struct DatabaseUse {
    /// The index of the database.
    pub index: DbIndex,
    /// The table that leads to its keys.
    pub table: u64,
    /// The index of keys by deadline.
    pub deadlines: u64,
}

/// The memory of scripts and functions, bytes.
#[derive(Clone, Copy, Debug)]
pub struct ScriptsUse {
    /// The Lua state of EVAL.
    pub eval_vm: u64,
    /// The Lua state of functions.
    pub functions_vm: u64,
    /// What is kept of the scripts of EVAL beside it.
    pub eval: u64,
    /// What is kept of the libraries of functions beside it.
    pub functions: u64,
}

impl ScriptsUse {
    /// Takes the figures.
    #[must_use]
    pub fn of(rooms: &Rooms) -> Self {
        let scripts = &rooms.script;
        ScriptsUse {
            eval_vm: scripts.eval_vm_bytes() as u64,
            functions_vm: scripts.functions.vm_bytes() as u64,
            eval: scripts.cache().bytes() as u64,
            functions: scripts.functions.libraries().bytes() as u64,
        }
    }

    /// Both Lua states.
    #[must_use]
    pub fn vms(&self) -> u64 {
        self.eval_vm + self.functions_vm
    }

    /// What is kept beside them.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.eval + self.functions
    }
}

/// A snapshot of the figures, bytes where nothing else is said.
#[derive(Clone, Debug)]
pub struct MemoryUse {
    /// Allocated now.
    pub used: u64,
    /// The most ever seen allocated.
    pub peak: u64,
    /// Allocated before there were clients or data.
    pub startup: u64,
    /// The memory that the process occupies.
    pub resident: u64,
    /// Clients: their sessions, requests that wait, answers that wait.
    pub clients: u64,
    /// The number of these clients.
    pub clients_count: u64,
    /// The bytes that the append-only file's thread has not written.
    pub aof_buffer: u64,
    /// Scripts and functions.
    pub scripts: ScriptsUse,
    /// Databases with keys.
    pub databases: Vec<DatabaseUse>,
    /// All that is not data, `startup` included.
    pub overhead: u64,
    /// The number of keys.
    pub keys: u64,
}

impl MemoryUse {
    /// Takes the figures.
    #[must_use]
    pub fn of(view: &View<'_>) -> Self {
        let used = alloc::used_bytes() as u64;
        let databases = databases(view);
        let clients: u64 = view.clients().map(|session| session.heap_bytes() as u64).sum();
        let aof_buffer = view.balance().bytes(Account::AofBuffer);
        let tables: u64 = databases.iter().map(|db| db.table + db.deadlines).sum();
        let scripts = view.scripts();
        // Redis does not count what Lua holds as used: here it is, and it is no data.
        let lua = scripts.vms() + scripts.kept();
        MemoryUse {
            used,
            peak: view.rooms.stats.counters.peak_bytes.max(used),
            startup: view.rooms.process.startup_bytes,
            resident: view.process.resident_bytes,
            clients,
            clients_count: view.clients().count() as u64,
            overhead: view.rooms.process.startup_bytes + clients + aof_buffer + tables + lua,
            scripts,
            aof_buffer,
            keys: view.keyspace.iter().map(|db| db.len() as u64).sum(),
            databases,
        }
    }

    /// The data.
    #[must_use]
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead)
    }

    /// Allocated since the start.
    #[must_use]
    pub fn since_startup(&self) -> u64 {
        self.used.saturating_sub(self.startup)
    }

    /// The part of the memory allocated since the start that is data, percent.
    #[must_use]
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.since_startup())
    }

    /// The memory in use as a part of its peak, percent.
    #[must_use]
    pub fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// The memory that the process occupies, divided by the memory that is allocated.
    #[must_use]
    pub fn resident_ratio(&self) -> f64 {
        if self.used == 0 { 0.0 } else { self.resident as f64 / self.used as f64 }
    }

    /// The memory that the process occupies beyond what is allocated; negative when some was never
    /// touched.
    #[must_use]
    pub fn resident_beyond_used(&self) -> i64 {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        signed(self.resident) - signed(self.used)
    }

    /// Everything, data included, shared out among the keys.
    #[must_use]
    pub fn bytes_per_key(&self) -> u64 {
        self.since_startup().checked_div(self.keys).unwrap_or(0)
    }

    /// Describes what is odd about the figures, in words for people. Source: MEMORY DOCTOR.
    #[must_use]
    pub fn diagnosis(&self) -> String {
        if self.used < TOO_SMALL_TO_JUDGE {
            return "There is so little data here that its memory says nothing: the fixed costs of a process \
                    hide everything else. Ask again when there is more.\n"
                .to_owned();
        }
        let findings: Vec<String> = [self.past_peak(), self.retention(), self.heavy_clients()]
            .into_iter()
            .flatten()
            .map(|finding| format!(" * {finding}\n"))
            .collect();
        if findings.is_empty() {
            return "No memory problem is to be seen here. What other processes of the machine use is not \
                    looked at.\n"
                .to_owned();
        }
        format!("This is what stands out:\n\n{}", findings.concat())
    }

    fn past_peak(&self) -> Option<String> {
        (self.peak as f64 > self.used as f64 * 1.5).then(|| {
            "Past peak: much more memory was in use once than is now. The process may go on occupying it; it is \
             used again before more is asked of the system, and MEMORY PURGE gives back what is free."
                .to_owned()
        })
    }

    fn retention(&self) -> Option<String> {
        let beyond = self.resident_beyond_used();
        (self.resident_ratio() > 1.4 && beyond > REMARKABLE).then(|| {
            format!(
                "Retention: the process occupies {:.2} times what is allocated, {beyond} bytes more. After many \
                 deletions that is to be expected; MEMORY PURGE gives back what is free.",
                self.resident_ratio()
            )
        })
    }

    fn heavy_clients(&self) -> Option<String> {
        let each = self.clients.checked_div(self.clients_count)?;
        (each > HEAVY_CLIENT).then(|| {
            format!(
                "Heavy clients: a client costs {each} bytes on average. Some send more than they read, or read \
                 too slowly; CLIENT LIST shows who (qbuf, omem, tot-mem), client-output-buffer-limit bounds it."
            )
        })
    }
}

/// Below this the doctor says nothing, bytes.
const TOO_SMALL_TO_JUDGE: u64 = 5 << 20;
/// Retention below this is nothing to talk of, bytes.
const REMARKABLE: i64 = 10 << 20;
/// Clients above this on average are heavy, bytes.
const HEAVY_CLIENT: u64 = 200 << 10;

fn databases(view: &View<'_>) -> Vec<DatabaseUse> {
    let used = view.keyspace.iter().filter(|db| !db.is_empty());
    used.map(|db| {
        let (table, deadlines) = db.index_bytes();
        DatabaseUse { index: db.index(), table: table as u64, deadlines: deadlines as u64 }
    })
    .collect()
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The client that most of something waits for.
pub(super) fn largest_client(view: &View<'_>, bytes: impl Fn(&Session) -> usize) -> usize {
    view.clients().map(bytes).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> MemoryUse {
        MemoryUse {
            used: 100 << 20,
            peak: 110 << 20,
            startup: 1 << 20,
            resident: 120 << 20,
            clients: 1 << 20,
            clients_count: 10,
            aof_buffer: 0,
            scripts: ScriptsUse { eval_vm: 0, functions_vm: 0, eval: 0, functions: 0 },
            databases: Vec::new(),
            overhead: 10 << 20,
            keys: 99,
        }
    }

    #[test]
    fn shares_are_of_what_was_allocated_since_the_start() {
        let figures = figures();
        assert_eq!(figures.dataset(), 90 << 20);
        assert_eq!(figures.bytes_per_key(), 1 << 20);
        assert!((figures.dataset_percent() - 90.0 / 99.0 * 100.0).abs() < 1e-9);
        assert_eq!(MemoryUse { keys: 0, ..figures }.bytes_per_key(), 0);
    }

    #[test]
    fn the_doctor_names_what_stands_out() {
        let rows: [(MemoryUse, &str); 5] = [
            (figures(), "No memory problem"),
            (MemoryUse { used: 1 << 20, ..figures() }, "so little data"),
            (MemoryUse { peak: 160 << 20, ..figures() }, "Past peak"),
            (MemoryUse { resident: 150 << 20, ..figures() }, "1.50 times"),
            (MemoryUse { clients: 10 << 20, ..figures() }, "1048576 bytes on average"),
        ];
        for (figures, words) in rows {
            let text = figures.diagnosis();
            assert!(text.contains(words), "{words} in {text}");
        }
    }
}
