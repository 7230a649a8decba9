//! What comes out of a socket: frames to ticks, texts to messages, damage to holes.

use std::sync::Arc;

use kite_wire::{DecodeError, Frame, TextMessage, decode_frame};
use market_model::{
    FeedEvent, Gap, GapCause, InstrumentToken, SubscriptionState, Tick, TickFrame, UnixNanos,
};

use tokio_tungstenite::tungstenite::{Bytes, Utf8Bytes};

use crate::TapKind;
use crate::ticker::connection::Connection;
use crate::ticker::outlet::Delivery;
use crate::ticker::overlap::Side;
use crate::ticker::status::MAX_LISTED;

/// Undecodable packets since the last report.
#[derive(Debug)]
pub(crate) struct Damage {
    from: UnixNanos,
    lost: u64,
    /// Whom it concerns, as long as every bad packet said so and they are few.
    tokens: Option<Vec<InstrumentToken>>,
}

/// Where the packets of one frame went.
#[derive(Debug, Default)]
struct Tally {
    packets: u64,
    good: u64,
    delivered: u64,
    dropped: u64,
    superseded: u64,
    undecodable: u64,
    errors: u64,
}

// === impl Connection ===

impl Connection {
    /// A binary frame.
    pub(crate) fn take_frame(&mut self, bytes: &Bytes, side: Side) {
        let at = self.now();
        if let Some(tap) = &self.tap {
            tap.frame(&self.id, at, TapKind::Binary, bytes);
        }
        let before = self.last_frame;
        self.speaks(at);
        self.shared.metrics.frames.increment(1);
        self.shared.metrics.bytes.increment(bytes.len() as u64);
        let mut tally = Tally::default();
        let frame = decode_frame(bytes);
        if let Some(overlap) = &mut self.overlap {
            overlap.heard(side, at);
            if let (Frame::Heartbeat, Side::Newcomer) = (&frame, side) {
                overlap.spoke(false);
            }
        }
        if let Frame::Ticks(packets) = frame {
            tally.packets = u64::from(packets.declared());
            let most = most_packets(bytes.len(), packets.declared());
            let mut ticks = self.shared.recycler.take(most);
            packets.decode_into(&mut ticks, |error| {
                tally.errors += 1;
                tally.undecodable += u64::from(error.lost_packets());
                self.shared.metrics.decode_errors(error.kind()).increment(1);
                if error.lost_packets() > 0 {
                    let damage = self.damage.get_or_insert_with(|| Damage {
                        from: before.unwrap_or(at),
                        lost: 0,
                        tokens: Some(Vec::new()),
                    });
                    damage.add(&error);
                }
            });
            tally.good = ticks.len() as u64;
            tally.superseded = self.book(&mut ticks, side, at);
            let kept = tally.good - tally.superseded;
            if kept > 0 {
                self.ticked += kept;
                self.ticks_again(at);
                let connection = self.id.clone();
                match self.outlet.ticks(TickFrame { connection, ts_recv: at, ticks }) {
                    Delivery::Delivered => tally.delivered = kept,
                    Delivery::Dropped => tally.dropped = kept,
                }
            }
        }
        self.count(at, &tally);
    }

    /// Tells the bookkeeping of `side` about `ticks` and removes those that another socket has said already, or that are
    /// older than what it said. Answers how many were removed.
    fn book(&mut self, ticks: &mut Vec<Tick>, side: Side, at: UnixNanos) -> u64 {
        if side == Side::Newcomer
            && let Some(overlap) = &mut self.overlap
        {
            overlap.spoke(!ticks.is_empty());
        }
        let superseded = match &mut self.merge {
            Some(merge) => {
                let is_newer = self.overlap.as_ref().is_some_and(|overlap| overlap.is_newer(side));
                merge.sift(is_newer, ticks, at)
            }
            None => 0,
        };
        let ledger = match &mut self.overlap {
            Some(overlap) => {
                if superseded > 0 {
                    overlap.withheld(side);
                }
                if side == Side::Current { &mut self.ledger } else { &mut overlap.ledger }
            }
            None => &mut self.ledger,
        };
        let unwanted = ticks.iter().filter(|tick| !ledger.ticked(tick.token, tick.mode(), at)).count();
        if unwanted > 0 {
            self.shared.metrics.unwanted_ticks.increment(unwanted as u64);
        }
        superseded
    }

