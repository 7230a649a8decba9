//! REST: sessions, dumps, quotes, candles, refusals.

use std::io::Read;

use http_body_util::Full;
use kite_sim::SimConfig;
use kite_wire::{InstrumentRow, parse_instruments};
use serde_json::Value;

use crate::client::Sim;

const BAD_TOKEN: &str = "Incorrect `api_key` or `access_token`.";

#[tokio::test]
async fn a_login_gives_a_session_that_ends_with_logout() {
    let mut sim = Sim::relaxed().await;
    let page = sim.send("GET", "/connect/login?v=3&api_key=simkey", None, "").await;
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert!(html.contains("<button>") && html.contains("SIMULATED"), "{html}");
    let request_token = sim.press_login().await;
    let session = sim.exchange_token(&request_token, "simsecret").await.data();
    assert_eq!(session["user_id"], "SIM001");
    assert_eq!(session["login_time"].as_str().unwrap().len(), "2026-11-20 14:00:00".len());
    let access_token = session["access_token"].as_str().unwrap();
    let auth = format!("token simkey:{access_token}");
    let profile = sim.send("GET", "/user/profile", Some(&auth), "").await.data();
    assert_eq!(profile["user_id"], "SIM001");
    let margins = sim.send("GET", "/user/margins", Some(&auth), "").await.data();
    assert!(margins["equity"]["available"]["cash"].is_number());
    let path = format!("/session/token?api_key=simkey&access_token={access_token}");
    assert_eq!(sim.send("DELETE", &path, None, "").await.data(), true);
    sim.send("GET", "/user/profile", Some(&auth), "").await.is_error(403, "TokenException", BAD_TOKEN);
}

#[tokio::test]
async fn the_redirect_keeps_the_apps_own_parameters() {
    let mut sim = Sim::relaxed().await;
    let path = "/connect/login?v=3&api_key=simkey&skip=1&redirect_params=a%3D1%26b%3D2";
    let reply = sim.send("GET", path, None, "").await;
    let location = reply.headers["location"].to_str().unwrap();
    assert!(location.starts_with("http://127.0.0.1:8080/kite/callback?"), "{location}");
    assert!(location.contains("&request_token=") && location.ends_with("&a=1&b=2"), "{location}");
    assert_eq!(sim.send("GET", "/connect/login?api_key=nobody", None, "").await.status, 400);
}

#[tokio::test]
async fn a_web_login_needs_password_and_code() {
    let mut sim = Sim::relaxed().await;
    let wrong = sim.send("POST", "/api/login", None, "user_id=SIM001&password=guess").await;
    wrong.is_error(403, "UserException", "Invalid username or password.");
    let asked = sim.send("POST", "/api/login", None, "user_id=SIM001&password=simpassword").await.data();
    assert_eq!(asked["twofa_type"], "totp");
    let request_id = asked["request_id"].as_str().unwrap();
    let form = format!("user_id=SIM001&request_id={request_id}&twofa_value=12345x&twofa_type=totp");
    sim.send("POST", "/api/twofa", None, &form).await.is_error(403, "TwoFAException", "Invalid app code.");
    // The right code needs a clock; `web.rs` has it. Without the cookie there is only the page.
    assert_eq!(sim.send("GET", "/connect/finish?api_key=simkey", None, "").await.status, 400);
    assert_eq!(sim.send("GET", "/connect/login?api_key=simkey", None, "").await.status, 200);
    let counts = sim.get("/sim/status").await;
    let counts: Value = serde_json::from_slice(&counts.body).unwrap();
    assert_eq!(counts["web_logins"]["passwords_refused"], 1);
}

#[tokio::test]
async fn a_session_needs_the_right_checksum_and_a_fresh_request_token() {
    let mut sim = Sim::relaxed().await;
    let request_token = sim.press_login().await;
    let wrong = sim.exchange_token(&request_token, "guess").await;
    wrong.is_error(403, "TokenException", "Invalid `checksum`.");
    let request_token = sim.press_login().await;
    sim.exchange_token(&request_token, "simsecret").await.data();
    let again = sim.exchange_token(&request_token, "simsecret").await;
    again.is_error(403, "TokenException", "Token is invalid or has expired.");
    let missing = sim.send("POST", "/session/token", None, "request_token=a&checksum=b").await;
    missing.is_error(400, "InputException", "Missing `api_key`.");
}

