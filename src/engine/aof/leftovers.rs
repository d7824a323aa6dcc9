//! Files that killed processes have left in the folder: removed at start.
//!
//! A rewrite that is killed leaves its temporary file, a file for changes that it had made and not
//! listed yet (it is empty then), a base that it had put in its place and not listed yet (all of it
//! stands in the listed files too), or files that it had replaced and not deleted yet.
//!
//! One thing it never leaves: a file for changes behind the last listed one with something in it.
//! Where there is one, the manifest may be an older one that somebody has put there, and what it
//! does not list may be the newer data. Then nothing is removed, as it is when there is no manifest
//! at all ([`super::start`] refuses to serve beside such files).

use std::fs::{self, File, TryLockError};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::disk::Folder;
use super::start::{Place, shown};
use crate::aof::{Manifest, Part};

/// The beginning of the names of a rewrite's temporary files, before the process's number.
const PREFIX: &str = "temp-rewriteaof-bg-";

/// Deletes the files that never had their names. A server that is at work there keeps its own.
pub(super) fn remove_temporary(place: &Place, manifest: &Manifest) {
    remove_unfinished_bases();
    if manifest.incr.last().is_some_and(|last| is_in_use(&place.path_of(&last.name))) {
        return;
    }
    for name in [place.names.temporary_manifest(), place.names.temporary_incr()] {
        let path = place.path_of(&name);
        if !is_in_use(&path) {
            // There is none, as a rule.
            let _ = fs::remove_file(path);
        }
    }
}

/// Deletes the bases that processes that are no more were writing.
fn remove_unfinished_bases() {
    for entry in fs::read_dir(".").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest[..digits].parse::<u32>().ok()
        });
        let is_ours = |pid: u32| pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists();
        if pid.is_some_and(is_ours) {
            // Whoever cannot delete it has it in the way at most.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn is_in_use(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Deletes the parts that `manifest`, which was loaded, does not list.
pub(super) fn remove_unlisted(place: &mut Place, manifest: &Manifest) {
    let entries = fs::read_dir(place.folder.path()).into_iter().flatten().flatten();
    let unlisted: Vec<(Vec<u8>, Part)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().as_bytes().to_vec();
            let part = place.names.part(&name).filter(|_| !manifest.lists(&name))?;
            Some((name, part))
        })
        .collect();
    let last = manifest.incr.last().map_or(0, |file| file.seq);
    let is_newer = |(name, part): &&(Vec<u8>, Part)| {
        matches!(*part, Part::Incr(seq) if seq > last) && place.length_of(name).is_ok_and(|length| length > 0)
    };
    if let Some((name, _)) = unlisted.iter().find(is_newer) {
        log::warn!(
            "The AOF file {} is newer than those that the manifest {} lists: what it does not list is left alone",
            shown(name),
            shown(&place.names.manifest())
        );
        return;
    }
    for (name, _) in &unlisted {
        log::info!("Removing the AOF file {}, which the manifest does not list", shown(name));
    }
    if !unlisted.is_empty() {
        place.folder.remove(unlisted.into_iter().map(|(name, _)| name).collect());
    }
}
