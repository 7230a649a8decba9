//! Splits a binary websocket frame into packets.
//!
//! Layout, all integers big-endian: `u16` number of packets, then for each packet a `u16` length and its bytes.
//! A frame of one byte is a heartbeat.

use std::iter::FusedIterator;
use std::mem;

use market_model::{InstrumentToken, Tick};

use crate::Divisors;
use crate::packet::{EMPTY_TICK, Packet};
use crate::vector::{PriceReader, WithPrices, with_vectors};

/// A length field and the shortest packet.
const SHORTEST: usize = 2 + 8;

/// What a binary websocket frame is.
#[derive(Debug, Clone)]
pub enum Frame<'a> {
    /// A single byte: nothing to say, still alive. The value of the byte has no meaning.
    Heartbeat,
    /// Packets, read as they are asked for.
    Ticks(Packets<'a>),
}

/// The packets of one frame in order, good and bad, borrowed from the frame.
///
/// Splits strictly by the length fields. A packet of unknown length is an error and the next packet follows;
/// when the lengths no longer add up with the frame's size there is one last error.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
    declared: u16,
    seen: u16,
    empty: bool,
    divisors: &'a Divisors,
}

/// What is wrong with a frame or one of its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame has no bytes, not even a heartbeat's one.
    #[error("frame is empty")]
    EmptyFrame,
    /// A packet has a length that no mode has. Only this packet is lost.
    #[error("packet of {len} bytes{} is of no known mode", of_token(*token))]
    PacketLength {
        /// Whom it concerns, when the packet is long enough to say.
        token: Option<InstrumentToken>,
        /// Length of the packet.
        len: u16,
    },
    /// The frame ends inside a packet or inside its length field. The packets before it are good.
    #[error(
        "frame ends inside packet {packet} of {declared}{}: {expected} bytes expected, {available} left",
        of_token(*token)
    )]
    TruncatedFrame {
        /// Which packet, from 0.
        packet: u16,
        /// How many packets the frame declares.
        declared: u16,
        /// Whom it concerns, when its token is still there.
        token: Option<InstrumentToken>,
        /// Bytes the packet, or its length field, should have.
        expected: u16,
        /// Bytes that are left.
        available: u16,
    },
    /// The frame ends after a whole packet, but declares more of them.
    #[error("frame declares {declared} packets but ends after {found}")]
    CountMismatch {
        /// How many packets the frame declares.
        declared: u16,
        /// How many it has.
        found: u16,
    },
    /// Bytes follow the last declared packet. All packets were good or reported.
    #[error("{len} bytes follow the last of {declared} declared packets")]
    TrailingBytes {
        /// How many packets the frame declares.
        declared: u16,
        /// How many bytes follow them.
        len: usize,
    },
}

/// A [`DecodeError`] without its details, small enough to be a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// [`DecodeError::EmptyFrame`].
    EmptyFrame,
    /// [`DecodeError::PacketLength`].
    PacketLength,
    /// [`DecodeError::TruncatedFrame`].
    TruncatedFrame,
    /// [`DecodeError::CountMismatch`].
    CountMismatch,
    /// [`DecodeError::TrailingBytes`].
    TrailingBytes,
}

/// Reads a binary frame with Kite's own divisors. Every input has an answer; nothing is allocated.
pub fn decode_frame(bytes: &[u8]) -> Frame<'_> {
    decode_frame_with(bytes, &Divisors::KITE)
}

/// [`decode_frame`] with divisors of your own.
pub fn decode_frame_with<'a>(bytes: &'a [u8], divisors: &'a Divisors) -> Frame<'a> {
    if bytes.len() == 1 {
        return Frame::Heartbeat;
    }
    let (declared, rest) = match bytes.split_first_chunk() {
        Some((count, rest)) => (u16::from_be_bytes(*count), rest),
        None => (0, bytes),
    };
    Frame::Ticks(Packets { rest, declared, seen: 0, empty: bytes.is_empty(), divisors })
}

fn of_token(token: Option<InstrumentToken>) -> String {
    token.map_or_else(String::new, |token| format!(" of token {token}"))
}

fn token_of(packet: &[u8]) -> Option<InstrumentToken> {
    packet.first_chunk().map(|token| InstrumentToken(u32::from_be_bytes(*token)))
}

// === impl Packets ===

impl<'a> Packets<'a> {
    /// How many packets the frame says it has, whatever it really has.
    pub const fn declared(&self) -> u16 {
        self.declared
    }

    /// Replaces what `ticks` held by every good packet and hands every error to `on_error`, in order.
    ///
    /// Nothing is allocated when `ticks` has room, and ticks of the last frame are overwritten in their places:
    /// keep one vector from frame to frame and this is the fastest way.
    pub fn decode_into(self, ticks: &mut Vec<Tick>, on_error: impl FnMut(DecodeError)) {
        with_vectors(DecodeFrame { packets: self, ticks, on_error });
    }

