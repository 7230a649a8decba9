//! One whole answer of each kind, from `testdata/rest`: read, written, and held against what it was.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kite_wire::api::{Call, GetOrders};
use kite_wire::rest::*;
use kite_wire::{ErrorKind, OrderStatus, OrderType};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[path = "checks/same.rs"]
mod same;

/// Answers of the folder, and which of them were looked at.
#[derive(Default)]
struct Answers(BTreeSet<String>);

impl Answers {
    fn read<T: DeserializeOwned + Serialize>(&mut self, name: &str) -> T {
        self.reading(name, &[])
    }

    fn reading<T: DeserializeOwned + Serialize>(&mut self, name: &str, dropped: &[&str]) -> T {
        let body = fs::read(folder().join(format!("{name}.json"))).unwrap();
        self.0.insert(format!("{name}.json"));
        same::both_ways(name, &body, dropped)
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rest")
}

#[test]
fn every_answer_is_read_whole() {
    let mut answers = Answers::default();
    let orders: Vec<OrderUpdate> = answers.read("orders");
    assert_eq!(orders[0].iceberg().unwrap().remaining_quantity, 800);
    assert_eq!((orders[0].tags.len(), orders[0].market_protection.to_string().as_str()), (2, "-1"));
    assert_eq!((orders[1].order_id.as_str(), orders[1].iceberg()), ("171228000850038", None));
    assert_eq!((orders[1].price.to_string().as_str(), orders[1].quantity), ("311.00", 1));
    let history: Vec<OrderUpdate> = answers.read("order_history");
    assert_eq!(history[0].status, OrderStatus::PutOrderReqReceived);
    assert_eq!((history[1].status.as_str(), history[1].status.is_final()), ("A NEW STATUS", false));
    let trades: Vec<Trade> = answers.read("trades");
    assert_eq!((trades[0].instrument_token.0, trades[0].order_timestamp.unwrap().hour()), (408_065, 9));

    assert_eq!(answers.read::<Placed>("placed").order_ids().count(), 1);
    for (name, parent) in [("placed_in_slices", Some("1")), ("placed_in_slices_v1", None)] {
        let placed: Placed = answers.read(name);
        assert_eq!((placed.order_id.as_deref(), placed.order_ids().collect::<Vec<_>>()), (parent, vec!["2"]));
        let Slice::Refused(refused) = &placed.slices[1] else { panic!("{name}") };
        assert_eq!(refused.error_type, ErrorKind::Margin);
    }
    let triggers: Vec<GttTrigger> = answers.read("gtts");
    assert_eq!(triggers[0].orders[1].result.as_ref().unwrap().order_type, OrderType::Limit);
    assert_eq!(answers.read::<TriggerId>("trigger_id").trigger_id, 4_000_000_001);
    let alerts: Vec<Alert> = answers.read("alerts");
    assert_eq!(alerts[0].basket.as_ref().unwrap().items[0].params.gtt.stoploss.to_string(), "-5.5");
    let firings: Vec<AlertFiring> = answers.read("alert_history");
    assert_eq!(firings[0].meta[0].volume_tick, -3);

    assert!(answers.read::<Vec<Holding>>("holdings")[0].discrepancy);
    let summary: HoldingsSummary = answers.read("holdings_summary");
    assert_eq!(summary.today_pnl.to_price().unwrap().to_string(), "-76.80");
    assert_eq!(answers.read::<Vec<CompactHolding>>("holdings_compact")[0].quantity, 2);
    assert_eq!(answers.read::<Vec<AuctionHolding>>("auctions")[0].auction_number, "20");
    assert_eq!(answers.read::<AuthorisationId>("authorisation").request_id, "abc");
    let positions: Positions = answers.read("positions");
    assert_eq!((positions.net[0].quantity, positions.day.len()), (-3, 0));
    assert_eq!(positions.net[0].sell_m2m.to_string(), "93360.30000000001");

    let margins: Vec<OrderMargin> = answers.read("order_margins");
    assert_eq!((margins[0].pnl.unrealised.to_f64(), margins[1].leverage.is_zero()), (-2.5, true));
    assert_eq!(answers.reading::<BasketMargin>("basket_margins", &["charges"]).orders.len(), 1);
    assert_eq!(answers.read::<Vec<ContractNote>>("charges")[0].charges.total.to_string(), "1.79255122");
    let purses: Margins = answers.read("margins");
    assert_eq!(purses.equity.unwrap().net.to_string(), "99725.05000000002");
    assert_eq!(purses.commodity, None);
    let profile: FullProfile = answers.read("full_profile");
    assert_eq!(format!("{profile:?}"), r#"FullProfile { user_id: "ZZ0001", .. }"#);
    assert_eq!(
        answers.read::<QuoteMap<TriggerRange>>("trigger_range")["NSE:INFY"].upper.to_string(),
        "1138.2"
    );
    assert_eq!(answers.read::<Vec<MfOrder>>("mf_orders")[0].average_price.to_string(), "500.4463");
    assert_eq!(answers.read::<Vec<Sip>>("sips")[0].instalment_day, 5);
    assert_eq!(answers.read::<Vec<MfHolding>>("mf_holdings")[0].quantity.to_string(), "1.334");
    let renewed: RenewedSession = answers.read("renewed_session");
    assert_eq!(renewed.refresh_token, "r");
    assert!(!format!("{renewed:?}").contains("\"r\""));
    answers.0.insert("empty_book.json".to_owned());
    assert_eq!(GetOrders.read(&fs::read(folder().join("empty_book.json")).unwrap()).unwrap(), []);

    let there = fs::read_dir(folder()).unwrap();
    let there: BTreeSet<_> = there.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(answers.0, there, "every file is looked at");
}
