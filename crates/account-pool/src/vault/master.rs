//! Where the master key comes from: a value, a file that only its owner may read, or a command that prints it.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use aws_lc_rs::rand;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{DATA_KEY_LEN, MasterKey};
use crate::error::AccountError;
use crate::secret::Secret;

/// More than any way of writing 32 bytes, line end included.
const MOST_BYTES: u64 = 1024;

/// How the operator gives the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// The text itself, such as `GATEWAY_MASTER_KEY` held it.
    Value(Secret),
    /// A file of mode 0600 (or 0400) that belongs to the user of this process.
    File(PathBuf),
    /// A command for `/bin/sh -c` that prints the key and ends within the time.
    Command {
        /// The command line. Must not hold the key itself: command lines are visible to others.
        line: String,
        /// How long it may take.
        timeout: Duration,
    },
}

/// Gets the master key: 32 bytes in base64 (either alphabet, padded or not) or 64 hexadecimal digits, with white space
/// around it.
///
/// # Errors
/// [`AccountError::MasterKey`] saying what to change. It never repeats what was read.
///
/// # Cancel safety
/// Nothing remains; a command that still runs is killed.
pub async fn load_master_key(source: &MasterKeySource) -> Result<MasterKey, AccountError> {
    match source {
        MasterKeySource::Value(text) => MasterKey::parse(text),
        MasterKeySource::File(path) => read_file(path),
        MasterKeySource::Command { line, timeout } => run(line, *timeout).await,
    }
}

// === impl MasterKey ===

impl MasterKey {
    /// Reads the text form.
    ///
    /// # Errors
    /// [`AccountError::MasterKey`] when it is not 32 bytes.
    pub fn parse(text: &Secret) -> Result<Self, AccountError> {
        let text = text.expose().trim().as_bytes();
        let decoded = [HEXLOWER_PERMISSIVE, BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD]
            .iter()
            .filter_map(|encoding| encoding.decode(text).ok().map(Zeroizing::new))
            .find_map(|bytes| <[u8; DATA_KEY_LEN]>::try_from(bytes.as_slice()).ok());
        decoded.map_or_else(
            || {
                Err(AccountError::MasterKey(
                    "it is not 32 bytes in base64 or hexadecimal; make one with `openssl rand -base64 32`"
                        .into(),
                ))
            },
            Self::from_bytes,
        )
    }

    /// A new random key, with the text to write down; there is no other way to have it again.
    ///
    /// # Errors
    /// When the machine gives no random bytes.
    pub fn generate() -> Result<(Self, Secret), AccountError> {
        let mut bytes = Zeroizing::new([0; DATA_KEY_LEN]);
        rand::fill(bytes.as_mut_slice())
            .map_err(|_| AccountError::MasterKey("the machine gives no random bytes".into()))?;
        let text = Secret::new(BASE64.encode(bytes.as_slice()));
        Ok((Self::from_bytes(*bytes)?, text))
    }
}

fn read_file(path: &Path) -> Result<MasterKey, AccountError> {
    let shown = path.display();
    let refuse = |problem: String| AccountError::MasterKey(format!("{shown}: {problem}"));
    // Not blocking: a named pipe in its place must not hold up the start.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| refuse(format!("cannot be opened: {error}")))?;
    let meta = file.metadata().map_err(|error| refuse(format!("cannot be examined: {error}")))?;
    if !meta.is_file() {
        return Err(refuse("is not a plain file".into()));
    }
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(refuse("belongs to another user; change its owner to the user this runs as".into()));
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o777;
        return Err(refuse(format!("can be read by others (mode {mode:04o}); run `chmod 600 {shown}`")));
    }
    let mut text = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize + 1));
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    parse(&text).map_err(|problem| refuse(problem.to_string()))
}

async fn run(line: &str, timeout: Duration) -> Result<MasterKey, AccountError> {
    let refuse = |problem: String| AccountError::MasterKey(format!("the key command {problem}"));
    let mut child = Command::new("/bin/sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Whatever it says there may hold the key.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| refuse(format!("cannot be started: {error}")))?;
    let Some(stdout) = child.stdout.take() else {
        return Err(refuse("has no output".into()));
    };
    let mut text = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize + 1));
    let finish = async {
        stdout.take(MOST_BYTES + 1).read_to_end(&mut text).await?;
        if text.len() as u64 > MOST_BYTES {
            // It would wait for ever to write the rest.
            child.start_kill()?;
        }
        child.wait().await
    };
    let status = tokio::time::timeout(timeout, finish)
        .await
        .map_err(|_| refuse(format!("took longer than {} s; it was stopped", timeout.as_secs())))?
        .map_err(|error| refuse(format!("cannot be followed: {error}")))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(refuse(format!("printed more than {MOST_BYTES} bytes; it must print the key only")));
    }
    if !status.success() {
        return Err(refuse(format!("failed ({status}); run it by hand to see why")));
    }
    parse(&text).map_err(|problem| refuse(format!("printed no key: {problem}")))
}

fn parse(bytes: &[u8]) -> Result<MasterKey, AccountError> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err(AccountError::MasterKey(format!("it has more than {MOST_BYTES} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| AccountError::MasterKey("it is not text".into()))?;
    MasterKey::parse(&Secret::new(text))
}
