//! Small files that another thread reads or writes while a client waits, and how that went.

use super::rewrite_job::{RewriteJob, RewriteReport};
use crate::base::ClientId;
use std::fmt;
use std::io::Read;

/// The most bytes that an ACL file may hold: beyond this it is taken for something else.
const MAX_USERS_BYTES: u64 = 64 << 20;

/// Work on a small file.
#[derive(Debug)]
pub enum FileJob {
    /// Write the configuration file anew: CONFIG REWRITE.
    Rewrite(RewriteJob),
    /// Write or read the ACL file: ACL SAVE, ACL LOAD.
    Users(UsersJob),
}

/// The result of work on a small file.
#[derive(Debug)]
pub enum FileReport {
    /// The configuration file was written anew, or not.
    Rewritten(RewriteReport),
    /// The ACL file was written or read, or not.
    Users(UsersReport),
}

/// Work on the ACL file.
#[derive(Debug)]
pub struct UsersJob {
    /// The client that waits; `None` when the command was answered before.
    pub client: Option<ClientId>,
    /// The absolute path of the file.
    pub path: Vec<u8>,
    /// The work to do.
    pub work: UsersWork,
}

/// The work to do on the ACL file.
pub enum UsersWork {
    /// Put this in its place: ACL SAVE.
    Save(Vec<u8>),
    /// Read it: ACL LOAD.
    Read(ReadAt),
}

/// The place of a read of the ACL file in the order of work: the number of saves of it that come
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAt(pub u64);

/// The report of work on the ACL file.
#[derive(Debug)]
pub struct UsersReport {
    /// The client that waits.
    pub client: Option<ClientId>,
    /// The absolute path of the file.
    pub path: Vec<u8>,
    /// The result.
    pub outcome: UsersOutcome,
}

/// The result of work on the ACL file. Errors in words.
pub enum UsersOutcome {
    /// It was written, or not.
    Saved(Result<(), String>),
    /// The bytes that it holds.
    Read(ReadAt, Result<Vec<u8>, String>),
}

impl UsersWork {
    /// The outcome of work that cannot be done.
    #[must_use]
    pub fn failed(&self, reason: String) -> UsersOutcome {
        match self {
            UsersWork::Save(_) => UsersOutcome::Saved(Err(reason)),
            UsersWork::Read(at) => UsersOutcome::Read(*at, Err(reason)),
        }
    }
}

/// Reads an ACL file. Errors in words, also for one that is too large.
pub fn read_users(file: impl Read, words: impl FnOnce(&std::io::Error) -> String) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    file.take(MAX_USERS_BYTES + 1).read_to_end(&mut text).map_err(|error| words(&error))?;
    if text.len() as u64 > MAX_USERS_BYTES {
        return Err("File too large".to_owned());
    }
    Ok(text)
}

// Users have passwords, which are not shown.

impl fmt::Debug for UsersWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UsersWork::Save(_) => "Save",
            UsersWork::Read(_) => "Read",
        })
    }
}

impl fmt::Debug for UsersOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsersOutcome::Saved(result) => f.debug_tuple("Saved").field(result).finish(),
            UsersOutcome::Read(at, result) => {
                f.debug_tuple("Read").field(at).field(&result.as_ref().map(Vec::len)).finish()
            }
        }
    }
}
