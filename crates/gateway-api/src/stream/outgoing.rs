//! Numbers what a client is sent and writes it in the client's format.

use bytes::Bytes;
use market_model::UnixNanos;
use snapshot_wire::{TicksHead, WireFormat, encode_health, health_type, stale_cause_word, write_ticks};
use tick_pipeline::{HealthRecord, StaleCause};

use super::protocol::Control;
use crate::hub::Outbox;

/// One message, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// Its `type`.
    pub(crate) kind: &'static str,
    /// Its number, when it has one.
    pub(crate) seq: Option<u64>,
    pub(crate) body: OutgoingBody,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutgoingBody {
    /// JSON.
    Text(String),
    /// MessagePack.
    Binary(Bytes),
}

/// Counts the messages of one connection. Ticks, feed health, `stale` and `dropped` have numbers that rise by one;
/// a hole is as long as the number of messages that were dropped.
#[derive(Debug)]
pub(crate) struct Numberer {
    format: WireFormat,
    sim: bool,
    seq: u64,
}

// === impl Numberer ===

impl Numberer {
    pub(crate) const fn new(format: WireFormat, sim: bool) -> Self {
        Self { format, sim, seq: 0 }
    }

    /// The number of the last message.
    pub(crate) const fn seq(&self) -> u64 {
        self.seq
    }

    /// Turns what waited into messages, appended to `out` in the order they are to be sent.
    pub(crate) fn number(&mut self, outbox: &mut Outbox, now: UnixNanos, out: &mut Vec<Outgoing>) {
        let control = outbox.control.drain(..);
        out.extend(control.map(|text| Outgoing {
            kind: "control",
            seq: None,
            body: OutgoingBody::Text(text),
        }));
        if outbox.dropped > 0 {
            self.seq += outbox.dropped;
            let count = outbox.dropped;
            self.control("dropped", |seq| Control::Dropped { seq, ts: now.0, count }, out);
        }
        for record in outbox.health.drain(..) {
            self.health(&record, out);
        }
        self.staleness(&mut outbox.staleness, now, out);
        if !outbox.ticks.is_empty() {
            self.ticks(&outbox.ticks, now, out);
        }
    }

    fn ticks(&mut self, ticks: &[Bytes], now: UnixNanos, out: &mut Vec<Outgoing>) {
        self.seq += 1;
        let (seq, sim) = (self.seq, self.sim);
        let head = TicksHead { topic: None, source: None, seq, tick_count: None, ts_publish: now, sim };
        let mut message = Vec::with_capacity(128 + ticks.iter().map(|tick| tick.len() + 1).sum::<usize>());
        write_ticks(self.format, &head, ticks.iter().map(|tick| &tick[..]), &mut message);
        self.push("ticks", message, out);
    }

    /// The record with this connection's number in the place of its source's.
    fn health(&mut self, record: &HealthRecord, out: &mut Vec<Outgoing>) {
        let Some(kind) = health_type(&record.event) else { return };
        self.seq += 1;
        let record = HealthRecord { seq: self.seq, ..record.clone() };
        let mut message = Vec::new();
        encode_health(self.format, &record, &mut message);
        self.push(kind, message, out);
    }

    /// One message per cause, in no particular order.
    fn staleness(
        &mut self,
        changes: &mut Vec<(market_model::InstrumentToken, Option<StaleCause>)>,
        now: UnixNanos,
        out: &mut Vec<Outgoing>,
    ) {
        changes.sort_by_key(|&(token, _)| token);
        while let Some(&(_, cause)) = changes.first() {
            let mut instrument_tokens = Vec::new();
            changes.retain(|&(token, other)| {
                if other == cause {
                    instrument_tokens.push(token.0);
                }
                other != cause
            });
            let stale_cause = cause.map(stale_cause_word);
            let message = |seq| Control::Stale {
                seq,
                ts: now.0,
                stale: cause.is_some(),
                stale_cause,
                instrument_tokens,
            };
            self.control("stale", message, out);
        }
    }

    fn control<'a>(
        &mut self,
        kind: &'static str,
        message: impl FnOnce(u64) -> Control<'a>,
        out: &mut Vec<Outgoing>,
    ) {
        self.seq += 1;
        let body = OutgoingBody::Text(message(self.seq).to_json());
        out.push(Outgoing { kind, seq: Some(self.seq), body });
    }

    fn push(&self, kind: &'static str, message: Vec<u8>, out: &mut Vec<Outgoing>) {
        let body = match self.format {
            WireFormat::Json => OutgoingBody::Text(String::from_utf8_lossy(&message).into_owned()),
            WireFormat::MessagePack | WireFormat::Positional => OutgoingBody::Binary(message.into()),
        };
        out.push(Outgoing { kind, seq: Some(self.seq), body });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use market_model::{GapCause, InstrumentToken};

    fn lines(numberer: &mut Numberer, mut outbox: Outbox) -> Vec<String> {
        let mut out = Vec::new();
        numberer.number(&mut outbox, UnixNanos(7), &mut out);
        let text = |message: Outgoing| match message.body {
            OutgoingBody::Text(text) => text,
            OutgoingBody::Binary(_) => String::from("binary"),
        };
        out.into_iter().map(text).collect()
    }

    #[test]
    fn a_hole_in_the_numbers_is_as_long_as_what_was_dropped() {
        let mut numberer = Numberer::new(WireFormat::Json, true);
        let ticks = || vec![Bytes::from_static(b"{\"instrument_token\":1}")];
        let first = lines(&mut numberer, Outbox { ticks: ticks(), ..Outbox::default() });
        assert_eq!(
            first,
            [r#"{"v":1,"type":"ticks","seq":1,"ts_publish":7,"sim":true,"ticks":[{"instrument_token":1}]}"#]
        );
        let second = lines(&mut numberer, Outbox { ticks: ticks(), dropped: 5, ..Outbox::default() });
        assert_eq!(second[0], r#"{"type":"dropped","seq":7,"ts":7,"count":5}"#);
        assert!(second[1].contains(r#""seq":8,"#));
    }

    #[test]
    fn staleness_is_told_by_cause() {
        let mut numberer = Numberer::new(WireFormat::Json, false);
        let gap = Some(StaleCause::Feed(GapCause::Disconnected));
        let staleness = [(3, gap), (1, gap), (2, None)];
        let staleness = staleness.map(|(token, cause)| (InstrumentToken(token), cause)).to_vec();
        assert_eq!(
            lines(&mut numberer, Outbox { staleness, ..Outbox::default() }),
            [
                r#"{"type":"stale","seq":1,"ts":7,"stale":true,"stale_cause":"disconnected","instrument_tokens":[1,3]}"#,
                r#"{"type":"stale","seq":2,"ts":7,"stale":false,"instrument_tokens":[2]}"#,
            ]
        );
    }
}
