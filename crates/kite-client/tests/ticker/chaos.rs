//! Any row of misfortunes: afterwards the server carries what is wanted, and the feed told a story that adds up.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use kite_client::{ConnectionLimits, TickerEnd};
use market_model::{FeedEvent, Mode, SubscriptionState};
use proptest::prelude::*;

use crate::rig::{Rig, config, login};
use crate::server::Peer;

#[derive(Debug, Clone)]
enum Step {
    Want(BTreeMap<u32, Mode>),
    Ticks,
    Heartbeat,
    Garbage(Vec<u8>),
    Text(String),
    Close(u16),
    Drop,
    Mute,
    Login,
    AskReconnect,
    /// The next handshakes are answered like this.
    Refuse(Vec<u16>),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop::sample::select(vec![Mode::Ltp, Mode::Quote, Mode::Full]);
    prop_oneof![
        4 => prop::collection::btree_map(1u32..10, mode, 0..8).prop_map(Step::Want),
        4 => Just(Step::Ticks),
        2 => Just(Step::Heartbeat),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Garbage),
        1 => ".{0,20}".prop_map(Step::Text),
        1 => prop::sample::select(vec![1000, 1001, 1011]).prop_map(Step::Close),
        1 => Just(Step::Drop),
        1 => Just(Step::Mute),
        1 => Just(Step::Login),
        1 => Just(Step::AskReconnect),
        1 => prop::collection::vec(prop::sample::select(vec![429, 500, 502]), 1..4).prop_map(Step::Refuse),
        2 => (1u64..4000).prop_map(Step::Wait),
    ]
}

/// What a listener may conclude from the events, with every rule of their order checked.
#[derive(Debug, Default)]
struct Story {
    up: bool,
    ever_up: bool,
    /// A `Gap` must come before the next ticks.
    owes_gap: bool,
    ticked: bool,
    delivered: u64,
    states: BTreeMap<u32, SubscriptionState>,
}

impl Story {
    fn hear(&mut self, event: FeedEvent) {
        match event {
            FeedEvent::Connected { .. } => {
                assert!(!self.ever_up && !self.up, "connected for the first time");
                (self.up, self.ever_up) = (true, true);
            }
            FeedEvent::Reconnecting { attempt, .. } => {
                assert!(attempt >= 1);
                self.up = false;
            }
            FeedEvent::Reconnected { attempts, .. } => {
                assert!(self.ever_up && !self.up && attempts >= 1, "back after having been away");
                self.up = true;
                self.owes_gap = self.ticked;
            }
            FeedEvent::Disconnected { .. } => self.up = false,
            FeedEvent::Gap(gap) => {
                assert!(gap.from <= gap.to);
                if gap.cause == market_model::GapCause::Disconnected {
                    self.owes_gap = false;
                }
            }
            FeedEvent::Ticks(frame) => {
                self.delivered += frame.ticks.len() as u64;
                assert!(!self.owes_gap, "ticks before the hole was told");
                self.ticked = true;
            }
            FeedEvent::Subscriptions { changes, .. } => {
                for change in changes {
                    self.states.insert(change.token.0, change.state);
                }
            }
            FeedEvent::TokenGaps { gaps, .. } => {
                assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap.from <= gap.to));
            }
            FeedEvent::Silent(_) | FeedEvent::SilenceEnded { .. } => {}
            other => panic!("nothing else was caused: {other:?}"),
        }
    }
}

/// The next socket, with the answers in `refusals` given before it. Ticks and events go on being taken.
async fn next_peer(rig: &mut Rig, refusals: &mut Vec<u16>, story: &mut Story) -> Peer {
    loop {
        let arrives = async {
            while let Some(status) = refusals.pop() {
                rig.kite.refuse(StatusCode::from_u16(status).unwrap(), "").await;
            }
            rig.kite.accept().await
        };
        tokio::select! {
            peer = arrives => return peer,
            event = rig.streams.feed.recv() => story.hear(event.unwrap()),
            text = rig.streams.text.recv() => drop(text.unwrap()),
        }
    }
}

