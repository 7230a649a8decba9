//! Ticks that become few, or none, on a connection that otherwise lives.

use std::time::Duration;

use kite_client::{ConnectionLimits, RateCollapseAction, RateProfile, RateSlot, TickerConfig};
use market_model::{Exchange, Mode, SessionPhase, Sessions};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::rig::{Rig, config, describe, login};
use crate::server::Peer;

/// Of the segment NFO.
const TOKEN: u32 = 258;

fn phase(phase: SessionPhase) -> Sessions {
    Sessions::new([(Exchange::Nfo, phase)])
}

fn roomy() -> TickerConfig {
    TickerConfig { limits: ConnectionLimits { connections: 2, tokens_per_connection: 3000 }, ..config() }
}

/// A ticker that knows the sessions, and the news it tells with the time of each, in milliseconds.
struct Watched {
    rig: Rig,
    sessions: watch::Sender<Sessions>,
    told: Vec<(u128, String)>,
}

impl Watched {
    async fn start(settings: TickerConfig, profile: RateProfile) -> (Self, Peer) {
        let (sessions, follow) = watch::channel(phase(SessionPhase::Continuous));
        let mut rig = Rig::start_made(settings, Some(login(1)), |ticker| {
            ticker.follow_sessions(follow).with_rate_profile(profile)
        });
        rig.want(&[(TOKEN, Mode::Full)]);
        let mut peer = rig.kite.accept().await;
        peer.carries(&[(TOKEN, Mode::Full)]).await;
        (Self { rig, sessions, told: Vec::new() }, peer)
    }

    /// Lets `peer` tick `ticks` times in each of `seconds`, with heartbeats between.
    async fn pass(&mut self, peer: &mut Peer, seconds: u64, ticks: u32) {
        let end = Instant::now() + Duration::from_secs(seconds);
        let serve = async {
            while Instant::now() < end {
                peer.try_bytes(vec![0]).await;
                for _ in 0..ticks {
                    peer.try_ticks(&[(TOKEN, Mode::Full)]).await;
                    sleep(Duration::from_secs(1) / ticks).await;
                }
                if ticks == 0 {
                    sleep(Duration::from_secs(1)).await;
                }
            }
        };
        tokio::pin!(serve);
        loop {
            tokio::select! {
                () = &mut serve => return,
                event = self.rig.streams.feed.recv() => {
                    let said = describe(event.unwrap());
                    if !said.starts_with("ticks") && !said.starts_with("subscriptions") {
                        self.told.push((self.rig.elapsed().as_millis(), said));
                    }
                }
            }
        }
    }

