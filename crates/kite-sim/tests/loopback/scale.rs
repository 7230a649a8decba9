//! The whole market for load, and recordings as upstream.

use std::collections::HashMap;
use std::time::Duration;

use kite_sim::{App, ReplayConfig, ReplayStart, SimConfig, SimError, Simulator, SourceFrame, WholeMarket};
use kite_wire::{FrameBuilder, InstrumentType, TickerRequest, parse_instruments};
use market_model::{InstrumentToken, Mode, Tick};
use tokio::time::Instant;

use crate::client::{INFY, Link, NIFTY, SBIN, Sim, relaxed};

fn whole(instruments: u32, rate: f64) -> SimConfig {
    SimConfig {
        whole_market: Some(WholeMarket::new(instruments, rate)),
        apps: (1..=2).map(App::numbered).collect(),
        sent_history: 0,
        ..relaxed()
    }
}

#[tokio::test]
async fn a_whole_market_is_listed_over_all_accounts_and_ticks_at_its_rate() {
    let mut sim = Sim::start(whole(1_200, 2_400.0)).await;
    let dump = sim.send("GET", "/instruments", None, "").await.body;
    let rows: Vec<_> = parse_instruments(&dump[..]).unwrap().map(Result::unwrap).collect();
    let made: Vec<_> = rows.iter().filter(|row| row.tradingsymbol.starts_with("SIM")).collect();
    assert_eq!(made.len(), 1_200);
    let of = |kind| made.iter().filter(|row| row.instrument_type == kind).count();
    let [calls, puts, futures, shares] =
        [InstrumentType::Call, InstrumentType::Put, InstrumentType::Future, InstrumentType::Equity].map(of);
    assert!(calls >= 400 && puts >= 400 && futures >= 6 && shares >= 50, "{calls} {puts} {futures} {shares}");
    // Every derivative names a share that is listed.
    for row in made.iter().filter(|row| row.expiry.is_some()) {
        assert!(
            made.iter().any(|share| share.tradingsymbol == row.name && share.expiry.is_none()),
            "{row:?}"
        );
    }
    let tokens: Vec<InstrumentToken> = made.iter().map(|row| row.token).collect();
    let mut counts: HashMap<InstrumentToken, u32> = HashMap::new();
    let mut links = Vec::new();
    for (account, tokens) in tokens.chunks(600).enumerate() {
        let (key, token) = (format!("load0{}", account + 1), format!("token0{}", account + 1));
        let mut link = sim.try_connect(&key, &token).await.ok().unwrap();
        link.mode(Mode::Full, tokens).await;
        links.push(link);
    }
    for link in &mut links {
        let began = Instant::now();
        let mut frames = 0;
        while began.elapsed() < Duration::from_secs(3) {
            frames += 1;
            for tick in link.ticks().await {
                *counts.entry(tick.token).or_default() += 1;
                assert!(tick.depth().unwrap().best_offer().is_some(), "{tick:?}");
            }
        }
        // One each hundred milliseconds, what waited in the second socket, and the snapshot.
        assert!(frames <= 31 + 31 + 2, "{frames}");
    }
    assert_eq!(counts.len(), 1_200);
    let least = counts.values().min().unwrap();
    assert!(*least >= 5, "{least}");
    // Quotes answer for them too.
    let symbol = &made[0].tradingsymbol;
    let auth = Some("token load01:token01");
    let quote = sim.send("GET", &format!("/quote?i=NSE:{symbol}"), auth, "").await.data();
    assert!(quote[format!("NSE:{symbol}")]["last_price"].as_f64() > Some(0.0), "{quote}");
}

#[tokio::test]
async fn times_and_volumes_of_a_whole_market_move() {
    let mut sim = Sim::start(whole(100, 400.0)).await;
    let dump = sim.send("GET", "/instruments/NSE", None, "").await.body;
    let rows = parse_instruments(&dump[..]).unwrap().map(Result::unwrap);
    let token = rows.filter(|row| &*row.tradingsymbol == "SIMAAAA").map(|row| row.token).next().unwrap();
    let mut link = sim.try_connect("load01", "token01").await.ok().unwrap();
    link.mode(Mode::Full, &[token]).await;
    let mut ticks: Vec<Tick> = Vec::new();
    while ticks.len() < 9 {
        ticks.extend(link.ticks().await);
    }
    let prices: std::collections::HashSet<_> = ticks.iter().map(|tick| tick.last_price).collect();
    assert!(prices.len() > 2, "{prices:?}");
    assert!(ticks.is_sorted_by_key(|tick| tick.exchange_timestamp()));
    assert!(ticks.is_sorted_by_key(|tick| tick.quote().unwrap().volume_traded));
    let (first, last) = (ticks[0].quote().unwrap(), ticks[8].quote().unwrap());
    assert!(first.volume_traded < last.volume_traded);
}

