//! An option chain as one answer: strikes down the middle, calls and puts beside them, and the forward they share.

use std::cmp::Reverse;

use market_model::{
    ExpiryChain, Instrument, InstrumentCatalog, InstrumentKind, InstrumentSlot, InstrumentToken, OptionSide,
    Price, Underlying, UnixNanos,
};
use serde::Serialize;
use snapshot_wire::{forward_source_word, no_greeks_word, quality_word, stale_cause_word};
use tick_pipeline::{GreeksState, OptionGreeks};

use crate::latest::{LatestValue, LatestValues};

/// The body of `/v1/chain/<underlying>`. Prices in rupees; Greeks in the units of every other payload.
#[derive(Debug, Serialize)]
pub(crate) struct ChainBody {
    underlying: String,
    exchange: String,
    expiry: String,
    /// When trading in these contracts ends, in nanoseconds since 1970 UTC; null when the calendar does not know.
    expires_at: Option<i64>,
    expiries: Vec<String>,
    lot_size: u32,
    sim: bool,
    ts: i64,
    spot: Option<Carrier>,
    /// The future of this expiry, else the nearest.
    future: Option<Carrier>,
    forward: Option<f64>,
    forward_source: Option<&'static str>,
    rate: Option<f64>,
    t_years: Option<f64>,
    atm_strike: Option<f64>,
    live: usize,
    stale: usize,
    rows: Vec<Row>,
}

/// The spot or a future.
#[derive(Debug, Serialize)]
struct Carrier {
    instrument_token: u32,
    exchange: String,
    tradingsymbol: String,
    last_price: Option<f64>,
    change: Option<f64>,
    stale: bool,
    ts_recv: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Row {
    strike: f64,
    call: Option<Leg>,
    put: Option<Leg>,
}

/// One option. Everything but its name is null until it has ticked.
#[derive(Debug, Serialize)]
struct Leg {
    instrument_token: u32,
    tradingsymbol: String,
    last_price: Option<f64>,
    change: Option<f64>,
    net_change: Option<f64>,
    bid: Option<f64>,
    bid_quantity: Option<u32>,
    ask: Option<f64>,
    ask_quantity: Option<u32>,
    volume_traded: Option<u32>,
    oi: Option<u32>,
    in_the_money: Option<bool>,
    greeks: Option<GreeksBody>,
    greeks_reason: Option<&'static str>,
    stale: bool,
    stale_cause: Option<&'static str>,
    ts_event: Option<i64>,
    ts_recv: Option<i64>,
}

#[derive(Debug, Serialize)]
struct GreeksBody {
    iv: f64,
    delta: f64,
    gamma: f64,
    theta: f64,
    vega: f64,
    rho: f64,
    quality: &'static str,
}

/// What a chain is made from.
pub(crate) struct ChainQuery<'a> {
    pub(crate) catalog: &'a InstrumentCatalog,
    pub(crate) latest: &'a LatestValues,
    pub(crate) underlying: &'a Underlying,
    pub(crate) chain: &'a ExpiryChain,
    /// This many strikes on each side of the one at the money; `None` for all.
    pub(crate) around: Option<usize>,
    pub(crate) sim: bool,
    pub(crate) now: UnixNanos,
}

/// Everything a chain is made from.
pub(crate) fn tokens_of(
    catalog: &InstrumentCatalog,
    underlying: &Underlying,
    chain: &ExpiryChain,
) -> Vec<InstrumentToken> {
    let future = chain.future.or(underlying.futures.first().copied());
    let options = chain.rows.iter().flat_map(|row| [row.call, row.put]).flatten();
    underlying.spot.into_iter().chain(future).chain(options).map(|slot| catalog.get(slot).token).collect()
}

// === impl ChainBody ===

