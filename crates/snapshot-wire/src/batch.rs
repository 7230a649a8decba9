//! A batch as one payload, with the place of every snapshot in it.

use std::ops::Range;

use bytes::Bytes;
use market_model::UnixNanos;
use tick_pipeline::{SnapshotBatch, Topic};

use crate::VERSION;
use crate::json::Json;
use crate::msgpack::MessagePack;
use crate::tick::write_tick;
use crate::writer::{Writer, key};

/// How payloads are written. Both have the same fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WireFormat {
    /// UTF-8 JSON without spaces. Prices are exact decimals.
    #[default]
    Json,
    /// MessagePack with text keys. Prices are doubles.
    MessagePack,
}

/// Encodes batches one after another through one reused buffer.
#[derive(Debug)]
pub struct BatchEncoder {
    format: WireFormat,
    buffer: Vec<u8>,
}

/// An encoded batch: the whole payload, and each snapshot as a part of it.
#[derive(Debug, Clone)]
pub struct EncodedBatch {
    format: WireFormat,
    payload: Bytes,
    ticks: Vec<Range<usize>>,
}

/// What stands before the ticks of a message.
#[derive(Debug, Clone, Copy)]
pub struct TicksHead<'a> {
    /// What all the ticks are about; `None` when a message mixes topics.
    pub topic: Option<&'a Topic>,
    /// Which pipeline worker sealed them; `None` when a message mixes sources.
    pub source: Option<&'a str>,
    /// Number of the message in its stream.
    pub seq: u64,
    /// When it was sealed.
    pub ts_publish: UnixNanos,
    /// Whether the prices are simulated.
    pub sim: bool,
}

/// Appends a message of ticks that are encoded already (parts of [`EncodedBatch`]es of the same format) to `out`.
///
/// A door that picks single instruments for a consumer builds its messages with this.
pub fn write_ticks<'t>(
    format: WireFormat,
    head: &TicksHead<'_>,
    ticks: impl ExactSizeIterator<Item = &'t [u8]>,
    out: &mut Vec<u8>,
) {
    match format {
        WireFormat::Json => {
            let mut json = Json(out);
            write_message(&mut json, head, ticks.len(), |json| {
                for (index, tick) in ticks.enumerate() {
                    json.item(index);
                    json.0.extend_from_slice(tick);
                }
            });
        }
        WireFormat::MessagePack => {
            let mut msgpack = MessagePack::new(out);
            write_message(&mut msgpack, head, ticks.len(), |msgpack| {
                for tick in ticks {
                    msgpack.out.extend_from_slice(tick);
                }
            });
        }
    }
}

fn write_message<W: Writer>(out: &mut W, head: &TicksHead<'_>, len: usize, ticks: impl FnOnce(&mut W)) {
    let map = out.open_map(key!("v"));
    out.unsigned(VERSION);
    out.key(key!("type"));
    out.word("ticks");
    if let Some(topic) = head.topic {
        out.key(key!("topic"));
        let map = out.open_map(key!("exchange"));
        out.text(&topic.exchange);
        out.key(key!("underlying"));
        out.text(&topic.underlying);
        out.key(key!("kind"));
        out.word(topic.kind.as_str());
        out.close_map(map);
    }
    if let Some(source) = head.source {
        out.key(key!("source"));
        out.text(source);
    }
    out.key(key!("seq"));
    out.unsigned(head.seq);
    out.key(key!("ts_publish"));
    out.signed(head.ts_publish.0);
    out.key(key!("sim"));
    out.boolean(head.sim);
    out.key(key!("ticks"));
    out.open_array(len);
    ticks(out);
    out.close_array();
    out.close_map(map);
}

// === impl BatchEncoder ===

impl BatchEncoder {
    /// An encoder with an empty buffer.
    pub const fn new(format: WireFormat) -> Self {
        Self { format, buffer: Vec::new() }
    }

    /// The format it writes.
    pub const fn format(&self) -> WireFormat {
        self.format
    }

    /// Encodes `batch`. Costs two allocations, whatever its size, once the buffer has grown.
    pub fn encode(&mut self, batch: &SnapshotBatch) -> EncodedBatch {
        self.buffer.clear();
        let mut ticks = Vec::with_capacity(batch.snapshots.len());
        match self.format {
            WireFormat::Json => {
                write_batch(&mut Json(&mut self.buffer), batch, |json| json.0.len(), &mut ticks);
            }
            WireFormat::MessagePack => {
                let mut msgpack = MessagePack::new(&mut self.buffer);
                write_batch(&mut msgpack, batch, |msgpack| msgpack.out.len(), &mut ticks);
            }
        }
        EncodedBatch { format: self.format, payload: Bytes::copy_from_slice(&self.buffer), ticks }
    }
}

fn write_batch<W: Writer>(
    out: &mut W,
    batch: &SnapshotBatch,
    position: impl Fn(&W) -> usize,
    ticks: &mut Vec<Range<usize>>,
) {
    let head = TicksHead {
        topic: Some(&batch.topic),
        source: Some(&batch.source),
        seq: batch.seq,
        ts_publish: batch.ts_publish,
        sim: batch.sim,
    };
    let instruments = batch.catalog.instruments();
    write_message(out, &head, batch.snapshots.len(), |out| {
        for (index, snapshot) in batch.snapshots.iter().enumerate() {
            out.item(index);
            let start = position(out);
            write_tick(out, snapshot, instruments.get(snapshot.slot.index()));
            ticks.push(start..position(out));
        }
    });
}

// === impl EncodedBatch ===

impl EncodedBatch {
    /// The format it is written in.
    pub const fn format(&self) -> WireFormat {
        self.format
    }

    /// The whole message. Clones share the memory.
    pub const fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// How many ticks it has: one per snapshot of the batch, in the same order.
    pub const fn len(&self) -> usize {
        self.ticks.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    /// Where tick `index` stands in the payload.
    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        self.ticks.get(index).cloned()
    }

    /// Tick `index` alone, a complete object.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn tick(&self, index: usize) -> &[u8] {
        &self.payload[self.ticks[index].clone()]
    }

    /// Tick `index` alone, sharing (and keeping alive) the memory of the whole payload.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn tick_bytes(&self, index: usize) -> Bytes {
        self.payload.slice(self.ticks[index].clone())
    }
}
