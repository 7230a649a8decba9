//! Packets made beforehand, for load: the instruments of a whole market at a cost of a copy for each tick.
//!
//! Every instrument has a ring of [`VARIANTS`] full packets, and the whole market turns to the next variant together:
//! prices move, and share, futures and options of an underlying agree in each variant. Times and volume are written
//! into the copy.

use kite_wire::{Frame, decode_frame, encode_packet};
use market_model::{FullTick, Mode, Ohlc, OptionSide, Price, Quantity, QuoteTick, Tick, TickBody, UnixNanos};
use option_greeks::{OptionInputs, OptionKind, PricingModel};

use crate::SimError;
use crate::listing::{Kind, Listed, Slot};
use crate::market::Touch;
use crate::random::Stream;

/// Packets per instrument. Eight of 184 bytes are 177 MB for 120,000 instruments; more would not look different.
pub(crate) const VARIANTS: u64 = 8;
/// Deviation of the logarithm of a price from variant to variant.
const MOVE: f64 = 0.000_4;
/// Length of a full packet.
const FULL: usize = 184;

/// How a load instrument gets its prices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    /// Price around which its underlying moves.
    pub(crate) base: f64,
    /// Random numbers that its underlying's instruments share.
    pub(crate) walk: Stream,
    /// Interest rate.
    pub(crate) rate: f64,
    /// What it is.
    pub(crate) contract: LoadContract,
}

/// What a load instrument is. Years are counted from when it was listed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum LoadContract {
    Share,
    Future { years: f64 },
    Option { years: f64, strike: f64, side: OptionSide },
}

/// Every packet of every load instrument; they lie at the end of their listing.
pub(crate) struct LoadTable {
    first: Slot,
    count: usize,
    /// All instruments of the first variant, then all of the second.
    packets: Vec<[u8; FULL]>,
    made: UnixNanos,
}

/// What is the same for all load packets of a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadMoment {
    variant: usize,
    /// UNIX seconds.
    stamp: u32,
    /// Units traded since the table was made.
    traded: u32,
}

// === impl Load ===

impl Load {
    /// Fair price in a variant.
    pub(crate) fn fair(&self, variant: u64) -> f64 {
        let spot = self.base * (MOVE * self.walk.normal(variant as i64)).exp();
        match self.contract {
            LoadContract::Share => spot,
            LoadContract::Future { years } => spot * (self.rate * years).exp(),
            LoadContract::Option { years, strike, side } => {
                let forward = spot * (self.rate * years).exp();
                let kind = match side {
                    OptionSide::Call => OptionKind::Call,
                    OptionSide::Put => OptionKind::Put,
                };
                let inputs = OptionInputs {
                    model: PricingModel::Black76 { forward },
                    kind,
                    strike,
                    rate: self.rate,
                    years_to_expiry: years,
                };
                option_greeks::price(&inputs, self.volatility(strike / self.base)).unwrap_or(0.0)
            }
        }
    }

    /// 18 to 42 percent at the money, and a smile.
    fn volatility(&self, moneyness: f64) -> f64 {
        let at_the_money = 0.18 + 0.24 * self.walk.uniform(-1);
        at_the_money + 0.6 * (moneyness - 1.0).powi(2) - 0.1 * (moneyness - 1.0)
    }
}

// === impl LoadTable ===

impl LoadTable {
    /// Encodes every packet of the instruments from `first` on.
    ///
    /// # Errors
    /// [`SimError::Listing`] when a price cannot be put on the wire.
    pub(crate) fn build(listed: &[Listed], first: Slot, now: UnixNanos) -> Result<Self, SimError> {
        let load = &listed[first.index()..];
        let mut packets = Vec::with_capacity(load.len() * VARIANTS as usize);
        let mut bytes = Vec::with_capacity(FULL);
        for variant in 0..VARIANTS {
            for listed in load {
                bytes.clear();
                encode_packet(&tick(listed, variant), &mut bytes)
                    .map_err(|error| SimError::Listing(error.to_string()))?;
                let packet: &[u8; FULL] = bytes
                    .first_chunk()
                    .ok_or_else(|| SimError::Listing(format!("short packet of {}", listed.tradingsymbol)))?;
                packets.push(*packet);
            }
        }
        Ok(Self { first, count: load.len(), packets, made: now })
    }

