//! The parts of a trading day.

use jiff::civil::Time;

/// One part of a trading day, IST, from `start` up to but not including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Session {
    /// What happens in it.
    pub kind: SessionKind,
    /// Whom it concerns.
    pub scope: Scope,
    /// First instant, IST.
    pub start: Time,
    /// First instant after it, IST.
    pub end: Time,
    /// From here on the exchange may close order entry at a random moment.
    pub random_close_from: Option<Time>,
    /// The hours rest on a weak source; [`crate::Day::Open`] has the words.
    pub doubtful: bool,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every name a data file may use.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            /// The name used in data files, logs and metric labels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The value with that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named! {
    /// What happens in a [`Session`].
    SessionKind {
        /// Window for negotiated large trades; runs beside other sessions.
        BlockDeal = "block_deal",
        /// Opening call auction, phases not told apart.
        PreOpen = "pre_open",
        /// Opening auction: limit and market orders are entered, changed and cancelled.
        PreOpenEntry = "pre_open_entry",
        /// Opening auction: limit orders only, market orders are frozen.
        PreOpenLimitOnly = "pre_open_limit_only",
        /// Opening auction: orders are matched at one price.
        PreOpenMatching = "pre_open_matching",
        /// Pause between the opening auction and continuous trading.
        PreOpenBuffer = "pre_open_buffer",
        /// Orders match as they arrive.
        Continuous = "continuous",
        /// Commodities: continuous trading before 17:00.
        Morning = "morning",
        /// Commodities: continuous trading from 17:00.
        Evening = "evening",
        /// The minutes whose volume-weighted price is the close; runs beside continuous trading.
        ClosePriceWindow = "close_price_window",
        /// Closing auction: the reference price is worked out.
        ClosingReference = "closing_reference",
        /// Closing auction: limit and market orders are entered, changed and cancelled.
        ClosingEntry = "closing_entry",
        /// Closing auction: limit orders only, market orders are frozen.
        ClosingLimitOnly = "closing_limit_only",
        /// Closing auction: orders are matched at one price.
        ClosingMatching = "closing_matching",
        /// Pause between the closing auction and the post-close session.
        ClosingTransition = "closing_transition",
        /// Trading at the closing price.
        PostClose = "post_close",
    }
}

named! {
    /// Whom a [`Session`] concerns; phases differ between instruments of one exchange.
    Scope {
        /// Every instrument of the exchange.
        Everything = "everything",
        /// Cash: stocks that have derivatives (they close by auction since 3 Aug 2026).
        DerivativeStocks = "derivative_stocks",
        /// Cash: all other stocks.
        OtherStocks = "other_stocks",
        /// Derivatives: futures of the current month, and of the next one in the last five days before expiry.
        NearFutures = "near_futures",
        /// Commodities: all but agricultural contracts.
        NonAgri = "non_agri",
        /// Commodities: agricultural contracts linked to a foreign price.
        LinkedAgri = "linked_agri",
    }
}

// === impl SessionKind ===

impl SessionKind {
    /// Whether orders match as they arrive.
    pub const fn is_continuous(self) -> bool {
        matches!(self, Self::Continuous | Self::Morning | Self::Evening)
    }

    /// Whether it runs beside other sessions rather than between them.
    pub const fn is_window(self) -> bool {
        matches!(self, Self::BlockDeal | Self::ClosePriceWindow)
    }
}

// === impl Scope ===

impl Scope {
    /// Whether the session belongs to the instruments most feeds carry: stocks with derivatives, and derivatives
    /// (of commodities the non-agricultural ones).
    pub const fn is_main(self) -> bool {
        !matches!(self, Self::OtherStocks | Self::LinkedAgri)
    }

    /// Whether a session of scope `self` concerns an instrument of group `group`.
    pub fn covers(self, group: Scope) -> bool {
        self == Self::Everything || self == group
    }
}

// === impl Session ===

impl Session {
    /// Whether `time` (IST) lies in it.
    pub fn contains(&self, time: Time) -> bool {
        self.start <= time && time < self.end
    }
}
