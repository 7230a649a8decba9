//! What can be watched or traded.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use crate::{InstrumentToken, Price, UnixNanos};

macro_rules! open_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A value this version does not know, kept as it was written.
            Other(Arc<str>),
        }

        impl $name {
            /// The value Kite writes as `word`; an unknown word is kept.
            pub fn from_word(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.into()),
                }
            }

            /// Kite's word for it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

open_set! {
    /// The `exchange` column of Kite's instrument dump.
    Exchange {
        /// National Stock Exchange, cash; also NSE's indices.
        Nse = "NSE",
        /// BSE, cash; also BSE's indices.
        Bse = "BSE",
        /// NSE futures and options.
        Nfo = "NFO",
        /// BSE futures and options.
        Bfo = "BFO",
        /// NSE currency derivatives.
        Cds = "CDS",
        /// BSE currency derivatives.
        Bcd = "BCD",
        /// Multi Commodity Exchange.
        Mcx = "MCX",
        /// NSE commodity derivatives.
        Nco = "NCO",
        /// Foreign indices.
        Global = "GLOBAL",
        /// NSE International Exchange (GIFT NIFTY).
        NseIx = "NSEIX",
    }
}

open_set! {
    /// The `segment` column of Kite's instrument dump.
    Segment {
        /// NSE cash.
        Nse = "NSE",
        /// BSE cash.
        Bse = "BSE",
        /// Any index.
        Indices = "INDICES",
        /// NSE futures.
        NfoFutures = "NFO-FUT",
        /// NSE options.
        NfoOptions = "NFO-OPT",
        /// BSE futures.
        BfoFutures = "BFO-FUT",
        /// BSE options.
        BfoOptions = "BFO-OPT",
        /// NSE currency futures.
        CdsFutures = "CDS-FUT",
        /// NSE currency options.
        CdsOptions = "CDS-OPT",
        /// BSE currency futures.
        BcdFutures = "BCD-FUT",
        /// BSE currency options.
        BcdOptions = "BCD-OPT",
        /// MCX futures.
        McxFutures = "MCX-FUT",
        /// MCX options.
        McxOptions = "MCX-OPT",
    }
}

/// Call or put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptionSide {
    /// The right to buy (`CE`).
    Call,
    /// The right to sell (`PE`).
    Put,
}

impl OptionSide {
    /// Kite's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "CE",
            Self::Put => "PE",
        }
    }
}

/// When a contract ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Expiry {
    /// The last trading day, in India.
    pub date: Date,
    /// The instant trading in this contract ends on that day; `None` when the calendar does not know the day.
    /// Greeks need it: without it they are refused, never guessed.
    pub instant: Option<UnixNanos>,
}

/// What sort of thing an instrument is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InstrumentKind {
    /// A computed value that cannot be traded.
    Index,
    /// A share, fund unit or bond.
    Equity,
    /// A future.
    Future {
        /// When it ends.
        expiry: Expiry,
    },
    /// A European option.
    Option {
        /// When it ends.
        expiry: Expiry,
        /// Strike price.
        strike: Price,
        /// Call or put.
        side: OptionSide,
    },
    /// An `instrument_type` this version does not know, kept as it was written.
    Other(Arc<str>),
}

/// One row of the instrument dump, joined with the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Kite's numeric name.
    pub token: InstrumentToken,
    /// Where it is listed.
    pub exchange: Exchange,
    /// Kite's segment.
    pub segment: Segment,
    /// Kite's textual name, unique within the exchange.
    pub tradingsymbol: Box<str>,
    /// Company, index or underlying name; may be empty.
    pub name: Box<str>,
    /// What sort of thing it is.
    pub kind: InstrumentKind,
    /// Units per lot of this contract (lot belongs to the contract, not to the underlying); 0 for an index.
    pub lot_size: u32,
    /// Smallest price step; zero for an index.
    pub tick_size: Price,
}

impl Instrument {
    /// When the contract ends; `None` for what never ends.
    pub const fn expiry(&self) -> Option<&Expiry> {
        match &self.kind {
            InstrumentKind::Future { expiry } | InstrumentKind::Option { expiry, .. } => Some(expiry),
            InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Other(_) => None,
        }
    }

    /// Whether this is an option.
    pub const fn is_option(&self) -> bool {
        matches!(self.kind, InstrumentKind::Option { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_kept() {
        assert_eq!(Exchange::from_word("NFO"), Exchange::Nfo);
        let unknown = Exchange::from_word("MARS");
        assert_eq!(unknown.as_str(), "MARS");
        assert_eq!(Segment::from_word("MCX").to_string(), "MCX");
    }
}
