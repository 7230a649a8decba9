//! Portfolio, triggers, funds, margins: the documented shapes, and the address that orders come from.

use http_body_util::Full;
use kite_sim::SimConfig;
use serde_json::{Value, json};

use crate::client::{Sim, relaxed};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[tokio::test]
async fn holdings_and_positions_follow_the_documented_arithmetic() {
    let mut sim = Sim::relaxed().await;
    let holdings = sim.get("/portfolio/holdings").await.data();
    let rows = holdings.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        let pnl = (number(&row["last_price"]) - number(&row["average_price"])) * number(&row["quantity"]);
        assert!((number(&row["pnl"]) - pnl).abs() < 1e-6, "{row}");
        let change = number(&row["last_price"]) - number(&row["close_price"]);
        assert!((number(&row["day_change"]) - change).abs() < 1e-9, "{row}");
    }
    let positions = sim.get("/portfolio/positions").await.data();
    assert_eq!(
        (positions["net"].as_array().unwrap().len(), positions["day"].as_array().unwrap().len()),
        (2, 1)
    );
    for row in positions["net"].as_array().unwrap() {
        let value = number(&row["sell_value"]) - number(&row["buy_value"]);
        assert!((number(&row["value"]) - value).abs() < 1e-6, "{row}");
        let pnl = value + number(&row["quantity"]) * number(&row["last_price"]) * number(&row["multiplier"]);
        assert!((number(&row["pnl"]) - pnl).abs() < 1e-6, "{row}");
        assert_eq!(row.as_object().unwrap().len(), 29, "{row}");
    }
    let summary = sim.get("/portfolio/holdings/summary").await.data();
    let gained = number(&summary["current_value"]) - number(&summary["invested_amount"]);
    assert!((number(&summary["total_pnl"]) - gained).abs() < 1e-6);
    let compact = sim.get("/portfolio/holdings/compact").await.data();
    assert_eq!(compact[0].as_object().unwrap().len(), 5);
    for path in ["/orders", "/trades", "/portfolio/holdings/auctions"] {
        assert_eq!(sim.get(path).await.data(), json!([]), "{path}");
    }
    let unknown = sim.get("/orders/1914227164488687616/trades").await;
    unknown.is_error(400, "GeneralException", "Couldn't find that `order_id`.");
}

