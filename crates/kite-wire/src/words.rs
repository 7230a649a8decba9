//! Kite's words: sets that are open, so that a word of tomorrow is kept and not an error.

use std::fmt;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A word this version does not know, kept as it was written; empty when there was none.
            Other(Box<str>),
        }

        // === impl $name ===

        impl $name {
            /// Every word this version knows.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant,)+];

            /// What Kite writes as `word`; an unknown word is kept.
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

        impl Default for $name {
            /// No word.
            fn default() -> Self {
                Self::Other(Box::default())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::rest::lenient::id::deserialize(deserializer).map(|word| Self::from_word(&word))
            }
        }
    )+};
}

words! {
    /// Which way an order goes.
    TransactionType {
        /// Buy.
        Buy = "BUY",
        /// Sell.
        Sell = "SELL",
    }
    /// How a position is carried.
    Product {
        /// Equity delivery.
        Cnc = "CNC",
        /// Overnight derivatives.
        Nrml = "NRML",
        /// Intraday.
        Mis = "MIS",
        /// Funded delivery.
        Mtf = "MTF",
        /// Cover order; only in old rows.
        Co = "CO",
        /// Bracket order; only in old rows.
        Bo = "BO",
    }
    /// At which price an order may be filled.
    OrderType {
        /// At any price within the market protection.
        Market = "MARKET",
        /// At this price or better.
        Limit = "LIMIT",
        /// A limit order that waits for its trigger.
        Sl = "SL",
        /// A market order that waits for its trigger.
        SlM = "SL-M",
    }
    /// How long an order lives.
    Validity {
        /// Until the end of the day.
        Day = "DAY",
        /// Filled at once or cancelled.
        Ioc = "IOC",
        /// For some minutes.
        Ttl = "TTL",
    }
    /// Which kind of order; a part of the address of the order routes.
    Variety {
        /// An ordinary order.
        Regular = "regular",
        /// After-market order. Its row keeps this word even when it must be changed as `regular` (section 6.3).
        Amo = "amo",
        /// Cover order.
        Co = "co",
        /// An order shown in legs.
        Iceberg = "iceberg",
        /// A sale into an auction.
        Auction = "auction",
        /// Bracket order; dead.
        Bo = "bo",
    }
    /// How far an order has come.
    OrderStatus {
        /// Accepted by the API's back end.
        PutOrderReqReceived = "PUT ORDER REQ RECEIVED",
        /// Waits for risk checks.
        ValidationPending = "VALIDATION PENDING",
        /// Sent, not yet registered by the exchange.
        OpenPending = "OPEN PENDING",
        /// Live at the exchange.
        Open = "OPEN",
        /// A stop order that waits for its trigger.
        TriggerPending = "TRIGGER PENDING",
        /// A modification waits for risk checks.
        ModifyValidationPending = "MODIFY VALIDATION PENDING",
        /// A modification is on its way.
        ModifyPending = "MODIFY PENDING",
        /// A modification was made.
        Modified = "MODIFIED",
        /// A cancellation is on its way.
        CancelPending = "CANCEL PENDING",
        /// Waits for the market to open.
        AmoReqReceived = "AMO REQ RECEIVED",
        /// Fully filled; nothing follows.
        Complete = "COMPLETE",
        /// Cancelled, perhaps after a part was filled; nothing follows.
        Cancelled = "CANCELLED",
        /// Refused by risk checks or the exchange; nothing follows.
        Rejected = "REJECTED",
        /// Known from one client only; nothing follows.
        Lapsed = "LAPSED",
        /// Only in postbacks and order frames: an open order was modified or partly filled.
        Update = "UPDATE",
    }
    /// Whether a position is converted from today's trades or from the carried part.
    PositionType {
        /// Traded today.
        Day = "day",
        /// Carried from before.
        Overnight = "overnight",
    }
    /// One of the two purses of an account.
    MarginSegment {
        /// Equity, derivatives and currency.
        Equity = "equity",
        /// Commodities.
        Commodity = "commodity",
    }
    /// How many triggers a GTT has.
    GttType {
        /// One.
        Single = "single",
        /// Two; the first that is reached drops the other.
        TwoLeg = "two-leg",
    }
    /// How a GTT stands. `triggered` says only that an order was attempted.
    GttStatus {
        /// Waits.
        Active = "active",
        /// Fired, whatever became of the order.
        Triggered = "triggered",
        /// Switched off.
        Disabled = "disabled",
        /// A year has passed.
        Expired = "expired",
        /// Cancelled, for example by a corporate action.
        Cancelled = "cancelled",
        /// Refused.
        Rejected = "rejected",
        /// Deleted by the user.
        Deleted = "deleted",
    }
    /// What an alert does.
    AlertType {
        /// Tells.
        Simple = "simple",
        /// Places orders.
        Ato = "ato",
    }
    /// How an alert stands.
    AlertStatus {
        /// Watches.
        Enabled = "enabled",
        /// Fired or switched off.
        Disabled = "disabled",
        /// Deleted by the user, kept for its history.
        Deleted = "deleted",
    }
    /// How long a candle lasts. Seven more than the documented nine are served (section 5).
    Interval {
        /// One minute.
        Minute = "minute",
        /// Two minutes; undocumented.
        Minute2 = "2minute",
        /// Three minutes.
        Minute3 = "3minute",
        /// Four minutes; undocumented.
        Minute4 = "4minute",
        /// Five minutes.
        Minute5 = "5minute",
        /// Ten minutes.
        Minute10 = "10minute",
        /// A quarter of an hour.
        Minute15 = "15minute",
        /// Half an hour.
        Minute30 = "30minute",
        /// An hour.
        Minute60 = "60minute",
        /// An hour; undocumented.
        Hour = "hour",
        /// Two hours; undocumented.
        Hour2 = "2hour",
        /// Three hours; undocumented.
        Hour3 = "3hour",
        /// Four hours; undocumented.
        Hour4 = "4hour",
        /// A trading day.
        Day = "day",
        /// A week; undocumented.
        Week = "week",
    }
    /// Kite's classes of errors: branch on these, never on the HTTP status alone.
    ErrorKind {
        /// The session has expired or was never good: log in again.
        Token = "TokenException",
        /// The app or the address may not do this; says nothing about the session.
        Permission = "PermissionException",
        /// About the user's account.
        User = "UserException",
        /// An order could not be placed or fetched.
        Order = "OrderException",
        /// A parameter is missing or bad.
        Input = "InputException",
        /// Not enough money.
        Margin = "MarginException",
        /// Not enough holdings, or not authorised for sale.
        Holding = "HoldingException",
        /// The order system could not be reached; also the class of "too many requests".
        Network = "NetworkException",
        /// The order system's answer could not be read.
        Data = "DataException",
        /// Anything else.
        General = "GeneralException",
    }
}

