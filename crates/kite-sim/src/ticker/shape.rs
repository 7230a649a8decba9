//! What faults make of the frames of one connection. No sockets and no clock of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kite_wire::{FrameBuilder, TickerRequest};
use market_model::{InstrumentToken, UnixNanos};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::faults::Active;
use crate::ledger::{packets, token_of};
use crate::random::Stream;

/// How long a text frame waits for another to change places with.
const ALONE: Duration = Duration::from_secs(1);

/// The faults that one connection bears.
#[derive(Debug)]
pub(super) struct Shaper {
    connection: u64,
    borne: Vec<Borne>,
    withheld: FxHashMap<u32, Withheld>,
    waiting_text: Option<(Instant, String)>,
}

/// A message to write, of which the first `honest` bytes are as a reader expects them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) honest: usize,
}

#[derive(Debug)]
struct Borne {
    fault: Arc<Active>,
    stream: Stream,
    position: i64,
}

/// A subscribed token that does not tick.
#[derive(Debug)]
struct Withheld {
    fault: Arc<Active>,
    /// `None` is never.
    until: Option<UnixNanos>,
}

// === impl Shaper ===

impl Shaper {
    pub(super) fn new(connection: u64) -> Self {
        Self { connection, borne: Vec::new(), withheld: FxHashMap::default(), waiting_text: None }
    }

    /// Takes over what there is to bear now; what was borne before goes on where it was.
    pub(super) fn set(&mut self, lasting: Vec<Arc<Active>>) {
        let mut before = std::mem::take(&mut self.borne);
        for fault in lasting {
            if let Some(at) = before.iter().position(|borne| borne.fault.id == fault.id) {
                self.borne.push(before.swap_remove(at));
                continue;
            }
            // The times of these count connections.
            let is_of_sockets = matches!(fault.plan.fault, Fault::Mute | Fault::NoPong | Fault::HalfOpen);
            if !is_of_sockets || fault.claim() {
                add(&fault.did.connections, 1);
                let stream = fault.stream.child(self.connection);
                self.borne.push(Borne { fault, stream, position: 0 });
            }
        }
    }

    /// The fault that makes the connection mute, if it is.
    pub(super) fn mute(&self) -> Option<&Arc<Active>> {
        self.find(|fault| matches!(fault, Fault::Mute))
    }

    /// The fault that makes the connection half-open, if it is.
    pub(super) fn half_open(&self) -> Option<&Arc<Active>> {
        self.find(|fault| matches!(fault, Fault::HalfOpen))
    }

    /// Whether a ping goes unanswered, which is counted.
    pub(super) fn keeps_pong(&self) -> bool {
        let fault = self.find(|fault| matches!(fault, Fault::NoPong | Fault::Mute));
        fault.inspect(|fault| add(&fault.did.frames, 1)).is_some()
    }

    /// Whether tick frames pass untouched.
    pub(super) fn is_clear(&self) -> bool {
        self.borne.is_empty() && self.withheld.is_empty()
    }

    /// The client commanded `request`; `fresh` are the tokens that it did not have before.
    pub(super) fn commanded(&mut self, request: &TickerRequest, fresh: &[InstrumentToken], now: UnixNanos) {
        if self.is_clear() {
            return;
        }
        if let TickerRequest::Unsubscribe(tokens) = request {
            tokens.iter().for_each(|token| drop(self.withheld.remove(&token.0)));
            return;
        }
        let fresh: FxHashSet<InstrumentToken> = fresh.iter().copied().collect();
        for token in request.tokens() {
            if fresh.contains(token) {
                if let Some(withheld) = self.withholds(*token, now) {
                    add(&withheld.fault.did.packets, 1);
                    self.withheld.insert(token.0, withheld);
                }
            } else if let Some(withheld) = self.withheld.get(&token.0)
                && !self.borne.iter().any(|borne| borne.fault.id == withheld.fault.id)
            {
                // Subscribed again after the fault: that repairs it.
                self.withheld.remove(&token.0);
            }
        }
    }

