//! One row of the instrument dump, and what it becomes.

use std::sync::Arc;

use jiff::civil::Date;
use market_model::{
    Exchange, Expiry, Instrument, InstrumentKind, InstrumentToken, OptionSide, Price, Segment, UnixNanos,
};

/// The `instrument_type` column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstrumentType {
    /// Share, fund unit, bond; indices are written so too.
    Equity,
    /// Future.
    Future,
    /// Call option.
    Call,
    /// Put option.
    Put,
    /// A value this version does not know, kept as it was written.
    Other(Arc<str>),
}

/// One row of the dump, as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstrumentRow {
    /// The number the ticker uses.
    pub token: InstrumentToken,
    /// The exchange's own number.
    pub exchange_token: u32,
    /// Kite's textual name, unique within the exchange.
    pub tradingsymbol: Box<str>,
    /// Company, index or underlying name; may be empty.
    pub name: Box<str>,
    /// Stale, usually zero.
    pub last_price: Price,
    /// Last trading day, in India; `None` for what never ends.
    pub expiry: Option<Date>,
    /// Strike price; zero for what has none.
    pub strike: Price,
    /// Smallest price step; zero for an index.
    pub tick_size: Price,
    /// Units per lot; 0 for an index.
    pub lot_size: u32,
    /// What sort of thing it is.
    pub instrument_type: InstrumentType,
    /// Kite's segment.
    pub segment: Segment,
    /// Where it is listed.
    pub exchange: Exchange,
}

// === impl InstrumentType ===

impl InstrumentType {
    /// The value Kite writes as `word`; an unknown word is kept.
    pub fn from_word(word: &str) -> Self {
        match word {
            "EQ" => Self::Equity,
            "FUT" => Self::Future,
            "CE" => Self::Call,
            "PE" => Self::Put,
            other => Self::Other(other.into()),
        }
    }

    /// Kite's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Equity => "EQ",
            Self::Future => "FUT",
            Self::Call => "CE",
            Self::Put => "PE",
            Self::Other(word) => word,
        }
    }
}

// === impl InstrumentRow ===

impl InstrumentRow {
    /// The row as an instrument. `expiry_instant` is when trading ends on the expiry day, if the calendar knows.
    ///
    /// A row of segment INDICES is an index whatever its type says. A future or option without an expiry keeps its
    /// type as a word, so that nothing takes it for a contract.
    pub fn into_instrument(self, expiry_instant: Option<UnixNanos>) -> Instrument {
        let expiry = self.expiry.map(|date| Expiry { date, instant: expiry_instant });
        let strike = self.strike;
        let option = |expiry, side| InstrumentKind::Option { expiry, strike, side };
        let kind = match (&self.instrument_type, expiry) {
            _ if self.segment == Segment::Indices => InstrumentKind::Index,
            (InstrumentType::Equity, _) => InstrumentKind::Equity,
            (InstrumentType::Future, Some(expiry)) => InstrumentKind::Future { expiry },
            (InstrumentType::Call, Some(expiry)) => option(expiry, OptionSide::Call),
            (InstrumentType::Put, Some(expiry)) => option(expiry, OptionSide::Put),
            (other, _) => InstrumentKind::Other(other.as_str().into()),
        };
        Instrument {
            token: self.token,
            exchange: self.exchange,
            segment: self.segment,
            tradingsymbol: self.tradingsymbol,
            name: self.name,
            kind,
            lot_size: self.lot_size,
            tick_size: self.tick_size,
        }
    }
}
