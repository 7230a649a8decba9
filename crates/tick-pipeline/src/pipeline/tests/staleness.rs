//! What is marked as not current, and until when.

use super::*;

#[test]
fn a_lost_connection_marks_its_own_instruments_until_they_tick() {
    let mut bench = bench();
    bench.push(vec![ltp(INDEX, 25_000.0), ltp(SHARE, 100.0)]);
    bench.event(frame(1, bench.wall(), vec![ltp(FUTURE, 25_010.0)]));
    bench.pass(TICK);
    bench.take();
    let cause = Some(StaleCause::Feed(GapCause::Disconnected));
    bench.event(down(0, &bench));
    bench.pass(TICK);
    let marked = bench.take();
    assert!(
        marked.iter().all(|snapshot| snapshot.cause == SnapshotCause::Staleness && snapshot.stale == cause)
    );
    assert_eq!((marked.len(), bench.pipeline.enricher.stale()), (2, 2));
    assert_eq!(stale(&bench, &[INDEX, SHARE, FUTURE]), [cause, cause, None]);
    bench.event(down(0, &bench));
    bench.pass(TICK);
    assert_eq!(bench.take(), [], "nothing new to say");
    bench.push(vec![ltp(SHARE, 101.0)]);
    bench.pass(TICK);
    assert_eq!(stale(&bench, &[INDEX, SHARE, FUTURE]), [cause, None, None]);
    assert_eq!(bench.take()[0].cause, SnapshotCause::Tick);
}

#[test]
fn every_kind_of_trouble_marks_what_it_concerns() {
    let feed = |cause| Some(StaleCause::Feed(cause));
    let check = |event: fn(&Bench) -> FeedEvent, expect: [Option<StaleCause>; 3]| {
        let mut bench = bench();
        bench.push(vec![ltp(INDEX, 25_000.0), ltp(SHARE, 100.0)]);
        bench.event(frame(1, bench.wall(), vec![ltp(FUTURE, 25_010.0)]));
        bench.event(event(&bench));
        bench.pass(TICK);
        assert_eq!(stale(&bench, &[INDEX, SHARE, FUTURE]), expect);
        let health = std::iter::from_fn(|| bench.pipeline.health.pop_front()).count();
        assert_eq!(health, 0, "handed out already");
        assert_eq!(bench.pipeline.counts().health, 1);
    };
    let silent = feed(GapCause::Silent);
    check(
        |bench| FeedEvent::Silent(Silence { connection: connection(0), since: bench.wall() }),
        [silent, silent, None],
    );
    check(
        |bench| {
            FeedEvent::Gap(Gap {
                connection: connection(0),
                from: bench.wall() - TICK,
                to: bench.wall(),
                cause: GapCause::Disconnected,
                tokens: None,
                lost_ticks: None,
            })
        },
        [None; 3],
    );
    check(
        |_| {
            let change = |token, state| SubscriptionChange { token, mode: Mode::Ltp, state };
            FeedEvent::Subscriptions {
                connection: connection(0),
                changes: vec![
                    change(SHARE, SubscriptionState::Removed),
                    change(INDEX, SubscriptionState::Silent),
                    change(FUTURE, SubscriptionState::Removed),
                ],
            }
        },
        [Some(StaleCause::TokenSilent), Some(StaleCause::Unsubscribed), None],
    );
    let collapsed = Some(StaleCause::RateCollapse);
    check(collapse, [collapsed, collapsed, None]);
    let lost = Some(StaleCause::TokenLost);
    check(
        |_| FeedEvent::TokenLost(TokenLoss { account: "acct".into(), detail: "403".into() }),
        [lost, lost, lost],
    );
    check(
        |bench| {
            FeedEvent::Gap(Gap {
                connection: connection(0),
                from: bench.wall(),
                to: bench.wall() + TICK,
                cause: GapCause::Overrun,
                tokens: Some([SHARE, FUTURE].into()),
                lost_ticks: Some(3),
            })
        },
        [None, feed(GapCause::Overrun), None],
    );
    check(|bench| FeedEvent::SilenceEnded { connection: connection(0), at: bench.wall() }, [None; 3]);
}

#[test]
fn options_say_when_their_forward_is_not_current() {
    let mut bench = bench();
    let call = option(true, 251, OptionSide::Call);
    bench.push(vec![ltp(INDEX, 25_000.0)]);
    bench.event(frame(1, bench.wall(), vec![ltp(call, 150.0)]));
    bench.pass(TICK);
    assert_eq!(greeks(&bench.state(call)).forward_source, ForwardSource::SpotCarry);
    bench.take();
    bench.event(down(0, &bench));
    bench.pass(TICK);
    assert_eq!(tokens(&bench.take()), [INDEX], "within the grace the forward is kept");
    bench.pass(Duration::from_secs(1));
    let marked = bench.take();
    assert_eq!((marked.len(), marked[0].token(), marked[0].cause), (1, call, SnapshotCause::Staleness));
    assert_eq!(marked[0].stale, Some(StaleCause::Forward));
    assert!(matches!(marked[0].greeks, GreeksState::Known(_)), "the last values stay, marked");
    bench.push(vec![ltp(INDEX, 25_001.0)]);
    bench.pass(Duration::from_secs(3));
    assert_eq!(bench.state(call).stale, None);
}

