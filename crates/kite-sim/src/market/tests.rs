//! Tests of the market: determinism, no arbitrage, sane books and days.

use std::time::Duration;

use market_model::{FullTick, OptionSide};

use super::*;
use crate::config::Sessions;

/// Friday 20 November 2026, 14:00 in India.
const NOW: UnixNanos = UnixNanos::from_secs(1_795_163_400);

fn market(config: &SimConfig, now: UnixNanos) -> Market {
    Market::new(config, now).unwrap()
}

fn slot(market: &Market, symbol: &str) -> Slot {
    market.listing().slot_of_symbol(symbol).unwrap()
}

fn slots(market: &Market) -> impl Iterator<Item = Slot> + use<> {
    (0..market.listing().instruments.len() as u32).map(Slot)
}

fn full(tick: &Tick) -> &FullTick {
    match &tick.body {
        TickBody::Full(full) => full,
        other => panic!("{other:?}"),
    }
}

/// Best bid and offer in rupees; no bid is zero.
fn touch(market: &mut Market, slot: Slot) -> (f64, f64) {
    let tick = market.tick(slot);
    let depth = full(&tick).depth;
    assert!(!depth.is_crossed());
    (depth.buy[0].price.to_f64(), depth.sell[0].price.to_f64())
}

#[test]
fn the_same_seed_and_instants_give_the_same_ticks() {
    let ticks = |seed| {
        let config = SimConfig { seed, ..SimConfig::default() };
        let mut market = market(&config, NOW);
        let chosen: Vec<Slot> = slots(&market).step_by(37).collect();
        let mut ticks = Vec::new();
        for step in 0..20 {
            market.advance(NOW + Duration::from_millis(700 * step)).unwrap();
            ticks.extend(chosen.iter().map(|slot| market.tick(*slot)));
        }
        ticks
    };
    assert_eq!(ticks(1), ticks(1));
    assert_ne!(ticks(1), ticks(2));
}

#[test]
fn put_call_parity_holds_within_the_spreads() {
    let mut market = market(&SimConfig::default(), NOW);
    let listing = Arc::clone(market.listing());
    let mut pairs = 0;
    for call in slots(&market) {
        let Kind::Option { index, expiry, strike, side: OptionSide::Call } = listing.get(call).kind else {
            continue;
        };
        // The put is listed right behind its call.
        let put = Slot(call.0 + 1);
        let curve = *market.moment().curve(index, expiry);
        let (call_bid, call_ask) = touch(&mut market, call);
        let (put_bid, put_ask) = touch(&mut market, put);
        let carry = (-curve.rate * curve.years).exp() * (curve.forward - strike);
        assert!(call_bid - put_ask <= carry + 1e-6, "{strike}: {call_bid} {put_ask} {carry}");
        assert!(carry <= call_ask - put_bid + 1e-6, "{strike}: {call_ask} {put_bid} {carry}");
        pairs += 1;
    }
    assert!(pairs > 1_000);
}

