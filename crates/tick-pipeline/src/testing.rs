//! A small market for the tests of this crate: an index, two futures, two option chains, one share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::civil::date;
use market_model::{
    ConnectionId, Depth, DepthLevel, Exchange, Expiry, FeedEvent, FullTick, Instrument, InstrumentCatalog,
    InstrumentKind, InstrumentToken, ManualClock, Ohlc, OptionSide, Price, QuoteTick, Segment, Tick,
    TickBody, TickFrame, UnixNanos,
};
use option_greeks::{OptionInputs, OptionKind, PricingModel};

use crate::{Output, Pipeline, PipelineConfig, PipelineMetrics, Snapshot, SnapshotBatch};

pub(crate) const INDEX: InstrumentToken = InstrumentToken(256_265);
pub(crate) const FUTURE: InstrumentToken = InstrumentToken(2);
pub(crate) const SHARE: InstrumentToken = InstrumentToken(408_065);
/// Strikes of both chains.
pub(crate) const STRIKES: std::ops::RangeInclusive<i64> = 240..=260;
pub(crate) const RATE: f64 = 0.065;

/// 2026-11-20 09:30:00 in India, a Friday.
pub(crate) const START: UnixNanos = UnixNanos::from_secs(1_795_147_200);

/// The token of an option; `strike` in hundreds of points. The near chain ends on the 24th, the far one on 1 Dec.
pub(crate) fn option(near: bool, strike: i64, side: OptionSide) -> InstrumentToken {
    let side = if side == OptionSide::Call { 0 } else { 1 };
    let chain = if near { 0 } else { 1 };
    InstrumentToken((((1000 + strike as u32) * 4 + chain * 2 + side) << 8) | 2)
}

/// Four days, ten minutes and 6 h after the start: 24 Nov 15:40 in India.
pub(crate) fn near_expiry() -> UnixNanos {
    START + Duration::from_secs(4 * 86_400 + 6 * 3600 + 600)
}

pub(crate) fn catalog() -> Arc<InstrumentCatalog> {
    Arc::new(InstrumentCatalog::new(instruments(), |name| (name == "NIFTY").then_some("NIFTY 50")).unwrap())
}

pub(crate) fn instruments() -> Vec<Instrument> {
    let near = Expiry { date: date(2026, 11, 24), instant: Some(near_expiry()) };
    let far =
        Expiry { date: date(2026, 12, 1), instant: Some(near_expiry() + Duration::from_secs(7 * 86_400)) };
    let row = |token, exchange, symbol: &str, kind| Instrument {
        token,
        exchange,
        segment: Segment::Indices,
        tradingsymbol: symbol.into(),
        name: "NIFTY".into(),
        kind,
        lot_size: 65,
        tick_size: Price::from_paise(5),
    };
    let mut rows = vec![
        row(INDEX, Exchange::Nse, "NIFTY 50", InstrumentKind::Index),
        row(FUTURE, Exchange::Nfo, "NIFTY26NOVFUT", InstrumentKind::Future { expiry: near }),
        row(SHARE, Exchange::Nse, "INFY", InstrumentKind::Equity),
    ];
    for (is_near, expiry) in [(true, near), (false, far)] {
        for strike in STRIKES {
            for side in [OptionSide::Call, OptionSide::Put] {
                let symbol = format!("NIFTY{}{strike}00{}", expiry.date, side.as_str());
                let kind =
                    InstrumentKind::Option { expiry, strike: Price::from_paise(strike * 10_000), side };
                rows.push(row(option(is_near, strike, side), Exchange::Nfo, &symbol, kind));
            }
        }
    }
    rows
}

pub(crate) fn price(rupees: f64) -> Price {
    Price::from_f64(rupees).unwrap()
}

pub(crate) fn ltp(token: InstrumentToken, last: f64) -> Tick {
    Tick { token, last_price: price(last), body: TickBody::Ltp }
}

/// A full tick with one level a side, stamped at `at`.
pub(crate) fn full(token: InstrumentToken, last: f64, bid: f64, ask: f64, at: UnixNanos) -> Tick {
    let level = |rupees: f64| DepthLevel { price: price(rupees), quantity: 65, orders: 1 };
    let mut depth = Depth::default();
    depth.buy[0] = level(bid);
    depth.sell[0] = level(ask);
    let ohlc = Ohlc { open: price(last), high: price(last), low: price(last), close: price(last) };
    let quote = QuoteTick { volume_traded: 65, ohlc, ..QuoteTick::default() };
    let body = TickBody::Full(FullTick {
        quote,
        last_trade_time: Some(at),
        exchange_timestamp: Some(at),
        depth,
        ..FullTick::default()
    });
    Tick { token, last_price: price(last), body }
}

