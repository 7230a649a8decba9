//! Mutual funds.

use std::collections::BTreeMap;

use jiff::civil::Date;
use market_model::UnixNanos;
use serde::{Deserialize, Serialize};

use super::lenient::{count, date, id, or_default, signed, time};
use crate::{Amount, TransactionType};

/// An order for units of a fund.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct MfOrder {
    /// A UUID; a number in old rows.
    #[serde(deserialize_with = "id::deserialize")]
    pub order_id: String,
    /// The exchange's number.
    #[serde(deserialize_with = "id::optional")]
    pub exchange_order_id: Option<String>,
    /// ISIN.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// `COMPLETE`, `REJECTED`, `CANCELLED`, `OPEN`, ..; an open set.
    #[serde(deserialize_with = "id::deserialize")]
    pub status: String,
    /// Why, for people.
    #[serde(deserialize_with = "id::optional")]
    pub status_message: Option<String>,
    /// The account at the fund house.
    #[serde(deserialize_with = "id::optional")]
    pub folio: Option<String>,
    /// Name of the fund.
    #[serde(deserialize_with = "id::deserialize")]
    pub fund: String,
    /// When Kite registered it.
    #[serde(with = "time")]
    pub order_timestamp: Option<UnixNanos>,
    /// The day the exchange registered it.
    #[serde(with = "date")]
    pub exchange_timestamp: Option<Date>,
    /// The exchange's settlement.
    #[serde(deserialize_with = "id::optional")]
    pub settlement_id: Option<String>,
    /// Buy or redeem.
    pub transaction_type: TransactionType,
    /// `regular`, `sip`, `amc_sip`.
    #[serde(deserialize_with = "id::deserialize")]
    pub variety: String,
    /// `FRESH` or `ADDITIONAL`.
    #[serde(deserialize_with = "id::optional")]
    pub purchase_type: Option<String>,
    /// Units.
    pub quantity: Amount,
    /// Only in old rows.
    #[serde(skip_serializing_if = "is_nothing")]
    pub price: Amount,
    /// Rupees.
    pub amount: Amount,
    /// Last price of a unit.
    pub last_price: Amount,
    /// Of that price.
    #[serde(with = "date")]
    pub last_price_date: Option<Date>,
    /// What was paid for a unit.
    pub average_price: Amount,
    /// Who placed it.
    #[serde(deserialize_with = "id::deserialize")]
    pub placed_by: String,
    /// The user's mark.
    #[serde(deserialize_with = "id::optional")]
    pub tag: Option<String>,
}

/// A plan that buys again and again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Sip {
    /// Kite's number of it.
    #[serde(deserialize_with = "id::deserialize")]
    pub sip_id: String,
    /// ISIN.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// Name of the fund.
    #[serde(deserialize_with = "id::deserialize")]
    pub fund: String,
    /// `growth`, `payout`, `idcw`.
    #[serde(deserialize_with = "id::deserialize")]
    pub dividend_type: String,
    /// `BUY`.
    pub transaction_type: TransactionType,
    /// `ACTIVE`, `PAUSED`, `CANCELLED`.
    #[serde(deserialize_with = "id::deserialize")]
    pub status: String,
    /// `sip` or `amc_sip`.
    #[serde(deserialize_with = "id::deserialize")]
    pub sip_type: String,
    /// The fund house's number of it.
    #[serde(deserialize_with = "id::optional")]
    pub sip_reg_num: Option<String>,
    /// When it was made.
    #[serde(with = "time")]
    pub created: Option<UnixNanos>,
    /// `monthly`, `weekly`, `quarterly`.
    #[serde(deserialize_with = "id::deserialize")]
    pub frequency: String,
    /// Rupees of each instalment.
    pub instalment_amount: Amount,
    /// How many; -1 or 9999 until cancelled.
    #[serde(with = "signed")]
    pub instalments: i64,
    /// How many are left; -1 or 9998 until cancelled.
    #[serde(with = "signed")]
    pub pending_instalments: i64,
    /// How many were made.
    #[serde(with = "count")]
    pub completed_instalments: u64,
    /// The last one.
    #[serde(with = "time")]
    pub last_instalment: Option<UnixNanos>,
    /// The next one.
    #[serde(with = "date")]
    pub next_instalment: Option<Date>,
    /// Day of the month; zero unless monthly. Old answers call it `instalment_date`.
    #[serde(with = "count", alias = "instalment_date")]
    pub instalment_day: u64,
    /// By how many percent an instalment grows, by day and month (`05-05`).
    #[serde(deserialize_with = "or_default")]
    pub step_up: BTreeMap<String, Amount>,
    /// Price that starts it.
    pub trigger_price: Amount,
    /// The user's mark.
    #[serde(deserialize_with = "id::optional")]
    pub tag: Option<String>,
    /// Where the money comes from.
    #[serde(deserialize_with = "id::optional", skip_serializing_if = "Option::is_none")]
    pub fund_source: Option<String>,
}

/// The answer to every change of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct SipId {
    /// Kite's number of it.
    #[serde(deserialize_with = "id::deserialize")]
    pub sip_id: String,
}

/// Units of a fund.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct MfHolding {
    /// The account at the fund house.
    #[serde(deserialize_with = "id::deserialize")]
    pub folio: String,
    /// Name of the fund.
    #[serde(deserialize_with = "id::deserialize")]
    pub fund: String,
    /// ISIN.
    #[serde(deserialize_with = "id::deserialize")]
    pub tradingsymbol: String,
    /// What was paid for a unit.
    pub average_price: Amount,
    /// Last price of a unit.
    pub last_price: Amount,
    /// Of that price.
    #[serde(with = "date")]
    pub last_price_date: Option<Date>,
    /// Units pledged.
    pub pledged_quantity: Amount,
    /// Gain.
    pub pnl: Amount,
    /// Units.
    pub quantity: Amount,
}

fn is_nothing(amount: &Amount) -> bool {
    amount.is_zero()
}