impl OrderStatus {
    /// Whether nothing follows. Every word outside the four final ones means "still working".
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Complete | Self::Cancelled | Self::Rejected | Self::Lapsed)
    }
}

impl Interval {
    /// The longest range of one call, in days (section 14); `None` for an interval this version does not know.
    pub const fn most_days(&self) -> Option<u16> {
        Some(match self {
            Self::Minute | Self::Minute2 => 60,
            Self::Minute3 | Self::Minute4 | Self::Minute5 | Self::Minute10 => 100,
            Self::Minute15 | Self::Minute30 => 200,
            Self::Minute60 | Self::Hour | Self::Hour2 | Self::Hour3 | Self::Hour4 => 400,
            Self::Day | Self::Week => 2000,
            Self::Other(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_and_unknown_ones_go_both_ways() {
        for status in OrderStatus::KNOWN {
            assert_eq!(&OrderStatus::from_word(status.as_str()), status);
        }
        let finished = OrderStatus::KNOWN.iter().filter(|status| status.is_final());
        assert_eq!(finished.count(), 4);
        let new: OrderStatus = serde_json::from_str(r#""ON HOLD""#).unwrap();
        assert_eq!((new.as_str(), new.is_final()), ("ON HOLD", false));
        assert_eq!(serde_json::to_string(&new).unwrap(), r#""ON HOLD""#);
        assert_eq!(serde_json::from_str::<Product>("null").unwrap(), Product::default());
    }
}
