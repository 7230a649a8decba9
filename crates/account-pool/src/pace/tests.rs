//! No second holds more than its limit, nobody waits past a deadline, and the queue is fair.

use std::sync::Mutex;

use market_model::UnixNanos;
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::{advance, sleep, sleep_until};

use super::*;
use crate::error::AccountError;
use crate::testing::RuntimeClock;

/// 2026-11-20 09:00:00.25 IST: not at the edge of a second.
const START: UnixNanos = UnixNanos::from_millis(1_795_145_400_250);
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    clock: Arc<RuntimeClock>,
    pacer: Pacer,
}

fn bench(change: impl FnOnce(&mut PaceConfig)) -> Bench {
    bench_with(Arc::new(MemoryDayCounts::default()), change)
}

fn bench_with(counts: Arc<dyn DayCounts>, change: impl FnOnce(&mut PaceConfig)) -> Bench {
    let mut config = PaceConfig { guard: Duration::ZERO, ..PaceConfig::default() };
    change(&mut config);
    let clock = Arc::new(RuntimeClock::starting_at(START));
    let wall: Arc<dyn Clock> = clock.clone();
    let orders = OrderBudget::new("AB1234", &config, wall.clone(), counts, PaceMetrics::noop());
    let pacer = Pacer::new(&config, wall, Arc::new(orders), |_| PaceMetrics::noop());
    Bench { clock, pacer }
}

fn soon(by: Duration) -> Instant {
    Instant::now() + by
}

#[tokio::test(start_paused = true)]
async fn the_documented_rates_hold() {
    let Bench { pacer, .. } = bench(|_| {});
    for (class, most) in [(ReadClass::Quote, 1), (ReadClass::Historical, 3), (ReadClass::Other, 10)] {
        for _ in 0..most {
            let _ = pacer.acquire(class, Instant::now()).await.unwrap();
        }
        let error = pacer.acquire(class, Instant::now()).await.unwrap_err();
        assert!(matches!(error, PaceError::TooLate { wait, .. } if wait == SECOND), "{class:?}: {error}");
        assert_eq!(pacer.status(class).used, most);
    }
    advance(SECOND).await;
    assert_eq!(pacer.status(ReadClass::Other).used, 0);
}