    /// What is written in place of a tick frame.
    pub(super) fn ticks(&mut self, frame: &Bytes, now: UnixNanos) -> Vec<Piece> {
        let whole = || vec![Piece { bytes: frame.clone(), honest: frame.len() }];
        if self.is_clear() {
            return whole();
        }
        let mut kept: Vec<&[u8]> = packets(frame).collect();
        let before = kept.len();
        kept.retain(|packet| self.keeps(packet, now));
        if kept.is_empty() {
            return Vec::new();
        }
        let left = kept.len();
        let strange = self.strange_packet(&mut kept);
        if let Some((at, packet)) = &strange {
            kept.insert((*at).min(kept.len()), packet);
        }
        let mut piece = match left != before || kept.len() != left {
            true => {
                let bytes = build(&kept);
                Piece { honest: bytes.len(), bytes }
            }
            false => Piece { bytes: frame.clone(), honest: frame.len() },
        };
        self.damage(&mut piece);
        let mut pieces = vec![piece];
        pieces.extend(self.overlong());
        pieces
    }

    /// What is written in place of a text frame.
    pub(super) fn text(&mut self, text: String) -> Vec<String> {
        let mut texts = vec![text];
        if self.waiting_text.is_some() || self.claims(|fault| matches!(fault, Fault::ReorderText)) {
            match self.waiting_text.take() {
                Some((_, earlier)) => texts.push(earlier),
                None => self.waiting_text = texts.pop().map(|text| (Instant::now(), text)),
            }
        }
        if !texts.is_empty() && self.claims(|fault| matches!(fault, Fault::DuplicateText)) {
            texts = texts.into_iter().flat_map(|text| [text.clone(), text]).collect();
        }
        texts
    }

    /// The text frame that waited for another one in vain.
    pub(super) fn lonely_text(&mut self) -> Option<String> {
        self.waiting_text.take_if(|(since, _)| since.elapsed() >= ALONE).map(|(_, text)| text)
    }

    fn find(&self, which: impl Fn(&Fault) -> bool) -> Option<&Arc<Active>> {
        self.borne.iter().map(|borne| &borne.fault).find(|fault| which(&fault.plan.fault))
    }

    /// Takes one of the times of a fault of texts, if there is one of that sort.
    fn claims(&self, which: impl Fn(&Fault) -> bool) -> bool {
        let claimed = self.find(which).filter(|fault| fault.claim());
        claimed.inspect(|fault| add(&fault.did.texts, 1)).is_some()
    }

    fn withholds(&self, token: InstrumentToken, now: UnixNanos) -> Option<Withheld> {
        let is_meant = |tokens: &[InstrumentToken]| tokens.is_empty() || tokens.contains(&token);
        self.borne.iter().find_map(|borne| {
            let until = match &borne.fault.plan.fault {
                Fault::NeverLive { tokens } if is_meant(tokens) => None,
                Fault::LateSubscription { tokens, by } if is_meant(tokens) => Some(now + *by),
                _ => return None,
            };
            Some(Withheld { fault: Arc::clone(&borne.fault), until })
        })
    }

    /// Whether a packet is sent; what is kept back is counted.
    fn keeps(&mut self, packet: &[u8], now: UnixNanos) -> bool {
        let Some(token) = token_of(packet) else { return true };
        if let Some(withheld) = self.withheld.get(&token) {
            if withheld.until.is_none_or(|until| now < until) {
                add(&withheld.fault.did.packets, 1);
                return false;
            }
            self.withheld.remove(&token);
        }
        for borne in &mut self.borne {
            let kept = match &borne.fault.plan.fault {
                Fault::SilentTokens { tokens } => !tokens.contains(&InstrumentToken(token)),
                Fault::RateCollapse { percent } => {
                    borne.position += 1;
                    borne.stream.uniform(borne.position) * 100.0 < *percent
                }
                _ => true,
            };
            if !kept {
                add(&borne.fault.did.packets, 1);
                return false;
            }
        }
        true
    }

