use jiff::civil::{Date, date};
use market_model::{InstrumentToken, Price};
use subscription_store::{Priority, WishId, WishSpec};

use super::*;
use crate::testing::{SampleMarket, SetQuotes};
use crate::{Quote, ReferenceSource};

const WEEK: [Date; 4] = [date(2026, 11, 17), date(2026, 11, 24), date(2026, 12, 1), date(2026, 12, 29)];

/// Two underlyings, the third and fourth Tuesday of November, two expiries of December; each ends at its day's number.
fn catalog() -> Arc<InstrumentCatalog> {
    let expiries = (1..).zip(WEEK).map(|(at, day)| (day, UnixNanos::from_secs(at * 1000))).collect();
    Arc::new(SampleMarket { underlyings: 2, strikes: 21, expiries, futures: true, shares: 3 }.catalog())
}

fn wishes(texts: &str) -> Arc<[Wish]> {
    let words = texts.split(',').zip(1..);
    let wish = |(text, number): (&str, u64)| Wish {
        id: WishId::new(&format!("w{number}")).unwrap(),
        version: number,
        spec: WishSpec::parse("desk", text).unwrap(),
    };
    words.map(wish).collect()
}

/// Symbols of what is wanted, without the year, and what is unmet.
fn check(texts: &str, now: i64, spot: Option<f64>, wanted: &[&str], unmet: &[&str]) {
    let (catalog, quotes, now) = (catalog(), SetQuotes::default(), UnixNanos::from_secs(now));
    if let Some(spot) = spot {
        quotes.set(0, spot, now);
    }
    let desired = Resolver::new(LadderConfig::default()).resolve(&wishes(texts), &catalog, &quotes, now);
    let mut found: Vec<String> = desired
        .wanted()
        .iter()
        .map(|wanted| catalog.by_token(wanted.token).unwrap().tradingsymbol.replace("2026-", ""))
        .collect();
    found.sort();
    assert_eq!(found, wanted, "{texts}");
    let reasons: Vec<String> = desired.unmet().iter().map(|unmet| unmet.reason.to_string()).collect();
    assert_eq!(reasons, unmet, "{texts}");
    assert_eq!(desired.set().len(), desired.len());
}

#[test]
fn a_ladder_is_its_strikes_with_spot_and_futures() {
    check(
        "U0:1:1:full:nofutures",
        0,
        Some(1003.0),
        &[
            "U0",
            "U011-171000CE",
            "U011-171000PE",
            "U011-171010CE",
            "U011-171010PE",
            "U011-17990CE",
            "U011-17990PE",
        ],
        &[],
    );
    check(
        "U0:1:0:full:calls",
        0,
        Some(1007.0),
        &["U0", "U011-171010CE", "U011-17FUT", "U011-24FUT", "U012-01FUT", "U012-29FUT"],
        &[],
    );
    // The one the ladder follows is there whatever is left out.
    check("U0:1:0:full:puts:nofutures:nospot", 0, Some(1000.0), &["U0", "U011-171000PE"], &[]);
    check("NFO/U0:0:5:ltp:nofutures", 0, None, &["U0"], &[]);
}

#[test]
fn expiries_are_counted_by_their_cycle_and_roll() {
    let puts = |days: &[&str]| -> Vec<String> {
        std::iter::once("U0".to_owned()).chain(days.iter().map(|day| format!("U0{day}1000PE"))).collect()
    };
    let check = |text: &str, now, days: &[&str]| {
        let puts = puts(days);
        let wanted: Vec<&str> = puts.iter().map(String::as_str).collect();
        check(&format!("U0:{text}:0:full:puts:nofutures"), now, Some(1000.0), &wanted, &[]);
    };
    check("2", 0, &["11-17", "11-24"]);
    check("2", 999, &["11-17", "11-24"]);
    check("2", 1000, &["11-24", "12-01"]);
    check("9", 2000, &["12-01", "12-29"]);
    check("2w", 0, &["11-17", "12-01"]);
    check("2w", 1000, &["12-01"]);
    check("1m", 0, &["11-24"]);
    check("2m", 2000, &["12-29"]);
    check("2026-11-24+2026-12-29", 0, &["11-24", "12-29"]);
}

#[test]
fn what_cannot_be_met_is_named() {
    check("NSE:TCS,NSE:S1:ltp", 0, None, &["S1"], &["NSE does not list `TCS` today"]);
    check(
        "GOLD,MCX/U0",
        0,
        None,
        &[],
        &["there is no underlying `GOLD` today", "there is no underlying `U0` today"],
    );
    check("BSE:*", 0, None, &[], &["BSE lists nothing today"]);
    check("NFO:U02026-11-171000CE", 1000, None, &[], &["`U02026-11-171000CE` ended on 2026-11-17"]);
    let waits = "the strikes of `U0` 2026-11-17 wait for a first price";
    check("U0:1:5:full:nofutures", 0, None, &["U0"], &[waits]);
    check("U0:2026-11-17:0:full:nofutures", 1000, Some(1000.0), &["U0"], &["`U0` ended on 2026-11-17"]);
    let none = "`U0` has no expiry that is `2026-11-18`";
    check("U0:2026-11-18:0:full:nofutures", 0, Some(1000.0), &["U0"], &[none]);
    check("S0:1:5", 0, Some(1000.0), &["S0"], &["`S0` has no expiry that is `1`"]);
    check("U0:1w:5:full:nofutures", 3000, Some(1000.0), &["U0"], &["`U0` has no expiry that is `1w`"]);
}

