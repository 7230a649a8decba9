//! Raw ticker frames and connection events, recorded to files that survive a crash, and replayed into the pipeline.
//!
//! This crate refuses to know sockets, brokers' accounts and sinks: frames are given to it with the time they left
//! the socket, and replay hands [`tick_pipeline::Output`] to whoever wants it. The layout of the files is described
//! in `docs/recording.md`.
//!
//! ```
//! use std::sync::Arc;
//! use feed_recorder::{FrameKind, Record, RecordFilter, Recorder, RecorderConfig, RecorderMetrics, Recording};
//! use market_model::{ConnectionId, SystemClock, UnixNanos};
//!
//! # let folder = std::env::temp_dir().join(format!("feed-recorder-doc-{}", std::process::id()));
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let config = RecorderConfig::new(&folder);
//! let (handle, task) = Recorder::new(config, Arc::new(SystemClock), RecorderMetrics::noop())?;
//! let connection = ConnectionId { account: "demo".into(), index: 0 };
//! handle.frame(&connection, UnixNanos::from_secs(1_800_000_000), FrameKind::Binary, &[0]);
//! drop(handle); // the task ends when nobody records any more
//! assert_eq!(task.run().await?.counts.frames, 1);
//!
//! let mut records = Recording::open(&folder)?.records(RecordFilter::default())?;
//! assert!(matches!(records.next_record()?, Some(Record::Frame { bytes: [0], .. })));
//! # std::fs::remove_dir_all(&folder).unwrap();
//! # Ok::<(), feed_recorder::RecordingError>(())
//! # }).unwrap();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ahead;
mod block;
mod config;
mod error;
mod event;
mod format;
mod instruments;
mod metrics;
mod number;
mod pace;
mod pipeline;
mod queue;
mod reader;
mod recorder;
mod replay;
#[cfg(any(test, feature = "test-util"))]
pub mod sample;
mod scan;
mod status;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod volume;
mod writer;

pub use block::{FrameKind, Hole, HoleCause};
pub use config::RecorderConfig;
pub use error::RecordingError;
pub use format::{
    BlockEntry, BlockHeader, BlockKind, FILE_ENDING, FORMAT_VERSION, FileHeader, RecordedAccount,
};
pub use instruments::{instrument_dump, instrument_rows};
pub use kite_wire::InstrumentRow;
pub use metrics::RecorderMetrics;
pub use pace::Pace;
pub use pipeline::PipelineReplay;
pub use reader::{DamagedBlock, Record, RecordFilter, Recording, Records};
pub use recorder::{Recorder, RecorderHandle, RecorderTask};
pub use replay::{Replay, ReplayCounts, ReplayStep, Step};
pub use scan::{Damage, RecordingFile};
pub use status::{RecorderCounts, RecorderState, RecorderStatus};
