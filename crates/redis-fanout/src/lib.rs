//! The Redis contract: batches on pub/sub channels, the last value of every instrument in hashes, feed health in a
//! stream. `docs/redis.md` is its description for consumers.
//!
//! This crate refuses to know where batches come from (it implements [`tick_pipeline::SnapshotSink`]) and how they
//! are encoded ([`snapshot_wire`] does that, for every door). Its client library stays inside one module. Memory is
//! bounded whatever Redis does: there is a short queue and a fixed number of commands under way per connection;
//! what does not fit is dropped, counted and visible to consumers as a hole in `seq`.
//!
//! ```no_run
//! use redis_fanout::{RedisConfig, RedisMetrics, RedisSink};
//!
//! # async fn example(queue: impl Sized) -> Result<(), redis_fanout::RedisError> {
//! let config = RedisConfig::new("redis://127.0.0.1:6379".parse()?);
//! let (sink, writer) = RedisSink::new(config, RedisMetrics::noop());
//! let status = sink.status();
//! // Give `sink` to the pipeline's fan-out and run the writer under the supervisor; it ends, after flushing,
//! // when the sink is dropped.
//! writer.run().await;
//! assert_eq!(status.now().connected, 0);
//! # Ok(())
//! # }
//! ```

mod config;
mod connection;
mod error;
mod fault;
mod keys;
mod lane;
mod last_values;
mod metrics;
mod outcome;
mod reader;
mod sink;
mod status;

pub use config::{LastValuesConfig, RedisConfig, RedisUrl};
pub use error::RedisError;
pub use fault::{RedisFault, RedisPart};
pub use keys::{Keys, legacy_channel};
pub use metrics::RedisMetrics;
pub use reader::{LastValueReader, StoredValue};
pub use sink::{RedisSink, RedisWriter};
pub use status::{RedisStatus, RedisStatusHandle};
