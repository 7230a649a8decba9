//! Chains whose prices move together, with a smile and Black-76 Greeks.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use market_model::{
    DepthLevel, Exchange, Expiry, FullTick, GapCause, Instrument, InstrumentCatalog, InstrumentKind,
    InstrumentToken, Ohlc, OptionSide, Price, QuoteTick, Segment, Tick, TickBody, UnixNanos,
};
use option_greeks::{OptionInputs, OptionKind, PricingModel};
use tick_pipeline::{
    ForwardSource, GreeksState, NoGreeks, OptionGreeks, Quality, Snapshot, SnapshotBatch, SnapshotCause,
    StaleCause, Topic, TopicKind,
};

const RATE: f64 = 0.065;
const YEAR: f64 = 365.0 * 86_400.0;

struct Index {
    name: &'static str,
    symbol: &'static str,
    spot: f64,
    close: f64,
    volatility: f64,
}

/// A market that walks at random.
pub(crate) struct SyntheticMarket {
    pub(crate) catalog: Arc<InstrumentCatalog>,
    indices: Vec<Index>,
    random: u64,
    seq: u64,
}

impl SyntheticMarket {
    pub(crate) fn new(now: UnixNanos) -> Result<Self, market_model::CatalogError> {
        let index = |name, symbol, spot: f64, volatility| Index {
            name,
            symbol,
            spot,
            close: spot * 0.9962,
            volatility,
        };
        let indices = vec![
            index("NIFTY", "NIFTY 50", 25_012.4, 0.118),
            index("BANKNIFTY", "NIFTY BANK", 57_230.0, 0.142),
            index("FINNIFTY", "NIFTY FIN SERVICE", 26_740.0, 0.131),
        ];
        let mut rows = Vec::new();
        for (number, index) in (0u32..).zip(&indices) {
            add_rows(index, number, now, &mut rows);
        }
        let names: Vec<(&str, &'static str)> =
            indices.iter().map(|index| (index.name, index.symbol)).collect();
        let symbol_of =
            |name: &str| names.iter().find(|(known, _)| *known == name).map(|&(_, symbol)| symbol);
        let catalog = Arc::new(InstrumentCatalog::new(rows, symbol_of)?);
        Ok(Self { catalog, indices, random: 0x9e37_79b9_7f4a_7c15, seq: 0 })
    }

    /// Moves the prices; answers a batch per underlying and kind. `all` makes every instrument tick.
    pub(crate) fn step(&mut self, now: UnixNanos, all: bool) -> Vec<SnapshotBatch> {
        self.seq += 1;
        let catalog = self.catalog.clone();
        let mut batches = Vec::new();
        for at in 0..self.indices.len() {
            let shock = self.uniform() + self.uniform() + self.uniform() - 1.5;
            self.indices[at].spot *= 1.0 + shock * 6e-5;
            let (name, spot) = (self.indices[at].name, self.indices[at].spot);
            let Some(id) = catalog.underlying_by_name(name) else { continue };
            let underlying = catalog.underlying(id);
            let mut carriers = Vec::new();
            if let Some(slot) = underlying.spot {
                let tick = self.index_tick(catalog.get(slot).token, at, spot, now);
                carriers.push(snapshot(slot, tick, GreeksState::NotAnOption, now));
            }
            for &slot in &underlying.futures {
                let years = years_to(catalog.get(slot), now);
                let price = spot * (RATE * years).exp();
                let tick = self.full_tick(catalog.get(slot).token, price, price * 0.9962, 0.1, 0.9, now);
                carriers.push(snapshot(slot, tick, GreeksState::NotAnOption, now));
            }
            batches.push(self.batch(name, TopicKind::Underlying, carriers, now));
            let mut options = Vec::new();
            for chain in &underlying.chains {
                for row in &chain.rows {
                    for slot in [row.call, row.put].into_iter().flatten() {
                        if all || self.uniform() < 0.12 {
                            options.extend(self.option(&catalog, slot, at, now));
                        }
                    }
                }
            }
            batches.push(self.batch(name, TopicKind::Options, options, now));
        }
        batches
    }

    /// Says that a third of the first chain is not current; the next ticks make it so again.
    pub(crate) fn go_stale(&mut self, now: UnixNanos) -> SnapshotBatch {
        let catalog = self.catalog.clone();
        let chain = catalog.underlyings().iter().find_map(|underlying| underlying.chains.first());
        let slots =
            chain.into_iter().flat_map(|chain| &chain.rows).flat_map(|row| [row.call, row.put]).flatten();
        let mut snapshots: Vec<Snapshot> =
            slots.step_by(3).filter_map(|slot| self.option(&catalog, slot, 0, now)).collect();
        for snapshot in &mut snapshots {
            snapshot.stale = Some(StaleCause::Feed(GapCause::Disconnected));
            snapshot.cause = SnapshotCause::Staleness;
        }
        self.batch("NIFTY", TopicKind::Options, snapshots, now)
    }

    fn option(
        &mut self,
        catalog: &InstrumentCatalog,
        slot: market_model::InstrumentSlot,
        at: usize,
        now: UnixNanos,
    ) -> Option<Snapshot> {
        let instrument = catalog.get(slot);
        let InstrumentKind::Option { strike, side, .. } = &instrument.kind else { return None };
        let index = &self.indices[at];
        let (strike, years) = (strike.to_f64(), years_to(instrument, now));
        let forward = index.spot * (RATE * years).exp();
        let moneyness = (strike / forward).ln() / (index.volatility * years.sqrt());
        let volatility = index.volatility * (1.0 - 0.022 * moneyness + 0.011 * moneyness * moneyness);
        let kind = if *side == OptionSide::Call { OptionKind::Call } else { OptionKind::Put };
        let model = PricingModel::Black76 { forward };
        let inputs = OptionInputs { model, kind, strike, rate: RATE, years_to_expiry: years };
        let known = option_greeks::greeks(&inputs, volatility).ok()?;
        let price = (known.price * (1.0 + (self.uniform() - 0.5) * 0.004) / 0.05).round() * 0.05;
        let near = (-moneyness * moneyness / 3.0).exp();
        let tick = self.full_tick(
            instrument.token,
            price.max(0.05),
            price * 1.07 + 0.05,
            0.05 + price * 0.002,
            near,
            now,
        );
        let greeks = if price < 0.5 {
            GreeksState::Absent(NoGreeks::NoPrice)
        } else {
            GreeksState::Known(OptionGreeks {
                iv: volatility * (1.0 + (self.uniform() - 0.5) * 0.006),
                delta: known.delta,
                gamma: known.gamma,
                vega: known.vega_per_point(),
                theta: known.theta_per_calendar_day(),
                rho: known.rho_per_point(),
                forward,
                forward_source: ForwardSource::Parity,
                rate: RATE,
                t_years: years,
                quality: if near > 0.1 { Quality::Good } else { Quality::Wide },
            })
        };
        Some(snapshot(slot, tick, greeks, now))
    }

    fn index_tick(&self, token: InstrumentToken, at: usize, spot: f64, now: UnixNanos) -> Tick {
        let ohlc = Ohlc { close: price(self.indices[at].close), ..Ohlc::default() };
        let body = TickBody::IndexFull { ohlc, change: Price::ZERO, exchange_timestamp: Some(now) };
        Tick { token, last_price: price(spot), body }
    }

    fn full_tick(
        &mut self,
        token: InstrumentToken,
        last: f64,
        close: f64,
        half_spread: f64,
        near: f64,
        now: UnixNanos,
    ) -> Tick {
        let units = |share: f64| (share * near * 4e6 / 65.0) as u32 * 65;
        let seed = f64::from(token.0 % 977) / 977.0;
        let mut full = FullTick {
            quote: QuoteTick {
                volume_traded: units(8.0 * (0.4 + seed)) + self.seq as u32 * 65,
                ohlc: Ohlc { close: price(close), ..Ohlc::default() },
                ..QuoteTick::default()
            },
            oi: units(1.0 + seed) + (self.uniform() * 3.0) as u32 * 65,
            exchange_timestamp: Some(now),
            ..FullTick::default()
        };
        let quantity = 65 * (1 + (self.uniform() * 20.0) as u32);
        full.depth.buy[0] = DepthLevel { price: price((last - half_spread).max(0.0)), quantity, orders: 3 };
        full.depth.sell[0] = DepthLevel { price: price(last + half_spread), quantity, orders: 4 };
        if last - half_spread <= 0.0 {
            full.depth.buy[0] = DepthLevel::default();
        }
        Tick { token, last_price: price(last), body: TickBody::Full(full) }
    }

    fn batch(&self, name: &str, kind: TopicKind, snapshots: Vec<Snapshot>, now: UnixNanos) -> SnapshotBatch {
        SnapshotBatch {
            topic: Arc::new(Topic { exchange: "NFO".into(), underlying: name.into(), kind }),
            source: "demo/0".into(),
            seq: self.seq,
            tick_count: snapshots.len() as u64,
            tick_total: self.seq * snapshots.len() as u64,
            ts_publish: now,
            sim: true,
            catalog: self.catalog.clone(),
            snapshots,
        }
    }

    fn uniform(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn add_rows(index: &Index, number: u32, now: UnixNanos, rows: &mut Vec<Instrument>) {
    let token = |local: u32, segment: u32| InstrumentToken(((number + 1) * 10_000 + local) * 256 + segment);
    rows.push(row(token(0, 9), Exchange::Nse, index.symbol.to_owned(), index.symbol, InstrumentKind::Index));
    let step = if index.spot > 40_000.0 { 100 } else { 50 };
    let middle = (index.spot / f64::from(step)).round() as i32 * step;
    for (week, days) in (0u32..).zip([4, 11, 32]) {
        let instant = now + Duration::from_secs(days * 86_400);
        let date = date_of(instant);
        let expiry = Expiry { date, instant: Some(instant) };
        if week == 2 {
            let symbol = format!("{}{}FUT", index.name, date.strftime("%y%b").to_string().to_uppercase());
            rows.push(row(token(1, 2), Exchange::Nfo, symbol, index.name, InstrumentKind::Future { expiry }));
        }
        for (place, offset) in (0u32..).zip(-40..=40) {
            for (half, side) in [(0, OptionSide::Call), (1, OptionSide::Put)] {
                let strike = middle + offset * step;
                let kind = InstrumentKind::Option {
                    expiry,
                    strike: Price::from_paise(i64::from(strike) * 100),
                    side,
                };
                let symbol = format!("{}{}{strike}{}", index.name, date.strftime("%y%m%d"), side.as_str());
                rows.push(row(
                    token(10 + week * 200 + place * 2 + half, 2),
                    Exchange::Nfo,
                    symbol,
                    index.name,
                    kind,
                ));
            }
        }
    }
}

fn row(
    token: InstrumentToken,
    exchange: Exchange,
    symbol: String,
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

fn snapshot(slot: market_model::InstrumentSlot, tick: Tick, greeks: GreeksState, now: UnixNanos) -> Snapshot {
    Snapshot {
        slot,
        tick,
        ts_recv: now,
        ts_event: Some(now),
        greeks,
        stale: None,
        cause: SnapshotCause::Tick,
        tick_count: 1,
    }
}

fn years_to(instrument: &Instrument, now: UnixNanos) -> f64 {
    let end = instrument.expiry().and_then(|expiry| expiry.instant).unwrap_or(now);
    end.saturating_since(now).as_secs_f64().max(60.0) / YEAR
}

fn price(rupees: f64) -> Price {
    Price::from_f64((rupees * 20.0).round() / 20.0).unwrap_or_default()
}

fn date_of(at: UnixNanos) -> Date {
    let day = at.as_secs().div_euclid(86_400);
    Date::constant(1970, 1, 1).saturating_add(jiff::Span::new().days(day))
}
