//! Writes what leaves the pipeline on a thread of its own, so that encoding and compressing do not slow the replay.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use snapshot_export::ExportError;
use tick_pipeline::Output;

use crate::failure::Failure;

/// Batches on their way: enough to even out bursts, a few megabytes.
const WAITING: usize = 256;

/// The sending end.
pub(crate) struct Sink {
    outputs: SyncSender<Output>,
    thread: JoinHandle<Result<u64, ExportError>>,
}

// === impl Sink ===

impl Sink {
    /// `work` is given every output in order; it answers how much it wrote.
    pub(crate) fn start(
        work: impl FnOnce(&mut dyn Iterator<Item = Output>) -> Result<u64, ExportError> + Send + 'static,
    ) -> Result<Self, Failure> {
        let (outputs, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("export-writer".into())
            .spawn(move || work(&mut receiver.iter()))
            .map_err(Failure::Runtime)?;
        Ok(Self { outputs, thread })
    }

    /// Hands over one output, waiting while too many are on their way. `false`: the writer has failed and
    /// [`finish`](Self::finish) says why.
    pub(crate) fn push(&self, output: Output) -> bool {
        self.outputs.send(output).is_ok()
    }

    /// Waits until everything is written.
    pub(crate) fn finish(self) -> Result<u64, Failure> {
        drop(self.outputs);
        match self.thread.join() {
            Ok(written) => Ok(written?),
            Err(_) => Err(Failure::WriterEnded),
        }
    }
}
