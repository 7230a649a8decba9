//! Why the program ends without having done what was asked, with the next step.

use std::io;
use std::path::{Path, PathBuf};

use feed_recorder::RecordingError;
use snapshot_export::ExportError;

/// What to say before the program ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("{0}; is there room, and may you write there?")]
    Export(#[from] ExportError),
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Simulator(#[from] kite_sim::SimError),
    #[error("cannot wait: {0}")]
    Runtime(io::Error),
    #[error("the thread that writes ended unexpectedly; this is a fault of the program")]
    WriterEnded,
}

// === impl Failure ===

impl Failure {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