#[tokio::test(start_paused = true)]
async fn a_late_turn_is_refused_at_once() {
    let Bench { pacer, .. } = bench(|_| {});
    let begin = Instant::now();
    let _ = pacer.acquire(ReadClass::Quote, soon(SECOND)).await.unwrap();
    assert!(pacer.acquire(ReadClass::Quote, soon(SECOND / 2)).await.is_err());
    assert_eq!(Instant::now(), begin, "it waited although the turn was known to come too late");
    let _ = pacer.acquire(ReadClass::Quote, soon(2 * SECOND)).await.unwrap();
    assert_eq!(begin.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_and_fair() {
    let Bench { pacer, .. } = bench(|config| config.max_waiting = 4);
    let order = Arc::new(Mutex::new(Vec::new()));
    let _ = pacer.acquire(ReadClass::Quote, soon(SECOND)).await.unwrap();
    let mut callers = JoinSet::new();
    for name in 0..4 {
        let (pacer, order) = (pacer.clone(), order.clone());
        callers.spawn(async move {
            let _permit = pacer.acquire(ReadClass::Quote, soon(60 * SECOND)).await.unwrap();
            order.lock().unwrap().push(name);
        });
        tokio::task::yield_now().await;
    }
    let error = pacer.acquire(ReadClass::Quote, soon(60 * SECOND)).await.unwrap_err();
    assert_eq!(error, PaceError::TooManyWaiting { class: PaceClass::Quote, waiting: 4 });
    callers.join_all().await;
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_costs_nothing() {
    let Bench { pacer, .. } = bench(|_| {});
    let begin = Instant::now();
    let _ = pacer.acquire(ReadClass::Quote, soon(SECOND)).await.unwrap();
    // Two who give up while they wait, the first of them as keeper of the time.
    for _ in 0..2 {
        let _ = tokio::time::timeout(SECOND / 4, pacer.acquire(ReadClass::Quote, soon(60 * SECOND))).await;
    }
    let _ = pacer.acquire(ReadClass::Quote, soon(60 * SECOND)).await.unwrap();
    assert_eq!(begin.elapsed(), SECOND);
    let status = pacer.status(ReadClass::Quote);
    assert_eq!((status.waiting, status.in_flight), (0, 0));

    // One that is dropped after its slot was given and before it looked.
    let mut first = Box::pin(pacer.acquire(ReadClass::Quote, soon(60 * SECOND)));
    let mut second = Box::pin(pacer.acquire(ReadClass::Quote, soon(60 * SECOND)));
    assert!(futures_poll(&mut first).is_none() && futures_poll(&mut second).is_none());
    advance(SECOND).await;
    // The second one's look gives the first its slot.
    assert!(futures_poll(&mut second).is_none());
    drop(first);
    assert!(futures_poll(&mut second).is_some_and(|got| got.is_ok()), "the slot was lost with its owner");
}

#[tokio::test(start_paused = true)]
async fn a_slot_given_back_moves_the_queue_up_and_its_time_keeping_with_it() {
    let Bench { pacer, .. } = bench(|config| config.historical_per_second = 2);
    let begin = Instant::now();
    let _ = pacer.acquire(ReadClass::Historical, soon(SECOND)).await.unwrap();
    advance(SECOND / 2).await;
    let unused = pacer.acquire(ReadClass::Historical, soon(SECOND)).await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..2 {
        let pacer = pacer.clone();
        waiting.spawn(async move {
            let _ = pacer.acquire(ReadClass::Historical, soon(60 * SECOND)).await.unwrap();
            begin.elapsed()
        });
        tokio::task::yield_now().await;
    }
    advance(SECOND / 10).await;
    unused.unused();
    let mut turns = waiting.join_all().await;
    turns.sort();
    assert_eq!(turns, [SECOND * 6 / 10, SECOND]);
}

fn futures_poll<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_counted() {
    let Bench { pacer, .. } = bench(|_| {});
    let first = pacer.acquire(ReadClass::Other, soon(SECOND)).await.unwrap();
    let second = pacer.acquire(ReadClass::Other, soon(SECOND)).await.unwrap();
    assert_eq!(pacer.status(ReadClass::Other).in_flight, 2);
    drop((first, second));
    assert_eq!(pacer.status(ReadClass::Other).in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_complaint_closes_the_class_for_a_while() {
    let Bench { pacer, .. } = bench(|config| config.backoff.jitter = 0.0);
    let first = pacer.acquire(ReadClass::Other, soon(SECOND)).await.unwrap();
    let second = pacer.acquire(ReadClass::Other, soon(SECOND)).await.unwrap();
    first.too_many_requests(None);
    // Sent together, refused together: one complaint.
    second.too_many_requests(None);
    drop((first, second));
    assert_eq!(pacer.status(ReadClass::Other).paused_for, Some(SECOND));
    assert!(pacer.acquire(ReadClass::Other, soon(SECOND / 2)).await.is_err());
    // Other classes go on.
    let _ = pacer.acquire(ReadClass::Quote, Instant::now()).await.unwrap();
    let again = pacer.acquire(ReadClass::Other, soon(10 * SECOND)).await.unwrap();
    again.too_many_requests(None);
    assert_eq!(pacer.status(ReadClass::Other).paused_for, Some(2 * SECOND));
    let asked = pacer.acquire(ReadClass::Other, soon(10 * SECOND)).await.unwrap();
    asked.too_many_requests(Some(7 * SECOND));
    assert_eq!(pacer.status(ReadClass::Other).paused_for, Some(7 * SECOND));
    let good = pacer.acquire(ReadClass::Other, soon(10 * SECOND)).await.unwrap();
    good.answered();
    let last = pacer.acquire(ReadClass::Other, soon(10 * SECOND)).await.unwrap();
    last.too_many_requests(None);
    assert_eq!(pacer.status(ReadClass::Other).paused_for, Some(SECOND));
    assert_eq!(pacer.status(ReadClass::Other).throttled, 5);
}

// === orders ===

#[tokio::test(start_paused = true)]
async fn a_cancellation_passes_orders_that_wait_for_the_minute() {
    let Bench { pacer, .. } = bench(|config| {
        config.orders_per_minute = 5;
        config.minute_counts_changes = false;
    });
    let orders = pacer.orders().clone();
    for _ in 0..5 {
        let _ = orders.acquire(OrderKind::Place, 1, soon(SECOND)).await.unwrap().sent();
    }
    let begin = Instant::now();
    let mut waiting = JoinSet::new();
    let budget = orders.clone();
    waiting.spawn(async move {
        let _ = budget.acquire(OrderKind::Place, 1, soon(120 * SECOND)).await.unwrap().sent();
        Instant::now()
    });
    tokio::task::yield_now().await;
    let _ = orders.acquire(OrderKind::Cancel, 1, soon(SECOND)).await.unwrap().sent();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    let placed = waiting.join_next().await.unwrap().unwrap();
    assert!(placed - begin >= 59 * SECOND, "{:?}", placed - begin);
}

#[tokio::test(start_paused = true)]
async fn the_day_is_counted_and_ends() {
    let counts = Arc::new(MemoryDayCounts::default());
    let Bench { pacer, clock } = bench_with(counts.clone(), |config| {
        config.orders_per_day = 12;
        config.day_block = 5;
    });
    let orders = pacer.orders();
    let day = IstDay::of(clock.now());
    assert_eq!(day.to_string(), "2026-11-20");
    let _ = orders.acquire(OrderKind::Place, 8, soon(SECOND)).await.unwrap().sent();
    let _ = orders.acquire(OrderKind::Modify, 9, soon(SECOND)).await.unwrap().sent();
    // Not sent, so not counted.
    orders.acquire(OrderKind::Place, 4, soon(SECOND)).await.unwrap().not_sent();
    drop(orders.acquire(OrderKind::Place, 4, soon(SECOND)).await.unwrap());
    assert_eq!(orders.status().day_used, 8);
    let _ = orders.acquire(OrderKind::Place, 4, soon(SECOND)).await.unwrap().sent();
    let error = orders.acquire(OrderKind::Place, 1, soon(SECOND)).await.unwrap_err();
    assert!(matches!(error, PaceError::DayLimit { used: 12, limit: 12, .. }), "{error}");
    let _ = orders.acquire(OrderKind::Cancel, 1, soon(SECOND)).await.unwrap().sent();
    orders.close().await;
    assert_eq!(counts.add("AB1234", day, 0).await.unwrap(), 12);

    // After a restart the count is known; on the next day it begins anew.
    let Bench { pacer: again, clock } = bench_with(counts, |config| config.orders_per_day = 12);
    let error = again.orders().acquire(OrderKind::Place, 1, soon(SECOND)).await.unwrap_err();
    assert!(matches!(error, PaceError::DayLimit { .. }), "{error}");
    clock.step(86_400_000_000_000);
    let _ = again.orders().acquire(OrderKind::Place, 1, soon(SECOND)).await.unwrap().sent();
    assert_eq!(again.orders().status().day_used, 1);
}

#[tokio::test(start_paused = true)]
async fn a_crash_makes_the_count_too_high_never_too_low() {
    let counts = Arc::new(MemoryDayCounts::default());
    let Bench { pacer, clock } = bench_with(counts.clone(), |_| {});
    for _ in 0..60 {
        let _ = pacer.orders().acquire(OrderKind::Place, 1, soon(60 * SECOND)).await.unwrap().sent();
    }
    let kept = counts.add("AB1234", IstDay::of(clock.now()), 0).await.unwrap();
    assert!((60..=110).contains(&kept), "{kept}");
}

/// Fails, or never answers.
struct NoStore(bool);

impl DayCounts for NoStore {
    fn add<'a>(
        &'a self,
        _: &'a str,
        _: IstDay,
        _: i64,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<u64, AccountError>> + Send + 'a>> {
        let hang = self.0;
        Box::pin(async move {
            if hang {
                std::future::pending::<()>().await;
            }
            Err(AccountError::Sealed("no store in this test"))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn orders_go_on_without_the_store() {
    for hang in [false, true] {
        let Bench { pacer, .. } = bench_with(Arc::new(NoStore(hang)), |config| config.orders_per_day = 30);
        let begin = Instant::now();
        for _ in 0..10 {
            let _ = pacer.orders().acquire(OrderKind::Place, 1, soon(60 * SECOND)).await.unwrap().sent();
        }
        assert!(begin.elapsed() <= SECOND / 2, "hanging {hang}: {:?}", begin.elapsed());
        let status = pacer.orders().status();
        assert!(status.day_used == 10 && !status.day_saved, "{status:?}");
        pacer.orders().at_least(30).await;
        assert!(pacer.orders().acquire(OrderKind::Place, 1, soon(SECOND)).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_order_book_shows_counts_once_however_often_it_is_told() {
    let counts = Arc::new(MemoryDayCounts::default());
    for _restart in 0..3 {
        let Bench { pacer, .. } = bench_with(counts.clone(), |config| config.orders_per_day = 300);
        pacer.orders().at_least(100).await;
        pacer.orders().at_least(40).await;
        let status = pacer.orders().status();
        assert!(status.day_used == 100 && status.day_saved, "{status:?}");
        let permit = pacer.orders().acquire(OrderKind::Place, 1, soon(SECOND)).await.unwrap();
        permit.not_sent();
        pacer.orders().close().await;
        assert_eq!(pacer.orders().status().day_used, 100);
    }
    // A day that is full by the book takes no order more.
    let Bench { pacer, .. } = bench_with(counts, |config| config.orders_per_day = 300);
    pacer.orders().at_least(300).await;
    assert!(pacer.orders().acquire(OrderKind::Place, 1, soon(SECOND)).await.is_err());
}

// === the property ===

#[derive(Debug, Clone)]
struct Caller {
    at: u64,
    patience: u64,
    /// Goes away after that long, if before its turn.
    gives_up: Option<u64>,
    kind: OrderKind,
}

fn callers() -> impl Strategy<Value = Vec<Caller>> {
    let kind = prop::sample::select(vec![OrderKind::Place, OrderKind::Modify, OrderKind::Cancel]);
    let caller = (0..4000_u64, 0..9000_u64, prop::option::of(0..3000_u64), kind)
        .prop_map(|(at, patience, gives_up, kind)| Caller { at, patience, gives_up, kind });
    prop::collection::vec(caller, 0..90)
}

fn most_in_any(times: &mut [i64], span: i64) -> usize {
    times.sort_unstable();
    (0..times.len())
        .map(|i| times[i..].iter().take_while(|at| **at < times[i] + span).count())
        .max()
        .unwrap_or(0)
}

fn most_in_calendar(times: &[i64], span: i64) -> usize {
    let slots: Vec<i64> = times.iter().map(|at| at.div_euclid(span)).collect();
    slots.iter().map(|slot| slots.iter().filter(|other| *other == slot).count()).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_window_ever_holds_more_than_the_limit(
        callers in callers(), per_second in 1..6_u32, per_minute in 5..40_u32, steps in any::<bool>(),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async move {
            let Bench { pacer, clock } = bench(|config| {
                config.orders_per_second = per_second;
                config.orders_per_minute = per_minute;
            });
            let begin = Instant::now();
            let mut running = JoinSet::new();
            for caller in callers {
                let (orders, clock) = (pacer.orders().clone(), clock.clone());
                running.spawn(async move {
                    sleep_until(begin + Duration::from_millis(caller.at)).await;
                    let deadline = soon(Duration::from_millis(caller.patience));
                    let call = orders.acquire(caller.kind, 1, deadline);
                    let got = match caller.gives_up {
                        Some(after) => tokio::time::timeout(Duration::from_millis(after), call).await.ok()?,
                        None => call.await,
                    };
                    assert!(Instant::now() <= deadline, "waited past the deadline");
                    let _ = got.ok()?.sent();
                    Some((i64::try_from(begin.elapsed().as_nanos()).unwrap(), clock.now().0))
                });
            }
            if steps {
                // A wall clock that is set must not let more through any window of real time.
                let clock = clock.clone();
                running.spawn(async move {
                    for step in [700_000_000, -1_900_000_000, 5_000_000_000, -300_000_000] {
                        sleep(Duration::from_millis(600)).await;
                        clock.step(step);
                    }
                    None
                });
            }
            let sent: Vec<(i64, i64)> = running.join_all().await.into_iter().flatten().collect();
            let (mut real, wall): (Vec<i64>, Vec<i64>) = sent.into_iter().unzip();
            let second = 1_000_000_000;
            prop_assert!(most_in_any(&mut real, second) <= per_second as usize);
            prop_assert!(most_in_any(&mut real, 60 * second) <= per_minute as usize);
            if !steps {
                prop_assert!(most_in_calendar(&wall, second) <= per_second as usize);
                prop_assert!(most_in_calendar(&wall, 60 * second) <= per_minute as usize);
            }
            prop_assert_eq!(pacer.orders().status().lane.waiting, 0);
            prop_assert_eq!(pacer.orders().status().lane.in_flight, 0);
            Ok(())
        })?;
    }
}

#[tokio::test(start_paused = true)]
async fn each_reading_is_what_it_says() {
    // Ten at 0.25 s after a full second; the calendar opens again after 0.75 s, the rolling second after a whole one.
    for (reading, wait) in [
        (WindowReading::Calendar, SECOND * 3 / 4),
        (WindowReading::Rolling, SECOND),
        (WindowReading::Both, SECOND),
    ] {
        let Bench { pacer, .. } = bench(|config| config.reading = reading);
        let begin = Instant::now();
        for _ in 0..11 {
            let _ = pacer.acquire(ReadClass::Other, soon(5 * SECOND)).await.unwrap();
        }
        assert_eq!(begin.elapsed(), wait, "{reading:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_full_rate_is_reached() {
    let Bench { pacer, .. } = bench(|_| {});
    let begin = Instant::now();
    for _ in 0..101 {
        let _ = pacer.acquire(ReadClass::Other, soon(5 * SECOND)).await.unwrap();
    }
    assert_eq!(begin.elapsed(), 10 * SECOND);
}
