//! The whole synchronous core: conflation, refreshes, staleness, catalog swaps.

use std::collections::BTreeMap;
use std::time::Duration;

use market_model::{
    DisconnectReason, FeedEvent, Gap, GapCause, InstrumentCatalog, InstrumentToken, Mode, OptionSide,
    RateCollapse, SessionPhase, Silence, SubscriptionChange, SubscriptionState, Tick, TokenLoss,
};
use proptest::prelude::*;

use super::*;
use crate::testing::{
    Bench, FUTURE, INDEX, SHARE, STRIKES, catalog, connection, frame, full, instruments, ltp, near_chain,
    near_expiry, option, smile,
};
use crate::{BatchConfig, ForwardSource, GreeksState, NoGreeks, OptionGreeks, SnapshotCause, TopicKind};

mod staleness;

const TICK: Duration = Duration::from_millis(5);
const INTERVAL: Duration = Duration::from_millis(500);

fn bench() -> Bench {
    Bench::new(PipelineConfig::default())
}

/// A bench whose near chain has ticked and been published on this forward.
fn with_chain(forward: f64) -> Bench {
    let mut bench = bench();
    bench.push(near_chain(forward, bench.wall()));
    bench.pass(TICK);
    bench.take();
    bench
}

fn greeks(snapshot: &Snapshot) -> OptionGreeks {
    match snapshot.greeks {
        GreeksState::Known(greeks) => greeks,
        other => panic!("{other:?}"),
    }
}

fn tokens(snapshots: &[Snapshot]) -> Vec<InstrumentToken> {
    snapshots.iter().map(Snapshot::token).collect()
}

/// What is stale, and why, among everything that has ticked.
fn stale(bench: &Bench, tokens: &[InstrumentToken]) -> Vec<Option<StaleCause>> {
    tokens.iter().map(|token| bench.state(*token).stale).collect()
}

fn collapse(bench: &Bench) -> FeedEvent {
    let (connection, at) = (connection(0), bench.wall());
    FeedEvent::RateCollapse(RateCollapse { connection, at, rate: 1.0, baseline: 100.0 })
}

fn down(index: u8, bench: &Bench) -> FeedEvent {
    FeedEvent::Reconnecting {
        connection: connection(index),
        at: bench.wall(),
        attempt: 1,
        delay: Duration::from_secs(1),
        reason: DisconnectReason::ClosedByServer(None),
    }
}

#[test]
fn the_vector_of_a_frame_is_handed_on_once_its_ticks_are_stored() {
    let mut bench = bench();
    let (taker, taken) = std::sync::mpsc::channel();
    bench.pipeline = bench.pipeline.return_vectors_to(move |ticks| taker.send(ticks).unwrap());
    bench.push(vec![ltp(SHARE, 1.0)]);
    assert_eq!(taken.try_recv(), Ok(vec![ltp(SHARE, 1.0)]));
    assert!(taken.try_recv().is_err());
    bench.pass(TICK);
    assert_eq!(bench.state(SHARE).tick, ltp(SHARE, 1.0));
}

#[test]
fn within_a_batch_the_newest_tick_of_an_instrument_wins() {
    let mut bench = bench();
    bench.push(vec![ltp(SHARE, 1.0), ltp(INDEX, 1.0), ltp(SHARE, 2.0)]);
    bench.pass(TICK);
    assert_eq!(bench.batches.len(), 2);
    let kinds: Vec<_> = bench.batches.iter().map(|batch| batch.topic.kind).collect();
    assert!(kinds.contains(&TopicKind::Underlying) && kinds.contains(&TopicKind::Equity));
    let share = bench.take().into_iter().find(|snapshot| snapshot.token() == SHARE).unwrap();
    assert_eq!(share.tick, ltp(SHARE, 2.0));
}