#[test]
fn quotes_that_are_not_current_price_nothing() {
    let mut bench = bench();
    let at = bench.wall();
    let (lone, partner) = (option(true, 252, OptionSide::Put), option(true, 252, OptionSide::Call));
    let (rest, own): (Vec<_>, Vec<_>) =
        near_chain(25_000.0, at).into_iter().partition(|tick| tick.token != lone);
    bench.push(rest);
    bench.event(frame(1, at, [own, vec![full(FUTURE, 25_050.0, 25_049.0, 25_051.0, at)]].concat()));
    bench.pass(TICK);
    let before = greeks(&bench.state(partner));
    assert_eq!(before.forward_source, ForwardSource::Parity);
    bench.event(down(0, &bench));
    bench.pass(Duration::from_secs(1));
    bench.pass(Duration::from_secs(1));
    // The put is in the money, and its own quote is current, but the call that carries the volatility is not.
    assert_eq!(greeks(&bench.state(partner)), before, "a stale price is not combined with a newer forward");
    let marks = |snapshots: Vec<Snapshot>| {
        let one = snapshots.into_iter().rfind(|one| one.token() == lone).unwrap();
        (one.stale, one.cause)
    };
    assert_eq!(marks(bench.take()), (Some(StaleCause::Forward), SnapshotCause::Staleness), "and says so");
    // A new call brings the strike back, now on the future: parity has lost its strikes.
    bench.push(vec![full(partner, 150.0, 149.9, 150.1, bench.wall())]);
    bench.pass(TICK);
    for token in [lone, partner] {
        let now = greeks(&bench.state(token));
        assert_eq!((now.forward_source, now.forward), (ForwardSource::Future, 25_050.0));
    }
    assert_eq!(marks(bench.take()), (None, SnapshotCause::Staleness));
}

#[test]
fn a_collapsed_rate_makes_values_suspect_until_they_tick_or_it_is_restored() {
    let mut bench = with_chain(25_000.0);
    let (call, put) = (option(true, 252, OptionSide::Call), option(true, 248, OptionSide::Put));
    bench.push(vec![ltp(INDEX, 25_000.0), ltp(SHARE, 100.0)]);
    bench.pass(TICK);
    bench.event(collapse(&bench));
    bench.pass(Duration::from_secs(1));
    let suspect = Some(StaleCause::RateCollapse);
    assert_eq!(stale(&bench, &[INDEX, SHARE, call, put]), [suspect; 4]);
    // One ticks, one is certainly gone.
    bench.push(vec![ltp(INDEX, 25_001.0)]);
    bench.event(FeedEvent::Subscriptions {
        connection: connection(0),
        changes: vec![SubscriptionChange {
            token: SHARE,
            mode: Mode::Ltp,
            state: SubscriptionState::Removed,
        }],
    });
    bench.event(collapse(&bench));
    bench.pass(TICK);
    let gone = Some(StaleCause::Unsubscribed);
    assert_eq!(stale(&bench, &[INDEX, SHARE, call]), [suspect, gone, suspect]);
    bench.take();
    let restored = FeedEvent::RateRestored { connection: connection(0), at: bench.wall(), rate: 99.0 };
    bench.event(restored.clone());
    bench.pass(Duration::from_secs(3));
    assert_eq!(stale(&bench, &[INDEX, SHARE, call, put]), [None, gone, None, None]);
    let told = bench.take();
    assert!(told.len() >= 2 * STRIKES.count() && !tokens(&told).contains(&SHARE));
    assert!(told.iter().all(|one| one.stale.is_none() && one.tick_count == 0));
    assert_eq!(greeks(&bench.state(call)).forward_source, ForwardSource::Parity);
    bench.event(restored);
    bench.pass(TICK);
    assert_eq!(bench.take(), [], "nothing new to say");
}

#[test]
fn a_worker_uses_the_spot_of_another() {
    let market = Market::new(catalog());
    let mut with_spot = Bench::with_market(PipelineConfig::default(), market.clone());
    let mut with_options = Bench::with_market(PipelineConfig::default(), market.clone());
    let call = option(true, 251, OptionSide::Call);
    with_spot.push(vec![ltp(INDEX, 25_000.0)]);
    with_spot.pass(TICK);
    with_options.push(vec![ltp(call, 150.0)]);
    with_options.pass(TICK);
    assert_eq!(greeks(&with_options.state(call)).forward_source, ForwardSource::SpotCarry);
    // A reload that the other worker has not seen yet costs nothing.
    with_options.pipeline.set_catalog(Market::new(catalog()), with_options.now);
    with_options.pass(TICK);
    assert_eq!(greeks(&with_options.state(call)).forward_source, ForwardSource::SpotCarry);
    with_options.pipeline.set_catalog(market, with_options.now);
    // Vouched for: still current after a minute without a tick.
    for _ in 0..60 {
        with_spot.pass(Duration::from_secs(1));
        with_options.pass(Duration::from_secs(1));
    }
    assert_eq!(with_options.state(call).stale, None);
    // The other worker is gone.
    for _ in 0..10 {
        with_options.pass(Duration::from_secs(1));
    }
    assert_eq!(with_options.state(call).stale, Some(StaleCause::Forward));
}
