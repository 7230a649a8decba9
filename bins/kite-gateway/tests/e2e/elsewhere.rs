//! Every instance answers for every token, whoever streams it; roles part who streams from who answers.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{self, Answer};
use crate::instances::{Stage, both_share, streams};
use crate::process::{Gateway, until};

const SYMBOLS: [&str; 6] =
    ["NSE:INFY", "NSE:RELIANCE", "NSE:TCS", "NSE:SBIN", "NSE:HDFCBANK", "NSE:NIFTY%2050"];

fn tick(gateway: &Gateway, symbol: &str) -> Option<Value> {
    let answer = http::get(gateway.addr, &format!("/v1/ticks/{symbol}")).unwrap();
    (answer.status == 200).then(|| serde_json::from_str::<Value>(&answer.body).unwrap()["data"].clone())
}

/// An answer, which must not take long whatever happens.
fn prompt(gateway: &Gateway, path: &str) -> Answer {
    let begun = Instant::now();
    let answer = http::get(gateway.addr, path).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "{path} took {:?}", begun.elapsed());
    answer
}

#[test]
fn two_instances_that_share_accounts_both_answer_for_everything() {
    let Some(stage) = Stage::new() else { return };
    let url = stage.url();
    let one = stage.gateway("one", &url).ready();
    let other = stage.gateway("other", &url).ready();
    both_share(&one, &other);
    for gateway in [&one, &other] {
        for symbol in SYMBOLS {
            until(&format!("{symbol} is answered and fresh"), || {
                tick(gateway, symbol).is_some_and(|tick| tick["stale"] == false)
            });
            // And goes on: it is no value from before the accounts were shared out.
            let before = tick(gateway, symbol).unwrap()["ts_recv"].as_i64().unwrap();
            until(&format!("{symbol} moves on"), || {
                tick(gateway, symbol).is_some_and(|tick| tick["ts_recv"].as_i64().unwrap() > before)
            });
        }
    }
}

#[test]
fn an_instance_that_only_answers_streams_nothing_and_answers_for_everything() {
    let Some(stage) = Stage::new() else { return };
    let url = stage.url();
    let feed = stage.gateway_as("feed", "feed", &url).ready();
    let api = stage.gateway_as("api", "api", &url);
    until("the values of the other are answered", || {
        SYMBOLS.iter().all(|symbol| tick(&api, symbol).is_some_and(|tick| tick["stale"] == false))
    });
    let account = |gateway: &Gateway| ["a1", "a2"].map(|account| streams(gateway, account));
    assert_eq!((account(&feed), account(&api)), ([true, true], [false, false]));
    assert!(stage.each_key_has_one(), "the api's instance streams too");
    let chain = api.json("/v1/chain/NIFTY?around=1");
    assert!(chain["data"]["spot"]["last_price"].as_f64().is_some_and(|price| price > 0.0), "{chain}");
    let underlyings = api.json("/v1/underlyings");
    let nifty = underlyings["data"].as_array().unwrap().iter().find(|each| each["name"] == "NIFTY").unwrap();
    assert!(nifty["spot"]["last_price"].is_number() && nifty["live"].as_u64().unwrap() > 0, "{nifty}");
    assert_eq!(
        api.json("/v1/underlyings/NIFTY/strikes?around=1")["data"]["price"],
        nifty["spot"]["last_price"]
    );
    // The one that streams answers reports only.
    assert_eq!(http::get(feed.addr, "/v1/ticks/NSE:INFY").unwrap().status, 404);
    assert_eq!(http::get(feed.addr, "/metrics").unwrap().status, 200);

    // Nobody streams any more: the values are there, and marked.
    feed.program.signal("KILL");
    until("values that nobody renews are stale", || {
        tick(&api, "NSE:INFY").is_some_and(|tick| {
            tick["stale"] == true && tick["stale_cause"] == "disconnected" && tick["last_price"].is_number()
        })
    });
    assert!(!streams(&api, "a1") && !streams(&api, "a2"), "it took a lease although it has no such role");

    // Redis is frozen, then gone: said, in time.
    for signal in ["STOP", "KILL"] {
        stage.redis.signal(signal);
        for path in ["/v1/ticks/NSE:INFY", "/v1/chain/NIFTY", "/v1/underlyings"] {
            let answer = prompt(&api, path);
            assert_eq!(answer.status, 503, "{}", answer.body);
            assert!(answer.body.contains("redis"), "{}", answer.body);
        }
        assert_eq!(prompt(&api, "/v1/instruments/NSE:INFY").status, 200, "what needs no Redis goes on");
    }
}