#[tokio::test]
async fn refusals_read_like_kites() {
    let mut sim = Sim::relaxed().await;
    for auth in [None, Some("token simkey:wrong"), Some("token nobody:simtoken"), Some("Bearer x")] {
        let reply = sim.send("GET", "/user/profile", auth, "").await;
        reply.is_error(403, "TokenException", BAD_TOKEN);
    }
    sim.get("/no/such/route").await.is_error(404, "GeneralException", "Route not found");
    let reply = sim.send("DELETE", "/user/profile", None, "").await;
    reply.is_error(405, "GeneralException", "Method not allowed");
}

#[tokio::test]
async fn each_class_of_requests_has_its_own_budget() {
    let paths = ["/quote/ltp?i=NSE:INFY", "/instruments/historical/256265/day?from=2026-11-02&to=2026-11-03"];
    for (refused, served) in [(0, 1), (1, 0)] {
        let mut config = SimConfig::default();
        let budgets = [&mut config.limits.quote_per_second, &mut config.limits.historical_per_second];
        for (at, budget) in budgets.into_iter().enumerate() {
            *budget = if at == refused { 0 } else { 100 };
        }
        let mut sim = Sim::start(config).await;
        sim.get(paths[refused]).await.is_error(429, "NetworkException", "Too many requests");
        assert_eq!(sim.get(paths[served]).await.status, 200);
        assert_eq!(sim.get("/user/profile").await.status, 200);
    }
    let mut config = SimConfig::default();
    config.limits.other_per_second = 0;
    let mut sim = Sim::start(config).await;
    assert_eq!(sim.get("/user/profile").await.status, 429);
    assert_eq!(sim.get("/instruments").await.status, 429);
    assert_eq!(sim.exchange_token("none", "none").await.status, 429);
    assert_eq!(sim.get(paths[0]).await.status, 200);
}

