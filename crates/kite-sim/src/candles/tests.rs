//! Tests of the candles.

use market_model::TickBody;

use super::*;
use crate::config::{Sessions, SimConfig};
use crate::market::Market;

/// Friday 20 November 2026, 14:00:30 in India.
const NOW: UnixNanos = UnixNanos::from_secs(1_795_163_430);
const DAY: i64 = 86_400;

fn market(sessions: Sessions) -> Market {
    let config = SimConfig { sessions, ..SimConfig::default() };
    Market::new(&config, NOW).unwrap()
}

fn ago(seconds: i64) -> UnixNanos {
    UnixNanos::from_secs(NOW.as_secs() - seconds)
}

fn range(interval: &str, from: UnixNanos, to: UnixNanos) -> Range {
    Range { interval: Interval::from_word(interval).unwrap(), from, to, oi: true, continuous: false }
}

fn of(market: &Market, symbol: &str, range: &Range) -> Vec<Candle> {
    let basis = market.basis();
    let slot = basis.listing.slot_of_symbol(symbol).unwrap();
    candles(basis, basis.listing.get(slot), range, NOW)
}

#[test]
fn minutes_of_a_session_start_at_the_opening_and_end_now() {
    let market = market(Sessions::Calendar);
    let candles = of(&market, "NFO:NIFTY26NOVFUT", &range("minute", ago(DAY / 2), NOW));
    let texts: Vec<String> = candles.iter().map(|candle| crate::clock::ist_text(candle.start)).collect();
    assert_eq!(texts.first().unwrap(), "2026-11-20 09:15:00");
    assert_eq!(texts.last().unwrap(), "2026-11-20 14:00:00");
    assert_eq!(candles.len(), 286);
    assert!(candles.windows(2).all(|pair| pair[0].start < pair[1].start));
    for candle in &candles {
        assert!(candle.low <= candle.open.min(candle.close) && candle.high >= candle.open.max(candle.close));
    }
}

#[test]
fn candles_and_ticks_show_one_market() {
    let mut market = market(Sessions::Calendar);
    let symbol = "NFO:NIFTY26NOVFUT";
    let last = *of(&market, symbol, &range("minute", ago(120), NOW)).last().unwrap();
    let slot = market.listing().slot_of_symbol(symbol).unwrap();
    let tick = market.tick(slot);
    // The tick trades at bid or offer, the candle at the middle.
    assert!(last.close.abs_diff(tick.last_price) <= Price::from_paise(200).raw().unsigned_abs());
    let TickBody::Full(full) = &tick.body else { panic!("{tick:?}") };
    let today = of(&market, symbol, &range("minute", ago(DAY / 2), NOW));
    let traded: u64 = today.iter().map(|candle| candle.volume).sum();
    assert_eq!(traded, u64::from(full.quote.volume_traded));
    assert_eq!(last.oi, Some(full.oi.into()));
    let days = of(&market, symbol, &range("day", ago(7 * DAY), NOW));
    assert_eq!(days.last().unwrap().volume, traded);
    let yesterday = days[days.len() - 2];
    assert_eq!(yesterday.close, tick.ohlc().unwrap().close);
}

#[test]
fn both_ends_are_inclusive() {
    let market = market(Sessions::AlwaysOpen);
    let from = UnixNanos::from_secs(1_795_162_800);
    let to = UnixNanos::from_secs(1_795_163_100);
    let candles = of(&market, "NSE:NIFTY 50", &range("minute", from, to));
    assert_eq!(candles.len(), 6);
    assert_eq!((candles[0].start, candles[5].start), (from, to));
    assert!(candles.iter().all(|candle| candle.volume == 0));
}

#[test]
fn longer_candles_are_made_of_the_same_prices() {
    let market = market(Sessions::AlwaysOpen);
    let hours = of(&market, "NSE:INFY", &range("60minute", ago(DAY / 2), ago(7_200)));
    let minutes = of(&market, "NSE:INFY", &range("minute", hours[0].start, NOW));
    for hour in hours {
        let end = UnixNanos::from_secs(hour.start.as_secs() + 3_600);
        let inside: Vec<&Candle> =
            minutes.iter().filter(|minute| (hour.start..end).contains(&minute.start)).collect();
        assert_eq!(inside.first().unwrap().open, hour.open);
        assert_eq!(inside.last().unwrap().close, hour.close);
        assert_eq!(inside.iter().map(|minute| minute.volume).sum::<u64>(), hour.volume);
    }
}

#[test]
fn weeks_start_on_monday_and_days_at_midnight() {
    let market = market(Sessions::Calendar);
    let weeks = of(&market, "NSE:NIFTY 50", &range("week", ago(20 * DAY), NOW));
    let starts: Vec<String> = weeks.iter().map(|week| crate::clock::ist_text(week.start)).collect();
    assert_eq!(starts, ["2026-11-02 00:00:00", "2026-11-09 00:00:00", "2026-11-16 00:00:00"]);
    // 10 November was a holiday, 8 November is Muhurat Sunday with hours not known.
    let days = of(&market, "NSE:NIFTY 50", &range("day", ago(12 * DAY), NOW));
    let starts: Vec<String> =
        days.iter().map(|day| crate::clock::ist_text(day.start)[8..10].to_owned()).collect();
    assert!(!starts.contains(&"10".to_owned()) && !starts.contains(&"15".to_owned()), "{starts:?}");
}

#[test]
fn an_instrument_nobody_trades_has_gaps() {
    let market = market(Sessions::AlwaysOpen);
    let listing = market.listing();
    let quiet = listing.instruments.iter().find(|listed| {
        let window = range("minute", ago(7_200), ago(60));
        candles(market.basis(), listed, &window, NOW).len() < 119
    });
    assert!(quiet.is_some());
}