/// The volatility of a strike in the test market: a skewed smile.
pub(crate) fn smile(strike: i64, forward: f64) -> f64 {
    let x = (strike as f64 * 100.0 / forward).ln();
    0.13 - 0.3 * x + 1.5 * x * x
}

/// The fair Black-76 value of an option.
pub(crate) fn fair(forward: f64, strike: i64, side: OptionSide, volatility: f64, years: f64) -> f64 {
    let kind = if side == OptionSide::Call { OptionKind::Call } else { OptionKind::Put };
    let inputs = OptionInputs {
        model: PricingModel::Black76 { forward },
        kind,
        strike: strike as f64 * 100.0,
        rate: RATE,
        years_to_expiry: years,
    };
    option_greeks::price(&inputs, volatility).unwrap()
}

/// Years from `now` to the end of the near chain.
pub(crate) fn near_years(now: UnixNanos) -> f64 {
    (near_expiry().0 - now.0) as f64 / (525_600.0 * 60e9)
}

/// Both options of every near strike, quoted around their fair value with a small exact spread.
pub(crate) fn near_chain(forward: f64, now: UnixNanos) -> Vec<Tick> {
    let sides = [OptionSide::Call, OptionSide::Put];
    let options = STRIKES.flat_map(|strike| sides.map(|side| (strike, side)));
    let quote = |(strike, side)| {
        let mid = fair(forward, strike, side, smile(strike, forward), near_years(now));
        let half = 1e-3 * mid;
        full(option(true, strike, side), mid, mid - half, mid + half, now)
    };
    options.map(quote).collect()
}

pub(crate) fn connection(index: u8) -> ConnectionId {
    ConnectionId { account: "acct".into(), index }
}

pub(crate) fn frame(index: u8, ts_recv: UnixNanos, ticks: Vec<Tick>) -> FeedEvent {
    FeedEvent::Ticks(TickFrame { connection: connection(index), ts_recv, ticks })
}

/// A pipeline whose time moves only when told to.
pub(crate) struct Bench {
    pub(crate) pipeline: Pipeline,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) now: Instant,
    /// Everything that came out since the last [`take`](Self::take).
    pub(crate) batches: Vec<Arc<SnapshotBatch>>,
}

impl Bench {
    pub(crate) fn new(config: PipelineConfig) -> Self {
        Self::with_market(config, catalog().into())
    }

    pub(crate) fn with_market(config: PipelineConfig, market: crate::Market) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let metrics = PipelineMetrics::noop();
        let pipeline = Pipeline::new(config, "acct".into(), true, market, clock.clone(), metrics);
        Self { pipeline, clock, now: Instant::now(), batches: Vec::new() }
    }

    pub(crate) fn push(&mut self, ticks: Vec<Tick>) {
        let recv = self.wall();
        self.pipeline.push(frame(0, recv, ticks), self.now);
    }

    pub(crate) fn event(&mut self, event: FeedEvent) {
        self.pipeline.push(event, self.now);
    }

    pub(crate) fn wall(&self) -> UnixNanos {
        market_model::Clock::now(&*self.clock)
    }

    /// Lets time pass, polls, and takes what the poll put into batches without waiting for their age.
    pub(crate) fn pass(&mut self, by: Duration) {
        self.now += by;
        self.clock.advance(by);
        self.pipeline.poll(self.now);
        self.flush();
    }

    pub(crate) fn flush(&mut self) {
        self.pipeline.flush(self.now);
        self.collect();
    }

    pub(crate) fn collect(&mut self) {
        while let Some(output) = self.pipeline.next_output() {
            if let Output::Batch(batch) = output {
                self.batches.push(batch);
            }
        }
    }

    /// The snapshots that came out since the last call.
    pub(crate) fn take(&mut self) -> Vec<Snapshot> {
        self.collect();
        self.batches.drain(..).flat_map(|batch| batch.snapshots.clone()).collect()
    }

    /// The newest state of one instrument.
    pub(crate) fn state(&self, token: InstrumentToken) -> Snapshot {
        let slot = catalog().slot(token).unwrap();
        self.pipeline.snapshot(slot).unwrap()
    }
}
