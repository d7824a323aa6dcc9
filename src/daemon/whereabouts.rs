//! The folder and the log of a running server as the system knows them, whatever a configuration
//! says by now.
//!
//! Another user's process hides both; then nothing is said about them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The working folder of a process, which is the `dir` of a server.
pub fn folder_of(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// True when a process has this file open.
pub fn has_open(pid: u32, path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let Some(wanted) = identity(path) else { return false };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|descriptor| identity(&descriptor.path()) == Some(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_and_the_folder_of_a_process_are_seen() {
        let me = std::process::id();
        assert_eq!(folder_of(me), std::env::current_dir().ok());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert!(!has_open(me, &path));
        let file = fs::File::create(&path).unwrap();
        assert!(has_open(me, &path));
        drop(file);
        assert!(!has_open(me, &path));
    }
}