#[tokio::test]
async fn triggers_alerts_and_funds_are_found_by_their_ids() {
    let mut sim = Sim::relaxed().await;
    for (list, id) in
        [("/gtt/triggers", "id"), ("/alerts", "uuid"), ("/mf/orders", "order_id"), ("/mf/sips", "sip_id")]
    {
        let rows = sim.get(list).await.data();
        let row = &rows[0];
        let name = row[id].as_str().map_or_else(|| row[id].to_string(), str::to_owned);
        assert_eq!(&sim.get(&format!("{list}/{name}")).await.data(), row, "{list}");
        assert_eq!(sim.get(&format!("{list}/0")).await.status, 404, "{list}");
    }
    let gtt = sim.get("/gtt/triggers").await.data();
    let legs = &gtt[1]["condition"]["trigger_values"];
    let last = number(&gtt[1]["condition"]["last_price"]);
    assert!(number(&legs[0]) < last && last < number(&legs[1]), "{legs} around {last}");
    let funds = sim.get("/mf/instruments").await;
    let csv = String::from_utf8(funds.body.to_vec()).unwrap();
    assert!(csv.lines().all(|line| line.split(',').count() == 16), "{csv}");
    assert_eq!(sim.get("/mf/holdings").await.data().as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn margins_add_up_and_a_hedge_needs_less() {
    let mut sim = Sim::relaxed().await;
    let dump = sim.get("/instruments/NFO").await;
    let dump = String::from_utf8(dump.body.to_vec()).unwrap();
    let option = |kind: &str| {
        let row = dump.lines().find(|row| row.contains(kind) && row.contains(",NIFTY,")).unwrap();
        row.split(',').nth(2).unwrap().to_owned()
    };
    let leg = |symbol: &str, side: &str| {
        json!({
            "exchange": "NFO", "tradingsymbol": symbol, "transaction_type": side, "variety": "regular",
            "product": "NRML", "order_type": "LIMIT", "quantity": 75, "price": 100, "average_price": 100,
        })
    };
    let legs = json!([leg(&option(",CE,"), "SELL"), leg(&option(",PE,"), "BUY")]);
    let basket = ask(&mut sim, "/margins/basket", &legs).await;
    let (before, after) = (number(&basket["initial"]["total"]), number(&basket["final"]["total"]));
    let alone: f64 = basket["orders"].as_array().unwrap().iter().map(|row| number(&row["total"])).sum();
    assert!((before - alone).abs() < 1e-6 && after < before, "{basket}");
    assert!(basket["charges"].is_object());
    let compact = ask(&mut sim, "/margins/orders?mode=compact", &legs).await;
    assert_eq!(compact[0].as_object().unwrap().len(), 4);
    let note = ask(&mut sim, "/charges/orders", &legs).await;
    assert_eq!(
        (&note[0]["price"], &note[0]["charges"]["transaction_tax_type"]),
        (&json!(100.0), &json!("stt"))
    );
    let ranges = sim.get("/instruments/trigger_range/buy?i=NSE:INFY&i=NSE:NOSUCH").await.data();
    assert_eq!(ranges.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn orders_come_from_registered_addresses_or_not_at_all() {
    let place =
        "exchange=NSE&tradingsymbol=INFY&transaction_type=BUY&quantity=1&product=CNC&order_type=MARKET";
    let auth = Some("token simkey:simtoken");
    let with = |addresses: Option<&[&str]>| {
        let mut config = SimConfig { ..relaxed() };
        config.limits.order_addresses =
            addresses.map(|list| list.iter().map(|address| address.parse().unwrap()).collect());
        config
    };
    for (addresses, status, says) in [
        (None, 503, "Request failed (kitetrade-oms)"),
        (Some(&["127.0.0.1"][..]), 503, "Request failed (kitetrade-oms)"),
        (
            Some(&["203.0.113.7"][..]),
            403,
            "IP (127.0.0.1) is not allowed to place orders for this app. Update allowed IPs on the Kite developer console.",
        ),
        (
            Some(&[][..]),
            403,
            "No IPs configured for this app. Add allowed IPs on the Kite developer console.",
        ),
    ] {
        let mut sim = Sim::start(with(addresses)).await;
        let kind = if status == 403 { "PermissionException" } else { "NetworkException" };
        sim.send("POST", "/orders/regular", auth, place).await.is_error(status, kind, says);
        sim.send("DELETE", "/orders/regular/1", auth, "").await.is_error(status, kind, says);
        assert_eq!(sim.get("/orders").await.status, 200, "reading is open from anywhere");
    }
}

#[tokio::test]
async fn a_token_dies_when_the_clock_is_put_past_six() {
    let mut sim = Sim::relaxed().await;
    let access_token = sim.log_in().await;
    let auth = format!("token simkey:{access_token}");
    assert_eq!(sim.send("GET", "/user/profile/full", Some(&auth), "").await.data()["twofa_type"], "totp");
    let clock = sim.send("POST", "/sim/clock", None, "at=2093-01-02 05:59:59&speed=0.001").await.data();
    assert_eq!(clock["time"], "2093-01-02 05:59:59");
    sim.send("GET", "/user/profile", Some(&auth), "").await.is_error(
        403,
        "TokenException",
        "Incorrect `api_key` or `access_token`.",
    );
    let back = sim.send("POST", "/sim/clock", None, "at=2026-01-02 05:59:59").await;
    assert_eq!(back.status, 400);
}

async fn ask(sim: &mut Sim, path: &str, orders: &Value) -> Value {
    let request = http::Request::post(path)
        .header("host", "sim")
        .header("authorization", "token simkey:simtoken")
        .header("content-type", "application/json");
    sim.exchange(request.body(Full::from(orders.to_string())).unwrap()).await.data()
}
