use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::wish::EXCHANGES;

fn check(text: &str, expect: Result<&str, &str>) {
    match (WishSpec::parse("desk", text), expect) {
        (Ok(spec), Ok(shown)) => assert_eq!(spec.to_string(), shown, "{text}"),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
        (read, _) => panic!("{text}: {read:?}"),
    }
}

#[test]
fn texts_of_the_first_gateway_keep_their_meaning() {
    check("NIFTY:2:25:full", Ok("NIFTY:2:25:full"));
    check(" NIFTY ", Ok("NIFTY:1:10:full"));
    check("NIFTY:2:25:ltp", Ok("NIFTY:2:25:ltp"));
    check("NSE:NIFTY 50:quote", Ok("NSE:NIFTY 50:quote"));
    check("NSE:*:ltp", Ok("NSE:*:ltp"));
    check("NSE:INFY", Ok("NSE:INFY:full"));
    check("NSE:", Err("symbol is empty"));
    check("NIFTY:two", Err("number of expiries"));
    check("NIFTY:2:9999", Err("number of strikes"));
    check("NIFTY:2:2:fast", Err("mode is ltp"));
    check("NIFTY:1:2:full:x", Err("`x` is none of priority="));
}

#[test]
fn rules_say_cycle_days_sides_and_account() {
    check("NIFTY:2w:20", Ok("NIFTY:2w:20:full"));
    check("NIFTY:1m:20:quote:puts:nospot", Ok("NIFTY:1m:20:quote:puts:nospot"));
    check("NIFTY:2026-12-29+2026-11-24:5", Ok("NIFTY:2026-11-24+2026-12-29:5:full"));
    check("MCX/GOLD:1:5:calls:nofutures:priority=7", Ok("MCX/GOLD:1:5:full:calls:nofutures:priority=7"));
    check("NSE:INFY:priority=200:only=main", Ok("NSE:INFY:full:priority=200:only=main"));
    check("BSE:SENSEX:ltp:prefer=second", Ok("BSE:SENSEX:ltp:prefer=second"));
    check("NFO/BSE:1:5", Ok("NFO/BSE:1:5:full"));
    check("NIFTY:2026-13-01", Err("is not a date"));
    check("MARS/GOLD:1:5", Err("no exchange `MARS`"));
    check("NSE:INFY:calls", Err("`calls` is none of"));
    check("NSE:INFY:priority=256", Err("from 0 to 255"));
    check("NSE:INFY:only=", Err("the account is empty"));
    check("NIFTY:51", Err("number of expiries"));
}

#[test]
fn a_list_names_every_part_that_cannot_be_read() {
    let wishes = parse_wishes("desk", "NIFTY:2w:20, NSE:INFY:quote,,").unwrap();
    assert_eq!((wishes.len(), &*wishes[1].owner), (2, "desk"));
    let problems = parse_wishes("desk", "NIFTY:x,NSE:INFY,NSE:").unwrap_err();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].starts_with("`NIFTY:x`") && problems[1].starts_with("`NSE:`"), "{problems:?}");
}

#[test]
fn what_no_text_can_say_is_refused() {
    let check = |what: What, part: &str| {
        let error = WishSpec::new("desk", what).check().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let ladder = |name: &str, expiries| Ladder::new(name, expiries, 5);
    check(What::Ladder(ladder("BSE", Expiries::nearest(1))), "NFO/BSE");
    check(What::Ladder(ladder("A:B", Expiries::nearest(1))), "colon");
    check(What::Ladder(ladder("A/B", Expiries::nearest(1))), "`/`");
    check(What::Ladder(ladder("A", Expiries::Dates(Vec::new()))), "expiry dates are not 1");
    let twice = vec![date(2026, 11, 24); 2];
    check(What::Ladder(ladder("A", Expiries::Dates(twice))), "ascending");
    check(What::Instrument { exchange: Exchange::Nse, tradingsymbol: "*".into() }, "whole exchange");
    check(What::Exchange { exchange: Exchange::from_word("MARS") }, "no exchange `MARS`");
    let mut spec = WishSpec::new("a\nb", What::Exchange { exchange: Exchange::Nse });
    assert!(spec.check().is_err());
    spec.owner = "x".repeat(65).into();
    assert!(spec.check().is_err());
}

/// Any wish that may be kept.
pub(crate) fn any_spec() -> impl Strategy<Value = WishSpec> {
    let name = "[A-Z][A-Z0-9&]{0,8}".prop_filter("no exchange", |name: &String| !is_exchange(name));
    let exchange = prop::sample::select(EXCHANGES.to_vec());
    let days = prop::collection::btree_set(0i64..400, 1..4);
    let dates = days.prop_map(|days| {
        let day = |after: i64| date(2026, 1, 1).checked_add(jiff::Span::new().days(after)).unwrap();
        Expiries::Dates(days.into_iter().map(day).collect())
    });
    let cycle = prop::sample::select(vec![ExpiryCycle::Any, ExpiryCycle::Weekly, ExpiryCycle::Monthly]);
    let nearest = (0u8..=50, cycle).prop_map(|(count, cycle)| Expiries::Nearest { count, cycle });
    let sides = prop::sample::select(vec![Sides::Both, Sides::Calls, Sides::Puts]);
    let ladder = (
        prop::option::of(exchange.clone()),
        name.clone(),
        prop_oneof![nearest, dates],
        0u16..=500,
        sides,
        any::<(bool, bool)>(),
    )
        .prop_map(|(exchange, name, expiries, around, sides, (futures, spot))| {
            let plain = Ladder::new(&name, expiries, around);
            What::Ladder(Ladder { exchange, sides, futures, spot, ..plain })
        });
    let symbol = "[A-Z][A-Z0-9&\\- ]{0,12}[A-Z0-9]";
    let instrument = (exchange.clone(), symbol)
        .prop_map(|(exchange, symbol)| What::Instrument { exchange, tradingsymbol: symbol.into() });
    let whole = exchange.prop_map(|exchange| What::Exchange { exchange });
    let account = prop_oneof![
        Just(AccountPreference::Any),
        "[a-z]{1,5}".prop_map(|name| AccountPreference::Prefer(name.into())),
        "[a-z]{1,5}".prop_map(|name| AccountPreference::Only(name.into())),
    ];
    let mode = prop::sample::select(vec![Mode::Ltp, Mode::Quote, Mode::Full]);
    (prop_oneof![ladder, instrument, whole], any::<u8>(), mode, account).prop_map(
        |(what, priority, mode, account)| WishSpec {
            owner: "desk".into(),
            priority: Priority(priority),
            mode,
            account,
            what,
        },
    )
}

proptest! {
    #[test]
    fn a_text_reads_as_the_wish_it_was_written_from(spec in any_spec()) {
        prop_assert!(spec.check().is_ok(), "{spec:?}");
        prop_assert_eq!(&WishSpec::parse("desk", &spec.to_string()).unwrap(), &spec);
        prop_assert_eq!(What::parse(&spec.what.to_string()), Ok(spec.what));
    }

    #[test]
    fn no_text_makes_it_panic_and_what_is_read_can_be_written(text in "[A-Z0-9:*/=+a-z\\- ,é]{0,40}") {
        if let Ok(spec) = WishSpec::parse("desk", &text) {
            prop_assert_eq!(WishSpec::parse("desk", &spec.to_string()).unwrap(), spec);
        }
    }
}
