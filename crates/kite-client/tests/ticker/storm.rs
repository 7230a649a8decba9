//! Any row of server faults, logins and impatient operators: handshakes stay few, and ticks come back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use kite_client::{ConnectionLimits, TickerConfig};
use market_model::{FeedEvent, Mode};
use proptest::prelude::*;
use tokio::io::DuplexStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::rig::{Rig, config, login};
use crate::server::{Peer, answer};

const MINUTE: Duration = Duration::from_secs(60);
const WANTED: [(u32, Mode); 2] = [(1, Mode::Full), (2, Mode::Ltp)];

/// What the server does with one handshake.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Refuse(u16),
    /// Takes the stream and says nothing.
    Hang,
    /// Ticks this long, then ends with this close code or, without, just ends.
    Serve(u64, Option<u16>),
    /// Ticks this long, then says nothing more.
    Mute(u64),
}

/// What happens on our side meanwhile, each after some time.
#[derive(Debug, Clone, Copy)]
enum Order {
    Reconnect,
    Login,
    Nothing,
}

fn fate() -> impl Strategy<Value = Fate> {
    let code = prop::option::of(prop::sample::select(vec![1000, 1001, 1011]));
    prop_oneof![
        prop::sample::select(vec![429, 500, 502, 503]).prop_map(Fate::Refuse),
        Just(Fate::Hang),
        ((0u64..15_000), code).prop_map(|(millis, code)| Fate::Serve(millis, code)),
        (0u64..15_000).prop_map(Fate::Mute),
    ]
}

fn order() -> impl Strategy<Value = (u64, Order)> {
    let order = prop::sample::select(vec![Order::Reconnect, Order::Login, Order::Nothing]);
    (0u64..3000, order)
}

async fn meet(mut stream: DuplexStream, fate: Fate) {
    let (millis, code, mute) = match fate {
        Fate::Refuse(status) => return answer(&mut stream, StatusCode::from_u16(status).unwrap()).await,
        Fate::Hang => return sleep(Duration::from_secs(3600)).await,
        Fate::Serve(millis, code) => (millis, code, false),
        Fate::Mute(millis) => (millis, None, true),
    };
    let Some(mut peer) = Peer::try_upgrade(stream).await else { return };
    let end = Instant::now() + Duration::from_millis(millis);
    while Instant::now() < end {
        let carried: Vec<_> = peer.carried.iter().map(|(token, mode)| (*token, *mode)).collect();
        peer.try_ticks(&carried).await;
        let next = sleep(Duration::from_millis(500).min(end - Instant::now()));
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut next => break,
                goes_on = peer.step() => if !goes_on { return },
            }
        }
    }
    match code {
        _ if mute => sleep(Duration::from_secs(3600)).await,
        Some(code) => peer.close(code).await,
        None => {}
    }
}

async fn run(connections: u8, fates: Vec<Fate>, orders: Vec<(u64, Order)>) {
    let settings = TickerConfig {
        limits: ConnectionLimits { connections, tokens_per_connection: 3000 },
        rotate_after: Some(Duration::from_secs(600)),
        ..config()
    };
    let most = settings.handshakes_per_minute as usize;
    let mut rig = Rig::start(settings);
    rig.want(&WANTED);
    let dialled = Arc::<Mutex<Vec<Instant>>>::default();
    let notes = dialled.clone();
    let mut kite = rig.take_kite();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut fates = fates.into_iter();
        let mut sockets = JoinSet::new();
        loop {
            let stream = kite.stream().await;
            notes.lock().unwrap().push(Instant::now());
            sockets.spawn(meet(stream, fates.next().unwrap_or(Fate::Serve(3_600_000, None))));
        }
    });
    let commands = async {
        let mut generation = 1;
        for (millis, order) in orders {
            sleep(Duration::from_millis(millis)).await;
            match order {
                Order::Reconnect => drop(rig.handle.reconnect(0)),
                Order::Login => {
                    generation += 1;
                    rig.credentials.send_replace(Some(login(generation)));
                }
                Order::Nothing => {}
            }
        }
        // Every fate is met by now, however slowly they were tried.
        sleep(Duration::from_secs(1200)).await;
    };
    let mut last_ticks = None;
    let listen = async {
        while let Some(event) = rig.streams.feed.recv().await {
            if let FeedEvent::Ticks(_) = event {
                last_ticks = Some(Instant::now());
            }
        }
    };
    tokio::select! {
        () = commands => {}
        () = listen => panic!("the feed ended"),
    }
    let dialled = dialled.lock().unwrap().clone();
    for from in &dialled {
        let within = dialled.iter().filter(|at| **at >= *from && **at - *from < MINUTE).count();
        assert!(within <= most, "{within} handshakes in a minute");
    }
    assert!(last_ticks.is_some_and(|at| at.elapsed() < Duration::from_secs(2)), "it ticks again");
    // A planned rotation may be under way.
    let restored = async {
        while rig.status().connections[0].subscriptions.live < WANTED.len() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(5), restored).await.is_ok(), "all modes are back");
    let status = &rig.status().connections[0];
    assert!(status.is_balanced(), "{status:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_row_of_faults_becomes_a_storm(
        connections in 1u8..3,
        fates in prop::collection::vec(fate(), 0..25),
        orders in prop::collection::vec(order(), 0..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(connections, fates, orders));
    }
}