#[test]
fn no_chain_has_an_arbitrage_between_its_strikes() {
    for hour in [0, 40, 72, 73] {
        let market = market(&SimConfig::default(), NOW + Duration::from_secs(3_600 * hour));
        for (index, expiries) in market.listing().expiries.iter().enumerate() {
            for expiry in 0..expiries.len() {
                let curve = market.moment().curve(index, expiry);
                let strikes = (0..160).map(|at| curve.forward * (0.92 + 0.001 * f64::from(at)));
                let calls: Vec<f64> =
                    strikes.map(|strike| option_price(curve, strike, OptionSide::Call)).collect();
                for three in calls.windows(3) {
                    assert!(three[1] <= three[0] + 1e-9, "{index} {expiry} {hour}: {three:?}");
                    assert!(
                        three[0] + three[2] >= 2.0 * three[1] - 1e-6,
                        "{index} {expiry} {hour}: {three:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn days_hang_together() {
    let mut market = market(&SimConfig::default(), NOW);
    let chosen: Vec<Slot> = slots(&market).step_by(11).collect();
    let mut volumes = vec![0; chosen.len()];
    for step in 0..30 {
        market.advance(NOW + Duration::from_secs(7 * step)).unwrap();
        for (slot, volume) in chosen.iter().zip(&mut volumes) {
            let tick = market.tick(*slot);
            let name = &market.listing().get(*slot).tradingsymbol;
            let ohlc = tick.ohlc().unwrap();
            assert!(ohlc.low <= tick.last_price && tick.last_price <= ohlc.high, "{name}: {tick:?}");
            assert!(ohlc.low <= ohlc.open && ohlc.open <= ohlc.high, "{name}: {ohlc:?}");
            assert!(ohlc.close.is_positive(), "{name}");
            if let TickBody::Full(full) = &tick.body {
                assert!(full.quote.volume_traded >= *volume, "{name}");
                assert!(full.oi_day_low <= full.oi && full.oi <= full.oi_day_high, "{name}");
                let average = full.quote.average_traded_price;
                assert!(ohlc.low <= average && average <= ohlc.high, "{name}: {average} {ohlc:?}");
                *volume = full.quote.volume_traded;
            }
        }
    }
    assert!(volumes.iter().filter(|volume| **volume > 0).count() > chosen.len() / 2);
}

#[test]
fn one_instrument_alone_is_priced_as_in_the_moment() {
    let market = market(&SimConfig::default(), NOW);
    let basis = market.basis();
    for slot in slots(&market).step_by(29) {
        let listed = basis.listing.get(slot);
        let (fair, at) = basis.fair(listed, market.moment());
        assert_eq!(basis.fair_at(listed, at), fair, "{}", listed.tradingsymbol);
    }
}

#[test]
fn a_closed_market_stands_still() {
    let config = SimConfig { sessions: Sessions::Calendar, ..SimConfig::default() };
    // Sunday noon.
    let sunday = UnixNanos::from_secs(1_795_329_000);
    let mut market = market(&config, sunday);
    let future = slot(&market, "NFO:NIFTY26NOVFUT");
    let before = market.tick(future);
    market.advance(sunday + Duration::from_secs(3_600)).unwrap();
    assert!(!market.is_open(future));
    assert_eq!(market.tick(future), before);
    let closed_at = crate::clock::ist_text(before.exchange_timestamp().unwrap());
    assert_eq!(closed_at, "2026-11-20 15:40:00");
    // Monday 11:00.
    market.advance(UnixNanos::from_secs(1_795_411_800)).unwrap();
    assert!(market.is_open(future));
    let after = market.tick(future);
    assert_eq!(
        after.ohlc().unwrap().close,
        super::round(market.listing().get(future), {
            let basis = market.basis();
            basis.fair_at(basis.listing.get(future), UnixNanos::from_secs(1_795_169_400))
        })
    );
}

#[test]
fn options_that_end_are_gone_and_the_next_ones_go_on() {
    // 23 November 2026, 15:39:59 in India: the last second of the November contracts.
    let last = UnixNanos::from_secs(1_795_428_599);
    let mut market = market(&SimConfig::default(), last);
    let ending = slot(&market, "NFO:NIFTY26NOVFUT");
    let (bid, ask) = touch(&mut market, ending);
    let spot = market.moment().spot(0);
    assert!((bid - spot).abs() / spot < 1e-3 && (ask - spot).abs() / spot < 1e-3);
    assert!(market.advance(last + Duration::from_secs(1)).unwrap());
    assert_eq!(market.listing().slot_of_symbol("NFO:NIFTY26NOVFUT"), None);
    assert!(!market.advance(last + Duration::from_secs(2)).unwrap());
    let next = slot(&market, "NFO:NIFTY26DECFUT");
    assert!(market.tick(next).last_price.is_positive());
}

#[test]
fn modes_show_less_of_the_same() {
    let mut market = market(&SimConfig::default(), NOW);
    let share = slot(&market, "NSE:INFY");
    let tick = market.tick(share);
    let quote = in_mode(&tick, Mode::Quote);
    assert_eq!((quote.mode(), quote.quote()), (Mode::Quote, tick.quote()));
    assert_eq!(in_mode(&tick, Mode::Ltp).body, TickBody::Ltp);
    assert_eq!(in_mode(&tick, Mode::Full), tick);
    let index = slot(&market, "NSE:NIFTY 50");
    let tick = market.tick(index);
    assert_eq!(in_mode(&tick, Mode::Quote).mode(), Mode::Quote);
    assert_eq!(tick.mode(), Mode::Full);
}

#[test]
fn weeks_pass_at_any_speed() {
    for sessions in [Sessions::AlwaysOpen, Sessions::Calendar] {
        let config = SimConfig { sessions, ..SimConfig::default() };
        let mut market = market(&config, NOW);
        let mut relisted = 0;
        for step in 1..=60 {
            let now = NOW + Duration::from_secs(step * 14 * 3_600);
            relisted += usize::from(market.advance(now).unwrap());
            for slot in slots(&market).step_by(97) {
                let tick = market.tick(slot);
                let name = &market.listing().get(slot).tradingsymbol;
                assert!(tick.last_price.is_positive(), "{name}");
                assert!(tick.depth().is_none_or(|depth| !depth.is_crossed()), "{name}");
            }
            let ended = market.listing().expiries.iter().flatten().any(|expiry| expiry.instant <= now);
            assert!(!ended, "{now}");
        }
        assert!(relisted >= 34, "{relisted}");
    }
}