#[test]
fn after_a_pause_ticks_leave_at_once_and_then_gather_for_the_age_of_a_batch() {
    let mut bench = bench();
    let published_at = |bench: &mut Bench, after: Duration, last: f64| {
        bench.now += after;
        bench.clock.advance(after);
        bench.push(vec![ltp(SHARE, last)]);
        let due = bench.pipeline.is_due(bench.now);
        if due {
            bench.pipeline.poll(bench.now);
        }
        (due, bench.take().len())
    };
    assert_eq!(published_at(&mut bench, TICK, 1.0), (true, 1));
    assert_eq!(published_at(&mut bench, TICK / 5, 2.0), (false, 0));
    assert_eq!(bench.pipeline.next_poll(), Some(bench.now + TICK - TICK / 5));
    assert_eq!(published_at(&mut bench, TICK, 3.0), (true, 1), "both in one");
    assert_eq!(published_at(&mut bench, TICK, 4.0), (true, 1));
}

#[test]
fn without_conflation_every_tick_comes_out_in_order() {
    let batch = BatchConfig { conflate: false, ..BatchConfig::default() };
    let mut bench = Bench::new(PipelineConfig { batch, ..PipelineConfig::default() });
    let prices = [1.0, 2.0, 3.0];
    bench.push(prices.map(|last| ltp(SHARE, last)).to_vec());
    bench.pass(TICK);
    let out: Vec<_> = bench.take().iter().map(|snapshot| snapshot.tick.last_price.to_f64()).collect();
    assert_eq!(out, prices);
}

#[test]
fn a_tick_shows_what_its_mode_carries_and_nothing_older() {
    let mut bench = bench();
    let at = bench.wall();
    bench.push(vec![full(SHARE, 100.0, 99.0, 101.0, at)]);
    bench.pass(TICK);
    bench.push(vec![ltp(SHARE, 102.0)]);
    bench.pass(TICK);
    let [before, after] = &bench.take()[..] else { panic!("two snapshots") };
    assert_eq!((before.ts_event, before.net_change()), (Some(at), Some(crate::testing::price(0.0))));
    assert_eq!((after.ts_event, after.net_change(), after.tick.depth()), (None, None, None));
}

#[test]
fn a_forward_that_moves_refreshes_the_whole_chain_once_per_interval() {
    let mut bench = with_chain(25_000.0);
    bench.pass(INTERVAL);
    // Only strikes near the money tick; parity follows them.
    let near_money = |forward, bench: &Bench| -> Vec<Tick> {
        let near =
            |tick: &Tick| (244..=257).any(|k| SIDES.iter().any(|side| tick.token == option(true, k, *side)));
        near_chain(forward, bench.wall()).into_iter().filter(near).collect()
    };
    bench.push(near_money(25_010.0, &bench));
    bench.pass(INTERVAL);
    assert_eq!(bench.take().len(), 2 * STRIKES.count());
    bench.push(near_money(25_020.0, &bench));
    bench.pass(TICK);
    assert_eq!(bench.take().len(), 28, "too soon for the others");
    bench.pass(INTERVAL);
    let refreshed = bench.take();
    assert_eq!(refreshed.len(), 2 * STRIKES.count() - 28, "those that ticked had the new forward already");
    for snapshot in &refreshed {
        assert_eq!(snapshot.cause, SnapshotCause::Forward);
        assert!((greeks(snapshot).forward - 25_020.0).abs() < 1e-6);
    }
    bench.pass(INTERVAL);
    assert_eq!(bench.take(), [], "nothing moved since");
}

const SIDES: [OptionSide; 2] = [OptionSide::Call, OptionSide::Put];

#[test]
fn a_forward_that_hardly_moves_refreshes_nothing() {
    let mut bench = with_chain(25_000.0);
    bench.pass(INTERVAL);
    bench.take();
    let atm = near_chain(25_000.1, bench.wall())
        .into_iter()
        .filter(|tick| tick.token == option(true, 250, SIDES[0]));
    bench.push(atm.collect());
    bench.pass(INTERVAL);
    assert_eq!(tokens(&bench.take()), [option(true, 250, SIDES[0])]);
}

