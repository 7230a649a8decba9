//! One packet of a tick frame: a borrowed view, and its reading as a [`Tick`].
//!
//! The length alone says what a packet is: 8 last price, 28 and 32 index, 44 quote, 184 full. Prices are read
//! as signed: a calendar spread or a commodity can trade below zero, and no price Kite can send today comes near
//! 2^31 wire units. Quantities, volumes, open interest and times are read as unsigned.

use market_model::{
    Depth, DepthLevel, FullTick, InstrumentToken, Mode, Ohlc, Price, QuoteTick, Tick, TickBody, UnixNanos,
};

use crate::Divisors;
use crate::vector::{DEPTH, OneByOne, PriceReader};

/// One well-formed packet, borrowed from its frame.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    layout: Layout<'a>,
    /// Raw price units per wire unit.
    unit: i64,
}

#[derive(Debug, Clone, Copy)]
enum Layout<'a> {
    Ltp(&'a [u8; 8]),
    IndexQuote(&'a [u8; 28]),
    IndexFull(&'a [u8; 32]),
    Quote(&'a [u8; 44]),
    Full(&'a [u8; 184]),
}

/// Of the largest shape: a tick of full mode, the most frequent, is written over it field by field.
pub(crate) const EMPTY_TICK: Tick = Tick {
    token: InstrumentToken(0),
    last_price: Price::ZERO,
    body: TickBody::Full(FullTick {
        quote: QuoteTick {
            last_traded_quantity: 0,
            average_traded_price: Price::ZERO,
            volume_traded: 0,
            total_buy_quantity: 0,
            total_sell_quantity: 0,
            ohlc: Ohlc { open: Price::ZERO, high: Price::ZERO, low: Price::ZERO, close: Price::ZERO },
        },
        last_trade_time: None,
        oi: 0,
        oi_day_high: 0,
        oi_day_low: 0,
        exchange_timestamp: None,
        depth: Depth { buy: [EMPTY_LEVEL; 5], sell: [EMPTY_LEVEL; 5] },
    }),
};
const EMPTY_LEVEL: DepthLevel = DepthLevel { price: Price::ZERO, quantity: 0, orders: 0 };

// === impl Packet ===

impl<'a> Packet<'a> {
    /// `None` when no mode has this length.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], divisors: &Divisors) -> Option<Self> {
        let layout = match bytes.len() {
            8 => Layout::Ltp(bytes.try_into().ok()?),
            28 => Layout::IndexQuote(bytes.try_into().ok()?),
            32 => Layout::IndexFull(bytes.try_into().ok()?),
            44 => Layout::Quote(bytes.try_into().ok()?),
            184 => Layout::Full(bytes.try_into().ok()?),
            _ => return None,
        };
        let unit = divisors.unit(layout.token());
        Some(Self { layout, unit })
    }

    /// Which instrument.
    #[inline]
    pub fn token(&self) -> InstrumentToken {
        self.layout.token()
    }

    /// The mode it was sent in.
    #[inline]
    pub const fn mode(&self) -> Mode {
        match self.layout {
            Layout::Ltp(_) => Mode::Ltp,
            Layout::IndexQuote(_) | Layout::Quote(_) => Mode::Quote,
            Layout::IndexFull(_) | Layout::Full(_) => Mode::Full,
        }
    }

    /// Price of the last trade, or the index value.
    #[inline]
    pub fn last_price(&self) -> Price {
        price(self.layout.head(), 4, self.unit)
    }

    /// The packet as it was sent, without its length field.
    #[inline]
    pub const fn bytes(&self) -> &'a [u8] {
        match self.layout {
            Layout::Ltp(bytes) => bytes,
            Layout::IndexQuote(bytes) => bytes,
            Layout::IndexFull(bytes) => bytes,
            Layout::Quote(bytes) => bytes,
            Layout::Full(bytes) => bytes,
        }
    }

    /// Everything in it.
    pub fn to_tick(&self) -> Tick {
        let mut tick = EMPTY_TICK;
        self.read_into(OneByOne, &mut tick);
        tick
    }

    /// Everything in it, written over `tick`.
    ///
    /// Field by field, so that a tick of the same shape is overwritten in its place; building it first and moving
    /// it there costs half as much again.
    #[inline(always)]
    pub(crate) fn read_into<P: PriceReader>(&self, prices: P, tick: &mut Tick) {
        let unit = self.unit;
        tick.token = self.token();
        tick.last_price = self.last_price();
        match self.layout {
            Layout::Ltp(_) => tick.body = TickBody::Ltp,
            Layout::IndexQuote(bytes) => {
                tick.body =
                    TickBody::IndexQuote { ohlc: index_ohlc(bytes, unit), change: price(bytes, 24, unit) }
            }
            Layout::IndexFull(bytes) => {
                tick.body = TickBody::IndexFull {
                    ohlc: index_ohlc(bytes, unit),
                    change: price(bytes, 24, unit),
                    exchange_timestamp: time(bytes, 28),
                }
            }
            Layout::Quote(bytes) => tick.body = TickBody::Quote(quote(prices, bytes, unit)),
            Layout::Full(bytes) => {
                if !matches!(tick.body, TickBody::Full(_)) {
                    tick.body = TickBody::Full(FullTick::default());
                }
                if let TickBody::Full(full) = &mut tick.body {
                    read_full(prices, bytes, unit, full);
                }
            }
        }
    }
}

// === impl Layout ===

impl<'a> Layout<'a> {
    #[inline]
    fn head(self) -> &'a [u8; 8] {
        match self {
            Self::Ltp(bytes) => bytes,
            Self::IndexQuote(bytes) => head(bytes),
            Self::IndexFull(bytes) => head(bytes),
            Self::Quote(bytes) => head(bytes),
            Self::Full(bytes) => head(bytes),
        }
    }

    #[inline]
    fn token(self) -> InstrumentToken {
        InstrumentToken(word(self.head(), 0))
    }
}

#[inline(always)]
fn head<const N: usize>(bytes: &[u8; N]) -> &[u8; 8] {
    const { assert!(N >= 8) };
    bytes.first_chunk().unwrap_or(&[0; 8])
}

// Offsets are constants once inlined, so the bounds checks are gone from the machine code.

#[inline(always)]
pub(crate) fn word<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline(always)]
pub(crate) fn price<const N: usize>(bytes: &[u8; N], at: usize, unit: i64) -> Price {
    Price::from_raw(i64::from(word(bytes, at).cast_signed()) * unit)
}

