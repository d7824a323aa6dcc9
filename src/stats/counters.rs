//! Plain counters: what INFO, COMMAND STATS and the exporters read.

use crate::base::histogram::Histogram;
use crate::base::time::MonotonicMillis;
use crate::spec::CommandIndex;
use std::collections::BTreeMap;

/// The counters of one command.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommandStat {
    /// Times it ran, failures included.
    pub calls: u64,
    /// Time it took, nanoseconds.
    pub ns: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and failed.
    pub failed: u64,
}

/// Most different error codes kept apart; a flood of made-up codes cannot grow the table.
const MAX_ERROR_CODES: usize = 128;

/// Counters since the start or the last CONFIG RESETSTAT.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Connections refused for `maxclients`.
    pub rejected_connections: u64,
    /// Commands run.
    pub commands: u64,
    /// Keys removed because their time had come.
    pub expired_keys: u64,
    /// Keys removed for `maxmemory`.
    pub evicted_keys: u64,
    /// Error lines sent.
    pub errors: u64,
    /// Bytes read from clients that are gone.
    pub read_bytes: u64,
    /// Bytes written to clients that are gone.
    pub written_bytes: u64,
    /// Clients closed for `maxmemory-clients`.
    pub evicted_clients: u64,
    /// Clients closed for what they sent without an end.
    pub query_buffer_disconnections: u64,
    /// Buffers for answers made smaller.
    pub reply_buffer_shrinks: u64,
    /// Buffers for answers that were made larger.
    pub reply_buffer_expands: u64,
    /// Clients closed for their output buffer.
    pub output_limit_disconnections: u64,
    /// Error lines sent, by code.
    pub errors_by_code: BTreeMap<String, u64>,
    /// Commands by [`CommandIndex`].
    pub by_command: Vec<CommandStat>,
    /// The time that commands took, nanoseconds, by [`CommandIndex`].
    pub histograms: Vec<Histogram>,
    /// Batches of requests taken.
    pub reads: u64,
    /// Batches of answers handed over.
    pub writes: u64,
    /// Turns that left due keys to the next one.
    pub expire_cap_reached: u64,
    /// Values handed to the thread that frees them.
    pub lazyfreed_objects: u64,
    /// Time spent on keys that were due, nanoseconds.
    pub expire_ns: u64,
    /// Most memory seen in use, bytes.
    pub peak_bytes: u64,
    /// Commands a second.
    pub rate: Rate,
    /// Bytes read a second.
    pub input_rate: Rate,
    /// Bytes written a second.
    pub output_rate: Rate,
}

impl Counters {
    /// Counters for a table of `commands` commands.
    #[must_use]
    pub fn new(commands: usize) -> Self {
        Counters {
            by_command: vec![CommandStat::default(); commands],
            histograms: vec![Histogram::default(); commands],
            ..Counters::default()
        }
    }

    /// Forgets everything counted so far. Source: CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Counters::new(self.by_command.len());
    }

    /// The counters of one command.
    pub fn command(&mut self, index: CommandIndex) -> &mut CommandStat {
        &mut self.by_command[usize::from(index.0)]
    }

    /// The times of one command.
    pub fn histogram(&mut self, index: CommandIndex) -> &mut Histogram {
        &mut self.histograms[usize::from(index.0)]
    }

    /// Keeps the bytes read from and written to a client that is gone.
    pub fn count_gone(&mut self, (read, written): (u64, u64)) {
        self.read_bytes += read;
        self.written_bytes += written;
    }

    /// Counts an error line, given without its `-`.
    pub fn count_error(&mut self, line: &[u8]) {
        self.errors += 1;
        // Redis: a code stands in the first 32 bytes, with the minus, or there is none.
        let space = line.iter().take(31).position(|&byte| byte == b' ');
        let code = String::from_utf8_lossy(space.map_or(b"ERR", |space| &line[..space]));
        if let Some(count) = self.errors_by_code.get_mut(&*code) {
            *count += 1;
        } else if self.errors_by_code.len() < MAX_ERROR_CODES {
            self.errors_by_code.insert(code.into_owned(), 1);
        }
    }
}

/// Samples of a counter, ten a second, averaged: `instantaneous_ops_per_sec`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    samples: [u64; Rate::SAMPLES],
    next: usize,
    last_count: u64,
    last: Option<MonotonicMillis>,
}

impl Rate {
    const SAMPLES: usize = 16;

    /// Takes a sample of a counter that stands at `count` now.
    pub fn sample(&mut self, count: u64, now: MonotonicMillis) {
        let elapsed = self.last.map_or(0, |last| now.ms_since(last).unsigned_abs());
        let grown = count.saturating_sub(self.last_count);
        if let Some(per_second) = (grown * 1000).checked_div(elapsed) {
            self.samples[self.next] = per_second;
            self.next = (self.next + 1) % Self::SAMPLES;
        }
        self.last_count = count;
        self.last = Some(now);
    }

    /// The average of the samples, per second.
    #[must_use]
    pub fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / Self::SAMPLES as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_code_up_to_a_bound() {
        let mut stats = Counters::new(0);
        stats.count_error(b"WRONGTYPE Operation against");
        stats.count_error(b"WRONGTYPE again");
        (0..1000).for_each(|n| stats.count_error(format!("E{n} x").as_bytes()));
        assert_eq!(stats.errors_by_code["WRONGTYPE"], 2);
        assert_eq!(stats.errors_by_code.len(), MAX_ERROR_CODES);
        assert_eq!(stats.errors, 1002);
    }

    #[test]
    fn a_steady_rate_is_reported_once_all_samples_are_taken() {
        let mut rate = Rate::default();
        (1..=17).for_each(|n| rate.sample(n * 50, MonotonicMillis::from_ns(n * 100_000_000)));
        assert_eq!(rate.per_second(), 500);
    }
}