    /// Books a frame: in the metrics and, all of it at once, in the status.
    fn count(&self, at: UnixNanos, tally: &Tally) {
        let metrics = &self.shared.metrics;
        metrics.packets.increment(tally.packets);
        metrics.ticks.increment(tally.good);
        metrics.delivered_ticks.increment(tally.delivered);
        if tally.superseded > 0 {
            metrics.superseded_ticks.increment(tally.superseded);
        }
        if tally.undecodable > 0 {
            metrics.undecodable_packets.increment(tally.undecodable);
        }
        self.shared.board.update(self.id.index, |status| {
            status.last_frame = Some(at);
            status.frames += 1;
            status.packets += tally.packets;
            status.ticks += tally.good;
            status.delivered_ticks += tally.delivered;
            status.dropped_ticks += tally.dropped;
            status.superseded_ticks += tally.superseded;
            status.undecodable_packets += tally.undecodable;
            status.decode_errors += tally.errors;
        });
    }

    /// A text frame.
    pub(crate) fn take_text(&mut self, text: &Utf8Bytes) {
        if let Some(tap) = &self.tap {
            tap.frame(&self.id, self.now(), TapKind::Text, text.as_ref());
        }
        self.shared.metrics.texts.increment(1);
        match TextMessage::parse(text) {
            Ok(message) => {
                if let TextMessage::Error(said) = &message {
                    self.server_error(said);
                }
                self.texts.send(message);
            }
            Err(error) => {
                self.shared.metrics.text_errors.increment(1);
                tracing::warn!(%error, bytes = text.len(), "text frame not understood");
            }
        }
    }

    /// Tells the hole that undecodable packets left. The caller decides how often.
    pub(crate) fn report_damage(&mut self) {
        let Some(Damage { from, lost, tokens }) = self.damage.take() else {
            return;
        };
        tracing::warn!(lost, "ticks could not be decoded");
        let to = self.now();
        let gap = Gap {
            connection: self.id.clone(),
            from,
            to,
            cause: GapCause::Undecodable,
            tokens: tokens.map(Arc::from),
            lost_ticks: Some(lost),
        };
        self.outlet.control(FeedEvent::Gap(gap), to);
    }

    /// Brings the status up to date with what is not counted frame by frame.
    pub(crate) fn publish(&mut self, at: UnixNanos) {
        let (rate, usual_rate) = (self.rate.rate(), self.rate.baseline(at));
        let (rate_collapsed, dataless) = (self.rate.is_collapsed(), self.dataless_from.is_some());
        let subscriptions = self.ledger.counts();
        let silent = self.ledger.in_state(SubscriptionState::Silent, MAX_LISTED);
        let rejected = self.ledger.in_state(SubscriptionState::Rejected, MAX_LISTED);
        self.shared.board.update(self.id.index, |status| {
            status.subscriptions = subscriptions;
            status.silent_tokens = silent;
            status.rejected_tokens = rejected;
            (status.rate, status.usual_rate) = (rate, usual_rate);
            (status.rate_collapsed, status.dataless) = (rate_collapsed, dataless);
        });
    }

    fn server_error(&mut self, said: &str) {
        tracing::warn!(said, "ticker server says error");
        // "Can't subscribe to more than 3000 instruments." (protocol section 17.2)
        if said.contains("more than") && said.contains("instruments") {
            let refused = self.ledger.refused();
            tracing::error!(refused, "subscriptions refused, the server's limit is below the configured one");
            self.report_subscriptions();
        }
    }
}

// === impl Damage ===

impl Damage {
    fn add(&mut self, error: &DecodeError) {
        self.lost = self.lost.saturating_add(u64::from(error.lost_packets()));
        let token = match error {
            DecodeError::PacketLength { token, .. } => *token,
            _ => None,
        };
        self.tokens = self.tokens.take().zip(token).and_then(|(mut tokens, token)| {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
            (tokens.len() <= MAX_LISTED).then_some(tokens)
        });
    }
}

/// How many packets can be in a frame: what it declares, but no more than there are bytes for.
fn most_packets(bytes: usize, declared: u16) -> usize {
    const SMALLEST: usize = 2 + 8;
    usize::from(declared).min(bytes / SMALLEST)
}