/// `LEN` bytes from `AT`.
#[inline(always)]
fn part<const AT: usize, const LEN: usize, const N: usize>(bytes: &[u8; N]) -> &[u8; LEN] {
    const { assert!(AT + LEN <= N) };
    bytes[AT..].first_chunk().unwrap_or(&[0; LEN])
}

#[inline(always)]
fn time<const N: usize>(bytes: &[u8; N], at: usize) -> Option<UnixNanos> {
    match word(bytes, at) {
        0 => None,
        secs => Some(UnixNanos::from_secs(i64::from(secs))),
    }
}

#[inline(always)]
fn read_full<P: PriceReader>(prices: P, bytes: &[u8; 184], unit: i64, full: &mut FullTick) {
    full.quote = quote(prices, bytes, unit);
    full.last_trade_time = time(bytes, 44);
    full.oi = word(bytes, 48);
    full.oi_day_high = word(bytes, 52);
    full.oi_day_low = word(bytes, 56);
    full.exchange_timestamp = time(bytes, 60);
    prices.depth(part::<64, DEPTH, 184>(bytes), unit, &mut full.depth);
}

/// High, low, open, close: another order than in [`quote`].
#[inline(always)]
fn index_ohlc<const N: usize>(bytes: &[u8; N], unit: i64) -> Ohlc {
    Ohlc {
        high: price(bytes, 8, unit),
        low: price(bytes, 12, unit),
        open: price(bytes, 16, unit),
        close: price(bytes, 20, unit),
    }
}

#[inline(always)]
fn quote<P: PriceReader, const N: usize>(prices: P, bytes: &[u8; N], unit: i64) -> QuoteTick {
    let [open, high, low, close] = prices.four(part::<28, 16, N>(bytes), unit);
    QuoteTick {
        last_traded_quantity: word(bytes, 8),
        average_traded_price: price(bytes, 12, unit),
        volume_traded: word(bytes, 16),
        total_buy_quantity: word(bytes, 20),
        total_sell_quantity: word(bytes, 24),
        ohlc: Ohlc { open, high, low, close },
    }
}
