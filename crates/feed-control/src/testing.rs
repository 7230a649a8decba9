//! For tests and measurements: a market to order, prices to set, and tickers that only write down what they are told.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use market_model::{
    Exchange, Expiry, Instrument, InstrumentCatalog, InstrumentKind, InstrumentToken, OptionSide, Price,
    Segment, SubscriptionSet, SubscriptionState, UnixNanos,
};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::Instant;

use crate::{FeedLink, Quote, Quotes};

/// A market: underlyings `U0`, `U1`, ... with options around 1000 rupees in steps of ten, and shares `S0`, `S1`, ...
#[derive(Debug, Clone)]
pub struct SampleMarket {
    /// Underlyings with options. `U0` has token 0, `U1` token 1, and so on.
    pub underlyings: u32,
    /// Strikes of each expiry, the middle one at 1000 rupees.
    pub strikes: u32,
    /// Last days of their options; contracts end at the given instant.
    pub expiries: Vec<(Date, UnixNanos)>,
    /// Whether each expiry has a future.
    pub futures: bool,
    /// Shares without options.
    pub shares: u32,
}

impl SampleMarket {
    /// The day's instruments.
    ///
    /// # Panics
    /// When there are more than tokens.
    pub fn catalog(&self) -> InstrumentCatalog {
        let mut rows = Vec::new();
        for share in 0..self.underlyings {
            rows.push(row(share, Exchange::Nse, format!("U{share}"), InstrumentKind::Equity));
        }
        for share in 0..self.shares {
            rows.push(row(500_000 + share, Exchange::Nse, format!("S{share}"), InstrumentKind::Equity));
        }
        let mut next = 1_000_000;
        for underlying in 0..self.underlyings {
            for (date, end) in &self.expiries {
                let expiry = Expiry { date: *date, instant: Some(*end) };
                let name = format!("U{underlying}");
                let mut add = |symbol: String, kind| {
                    let row = row(next, Exchange::Nfo, symbol, kind);
                    rows.push(Instrument { name: name.clone().into(), ..row });
                    next += 1;
                };
                if self.futures {
                    add(format!("{name}{date}FUT"), InstrumentKind::Future { expiry });
                }
                for at in 0..self.strikes {
                    let rupees = 1000 + 10 * (i64::from(at) - i64::from(self.strikes / 2));
                    let strike = Price::from_paise(rupees * 100);
                    for side in [OptionSide::Call, OptionSide::Put] {
                        let symbol = format!("{name}{date}{rupees}{}", side.as_str());
                        add(symbol, InstrumentKind::Option { expiry, strike, side });
                    }
                }
            }
        }
        match InstrumentCatalog::new(rows, |_| None) {
            Ok(catalog) => catalog,
            Err(error) => panic!("{error}"),
        }
    }
}

fn row(token: u32, exchange: Exchange, symbol: String, kind: InstrumentKind) -> Instrument {
    Instrument {
        token: InstrumentToken(token),
        exchange,
        segment: Segment::Nse,
        name: symbol.clone().into(),
        tradingsymbol: symbol.into(),
        kind,
        lot_size: 1,
        tick_size: Price::from_paise(5),
    }
}

/// Prices that are what they were set to.
#[derive(Debug, Default)]
pub struct SetQuotes(Mutex<FxHashMap<InstrumentToken, Quote>>);

impl SetQuotes {
    /// From now on the last price of `token` is this.
    pub fn set(&self, token: u32, rupees: f64, at: UnixNanos) {
        let price = Price::from_f64(rupees).unwrap_or_default();
        let mut quotes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        quotes.insert(InstrumentToken(token), Quote { price, at });
    }
}

impl Quotes for SetQuotes {
    fn last(&self, token: InstrumentToken) -> Option<Quote> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&token).copied()
    }
}

/// Tickers that tick a while after they are told to, and know who streams what.
#[derive(Debug)]
pub struct DoubleLink {
    live_after: Duration,
    state: Mutex<LinkState>,
}

#[derive(Debug, Default)]
struct LinkState {
    since: FxHashMap<(String, InstrumentToken), Instant>,
    mute: FxHashSet<String>,
    commands: Vec<(Instant, String, SubscriptionSet)>,
}

impl DoubleLink {
    /// Tickers whose subscriptions are live `live_after` the command.
    pub fn new(live_after: Duration) -> Self {
        Self { live_after, state: Mutex::default() }
    }

    /// From now on nothing new becomes live on `account`.
    pub fn mute(&self, account: &str) {
        self.state().mute.insert(account.to_owned());
    }

    /// Every command so far: when, to whom, what.
    pub fn commands(&self) -> Vec<(Instant, String, SubscriptionSet)> {
        self.state().commands.clone()
    }

    /// What `account` was told last.
    pub fn told(&self, account: &str) -> SubscriptionSet {
        let state = self.state();
        let last = state.commands.iter().rev().find(|(_, told, _)| told == account);
        last.map_or_else(SubscriptionSet::new, |(_, _, set)| set.clone())
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeedLink for DoubleLink {
    fn set_desired(&self, account: &str, desired: SubscriptionSet) {
        let mut state = self.state();
        let now = Instant::now();
        state.since.retain(|(known, token), _| known != account || desired.mode(*token).is_some());
        for one in desired.iter() {
            state.since.entry((account.to_owned(), one.token)).or_insert(now);
        }
        state.commands.push((now, account.to_owned(), desired));
    }

    fn state(&self, account: &str, token: InstrumentToken) -> Option<SubscriptionState> {
        let state = self.state();
        let since = state.since.get(&(account.to_owned(), token))?;
        let live = !state.mute.contains(account) && Instant::now() >= *since + self.live_after;
        Some(if live { SubscriptionState::Live } else { SubscriptionState::Sent })
    }
}
