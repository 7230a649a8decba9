//! What the server writes: rounds of ticks, the newest value of what was just asked for, and rubbish.

use kite_wire::FrameBuilder;
use market_model::{InstrumentToken, Mode};

use super::{Outgoing, State};
use crate::market::{Flaw, tick};

/// A frame that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// It ends within its last packet.
    Truncated,
    /// A packet of a length that no mode has, between good ones.
    UnknownPacket,
    /// More packets are declared than follow.
    Miscounted,
    /// No byte at all.
    Empty,
    /// Whatever.
    Noise,
    /// A text that is not JSON.
    Text,
    /// Longer than 64 KB, of packets that are good.
    Huge,
}

// === impl State ===

impl State {
    /// One round: some instruments tick, and whoever carries them is told.
    pub(super) fn trade(&mut self) {
        let (busy, rate, flawed) = (self.config.busy, self.rate, self.config.flawed);
        let mut ticked = Vec::new();
        for at in 0..self.tokens.len() {
            if self.random.chance(busy) {
                let token = self.tokens[at];
                let number = self.numbers.entry(token).or_default();
                *number += 1;
                if self.random.chance(rate) && !self.silent.contains(&token) {
                    let flaw = (self.random.below(1000) < flawed)
                        .then(|| self.random.pick(&[Flaw::Crossed, Flaw::OutOfRange]));
                    ticked.push((token, flaw));
                }
            }
        }
        let ports: Vec<u16> = self.sockets.keys().copied().collect();
        for port in ports {
            self.send(port, &ticked);
        }
    }

    /// The newest values of `tokens`, as a reader of them is told when it asks.
    pub(super) fn tell(&mut self, port: u16, tokens: &[InstrumentToken]) {
        let known: Vec<_> = (tokens.iter())
            .filter(|token| self.numbers.get(token).is_some_and(|number| *number > 0))
            .filter(|token| !self.silent.contains(token))
            .map(|token| (*token, None))
            .collect();
        self.send(port, &known);
    }

    /// Writes a frame that is not what it should be to the `which`-th socket.
    pub(crate) fn garble(&mut self, which: u64, garbage: Garbage) {
        let Some(at) = which.checked_rem(self.sockets.len() as u64) else { return };
        let Some(port) = self.sockets.keys().nth(at as usize).copied() else { return };
        let mut frame = FrameBuilder::new();
        let mut ticks = Vec::new();
        let most = if garbage == Garbage::Huge { 400 } else { 3 };
        let carried: Vec<_> = (self.sockets.get(&port).into_iter())
            .flat_map(|peer| peer.carried.iter().map(|(token, carried)| (*token, carried.mode)))
            .collect();
        for (token, mode) in carried.into_iter().cycle().take(most) {
            let mode = if garbage == Garbage::Huge { Mode::Full } else { mode };
            let number = self.next_number(token);
            if frame.push(&tick(token, number, mode, self.now(), None)).is_ok() {
                ticks.push((token, number));
            }
        }
        if garbage == Garbage::UnknownPacket {
            let _ = frame.push_raw(&[1, 2, 3, 4, 5]);
        }
        let mut bytes = frame.finish();
        match garbage {
            Garbage::Truncated => bytes.truncate(bytes.len().saturating_sub(3)),
            Garbage::Miscounted => bytes[1] = bytes[1].wrapping_add(2),
            Garbage::Empty => bytes.clear(),
            Garbage::Noise => {
                bytes = (0..self.random.between(2, 90)).map(|_| self.random.bits() as u8).collect();
            }
            Garbage::UnknownPacket | Garbage::Text | Garbage::Huge => {}
        }
        if matches!(garbage, Garbage::Empty | Garbage::Noise | Garbage::Text) {
            // These ticks existed and nobody was told.
            ticks.clear();
        }
        let outgoing = match garbage {
            Garbage::Text => Outgoing::Text("{not json".to_owned()),
            _ => Outgoing::Binary { bytes, ticks },
        };
        if let Some(peer) = self.sockets.get(&port) {
            let _ = peer.outbox.try_send(outgoing);
        }
    }

    /// Everything carried ticks `rounds` times at once.
    pub(crate) fn burst(&mut self, rounds: u64) {
        for _ in 0..rounds {
            let everything: Vec<_> = self.tokens.iter().map(|token| (*token, None)).collect();
            for (token, _) in &everything {
                self.next_number(*token);
            }
            let ports: Vec<u16> = self.sockets.keys().copied().collect();
            for port in ports {
                self.send(port, &everything);
            }
        }
    }

    /// Queues frames with those of `ticked` that `port` carries.
    fn send(&mut self, port: u16, ticked: &[(InstrumentToken, Option<Flaw>)]) {
        let now = self.now();
        let Some(peer) = self.sockets.get(&port) else { return };
        let mut wanted = ticked.iter().filter_map(|(token, flaw)| {
            let carried = peer.carried.get(token).filter(|carried| carried.live_from <= now)?;
            let number = *self.numbers.get(token)?;
            Some((tick(*token, number, carried.mode, now, *flaw), (*token, number)))
        });
        loop {
            let mut frame = FrameBuilder::new();
            let mut ticks = Vec::new();
            for (tick, name) in wanted.by_ref().take(self.config.packets_per_frame) {
                if frame.push(&tick).is_ok() {
                    ticks.push(name);
                }
            }
            if ticks.is_empty() {
                return;
            }
            // A client that does not read loses ticks on the server's side, which nobody can count.
            let _ = peer.outbox.try_send(Outgoing::Binary { bytes: frame.finish(), ticks });
        }
    }

    fn next_number(&mut self, token: InstrumentToken) -> u32 {
        let number = self.numbers.entry(token).or_default();
        *number += 1;
        *number
    }
}
