//! Ticks as packets and frames, the exact inverse of decoding; what a server sends.

use market_model::{Depth, InstrumentToken, Ohlc, Price, Tick, TickBody, UnixNanos};

use crate::Divisors;

/// Why a tick cannot be put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The price needs more than 31 bits in the units of its segment.
    #[error("price {price} of token {token} does not fit into 32 bits at divisor {divisor}")]
    PriceOutOfRange {
        /// Which instrument.
        token: InstrumentToken,
        /// The price.
        price: Price,
        /// Wire units per rupee.
        divisor: u32,
    },
    /// The price is finer than the units of its segment.
    #[error("price {price} of token {token} is not a whole number of 1/{divisor} rupee")]
    PriceTooFine {
        /// Which instrument.
        token: InstrumentToken,
        /// The price.
        price: Price,
        /// Wire units per rupee.
        divisor: u32,
    },
    /// The time is before 1970-01-01 00:00:01 UTC or does not fit into 32 bits of seconds.
    #[error("time {time} of token {token} does not fit into 32 bits of seconds")]
    TimeOutOfRange {
        /// Which instrument.
        token: InstrumentToken,
        /// The time.
        time: UnixNanos,
    },
    /// Raw bytes that a packet's length field cannot count.
    #[error("packet of {len} bytes is longer than a packet can be, 65535")]
    PacketTooLong {
        /// Its length.
        len: usize,
    },
    /// The frame has 65535 packets already, the most its count can say.
    #[error("frame is full, finish it first")]
    FrameFull,
}

/// Collects packets and makes frames of them; reusable.
#[derive(Debug, Clone, Default)]
pub struct FrameBuilder {
    divisors: Divisors,
    /// The frame without its count.
    body: Vec<u8>,
    packets: u16,
}

/// Appends the packet of `tick`, without a length field, in Kite's own divisors.
///
/// Times lose their fraction of a second: the wire carries whole seconds.
///
/// # Errors
/// [`EncodeError`] when a value does not fit; `out` is then as it was.
pub fn encode_packet(tick: &Tick, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode_packet_with(tick, &Divisors::KITE, out)
}

/// [`encode_packet`] with divisors of your own.
///
/// # Errors
/// As [`encode_packet`].
pub fn encode_packet_with(tick: &Tick, divisors: &Divisors, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let mut writer = PacketWriter { token: tick.token, unit: divisors.unit(tick.token), out };
    let written = writer.tick(tick);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

// === impl FrameBuilder ===

impl FrameBuilder {
    /// An empty frame in Kite's own divisors.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty frame in divisors of your own.
    pub fn with_divisors(divisors: Divisors) -> Self {
        Self { divisors, ..Self::default() }
    }

    /// Adds the packet of `tick`.
    ///
    /// # Errors
    /// [`EncodeError`] when a value does not fit or the frame is full; the frame is then as it was.
    pub fn push(&mut self, tick: &Tick) -> Result<(), EncodeError> {
        let start = self.body.len();
        let packets = self.packets.checked_add(1).ok_or(EncodeError::FrameFull)?;
        self.body.extend([0, 0]);
        if let Err(error) = encode_packet_with(tick, &self.divisors, &mut self.body) {
            self.body.truncate(start);
            return Err(error);
        }
        let len = (self.body.len() - start - 2) as u16;
        self.body[start..start + 2].copy_from_slice(&len.to_be_bytes());
        self.packets = packets;
        Ok(())
    }

    /// Adds bytes as a packet, whatever they are; for tests and fault injection.
    ///
    /// # Errors
    /// [`EncodeError`] when the frame is full or `packet` too long; the frame is then as it was.
    pub fn push_raw(&mut self, packet: &[u8]) -> Result<(), EncodeError> {
        let len =
            u16::try_from(packet.len()).map_err(|_| EncodeError::PacketTooLong { len: packet.len() })?;
        self.packets = self.packets.checked_add(1).ok_or(EncodeError::FrameFull)?;
        self.body.extend(len.to_be_bytes());
        self.body.extend(packet);
        Ok(())
    }

    /// The frame, ready to send. The builder is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(self.len());
        frame.extend(self.packets.to_be_bytes());
        frame.extend(&self.body);
        self.body.clear();
        self.packets = 0;
        frame
    }

    /// Bytes the frame has so far, its count included.
    pub const fn len(&self) -> usize {
        self.body.len() + 2
    }

    /// Whether no packet was added yet.
    pub const fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// How many packets were added.
    pub const fn packets(&self) -> u16 {
        self.packets
    }
}

