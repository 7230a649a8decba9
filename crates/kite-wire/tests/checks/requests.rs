//! The request examples: what our typed requests encode to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kite_wire::api::*;
use kite_wire::{
    AlertType, GttType, Interval, OrderType, PositionType, Product, TransactionType, Validity, Variety,
    parse_indian_time, session_checksum,
};
use market_model::{Exchange, InstrumentToken, Price};
use serde_json::Value;

use crate::same::compare;

/// Holds the typed request for example `name` against it, and reads the answer that the example names.
pub(crate) fn check(root: &Path, name: &str, example: &[u8]) {
    let example: Value = serde_json::from_slice(example).unwrap();
    let answer = example["responds_with"].as_str().map(|file| fs::read(root.join(file)).unwrap());
    match name {
        "alerts_create.json" => one(name, &example, answer, &CreateAlert(nifty_alert())),
        "cancel_order.json" => {
            let cancel = CancelOrder {
                variety: Variety::Regular,
                order_id: "151220000000000".into(),
                parent_order_id: None,
            };
            one(name, &example, answer, &cancel);
        }
        "charges.json" => {
            let order = ChargeOrder {
                order_id: "111111111".into(),
                exchange: Exchange::Nse,
                tradingsymbol: "SBIN".into(),
                transaction_type: TransactionType::Buy,
                variety: Variety::Regular,
                product: Product::Cnc,
                order_type: OrderType::Market,
                quantity: 1,
                average_price: rupees("560"),
            };
            one(name, &example, answer, &GetCharges(vec![order]));
        }
        "convert_position.json" => {
            let convert = ConvertPosition {
                exchange: Exchange::Nse,
                tradingsymbol: "INFY".into(),
                transaction_type: TransactionType::Buy,
                position_type: PositionType::Overnight,
                quantity: 3,
                old_product: Product::Nrml,
                new_product: Product::Mis,
            };
            one(name, &example, answer, &convert);
        }
        "gtt_two_leg.json" => one(name, &example, answer, &PlaceGtt(two_legs())),
        "historical.json" => {
            let candles = GetCandles {
                instrument_token: InstrumentToken(5633),
                interval: Interval::Minute,
                from: parse_indian_time("2017-12-15 09:15:00").unwrap(),
                to: parse_indian_time("2017-12-15 09:20:00").unwrap(),
                continuous: false,
                oi: false,
            };
            one(name, &example, answer, &candles);
        }
        "logout.json" => {
            let token = SessionToken::Access("accesstok000000001".into());
            one(name, &example, answer, &EndSession { api_key: "kitekey0000000001".into(), token });
        }
        "modify_order.json" => {
            let mut modify = ModifyOrder::new(Variety::Regular, "151220000000000");
            modify.order_type = Some(OrderType::Limit);
            modify.quantity = Some(3);
            modify.price = Some(rupees("1500"));
            modify.trigger_price = Some(Price::ZERO);
            modify.validity = Some(Validity::Day);
            one(name, &example, answer, &modify);
        }
        "order_margins.json" => {
            let order = MarginOrder {
                exchange: Exchange::Nse,
                tradingsymbol: "INFY".into(),
                transaction_type: TransactionType::Buy,
                variety: Variety::Regular,
                product: Product::Cnc,
                order_type: OrderType::Market,
                quantity: 1,
                price: Price::ZERO,
                trigger_price: Price::ZERO,
            };
            one(name, &example, answer, &OrderMargins { orders: vec![order], compact: false });
        }
        "place_iceberg.json" => {
            let mut order = place("SBIN", TransactionType::Buy, 1000, Product::Cnc, OrderType::Limit);
            order.variety = Variety::Iceberg;
            order.price = Some(rupees("463"));
            order.validity = Some(Validity::Ttl);
            order.validity_ttl = Some(2);
            order.iceberg = Some(Iceberg { legs: 5, quantity: 200 });
            order.tag = Some("icebergord".into());
            one(name, &example, answer, &order);
        }
        "place_limit.json" => {
            let mut order = place("INFY", TransactionType::Buy, 1, Product::Cnc, OrderType::Limit);
            order.price = Some(rupees("1412.95"));
            order.validity = Some(Validity::Day);
            order.tag = Some("strat1".into());
            one(name, &example, answer, &order);
        }
        "place_market_protected.json" => {
            let mut order = place("SBIN", TransactionType::Sell, 10, Product::Mis, OrderType::Market);
            order.validity = Some(Validity::Day);
            order.market_protection = Some(MarketProtection::Automatic);
            one(name, &example, answer, &order);
        }
        "quote_multi.json" => {
            let asked = ["NSE:INFY", "NSE:NIFTY 50", "NSE:M&M"].map(str::to_owned);
            one(name, &example, answer, &GetQuotes(asked.to_vec()));
        }
        "session_token.json" => {
            let login = GenerateSession {
                api_key: "Uz7Mdn29ZGya31a".into(),
                request_token: "qKLeSUycwFEvWGw".into(),
                checksum: session_checksum("Uz7Mdn29ZGya31a", "qKLeSUycwFEvWGw", "kqykYBBhGEwPziq"),
            };
            one(name, &example, answer, &login);
        }
        // A handshake of the ticker: encoded by kite-client, only its query is ours.
        "ws_connect.json" => assert_eq!(
            encode_form(pairs(&example["query"]).iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            "api_key=kitekey0000000001&access_token=accesstok000000001"
        ),
        _ => panic!("requests/{name} is unknown"),
    }
}

fn one<C: Call>(name: &str, example: &Value, answer: Option<Vec<u8>>, call: &C) {
    let request = call.request();
    assert_eq!(request.problem(), None, "{name}");
    assert_eq!(request.method.as_str(), example["method"], "{name}");
    assert_eq!(request.path, example["path"].as_str().unwrap(), "{name}");
    let query: Vec<_> = request.query.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    assert_eq!(query, pairs(&example["query"]), "{name}");
    if let Some(raw) = example["raw_query"].as_str() {
        assert_eq!(request.target(), format!("{}?{raw}", request.path), "{name}");
    }
    assert_eq!(example["headers"]["X-Kite-Version"], "3", "{name}: a header of every request");
    assert_eq!(request.needs_login, example["headers"]["Authorization"].is_string(), "{name}");
    match &request.body {
        RequestBody::Json(json) => equal(name, &serde_json::from_str(json).unwrap(), &example["json"]),
        RequestBody::Form(fields) => form(name, fields, example),
        RequestBody::Empty => assert!(example["content_type"].is_null(), "{name} has a body"),
    }
    if let Some(kind) = request.body.content_type() {
        assert_eq!(kind, example["content_type"], "{name}");
    }
    if let Some(body) = answer {
        call.read(&body).unwrap_or_else(|error| panic!("the answer to {name}: {error}"));
    }
}

fn form(name: &str, fields: &[(&'static str, String)], example: &Value) {
    let ours: BTreeMap<&str, &str> = fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
    assert_eq!(ours.len(), fields.len(), "{name} says a field twice");
    if let Some(expected) = example["form"].as_object() {
        let expected: BTreeMap<&str, &str> =
            expected.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap())).collect();
        assert_eq!(ours, expected, "{name}");
    } else {
        let expected = example["form_json"].as_object().unwrap();
        assert_eq!(ours.keys().copied().collect::<Vec<_>>(), sorted(expected), "{name}");
        for (key, value) in expected {
            match value.as_str() {
                Some(text) => assert_eq!(ours[key.as_str()], text, "{name}"),
                None => equal(name, &serde_json::from_str(ours[key.as_str()]).unwrap(), value),
            }
        }
    }
}

fn sorted(object: &serde_json::Map<String, Value>) -> Vec<&str> {
    let mut keys: Vec<_> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The same JSON both ways round, but for how numbers are written.
fn equal(name: &str, ours: &Value, expected: &Value) {
    let mut lost = Vec::new();
    compare(name, ours, expected, &mut lost);
    compare(name, expected, ours, &mut lost);
    assert!(lost.is_empty(), "{name}: {lost:?}");
}

fn pairs(query: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pairs = query.as_array().into_iter().flatten();
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn rupees(text: &str) -> Price {
    text.parse().unwrap()
}

fn place(
    symbol: &str,
    side: TransactionType,
    quantity: u64,
    product: Product,
    kind: OrderType,
) -> PlaceOrder {
    PlaceOrder::regular((Exchange::Nse, symbol), (side, quantity), product, kind)
}

fn nifty_alert() -> AlertSpec {
    AlertSpec {
        name: "NIFTY 50".into(),
        kind: AlertType::Simple,
        lhs_exchange: Exchange::from_word("INDICES"),
        lhs_tradingsymbol: "NIFTY 50".into(),
        lhs_attribute: "LastTradedPrice".into(),
        operator: ">=".into(),
        rhs: AlertSide::Constant("27000".parse().unwrap()),
        basket: None,
    }
}

fn two_legs() -> GttSpec {
    let leg = |at: &str, price: &str| GttLeg {
        trigger_value: rupees(at),
        transaction_type: TransactionType::Sell,
        quantity: 1,
        order_type: OrderType::Limit,
        product: Product::Cnc,
        price: rupees(price),
    };
    GttSpec {
        kind: GttType::TwoLeg,
        exchange: Exchange::Nse,
        tradingsymbol: "INFY".into(),
        instrument_token: None,
        last_price: rupees("742"),
        legs: vec![leg("702", "702.5"), leg("798", "798.5")],
    }
}