async fn settle(rig: &mut Rig, peer: &mut Option<Peer>, story: &mut Story, millis: u64) {
    let done = tokio::time::sleep(Duration::from_millis(millis));
    tokio::pin!(done);
    loop {
        let reads = async {
            match peer {
                Some(peer) => peer.step().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut done => return,
            goes_on = reads => if !goes_on { *peer = None },
            event = rig.streams.feed.recv() => story.hear(event.unwrap()),
            text = rig.streams.text.recv() => drop(text.unwrap()),
        }
    }
}

async fn run(steps: Vec<Step>) {
    let mut settings = config();
    settings.limits = ConnectionLimits { connections: 1, tokens_per_connection: 100 };
    settings.tokens_per_command = 3;
    settings.feed_capacity = 1000;
    let mut rig = Rig::start(settings);
    let mut story = Story::default();
    let mut refusals = Vec::new();
    let mut wanted = BTreeMap::new();
    let mut generation = 1;
    let mut peer: Option<Peer> = None;
    for step in steps {
        if peer.is_none() {
            peer = Some(next_peer(&mut rig, &mut refusals, &mut story).await);
        }
        let Some(socket) = &mut peer else { continue };
        let mut wait = 1;
        match step {
            Step::Want(modes) => {
                rig.want(&modes.iter().map(|(token, mode)| (*token, *mode)).collect::<Vec<_>>());
                wanted = modes;
            }
            Step::Ticks => {
                let carried: Vec<_> = socket.carried.iter().map(|(token, mode)| (*token, *mode)).collect();
                socket.try_ticks(&carried).await;
            }
            Step::Heartbeat => socket.try_bytes(vec![0]).await,
            Step::Garbage(bytes) => socket.try_bytes(bytes).await,
            Step::Text(text) => socket.try_text(&text).await,
            Step::Close(code) => {
                socket.start_close(code).await;
                peer = None;
            }
            Step::Drop => peer = None,
            Step::Mute => wait = 6000,
            Step::Login => {
                generation += 1;
                rig.credentials.send_replace(Some(login(generation)));
                wait = 1500;
            }
            Step::AskReconnect => {
                rig.handle.reconnect(0);
                wait = 1500;
            }
            Step::Refuse(statuses) => refusals = statuses,
            Step::Wait(millis) => wait = millis,
        }
        settle(&mut rig, &mut peer, &mut story, wait).await;
    }
    // Calm: whatever socket there is or comes ends up with exactly the wishes.
    for _ in 0..3 {
        if peer.is_none() {
            peer = Some(next_peer(&mut rig, &mut refusals, &mut story).await);
        }
        if let Some(socket) = &mut peer {
            socket.try_bytes(vec![0]).await;
        }
        settle(&mut rig, &mut peer, &mut story, 1000).await;
    }
    let socket = peer.as_mut().expect("calm lasts");
    assert_eq!(socket.carried, wanted);
    let all: Vec<_> = wanted.iter().map(|(token, mode)| (*token, *mode)).collect();
    socket.try_ticks(&all).await;
    settle(&mut rig, &mut peer, &mut story, 1000).await;
    story.states.retain(|_, state| *state != SubscriptionState::Removed);
    let live: BTreeMap<_, _> = wanted.keys().map(|token| (*token, SubscriptionState::Live)).collect();
    assert_eq!(story.states, live, "what was told adds up to the truth");
    assert!(story.up);
    let status = &rig.status().connections[0];
    assert!(status.is_balanced(), "{status:#?}");
    assert_eq!(status.delivered_ticks, story.delivered, "what the status counts is what came");
    drop(peer);
    assert_eq!(rig.stop().await, TickerEnd::Shutdown);
    while let Some(event) = rig.streams.feed.recv().await {
        story.hear(event);
    }
    assert!(!story.up);
    let pool: Vec<String> =
        rig.metrics().into_iter().filter(|line| line.starts_with("websocket_pool")).collect();
    assert!(pool.is_empty(), "gauges return to zero: {pool:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_row_of_misfortunes_ends_well(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(steps));
    }
}
