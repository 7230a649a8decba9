//! Today's token of each account in a file of its own, so that a restart needs no login.
//!
//! A file is written whole or not at all, belongs to the user of this process and is readable by nobody else; one that
//! is not so is not read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use market_model::UnixNanos;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::account::{Account, AccountName};
use crate::error::AccountError;
use crate::secret::Secret;

const VERSION: u32 = 1;
const MOST_BYTES: u64 = 16 * 1024;

/// A token as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// The token.
    pub token: Secret,
    /// When it was got from the broker.
    pub obtained: UnixNanos,
}

/// The folder of token files.
#[derive(Debug, Clone)]
pub struct TokenFiles {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Content<'a> {
    v: u32,
    account: &'a str,
    /// A token is of no use with another app.
    app: &'a str,
    obtained: i64,
    access_token: &'a str,
}

// === impl TokenFiles ===

impl TokenFiles {
    /// `tokens` inside the data folder; made, for its owner only, when it is first needed.
    pub fn within(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("tokens") }
    }

    /// Where the file of `account` is.
    pub fn path(&self, account: &AccountName) -> PathBuf {
        self.folder.join(format!("{account}.json"))
    }

    /// Keeps `kept` for `account`, in place of what was kept before. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// [`AccountError::TokenFile`]; the earlier file is then still whole.
    pub fn write(&self, account: &Account, kept: &KeptToken) -> Result<(), AccountError> {
        let path = self.path(&account.name);
        let content = Content {
            v: VERSION,
            account: account.name.as_str(),
            app: &app_of(account),
            obtained: kept.obtained.0,
            access_token: kept.token.expose(),
        };
        let result = serde_json::to_vec(&content).map_err(io::Error::other).map(Zeroizing::new);
        result
            .and_then(|text| self.replace(&path, account.name.as_str(), &text))
            .map_err(|error| refuse(&path, format!("cannot be written: {error}")))
    }

    /// Reads what was kept for `account`; `None` when nothing was, or it was for another app.
    ///
    /// # Errors
    /// [`AccountError::TokenFile`] when the file must not be trusted or cannot be read.
    pub fn read(&self, account: &Account) -> Result<Option<KeptToken>, AccountError> {
        let path = self.path(&account.name);
        let text = match read_private(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refuse(&path, error.to_string())),
        };
        let content: Content<'_> = serde_json::from_slice(&text)
            .map_err(|_| refuse(&path, "is damaged; delete it and log in again".to_owned()))?;
        if content.v != VERSION || content.account != account.name.as_str() {
            return Err(refuse(
                &path,
                "is of another account or version; delete it and log in again".to_owned(),
            ));
        }
        let kept =
            KeptToken { token: Secret::new(content.access_token), obtained: UnixNanos(content.obtained) };
        Ok((content.app == app_of(account)).then_some(kept))
    }

    /// Forgets what was kept for `account`.
    ///
    /// # Errors
    /// [`AccountError::TokenFile`].
    pub fn remove(&self, account: &AccountName) -> Result<(), AccountError> {
        let path = self.path(account);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(refuse(&path, format!("cannot be removed: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn replace(&self, path: &Path, account: &str, text: &[u8]) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // One name per process: two that write at once must not mix. What a crash left behind is overwritten.
        let draft = self.folder.join(format!(".{account}.{}.tmp", std::process::id()));
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let written =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
                file.write_all(text)?;
                file.sync_all()
            });
        let moved = written.and_then(|()| fs::rename(&draft, path));
        if moved.is_err() {
            let _ = fs::remove_file(&draft);
        }
        moved?;
        File::open(&self.folder)?.sync_all()
    }
}

fn refuse(path: &Path, problem: String) -> AccountError {
    AccountError::TokenFile { path: path.display().to_string(), problem }
}

/// Reads a small file that nobody else may read, write or have put there.
fn read_private(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let wrong = |problem: &str| io::Error::new(io::ErrorKind::PermissionDenied, problem.to_owned());
    // A link could point at anybody's file, and a pipe would never end.
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(wrong("is not a plain file"));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(wrong("belongs to another user, so it is not trusted; delete it"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(wrong(
            "can be read by others, so it is not trusted; log out, delete it and log in again",
        ));
    }
    if meta.len() > MOST_BYTES {
        return Err(wrong("is too long for a token; delete it"));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize));
    file.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

/// Tells apps apart without writing the key down.
fn app_of(account: &Account) -> String {
    HEXLOWER.encode(&digest(&SHA256, account.api_key.expose().as_bytes()).as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::testing::account;

    fn kept(token: &str) -> KeptToken {
        KeptToken { token: Secret::new(token), obtained: UnixNanos(7) }
    }

    #[test]
    fn what_is_kept_is_read_again_by_the_same_app_only() {
        let folder = tempfile::tempdir().unwrap();
        let files = TokenFiles::within(folder.path());
        let a = account("a");
        assert_eq!(files.read(&a).unwrap(), None);
        files.write(&a, &kept("t1")).unwrap();
        files.write(&a, &kept("t2")).unwrap();
        assert_eq!(files.read(&a).unwrap(), Some(kept("t2")));
        let path = files.path(&a.name);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "a draft was left");
        let other_app = Account { api_key: Secret::new("another"), ..a.clone() };
        assert_eq!(files.read(&other_app).unwrap(), None);
        files.remove(&a.name).unwrap();
        files.remove(&a.name).unwrap();
        assert_eq!(files.read(&a).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_not_private_or_not_whole_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = TokenFiles::within(folder.path());
        let a = account("a");
        files.write(&a, &kept("hush")).unwrap();
        let path = files.path(&a.name);
        let check = |expect: &str| {
            let error = files.read(&a).unwrap_err().to_string();
            assert!(error.contains(expect) && !error.contains("hush"), "{error}");
        };
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        check("can be read by others");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&path, "{\"v\":1,\"access_token\":\"hush\"").unwrap();
        check("is damaged");
        fs::write(&path, vec![b' '; 20_000]).unwrap();
        check("too long");
        let real = folder.path().join("elsewhere");
        fs::rename(&path, &real).unwrap();
        symlink(&real, &path).unwrap();
        assert!(files.read(&a).is_err(), "a link was followed");
        files.write(&a, &kept("t")).unwrap();
        assert_eq!(files.read(&a).unwrap(), Some(kept("t")), "a link was written through");
    }
}