/// Full packets of the simulated market, as a recording of two frames a quarter of a second apart.
async fn recording() -> Vec<SourceFrame> {
    let sim = Sim::relaxed().await;
    let mut link = sim.connect().await;
    link.mode(Mode::Full, &[INFY, NIFTY]).await;
    let ticks = link.ticks().await;
    let frame = |ticks: &[Tick]| {
        let mut builder = FrameBuilder::new();
        ticks.iter().for_each(|tick| builder.push(tick).unwrap());
        builder.finish()
    };
    let at = |millis, ticks: &[Tick]| SourceFrame {
        offset: Duration::from_millis(millis),
        bytes: frame(ticks).into(),
    };
    vec![at(10_000, &ticks), at(10_250, &ticks[..1])]
}

async fn replaying(config: ReplayConfig) -> Sim {
    let frames = recording().await;
    let simulator = Simulator::bind(relaxed(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    Sim::run(simulator.with_replay(frames.into_iter(), config).unwrap())
}

#[tokio::test]
async fn a_recording_is_served_at_its_pace_in_the_modes_asked_for() {
    let start = ReplayStart::AfterSubscription(Duration::from_millis(200));
    let mut sim = replaying(ReplayConfig { start, ..ReplayConfig::default() }).await;
    let (mut one, mut two) = (sim.connect().await, sim.connect().await);
    two.mode(Mode::Full, &[NIFTY]).await;
    one.ask(TickerRequest::Subscribe(vec![INFY, SBIN])).await;
    let ticks = one.ticks().await;
    let began = Instant::now();
    assert_eq!((ticks.len(), ticks[0].token, ticks[0].mode()), (1, INFY, Mode::Quote));
    let ticks = two.ticks().await;
    assert_eq!((ticks.len(), ticks[0].token, ticks[0].mode()), (1, NIFTY, Mode::Full));
    one.ticks().await;
    assert!(began.elapsed() >= Duration::from_millis(150), "{:?}", began.elapsed());
    let status = sim.status_when(|status| status["replay"]["finished"] == true).await;
    assert_eq!((&status["replay"]["frames"], &status["replay"]["packets"]), (&2.into(), &3.into()));
    assert_eq!(status["connections"][0]["tokens"], 2);
    // A later subscription gets the latest packet, and the line stays alive.
    let mut late = sim.connect().await;
    late.mode(Mode::Ltp, &[INFY]).await;
    assert_eq!(late.ticks().await[0].mode(), Mode::Ltp);
    let sent = sim.get("/sim/sent?connection=2").await.json();
    assert_eq!(sent["tokens"], serde_json::json!({ NIFTY.to_string(): 1 }));
}

#[tokio::test]
async fn a_recording_brings_its_own_dump_and_goes_as_fast_as_it_is_read() {
    let mut sim = Sim::relaxed().await;
    let dump = sim.get("/instruments/NSE").await.body;
    let rows = parse_instruments(&dump[..]).unwrap().map(Result::unwrap);
    let instruments: Vec<_> = rows.filter(|row| row.token == INFY).collect();
    let frame = recording().await.remove(0);
    let frames = (0..20_000)
        .map(move |second| SourceFrame { offset: Duration::from_secs(second), bytes: frame.bytes.clone() });
    let config = ReplayConfig { speed: None, instruments, ..ReplayConfig::default() };
    let simulator = Simulator::bind(relaxed(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut sim = Sim::run(simulator.with_replay(frames, config).unwrap());
    let dump = sim.get("/instruments").await.body;
    assert_eq!(parse_instruments(&dump[..]).unwrap().count(), 1);
    let mut link: Link = sim.connect().await;
    // NIFTY is not listed.
    link.mode(Mode::Full, &[INFY, NIFTY]).await;
    let mut seen = 0;
    while seen < 20_000 {
        let ticks = link.ticks().await;
        assert!(ticks.iter().all(|tick| tick.token == INFY));
        seen += ticks.len();
    }
    assert_eq!(sim.status().await["connections_dropped_as_too_slow_total"], 0);
}

#[tokio::test]
async fn a_replay_speed_that_makes_no_sense_is_refused() {
    let simulator = Simulator::bind(relaxed(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = ReplayConfig { speed: Some(0.0), ..ReplayConfig::default() };
    let error = simulator.with_replay(std::iter::empty(), config).unwrap_err();
    assert!(matches!(error, SimError::Config { .. }), "{error}");
}
