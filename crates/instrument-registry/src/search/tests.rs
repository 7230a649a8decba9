use super::*;
use crate::fixture::{DAY, listing};

fn check(text: &str, expect: &[&str]) {
    let listing = listing();
    let found: Vec<String> = listing
        .search(text, None, expect.len().max(3))
        .iter()
        .map(|hit| {
            let row = listing.catalog().get(hit.slot);
            format!("{}:{}", row.exchange, row.tradingsymbol)
        })
        .collect();
    assert_eq!(found, expect, "{text}");
}

#[test]
fn what_people_type_is_found_with_the_best_first() {
    check("nifty", &["NSE:NIFTY 50", "NSE:NIFTY BANK", "NSE:NIFTYBEES", "NFO:NIFTY26NOVFUT"]);
    check("NIFTY 50", &["NSE:NIFTY 50", "NFO:NIFTY26NOVFUT", "NFO:NIFTY26DECFUT"]);
    check("bank nifty", &["NSE:NIFTY BANK"]);
    check("infosys", &["NSE:INFY", "BSE:INFY", "NFO:INFY26NOVFUT"]);
    check("infy", &["NSE:INFY", "BSE:INFY", "NFO:INFY26NOVFUT"]);
    check("infos fut", &["NFO:INFY26NOVFUT"]);
    check("infy future nov", &["NFO:INFY26NOVFUT"]);
    check("m&m", &["NSE:M&M"]);
    check("centralbk-be", &["NSE:CENTRALBK-BE"]);
    check("central bank", &["NSE:CENTRALBK-BE"]);
    check("gold fut", &["MCX:GOLD26DECFUT"]);
    check("nosuchthing", &[]);
    check("nifty nosuchthing", &[]);
    check("   ", &[]);
    check("fut", &[]);
}

#[test]
fn contracts_are_found_by_strike_side_and_end() {
    check("nifty 25000 ce", &["NFO:NIFTY2612425000CE", "NFO:NIFTY26DEC25000CE"]);
    check("25000 call nifty 24nov", &["NFO:NIFTY2612425000CE"]);
    check("nifty 2026-11-24 put 25050", &["NFO:NIFTY2612425050PE"]);
    check("nifty pe dec26 25000.0", &["NFO:NIFTY26DEC25000PE"]);
    check(
        "NIFTY26DEC25",
        &["NFO:NIFTY26DEC25000CE", "NFO:NIFTY26DEC25000PE", "NFO:NIFTY26DEC25050CE", "NFO:NIFTY26DEC25050PE"],
    );
    check("nifty26124 25000", &[]);
}

#[test]
fn answers_are_bounded_and_can_be_kept_to_an_exchange() {
    let listing = listing();
    assert_eq!(listing.search("n", None, 5).len(), 5);
    assert_eq!(listing.search("n", None, 0).len(), 0);
    let hits = listing.search("infy", Some(&Exchange::Bse), 10);
    assert_eq!(hits.iter().map(|hit| hit.fit).collect::<Vec<_>>(), [Fit::Exact]);
    let long = "nifty ".repeat(10_000);
    assert!(!listing.search(&long, None, usize::MAX).is_empty());
    assert_eq!(DAY, listing.day());
}

#[test]
fn no_text_breaks_it() {
    let listing = listing();
    proptest::proptest!(|(text in "\\PC{0,80}")| {
        let hits = listing.search(&text, None, 20);
        proptest::prop_assert!(hits.len() <= 20);
    });
}
