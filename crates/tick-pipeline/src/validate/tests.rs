//! One line per rule.

use std::time::Duration;

use market_model::{InstrumentToken, OptionSide, Price, QuoteTick, Tick, TickBody};

use super::*;
use crate::testing::{INDEX, SHARE, START, catalog, full, ltp, option, price};

fn check_with(config: ValidationConfig, market: Market, ticks: &[Tick], expect: Result<(), TickRejected>) {
    let mut validator = Validator::new(config, market);
    let (last, before) = ticks.split_last().unwrap();
    for tick in before {
        let _ = validator.check(tick);
    }
    assert_eq!(validator.check(last).map(|_| ()), expect, "{last:?}");
}

fn check(ticks: &[Tick], expect: Result<(), TickRejected>) {
    check_with(ValidationConfig::default(), catalog().into(), ticks, expect);
}

fn at(seconds: u64) -> UnixNanos {
    START + Duration::from_secs(seconds)
}

#[test]
fn unknown_tokens() {
    check(&[ltp(InstrumentToken(1), 10.0)], Err(TickRejected::UnknownToken));
    check(&[ltp(SHARE, 10.0)], Ok(()));
}

#[test]
fn prices_are_positive_unless_the_instrument_shows_it_has_not_traded() {
    use TickRejected::{NonPositivePrice, Unrepresentable};
    let call = option(true, 250, OptionSide::Call);
    let never_traded = |body| Tick { token: call, last_price: Price::ZERO, body };
    let TickBody::Full(mut book) = full(call, 10.0, 1.0, 2.0, START).body else { unreachable!() };
    check(&[never_traded(TickBody::Full(book))], Err(NonPositivePrice));
    book.last_trade_time = None;
    check(&[never_traded(TickBody::Full(book))], Ok(()));
    check(&[never_traded(TickBody::Quote(QuoteTick::default()))], Ok(()));
    check(
        &[never_traded(TickBody::Quote(QuoteTick { volume_traded: 1, ..QuoteTick::default() }))],
        Err(NonPositivePrice),
    );
    check(&[never_traded(TickBody::Ltp)], Err(NonPositivePrice));
    check(&[ltp(INDEX, 0.0)], Err(NonPositivePrice));
    check(&[ltp(call, -0.05)], Err(NonPositivePrice));
    let huge = Tick { last_price: Price::from_raw(i64::MAX), ..ltp(call, 1.0) };
    check(&[huge], Err(Unrepresentable));
}

#[test]
fn the_day_range_is_a_sanity_check_not_a_circuit() {
    let tick = |last: f64, low: f64, high: f64| {
        let mut tick = full(SHARE, last, 1.0, 2.0, START);
        if let TickBody::Full(body) = &mut tick.body {
            body.quote.ohlc.low = price(low);
            body.quote.ohlc.high = price(high);
        }
        tick
    };
    check(&[tick(105.0, 95.0, 100.0)], Ok(()));
    check(&[tick(10_000.0, 95.0, 100.0)], Err(TickRejected::OutsideDayRange));
    check(&[tick(1.0, 95.0, 100.0)], Err(TickRejected::OutsideDayRange));
    check(&[tick(97.0, 100.0, 95.0)], Err(TickRejected::OutsideDayRange));
    check(&[tick(97.0, 0.0, 0.0)], Ok(()));
}

