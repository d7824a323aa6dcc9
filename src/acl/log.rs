//! The log of refusals: what was denied to whom, newest first. Source: ACL LOG.
//!
//! The same refusal within a minute counts up an entry instead of adding one, so that a client in a
//! loop does not push everything else out.

use crate::base::time::MonotonicMillis;
use std::collections::VecDeque;

/// Entries looked at for one that the new refusal repeats.
const MAX_COMPARED: usize = 10;
/// The time after an entry's last refusal in which another one counts as the same.
const SAME_WITHIN_MS: i64 = 60_000;

/// The kind of thing that was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// Logging in.
    Auth,
}

impl Reason {
    /// The word ACL LOG shows.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
        }
    }
}

/// The source of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A client.
    Toplevel,
    /// A transaction.
    Multi,
    /// A script.
    Lua,
}

impl Context {
    /// The word ACL LOG shows.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Context::Toplevel => "toplevel",
            Context::Multi => "multi",
            Context::Lua => "lua",
        }
    }
}

/// One kind of refusal.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// The kind of thing that was denied.
    pub reason: Reason,
    /// The source of the command.
    pub context: Context,
    /// The command, key or channel; for a failed login the command that asked for it.
    pub object: Vec<u8>,
    /// The user that it was denied to.
    pub username: Vec<u8>,
    /// The client, as CLIENT LIST shows it.
    pub client_info: String,
    /// The moment at which it happened last.
    pub time: MonotonicMillis,
    /// The number of times that it happened.
    pub count: u64,
}

impl LogEntry {
    fn repeats(&self, earlier: &LogEntry) -> bool {
        self.reason == earlier.reason
            && self.context == earlier.context
            && self.object == earlier.object
            && self.username == earlier.username
            && self.time.ms_since(earlier.time) <= SAME_WITHIN_MS
    }
}

/// The latest refusals.
#[derive(Debug, Default)]
pub struct AclLog {
    entries: VecDeque<LogEntry>,
}

impl AclLog {
    /// Adds a refusal, or counts it where it repeats a late one; keeps `max_len` entries at most.
    pub fn add(&mut self, mut entry: LogEntry, max_len: usize) {
        let mut late = self.entries.iter().take(MAX_COMPARED);
        if let Some(place) = late.position(|earlier| entry.repeats(earlier))
            && let Some(earlier) = self.entries.remove(place)
        {
            entry.count += earlier.count;
        }
        self.entries.push_front(entry);
        self.entries.truncate(max_len);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The entries, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(object: &str, at: i64) -> LogEntry {
        LogEntry {
            reason: Reason::Key,
            context: Context::Toplevel,
            object: object.as_bytes().to_vec(),
            username: b"bob".to_vec(),
            client_info: format!("at={at}"),
            time: MonotonicMillis(at),
            count: 1,
        }
    }

    fn shown(log: &AclLog) -> Vec<(String, u64, i64)> {
        log.iter().map(|e| (String::from_utf8_lossy(&e.object).into_owned(), e.count, e.time.0)).collect()
    }

    #[test]
    fn a_repeated_refusal_counts_up_and_comes_first_for_a_minute() {
        let mut log = AclLog::default();
        for (object, at) in [("a", 0), ("b", 1), ("a", 60_000), ("b", 60_002)] {
            log.add(refusal(object, at), 128);
        }
        let b_again = [("b".to_string(), 1, 60_002), ("a".to_string(), 2, 60_000), ("b".to_string(), 1, 1)];
        assert_eq!(shown(&log), b_again);
        assert_eq!(log.iter().nth(1).map(|entry| entry.client_info.as_str()), Some("at=60000"));
        let other = LogEntry { context: Context::Multi, ..refusal("a", 60_003) };
        log.add(other, 128);
        assert_eq!(log.iter().len(), 4);
    }

    #[test]
    fn only_late_entries_are_compared_and_the_oldest_go() {
        let mut log = AclLog::default();
        for at in 0..=MAX_COMPARED {
            log.add(refusal(&at.to_string(), 0), 128);
        }
        log.add(refusal("0", 0), 128);
        assert_eq!(log.iter().len(), MAX_COMPARED + 2, "the tenth is not looked at");
        log.add(refusal("x", 0), 3);
        assert_eq!(
            shown(&log).iter().map(|(object, ..)| object.as_str()).collect::<Vec<_>>(),
            ["x", "0", "10"]
        );
        log.add(refusal("y", 0), 0);
        assert_eq!(log.iter().len(), 0);
        log.clear();
    }
}
