//! A batch as one payload, with the place of every snapshot in it.

use std::ops::Range;

use bytes::Bytes;
use market_model::{TickBody, UnixNanos};
use tick_pipeline::{GreeksState, Snapshot, SnapshotBatch, Topic};

use crate::VERSION;
use crate::identity::Identities;
use crate::json::Json;
use crate::memo::Memo;
use crate::msgpack::MessagePack;
use crate::positional::{self, Positional};
use crate::spent::Spent;
use crate::target::Sheet;
use crate::tick::write_values;
use crate::writer::{Format, Writer, key};

/// Room for the head of a message.
const HEAD: usize = 512;

/// For so many ticks at a time the names are fetched.
const FETCHED: usize = 16;

/// Room for the names of an instrument.
const IDENTITY: usize = 192;

/// How payloads are written. All have the same fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WireFormat {
    /// UTF-8 JSON without spaces. Prices are exact decimals; Greeks and `change` have nine significant digits, so
    /// each is at most 5 of a billion off.
    #[default]
    Json,
    /// MessagePack with text keys. Prices, Greeks and `change` are doubles, to the last bit.
    MessagePack,
    /// MessagePack with arrays instead of objects: see [`POSITIONS`](crate::POSITIONS). A quarter of the size; what
    /// follows from other fields (`change`, `net_change`, `ts_event`) is left out. Health records are as in
    /// [`WireFormat::MessagePack`].
    Positional,
}

/// Encodes batches one after another.
///
/// It keeps the names of the instruments it has met as they are written, some 200 bytes each, until a batch brings
/// another catalog.
#[derive(Debug)]
pub struct BatchEncoder {
    format: WireFormat,
    identities: Identities,
    /// For the head of the next message.
    head: Vec<u8>,
    memo: Memo,
    spent: Spent,
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
    match format {
        WireFormat::Json => write_ticks_as::<Json>(head, ticks, out),
        WireFormat::MessagePack => write_ticks_as::<MessagePack>(head, ticks, out),
        WireFormat::Positional => write_ticks_as::<Positional>(head, ticks, out),
    }
}

fn write_ticks_as<'t, F: Format>(
    head: &TicksHead<'_>,
    ticks: impl ExactSizeIterator<Item = &'t [u8]>,
    out: &mut Vec<u8>,
) {
    let mut writer = F::writer(std::mem::take(out), 0);
    write_head::<F>(&mut writer, head, ticks.len());
    (*out, _) = writer.finish();
    for (index, tick) in ticks.enumerate() {
        if index > 0 {
            out.extend_from_slice(F::BETWEEN);
        }
        out.extend_from_slice(tick);
    }
    out.extend_from_slice(F::TAIL);
}

/// Everything before the first tick.
fn write_head<F: Format>(out: &mut impl Writer, head: &TicksHead<'_>, len: usize) {
    if F::BY_POSITION {
        return positional::write_head(out, head, len);
    }
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
    /// An encoder that has met no instrument.
    pub fn new(format: WireFormat) -> Self {
        Self {
            format,
            identities: Identities::default(),
            head: Vec::with_capacity(HEAD),
            memo: Memo::default(),
            spent: Spent::default(),
        }
    }

    /// The format it writes.
    pub const fn format(&self) -> WireFormat {
        self.format
    }

    /// Encodes `batch`. Costs a few allocations, whatever its size, once the instruments are known; the memory of a
    /// payload that everybody has dropped is used again.
    pub fn encode(&mut self, batch: &SnapshotBatch) -> EncodedBatch {
        self.identities.of_catalog(&batch.catalog);
        match self.format {
            WireFormat::Json => self.encode_as::<Json>(batch),
            WireFormat::MessagePack => self.encode_as::<MessagePack>(batch),
            WireFormat::Positional => self.encode_as::<Positional>(batch),
        }
    }

    fn encode_as<F: Format>(&mut self, batch: &SnapshotBatch) -> EncodedBatch {
        let head = TicksHead {
            topic: Some(&batch.topic),
            source: Some(&batch.source),
            seq: batch.seq,
            tick_count: Some((batch.tick_count, batch.tick_total)),
            ts_publish: batch.ts_publish,
            sim: batch.sim,
        };
        let room: usize = batch.snapshots.iter().map(|snapshot| likely_len(self.format, snapshot)).sum();
        self.head.clear();
        let mut writer = F::writer(std::mem::take(&mut self.head), 0);
        write_head::<F>(&mut writer, &head, batch.snapshots.len());
        (self.head, _) = writer.finish();
        let mut sheet = Sheet::over(self.spent.take(HEAD + room));
        sheet.put(&self.head);
        let mut ticks = Vec::with_capacity(batch.snapshots.len());
        for (index, snapshot) in batch.snapshots.iter().enumerate() {
            if index % FETCHED == 0 {
                self.identities.fetch(&batch.snapshots[index..batch.snapshots.len().min(index + FETCHED)]);
            }
            if index > 0 {
                sheet.put(F::BETWEEN);
            }
            let start = sheet.len();
            self.write_tick::<F>(snapshot, &mut sheet);
            ticks.push(start..sheet.len());
        }
        sheet.put(F::TAIL);
        let payload = Bytes::from(sheet.finish());
        self.spent.remember(&payload);
        EncodedBatch { format: self.format, payload, ticks }
    }

    fn write_tick<F: Format>(&mut self, snapshot: &Snapshot, sheet: &mut Sheet) {
        let start = sheet.len();
        let fields = self.identities.begin_tick::<F>(snapshot.slot, snapshot.token(), sheet);
        let mut writer = F::writer(sheet.pen(), fields);
        if F::BY_POSITION {
            positional::write_values(&mut writer, snapshot);
        } else {
            write_values(&mut writer, snapshot, &mut self.memo);
        }
        let (pen, fields) = writer.finish();
        let written = pen.written();
        sheet.advance(written);
        F::count_fields(sheet.written(), start, fields);
        sheet.put(F::END);
    }
}

/// A good guess from above.
const fn likely_len(format: WireFormat, snapshot: &Snapshot) -> usize {
    let values = match (&snapshot.tick.body, format) {
        (TickBody::Ltp, _) => 128,
        (TickBody::IndexQuote { .. } | TickBody::IndexFull { .. }, _) => 320,
        (TickBody::Full(_), WireFormat::Positional) => 288,
        (TickBody::Quote(_), _) => 512,
        (TickBody::Full(_), WireFormat::Json) => 1024,
        (TickBody::Full(_), WireFormat::MessagePack) => 768,
    };
    let greeks = match (snapshot.greeks, format) {
        (GreeksState::Known(_), WireFormat::Positional) => 96,
        (GreeksState::Known(_), _) => 256,
        _ => 64,
    };
    IDENTITY + values + greeks
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
