//! A disk that fails when it is told to, and knows what a kill and a power cut would leave.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use crate::engine::aof::disk::{Folder, LogFile};

/// A file: what a process reads, and what a power cut leaves.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub bytes: Vec<u8>,
    pub on_disk: Vec<u8>,
}

pub(super) type Shared = Rc<RefCell<Content>>;
pub(super) type Image = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub names: BTreeMap<Vec<u8>, Shared>,
    pub names_on_disk: BTreeMap<Vec<u8>, Shared>,
    /// Files of the working folder.
    pub outside: BTreeMap<String, Shared>,
    /// Operations so far.
    pub operations: u32,
    /// The first operation that fails.
    pub fails_at: u32,
    /// And all that follow.
    pub stays_broken: bool,
    /// A write that fails takes so many bytes.
    pub torn: usize,
    /// True when the housekeeper is slow.
    pub is_late: bool,
    /// A sync has failed: the kernel may have dropped what was written.
    pub has_dropped: bool,
}

impl Disk {
    /// Counts an operation.
    fn operate(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        if number == self.fails_at || self.stays_broken && number > self.fails_at {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// The files as a killed process leaves them.
    pub(super) fn after_kill(&self) -> Image {
        let files = self.names.iter();
        files.map(|(name, file)| (name.clone(), file.borrow().bytes.clone())).collect()
    }

    /// The files as a power cut leaves them.
    pub(super) fn after_power_cut(&self) -> Image {
        let files = self.names_on_disk.iter();
        files.map(|(name, file)| (name.clone(), file.borrow().on_disk.clone())).collect()
    }
}

#[derive(Clone)]
pub(super) struct FaultyFolder(pub Rc<RefCell<Disk>>);

pub(super) struct FaultyFile {
    disk: Rc<RefCell<Disk>>,
    pub content: Shared,
}

impl FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut content = self.content.borrow_mut();
        let mut disk = self.disk.borrow_mut();
        if let Err(error) = disk.operate() {
            let torn = disk.torn.min(bytes.len());
            content.bytes.extend_from_slice(&bytes[..torn]);
            return Err(error);
        }
        // Half of it first, as disks may do.
        let count = bytes.len().div_ceil(2).max(bytes.len().min(64));
        content.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    pub(super) fn force(&mut self) -> io::Result<()> {
        let mut content = self.content.borrow_mut();
        let mut disk = self.disk.borrow_mut();
        if let Err(error) = disk.operate() {
            disk.has_dropped = true;
            let safe = content.on_disk.len();
            content.bytes[safe..].fill(0);
            return Err(error);
        }
        content.on_disk = content.bytes.clone();
        Ok(())
    }
}

impl LogFile for FaultyFile {
    fn twin(&self) -> io::Result<Self> {
        self.disk.borrow_mut().operate()?;
        Ok(FaultyFile { disk: Rc::clone(&self.disk), content: Rc::clone(&self.content) })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.disk.borrow_mut().operate()?;
        let mut content = self.content.borrow_mut();
        content.bytes.truncate(length as usize);
        let on_disk = content.on_disk.len().min(length as usize);
        content.on_disk.truncate(on_disk);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.force()
    }
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FaultyFolder {
    pub(super) fn file(&self, content: Shared) -> FaultyFile {
        FaultyFile { disk: Rc::clone(&self.0), content }
    }

    /// Forces names to disk.
    fn sync(&self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.operate()?;
        disk.names_on_disk = disk.names.clone();
        Ok(())
    }

    fn insert(&self, name: &[u8], content: Shared) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.operate()?;
        disk.names.insert(name.to_vec(), content);
        Ok(())
    }
}

impl Folder for FaultyFolder {
    type File = FaultyFile;

    fn shown(&self) -> String {
        "appendonlydir".to_owned()
    }

    fn make(&mut self) -> io::Result<()> {
        self.0.borrow_mut().operate()
    }

    fn create(&mut self, name: &[u8]) -> io::Result<FaultyFile> {
        let content = Shared::default();
        self.insert(name, Rc::clone(&content))?;
        Ok(self.file(content))
    }

    fn open(&mut self, name: &[u8]) -> io::Result<(FaultyFile, u64)> {
        self.0.borrow_mut().operate()?;
        let content = Rc::clone(self.0.borrow_mut().names.entry(name.to_vec()).or_default());
        let length = content.borrow().bytes.len() as u64;
        Ok((self.file(content), length))
    }

    fn replace(&mut self, name: &[u8], temporary: &[u8], text: &[u8]) -> io::Result<()> {
        let mut file = self.create(temporary)?;
        file.write_all(text)?;
        file.force()?;
        let content = Rc::clone(&file.content);
        self.insert(name, content)?;
        self.0.borrow_mut().names.remove(temporary);
        self.sync()
    }

    fn adopt(&mut self, path: &str, name: &[u8]) -> io::Result<u64> {
        let content = self.0.borrow_mut().outside.remove(path).ok_or(io::ErrorKind::NotFound)?;
        let length = content.borrow().bytes.len() as u64;
        self.insert(name, content)?;
        self.sync()?;
        Ok(length)
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) -> io::Result<()> {
        let content = self.0.borrow().names.get(from).cloned().ok_or(io::ErrorKind::NotFound)?;
        self.insert(to, content)?;
        self.0.borrow_mut().names.remove(from);
        self.sync()
    }

    fn unlink(&mut self, name: &[u8]) {
        self.0.borrow_mut().names.remove(name);
    }

    fn remove(&mut self, names: Vec<Vec<u8>>) {
        names.iter().for_each(|name| self.unlink(name));
    }
}
