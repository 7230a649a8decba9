//! One observation of one instrument, shaped by the mode it was subscribed in.

use crate::{InstrumentToken, Price, UnixNanos};

/// A number of units (shares, or lots times lot size), as the ticker sends it.
pub type Quantity = u32;

/// How much of each tick is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Last price only.
    Ltp,
    /// Prices and volumes of the day, no depth, no time.
    Quote,
    /// Everything: depth, open interest, times.
    Full,
}

impl Mode {
    /// Kite's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ltp => "ltp",
            Self::Quote => "quote",
            Self::Full => "full",
        }
    }

    /// The mode Kite calls `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ltp, Self::Quote, Self::Full].into_iter().find(|mode| mode.as_str() == word)
    }
}

/// Open, high, low of the day and the previous day's close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ohlc {
    /// First price of the day; zero before the first trade.
    pub open: Price,
    /// Highest price of the day.
    pub high: Price,
    /// Lowest price of the day.
    pub low: Price,
    /// Close of the previous trading day.
    pub close: Price,
}

/// One price level of the book. An empty level is all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DepthLevel {
    /// Price of the level.
    pub price: Price,
    /// Units offered or wanted there.
    pub quantity: Quantity,
    /// Number of orders that make up the quantity.
    pub orders: u16,
}

/// Five levels each side, best first. Empty levels are present and zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Bids, highest first.
    pub buy: [DepthLevel; 5],
    /// Offers, lowest first.
    pub sell: [DepthLevel; 5],
}

impl Depth {
    /// The best bid that has quantity.
    pub fn best_bid(&self) -> Option<&DepthLevel> {
        Some(&self.buy[0]).filter(|level| level.quantity > 0)
    }

    /// The best offer that has quantity.
    pub fn best_offer(&self) -> Option<&DepthLevel> {
        Some(&self.sell[0]).filter(|level| level.quantity > 0)
    }

    /// Whether the best bid is at or above the best offer.
    pub fn is_crossed(&self) -> bool {
        matches!((self.best_bid(), self.best_offer()), (Some(bid), Some(offer)) if bid.price >= offer.price)
    }
}

/// What quote mode adds to the last price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuoteTick {
    /// Units of the last trade.
    pub last_traded_quantity: Quantity,
    /// Volume-weighted average price of the day.
    pub average_traded_price: Price,
    /// Units traded today.
    pub volume_traded: Quantity,
    /// Units wanted in the whole book.
    pub total_buy_quantity: Quantity,
    /// Units offered in the whole book.
    pub total_sell_quantity: Quantity,
    /// Prices of the day.
    pub ohlc: Ohlc,
}

/// What full mode adds to quote mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FullTick {
    /// Everything quote mode has.
    pub quote: QuoteTick,
    /// When the last trade happened (whole seconds); `None` when there was none.
    pub last_trade_time: Option<UnixNanos>,
    /// Open interest in units.
    pub oi: Quantity,
    /// Highest open interest of the day.
    pub oi_day_high: Quantity,
    /// Lowest open interest of the day.
    pub oi_day_low: Quantity,
    /// The exchange's stamp (whole seconds); `None` before the first.
    pub exchange_timestamp: Option<UnixNanos>,
    /// The book.
    pub depth: Depth,
}

/// What a tick carries beyond the last price. What is absent in a mode is absent here, not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a tick is copied into a reused buffer, never boxed")]
pub enum TickBody {
    /// Nothing more.
    Ltp,
    /// An index in quote mode.
    IndexQuote {
        /// Prices of the day.
        ohlc: Ohlc,
        /// Kite's own change field. Its sign and scale are unconfirmed; prefer `last_price - ohlc.close`.
        change: Price,
    },
    /// An index in full mode.
    IndexFull {
        /// Prices of the day.
        ohlc: Ohlc,
        /// As in [`TickBody::IndexQuote`].
        change: Price,
        /// The exchange's stamp (whole seconds); `None` before the first.
        exchange_timestamp: Option<UnixNanos>,
    },
    /// A tradable instrument in quote mode.
    Quote(QuoteTick),
    /// A tradable instrument in full mode.
    Full(FullTick),
}

/// One observation of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// Which instrument.
    pub token: InstrumentToken,
    /// Price of the last trade, or the index value.
    pub last_price: Price,
    /// The rest, by mode.
    pub body: TickBody,
}

impl Tick {
    /// The mode this tick was sent in.
    pub const fn mode(&self) -> Mode {
        match self.body {
            TickBody::Ltp => Mode::Ltp,
            TickBody::IndexQuote { .. } | TickBody::Quote(_) => Mode::Quote,
            TickBody::IndexFull { .. } | TickBody::Full(_) => Mode::Full,
        }
    }

    /// The exchange's stamp, when the mode carries one and the exchange has set it.
    pub const fn exchange_timestamp(&self) -> Option<UnixNanos> {
        match &self.body {
            TickBody::IndexFull { exchange_timestamp, .. } => *exchange_timestamp,
            TickBody::Full(full) => full.exchange_timestamp,
            TickBody::Ltp | TickBody::IndexQuote { .. } | TickBody::Quote(_) => None,
        }
    }

    /// Prices of the day, when the mode carries them.
    pub const fn ohlc(&self) -> Option<&Ohlc> {
        match &self.body {
            TickBody::IndexQuote { ohlc, .. } | TickBody::IndexFull { ohlc, .. } => Some(ohlc),
            TickBody::Quote(quote) => Some(&quote.ohlc),
            TickBody::Full(full) => Some(&full.quote.ohlc),
            TickBody::Ltp => None,
        }
    }

    /// The book, in full mode of a tradable instrument.
    pub const fn depth(&self) -> Option<&Depth> {
        match &self.body {
            TickBody::Full(full) => Some(&full.depth),
            _ => None,
        }
    }

    /// Volumes and averages, in quote and full mode of a tradable instrument.
    pub const fn quote(&self) -> Option<&QuoteTick> {
        match &self.body {
            TickBody::Quote(quote) => Some(quote),
            TickBody::Full(full) => Some(&full.quote),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_crossed_only_when_both_sides_have_quantity() {
        let level = |paise, quantity| DepthLevel { price: Price::from_paise(paise), quantity, orders: 1 };
        let mut depth = Depth::default();
        assert!(!depth.is_crossed());
        depth.buy[0] = level(100, 5);
        assert!(!depth.is_crossed());
        depth.sell[0] = level(100, 5);
        assert!(depth.is_crossed());
        depth.sell[0] = level(101, 5);
        assert!(!depth.is_crossed());
    }

    #[test]
    fn words_of_the_modes() {
        for mode in [Mode::Ltp, Mode::Quote, Mode::Full] {
            assert_eq!(Mode::from_word(mode.as_str()), Some(mode));
        }
        assert_eq!(Mode::from_word("Full"), None);
    }
}
