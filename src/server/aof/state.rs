//! The state of the append-only file: [`Aof`].

use crate::aof::Manifest;
use crate::base::ClientId;
use crate::base::time::MonotonicMillis;
use crate::config::Appendfsync;
use crate::persistence::{AofGauges, AofOrder, HeldReplies, Rewrites, Unsynced};
use crate::propagation::ReaderId;
use std::sync::Arc;

/// The state of the append-only file: kept, not kept, or between the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AofState {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
    /// It was turned on, and its first base is being written.
    WaitRewrite,
}

/// Everything about the append-only file.
#[derive(Debug, Default)]
pub struct Aof {
    /// The state: kept or not.
    pub state: AofState,
    /// Its files.
    pub manifest: Manifest,
    /// The counters that the thread reports through.
    pub gauges: Arc<AofGauges>,
    /// Its place in what is propagated, while there is a file for that.
    pub(super) reader: Option<ReaderId>,
    /// Orders of this turn.
    pub(super) orders: Vec<AofOrder>,
    /// The results of rewrites.
    pub rewrites: Rewrites,
    /// Bytes handed over since the start.
    pub(super) handed: u64,
    /// The offset that was handed over at that time; moved on when it is written.
    pub(super) mark: (u64, MonotonicMillis),
    /// True when too much is on its way.
    pub is_behind: bool,
    /// The number of times that this happened.
    pub delayed_fsyncs: u64,
    /// The policy the thread knows.
    pub(super) told: Option<(Appendfsync, bool)>,
    /// The moment since which the file cannot be written or forced to disk, by the monotonic clock.
    pub(super) failing_since_ns: Option<u64>,
    /// The reason why writes are refused.
    pub error: Option<String>,
    /// The second the last timestamp stood for.
    pub(super) timestamp: i64,
    /// The sizes of the files.
    pub sizes: AofSizes,
    /// Replies that wait for the file.
    pub held: HeldReplies,
    /// Changes that no answer shows before they are on disk.
    pub(super) unsynced: Unsynced,
    /// The state of their waits.
    pub(super) waits: Waits,
    pub(super) flush: Flush,
    pub(super) reload: Reload,
}

/// The sizes of the files, bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct AofSizes {
    /// All of them.
    pub current: u64,
    /// All of them after the last rewrite, or at the start.
    pub base: u64,
    /// The one that is written to.
    pub(super) incr: u64,
}

/// The files that a server has found when it started.
#[derive(Debug, Default)]
pub struct AofOpened {
    /// The files.
    pub manifest: Manifest,
    /// Bytes in all of them.
    pub size: u64,
    /// Bytes in the base.
    pub base_size: u64,
    /// Bytes in the last one.
    pub incr_size: u64,
}

/// The promises to clients that wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The moment since which nobody was released.
    pub(super) since: MonotonicMillis,
    /// Nobody waits for what was handed over up to here: the disk was too slow.
    pub(super) let_go_to: u64,
    /// Answers to what was handed over up to here are not given before it is on disk.
    pub(super) promised: u64,
    /// The offset up to which everything is on disk, so far as somebody waited for it.
    pub(super) synced: u64,
}

/// The progress of a shutdown with the append-only file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Flush {
    #[default]
    No,
    Running,
    Done,
}

/// The progress of a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReloadStep {
    #[default]
    Idle,
    /// Somebody has asked for it.
    Requested,
    /// The thread writes what is on its way.
    Ordered,
}

/// A reload on its way.
#[derive(Debug, Default)]
pub(super) struct Reload {
    pub(super) step: ReloadStep,
    /// The clients that wait for its end.
    pub(super) clients: Vec<ClientId>,
}