fn rows(csv: &[u8]) -> Vec<InstrumentRow> {
    parse_instruments(csv).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn the_dump_is_csv_and_zipped_when_the_client_can() {
    let mut sim = Sim::relaxed().await;
    let plain = sim.get("/instruments").await;
    assert_eq!(plain.headers["content-type"], "text/csv");
    assert!(!plain.headers.contains_key("content-encoding"));
    let all = rows(&plain.body);
    assert!(all.len() > 2_000);
    let request =
        http::Request::get("/instruments").header("accept-encoding", "gzip, deflate").header("host", "sim");
    let zipped = sim.exchange(request.body(Full::default()).unwrap()).await;
    assert_eq!(zipped.headers["content-encoding"], "gzip");
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_end(&mut unzipped).unwrap();
    assert_eq!(unzipped, plain.body);
    assert!(zipped.body.len() * 3 < plain.body.len());
    let nfo = rows(&sim.get("/instruments/NFO").await.body);
    assert!(nfo.iter().eq(all.iter().filter(|row| row.exchange.as_str() == "NFO")));
    assert!(rows(&sim.get("/instruments/MCX").await.body).is_empty());
    for row in &all {
        assert_eq!(row.token.0, row.exchange_token * 256 + u32::from(row.token.segment_byte()));
    }
}

#[tokio::test]
async fn quotes_leave_out_what_is_unknown() {
    let mut sim = Sim::relaxed().await;
    let quotes = sim.get("/quote?i=NSE:INFY&i=NSE:NIFTY+50&i=NSE:M%26M&i=NSE:NOSUCH&i=408065").await.data();
    let keys: Vec<&String> = quotes.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["408065", "NSE:INFY", "NSE:M&M", "NSE:NIFTY 50"]);
    let infy = &quotes["NSE:INFY"];
    assert_eq!(infy["instrument_token"], 408_065);
    assert_eq!(infy["depth"]["sell"].as_array().unwrap().len(), 5);
    assert!(infy["lower_circuit_limit"].as_f64() < infy["last_price"].as_f64());
    let index = quotes["NSE:NIFTY 50"].as_object().unwrap();
    assert!(!index.contains_key("depth") && !index.contains_key("volume"));
    let ohlc = sim.get("/quote/ohlc?i=NSE:INFY").await.data();
    assert!(ohlc["NSE:INFY"]["ohlc"]["close"].is_number());
    let ltp = sim.get("/quote/ltp?i=NSE:INFY").await.data();
    assert_eq!(ltp["NSE:INFY"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn quotes_are_capped() {
    let mut sim = Sim::relaxed().await;
    let query = |count: usize| "i=NSE:INFY&".repeat(count);
    assert_eq!(sim.get(&format!("/quote?{}", query(500))).await.status, 200);
    assert_eq!(sim.get(&format!("/quote?{}", query(501))).await.status, 400);
    assert_eq!(sim.get(&format!("/quote/ltp?{}", query(1000))).await.status, 200);
    assert_eq!(sim.get(&format!("/quote/ohlc?{}", query(1001))).await.status, 400);
}

#[tokio::test]
async fn candles_are_arrays_within_limits() {
    let mut sim = Sim::relaxed().await;
    let path = |interval: &str, from: &str, to: &str, more: &str| {
        format!("/instruments/historical/256265/{interval}?from={from}&to={to}{more}")
    };
    let day = path("5minute", "2026-11-18+10:00:00", "2026-11-18+11:00:00", "&oi=1");
    let candles = sim.get(&day).await.data()["candles"].take();
    let candles = candles.as_array().unwrap();
    assert_eq!(candles.len(), 13);
    assert_eq!(candles[0][0], "2026-11-18T10:00:00+0530");
    assert_eq!(candles[0].as_array().unwrap().len(), 7);
    assert_eq!(sim.get(&day).await.data()["candles"].as_array().unwrap(), candles);
    let dates = path("day", "2026-11-01", "2026-11-10", "");
    assert_eq!(sim.get(&dates).await.data()["candles"].as_array().unwrap().len(), 10);
    let long = path("minute", "2026-08-01+00:00:00", "2026-10-31+00:00:00", "");
    sim.get(&long).await.is_error(400, "InputException", "interval exceeds max limit: 60 days");
    let spot = path("day", "2026-11-01", "2026-11-10", "&continuous=1");
    assert_eq!(sim.get(&spot).await.status, 400);
    let unknown = sim.get("/instruments/historical/77/day?from=2026-11-01&to=2026-11-10").await;
    unknown.is_error(400, "InputException", "invalid token");
}

#[tokio::test]
async fn a_future_has_one_continuous_history_of_days() {
    let mut sim = Sim::relaxed().await;
    let dump = rows(&sim.get("/instruments/NFO").await.body);
    let future = dump.iter().find(|row| row.instrument_type.as_str() == "FUT").unwrap().token;
    let path = |interval: &str| {
        format!("/instruments/historical/{future}/{interval}?from=2026-01-01&to=2026-10-31&continuous=1")
    };
    assert_eq!(sim.get(&path("day")).await.data()["candles"].as_array().unwrap().len(), 304);
    assert_eq!(sim.get(&path("60minute")).await.status, 400);
}

#[tokio::test]
async fn truth_lies_between_bid_and_offer() {
    // So slow that truth and quotes are of one moment.
    let mut config = crate::client::relaxed();
    config.speed = 1e-6;
    let mut sim = Sim::start(config).await;
    let truth = sim.get("/sim/truth?underlying=NIFTY").await.json();
    let expiry = &truth["expiries"][0];
    let (spot, forward) = (truth["spot"].as_f64().unwrap(), expiry["forward"].as_f64().unwrap());
    assert!((forward / spot - 1.0).abs() < 0.01, "{spot} {forward}");
    let dump = rows(&sim.get("/instruments/NFO").await.body);
    let mut compared = 0;
    for strike in expiry["strikes"].as_array().unwrap().iter().step_by(9) {
        for (side, fair) in [("CE", &strike["call_fair"]), ("PE", &strike["put_fair"])] {
            let row = dump
                .iter()
                .find(|row| {
                    row.expiry.is_some_and(|date| expiry["date"] == date.to_string())
                        && Some(row.strike.to_f64()) == strike["strike"].as_f64()
                        && row.instrument_type.as_str() == side
                        && &*row.name == "NIFTY"
                })
                .unwrap();
            let quotes = sim.get(&format!("/quote?i={}", row.token)).await.data();
            let book = &quotes[row.token.to_string()]["depth"];
            let best = |name: &str| book[name][0]["price"].as_f64().unwrap();
            let fair = fair.as_f64().unwrap();
            assert!(best("buy") <= fair + 1e-6 && fair <= best("sell") + 1e-6, "{row:?} {fair} {book}");
            compared += 1;
        }
    }
    assert!(compared >= 18);
    assert_eq!(sim.get("/sim/truth?underlying=MARS").await.status, 400);
}

#[tokio::test]
async fn two_simulators_live_in_one_process() {
    let other = SimConfig { seed: 2, ..SimConfig::default() };
    let (mut one, mut two) = (Sim::relaxed().await, Sim::start(other).await);
    let spot = |truth: Value| truth["spot"].as_f64().unwrap();
    let first = spot(one.get("/sim/truth?underlying=SENSEX").await.json());
    let second = spot(two.get("/sim/truth?underlying=SENSEX").await.json());
    assert!((first - second).abs() > 1.0, "{first} {second}");
}