#[test]
fn an_exchange_is_everything_that_has_not_ended() {
    check("NSE:*:ltp", 0, None, &["S0", "S1", "S2", "U0", "U1"], &[]);
    let (catalog, quotes) = (catalog(), SetQuotes::default());
    let mut resolver = Resolver::new(LadderConfig::default());
    let count = |resolver: &mut Resolver, now| {
        resolver.resolve(&wishes("NFO:*"), &catalog, &quotes, UnixNanos::from_secs(now)).len()
    };
    assert_eq!(count(&mut resolver, 0), 2 * 4 * 43);
    assert_eq!(count(&mut resolver, 2500), 2 * 2 * 43);
}

#[test]
fn wishes_for_the_same_instrument_are_one_with_the_most_of_each() {
    let texts = "NSE:S0:ltp:priority=200:only=main,NSE:S0:full:prefer=second,U0:0:1:quote";
    let desired = Resolver::new(LadderConfig::default()).resolve(
        &wishes(texts),
        &catalog(),
        &SetQuotes::default(),
        UnixNanos::from_secs(0),
    );
    let wanted = desired.wanted().iter().find(|wanted| wanted.token == InstrumentToken(500_000)).unwrap();
    assert_eq!((wanted.mode, wanted.priority), (Mode::Full, Priority(200)));
    assert!(matches!(wanted.account, Pinned::Only(_)));
    let who: Vec<_> = desired.wishes_for(wanted.token).map(|(wish, mode)| (wish.id.as_str(), mode)).collect();
    assert_eq!(who, [("w1", Mode::Ltp), ("w2", Mode::Full)]);
    assert_eq!(desired.wishes_for(InstrumentToken(1)).count(), 0);
}

#[test]
fn a_ladder_follows_the_freshest_price_there_is() {
    let (catalog, quotes) = (catalog(), Either::default());
    let at = UnixNanos::from_secs;
    let mut resolver = Resolver::new(LadderConfig::default());
    let mut centre = |quotes: &Either, now| {
        let standing = resolver.resolve(&wishes("U0:1:2"), &catalog, quotes, at(now));
        standing
            .ladders()
            .first()
            .map(|ladder| (ladder.centre.to_f64(), ladder.price.map(|(_, source)| source)))
    };
    assert_eq!(centre(&quotes, 0), None);
    quotes.0.set(0, 1000.0, at(0));
    assert_eq!(centre(&quotes, 0), Some((1000.0, Some(ReferenceSource::Spot))));
    // The index stands still; the future goes on.
    quotes.0.set(1_000_000, 1050.0, at(70));
    assert_eq!(centre(&quotes, 10), Some((1000.0, Some(ReferenceSource::Spot))));
    assert_eq!(centre(&quotes, 75), Some((1050.0, Some(ReferenceSource::Future))));
    assert_eq!(centre(&quotes, 500), Some((1050.0, Some(ReferenceSource::Future))), "old, but the newest");
    assert_eq!(
        centre(&Either(SetQuotes::default(), Some(1080.0)), 500),
        Some((1080.0, Some(ReferenceSource::Forward)))
    );
    assert_eq!(centre(&Either::default(), 501), Some((1080.0, None)), "it stays where it stood");
}

#[test]
fn an_outdated_answer_is_noticed() {
    let (catalog, quotes) = (catalog(), SetQuotes::default());
    let at = UnixNanos::from_secs;
    let mut resolver = Resolver::new(LadderConfig::default());
    let waiting = resolver.resolve(&wishes("U0:1:2"), &catalog, &quotes, at(0));
    assert_eq!(resolver.outdated(&waiting, &quotes, at(1)), None);
    quotes.set(0, 1000.0, at(1));
    assert_eq!(resolver.outdated(&waiting, &quotes, at(1)), Some(Outdated::FirstPrice));
    let standing = resolver.resolve(&wishes("U0:1:2"), &catalog, &quotes, at(1));
    quotes.set(0, 1012.0, at(2));
    assert_eq!(resolver.outdated(&standing, &quotes, at(2)), None);
    quotes.set(0, 1013.0, at(2));
    assert_eq!(resolver.outdated(&standing, &quotes, at(2)), Some(Outdated::Moved));
    assert_eq!(standing.valid_until(), Some(at(1000)));
    assert_eq!(resolver.outdated(&standing, &quotes, at(1000)), Some(Outdated::Ended));
}

#[test]
fn a_day_without_an_instant_ends_at_midnight_in_india() {
    let expiry = Expiry { date: date(2026, 11, 24), instant: None };
    assert_eq!(end_of(&expiry).to_string(), "2026-11-24T18:30:00Z");
    let known = Expiry { instant: Some(UnixNanos(5)), ..expiry };
    assert_eq!(end_of(&known), UnixNanos(5));
}

/// Set prices, and a forward of every chain.
#[derive(Default)]
struct Either(SetQuotes, Option<f64>);

impl Quotes for Either {
    fn last(&self, token: InstrumentToken) -> Option<Quote> {
        self.0.last(token)
    }

    fn forward(&self, _: &market_model::Underlying, _: &ExpiryChain) -> Option<Price> {
        Price::from_f64(self.1?)
    }
}