#[test]
fn the_other_option_of_a_strike_follows_its_volatility() {
    let mut bench = with_chain(25_000.0);
    bench.pass(INTERVAL);
    bench.take();
    // Far enough out that parity does not look at it: only the volatility of the strike changes.
    let (call, put) = (option(true, 260, OptionSide::Call), option(true, 260, OptionSide::Put));
    let (before, at) = (greeks(&bench.state(call)), bench.wall());
    let dearer = crate::testing::fair(25_000.0, 260, OptionSide::Call, before.iv + 0.01, before.t_years);
    bench.push(vec![full(call, dearer, 0.999 * dearer, 1.001 * dearer, at)]);
    bench.pass(INTERVAL);
    let out = bench.take();
    assert_eq!(tokens(&out), [call, put]);
    assert_eq!(out[1].cause, SnapshotCause::Forward);
    for snapshot in &out {
        assert!((greeks(snapshot).iv - before.iv - 0.01).abs() < 1e-5, "{snapshot:?}");
    }
}

#[test]
fn time_alone_refreshes_the_greeks_and_ends_them() {
    let mut bench = with_chain(25_000.0);
    let before = greeks(&bench.state(option(true, 250, SIDES[0])));
    bench.pass(Duration::from_secs(3600));
    let refreshed = bench.take();
    assert_eq!(refreshed.len(), 2 * STRIKES.count());
    let after = greeks(&bench.state(option(true, 250, SIDES[0])));
    assert!((before.t_years - after.t_years - 60.0 / 525_600.0).abs() < 1e-12);
    let left = near_expiry().saturating_since(bench.wall());
    bench.pass(left - Duration::from_secs(1));
    let second = greeks(&bench.state(option(true, 250, SIDES[0])));
    assert!((second.t_years * 31_536_000.0 - 1.0).abs() < 1e-6, "one second to go: {}", second.t_years);
    bench.take();
    bench.pass(Duration::from_secs(1));
    let ended = bench.take();
    assert_eq!(ended.len(), 2 * STRIKES.count());
    assert!(ended.iter().all(|snapshot| snapshot.greeks == GreeksState::Absent(NoGreeks::Expired)));
    bench.pass(INTERVAL);
    assert_eq!(bench.take(), []);
}

#[test]
fn an_expiry_that_the_calendar_does_not_know_is_said() {
    let mut rows = instruments();
    for row in &mut rows {
        if let market_model::InstrumentKind::Option { expiry, .. } = &mut row.kind {
            expiry.instant = None;
        }
    }
    let catalog = Arc::new(InstrumentCatalog::new(rows, |_| Some("NIFTY 50")).unwrap());
    let mut bench = Bench::with_market(PipelineConfig::default(), catalog.into());
    bench.push(near_chain(25_000.0, bench.wall()));
    bench.pass(TICK);
    assert!(bench.take().iter().all(|one| one.greeks == GreeksState::Absent(NoGreeks::UnknownExpiry)));
}

#[test]
fn prices_no_volatility_explains_have_a_reason() {
    let mut bench = bench();
    let at = bench.wall();
    let (call, put) = (option(true, 260, OptionSide::Call), option(true, 240, OptionSide::Put));
    let above = full(call, 30_000.0, 29_999.0, 30_001.0, at);
    let never_traded = market_model::TickBody::Quote(market_model::QuoteTick::default());
    let silent = Tick { token: put, last_price: market_model::Price::ZERO, body: never_traded };
    bench.push(vec![full(FUTURE, 25_000.0, 24_999.0, 25_001.0, at), above, silent]);
    bench.pass(TICK);
    assert_eq!(bench.state(call).greeks, GreeksState::Absent(NoGreeks::AboveMaximum));
    assert_eq!(bench.state(put).greeks, GreeksState::Absent(NoGreeks::NoPrice));
}

#[test]
fn both_options_of_a_strike_share_the_volatility_of_the_out_of_the_money_side() {
    let mut bench = bench();
    let (forward, at) = (25_000.0, bench.wall());
    let mut ticks = near_chain(forward, at);
    // In-the-money prices are made absurd, far below what the other side implies; only last prices, no quotes.
    for tick in &mut ticks {
        for strike in 240..244 {
            if tick.token == option(true, strike, OptionSide::Call) {
                *tick = ltp(tick.token, 100.0);
            }
        }
    }
    bench.push(ticks);
    bench.pass(TICK);
    for strike in STRIKES {
        for side in SIDES {
            let iv = greeks(&bench.state(option(true, strike, side))).iv;
            assert!((iv - smile(strike, forward)).abs() < 1e-7, "{strike} {side:?} {iv}");
        }
    }
}

