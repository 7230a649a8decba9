//! tick-pipeline
mod health;
mod sink;
mod snapshot;
pub use health::HealthRecord;
pub use sink::SnapshotSink;
pub use snapshot::{
    ForwardSource, GreeksState, NoGreeks, OptionGreeks, Quality, Snapshot, SnapshotBatch, SnapshotCause,
    StaleCause, Topic, TopicKind,
};
