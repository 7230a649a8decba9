//! A log file bounded in size, number and age.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const OLDEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Appends to one file; when it would grow beyond its size it becomes `<name>.1`, the former `.1` becomes `.2`,
/// and so on; what falls off the end, or is older than 30 days, is deleted.
pub(super) struct RotatedFile {
    path: PathBuf,
    file: File,
    written: u64,
    most_bytes: u64,
    most_files: usize,
}

impl RotatedFile {
    pub(super) fn open(path: PathBuf, most_bytes: u64, most_files: usize) -> io::Result<Self> {
        let file = append(&path)?;
        let written = file.metadata()?.len();
        Ok(Self { path, file, written, most_bytes, most_files })
    }

    fn rotate(&mut self) -> io::Result<()> {
        remove_if_there(&self.numbered(self.most_files))?;
        for number in (0..self.most_files).rev() {
            let from = self.numbered(number);
            if from.exists() {
                fs::rename(&from, self.numbered(number + 1))?;
            }
        }
        self.delete_old()?;
        self.file = append(&self.path)?;
        self.written = 0;
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "compared with file times, which are the machine's too")]
    fn delete_old(&self) -> io::Result<()> {
        for number in 1..=self.most_files {
            let path = self.numbered(number);
            let Ok(changed) = fs::metadata(&path).and_then(|data| data.modified()) else { continue };
            if SystemTime::now().duration_since(changed).is_ok_and(|age| age > OLDEST) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    fn numbered(&self, number: usize) -> PathBuf {
        if number == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Write for RotatedFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.written > 0 && self.written + line.len() as u64 > self.most_bytes {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_number_of_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = RotatedFile::open(path.clone(), 10, 2).unwrap();
        for line in ["one 4567\n", "two 4567\n", "three 67\n", "four 567\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let content = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(content("a.log"), "four 567\n");
        assert_eq!(content("a.log.1"), "three 67\n");
        assert_eq!(content("a.log.2"), "two 4567\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        drop(log);
        let mut reopened = RotatedFile::open(path, 10, 2).unwrap();
        reopened.write_all(b"x\n").unwrap();
        assert_eq!(content("a.log"), "x\n");
    }

    #[test]
    fn old_files_are_deleted_at_the_next_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let old = File::create(folder.path().join("a.log.1")).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let mut log = RotatedFile::open(path, 4, 5).unwrap();
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        assert!(!folder.path().join("a.log.2").exists());
        assert!(folder.path().join("a.log.1").exists());
    }
}
