//! Reads and unpacks blocks ahead of their reader: replay is bound by two processors then, not by one.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::error::RecordingError;
use crate::reader::{Plan, Unpacked};

/// Blocks on their way: one being read by either side and two between.
const AHEAD: usize = 2;

/// The reading end. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    /// `None` once it is being dropped.
    blocks: Option<Receiver<Unpacked>>,
    empties: SyncSender<Vec<u8>>,
    thread: Option<JoinHandle<Result<(), RecordingError>>>,
}

// === impl ReadAhead ===

impl ReadAhead {
    pub(crate) fn start(plan: Plan) -> Result<Self, RecordingError> {
        let (send, blocks) = sync_channel(AHEAD);
        let (empties, returned) = sync_channel(AHEAD + 2);
        let read = move || plan.read(|| returned.try_recv().ok(), |unpacked| send.send(unpacked).is_ok());
        let thread = std::thread::Builder::new()
            .name("recording-reader".into())
            .spawn(read)
            .map_err(RecordingError::io("start a thread for", "the recording".as_ref()))?;
        Ok(Self { blocks: Some(blocks), empties, thread: Some(thread) })
    }

    /// The next block; `None` when all were read.
    pub(crate) fn next(&mut self) -> Result<Option<Unpacked>, RecordingError> {
        if let Some(unpacked) = self.blocks.as_ref().and_then(|blocks| blocks.recv().ok()) {
            return Ok(Some(unpacked));
        }
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(None),
            Some(Ok(end)) => end.map(|()| None),
            Some(Err(_)) => Err(RecordingError::ThreadEnded("reading")),
        }
    }

    /// Takes the buffer of a block that was read.
    pub(crate) fn give_back(&self, raw: Vec<u8>) {
        // When nobody wants it any more it is simply freed.
        let _ = self.empties.try_send(raw);
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        // A thread that waits to hand over a block finds nobody there, and ends.
        self.blocks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
