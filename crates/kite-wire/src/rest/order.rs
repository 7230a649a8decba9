//! An order as the order book, postbacks and the ticker's order frames show it.

use market_model::{InstrumentToken, Price, UnixNanos};
use serde::{Deserialize, Serialize};

use super::lenient::{count, id, or_default, price, time, token};
use crate::{Amount, OrderStatus, OrderType, Product, TransactionType, Validity, Variety};

/// A state of one order: a row of the order book or of an order's history, a postback, or the data of an order frame.
/// Frames and postbacks may come twice, late, or not at all; what only one of the sources says is `None` elsewhere.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct OrderUpdate {
    /// Whose order it is; postbacks say it here.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "id::optional")]
    pub user_id: Option<String>,
    /// Whose order it is; captured ticker frames and newer rows say it here.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "id::optional")]
    pub account_id: Option<String>,
    /// What an IOC or cancelled order left; not in rows.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "count::optional")]
    pub unfilled_quantity: Option<u64>,
    /// The app that placed it; postbacks only.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "count::optional")]
    pub app_id: Option<u64>,
    /// SHA-256 of order id, order timestamp and API secret; empty in ticker frames, not in rows. Checked by
    /// [`is_genuine_postback`](crate::is_genuine_postback).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Who placed it; another id than the user's for a dealer.
    #[serde(deserialize_with = "or_default")]
    pub placed_by: String,
    /// Kite's number of the order.
    #[serde(deserialize_with = "id::deserialize")]
    pub order_id: String,
    /// The exchange's number, once it has one.
    #[serde(deserialize_with = "id::optional")]
    pub exchange_order_id: Option<String>,
    /// The first leg of a multi-leg order.
    #[serde(deserialize_with = "id::optional")]
    pub parent_order_id: Option<String>,
    /// `COMPLETE`, `REJECTED`, `CANCELLED`, `UPDATE`, ..; an open set.
    pub status: OrderStatus,
    /// Why it was rejected or cancelled, for people.
    #[serde(deserialize_with = "id::optional")]
    pub status_message: Option<String>,
    /// The same in the exchange's words.
    #[serde(deserialize_with = "id::optional")]
    pub status_message_raw: Option<String>,
    /// When Kite registered the order.
    #[serde(with = "time")]
    pub order_timestamp: Option<UnixNanos>,
    /// When the exchange last changed it.
    #[serde(with = "time")]
    pub exchange_update_timestamp: Option<UnixNanos>,
    /// When the exchange registered it.
    #[serde(with = "time")]
    pub exchange_timestamp: Option<UnixNanos>,
    /// `regular`, `amo`, `co`, `iceberg`, `auction`.
    pub variety: Variety,
    /// Where it is placed.
    #[serde(deserialize_with = "or_default")]
    pub exchange: String,
    /// What it is for.
    #[serde(deserialize_with = "or_default")]
    pub tradingsymbol: String,
    /// The same as a number.
    #[serde(with = "token")]
    pub instrument_token: InstrumentToken,
    /// `MARKET`, `LIMIT`, `SL`, `SL-M`.
    pub order_type: OrderType,
    /// `BUY` or `SELL`.
    pub transaction_type: TransactionType,
    /// `DAY`, `IOC`, `TTL`.
    pub validity: Validity,
    /// How the position is carried.
    pub product: Product,
    /// Minutes of a `TTL` order.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "count::optional")]
    pub validity_ttl: Option<u32>,
    /// Whether it was modified; not in postbacks and old rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<bool>,
    /// Units ordered; of an iceberg order, of this leg.
    #[serde(with = "count")]
    pub quantity: u64,
    /// Units shown to the market.
    #[serde(with = "count")]
    pub disclosed_quantity: u64,
    /// Limit price; zero for a market order.
    #[serde(with = "price")]
    pub price: Price,
    /// Trigger price of a stop order.
    #[serde(with = "price")]
    pub trigger_price: Price,
    /// Average price of what is filled.
    #[serde(with = "price")]
    pub average_price: Price,
    /// Units filled.
    #[serde(with = "count")]
    pub filled_quantity: u64,
    /// Units still wanted; a cancelled order may still show them.
    #[serde(with = "count")]
    pub pending_quantity: u64,
    /// Units cancelled.
    #[serde(with = "count")]
    pub cancelled_quantity: u64,
    /// Percent of market protection; -1 for the automatic band.
    pub market_protection: Amount,
    /// The auction, of an order of variety `auction`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "id::optional")]
    pub auction_number: Option<String>,
    /// Of some rows.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "id::optional")]
    pub terminal_id: Option<String>,
    /// Of old rows.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "id::optional")]
    pub rejected_by: Option<String>,
    /// More about special orders: an object, a text or null.
    pub meta: serde_json::Value,
    /// The tag given at placement.
    #[serde(deserialize_with = "id::optional")]
    pub tag: Option<String>,
    /// That tag and marks of Kite, such as `autoslice` and the id of the sliced order.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// Kite's own mark.
    #[serde(deserialize_with = "id::optional")]
    pub guid: Option<String>,
}

/// Where an iceberg order stands; in `meta.iceberg` of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct IcebergLeg {
    /// Which leg this row is, from 1.
    #[serde(with = "count")]
    pub leg: u32,
    /// How many there are.
    #[serde(with = "count")]
    pub legs: u32,
    /// Units of this leg.
    #[serde(with = "count")]
    pub leg_quantity: u64,
    /// Units of all legs.
    #[serde(with = "count")]
    pub total_quantity: u64,
    /// Units of the legs that follow.
    #[serde(with = "count")]
    pub remaining_quantity: u64,
}

// === impl OrderUpdate ===

impl OrderUpdate {
    /// Which leg of an iceberg order this is; `None` for every other order.
    pub fn iceberg(&self) -> Option<IcebergLeg> {
        IcebergLeg::deserialize(self.meta.get("iceberg")?).ok()
    }

    /// Whose order it is, wherever that was said.
    pub fn user(&self) -> Option<&str> {
        self.user_id.as_deref().or(self.account_id.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_name_of_the_user_is_read() {
        for (text, user) in [
            (r#"{"user_id":"AB1234"}"#, Some("AB1234")),
            (r#"{"account_id":"AB1234"}"#, Some("AB1234")),
            (r#"{"user_id":"","account_id":"CD5678"}"#, Some("CD5678")),
            (r#"{"user_id":"AB1234","account_id":"CD5678"}"#, Some("AB1234")),
            (r#"{"user_id":null}"#, None),
            ("{}", None),
        ] {
            let order: OrderUpdate = serde_json::from_str(text).unwrap();
            assert_eq!(order.user(), user, "{text}");
        }
    }

    #[test]
    fn long_ids_stay_exact() {
        let order: OrderUpdate =
            serde_json::from_str(r#"{"order_id":1914227164488687616,"price":300}"#).unwrap();
        assert_eq!(order.order_id, "1914227164488687616");
        assert_eq!(order.price, Price::from_paise(30_000));
    }
}
