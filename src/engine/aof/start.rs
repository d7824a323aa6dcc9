//! The work on the append-only file before there is a thread for it: at start, and for DEBUG
//! LOADAOF.
//!
//! The manifest is read, an old single file is moved into the folder ([`open`]); then every part is
//! loaded in order ([`super::load`]) and the file for changes is made ([`Opening::finish`]).
//! Whatever is not as it should be ends the start with Redis's words as the last line of the log.
//! Files that are as they should be are left alone, so that a folder whose files can be written to
//! is enough where no new one is needed. When all is ready, what earlier processes have left
//! unfinished is removed ([`super::leftovers`]).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::disk::{Folder, RealFolder};
use super::leftovers;
use crate::aof::{FileInfo, Manifest, Names};
use crate::base::text::os_reason;
use crate::engine::loader::{Source, Unwanted};
use crate::keyspace::EncodingLimits;
use crate::persistence::{AofFile, AofFiles};
use crate::rdb::{self, Checksum, Item, Note, RdbError};
use crate::server::{Aof, AofOpened, Server};

/// The log says why the server cannot start; this is the gist of it.
pub type Refused = String;

/// The folder and the file names that the configuration asks for.
pub(super) struct Place {
    pub(super) folder: RealFolder,
    pub(super) names: Names,
}

impl Place {
    fn of(server: &Server) -> Self {
        let config = &server.rooms.config;
        Place { folder: RealFolder::new(config.appenddirname.as_bytes()), names: Aof::names(config) }
    }

    pub(super) fn path_of(&self, name: &[u8]) -> PathBuf {
        self.folder.path_of(name)
    }

    fn write_manifest(&mut self, manifest: &Manifest) -> Result<(), Refused> {
        let (name, temporary) = (self.names.manifest(), self.names.temporary_manifest());
        self.folder.replace(&name, &temporary, &manifest.to_text()).map_err(|error| {
            fatal(format!("Can't write the AOF manifest file {}: {}", shown(&name), os_reason(&error)))
        })
    }

    pub(super) fn length_of(&self, name: &[u8]) -> io::Result<u64> {
        Ok(fs::metadata(self.path_of(name))?.len())
    }
}

/// A start under way: the files are found, and loaded meanwhile.
pub struct Opening {
    place: Place,
    manifest: Manifest,
    sizes: Sizes,
    /// Nobody else appends to the last file.
    lock: Option<File>,
}

/// Finds the append-only file, if the configuration wants one; otherwise the snapshot file is to be
/// loaded.
pub fn open(server: &mut Server) -> Result<Option<Opening>, Refused> {
    let mut place = Place::of(server);
    let mut manifest = read_manifest(&place)?;
    leftovers::remove_temporary(&place, &manifest);
    if !server.rooms.config.appendonly {
        server.aof_opened(AofOpened { manifest, ..AofOpened::default() });
        return Ok(None);
    }
    refuse_orphans(&place, &manifest, &server.keyspace.limits())?;
    upgrade(&mut place, &mut manifest)?;
    let lock = lock_last(&mut place, &manifest)?;
    let sizes = measure(&place, &manifest)?;
    Ok(Some(Opening { place, manifest, sizes, lock }))
}

impl Opening {
    /// Returns the files to load.
    pub fn files(&self, server: &Server) -> AofFiles {
        list(server, &self.place, &self.manifest, self.sizes)
    }

    /// Makes everything ready for changes, after the last file was loaded up to `cut_at`.
    pub fn finish(mut self, server: &mut Server, cut_at: Option<u64>) -> Result<(), Refused> {
        if let Some(offset) = cut_at {
            cut_last(&self.place, &self.manifest, offset)?;
        }
        if !server.rooms.config.appendonly {
            server.aof_opened(AofOpened { manifest: self.manifest, ..AofOpened::default() });
            return Ok(());
        }
        let opened = self.make_ready(server)?;
        if !server.rooms.config.aof_disable_auto_gc {
            leftovers::remove_unlisted(&mut self.place, &opened.manifest);
        }
        // The thread takes the lock from here.
        drop(self.lock);
        server.aof_opened(opened);
        server.rooms.delete_aof_history();
        Ok(())
    }

