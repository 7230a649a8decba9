//! The indices of the simulated market and what their derivatives look like.

use jiff::civil::Weekday;
use market_model::Exchange;

/// An index with derivatives.
#[derive(Debug, Clone)]
pub(crate) struct IndexSpec {
    /// The name its derivatives carry.
    pub(crate) name: &'static str,
    /// Its own symbol.
    pub(crate) symbol: &'static str,
    /// Kite's token.
    pub(crate) token: u32,
    /// Where the index is listed.
    pub(crate) exchange: Exchange,
    /// Where its derivatives are listed.
    pub(crate) derivatives: Exchange,
    /// Segment byte of its derivatives' tokens.
    pub(crate) segment_byte: u8,
    /// Value around which it moves.
    pub(crate) base: f64,
    /// Move per move of the common factor.
    pub(crate) beta: f64,
    /// Volatility of its own, per root of a year.
    pub(crate) own_volatility: f64,
    /// Usual implied volatility at the money.
    pub(crate) implied_volatility: f64,
    /// What is used for days that the calendar does not know.
    pub(crate) fallback: Fallback,
}

/// Contract rules for days beyond the calendar's tables. Good enough for a simulator, which must list something on any
/// day; nothing else may rely on them.
#[derive(Debug, Clone)]
pub(crate) struct Fallback {
    /// Day of the week on which its options end.
    pub(crate) expiry_weekday: Weekday,
    /// Whether it has weekly options.
    pub(crate) weekly: bool,
    /// Units per lot.
    pub(crate) lot_size: u32,
    /// Distance of strikes.
    pub(crate) strike_step: i64,
}

/// Every index with derivatives. The first is the one the common factor follows.
pub(crate) fn indices() -> Vec<IndexSpec> {
    let nse = |name, symbol, token, base, beta, own_volatility, implied_volatility, fallback| IndexSpec {
        name,
        symbol,
        token,
        exchange: Exchange::Nse,
        derivatives: Exchange::Nfo,
        segment_byte: 2,
        base,
        beta,
        own_volatility,
        implied_volatility,
        fallback,
    };
    let tuesday = |weekly, lot_size, strike_step| Fallback {
        expiry_weekday: Weekday::Tuesday,
        weekly,
        lot_size,
        strike_step,
    };
    vec![
        nse("NIFTY", "NIFTY 50", 256_265, 26_000.0, 1.0, 0.015, 0.118, tuesday(true, 65, 50)),
        nse("BANKNIFTY", "NIFTY BANK", 260_105, 58_500.0, 1.1, 0.06, 0.136, tuesday(false, 30, 100)),
        IndexSpec {
            name: "SENSEX",
            symbol: "SENSEX",
            token: 265,
            exchange: Exchange::Bse,
            derivatives: Exchange::Bfo,
            segment_byte: 5,
            base: 85_000.0,
            beta: 0.98,
            own_volatility: 0.02,
            implied_volatility: 0.12,
            fallback: Fallback {
                expiry_weekday: Weekday::Thursday,
                weekly: true,
                lot_size: 20,
                strike_step: 100,
            },
        },
    ]
}

/// Kite's token of `INDIA VIX`.
pub(crate) const INDIA_VIX_TOKEN: u32 = 264_969;