    /// Repeats packets for a big frame, and makes a packet of unknown length and the place for it.
    fn strange_packet(&mut self, kept: &mut Vec<&[u8]>) -> Option<(usize, Vec<u8>)> {
        let mut strange = None;
        for borne in &mut self.borne {
            if let Fault::BigFrame { packets } = borne.fault.plan.fault
                && borne.hits(100.0)
            {
                let more = usize::from(packets).saturating_sub(kept.len());
                let repeated: Vec<&[u8]> = kept.iter().copied().cycle().take(more).collect();
                add(&borne.fault.did.packets, repeated.len() as u64);
                kept.extend(repeated);
            }
            if let Fault::UnknownPacket { percent, length } = borne.fault.plan.fault
                && strange.is_none()
                && borne.hits(percent)
            {
                let at = borne.below(kept.len() + 1);
                let length = length.map_or_else(|| UNKNOWN[borne.below(UNKNOWN.len())], usize::from);
                let mut packet: Vec<u8> = (0..length).map(|_| borne.below(256) as u8).collect();
                // It belongs to somebody, as a packet of a future protocol would.
                packet.iter_mut().zip(&kept[0][..4]).for_each(|(byte, token)| *byte = *token);
                add(&borne.fault.did.packets, 1);
                strange = Some((at, packet));
            }
        }
        // The count has 16 bits.
        kept.truncate(usize::from(u16::MAX) - 1);
        strange
    }

    /// Writes a wrong length, or cuts.
    fn damage(&mut self, piece: &mut Piece) {
        for borne in &mut self.borne {
            let (percent, cuts) = match borne.fault.plan.fault {
                Fault::WrongLength { percent } => (percent, false),
                Fault::TruncatedFrame { percent } => (percent, true),
                _ => continue,
            };
            if piece.honest != piece.bytes.len() || !borne.hits(percent) {
                continue;
            }
            let all = packets(&piece.bytes).count();
            let victim = borne.below(all);
            let start = 2 + packets(&piece.bytes).take(victim).map(|packet| 2 + packet.len()).sum::<usize>();
            let len = packets(&piece.bytes).nth(victim).map_or(0, <[u8]>::len);
            if cuts {
                let cut = start + 1 + borne.below(len + 1);
                piece.bytes.truncate(cut);
            } else {
                let wrong = [len + 1, len.saturating_sub(1), 8 + 20 * usize::from(len == 8), 0xffff];
                let wrong = wrong[borne.below(wrong.len())] as u16;
                let mut bytes = piece.bytes.to_vec();
                bytes[start..start + 2].copy_from_slice(&wrong.to_be_bytes());
                piece.bytes = bytes.into();
            }
            piece.honest = start;
            add(&borne.fault.did.packets, (all - victim) as u64);
        }
    }

    fn overlong(&mut self) -> Option<Piece> {
        self.borne.iter_mut().find_map(|borne| {
            let Fault::Overlong { bytes } = borne.fault.plan.fault else { return None };
            if !borne.hits(100.0) {
                return None;
            }
            let mut message = vec![0; bytes];
            message[..2].fill(0xff);
            Some(Piece { bytes: message.into(), honest: 0 })
        })
    }
}

/// Lengths that no mode has, around those that some have.
const UNKNOWN: [usize; 8] = [4, 9, 36, 43, 64, 100, 183, 204];

// === impl Borne ===

impl Borne {
    /// Whether this frame is one of `percent` of a hundred, which is counted.
    fn hits(&mut self, percent: f64) -> bool {
        self.position += 1;
        let hits = self.stream.uniform(self.position) * 100.0 < percent && self.fault.claim();
        add(&self.fault.did.frames, u64::from(hits));
        hits
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.position += 1;
        (self.stream.bits(self.position) % limit.max(1) as u64) as usize
    }
}

fn build(packets: &[&[u8]]) -> Bytes {
    let mut frame = FrameBuilder::new();
    for packet in packets {
        if let Err(error) = frame.push_raw(packet) {
            tracing::error!(%error, "packet not sent");
        }
    }
    frame.finish().into()
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