impl ChainBody {
    pub(crate) fn build(query: &ChainQuery<'_>) -> Self {
        let chain = query.chain;
        let spot = query.underlying.spot.map(|slot| query.carrier(slot));
        let future =
            chain.future.or(query.underlying.futures.first().copied()).map(|slot| query.carrier(slot));
        let own_future = future.as_ref().filter(|_| chain.future.is_some());
        let pricing = query.newest_greeks();
        let forward = pricing.map(|greeks| greeks.forward);
        let middle = forward
            .or(own_future.and_then(|future| future.last_price))
            .or(spot.as_ref().and_then(|spot| spot.last_price));
        let atm = middle.and_then(Price::from_f64).and_then(|middle| nearest_row(chain, middle));
        let range = match (query.around, atm) {
            (Some(around), Some(atm)) => {
                atm.saturating_sub(around)..atm.saturating_add(around).saturating_add(1).min(chain.rows.len())
            }
            _ => 0..chain.rows.len(),
        };
        let rows: Vec<Row> = chain.rows[range]
            .iter()
            .map(|row| Row {
                strike: row.strike.to_f64(),
                call: row.call.map(|slot| query.leg(slot, middle)),
                put: row.put.map(|slot| query.leg(slot, middle)),
            })
            .collect();
        let legs = || rows.iter().flat_map(|row| [&row.call, &row.put]).flatten();
        let slots = || chain.rows.iter().flat_map(|row| [row.call, row.put]).flatten();
        Self {
            underlying: query.underlying.name.to_string(),
            exchange: query.underlying.exchange.to_string(),
            expiry: chain.expiry.date.to_string(),
            expires_at: chain.expiry.instant.map(|at| at.0),
            expiries: query.underlying.chains.iter().map(|chain| chain.expiry.date.to_string()).collect(),
            lot_size: slots().next().map_or(0, |slot| query.catalog.get(slot).lot_size),
            sim: query.sim,
            ts: query.now.0,
            spot,
            future,
            forward,
            forward_source: pricing.map(|greeks| forward_source_word(greeks.forward_source)),
            rate: pricing.map(|greeks| greeks.rate),
            t_years: pricing.map(|greeks| greeks.t_years),
            atm_strike: atm.map(|at| chain.rows[at].strike.to_f64()),
            live: legs().filter(|leg| leg.last_price.is_some()).count(),
            stale: legs().filter(|leg| leg.stale).count(),
            rows,
        }
    }
}

fn nearest_row(chain: &ExpiryChain, middle: Price) -> Option<usize> {
    let rows = chain.rows.iter().enumerate();
    rows.min_by_key(|(_, row)| row.strike.abs_diff(middle)).map(|(at, _)| at)
}

// === impl ChainQuery ===

impl ChainQuery<'_> {
    /// The Greeks calculated last: fresh ones before stale ones, then by the time of their tick.
    fn newest_greeks(&self) -> Option<OptionGreeks> {
        let slots = self.chain.rows.iter().flat_map(|row| [row.call, row.put]).flatten();
        let tokens = slots.map(|slot| self.catalog.get(slot).token);
        let mut newest: Option<(_, OptionGreeks)> = None;
        self.latest.each(tokens, |value| {
            if let GreeksState::Known(greeks) = value.snapshot.greeks {
                let rank = (Reverse(value.snapshot.stale.is_some()), value.ts_publish);
                if newest.as_ref().is_none_or(|(held, _)| rank > *held) {
                    newest = Some((rank, greeks));
                }
            }
        });
        newest.map(|(_, greeks)| greeks)
    }

    fn carrier(&self, slot: InstrumentSlot) -> Carrier {
        let instrument = self.catalog.get(slot);
        let value = self.latest.get(instrument.token);
        Carrier {
            instrument_token: instrument.token.0,
            exchange: instrument.exchange.to_string(),
            tradingsymbol: instrument.tradingsymbol.to_string(),
            last_price: value.as_ref().map(|value| value.snapshot.tick.last_price.to_f64()),
            change: value.as_ref().and_then(change),
            stale: value.as_ref().is_some_and(|value| value.snapshot.stale.is_some()),
            ts_recv: value.as_ref().map(|value| value.snapshot.ts_recv.0),
        }
    }

    fn leg(&self, slot: InstrumentSlot, middle: Option<f64>) -> Leg {
        let instrument = self.catalog.get(slot);
        let value = self.latest.get(instrument.token);
        let mut leg = Leg::named(instrument, middle);
        if let Some(value) = value {
            leg.fill(&value);
        }
        leg
    }
}

// === impl Leg ===

impl Leg {
    fn named(instrument: &Instrument, middle: Option<f64>) -> Self {
        Self {
            instrument_token: instrument.token.0,
            tradingsymbol: instrument.tradingsymbol.to_string(),
            last_price: None,
            change: None,
            net_change: None,
            bid: None,
            bid_quantity: None,
            ask: None,
            ask_quantity: None,
            volume_traded: None,
            oi: None,
            in_the_money: middle.and_then(|middle| in_the_money(instrument, middle)),
            greeks: None,
            greeks_reason: None,
            stale: false,
            stale_cause: None,
            ts_event: None,
            ts_recv: None,
        }
    }