#[test]
fn crossed_books_are_refused_unless_the_session_allows_them() {
    use market_model::Exchange::{Nfo, Nse};
    let crossed = full(SHARE, 100.0, 101.0, 100.0, START);
    let refused = Err(TickRejected::CrossedBook);
    for (crossed_book, expect) in [(CrossedBook::Reject, refused), (CrossedBook::Accept, Ok(()))] {
        let config = ValidationConfig { crossed_book, ..ValidationConfig::default() };
        check_with(config, catalog().into(), &[crossed], expect);
    }
    check(&[crossed], Ok(()));
    let sessions = watch::Sender::new(Sessions::default());
    let mut validator =
        Validator::new(ValidationConfig::default(), catalog().into()).follow_sessions(sessions.subscribe());
    for (nse, nfo, expect) in [
        (SessionPhase::Unknown, SessionPhase::Continuous, Ok(())),
        (SessionPhase::PreOpen, SessionPhase::Continuous, Ok(())),
        (SessionPhase::Continuous, SessionPhase::PreOpen, refused),
        (SessionPhase::Closing, SessionPhase::Closed, Ok(())),
        (SessionPhase::Closed, SessionPhase::Closed, refused),
    ] {
        sessions.send_replace(Sessions::new([(Nse, nse), (Nfo, nfo)]));
        assert_eq!(validator.check(&crossed).map(|_| ()), expect, "{nse:?}");
    }
    validator.set_market(catalog().into());
    assert_eq!(validator.check(&crossed).map(|_| ()), refused, "a reload forgets no session");
}

#[test]
fn exchange_time_does_not_run_backwards() {
    let tick = |seconds| full(SHARE, 100.0, 99.0, 100.0, at(seconds));
    check(&[tick(10), tick(8)], Ok(()));
    check(&[tick(10), tick(7)], Err(TickRejected::BackwardTime));
    check(&[tick(10), tick(9), tick(8), tick(7)], Err(TickRejected::BackwardTime));
    check(&[tick(10), ltp(SHARE, 100.0)], Ok(()));
    check(&[tick(10), full(INDEX, 100.0, 99.0, 100.0, at(0))], Ok(()));
}

#[test]
fn one_stamp_from_the_future_does_not_silence_an_instrument() {
    let tick = |seconds| full(SHARE, 100.0, 99.0, 100.0, at(seconds));
    let late = [tick(1_000_000), tick(1), tick(2), tick(3)];
    check(&late, Err(TickRejected::BackwardTime));
    check(&[&late[..], &[tick(4)]].concat(), Ok(()));
    check(&[&late[..], &[tick(4), tick(5)]].concat(), Ok(()));
    check(&[&late[..], &[tick(4), tick(1)]].concat(), Err(TickRejected::BackwardTime));
}

#[test]
fn circuit_limits_hold_where_they_are_known() {
    let limits = CircuitLimits { lower: price(90.0), upper: price(110.0) };
    let market = || Market::new(catalog()).with_circuit_limits([(SHARE, limits)]);
    let check = |tick, expect| check_with(ValidationConfig::default(), market(), &[tick], expect);
    check(ltp(SHARE, 90.0), Ok(()));
    check(ltp(SHARE, 110.05), Err(TickRejected::BeyondCircuit));
    check(ltp(SHARE, 89.95), Err(TickRejected::BeyondCircuit));
    check(ltp(INDEX, 25_000.0), Ok(()));
}

#[test]
fn a_new_catalog_keeps_what_is_known_of_the_same_token() {
    let mut rows = crate::testing::instruments();
    rows.reverse();
    let reversed = Arc::new(InstrumentCatalog::new(rows, |_| None).unwrap());
    let mut validator = Validator::new(ValidationConfig::default(), catalog().into());
    validator.check(&full(SHARE, 100.0, 99.0, 100.0, at(10))).unwrap();
    validator.set_market(reversed.clone().into());
    let early = full(SHARE, 100.0, 99.0, 100.0, at(1));
    assert_eq!(validator.check(&early).unwrap_err(), TickRejected::BackwardTime);
    let later = full(SHARE, 100.0, 99.0, 100.0, at(11));
    assert_eq!(validator.check(&later).ok().map(|valid| valid.slot()), reversed.slot(SHARE));
}

#[test]
fn every_reason_has_its_own_label_and_place() {
    for (at, reason) in TickRejected::ALL.into_iter().enumerate() {
        assert_eq!(reason.index(), at);
        let same = TickRejected::ALL.iter().filter(|other| other.as_str() == reason.as_str()).count();
        assert_eq!(same, 1);
    }
}
