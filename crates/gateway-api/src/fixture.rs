//! A small market for this crate's tests.

use std::sync::Arc;

use jiff::civil::{Date, date};
use market_model::{
    DepthLevel, Exchange, Expiry, FullTick, Instrument, InstrumentCatalog, InstrumentKind, InstrumentToken,
    Ohlc, OptionSide, Price, QuoteTick, Segment, Tick, TickBody, UnixNanos,
};
use tick_pipeline::{
    ForwardSource, GreeksState, NoGreeks, OptionGreeks, Quality, Snapshot, SnapshotBatch, SnapshotCause,
    StaleCause, Topic, TopicKind,
};

pub(crate) const NIFTY: InstrumentToken = InstrumentToken(256_265);
pub(crate) const SHARE: InstrumentToken = InstrumentToken(519_937);
/// 2026-11-20 10:00 in India.
pub(crate) const NOW: UnixNanos = UnixNanos::from_secs(1_795_149_000);

/// NIFTY with a future, three strikes on each of two expiries, and a share.
pub(crate) struct Market {
    pub(crate) catalog: Arc<InstrumentCatalog>,
}

impl Market {
    pub(crate) fn new() -> Self {
        Self::with_strikes(&[24_900, 25_000, 25_100])
    }

    pub(crate) fn with_strikes(strikes: &[i64]) -> Self {
        let november = Expiry { date: date(2026, 11, 24), instant: None };
        let mut rows = vec![
            row(NIFTY, Exchange::Nse, "NIFTY 50", "NIFTY 50", InstrumentKind::Index),
            row(SHARE, Exchange::Nse, "M&M", "MAHINDRA", InstrumentKind::Equity),
            row(
                InstrumentToken(9_000_002),
                Exchange::Nfo,
                "NIFTY26NOVFUT",
                "NIFTY",
                InstrumentKind::Future { expiry: november },
            ),
        ];
        for (expiry, code) in [(november.date, "261124"), (date(2026, 12, 1), "26D01")] {
            for &strike in strikes {
                for side in [OptionSide::Call, OptionSide::Put] {
                    rows.push(option(expiry, code, strike, side));
                }
            }
        }
        let catalog = InstrumentCatalog::new(rows, |name| (name == "NIFTY").then_some("NIFTY 50")).unwrap();
        Self { catalog: Arc::new(catalog) }
    }

    pub(crate) fn spot(&self) -> InstrumentToken {
        NIFTY
    }

    /// The call of the nearer expiry.
    pub(crate) fn call(&self, strike: i64) -> InstrumentToken {
        option_token(date(2026, 11, 24), strike, OptionSide::Call)
    }

    /// The put of the nearer expiry.
    pub(crate) fn put(&self, strike: i64) -> InstrumentToken {
        option_token(date(2026, 11, 24), strike, OptionSide::Put)
    }

    /// A batch of ticks, each a token with its last price in paise.
    pub(crate) fn batch(&self, seq: u64, ticks: &[(InstrumentToken, i64)]) -> SnapshotBatch {
        let snapshots: Vec<_> = ticks.iter().map(|&(token, paise)| self.snapshot(token, paise)).collect();
        SnapshotBatch {
            topic: Arc::new(Topic {
                exchange: "NFO".into(),
                underlying: "NIFTY".into(),
                kind: TopicKind::Options,
            }),
            source: "test/0".into(),
            seq,
            tick_count: snapshots.len() as u64,
            tick_total: seq * snapshots.len() as u64,
            ts_publish: NOW,
            sim: true,
            catalog: self.catalog.clone(),
            snapshots,
        }
    }

    /// A batch that says that `tokens` became stale.
    pub(crate) fn stale_batch(
        &self,
        seq: u64,
        tokens: &[InstrumentToken],
        cause: StaleCause,
    ) -> SnapshotBatch {
        let ticks: Vec<_> = tokens.iter().map(|&token| (token, 10_000)).collect();
        let mut batch = self.batch(seq, &ticks);
        for snapshot in &mut batch.snapshots {
            snapshot.stale = Some(cause);
            snapshot.cause = SnapshotCause::Staleness;
        }
        batch
    }

    pub(crate) fn snapshot(&self, token: InstrumentToken, paise: i64) -> Snapshot {
        let last_price = Price::from_paise(paise);
        let slot = self.catalog.slot(token).unwrap();
        let greeks = match &self.catalog.get(slot).kind {
            InstrumentKind::Option { side, .. } if paise > 100 => GreeksState::Known(greeks(*side)),
            InstrumentKind::Option { .. } => GreeksState::Absent(NoGreeks::NoPrice),
            _ => GreeksState::NotAnOption,
        };
        let ohlc = Ohlc { close: Price::from_paise(5_000), ..Ohlc::default() };
        let body = if token.is_index() {
            TickBody::IndexFull { ohlc, change: Price::ZERO, exchange_timestamp: Some(NOW) }
        } else {
            TickBody::Full(full(ohlc, last_price))
        };
        Snapshot {
            slot,
            tick: Tick { token, last_price, body },
            ts_recv: NOW,
            ts_event: Some(NOW),
            greeks,
            stale: None,
            cause: SnapshotCause::Tick,
            tick_count: 1,
        }
    }
}

fn full(ohlc: Ohlc, last_price: Price) -> FullTick {
    let mut full = FullTick {
        quote: QuoteTick { volume_traded: 650, ohlc, ..QuoteTick::default() },
        oi: 1_300,
        exchange_timestamp: Some(NOW),
        ..FullTick::default()
    };
    let step = Price::from_paise(5);
    full.depth.buy[0] = DepthLevel { price: last_price - step, quantity: 65, orders: 1 };
    full.depth.sell[0] = DepthLevel { price: last_price + step, quantity: 130, orders: 2 };
    full
}

fn greeks(side: OptionSide) -> OptionGreeks {
    OptionGreeks {
        iv: 0.125,
        delta: if side == OptionSide::Call { 0.5 } else { -0.5 },
        gamma: 0.001,
        vega: 12.0,
        theta: -9.0,
        rho: 1.0,
        forward: 25_010.5,
        forward_source: ForwardSource::Parity,
        rate: 0.065,
        t_years: 0.011,
        quality: Quality::Good,
    }
}

fn option_token(expiry: Date, strike: i64, side: OptionSide) -> InstrumentToken {
    let number = i64::from(expiry.day()) * 100_000 + strike * 2 + i64::from(side == OptionSide::Put);
    InstrumentToken((number * 256 + 2) as u32)
}

fn option(expiry: Date, code: &str, strike: i64, side: OptionSide) -> Instrument {
    let kind = InstrumentKind::Option {
        expiry: Expiry { date: expiry, instant: None },
        strike: Price::from_paise(strike * 100),
        side,
    };
    let symbol = format!("NIFTY{code}{strike}{}", side.as_str());
    row(option_token(expiry, strike, side), Exchange::Nfo, &symbol, "NIFTY", kind)
}

fn row(
    token: InstrumentToken,
    exchange: Exchange,
    symbol: &str,
    name: &str,
    kind: InstrumentKind,
) -> Instrument {
    Instrument {
        token,
        exchange,
        segment: Segment::NfoOptions,
        tradingsymbol: symbol.into(),
        name: name.into(),
        kind,
        lot_size: 65,
        tick_size: Price::from_paise(5),
    }
}
