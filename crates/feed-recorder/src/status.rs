//! What a recorder tells people about itself.

use std::path::PathBuf;
use std::sync::Arc;

/// Whether things are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecorderState {
    /// Nothing was written yet.
    #[default]
    Starting,
    /// Blocks are being written.
    Recording,
    /// Blocks cannot be written; it is tried again and again. What finds no room in memory meanwhile is lost.
    Paused {
        /// What the disk says.
        reason: Arc<str>,
    },
    /// Every handle is gone and the last file is closed.
    Ended,
}

/// What was taken and what was lost. `offered = recorded + lost`, for frames and for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecorderCounts {
    /// Frames that were to be recorded.
    pub frames_offered: u64,
    /// Frames taken.
    pub frames: u64,
    /// Frames that found no room.
    pub frames_lost: u64,
    /// Tick packets in the frames taken.
    pub ticks: u64,
    /// Tick packets in the frames lost.
    pub ticks_lost: u64,
    /// Bytes of the frames taken.
    pub bytes: u64,
    /// Events that were to be recorded and have a form in a recording.
    pub events_offered: u64,
    /// Events taken.
    pub events: u64,
    /// Events that found no room.
    pub events_lost: u64,
    /// Holes written so far, one per connection and interruption.
    pub holes: u64,
}

/// A recorder at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecorderStatus {
    /// Whether things are recorded.
    pub state: RecorderState,
    /// Counts since the start.
    pub counts: RecorderCounts,
    /// The file being written.
    pub file: Option<PathBuf>,
    /// Files begun.
    pub files: u64,
    /// Blocks written.
    pub blocks: u64,
    /// Bytes of those blocks before compression.
    pub raw_bytes: u64,
    /// Bytes written into files.
    pub written_bytes: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Bytes of all recordings in the folder, earlier ones included.
    pub disk_bytes: u64,
    /// Files deleted to keep the budget.
    pub deleted_files: u64,
    /// Bytes that wait to be written.
    pub waiting_bytes: usize,
}
