//! Only one process opens the file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::StoreError;

/// A lock on `<file>.lock`, held until dropped or until the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

const PATIENCE: Duration = Duration::from_millis(500);

// === impl FileLock ===

impl FileLock {
    /// Takes the lock; one that a process on its way out still holds is waited for, but not for long.
    pub(crate) async fn take(database: &Path) -> Result<Self, StoreError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match Self::try_take(database) {
                Err(StoreError::InUse { .. }) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(PATIENCE / 20).await;
                }
                outcome => return outcome,
            }
        }
    }

    fn try_take(database: &Path) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let cannot =
            |error: std::io::Error| StoreError::File { file: path.clone(), cause: error.to_string() };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(database, &mut file)),
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        // Only a hint for people, so a full disk does not stand against reading.
        let _ = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        Ok(Self { _file: file })
    }
}

fn in_use(database: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    let known = file.rewind().is_ok() && file.read_to_string(&mut holder).is_ok() && !holder.is_empty();
    let by = if known { format!(" (pid {})", holder.trim()) } else { String::new() };
    StoreError::InUse { file: database.to_path_buf(), by }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    database.with_file_name(name)
}
