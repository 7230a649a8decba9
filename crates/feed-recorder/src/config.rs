//! Settings of a recorder: plain data with working defaults.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::format::RecordedAccount;

/// Where and how to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderConfig {
    /// The folder for the files, made if absent. One recorder to a folder.
    pub folder: PathBuf,
    /// The accounts whose feed it is.
    pub accounts: Vec<RecordedAccount>,
    /// The program that records, with its version; written into every file.
    pub writer: Arc<str>,
    /// Whether text frames (order updates, messages) are recorded too. They hold an account's orders.
    pub text_frames: bool,
    /// Size at which a file is closed and the next begun. Never more than a quarter of `max_total_bytes`.
    pub max_file_bytes: u64,
    /// Age at which a file is closed and the next begun.
    pub max_file_age: Duration,
    /// Bytes all recordings in the folder may take; the oldest files are deleted first, never the one being written.
    pub max_total_bytes: u64,
    /// Files that began longer ago are deleted; `None` keeps them until the bytes run out.
    pub max_age: Option<Duration>,
    /// Unpacked size at which a block is closed.
    pub block_bytes: usize,
    /// zstd's compression level.
    pub compression: i32,
    /// Memory for what waits to be written. What finds no room is counted and leaves a hole in the recording.
    pub queue_bytes: usize,
    /// A block is written at the latest this long after its first record: what a killed process loses.
    pub flush_interval: Duration,
    /// How often what is written is made safe against a power failure (fdatasync).
    pub sync_interval: Duration,
    /// How long to wait before trying again after a write failed.
    pub retry_interval: Duration,
}

impl RecorderConfig {
    /// Everything at its default: records into `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            accounts: Vec::new(),
            writer: concat!("feed-recorder ", env!("CARGO_PKG_VERSION")).into(),
            text_frames: true,
            // A few minutes of a busy feed: small enough to copy, large enough that headers cost nothing.
            max_file_bytes: 256 << 20,
            max_file_age: Duration::from_secs(3600),
            // About two days of 9,000 busy instruments in full mode.
            max_total_bytes: 64 << 30,
            max_age: None,
            // Measured: larger blocks hardly compress better, smaller ones cost more (docs/recording.md).
            block_bytes: 1 << 20,
            compression: 1,
            // Ten seconds of 9,000 busy instruments: longer than a disk stalls, less than hurts.
            queue_bytes: 32 << 20,
            flush_interval: Duration::from_secs(1),
            sync_interval: Duration::from_secs(10),
            retry_interval: Duration::from_secs(5),
        }
    }
}
