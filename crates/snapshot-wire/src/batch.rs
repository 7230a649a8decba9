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
pub struct BatchEncoder(Encoder);

#[derive(Debug)]
enum Encoder {
    Json(Box<Json>),
    MessagePack(Box<MessagePack>),
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
    /// Ticks that the message stands for, and how many its topic and source have published with it; `None` when a
    /// message mixes them.
    pub tick_count: Option<(u64, u64)>,
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
    let len = ticks.len();
    let bytes = std::mem::take(out);
    let tail = match format {
        WireFormat::Json => {
            *out = head_after(Json::after(bytes), head, len);
            for (index, tick) in ticks.enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(tick);
            }
            Json::TAIL
        }
        WireFormat::MessagePack => {
            *out = head_after(MessagePack::after(bytes), head, len);
            ticks.for_each(|tick| out.extend_from_slice(tick));
            MessagePack::TAIL
        }
    };
    out.extend_from_slice(tail.as_bytes());
}

fn head_after<W: Writer>(mut out: W, head: &TicksHead<'_>, len: usize) -> Vec<u8> {
    write_fitting(&mut out, |out| write_head(out, head, len));
    std::mem::take(out.room()).into_bytes()
}

/// Writes a piece, again with more room while it does not fit.
fn write_fitting<W: Writer>(out: &mut W, mut piece: impl FnMut(&mut W)) {
    let start = out.room().position();
    loop {
        piece(out);
        if !out.room().was_short(start) {
            return;
        }
    }
}

/// Everything before the first tick.
fn write_head(out: &mut impl Writer, head: &TicksHead<'_>, len: usize) {
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
    if let Some((count, total)) = head.tick_count {
        out.key(key!("tick_count"));
        out.unsigned(count);
        out.key(key!("tick_total"));
        out.unsigned(total);
    }
    out.key(key!("ts_publish"));
    out.signed(head.ts_publish.0);
    out.key(key!("sim"));
    out.boolean(head.sim);
    out.key(key!("ticks"));
    out.open_array(len);
    out.end_fields(map);
}

// === impl BatchEncoder ===

impl BatchEncoder {
    /// An encoder with an empty buffer.
    pub fn new(format: WireFormat) -> Self {
        Self(match format {
            WireFormat::Json => Encoder::Json(Box::default()),
            WireFormat::MessagePack => Encoder::MessagePack(Box::default()),
        })
    }

    /// The format it writes.
    pub const fn format(&self) -> WireFormat {
        match self.0 {
            Encoder::Json(_) => WireFormat::Json,
            Encoder::MessagePack(_) => WireFormat::MessagePack,
        }
    }

    /// Encodes `batch`. Costs two allocations, whatever its size, once the buffer has grown.
    pub fn encode(&mut self, batch: &SnapshotBatch) -> EncodedBatch {
        let format = self.format();
        let mut ticks = Vec::with_capacity(batch.snapshots.len());
        let written = match &mut self.0 {
            Encoder::Json(json) => write_batch(&mut **json, batch, &mut ticks),
            Encoder::MessagePack(msgpack) => write_batch(&mut **msgpack, batch, &mut ticks),
        };
        EncodedBatch { format, payload: Bytes::copy_from_slice(written), ticks }
    }
}

fn write_batch<'w, W: Writer>(
    out: &'w mut W,
    batch: &SnapshotBatch,
    ticks: &mut Vec<Range<usize>>,
) -> &'w [u8] {
    let head = TicksHead {
        topic: Some(&batch.topic),
        source: Some(&batch.source),
        seq: batch.seq,
        tick_count: Some((batch.tick_count, batch.tick_total)),
        ts_publish: batch.ts_publish,
        sim: batch.sim,
    };
    let instruments = batch.catalog.instruments();
    out.room().clear();
    write_fitting(out, |out| write_head(out, &head, batch.snapshots.len()));
    for (index, snapshot) in batch.snapshots.iter().enumerate() {
        let instrument = instruments.get(snapshot.slot.index());
        let mut start = 0;
        write_fitting(out, |out| {
            out.item(index);
            start = out.room().position();
            write_tick(out, snapshot, instrument);
        });
        ticks.push(start..out.room().position());
    }
    write_fitting(out, |out| out.room().put(W::TAIL.as_bytes()));
    out.room().written()
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