#[test]
fn crossed_books_are_judged_by_the_session_of_their_exchange() {
    let sessions = watch::Sender::new(Sessions::default());
    let mut bench = bench();
    let metrics = PipelineMetrics::noop();
    let config = PipelineConfig::default();
    bench.pipeline = Pipeline::new(config, "acct".into(), true, catalog(), bench.clock.clone(), metrics)
        .follow_sessions(sessions.subscribe());
    for (phase, published) in [(SessionPhase::PreOpen, 1), (SessionPhase::Continuous, 0)] {
        sessions.send_replace(Sessions::new([(market_model::Exchange::Nse, phase)]));
        bench.push(vec![full(SHARE, 100.0, 101.0, 100.0, bench.wall())]);
        bench.pass(TICK);
        assert_eq!(bench.take().len(), published, "{phase:?}");
    }
}

#[test]
fn a_market_that_moves_is_refreshed_in_turns_and_ticks_never_wait_for_all_of_it() {
    let mut config = PipelineConfig::default();
    config.enrichment.refresh_strikes = 1;
    let mut bench = Bench::new(config);
    let (near, far) = (option(true, 252, OptionSide::Call), option(false, 252, OptionSide::Call));
    bench.push(vec![ltp(INDEX, 25_000.0), ltp(near, 150.0), ltp(far, 250.0)]);
    bench.pass(TICK);
    bench.pass(INTERVAL);
    bench.pass(INTERVAL);
    bench.take();
    bench.push(vec![ltp(INDEX, 25_100.0)]);
    // Both chains have moved; each look takes one, and what is left is due at once.
    bench.now += INTERVAL;
    bench.clock.advance(INTERVAL);
    let moved = |bench: &Bench| {
        [near, far].into_iter().filter(|token| greeks(&bench.state(*token)).forward > 25_090.0).count()
    };
    bench.pipeline.poll(bench.now);
    assert_eq!((moved(&bench), bench.pipeline.is_due(bench.now)), (1, true));
    bench.pipeline.poll(bench.now);
    assert_eq!((moved(&bench), bench.pipeline.is_due(bench.now)), (2, false));
    bench.flush();
    assert_eq!(bench.take().len(), 3, "the index and both options are published");
}

#[test]
fn rejected_ticks_are_counted_and_unknown_tokens_named() {
    let mut config = PipelineConfig::default();
    config.validation.crossed_book = crate::CrossedBook::Reject;
    let mut bench = Bench::new(config);
    let at = bench.wall();
    let unknown = InstrumentToken(77);
    bench.push(vec![
        ltp(unknown, 1.0),
        ltp(unknown, 2.0),
        full(SHARE, 100.0, 101.0, 100.0, at),
        ltp(INDEX, 25_000.0),
    ]);
    bench.pass(TICK);
    assert_eq!(tokens(&bench.take()), [INDEX]);
    bench.flush();
    let status = bench.pipeline.status();
    let status = status.borrow();
    assert_eq!(status.unknown_tokens, [(unknown, 2)]);
    assert_eq!(status.counts.rejected[TickRejected::UnknownToken.index()], 2);
    assert_eq!(status.counts.rejected[TickRejected::CrossedBook.index()], 1);
    assert_eq!((status.counts.ticks, status.counts.rejected_total(), status.instruments), (4, 3, 1));
}