// === impl PacketWriter ===

struct PacketWriter<'a> {
    token: InstrumentToken,
    unit: i64,
    out: &'a mut Vec<u8>,
}

impl PacketWriter<'_> {
    fn tick(&mut self, tick: &Tick) -> Result<(), EncodeError> {
        self.word(tick.token.0);
        self.price(tick.last_price)?;
        match &tick.body {
            TickBody::Ltp => {}
            TickBody::IndexQuote { ohlc, change } => {
                self.index_ohlc(ohlc)?;
                self.price(*change)?;
            }
            TickBody::IndexFull { ohlc, change, exchange_timestamp } => {
                self.index_ohlc(ohlc)?;
                self.price(*change)?;
                self.time(*exchange_timestamp)?;
            }
            TickBody::Quote(quote) => self.quote(quote)?,
            TickBody::Full(full) => {
                self.quote(&full.quote)?;
                self.time(full.last_trade_time)?;
                self.word(full.oi);
                self.word(full.oi_day_high);
                self.word(full.oi_day_low);
                self.time(full.exchange_timestamp)?;
                self.depth(&full.depth)?;
            }
        }
        Ok(())
    }

    fn quote(&mut self, quote: &market_model::QuoteTick) -> Result<(), EncodeError> {
        self.word(quote.last_traded_quantity);
        self.price(quote.average_traded_price)?;
        self.word(quote.volume_traded);
        self.word(quote.total_buy_quantity);
        self.word(quote.total_sell_quantity);
        let Ohlc { open, high, low, close } = quote.ohlc;
        [open, high, low, close].into_iter().try_for_each(|price| self.price(price))
    }

    fn index_ohlc(&mut self, ohlc: &Ohlc) -> Result<(), EncodeError> {
        let Ohlc { open, high, low, close } = *ohlc;
        [high, low, open, close].into_iter().try_for_each(|price| self.price(price))
    }

    fn depth(&mut self, depth: &Depth) -> Result<(), EncodeError> {
        for level in depth.buy.iter().chain(&depth.sell) {
            self.word(level.quantity);
            self.price(level.price)?;
            self.out.extend(level.orders.to_be_bytes());
            self.out.extend([0, 0]);
        }
        Ok(())
    }

    fn word(&mut self, word: u32) {
        self.out.extend(word.to_be_bytes());
    }

    fn price(&mut self, price: Price) -> Result<(), EncodeError> {
        let (token, divisor) = (self.token, (Price::SCALE / self.unit) as u32);
        if price.raw() % self.unit != 0 {
            return Err(EncodeError::PriceTooFine { token, price, divisor });
        }
        let wire = i32::try_from(price.raw() / self.unit).map_err(|_| EncodeError::PriceOutOfRange {
            token,
            price,
            divisor,
        })?;
        self.word(wire.cast_unsigned());
        Ok(())
    }

    fn time(&mut self, time: Option<UnixNanos>) -> Result<(), EncodeError> {
        let Some(time) = time else {
            self.word(0);
            return Ok(());
        };
        // Zero seconds would be read back as "no time".
        match u32::try_from(time.as_secs()) {
            Ok(secs) if secs > 0 => self.word(secs),
            _ => return Err(EncodeError::TimeOutOfRange { token: self.token, time }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