    #[inline(always)]
    fn read_all<P: PriceReader>(
        mut self,
        prices: P,
        ticks: &mut Vec<Tick>,
        mut on_error: impl FnMut(DecodeError),
    ) {
        // A wrong count must not make room for more packets than there are bytes.
        let most = usize::from(self.declared).min(self.rest.len() / SHORTEST);
        ticks.resize(most, EMPTY_TICK);
        let mut good = 0;
        while let Some(bytes) = self.split() {
            let Some(packet) = Packet::new(bytes, self.divisors) else {
                on_error(unknown_length(bytes));
                continue;
            };
            match ticks.get_mut(good) {
                Some(tick) => packet.read_into(prices, tick),
                None => ticks.push(packet.to_tick()),
            }
            good += 1;
        }
        ticks.truncate(good);
        if let Some(error) = self.fault() {
            on_error(error);
        }
    }

    /// The next packet, as long as count and lengths allow.
    #[inline(always)]
    fn split(&mut self) -> Option<&'a [u8]> {
        if self.seen == self.declared {
            return None;
        }
        let (len, after) = self.rest.split_first_chunk()?;
        let (packet, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        self.rest = after;
        self.seen += 1;
        Some(packet)
    }

    /// Why there is no next packet; `None` when the frame is at its proper end.
    #[cold]
    fn fault(&mut self) -> Option<DecodeError> {
        let (declared, found) = (self.declared, self.seen);
        let rest = mem::take(&mut self.rest);
        self.seen = declared;
        if mem::take(&mut self.empty) {
            return Some(DecodeError::EmptyFrame);
        }
        let (token, expected, available) = match rest.split_first_chunk() {
            _ if found == declared => {
                let len = rest.len();
                return (len > 0).then_some(DecodeError::TrailingBytes { declared, len });
            }
            None if rest.is_empty() => return Some(DecodeError::CountMismatch { declared, found }),
            None => (None, 2, rest.len()),
            Some((len, after)) => (token_of(after), u16::from_be_bytes(*len), after.len()),
        };
        Some(DecodeError::TruncatedFrame {
            packet: found,
            declared,
            token,
            expected,
            available: u16::try_from(available).unwrap_or(u16::MAX),
        })
    }
}

// === impl DecodeFrame ===

/// [`Packets::decode_into`], to be compiled once for each kind of processor.
struct DecodeFrame<'a, 't, F> {
    packets: Packets<'a>,
    ticks: &'t mut Vec<Tick>,
    on_error: F,
}

impl<F: FnMut(DecodeError)> WithPrices for DecodeFrame<'_, '_, F> {
    #[inline(always)]
    fn run<P: PriceReader>(self, prices: P) {
        self.packets.read_all(prices, self.ticks, self.on_error);
    }
}

// === impl Iterator ===

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.split() {
            Some(bytes) => Some(Packet::new(bytes, self.divisors).ok_or_else(|| unknown_length(bytes))),
            None => self.fault().map(Err),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(usize::from(self.declared - self.seen) + 1))
    }
}

impl FusedIterator for Packets<'_> {}

#[cold]
fn unknown_length(packet: &[u8]) -> DecodeError {
    DecodeError::PacketLength {
        token: token_of(packet),
        len: u16::try_from(packet.len()).unwrap_or(u16::MAX),
    }
}

// === impl DecodeError ===

impl DecodeError {
    /// The error without its details.
    pub const fn kind(&self) -> DecodeErrorKind {
        match self {
            Self::EmptyFrame => DecodeErrorKind::EmptyFrame,
            Self::PacketLength { .. } => DecodeErrorKind::PacketLength,
            Self::TruncatedFrame { .. } => DecodeErrorKind::TruncatedFrame,
            Self::CountMismatch { .. } => DecodeErrorKind::CountMismatch,
            Self::TrailingBytes { .. } => DecodeErrorKind::TrailingBytes,
        }
    }

    /// How many declared packets were lost by it.
    pub const fn lost_packets(&self) -> u16 {
        match self {
            Self::EmptyFrame | Self::TrailingBytes { .. } => 0,
            Self::PacketLength { .. } => 1,
            Self::TruncatedFrame { packet, declared, .. } => declared.saturating_sub(*packet),
            Self::CountMismatch { declared, found } => declared.saturating_sub(*found),
        }
    }
}

// === impl DecodeErrorKind ===

impl DecodeErrorKind {
    /// Every kind, for registering metrics.
    pub const ALL: [Self; 5] = [
        Self::EmptyFrame,
        Self::PacketLength,
        Self::TruncatedFrame,
        Self::CountMismatch,
        Self::TrailingBytes,
    ];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmptyFrame => "empty_frame",
            Self::PacketLength => "packet_length",
            Self::TruncatedFrame => "truncated_frame",
            Self::CountMismatch => "count_mismatch",
            Self::TrailingBytes => "trailing_bytes",
        }
    }
}

#[cfg(test)]
mod tests;