    fn fill(&mut self, value: &LatestValue) {
        let snapshot = &value.snapshot;
        let tick = &snapshot.tick;
        self.last_price = Some(tick.last_price.to_f64());
        self.change = change(value);
        self.net_change = snapshot.net_change().map(Price::to_f64);
        if let Some(depth) = tick.depth() {
            let (bid, ask) = (depth.best_bid(), depth.best_offer());
            self.bid = bid.map(|level| level.price.to_f64());
            self.bid_quantity = bid.map(|level| level.quantity);
            self.ask = ask.map(|level| level.price.to_f64());
            self.ask_quantity = ask.map(|level| level.quantity);
        }
        self.volume_traded = tick.quote().map(|quote| quote.volume_traded);
        self.oi = match &tick.body {
            market_model::TickBody::Full(full) => Some(full.oi),
            _ => None,
        };
        match snapshot.greeks {
            GreeksState::Known(greeks) => self.greeks = Some(GreeksBody::of(&greeks)),
            GreeksState::Absent(reason) => self.greeks_reason = Some(no_greeks_word(reason)),
            GreeksState::NotAnOption => {}
        }
        self.stale = snapshot.stale.is_some();
        self.stale_cause = snapshot.stale.map(stale_cause_word);
        self.ts_event = snapshot.ts_event.map(|at| at.0);
        self.ts_recv = Some(snapshot.ts_recv.0);
    }
}

impl GreeksBody {
    const fn of(greeks: &OptionGreeks) -> Self {
        Self {
            iv: greeks.iv,
            delta: greeks.delta,
            gamma: greeks.gamma,
            theta: greeks.theta,
            vega: greeks.vega,
            rho: greeks.rho,
            quality: quality_word(greeks.quality),
        }
    }
}

/// Percent of the previous close, as the official clients calculate it.
fn change(value: &LatestValue) -> Option<f64> {
    let close = value.snapshot.tick.ohlc()?.close;
    let (last, close) = (value.snapshot.tick.last_price.to_f64(), close.to_f64());
    (close > 0.0).then(|| (last - close) * 100.0 / close)
}

fn in_the_money(instrument: &Instrument, middle: f64) -> Option<bool> {
    match &instrument.kind {
        InstrumentKind::Option { strike, side: OptionSide::Call, .. } => Some(strike.to_f64() < middle),
        InstrumentKind::Option { strike, side: OptionSide::Put, .. } => Some(strike.to_f64() > middle),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Market, NOW};

    fn body(market: &Market, latest: &LatestValues, around: Option<usize>) -> serde_json::Value {
        let underlying = &market.catalog.underlyings()[0];
        let query = ChainQuery {
            catalog: &market.catalog,
            latest,
            underlying,
            chain: &underlying.chains[0],
            around,
            sim: true,
            now: NOW,
        };
        serde_json::to_value(ChainBody::build(&query)).unwrap()
    }

    #[test]
    fn before_the_first_tick_there_are_strikes_and_no_values() {
        let market = Market::new();
        let body = body(&market, &LatestValues::new(), Some(1));
        assert_eq!(body["rows"].as_array().unwrap().len(), 3, "without a middle all strikes are shown");
        assert_eq!(body["live"], 0);
        assert!(body["forward"].is_null() && body["atm_strike"].is_null());
        assert!(body["rows"][0]["call"]["last_price"].is_null(), "absent is null, never zero");
    }

    #[test]
    fn rows_carry_both_sides_and_the_forward_they_share() {
        let market = Market::new();
        let latest = LatestValues::new();
        latest.apply(
            &market.batch(
                1,
                &[(market.spot(), 2_500_000), (market.call(25_000), 10_025), (market.put(25_000), 5)],
            ),
        );
        let body = body(&market, &latest, Some(0));
        assert_eq!(body["forward"], 25_010.5);
        assert_eq!(body["forward_source"], "parity");
        assert_eq!(body["atm_strike"], 25_000.0);
        assert_eq!(body["spot"]["last_price"], 25_000.0);
        let rows = body["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "around=0 is the strike at the money alone");
        let call = &rows[0]["call"];
        assert_eq!(
            (&call["last_price"], &call["bid"], &call["ask"]),
            (&100.25.into(), &100.2.into(), &100.3.into())
        );
        assert_eq!((&call["greeks"]["iv"], &call["in_the_money"]), (&0.125.into(), &true.into()));
        assert!(rows[0]["put"]["greeks"].is_null());
        assert_eq!(rows[0]["put"]["greeks_reason"], "no_price");
        assert_eq!(body["live"], 2);
    }

    #[test]
    fn around_is_cut_at_the_ends_of_the_chain() {
        let market = Market::new();
        let latest = LatestValues::new();
        latest.apply(&market.batch(1, &[(market.spot(), 2_600_000)]));
        let strikes = |around| {
            let body = body(&market, &latest, Some(around));
            let rows = body["rows"].as_array().unwrap().clone();
            rows.iter().map(|row| row["strike"].as_f64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(strikes(1), [25_000.0, 25_100.0]);
        assert_eq!(strikes(usize::MAX - 5).len(), 3);
    }
}
