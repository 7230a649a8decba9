//! More about the user, and the money.

use std::fmt;

use market_model::UnixNanos;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient::{flag, id, or_default, time};
use crate::Amount;

/// The data of `GET /user/profile/full`. Personal: its `Debug` shows the client id only.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct FullProfile {
    /// Client id, such as `AB1234`.
    #[serde(deserialize_with = "id::deserialize")]
    pub user_id: String,
    /// `totp` or `app_code`.
    #[serde(deserialize_with = "id::deserialize")]
    pub twofa_type: String,
    /// Full name.
    #[serde(deserialize_with = "id::deserialize")]
    pub user_name: String,
    /// `individual`, `corporate`, ..; an open set.
    #[serde(deserialize_with = "id::deserialize")]
    pub user_type: String,
    /// E-mail address.
    #[serde(deserialize_with = "id::deserialize")]
    pub email: String,
    /// Its last digits.
    #[serde(deserialize_with = "id::deserialize")]
    pub phone: String,
    /// `ZERODHA`.
    #[serde(deserialize_with = "id::deserialize")]
    pub broker: String,
    /// Where money can go.
    #[serde(deserialize_with = "or_default")]
    pub bank_accounts: Vec<BankAccount>,
    /// Depository accounts.
    #[serde(deserialize_with = "or_default")]
    pub dp_ids: Vec<String>,
    /// Products the user may trade.
    #[serde(deserialize_with = "or_default")]
    pub products: Vec<String>,
    /// Order types the user may use.
    #[serde(deserialize_with = "or_default")]
    pub order_types: Vec<String>,
    /// Exchanges the user may trade on, and `MF`.
    #[serde(deserialize_with = "or_default")]
    pub exchanges: Vec<String>,
    /// Tax number, masked.
    #[serde(deserialize_with = "id::deserialize")]
    pub pan: String,
    /// Short name.
    #[serde(deserialize_with = "id::deserialize")]
    pub user_shortname: String,
    /// Address of a picture.
    #[serde(deserialize_with = "id::optional")]
    pub avatar_url: Option<String>,
    /// Marks.
    #[serde(deserialize_with = "or_default")]
    pub tags: Vec<String>,
    /// When the password was last changed.
    #[serde(with = "time")]
    pub password_timestamp: Option<UnixNanos>,
    /// When the second factor was last changed.
    #[serde(with = "time")]
    pub twofa_timestamp: Option<UnixNanos>,
    /// More about the user.
    #[serde(deserialize_with = "or_default")]
    pub meta: FullUserMeta,
}

/// A bank account of the user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct BankAccount {
    /// The bank.
    #[serde(deserialize_with = "id::deserialize")]
    pub name: String,
    /// The branch.
    #[serde(deserialize_with = "id::deserialize")]
    pub branch: String,
    /// Number, masked.
    #[serde(deserialize_with = "id::deserialize")]
    pub account: String,
}

/// More about a user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct FullUserMeta {
    /// `physical` or the kind of power of attorney.
    #[serde(deserialize_with = "id::deserialize")]
    pub poa: String,
    /// Internal to Kite.
    #[serde(deserialize_with = "id::deserialize")]
    pub silo: String,
    /// What is blocked; shape unknown.
    #[serde(deserialize_with = "or_default")]
    pub account_blocks: Vec<Value>,
}

/// Both purses; one that the account does not have is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Margins {
    /// Equity, derivatives and currency.
    pub equity: Option<SegmentMargins>,
    /// Commodities.
    pub commodity: Option<SegmentMargins>,
}

/// One purse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct SegmentMargins {
    /// Whether the user may trade with it.
    #[serde(deserialize_with = "flag")]
    pub enabled: bool,
    /// What is free.
    pub net: Amount,
    /// What is there.
    #[serde(deserialize_with = "or_default")]
    pub available: AvailableMargin,
    /// What is in use.
    #[serde(deserialize_with = "or_default")]
    pub utilised: UtilisedMargin,
}

/// What is there. Old answers lack some of it, which is zero then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct AvailableMargin {
    /// Given by the broker.
    pub adhoc_margin: Amount,
    /// Cash.
    pub cash: Amount,
    /// At the start of the day.
    pub opening_balance: Amount,
    /// Now.
    pub live_balance: Amount,
    /// From pledges.
    pub collateral: Amount,
    /// Paid in today.
    pub intraday_payin: Amount,
}

/// What is in use. `debits` does not follow from its parts; do not recompute it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct UtilisedMargin {
    /// In all.
    pub debits: Amount,
    /// Exposure margin.
    pub exposure: Amount,
    /// Losses made.
    pub m2m_realised: Amount,
    /// Losses open.
    pub m2m_unrealised: Amount,
    /// Premium paid.
    pub option_premium: Amount,
    /// To be paid out.
    pub payout: Amount,
    /// SPAN margin.
    pub span: Amount,
    /// From sold holdings.
    pub holding_sales: Amount,
    /// Turnover.
    pub turnover: Amount,
    /// From liquid funds.
    pub liquid_collateral: Amount,
    /// From shares.
    pub stock_collateral: Amount,
    /// For delivery.
    pub delivery: Amount,
}

// === impl FullProfile ===

impl fmt::Debug for FullProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FullProfile").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}
