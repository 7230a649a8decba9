//! Three accounts and more instruments than two connections carry: planned, streamed, and moved when a token dies.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::{Duration, Instant};

use kite_sim::{App, Fault, FaultPlan, LoadConfig, SimConfig};
use serde_json::Value;

use crate::instances::events;
use crate::process::{Gateway, PATIENCE, until};
use crate::sim::Sim;

/// Instruments, beside those that are always listed.
const INSTRUMENTS: u32 = 27_000;
/// So that two accounts can carry what three did.
const TOKENS_PER_CONNECTION: usize = 4_600;
/// What the issue allows.
const FAILOVER: Duration = Duration::from_secs(5);

/// Tokens by API key, as the simulator has them; fails when one is subscribed twice.
fn carried(sim: &Sim) -> BTreeMap<String, BTreeSet<u32>> {
    let json = |path: &str| -> Value {
        serde_json::from_str(&crate::http::get(sim.addr, path).unwrap().body).unwrap()
    };
    let mut carried: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for connection in json("/sim/status")["connections"].as_array().unwrap() {
        let key = connection["api_key"].as_str().unwrap().to_owned();
        let tokens = json(&format!("/sim/subscribed?connection={}", connection["connection"]));
        let tokens = tokens["tokens"].as_array().unwrap().iter().map(|token| token.as_u64().unwrap() as u32);
        carried.entry(key).or_default().extend(tokens);
    }
    carried
}

fn check_none_twice(carried: &BTreeMap<String, BTreeSet<u32>>) {
    let mut owners: BTreeMap<u32, &str> = BTreeMap::new();
    for (key, tokens) in carried {
        for token in tokens {
            let other = owners.insert(*token, key);
            assert!(other.is_none(), "{token} is subscribed on {key} and {other:?}");
        }
    }
}

#[test]
fn the_instruments_of_a_lost_token_tick_elsewhere() {
    let mut config = SimConfig {
        apps: (1..=3).map(App::numbered).collect(),
        load: Some(LoadConfig { instruments: INSTRUMENTS, ticks_per_second: 1.0 }),
        ..SimConfig::default()
    };
    config.limits.tokens_per_connection = TOKENS_PER_CONNECTION;
    let sim = Sim::start(config);
    let mut accounts = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    for number in 1..=3 {
        writeln!(
            accounts,
            "[[account]]\nname = \"a{number}\"\napi_key = \"load{number:02}\"\naccess_token = \"token{number:02}\"\n\
             rest_url = \"http://{0}\"\nticker_url = \"ws://{0}\"\nsimulated = true\ntokens_per_connection = {1}",
            sim.addr, TOKENS_PER_CONNECTION
        )
        .unwrap();
    }
    let gateway = Gateway::start(&[
        ("KITE_ACCOUNTS_FILE", accounts.path().to_str().unwrap()),
        ("GATEWAY_SUBSCRIBE", "NSE:*:ltp"),
    ]);
    let live = || {
        let health = gateway.json("/health");
        let rows = health["connections"].as_array().unwrap().clone();
        rows.iter().map(|row| row["live"].as_u64().unwrap()).sum::<u64>()
    };
    until("everything is live", || live() >= u64::from(INSTRUMENTS));
    let plan = gateway.json("/v1/plan");
    eprintln!("planned {} instruments in {} ms", plan["data"]["wanted"], plan["data"]["took_ms"]);
    let before = carried(&sim);
    check_none_twice(&before);
    let wanted: usize = before.values().map(BTreeSet::len).sum();
    assert_eq!(plan["data"]["wanted"].as_u64().unwrap(), wanted as u64);

    let seen = events(&gateway);
    let died = Instant::now();
    sim.faults.add(FaultPlan::new(Fault::ExpireToken).api_key("load02")).unwrap();
    let lost = before["load02"].clone();
    let mut after = BTreeMap::new();
    until("the instruments are on other accounts", || {
        after = carried(&sim);
        after.values().map(BTreeSet::len).sum::<usize>() == wanted && !after.contains_key("load02")
    });
    let subscribed = died.elapsed();
    until("they tick there", || live() >= u64::from(INSTRUMENTS));
    let ticking = died.elapsed();
    check_none_twice(&after);
    let moved = after.iter().flat_map(|(key, tokens)| tokens - &before[key]).count();
    eprintln!(
        "token killed: {} instruments elsewhere after {subscribed:?}, ticking after {ticking:?}, {moved} moved of {} lost",
        lost.len(),
        lost.len()
    );
    assert_eq!(moved, lost.len(), "what was not lost moved too");
    assert!(ticking < FAILOVER, "{ticking:?}");
    // Every instrument that moved has its hole, told by the account that carries it now; no other has one.
    let (mut holes, mut each) = (BTreeSet::new(), BTreeSet::new());
    while holes.len() < lost.len() || each.len() < lost.len() {
        let told = format!("{} and {} of {} holes", holes.len(), each.len(), lost.len());
        let event = seen.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("only {told} are told"));
        if event["account"] == "a2" {
            continue;
        }
        let token = |token: &Value| token.as_u64().unwrap() as u32;
        let is_hole = |hole: &Value| hole["from"].as_i64().unwrap() < hole["to"].as_i64().unwrap();
        if event["type"] == "gap" {
            assert!(is_hole(&event), "{event}");
            holes.extend(event["instrument_tokens"].as_array().unwrap().iter().map(token));
        }
        if event["type"] == "token_gaps" {
            let gaps = event["gaps"].as_array().unwrap();
            assert!(gaps.iter().all(is_hole), "{event}");
            each.extend(gaps.iter().map(|gap| token(&gap["instrument_token"])));
        }
    }
    assert_eq!((&holes, &each), (&lost, &lost));
    let report = gateway.json("/v1/plan");
    assert_eq!(report["data"]["refused"], 0, "{report}");

    // One more account away, and not everything fits: what is left out is named.
    sim.faults.add(FaultPlan::new(Fault::ExpireToken).api_key("load03")).unwrap();
    until("the rest is refused by name", || {
        let health = gateway.json("/health");
        let refusals = health["subscriptions"]["refusals"].as_array().unwrap().clone();
        refusals.iter().any(|line| line.as_str().unwrap().contains("environment.1"))
    });
    let plan = gateway.json("/v1/plan");
    let carried_now = plan["data"]["accounts"].as_array().unwrap();
    let on_first = carried_now.iter().find(|row| row["account"] == "a1").unwrap();
    assert_eq!(on_first["instruments"], on_first["capacity"], "the last account is full");
}
