//! The published shape of snapshots and feed-health records, and the one encoder behind every door (Redis,
//! WebSocket, server-sent events).
//!
//! This crate refuses to know any socket, any channel name and any consumer. Domain types carry no serde
//! derives: renaming a field of [`tick_pipeline::Snapshot`] never changes a payload. The field names are Kite's;
//! [`TABLES`] lists every one of them and the documentation is generated from it.
//!
//! ```
//! use snapshot_wire::{BatchEncoder, WireFormat};
//! # use std::sync::Arc;
//! # use market_model::{InstrumentCatalog, UnixNanos};
//! # use tick_pipeline::{SnapshotBatch, Topic, TopicKind};
//! # let topic = Topic { exchange: "NFO".into(), underlying: "NIFTY".into(), kind: TopicKind::Options };
//! # let batch = SnapshotBatch {
//! #     topic: Arc::new(topic), source: "demo/0".into(), seq: 7, tick_count: 0, tick_total: 0, ts_publish: UnixNanos(5), sim: true,
//! #     catalog: Arc::new(InstrumentCatalog::default()), snapshots: Vec::new(),
//! # };
//! let mut encoder = BatchEncoder::new(WireFormat::Json);
//! let encoded = encoder.encode(&batch);
//! assert_eq!(
//!     &encoded.payload()[..],
//!     br#"{"v":1,"type":"ticks","topic":{"exchange":"NFO","underlying":"NIFTY","kind":"options"},"source":"demo/0","seq":7,"tick_count":0,"tick_total":0,"ts_publish":5,"sim":true,"ticks":[]}"#
//! );
//! assert_eq!(encoded.len(), 0); // else `encoded.tick(0)` is the first snapshot, already encoded
//! ```

mod batch;
#[cfg(any(test, feature = "decode"))]
pub mod decode;
mod digits;
mod fields;
mod health;
mod identity;
mod json;
mod memo;
mod msgpack;
mod positional;
mod spent;
mod target;
mod tick;
mod words;
mod writer;

#[cfg(test)]
mod tests;

pub use batch::{BatchEncoder, EncodedBatch, TicksHead, WireFormat, write_ticks};
pub use fields::{Field, FieldKind, TABLES, Table};
pub use health::{encode_health, health_type};
pub use positional::{POSITIONAL_VERSION, POSITIONS};
pub use words::{forward_source_word, gap_cause_word, no_greeks_word, quality_word, stale_cause_word};

/// The `v` of every payload. It rises when a field is removed or changes its meaning; new fields do not raise it.
pub const VERSION: u64 = 1;
