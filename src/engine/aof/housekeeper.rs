//! Work that would keep the writer waiting, on a thread of its own: files are made, listed, given
//! their names and forced to disk here, one after the other, while the writer goes on writing.
//!
//! The order matters for what a power cut leaves: a file that is written to on is forced to disk
//! only after the one before it, so that what is missing is always the end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender};

use super::disk::{Folder, LogFile};
use super::log::Mark;
use crate::aof::Names;
use crate::base::ClientId;
use crate::base::text::os_reason;
use crate::persistence::AofGauges;
use crate::server::Clock;

/// The work for the housekeeper. The bytes of [`AofOrder`](crate::persistence::AofOrder) come to
/// the writer alone.
#[derive(Debug)]
pub(super) enum Chore<T> {
    /// Makes the folder, and this file for changes, and lists it.
    Prepare { number: u64, file: Option<Vec<u8>>, manifest: Option<Vec<u8>> },
    /// Forces a file to disk, and closes this handle of it.
    Sync(T, Mark),
    /// Gives the files of a rewrite their names and lists them.
    Install { base: (String, Vec<u8>), incr: Option<Vec<u8>>, manifest: Vec<u8>, remove: Vec<Vec<u8>> },
    /// Lists the files anew, then deletes these.
    Forget { manifest: Vec<u8>, files: Vec<Vec<u8>> },
    /// Everything before is done.
    Pass(ClientId),
}

/// The result of a chore.
#[derive(Debug)]
pub(super) enum Done<T> {
    /// The number of the rewrite, and the file, if there is one.
    Prepared(u64, Result<Option<T>, String>),
    Synced(Mark, io::Result<()>),
    /// The size of the base, and how long it took, nanoseconds.
    Installed(Result<u64, String>, u64),
    Forgotten,
    Passed(ClientId),
}

/// The state of the thread.
pub(super) struct Housekeeper<F, C> {
    pub folder: F,
    pub names: Names,
    pub gauges: Arc<AofGauges>,
    pub clock: C,
}

impl<F: Folder, C: Clock> Housekeeper<F, C> {
    /// Does what comes, until nobody asks any more.
    pub(super) fn run(mut self, chores: &Receiver<Chore<F::File>>, done: &Sender<Done<F::File>>) {
        for chore in chores {
            // The writer hears everything before it ends.
            let _ = done.send(self.carry_out(chore));
        }
    }

    pub(super) fn carry_out(&mut self, chore: Chore<F::File>) -> Done<F::File> {
        match chore {
            Chore::Prepare { number, file, manifest } => {
                Done::Prepared(number, self.prepare(file.as_deref(), manifest.as_deref()))
            }
            Chore::Sync(mut file, mark) => {
                self.gauges.syncing.store(true, Ordering::Relaxed);
                let result = file.sync();
                self.gauges.syncing.store(false, Ordering::Relaxed);
                Done::Synced(mark, result)
            }
            Chore::Install { base, incr, manifest, remove } => {
                let begun_ns = self.clock.monotonic_ns();
                let result = self.install(&base, incr.as_deref(), &manifest);
                let ns = self.clock.monotonic_ns().saturating_sub(begun_ns);
                if result.is_ok() && !remove.is_empty() {
                    self.remove_history(remove);
                }
                Done::Installed(result, ns)
            }
            Chore::Forget { manifest, files } => {
                match self.list(&manifest) {
                    Ok(()) => self.remove_history(files),
                    Err(reason) => ::log::warn!("{reason}"),
                }
                Done::Forgotten
            }
            Chore::Pass(client) => Done::Passed(client),
        }
    }

    fn prepare(&mut self, file: Option<&[u8]>, manifest: Option<&[u8]>) -> Result<Option<F::File>, String> {
        self.folder.make().map_err(|error| {
            let folder = self.folder.shown();
            format!("Can't open or create append-only dir {folder}: {}", os_reason(&error))
        })?;
        let Some(file) = file else { return Ok(None) };
        let name = String::from_utf8_lossy(file);
        let created = self.folder.create(file);
        let created = created
            .map_err(|error| format!("Can't open the append-only file {name}: {}", os_reason(&error)))?;
        if let Some(manifest) = manifest {
            self.list(manifest)?;
        }
        Ok(Some(created))
    }

    fn install(
        &mut self,
        base: &(String, Vec<u8>),
        incr: Option<&[u8]>,
        manifest: &[u8],
    ) -> Result<u64, String> {
        let name = String::from_utf8_lossy(&base.1);
        let length = self.folder.adopt(&base.0, &base.1).map_err(|error| {
            format!(
                "Error trying to rename the temporary AOF base file {} into {name}: {}",
                base.0,
                os_reason(&error)
            )
        })?;
        ::log::info!("Successfully renamed the temporary AOF base file {} into {name}", base.0);
        if let Some(incr) = incr {
            let (from, to) = (self.names.temporary_incr(), String::from_utf8_lossy(incr));
            let shown = String::from_utf8_lossy(&from);
            self.folder.rename(&from, incr).map_err(|error| {
                format!(
                    "Error trying to rename the temporary AOF incr file {shown} into {to}: {}",
                    os_reason(&error)
                )
            })?;
            ::log::info!("Successfully renamed the temporary AOF incr file {shown} into {to}");
        }
        self.list(manifest)?;
        Ok(length)
    }

    fn remove_history(&mut self, files: Vec<Vec<u8>>) {
        for file in &files {
            ::log::info!("Removing the history file {} in the background", String::from_utf8_lossy(file));
        }
        self.folder.remove(files);
    }

    fn list(&mut self, manifest: &[u8]) -> Result<(), String> {
        let (name, temporary) = (self.names.manifest(), self.names.temporary_manifest());
        self.folder.replace(&name, &temporary, manifest).map_err(|error| {
            format!(
                "Can't write the AOF manifest file {}: {}",
                String::from_utf8_lossy(&name),
                os_reason(&error)
            )
        })
    }
}
