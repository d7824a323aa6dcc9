//! The files on disk, as the server sees them: saves, the append-only file's orders, loads.
//!
//! It does no I/O and starts no thread. It holds what is known of the files and of the threads that
//! write and read them, and the words in which the server and those threads speak: jobs, orders and
//! pieces one way, reports and progress the other.

mod aof_orders;
mod held_replies;
mod job;
mod jobs;
mod load_job;
mod loading;
mod rewrites;
mod save_meter;
mod saves;
mod unsynced;

pub use aof_orders::{AofGauges, AofOrder, AofReport, AofWork};
pub use held_replies::HeldReplies;
pub use job::{Delays, SaveFormat, SaveJob, SaveProgress, SaveReason, SaveReport, WholeSave};
pub use jobs::{JobWish, Jobs, NextJob, Verdict};
pub use load_job::{AofFile, AofFiles, LoadEnd, LoadJob, LoadPiece, LoadResult};
pub use loading::{LoadCounts, Loading};
pub use rewrites::{RewriteStarter, Rewrites, StartCommand, Unhealed};
pub use save_meter::SaveMeter;
pub use saves::Saves;
pub use unsynced::Unsynced;