    /// The first load instrument.
    pub(crate) const fn first(&self) -> Slot {
        self.first
    }

    pub(crate) fn has(&self, slot: Slot) -> bool {
        slot >= self.first
    }

    /// Position of `slot` among the load instruments.
    fn number(&self, slot: Slot) -> usize {
        slot.index() - self.first.index()
    }

    /// The moment `now` in which the market shows its variant number `turn`.
    pub(crate) fn moment(&self, turn: u64, now: UnixNanos) -> LoadMoment {
        LoadMoment {
            variant: (turn % VARIANTS) as usize,
            stamp: now.as_secs() as u32,
            traded: (now.saturating_since(self.made).as_millis() / 100) as u32,
        }
    }

    /// Appends the packet of `slot` behind its length.
    pub(crate) fn write(&self, slot: Slot, mode: Mode, moment: LoadMoment, out: &mut Vec<u8>) {
        let packet = &self.packets[moment.variant * self.count + self.number(slot)];
        let len = match mode {
            Mode::Ltp => 8,
            Mode::Quote => 44,
            Mode::Full => FULL,
        };
        out.extend_from_slice(&(len as u16).to_be_bytes());
        let start = out.len();
        out.extend_from_slice(&packet[..len]);
        let mut put = |at: usize, value: u32| {
            if at + 4 <= len {
                out[start + at..start + at + 4].copy_from_slice(&value.to_be_bytes());
            }
        };
        let volume = u32::from_be_bytes([packet[16], packet[17], packet[18], packet[19]]);
        put(16, volume.wrapping_add(moment.traded));
        put(44, moment.stamp);
        put(60, moment.stamp);
    }

    /// The tick in full mode.
    pub(crate) fn tick(&self, slot: Slot, moment: LoadMoment) -> Option<Tick> {
        let mut frame = vec![0, 1];
        self.write(slot, Mode::Full, moment, &mut frame);
        match decode_frame(&frame) {
            Frame::Ticks(mut packets) => packets.next()?.ok().map(|packet| packet.to_tick()),
            Frame::Heartbeat => None,
        }
    }
}

impl std::fmt::Debug for LoadTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadTable").field("instruments", &self.count).finish_non_exhaustive()
    }
}

/// What `listed` shows in a variant.
fn tick(listed: &Listed, variant: u64) -> Tick {
    let fair = |variant| match listed.kind {
        Kind::Load(load) => load.fair(variant),
        _ => 0.0,
    };
    let touch = |variant| Touch::around(listed, fair(variant));
    let last = |variant: u64| {
        let Touch { bid, ask } = touch(variant);
        if bid > 0 && listed.stream.bits(variant as i64) & 1 == 0 { bid } else { ask }
    };
    let prices = (0..VARIANTS).map(last);
    let (low, high) = prices.fold((i64::MAX, 0), |(low, high), price| (low.min(price), high.max(price)));
    let open = last(0);
    let last_price = Price::from_paise(last(variant));
    let many = |name: u64| 1 + (listed.stream.bits(name as i64) % 100_000) as Quantity;
    let is_derivative = listed.expiry.is_some();
    let oi = if is_derivative { many(103) * listed.lot_size } else { 0 };
    Tick {
        token: listed.token,
        last_price,
        body: TickBody::Full(FullTick {
            quote: QuoteTick {
                last_traded_quantity: listed.lot_size,
                average_traded_price: Price::from_paise(open),
                volume_traded: many(100),
                total_buy_quantity: many(101),
                total_sell_quantity: many(102),
                ohlc: Ohlc {
                    open: Price::from_paise(open),
                    high: Price::from_paise(high),
                    low: Price::from_paise(low),
                    close: Price::from_paise(open),
                },
            },
            last_trade_time: Some(UnixNanos::from_secs(1)),
            oi,
            oi_day_high: oi,
            oi_day_low: oi,
            exchange_timestamp: Some(UnixNanos::from_secs(1)),
            depth: touch(variant).depth(listed, variant as i64),
        }),
    }
}

#[cfg(test)]
mod tests;
