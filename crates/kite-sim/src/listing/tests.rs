//! Tests of the listing.

use std::collections::HashSet;

use super::*;
use crate::config::{LoadConfig, Sessions};

/// Friday 20 November 2026, 14:00 in India.
const NOW: UnixNanos = UnixNanos::from_secs(1_795_163_400);

fn listing(config: &SimConfig, now: UnixNanos) -> Listing {
    let model = Model::new(config.seed, config.market.clone());
    Listing::build(config, &Rules::new(Sessions::AlwaysOpen), &model, now).unwrap()
}

#[test]
fn tokens_and_symbols_are_unique_and_segments_fit() {
    let config = SimConfig {
        load: Some(LoadConfig { instruments: 3_000, ticks_per_second: 2.0 }),
        ..SimConfig::default()
    };
    let listing = listing(&config, NOW);
    assert!(listing.instruments.len() > 5_000);
    let tokens: HashSet<_> = listing.instruments.iter().map(|listed| listed.token).collect();
    assert_eq!(tokens.len(), listing.instruments.len());
    assert_eq!(listing.by_symbol.len(), listing.instruments.len());
    for listed in &listing.instruments {
        let byte = match listed.segment {
            Segment::Indices => 9,
            Segment::Nse => 1,
            Segment::NfoFutures | Segment::NfoOptions => 2,
            Segment::BfoFutures | Segment::BfoOptions => 5,
            ref other => panic!("{other}"),
        };
        assert_eq!(listed.token.segment_byte(), byte, "{}", listed.tradingsymbol);
        assert_eq!(listed.lot_size == 0, listed.is_index(), "{}", listed.tradingsymbol);
    }
}

#[test]
fn whole_chains_are_listed_around_the_money() {
    let listing = listing(&SimConfig::default(), NOW);
    for symbol in
        ["NSE:NIFTY 50", "BSE:SENSEX", "NSE:INDIA VIX", "NSE:M&M", "NFO:NIFTY26NOVFUT", "BFO:SENSEX26DECFUT"]
    {
        assert!(listing.slot_of_symbol(symbol).is_some(), "{symbol}");
    }
    for (name, chains) in [("NIFTY", 6), ("BANKNIFTY", 3), ("SENSEX", 6)] {
        let mut rows: Vec<(Date, i64)> = listing
            .instruments
            .iter()
            .filter(|listed| listed.name == name)
            .filter_map(|listed| match listed.kind {
                Kind::Option { strike, side: OptionSide::Call, .. } => {
                    Some((listed.expiry.unwrap(), strike as i64))
                }
                _ => None,
            })
            .collect();
        rows.sort_unstable();
        let dates: HashSet<Date> = rows.iter().map(|(date, _)| *date).collect();
        assert!(dates.len() >= chains, "{name}: {dates:?}");
        assert_eq!(rows.len(), dates.len() * 81, "{name}");
    }
    let weekly = "NFO:NIFTY26D0126500CE";
    assert!(listing.slot_of_symbol(weekly).is_some(), "{weekly}");
}

#[test]
fn expired_contracts_disappear_and_the_others_keep_their_tokens() {
    let config = SimConfig::default();
    let first = listing(&config, NOW);
    let token =
        |listing: &Listing, symbol: &str| listing.slot_of_symbol(symbol).map(|slot| listing.get(slot).token);
    // 23 November 2026, 15:40 in India.
    let end = UnixNanos::from_secs(1_795_428_600);
    let later = listing(&config, end);
    assert!(token(&first, "NFO:NIFTY26NOVFUT").is_some());
    assert_eq!(token(&later, "NFO:NIFTY26NOVFUT"), None);
    assert!(!later.by_symbol.keys().any(|symbol| symbol.starts_with("NFO:NIFTY26NOV")));
    let kept = "NFO:NIFTY26DECFUT";
    assert_eq!(token(&first, kept), token(&later, kept));
    let before = listing(&config, UnixNanos(end.0 - 1));
    assert_eq!(before.valid_until, end);
}
