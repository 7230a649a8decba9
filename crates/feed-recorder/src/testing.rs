//! A disk that fills up, and a look at a folder: what the tests of this crate share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::volume::{Disk, StoredFile, Volume, VolumeFile};

/// A real folder on a disk that takes no more than it is told to.
#[derive(Clone)]
pub(crate) struct SmallDisk(Arc<Room>);

struct Room {
    left: AtomicU64,
    truncates: AtomicBool,
}

impl SmallDisk {
    pub(crate) fn with_room(bytes: u64) -> Self {
        Self(Arc::new(Room { left: AtomicU64::new(bytes), truncates: AtomicBool::new(true) }))
    }

    pub(crate) fn set_room(&self, bytes: u64) {
        self.0.left.store(bytes, Ordering::SeqCst);
    }

    /// From now on files cannot be shortened either.
    pub(crate) fn refuse_truncating(&self) {
        self.0.truncates.store(false, Ordering::SeqCst);
    }
}

struct SmallFile(Box<dyn VolumeFile>, Arc<Room>);

impl Volume for SmallDisk {
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn VolumeFile>> {
        if self.0.left.load(Ordering::SeqCst) == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(Box::new(SmallFile(Disk.create(path)?, self.0.clone())))
    }

    fn list(&mut self, folder: &Path) -> io::Result<Vec<StoredFile>> {
        Disk.list(folder)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }
}

impl VolumeFile for SmallFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.1.left.load(Ordering::SeqCst);
        let taken = (bytes.len() as u64).min(left) as usize;
        self.0.append(&bytes[..taken])?;
        self.1.left.store(left - taken as u64, Ordering::SeqCst);
        if taken < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        match self.1.truncates.load(Ordering::SeqCst) {
            true => self.0.truncate(length),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

/// The recordings in `folder`, oldest first.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    crate::volume::list(folder).unwrap().into_iter().map(|file| file.path).collect()
}