#[test]
fn a_new_catalog_keeps_the_state_of_what_both_list_and_goes_on_numbering() {
    let markets = watch::Sender::new(Market::new(catalog()));
    let mut bench = bench();
    bench.pipeline = bench.pipeline.follow(markets.subscribe());
    bench.push(near_chain(25_000.0, bench.wall()));
    bench.push(vec![ltp(SHARE, 100.0)]);
    bench.pass(TICK);
    let first: BTreeMap<_, _> =
        bench.batches.drain(..).map(|batch| (batch.topic.clone(), batch.seq)).collect();
    let mut rows: Vec<_> = instruments().into_iter().filter(|row| row.token != SHARE).collect();
    rows.reverse();
    let reversed = Arc::new(InstrumentCatalog::new(rows, |_| Some("NIFTY 50")).unwrap());
    bench.push(vec![ltp(SHARE, 101.0)]);
    markets.send(Market::new(reversed.clone())).unwrap();
    bench.pass(TICK);
    let share = bench.batches.remove(0);
    assert_eq!((share.snapshots[0].token(), share.seq), (SHARE, 2));
    assert!(!Arc::ptr_eq(&share.catalog, &reversed), "sealed against the catalog its slots belong to");
    bench.batches.clear();

    bench.push(vec![ltp(option(true, 250, OptionSide::Call), 200.0), ltp(SHARE, 102.0)]);
    bench.pass(TICK);
    let batch = &bench.batches[0];
    assert!(Arc::ptr_eq(&batch.catalog, &reversed));
    assert_eq!(batch.seq, first[&batch.topic] + 1, "the reload alone published nothing");
    let snapshot =
        batch.snapshots.iter().find(|one| one.token() == option(true, 250, OptionSide::Call)).unwrap();
    assert_eq!(Some(snapshot.slot), reversed.slot(snapshot.token()));
    let greeks = greeks(snapshot);
    assert!((greeks.forward - 25_000.0).abs() < 1e-6, "quotes of the others were kept: {}", greeks.forward);
    assert_eq!(bench.pipeline.counts().rejected[TickRejected::UnknownToken.index()], 1);
}

proptest! {
    /// Any mixture of ticks, polls and feed events: the newest published state of every instrument is its newest tick,
    /// `seq` has no holes, and a batch never has an instrument twice.
    #[test]
    fn the_last_word_is_the_newest_tick(steps in prop::collection::vec((0u8..6, 0u8..2, 0i64..3), 1..60)) {
        let mut bench = bench();
        let mut newest = BTreeMap::new();
        let mut value = 100.0;
        for (step, on, which) in steps {
            value += 0.05;
            let token = [INDEX, SHARE, option(true, 250, OptionSide::Put)][which as usize];
            match step {
                0..=2 => {
                    newest.insert(token, ltp(token, value));
                    bench.event(frame(on, bench.wall(), vec![ltp(token, value)]));
                }
                3 => bench.pass(Duration::from_millis(2)),
                4 => bench.pass(INTERVAL),
                _ => bench.event(down(on, &bench)),
            }
            bench.collect();
            let counts = bench.pipeline.counts();
            prop_assert!(counts.is_balanced(), "{:?}", counts);
            let waiting = counts.ticks - counts.rejected_total() - counts.conflated - counts.shown;
            prop_assert_eq!(waiting, counts.waiting);
        }
        bench.flush();
        let counts = bench.pipeline.counts();
        prop_assert_eq!(counts.waiting, 0);
        let ticked = |batch: &Arc<SnapshotBatch>| {
            batch.snapshots.iter().filter(|one| one.cause == SnapshotCause::Tick).count() as u64
        };
        let published: u64 = bench.batches.iter().map(ticked).sum();
        prop_assert_eq!((counts.shown, counts.is_balanced()), (published, true));
        let stands_for: u64 = bench.batches.iter().map(|batch| batch.tick_count).sum();
        prop_assert_eq!(counts.ticks, counts.rejected_total() + stands_for);
        let (mut seqs, mut totals) = (BTreeMap::new(), BTreeMap::new());
        let mut seen = BTreeMap::new();
        for batch in &bench.batches {
            let last = seqs.insert(batch.topic.clone(), batch.seq).unwrap_or(0);
            prop_assert_eq!(batch.seq, last + 1);
            let before = totals.insert(batch.topic.clone(), batch.tick_total).unwrap_or(0);
            prop_assert_eq!(batch.tick_total, before + batch.tick_count);
            prop_assert!(batch.snapshots.iter().all(|one| (one.cause == SnapshotCause::Tick) == (one.tick_count > 0)));
            let mut tokens = tokens(&batch.snapshots);
            tokens.sort_unstable();
            tokens.dedup();
            prop_assert_eq!(tokens.len(), batch.snapshots.len());
            seen.extend(batch.snapshots.iter().map(|snapshot| (snapshot.token(), snapshot.tick)));
        }
        prop_assert_eq!(seen, newest);
    }
}