    /// What was told since the last call, and when the first of it was.
    fn told(&mut self) -> (Option<u128>, Vec<String>) {
        let told = std::mem::take(&mut self.told);
        (told.first().map(|(at, _)| *at), told.into_iter().map(|(_, said)| said).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn a_collapsed_rate_is_told_and_the_connection_replaced_without_a_hole() {
    let (mut watched, mut old) = Watched::start(roomy(), RateProfile::default()).await;
    watched.pass(&mut old, 120, 40).await;
    assert_eq!(watched.told().1, ["connected 0"]);
    watched.pass(&mut old, 9, 1).await;
    let (at, said) = watched.told();
    assert_eq!(said, ["rate collapsed 0"]);
    assert!(at.is_some_and(|at| at <= 120_000 + 7_250), "{at:?}");
    let status = &watched.rig.status().connections[0];
    assert!(status.rate_collapsed && status.rate < 2.0, "{status:?}");
    assert!(status.usual_rate.is_some_and(|usual| usual > 35.0), "{status:?}");
    let mut new = watched.rig.kite.accept().await;
    new.carries(&[(TOKEN, Mode::Full)]).await;
    // The former server answers the close, so everything it wrote was read.
    tokio::join!(watched.pass(&mut new, 10, 40), old.closed());
    let (_, said) = watched.told();
    assert!(said[0].starts_with("rotated 0 after ") && said[0].ends_with(": RateCollapse"), "{said:?}");
    assert_eq!(said[1..], ["rate restored 0"]);
    assert!(!watched.rig.status().connections[0].rate_collapsed);
    let metrics = watched.rig.metrics();
    assert!(metrics.contains(&"ticker_rate_collapses_total 1".to_owned()), "{metrics:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_slow_is_not_hammered() {
    let (mut watched, mut peer) = Watched::start(roomy(), RateProfile::default()).await;
    watched.pass(&mut peer, 120, 40).await;
    watched.pass(&mut peer, 8, 1).await;
    for _ in 0..4 {
        peer = watched.rig.kite.accept().await;
        peer.carries(&[(TOKEN, Mode::Full)]).await;
        watched.pass(&mut peer, 301, 1).await;
    }
    let (_, said) = watched.told();
    assert_eq!(said.iter().filter(|said| said.starts_with("rate collapsed")).count(), 1, "{said:#?}");
    assert_eq!(watched.rig.kite.dials(), 6, "one each five minutes");
}

#[tokio::test(start_paused = true)]
async fn without_room_a_collapsed_connection_is_replaced_with_a_hole() {
    let (mut watched, mut peer) = Watched::start(config(), RateProfile::default()).await;
    watched.pass(&mut peer, 120, 40).await;
    watched.told();
    watched.pass(&mut peer, 8, 1).await;
    drop(peer);
    let mut peer = watched.rig.kite.accept().await;
    peer.carries(&[(TOKEN, Mode::Full)]).await;
    watched.pass(&mut peer, 10, 40).await;
    let (_, said) = watched.told();
    let begins = |prefix: &str| said.iter().any(|said| said.starts_with(prefix));
    assert_eq!(said[..2], ["rate collapsed 0", "reconnecting 0 try 1 in 0ns: RateCollapse"], "{said:#?}");
    assert!(
        begins("reconnected 0") && begins("gap 0 Disconnected") && begins("rate restored 0"),
        "{said:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_alarm_alone_reconnects_nothing() {
    let settings = TickerConfig { on_rate_collapse: RateCollapseAction::Alarm, ..roomy() };
    let (mut watched, mut peer) = Watched::start(settings, RateProfile::default()).await;
    watched.pass(&mut peer, 120, 40).await;
    watched.pass(&mut peer, 600, 1).await;
    watched.pass(&mut peer, 10, 40).await;
    assert_eq!(watched.told().1, ["connected 0", "rate collapsed 0", "rate restored 0"]);
    assert_eq!(watched.rig.kite.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_profile_of_earlier_days_finds_a_day_that_starts_collapsed() {
    // Paused time begins with the UNIX epoch, which is 05:30 in India.
    let slot = |slot| RateSlot { connection: 0, slot, rate_per_unit: 80.0, units: 1.0, days: 3 };
    let profile = RateProfile { slots: vec![slot(22), slot(23)] };
    let settings = TickerConfig { on_rate_collapse: RateCollapseAction::Alarm, ..roomy() };
    let (mut watched, mut peer) = Watched::start(settings, profile.clone()).await;
    watched.pass(&mut peer, 10, 2).await;
    let (at, said) = watched.told();
    assert_eq!(said, ["connected 0", "rate collapsed 0"]);
    assert!(at.is_some_and(|at| at <= 8_000), "{at:?}");
    assert_eq!(watched.rig.handle.rate_profile(), profile, "a collapse is not learned");
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_is_handed_out() {
    let (mut watched, mut peer) = Watched::start(roomy(), RateProfile::default()).await;
    watched.pass(&mut peer, 920, 4).await;
    let kept = watched.rig.handle.rate_profile();
    assert_eq!(kept.slots.len(), 1, "{kept}");
    assert!((3.5..4.5).contains(&kept.slots[0].rate_per_unit), "{kept}");
    drop(peer);
    watched.rig.stop().await;
    assert_eq!(watched.rig.handle.rate_profile(), kept);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_without_ticks_in_session_are_a_silence() {
    let (mut watched, mut old) = Watched::start(roomy(), RateProfile::default()).await;
    watched.pass(&mut old, 120, 3).await;
    watched.told();
    watched.pass(&mut old, 12, 0).await;
    let (at, said) = watched.told();
    assert_eq!(said, ["silent 0"]);
    assert!(at.is_some_and(|at| (129_000..=130_500).contains(&at)), "{at:?}");
    assert!(watched.rig.status().connections[0].dataless);
    let mut new = watched.rig.kite.accept().await;
    new.carries(&[(TOKEN, Mode::Full)]).await;
    watched.pass(&mut new, 10, 3).await;
    let (_, said) = watched.told();
    assert!(said[0].starts_with("gap 0 Silent 119") && said[1] == "silence ended 0", "{said:#?}");
    assert!(said.iter().any(|said| said.starts_with("rotated 0")), "{said:#?}");
    assert!(said.iter().any(|said| said.starts_with("token gaps 0 Silent 258:119")), "{said:#?}");
}

#[tokio::test(start_paused = true)]
async fn out_of_session_nothing_is_missed() {
    let (mut watched, mut peer) = Watched::start(roomy(), RateProfile::default()).await;
    watched.pass(&mut peer, 120, 40).await;
    watched.sessions.send_replace(phase(SessionPhase::Closed));
    watched.pass(&mut peer, 3600, 0).await;
    assert_eq!(watched.told().1, ["connected 0"]);
    assert_eq!(watched.rig.kite.dials(), 1);
}