    /// Makes what is missing for changes to be appended: a base, a file for changes, the list of
    /// both.
    fn make_ready(&mut self, server: &Server) -> Result<AofOpened, Refused> {
        let Opening { place, manifest, sizes, lock } = self;
        make_folder(place)?;
        let found = manifest.clone();
        if manifest.is_empty() {
            let name = manifest.next_base(&place.names, server.rooms.config.aof_use_rdb_preamble);
            let length = write_empty_base(server, place, &name)?;
            log::info!("Creating AOF base file {} on server start", shown(&name));
            *sizes = Sizes { all: length, base: length };
        }
        let was_there = manifest.incr.last().map(|file| file.name.clone());
        let verb = if was_there.is_some() { "Opening" } else { "Creating" };
        let name = was_there.unwrap_or_else(|| manifest.next_incr(&place.names));
        // A file that was there is locked by us already.
        let length = match lock {
            Some(_) => place.length_of(&name),
            None => place.folder.open(&name).map(|(file, length)| {
                *lock = Some(file);
                length
            }),
        };
        let length = length.map_err(|error| {
            fatal(format!("Can't open the append-only file {}: {}", shown(&name), os_reason(&error)))
        })?;
        if *manifest != found {
            place.write_manifest(manifest)?;
        }
        log::info!("{verb} AOF incr file {} on server start", shown(&name));
        let manifest = std::mem::take(manifest);
        Ok(AofOpened { manifest, size: sizes.all, base_size: sizes.base, incr_size: length })
    }
}

/// Empties the data set and loads it again from the files, at once. Source: DEBUG LOADAOF.
pub fn reload(server: &mut Server) -> Result<(), Refused> {
    let place = Place::of(server);
    server.empty_for_loading();
    let manifest = read_manifest(&place)?;
    let sizes = measure(&place, &manifest)?;
    let mut job = server.expect_load();
    let files = list(server, &place, &manifest, sizes);
    let mut refused = None;
    let take = |piece| {
        server.load_piece(piece).map_err(|line| {
            refused = Some(line);
            Unwanted
        })
    };
    job.aof = None;
    let result = Source::new(&job, take).read_aof(&files);
    if let Some(line) = refused {
        return Err(line);
    }
    if let Some(offset) = result.map_err(fatal)? {
        cut_last(&place, &manifest, offset)?;
    }
    server.aof_load_ended();
    server.aof_reloaded(manifest);
    log::warn!("Append Only File loaded by DEBUG LOADAOF");
    Ok(())
}

fn read_manifest(place: &Place) -> Result<Manifest, Refused> {
    if !place.folder.path().is_dir() {
        log::trace!("The AOF directory {} doesn't exist", place.folder.path().display());
        return Ok(Manifest::default());
    }
    let name = place.names.manifest();
    let text = match fs::read(place.path_of(&name)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            log::trace!("The AOF manifest file {} doesn't exist", shown(&name));
            return Ok(Manifest::default());
        }
        Err(error) => {
            return Err(fatal(format!(
                "Fatal error: can't open the AOF manifest file {} for reading: {}",
                shown(&name),
                os_reason(&error)
            )));
        }
    };
    Manifest::parse(&text).map_err(|error| {
        log::warn!("*** FATAL AOF MANIFEST FILE ERROR ***");
        if let Some(text) = &error.text {
            log::warn!("Reading the manifest file, at line {}", error.line);
            log::warn!(">>> '{text}'");
        }
        fatal(error.reason.to_string())
    })
}

/// Parts that no manifest lists are somebody's data: starting empty beside them would overwrite
/// them. There is none in what a first start leaves that is killed before it has written the
/// manifest.
fn refuse_orphans(place: &Place, manifest: &Manifest, limits: &EncodingLimits) -> Result<(), Refused> {
    if !manifest.is_empty() {
        return Ok(());
    }
    for entry in fs::read_dir(place.folder.path()).into_iter().flatten().flatten() {
        if place.names.part(entry.file_name().as_bytes()).is_some() && !holds_nothing(&entry.path(), limits) {
            return Err(fatal(format!(
                "Found the AOF file {} but no manifest {} that lists it. Put the manifest back, or move the files out of \
                 the folder {} to start empty.",
                entry.file_name().display(),
                shown(&place.names.manifest()),
                place.folder.path().display()
            )));
        }
    }
    Ok(())
}

/// True when a file is empty, or a snapshot without keys.
fn holds_nothing(path: &Path, limits: &EncodingLimits) -> bool {
    let length = fs::metadata(path).map(|metadata| metadata.len());
    let Ok((length, file)) = length.and_then(|length| Ok((length, File::open(path)?))) else { return false };
    if length == 0 {
        return true;
    }
    let refuse_data = |item: Item<'_>, _| match item {
        Item::Note(Note::Aux { .. }) => Ok(()),
        _ => Err(RdbError::Refused("it holds data".to_owned())),
    };
    let read = rdb::load_as(BufReader::new(file), limits, Checksum::Verified, refuse_data);
    // Commands may stand behind a snapshot.
    read.is_ok_and(|summary| summary.bytes == length)
}

