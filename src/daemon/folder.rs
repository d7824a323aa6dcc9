//! The data folder belongs to one server: a lock on the folder itself says so.
//!
//! A server that keeps data on disk (save points or an append-only file) holds the lock for as long
//! as it lives; the kernel drops it with the process, however that dies. Two such servers in one
//! folder would replace each other's files, so the second is refused. Redis lets servers with
//! append-only files of different names live in one folder; so they share the lock, and that no two
//! of them have the same file is seen to where it is opened. A server that keeps nothing, `save ""`
//! without an append-only file, may run beside others; it takes the lock if it is free, and only
//! who has the lock cleans up.
//!
//! The lock is on the folder's own inode and leaves no file behind. CONFIG SET dir does not move
//! it: it is about what a start finds, and a folder chosen later is the choice of whoever made it.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::base::text::os_reason;
use crate::config::Config;
use crate::engine::saver;

/// A folder that is ours while this lives.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its lock")]
pub struct FolderLock(File);

/// Locks the working folder and removes what unfinished saves have left there. Nothing if somebody
/// else has it and this server can do without. Errors in words for the user.
pub fn take(config: &Config) -> Result<Option<FolderLock>, String> {
    let keeps = match (config.appendonly, config.save.is_empty()) {
        (true, _) => Keeps::AppendOnlyFile,
        (false, false) => Keeps::Snapshot,
        (false, true) => Keeps::Nothing,
    };
    take_at(Path::new("."), keeps)
}

/// The things that a server keeps in its folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Nothing,
    Snapshot,
    AppendOnlyFile,
}

fn take_at(folder: &Path, keeps: Keeps) -> Result<Option<FolderLock>, String> {
    let name = || folder.canonicalize().unwrap_or_else(|_| folder.into()).display().to_string();
    let keeps_data = keeps != Keeps::Nothing;
    let file = File::open(folder).map_err(TryLockError::Error);
    let lock = file.and_then(|file| match file.try_lock() {
        Err(TryLockError::WouldBlock) if keeps == Keeps::AppendOnlyFile => {
            file.try_lock_shared().map(|()| (file, false))
        }
        result => result.map(|()| (file, true)),
    });
    match lock {
        Ok((file, is_alone)) => {
            if is_alone && let Err(error) = saver::clean_folder(folder) {
                log::warn!(
                    "Can't remove what unfinished saves have left in {}: {}",
                    name(),
                    os_reason(&error)
                );
            }
            if is_alone && keeps == Keeps::AppendOnlyFile && file.try_lock_shared().is_err() {
                log::warn!("Can't share the lock of the data folder {}", name());
            }
            Ok(Some(FolderLock(file)))
        }
        Err(TryLockError::WouldBlock) if keeps_data => Err(format!(
            "another server keeps its data in {}; give this one a folder of its own with dir, or let it keep nothing \
             with save \"\" and appendonly no",
            name()
        )),
        // A folder that cannot be locked at all (some network file systems) is no reason not to
        // serve.
        Err(TryLockError::Error(error)) if keeps_data => {
            log::warn!("Can't lock the data folder {}: {}", name(), os_reason(&error));
            Ok(None)
        }
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_folder_has_one_server_that_keeps_data() {
        let folder = tempfile::tempdir().unwrap();
        let first = take_at(folder.path(), Keeps::Snapshot).unwrap();
        assert!(first.is_some());
        let refused = take_at(folder.path(), Keeps::Snapshot).unwrap_err();
        assert!(refused.starts_with("another server keeps its data in /"), "{refused}");
        assert!(
            take_at(folder.path(), Keeps::Nothing).unwrap().is_none(),
            "one that keeps nothing does without"
        );
        drop(first);
        assert!(take_at(folder.path(), Keeps::Snapshot).unwrap().is_some());
    }

    #[test]
    fn servers_with_append_only_files_share_a_folder_with_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let first = take_at(folder.path(), Keeps::AppendOnlyFile).unwrap();
        let second = take_at(folder.path(), Keeps::AppendOnlyFile).unwrap();
        assert!(first.is_some() && second.is_some());
        assert!(take_at(folder.path(), Keeps::Snapshot).is_err());
        drop((first, second));
        let _snapshots = take_at(folder.path(), Keeps::Snapshot).unwrap();
        assert!(take_at(folder.path(), Keeps::AppendOnlyFile).is_err());
    }

    #[test]
    fn what_unfinished_saves_left_goes_when_the_folder_is_ours() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["temp-5000000-1.rdb", "temp-5000000.rdb", "dump.rdb", "temp-seven.rdb", "temp-1-2.rdb"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let lock = take_at(folder.path(), Keeps::Nothing).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        // Process 1 lives, so the file may be in use; numbers above 2^22 are nobody's.
        assert_eq!(left, ["dump.rdb", "temp-1-2.rdb", "temp-seven.rdb"]);
        fs::write(folder.path().join("temp-5000000-2.rdb"), "x").unwrap();
        assert!(take_at(folder.path(), Keeps::Nothing).unwrap().is_none());
        assert!(folder.path().join("temp-5000000-2.rdb").exists(), "it is the other server's");
        drop(lock);
    }
}
