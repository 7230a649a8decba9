//! What can go wrong with a recording.

use std::io;
use std::path::{Path, PathBuf};

use market_model::CatalogError;

/// Why a recording cannot be written, opened or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// There is no recording file.
    #[error("no recording file (*.{}) in {}, give a recording file or the folder that holds them", crate::FILE_ENDING, path.display())]
    NoFiles {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file does not begin as a recording does.
    #[error("{} is not a recording: {problem}", path.display())]
    NotARecording {
        /// The file.
        path: PathBuf,
        /// What is wrong with its header.
        problem: &'static str,
    },
    /// The file was written by a later version of the format.
    #[error("{} has format version {found}, this program reads version {}, take a newer one", path.display(), crate::FORMAT_VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
    },
    /// Nothing says what the recorded instruments are.
    #[error("the recording has no instruments before its first frame, so ticks cannot be named")]
    NoInstruments,
    /// The recorded instruments contradict each other.
    #[error("the recorded instruments make no catalog: {0}")]
    Catalog(#[from] CatalogError),
    /// A block passed its checksum and still does not make sense: a fault of the writer.
    #[error("block {number} of {} is malformed: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The block's number in the file, from 0.
        number: u32,
        /// What is wrong.
        problem: &'static str,
    },
    /// The thread that writes or reads ended before its work did.
    #[error("the {0} thread ended unexpectedly")]
    ThreadEnded(&'static str),
}

// === impl RecordingError ===

impl RecordingError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