/// Moves the single file of an old version into the folder, where it is the base.
fn upgrade(place: &mut Place, manifest: &mut Manifest) -> Result<(), Refused> {
    let name = place.names.0.clone();
    let old = Path::new(OsStr::from_bytes(&name)).to_path_buf();
    let was_interrupted = manifest.incr.is_empty()
        && manifest.base.as_ref().is_some_and(|base| base.name == name)
        && !place.path_of(&name).exists();
    if !old.is_file() || !(manifest.is_empty() || was_interrupted) {
        return Ok(());
    }
    make_folder(place)?;
    manifest.adopt(&name);
    place.write_manifest(manifest)?;
    let folder = place.folder.path().display().to_string();
    fs::rename(&old, place.path_of(&name)).map_err(|error| {
        fatal(format!(
            "Error trying to move the old AOF file {} into dir {folder}: {}",
            shown(&name),
            os_reason(&error)
        ))
    })?;
    log::info!(
        "Successfully migrated an old-style AOF file ({}) into the AOF directory ({folder}).",
        shown(&name)
    );
    Ok(())
}

fn make_folder(place: &mut Place) -> Result<(), Refused> {
    place.folder.make().map_err(|error| {
        let folder = place.folder.path().display();
        fatal(format!("Can't open or create append-only dir {folder}: {}", os_reason(&error)))
    })
}

/// Takes hold of the file that is appended to before anything is read or cut: another server may be
/// at work.
fn lock_last(place: &mut Place, manifest: &Manifest) -> Result<Option<File>, Refused> {
    let Some(last) = manifest.incr.last().filter(|last| place.path_of(&last.name).exists()) else {
        return Ok(None);
    };
    match place.folder.open(&last.name) {
        Ok((file, _)) => Ok(Some(file)),
        Err(error) => {
            let name = shown(&last.name);
            Err(fatal(format!("Can't open the append-only file {name}: {}", os_reason(&error))))
        }
    }
}

/// Bytes of all files, and of the base.
#[derive(Clone, Copy, Default)]
struct Sizes {
    all: u64,
    base: u64,
}

/// Measures every listed file.
fn measure(place: &Place, manifest: &Manifest) -> Result<Sizes, Refused> {
    let mut sizes = Sizes::default();
    for file in manifest.files() {
        let length = place.length_of(&file.name).map_err(|error| {
            fatal(format!(
                "Unable to obtain the AOF file {} length. stat: {}",
                shown(&file.name),
                os_reason(&error)
            ))
        })?;
        sizes.all += length;
        if manifest.base.as_ref() == Some(file) {
            sizes.base = length;
        }
    }
    Ok(sizes)
}

/// Every listed file, in order; none if they are empty.
fn list(server: &Server, place: &Place, manifest: &Manifest, sizes: Sizes) -> AofFiles {
    let file = |file: &FileInfo| AofFile {
        path: place.path_of(&file.name),
        name: shown(&file.name),
        is_empty: place.length_of(&file.name).is_ok_and(|length| length == 0),
        is_base: manifest.base.as_ref() == Some(file),
        is_old_style: file.name == place.names.0,
    };
    let files = if sizes.all == 0 { Vec::new() } else { manifest.files().map(file).collect() };
    AofFiles { files, total_bytes: sizes.all, may_be_cut: server.rooms.config.aof_load_truncated }
}

/// Cuts off what the last file has too much; those behind it are empty.
fn cut_last(place: &Place, manifest: &Manifest, offset: u64) -> Result<(), Refused> {
    let has_content = |file: &&FileInfo| place.length_of(&file.name).is_ok_and(|length| length > 0);
    let Some(last) = manifest.files().filter(has_content).last() else { return Ok(()) };
    cut(&place.path_of(&last.name), &shown(&last.name), offset)
}

fn cut(path: &Path, shown: &str, offset: u64) -> Result<(), Refused> {
    log::warn!("!!! Warning: short read while loading the AOF file {shown}!!!");
    log::warn!("!!! Truncating the AOF {shown} at offset {offset} !!!");
    let cut = fs::OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(offset)?;
        file.sync_all()
    });
    cut.map_err(|error| fatal(format!("Error truncating the AOF file {shown}: {}", os_reason(&error))))?;
    log::warn!("AOF {shown} loaded anyway because aof-load-truncated is enabled");
    Ok(())
}

/// A data set that begins empty has an empty base, so that there is one to load.
fn write_empty_base(server: &Server, place: &mut Place, name: &[u8]) -> Result<u64, Refused> {
    let mut text = Vec::new();
    if server.rooms.config.aof_use_rdb_preamble {
        let options = server.base_options();
        rdb::save(&[], &options, &mut text).map_err(|error| fatal(error.to_string()))?;
    }
    let temporary = place.names.temporary_manifest();
    place.folder.replace(name, &temporary, &text).map_err(|error| {
        fatal(format!("Can't open the append-only file {}: {}", shown(name), os_reason(&error)))
    })?;
    Ok(text.len() as u64)
}

/// Logs why the server cannot go on.
pub(in crate::engine) fn fatal(line: String) -> Refused {
    log::warn!("{line}");
    line
}

pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
