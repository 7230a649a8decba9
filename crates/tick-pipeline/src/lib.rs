//! From decoded ticks to numbered batches of enriched snapshots: validate, find forwards and Greeks, conflate, batch,
//! and one bounded queue per sink.
//!
//! This crate refuses to know which broker the ticks come from, what a sink does with a batch, and how anything is
//! serialised. Feed it [`FeedEvent`](market_model::FeedEvent)s from anywhere: a broker, a file, a test.
//!
//! ```
//! use std::{sync::Arc, time::Instant};
//! use market_model::*;
//! use tick_pipeline::{Output, Pipeline, PipelineConfig, PipelineMetrics};
//!
//! # fn infosys() -> Instrument {
//! #     Instrument { token: InstrumentToken(408_065), exchange: Exchange::Nse, segment: Segment::Nse,
//! #         tradingsymbol: "INFY".into(), name: "INFOSYS".into(), kind: InstrumentKind::Equity, lot_size: 1,
//! #         tick_size: Price::from_paise(5) }
//! # }
//! let catalog = Arc::new(InstrumentCatalog::new(vec![infosys()], |_| None)?);
//! let (config, clock) = (PipelineConfig::default(), Arc::new(SystemClock));
//! let mut pipeline =
//!     Pipeline::new(config, "demo".into(), false, catalog, clock.clone(), PipelineMetrics::noop());
//!
//! let tick = Tick { token: InstrumentToken(408_065), last_price: "1573.15".parse()?, body: TickBody::Ltp };
//! let connection = ConnectionId { account: "demo".into(), index: 0 };
//! let frame = TickFrame { connection, ts_recv: clock.now(), ticks: vec![tick] };
//! pipeline.push(FeedEvent::Ticks(frame), Instant::now());
//! pipeline.flush(Instant::now());
//!
//! let Some(Output::Batch(batch)) = pipeline.next_output() else { panic!("one tick, one batch") };
//! assert_eq!((batch.seq, batch.snapshots[0].tick), (1, tick));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod config;
mod enrich;
mod health;
mod market;
mod metrics;
mod pipeline;
mod queue;
#[cfg(any(test, feature = "test-util"))]
mod recording;
mod run;
mod sink;
mod snapshot;
mod status;
#[cfg(test)]
mod testing;
mod topic;
mod unknown;
mod validate;

pub use batch::{BatchConfig, Batcher, SealedBatch, TopicId};
pub use config::PipelineConfig;
pub use enrich::{ChainStatus, Enricher, EnrichmentConfig, ForwardHysteresis, Refreshed, SpreadRule};
pub use health::HealthRecord;
pub use market::{Forwards, Market, SharedValue};
pub use metrics::{PipelineMetrics, SinkMetrics};
pub use pipeline::{Output, Pipeline};
pub use queue::{Fanout, HEALTH_CAPACITY, OverflowPolicy, QueueConfig, SinkCounts, SinkQueue, SinkTicks};
#[cfg(any(test, feature = "test-util"))]
pub use recording::{RecordingFailed, RecordingSink};
pub use run::{SinkEnd, SinkSummary, run, run_sink};
pub use sink::SnapshotSink;
pub use snapshot::{
    CASH, ForwardSource, GreeksState, NoGreeks, OptionGreeks, Quality, Snapshot, SnapshotBatch,
    SnapshotCause, StaleCause, Topic, TopicKind,
};
pub use status::{PipelineCounts, PipelineStatus};
pub use topic::EquityTopics;
pub use validate::{CircuitLimits, CrossedBook, TickRejected, ValidTick, ValidationConfig, Validator};
