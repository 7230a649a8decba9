//! The file system as the writer sees it; a test puts a full disk in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use market_model::UnixNanos;

use crate::FILE_ENDING;

/// A recording file that was there before, or is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// From its header; the epoch when the header cannot be read.
    pub(crate) start: UnixNanos,
}

/// Where files are written.
pub(crate) trait Volume: Send + Sync {
    /// Makes a file that was not there before.
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn VolumeFile>>;
    /// Recordings in the folder, oldest first; makes the folder when it is absent.
    fn list(&mut self, folder: &Path) -> io::Result<Vec<StoredFile>>;
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub(crate) trait VolumeFile: Send + Sync {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Forgets what was written behind `length`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

/// The real one.
pub(crate) struct Disk;

impl Volume for Disk {
    fn create(&mut self, path: &Path) -> io::Result<Box<dyn VolumeFile>> {
        // Order updates are the owner's business.
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn list(&mut self, folder: &Path) -> io::Result<Vec<StoredFile>> {
        fs::create_dir_all(folder)?;
        list(folder)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl VolumeFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The recordings in `folder`, oldest first.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<StoredFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == FILE_ENDING) && path.is_file() {
            let bytes = fs::metadata(&path)?.len();
            let start = crate::scan::read_header(&path).map(|header| header.start).unwrap_or_default();
            files.push(StoredFile { path, bytes, start });
        }
    }
    files.sort_by(|one, other| (one.start, &one.path).cmp(&(other.start, &other.path)));
    Ok(files)
}
