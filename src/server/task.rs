//! The work that the server asks the engine for: [`Task`]. The engine carries it out and reports
//! back.

use super::file_job::FileJob;
use super::migrate_job::MigrateJob;
use crate::keyspace::Parcel;
use crate::memory::FreeJob;
use crate::persistence::{LoadJob, SaveJob};

/// Something for the engine to do; in the order given.
#[derive(Debug)]
pub enum Task {
    /// Write a snapshot on a thread of its own, from the parcels that follow, then call
    /// [`super::machine::Server::saved`]. The save before it has ended or was cancelled.
    Save(SaveJob),
    /// Send these keys to the saver thread; it calls [`super::machine::Server::parcel_saved`].
    HandOver(Parcel),
    /// Read what is on disk on a thread of its own: [`super::machine::Server::load_piece`],
    /// [`super::machine::Server::load_ended`].
    Load(LoadJob),
    /// Let the saver thread give up; its report means nothing any more.
    CancelSave,
    /// Send keys to another server, then call [`super::machine::Server::migrated`].
    Migrate(MigrateJob),
    /// Write or read a small file on another thread, after those before it, then call
    /// [`super::machine::Server::file_reported`].
    File(FileJob),
    /// Load the append-only file anew, at once, then call [`super::machine::Server::aof_reloaded`]:
    /// DEBUG LOADAOF.
    LoadAof,
    /// Drop these on another thread.
    Free(FreeJob),
    /// Give free memory back to the system on another thread, after what it has to drop.
    GiveBack,
    /// Stop accepting, send what is left, end the process with this code.
    Stop {
        /// The process's exit code.
        exit_code: i32,
    },
}
