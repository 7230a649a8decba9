//! The recorder: a tap of every ticker, and the catalogs that make its files readable alone.

use std::sync::Arc;

use account_pool::Account;
use feed_recorder::{
    FrameKind, RecordedAccount, Recorder, RecorderConfig, RecorderHandle, RecorderMetrics, RecorderTask,
    RecordingError,
};
use kite_client::{FrameTap, TapKind};
use market_model::{Clock, ConnectionId, FeedEvent, InstrumentCatalog, UnixNanos};
use resilience::TaskExit;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::config::RecordConfig;

/// Hands what a ticker sees to the recorder.
pub(crate) struct RecorderTap(pub(crate) RecorderHandle);

impl FrameTap for RecorderTap {
    fn frame(&self, connection: &ConnectionId, ts_recv: UnixNanos, kind: TapKind, bytes: &bytes::Bytes) {
        let kind = match kind {
            TapKind::Binary => FrameKind::Binary,
            TapKind::Text => FrameKind::Text,
        };
        self.0.frame(connection, ts_recv, kind, bytes);
    }

    fn event(&self, event: &FeedEvent) {
        self.0.event(event);
    }
}

/// Both ends of a recorder for these accounts.
pub(crate) fn make(
    config: &RecordConfig,
    accounts: &[Account],
    clock: Arc<dyn Clock>,
    metrics: RecorderMetrics,
) -> Result<(RecorderHandle, RecorderTask), RecordingError> {
    let config = RecorderConfig {
        accounts: recorded(accounts),
        writer: concat!("kite-gateway ", env!("CARGO_PKG_VERSION")).into(),
        max_total_bytes: config.max_bytes,
        max_age: Some(config.max_age),
        ..RecorderConfig::new(&config.folder)
    };
    Recorder::new(config, clock, metrics)
}

/// The accounts as a recording names them.
pub(crate) fn recorded<'a>(accounts: impl IntoIterator<Item = &'a Account>) -> Vec<RecordedAccount> {
    let name = |account: &Account| RecordedAccount {
        name: account.name.as_str().into(),
        simulated: account.simulated,
    };
    accounts.into_iter().map(name).collect()
}

/// Writes until every tap is gone.
pub(crate) async fn write(task: RecorderTask) -> TaskExit {
    match task.run().await {
        Ok(status) => {
            let counts = status.counts;
            info!(
                frames = counts.frames,
                lost = counts.frames_lost,
                bytes = status.written_bytes,
                "recording closed"
            );
            TaskExit::InputClosed
        }
        Err(error) => TaskExit::Failed(error.to_string()),
    }
}

/// Records every catalog that comes to hold.
pub(crate) async fn record_catalogs(
    recorder: RecorderHandle,
    mut catalogs: watch::Receiver<Arc<InstrumentCatalog>>,
    stop: CancellationToken,
) -> TaskExit {
    loop {
        let catalog = catalogs.borrow_and_update().clone();
        if !catalog.is_empty() {
            recorder.instruments(&catalog);
        }
        tokio::select! {
            () = stop.cancelled() => return TaskExit::Cancelled,
            changed = catalogs.changed() => if changed.is_err() {
                return TaskExit::InputClosed;
            },
        }
    }
}
